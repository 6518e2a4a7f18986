//! What readers are asked about documents of tenants with their history, and what is sealed for them.

use async_trait::async_trait;
use domain::ports::StoreError;

use super::pool::Reader;
use super::statement::statements;
use crate::stores::database::TenantReads;
use crate::stores::rows::settings::CredentialRow;
use crate::stores::rows::sql_limit;

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
impl TenantReads for Reader {
    async fn document_row(&mut self, tenant: &[u8]) -> Result<Option<(i64, Option<String>)>, StoreError> {
        self.first::<FindDocument, _>(&[tenant.into()]).await
    }

    async fn revision_rows(&mut self, tenant: &[u8], limit: usize) -> Result<Vec<(i64, i64, String)>, StoreError> {
        self.rows::<ListRevisions, _>(&[tenant.into(), sql_limit(limit).into()]).await
    }

    async fn revision_row(&mut self, tenant: &[u8], revision: i64) -> Result<Option<(Vec<u8>,)>, StoreError> {
        self.first::<FindRevision, _>(&[tenant.into(), revision.into()]).await
    }

    async fn credential_rows(&mut self, tenant: &[u8]) -> Result<Vec<CredentialRow>, StoreError> {
        self.rows::<ListCredentials, _>(&[tenant.into()]).await
    }

    async fn sealed_row(&mut self, tenant: &[u8], fingerprint: &str) -> Result<Option<(Vec<u8>,)>, StoreError> {
        self.first::<FindSealed, _>(&[tenant.into(), fingerprint.into()]).await
    }

    async fn holds_secrets(&mut self) -> Result<bool, StoreError> {
        let found: Option<(bool,)> = self.first::<AnySealed, _>(&[]).await?;
        Ok(found.is_some_and(|(any,)| any))
    }
}
