//! Explaining: which rule decides about a booking and by which number, and why a callback waits.
//!
//! Nothing is judged here. What a booking would come to is found out by the very functions that judge bookings, and
//! put into words here: each check of a booking has a name ([`Rule`]), and each refusal belongs to one of them.

mod refusal;
mod waiting;

use chrono::{DateTime, Utc};

use crate::callback::State;
use crate::ids::CallbackId;
use crate::ports::{How, SubmitError};
use crate::throttle::LimitRule;

pub use refusal::{Measure, Next};
pub use waiting::{HandOffBudget, Place, Waiting, Whereabouts, Why, why};

/// The checks of a booking, in the order in which a client hears of them. Key, scope and rate of the caller come
/// before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The request has the form of a booking.
    Body,
    /// The same key was not used before.
    IdempotencyKey,
    /// The queue exists.
    Queue,
    /// A captcha token came, if one is needed.
    CaptchaToken,
    /// The queue takes callbacks at all for the time being.
    Pause,
    /// It takes callbacks of this kind: for now, or for later.
    Kind,
    /// The customer can be told what has to be told.
    Devices,
    /// The number can be read, and can exist.
    Number,
    /// The number is one that is called.
    NumberRule,
    /// A callback for later is not wanted too soon.
    MinLead,
    /// Nor too late.
    MaxAhead,
    /// A callback for now comes early enough before closing.
    Closing,
    /// The queue is open then.
    Hours,
    /// The slot is likely to serve it, if that was asked for.
    LikelySlot,
    /// Somebody is there to make it, if the queue asks for that.
    Agents,
    /// The captcha token is worth something, and was not used before.
    Captcha,
    /// The hold that it names is there, and holds a place of this slot.
    Hold,
    /// The slot has a place.
    Slot,
    /// The number does not wait often enough already.
    Duplicates,
    /// So many callbacks for now per value and day.
    Day,
    /// So many bookings of the queue in a window.
    Window,
    /// So many active callbacks of the queue.
    Depth,
}

impl Rule {
    /// Every rule, in its order.
    pub const ALL: [Self; 22] = [
        Self::Body,
        Self::IdempotencyKey,
        Self::Queue,
        Self::CaptchaToken,
        Self::Pause,
        Self::Kind,
        Self::Devices,
        Self::Number,
        Self::NumberRule,
        Self::MinLead,
        Self::MaxAhead,
        Self::Closing,
        Self::Hours,
        Self::LikelySlot,
        Self::Agents,
        Self::Captcha,
        Self::Hold,
        Self::Slot,
        Self::Duplicates,
        Self::Day,
        Self::Window,
        Self::Depth,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::IdempotencyKey => "idempotencyKey",
            Self::Queue => "queue",
            Self::CaptchaToken => "captchaToken",
            Self::Pause => "pause",
            Self::Kind => "kind",
            Self::Devices => "devices",
            Self::Number => "number",
            Self::NumberRule => "numberRule",
            Self::MinLead => "minLead",
            Self::MaxAhead => "maxAhead",
            Self::Closing => "closing",
            Self::Hours => "hours",
            Self::LikelySlot => "likelySlot",
            Self::Agents => "agents",
            Self::Captcha => "captcha",
            Self::Hold => "hold",
            Self::Slot => "slot",
            Self::Duplicates => "duplicates",
            Self::Day => "day",
            Self::Window => "window",
            Self::Depth => "depth",
        }
    }

    /// The settings that make the rule, by their names in the document of a tenant.
    pub const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Body | Self::IdempotencyKey | Self::LikelySlot => &[],
            Self::Queue => &["queues", "aliases"],
            Self::CaptchaToken | Self::Captcha => &["captcha"],
            Self::Pause => &["paused"],
            Self::Kind => &["immediateEnabled", "scheduledEnabled"],
            Self::Devices => &["callDirection", "push"],
            Self::Number => &["defaultRegion", "refuseImpossibleNumbers"],
            Self::NumberRule => &["numberRule", "refusePremiumNumbers"],
            Self::MinLead => &["minLeadSeconds"],
            Self::MaxAhead => &["maxAheadDays"],
            Self::Closing => &["immediateBlackoutSeconds", "hours"],
            Self::Hours => &["hours", "rejectOutOfHours"],
            Self::Agents => &["loggedInCheck"],
            Self::Hold => &["holdSeconds"],
            Self::Slot => &["capacityRule", "slotCapacity", "slotMinutes"],
            Self::Duplicates => &["duplicatePolicy", "duplicateLimit"],
            Self::Day => &["throttleParameters", "throttleDailyLimit", "throttleHeaders"],
            Self::Window => &["throttleWindows"],
            Self::Depth => &["maxQueued"],
        }
    }
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has nothing against the booking.
    Passed,
    /// The answer is its.
    Decides,
    /// It would be judged with the booking and cannot be before: judging it uses something up.
    NotJudged,
    /// An earlier one decides.
    NotReached,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Decides, Self::NotJudged, Self::NotReached];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Decides => "decides",
            Self::NotJudged => "notJudged",
            Self::NotReached => "notReached",
        }
    }
}

