//! Where users, and what they have opened, are kept.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{NewEntry, StoreError};
use crate::access::{Account, Membership, Session, TokenHash, UserName};
use crate::ids::TenantId;

/// Keeps sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps a new one. Of the same user of a tenant at most `per_user` are left: those that were used last.
    async fn open_session(&self, session: Session, per_user: usize) -> Result<(), StoreError>;

    /// The session of a token, whether it is over or not.
    async fn session(&self, token: TokenHash) -> Result<Option<Session>, StoreError>;

    /// Writes down that it was used, and what is known of its user now. False if it has ended meanwhile.
    async fn renew_session(&self, renewal: Renewal) -> Result<bool, StoreError>;

    /// Ends one. False if there is none.
    async fn end_session(&self, token: TokenHash) -> Result<bool, StoreError>;
}

/// What has changed about a session.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Which one.
    pub token: TokenHash,
    /// When it was used last.
    pub used_at: DateTime<Utc>,
    /// What was found out about its user, if somebody was asked.
    pub checked: Option<Checked>,
}

/// What was found out about a user.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What is known now.
    pub membership: Membership,
    /// Since when.
    pub at: DateTime<Utc>,
    /// What the provider gave, sealed.
    pub sealed: Option<Vec<u8>>,
}

/// Keeps local accounts.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// One account.
    async fn account(&self, name: &UserName) -> Result<Option<Account>, StoreError>;

    /// Every account, by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// Keeps a new account. False if the name is taken, and then nothing was changed. `entry` is written into the audit log
    /// of its tenant with it, as those of all changes here.
    async fn add_account(&self, account: Account, entry: NewEntry) -> Result<bool, StoreError>;

    /// Replaces password, roles and lines of an account, and ends its sessions. False if there is none.
    async fn change_account(&self, account: Account, entry: NewEntry) -> Result<bool, StoreError>;

    /// Removes an account of a tenant and ends its sessions. False if there is none.
    async fn remove_account(&self, tenant: TenantId, name: &UserName, entry: NewEntry) -> Result<bool, StoreError>;
}
