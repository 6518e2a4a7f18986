//! Background work in bounded steps, and the writes of keys.
//!
//! What is to be written was found by a reader: the writer only checks, row by row, that it is still so.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Nullable};
use domain::audit::Act;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::ApiKey;

use super::super::command::{Forget, Own, Remove, SHRINK_PAGES};
use super::super::names::FreshNames;
use super::super::rows::{FORMAT, millis};
use super::super::statement::{execute, first, statements};
use super::{AddHistory, RaiseEpoch, Writer};
use crate::stores::binds;
use crate::stores::command::tenants::BY_COMMAND;

statements! {
    ClaimRow = "UPDATE callbacks SET owner = ?, version = version + 1, start_at = ?, wake_at = ?
        WHERE id = ? AND version = ? AND format = ? AND owner IS NULL AND wake_at IS NOT NULL";
    TakeRow = "UPDATE callbacks SET owner = ?, version = version + 1
        WHERE id = ? AND version = ? AND format = ? AND wake_at IS NOT NULL";
    RemoveCallback -> (Nullable<BigInt>) = "DELETE FROM callbacks
        WHERE id = ? AND version = ? AND format = ? AND wake_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.callback = callbacks.id) RETURNING details";
    RemoveHistory = "DELETE FROM history WHERE callback = ?";
    RemoveDetails = "DELETE FROM details WHERE id = ?";
    RemoveKey = "DELETE FROM idempotency_keys WHERE id = ?";
    RemoveToken = "DELETE FROM captcha_tokens WHERE id = ?";
    RemoveSlot = "DELETE FROM slots WHERE queue = ? AND start = ?";
    RemoveValue = "DELETE FROM counted_values WHERE queue = ? AND ends_at = ? AND value = ?";
    RemovePart = "DELETE FROM counted_windows WHERE queue = ? AND seconds = ? AND ends_at = ?";
    AddApiKey = "INSERT INTO api_keys (id, tenant, hash, label, scopes, created_at, revoked_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    RevokeApiKey -> (BigInt) = "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL RETURNING tenant";
}

impl Writer {
    pub(super) fn own(&mut self, own: &Own) -> QueryResult<Vec<bool>> {
        let mut written = Vec::with_capacity(own.ids.len());
        for (id, row) in own.ids.iter().zip(&own.rows) {
            let uuid = id.as_uuid();
            let id = uuid.as_bytes().as_slice();
            let (owner, version) = (own.owner.0.into(), row.version.into());
            let changed = match row.start_at.map(millis) {
                Some(start) => execute::<ClaimRow>(
                    &mut self.connection,
                    &[owner, start.into(), start.into(), id.into(), version, FORMAT.into()],
                )?,
                None => execute::<TakeRow>(&mut self.connection, &[owner, id.into(), version, FORMAT.into()])?,
            };
            if changed > 0 {
                let binds = [
                    id.into(),
                    (row.version + 1).into(),
                    millis(own.at).into(),
                    i64::from(own.cause.code()).into(),
                    i64::from(row.state.code()).into(),
                    0.into(),
                    row.attempt.into(),
                ];
                execute::<AddHistory>(&mut self.connection, &binds)?;
            }
            written.push(changed > 0);
        }
        Ok(written)
    }

    pub(super) fn remove(&mut self, remove: &Remove) -> QueryResult<Vec<bool>> {
        let mut removed = Vec::with_capacity(remove.ids.len());
        for (id, version) in remove.ids.iter().zip(&remove.versions) {
            let uuid = id.as_uuid();
            let id = uuid.as_bytes().as_slice();
            let binds = [id.into(), (*version).into(), FORMAT.into()];
            let gone: Option<(Option<i64>,)> = first::<RemoveCallback, _>(&mut self.connection, &binds)?;
            if let Some((details,)) = gone {
                execute::<RemoveHistory>(&mut self.connection, &[id.into()])?;
                self.remove_details(details)?;
            }
            removed.push(gone.is_some());
        }
        Ok(removed)
    }

    pub(super) fn remove_details(&mut self, details: Option<i64>) -> QueryResult<()> {
        details.map_or(Ok(0), |row| execute::<RemoveDetails>(&mut self.connection, &[row.into()])).map(|_| ())
    }

    pub(super) fn forget(&mut self, forget: &Forget) -> QueryResult<()> {
        for key in &forget.keys {
            execute::<RemoveKey>(&mut self.connection, &[(*key).into()])?;
        }
        for token in &forget.tokens {
            execute::<RemoveToken>(&mut self.connection, &[(*token).into()])?;
        }
        for (queue, start) in &forget.slots {
            execute::<RemoveSlot>(&mut self.connection, &[(*queue).into(), (*start).into()])?;
        }
        for (queue, ends_at, value) in &forget.values {
            let binds = [(*queue).into(), (*ends_at).into(), value.as_slice().into()];
            execute::<RemoveValue>(&mut self.connection, &binds)?;
        }
        for (queue, seconds, ends_at) in &forget.windows {
            execute::<RemovePart>(&mut self.connection, &[(*queue).into(), (*seconds).into(), (*ends_at).into()])?;
        }
        Ok(())
    }

    /// Gives free pages back to the file system.
    pub(super) fn shrink(&mut self) -> QueryResult<()> {
        self.connection.batch_execute(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))
    }

    /// A key that comes alone.
    pub(super) fn add_key(&mut self, key: &ApiKey) -> QueryResult<()> {
        let tenant = self.keep_key(key)?;
        self.note_plain((key.tenant, tenant), key.created_at, Act::KeyCreated, BY_COMMAND, key.id.to_string())
    }

    /// The number of its tenant.
    pub(super) fn keep_key(&mut self, key: &ApiKey) -> QueryResult<i64> {
        let tenant = FreshNames::resolve_tenant(&mut self.connection, key.tenant)?;
        let uuid = key.id.as_uuid();
        let binds = binds::api_key(tenant, uuid.as_bytes(), key);
        execute::<AddApiKey>(&mut self.connection, &binds)?;
        execute::<RaiseEpoch>(&mut self.connection, &[]).map(|_| tenant)
    }

    pub(super) fn revoke_key(&mut self, whose: TenantId, id: ApiKeyId, at: DateTime<Utc>) -> QueryResult<bool> {
        let uuid = id.as_uuid();
        let binds = [millis(at).into(), uuid.as_bytes().as_slice().into()];
        let Some((tenant,)) = first::<RevokeApiKey, (i64,)>(&mut self.connection, &binds)? else { return Ok(false) };
        execute::<RaiseEpoch>(&mut self.connection, &[])?;
        self.note_plain((whose, tenant), at, Act::KeyRevoked, BY_COMMAND, id.to_string())?;
        Ok(true)
    }
}
