//! Business hours: when a queue is open.
//!
//! Hours are written in wall-clock time of one zone and judged as intervals of real time, one interval per
//! range and day. The rules where clocks change:
//!
//! - A boundary that the spring change skips moves to the first instant after the gap. A range that lies in
//!   the gap altogether does not happen that day.
//! - A boundary that the autumn change repeats opens at its first occurrence and closes at its last, so a
//!   change of clocks never shortens what customers were told. Around a boundary inside the repeated hour
//!   the whole of that hour between the two counts as open.
//! - An interval holds its start and not its end: open until 17:00 means closed at 17:00:00.

mod reference;
mod week;

use std::fmt;

use chrono::{DateTime, Datelike as _, Days, Duration, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use reference::HoursRef;
pub use week::{HoursError, Range, Week};

/// When a queue is open: always, or by the week in a zone.
///
/// As a document it is the word `"always"`, or
/// `{"zone": "America/New_York", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}}` with the days `mon`
/// to `sun`; a day that is missing is closed.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessHours(Calendar);

#[derive(Debug, Clone, PartialEq)]
enum Calendar {
    Always,
    Weekly(Weekly),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weekly {
    zone: Tz,
    weekly: Week,
}

/// A span of real time, start included and end not.
type Interval = (DateTime<Utc>, DateTime<Utc>);

impl BusinessHours {
    /// How far ahead openings and closings are looked for: a day more than can be booked.
    pub const LOOK_AHEAD: Duration = Duration::days(15);

    /// Open at every instant.
    pub const fn always() -> Self {
        Self(Calendar::Always)
    }

    /// Open by the week, read in `zone`.
    pub const fn weekly(zone: Tz, week: Week) -> Self {
        Self(Calendar::Weekly(Weekly { zone, weekly: week }))
    }

    /// The zone in which hours are written and slots are laid out; UTC if it is always open.
    pub const fn zone(&self) -> Tz {
        match &self.0 {
            Calendar::Always => Tz::UTC,
            Calendar::Weekly(hours) => hours.zone,
        }
    }

    /// Whether the queue is open at `at`.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        match &self.0 {
            Calendar::Always => true,
            Calendar::Weekly(hours) => hours.ends_covering(at).next().is_some(),
        }
    }

    /// The first instant from `at` on (itself included) at which it is open; none if it does not open within
    /// [`Self::LOOK_AHEAD`].
    pub fn next_opening(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Calendar::Always => Some(at),
            Calendar::Weekly(hours) => hours.next_opening(at).filter(|opening| *opening - at <= Self::LOOK_AHEAD),
        }
    }

    /// The first instant from `at` on at which it is not open: `at` itself while it is closed. None if it
    /// stays open for longer than [`Self::LOOK_AHEAD`].
    pub fn closes_at(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Calendar::Always => None,
            Calendar::Weekly(hours) => {
                // Ranges may overlap or follow each other: go from end to end while another one covers it.
                // Each round ends at least one of the intervals in sight, so there is an end to it.
                let mut end = at;
                while end - at <= Self::LOOK_AHEAD {
                    match hours.ends_covering(end).max() {
                        Some(later) => end = later,
                        None => return Some(end),
                    }
                }
                None
            }
        }
    }
}

impl Weekly {
    /// The days whose ranges may touch the time from `at` until so many days later: ranges that wrap
    /// midnight reach into the next day, and one day more covers dates that a zone has skipped.
    fn days(&self, at: DateTime<Utc>, ahead: Duration) -> impl Iterator<Item = NaiveDate> + use<> {
        let today = at.with_timezone(&self.zone).date_naive();
        let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
        first.iter_days().take(3 + usize::try_from(ahead.num_days()).unwrap_or_default())
    }

    /// The ends of all intervals that hold `at`.
    fn ends_covering(&self, at: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        let intervals = self.days(at, Duration::zero()).flat_map(|day| self.intervals(day));
        intervals.filter(move |(from, to)| *from <= at && at < *to).map(|(_, to)| to)
    }

    fn next_opening(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Days are in order, and no interval of a later day starts before one of an earlier day.
        self.days(at, BusinessHours::LOOK_AHEAD + Duration::days(1)).find_map(|day| {
            self.intervals(day).filter(|(from, to)| *to > at && from < to).map(|(from, _)| from.max(at)).min()
        })
    }

    /// The intervals of the ranges that start on `day`.
    fn intervals(&self, day: NaiveDate) -> impl Iterator<Item = Interval> + '_ {
        self.weekly.ranges(day.weekday()).iter().filter_map(move |range| {
            let midnight = day.and_hms_opt(0, 0, 0)?;
            let from = midnight.checked_add_signed(Duration::minutes(range.from_minute().into()))?;
            let to = from.checked_add_signed(Duration::minutes(range.length_minutes().into()))?;
            Some((self.occurrence(from, Edge::Opening)?, self.occurrence(to, Edge::Closing)?))
        })
    }

    fn occurrence(&self, wall: NaiveDateTime, edge: Edge) -> Option<DateTime<Utc>> {
        occurrence(self.zone, wall, edge)
    }
}

/// The first instant at which a clock on the wall of `zone` shows `wall`, or, if a change of clocks skips it, the
/// first instant after the gap. None only where no calendar reaches.
pub fn first_instant(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    occurrence(zone, wall, Edge::Opening)
}

/// The instant of a wall-clock time, by the rules at the top of this file.
fn occurrence(zone: Tz, wall: NaiveDateTime, edge: Edge) -> Option<DateTime<Utc>> {
    let found = zone.from_local_datetime(&wall);
    let instant = match edge {
        Edge::Opening => found.earliest(),
        Edge::Closing => found.latest(),
    };
    instant.or_else(|| GapInfo::new(&wall, &zone)?.end).map(|at| at.to_utc())
}

#[derive(Clone, Copy)]
enum Edge {
    Opening,
    Closing,
}

impl Default for BusinessHours {
    fn default() -> Self {
        Self::always()
    }
}

const ALWAYS: &str = "always";

impl Serialize for BusinessHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Calendar::Always => serializer.serialize_str(ALWAYS),
            Calendar::Weekly(hours) => hours.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BusinessHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, because serde's untagged enums forget which member was wrong.
        struct Document;

        impl<'de> Visitor<'de> for Document {
            type Value = BusinessHours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"always\", or an object with \"zone\" and \"weekly\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BusinessHours, E> {
                if text == ALWAYS {
                    Ok(BusinessHours::always())
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BusinessHours, A::Error> {
                Weekly::deserialize(MapAccessDeserializer::new(map))
                    .map(|hours| BusinessHours(Calendar::Weekly(hours)))
                    .map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Document)
    }
}

#[cfg(test)]
mod tests;
