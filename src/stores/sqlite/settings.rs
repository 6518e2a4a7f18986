//! Tenants and API keys.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::ApiKey;
use domain::ports::{ApplyError, SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};

use super::SqliteStore;
use super::command::{Command, Outcome};
use super::readers::{Reader, not_read};
use super::statement::{first, rows, statements};
use super::tenants::Apply;
use crate::stores::rows::settings::{KeyRow, api_key, tenant, tenant_id};

statements! {
    ListTenants -> (Binary, Text, Text) =
        "SELECT id, name, settings FROM tenants WHERE name IS NOT NULL AND settings IS NOT NULL ORDER BY name";
    ListKeys -> (Binary, Binary, Binary, Text, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT k.id, t.id, k.hash, k.label, k.scopes, k.created_at, k.revoked_at
        FROM api_keys k JOIN tenants t ON t.key = k.tenant ORDER BY k.created_at, k.id";
    TenantOfKey -> (Binary) = "SELECT t.id FROM api_keys k JOIN tenants t ON t.key = k.tenant WHERE k.id = ?";
}

impl Reader {
    /// Whose a key is; none if there is no such key.
    fn tenant_of_key(&mut self, id: ApiKeyId) -> Result<Option<TenantId>, StoreError> {
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into()];
        let found: Option<(Vec<u8>,)> = first::<TenantOfKey, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.map(|(owner,)| tenant_id(&owner)).transpose()
    }
}

#[async_trait]
impl SettingsStore for SqliteStore {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let read = |reader: &mut Reader| {
            let found: Vec<(Vec<u8>, String, String)> =
                rows::<ListTenants, _>(&mut reader.connection, &[]).map_err(not_read)?;
            found.iter().map(|(id, name, settings)| tenant(id, name, settings)).collect()
        };
        self.readers.read(read).await
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
        let read = |reader: &mut Reader| {
            let found: Vec<KeyRow> = rows::<ListKeys, _>(&mut reader.connection, &[]).map_err(not_read)?;
            found.into_iter().map(api_key).collect()
        };
        self.readers.read(read).await
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.combiner.submit(Command::AddKey(Box::new(key))).await.map(|_| ())
    }

    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let owner = self.readers.read(move |reader| reader.tenant_of_key(id)).await?;
        let Some(tenant) = owner else { return Ok(false) };
        let outcome = self.combiner.submit(Command::RevokeKey { tenant, id, at }).await?;
        Ok(matches!(outcome, Outcome::Revoked(true)))
    }
}
