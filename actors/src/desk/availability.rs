//! Free times: read from the store, judged by the settings in memory. No actor is asked.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::availability::{self, Availability, Fill, Question, Show};
use domain::ids::{QueueName, TenantId};
use domain::ports::{AvailabilityDesk, AvailabilityError, Mark, StoreError, Unserved};
use domain::queue::Queue;
use domain::slots::FreeSlot;
use tokio::time::timeout;

use super::Desk;
use crate::node::Node;

/// How long the store may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Slots that are read for each wanted one at first: some are closed, and some are full.
const READ_PER_WANTED: usize = 4;
/// By how much each further read is longer than the one before.
const READ_GROWTH: i32 = 4;

#[async_trait]
impl AvailabilityDesk for Desk {
    async fn availability(&self, tenant: TenantId, question: Question) -> Result<Availability, AvailabilityError> {
        let tenant = self.node.directory.find(tenant).ok_or(Unserved::Busy)?.tenant;
        let (name, queue) = tenant.queue(&question.service_name).ok_or(AvailabilityError::UnknownQueue)?;
        let starts = availability::starts(queue, &question, self.node.now());
        let look = look(&self.node, tenant.id, (name, queue), question.show, starts);
        // Whatever became of a read, nothing was changed by it.
        let slots = timeout(DEADLINE, look).await.map_err(|_| Unserved::Busy)?.map_err(|_| Unserved::Busy)?;
        Ok(Availability { slot_minutes: queue.layout.grid().minutes().get(), slots })
    }

    fn mark(&self, tenant: TenantId) -> Option<Mark> {
        let writes = self.node.ports.callbacks.writes_of(tenant)?;
        let settings = self.node.directory.find(tenant)?.tenant;
        Some(Mark { settings, writes, second: self.node.now().timestamp() })
    }
}

/// The open slots that begin in `starts`, as many as shall be shown. Where few are wanted, few are read.
pub(crate) async fn look(
    node: &Node,
    tenant: TenantId,
    (name, queue): (&QueueName, &Queue),
    show: Show,
    starts: Range<DateTime<Utc>>,
) -> Result<Vec<FreeSlot>, StoreError> {
    let mut found = Vec::new();
    let mut part = match show.max_free.and_then(|wanted| i32::try_from(wanted.saturating_mul(READ_PER_WANTED)).ok()) {
        Some(slots) => queue.layout.grid().length() * slots,
        None => starts.end - starts.start,
    };
    let mut from = starts.start;
    while from < starts.end {
        let to = from.checked_add_signed(part).unwrap_or(starts.end).min(starts.end);
        let taken = node.ports.callbacks.places_taken(tenant, name, from, to).await?;
        if availability::fill(queue, show, from..to, &taken, &mut found) == Fill::Enough {
            break;
        }
        from = to;
        part = part.checked_mul(READ_GROWTH).unwrap_or(TimeDelta::MAX);
    }
    Ok(found)
}
