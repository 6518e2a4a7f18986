//! Which rule a refusal belongs to, by which number it was made, and when the next booking may pass it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Rule, rule_of};
use crate::callback::NewCallback;
use crate::ports::SubmitError;
use crate::queue::Queue;

/// A number that was held against another, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// What there is.
    pub seconds: i64,
    /// What there may be, or has to be.
    pub limit_seconds: i64,
}

/// When a booking may pass the rule that refuses it, as far as that is known. Other rules may refuse it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Next {
    /// The same request, made again then.
    pub retry_at: Option<DateTime<Utc>>,
    /// The first desired time that would do now.
    pub bookable_from: Option<DateTime<Utc>>,
    /// The last desired time that would do now.
    pub bookable_until: Option<DateTime<Utc>>,
}

impl SubmitError {
    /// The rule whose refusal it is; none for what is no rule's: the service could not decide.
    pub const fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::UnknownQueue => Rule::Queue,
            Self::CaptchaMissing => Rule::CaptchaToken,
            Self::CaptchaRefused(_) | Self::CaptchaUnavailable => Rule::Captcha,
            Self::Paused => Rule::Pause,
            Self::ImmediateDisabled | Self::ScheduledDisabled => Rule::Kind,
            Self::PushTargetsRequired | Self::UnknownPushEndpoint => Rule::Devices,
            Self::NotANumber | Self::ImpossibleNumber => Rule::Number,
            Self::NumberNotAllowed { .. } => Rule::NumberRule,
            Self::TooSoon { .. } => Rule::MinLead,
            Self::TooFarAhead { .. } => Rule::MaxAhead,
            Self::ClosesSoon { .. } => Rule::Closing,
            Self::Closed { .. } => Rule::Hours,
            Self::SlotUnlikely { .. } => Rule::LikelySlot,
            Self::NoAgents => Rule::Agents,
            Self::HoldGone | Self::HoldElsewhere => Rule::Hold,
            Self::SlotFull { .. } => Rule::Slot,
            Self::Limited(reached) => rule_of(&reached.rule),
            Self::KeyReused => Rule::IdempotencyKey,
            Self::Unserved(_) => return None,
        })
    }

    /// The times that were held against each other, where it is about times. What is counted is a tally.
    pub fn measure(&self, new: &NewCallback, now: DateTime<Utc>) -> Option<Measure> {
        let ahead = new.desired_time.unwrap_or(now).max(now) - now;
        let measure =
            |is: TimeDelta, limit: TimeDelta| Measure { seconds: is.num_seconds(), limit_seconds: limit.num_seconds() };
        Some(match self {
            Self::TooSoon { lead_seconds, .. } => measure(ahead, TimeDelta::seconds((*lead_seconds).into())),
            Self::TooFarAhead { max_ahead_days, .. } => measure(ahead, TimeDelta::days((*max_ahead_days).into())),
            Self::ClosesSoon { closes_at, blackout_seconds } => {
                measure(*closes_at - now, TimeDelta::seconds((*blackout_seconds).into()))
            }
            Self::SlotUnlikely { wait_seconds, slot_end, .. } => {
                measure(TimeDelta::seconds((*wait_seconds).into()), *slot_end - now)
            }
            _ => return None,
        })
    }

    /// When a booking may pass. `queue` is the queue that was named, if there is one.
    pub fn next(&self, new: &NewCallback, queue: Option<&Queue>, now: DateTime<Utc>) -> Next {
        let is_for_later =
            new.desired_time.is_some_and(|wanted| wanted > now || new.always_check_capacity || new.hold.is_some());
        match self {
            Self::TooSoon { earliest, .. } => Next { bookable_from: Some(*earliest), ..Next::default() },
            Self::TooFarAhead { latest, .. } => Next {
                retry_at: new.desired_time.map(|wanted| now + (wanted - *latest)),
                bookable_until: Some(*latest),
                ..Next::default()
            },
            Self::ClosesSoon { closes_at, .. } => {
                let opening = queue.and_then(|queue| queue.hours.next_opening(*closes_at));
                Next { retry_at: opening, bookable_from: opening, ..Next::default() }
            }
            Self::Closed { next_opening } => Next {
                retry_at: next_opening.filter(|_| !is_for_later),
                bookable_from: *next_opening,
                ..Next::default()
            },
            Self::SlotUnlikely { first, proposals, .. } => {
                let first = proposals.first().map_or(*first, |(start, _)| *start);
                Next { bookable_from: Some(first), ..Next::default() }
            }
            Self::SlotFull { proposals } => {
                Next { bookable_from: proposals.first().map(|(start, _)| *start), ..Next::default() }
            }
            Self::Limited(reached) => Next { retry_at: reached.until, ..Next::default() },
            _ => Next::default(),
        }
    }
}
