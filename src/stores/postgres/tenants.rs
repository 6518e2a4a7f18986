//! Documents of tenants with their history, and what is sealed for them.

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::ports::{Application, Applied, ApplyError, Credential, Kept, Revision, StoreError, TenantStore};
use domain::tenant::TenantDocument;

use super::PostgresStore;
use super::queries::sql_limit;
use super::statement::{first, rows, statements};
use crate::stores::command::tenants::Apply;
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::packing::unpacked;
use crate::stores::rows::settings::{credential, document};
use crate::stores::rows::{instant, whole};

statements! {
    FindDocument = "SELECT revision, settings FROM tenants WHERE id = ?";
    ListRevisions = "SELECT r.revision, r.at, r.actor FROM tenant_revisions r JOIN tenants t ON t.key = r.tenant
        WHERE t.id = ? ORDER BY r.revision DESC LIMIT ?";
    FindRevision = "SELECT r.document FROM tenant_revisions r JOIN tenants t ON t.key = r.tenant
        WHERE t.id = ? AND r.revision = ?";
    ListCredentials = "SELECT c.kind, c.name, c.fingerprint, c.updated_at
        FROM credentials c JOIN tenants t ON t.key = c.tenant
        WHERE t.id = ? ORDER BY c.kind COLLATE \"C\", c.name COLLATE \"C\"";
    FindSealed = "SELECT c.sealed FROM credentials c JOIN tenants t ON t.key = c.tenant
        WHERE t.id = ? AND c.fingerprint = ? LIMIT 1";
    AnySealed = "SELECT EXISTS (SELECT 1 FROM credentials)";
}

#[async_trait]
impl TenantStore for PostgresStore {
    async fn document(&self, tenant: TenantId) -> Result<Option<Kept>, StoreError> {
        let id = tenant.as_uuid();
        let binds = [id.as_bytes().as_slice().into()];
        let found: Option<(i64, Option<String>)> =
            first::<FindDocument, _>(&mut self.reader().await?.connection, &binds).await?;
        let Some((revision, Some(settings))) = found else { return Ok(None) };
        Ok(Some(Kept { revision: whole(revision), document: document(&settings)? }))
    }

    async fn apply(&self, applications: Vec<Application>) -> Result<Vec<Applied>, ApplyError> {
        let all = applications.into_iter().map(Apply::try_from).collect::<Result<Vec<_>, _>>()?;
        match self.combiner.submit(Command::Apply(all)).await? {
            Outcome::Applied(outcome) => outcome,
            other => Ok(unexpected(&other)?),
        }
    }

    async fn revisions(&self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let id = tenant.as_uuid();
        let binds = [id.as_bytes().as_slice().into(), sql_limit(limit).into()];
        let found: Vec<(i64, i64, String)> =
            rows::<ListRevisions, _>(&mut self.reader().await?.connection, &binds).await?;
        let entry = |(revision, at, actor)| Ok(Revision { revision: whole(revision), at: instant(at)?, actor });
        found.into_iter().map(entry).collect()
    }

    async fn revision(&self, tenant: TenantId, revision: u64) -> Result<Option<TenantDocument>, StoreError> {
        let id = tenant.as_uuid();
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let binds = [id.as_bytes().as_slice().into(), revision.into()];
        let found: Option<(Vec<u8>,)> = first::<FindRevision, _>(&mut self.reader().await?.connection, &binds).await?;
        found.map(|(packed,)| document(&unpacked(&packed)?)).transpose()
    }

    async fn credentials(&self, tenant: TenantId) -> Result<Vec<Credential>, StoreError> {
        let id = tenant.as_uuid();
        let binds = [id.as_bytes().as_slice().into()];
        let found: Vec<(String, String, String, i64)> =
            rows::<ListCredentials, _>(&mut self.reader().await?.connection, &binds).await?;
        found.into_iter().map(credential).collect()
    }

    async fn sealed(&self, tenant: TenantId, fingerprint: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let id = tenant.as_uuid();
        let binds = [id.as_bytes().as_slice().into(), fingerprint.into()];
        let found: Option<(Vec<u8>,)> = first::<FindSealed, _>(&mut self.reader().await?.connection, &binds).await?;
        Ok(found.map(|(sealed,)| sealed))
    }

    async fn holds_secrets(&self) -> Result<bool, StoreError> {
        let found: Option<(bool,)> = first::<AnySealed, _>(&mut self.reader().await?.connection, &[]).await?;
        Ok(found.is_some_and(|(any,)| any))
    }
}
