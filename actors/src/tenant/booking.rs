//! From a well-formed request to a durable callback: judged in memory, kept by one command to the store.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::booking::{MAX_AHEAD, Plan, When, judge};
use domain::callback::{Callback, Effect, NewCallback};
use domain::event::Event;
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Booked, Booking, Details, Due, SubmitError, Unserved};
use domain::slots;
use tokio::time::timeout;

use super::bystander::due_of;
use super::{State, SubmitReply, TenantFacts, TenantMsg};
use crate::mailbox::Address;
use crate::node::Node;
use crate::scheduler::SchedulerMsg;
use crate::session::unserved;
use crate::task;

/// A callback that starts sooner than this is handed to this node's own scheduler in the same write. It is
/// more than a minute between two claims, the 90 s that a claim looks ahead, and the time a booking may take.
const NEAR: TimeDelta = TimeDelta::seconds(160);
/// How long the store may take to keep a booking. Below the desk's deadline, so that the caller hears of it.
const BOOK_DEADLINE: Duration = Duration::from_secs(7);
/// How long the store may take to tell which slots have places.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(2);
/// An attempt that began with the booking is due again after this until it is seen to be with routing, so
/// that a crash between the two does not cost the customer more.
const SEEN_THROUGH: TimeDelta = TimeDelta::seconds(5);

/// A booking on its way to the store, and what follows when it is kept.
struct Draft {
    booking: Booking,
    next: Next,
}

/// What follows when it is kept.
enum Next {
    /// For now, and a place was taken for it: what its session does first.
    Start(Vec<Effect>),
    /// For now, without a place yet.
    Line,
    /// For later, and soon enough for our own scheduler.
    Schedule,
    /// For later: whoever claims it.
    Nothing,
}

/// A place in the hand-off budget, taken for a booking. Given back unless a session gets it.
struct HeldPlace {
    tenant: Address<TenantMsg>,
    id: Option<CallbackId>,
}

impl HeldPlace {
    fn pass_to_session(&mut self) {
        self.id = None;
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.tenant.hint(TenantMsg::PlaceUnused { id });
        }
    }
}

impl State {
    pub(super) fn on_submit(&mut self, new: NewCallback, reply: SubmitReply) {
        // Nobody waits any more: the caller's deadline has passed in the mailbox.
        if reply.is_closed() {
            return;
        }
        let now = self.node.now();
        let tenant = self.facts.current();
        let wait = tenant
            .queue(&new.service_name)
            .and_then(|(queue, _)| self.node.ports.routing.expected_wait(tenant.id, queue));
        let plan = match judge(&tenant, &new, wait, now) {
            Ok(plan) => plan,
            Err(refused) => {
                if let Some(rule) = refused.number_rule() {
                    self.node.note(Event::NumberRefused { tenant: self.facts.name.clone(), rule });
                }
                return drop(reply.send(Err(refused)));
            }
        };
        let (draft, mut place) = self.draft(new, plan, now);
        let (node, facts, me) = (self.node.clone(), self.facts.clone(), self.me.clone());
        let work = async move {
            let (answer, follow_up) = match keep(&node, &facts, draft).await {
                Ok(Kept { id, follow_up }) => (Ok(id), follow_up),
                Err(refused) => (Err(refused), None),
            };
            // It is durable or refused: the answer first, then what nobody waits for.
            drop(reply.send(answer));
            match follow_up {
                Some(FollowUp::Start(message)) => {
                    place.pass_to_session();
                    me.hint(message);
                }
                Some(FollowUp::Line(due)) => me.hint(TenantMsg::Work { due: vec![due] }),
                Some(FollowUp::Schedule(due)) => node.scheduler.hint(SchedulerMsg::Claimed { due: vec![due] }),
                None => {}
            }
        };
        task::spawn(&self.node, "a booking", work);
    }

