//! From a well-formed request to a durable callback: judged in memory, kept by one command to the store.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::availability::{self, Show};
use domain::booking::{MAX_AHEAD, Plan, When, judge};
use domain::callback::{Callback, Cause, Effect, Idempotency, NewCallback, State as CallbackState};
use domain::captcha::TokenRefusal;
use domain::event::Event;
use domain::happening::Kind;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{Booked, Booking, Details, Due, How, StoreError, SubmitError, Submitted, Unserved};
use domain::queue::Queue;
use domain::slots;
use domain::tenant::Tenant;
use domain::throttle::{BookingLimits, LimitReached, LimitRule, OnDuplicate};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::bystander::due_of;
use super::captcha::Pass;
use super::{State, SubmitReply, TenantFacts, TenantMsg};
use crate::desk::availability::look;
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
/// How long the store may take to tell which slots have places.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How often a booking is tried whose queue is being counted by other slots, and the pause between. Together longer
/// than settings need to reach every node.
pub(crate) const GRID_TRIES: u32 = 16;
pub(crate) const GRID_PAUSE: Duration = Duration::from_millis(200);
/// An attempt that began with the booking is due again after this until it is seen to be with routing, so
/// that a crash between the two does not cost the customer more.
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
        let wait = tenant
            .queue(&new.service_name)
            .and_then(|(queue, _)| self.node.ports.routing.expected_wait(tenant.id, queue));
        let plan = match judge(&tenant, &new, wait, now).and_then(|plan| self.staffed(&tenant, plan)) {
            Ok(plan) => plan,
            Err(refused) => return self.refuse(refused, tenant, new, now, reply),
        };
        if pass.is_none()
            && let Some(keys) = tenant.queues.get(&plan.terms.queue).and_then(|it| tenant.captcha.needed_by(it))
        {
            return self.check_captcha(new, keys.clone(), reply);
        }
        let count = |queue: &Arc<Queue>| BookingLimits::of(queue, &plan, &new, now, self.node.ports.blinds.as_ref());
        let limits = tenant.queues.get(&plan.terms.queue).map(count).unwrap_or_default();
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
                    let refused = with_proposals(&node, &tenant, &new.service_name, refused).await;
                    Err(counted(&node, &tenant, refused))
                }
                Err(unserved) => Err(unserved.into()),
            };
            drop(reply.send(answer));
        };
        task::spawn(&self.node, "a refusal that has to be looked up", work);
    }

    /// `_logged_in_check`: a callback for now is refused while routing knows that nobody is there to make it. What
    /// routing does not know refuses nothing.
    fn staffed(&self, tenant: &Tenant, plan: Plan) -> Result<Plan, SubmitError> {
        let checked = tenant.queues.get(&plan.terms.queue).is_some_and(|queue| queue.logged_in_check);
        if !checked || plan.when != When::Immediate {
            return Ok(plan);
        }
        let report = self.node.ports.routing.queue_report(tenant.id, &plan.terms.queue);
        if report.is_some_and(|report| report.has_no_agents()) { Err(SubmitError::NoAgents) } else { Ok(plan) }
    }

    fn draft(
        &mut self,
        new: NewCallback,
        plan: Plan,
        limits: BookingLimits,
        pass: Option<&Pass>,
        now: DateTime<Utc>,
    ) -> (Draft, HeldPlace) {
        let id = CallbackId::generate(now);
        let me = self.node.me;
        let (slot_capacity, grid) = (plan.when.slot().map_or(0, |slot| slot.capacity), plan.grid);
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
            When::Scheduled { desired_time, start_at, slot } => {
                let near = start_at - now < NEAR;
                let owner = near.then_some(me);
                let callback = Callback::scheduled(id, plan.terms, owner, desired_time, start_at, Some(slot.start));
                (callback, if near { Next::Schedule } else { Next::Nothing })
            }
        };
        let targets = u8::try_from(new.options.push_targets.len()).unwrap_or(u8::MAX);
        let callback = callback.with_devices(targets, plan.originated_within_seconds);
        let tenant = self.facts.current();
        let replaces = limits.duplicates.is_some_and(|rule| rule.then == OnDuplicate::Replace);
        let booking = Booking {
            announcement: tenant.announce(Kind::Created, &callback, now),
            on_replaced: if replaces { tenant.audience_of_replacement(now) } else { None },
            callback,
            slot_capacity,
            grid,
            options: new.options,
            user_data: new.user_data,
            idempotency: new.idempotency,
            limits,
            captcha: new.captcha.filter(|_| pass.is_some()).map(|token| token.hash),
            hold: new.hold,
            booked_at: now,
        };
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
fn counted(node: &Node, tenant: &Tenant, refused: SubmitError) -> SubmitError {
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
        Ok(Booked::Existing(id)) => Ok(Kept::before(id, How::Replayed)),
        Ok(Booked::Duplicate(id)) => {
            node.note(Event::DuplicateLimitReached { tenant: facts.name.clone() });
            Ok(Kept::before(id, How::Existing))
        }
        Ok(Booked::Limited(reached)) => {
            note_limited(node, facts, &reached);
            Err(SubmitError::Limited(reached))
        }
        Ok(Booked::Gone) => Err(Unserved::NotFound.into()),
        Ok(Booked::KeyReused) => Err(SubmitError::KeyReused),
        Ok(Booked::TokenUsed) => Err(SubmitError::CaptchaRefused(TokenRefusal::Used)),
        Ok(Booked::SlotFull) => Err(slot_full(node, &facts.current(), &callback.queue, callback.desired_time).await),
        Ok(Booked::HoldGone) => Err(SubmitError::HoldGone),
        Ok(Booked::HoldElsewhere) => Err(SubmitError::HoldElsewhere),
        Ok(Booked::OtherGrid) => Err(Unserved::Busy.into()),
        Err(error) => Err(unserved(&error).into()),
    }
}

