//! The parts that bookings are made of: what routing tells, what is counted, what is kept, what is proposed instead of
//! a full slot. Bookings are drafted with them, and so are those that are only explained.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::availability::{self, Show};
use domain::booking::{Outlook, Plan, When};
use domain::callback::{Callback, NewCallback};
use domain::happening::Kind;
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::ports::{Booking, SubmitError};
use domain::queue::Queue;
use domain::slots;
use domain::tenant::Tenant;
use domain::throttle::{BookingLimits, OnDuplicate};
use tokio::time::timeout;

use crate::desk::availability::look;
use crate::node::Node;

/// How long the store may take to tell which slots have places.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(2);

/// What routing tells of the queue that is named.
pub(crate) fn outlook(node: &Node, tenant: &Tenant, service_name: &str) -> Outlook {
    let Some((name, queue)) = tenant.queue(service_name) else { return Outlook::default() };
    let routing = &node.ports.routing;
    Outlook {
        wait_seconds: routing.expected_wait(tenant.id, name),
        // A longer look that most queues do not need.
        has_no_agents: queue.logged_in_check
            && routing.queue_report(tenant.id, name).is_some_and(|report| report.has_no_agents()),
    }
}

/// What is counted before the booking is kept.
pub(crate) fn limits(
    node: &Node,
    tenant: &Tenant,
    plan: &Plan,
    new: &NewCallback,
    now: DateTime<Utc>,
) -> BookingLimits {
    let count = |queue: &Arc<Queue>| BookingLimits::of(queue, plan, new, now, node.ports.blinds.as_ref());
    tenant.queues.get(&plan.terms.queue).map(count).unwrap_or_default()
}

/// The callback of a plan. A scheduled one belongs to `owner`, one for now to `me`.
pub(crate) fn callback(
    id: CallbackId,
    plan: &Plan,
    new: &NewCallback,
    me: Incarnation,
    owner: Option<Incarnation>,
    now: DateTime<Utc>,
) -> Callback {
    let terms = plan.terms.clone();
    let callback = match plan.when {
        When::Immediate => Callback::immediate(id, terms, me, now),
        When::Scheduled { desired_time, start_at, slot } => {
            Callback::scheduled(id, terms, owner, desired_time, start_at, Some(slot.start))
        }
    };
    let targets = u8::try_from(new.options.push_targets.len()).unwrap_or(u8::MAX);
    callback.with_devices(targets, plan.originated_within_seconds)
}

/// A callback with everything that is kept with it. `captcha` is the hash of the token, if one is asked for.
pub(crate) fn booking(
    tenant: &Tenant,
    plan: &Plan,
    new: NewCallback,
    callback: Callback,
    limits: BookingLimits,
    captcha: Option<[u8; 16]>,
    now: DateTime<Utc>,
) -> Booking {
    let replaces = limits.duplicates.is_some_and(|rule| rule.then == OnDuplicate::Replace);
    Booking {
        announcement: tenant.announce(Kind::Created, &callback, now),
        on_replaced: if replaces { tenant.audience_of_replacement(now) } else { None },
        callback,
        slot_capacity: plan.when.slot().map_or(0, |slot| slot.capacity),
        grid: plan.grid,
        options: new.options,
        user_data: new.user_data,
        idempotency: new.idempotency,
        limits,
        captcha,
        hold: new.hold,
        booked_at: now,
    }
}

/// The refusal, with other slots where it asks for them.
pub(crate) async fn with_proposals(
    node: &Node,
    tenant: &Tenant,
    service_name: &str,
    desired_time: DateTime<Utc>,
    refused: SubmitError,
) -> SubmitError {
    let queue = tenant.queue(service_name);
    match refused {
        SubmitError::SlotUnlikely { wait_seconds, slot_end, first, .. } => {
            let proposals = proposals(node, tenant.id, queue, Some(first)).await;
            SubmitError::SlotUnlikely { wait_seconds, slot_end, first, proposals }
        }
        SubmitError::SlotFull { .. } => {
            let first = queue.map(|(_, queue)| slots::next_slot(queue, desired_time));
            SubmitError::SlotFull { proposals: proposals(node, tenant.id, queue, first).await }
        }
        other => other,
    }
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
    let starts = availability::proposal_starts(first, node.now() + queue.max_ahead());
    let found = timeout(PROPOSE_DEADLINE, look(node, tenant, (name, queue), Show::PROPOSALS, starts)).await;
    match found {
        Ok(Ok(slots)) => slots.iter().map(|slot| (slot.start, slot.free)).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
