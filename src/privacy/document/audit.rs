//! The audit log.

use domain::audit::Entry;
use domain::ports::AuditPage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{hex, stamp};

/// One administrative act.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Rises by one with every entry of the tenant.
    seq: u64,
    #[schema(format = DateTime)]
    at: String,
    /// What was done; more may come.
    #[schema(example = "settings.applied")]
    act: String,
    /// The way in: `api`, `ges` (the command line) or `service`.
    actor: String,
    /// What it was done to.
    subject: String,
    /// What else there is to say; absent for nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    details: String,
    /// BLAKE3 over the hash before it and this entry, in hexadecimal.
    hash: String,
}

/// A part of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditDocument {
    /// Oldest first.
    entries: Vec<AuditEntry>,
    /// Number of the last entry there is; 0 for none.
    head: u64,
    /// Its hash.
    head_hash: String,
    /// Where to go on; absent on the last page.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<u64>,
}

impl From<AuditPage> for AuditDocument {
    fn from(page: AuditPage) -> Self {
        let entry = |entry: Entry| AuditEntry {
            seq: entry.seq,
            at: stamp(entry.at),
            act: entry.act,
            actor: entry.actor,
            subject: entry.subject,
            details: entry.details,
            hash: hex(&entry.hash),
        };
        let last = page.entries.last().map(|entry| entry.seq).filter(|last| *last < page.head.seq);
        Self {
            head: page.head.seq,
            head_hash: hex(&page.head.hash),
            next_cursor: last,
            entries: page.entries.into_iter().map(entry).collect(),
        }
    }
}
