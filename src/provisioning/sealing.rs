//! Sealing secrets of tenants, and opening them again.

use std::fmt;
use std::sync::Arc;

use domain::ids::TenantId;
use domain::secret::Secret;

use crate::root_key::{KeyUse, RootKey};
use crate::seal::{Seal, SealError};

/// How a secret is sealed. The first byte of what is stored.
const FORMAT: u8 = 1;
/// Hexadecimal digits of a fingerprint: 64 bits, far more than a tenant has secrets.
const FINGERPRINT_DIGITS: usize = 16;

/// Seals and opens. Never prints.
#[derive(Clone)]
pub struct Sealer {
    seal: Arc<Seal>,
    fingerprints: [u8; 32],
}

impl Sealer {
    /// With the keys that the root key gives for it.
    ///
    /// # Errors
    /// [`SealError`], which cannot happen with keys of this length.
    pub fn new(root: &RootKey) -> Result<Self, SealError> {
        let seal = Arc::new(Seal::new(&root.sub_key(KeyUse::Sealing))?);
        Ok(Self { seal, fingerprints: root.sub_key(KeyUse::Fingerprints) })
    }

    /// Names a secret of a tenant. Who has not the root key can neither make one from a guess nor see that two
    /// tenants have the same secret.
    pub fn fingerprint(&self, tenant: TenantId, secret: &Secret) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.fingerprints);
        hasher.update(tenant.as_uuid().as_bytes()).update(secret.reveal().as_bytes());
        hasher.finalize().to_hex().chars().take(FINGERPRINT_DIGITS).collect()
    }

    /// Seals a secret such that it opens for its tenant and under its fingerprint only.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, tenant: TenantId, secret: &Secret) -> Result<Vec<u8>, SealError> {
        let about = about(tenant, &self.fingerprint(tenant, secret));
        let sealed = self.seal.seal(&about, secret.reveal().as_bytes())?;
        Ok([&[FORMAT], sealed.as_slice()].concat())
    }

    /// The secret in clear; none if it was sealed for another tenant, another fingerprint or under another root
    /// key, or is damaged.
    pub fn open(&self, tenant: TenantId, fingerprint: &str, sealed: &[u8]) -> Option<Secret> {
        let (format, sealed) = sealed.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let opened = self.seal.open(&about(tenant, fingerprint), sealed)?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

/// What a sealed text is bound to.
fn about(tenant: TenantId, fingerprint: &str) -> Vec<u8> {
    [tenant.as_uuid().as_bytes().as_slice(), fingerprint.as_bytes()].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(&RootKey::new([key; 32])).unwrap()
    }

    fn tenant() -> TenantId {
        TenantId::from_name("acme")
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again_and_nothing_else_does(text in any::<String>(), at in any::<prop::sample::Index>()) {
            let (sealer, secret) = (sealer(1), Secret::new(text.as_str()));
            let fingerprint = sealer.fingerprint(tenant(), &secret);
            let sealed = sealer.seal(tenant(), &secret).unwrap();
            prop_assert_eq!(sealer.open(tenant(), &fingerprint, &sealed), Some(secret));
            let mut damaged = sealed;
            let at = at.index(damaged.len());
            damaged[at] ^= 1;
            prop_assert_eq!(sealer.open(tenant(), &fingerprint, &damaged), None);
            prop_assert_eq!(sealer.open(tenant(), &fingerprint, &damaged[..at]), None);
        }
    }

    #[test]
    fn a_secret_opens_for_its_tenant_under_its_key_only() {
        let secret = Secret::new("planted");
        let sealed = sealer(1).seal(tenant(), &secret).unwrap();
        let fingerprint = sealer(1).fingerprint(tenant(), &secret);
        let other = TenantId::from_name("other");
        assert_eq!(sealer(1).open(other, &fingerprint, &sealed), None);
        assert_eq!(sealer(1).open(tenant(), "0123456789abcdef", &sealed), None);
        assert_eq!(sealer(2).open(tenant(), &fingerprint, &sealed), None);
        assert_ne!(sealer(1).fingerprint(other, &secret), fingerprint);
        assert_ne!(sealer(2).fingerprint(tenant(), &secret), fingerprint);
        assert_ne!(sealer(1).seal(tenant(), &secret).unwrap(), sealed, "each sealing has a nonce of its own");
        assert!(!sealed.windows(7).any(|part| part == b"planted"));
        assert_eq!((fingerprint.len(), format!("{:?}", sealer(1)).as_str()), (16, "Sealer(…)"));
    }
}
