//! What is asked about decisions: of a booking that may come, and of a callback that waits.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Booked, Booking, HistoryEntry, StoreError, Unserved};
use crate::callback::{Callback, Live, NewCallback};
use crate::explain::{Explanation, Tally, Waiting, Whereabouts};
use crate::ids::{CallbackId, TenantId};

/// Explains. Nothing is changed by it.
#[async_trait]
pub trait ExplainDesk: Send + Sync {
    /// What a booking would come to now, judged as it would be, and nothing kept.
    async fn explain(&self, tenant: TenantId, new: NewCallback) -> Result<Explained, Unserved>;

    /// Why a callback waits, and what has happened to it.
    async fn story(&self, tenant: TenantId, id: CallbackId) -> Result<Story, Unserved>;
}

/// An explanation, with what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The explanation.
    pub explanation: Explanation,
    /// When the decider would let a booking pass.
    pub next: crate::explain::Next,
    /// The times that the decider held against each other.
    pub measure: Option<crate::explain::Measure>,
    /// When it was judged.
    pub at: DateTime<Utc>,
}

/// A callback with everything that tells why it waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// As it is stored.
    pub callback: Callback,
    /// Since when it is set aside, and why.
    pub parked: Option<(DateTime<Utc>, String)>,
    /// What it waits for.
    pub waiting: Waiting,
    /// Whether this node works on it unasked.
    pub is_ours: bool,
    /// Where it is on this node; none if its tenant gave no answer in time.
    pub whereabouts: Option<Whereabouts>,
    /// Place in the queue, in active states.
    pub live: Option<Live>,
    /// Its steps, the first ones, at most [`Self::MAX_STEPS`].
    pub history: Vec<HistoryEntry>,
    /// When it was read.
    pub at: DateTime<Utc>,
}

impl Story {
    /// Most steps that are told. A life has a dozen; late signals are written down up to version 200.
    pub const MAX_STEPS: usize = 500;
}

/// What a booking would come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// What [`super::CallbackStore::book`] would answer; never [`Booked::OtherGrid`].
    pub booked: Booked,
    /// What was counted for it, in the order of the rules, up to the one that decides.
    pub tallies: Vec<Tally>,
}

/// Looks, and writes nothing.
#[async_trait]
pub trait ExplainStore: Send + Sync {
    /// Judges a booking as [`super::CallbackStore::book`] does. Everything that the rules count is told.
    async fn preview(&self, booking: Booking) -> Result<Preview, StoreError>;

    /// Since when a callback is set aside, and why; none if it is not.
    async fn why_parked(&self, tenant: TenantId, id: CallbackId)
    -> Result<Option<(DateTime<Utc>, String)>, StoreError>;
}
