//! What the public API asks about free times.

use async_trait::async_trait;
use thiserror::Error;

use super::Unserved;
use crate::availability::{Availability, Question};
use crate::ids::TenantId;

/// Tells which slots of a queue can be booked.
#[async_trait]
pub trait AvailabilityDesk: Send + Sync {
    /// The slots of a window as they stand now. Nothing is promised by it: the booking decides.
    async fn availability(&self, tenant: TenantId, question: Question) -> Result<Availability, AvailabilityError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AvailabilityError {
    /// The tenant has no such queue.
    #[error("the service is not configured")]
    UnknownQueue,
    /// It could not be read.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}
