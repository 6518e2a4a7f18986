//! Values that must not print, and how keys are read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
pub use domain::secret::Secret;

use super::kinds::{Kind, listed};

/// A secret of 32 bytes. `Debug` shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Key32(pub(crate) [u8; 32]);

impl Key32 {
    /// Takes a key in.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    pub const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

/// 32 secret bytes.
pub(super) struct Base64Key;

impl Kind for Base64Key {
    type Value = Key32;
    const SECRET: bool = true;

    fn read(&self, text: &str) -> Option<Key32> {
        from_base64(text)?.try_into().ok().map(Key32::new)
    }

    fn allowed(&self) -> String {
        "32 bytes in base64 (43 characters, or 44 with padding), such as `openssl rand -base64 32` prints".to_owned()
    }
}

/// Several of them, separated by commas.
pub(super) struct Base64Keys;

impl Base64Keys {
    /// More keys than this are a mistake.
    const MAX: usize = 8;
}

impl Kind for Base64Keys {
    type Value = Vec<Key32>;
    const SECRET: bool = true;

    fn read(&self, text: &str) -> Option<Vec<Key32>> {
        listed(text, &Base64Key, Self::MAX)
    }

    fn allowed(&self) -> String {
        format!("up to {} keys of 32 bytes in base64, separated by commas", Self::MAX)
    }
}

/// What a text means in base64, in any of its usual spellings.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}
