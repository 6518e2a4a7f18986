//! Refusals of bookings.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use domain::number_rules::NumberRefusal;
use domain::ports::{SubmitError, Unserved};
use domain::throttle::{LimitReached, LimitRule};

use super::{Kind, Problem, moves, seconds_until};
use crate::front_door::wire::time::Stamp;

impl Problem {
    /// A number that is not called. Which pattern blocks it is not told, or it could be searched for a way round.
    fn number(rule: &NumberRefusal) -> Self {
        match rule {
            NumberRefusal::NotANumber => SubmitError::NotANumber.into(),
            NumberRefusal::Impossible => SubmitError::ImpossibleNumber.into(),
            NumberRefusal::Premium => Self::new(Kind::NotAllowedNumber, "Premium-rate numbers are not called."),
            NumberRefusal::CountryNotPermitted { .. } => {
                Self::new(Kind::NotAllowedNumber, "Numbers of the country of phoneNumber are not called.")
            }
            NumberRefusal::CountryUnknown => Self::new(
                Kind::NotAllowedNumber,
                "The country of phoneNumber cannot be determined, so it is not called.",
            ),
            NumberRefusal::Blocked { .. } => Self::new(Kind::NotAllowedNumber, "phoneNumber is not called."),
        }
    }

    /// A booking whose outcome is not known. Only with a key may a client repeat it unasked.
    pub(crate) fn submit(error: SubmitError, has_key: bool, now: DateTime<Utc>) -> Self {
        match error {
            SubmitError::Limited(reached) => limited(&reached, now),
            SubmitError::Unserved(Unserved::Perhaps) if !has_key => Self::new(
                Kind::Failed,
                "It is not known whether the callback was booked; with an Idempotency-Key the request could be \
                 repeated safely.",
            ),
            other => other.into(),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownQueue => Self::new(Kind::UnknownService, "serviceName names no configured service."),
            SubmitError::CaptchaMissing => Self::bad("captchaToken", "is required"),
            SubmitError::CaptchaRefused(refusal) => Self::bad("captchaToken", refusal.to_string()),
            SubmitError::CaptchaUnavailable => {
                Self::new(Kind::Busy, "captchaToken cannot be checked just now; nothing was done.")
            }
            SubmitError::Paused => {
                Self::new(Kind::Paused, "The service takes no callbacks for the time being; it is paused.")
            }
            SubmitError::ImmediateDisabled => {
                Self::new(Kind::UnknownService, "The service is not configured for immediate callbacks.")
            }
            SubmitError::ScheduledDisabled => {
                Self::new(Kind::UnknownService, "The service is not configured for scheduled callbacks.")
            }
            SubmitError::PushTargetsRequired => {
                Self::bad("pushTargets", "is required: customers of this service are told when to call")
            }
            SubmitError::UnknownPushEndpoint => {
                Self::bad("pushTargets.target", "must begin with the name of a configured endpoint for channel HTTP")
            }
            SubmitError::NotANumber => Self::new(Kind::NotANumber, "phoneNumber is not a valid number."),
            SubmitError::ImpossibleNumber => {
                Self::new(Kind::ImpossibleNumber, "phoneNumber is not a number that can be called.")
            }
            SubmitError::NumberNotAllowed { rule } => Self::number(&rule),
            SubmitError::TooSoon { earliest, lead_seconds: 0 } => Self::new(
                Kind::TooSoon,
                format!("desiredTime has passed; the earliest that can be booked is {}.", Stamp(earliest)),
            ),
            SubmitError::TooSoon { earliest, lead_seconds } => Self::new(
                Kind::TooSoon,
                format!(
                    "desiredTime is too soon: minLeadSeconds is {lead_seconds}, and the earliest that can be booked is {}.",
                    Stamp(earliest)
                ),
            ),
            SubmitError::TooFarAhead { latest, max_ahead_days } => Self::bad(
                "desiredTime",
                format!(
                    "is too far ahead: maxAheadDays is {max_ahead_days}, and the latest that can be booked is {}",
                    Stamp(latest)
                ),
            ),
            SubmitError::Closed { next_opening } => {
                let mut message = String::from("The office is closed at desiredTime");
                if let Some(opening) = next_opening {
                    let _ = write!(message, "; it opens next at {}", Stamp(opening));
                }
                Self::new(Kind::Closed, message + ".")
            }
            SubmitError::ClosesSoon { closes_at, blackout_seconds } => Self::new(
                Kind::ClosesSoon,
                format!(
                    "The office closes at {}, and takes no immediate callbacks in the last {blackout_seconds} s before \
                     (immediateBlackoutSeconds).",
                    Stamp(closes_at)
                ),
            ),
            SubmitError::SlotUnlikely { wait_seconds, slot_end, proposals, .. } => Self {
                slots: Some(proposals),
                ..Self::new(
                    Kind::SlotUnlikely,
                    format!(
                        "The callback would hardly be served in its slot (alwaysCheckCapacity): the expected wait is \
                         {wait_seconds} s, and the slot ends at {}.",
                        Stamp(slot_end)
                    ),
                )
            },
            SubmitError::NoAgents => Self::new(
                Kind::Closed,
                "No agent is logged in for the service; it takes no immediate callbacks until one is.",
            ),
            SubmitError::SlotFull { proposals } => Self {
                slots: Some(proposals),
                ..Self::new(Kind::SlotFull, "No capacity is left at the requested time.")
            },
            SubmitError::HoldGone => moves::hold_gone("The hold that holdId names"),
            SubmitError::HoldElsewhere => Self::bad("holdId", "holds a place of another service or another slot"),
            SubmitError::Limited(reached) => Self::new(Kind::Throttled, limit_message(&reached)),
            SubmitError::KeyReused => {
                Self::new(Kind::KeyReused, "Idempotency-Key was used before with another request body.")
            }
            SubmitError::Unserved(unserved) => unserved.into(),
        }
    }
}

/// A counted rule as a client hears of it: with its name, its number, and the wait if that depends on time alone.
fn limited(reached: &LimitReached, now: DateTime<Utc>) -> Problem {
    let problem = Problem::new(Kind::Throttled, limit_message(reached));
    match reached.until {
        Some(until) => problem.after(seconds_until(until, now)),
        None => problem,
    }
}

fn limit_message(reached: &LimitReached) -> String {
    let limit = reached.limit;
    let mut message = match &reached.rule {
        LimitRule::Duplicates => format!("The limit of {limit} waiting callbacks for the same phoneNumber is reached"),
        LimitRule::Day { parameter } => {
            format!("The limit of {limit} immediate callbacks per day for the same {parameter} is reached")
        }
        LimitRule::Window { seconds } => {
            format!("The service's limit of {limit} callbacks in {seconds} seconds is reached")
        }
        LimitRule::Depth => format!("The service's limit of {limit} active callbacks is reached"),
    };
    if let Some(until) = reached.until {
        let _ = write!(message, "; try again after {}", Stamp(until));
    }
    message + "."
}

#[cfg(test)]
mod tests {
    use super::super::RETRY_AFTER_SECONDS;
    use super::*;

    #[test]
    fn an_unknown_outcome_invites_a_repetition_only_under_a_key() {
        let perhaps = || SubmitError::Unserved(Unserved::Perhaps);
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(Problem::submit(perhaps(), true, now).retry_after(), Some(RETRY_AFTER_SECONDS));
        assert_eq!(Problem::submit(perhaps(), false, now).retry_after(), None);
    }
}
