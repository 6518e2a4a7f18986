//! Secrets that a test has planted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::ports::{SecretError, Secrets};
use domain::secret::{Secret, SecretRef};

/// Opens what it was told to know; everything else is unknown.
#[derive(Default)]
pub struct FakeSecrets(Mutex<BTreeMap<(TenantId, SecretRef), Secret>>);

impl FakeSecrets {
    /// Knows a secret from now on, under any kind of reference.
    pub fn know(&self, tenant: TenantId, secret: SecretRef, text: &str) {
        self.0.lock().expect("never poisoned").insert((tenant, secret), Secret::new(text));
    }
}

#[async_trait]
impl Secrets for FakeSecrets {
    async fn reveal(&self, tenant: TenantId, secret: &SecretRef) -> Result<Secret, SecretError> {
        let known = self.0.lock().expect("never poisoned");
        known.get(&(tenant, secret.clone())).cloned().ok_or(SecretError::Unknown)
    }
}
