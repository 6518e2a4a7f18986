//! Secrets that settings refer to: how the adapters that need them get them in clear.

use async_trait::async_trait;
use thiserror::Error;

use super::StoreError;
use crate::ids::TenantId;
use crate::secret::{CredentialKind, Secret, SecretRef};
use crate::tenant::TenantDocument;

/// Why a secret cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It is named as a file or a variable: that is taken in when a document is applied, and not later.
    #[error("the secret has not been taken in")]
    NotSealed,
    /// The tenant has no secret of that fingerprint, or it was removed.
    #[error("there is no such secret")]
    Unknown,
    /// It was sealed under another master key, or is damaged.
    #[error("the secret cannot be opened with this master key")]
    Unreadable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens what is sealed. A secret that is asked for again is answered from memory; one that was replaced or
/// removed is forgotten as soon as the epoch of the settings rises.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret in clear. It stays in memory no longer than it is needed, and nothing prints it.
    async fn reveal(&self, tenant: TenantId, secret: &SecretRef) -> Result<Secret, SecretError>;
}

/// Why a credential was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialRefused {
    /// Its form is wrong. The text says which form it has to have, and repeats nothing of it.
    #[error("{0}")]
    Malformed(String),
    /// Who would have to accept it has refused it.
    #[error("the provider refused it: {0}")]
    Refused(String),
    /// Who would have to accept it could not be asked. Whether it is good is not known.
    #[error("the provider could not be asked: {0}")]
    NotAsked(String),
}

/// A credential that is about to be kept.
#[derive(Clone, Copy)]
pub struct OfferedCredential<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: CredentialKind,
    /// Its name within its kind, as the settings have it: a set of captcha keys, say.
    pub name: &'a str,
    /// The settings that it is for: who its provider is stands there.
    pub settings: &'a TenantDocument,
    /// Itself.
    pub secret: &'a Secret,
}

/// Asks the provider behind a credential whether it is good, before it is kept. What has no provider to ask is
/// good as soon as its form is.
#[async_trait]
pub trait CredentialCheck: Send + Sync {
    /// Asks, within 5 s. `Ok` also where this kind cannot be asked about, or the settings name nobody to ask.
    async fn check(&self, offered: OfferedCredential<'_>) -> Result<(), CredentialRefused>;
}