fn note_replaced(node: &Node, facts: &TenantFacts, from: CallbackState) {
    node.note(Event::DuplicateLimitReached { tenant: facts.name.clone() });
    node.note(Event::Saved { cause: Cause::Replaced });
    node.note(Event::Moved { tenant: facts.name.clone(), from, to: CallbackState::Completed });
}

fn note_limited(node: &Node, facts: &TenantFacts, reached: &LimitReached) {
    let tenant = facts.name.clone();
    node.note(match reached.rule {
        LimitRule::Duplicates => Event::DuplicateLimitReached { tenant },
        LimitRule::Day { .. } | LimitRule::Window { .. } | LimitRule::Depth => {
            Event::Throttled { tenant, rule: reached.rule.name() }
        }
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

/// The refusal, with other slots where it asks for them.
async fn with_proposals(node: &Node, tenant: &Tenant, service_name: &str, refused: SubmitError) -> SubmitError {
    let SubmitError::SlotUnlikely { wait_seconds, slot_end, first, .. } = refused else { return refused };
    let proposals = proposals(node, tenant.id, tenant.queue(service_name), Some(first)).await;
    SubmitError::SlotUnlikely { wait_seconds, slot_end, first, proposals }
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
    let queue = tenant.queues.get_key_value(queue);
    let first = queue.map(|(_, queue)| slots::next_slot(queue, desired_time));
    SubmitError::SlotFull { proposals: proposals(node, tenant.id, queue, first).await }
}

/// The nearest slots with places, from the one that starts at `first` on. Without an answer from the store there
/// are none to propose.
async fn proposals(
    node: &Node,
    tenant: TenantId,
    queue: Option<(&QueueName, &Arc<Queue>)>,
    first: Option<DateTime<Utc>>,
) -> Vec<(DateTime<Utc>, u32)> {
    let (Some((name, queue)), Some(first)) = (queue, first) else { return Vec::new() };
    let starts = availability::proposal_starts(first, node.now() + MAX_AHEAD);
    let found = timeout(PROPOSE_DEADLINE, look(node, tenant, (name, queue), Show::PROPOSALS, starts)).await;
    match found {
        Ok(Ok(slots)) => slots.iter().map(|slot| (slot.start, slot.free)).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
