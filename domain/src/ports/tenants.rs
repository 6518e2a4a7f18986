//! Documents of tenants with their history, and what is sealed for them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::StoreError;
use crate::ids::{ApiKeyId, TenantId};
use crate::keys::{ApiKey, Scope};
use crate::secret::CredentialKind;
use crate::tenant::TenantDocument;

/// The document of a tenant as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// How often it was changed; 1 for the first.
    pub revision: u64,
    /// What it says.
    pub document: TenantDocument,
}

/// What a change of a document has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// No such tenant.
    Absent,
    /// This revision and no other.
    Revision(u64),
}

/// A change of an API key that goes with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// A new one. Its hash must not be known.
    Add(ApiKey),
    /// Another name, or another permission.
    Change {
        /// Which.
        id: ApiKeyId,
        /// What a person calls it now.
        label: String,
        /// What it allows now.
        scopes: Vec<Scope>,
    },
    /// Refused from now on.
    Revoke(ApiKeyId),
}

/// A secret that nobody can read without the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it opens.
    pub kind: CredentialKind,
    /// Its name within the kind, 1 to 255 characters.
    pub name: String,
    /// Names the secret without telling it.
    pub fingerprint: String,
    /// When it was put.
    pub updated_at: DateTime<Utc>,
}

/// A change of what is sealed that goes with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialChange {
    /// Keeps it, replacing what has its kind and name.
    Put {
        /// What it is.
        credential: Credential,
        /// The secret, sealed.
        sealed: Vec<u8>,
    },
    /// Forgets it.
    Remove {
        /// What it opens.
        kind: CredentialKind,
        /// Its name within the kind.
        name: String,
    },
}

/// One change of one tenant: all of it is written, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// Whose document.
    pub tenant: TenantId,
    /// What has to be there.
    pub expected: Expected,
    /// What it shall say. One that says what is kept already makes no revision.
    pub document: TenantDocument,
    /// Who changes it, for the history; up to 255 characters, no personal data.
    pub actor: String,
    /// When (database time).
    pub at: DateTime<Utc>,
    /// Keys that change with it.
    pub keys: Vec<KeyChange>,
    /// Secrets that change with it.
    pub credentials: Vec<CredentialChange>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The revision that is kept now.
    pub revision: u64,
    /// The document says something else than before.
    pub changed: bool,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// Somebody else has changed the document meanwhile, or it is not there, or it is.
    #[error("the document of the tenant has changed meanwhile")]
    Conflict {
        /// Whose.
        tenant: TenantId,
        /// What is there; none if nothing is.
        found: Option<u64>,
    },
    /// Another tenant has the name.
    #[error("another tenant has that name")]
    NameTaken,
    /// A key that is to be added is known already, or one that is to be changed is not.
    #[error("the keys of the tenant have changed meanwhile")]
    KeysChanged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One entry of the history of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub revision: u64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Who brought it.
    pub actor: String,
}

/// Revisions that are kept of each tenant; older ones go.
pub const KEPT_REVISIONS: u64 = 100;

/// Keeps the documents of tenants. Every change raises the epoch.
#[async_trait]
pub trait TenantStore: Send + Sync {
    /// The document of a tenant.
    async fn document(&self, tenant: TenantId) -> Result<Option<Kept>, StoreError>;

    /// Writes changes of several tenants: all of them, or none. What is returned stands in their order.
    async fn apply(&self, applications: Vec<Application>) -> Result<Vec<Applied>, ApplyError>;

    /// The history of a document, newest first; at most `limit`.
    async fn revisions(&self, tenant: TenantId, limit: usize) -> Result<Vec<Revision>, StoreError>;

    /// What a document said in a revision that is still kept.
    async fn revision(&self, tenant: TenantId, revision: u64) -> Result<Option<TenantDocument>, StoreError>;

    /// What is sealed for a tenant, by kind and name.
    async fn credentials(&self, tenant: TenantId) -> Result<Vec<Credential>, StoreError>;

    /// A secret of a tenant, sealed.
    async fn sealed(&self, tenant: TenantId, fingerprint: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether anything is sealed for anybody: then the master key must not be replaced.
    async fn holds_secrets(&self) -> Result<bool, StoreError>;
}
