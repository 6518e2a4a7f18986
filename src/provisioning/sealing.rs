//! Sealing secrets under the master key, and opening them again.

use std::fmt;
use std::sync::Arc;

use domain::ids::TenantId;
use domain::secret::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;

use crate::master_key::{KeyUse, MasterKey};

/// How a secret is sealed: ChaCha20-Poly1305 with a random nonce. The first byte of what is stored.
const FORMAT: u8 = 1;
/// Hexadecimal digits of a fingerprint: 64 bits, far more than a tenant has secrets.
const FINGERPRINT_DIGITS: usize = 16;

/// Why a secret could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The operating system has no random numbers, or the text is far too long.
    #[error("cannot seal a secret")]
    NotSealed,
}

/// Seals and opens. Never prints.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
    fingerprints: [u8; 32],
}

impl Sealer {
    /// With the keys that the master key gives for it.
    ///
    /// # Errors
    /// [`SealError`], which cannot happen with keys of this length.
    pub fn new(master: &MasterKey) -> Result<Self, SealError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &master.sub_key(KeyUse::Sealing));
        let key = key.map_err(|_| SealError::NotSealed)?;
        Ok(Self { key: Arc::new(LessSafeKey::new(key)), fingerprints: master.sub_key(KeyUse::Fingerprints) })
    }

    /// Names a secret of a tenant. Who has not the master key can neither make one from a guess nor see that two
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
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NotSealed)?;
        let mut text = secret.reveal().as_bytes().to_vec();
        let about = about(tenant, &self.fingerprint(tenant, secret));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut text)
            .map_err(|_| SealError::NotSealed)?;
        Ok([&[FORMAT], nonce.as_slice(), &text].concat())
    }

    /// The secret in clear; none if it was sealed for another tenant, another fingerprint or under another master
    /// key, or is damaged.
    pub fn open(&self, tenant: TenantId, fingerprint: &str, sealed: &[u8]) -> Option<Secret> {
        let (format, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *format != FORMAT {
            return None;
        }
        let mut text = text.to_vec();
        let about = Aad::from(about(tenant, fingerprint));
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), about, &mut text).ok()?;
        std::str::from_utf8(opened).ok().map(Secret::new)
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
        Sealer::new(&MasterKey::new([key; 32])).unwrap()
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
