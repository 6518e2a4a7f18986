//! What can go wrong between us and the database, told apart by SQLSTATE.

use domain::ports::StoreError;
use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::stores::combiner::BatchError;

/// How a statement failed. Texts hold no values of rows.
#[derive(Debug, Error)]
pub(super) enum SqlError {
    /// No connection: nothing was asked.
    #[error("cannot reach the database: {0}")]
    Unreached(String),
    /// The database, or the way to it.
    #[error("{}", text(.0))]
    Database(#[from] tokio_postgres::Error),
    /// No answer in time: the connection is not used again.
    #[error("the database did not answer in time")]
    Late,
    /// What was read under a lock has changed all the same, or a place in the order of locks was not kept: the same again
    /// may succeed at once.
    #[error("{0}")]
    Again(&'static str),
    /// A row is there and makes no sense.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// A part of the store that is not there.
    #[error("{0}")]
    Refused(&'static str),
}

/// What a statement comes to.
pub(super) type Sql<T> = Result<T, SqlError>;

/// A value that its column cannot hold.
#[derive(Debug, Error)]
#[error("a value is larger than its column")]
pub(super) struct OutOfRange;

/// Messages of classes 22 and 23 may quote values; the code and the name of the constraint say enough.
fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) if is_data(db.code()) => {
            format!("SQLSTATE {} {}", db.code().code(), db.constraint().unwrap_or_default())
        }
        Some(db) => format!("SQLSTATE {}: {}", db.code().code(), db.message()),
        None => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}

fn is_data(code: &SqlState) -> bool {
    matches!(code.code().get(..2), Some("22" | "23"))
}

fn is_busy(code: &SqlState) -> bool {
    code.code().starts_with("40") || *code == SqlState::LOCK_NOT_AVAILABLE
}

impl SqlError {
    /// What it means for a batch that was not being committed.
    pub(super) fn classify(&self) -> BatchError {
        let text = self.to_string();
        match self {
            Self::Database(error) => match error.code() {
                Some(code) if is_data(code) => BatchError::Data(text),
                Some(code) if is_busy(code) => BatchError::Busy(text),
                Some(_) => BatchError::NotDone(text),
                None if is_out_of_range(error) => BatchError::Data(text),
                None => BatchError::NotDone(text),
            },
            Self::Again(_) => BatchError::Busy(text),
            Self::Unreadable(_) => BatchError::Data(text),
            Self::Unreached(_) | Self::Late | Self::Refused(_) => BatchError::NotDone(text),
        }
    }
}

fn is_out_of_range(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<OutOfRange>())
}

/// What whoever reads is told.
impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unreadable(what) => Self::Unreadable(what),
            other => Self::NotDone(other.to_string()),
        }
    }
}

/// What the shared code says of rows that make no sense.
impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreadable(what) => Self::Unreadable(what),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

impl SqlError {
    /// Whether the server itself said that it did not commit. When it is shut down, or waits for a standby in vain, it
    /// says something, too, and may have committed.
    pub(super) fn says_rolled_back(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.code().is_some_and(|code| !matches!(code.code().get(..2), Some("57" | "08")))
            }
            _ => false,
        }
    }
}
