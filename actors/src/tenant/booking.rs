//! From a well-formed request to a durable callback: judged in memory, kept by one command to the store.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::booking::{Plan, When, judge};
use domain::callback::{Again, Cause, Effect, Idempotency, NewCallback, State as CallbackState};
use domain::event::Event;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{Booked, Booking, Details, Due, Hint, How, StoreError, SubmitError, Submitted, Unserved};
use domain::slots;
use domain::tenant::Tenant;
use domain::throttle::{BookingLimits, LimitReached, LimitRule};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::bystander::due_of;
use super::captcha::Pass;
use super::{State, SubmitReply, TenantFacts, TenantMsg, draft};
use crate::mailbox::Address;
use crate::node::Node;
use crate::scheduler::SchedulerMsg;
use crate::session::unserved;
use crate::task;

/// A callback that starts sooner than this is handed to this node's own scheduler in the same write. It is
/// more than a minute between two claims, the 90 s that a claim looks ahead, and the time a booking may take.
pub(super) const NEAR: TimeDelta = TimeDelta::seconds(160);
/// How long the store may take to keep a booking. Below the desk's deadline, so that the caller hears of it.
const BOOK_DEADLINE: Duration = Duration::from_secs(7);
/// How long the store may take to tell whether a refused booking had been kept before.
const KNOWN_DEADLINE: Duration = Duration::from_secs(2);
/// How often a booking is tried whose queue is being counted by other slots, and the pause between. Together longer
/// than settings need to reach every node.
pub(crate) const GRID_TRIES: u32 = 16;
pub(crate) const GRID_PAUSE: Duration = Duration::from_millis(200);
/// An attempt that began with the booking is due again after this until it is seen to be with routing, so
/// that a crash between the two does not cost the customer more. Where asking again begins another session, the attempt
/// has its whole time all the same.
const SEEN_THROUGH: TimeDelta = TimeDelta::seconds(5);

