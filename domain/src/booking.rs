//! Judging a booking: the ordered list of checks, and what to keep if all of them pass.
//!
//! Everything here is decided from what a tenant's actor has in memory. Whether the slot still has a place
//! is not: that is decided with the write, so that two bookings cannot take the last one.

use chrono::{DateTime, Duration, Utc};

use crate::callback::{NewCallback, PushTarget, Terms};
use crate::explain::Rule;
use crate::ids::{QueueName, TenantId};
use crate::numbers::{NumberError, PhoneNumber};
use crate::ports::{SlotClaim, SubmitError};
use crate::push::{PushSettings, Receiver};
use crate::queue::{CallDirection, Queue};
use crate::slots::{self, Grid};
use crate::tenant::Tenant;

/// How far ahead a callback can be booked at most, whatever its queue says ([`crate::queue::QueueSettings::max_ahead`]). How long records are
/// kept builds on it.
pub const MAX_AHEAD: Duration = Duration::days(14);

/// What shall be kept of a booking that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose it is, where it waits, whom to ring and how long it lives.
    pub terms: Terms,
    /// For now or for later.
    pub when: When,
    /// The grid of the queue's slots.
    pub grid: Grid,
    /// Where the customer is to call us: for how many seconds they are waited for, once they were told to.
    pub originated_within_seconds: Option<u32>,
}

/// When the callback is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as possible: it is queued at once and takes no place in a slot.
    Immediate,
    /// At a time, in a place of that time's slot.
    Scheduled {
        /// When the customer wants the call, not before the booking itself.
        desired_time: DateTime<Utc>,
        /// When routing has to start so that the call comes on time: wait and buffer before the desired
        /// time. At or before the booking, if the expected wait reaches the desired time already.
        start_at: DateTime<Utc>,
        /// The place to take in the slot of the desired time.
        slot: SlotClaim,
    },
}

impl When {
    /// The place to take with the booking.
    pub const fn slot(&self) -> Option<SlotClaim> {
        match *self {
            Self::Immediate => None,
            Self::Scheduled { slot, .. } => Some(slot),
        }
    }
}

/// What routing tells of the queue of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Expected wait in seconds, if routing can tell.
    pub wait_seconds: Option<i32>,
    /// Routing knows that no agent is logged in. What it does not know refuses nothing.
    pub has_no_agents: bool,
}

/// A wait alone: nothing is known of agents.
impl From<Option<i32>> for Outlook {
    fn from(wait_seconds: Option<i32>) -> Self {
        Self { wait_seconds, has_no_agents: false }
    }
}

/// One rule: what it judges, and how it refuses.
type Check = fn(&Facts<'_>) -> Result<(), SubmitError>;

/// The checks behind the queue's existence, in the order in which a client hears of them. A new rule joins
/// the list at its place, and [`Rule`] at the same.
const CHECKS: &[(Rule, Check)] = &[
    (Rule::CaptchaToken, captcha_is_there),
    (Rule::Pause, times::not_paused),
    (Rule::Kind, kind_is_offered),
    (Rule::Devices, devices_are_named),
    (Rule::Number, number_is_possible),
    (Rule::NumberRule, number_is_allowed),
    (Rule::MinLead, times::not_too_soon),
    (Rule::MaxAhead, not_too_far),
    (Rule::Closing, times::not_closing),
    (Rule::Hours, open),
    (Rule::LikelySlot, times::likely_in_slot),
    (Rule::Agents, somebody_is_there),
];

/// Judges a booking at `now` by the settings of its tenant. `outlook` is what routing tells of the named queue.
///
/// # Errors
/// The first rule that the booking breaks, in this order: the queue exists, a captcha token is there if it needs one,
/// it is not paused, it offers callbacks of the kind, the customer can be told what has to be told, the number is
/// possible and allowed, the time is neither too near nor too far ahead, the queue does not close too soon, it is open
/// then, its slot is likely to serve it if that was asked for, and somebody is there to make it if the queue asks.
pub fn judge(
    tenant: &Tenant,
    new: &NewCallback,
    outlook: impl Into<Outlook>,
    now: DateTime<Utc>,
) -> Result<Plan, SubmitError> {
    let facts = Facts::gather(tenant, new, outlook.into(), now)?;
    for (rule, check) in CHECKS {
        check(&facts).inspect_err(|refused| debug_assert_eq!(refused.rule(), Some(*rule)))?;
    }
    facts.plan()
}

/// What the checks judge: the booking and the settings of its queue.
struct Facts<'a> {
    tenant: TenantId,
    queue: &'a QueueName,
    settings: &'a Queue,
    phone: Result<PhoneNumber, NumberError>,
    /// The devices that were named, and what the tenant has to reach them.
    push_targets: &'a [PushTarget],
    push: &'a PushSettings,
    /// The wanted time of a scheduled callback; none if it is for now.
    scheduled: Option<DateTime<Utc>>,
    /// It is to be refused rather than to slide into another slot.
    always_check_capacity: bool,
    outlook: Outlook,
    needs_captcha: bool,
    has_captcha: bool,
    now: DateTime<Utc>,
}

