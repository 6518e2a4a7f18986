//! The slots of a window, one after the other, each in a handful of operations: offsets and openings are looked
//! up once for as long as they hold.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::{DAY_SECONDS, Layout, Places};
use crate::hours::Calendar;
use crate::queue::Queue;

/// The slots that begin in `starts` while the queue is open and have places at all, ascending, each with its
/// places in all. Where bookings outside the hours are not refused, it is open at any time.
pub fn open_slots(queue: &Queue, starts: Range<DateTime<Utc>>) -> OpenSlots<'_> {
    let hours = queue.reject_out_of_hours.then_some(queue.hours.as_ref());
    let end = starts.end.min(DateTime::<Utc>::MAX_UTC);
    // The first slot that does not begin before the window.
    let first = queue.layout.grid.slot_start(starts.start);
    let first = if first < starts.start { queue.layout.grid.next_slot(first) } else { first };
    let mut slots = OpenSlots { cursor: Cursor::new(&queue.layout, first), day: None, hours, open_until: first, end };
    if hours.is_none() {
        slots.open_until = end;
    }
    slots
}

/// Iterates over open slots; see [`open_slots`].
pub struct OpenSlots<'a> {
    cursor: Cursor<'a>,
    /// The day of the wall clock that the last slot was on, and its numbers.
    day: Option<(i64, &'a [u32])>,
    hours: Option<&'a Calendar>,
    /// Every instant from the present slot up to this one is known to be open.
    open_until: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl OpenSlots<'_> {
    /// Moves to the first slot from the present one on that begins while the queue is open; false if none does.
    fn find_open(&mut self) -> bool {
        while self.cursor.start < self.end {
            if self.cursor.start < self.open_until {
                return true;
            }
            let Some(hours) = self.hours else { return false };
            let Some(opening) = hours.next_opening(self.cursor.start) else { return false };
            self.open_until = hours.closes_at(opening).unwrap_or(self.end);
            self.cursor.advance_to(opening);
        }
        false
    }

    fn places(&mut self) -> u32 {
        let layout = self.cursor.layout;
        match &layout.places {
            Places::Same(places) => *places,
            Places::ByRule(rule) => {
                let (timestamp, offset) = (self.cursor.start.timestamp(), self.cursor.offset);
                let day = (timestamp + offset).div_euclid(DAY_SECONDS);
                let numbers = match self.day {
                    Some((known, numbers)) if known == day => numbers,
                    _ => rule.on(layout.grid.wall(timestamp, offset).0),
                };
                self.day = Some((day, numbers));
                layout.grid.places_of(numbers, (timestamp + offset).rem_euclid(DAY_SECONDS))
            }
        }
    }
}

impl Iterator for OpenSlots<'_> {
    type Item = (DateTime<Utc>, u32);

    fn next(&mut self) -> Option<Self::Item> {
        while self.find_open() {
            let slot = (self.cursor.start, self.places());
            self.cursor.advance();
            if slot.1 > 0 {
                return Some(slot);
            }
        }
        None
    }
}

/// Steps from slot to slot.
struct Cursor<'a> {
    layout: &'a Layout,
    start: DateTime<Utc>,
    /// Of the wall clock at the start.
    offset: i64,
    /// Up to this instant, the offset is the same and slots have their full length.
    steady_until: DateTime<Utc>,
}

impl<'a> Cursor<'a> {
    fn new(layout: &'a Layout, start: DateTime<Utc>) -> Self {
        let mut cursor = Self { layout, start, offset: 0, steady_until: start };
        cursor.look_around();
        cursor
    }

    fn advance(&mut self) {
        let grid = &self.layout.grid;
        let next = self.start + chrono::Duration::seconds(grid.length_seconds());
        if next <= self.steady_until {
            self.start = next;
            return;
        }
        self.start = grid.next_slot(self.start);
        self.look_around();
    }

    /// To the first slot that does not begin before `at`, which is not before the present one.
    fn advance_to(&mut self, at: DateTime<Utc>) {
        if at <= self.start {
            return;
        }
        let start = self.layout.grid.slot_start(at);
        self.start = if start < at { self.layout.grid.next_slot(start) } else { start };
        self.look_around();
    }

    /// Clocks do not change twice in a day, so equal offsets now and in a day are the same between. A slot that
    /// began with a change may be off the grid; it is left slowly.
    fn look_around(&mut self) {
        let grid = &self.layout.grid;
        self.offset = grid.offset_seconds(self.start);
        let tomorrow = self.start + chrono::Duration::days(1);
        let on_grid = (self.start.timestamp() + self.offset).rem_euclid(grid.length_seconds()) == 0;
        let steady = on_grid && grid.offset_seconds(tomorrow) == self.offset;
        self.steady_until = if steady { tomorrow } else { self.start };
    }
}

/// An open slot with what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSlot {
    /// Its start.
    pub start: DateTime<Utc>,
    /// Places left.
    pub free: u32,
    /// Places in all, at least 1.
    pub total: u32,
}

/// The same slots with what is left of each; `taken` are the places taken per slot start.
pub fn free_slots<'a>(
    open: impl Iterator<Item = (DateTime<Utc>, u32)> + 'a,
    taken: &'a BTreeMap<DateTime<Utc>, u32>,
) -> impl Iterator<Item = FreeSlot> + 'a {
    let mut taken = taken.iter().peekable();
    open.map(move |(start, total)| FreeSlot { start, free: total.saturating_sub(booked(&mut taken, start)), total })
}

/// What is taken of the slot at `start`, going through both in their common order.
fn booked<'a>(taken: &mut Peekable<impl Iterator<Item = (&'a DateTime<Utc>, &'a u32)>>, start: DateTime<Utc>) -> u32 {
    while taken.next_if(|(at, _)| **at < start).is_some() {}
    taken.next_if(|(at, _)| **at == start).map_or(0, |(_, booked)| *booked)
}
