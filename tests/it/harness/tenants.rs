//! Tenants of a test's own, put into a data folder before the program is started in it.

use chrono::DateTime;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::SettingsStore as _;
use domain::tenant::TenantDocument;
use ges::front_door::hash_key;
use ges::master_key::{KeyUse, MasterKey};
use ges::stores::sqlite::{SqliteOptions, SqliteStore};

use super::service::Folder;

/// A key that opens everything of a tenant.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("key-of-{tenant}-in-the-integration-tests")
}

/// A data folder with these tenants, each with its [`key_of`]. The demo tenant is not made in it.
pub(crate) fn folder(documents: &[TenantDocument]) -> Folder {
    let folder = Folder::new();
    let store = SqliteStore::open(&folder.data(), SqliteOptions::command()).unwrap();
    let hashing_key = MasterKey::read_or_create(&folder.data(), true).unwrap().sub_key(KeyUse::KeyHashes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for document in documents {
        let name = document.tenant.clone();
        let tenant = TenantId::from_name(&name);
        let key = ApiKey {
            id: ApiKeyId::generate(),
            tenant,
            hash: hash_key(&hashing_key, &key_of(&name)),
            label: name,
            scopes: Scope::ALL.to_vec(),
            created_at: DateTime::UNIX_EPOCH,
            revoked_at: None,
        };
        runtime.block_on(store.put_tenant(tenant, document.clone())).unwrap();
        runtime.block_on(store.add_key(key)).unwrap();
    }
    folder
}
