//! Keys by which repetitions are recognised, as every store keeps them: only what was done is remembered, and of it
//! just the id; refusals are judged anew.

use chrono::{DateTime, Duration, Utc};
use domain::callback::Idempotency;
use domain::ids::CallbackId;
use domain::ports::Booked;
use uuid::Uuid;

/// How long a key makes repetitions recognisable.
pub(in crate::stores) const KEY_LIFE: Duration = Duration::hours(24);

/// What a key is for: the same key for something else is another key. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores) enum Operation {
    /// Booking a callback.
    Create = 0,
    /// Opening a call-in request.
    CallIn = 1,
    /// Matching an incoming call.
    Match = 2,
    /// Holding a place.
    Hold = 3,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stores) enum Known {
    /// Nothing, or no key was given.
    Not,
    /// It made this.
    Made(Uuid),
    /// What it made was erased, and what it came with too.
    Gone,
    /// It came with another body.
    Reused,
}

/// A command with the key that it came with, if it came with one.
#[derive(Clone, Copy)]
pub(in crate::stores) struct Keyed<'a> {
    pub(in crate::stores) tenant: i64,
    pub(in crate::stores) operation: Operation,
    pub(in crate::stores) idempotency: Option<&'a Idempotency>,
    pub(in crate::stores) at: DateTime<Utc>,
}

impl Known {
    /// What whoever books under the key is told; nothing if it was not used.
    pub(in crate::stores) fn booked(self) -> Option<Booked> {
        match self {
            Self::Not => None,
            Self::Made(id) => Some(Booked::Existing(CallbackId::from_uuid(id))),
            Self::Gone => Some(Booked::Gone),
            Self::Reused => Some(Booked::KeyReused),
        }
    }
}

/// What is known of a key whose row says that it made `made`, and came with `body`.
///
/// # Errors
/// If what it made has no id.
pub(in crate::stores) fn judge_key(idempotency: &Idempotency, made: &[u8], body: &[u8]) -> Result<Known, uuid::Error> {
    if made.is_empty() {
        Ok(Known::Gone)
    } else if body != idempotency.body {
        Ok(Known::Reused)
    } else {
        Uuid::from_slice(made).map(Known::Made)
    }
}
