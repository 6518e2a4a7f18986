//! Users of contact centres and their virtual queues, as the configuration service knows them.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::ids::TenantId;

/// A user of a contact centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// Its number in the configuration.
    pub dbid: u64,
    /// What it logs in as.
    pub user_name: String,
    /// Names of its access groups, ascending.
    pub access_groups: Vec<String>,
    /// The roles that the section `ges`, or else `gms`, of its annex names; none if it has neither section. A section
    /// that names no role leaves it without any.
    pub annex_roles: Option<Vec<String>>,
}

/// Names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichUser<'a> {
    /// By its number in the configuration.
    Dbid(u64),
    /// By what it logs in as, in any case of letters.
    Named(&'a str),
}

/// Why nothing is known. The texts are for operators and hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DirectoryError {
    /// There is no configuration service, or no client that it would answer about this contact centre.
    #[error("no configuration service is known for this contact centre")]
    NotConfigured,
    /// It cannot be asked, and nothing is known from before.
    #[error("the configuration service cannot be asked: {0}")]
    Unavailable(String),
}

/// Knows users and virtual queues. Read every 30 minutes and on demand; what was last read stays in force while the
/// configuration service is away.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// A user, none if the configuration has no such. Answered from memory, but for the first question about a
    /// contact centre and for users that are not known yet: those are looked for anew, once a minute at most. Within
    /// 10 s.
    async fn user(&self, tenant: TenantId, which: WhichUser<'_>) -> Result<Option<Arc<DirectoryUser>>, DirectoryError>;

    /// Names of the virtual queues, ascending.
    async fn virtual_queues(&self, tenant: TenantId) -> Result<Arc<[String]>, DirectoryError>;
}
