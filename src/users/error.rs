//! Why a user is not let in, or not known again.

use chrono::Duration;
use domain::ports::StoreError;
use thiserror::Error;

use super::passwords::PasswordError;
use super::provider::ProviderError;

/// The system gives no random numbers or no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot set up log-ins")]
pub struct SetUpError;

/// Why no session was opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogInError {
    /// Users of this installation log in the other way.
    #[error("users log in the other way")]
    Elsewhere,
    /// The name, the password, or what the browser carried.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many wrong ones before it.
    #[error("too many refused log-ins under this name or from this address")]
    TooOften(Duration),
    /// Too many log-ins at once.
    #[error("too many log-ins at once")]
    Busy,
    /// The user's contact centre is none of this installation's.
    #[error("the user belongs to no tenant of this installation")]
    NoTenant,
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers.
    #[error("the log-in failed")]
    Failed,
}

impl From<PasswordError> for LogInError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Length | PasswordError::Failed => Self::Failed,
        }
    }
}

/// Why a session is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VisitError {
    /// There is none any more.
    #[error("the session is over")]
    Over,
    /// For too long nobody could be asked what its user may do.
    #[error("what the user may do is not known")]
    Unknown,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
