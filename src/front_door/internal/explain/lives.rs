//! Shapes of the life of a callback and of what it waits for, and their sentences.

use domain::callback::HandOff;
use domain::explain::{Place, Why};
use domain::ids::CallbackId;
use domain::ports::{HistoryEntry, Story};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use super::bookings::{state_words, states, words};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::wire::time::Stamp;

fn whys() -> Schema {
    words(&Why::ALL.map(Why::name)).into()
}

fn state_list() -> Schema {
    ArrayBuilder::new().items(state_words()).into()
}

/// What a callback waits for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingFor {
    #[schema(schema_with = whys)]
    why: &'static str,
    /// The same in a sentence.
    says: &'static str,
    /// When something happens to it unasked, as known now.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Stamp>,
}

/// The hand-off budget of a queue on this node.
#[derive(Serialize, ToSchema)]
struct HandOffBudget {
    /// Attempts that may be with routing without being accepted.
    limit: u32,
    /// The same just now: after an outage of routing it begins at 1 and doubles.
    allowed: u32,
    /// How many are.
    held: u32,
    /// Callbacks that wait for a place.
    waiting: usize,
}

/// Where a callback is on the node that answers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnThisNode {
    /// Whether this node works on it unasked.
    owner: bool,
    /// Whether a session works on it.
    session: bool,
    /// Whether its session failed and is started again after a pause.
    recovering: bool,
    /// `held`, `inLine` or `none`.
    #[schema(pattern = "^(none|held|inLine)$")]
    place: &'static str,
    /// How many stand before it in the line.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<usize>,
    #[schema(inline)]
    hand_off: HandOffBudget,
}

/// Set aside for an operator.
#[derive(Serialize, ToSchema)]
struct SetAside {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// Why.
    reason: String,
}

/// One step in the life of a callback.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Step {
    /// The version that it made.
    version: u32,
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// Why: a word such as `booked`, `claimed`, `started`, `accepted`, `reported` or `cancelled-by-api`.
    cause: &'static str,
    #[schema(schema_with = states)]
    callback_state: &'static str,
    /// States that it passed through on the way.
    #[schema(schema_with = state_list, required = false)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    implied: Vec<&'static str>,
    /// The attempt since then.
    attempt: u32,
}

impl From<&HistoryEntry> for Step {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            version: entry.version,
            at: Stamp(entry.at),
            cause: entry.cause.name(),
            callback_state: entry.state.name(),
            implied: entry.implied.iter().map(|state| state.name()).collect(),
            attempt: entry.attempt,
        }
    }
}

/// Why a callback waits, and what has happened to it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallbackExplanation)]
pub(super) struct Life {
    #[schema(value_type = String, format = Uuid)]
    id: CallbackId,
    /// Its queue.
    service_name: String,
    #[schema(schema_with = states)]
    callback_state: &'static str,
    /// Why it ended.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<String>,
    #[schema(inline)]
    waiting: WaitingFor,
    #[schema(value_type = String, format = DateTime)]
    desired_time: Stamp,
    /// When it is, or was, to be handed to routing, as known at the last look.
    #[schema(value_type = String, format = DateTime)]
    start_at: Stamp,
    /// When it is given up.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Stamp,
    /// When a node next works on it unasked, at the latest.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<Stamp>,
    /// Start of the slot that it holds.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<Stamp>,
    /// Highest attempt begun; 0 if none was.
    attempt: u32,
    /// How far that attempt has come: `idle`, `started` or `accepted`.
    #[schema(pattern = "^(idle|started|accepted)$")]
    attempt_state: &'static str,
    /// Attempts that routing refused; the third ends it.
    refusals: u32,
    /// Routing's session that was granted the attempt.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// Place in the queue, in active states; -1 if unknown.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    position_in_queue: Option<i32>,
    /// Seconds, in active states; -1 if unknown.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_wait_time: Option<i32>,
    /// The run of a node that works on it unasked.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<i64>,
    /// Absent if that could not be told in time.
    #[schema(inline, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    here: Option<OnThisNode>,
    #[schema(inline, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<SetAside>,
    /// Its steps, at most 500.
    #[schema(inline)]
    history: Vec<Step>,
    /// Whether these are all of them.
    history_is_complete: bool,
    /// When it was read.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
}

impl From<&Story> for Life {
    fn from(story: &Story) -> Self {
        let callback = &story.callback;
        let here = story.whereabouts.map(|it| OnThisNode {
            owner: story.is_ours,
            session: it.has_session,
            recovering: it.is_recovering,
            place: match it.place {
                Place::None => "none",
                Place::Held => "held",
                Place::InLine { .. } => "inLine",
            },
            ahead: if let Place::InLine { ahead } = it.place { Some(ahead) } else { None },
            hand_off: HandOffBudget {
                limit: it.budget.limit,
                allowed: it.budget.allowed,
                held: it.budget.held,
                waiting: it.budget.waiting,
            },
        });
        Self {
            id: callback.id,
            service_name: callback.queue.as_str().to_owned(),
            callback_state: callback.state.name(),
            callback_reason: callback.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            waiting: WaitingFor {
                why: story.waiting.why.name(),
                says: says(story.waiting.why),
                next_at: story.waiting.next_at.map(Stamp),
            },
            desired_time: Stamp(callback.desired_time),
            start_at: Stamp(callback.start_at),
            expires_at: Stamp(callback.expires_at),
            wake_at: callback.wake_at.map(Stamp),
            slot: callback.slot.map(Stamp),
            attempt: callback.attempt,
            attempt_state: match callback.hand_off {
                HandOff::Idle => "idle",
                HandOff::Started => "started",
                HandOff::Accepted => "accepted",
            },
            refusals: callback.refusals,
            session_id: callback.session.as_ref().map(|session| session.as_str().to_owned()),
            position_in_queue: story.live.map(|live| live.position),
            estimated_wait_time: story.live.map(|live| live.estimated_wait_seconds),
            owner: callback.owner.map(|owner| owner.0),
            here,
            parked: story.parked.as_ref().map(|(at, reason)| SetAside { at: Stamp(*at), reason: reason.clone() }),
            history: story.history.iter().map(Step::from).collect(),
            history_is_complete: story.history.last().is_none_or(|last| last.version >= callback.version),
            at: Stamp(story.at),
        }
    }
}

const fn says(why: Why) -> &'static str {
    match why {
        Why::Ended => "It has ended; nothing is left to do.",
        Why::Owed => "It has ended; routing has still to be told.",
        Why::Parked => "It was set aside for an operator, and nobody works on it until it is taken up again.",
        Why::Time => "Its time has not come: it starts a wait and a buffer before its desired time.",
        Why::Opening => "Its time came while its queue was closed; it starts when the queue opens.",
        Why::Node => "It is due; a node takes it up within moments.",
        Why::Place => "As many attempts of its queue are with routing as may be; it stands in line.",
        Why::Retry => "Its attempt came to nothing; the next one begins after a pause.",
        Why::Grant => "Routing was invited, and has not asked for the attempt yet.",
        Why::CustomerCall => "The customer was told to call in.",
        Why::Agent => "Routing has it, and looks for an agent.",
        Why::Customer => "An agent is reserved, and the customer is being reached.",
        Why::Conversation => "Agent and customer talk.",
    }
}

/// Answer to the question why a callback waits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(super) struct StoryResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: Life,
}
