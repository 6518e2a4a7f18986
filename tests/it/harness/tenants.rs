//! Tenants of a test's own, put into a data folder before the program is started in it.

use chrono::DateTime;
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::tenant::TenantDocument;
use ges::front_door::hash_key;
use ges::root_key::{self, KeyUse};
use ges::stores::Store;

use super::on_postgres::{master_key, with_store};
use super::service::Folder;

/// A key that opens everything of a tenant.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("key-of-{tenant}-in-the-integration-tests")
}

/// A data folder with these tenants, each with its [`key_of`]. The demo tenant is not made in it.
pub(crate) fn folder(documents: &[TenantDocument]) -> Folder {
    let folder = Folder::without_tenants();
    with_store(&folder.data(), async |store| put(store.as_ref(), &folder, documents).await);
    folder
}

async fn put(store: &dyn Store, folder: &Folder, documents: &[TenantDocument]) {
    let root = root_key::open(store, &master_key(&folder.data()).into()).await.unwrap();
    let hashing_key = root.sub_key(KeyUse::KeyHashes);
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
        store.put_tenant(tenant, document.clone()).await.unwrap();
        store.add_key(key).await.unwrap();
    }
}
