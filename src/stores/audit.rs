//! The chain of the audit log and its rows, the same in every store.

use chrono::DateTime;
use domain::audit::{Entry, MAX_SUBJECT_CHARS, actor_name};
use domain::ids::TenantId;
use domain::ports::{NewEntry, StoreError};

use super::rows::{instant, millis, unreadable, whole};

/// Entries of a tenant that are kept whatever their age; older ones go.
pub(super) const MAX_ENTRIES: i64 = 100_000;

/// Entries of a tenant that one purge removes.
pub(super) const TIDIED_AT_ONCE: i64 = 250;

/// The hash of the audit log's chain.
pub fn audit_digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// An entry that is written and not committed yet. Its hash goes to the log: whoever changes the database afterwards
/// cannot change it there.
pub(super) struct Noted {
    tenant: TenantId,
    pub(super) entry: Entry,
}

impl Noted {
    /// The entry behind the last one of a tenant, which had that number and hash.
    pub(super) fn behind(tenant: TenantId, last: i64, before: &[u8; 32], new: NewEntry) -> Self {
        let mut entry = Entry {
            seq: whole(last) + 1,
            // As it will be read.
            at: DateTime::from_timestamp_millis(millis(new.at)).unwrap_or(new.at),
            act: new.act.name().to_owned(),
            actor: actor_name(&new.actor).to_owned(),
            subject: new.subject.chars().take(MAX_SUBJECT_CHARS).collect(),
            details: new.details,
            hash: [0; 32],
        };
        entry.hash = entry.hash_behind(tenant, before, audit_digest);
        Self { tenant, entry }
    }

    pub(super) fn tell(&self) {
        tracing::info!(
            tenant.id = %self.tenant,
            act = self.entry.act,
            audit.seq = self.entry.seq,
            audit.hash = %blake3::Hash::from_bytes(self.entry.hash).to_hex(),
            "an administrative act was recorded"
        );
    }
}

/// A hash as it is stored.
pub(super) fn hash(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| unreadable("a hash of the audit log has not 32 bytes"))
}

/// Number, instant, act, actor, subject, details, hash.
pub(super) type EntryRow = (i64, i64, String, String, String, String, Vec<u8>);

/// Makes an entry of its row.
pub(super) fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    let (seq, at, act, actor, subject, details, bytes) = row;
    Ok(Entry { seq: whole(seq), at: instant(at)?, act, actor, subject, details, hash: hash(bytes)? })
}
