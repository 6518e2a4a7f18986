//! Changes of tenants' documents, with the keys and secrets that go with them.

use diesel::QueryResult;
use diesel::sql_types::BigInt;
use domain::ids::TenantId;
use domain::ports::{Applied, ApplyError, CredentialChange, KEPT_REVISIONS, KeyChange};

use super::super::names::FreshNames;
use super::super::rows::millis;
use super::super::statement::{execute, first, statements};
use super::super::tenants::FindDocument;
use super::{RaiseEpoch, Writer};
use crate::stores::binds;
use crate::stores::command::tenants::Apply;
use crate::stores::rows::settings::scope_bits;
use crate::stores::rows::whole;

statements! {
    CountName -> (BigInt) = "SELECT count(*) FROM tenants WHERE name = ? AND id <> ?";
    CountHash -> (BigInt) = "SELECT count(*) FROM api_keys WHERE hash = ?";
    CountKey -> (BigInt) = "SELECT count(*) FROM api_keys k JOIN tenants t ON t.key = k.tenant
        WHERE k.id = ? AND t.id = ? AND k.revoked_at IS NULL";
    PutDocument = "INSERT INTO tenants (id, name, settings, revision) VALUES (?, ?, ?, 1) ON CONFLICT (id)
        DO UPDATE SET name = excluded.name, settings = excluded.settings, revision = revision + 1";
    AddRevision = "INSERT INTO tenant_revisions (tenant, revision, at, actor, document)
        VALUES (?, ?, coalesce(?, CAST(unixepoch('subsec') * 1000 AS INTEGER)), ?, ?)";
    DropRevisions = "DELETE FROM tenant_revisions WHERE tenant = ? AND revision <= ?";
    ChangeKey = "UPDATE api_keys SET label = ?, scopes = ? WHERE id = ?";
    RevokeKey = "UPDATE api_keys SET revoked_at = coalesce(?, CAST(unixepoch('subsec') * 1000 AS INTEGER))
        WHERE id = ?";
    PutCredential = "INSERT INTO credentials (tenant, kind, name, fingerprint, sealed, updated_at)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, kind, name) DO UPDATE SET
        fingerprint = excluded.fingerprint, sealed = excluded.sealed, updated_at = excluded.updated_at";
    RemoveCredential = "DELETE FROM credentials WHERE tenant = ? AND kind = ? AND name = ?";
}

impl Writer {
    /// Everything that refuses comes before the first write: nothing of a refused command may stay in the batch.
    pub(super) fn apply_tenants(&mut self, all: &[Apply]) -> QueryResult<Result<Vec<Applied>, ApplyError>> {
        let mut before = Vec::with_capacity(all.len());
        for one in all {
            match self.look_at_tenant(one)? {
                Ok(known) => before.push(known),
                Err(error) => return Ok(Err(error)),
            }
        }
        let mut applied = Vec::with_capacity(all.len());
        for (one, before) in all.iter().zip(before) {
            applied.push(self.apply_tenant(one, before)?);
        }
        Ok(Ok(applied))
    }

    /// The revision that is there and whether it says the same, if the change may be made.
    fn look_at_tenant(&mut self, one: &Apply) -> QueryResult<Result<(u64, bool), ApplyError>> {
        let uuid = one.tenant.as_uuid();
        let id = uuid.as_bytes().as_slice();
        let found: Option<(i64, Option<String>)> = first::<FindDocument, _>(&mut self.connection, &[id.into()])?;
        let found = found.and_then(|(revision, settings)| Some((whole(revision), settings?)));
        let revision = found.as_ref().map(|(revision, _)| *revision);
        if !one.expects(revision) {
            return Ok(Err(ApplyError::Conflict { tenant: one.tenant, found: revision }));
        }
        if self.count::<CountName>(&[one.name.as_str().into(), id.into()])? > 0 {
            return Ok(Err(ApplyError::NameTaken));
        }
        if !self.keys_are_as_expected(one.tenant, &one.keys)? {
            return Ok(Err(ApplyError::KeysChanged));
        }
        let same = found.as_ref().is_some_and(|(_, settings)| *settings == one.settings);
        Ok(Ok((revision.unwrap_or_default(), same)))
    }

