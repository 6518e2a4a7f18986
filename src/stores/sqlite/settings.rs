//! What readers are asked about tenants, API keys and the root key.

use async_trait::async_trait;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ports::StoreError;

use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::SettingsReads;
use crate::stores::rows::settings::KeyRow;

statements! {
    ListTenants -> (Binary, Text, Text) =
        "SELECT id, name, settings FROM tenants WHERE name IS NOT NULL AND settings IS NOT NULL ORDER BY name";
    ListKeys -> (Binary, Binary, Binary, Text, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT k.id, t.id, k.hash, k.label, k.scopes, k.created_at, k.revoked_at
        FROM api_keys k JOIN tenants t ON t.key = k.tenant ORDER BY k.created_at, k.id";
    TenantOfKey -> (Binary) = "SELECT t.id FROM api_keys k JOIN tenants t ON t.key = k.tenant WHERE k.id = ?";
    RootKeyRow -> (Binary) = "SELECT root_key FROM installation";
}

#[async_trait]
impl SettingsReads for Reader {
    async fn tenant_rows(&mut self) -> Result<Vec<(Vec<u8>, String, String)>, StoreError> {
        self.rows::<ListTenants, _>(&[])
    }

    async fn key_rows(&mut self) -> Result<Vec<KeyRow>, StoreError> {
        self.rows::<ListKeys, _>(&[])
    }

    async fn tenant_of_key_row(&mut self, id: &[u8]) -> Result<Option<(Vec<u8>,)>, StoreError> {
        self.first::<TenantOfKey, _>(&[id.into()])
    }

    async fn root_key_row(&mut self) -> Result<Option<(Vec<u8>,)>, StoreError> {
        self.first::<RootKeyRow, _>(&[])
    }
}