/// Something that is counted before a booking is kept, as it stands without the booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// What is counted.
    pub of: Counted,
    /// How much there is.
    pub counted: u64,
    /// How much there may be, with the booking.
    pub limit: u32,
}

impl Tally {
    /// Whether nothing more is let in.
    pub fn is_full(&self) -> bool {
        self.counted >= self.limit.into()
    }
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Places taken in the slot that starts then.
    Slot(DateTime<Utc>),
    /// What a counted rule counts.
    Limit(LimitRule),
}

impl Counted {
    /// The check that it belongs to.
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Slot(_) => Rule::Slot,
            Self::Limit(rule) => rule_of(rule),
        }
    }
}

const fn rule_of(rule: &LimitRule) -> Rule {
    match rule {
        LimitRule::Duplicates => Rule::Duplicates,
        LimitRule::Day { .. } => Rule::Day,
        LimitRule::Window { .. } => Rule::Window,
        LimitRule::Depth => Rule::Depth,
    }
}

/// One check of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub rule: Rule,
    /// What became of it.
    pub outcome: Outcome,
    /// What was counted, if it counts anything.
    pub tally: Option<Tally>,
}

/// What a booking would come to. Nothing is promised by it: the booking decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Every check, in order; one that counts several things is there once for each.
    pub checks: Vec<Check>,
    /// The answer that a booking would get.
    pub verdict: Result<WouldBe, SubmitError>,
}

/// The booking that would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldBe {
    /// How it would come to its callback.
    pub how: How,
    /// The callback that would be the answer, where that is there already.
    pub id: Option<CallbackId>,
    /// The callback that would end for it.
    pub ends: Option<CallbackId>,
    /// The callback that would be booked.
    pub booked: Option<Planned>,
}

impl WouldBe {
    /// Nothing would be booked: this one is the answer.
    pub const fn there(id: CallbackId, how: How) -> Self {
        Self { how, id: Some(id), ends: None, booked: None }
    }
}

/// A callback that would be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Where it would stand.
    pub state: State,
    /// When it would be wanted.
    pub desired_time: DateTime<Utc>,
    /// When it would be handed to routing, as known now.
    pub start_at: DateTime<Utc>,
    /// Start of the slot in which it would take a place.
    pub slot: Option<DateTime<Utc>>,
}

impl Explanation {
    /// Puts a verdict into checks. `tallies` are what was counted on the way to it, `unjudged` a check that could not
    /// be made.
    pub fn new(verdict: Result<WouldBe, SubmitError>, tallies: Vec<Tally>, unjudged: Option<Rule>) -> Self {
        let decider = match &verdict {
            Err(refused) => refused.rule(),
            Ok(WouldBe { how: How::Replayed, .. }) => Some(Rule::IdempotencyKey),
            Ok(WouldBe { how: How::Existing, .. }) => Some(Rule::Duplicates),
            Ok(WouldBe { how: How::Booked | How::Replaced, .. }) => None,
        };
        Self { checks: checks(decider, tallies, unjudged), verdict }
    }

    /// The check that decides, if one does.
    pub fn decider(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Decides)
    }
}

/// Every check, if `decider` decides. All before it have passed, and none behind it was made.
pub fn checks(decider: Option<Rule>, tallies: Vec<Tally>, unjudged: Option<Rule>) -> Vec<Check> {
    let outcome = |rule: Rule| match decider {
        Some(decider) if rule == decider => Outcome::Decides,
        Some(decider) if rule > decider => Outcome::NotReached,
        _ if unjudged == Some(rule) => Outcome::NotJudged,
        _ => Outcome::Passed,
    };
    let mut checks = Vec::with_capacity(Rule::ALL.len());
    for rule in Rule::ALL {
        let outcome = outcome(rule);
        let reached = outcome != Outcome::NotReached;
        let counted: Vec<&Tally> = tallies.iter().filter(|tally| reached && tally.of.rule() == rule).collect();
        let last = counted.len().saturating_sub(1);
        for (place, tally) in counted.iter().enumerate() {
            // Of several things that a rule counts, the last one that was counted decides.
            let outcome = if outcome == Outcome::Decides && place < last { Outcome::Passed } else { outcome };
            checks.push(Check { rule, outcome, tally: Some((*tally).clone()) });
        }
        if counted.is_empty() {
            checks.push(Check { rule, outcome, tally: None });
        }
    }
    checks
}

#[cfg(test)]
mod tests;
