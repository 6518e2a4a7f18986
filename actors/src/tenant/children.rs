//! The sessions of a tenant: starting them, knowing who holds a place, and what follows when one fails.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use domain::event::{ActorKind, Event, Failure};
use domain::ids::{CallbackId, QueueName};
use domain::ports::SaveError;
use ractor::{Actor, ActorId, ActorProcessingErr};
use tokio::time::Instant;

use super::{State, TenantMsg};
use crate::mailbox::Address;
use crate::restart::{Policies, Restarts, Verdict, failure_of};
use crate::session::{Beginning, SessionActor, SessionArgs, SessionMsg};

/// Callbacks whose failures are remembered at the same time; beyond it the forgotten ones are dropped.
const REMEMBERED: usize = 1_000;
/// Longest part of an error that becomes the reason of a parked callback, in characters.
const REASON_CHARS: usize = 200;

/// Who is at work.
#[derive(Default)]
pub(super) struct Children {
    sessions: HashMap<CallbackId, Address<SessionMsg>>,
    by_actor: HashMap<ActorId, CallbackId>,
    places: HashMap<CallbackId, QueueName>,
    /// Accepted sessions in the order of acceptance: the first to make room when the node is full.
    accepted: VecDeque<CallbackId>,
    failures: HashMap<CallbackId, Restarts>,
}

impl Children {
    pub(super) fn find(&self, id: CallbackId) -> Option<Address<SessionMsg>> {
        self.sessions.get(&id).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn holds_place(&self, id: CallbackId) -> bool {
        self.places.contains_key(&id)
    }

    pub(super) fn hold_place(&mut self, id: CallbackId, queue: QueueName) {
        self.places.insert(id, queue);
    }

    pub(super) fn release_place(&mut self, id: CallbackId) -> Option<QueueName> {
        self.places.remove(&id)
    }

    pub(super) fn note_accepted(&mut self, id: CallbackId) {
        self.accepted.push_back(id);
        // Ended sessions leave their ids behind; swept out once they are the greater part.
        if self.accepted.len() > 2 * self.sessions.len() + REMEMBERED {
            let sessions = &self.sessions;
            self.accepted.retain(|id| sessions.contains_key(id));
        }
    }

    /// Lets every session finish what it is handling and end.
    pub(super) fn drain_all(&self) {
        for session in self.sessions.values() {
            drop(session.cell().drain());
        }
    }

    fn add(&mut self, id: CallbackId, session: Address<SessionMsg>) {
        self.by_actor.insert(session.id(), id);
        self.sessions.insert(id, session);
    }

    fn remove(&mut self, actor: ActorId) -> Option<CallbackId> {
        let id = self.by_actor.remove(&actor)?;
        // A newer session of the same callback is not this one.
        if self.sessions.get(&id).is_some_and(|session| session.id() == actor) {
            self.sessions.remove(&id);
        }
        Some(id)
    }

    /// Ends the session that has been accepted longest, to make room. Its row brings it back when it is due.
    fn make_room(&mut self) -> bool {
        while let Some(id) = self.accepted.pop_front() {
            if let Some(session) = self.sessions.get(&id) {
                session.cell().stop(None);
                return true;
            }
        }
        false
    }

    fn failed(&mut self, id: CallbackId) -> Verdict {
        let now = Instant::now();
        if self.failures.len() >= REMEMBERED {
            self.failures.retain(|_, restarts| !restarts.is_forgotten(now));
        }
        let spread = u64::try_from(id.as_uuid().as_u128() % 4_099).unwrap_or_default();
        self.failures.entry(id).or_insert_with(|| Restarts::new(Policies::SESSION)).failed(now, spread)
    }
}

impl State {
    /// Starts the session of a callback that has none.
    pub(super) async fn start_session(&mut self, id: CallbackId, beginning: Beginning) {
        if self.children.find(id).is_some() || self.node.is_draining() {
            return;
        }
        if self.node.free_seats() == 0 && !self.children.make_room() {
            // The row is due, or will be: the sweep comes back to it when there is room.
            return self.on_place_freed_without_session(id);
        }
        let waiting = Arc::new(AtomicUsize::new(0));
        let args = SessionArgs {
            node: self.node.clone(),
            facts: self.facts.clone(),
            tenant: self.me.clone(),
            id,
            beginning,
            seat: self.node.take_seat(),
            waiting: waiting.clone(),
        };
        match SessionActor::spawn_linked(None, SessionActor, args, self.me.cell()).await {
            Ok((session, _)) => self.children.add(id, Address::new(session, waiting)),
            Err(error) => self.on_failure(id, Failure::Start, &error.to_string()),
        }
    }

    fn on_place_freed_without_session(&mut self, id: CallbackId) {
        self.me.hint(TenantMsg::PlaceFreed { id, accepted: false });
    }

    pub(super) async fn on_session_ended(&mut self, actor: ActorId) {
        if let Some(id) = self.children.remove(actor) {
            self.on_place_freed(id, false).await;
        }
        self.answer_drain();
    }

    pub(super) async fn on_session_failed(&mut self, actor: ActorId, error: &ActorProcessingErr) {
        let Some(id) = self.children.remove(actor) else { return };
        self.on_place_freed(id, false).await;
        self.on_failure(id, failure_of(error), &error.to_string());
        self.answer_drain();
    }

    fn on_failure(&mut self, id: CallbackId, reason: Failure, error: &str) {
        if reason == Failure::Panic {
            self.node.note(Event::PanicCaught);
        }
        match self.children.failed(id) {
            Verdict::Restart(pause) => {
                tracing::warn!(session.id = %id, error, reason = reason.name(), "a session failed and is started again");
                self.node.note(Event::Restarted {
                    supervisor: ActorKind::Tenant,
                    child: ActorKind::Session,
                    reason,
                });
                let me = self.me.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    me.hint(TenantMsg::Restart { id });
                });
            }
            Verdict::GiveUp => self.park(id, reason, error),
        }
    }

    fn park(&mut self, id: CallbackId, failure: Failure, error: &str) {
        let policy = Policies::SESSION;
        let what: String = error.chars().take(REASON_CHARS).collect();
        let reason = format!(
            "its session failed {} times within {} s, last by {}: {what}",
            policy.failures + 1,
            policy.within.as_secs(),
            failure.name(),
        );
        tracing::error!(session.id = %id, reason, "a callback is parked");
        let (node, tenant) = (self.node.clone(), self.facts.tenant.clone());
        tokio::spawn(async move {
            match node.ports.callbacks.park(tenant.id, id, &reason, node.now()).await {
                Ok(()) => node.note(Event::Parked { tenant: tenant.name.clone() }),
                // Still due: the sweep brings it back, it fails again, and is parked then.
                Err(SaveError::NotFound) => {}
                Err(error) => tracing::error!(session.id = %id, %error, "a callback could not be parked"),
            }
        });
    }
}
