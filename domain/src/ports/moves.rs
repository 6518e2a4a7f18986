//! Places that are held, callbacks that move to another time or are made once more.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{SlotClaim, StoreError, SubmitError, Submitted, Unserved};
use crate::callback::{Idempotency, State};
use crate::captcha::CaptchaToken;
use crate::holds::{Hold, HoldBounds, HoldsReached};
use crate::ids::{CallbackId, HoldId, QueueName, TenantId};

/// What the public API asks beside plain bookings.
#[async_trait]
pub trait MovesDesk: Send + Sync {
    /// Holds a place. `Ok` means it is durable until it expires.
    async fn hold(&self, tenant: TenantId, new: NewHold) -> Result<Hold, HoldError>;

    /// Gives a held place up.
    async fn release(&self, tenant: TenantId, id: HoldId) -> Result<(), Unserved>;

    /// Moves a scheduled callback to another time; to the one that it has already, nothing is left to do. Refused,
    /// everything is as it was. `Ok` means it is durable.
    async fn reschedule(
        &self,
        tenant: TenantId,
        id: CallbackId,
        desired_time: DateTime<Utc>,
    ) -> Result<(), RescheduleError>;

    /// Books a callback like one that has ended: same queue, number, user data and rare members.
    async fn recreate(&self, tenant: TenantId, id: CallbackId, again: Recreation) -> Result<Submitted, RecreateError>;
}

/// A hold as the door hands it in: well-formed, not yet judged by the rules of its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// The wanted queue, as written by the client.
    pub service_name: String,
    /// When the callback will be wanted.
    pub desired_time: DateTime<Utc>,
    /// Whom it will be for, as written by the client, if that is known already.
    pub phone_number: Option<String>,
    /// Makes a repetition recognisable.
    pub idempotency: Option<Idempotency>,
}

/// How a callback is to be made once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Recreation {
    /// When to call; absent means now.
    pub desired_time: Option<DateTime<Utc>>,
    /// As with a booking.
    pub always_check_capacity: bool,
    /// As with a booking.
    pub idempotency: Option<Idempotency>,
    /// As with a booking.
    pub counted_headers: Vec<(String, String)>,
    /// As with a booking.
    pub captcha: Option<CaptchaToken>,
}

/// Why no place is held.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum HoldError {
    /// A rule that a booking for that time would break too.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// The queue lets nobody hold places.
    #[error("the queue lets nobody hold places")]
    NotOffered,
    /// There are as many holds as may be.
    #[error("as many places are held as may be")]
    TooMany(HoldsReached),
    /// What the key had made is gone: used, given up, or over.
    #[error("the hold of this key is gone")]
    Gone,
}

impl From<Unserved> for HoldError {
    fn from(unserved: Unserved) -> Self {
        Self::Refused(unserved.into())
    }
}

/// Why a callback was not moved.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RescheduleError {
    /// It waits for its time no more.
    #[error("a callback in state {0} cannot be rescheduled")]
    NotReschedulable(State),
    /// A rule that a booking for that time would break too; or it was not found, or not done.
    #[error(transparent)]
    Refused(#[from] SubmitError),
}

impl From<Unserved> for RescheduleError {
    fn from(unserved: Unserved) -> Self {
        Self::Refused(unserved.into())
    }
}

/// Why a callback was not made once more.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RecreateError {
    /// It has not ended yet.
    #[error("a callback in state {0} cannot be made once more")]
    NotEnded(State),
    /// What a booking is refused for; or it was not found, or not done.
    #[error(transparent)]
    Refused(#[from] SubmitError),
}

impl From<Unserved> for RecreateError {
    fn from(unserved: Unserved) -> Self {
        Self::Refused(unserved.into())
    }
}

/// Keeps held places.
#[async_trait]
pub trait HoldStore: Send + Sync {
    /// Takes a place and keeps it under `holding.id`: both, or neither.
    async fn hold(&self, holding: Holding) -> Result<Held, StoreError>;

    /// Gives a place up; false if the tenant has no such hold at `at`.
    async fn release(&self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Gives back the places whose time was over at `at`; at most `limit`, how many. Cheap when there are none. Who wants
    /// a place of a full slot gets such a one even before this has been called.
    async fn expire_holds(&self, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError>;
}

/// One hold: everything of it is written, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its id, if it is kept.
    pub id: HoldId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whose slots.
    pub queue: QueueName,
    /// When the callback will be wanted.
    pub desired_time: DateTime<Utc>,
    /// The place.
    pub slot: SlotClaim,
    /// What the number is kept as that it is for, if one is known.
    pub number: Option<[u8; 16]>,
    /// How many holds of the queue there may be.
    pub bounds: HoldBounds,
    /// From when on it is gone.
    pub expires_at: DateTime<Utc>,
    /// Makes a repetition recognisable.
    pub idempotency: Option<Idempotency>,
    /// When it is made (database time).
    pub at: DateTime<Utc>,
}

/// What became of a hold that reached the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Kept.
    New,
    /// The same key and body had made this one, and it is still there.
    Existing(Hold),
    /// The same key and body had made one that is gone. Nothing was kept.
    Gone,
    /// The key had been used with another body. Nothing was kept.
    KeyReused,
    /// The slot has no place left. Nothing was kept.
    SlotFull,
    /// A bound is met. Nothing was kept.
    TooMany(HoldsReached),
    /// As [`super::Booked::OtherGrid`].
    OtherGrid,
}
