//! What can happen to a callback.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::state::Reason;
use crate::ids::{Incarnation, SessionId};

/// Everything that moves a callback. Any node may apply an input that reaches it; only the owner makes
/// [`Input::Start`], [`Input::Submitted`], [`Input::Tick`] and [`Input::Terminated`] on its own initiative.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A place in the hand-off budget is free: begin the next attempt. For a scheduled callback, its start
    /// instant has come; `lead` is how long before the desired time that is, and is kept with the attempt.
    Start {
        /// Wait and buffer as known now, at most 2 h; zero for an immediate callback.
        lead: Duration,
        /// What asking routing again for the same attempt comes to.
        again: Again,
    },
    /// Routing answered the submit of `attempt`, or did not.
    Submitted {
        /// The attempt that was submitted.
        attempt: u32,
        /// What became of it.
        outcome: SubmitOutcome,
    },
    /// Routing reports about a session.
    Signal(Signal),
    /// Somebody no longer wants the callback.
    Cancel(Canceller),
    /// Move a scheduled callback to another time; to the time that it is wanted at already, it is done. The slot, if the queue keeps slots, was chosen by the caller.
    Reschedule {
        /// The new promise.
        desired_time: DateTime<Utc>,
        /// The slot to hold from now on; the old one is given back.
        slot: Option<DateTime<Utc>>,
        /// Start instant as known now.
        start_at: DateTime<Utc>,
        /// Who works on it then: the node that moves it, if it starts before the scheduler would claim it; else nobody.
        owner: Option<Incarnation>,
    },
    /// Due, but not to be started before `until` (closed hours).
    Postpone {
        /// The instant to look again.
        until: DateTime<Utc>,
    },
    /// Give the callback up now, because it is later than its queue allows.
    Expire,
    /// The instant in `wake_at` has come, or a nearer one of this life of the session.
    Tick {
        /// When routing was last heard about this attempt, if in this life of the session.
        heard_at: Option<DateTime<Utc>>,
        /// No ping before this instant: the node, the store or routing has only just come back.
        ping_from: DateTime<Utc>,
        /// What asking routing again for the same attempt comes to.
        again: Again,
    },
    /// This life of the session ends although the callback goes on: what only it knows would be lost.
    LetGo {
        /// What asking routing again for the same attempt comes to.
        again: Again,
    },
    /// The expected wait has fallen under the threshold at which the customer is told.
    WaitShort,
    /// Routing closed the callback's register, or could not be told.
    Terminated {
        /// True if routing confirmed.
        done: bool,
    },
}

/// How an outward call ended, as far as the submit of an attempt is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// The invitation is with routing.
    Done,
    /// Routing will not take it.
    Refused,
    /// It surely did not get there.
    NotDone,
    /// It may have got there.
    Perhaps(Again),
}

/// What asking routing a second time for the same attempt comes to: a property of the routing engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: routing enters an attempt once, however often it is asked to.
    EntersOnce,
    /// Another session. Whoever is not sure waits for `accepted`, and then begins a higher attempt.
    BeginsAnother,
}

/// What this life of a session knows of the invitation to the current attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: it is on its way, was not answered, or was sent by an earlier life.
    Unknown,
    /// It surely did not arrive.
    Absent,
    /// Routing has it.
    Entered,
}

/// Who cancels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Canceller {
    /// The customer, through the public API.
    Api,
    /// A person in the office, nobody knows who.
    Admin,
    /// A person in the office, as the audit log names it.
    User(Arc<str>),
    /// An agent, through routing.
    Agent,
    /// The customer, by booking anew where the queue keeps one callback of a number.
    Replacement,
}

impl Canceller {
    /// Whom the audit log names, where it knows.
    pub fn actor(&self) -> Option<Arc<str>> {
        if let Self::User(name) = self { Some(Arc::clone(name)) } else { None }
    }

    /// The reason that the callback ends with.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Api | Self::Replacement => Reason::CANCELLED,
            Self::Admin | Self::User(_) => Reason::CANCELLED_BY_ADMIN,
            Self::Agent => Reason::CANCELLED_BY_AGENT,
        }
    }
}

/// One report of routing about one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The attempt it is about, from 1.
    pub attempt: u32,
    /// Order among signals that change the state, from 1; rises within an attempt.
    pub seq: u64,
    /// The session that speaks, where there is one.
    pub session: Option<SessionId>,
    /// What happened.
    pub event: SignalEvent,
}

/// What routing reports.
#[derive(Debug, Clone, PartialEq)]
pub enum SignalEvent {
    /// The flow asks for the attempt; it does nothing a customer could notice before the answer.
    Accepted,
    /// Waits for an agent (again).
    Queued,
    /// An agent is reserved.
    Routing,
    /// Agent and customer talk.
    Processing,
    /// The customer was dialled; what came of it is for reports.
    DialResult(Reason),
    /// The flow has ended as it should.
    Completed(Option<Reason>),
    /// Before `accepted`: routing refuses the attempt. Afterwards: the flow failed.
    Failed(Option<Reason>),
    /// Live values; never written per update.
    Position(Live),
    /// The session exists.
    Alive,
    /// The session has ended, with its last known reason.
    Ended(Option<Reason>),
    /// Routing surely has no session and no entry for the attempt.
    Unknown,
}

impl SignalEvent {
    /// The name on the wire (`event`).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Routing => "routing",
            Self::Processing => "processing",
            Self::DialResult(_) => "dial-result",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Position(_) => "position",
            Self::Alive => "alive",
            Self::Ended(_) => "ended",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a callback stands in its queue just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// From 1; −1 if unknown, 0 once an agent is reserved.
    pub position: i32,
    /// Seconds until an agent is expected; −1 if unknown.
    pub estimated_wait_seconds: i32,
}

impl Live {
    /// What is answered when nothing is known.
    pub const UNKNOWN: Self = Self { position: -1, estimated_wait_seconds: -1 };
}
