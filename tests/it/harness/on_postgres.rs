//! The tests of the whole program on PostgreSQL: with `TEST_STORE=postgres` every data folder comes with a database of its
//! own, in which the sample tenant is as the embedded mode makes it, and the program and its commands are told of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::TenantId;
use domain::keys::ApiKey;
use domain::tenant::TenantDocument;
use ges::master_key::MasterKey;
use ges::stores::Store;
use ges::stores::postgres::{Address, PostgresOptions, PostgresStore};
use ges::stores::sqlite::{SqliteOptions, SqliteStore};

use super::postgres::{Database, query, shared};
use super::service::{Folder, Options, Service};

/// The key of installations whose database is made here.
const MASTER_KEY: [u8; 32] = [7; 32];
/// The file beside a data folder that names its database, so that whoever knows the folder finds it.
const NAMED_IN: &str = "database";

/// Whether this run is about PostgreSQL.
fn wanted() -> bool {
    std::env::var("TEST_STORE").is_ok_and(|store| store == "postgres")
}

/// What a new database holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holding {
    Nothing,
    SampleTenant,
}

/// A database for a data folder in `place`, if this run is about PostgreSQL.
pub(crate) fn for_folder(place: &Path, holding: Holding) -> Option<Database> {
    wanted().then(|| {
        let database = Database::copy(template(holding));
        std::fs::write(place.join(NAMED_IN), &database.0.database).unwrap();
        database
    })
}

/// The database that goes with a data folder.
pub(crate) fn of(data: &Path) -> Option<Address> {
    let name = std::fs::read_to_string(data.parent()?.join(NAMED_IN)).ok()?;
    Some(shared(&name))
}

/// What the program is told of the database of a data folder.
pub(crate) fn settings(data: &Path) -> Vec<(&'static str, String)> {
    let Some(address) = of(data) else { return Vec::new() };
    vec![
        ("GES_DB_HOST", address.host),
        ("GES_DB_PORT", address.port.to_string()),
        ("GES_DB_NAME", address.database),
        ("GES_DB_USER", address.user),
        ("GES_NODE_NAME", "ges".to_owned()),
        ("GES_MASTER_KEY", STANDARD.encode(MASTER_KEY)),
        ("GES_ROUTING", "simulator".to_owned()),
    ]
}

/// The master key of what a data folder belongs to, made if it is not there.
pub(crate) fn master_key(data: &Path) -> MasterKey {
    match of(data) {
        Some(_) => MasterKey::new(MASTER_KEY),
        None => MasterKey::read_or_create(data, true).unwrap(),
    }
}

/// That key as it is written down.
pub(crate) fn master_key_text(data: &Path) -> String {
    match of(data) {
        Some(_) => STANDARD.encode(MASTER_KEY),
        None => std::fs::read_to_string(data.join("master.key")).unwrap().trim().to_owned(),
    }
}

/// Does something with the store of a data folder, as a command beside the program does.
pub(crate) fn with_store<T: Send>(data: &Path, work: impl AsyncFnOnce(Arc<dyn Store>) -> T + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store: Arc<dyn Store> = match of(data) {
                Some(address) => Arc::new(PostgresStore::open(PostgresOptions::command(address)).await.unwrap()),
                None => Arc::new(SqliteStore::open(data, SqliteOptions::command()).unwrap()),
            };
            work(store).await
        })
    };
    // Callers may stand on a thread of another runtime.
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn template(holding: Holding) -> &'static str {
    static EMPTY: OnceLock<String> = OnceLock::new();
    static SAMPLE: OnceLock<String> = OnceLock::new();
    let (template, what) = match holding {
        Holding::Nothing => (&EMPTY, "empty"),
        Holding::SampleTenant => (&SAMPLE, "sample"),
    };
    template.get_or_init(|| {
        let name = format!("{what}_{}", std::process::id());
        query(&shared("postgres"), &format!("CREATE DATABASE {name}"));
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(NAMED_IN), &name).unwrap();
        let sample = matches!(holding, Holding::SampleTenant).then(sample_tenant);
        with_store(&place.path().join("data"), async |store| {
            if let Some((document, key, root_key)) = sample {
                // The hash of the key was made of it.
                assert!(store.replace_root_key(Vec::new(), root_key).await.unwrap());
                store.put_tenant(key.tenant, document).await.unwrap();
                store.add_key(key).await.unwrap();
            }
        });
        // A template with a session in it cannot be copied, and sessions end a little after their sockets.
        let sessions = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        while !query(&shared("postgres"), &sessions).is_empty() {}
        name
    })
}

/// The sample tenant, its key, and the root key of that, as the program itself makes them in the embedded mode.
fn sample_tenant() -> (TenantDocument, ApiKey, Vec<u8>) {
    let options = Options::default().with("GES_MASTER_KEY", STANDARD.encode(MASTER_KEY));
    let mut service = Service::start_in(Folder::embedded(), options);
    service.kill9();
    with_store(&service.folder().data(), async |store| {
        let kept = store.document(TenantId::from_name("demo")).await.unwrap().expect("the sample tenant is made");
        let mut keys = store.keys().await.unwrap();
        let key = keys.pop().expect("the sample tenant has a key");
        (kept.document, key, store.sealed_root_key().await.unwrap())
    })
}
