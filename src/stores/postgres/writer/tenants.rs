//! Documents of tenants, their secrets and their keys.
//!
//! Names of tenants and hashes of keys are unique among all tenants, and every change raises the one epoch: changes are
//! made one at a time, whoever's they are.

use chrono::{DateTime, Utc};
use domain::audit::Act;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::ApiKey;
use domain::ports::{Applied, ApplyError, CredentialChange, KEPT_REVISIONS, KeyChange};

use super::super::errors::{Sql, SqlError};
use super::super::locks::{Locks, Topic};
use super::super::statement::{Bind, Text, execute, first, statements};
use super::super::tenants::FindDocument;
use super::{Batch, RaiseEpoch};
use crate::stores::binds;
use crate::stores::command::tenants::{Apply, BY_COMMAND};
use crate::stores::rows::settings::scope_bits;
use crate::stores::rows::{millis, whole};

statements! {
    IsNameTaken = "SELECT 1 FROM tenants WHERE name = ? AND id <> ?";
    IsHashTaken = "SELECT 1 FROM api_keys WHERE hash = ?";
    HasKey = "SELECT 1 FROM api_keys WHERE id = ? AND tenant = ? AND revoked_at IS NULL";
    PutDocument = "UPDATE tenants SET name = ?, settings = ?, revision = revision + 1 WHERE key = ?";
    AddRevision = "INSERT INTO tenant_revisions (tenant, revision, at, actor, document) VALUES (?, ?, ?, ?, ?)";
    DropRevisions = "DELETE FROM tenant_revisions WHERE tenant = ? AND revision <= ?";
    AddApiKey = "INSERT INTO api_keys (id, tenant, hash, label, scopes, created_at, revoked_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    ChangeKey = "UPDATE api_keys SET label = ?, scopes = ? WHERE id = ?";
    RevokeKey = "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
    PutCredential = "INSERT INTO credentials (tenant, kind, name, fingerprint, sealed, updated_at)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, kind, name) DO UPDATE SET
        fingerprint = excluded.fingerprint, sealed = excluded.sealed, updated_at = excluded.updated_at";
    RemoveCredential = "DELETE FROM credentials WHERE tenant = ? AND kind = ? AND name = ?";
}

/// What is there before a change.
struct Before {
    /// The number of the tenant.
    key: i64,
    /// 0 without a document.
    revision: u64,
    /// The document says the same.
    same: bool,
}

