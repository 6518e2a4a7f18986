//! States, the arrows between them, and why a callback ended.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// Where a callback stands. Names and meanings are the product's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waits for its time; nothing has been started in routing.
    Scheduled,
    /// Waits for an agent.
    Queued,
    /// An agent is reserved and the customer is being reached.
    Routing,
    /// Agent and customer talk. It can no longer be cancelled.
    Processing,
    /// Ended for good, with a reason.
    Completed,
}

/// Every arrow of the life of a callback, with what draws it. Nothing else moves a state.
pub const ARROWS: [(State, State, &str); 8] = [
    (State::Scheduled, State::Queued, "its start instant has come"),
    (State::Queued, State::Routing, "routing reserved an agent"),
    (State::Routing, State::Processing, "agent and customer are connected"),
    (State::Processing, State::Completed, "the conversation ended"),
    (State::Routing, State::Queued, "dial retry, or the agent refused, or the session was lost before a dial result"),
    (State::Scheduled, State::Completed, "cancelled or expired"),
    (State::Queued, State::Completed, "cancelled, expired, failed or submitted in vain"),
    (State::Routing, State::Completed, "cancelled, expired or failed"),
];

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Scheduled, Self::Queued, Self::Routing, Self::Processing, Self::Completed];

    /// The name on the wire (`callbackState`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Queued => "QUEUED",
            Self::Routing => "ROUTING",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
        }
    }

    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        match self {
            Self::Scheduled => 0,
            Self::Queued => 1,
            Self::Routing => 2,
            Self::Processing => 3,
            Self::Completed => 4,
        }
    }

    /// The state with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether an arrow leads straight to `next`.
    pub fn has_arrow_to(self, next: Self) -> bool {
        ARROWS.iter().any(|(from, to, _)| *from == self && *to == next)
    }

    /// Routing knows of it: it has a position and an expected wait.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Routing | Self::Processing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that cannot be a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a reason has 1 to {} letters, digits or underscores", Reason::MAX_BYTES)]
pub struct BadReason;

/// Why a callback ended (`callbackReason`): an open set with a known core, as the product has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(Cow<'static, str>);

impl Reason {
    /// Longest text taken from routing.
    pub const MAX_BYTES: usize = 64;

    /// Cancelled through the public API.
    pub const CANCELLED: Self = Self(Cow::Borrowed("CANCELLED"));
    /// Cancelled by a person in the admin UI.
    pub const CANCELLED_BY_ADMIN: Self = Self(Cow::Borrowed("CANCELLED_BY_ADMIN"));
    /// Cancelled by an agent through routing.
    pub const CANCELLED_BY_AGENT: Self = Self(Cow::Borrowed("CANCELLED_BY_AGENT"));
    /// Routing refused every allowed attempt.
    pub const SUBMIT_FAILED: Self = Self(Cow::Borrowed("SUBMIT_FAILED"));
    /// An agent was connected.
    pub const AGENT_CONNECTED: Self = Self(Cow::Borrowed("AGENT_CONNECTED"));
    /// Not served within its time to live.
    pub const FAIL_TIMEOUT_TTL: Self = Self(Cow::Borrowed("FAIL_TIMEOUT_TTL"));
    /// Ended without a stated reason.
    pub const NOT_AVAILABLE: Self = Self(Cow::Borrowed("NOT_AVAILABLE"));
    /// Routing reported a failure without naming it.
    pub const FAIL_ERROR: Self = Self(Cow::Borrowed("FAIL_ERROR"));
    /// The customer was told to call in, and did not.
    pub const FAIL_USER_NO_CONFIRM: Self = Self(Cow::Borrowed("FAIL_USER_NO_CONFIRM"));
    /// The customer could not be reached.
    pub const FAIL_CALL_TO_CUSTOMER: Self = Self(Cow::Borrowed("FAIL_CALL_TO_CUSTOMER"));

    const KNOWN: [&'static Self; 10] = [
        &Self::CANCELLED,
        &Self::CANCELLED_BY_ADMIN,
        &Self::CANCELLED_BY_AGENT,
        &Self::SUBMIT_FAILED,
        &Self::AGENT_CONNECTED,
        &Self::FAIL_TIMEOUT_TTL,
        &Self::NOT_AVAILABLE,
        &Self::FAIL_ERROR,
        &Self::FAIL_CALL_TO_CUSTOMER,
        &Self::FAIL_USER_NO_CONFIRM,
    ];

    /// Reads a reason as routing sends it; any word of up to [`Self::MAX_BYTES`] bytes is kept as it is.
    pub fn new(text: &str) -> Result<Self, BadReason> {
        if let Some(known) = Self::KNOWN.into_iter().find(|reason| reason.as_str() == text) {
            return Ok(known.clone());
        }
        let word = (1..=Self::MAX_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if word { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(BadReason) }
    }

    /// The text on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the callback ended because somebody asked for it.
    pub fn is_cancellation(&self) -> bool {
        [Self::CANCELLED, Self::CANCELLED_BY_ADMIN, Self::CANCELLED_BY_AGENT].contains(self)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
