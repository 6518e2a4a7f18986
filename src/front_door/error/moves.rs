//! Refusals about holds, moves and repetitions.

use chrono::{DateTime, Utc};
use domain::holds::{HoldBound, HoldsReached};
use domain::ports::{HoldError, RecreateError, RescheduleError, SubmitError, Unserved};

use super::{Kind, Problem, seconds_until};
use crate::front_door::wire::time::Stamp;

impl Problem {
    /// A hold whose outcome is not known. Only with a key may a client repeat it unasked: without one it would hold a
    /// second place.
    pub(crate) fn hold(error: HoldError, has_key: bool, now: DateTime<Utc>) -> Self {
        match error {
            HoldError::Refused(SubmitError::Unserved(Unserved::Perhaps)) if !has_key => Self::new(
                Kind::Failed,
                "It is not known whether a place is held; with an Idempotency-Key the request could be repeated \
                 safely.",
            ),
            HoldError::Refused(refused) => Self::submit(refused, has_key, now),
            HoldError::NotOffered => {
                Self::new(Kind::UnknownService, "The service is not configured for holds (holdLimit is 0).")
            }
            HoldError::TooMany(reached) => too_many(&reached, now),
            HoldError::Gone => hold_gone("The hold of this Idempotency-Key"),
        }
    }

    /// As [`Self::submit`], for a callback that is made once more.
    pub(crate) fn recreate(error: RecreateError, has_key: bool, now: DateTime<Utc>) -> Self {
        match error {
            RecreateError::NotEnded(state) => Self::new(
                Kind::NotEnded,
                format!("A callback in state {state} cannot be made once more: it has not ended."),
            ),
            RecreateError::Refused(refused) => Self::submit(refused, has_key, now),
        }
    }
}

/// What is told of a hold that is not there any more, or never was: nobody is told which.
pub(super) fn hold_gone(what: &str) -> Problem {
    Problem::new(Kind::HoldGone, format!("{what} is not there: unknown, used, given up, or over."))
}

fn too_many(reached: &HoldsReached, now: DateTime<Utc>) -> Problem {
    let HoldsReached { bound, limit, until } = *reached;
    let of = match bound {
        HoldBound::Queue => "of the service (holdLimit)",
        HoldBound::Number => "for the same phoneNumber (holdLimitPerNumber)",
    };
    let message = format!("The limit of {limit} held places {of} is reached; try again after {}.", Stamp(until));
    Problem::new(Kind::Throttled, message).after(seconds_until(until, now))
}

impl From<RescheduleError> for Problem {
    fn from(error: RescheduleError) -> Self {
        match error {
            RescheduleError::NotReschedulable(state) => {
                Self::new(Kind::NotReschedulable, format!("A callback in state {state} cannot be rescheduled."))
            }
            RescheduleError::Refused(refused) => refused.into(),
        }
    }
}
