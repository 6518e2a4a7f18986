//! Takes what routing reports of its queues, unless told not to.

use std::sync::Mutex;

use domain::ids::{QueueName, TenantId};
use domain::ports::{NotReported, QueueReports, RoutingNodes};
use domain::region::NodeReport;
use domain::wait::QueueReport;

#[derive(Default)]
pub(crate) struct Reports {
    pub(crate) taken: Mutex<Vec<(TenantId, QueueName, QueueReport)>>,
    pub(crate) refuses: Mutex<Option<NotReported>>,
}

impl QueueReports for Reports {
    fn take(&self, tenant: TenantId, queue: QueueName, report: QueueReport) -> Result<(), NotReported> {
        self.taken.lock().unwrap().push((tenant, queue, report));
        self.refuses.lock().unwrap().map_or(Ok(()), Err)
    }
}

/// Knows the nodes that its test has put in.
#[derive(Default)]
pub(crate) struct Nodes(pub(crate) Mutex<Vec<NodeReport>>);

impl RoutingNodes for Nodes {
    fn nodes(&self) -> Vec<NodeReport> {
        self.0.lock().unwrap().clone()
    }
}
