//! The port for tenants and API keys, and the root key behind these.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::ApiKey;
use domain::ports::{ApplyError, SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};

use super::{Database, DatabaseStore, id_bytes};
use crate::root_key::RootKeyStore;
use crate::stores::command::tenants::Apply;
use crate::stores::command::{Command, Outcome, ReplaceRootKey};
use crate::stores::rows::settings::{KeyRow, api_key, tenant, tenant_id};

/// Statements about tenants and their keys, and the question that is made of them.
#[async_trait]
pub(in crate::stores) trait SettingsReads: Send {
    /// Id, name and document of tenants that have one, by name.
    async fn tenant_rows(&mut self) -> Result<Vec<(Vec<u8>, String, String)>, StoreError>;

    /// Oldest first.
    async fn key_rows(&mut self) -> Result<Vec<KeyRow>, StoreError>;

    /// The id of the tenant whose a key is.
    async fn tenant_of_key_row(&mut self, id: &[u8]) -> Result<Option<(Vec<u8>,)>, StoreError>;

    /// As it is sealed.
    async fn root_key_row(&mut self) -> Result<Option<(Vec<u8>,)>, StoreError>;

    async fn tenant_of_key(&mut self, id: ApiKeyId) -> Result<Option<TenantId>, StoreError> {
        let found = self.tenant_of_key_row(id_bytes(&id.as_uuid())).await?;
        found.map(|(owner,)| tenant_id(&owner)).transpose()
    }
}

#[async_trait]
impl<D: Database> SettingsStore for DatabaseStore<D> {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let found = self.database.read(None, |reader| reader.tenant_rows()).await?;
        found.iter().map(|(id, name, settings)| tenant(id, name, settings)).collect()
    }

    async fn understood_tenants(&self) -> Result<(Vec<Tenant>, Vec<TenantId>), StoreError> {
        let found = self.database.read(None, |reader| reader.tenant_rows()).await?;
        let (mut tenants, mut others) = (Vec::with_capacity(found.len()), Vec::new());
        for (id, name, settings) in &found {
            match tenant(id, name, settings) {
                Ok(tenant) => tenants.push(tenant),
                Err(error) => {
                    tracing::error!(%error, tenant = name, "the document of a tenant is not understood here");
                    others.push(tenant_id(id)?);
                }
            }
        }
        Ok((tenants, others))
    }

    async fn put_tenant(&self, id: TenantId, document: TenantDocument) -> Result<(), StoreError> {
        let command = Command::Apply(vec![Apply::new(id, document, "ges")?]);
        match self.writes.submit(command).await? {
            Outcome::Applied(Err(ApplyError::Store(error))) => Err(error),
            Outcome::Applied(Err(error)) => Err(StoreError::NotDone(error.to_string())),
            _ => Ok(()),
        }
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let found = self.database.read(None, |reader| reader.key_rows()).await?;
        found.into_iter().map(api_key).collect()
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.writes.submit(Command::AddKey(Box::new(key))).await.map(|_| ())
    }

    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let owner = self.database.read(None, move |reader| reader.tenant_of_key(id)).await?;
        let Some(tenant) = owner else { return Ok(false) };
        let outcome = self.writes.submit(Command::RevokeKey { tenant, id, at }).await?;
        Ok(matches!(outcome, Outcome::Revoked(true)))
    }
}

#[async_trait]
impl<D: Database> RootKeyStore for DatabaseStore<D> {
    async fn sealed_root_key(&self) -> Result<Vec<u8>, StoreError> {
        let found = self.database.read(None, |reader| reader.root_key_row()).await?;
        Ok(found.map(|(sealed,)| sealed).unwrap_or_default())
    }

    async fn replace_root_key(&self, before: Vec<u8>, after: Vec<u8>) -> Result<bool, StoreError> {
        let command = Command::ReplaceRootKey(Box::new(ReplaceRootKey { before, after }));
        Ok(matches!(self.writes.submit(command).await?, Outcome::Count(1)))
    }
}
