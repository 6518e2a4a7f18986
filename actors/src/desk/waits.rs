//! Expected waits and what queues offer, from the settings in memory and what routing reports.

use std::sync::Arc;

use domain::ids::{QueueName, TenantId};
use domain::ports::{QueueStatusError, Unserved, WaitDesk};
use domain::queue::Queue;
use domain::tenant::Tenant;
use domain::wait::{Mode, NoEstimate, QueueStatus, Situation, status};

use super::Desk;

impl WaitDesk for Desk {
    fn expected_waits(
        &self,
        tenant: TenantId,
        queues: &[&str],
        mode: Mode,
        with_on_hold: bool,
    ) -> Result<Vec<Result<i32, NoEstimate>>, Unserved> {
        let tenant = self.tenant(tenant)?;
        let estimate = |name: &&str| {
            let (name, _) = find(&tenant, name).ok_or(NoEstimate::UnknownQueue)?;
            let report = self.node.ports.routing.queue_report(tenant.id, name).ok_or(NoEstimate::NotReported)?;
            report.estimate(mode, with_on_hold)
        };
        Ok(queues.iter().map(estimate).collect())
    }

    fn queue_status(&self, tenant: TenantId, queue: &str) -> Result<QueueStatus, QueueStatusError> {
        let tenant = self.tenant(tenant)?;
        let (name, queue) = find(&tenant, queue).ok_or(QueueStatusError::UnknownQueue)?;
        let now = self.node.now();
        let report = self.node.ports.routing.queue_report(tenant.id, name);
        let open_for = queue.hours.closes_at(now).map(|closing| closing - now);
        Ok(status(queue, Situation { report, open_for }))
    }
}

impl Desk {
    /// The tenant as it is known in memory.
    pub(super) fn tenant(&self, tenant: TenantId) -> Result<Arc<Tenant>, Unserved> {
        self.node.directory.find(tenant).map(|entry| entry.tenant).ok_or(Unserved::Busy)
    }
}

/// A queue by its name, an alias, or the name of its virtual queue.
fn find<'a>(tenant: &'a Tenant, name: &str) -> Option<(&'a QueueName, &'a Arc<Queue>)> {
    let by_virtual_queue = || tenant.queues.iter().find(|(_, queue)| queue.virtual_queue.as_deref() == Some(name));
    tenant.queue(name).or_else(by_virtual_queue)
}
