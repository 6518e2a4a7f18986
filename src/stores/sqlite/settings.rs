//! Tenants and API keys.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{ApplyError, SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};
use uuid::Uuid;

use super::SqliteStore;
use super::command::{Command, Outcome};
use super::readers::{Reader, not_read};
use super::rows::{instant, unreadable};
use super::statement::{rows, statements};
use super::tenants::Apply;

statements! {
    ListTenants -> (Binary, Text, Text) =
        "SELECT id, name, settings FROM tenants WHERE name IS NOT NULL AND settings IS NOT NULL ORDER BY name";
    ListKeys -> (Binary, Binary, Binary, Text, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT k.id, t.id, k.hash, k.label, k.scopes, k.created_at, k.revoked_at
        FROM api_keys k JOIN tenants t ON t.key = k.tenant ORDER BY k.created_at, k.id";
}

type KeyRow = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, i64, Option<i64>);

fn tenant(id: &[u8], name: &str, settings: &str) -> Result<Tenant, StoreError> {
    let id = Uuid::from_slice(id).map_err(|_| unreadable("the id of a tenant is no UUID"))?;
    let document: TenantDocument = serde_json::from_str(settings)
        .map_err(|error| unreadable(&format!("the settings of tenant {name}, column {}", error.column())))?;
    document.resolve(TenantId::from_uuid(id)).map_err(|errors| {
        let first = errors.first().map(|error| error.path.as_str()).unwrap_or_default();
        unreadable(&format!("the settings of tenant {name}, {first}"))
    })
}

fn api_key(row: KeyRow) -> Result<ApiKey, StoreError> {
    let (id, tenant, hash, label, scopes, created_at, revoked_at) = row;
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| unreadable("an id of an API key is no UUID"));
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(uuid(&id)?),
        tenant: TenantId::from_uuid(uuid(&tenant)?),
        hash: hash.try_into().map_err(|_| unreadable("the hash of an API key has not 32 bytes"))?,
        label,
        scopes: Scope::ALL.into_iter().filter(|scope| scopes & i64::from(scope.bit()) != 0).collect(),
        created_at: instant(created_at)?,
        revoked_at: revoked_at.map(instant).transpose()?,
    })
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
        let outcome = self.combiner.submit(Command::RevokeKey { id, at }).await?;
        Ok(matches!(outcome, Outcome::Revoked(true)))
    }
}
