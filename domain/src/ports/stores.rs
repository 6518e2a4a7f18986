//! What stores do: callbacks, settings and keys, who is alive.

mod cancelling;
mod work;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{How, SubmitError, Submitted, Unserved};
use crate::callback::{Callback, Cause, Idempotency, Options, Saving, State};
use crate::captcha::TokenRefusal;
use crate::happening::Announcement;
use crate::ids::{ApiKeyId, CallbackId, HoldId, Incarnation, QueueName, TenantId};
use crate::keys::ApiKey;
use crate::notices::Audience;
use crate::slots::Grid;
use crate::tenant::{Tenant, TenantDocument};
use crate::throttle::{BookingLimits, LimitReached};
pub use work::*;

/// How a call to a store failed. The texts are for operators and hold no values of rows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Surely nothing was written or read.
    #[error("not done: {0}")]
    NotDone(String),
    /// It may have been written.
    #[error("perhaps done: {0}")]
    PerhapsDone(String),
    /// A row is there and makes no sense: newer than this program, or damaged.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// Why a conditional write wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SaveError {
    /// Somebody else saved first, or owns it now: reload and step again.
    #[error("the callback has changed since it was read")]
    Conflict,
    /// There is no such row any more.
    #[error("no such callback")]
    NotFound,
    /// The wanted slot has no place left; nothing was written.
    #[error("the slot is full")]
    SlotFull,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A place in a slot, wanted together with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotClaim {
    /// Start of the slot, on the queue's grid.
    pub start: DateTime<Utc>,
    /// Places that the slot has in all, as known now.
    pub capacity: u32,
    /// The grid that has a slot there.
    pub grid: Grid,
}

/// One booking: everything of it is written, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Booking {
    /// The callback in its first version. If it holds a slot, that slot is taken with it.
    pub callback: Callback,
    /// Places of the slot, if the callback holds one.
    pub slot_capacity: u32,
    /// The grid of the queue by which it was judged.
    pub grid: Grid,
    /// Rare members.
    pub options: Options,
    /// Compact JSON text.
    pub user_data: Option<String>,
    /// Makes a repetition recognisable.
    pub idempotency: Option<Idempotency>,
    /// What is counted before it is kept, in the same transaction.
    pub limits: BookingLimits,
    /// Hash of the captcha token that came with it; no other booking of the tenant may bring the same.
    pub captcha: Option<[u8; 16]>,
    /// The held place that it takes over in place of a free one.
    pub hold: Option<HoldId>,
    /// When it was booked (database time).
    pub booked_at: DateTime<Utc>,
    /// What is written and owed because of it.
    pub announcement: Option<Announcement>,
    /// Who is told if another callback ends for it.
    pub on_replaced: Option<Audience>,
}

/// What became of a booking that reached the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Booked {
    /// Kept.
    New,
    /// The same key and body had been kept before, under this id.
    Existing(CallbackId),
    /// What was kept under the key has been erased. Nothing was kept.
    Gone,
    /// The key had been used with another body. Nothing was kept.
    KeyReused,
    /// The captcha token came with an earlier booking. Nothing was kept.
    TokenUsed,
    /// The slot has no place left. Nothing was kept.
    SlotFull,
    /// The tenant has no such hold: it was used or given up, or it is over. Nothing was kept.
    HoldGone,
    /// The hold is one of another queue or slot. Nothing was kept.
    HoldElsewhere,
    /// The number waits already, under this id, and the tenant wants that to be the answer. Nothing but the key was
    /// kept.
    Duplicate(CallbackId),
    /// Kept, and in the same write this callback of the same number has ended, as [`crate::throttle::replacement`] does
    /// it.
    Replaced {
        /// The other callback.
        id: CallbackId,
        /// Where it stood.
        from: State,
    },
    /// A counted rule refuses it. Nothing was kept.
    Limited(LimitReached),
    /// The places of the queue are counted, or being counted, by another grid than the booking's, so that its slot
    /// means nothing. Nothing was kept. It may be judged again by the settings of that moment.
    OtherGrid,
}

