//! Keys by which repetitions of calls about call-ins and holds are recognised. Whoever comes with one has it alone until
//! the commit, on whatever node: it is looked for before anything is written, and remembered with what it made.

use domain::callback::Idempotency;
use domain::ids::TenantId;

use super::super::errors::{Sql, SqlError};
use super::super::locks::{Locks, Topic};
use super::super::statement::{Bind, execute, first, statements};
use super::Batch;
use crate::stores::idempotency::{KEY_LIFE, Keyed, Known, Operation, judge_key};
use crate::stores::rows::millis;

statements! {
    // The column is called after the first operation; it holds the id of whatever was made.
    FindKey = "SELECT callback, body FROM idempotency_keys WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    // A key whose time is over gives way. It goes to the end: old ones are looked for at the beginning.
    AddKey = "INSERT INTO idempotency_keys (tenant, operation, key, body, callback, at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant, operation, key)
        DO UPDATE SET id = DEFAULT, body = excluded.body, callback = excluded.callback, at = excluded.at";
}

impl Locks {
    /// The key of a command is its own, if it comes with one.
    pub(in crate::stores::postgres) fn key(
        &mut self,
        tenant: TenantId,
        operation: Operation,
        idempotency: Option<&Idempotency>,
    ) {
        if let Some(idempotency) = idempotency {
            self.alone(Topic::Key, &[tenant.as_uuid().as_bytes(), &[operation as u8], &idempotency.key]);
        }
    }
}

impl Batch<'_> {
    /// What is known of a key.
    pub(super) async fn known_key(&mut self, keyed: &Keyed<'_>) -> Sql<Known> {
        let Some(idempotency) = keyed.idempotency else { return Ok(Known::Not) };
        let since: Bind<'_> = millis(keyed.at - KEY_LIFE).into();
        let binds = [keyed.tenant.into(), (keyed.operation as i64).into(), idempotency.key.as_slice().into(), since];
        let found: Option<(Vec<u8>, Vec<u8>)> = first::<FindKey, _>(self.connection, &binds).await?;
        let Some((made, body)) = found else { return Ok(Known::Not) };
        judge_key(idempotency, &made, &body).map_err(|_| SqlError::Unreadable("an id is no UUID".to_owned()))
    }

    /// Remembers what was made; nothing without a key.
    pub(super) async fn remember_key(&mut self, keyed: &Keyed<'_>, made: &[u8]) -> Sql<()> {
        let Some(idempotency) = keyed.idempotency else { return Ok(()) };
        let binds = [
            keyed.tenant.into(),
            (keyed.operation as i64).into(),
            idempotency.key.as_slice().into(),
            idempotency.body.as_slice().into(),
            made.into(),
            millis(keyed.at).into(),
        ];
        execute::<AddKey>(self.connection, &binds).await.map(drop)
    }
}
