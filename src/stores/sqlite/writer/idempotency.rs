//! Keys by which repetitions are recognised: one table for every operation that takes them.
//!
//! A key is looked for before anything is written and remembered with what it made, in the same transaction. Only
//! what was done is remembered, and of it just the id; refusals are judged anew.

use chrono::{DateTime, Duration, Utc};
use diesel::sql_types::Binary;
use diesel::{QueryResult, SqliteConnection};
use domain::callback::Idempotency;
use uuid::Uuid;

use super::super::rows::millis;
use super::super::statement::{execute, first, statements};

/// How long a key makes repetitions recognisable.
pub(in crate::stores::sqlite) const KEY_LIFE: Duration = Duration::hours(24);

statements! {
    // The column is called after the first operation; it holds the id of whatever was made.
    FindKey -> (Binary, Binary) = "SELECT callback, body FROM idempotency_keys
        WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    // REPLACE: an expired key that the purge has not reached yet gives way.
    AddKeyRow = "INSERT OR REPLACE INTO idempotency_keys (tenant, operation, key, body, callback, at)
        VALUES (?, ?, ?, ?, ?, ?)";
}

/// What a key is for: the same key for something else is another key. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::sqlite) enum Operation {
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
pub(super) enum Known {
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
pub(in crate::stores::sqlite) struct Keyed<'a> {
    pub(in crate::stores::sqlite) tenant: i64,
    pub(in crate::stores::sqlite) operation: Operation,
    pub(in crate::stores::sqlite) idempotency: Option<&'a Idempotency>,
    pub(in crate::stores::sqlite) at: DateTime<Utc>,
}

impl Keyed<'_> {
    pub(super) fn find(&self, connection: &mut SqliteConnection) -> QueryResult<Known> {
        let Some(idempotency) = self.idempotency else { return Ok(Known::Not) };
        let since = millis(self.at - KEY_LIFE);
        let binds =
            [self.tenant.into(), (self.operation as i64).into(), idempotency.key.as_slice().into(), since.into()];
        let Some((made, body)) = first::<FindKey, (Vec<u8>, Vec<u8>)>(connection, &binds)? else {
            return Ok(Known::Not);
        };
        if made.is_empty() {
            return Ok(Known::Gone);
        }
        if body != idempotency.body {
            return Ok(Known::Reused);
        }
        let made = Uuid::from_slice(&made);
        made.map(Known::Made).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
    }

    /// Remembers what was made; nothing without a key.
    pub(super) fn remember(&self, connection: &mut SqliteConnection, made: &[u8]) -> QueryResult<()> {
        let Some(idempotency) = self.idempotency else { return Ok(()) };
        let binds = [
            self.tenant.into(),
            (self.operation as i64).into(),
            idempotency.key.as_slice().into(),
            idempotency.body.as_slice().into(),
            made.into(),
            millis(self.at).into(),
        ];
        execute::<AddKeyRow>(connection, &binds).map(|_| ())
    }
}
