//! Documents of tenants with their history, and what is sealed for them.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ids::TenantId;
use domain::ports::{Application, Applied, ApplyError, Credential, Kept, Revision, StoreError, TenantStore};
use domain::tenant::TenantDocument;

use super::SqliteStore;
use super::command::{Command, Outcome};
use super::readers::{Reader, not_read};
use super::rows::{instant, unreadable};
use super::statement::{first, rows, statements};
pub(super) use crate::stores::command::tenants::Apply;
use crate::stores::rows::settings::{credential, document};
pub(super) use crate::stores::rows::whole;
use crate::stores::user_data;

statements! {
    FindDocument -> (BigInt, Nullable<Text>) = "SELECT revision, settings FROM tenants WHERE id = ?";
    ListRevisions -> (BigInt, BigInt, Text) =
        "SELECT r.revision, r.at, r.actor FROM tenant_revisions r JOIN tenants t ON t.key = r.tenant
        WHERE t.id = ? ORDER BY r.revision DESC LIMIT ?";
    FindRevision -> (Binary) = "SELECT r.document FROM tenant_revisions r JOIN tenants t ON t.key = r.tenant
        WHERE t.id = ? AND r.revision = ?";
    ListCredentials -> (Text, Text, Text, BigInt) =
        "SELECT c.kind, c.name, c.fingerprint, c.updated_at FROM credentials c JOIN tenants t ON t.key = c.tenant
        WHERE t.id = ? ORDER BY c.kind, c.name";
    FindSealed -> (Binary) = "SELECT c.sealed FROM credentials c JOIN tenants t ON t.key = c.tenant
        WHERE t.id = ? AND c.fingerprint = ? LIMIT 1";
    AnySealed -> (BigInt) = "SELECT count(*) FROM (SELECT 1 FROM credentials LIMIT 1)";
}

#[async_trait]
impl TenantStore for SqliteStore {
    async fn document(&self, tenant: TenantId) -> Result<Option<Kept>, StoreError> {
        let read = move |reader: &mut Reader| {
            let id = tenant.as_uuid();
            let found: Option<(i64, Option<String>)> =
                first::<FindDocument, _>(&mut reader.connection, &[id.as_bytes().as_slice().into()])
                    .map_err(not_read)?;
            let Some((revision, Some(settings))) = found else { return Ok(None) };
            Ok(Some(Kept { revision: whole(revision), document: document(&settings)? }))
        };
        self.readers.read_for(tenant, read).await
    }

    async fn apply(&self, applications: Vec<Application>) -> Result<Vec<Applied>, ApplyError> {
        let all = applications.into_iter().map(Apply::try_from).collect::<Result<Vec<_>, _>>()?;
        match self.combiner.submit(Command::Apply(all)).await? {
            Outcome::Applied(outcome) => outcome,
            other => Err(StoreError::NotDone(format!("another outcome: {other:?}")).into()),
        }
    }

    async fn revisions(&self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let read = move |reader: &mut Reader| {
            let id = tenant.as_uuid();
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let binds = [id.as_bytes().as_slice().into(), limit.into()];
            let found: Vec<(i64, i64, String)> =
                rows::<ListRevisions, _>(&mut reader.connection, &binds).map_err(not_read)?;
            let entry = |(revision, at, actor)| Ok(Revision { revision: whole(revision), at: instant(at)?, actor });
            found.into_iter().map(entry).collect()
        };
        self.readers.read_for(tenant, read).await
    }

    async fn revision(&self, tenant: TenantId, revision: u64) -> Result<Option<TenantDocument>, StoreError> {
        let read = move |reader: &mut Reader| {
            let id = tenant.as_uuid();
            let revision = i64::try_from(revision).unwrap_or(i64::MAX);
            let binds = [id.as_bytes().as_slice().into(), revision.into()];
            let found: Option<(Vec<u8>,)> =
                first::<FindRevision, _>(&mut reader.connection, &binds).map_err(not_read)?;
            let Some((packed,)) = found else { return Ok(None) };
            let text = user_data::unpack(&packed).map_err(|error| unreadable(&format!("a revision: {error}")))?;
            document(&text).map(Some)
        };
        self.readers.read_for(tenant, read).await
    }

    async fn credentials(&self, tenant: TenantId) -> Result<Vec<Credential>, StoreError> {
        let read = move |reader: &mut Reader| {
            let id = tenant.as_uuid();
            let found: Vec<(String, String, String, i64)> =
                rows::<ListCredentials, _>(&mut reader.connection, &[id.as_bytes().as_slice().into()])
                    .map_err(not_read)?;
            found.into_iter().map(credential).collect()
        };
        self.readers.read_for(tenant, read).await
    }

    async fn sealed(&self, tenant: TenantId, fingerprint: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let fingerprint = fingerprint.to_owned();
        let read = move |reader: &mut Reader| {
            let id = tenant.as_uuid();
            let binds = [id.as_bytes().as_slice().into(), fingerprint.as_str().into()];
            let found: Option<(Vec<u8>,)> = first::<FindSealed, _>(&mut reader.connection, &binds).map_err(not_read)?;
            Ok(found.map(|(sealed,)| sealed))
        };
        self.readers.read_for(tenant, read).await
    }

    async fn holds_secrets(&self) -> Result<bool, StoreError> {
        let read = |reader: &mut Reader| {
            let found: Option<(i64,)> = first::<AnySealed, _>(&mut reader.connection, &[]).map_err(not_read)?;
            Ok(found.is_some_and(|(count,)| count > 0))
        };
        self.readers.read(read).await
    }
}
