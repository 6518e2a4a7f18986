//! Documents taken in over a real store.

mod documents;
mod keys;
mod schema;
mod secrets;
mod sources;
mod tables;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::document::Node;
use domain::ids::TenantId;
use domain::ports::{Applied, CredentialCheck, CredentialRefused, OfferedCredential, SecretError, Secrets as _};
use domain::secret::{CredentialKind, Secret, SecretRef};
use tempfile::TempDir;

use super::sources::parse;
use super::*;
use crate::clock::SystemClock;
use crate::front_door::hash_key;
use crate::root_key::RootKey;
use crate::stores::sqlite::{SqliteOptions, SqliteStore};

const HASHING_KEY: [u8; 32] = [5; 32];

/// Files and variables that a test has planted.
#[derive(Default)]
struct Planted(BTreeMap<String, String>);

impl SecretSource for Planted {
    fn read(&self, reference: &SecretRef) -> Result<Secret, String> {
        let (SecretRef::File(name) | SecretRef::Env(name) | SecretRef::Sealed(name)) = reference;
        self.0.get(name).map(Secret::new).ok_or_else(|| "is not there".to_owned())
    }
}

/// What a provider says, and how often it was asked.
#[derive(Default)]
struct Provider {
    answer: Mutex<Option<CredentialRefused>>,
    asked: Mutex<Vec<CredentialKind>>,
}

#[async_trait]
impl CredentialCheck for Provider {
    async fn check(&self, offered: OfferedCredential<'_>) -> Result<(), CredentialRefused> {
        self.asked.lock().unwrap().push(offered.kind);
        self.answer.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

struct Office {
    _folder: TempDir,
    store: Arc<SqliteStore>,
    provisioning: Provisioning,
    provider: Arc<Provider>,
    vault: Vault,
    planted: Planted,
}

impl Office {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions::command()).unwrap());
        let sealer = Sealer::new(&RootKey::new([1; 32])).unwrap();
        let provider = Arc::new(Provider::default());
        let clock = Arc::new(SystemClock::default());
        let provisioning = Provisioning::new(store.clone(), store.clone(), clock, sealer.clone(), HASHING_KEY)
            .checking(provider.clone());
        let vault = Vault::new(store.clone(), sealer);
        Self { _folder: folder, store, provisioning, provider, vault, planted: Planted::default() }
    }

    /// From now on this stands in a file and a variable of that name.
    fn plant(&mut self, name: &str, text: &str) {
        self.planted.0.insert(name.to_owned(), text.to_owned());
    }

    fn order(&self) -> Order<'_> {
        Order { actor: "test", source: &self.planted, ask_providers: true }
    }

    async fn plan(&self, yaml: &str) -> Result<Plan, ProvisioningError> {
        self.provisioning.plan(parse(yaml).unwrap(), &self.order()).await
    }

    async fn apply(&self, yaml: &str) -> Applied {
        let plan = self.plan(yaml).await.unwrap();
        self.provisioning.apply(vec![plan]).await.unwrap()[0]
    }

    /// Everything that is wrong, as it is told.
    async fn wrong(&self, yaml: &str) -> Vec<String> {
        match self.plan(yaml).await {
            Err(ProvisioningError::Mistakes(mistakes)) => mistakes.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn exported(&self, name: &str) -> String {
        let id = self.provisioning.find(name).await.unwrap().unwrap();
        yaml(&self.provisioning.export(id).await.unwrap().1).unwrap()
    }

    async fn reveal(&self, tenant: &str, fingerprint: &str) -> Result<String, SecretError> {
        let id = self.provisioning.find(tenant).await.unwrap().unwrap();
        let secret = self.vault.reveal(id, &SecretRef::Sealed(fingerprint.to_owned())).await?;
        Ok(secret.reveal().to_owned())
    }

    /// Kind, name and fingerprint of everything that is sealed.
    async fn sealed(&self, tenant: &str) -> Vec<(&'static str, String, String)> {
        let id = self.provisioning.find(tenant).await.unwrap().unwrap();
        let credentials = self.provisioning.credentials(id).await.unwrap();
        credentials.into_iter().map(|it| (it.kind.name(), it.name, it.fingerprint)).collect()
    }
}

/// The text at a place of a YAML document.
fn text_at(yaml: &str, path: &str) -> String {
    let root = parse(yaml).unwrap();
    let path: Vec<_> = path.split('.').map(str::to_owned).collect();
    match root.at(&path) {
        Some(Node::Text(text)) => text.clone(),
        other => panic!("{path:?}: {other:?}"),
    }
}