impl<'a> Facts<'a> {
    fn gather(
        tenant: &'a Tenant,
        new: &'a NewCallback,
        outlook: Outlook,
        now: DateTime<Utc>,
    ) -> Result<Self, SubmitError> {
        let found = tenant.queue(&new.service_name);
        let (queue, settings) = found.ok_or(SubmitError::UnknownQueue)?;
        Ok(Self {
            tenant: tenant.id,
            queue,
            settings,
            phone: settings.number_terms().read(&new.phone_number),
            push_targets: &new.options.push_targets,
            push: &tenant.push,
            scheduled: scheduled_time(new, now),
            always_check_capacity: new.always_check_capacity,
            outlook,
            needs_captcha: tenant.captcha.needed_by(settings).is_some(),
            has_captcha: new.captcha.is_some(),
            now,
        })
    }

    fn plan(self) -> Result<Plan, SubmitError> {
        let terms = Terms {
            tenant: self.tenant,
            queue: self.queue.clone(),
            phone: self.phone.map_err(refused_number)?,
            ttl: self.settings.ttl(),
        };
        let when = match self.scheduled {
            None => When::Immediate,
            Some(desired_time) => When::Scheduled {
                desired_time,
                start_at: desired_time - self.settings.lead(self.outlook.wait_seconds),
                slot: slots::claim(self.settings, desired_time),
            },
        };
        let originated = self.settings.call_direction == CallDirection::UserOriginated;
        let originated_within_seconds = originated.then_some(self.settings.pushed_expiry_seconds);
        Ok(Plan { terms, when, grid: self.settings.layout.grid(), originated_within_seconds })
    }
}

/// A wanted time that has come or passed means now, unless capacity is always to be checked, or a place is held: then
/// it is a scheduled callback of this very moment, in this moment's slot.
fn scheduled_time(new: &NewCallback, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wanted = new.desired_time?;
    let keeps_slot = new.always_check_capacity || new.hold.is_some();
    (wanted > now || keeps_slot).then_some(wanted.max(now))
}

/// Only that a token came: what it is worth is asked last, because asking uses it up.
fn captcha_is_there(facts: &Facts<'_>) -> Result<(), SubmitError> {
    if facts.needs_captcha && !facts.has_captcha { Err(SubmitError::CaptchaMissing) } else { Ok(()) }
}

fn kind_is_offered(facts: &Facts<'_>) -> Result<(), SubmitError> {
    match facts.scheduled {
        None if !facts.settings.immediate_enabled => Err(SubmitError::ImmediateDisabled),
        Some(_) if !facts.settings.scheduled_enabled => Err(SubmitError::ScheduledDisabled),
        _ => Ok(()),
    }
}

fn devices_are_named(facts: &Facts<'_>) -> Result<(), SubmitError> {
    if facts.push_targets.is_empty() && facts.settings.call_direction == CallDirection::UserOriginated {
        return Err(SubmitError::PushTargetsRequired);
    }
    let unknown = facts.push_targets.iter().any(|target| match Receiver::of(&target.channel, &target.target) {
        Some(Receiver::Http { endpoint, .. }) => !facts.push.endpoints.contains_key(endpoint),
        // Whether FCM takes a token is found out when there is something to tell.
        Some(Receiver::Fcm { .. }) | None => false,
    });
    if unknown { Err(SubmitError::UnknownPushEndpoint) } else { Ok(()) }
}

fn number_is_possible(facts: &Facts<'_>) -> Result<(), SubmitError> {
    facts.phone.map(drop).map_err(refused_number)
}

fn number_is_allowed(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let Ok(phone) = facts.phone else { return Ok(()) };
    facts.settings.number_terms().admit(phone).map_err(|rule| SubmitError::NumberNotAllowed { rule })
}

fn refused_number(error: NumberError) -> SubmitError {
    match error {
        NumberError::NotANumber => SubmitError::NotANumber,
        NumberError::Impossible => SubmitError::ImpossibleNumber,
    }
}

fn not_too_far(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let latest = facts.now + facts.settings.max_ahead();
    match facts.scheduled {
        Some(wanted) if wanted > latest => {
            Err(SubmitError::TooFarAhead { latest, max_ahead_days: facts.settings.max_ahead_days })
        }
        _ => Ok(()),
    }
}

fn open(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let wanted = facts.scheduled.unwrap_or(facts.now);
    let hours = &facts.settings.hours;
    if !facts.settings.reject_out_of_hours || hours.is_open(wanted) {
        return Ok(());
    }
    Err(SubmitError::Closed { next_opening: hours.next_opening(wanted) })
}

/// `_logged_in_check`: a callback for now is refused while routing knows that nobody is there to make it.
fn somebody_is_there(facts: &Facts<'_>) -> Result<(), SubmitError> {
    let is_checked = facts.settings.logged_in_check && facts.scheduled.is_none();
    if is_checked && facts.outlook.has_no_agents { Err(SubmitError::NoAgents) } else { Ok(()) }
}

mod moves;
mod times;

pub use moves::{HoldPlan, NewTime, judge_hold, judge_new_time};

#[cfg(test)]
mod tests;
