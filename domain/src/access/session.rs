//! Sessions of users, and accounts that the service keeps itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use thiserror::Error;

use super::Membership;
use crate::ids::TenantId;

/// Longest name of a user, in characters.
pub const MAX_USER_CHARS: usize = 128;
/// Most roles of one account or group.
pub const MAX_ROLES: usize = 20;
/// How long a session that nobody uses is kept at most, whatever the limits say.
pub const SESSION_KEPT: Duration = Duration::hours(24);
/// How much time may pass before a use is written down: each click would be a write otherwise.
const NOTED_EVERY: Duration = Duration::seconds(30);

/// Keyed hash of the token of a session. The token itself is in the user's browser and nowhere else.
pub type TokenHash = [u8; 32];

/// A text that is no name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a name has 1 to {MAX_USER_CHARS} letters, digits and characters of .-_@+")]
pub struct BadUserName;

/// How a user is named: in local accounts, and in the audit log. It holds nothing that would need quoting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name made of any text: what cannot stand in a name is replaced, and what is too long is cut.
    pub fn lossy(text: &str) -> Option<Self> {
        let kept = |letter: char| if is_good(letter) { letter } else { '_' };
        let name: String = text.trim().chars().take(MAX_USER_CHARS).map(kept).collect();
        name.parse().ok()
    }
}

fn is_good(letter: char) -> bool {
    letter.is_alphanumeric() || ".-_@+".contains(letter)
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> Result<Self, BadUserName> {
        let good = (1..=MAX_USER_CHARS).contains(&text.chars().count()) && text.chars().all(is_good);
        if good { Ok(Self(text.into())) } else { Err(BadUserName) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user who has logged in.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What finds it.
    pub token: TokenHash,
    /// Who it is.
    pub user: UserName,
    /// The user's own tenant.
    pub tenant: TenantId,
    /// What was known of the user at `checked_at`.
    pub membership: Membership,
    /// When the user logged in.
    pub created_at: DateTime<Utc>,
    /// When it was used last, give or take [`Session::use_is_noted`].
    pub used_at: DateTime<Utc>,
    /// When the membership was looked up last.
    pub checked_at: DateTime<Utc>,
    /// What the provider gave to ask about the user again and to sign out there, sealed; none for local accounts.
    pub sealed: Option<Vec<u8>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without a request.
    pub idle: Duration,
    /// From the log-in, however busy.
    pub life: Duration,
    /// How many a user may have; one more ends the one that was used least lately.
    pub per_user: usize,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sitting {
    /// It goes on.
    Open,
    /// It was not used for too long, or is too old.
    Over,
}

impl Session {
    /// Whether it goes on.
    pub fn sitting(&self, limits: &SessionLimits, now: DateTime<Utc>) -> Sitting {
        let open = now < self.created_at + limits.life && now < self.used_at + limits.idle;
        if open { Sitting::Open } else { Sitting::Over }
    }

    /// Whether a use at `now` is so soon after the last one that it need not be written down.
    pub fn use_is_noted(&self, limits: &SessionLimits, now: DateTime<Utc>) -> bool {
        now < self.used_at + NOTED_EVERY.min(limits.idle / 10)
    }
}

/// What stands before the hash of a locked account: no password fits what begins so.
const LOCK: char = '!';

/// A user whom the service knows by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name, unique in the installation.
    pub name: UserName,
    /// The user's tenant.
    pub tenant: TenantId,
    /// Hash of the password with its parameters and salt, as text (PHC); behind a mark if the account is locked.
    pub password: String,
    /// Roles and lines of business.
    pub membership: Membership,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Account {
    /// Whether nobody gets in by it.
    pub fn is_locked(&self) -> bool {
        self.password.starts_with(LOCK)
    }

    /// The same, locked. Its password is kept.
    #[must_use]
    pub fn locked(self) -> Self {
        if self.is_locked() { self } else { Self { password: format!("{LOCK}{}", self.password), ..self } }
    }

    /// The same with the password that it had before it was locked.
    #[must_use]
    pub fn unlocked(self) -> Self {
        let password = self.password.trim_start_matches(LOCK).to_owned();
        Self { password, ..self }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
