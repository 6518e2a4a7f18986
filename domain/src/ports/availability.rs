//! What the public API asks about free times.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use super::Unserved;
use crate::availability::{Availability, Question};
use crate::ids::TenantId;
use crate::tenant::Tenant;

/// Tells which slots of a queue can be booked.
#[async_trait]
pub trait AvailabilityDesk: Send + Sync {
    /// The slots of a window as they stand now. Nothing is promised by it: the booking decides.
    async fn availability(&self, tenant: TenantId, question: Question) -> Result<Availability, AvailabilityError>;

    /// What answers about a tenant's free times depend on at this moment, beside the question. An answer may be given
    /// again to the same question while the mark that was taken before it was made is still the present one. None if
    /// there is no such mark.
    fn mark(&self, _tenant: TenantId) -> Option<Mark> {
        None
    }
}

/// What answers about free times depend on beside the question.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The settings.
    pub settings: Arc<Tenant>,
    /// [`super::CallbackStore::writes_of`] of the tenant.
    pub writes: u64,
    /// Seconds since 1970: windows move with the clock.
    pub second: i64,
}

impl PartialEq for Mark {
    /// Only the very same settings are known to be equal without comparing them.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.settings, &other.settings) && self.writes == other.writes && self.second == other.second
    }
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
