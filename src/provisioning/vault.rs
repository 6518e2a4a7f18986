//! Opens sealed secrets for those who need them, and remembers what it has opened until the settings change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::keys::ApiKey;
use domain::ports::{KeyRing, SecretError, Secrets, TenantStore};
use domain::secret::{Secret, SecretRef};
use domain::tenant::Tenant;

use super::Sealer;

/// Secrets that are remembered; above that everything is forgotten once.
const MAX_OPENED: usize = 1_000;

/// The secrets of an installation.
pub struct Vault {
    tenants: Arc<dyn TenantStore>,
    sealer: Sealer,
    opened: Mutex<Opened>,
}

#[derive(Default)]
struct Opened {
    secrets: HashMap<(TenantId, String), Secret>,
    /// Rises when everything is forgotten: what was read before is not remembered after.
    generation: u64,
}

impl Vault {
    /// Over what is kept, with the keys that it was sealed with.
    pub fn new(tenants: Arc<dyn TenantStore>, sealer: Sealer) -> Self {
        Self { tenants, sealer, opened: Mutex::default() }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything that was opened.
    pub fn forget(&self) {
        let mut opened = self.opened();
        opened.secrets.clear();
        opened.generation += 1;
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn reveal(&self, tenant: TenantId, secret: &SecretRef) -> Result<Secret, SecretError> {
        let SecretRef::Sealed(fingerprint) = secret else { return Err(SecretError::NotSealed) };
        let key = (tenant, fingerprint.clone());
        let generation = {
            let opened = self.opened();
            if let Some(secret) = opened.secrets.get(&key) {
                return Ok(secret.clone());
            }
            opened.generation
        };
        let sealed = self.tenants.sealed(tenant, fingerprint).await?.ok_or(SecretError::Unknown)?;
        let secret = self.sealer.open(tenant, fingerprint, &sealed).ok_or(SecretError::Unreadable)?;
        let mut opened = self.opened();
        if opened.generation == generation {
            if opened.secrets.len() >= MAX_OPENED {
                opened.secrets.clear();
            }
            opened.secrets.insert(key, secret.clone());
        }
        Ok(secret)
    }
}

/// A key ring and a vault that hear of changed settings together.
pub struct KeyRingAndVault {
    /// Where the door looks callers up.
    pub keys: Arc<dyn KeyRing>,
    /// What is forgotten then.
    pub vault: Arc<Vault>,
}

impl KeyRing for KeyRingAndVault {
    fn replace(&self, tenants: &[Tenant], keys: Vec<ApiKey>) {
        self.vault.forget();
        self.keys.replace(tenants, keys);
    }

    fn share_among(&self, nodes: u32) {
        self.keys.share_among(nodes);
    }
}