impl Booked {
    /// What the customer is told of a booking under this id. A full slot proposes nothing yet.
    pub fn told(&self, id: CallbackId) -> Result<Submitted, SubmitError> {
        let done = |id, how| Ok(Submitted { id, how });
        match self {
            Self::New => done(id, How::Booked),
            Self::Replaced { .. } => done(id, How::Replaced),
            Self::Existing(id) => done(*id, How::Replayed),
            Self::Duplicate(id) => done(*id, How::Existing),
            Self::KeyReused => Err(SubmitError::KeyReused),
            Self::TokenUsed => Err(SubmitError::CaptchaRefused(TokenRefusal::Used)),
            Self::Gone => Err(Unserved::NotFound.into()),
            Self::HoldGone => Err(SubmitError::HoldGone),
            Self::HoldElsewhere => Err(SubmitError::HoldElsewhere),
            Self::SlotFull => Err(SubmitError::SlotFull { proposals: Vec::new() }),
            Self::Limited(reached) => Err(SubmitError::Limited(reached.clone())),
            Self::OtherGrid => Err(Unserved::Busy.into()),
        }
    }
}

/// One conditional write of a callback.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The callback as it shall be.
    pub callback: Callback,
    /// Where it stood before.
    pub from: State,
    /// The version that it was stepped from; anything else stored is a conflict.
    pub expected_version: u32,
    /// If set, the row must also belong to this incarnation.
    pub expected_owner: Option<Incarnation>,
    /// Cause, implied states and slots.
    pub saving: Saving,
    /// Places of the slot in `saving.take`, if there is one.
    pub slot_capacity: u32,
    /// The grid that the slot in `saving.take` belongs to, or the one that a moved callback stays in. If the queue is
    /// counted by another one, it is a conflict.
    pub grid: Grid,
    /// When (database time), for the history.
    pub at: DateTime<Utc>,
    /// What is written and owed because of it.
    pub announcement: Option<Announcement>,
}

/// A callback on which somebody has to work: enough to find its tenant and to ask for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Who it is.
    pub id: CallbackId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its queue.
    pub queue: QueueName,
    /// Where it stands.
    pub state: State,
    /// When it is wanted.
    pub desired_time: DateTime<Utc>,
    /// When work is due.
    pub wake_at: DateTime<Utc>,
    /// As [`Callback::needs_place`].
    pub needs_place: bool,
}

/// What the rare members and the user data of a callback are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    /// Rare members.
    pub options: Options,
    /// Compact JSON text.
    pub user_data: Option<String>,
}

/// A callback that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Who it is.
    pub id: CallbackId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Why, readable alone.
    pub reason: String,
}

/// One step in the life of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The version it made.
    pub version: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub cause: Cause,
    /// The state since then.
    pub state: State,
    /// States passed through on the way.
    pub implied: Vec<State>,
    /// The attempt since then.
    pub attempt: u32,
}

/// Sizes of the work lists of the whole installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkCounts {
    /// Scheduled callbacks that wait for their time.
    pub scheduled: u64,
    /// Active callbacks, and finished ones that owe something.
    pub active: u64,
    /// Parked callbacks.
    pub parked: u64,
}

/// Keeps callbacks. Every write is atomic and durable before it is `Ok`.
#[async_trait]
pub trait CallbackStore: Send + Sync {
    /// Keeps a new callback with its slot, details, history and key. Judged before anything is written, in this order:
    /// the key, the places of the slot, the counted rules in the order of [`BookingLimits`]. The place of a callback that
    /// ends for this one counts as free.
    async fn book(&self, booking: Booking) -> Result<Booked, StoreError>;

    /// What became of the booking that was kept under a key: [`Booked::Existing`], [`Booked::Gone`] or
    /// [`Booked::KeyReused`]; none if none was kept.
    async fn known(&self, tenant: TenantId, key: Idempotency, at: DateTime<Utc>) -> Result<Option<Booked>, StoreError>;

    /// Writes a step, conditional on version and, if asked, owner. Slots move with it or not at all. A parked callback
    /// stays set aside, without a `wake_at`, until it ends or is taken up again.
    async fn save(&self, change: Change) -> Result<(), SaveError>;

