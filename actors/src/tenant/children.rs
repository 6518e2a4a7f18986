//! The sessions of a tenant: starting them, knowing who holds a place, and what follows when one fails.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ids::{CallbackId, QueueName};
use domain::ports::SaveError;
use futures::FutureExt;
use ractor::{ActorId, ActorProcessingErr};
use tokio::time::{Instant, timeout};

use super::{State, TenantMsg};
use crate::keeper::spawn;
use crate::mailbox::Address;
use crate::restart::{Policies, Restarts, Verdict, any_number, note_failed_start, note_failure};
use crate::session::{Beginning, SessionActor, SessionArgs, SessionMsg};

/// Callbacks whose failures are remembered at the same time; beyond it the forgotten ones are dropped.
const REMEMBERED: usize = 1_000;
/// Longest part of an error that becomes the reason of a parked callback, in characters.
const REASON_CHARS: usize = 200;
/// How often parking is tried while the store is out, how long each try may take, and the pause between two.
const PARK_TRIES: u32 = 5;
const PARK_DEADLINE: Duration = Duration::from_secs(5);
const PARK_AGAIN: Duration = Duration::from_secs(2);

struct Child {
    address: Address<SessionMsg>,
    /// Place in the order of use.
    used: u64,
    /// Was asked to end when nothing is in flight.
    resting: bool,
}

/// Who is at work.
#[derive(Default)]
pub(super) struct Children {
    sessions: HashMap<CallbackId, Child>,
    by_actor: HashMap<ActorId, CallbackId>,
    places: HashMap<CallbackId, QueueName>,
    /// Every session that was not sent to rest, in the order of its last use: the first makes room on a full node.
    order: BTreeMap<u64, CallbackId>,
    uses: u64,
    failures: HashMap<CallbackId, Restarts>,
    /// Failed, and not to be touched before their pause is over or they are parked.
    recovering: HashSet<CallbackId>,
}

/// A session that has ended.
struct Ended {
    id: CallbackId,
    /// It had been sent to rest.
    rested: bool,
}

impl Children {
    pub(super) fn find(&self, id: CallbackId) -> Option<Address<SessionMsg>> {
        self.sessions.get(&id).map(|child| child.address.clone())
    }

    /// As [`Self::find`], and counts as a use.
    pub(super) fn touch(&mut self, id: CallbackId) -> Option<Address<SessionMsg>> {
        let child = self.sessions.get_mut(&id)?;
        if self.order.remove(&child.used).is_some() {
            self.uses += 1;
            child.used = self.uses;
            self.order.insert(child.used, id);
        }
        Some(child.address.clone())
    }

    /// Whether `actor` is the session of this callback, not an earlier one.
    pub(super) fn is_session(&self, id: CallbackId, actor: ActorId) -> bool {
        self.sessions.get(&id).is_some_and(|child| child.address.id() == actor)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn is_recovering(&self, id: CallbackId) -> bool {
        self.recovering.contains(&id)
    }

    pub(super) fn recovered(&mut self, id: CallbackId) {
        self.recovering.remove(&id);
    }

    pub(super) fn holds_place(&self, id: CallbackId) -> bool {
        self.places.contains_key(&id)
    }

    pub(super) fn place_of(&self, id: CallbackId) -> Option<QueueName> {
        self.places.get(&id).cloned()
    }

    pub(super) fn hold_place(&mut self, id: CallbackId, queue: QueueName) {
        self.places.insert(id, queue);
    }

    pub(super) fn release_place(&mut self, id: CallbackId) -> Option<QueueName> {
        self.places.remove(&id)
    }

    /// Lets a session end as soon as no call of its is in flight.
    pub(super) fn send_to_rest(&mut self, id: CallbackId) {
        if let Some(child) = self.sessions.get_mut(&id)
            && !std::mem::replace(&mut child.resting, true)
        {
            self.order.remove(&child.used);
            child.address.hint(SessionMsg::Rest);
        }
    }

    pub(super) fn send_all_to_rest(&mut self) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        all.into_iter().for_each(|id| self.send_to_rest(id));
    }

    fn add(&mut self, id: CallbackId, address: Address<SessionMsg>) {
        self.uses += 1;
        self.order.insert(self.uses, id);
        self.by_actor.insert(address.id(), id);
        self.sessions.insert(id, Child { address, used: self.uses, resting: false });
    }

    fn remove(&mut self, actor: ActorId) -> Option<Ended> {
        let id = self.by_actor.remove(&actor)?;
        let child = self.sessions.remove(&id)?;
        self.order.remove(&child.used);
        Some(Ended { id, rested: child.resting })
    }

    /// Sends the session that was used longest ago to rest, but none that holds a place. Its row brings it
    /// back when it is due. False if there is none.
    fn make_room(&mut self) -> bool {
        let idle = self.order.values().find(|id| !self.places.contains_key(id)).copied();
        idle.is_some_and(|id| {
            self.send_to_rest(id);
            true
        })
    }

