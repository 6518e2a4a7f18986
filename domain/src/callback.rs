//! The life of one callback as a pure function: [`Callback::step`] takes an input and `now`, changes the
//! callback and returns what has to be done outside, saving first.
//!
//! Who runs it: the session actor of an active callback, or, for a callback without one, whoever holds
//! the input. Both load it, step it and save it on its version; a lost race reloads and steps again.
//!
//! ```text
//!            Start              routing            processing
//! SCHEDULED ───────▶ QUEUED ───────────▶ ROUTING ─────────────▶ PROCESSING
//!     │               │  ▲ ◀── queued ──── │                        │
//!     │ cancel/expire │  │ lost            │                        │ completed
//!     ▼               ▼                    ▼                        ▼
//!  COMPLETED ◀────────┴────────────────────┴──────────────── COMPLETED
//! ```
//!
//! Inside QUEUED, ROUTING and PROCESSING the hand-off to routing has a state of its own ([`HandOff`]).

mod effect;
mod ending;
mod input;
mod limits;
mod new;
mod promise;
mod signals;
mod state;
mod step;
mod telling;

pub use effect::{Cause, Effect, Reply, Saving};
pub use input::{Again, Canceller, Fate, Input, Live, Signal, SignalEvent, SubmitOutcome};
pub use limits::Limits;
pub use new::{Idempotency, NewCallback, OfferType, Options, PushTarget, Terms};
pub use promise::Promise;
pub use state::{ARROWS, BadReason, Reason, State};
pub use step::StepError;

use chrono::{DateTime, Duration, Utc};

use crate::ids::{CallbackId, Incarnation, QueueName, SessionId, TenantId};
use crate::numbers::PhoneNumber;

/// How far the current attempt has been handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandOff {
    /// No attempt is with routing.
    Idle,
    /// The attempt is on its way or there, and no session has been granted it.
    Started,
    /// One session has been granted the attempt.
    Accepted,
}

impl HandOff {
    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        match self {
            Self::Idle => 0,
            Self::Started => 1,
            Self::Accepted => 2,
        }
    }

    /// The value with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Idle, Self::Started, Self::Accepted].into_iter().find(|it| it.code() == code)
    }
}

/// The devices named in a booking. What they are is stored beside the callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Devices {
    /// How many there are, at most [`Self::MAX`].
    pub targets: u8,
    /// They have been told that the wait became short, so they are not told again.
    pub told_upcoming: bool,
}

impl Devices {
    /// Most devices of a callback.
    pub const MAX: u8 = 10;

    /// Small number for storage; 0 for none.
    pub const fn code(self) -> i16 {
        self.targets as i16 + if self.told_upcoming { 16 } else { 0 }
    }

    /// The value with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        let targets = u8::try_from(code & 15).ok().filter(|targets| *targets <= Self::MAX)?;
        (0..32).contains(&code).then_some(Self { targets, told_upcoming: code >= 16 })
    }
}

/// A callback in which the customer calls us: when the turn has come, they are told, and have so long to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Originated {
    /// Seconds that the customer has, from the moment of being told.
    pub within_seconds: u32,
    /// Until when; none before the turn has come.
    pub until: Option<DateTime<Utc>>,
}

/// One promise to a customer, as it is stored. Free user data and rare options are stored beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// Who it is.
    pub id: CallbackId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it waits.
    pub queue: QueueName,
    /// Whom to ring.
    pub phone: PhoneNumber,
    /// When the customer wants the call; for an immediate callback when it was booked.
    pub desired_time: DateTime<Utc>,
    /// After this instant it is given up: desired time + time to live of the queue.
    pub expires_at: DateTime<Utc>,
    /// Where it stands.
    pub state: State,
    /// Why it ended; present in [`State::Completed`] only.
    pub reason: Option<Reason>,
    /// Rises by one with every save, from 1.
    pub version: u32,
    /// Highest attempt begun, from 1; 0 = none.
    pub attempt: u32,
    /// How far that attempt has come.
    pub hand_off: HandOff,
    /// The session that was granted the attempt.
    pub session: Option<SessionId>,
    /// Attempts that routing refused.
    pub refusals: u32,
    /// Highest `seq` of a state-changing signal of this attempt.
    pub last_seq: u64,
    /// A dial result has been reported in this attempt: the customer may have noticed.
    pub dialled: bool,
    /// No submit before this instant. Desired time − lead, as known at the last look.
    pub start_at: DateTime<Utc>,
    /// The incarnation that works on it unasked; none while it waits unclaimed, or when nothing is left.
    pub owner: Option<Incarnation>,
    /// When somebody must next work on it unasked; none once nothing is left to do, or while parked.
    pub wake_at: Option<DateTime<Utc>>,
    /// Routing still has to be told that it has ended.
    pub owes_terminate: bool,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Start of the slot that it holds.
    pub slot: Option<DateTime<Utc>>,
    /// The devices that the customer wants to be told on.
    pub devices: Devices,
    /// The customer calls us, and is told when; none where we call.
    pub originated: Option<Originated>,
    /// Known only to this life of the session, never stored.
    pub fate: Fate,
}

impl Callback {
    /// Whether the callback has to pass the hand-off budget before it can be worked on.
    pub fn needs_place(&self) -> bool {
        self.state != State::Completed && self.hand_off != HandOff::Accepted
    }

    /// Whether agent and customer may still talk although the callback has ended: its life was over before they were.
    pub fn may_still_talk(&self) -> bool {
        self.state == State::Completed && self.owes_terminate && self.reason == Some(Reason::NOT_AVAILABLE)
    }

    /// Whether nothing is left to do, here or outside.
    pub fn is_settled(&self) -> bool {
        self.state == State::Completed && !self.owes_terminate
    }

    /// A random-looking but repeatable pause between 1 and 5 s, different for every callback and `round`.
    fn jitter(&self, round: u32) -> Duration {
        Duration::seconds(1) + self.id.spread(round, Duration::seconds(4))
    }
}

#[cfg(test)]
mod tests;
