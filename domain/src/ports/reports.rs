//! What routing reports of its queues unasked, and what is known of its nodes.

use thiserror::Error;

use crate::ids::{QueueName, TenantId};
use crate::region::NodeReport;
use crate::wait::QueueReport;

/// Takes reports of queues. The last one of a queue counts, for 2 minutes; nothing is stored.
pub trait QueueReports: Send + Sync {
    /// Takes one.
    fn take(&self, tenant: TenantId, queue: QueueName, report: QueueReport) -> Result<(), NotReported>;
}

/// Why a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotReported {
    /// Routing is asked directly here, as the built-in simulator is.
    #[error("the routing engine of this installation is not reported about")]
    NotWanted,
    /// Too many queues are reported.
    #[error("too many queues are reported")]
    Full,
}

/// Knows the nodes of routing that are watched. Must not wait.
pub trait RoutingNodes: Send + Sync {
    /// As known now, in the order in which they are set; none if none is.
    fn nodes(&self) -> Vec<NodeReport>;
}

/// Where routing is not reported about.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReports;

impl QueueReports for NoReports {
    fn take(&self, _tenant: TenantId, _queue: QueueName, _report: QueueReport) -> Result<(), NotReported> {
        Err(NotReported::NotWanted)
    }
}
