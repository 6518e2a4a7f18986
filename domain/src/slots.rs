//! Slots: which interval of the day a scheduled callback falls into, and how many places it has.
//!
//! The grid is read in the zone of the queue's hours: with 30 minutes, slots start at :00 and :30 on the
//! wall, also where the zone is 45 minutes off UTC. Real time is cut into slots without gap or overlap, so
//! none is lost or doubled when clocks change:
//!
//! - the hour that the autumn change repeats gives slots of its own each time, told apart by their instants;
//! - the hour that spring skips gives none;
//! - where a change falls inside a slot, the slot ends there and a shorter one begins. That happens only if
//!   the change is no multiple of the slot (Lord Howe's half hour with slots of an hour) or the slot is
//!   longer than the hour of the change.
//!
//! How many places a slot has is a function of its start too: the number that the rule has for what a clock
//! on the wall shows then, so that both slots of a repeated hour have it.
//!
//! Everything here depends on the settings alone. A change of zone or slot length moves the bookings that are
//! unfinished ([`crate::ports::CallbackStore::recount`]); a change of places leaves them where they are.

mod window;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, NaiveDate, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::capacity::WeekPlaces;
use crate::ports::SlotClaim;
use crate::queue::{Queue, SlotMinutes};

pub use window::{FreeSlot, OpenSlots, free_slots, open_slots};

/// The one function from an instant to the start of its slot: bookings, availability and recounts use it.
pub fn slot_start(queue: &Queue, at: DateTime<Utc>) -> DateTime<Utc> {
    queue.layout.grid.slot_start(at)
}

/// The start of the slot after the one of `at`.
pub fn next_slot(queue: &Queue, at: DateTime<Utc>) -> DateTime<Utc> {
    queue.layout.grid.next_slot(at)
}

/// The place that a callback wanted at `at` has to take.
pub fn claim(queue: &Queue, at: DateTime<Utc>) -> SlotClaim {
    let layout = &queue.layout;
    let start = layout.grid.slot_start(at);
    SlotClaim { start, capacity: layout.capacity_at(start), grid: layout.grid }
}

/// A queue's slots: where they begin, and how many places each has.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    grid: Grid,
    places: Places,
}

#[derive(Debug, Clone, PartialEq)]
enum Places {
    /// The same number in every slot.
    Same(u32),
    /// As a capacity rule with slots of the grid's length has it.
    ByRule(Arc<WeekPlaces>),
}

impl Layout {
    /// Slots that all have the same places.
    pub const fn even(zone: Tz, minutes: SlotMinutes, places: u32) -> Self {
        Self { grid: Grid { zone, minutes }, places: Places::Same(places) }
    }

    /// Slots as a rule has them.
    pub fn by_rule(zone: Tz, places: Arc<WeekPlaces>) -> Self {
        Self { grid: Grid { zone, minutes: places.slot_minutes() }, places: Places::ByRule(places) }
    }

    /// Where slots begin.
    pub const fn grid(&self) -> Grid {
        self.grid
    }

    /// Places in all of the slot that starts at `start`.
    pub fn capacity_at(&self, start: DateTime<Utc>) -> u32 {
        match &self.places {
            Places::Same(places) => *places,
            Places::ByRule(rule) => {
                let (date, second) = self.grid.wall(start.timestamp(), self.grid.offset_seconds(start));
                self.grid.places_of(rule.on(date), second)
            }
        }
    }
}

/// Slots of one length on the wall clock of a zone; by default of five minutes in UTC. Its text, such as `30 America/New_York`, names it in stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    zone: Tz,
    minutes: SlotMinutes,
}

impl Default for Grid {
    fn default() -> Self {
        Self { zone: Tz::UTC, minutes: SlotMinutes::default() }
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minutes.get(), self.zone)
    }
}

const DAY_SECONDS: i64 = 86_400;

impl Grid {
    /// Slots of `minutes` in `zone`.
    pub const fn new(zone: Tz, minutes: SlotMinutes) -> Self {
        Self { zone, minutes }
    }

    /// Length of slots in minutes.
    pub const fn minutes(&self) -> SlotMinutes {
        self.minutes
    }

    /// The start of the slot that holds `at`.
    pub fn slot_start(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let start = self.floor(at);
        // If clocks changed since then, the slot begins with the change.
        self.change_between(start, at).unwrap_or(start)
    }

    /// The start of the slot after the one that holds `at`.
    pub fn next_slot(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let start = self.slot_start(at);
        // The slot of a change may have begun off the grid: its end is on it.
        let end = self.floor(start) + Duration::seconds(self.length_seconds());
        self.change_between(start, end).unwrap_or(end)
    }

    /// Length of slots that no change of clocks cuts short.
    pub fn length(&self) -> Duration {
        Duration::minutes(self.minutes.get().into())
    }

    fn length_seconds(&self) -> i64 {
        i64::from(self.minutes.get()) * 60
    }

    fn offset_seconds(&self, at: DateTime<Utc>) -> i64 {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into()
    }

    /// The last point of the grid, as the clocks stand at `at`, that is not after `at`.
    fn floor(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let offset = self.offset_seconds(at);
        let length = self.length_seconds();
        let start = (at.timestamp() + offset).div_euclid(length) * length - offset;
        DateTime::from_timestamp(start, 0).unwrap_or(at)
    }

    /// The first instant after `from`, up to and including `to`, at which clocks stand as they do at `to`; none
    /// if they did not change between. A slot is far shorter than the time between two changes.
    fn change_between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let offset = self.offset_seconds(to);
        if self.offset_seconds(from) == offset {
            return None;
        }
        let (mut before, mut since) = (from.timestamp(), to.timestamp());
        while since - before > 1 {
            let middle = before + (since - before) / 2;
            let changed = DateTime::from_timestamp(middle, 0).is_some_and(|at| self.offset_seconds(at) == offset);
            if changed { since = middle } else { before = middle }
        }
        DateTime::from_timestamp(since, 0)
    }

    /// The date on the wall and the second of its day.
    fn wall(&self, timestamp: i64, offset: i64) -> (NaiveDate, i64) {
        let local = timestamp + offset;
        let day = local.div_euclid(DAY_SECONDS);
        let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days);
        (date.unwrap_or_default(), local.rem_euclid(DAY_SECONDS))
    }

    /// The number of the slot that a clock on the wall is in at that second of a day.
    fn places_of(&self, day: &[u32], second: i64) -> u32 {
        let position = usize::try_from(second / self.length_seconds()).unwrap_or_default();
        day.get(position).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
