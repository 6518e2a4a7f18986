//! Questions about number rules.

use thiserror::Error;

use super::Unserved;
use crate::ids::TenantId;
use crate::number_rules::{NumberQuestion, NumberVerdict};

/// Judges numbers as a booking would. Must not wait.
pub trait NumberDesk: Send + Sync {
    /// What the rules of a tenant say to a number.
    ///
    /// # Errors
    /// [`NumberDeskError`].
    fn judge_number(&self, tenant: TenantId, question: &NumberQuestion) -> Result<NumberVerdict, NumberDeskError>;
}

/// Why a number was not judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NumberDeskError {
    /// No queue has that name.
    #[error("the queue is not known")]
    UnknownQueue,
    /// No number rule has that name.
    #[error("the number rule is not known")]
    UnknownRule,
    /// Not served.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}
