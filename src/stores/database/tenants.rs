//! The port for documents of tenants with their history, and what is sealed for them.

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::ports::{Application, Applied, ApplyError, Credential, Kept, Revision, StoreError, TenantStore};
use domain::tenant::TenantDocument;

use super::{Database, DatabaseStore, id_bytes};
use crate::stores::command::tenants::Apply;
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::packing::unpacked;
use crate::stores::rows::settings::{CredentialRow, credential, document};
use crate::stores::rows::{instant, whole};

/// Statements about tenants, by their ids, and questions that are made of them.
#[async_trait]
pub(in crate::stores) trait TenantReads: Send {
    /// Revision and document.
    async fn document_row(&mut self, tenant: &[u8]) -> Result<Option<(i64, Option<String>)>, StoreError>;

    /// Revision, instant and actor, newest first.
    async fn revision_rows(&mut self, tenant: &[u8], limit: usize) -> Result<Vec<(i64, i64, String)>, StoreError>;

    /// The packed document.
    async fn revision_row(&mut self, tenant: &[u8], revision: i64) -> Result<Option<(Vec<u8>,)>, StoreError>;

    /// By kind and name.
    async fn credential_rows(&mut self, tenant: &[u8]) -> Result<Vec<CredentialRow>, StoreError>;

    async fn sealed_row(&mut self, tenant: &[u8], fingerprint: &str) -> Result<Option<(Vec<u8>,)>, StoreError>;

    /// Whether anything is sealed for anybody.
    async fn holds_secrets(&mut self) -> Result<bool, StoreError>;

    async fn document(&mut self, tenant: TenantId) -> Result<Option<Kept>, StoreError> {
        let found = self.document_row(id_bytes(&tenant.as_uuid())).await?;
        let Some((revision, Some(settings))) = found else { return Ok(None) };
        Ok(Some(Kept { revision: whole(revision), document: document(&settings)? }))
    }

    async fn revisions(&mut self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let found = self.revision_rows(id_bytes(&tenant.as_uuid()), limit).await?;
        let entry = |(revision, at, actor)| Ok(Revision { revision: whole(revision), at: instant(at)?, actor });
        found.into_iter().map(entry).collect()
    }

    async fn revision(&mut self, tenant: TenantId, revision: u64) -> Result<Option<TenantDocument>, StoreError> {
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let found = self.revision_row(id_bytes(&tenant.as_uuid()), revision).await?;
        found.map(|(packed,)| document(&unpacked(&packed)?)).transpose()
    }

    async fn credentials(&mut self, tenant: TenantId) -> Result<Vec<Credential>, StoreError> {
        let found = self.credential_rows(id_bytes(&tenant.as_uuid())).await?;
        found.into_iter().map(credential).collect()
    }

    async fn sealed(&mut self, tenant: TenantId, fingerprint: String) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.sealed_row(id_bytes(&tenant.as_uuid()), &fingerprint).await?;
        Ok(found.map(|(sealed,)| sealed))
    }
}

#[async_trait]
impl<D: Database> TenantStore for DatabaseStore<D> {
    async fn document(&self, tenant: TenantId) -> Result<Option<Kept>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.document(tenant)).await
    }

    async fn apply(&self, applications: Vec<Application>) -> Result<Vec<Applied>, ApplyError> {
        let all = applications.into_iter().map(Apply::try_from).collect::<Result<Vec<_>, _>>()?;
        match self.writes.submit(Command::Apply(all)).await? {
            Outcome::Applied(outcome) => outcome,
            other => Ok(unexpected(&other)?),
        }
    }

    async fn revisions(&self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.revisions(tenant, limit)).await
    }

    async fn revision(&self, tenant: TenantId, revision: u64) -> Result<Option<TenantDocument>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.revision(tenant, revision)).await
    }

    async fn credentials(&self, tenant: TenantId) -> Result<Vec<Credential>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.credentials(tenant)).await
    }

    async fn sealed(&self, tenant: TenantId, fingerprint: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let fingerprint = fingerprint.to_owned();
        self.database.read(Some(tenant), move |reader| reader.sealed(tenant, fingerprint)).await
    }

    async fn holds_secrets(&self) -> Result<bool, StoreError> {
        self.database.read(None, |reader| reader.holds_secrets()).await
    }
}
