//! A calendar as it works: its document with every name replaced by what it stands for.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;

use super::Status;
use super::days::DayList;
use super::exception::Exception;
use super::spans::Span;
use super::week::Week;
use crate::booking::MAX_AHEAD;

/// When a queue is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendar(pub(super) Rule);

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Rule {
    #[default]
    Always,
    ByWeek(Box<ByWeek>),
}

/// See [`super::Written`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ByWeek {
    pub(super) zone: Tz,
    pub(super) week: Week,
    /// Its own and those of other calendars, without those that do not count.
    pub(super) exceptions: Vec<Exception>,
    pub(super) effective: DayList,
    pub(super) include: Vec<Arc<Calendar>>,
    pub(super) alternatives: Vec<(DayList, Arc<Calendar>)>,
}

/// The windows in which openings and closings are looked for, one after the other, in days: most are near.
const STEPS: [Duration; 3] = [Duration::days(1), Duration::days(3), Duration::days(11)];

/// The shortest time that hours are judged by.
const INSTANT: Duration = Duration::milliseconds(1);

/// No calendar is judged outside the years 1 to 9999.
const EARLIEST: i64 = -62_135_000_000;
const LATEST: i64 = 253_402_000_000;

impl Calendar {
    /// How far ahead openings and closings are looked for: a day more than can be booked.
    pub const LOOK_AHEAD: Duration = Duration::days(15);

    /// Open at every instant.
    pub const fn always() -> Self {
        Self(Rule::Always)
    }

    /// The zone in which hours are written and slots are laid out; UTC if it is always open.
    pub fn zone(&self) -> Tz {
        match &self.0 {
            Rule::Always => Tz::UTC,
            Rule::ByWeek(hours) => hours.zone,
        }
    }

    /// Whether it is open at `at`.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        match &self.0 {
            Rule::Always => true,
            Rule::ByWeek(_) => !self.open_between(at, later(at, INSTANT)).is_empty(),
        }
    }

    /// The spans of real time from `from` up to `to` in which it is open: in order, apart from each other, cut at
    /// both ends. The work grows with the length asked for; ask for weeks, not for years.
    pub fn open_between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Span> {
        let within = |second| DateTime::from_timestamp(second, 0);
        let (Some(earliest), Some(latest)) = (within(EARLIEST), within(LATEST)) else { return Vec::new() };
        let window = (from.max(earliest), to.min(latest));
        if window.0 < window.1 { self.open_in(window).into_vec() } else { Vec::new() }
    }

    /// The first instant from `at` on (itself included) at which it is open; none if it does not open within
    /// [`Self::LOOK_AHEAD`].
    pub fn next_opening(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut from = at;
        for step in STEPS {
            let to = later(from, step);
            if let Some((opening, _)) = self.open_between(from, to).first() {
                return Some(*opening);
            }
            from = to;
        }
        None
    }

    /// The first instant from `at` on at which it is not open: `at` itself while it is closed. None if it
    /// stays open for [`Self::LOOK_AHEAD`].
    pub fn closes_at(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.0 == Rule::Always {
            return None;
        }
        let mut from = at;
        for step in STEPS {
            let to = later(from, step);
            match self.open_between(from, to).first() {
                Some((opening, closing)) if *opening == from && *closing < to => return Some(*closing),
                Some((opening, _)) if *opening == from => from = to,
                _ => return Some(from),
            }
        }
        None
    }

    /// For how long from `at` on it stays open, in whole seconds; 0 while it is closed, and at most
    /// [`MAX_AHEAD`], as far ahead as any queue takes bookings.
    pub fn open_for_seconds(&self, at: DateTime<Utc>) -> u32 {
        let left = self.closes_at(at).map_or(MAX_AHEAD, |closing| (closing - at).min(MAX_AHEAD));
        u32::try_from(left.num_seconds()).unwrap_or_default()
    }

    /// Whether it is open at `at`, and until when.
    pub fn status(&self, at: DateTime<Utc>) -> Status {
        match self.closes_at(at) {
            None => Status::OpenAlways,
            Some(closing) if closing > at => Status::OpenUntil(closing),
            Some(_) => self.next_opening(at).map_or(Status::ClosedUnknown, Status::ClosedUntil),
        }
    }

    /// How many calendars it draws on, each counted as often as it is named.
    pub(super) fn drawn(&self) -> usize {
        let Rule::ByWeek(hours) = &self.0 else { return 0 };
        let others = hours.include.iter().chain(hours.alternatives.iter().map(|(_, other)| other));
        others.map(|other| 1 + other.drawn()).sum()
    }
}

/// So much later, as far as time goes.
fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
