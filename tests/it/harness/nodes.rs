//! What every test of several nodes on one PostgreSQL needs: the settings of a node, and a tenant in the database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use domain::ids::{ApiKeyId, QueueName, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::SettingsStore as _;
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use ges::front_door::hash_key;
use ges::master_key::MasterKey;
use ges::root_key::{self, KeyUse};
use ges::stores::postgres::{Address, PostgresOptions, PostgresStore};

use super::api;
use super::service::Options;

/// The key that all nodes share.
pub(crate) const MASTER_KEY: [u8; 32] = [7; 32];

/// Settings of the node with that number on that database; where its engine is has still to be said.
pub(crate) fn options(address: &Address, node: usize) -> Options {
    Options::default()
        .with("GES_DB_HOST", &address.host)
        .with("GES_DB_PORT", address.port)
        .with("GES_DB_NAME", &address.database)
        .with("GES_DB_USER", &address.user)
        .with("GES_NODE_NAME", format!("node-{node}"))
        .with("GES_MASTER_KEY", STANDARD.encode(MASTER_KEY))
}

/// The tenant of [`api`]: its queue is always open and starts callbacks at their very time.
pub(crate) fn settle(address: &Address) {
    let work = async {
        let store = PostgresStore::open(PostgresOptions::command(address.clone())).await.unwrap();
        let tenant = TenantId::from_name("demo");
        let settings = QueueSettings { execution_buffer_seconds: 0, ..QueueSettings::unlimited() };
        let document = TenantDocument::with_queues("demo", [(QueueName::new(api::QUEUE).unwrap(), settings)]);
        store.put_tenant(tenant, document).await.unwrap();
        let root = root_key::open(&store, &MasterKey::new(MASTER_KEY).into()).await.unwrap();
        let hash = hash_key(&root.sub_key(KeyUse::KeyHashes), api::KEY);
        let scopes = Scope::ALL.to_vec();
        let (id, label, created_at) = (ApiKeyId::generate(), "tests".to_owned(), DateTime::UNIX_EPOCH);
        store.add_key(ApiKey { id, tenant, hash, label, scopes, created_at, revoked_at: None }).await.unwrap();
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}
