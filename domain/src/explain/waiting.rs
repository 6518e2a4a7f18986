//! Why a callback waits, and until when, as far as that is known.

use chrono::{DateTime, Utc};

use crate::callback::{Callback, HandOff, State};

/// What a callback waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nothing: it has ended, and nothing is left to do.
    Ended,
    /// It has ended, and routing has still to be told.
    Owed,
    /// It was set aside for an operator.
    Parked,
    /// Its time.
    Time,
    /// Its queue to open.
    Opening,
    /// It is due: a node to take it up, within moments.
    Node,
    /// A place in the hand-off budget of its queue, with others before it perhaps.
    Place,
    /// The pause before the next attempt.
    Retry,
    /// A session in routing to ask for the attempt.
    Grant,
    /// The customer to call in, who was told to.
    CustomerCall,
    /// An agent.
    Agent,
    /// The customer to be reached: an agent is reserved.
    Customer,
    /// The end of the conversation.
    Conversation,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Ended,
        Self::Owed,
        Self::Parked,
        Self::Time,
        Self::Opening,
        Self::Node,
        Self::Place,
        Self::Retry,
        Self::Grant,
        Self::CustomerCall,
        Self::Agent,
        Self::Customer,
        Self::Conversation,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Owed => "owed",
            Self::Parked => "parked",
            Self::Time => "time",
            Self::Opening => "opening",
            Self::Node => "node",
            Self::Place => "place",
            Self::Retry => "retry",
            Self::Grant => "grant",
            Self::CustomerCall => "customerCall",
            Self::Agent => "agent",
            Self::Customer => "customer",
            Self::Conversation => "conversation",
        }
    }
}

/// What a callback waits for, and when that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// For what.
    pub why: Why,
    /// When something happens to it unasked, as known now; none if nothing does, or nobody can say.
    pub next_at: Option<DateTime<Utc>>,
}

/// A callback and the hand-off budget of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// It has no place and stands in no line.
    #[default]
    None,
    /// It holds a place.
    Held,
    /// It waits for one.
    InLine {
        /// So many before it.
        ahead: usize,
    },
}

/// The hand-off budget of a queue on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandOffBudget {
    /// Attempts that may be with routing without being accepted.
    pub limit: u32,
    /// The same just now: after an outage it begins at 1 and doubles.
    pub allowed: u32,
    /// How many are.
    pub held: u32,
    /// Callbacks that wait for a place.
    pub waiting: usize,
}

/// Where a callback is on the node that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whereabouts {
    /// A session works on it.
    pub has_session: bool,
    /// Its session failed, and is started again after a pause.
    pub is_recovering: bool,
    /// Whether it may begin an attempt.
    pub place: Place,
    /// The budget of its queue.
    pub budget: HandOffBudget,
}

/// Why a callback waits at `now`. Exact for what this node works on; of other nodes' callbacks it does not know who
/// stands in which line.
pub fn why(callback: &Callback, is_parked: bool, place: Place, now: DateTime<Utc>) -> Waiting {
    let waits = |why: Why, next_at: Option<DateTime<Utc>>| Waiting { why, next_at };
    let wake_at = callback.wake_at;
    match callback.state {
        State::Completed if callback.owes_terminate => waits(Why::Owed, wake_at),
        State::Completed => waits(Why::Ended, None),
        _ if is_parked => waits(Why::Parked, None),
        State::Processing => waits(Why::Conversation, None),
        State::Routing => waits(Why::Customer, None),
        State::Scheduled if callback.start_at > now => {
            // Nothing but closed hours puts a start behind the time that was wanted.
            let why = if callback.start_at > callback.desired_time { Why::Opening } else { Why::Time };
            waits(why, Some(callback.start_at))
        }
        State::Scheduled => due(place, now),
        State::Queued => queued(callback, place, now),
    }
}

fn queued(callback: &Callback, place: Place, now: DateTime<Utc>) -> Waiting {
    if let Some(until) = callback.originated.and_then(|originated| originated.until) {
        return Waiting { why: Why::CustomerCall, next_at: Some(until) };
    }
    match callback.hand_off {
        HandOff::Accepted => Waiting { why: Why::Agent, next_at: None },
        HandOff::Started => Waiting { why: Why::Grant, next_at: callback.wake_at },
        HandOff::Idle => match callback.wake_at.filter(|wake_at| *wake_at > now) {
            Some(again) if place == Place::None && callback.attempt > 0 => {
                Waiting { why: Why::Retry, next_at: Some(again) }
            }
            _ => due(place, now),
        },
    }
}

/// Somebody has to work on it: whoever is at the front.
fn due(place: Place, now: DateTime<Utc>) -> Waiting {
    match place {
        Place::InLine { .. } => Waiting { why: Why::Place, next_at: None },
        Place::Held => Waiting { why: Why::Grant, next_at: Some(now) },
        Place::None => Waiting { why: Why::Node, next_at: Some(now) },
    }
}
