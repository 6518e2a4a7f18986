//! Exports, receipts and the audit log as they are told: the same documents over HTTP and from the command line.

mod audit;
mod export;
mod receipt;

use chrono::{DateTime, SecondsFormat, Utc};

pub use audit::{AuditDocument, AuditEntry};
pub use export::{ExportDocument, ExportedCallIn, ExportedCallback, ExportedStep};
pub use receipt::{ReceiptDocument, Remainder, Removed, Searched};

/// UTC with milliseconds.
fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