    fn draft(&mut self, new: NewCallback, plan: Plan, now: DateTime<Utc>) -> (Draft, HeldPlace) {
        let id = CallbackId::generate(now);
        let me = self.node.me;
        let slot_capacity = plan.when.slot().map_or(0, |slot| slot.capacity);
        let mut place = HeldPlace { tenant: self.me.clone(), id: None };
        let (callback, next) = match plan.when {
            When::Immediate => {
                let queue = plan.terms.queue.clone();
                let mut callback = Callback::immediate(id, plan.terms, me, now);
                let mut next = Next::Line;
                if self.take_place(id, queue) {
                    place.id = Some(id);
                    next = Next::Start(callback.start_with_booking(now));
                    callback.wake_at = callback.wake_at.map(|at| at.min(now + SEEN_THROUGH));
                }
                (callback, next)
            }
            When::Scheduled { desired_time, start_at, slot_start, .. } => {
                let near = start_at - now < NEAR;
                let owner = near.then_some(me);
                let callback = Callback::scheduled(id, plan.terms, owner, desired_time, start_at, Some(slot_start));
                (callback, if near { Next::Schedule } else { Next::Nothing })
            }
        };
        let booking = Booking {
            callback,
            slot_capacity,
            options: new.options,
            user_data: new.user_data,
            idempotency: new.idempotency,
            booked_at: now,
        };
        (Draft { booking, next }, place)
    }

    fn take_place(&mut self, id: CallbackId, queue: QueueName) -> bool {
        let taken = !self.node.is_draining() && self.budgets.try_take(&queue, &self.facts.current());
        if taken {
            self.children.hold_place(id, queue);
        }
        taken
    }
}

struct Kept {
    id: CallbackId,
    follow_up: Option<FollowUp>,
}

enum FollowUp {
    Start(TenantMsg),
    Line(Due),
    Schedule(Due),
}

async fn keep(node: &Node, facts: &TenantFacts, draft: Draft) -> Result<Kept, SubmitError> {
    let Draft { booking, next } = draft;
    let callback = booking.callback.clone();
    // The first submit needs the details; whatever starts later reads them then.
    let details = matches!(next, Next::Start(_))
        .then(|| Box::new(Details { options: booking.options.clone(), user_data: booking.user_data.clone() }));
    let booked = timeout(BOOK_DEADLINE, node.ports.callbacks.book(booking)).await;
    match booked.map_err(|_| Unserved::Perhaps)? {
        Ok(Booked::New) => {
            tracing::trace!(session.id = %callback.id, state = callback.state.name(), "a booking was kept");
            node.note(Event::Booked { tenant: facts.name.clone() });
            let id = callback.id;
            let follow_up = match next {
                Next::Start(effects) => details.map(|details| {
                    FollowUp::Start(TenantMsg::Booked { callback: Box::new(callback), effects, details })
                }),
                Next::Line => due_of(&callback).map(FollowUp::Line),
                Next::Schedule => due_of(&callback).map(FollowUp::Schedule),
                Next::Nothing => None,
            };
            Ok(Kept { id, follow_up })
        }
        Ok(Booked::Existing(id)) => Ok(Kept { id, follow_up: None }),
        Ok(Booked::KeyReused) => Err(SubmitError::KeyReused),
        Ok(Booked::SlotFull) => {
            node.note(Event::SlotFull { tenant: facts.name.clone() });
            Err(SubmitError::SlotFull { proposals: proposals(node, facts, &callback).await })
        }
        Err(error) => Err(unserved(&error).into()),
    }
}

/// The nearest slots with places. Without an answer from the store there are none to propose.
async fn proposals(node: &Node, facts: &TenantFacts, callback: &Callback) -> Vec<(DateTime<Utc>, u32)> {
    let tenant = facts.current();
    let Some(settings) = tenant.queues.get(&callback.queue) else { return Vec::new() };
    let (wanted, horizon) = (callback.desired_time, node.now() + MAX_AHEAD);
    let range = slots::proposal_range(settings, wanted, horizon);
    let read = node.ports.callbacks.places_taken(facts.id, &callback.queue, range.start, range.end);
    match timeout(PROPOSE_DEADLINE, read).await {
        Ok(Ok(taken)) => slots::proposals(settings, &taken, wanted, horizon, slots::MAX_PROPOSALS),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
