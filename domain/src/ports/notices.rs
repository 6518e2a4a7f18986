//! Notices: how they are kept, taken on and written back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};

use super::StoreError;
use crate::happening::{Happening, HappeningId, Kind};
use crate::ids::{CallbackId, Incarnation, TenantId};
use crate::notices::{Channel, Claimed, Detail, Ending, LaneId, NoticeKey, Verdict};
use crate::push::{PushEvent, PushResult};

/// What somebody takes on. Lanes are served in turn, each by its own share, so that a lane with much to do keeps no
/// other waiting.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimNotices {
    /// Who takes them on.
    pub owner: Incarnation,
    /// Incarnations that are alive: what they have taken on is left to them until their lease ends.
    pub living: Vec<Incarnation>,
    /// Notices due at this instant (database time) count.
    pub at: DateTime<Utc>,
    /// For how long nobody else touches what is taken on.
    pub lease: Duration,
    /// The lane served last: the turn is that of the next.
    pub after: LaneId,
    /// How many each lane may have in hand.
    pub per_lane: usize,
    /// How many lanes have in hand already.
    pub in_hand: BTreeMap<LaneId, usize>,
    /// At most so many in all.
    pub limit: usize,
}

/// How a try ended, to be written back.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// Whose notice.
    pub tenant: TenantId,
    /// Which.
    pub key: NoticeKey,
    /// Who had taken it on. If it is another's by now, nothing is written.
    pub owner: Incarnation,
    /// The try that has ended, as claimed.
    pub attempt: u32,
    /// What follows.
    pub verdict: Verdict,
    /// What can be said of the try.
    pub detail: Detail,
    /// What it says about an endpoint.
    pub endpoint: EndpointMood,
    /// When the try ended (database time).
    pub at: DateTime<Utc>,
    /// What happened by that, if anybody is to be told.
    pub told: Option<Told>,
    /// Who is told if the endpoint is switched off now.
    pub told_of_disabling: Vec<String>,
}

/// A notification has come to its end, and the tenant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it was.
    pub event: PushEvent,
    /// How it ended.
    pub result: PushResult,
    /// Webhook endpoints that are told.
    pub endpoints: Vec<String>,
}

/// What a try says about the endpoint it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointMood {
    /// Nothing: it was not asked.
    Unknown,
    /// It takes messages.
    Well,
    /// It failed; switched off if it does so since [`crate::webhooks::FAILING_MAX`].
    Failing,
    /// It says that it is gone for good.
    Gone,
}

/// What became of a [`Settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// It was written: the notice was still in the hands of its owner.
    pub written: bool,
    /// Another notice has become due by that.
    pub released: bool,
    /// The endpoint was switched off just now.
    pub disabled: bool,
}

/// A stretch of a tenant's feed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stretch {
    /// In order, without a gap.
    pub happenings: Vec<Happening>,
    /// The place of the oldest that is kept; one beyond the last if none is.
    pub first_kept: u64,
    /// The place of the last there is; 0 if there never was one.
    pub last: u64,
}

/// One notice as its tenant may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeView {
    /// What it tells.
    pub happening: HappeningId,
    /// The kind of that.
    pub kind: Kind,
    /// The callback it is about.
    pub callback: Option<CallbackId>,
    /// The endpoint it is for; none for a notification to a customer.
    pub endpoint: Option<String>,
    /// Which device of the booking it is for.
    pub target: u8,
    /// How it ended; none while it is owed.
    pub ending: Option<Ending>,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next; none if it has ended, or waits for an earlier one.
    pub next_at: Option<DateTime<Utc>>,
    /// The latest tries, oldest first.
    pub tries: Vec<(DateTime<Utc>, Detail)>,
}

/// Which notices are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeQuery {
    /// Those for an endpoint, newest first, from before a place in the feed.
    Endpoint {
        /// Its name.
        endpoint: String,
        /// Only older ones than this.
        before: Option<u64>,
    },
    /// Notifications to customers, newest first, from before a place in the feed.
    Push {
        /// Only older ones than this.
        before: Option<u64>,
    },
    /// Those of one happening, to whomever.
    Happening(u64),
}

/// An endpoint as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its name.
    pub name: String,
    /// Since when it has failed without one success.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it was switched off because of that.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Messages it is owed, counted up to [`Self::MAX_COUNTED`]; those that wait for an earlier one do not count.
    pub owed: u64,
}

impl EndpointRecord {
    /// Beyond so many it is "many".
    pub const MAX_COUNTED: u64 = 10_000;
}

/// What is to be made owed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// Whose.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: String,
    /// Places in the feed, ascending.
    pub seqs: Vec<u64>,
    /// Whether messages that were delivered are sent once more.
    pub delivered_too: bool,
    /// When (database time).
    pub at: DateTime<Utc>,
}

/// Notices that are owed in the whole installation, over one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// The channel.
    pub channel: Channel,
    /// How many are due, or being sent; counted up to [`Self::MAX_COUNTED`].
    pub due: u64,
    /// How long the oldest of those has been due.
    pub oldest: std::time::Duration,
}

impl Owed {
    /// Beyond so many it is "many".
    pub const MAX_COUNTED: u64 = 100_000;
}

/// Keeps happenings and notices. What a step causes is written by the step itself
/// ([`super::CallbackStore::book`], [`super::CallbackStore::save`]).
///
/// The order of a tenant's feed is the order of its commits: whoever has read up to a place never finds a new
/// happening before it.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Takes on what is due. What was taken on by somebody who died, or longer ago than its lease, is taken on again
    /// and says so.
    async fn claim(&self, claim: ClaimNotices) -> Result<Vec<Claimed>, StoreError>;

    /// Writes back how a try ended, and makes the next notice about the same callback due, if one waited.
    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError>;

    /// What is owed over each channel.
    async fn owed(&self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError>;

    /// Happenings behind the place `after`, at most `limit`.
    async fn happenings(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError>;

    /// The place before the first happening at or after `since` that is kept.
    async fn place_at(&self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError>;

    /// Notices, at most `limit`.
    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, StoreError>;

    /// The endpoints that were ever owed anything.
    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError>;

    /// Makes messages owed (again); returns how many. Those that are owed already, and happenings that are not kept
    /// any more, are passed over.
    async fn renew(&self, renew: Renew) -> Result<u64, StoreError>;

    /// Switches an endpoint on again that was switched off because it failed; false if it was not.
    async fn enable_endpoint(&self, tenant: TenantId, endpoint: &str) -> Result<bool, StoreError>;

    /// Removes happenings of a tenant from before an instant, with their notices, at most `limit`; returns how many.
    async fn forget_happenings(&self, tenant: TenantId, before: DateTime<Utc>, limit: usize)
    -> Result<u64, StoreError>;
}
