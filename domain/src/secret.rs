//! Secrets in settings: documents only refer to them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a secret of a document is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretRef {
    /// In a file, named relative to the document; taken in when the document is applied.
    File(String),
    /// In an environment variable of whoever applies the document.
    Env(String),
    /// In the store, sealed under the master key; named by its fingerprint.
    Sealed(String),
}

/// A secret in clear. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
