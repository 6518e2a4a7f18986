//! Keys by which repetitions are recognised: one table for every operation that takes them.
//!
//! A key is looked for before anything is written and remembered with what it made, in the same transaction. Only
//! what was done is remembered, and of it just the id; refusals are judged anew.

use diesel::sql_types::Binary;
use diesel::{QueryResult, SqliteConnection};

use super::super::rows::millis;
use super::super::statement::{execute, first, statements};
use crate::stores::idempotency::judge_key;
pub(in crate::stores::sqlite) use crate::stores::idempotency::{KEY_LIFE, Keyed, Known, Operation};

statements! {
    // The column is called after the first operation; it holds the id of whatever was made.
    FindKey -> (Binary, Binary) = "SELECT callback, body FROM idempotency_keys
        WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    // REPLACE: an expired key that the purge has not reached yet gives way.
    AddKeyRow = "INSERT OR REPLACE INTO idempotency_keys (tenant, operation, key, body, callback, at)
        VALUES (?, ?, ?, ?, ?, ?)";
}

/// What the writer does with a key.
pub(in crate::stores::sqlite) trait Keys {
    fn find(&self, connection: &mut SqliteConnection) -> QueryResult<Known>;
    /// Remembers what was made; nothing without a key.
    fn remember(&self, connection: &mut SqliteConnection, made: &[u8]) -> QueryResult<()>;
}

impl Keys for Keyed<'_> {
    fn find(&self, connection: &mut SqliteConnection) -> QueryResult<Known> {
        let Some(idempotency) = self.idempotency else { return Ok(Known::Not) };
        let since = millis(self.at - KEY_LIFE);
        let binds =
            [self.tenant.into(), (self.operation as i64).into(), idempotency.key.as_slice().into(), since.into()];
        let Some((made, body)) = first::<FindKey, (Vec<u8>, Vec<u8>)>(connection, &binds)? else {
            return Ok(Known::Not);
        };
        judge_key(idempotency, &made, &body).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
    }

    fn remember(&self, connection: &mut SqliteConnection, made: &[u8]) -> QueryResult<()> {
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