    fn keys_are_as_expected(&mut self, tenant: TenantId, changes: &[KeyChange]) -> QueryResult<bool> {
        let tenant = tenant.as_uuid();
        for change in changes {
            let as_expected = match change {
                KeyChange::Add(key) => self.count::<CountHash>(&[key.hash.as_slice().into()])? == 0,
                KeyChange::Change { id, .. } | KeyChange::Revoke(id) => {
                    let id = id.as_uuid();
                    self.count::<CountKey>(&[id.as_bytes().as_slice().into(), tenant.as_bytes().as_slice().into()])? > 0
                }
            };
            if !as_expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply_tenant(&mut self, one: &Apply, (revision, same): (u64, bool)) -> QueryResult<Applied> {
        let uuid = one.tenant.as_uuid();
        let at = one.at.map(millis);
        let revision = if same { revision } else { revision + 1 };
        if !same {
            let binds = [uuid.as_bytes().as_slice().into(), one.name.as_str().into(), one.settings.as_str().into()];
            execute::<PutDocument>(&mut self.connection, &binds)?;
        }
        let tenant = FreshNames::resolve_tenant(&mut self.connection, one.tenant)?;
        if !same {
            let number = i64::try_from(revision).unwrap_or(i64::MAX);
            let actor = one.actor.as_str();
            let binds = [tenant.into(), number.into(), at.into(), actor.into(), one.packed.as_slice().into()];
            execute::<AddRevision>(&mut self.connection, &binds)?;
            let oldest = number.saturating_sub(i64::try_from(KEPT_REVISIONS).unwrap_or(i64::MAX));
            execute::<DropRevisions>(&mut self.connection, &[tenant.into(), oldest.into()])?;
        }
        for change in &one.keys {
            self.change_key(change, at)?;
        }
        for change in &one.credentials {
            self.change_credential(tenant, change)?;
        }
        if !same || !one.keys.is_empty() || !one.credentials.is_empty() {
            execute::<RaiseEpoch>(&mut self.connection, &[])?;
            self.note_application(one, tenant, (!same).then_some(revision))?;
        }
        Ok(Applied { revision, changed: !same })
    }

    /// Writes a change into the audit log, part by part; `revision` is the new one, if there is one.
    fn note_application(&mut self, one: &Apply, key: i64, revision: Option<u64>) -> QueryResult<()> {
        let at = match one.at {
            Some(at) => at,
            None => self.database_time()?,
        };
        one.acts(at, revision).into_iter().try_for_each(|new| self.note_act(one.tenant, key, new))
    }

    fn change_key(&mut self, change: &KeyChange, at: Option<i64>) -> QueryResult<()> {
        match change {
            KeyChange::Add(key) => self.keep_key(key).map(|_| ()),
            KeyChange::Change { id, label, scopes } => {
                let id = id.as_uuid();
                let binds = [label.as_str().into(), scope_bits(scopes).into(), id.as_bytes().as_slice().into()];
                execute::<ChangeKey>(&mut self.connection, &binds).map(|_| ())
            }
            KeyChange::Revoke(id) => {
                let id = id.as_uuid();
                let binds = [at.into(), id.as_bytes().as_slice().into()];
                execute::<RevokeKey>(&mut self.connection, &binds).map(|_| ())
            }
        }
    }

    fn change_credential(&mut self, tenant: i64, change: &CredentialChange) -> QueryResult<()> {
        match change {
            CredentialChange::Put { credential, sealed } => {
                let binds = binds::sealed(tenant, credential, sealed);
                execute::<PutCredential>(&mut self.connection, &binds).map(|_| ())
            }
            CredentialChange::Remove { kind, name } => {
                let binds = [tenant.into(), kind.name().into(), name.as_str().into()];
                execute::<RemoveCredential>(&mut self.connection, &binds).map(|_| ())
            }
        }
    }
}
