//! The audit log: which administrative acts there were, as a chain that shows when somebody has changed it.
//!
//! Every entry of a tenant has the number after that of the entry before it, and a hash over itself and the hash of that
//! one. So an entry that is changed, taken out, put in or moved breaks the chain at that place. What a chain alone
//! cannot show is that its end was cut off, or that all of it was written anew: for that somebody has to know a later
//! hash, which is why each one is also told to the log of the service when it is made.
//!
//! No entry holds a customer's data: callbacks, keys and erasures are named by their ids, numbers not at all. Users are
//! named as they log in. Log-ins are no administrative acts: the log of a tenant is bounded, and whoever could fill it by
//! logging in again and again could push out what should be seen.

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::ids::TenantId;

/// Longest subject of an entry, in characters.
pub const MAX_SUBJECT_CHARS: usize = 300;

/// What begins the bytes of every entry: another form of entries gets another one.
const FORM: &[u8] = b"ges audit 1";

/// Administrative acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The document of a tenant was changed.
    SettingsApplied,
    /// An API key was made.
    KeyCreated,
    /// Name or scopes of an API key were changed.
    KeyChanged,
    /// An API key was revoked.
    KeyRevoked,
    /// A secret was sealed.
    CredentialPut,
    /// A secret was forgotten.
    CredentialRemoved,
    /// The service set a callback aside.
    CallbackParked,
    /// An operator took a parked callback up again.
    CallbackUnparked,
    /// An operator cancelled a callback.
    CallbackCancelled,
    /// Everything that is kept of a number was told.
    NumberExported,
    /// Everything that is kept of a number was removed.
    NumberErased,
    /// A local account was made.
    AccountAdded,
    /// What a local account may do was changed.
    AccountChanged,
    /// A local account got another password.
    AccountPassword,
    /// A local account was locked.
    AccountLocked,
    /// A local account was unlocked.
    AccountUnlocked,
    /// A local account was removed.
    AccountRemoved,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 17] = [
        Self::SettingsApplied,
        Self::KeyCreated,
        Self::KeyChanged,
        Self::KeyRevoked,
        Self::CredentialPut,
        Self::CredentialRemoved,
        Self::CallbackParked,
        Self::CallbackUnparked,
        Self::CallbackCancelled,
        Self::NumberExported,
        Self::NumberErased,
        Self::AccountAdded,
        Self::AccountChanged,
        Self::AccountPassword,
        Self::AccountLocked,
        Self::AccountUnlocked,
        Self::AccountRemoved,
    ];

    /// Its name, in storage and on the wire. It is part of the hashes: it never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SettingsApplied => "settings.applied",
            Self::KeyCreated => "key.created",
            Self::KeyChanged => "key.changed",
            Self::KeyRevoked => "key.revoked",
            Self::CredentialPut => "credential.put",
            Self::CredentialRemoved => "credential.removed",
            Self::CallbackParked => "callback.parked",
            Self::CallbackUnparked => "callback.unparked",
            Self::CallbackCancelled => "callback.cancelled",
            Self::NumberExported => "number.exported",
            Self::NumberErased => "number.erased",
            Self::AccountAdded => "account.added",
            Self::AccountChanged => "account.changed",
            Self::AccountPassword => "account.password",
            Self::AccountLocked => "account.locked",
            Self::AccountUnlocked => "account.unlocked",
            Self::AccountRemoved => "account.removed",
        }
    }
}

/// Who acts, as the audit log tells it: the way in, or a user.
pub fn actor_name(actor: &str) -> &str {
    let word = actor.split([' ', '(']).next().unwrap_or_default();
    if word.is_empty() { "ges" } else { word }
}

/// A hash of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Link {
    /// Number of the entry; 0 before the first.
    pub seq: u64,
    /// Its hash; zeros before the first.
    pub hash: [u8; 32],
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When (database time).
    pub at: DateTime<Utc>,
    /// What was done: the name of an [`Act`], or one that a newer program knows.
    pub act: String,
    /// The way in.
    pub actor: String,
    /// What it was done to.
    pub subject: String,
    /// What else there is to say; empty for nothing.
    pub details: String,
    /// Hash over the hash before and everything above.
    pub hash: [u8; 32],
}

/// Makes a hash of 32 bytes.
pub type Digest = fn(&[u8]) -> [u8; 32];

impl Entry {
    /// The hash that it has to have behind `before`.
    pub fn hash_behind(&self, tenant: TenantId, before: &[u8; 32], digest: Digest) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(FORM);
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(tenant.as_uuid().as_bytes());
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.at.timestamp_millis().to_le_bytes());
        for text in [&self.act, &self.actor, &self.subject, &self.details] {
            // With its length, so that no text can run over into the next.
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        digest(&bytes)
    }

    /// Its place in the chain.
    pub const fn link(&self) -> Link {
        Link { seq: self.seq, hash: self.hash }
    }
}

/// Where a chain is broken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// It is not there, or stands in another place.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// Its hash is not that of what it says behind the entry before it.
    #[error("entry {0} was changed, or the one before it")]
    Changed(u64),
    /// The chain ends later than its end says.
    #[error("entry {0} was added behind the end")]
    Added(u64),
    /// The chain is whole and not the one that is known.
    #[error("entry {0} is another one than the hash that was noted: the chain was written anew")]
    Rewritten(u64),
}

/// Follows a chain entry by entry.
#[derive(Debug, Clone)]
pub struct Verifier {
    tenant: TenantId,
    digest: Digest,
    last: Link,
    /// What somebody has noted elsewhere.
    noted: Option<Link>,
}

impl Verifier {
    /// Begins behind `base`. `noted` is a link that is known to have been in the chain.
    pub const fn new(tenant: TenantId, base: Link, noted: Option<Link>, digest: Digest) -> Self {
        Self { tenant, digest, last: base, noted }
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`Broken`] if it does not belong there.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Broken> {
        if entry.seq != self.last.seq + 1 {
            return Err(Broken::Missing(self.last.seq + 1));
        }
        if entry.hash != entry.hash_behind(self.tenant, &self.last.hash, self.digest) {
            return Err(Broken::Changed(entry.seq));
        }
        if self.noted.is_some_and(|noted| noted.seq == entry.seq && noted.hash != entry.hash) {
            return Err(Broken::Rewritten(entry.seq));
        }
        self.last = entry.link();
        Ok(())
    }

    /// After the last entry; `head` is what the store says is the end.
    ///
    /// # Errors
    /// [`Broken`] if the end is missing.
    pub fn finish(self, head: Link) -> Result<Link, Broken> {
        let end = self.noted.map_or(head.seq, |noted| noted.seq.max(head.seq));
        if self.last.seq < end {
            return Err(Broken::Missing(self.last.seq + 1));
        }
        if self.last.seq > head.seq {
            return Err(Broken::Added(head.seq + 1));
        }
        if self.last.hash != head.hash {
            return Err(Broken::Changed(head.seq));
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests;