    /// One callback of a tenant.
    async fn load(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Callback>, StoreError>;

    /// Rare members and user data of a callback.
    async fn details(&self, tenant: TenantId, id: CallbackId) -> Result<Option<Details>, StoreError>;

    /// The steps of a callback's life in order; at most `limit`.
    async fn history(&self, tenant: TenantId, id: CallbackId, limit: usize) -> Result<Vec<HistoryEntry>, StoreError>;

    /// Gives unowned scheduled callbacks to `claim.owner`, each with a new version. Their `wake_at` becomes
    /// their start instant under the lead of their queue.
    async fn claim(&self, claim: Claim) -> Result<Vec<Due>, StoreError>;

    /// Callbacks of `owner` on which work is due at `at`, oldest first. Reads only.
    async fn due(&self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Result<Vec<Due>, StoreError>;

    /// Gives callbacks that nobody looks after to `take.owner`, each with a new version. Cheap when there are none.
    async fn take(&self, take: Take) -> Result<Vec<Due>, StoreError>;

    /// Gives callbacks of a node that ends to others, as many to each, each with a new version; what is due, and when,
    /// stays. Returns how many were given: whoever wants all of them to go repeats it until none is.
    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError>;

    /// Sets a callback aside: nobody works on it unasked until it is taken up again.
    async fn park(&self, tenant: TenantId, id: CallbackId, reason: &str, at: DateTime<Utc>) -> Result<(), SaveError>;

    /// Makes a parked callback due at `at`. `actor` stands in the audit log.
    async fn unpark(&self, tenant: TenantId, id: CallbackId, at: DateTime<Utc>, actor: &str) -> Result<(), SaveError>;

    /// What is parked, oldest first.
    async fn parked(&self, limit: usize) -> Result<Vec<Parked>, StoreError>;

    /// Places taken per slot start, from `from` up to but not including `to`; slots without bookings are left out.
    async fn places_taken(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<BTreeMap<DateTime<Utc>, u32>, StoreError>;

    /// A number that grows with every write of the tenant's, and of what is nobody's, before whoever wrote hears of it:
    /// as long as it stays, [`Self::places_taken`] does. None where others may write unseen.
    fn writes_of(&self, _tenant: TenantId) -> Option<u64> {
        None
    }

    /// Counts the places of queues by other grids from now on: every unfinished callback that holds a slot, and is
    /// wanted at most two hours before `at` or later, gets the slot that its desired time has in the new grid, whether
    /// or not that has so many places, with a new version. Finished callbacks stay counted where they were.
    ///
    /// From its beginning to its end, bookings by other grids, and by the new one too, are [`Booked::OtherGrid`], so
    /// that no slot is oversold meanwhile. Queues that are counted by their grid already cost one read, so it may be
    /// repeated at any time, by every node; broken off, it is finished by whoever repeats it. If two nodes count by
    /// different grids, the one that began last goes on, and the other gets [`StoreError::NotDone`].
    ///
    /// Returns how many callbacks were moved.
    async fn recount(
        &self,
        tenant: TenantId,
        grids: &BTreeMap<QueueName, Grid>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError>;

    /// Removes settled callbacks wanted before `desired_before`, with everything of theirs, and idempotency
    /// keys and slots that are past their use. At most `limit` callbacks; returns how many.
    async fn purge(&self, desired_before: DateTime<Utc>, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError>;

    /// Sizes of the work lists.
    async fn work_counts(&self) -> Result<WorkCounts, StoreError>;
}

/// Keeps tenants and API keys. Every change raises the epoch.
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// Every tenant. A document that is not understood is [`StoreError::Unreadable`].
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError>;

    /// Every tenant whose document is understood, and the ids of those whose document is not: one that a newer program has
    /// written must not hide all others.
    async fn understood_tenants(&self) -> Result<(Vec<Tenant>, Vec<TenantId>), StoreError> {
        Ok((self.tenants().await?, Vec::new()))
    }

    /// Keeps the document of a tenant, replacing what was there.
    async fn put_tenant(&self, id: TenantId, document: TenantDocument) -> Result<(), StoreError>;

    /// Every API key, revoked ones included.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Keeps a new key. The same hash twice is [`StoreError::NotDone`].
    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// Refuses a key from now on; false if there is none, or it was revoked before.
    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// What a heartbeat brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Database time, read by this very call.
    pub now: DateTime<Utc>,
    /// Rises with every change of settings or keys.
    pub epoch: i64,
    /// Every registered incarnation with its counter.
    pub nodes: Vec<(Incarnation, i64)>,
}

/// Keeps who is alive. Never goes through the write combiner.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// Registers a new incarnation of the node `name`; every older one of that name is removed.
    async fn register(&self, name: &str, version: &str) -> Result<Incarnation, StoreError>;

    /// Raises the counter of `me` and reads the rest.
    async fn heartbeat(&self, me: Incarnation) -> Result<Beat, StoreError>;

    /// Removes `me`: a clean goodbye.
    async fn leave(&self, me: Incarnation) -> Result<(), StoreError>;
}
