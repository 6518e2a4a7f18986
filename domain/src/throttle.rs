//! Counted rules: how often the same customer, and how often anybody, may book in a queue.
//!
//! What is counted is not known in memory: it is decided with the write, in the same transaction, so that two
//! bookings cannot both be the last one. So a booking carries what is to be counted ([`BookingLimits`]), and the
//! store answers which rule refused it ([`LimitReached`]) or what became of it instead.
//!
//! | rule | counts | judged |
//! | --- | --- | --- |
//! | duplicates | callbacks of the number in the queue that wait: SCHEDULED, QUEUED, ROUTING | every booking |
//! | day | callbacks for now that were booked with the same value on the same calendar day of the queue's zone | callbacks for now |
//! | windows | callbacks of any kind that were booked in the queue within so many seconds | every booking |
//! | depth | active callbacks of the queue: QUEUED, ROUTING, PROCESSING | callbacks for now |
//!
//! They are judged in this order, behind the places of the slot, and before anything is written. What is refused
//! counts nowhere; what is cancelled stays counted for its day and its windows, or cancelling would be a way around
//! them. Callbacks for later are kept in bounds by the places of their slots, so the day and the depth leave them
//! alone.

mod settings;
mod values;

use chrono::{DateTime, Duration, NaiveTime, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};

use crate::booking::{Plan, When};
use crate::callback::{Callback, Canceller, NewCallback};
use crate::ports::{Blinds, Change};
use crate::queue::{DuplicatePolicy, Queue, ThrottleWindow};

pub use settings::check;
pub use values::{CountedValue, PHONE_NUMBER, is_header};

/// What has to be counted before a booking is kept, and again once it is. The default counts nothing.
///
/// Of the things counted here a store that several processes write locks a row, or an advisory lock of its own, for
/// each, in one order for all (by queue, kind of rule, and value), before it counts the first: all are known by then.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BookingLimits {
    /// Waiting callbacks of the same number.
    pub duplicates: Option<Duplicates>,
    /// Values per day.
    pub day: Option<Day>,
    /// Bookings of the queue in the time before this one.
    pub windows: Vec<ThrottleWindow>,
    /// Most active callbacks of the queue, this one included.
    pub depth: Option<u32>,
}

/// What becomes of a booking whose number waits often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The newest of those that wait stands in its place.
    ReturnExisting,
    /// The oldest of them ends, and it is booked.
    Replace,
    /// It is refused.
    Refuse,
}

/// The rule about callbacks of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicates {
    /// What is done.
    pub then: OnDuplicate,
    /// From so many waiting callbacks on, at least 1.
    pub limit: u32,
}

/// The rule about values per day.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// Most callbacks for now per value.
    pub limit: u32,
    /// When the day ends. It names the day, too: every instant of a day has the same.
    pub ends_at: DateTime<Utc>,
    /// What is counted, each once.
    pub values: Vec<CountedValue>,
}

/// A counted rule that a booking breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReached {
    /// Which.
    pub rule: LimitRule,
    /// Its number.
    pub limit: u32,
    /// When it may let a booking pass again, if that depends on time alone.
    pub until: Option<DateTime<Utc>>,
}

/// The counted rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitRule {
    /// Waiting callbacks of one number.
    Duplicates,
    /// Callbacks for now with one value on one day.
    Day {
        /// What the value is: the number, or a name from the settings.
        parameter: String,
    },
    /// Bookings of the queue in a window.
    Window {
        /// Length of the window.
        seconds: u32,
    },
    /// Active callbacks of the queue.
    Depth,
}

impl LimitRule {
    /// The word for it in metrics: a closed set.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Duplicates => "duplicates",
            Self::Day { .. } => "day",
            Self::Window { .. } => "window",
            Self::Depth => "depth",
        }
    }
}

impl BookingLimits {
    /// What `queue` counts of the booking `new` that is planned at `now`.
    pub fn of(queue: &Queue, plan: &Plan, new: &NewCallback, now: DateTime<Utc>, blinds: &dyn Blinds) -> Self {
        let immediate = plan.when == When::Immediate;
        Self {
            duplicates: duplicates(queue),
            day: immediate.then(|| Day::of(queue, plan, new, now, blinds)).filter(|day| !day.values.is_empty()),
            windows: queue.throttle_windows.clone(),
            depth: (immediate && queue.max_queued < crate::queue::QueueSettings::MAX_QUEUED)
                .then_some(queue.max_queued),
        }
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.duplicates.is_none() && self.day.is_none() && self.windows.is_empty() && self.depth.is_none()
    }
}

fn duplicates(queue: &Queue) -> Option<Duplicates> {
    let then = match queue.duplicate_policy {
        DuplicatePolicy::Allow => return None,
        DuplicatePolicy::ReturnExisting => OnDuplicate::ReturnExisting,
        DuplicatePolicy::Replace => OnDuplicate::Replace,
        DuplicatePolicy::Refuse => OnDuplicate::Refuse,
    };
    Some(Duplicates { then, limit: queue.duplicate_limit.max(1) })
}

impl Day {
    fn of(queue: &Queue, plan: &Plan, new: &NewCallback, now: DateTime<Utc>, blinds: &dyn Blinds) -> Self {
        Self {
            limit: queue.throttle_daily_limit,
            ends_at: day_end(queue.hours.zone(), now),
            values: values::counted(queue, plan, new, blinds),
        }
    }
}

/// The midnight at which the calendar day of `at` ends in a zone. The same for every instant of a day: where the clocks
/// go back over midnight it is the second midnight, and where they skip it, the instant at which they do.
pub fn day_end(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let next = at.with_timezone(&zone).date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN));
    let end = next.and_then(|midnight| {
        let found = zone.from_local_datetime(&midnight).latest();
        found.or_else(|| GapInfo::new(&midnight, &zone)?.end)
    });
    end.map_or(at + Duration::days(1), |end| end.to_utc())
}

impl ThrottleWindow {
    /// Parts of a window that are counted apart.
    pub const PARTS: u32 = 60;

    /// Until when a booking made at `at` counts against the window. Bookings are counted in parts of a sixtieth of the
    /// window, and count until the last of their part is out of it: never more than the limit in any window, and a
    /// booking may be refused up to a sixtieth of a window longer than need be. So a window costs 61 counts and not
    /// one for each of its bookings.
    pub fn counts_until(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let part_ms = (i64::from(self.seconds) * 1_000).div_euclid(Self::PARTS.into()).max(1);
        let part_end_ms = (at.timestamp_millis().div_euclid(part_ms) + 1) * part_ms;
        let until_ms = part_end_ms + i64::from(self.seconds) * 1_000;
        DateTime::from_timestamp_millis(until_ms).unwrap_or(at)
    }

    /// When it lets a booking pass again, if nobody books meanwhile; none if it never does. `counts` are bookings with
    /// the instant until which they count, soonest first.
    pub fn passes_at(&self, counts: &[(DateTime<Utc>, u32)]) -> Option<DateTime<Utc>> {
        let mut left: u64 = counts.iter().map(|(_, booked)| u64::from(*booked)).sum();
        counts.iter().find_map(|(until, booked)| {
            left -= u64::from(*booked);
            (left < u64::from(self.limit)).then_some(*until)
        })
    }
}

/// The end of a callback in whose place another is booked at `now`, to be written together with that one; none if it
/// cannot be cancelled any more. What is left to do about it is left to its owner.
pub fn replacement(before: &Callback, now: DateTime<Utc>) -> Option<Change> {
    Change::cancelling(before, Canceller::Replacement, now).ok().flatten()
}

#[cfg(test)]
mod tests;
