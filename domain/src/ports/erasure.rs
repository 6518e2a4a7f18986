//! What a store does for export and erasure by number, and for the audit log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{Details, HistoryEntry, StoreError};
use crate::audit::{Act, Entry, Link};
use crate::call_in::CallIn;
use crate::callback::{Callback, State};
use crate::erasure::Receipt;
use crate::ids::{CallbackId, ErasureId, TenantId};
use crate::numbers::PhoneNumber;

/// A callback of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCallback {
    /// Who it is.
    pub id: CallbackId,
    /// Where it stands.
    pub state: State,
    /// Whether nothing is left to do about it, here or outside.
    pub settled: bool,
}

/// A callback with everything of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The callback.
    pub callback: Callback,
    /// Rare members and user data.
    pub details: Details,
    /// The steps of its life, the first thousand of them.
    pub history: Vec<HistoryEntry>,
}

/// A call-in of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCallIn {
    /// The request.
    pub call_in: CallIn,
    /// Compact JSON text.
    pub user_data: Option<String>,
}

/// What is kept of a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldRecords {
    /// Its callbacks, oldest first.
    pub callbacks: Vec<HeldCallback>,
    /// Call-ins of the number or tied to one of those callbacks, oldest first.
    pub call_ins: Vec<HeldCallIn>,
    /// Counts per day.
    pub counted_values: u64,
    /// Answers under idempotency keys that name one of those.
    pub idempotency_keys: u64,
}

/// An erasure to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasing {
    /// Who it is to be. One of the same number that was broken off keeps its own.
    pub id: ErasureId,
    /// Whose.
    pub tenant: TenantId,
    /// Which number.
    pub phone: PhoneNumber,
    /// What recognises the number in receipts.
    pub fingerprint: [u8; 16],
    /// What the number is counted as per day.
    pub counted_as: [u8; 16],
    /// The way in.
    pub actor: String,
    /// Callbacks that were cancelled for it just now.
    pub cancelled: u64,
    /// When (database time).
    pub at: DateTime<Utc>,
}

/// Why nothing was erased.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EraseError {
    /// Callbacks of the number have not ended.
    #[error("{0} callbacks of the number have not ended")]
    Unfinished(u64),
    /// The store failed. What was erased stays erased; asked again it goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells and removes what is kept of a number. The cost is that of a look through all callbacks, in bounded steps.
#[async_trait]
pub trait PersonalStore: Send + Sync {
    /// What is kept of a number at `at`; `counted_as` is what it is counted as per day.
    async fn held(
        &self,
        tenant: TenantId,
        phone: PhoneNumber,
        counted_as: [u8; 16],
        at: DateTime<Utc>,
    ) -> Result<HeldRecords, StoreError>;

    /// One callback with everything of it.
    async fn record(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Record>, StoreError>;

    /// Removes what is kept of a number, callback by callback in bounded steps, and then whatever the files still hold
    /// of it. `Ok` once nothing of it can be found, with a receipt that is kept; the act stands in the audit log then.
    ///
    /// Broken off at any point it is gone on with by whoever asks for it again. Erasing again what was erased is done
    /// again, with a receipt of its own that counts nothing.
    async fn erase(&self, erasing: Erasing) -> Result<Receipt, EraseError>;

    /// One receipt.
    async fn receipt(&self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError>;

    /// Receipts, newest first, from before one; at most `limit`.
    async fn receipts(
        &self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError>;
}

/// An act to be written into the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// When (database time).
    pub at: DateTime<Utc>,
    /// What was done.
    pub act: Act,
    /// The way in, or `user:` and a user's name.
    pub actor: String,
    /// What it was done to; no customer's data.
    pub subject: String,
    /// What else there is to say; no customer's data.
    pub details: String,
}

/// A part of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditPage {
    /// Entries in order.
    pub entries: Vec<Entry>,
    /// The last entry that was removed because of its age.
    pub base: Link,
    /// The last entry there is.
    pub head: Link,
}

/// Keeps the audit log. Acts that are writes of a store are written with them, in the same transaction: changes of
/// documents, keys and credentials, parking and unparking, cancels by operators, erasures.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Writes an act that changes nothing.
    async fn note_act(&self, tenant: TenantId, entry: NewEntry) -> Result<(), StoreError>;

    /// Entries behind the number `after`, at most `limit`.
    async fn audit(&self, tenant: TenantId, after: u64, limit: usize) -> Result<AuditPage, StoreError>;
}
