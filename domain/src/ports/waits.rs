//! Questions about waits: answered from memory, so that nobody waits for the answer.

use thiserror::Error;

use super::Unserved;
use crate::ids::TenantId;
use crate::wait::{Mode, NoEstimate, QueueStatus};

/// Tells expected waits and what queues offer.
pub trait WaitDesk: Send + Sync {
    /// Expected waits in seconds, one for each of `queues` in their order. Trouble with one queue is told in its
    /// place. A queue is named by its name, an alias, or its virtual queue.
    ///
    /// # Errors
    /// [`Unserved::Busy`] while the tenant is not known here yet.
    fn expected_waits(
        &self,
        tenant: TenantId,
        queues: &[&str],
        mode: Mode,
        with_on_hold: bool,
    ) -> Result<Vec<Result<i32, NoEstimate>>, Unserved>;

    /// Whether a queue takes callbacks now.
    ///
    /// # Errors
    /// [`QueueStatusError`].
    fn queue_status(&self, tenant: TenantId, queue: &str) -> Result<QueueStatus, QueueStatusError>;
}

/// Why the status of a queue was not told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueueStatusError {
    /// The tenant has no such queue.
    #[error("the queue is not configured")]
    UnknownQueue,
    /// Not now.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}
