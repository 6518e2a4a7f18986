//! From a well-formed request to a durable callback: judged in memory, kept by one command to the store.

use chrono::{DateTime, TimeDelta, Utc};
use domain::booking::{Plan, When, plan};
use domain::callback::{Callback, Effect, NewCallback};
use domain::event::Event;
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Booked, Booking, Details, Due, SubmitError};
use domain::slots;

use super::{State, SubmitReply, TenantFacts, TenantMsg};
use crate::node::Node;
use crate::scheduler::SchedulerMsg;
use crate::session::unserved;

/// A callback that starts sooner than this is handed to this node's own scheduler in the same write. It is
/// more than a minute between two claims, the 90 s that a claim looks ahead, and the time a booking may take.
const NEAR: TimeDelta = TimeDelta::seconds(160);

/// A booking on its way to the store, and what follows when it is kept.
struct Draft {
    booking: Booking,
    /// An immediate callback: what its session does first.
    session: Option<Vec<Effect>>,
    /// A place in the hand-off budget was taken for it.
    placed: bool,
}

impl State {
    pub(super) fn on_submit(&mut self, new: NewCallback, reply: SubmitReply) {
        // Nobody waits any more: the caller's deadline has passed in the mailbox.
        if reply.is_closed() {
            return;
        }
        let now = self.now();
        let wait = QueueName::new(&new.service_name)
            .ok()
            .and_then(|queue| self.node.ports.routing.expected_wait(self.facts.tenant.id, &queue));
        let plan = match plan(&self.facts.tenant, &new, wait, now) {
            Ok(plan) => plan,
            Err(refused) => return drop(reply.send(Err(refused))),
        };
        let draft = self.draft(new, plan, now);
        let (node, facts, me) = (self.node.clone(), self.facts.clone(), self.me.clone());
        tokio::spawn(async move {
            let (id, placed) = (draft.booking.callback.id, draft.placed);
            let kept = keep(&node, &facts, draft).await;
            match kept {
                Ok(Kept { id, follow_up }) => {
                    // Durable: the answer first, then what nobody waits for.
                    drop(reply.send(Ok(id)));
                    match follow_up {
                        FollowUp::Session(message) => me.hint(*message),
                        FollowUp::Fire(due) => node.scheduler.hint(SchedulerMsg::Claimed { due: vec![due] }),
                        FollowUp::FreePlace(id) => me.hint(TenantMsg::BookingFailed { id }),
                        FollowUp::Nothing => {}
                    }
                }
                Err(refused) => {
                    if placed {
                        me.hint(TenantMsg::BookingFailed { id });
                    }
                    drop(reply.send(Err(refused)));
                }
            }
        });
    }

    fn draft(&mut self, new: NewCallback, plan: Plan, now: DateTime<Utc>) -> Draft {
        let id = CallbackId::generate(now);
        let me = self.node.me;
        let (callback, slot_capacity, session, placed) = match plan.when {
            When::Immediate => {
                let queue = plan.terms.queue.clone();
                let mut callback = Callback::immediate(id, plan.terms, me, now);
                let placed = !self.node.is_draining() && self.budget(&queue).try_take();
                let effects = if placed {
                    self.children.hold_place(id, queue);
                    callback.start_with_booking(now)
                } else {
                    Vec::new()
                };
                (callback, 0, Some(effects), placed)
            }
            When::Scheduled { desired_time, start_at, slot_start, capacity } => {
                let owner = (start_at - now < NEAR).then_some(me);
                let callback = Callback::scheduled(id, plan.terms, owner, desired_time, start_at, Some(slot_start));
                (callback, capacity, None, false)
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
        Draft { booking, session, placed }
    }
}

struct Kept {
    id: CallbackId,
    follow_up: FollowUp,
}

enum FollowUp {
    Session(Box<TenantMsg>),
    Fire(Due),
    FreePlace(CallbackId),
    Nothing,
}

async fn keep(node: &Node, facts: &TenantFacts, draft: Draft) -> Result<Kept, SubmitError> {
    let callback = draft.booking.callback.clone();
    let details = Details { options: draft.booking.options.clone(), user_data: draft.booking.user_data.clone() };
    let tenant = || facts.tenant.name.clone();
    match node.ports.callbacks.book(draft.booking).await {
        Ok(Booked::New) => {
            node.note(Event::Booked { tenant: tenant() });
            let id = callback.id;
            let follow_up = match draft.session {
                Some(effects) => FollowUp::Session(Box::new(TenantMsg::Booked {
                    callback: Box::new(callback),
                    effects,
                    details: Box::new(details),
                })),
                None if callback.owner.is_some() => FollowUp::Fire(due(&callback)),
                None => FollowUp::Nothing,
            };
            Ok(Kept { id, follow_up })
        }
        Ok(Booked::Existing(id)) => {
            let follow_up =
                if draft.placed { FollowUp::FreePlace(callback.id) } else { FollowUp::Nothing };
            Ok(Kept { id, follow_up })
        }
        Ok(Booked::KeyReused) => Err(SubmitError::KeyReused),
        Ok(Booked::SlotFull) => {
            node.note(Event::SlotFull { tenant: tenant() });
            Err(SubmitError::SlotFull { proposals: proposals(node, facts, &callback).await })
        }
        Err(error) => Err(unserved(&error).into()),
    }
}

fn due(callback: &Callback) -> Due {
    Due {
        id: callback.id,
        tenant: callback.tenant,
        queue: callback.queue.clone(),
        state: callback.state,
        desired_time: callback.desired_time,
        wake_at: callback.start_at,
        needs_place: true,
    }
}

/// The nearest slots with places. Without an answer from the store there are none to propose.
async fn proposals(node: &Node, facts: &TenantFacts, callback: &Callback) -> Vec<(DateTime<Utc>, u32)> {
    let Some(settings) = facts.tenant.queues.get(&callback.queue) else { return Vec::new() };
    let (from, to) = slots::proposal_range(settings, callback.desired_time, node.now());
    let taken = node.ports.callbacks.places_taken(facts.tenant.id, &callback.queue, from, to).await;
    taken.map_or_else(|_| Vec::new(), |taken| slots::proposals(settings, &taken, from, to))
}
