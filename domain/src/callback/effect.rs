//! What has to be done outside because of a step.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::state::State;
use super::step::StepError;

/// One thing to do, in the order given. If anything is to be saved, saving comes first: nothing may be
/// noticed outside before it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the callback as it is now, conditional on the version it had before the step.
    Save(Saving),
    /// Answer whoever sent the input.
    Reply(Reply),
    /// Refuse whoever sent the input. Stands in the place of a reply, behind the save that keeps the refused input in
    /// the history; a refusal that leaves nothing to do is an error of the step instead.
    Refuse(StepError),
    /// Tell the observer that the state moved, once per arrow.
    Moved {
        /// Where it was.
        from: State,
        /// Where it is.
        to: State,
    },
    /// Invite routing to `attempt`. Repeating it is harmless.
    Submit {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Ask the tenant for a place in the hand-off budget; [`super::Input::Start`] follows when there is one.
    WantPlace,
    /// Close the callback's register in routing and end its session unless it is processing.
    Terminate,
    /// Ask routing whether the attempt still lives.
    Ping,
    /// Look again at this instant. Replaces the earlier wish.
    WakeAt(DateTime<Utc>),
    /// Nothing is left to do: the session may end.
    Finish,
}

impl Effect {
    /// Whether something has to be done outside, now, by the owner of the callback. A wish to be woken is none: the row
    /// keeps it.
    pub const fn is_work(&self) -> bool {
        matches!(self, Self::Submit { .. } | Self::WantPlace | Self::Terminate | Self::Ping)
    }
}

/// What a save writes beside the callback itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saving {
    /// Why, for the history row of the new version.
    pub cause: Cause,
    /// States passed through in this step without a signal of their own.
    pub implied: Vec<State>,
    /// A slot to give back.
    pub give_back: Option<DateTime<Utc>>,
    /// A slot to take.
    pub take: Option<DateTime<Utc>>,
    /// Who wants it, where the audit log has to name a person.
    pub actor: Option<Arc<str>>,
}

/// What an input's sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It has been done.
    Done,
    /// It had been done before.
    Repeated,
}

/// Why a version came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Cause {
    /// Booked.
    Booked = 0,
    /// The scheduler of a node claimed it.
    Claimed = 1,
    /// A node took it over.
    Taken = 2,
    /// An attempt began.
    Started = 3,
    /// Routing refused an attempt.
    Refused = 4,
    /// A session was granted the attempt.
    Accepted = 5,
    /// Routing reported a state.
    Reported = 6,
    /// The customer was dialled.
    Dialled = 7,
    /// The session was lost; another attempt follows.
    Lost = 8,
    /// Cancelled by the customer.
    CancelledByApi = 9,
    /// Cancelled in the admin UI.
    CancelledByAdmin = 10,
    /// Cancelled by an agent.
    CancelledByAgent = 11,
    /// Moved to another time.
    Rescheduled = 12,
    /// Due while closed.
    Postponed = 13,
    /// Its time to live ran out.
    Expired = 14,
    /// Looked after: the next instant to work on it moved.
    Looked = 15,
    /// What was owed is done.
    Settled = 16,
    /// A signal came too late to count.
    LateSignal = 17,
    /// Set aside for an operator.
    Parked = 18,
    /// Taken up again by an operator.
    Unparked = 19,
    /// Another of the same number was booked in its place.
    Replaced = 20,
    /// Its slot is another one since the queue's slots changed.
    Recounted = 21,
    /// The expected wait became short, and the customer is told.
    WaitShort = 22,
    /// It is the customer's turn to call in, and they are told.
    TurnCame = 23,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 24] = [
        Self::Booked,
        Self::Claimed,
        Self::Taken,
        Self::Started,
        Self::Refused,
        Self::Accepted,
        Self::Reported,
        Self::Dialled,
        Self::Lost,
        Self::CancelledByApi,
        Self::CancelledByAdmin,
        Self::CancelledByAgent,
        Self::Rescheduled,
        Self::Postponed,
        Self::Expired,
        Self::Looked,
        Self::Settled,
        Self::LateSignal,
        Self::Parked,
        Self::Unparked,
        Self::Replaced,
        Self::Recounted,
        Self::WaitShort,
        Self::TurnCame,
    ];

    /// Small number for storage; never changes its meaning.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The cause with that storage number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }

    /// The word shown in a history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Claimed => "claimed",
            Self::Taken => "taken",
            Self::Started => "started",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
            Self::Reported => "reported",
            Self::Dialled => "dialled",
            Self::Lost => "lost",
            Self::CancelledByApi => "cancelled-by-api",
            Self::CancelledByAdmin => "cancelled-by-admin",
            Self::CancelledByAgent => "cancelled-by-agent",
            Self::Rescheduled => "rescheduled",
            Self::Postponed => "postponed",
            Self::Expired => "expired",
            Self::Looked => "looked",
            Self::Settled => "settled",
            Self::LateSignal => "late-signal",
            Self::Parked => "parked",
            Self::Unparked => "unparked",
            Self::Replaced => "replaced",
            Self::Recounted => "recounted",
            Self::WaitShort => "wait-short",
            Self::TurnCame => "turn-came",
        }
    }
}