impl Batch<'_> {
    /// Whoever changes settings of a tenant.
    pub(super) fn declare_settings(&self, tenant: TenantId, locks: &mut Locks) {
        locks.alone(Topic::Document, &[]);
        self.declare_audit(tenant, locks);
    }

    pub(super) fn declare_apply(&self, all: &[Apply], locks: &mut Locks) {
        for one in all {
            self.declare_settings(one.tenant, locks);
        }
    }

    /// Everything that refuses comes before the first write: nothing of a refused command may stay in the batch.
    pub(super) async fn apply_tenants(&mut self, all: &[Apply]) -> Sql<Result<Vec<Applied>, ApplyError>> {
        let mut before = Vec::with_capacity(all.len());
        for one in all {
            match self.look_at_tenant(one).await? {
                Ok(known) => before.push(known),
                Err(error) => return Ok(Err(error)),
            }
        }
        let mut applied = Vec::with_capacity(all.len());
        for (one, before) in all.iter().zip(before) {
            applied.push(self.apply_tenant(one, &before).await?);
        }
        Ok(Ok(applied))
    }

    async fn exists<T: Text>(&mut self, binds: &[Bind<'_>]) -> Sql<bool> {
        Ok(first::<T, (i64,)>(self.connection, binds).await?.is_some())
    }

    /// What is there, if the change may be made.
    async fn look_at_tenant(&mut self, one: &Apply) -> Sql<Result<Before, ApplyError>> {
        let uuid = one.tenant.as_uuid();
        let id = uuid.as_bytes().as_slice();
        let found: Option<(i64, Option<String>)> = first::<FindDocument, _>(self.connection, &[id.into()]).await?;
        let found = found.and_then(|(revision, settings)| Some((whole(revision), settings?)));
        let revision = found.as_ref().map(|(revision, _)| *revision);
        if !one.expects(revision) {
            return Ok(Err(ApplyError::Conflict { tenant: one.tenant, found: revision }));
        }
        if self.exists::<IsNameTaken>(&[one.name.as_str().into(), id.into()]).await? {
            return Ok(Err(ApplyError::NameTaken));
        }
        let key = self.number_of(one.tenant)?;
        if !self.keys_are_as_expected(key, &one.keys).await? {
            return Ok(Err(ApplyError::KeysChanged));
        }
        let same = found.as_ref().is_some_and(|(_, settings)| *settings == one.settings);
        Ok(Ok(Before { key, revision: revision.unwrap_or_default(), same }))
    }

    /// The number that a tenant was given before the batch began.
    pub(super) fn number_of(&self, tenant: TenantId) -> Sql<i64> {
        let key = self.names.known_tenant(tenant);
        key.ok_or_else(|| SqlError::Unreadable("a tenant has no number".to_owned()))
    }

    async fn keys_are_as_expected(&mut self, tenant: i64, changes: &[KeyChange]) -> Sql<bool> {
        for change in changes {
            let as_expected = match change {
                KeyChange::Add(key) => !self.exists::<IsHashTaken>(&[key.hash.as_slice().into()]).await?,
                KeyChange::Change { id, .. } | KeyChange::Revoke(id) => {
                    let id = id.as_uuid();
                    self.exists::<HasKey>(&[id.as_bytes().as_slice().into(), tenant.into()]).await?
                }
            };
            if !as_expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn apply_tenant(&mut self, one: &Apply, before: &Before) -> Sql<Applied> {
        let at = match one.at {
            Some(at) => at,
            None => self.database_time().await?,
        };
        let changed = !before.same;
        let revision = before.revision + u64::from(changed);
        if changed {
            self.put_document(one, before.key, revision, at).await?;
        }
        for change in &one.keys {
            self.change_key(before.key, change, at).await?;
        }
        for change in &one.credentials {
            self.change_credential(before.key, change).await?;
        }
        if changed || !one.keys.is_empty() || !one.credentials.is_empty() {
            execute::<RaiseEpoch>(self.connection, &[]).await?;
            for new in one.acts(at, changed.then_some(revision)) {
                self.note_act(one.tenant, before.key, new).await?;
            }
        }
        Ok(Applied { revision, changed })
    }

    async fn put_document(&mut self, one: &Apply, tenant: i64, revision: u64, at: DateTime<Utc>) -> Sql<()> {
        let binds = [one.name.as_str().into(), one.settings.as_str().into(), tenant.into()];
        execute::<PutDocument>(self.connection, &binds).await?;
        let number = i64::try_from(revision).unwrap_or(i64::MAX);
        let (actor, packed) = (one.actor.as_str().into(), one.packed.as_slice().into());
        let binds = [tenant.into(), number.into(), millis(at).into(), actor, packed];
        execute::<AddRevision>(self.connection, &binds).await?;
        let oldest = number.saturating_sub(i64::try_from(KEPT_REVISIONS).unwrap_or(i64::MAX));
        execute::<DropRevisions>(self.connection, &[tenant.into(), oldest.into()]).await.map(drop)
    }

    async fn change_key(&mut self, tenant: i64, change: &KeyChange, at: DateTime<Utc>) -> Sql<()> {
        match change {
            KeyChange::Add(key) => self.keep_key(tenant, key).await,
            KeyChange::Change { id, label, scopes } => {
                let id = id.as_uuid();
                let binds = [label.as_str().into(), scope_bits(scopes).into(), id.as_bytes().as_slice().into()];
                execute::<ChangeKey>(self.connection, &binds).await.map(drop)
            }
            KeyChange::Revoke(id) => {
                let id = id.as_uuid();
                let binds = [millis(at).into(), id.as_bytes().as_slice().into()];
                execute::<RevokeKey>(self.connection, &binds).await.map(drop)
            }
        }
    }

    async fn change_credential(&mut self, tenant: i64, change: &CredentialChange) -> Sql<()> {
        match change {
            CredentialChange::Put { credential, sealed } => {
                let binds = binds::sealed(tenant, credential, sealed);
                execute::<PutCredential>(self.connection, &binds).await.map(drop)
            }
            CredentialChange::Remove { kind, name } => {
                let binds = [tenant.into(), kind.name().into(), name.as_str().into()];
                execute::<RemoveCredential>(self.connection, &binds).await.map(drop)
            }
        }
    }

    async fn keep_key(&mut self, tenant: i64, key: &ApiKey) -> Sql<()> {
        let uuid = key.id.as_uuid();
        let binds = binds::api_key(tenant, uuid.as_bytes(), key);
        execute::<AddApiKey>(self.connection, &binds).await.map(drop)
    }

    /// A key that comes alone.
    pub(super) async fn add_key(&mut self, key: &ApiKey) -> Sql<()> {
        let tenant = self.number_of(key.tenant)?;
        self.keep_key(tenant, key).await?;
        execute::<RaiseEpoch>(self.connection, &[]).await?;
        self.note_plain((key.tenant, tenant), key.created_at, Act::KeyCreated, BY_COMMAND, key.id.to_string()).await
    }

    pub(super) async fn revoke_key(&mut self, whose: TenantId, id: ApiKeyId, at: DateTime<Utc>) -> Sql<bool> {
        let uuid = id.as_uuid();
        let binds = [millis(at).into(), uuid.as_bytes().as_slice().into()];
        if execute::<RevokeKey>(self.connection, &binds).await? == 0 {
            return Ok(false);
        }
        execute::<RaiseEpoch>(self.connection, &[]).await?;
        let tenant = self.number_of(whose)?;
        self.note_plain((whose, tenant), at, Act::KeyRevoked, BY_COMMAND, id.to_string()).await?;
        Ok(true)
    }
}