/// A booking on its way to the store, and what follows when it is kept.
struct Draft {
    booking: Booking,
    next: Next,
    /// When the store has to have answered.
    by: Instant,
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
    /// Judges a booking and keeps it. `pass` is there once its captcha was judged good, if it needs one.
    pub(super) fn on_submit(&mut self, new: NewCallback, pass: Option<Pass>, reply: SubmitReply) {
        // Nobody waits any more: the caller's deadline has passed in the mailbox.
        if reply.is_closed() {
            return;
        }
        let now = self.node.now();
        let tenant = self.facts.current();
        let outlook = draft::outlook(&self.node, &tenant, &new.service_name);
        let plan = match judge(&tenant, &new, outlook, now) {
            Ok(plan) => plan,
            Err(refused) => return self.refuse(refused, tenant, new, now, reply),
        };
        if pass.is_none()
            && let Some(keys) = tenant.queues.get(&plan.terms.queue).and_then(|it| tenant.captcha.needed_by(it))
        {
            return self.check_captcha(new, keys.clone(), reply);
        }
        let limits = draft::limits(&self.node, &tenant, &plan, &new, now);
        let (draft, mut place) = self.draft(new, plan, limits, pass.as_ref(), now);
        let (node, facts, me) = (self.node.clone(), self.facts.clone(), self.me.clone());
        let work = async move {
            let (answer, follow_up, replaced) = match keep(&node, &facts, &me, draft).await {
                Ok(Kept { submitted, follow_up, replaced }) => (Ok(submitted), follow_up, replaced),
                Err(refused) => (Err(refused), None, None),
            };
            if let Some(pass) = pass {
                pass.settle(&answer);
            }
            // It is durable or refused: the answer first, then what nobody waits for.
            drop(reply.send(answer));
            if let Some(id) = replaced {
                me.hint(TenantMsg::Changed { id });
                // Or another node has its session.
                node.ports.bus.tell(Hint::Changed { tenant: facts.id, id });
            }
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

    /// Refuses, unless the same request had another answer before: then that answer stands, whatever has changed since.
    /// A slot that is likely to be over too soon is refused like a full one: with the nearest others.
    fn refuse(
        &self,
        refused: SubmitError,
        tenant: Arc<Tenant>,
        new: NewCallback,
        now: DateTime<Utc>,
        reply: SubmitReply,
    ) {
        let unlikely = matches!(refused, SubmitError::SlotUnlikely { .. });
        if new.idempotency.is_none() && !unlikely {
            return drop(reply.send(Err(counted(&self.node, &tenant, refused))));
        }
        let node = self.node.clone();
        let work = async move {
            let answer = match new.idempotency {
                Some(key) => earlier_answer(&node, tenant.id, key, now).await,
                None => Ok(None),
            };
            let answer = match answer {
                Ok(Some(earlier)) => earlier,
                Ok(None) => {
                    let refused = draft::with_proposals(&node, &tenant, &new.service_name, now, refused).await;
                    Err(counted(&node, &tenant, refused))
                }
                Err(unserved) => Err(unserved.into()),
            };
            drop(reply.send(answer));
        };
        task::spawn(&self.node, "a refusal that has to be looked up", work);
    }

    fn draft(
        &mut self,
        new: NewCallback,
        plan: Plan,
        limits: BookingLimits,
        pass: Option<&Pass>,
        now: DateTime<Utc>,
    ) -> (Draft, HeldPlace) {
        let (id, me) = (CallbackId::generate(now), self.node.me);
        let mut place = HeldPlace { tenant: self.me.clone(), id: None };
        let near = matches!(plan.when, When::Scheduled { start_at, .. } if start_at - now < NEAR);
        let mut callback = draft::callback(id, &plan, &new, me, near.then_some(me), now);
        let next = match plan.when {
            When::Immediate if self.take_place(id, plan.terms.queue.clone()) => {
                place.id = Some(id);
                let again = self.node.ports.routing.again();
                let effects = callback.start_with_booking(again, now);
                if again == Again::EntersOnce {
                    callback.wake_at = callback.wake_at.map(|at| at.min(now + SEEN_THROUGH));
                }
                Next::Start(effects)
            }
            When::Immediate => Next::Line,
            When::Scheduled { .. } if near => Next::Schedule,
            When::Scheduled { .. } => Next::Nothing,
        };
        let captcha = new.captcha.as_ref().filter(|_| pass.is_some()).map(|token| token.hash);
        let booking = draft::booking(&self.facts.current(), &plan, new, callback, limits, captcha, now);
        let by = pass.map_or_else(Instant::now, |pass| pass.began) + BOOK_DEADLINE;
        (Draft { booking, next, by }, place)
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
    submitted: Submitted,
    follow_up: Option<FollowUp>,
    /// The callback that has ended for it.
    replaced: Option<CallbackId>,
}

impl Kept {
    /// Nothing was kept: this one is the answer.
    const fn before(id: CallbackId, how: How) -> Self {
        Self { submitted: Submitted { id, how }, follow_up: None, replaced: None }
    }
}

enum FollowUp {
    Start(TenantMsg),
    Line(Due),
    Schedule(Due),
}

/// A refusal that the customer hears of, told to the observer if its rule is counted.
pub(crate) fn counted(node: &Node, tenant: &Tenant, refused: SubmitError) -> SubmitError {
    if let Some(rule) = refused.number_rule() {
        node.note(Event::NumberRefused { tenant: Arc::clone(&tenant.name), rule });
    }
    refused
}

async fn keep(node: &Node, facts: &TenantFacts, me: &Address<TenantMsg>, draft: Draft) -> Result<Kept, SubmitError> {
    let Draft { booking, next, by } = draft;
    let callback = booking.callback.clone();
    // The first submit needs the details; whatever starts later reads them then.
    let details = matches!(next, Next::Start(_))
        .then(|| Box::new(Details { options: booking.options.clone(), user_data: booking.user_data.clone() }));
    let announced = booking.announcement.is_some() || booking.on_replaced.is_some();
    let booked = timeout_at(by, book(node, facts, me, booking)).await;
    let booked = booked.map_err(|_| Unserved::Perhaps)?;
    let replaced = match booked {
        Ok(Booked::Replaced { id, from }) => {
            note_replaced(node, facts, from);
            Some(id)
        }
        _ => None,
    };
    match booked {
        Ok(Booked::New | Booked::Replaced { .. }) => {
            tracing::trace!(session.id = %callback.id, state = callback.state.name(), "a booking was kept");
            if announced {
                node.announced();
            }
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
            let how = if replaced.is_some() { How::Replaced } else { How::Booked };
            Ok(Kept { submitted: Submitted { id, how }, follow_up, replaced })
        }
        Ok(booked) => {
            note_refused(node, facts, &booked);
            match booked.told(callback.id) {
                Ok(Submitted { id, how }) => Ok(Kept::before(id, how)),
                Err(refused) => {
                    let (tenant, queue) = (facts.current(), callback.queue.as_str());
                    Err(draft::with_proposals(node, &tenant, queue, callback.desired_time, refused).await)
                }
            }
        }
        Err(error) => Err(unserved(&error).into()),
    }
}

fn note_replaced(node: &Node, facts: &TenantFacts, from: CallbackState) {
    node.note(Event::DuplicateLimitReached { tenant: facts.name.clone() });
    node.note(Event::Saved { cause: Cause::Replaced });
    node.note(Event::Moved { tenant: facts.name.clone(), from, to: CallbackState::Completed });
}

/// Tells the observer of a rule that had another answer than a new callback, if it is counted.
fn note_refused(node: &Node, facts: &TenantFacts, booked: &Booked) {
    let tenant = facts.name.clone();
    node.note(match booked {
        Booked::SlotFull => Event::SlotFull { tenant },
        Booked::Duplicate(_) => Event::DuplicateLimitReached { tenant },
        Booked::Limited(LimitReached { rule: LimitRule::Duplicates, .. }) => Event::DuplicateLimitReached { tenant },
        Booked::Limited(LimitReached { rule, .. }) => Event::Throttled { tenant, rule: rule.name() },
        _ => return,
    });
}

/// What the same request was answered before, if it was.
async fn earlier_answer(
    node: &Node,
    tenant: TenantId,
    key: Idempotency,
    now: DateTime<Utc>,
) -> Result<Option<Result<Submitted, SubmitError>>, Unserved> {
    match timeout(KNOWN_DEADLINE, node.ports.callbacks.known(tenant, key, now)).await {
        Ok(Ok(Some(Booked::Existing(id)))) => Ok(Some(Ok(Submitted { id, how: How::Replayed }))),
        Ok(Ok(Some(Booked::Gone))) => Ok(Some(Err(Unserved::NotFound.into()))),
        Ok(Ok(Some(Booked::KeyReused))) => Ok(Some(Err(SubmitError::KeyReused))),
        Ok(Ok(_)) => Ok(None),
        Ok(Err(_)) | Err(_) => Err(Unserved::Busy),
    }
}

/// Keeps a booking. While the places of its queue are counted by other slots than its own, because settings have
/// just changed, it waits and takes the slot that the settings of that moment have for its time.
async fn book(
    node: &Node,
    facts: &TenantFacts,
    me: &Address<TenantMsg>,
    mut booking: Booking,
) -> Result<Booked, StoreError> {
    if booking.callback.slot.is_none() {
        return node.ports.callbacks.book(booking).await;
    }
    for tried in 0..GRID_TRIES {
        if tried > 0 {
            sleep(GRID_PAUSE).await;
            let tenant = facts.current();
            let Some(queue) = tenant.queues.get(&booking.callback.queue) else { break };
            let claim = slots::claim(queue, booking.callback.desired_time);
            booking.callback.slot = Some(claim.start);
            booking.slot_capacity = claim.capacity;
            booking.grid = claim.grid;
        }
        match node.ports.callbacks.book(booking.clone()).await {
            Ok(Booked::OtherGrid) => {}
            other => return other,
        }
    }
    // Everybody has had the time to learn of new settings and to count by them: nobody did.
    me.hint(TenantMsg::Recount);
    Ok(Booked::OtherGrid)
}

/// The refusal of a time whose slot is full, told to the observer.
pub(crate) async fn slot_full(
    node: &Node,
    tenant: &Tenant,
    queue: &QueueName,
    desired_time: DateTime<Utc>,
) -> SubmitError {
    node.note(Event::SlotFull { tenant: Arc::clone(&tenant.name) });
    let full = SubmitError::SlotFull { proposals: Vec::new() };
    draft::with_proposals(node, tenant, queue.as_str(), desired_time, full).await
}
