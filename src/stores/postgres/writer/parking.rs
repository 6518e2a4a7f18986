//! Setting callbacks aside and taking them up again, and the acts that are written into the audit log.

use chrono::{DateTime, Utc};
use domain::audit::Act;
use domain::callback::Cause;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Change, SaveError};
use uuid::Uuid;

use super::super::errors::Sql;
use super::super::names::QueueKey;
use super::super::statement::{execute, first, statements};
use super::Batch;
use super::rows::{Entry, Histories};
use crate::stores::rows::{check_format, millis};

statements! {
    Look = "SELECT format, version, state, attempt, wake_at FROM callbacks WHERE id = ? AND tenant = ?";
    SetAside = "UPDATE callbacks SET version = version + 1, wake_at = NULL, owner = NULL WHERE id = ? AND tenant = ?";
    TakeUp = "UPDATE callbacks SET version = version + 1, wake_at = ?, owner = NULL WHERE id = ? AND tenant = ?";
    AddParked = "INSERT INTO parked (callback, tenant, at, reason) VALUES (?, ?, ?, ?)";
    IsParked = "SELECT 1 FROM parked WHERE callback = ?";
    RemoveParked = "DELETE FROM parked WHERE callback = ?";
}

/// Who cancels and takes up as an operator, and who sets aside.
const BY_OPERATOR: &str = "api";
const BY_SERVICE: &str = "service";

/// What a row looks like just now. It is locked.
struct Looked {
    tenant: i64,
    version: i64,
    state: i64,
    attempt: i64,
    wake_at: Option<i64>,
}

impl Batch<'_> {
    async fn look(&mut self, tenant: TenantId, id: Uuid) -> Sql<Result<Looked, SaveError>> {
        let Some(tenant) = self.names.known_tenant(tenant) else { return Ok(Err(SaveError::NotFound)) };
        let binds = [id.as_bytes().as_slice().into(), tenant.into()];
        let row: Option<(i64, i64, i64, i64, Option<i64>)> = first::<Look, _>(self.connection, &binds).await?;
        let Some((format, version, state, attempt, wake_at)) = row else { return Ok(Err(SaveError::NotFound)) };
        if let Err(error) = check_format(format) {
            return Ok(Err(error.into()));
        }
        Ok(Ok(Looked { tenant, version, state, attempt, wake_at }))
    }

    /// Sets a callback aside: without owner and `wake_at` nobody finds it. Doing it again changes nothing.
    pub(super) async fn park(
        &mut self,
        whose: TenantId,
        id: CallbackId,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Sql<Result<(), SaveError>> {
        let uuid = id.as_uuid();
        let row = match self.look(whose, uuid).await? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let bytes = uuid.as_bytes().as_slice();
        if first::<IsParked, (i64,)>(self.connection, &[bytes.into()]).await?.is_some() {
            return Ok(Ok(()));
        }
        if row.wake_at.is_none() {
            // It is settled: nobody works on it anyway.
            return Ok(Err(SaveError::Conflict));
        }
        execute::<SetAside>(self.connection, &[bytes.into(), row.tenant.into()]).await?;
        let binds = [bytes.into(), row.tenant.into(), millis(at).into(), reason.into()];
        execute::<AddParked>(self.connection, &binds).await?;
        self.add_next_version(uuid, &row, Cause::Parked, at).await?;
        self.note_plain((whose, row.tenant), at, Act::CallbackParked, BY_SERVICE, id.to_string()).await?;
        Ok(Ok(()))
    }

    /// Makes a parked callback due, for whichever node looks next.
    pub(super) async fn unpark(
        &mut self,
        whose: TenantId,
        id: CallbackId,
        at: DateTime<Utc>,
        actor: &str,
    ) -> Sql<Result<(), SaveError>> {
        let uuid = id.as_uuid();
        let row = match self.look(whose, uuid).await? {
            Ok(row) => row,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let bytes = uuid.as_bytes().as_slice();
        if execute::<RemoveParked>(self.connection, &[bytes.into()]).await? == 0 {
            return Ok(Err(SaveError::NotFound));
        }
        execute::<TakeUp>(self.connection, &[millis(at).into(), bytes.into(), row.tenant.into()]).await?;
        self.add_next_version(uuid, &row, Cause::Unparked, at).await?;
        self.note_plain((whose, row.tenant), at, Act::CallbackUnparked, actor, id.to_string()).await?;
        Ok(Ok(()))
    }

    async fn add_next_version(&mut self, id: Uuid, row: &Looked, cause: Cause, at: DateTime<Utc>) -> Sql<()> {
        let (state, attempt) = (row.state, row.attempt);
        let entry = Entry { version: row.version + 1, at: millis(at), cause, state, implied: 0, attempt };
        let mut histories = Histories::default();
        histories.push(id, entry);
        self.add_histories(&histories).await
    }

    pub(super) async fn note_cancelled(&mut self, change: &Change, key: QueueKey) -> Sql<()> {
        let callback = &change.callback;
        let whose = (callback.tenant, key.tenant);
        let actor = change.saving.actor.as_deref().unwrap_or(BY_OPERATOR);
        self.note_plain(whose, change.at, Act::CallbackCancelled, actor, callback.id.to_string()).await
    }
}
