//! The key from which the service makes all others. It is kept in the database, sealed under the master key, so that the
//! master key can be replaced while everything that was hashed and sealed goes on working (envelope encryption: the master
//! key is the key-encrypting key, NIST SP 800-57 part 1 revision 5, section 5.3).

use std::fmt;

use async_trait::async_trait;
use domain::ports::{SettingsStore, StoreError, TenantStore};
use thiserror::Error;

use crate::master_key::MasterKeys;
use crate::seal::SealError;

/// How often the root key is read again because another process has changed it meanwhile.
const TRIES: u32 = 8;

/// What a sub-key is for. The text is part of the key: it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Hashes of API keys.
    KeyHashes,
    /// Sealing of credentials.
    Sealing,
    /// Cookies of UI sessions.
    Cookies,
    /// Values that are counted.
    CountedValues,
    /// Fingerprints of secrets, which nobody else can make from a guess.
    Fingerprints,
    /// Names of what the nodes of one installation share.
    SharedNames,
}

impl KeyUse {
    const fn context(self) -> &'static str {
        match self {
            Self::KeyHashes => "ges 2026-11 api key hashes",
            Self::Sealing => "ges 2026-11 sealed credentials",
            Self::Cookies => "ges 2026-11 ui cookies",
            Self::CountedValues => "ges 2026-11 counted values",
            Self::Fingerprints => "ges 2026-11 fingerprints of secrets",
            Self::SharedNames => "ges 2026-11 shared names",
        }
    }
}

/// The root key. Never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// From its 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key for one use.
    pub fn sub_key(&self, key_use: KeyUse) -> [u8; 32] {
        blake3::derive_key(key_use.context(), &self.0)
    }

    pub(crate) const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    fn generate() -> Result<Self, RootKeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| SealError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

/// Keeps the root key as it is sealed.
#[async_trait]
pub trait RootKeyStore: Send + Sync {
    /// As it was written last; empty if it never was.
    async fn sealed_root_key(&self) -> Result<Vec<u8>, StoreError>;

    /// Writes it if what is there is still `before`. Returns whether it was.
    async fn replace_root_key(&self, before: Vec<u8>, after: Vec<u8>) -> Result<bool, StoreError>;
}

/// Why there is no root key to work with.
#[derive(Debug, Error)]
pub enum RootKeyError {
    /// The database.
    #[error("cannot read or write the root key")]
    Store(#[from] StoreError),
    /// The system.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It is sealed under a key that nobody has named.
    #[error(
        "this database was used with another master key: set GES_MASTER_KEY to that one, or add it to GES_MASTER_KEY_OLD"
    )]
    Locked,
    /// Which of several keys hashes were made with cannot be told.
    #[error(
        "this database was last used by an older program: start once with GES_MASTER_KEY as it was, and without GES_MASTER_KEY_OLD"
    )]
    Unsealed,
    /// Others write it all the time.
    #[error("the root key changes while it is read")]
    Contended,
}

/// Whether nothing in a database depends on a key yet.
///
/// # Errors
/// If it cannot be asked.
pub async fn is_fresh<S: SettingsStore + TenantStore + RootKeyStore + ?Sized>(store: &S) -> Result<bool, StoreError> {
    Ok(store.sealed_root_key().await?.is_empty() && has_no_keys(store).await?)
}

async fn has_no_keys<S: SettingsStore + TenantStore + ?Sized>(store: &S) -> Result<bool, StoreError> {
    Ok(store.keys().await?.is_empty() && !store.holds_secrets().await?)
}

/// The root key of a database, made if there is none. What an old master key opens is sealed under the current one.
///
/// # Errors
/// [`RootKeyError`].
pub async fn open<S>(store: &S, masters: &MasterKeys) -> Result<RootKey, RootKeyError>
where
    S: SettingsStore + TenantStore + RootKeyStore + ?Sized,
{
    for _ in 0..TRIES {
        let sealed = store.sealed_root_key().await?;
        if let Some(root) = masters.current.open(&sealed)? {
            return Ok(root);
        }
        let root = if sealed.is_empty() { first(store, masters).await? } else { opened_by_old(&sealed, masters)? };
        if store.replace_root_key(sealed, masters.current.seal(&root)?).await? {
            tracing::info!("the root key is sealed under the master key that is set");
            return Ok(root);
        }
    }
    Err(RootKeyError::Contended)
}

/// The root key of a database that has none. Where keys were made before there was one, it is what they were made of.
async fn first<S: SettingsStore + TenantStore + ?Sized>(
    store: &S,
    masters: &MasterKeys,
) -> Result<RootKey, RootKeyError> {
    if has_no_keys(store).await? {
        return RootKey::generate();
    }
    if masters.old.is_empty() { Ok(masters.current.as_root()) } else { Err(RootKeyError::Unsealed) }
}

fn opened_by_old(sealed: &[u8], masters: &MasterKeys) -> Result<RootKey, RootKeyError> {
    let opened = masters.old.iter().find_map(|key| key.open(sealed).transpose()).transpose()?;
    opened.ok_or(RootKeyError::Locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_have_keys_of_their_own() {
        let uses = [
            KeyUse::KeyHashes,
            KeyUse::Sealing,
            KeyUse::Cookies,
            KeyUse::CountedValues,
            KeyUse::Fingerprints,
            KeyUse::SharedNames,
        ];
        let keys: std::collections::BTreeSet<_> =
            uses.iter().flat_map(|one| [1, 2].map(|root| RootKey::new([root; 32]).sub_key(*one))).collect();
        assert_eq!(keys.len(), 2 * uses.len());
        assert_eq!(format!("{:?}", RootKey::new([1; 32])), "RootKey(…)");
    }
}
