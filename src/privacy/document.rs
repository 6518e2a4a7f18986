//! Exports, receipts and the audit log as they are told: the same documents over HTTP and from the command line.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::audit::Entry;
use domain::callback::Options;
use domain::erasure::Receipt;
use domain::numbers::PhoneNumber;
use domain::ports::{AuditPage, HeldCallIn, HistoryEntry, Record};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};

use super::PrivacyError;

/// UTC with milliseconds.
fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Free data as it was sent.
fn free_data() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .description(Some("What was sent along."))
        .into()
}

fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, PrivacyError> {
    text.map(RawValue::from_string).transpose().map_err(|_| PrivacyError::Unreadable)
}

/// One step of a callback's life.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedStep {
    version: u32,
    #[schema(format = DateTime)]
    at: String,
    /// Why.
    cause: &'static str,
    callback_state: &'static str,
    attempt: u32,
}

/// A callback with everything of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedCallback {
    #[schema(format = Uuid)]
    id: String,
    /// Its queue.
    service_name: String,
    phone_number: String,
    #[schema(format = DateTime)]
    desired_time: String,
    callback_state: &'static str,
    /// Why it ended.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<String>,
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Routing's session.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The rarer members of the booking, by their names in it; devices among them.
    #[schema(schema_with = free_data)]
    options: Options,
    /// What was sent along or attached since.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
    history: Vec<ExportedStep>,
}

impl ExportedCallback {
    pub(super) fn new(record: Record) -> Result<Self, PrivacyError> {
        let Record { callback, details, history } = record;
        let step = |entry: HistoryEntry| ExportedStep {
            version: entry.version,
            at: stamp(entry.at),
            cause: entry.cause.name(),
            callback_state: entry.state.name(),
            attempt: entry.attempt,
        };
        Ok(Self {
            id: callback.id.to_string(),
            service_name: callback.queue.into(),
            phone_number: callback.phone.e164(),
            desired_time: stamp(callback.desired_time),
            callback_state: callback.state.name(),
            callback_reason: callback.reason.map(|reason| reason.as_str().to_owned()),
            ended_at: callback.ended_at.map(stamp),
            session_id: callback.session.map(Into::into),
            options: details.options,
            user_data: raw(details.user_data)?,
            history: history.into_iter().map(step).collect(),
        })
    }

    /// Rough length of its text.
    pub(super) fn bytes(&self) -> usize {
        self.user_data.as_ref().map_or(0, |data| data.get().len()) + self.history.len() * 128
    }
}

/// A call-in with everything of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedCallIn {
    #[schema(format = Uuid)]
    id: String,
    state: &'static str,
    group_name: String,
    /// Number to dial.
    to_phone_number: String,
    /// Number that the customer said to call from.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_phone_number: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code: Option<u32>,
    /// The callback that it is tied to.
    #[schema(nullable = false, format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_service_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// What was sent along.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
}

/// Everything that is kept of a number, or a page of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportDocument {
    phone_number: String,
    /// When it was told.
    #[schema(format = DateTime)]
    at: String,
    /// Oldest first.
    pub(super) callbacks: Vec<ExportedCallback>,
    /// Of the number, or tied to one of its callbacks; oldest first, 1,000 at most.
    pub(super) call_ins: Vec<ExportedCallIn>,
    /// Call-ins beyond those.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    pub(super) call_ins_left_out: u64,
    /// Counts of the number per day and queue: kept as a keyed hash and a figure each.
    pub(super) counted_values: u64,
    /// Answers under idempotency keys that name one of those: kept as hashes of key and body, and an id.
    pub(super) idempotency_keys: u64,
    /// Where to go on; absent if this is all.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ExportDocument {
    pub(super) fn new(phone: PhoneNumber, at: DateTime<Utc>) -> Self {
        Self {
            phone_number: phone.e164(),
            at: stamp(at),
            callbacks: Vec::new(),
            call_ins: Vec::new(),
            call_ins_left_out: 0,
            counted_values: 0,
            idempotency_keys: 0,
            next_cursor: None,
        }
    }

    pub(super) fn take_call_ins(&mut self, held: Vec<HeldCallIn>) -> Result<(), PrivacyError> {
        for HeldCallIn { call_in, user_data } in held {
            self.call_ins.push(ExportedCallIn {
                id: call_in.id.to_string(),
                state: call_in.state.name(),
                group_name: call_in.group.into(),
                to_phone_number: call_in.number.e164(),
                from_phone_number: call_in.caller.map(PhoneNumber::e164),
                access_code: call_in.code,
                callback_service_id: call_in.callback.map(|id| id.to_string()),
                created_at: stamp(call_in.created_at),
                expires_at: stamp(call_in.expires_at),
                user_data: raw(user_data)?,
            });
        }
        Ok(())
    }

    /// Where to go on; none if this is all.
    pub fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }

    /// Takes in the page that comes after it.
    pub fn append(&mut self, page: Self) {
        self.callbacks.extend(page.callbacks);
        self.next_cursor = page.next_cursor;
    }
}

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

/// What a look into the files found afterwards.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    /// Bytes of the database.
    bytes: u64,
    /// Whether the database was written anew, because copies were left between its rows.
    rewritten: bool,
    /// Places that look like something of it even so: 0, unless the same number is kept for another tenant.
    found: u64,
}

/// What this installation cannot reach, or keeps on purpose.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remainder {
    /// backups, callbacks, events, receivers, journal or settings.
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

fn remains(receipt: &Receipt) -> Vec<Remainder> {
    let entry = |r#where, what: &str| Remainder { r#where, what: what.to_owned(), until: None };
    let mut remains = vec![
        Remainder {
            until: Some(stamp(receipt.copies_hold_until())),
            ..entry(
                "backups",
                "Copies of the data folder that were made before hold it until they are deleted. Erase the number again \
                 after putting one back; its records would go by their age then at the latest.",
            )
        },
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
    ];
    if receipt.counts.blinded > 0 {
        remains.push(entry("callbacks", "Rows without number and data, until routing has been told of their end."));
    }
    remains
}

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
