//! Availability: which slots of a window can still be booked.
//!
//! The answer is a picture of the moment. Whether a place is still there is decided with the booking.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Duration, Utc};

use crate::booking::MAX_AHEAD;
use crate::queue::Queue;
use crate::slots::{self, FreeSlot};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The wanted queue, as written by the client.
    pub service_name: String,
    /// Where the window begins; absent, or before now, means now.
    pub start: Option<DateTime<Utc>>,
    /// Where the window ends.
    pub end: End,
    /// Which of its slots are shown.
    pub show: Show,
}

/// Which open slots of a window are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Show {
    /// At most so many with places left, at least 1; none means all of the window.
    pub max_free: Option<usize>,
    /// Whether slots without places left are shown too.
    pub busy: Busy,
}

impl Show {
    /// What is proposed instead of a slot that is full.
    pub const PROPOSALS: Self = Self { max_free: Some(10), busy: Busy::Hidden };
}

/// Where a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Where it begins: the one slot that holds the instant.
    AtStart,
    /// At an instant, which is not part of it.
    At(DateTime<Utc>),
    /// So long after the start that was asked for.
    After(Duration),
}

/// What becomes of open slots without places left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Busy {
    /// They are left out.
    Hidden,
    /// They are shown.
    Shown,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// Slot length in minutes.
    pub slot_minutes: u32,
    /// Slots, ascending.
    pub slots: Vec<FreeSlot>,
}

/// The starts of the slots that are asked for and can be booked at `now`, as far as time is concerned: from the slot
/// that holds the start of the window on, up to the end of the window, and as far ahead as the queue takes
/// bookings. Where it wants a lead, only slots that begin after it. Empty if the window is over, or the queue takes no callbacks for
/// later just now.
pub fn starts(queue: &Queue, question: &Question, now: DateTime<Utc>) -> Range<DateTime<Utc>> {
    let none = now..now;
    if queue.paused || !queue.scheduled_enabled {
        return none;
    }
    let from = question.start.unwrap_or(now).max(now);
    let to = match question.end {
        End::AtStart => from,
        End::At(end) => end,
        End::After(length) => {
            let start = question.start.unwrap_or(now);
            start.checked_add_signed(length).unwrap_or(DateTime::<Utc>::MAX_UTC)
        }
    };
    let latest = now + queue.max_ahead();
    if to < from || from > latest {
        return none;
    }
    let first = slots::slot_start(queue, from);
    let earliest = now + Duration::seconds(queue.min_lead_seconds.into());
    // The running slot is shown without a lead: a booking for its start is one for now.
    let begin = if queue.min_lead_seconds > 0 { first.max(earliest) } else { first };
    // The slot that holds the start counts whatever the end, and the latest instant can be booked itself.
    let tick = Duration::milliseconds(1);
    let end = to.min(latest + tick).max(first + tick);
    if begin < end { begin..end } else { none }
}

/// The starts that are looked at for proposals, from `first`, the start of a slot, on: at most [`MAX_AHEAD`], and not
/// beyond `horizon`, which can be booked itself.
pub fn proposal_starts(first: DateTime<Utc>, horizon: DateTime<Utc>) -> Range<DateTime<Utc>> {
    let end = horizon.min(first + MAX_AHEAD) + Duration::milliseconds(1);
    first..end.max(first)
}

/// Adds the slots that begin in `starts` to `found`, as asked, until there are as many as asked for.
///
/// `taken` are the places taken per slot start in that range.
pub fn fill(
    queue: &Queue,
    show: Show,
    starts: Range<DateTime<Utc>>,
    taken: &BTreeMap<DateTime<Utc>, u32>,
    found: &mut Vec<FreeSlot>,
) -> Fill {
    let max_free = show.max_free.unwrap_or(usize::MAX);
    let mut free = match show.busy {
        Busy::Hidden => found.len(),
        Busy::Shown => found.iter().filter(|slot| slot.free > 0).count(),
    };
    for slot in slots::free_slots(slots::open_slots(queue, starts), taken) {
        if slot.free > 0 {
            free += 1;
            found.push(slot);
            if free >= max_free {
                return Fill::Enough;
            }
        } else if show.busy == Busy::Shown {
            found.push(slot);
        }
    }
    Fill::MoreWanted
}

/// Whether what was asked for is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// There are as many as were asked for.
    Enough,
    /// Further slots of the window are wanted.
    MoreWanted,
}

#[cfg(test)]
mod tests;
