//! What the tree offers: the desk for the public API, the inbox for routing.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::callback::{Canceller, Live, NewCallback, Reason, Reply, Signal, State, StepError};
use crate::captcha::TokenRefusal;
use crate::ids::{CallbackId, TenantId};
use crate::number_rules::NumberRefusal;
use crate::numbers::PhoneNumber;
use crate::throttle::LimitReached;

/// What the public API asks of the service. The door knows this and nothing behind it.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Books a callback. `Ok` means it is durable.
    async fn submit(&self, tenant: TenantId, new: NewCallback) -> Result<Submitted, SubmitError>;

    /// Cancels a callback. Cancelling again what was cancelled is done again.
    async fn cancel(&self, tenant: TenantId, id: CallbackId, by: Canceller) -> Result<(), CancelError>;

    /// Shows a callback as it is stored, with its live place in the queue.
    async fn retrieve(&self, tenant: TenantId, id: CallbackId) -> Result<CallbackView, Unserved>;
}

/// What routing reports goes in here. `Ok` means it is durable, or had been.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// One signal about one callback.
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError>;
}

/// What a booking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The callback that is made.
    pub id: CallbackId,
    /// Why it is this one.
    pub how: How,
}

/// How a booking came to its callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was booked now.
    Booked,
    /// It was booked now, and the oldest one of the same number has ended for it.
    Replaced,
    /// The same number waits already, and nothing was booked.
    Existing,
    /// It had been booked before, under the same key.
    Replayed,
}

/// What may be asked about the settings in force.
#[async_trait]
pub trait SettingsDesk: Send + Sync {
    /// Reads all settings and keys again, whether they have changed or not. `Ok` once they are in force, with the
    /// instant of that.
    async fn refresh(&self) -> Result<DateTime<Utc>, Unserved>;
}

/// A callback as a client may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackView {
    /// Who it is.
    pub id: CallbackId,
    /// When it is wanted.
    pub desired_time: DateTime<Utc>,
    /// Where it stands.
    pub state: State,
    /// Why it ended, in [`State::Completed`].
    pub reason: Option<Reason>,
    /// Whom to ring.
    pub phone: PhoneNumber,
    /// Place in the queue, in active states.
    pub live: Option<Live>,
}

/// Why nothing was served, whatever was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unserved {
    /// No such callback in this tenant.
    #[error("callback not found")]
    NotFound,
    /// Surely nothing was done; trying again soon is right.
    #[error("the service cannot take this now")]
    Busy,
    /// The outcome is not known; the same request under the same key may be repeated.
    #[error("the outcome is not known")]
    Perhaps,
}

/// Why a booking was refused. The order is the order of the checks.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SubmitError {
    /// The tenant has no such queue.
    #[error("the service is not configured")]
    UnknownQueue,
    /// The queue needs a captcha, and no token came.
    #[error("a captcha token is required")]
    CaptchaMissing,
    /// The token is not taken.
    #[error("the captcha token {0}")]
    CaptchaRefused(TokenRefusal),
    /// The captcha provider cannot be asked just now. Nothing was kept; the token is not used up.
    #[error("the captcha provider cannot be asked")]
    CaptchaUnavailable,
    /// The queue takes no callbacks for the time being.
    #[error("the queue is paused")]
    Paused,
    /// The queue does not take callbacks for now.
    #[error("the queue takes no immediate callbacks")]
    ImmediateDisabled,
    /// The queue does not take callbacks for later.
    #[error("the queue takes no scheduled callbacks")]
    ScheduledDisabled,
    /// The customers of the queue call in when they are told to, and nobody could be told.
    #[error("no device to notify was named")]
    PushTargetsRequired,
    /// A device of the channel `HTTP` names an endpoint that the tenant does not have.
    #[error("no such push endpoint")]
    UnknownPushEndpoint,
    /// No number can be read.
    #[error("not a phone number")]
    NotANumber,
    /// No such number can exist.
    #[error("not a possible phone number")]
    ImpossibleNumber,
    /// A rule about numbers decided against it.
    #[error("the number is not called")]
    NumberNotAllowed {
        /// Which.
        rule: NumberRefusal,
    },
    /// Wanted sooner than the queue allows.
    #[error("sooner than can be booked")]
    TooSoon {
        /// The first instant that can be booked.
        earliest: DateTime<Utc>,
        /// The least time between a booking and the call.
        lead_seconds: u32,
    },
    /// Wanted later than may be booked.
    #[error("later than can be booked")]
    TooFarAhead {
        /// The last instant that can be booked.
        latest: DateTime<Utc>,
        /// How many days ahead the queue takes bookings.
        max_ahead_days: u32,
    },
    /// For now, and so shortly before closing that the queue takes none any more.
    #[error("the office closes soon")]
    ClosesSoon {
        /// When it closes.
        closes_at: DateTime<Utc>,
        /// How long before that callbacks for now are refused.
        blackout_seconds: u32,
    },
    /// Outside the queue's hours.
    #[error("the office is closed at that time")]
    Closed {
        /// When it opens next, if that is known.
        next_opening: Option<DateTime<Utc>>,
    },
    /// It was to be served in its own slot, which ends before the expected wait.
    #[error("the callback would hardly be served in its slot")]
    SlotUnlikely {
        /// Expected wait of the queue.
        wait_seconds: i32,
        /// End of the slot.
        slot_end: DateTime<Utc>,
        /// Start of the first slot that may serve it.
        first: DateTime<Utc>,
        /// From that one on, the nearest slots with places, ascending, with their free places; at most 10.
        proposals: Vec<(DateTime<Utc>, u32)>,
    },
    /// A callback for now, and no agent is logged in.
    #[error("no agent is logged in")]
    NoAgents,
    /// The slot has no place left.
    #[error("no place is left at that time")]
    SlotFull {
        /// The nearest slots with places, ascending, with their free places; at most 10.
        proposals: Vec<(DateTime<Utc>, u32)>,
    },
    /// There is no such hold: it was used or given up, or it is over.
    #[error("no such place is held")]
    HoldGone,
    /// The hold is one of another queue or slot.
    #[error("the place is held in another slot")]
    HoldElsewhere,
    /// A counted rule is at its limit.
    #[error("a limit of the queue is reached")]
    Limited(LimitReached),
    /// The key was used with another body.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Not judged or not kept.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

impl SubmitError {
    /// The rule about numbers that refused, if it was one.
    pub const fn number_rule(&self) -> Option<&'static str> {
        match self {
            Self::NotANumber => Some(NumberRefusal::NotANumber.name()),
            Self::ImpossibleNumber => Some(NumberRefusal::Impossible.name()),
            Self::NumberNotAllowed { rule } => Some(rule.name()),
            _ => None,
        }
    }
}

/// Why a cancel was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CancelError {
    /// Too late.
    #[error("a callback in state {0} cannot be cancelled")]
    NotCancellable(State),
    /// Not found, or not done.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why a signal was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignalError {
    /// The machine refused it.
    #[error(transparent)]
    Refused(#[from] StepError),
    /// Not found, or not done.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}