    fn failed(&mut self, id: CallbackId) -> Verdict {
        let now = Instant::now();
        if self.failures.len() >= REMEMBERED {
            self.failures.retain(|_, restarts| !restarts.is_forgotten(now));
        }
        let restarts = self.failures.entry(id).or_insert_with(|| Restarts::new(Policies::SESSION));
        let verdict = restarts.failed(now, any_number());
        if verdict == Verdict::GiveUp {
            self.failures.remove(&id);
        }
        verdict
    }
}

impl State {
    /// Starts the session of a callback that has none. Without a seat it stays a row: due now or later, so the
    /// sweep comes back to it.
    ///
    /// # Errors
    /// What it should have begun with, if none may be started now.
    pub(super) async fn start_session(&mut self, id: CallbackId, beginning: Beginning) -> Result<(), Beginning> {
        let unwanted = self.children.find(id).is_some() || self.children.is_recovering(id) || self.node.is_draining();
        let seated = !unwanted && (self.node.free_seats() > 0 || self.children.make_room());
        if !seated {
            if self.children.find(id).is_none() {
                self.me.hint(TenantMsg::PlaceUnused { id });
            }
            return Err(beginning);
        }
        let args = |waiting| SessionArgs {
            node: self.node.clone(),
            facts: self.facts.clone(),
            tenant: self.me.clone(),
            id,
            beginning,
            seat: self.node.take_seat(),
            waiting,
        };
        match spawn(SessionActor, args, self.me.cell()).await {
            Ok(session) => self.children.add(id, session),
            Err(error) => {
                self.me.hint(TenantMsg::PlaceUnused { id });
                let text = note_failed_start(self.node.ports.observer.as_ref(), &error);
                self.on_failure(id, Failure::Start, &text);
            }
        }
        Ok(())
    }

    /// As [`Self::start_session`], where the row is enough to come back to it.
    pub(super) async fn start_stored(&mut self, id: CallbackId, granted: bool) {
        drop(self.start_session(id, Beginning::Stored { granted }).await);
    }

    pub(super) async fn on_session_ended(&mut self, actor: ActorId) {
        if let Some(Ended { id, rested }) = self.children.remove(actor) {
            if rested && self.children.holds_place(id) && !self.node.is_draining() {
                // A place came free while it went to rest: it comes back for it.
                self.start_stored(id, true).await;
            } else {
                self.on_place_freed(id, false).await;
            }
        }
        self.answer_drain();
    }

    pub(super) async fn on_session_failed(&mut self, actor: ActorId, error: &ActorProcessingErr) {
        if let Some(Ended { id, .. }) = self.children.remove(actor) {
            let (failure, text) = note_failure(self.node.ports.observer.as_ref(), error);
            self.on_failure(id, failure, &text);
            self.on_place_freed(id, false).await;
        }
        self.answer_drain();
    }

    /// Starts it again after a pause, or parks it. `error` is what may be written about the failure.
    fn on_failure(&mut self, id: CallbackId, reason: Failure, error: &str) {
        self.children.recovering.insert(id);
        match self.children.failed(id) {
            Verdict::Restart(pause) => {
                tracing::warn!(session.id = %id, error, reason = reason.name(), "a session failed and is started again");
                self.node.note(Event::Restarted { supervisor: ActorKind::Tenant, child: ActorKind::Session, reason });
                self.me.hint_after(pause, TenantMsg::Restart { id });
            }
            Verdict::GiveUp => self.park(id, reason, error),
        }
    }

    fn park(&self, id: CallbackId, failure: Failure, error: &str) {
        let policy = Policies::SESSION;
        let what: String = error.chars().take(REASON_CHARS).collect();
        let reason = format!(
            "its session failed {} times within {} s, last by {}: {what}",
            policy.failures + 1,
            policy.within.as_secs(),
            failure.name(),
        );
        tracing::error!(session.id = %id, reason, "a callback is parked");
        let (node, facts) = (self.node.clone(), self.facts.clone());
        let work = async move {
            for _ in 0..PARK_TRIES {
                let parking = node.ports.callbacks.park(facts.id, id, &reason, node.now());
                match timeout(PARK_DEADLINE, parking).await {
                    Ok(Ok(())) => {
                        node.note(Event::Parked { tenant: facts.name.clone() });
                        break;
                    }
                    Ok(Err(SaveError::NotFound)) => break,
                    Ok(Err(error)) => tracing::error!(session.id = %id, %error, "a callback could not be parked"),
                    Err(_) => tracing::error!(session.id = %id, "a callback could not be parked in time"),
                }
                tokio::time::sleep(PARK_AGAIN).await;
            }
        };
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                node.note(Event::PanicCaught);
            }
            // If it is still due, the sweep brings it back, it fails again, and is parked then.
            me.hint(TenantMsg::ParkEnded { id });
        });
    }
}
