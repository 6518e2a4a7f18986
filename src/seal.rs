//! Sealing of what only this service may read, with ChaCha20-Poly1305 and a random nonce: credentials of tenants, what a
//! provider gave for a session, what a browser carries while its user is away to log in, the root key.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;

/// Why something could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot seal a secret: the operating system has no random numbers, or it is far too long")]
pub struct SealError;

/// Seals and opens under one key. Never prints.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    /// Under that key.
    ///
    /// # Errors
    /// [`SealError`], which cannot happen with keys of this length.
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, SealError> {
        UnboundKey::new(&CHACHA20_POLY1305, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| SealError)
    }

    /// Seals a text such that it opens with the same `about` only.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn seal(&self, about: &[u8], text: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError)?;
        let (nonce_to_use, mut sealed) = (Nonce::assume_unique_for_key(nonce), text.to_vec());
        self.0.seal_in_place_append_tag(nonce_to_use, Aad::from(about), &mut sealed).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The text; none if it is damaged, or sealed about something else or under another key.
    pub(crate) fn open(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about), &mut text).ok()?;
        Some(opened.to_vec())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_as_it_was_sealed_and_no_other_way() {
        let seal = Seal::new(&[1; 32]).unwrap();
        let sealed = seal.seal(b"one", b"text").unwrap();
        assert_eq!(seal.open(b"one", &sealed).as_deref(), Some(b"text".as_slice()));
        assert_ne!(seal.seal(b"one", b"text").unwrap(), sealed);
        assert_eq!(seal.open(b"other", &sealed), None);
        assert_eq!(Seal::new(&[2; 32]).unwrap().open(b"one", &sealed), None);
        let mut damaged = sealed.clone();
        damaged[20] ^= 1;
        assert_eq!(seal.open(b"one", &damaged), None);
        assert_eq!(seal.open(b"one", b"short"), None);
    }
}
