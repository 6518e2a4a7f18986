//! Secrets in settings: documents only refer to them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret of a document is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretRef {
    /// In a file, named relative to the document; taken in when the document is applied.
    File(String),
    /// In an environment variable of whoever applies the document.
    Env(String),
    /// In the store, sealed under the master key; named by its fingerprint.
    Sealed(String),
}

/// What a sealed secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// Push services: the service account of Firebase Cloud Messaging, keys of HTTP signatures.
    Push,
    /// Secret keys of captcha providers.
    Captcha,
    /// Clients of Genesys Web Services.
    Gws,
    /// Signing keys of webhooks.
    Webhook,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Push, Self::Captcha, Self::Gws, Self::Webhook];

    /// The name in paths, answers and the store: it never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Captcha => "captcha",
            Self::Gws => "gws",
            Self::Webhook => "webhook",
        }
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A secret text in clear. `Debug` shows only that there is one; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. The name is long so that each use is seen in a review.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}
