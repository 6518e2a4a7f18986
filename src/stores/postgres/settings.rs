//! Tenants and API keys.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::ApiKey;
use domain::ports::{ApplyError, SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};

use super::PostgresStore;
use super::statement::{first, rows, statements};
use crate::stores::command::tenants::Apply;
use crate::stores::command::{Command, Outcome};
use crate::stores::rows::settings::{KeyRow, api_key, tenant, tenant_id};

statements! {
    ListTenants = "SELECT id, name, settings FROM tenants WHERE name IS NOT NULL AND settings IS NOT NULL
        ORDER BY name COLLATE \"C\"";
    ListKeys = "SELECT k.id, t.id, k.hash, k.label, k.scopes, k.created_at, k.revoked_at
        FROM api_keys k JOIN tenants t ON t.key = k.tenant ORDER BY k.created_at, k.id";
    TenantOfKey = "SELECT t.id FROM api_keys k JOIN tenants t ON t.key = k.tenant WHERE k.id = ?";
}

#[async_trait]
impl SettingsStore for PostgresStore {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let mut reader = self.reader().await?;
        let found: Vec<(Vec<u8>, String, String)> = rows::<ListTenants, _>(&mut reader.connection, &[]).await?;
        found.iter().map(|(id, name, settings)| tenant(id, name, settings)).collect()
    }

    async fn put_tenant(&self, id: TenantId, document: TenantDocument) -> Result<(), StoreError> {
        let command = Command::Apply(vec![Apply::new(id, document, "ges")?]);
        match self.combiner.submit(command).await? {
            Outcome::Applied(Err(ApplyError::Store(error))) => Err(error),
            Outcome::Applied(Err(error)) => Err(StoreError::NotDone(error.to_string())),
            _ => Ok(()),
        }
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut reader = self.reader().await?;
        let found: Vec<KeyRow> = rows::<ListKeys, _>(&mut reader.connection, &[]).await?;
        found.into_iter().map(api_key).collect()
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.combiner.submit(Command::AddKey(Box::new(key))).await.map(|_| ())
    }

    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into()];
        let owner: Option<(Vec<u8>,)> = first::<TenantOfKey, _>(&mut self.reader().await?.connection, &binds).await?;
        let Some((owner,)) = owner else { return Ok(false) };
        let command = Command::RevokeKey { tenant: tenant_id(&owner)?, id, at };
        Ok(matches!(self.combiner.submit(command).await?, Outcome::Revoked(true)))
    }
}
