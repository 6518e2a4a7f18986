//! Judging a time apart from a booking: where a place is to be held for one, or a callback moves.

use chrono::{DateTime, Duration, Utc};

use super::{Check, Facts, kind_is_offered, not_too_far, number_is_allowed, number_is_possible, open, times};
use crate::holds::HoldBounds;
use crate::ids::QueueName;
use crate::numbers::{NumberError, PhoneNumber};
use crate::ports::{HoldError, NewHold, SlotClaim, SubmitError};
use crate::slots;
use crate::tenant::Tenant;

/// The checks of [`super::CHECKS`] that a time has to pass wherever it is chosen, in their order.
const TIME_CHECKS: &[Check] = &[times::not_paused, kind_is_offered, times::not_too_soon, not_too_far, open];

/// A time that passed every check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTime {
    /// When the callback is wanted.
    pub desired_time: DateTime<Utc>,
    /// When routing has to start so that the call comes on time.
    pub start_at: DateTime<Utc>,
    /// The place to hold from now on.
    pub slot: SlotClaim,
}

/// What shall be kept of a hold that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldPlan {
    /// Whose slots.
    pub queue: QueueName,
    /// The number, if one was given.
    pub phone: Option<PhoneNumber>,
    /// The place to take.
    pub slot: SlotClaim,
    /// How many holds there may be.
    pub bounds: HoldBounds,
    /// When it is over.
    pub expires_at: DateTime<Utc>,
}

/// Judges at `now` a time to which a scheduled callback of `queue` is to be moved. One that has passed is too soon.
///
/// # Errors
/// The first rule that the time breaks, in the order of a booking's checks: the queue is there, is not paused and offers
/// scheduled callbacks; the time is neither too near nor too far ahead; it is open then.
pub fn judge_new_time(
    tenant: &Tenant,
    queue: &QueueName,
    wanted: DateTime<Utc>,
    expected_wait: Option<i32>,
    now: DateTime<Utc>,
) -> Result<NewTime, SubmitError> {
    let facts = Facts::of_time(tenant, queue.as_str(), wanted, expected_wait, now)?;
    facts.pass(TIME_CHECKS)?;
    Ok(NewTime {
        desired_time: wanted,
        start_at: wanted - facts.settings.lead(expected_wait),
        slot: slots::claim(facts.settings, wanted),
    })
}

/// Judges a hold at `now`. What a booking has to bring beside a time is asked for with the booking.
///
/// # Errors
/// As [`judge_new_time`], then whether the queue lets places be held; where a number is given, whether it is possible
/// and allowed comes before the time.
pub fn judge_hold(tenant: &Tenant, new: &NewHold, now: DateTime<Utc>) -> Result<HoldPlan, HoldError> {
    let mut facts = Facts::of_time(tenant, &new.service_name, new.desired_time, None, now)?;
    let phone = match &new.phone_number {
        None => None,
        Some(text) => {
            facts.phone = facts.settings.number_terms().read(text);
            facts.pass(&[number_is_possible, number_is_allowed])?;
            facts.phone.ok()
        }
    };
    facts.pass(TIME_CHECKS)?;
    let settings = facts.settings;
    if settings.hold_limit == 0 {
        return Err(HoldError::NotOffered);
    }
    Ok(HoldPlan {
        queue: facts.queue.clone(),
        phone,
        slot: slots::claim(settings, new.desired_time),
        bounds: HoldBounds { of_queue: settings.hold_limit, of_number: settings.hold_limit_per_number },
        expires_at: now + Duration::seconds(settings.hold_seconds.into()),
    })
}

impl<'a> Facts<'a> {
    /// Enough to judge a time. Nothing is known of a number, and nothing of it may be asked.
    fn of_time(
        tenant: &'a Tenant,
        service_name: &str,
        wanted: DateTime<Utc>,
        expected_wait: Option<i32>,
        now: DateTime<Utc>,
    ) -> Result<Self, SubmitError> {
        let (queue, settings) = tenant.queue(service_name).ok_or(SubmitError::UnknownQueue)?;
        Ok(Self {
            tenant: tenant.id,
            queue,
            settings,
            phone: Err(NumberError::NotANumber),
            push_targets: &[],
            push: &tenant.push,
            scheduled: Some(wanted),
            always_check_capacity: false,
            expected_wait,
            needs_captcha: false,
            has_captcha: false,
            now,
        })
    }

    fn pass(&self, checks: &[Check]) -> Result<(), SubmitError> {
        checks.iter().try_for_each(|check| check(self))
    }
}

#[cfg(test)]
mod tests;
