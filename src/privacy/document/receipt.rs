//! What was erased, and what an erasure does not reach.

use domain::erasure::{Keeper, Receipt};
use serde::Serialize;
use utoipa::ToSchema;

use super::{hex, stamp};

/// How many of each were removed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    callbacks: u64,
    /// Callbacks that have lost number and data; their rows stay until routing has been told of their end.
    blinded: u64,
    /// Entries of histories.
    history: u64,
    /// Options (devices among them) and user data, of callbacks and call-ins.
    details: u64,
    call_ins: u64,
    /// Notifications that were owed to devices.
    notices: u64,
    /// Counts of the number per day and queue.
    counted_values: u64,
    /// Answers under idempotency keys, which tell nothing any more.
    idempotency_keys: u64,
}

/// What a look found afterwards.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    /// Bytes of the database.
    bytes: u64,
    /// Whether the database was written anew, because copies were left between its rows.
    rewritten: bool,
    /// Places that look like something of it even so: 0, unless the same number is kept for another tenant (in a file), or
    /// has come anew meanwhile (in PostgreSQL).
    found: u64,
}

/// What this installation cannot reach, or keeps on purpose.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remainder {
    /// backups, archives, files, callbacks, events, receivers, journal or settings.
    r#where: &'static str,
    /// What is there.
    what: String,
    /// Until when, if that is known.
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// What was erased. No personal data is in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptDocument {
    #[schema(format = Uuid)]
    id: String,
    /// Keyed hash of the number: the same for the same number and tenant, and nothing without the master key.
    fingerprint: String,
    /// The way in.
    actor: String,
    #[schema(format = DateTime)]
    begun_at: String,
    /// Absent if it was broken off: erase the number again, and it is gone on with.
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    /// Callbacks that were cancelled for it.
    cancelled: u64,
    removed: Removed,
    searched: Searched,
    remains: Vec<Remainder>,
}

impl From<Receipt> for ReceiptDocument {
    fn from(receipt: Receipt) -> Self {
        let (counts, search) = (receipt.counts, receipt.search);
        Self {
            id: receipt.id.to_string(),
            fingerprint: hex(&receipt.fingerprint),
            begun_at: stamp(receipt.begun_at),
            finished_at: receipt.finished_at.map(stamp),
            cancelled: receipt.cancelled,
            removed: Removed {
                callbacks: counts.callbacks,
                blinded: counts.blinded,
                history: counts.history,
                details: counts.details,
                call_ins: counts.call_ins,
                notices: counts.notices,
                counted_values: counts.counted_values,
                idempotency_keys: counts.idempotency_keys,
            },
            searched: Searched { bytes: search.bytes, rewritten: search.rewritten, found: search.found },
            remains: remains(&receipt),
            actor: receipt.actor,
        }
    }
}

fn entry(r#where: &'static str, what: &str) -> Remainder {
    Remainder { r#where, what: what.to_owned(), until: None }
}

/// Copies of what was kept.
fn copies(receipt: &Receipt) -> Vec<Remainder> {
    let until = Some(stamp(receipt.copies_hold_until()));
    match receipt.keeper {
        Keeper::Folder => vec![Remainder {
            until,
            ..entry(
                "backups",
                "Copies of the data folder that were made before hold it until they are deleted. Erase the number again \
                 after putting one back; its records would go by their age then at the latest.",
            )
        }],
        Keeper::Server => vec![
            Remainder {
                until: until.clone(),
                ..entry(
                    "backups",
                    "Backups, dumps and snapshots of the database that were made before hold it until they are deleted. \
                     Erase the number again after putting one back; its records would go by their age then at the latest.",
                )
            },
            Remainder {
                until,
                ..entry(
                    "archives",
                    "Archived segments of the write-ahead log hold it until they are deleted: a recovery to a moment \
                     before the erasure brings it back. Erase the number again after one.",
                )
            },
            entry(
                "files",
                "No query finds it, but pages and write-ahead log of the server, and of its standbys, hold bytes of it \
                 until something else is written there. VACUUM FULL, CHECKPOINT, a switch of the log and another \
                 CHECKPOINT end that.",
            ),
        ],
    }
}

fn remains(receipt: &Receipt) -> Vec<Remainder> {
    let mut remains = copies(receipt);
    remains.extend([
        entry("events", "Events and webhook messages name callbacks by id and state. They hold no number and no data."),
        entry("receivers", "What webhooks, notifications and routing have carried away is with those who received it."),
        Remainder {
            until: Some(stamp(receipt.finished_at.unwrap_or(receipt.begun_at) + chrono::Duration::days(15))),
            ..entry("journal", "The journal of the built-in simulator names callbacks by id. It holds no number.")
        },
        entry(
            "settings",
            "Documents of tenants and their history are not looked through: take numbers out of rules there.",
        ),
    ]);
    if receipt.counts.blinded > 0 {
        remains.push(entry("callbacks", "Rows without number and data, until routing has been told of their end."));
    }
    remains
}
