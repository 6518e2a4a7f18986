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
//! Everything here depends on the settings alone. After a change of zone or slot length existing bookings
//! keep the slot start stored with them.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Duration, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::booking::MAX_AHEAD;
use crate::queue::Queue;

/// Most slots that are proposed at once.
pub const MAX_PROPOSALS: usize = 10;

/// Most slots that are looked at for proposals: 14 days of the shortest slots.
pub const MAX_EXAMINED: usize = 14 * 24 * 12;

/// The one function from an instant to the start of its slot: bookings, availability and recounts use it.
pub fn slot_start(settings: &Queue, at: DateTime<Utc>) -> DateTime<Utc> {
    let grid = Grid::of(settings);
    let start = grid.floor(at);
    // If clocks changed since then, the slot begins with the change.
    grid.change_between(start, at).unwrap_or(start)
}

/// The start of the slot after the one of `at`.
pub fn next_slot(settings: &Queue, at: DateTime<Utc>) -> DateTime<Utc> {
    let grid = Grid::of(settings);
    let start = slot_start(settings, at);
    // The slot of a change may have begun off the grid: its end is on it.
    let end = grid.floor(start) + grid.length;
    grid.change_between(start, end).unwrap_or(end)
}

/// The instants for which [`proposals`] has to know what is taken: from the slot after the one of `after`, up
/// to but not including the end, at most 14 days later and not beyond `horizon`.
pub fn proposal_range(settings: &Queue, after: DateTime<Utc>, horizon: DateTime<Utc>) -> Range<DateTime<Utc>> {
    let from = next_slot(settings, after);
    let last = horizon.min(after + MAX_AHEAD);
    // The horizon itself can be booked, so its slot counts.
    from..from.max(next_slot(settings, last))
}

/// The nearest slots after the one of `after` that begin while the queue is open, not after `horizon`, and
/// have free places, ascending, with their free places. At most `limit`, and never more than
/// [`MAX_PROPOSALS`].
///
/// `taken` are the places taken per slot start, read for [`proposal_range`].
pub fn proposals(
    settings: &Queue,
    taken: &BTreeMap<DateTime<Utc>, u32>,
    after: DateTime<Utc>,
    horizon: DateTime<Utc>,
    limit: usize,
) -> Vec<(DateTime<Utc>, u32)> {
    let range = proposal_range(settings, after, horizon);
    let last = horizon.min(after + MAX_AHEAD);
    let slots = std::iter::successors(Some(range.start), |start| next_open(settings, next_slot(settings, *start)));
    slots
        .take(MAX_EXAMINED)
        .take_while(|start| *start <= last)
        .filter(|start| !settings.reject_out_of_hours || settings.hours.is_open(*start))
        .map(|start| (start, settings.slot_capacity.saturating_sub(taken.get(&start).copied().unwrap_or_default())))
        .filter(|(_, free)| *free > 0)
        .take(limit.min(MAX_PROPOSALS))
        .collect()
}

/// `slot`, or if the queue is closed then, the slot of the next opening.
fn next_open(settings: &Queue, slot: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !settings.reject_out_of_hours {
        return Some(slot);
    }
    let opening = settings.hours.next_opening(slot)?;
    Some(slot_start(settings, opening).max(slot))
}

/// Slots of one length on the wall clock of a zone.
struct Grid {
    zone: Tz,
    length: Duration,
}

impl Grid {
    fn of(settings: &Queue) -> Self {
        Self { zone: settings.hours.zone(), length: Duration::minutes(settings.slot_minutes.get().into()) }
    }

    fn offset_seconds(&self, at: DateTime<Utc>) -> i64 {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into()
    }

    /// The last point of the grid, as the clocks stand at `at`, that is not after `at`.
    fn floor(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let offset = self.offset_seconds(at);
        let length = self.length.num_seconds();
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
}

#[cfg(test)]
mod tests;
