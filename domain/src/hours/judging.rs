//! Lays a calendar over a window of real time, by the rules at the top of [`super`].

use chrono::{DateTime, Datelike as _, Days as Count, Duration, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};

use super::calendar::{ByWeek, Calendar, Rule};
use super::exception::Effect;
use super::spans::{Span, Spans};
use super::week::Range;

#[derive(Clone, Copy)]
enum Edge {
    Opening,
    Closing,
}

/// The first instant at which a clock on the wall of `zone` shows `wall`, or, if a change of clocks skips it, the
/// first instant after the gap. None only where no calendar reaches.
pub fn first_instant(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    occurrence(zone, wall, Edge::Opening)
}

/// The instant of a wall-clock time.
fn occurrence(zone: Tz, wall: NaiveDateTime, edge: Edge) -> Option<DateTime<Utc>> {
    let found = zone.from_local_datetime(&wall);
    let instant = match edge {
        Edge::Opening => found.earliest(),
        Edge::Closing => found.latest(),
    };
    instant.or_else(|| GapInfo::new(&wall, &zone)?.end).map(|at| at.to_utc())
}

/// A range of wall-clock time that starts on `day`.
fn span(zone: Tz, day: NaiveDate, from_minute: u16, length_minutes: u16) -> Option<Span> {
    let from = day.and_hms_opt(0, 0, 0)?.checked_add_signed(Duration::minutes(from_minute.into()))?;
    let to = from.checked_add_signed(Duration::minutes(length_minutes.into()))?;
    Some((occurrence(zone, from, Edge::Opening)?, occurrence(zone, to, Edge::Closing)?))
}

/// A date: from its first instant up to the first of the next date.
fn whole(zone: Tz, day: NaiveDate) -> Option<Span> {
    let midnight = |day: NaiveDate| first_instant(zone, day.and_hms_opt(0, 0, 0)?);
    Some((midnight(day)?, midnight(day.succ_opt()?)?))
}

impl Calendar {
    /// The instants of `window` at which it is open.
    pub(super) fn open_in(&self, window: Span) -> Spans {
        match &self.0 {
            Rule::Always => Spans::within(window, [window]),
            Rule::ByWeek(hours) => hours.open_in(window),
        }
    }
}

impl ByWeek {
    fn open_in(&self, window: Span) -> Spans {
        let special = self.special(window);
        let usual = self.usual(window).without(&special.replaced);
        let open = usual.or(special.opened).without(&special.removed);
        if self.effective.0.is_empty() || open.is_empty() {
            return open;
        }
        open.and(&self.on(window, |day| self.effective.hold(day)))
    }

    /// The week, the calendars that it includes, and the alternatives on their dates.
    fn usual(&self, window: Span) -> Spans {
        // A range may begin as many midnights before the window as it is long.
        let back = u64::from(self.week.longest_minutes() / Range::DAY) + 1;
        let ranges = self.days(window, back).flat_map(|day| {
            let ranges = self.week.ranges(day.weekday()).iter();
            ranges
                .filter_map(move |range| span(self.zone, day, range.from_minute(), range.length_minutes(day.weekday())))
        });
        let own = Spans::within(window, ranges);
        let usual = self.include.iter().fold(own, |open, other| open.or(other.open_in(window)));
        let mut taken = Spans::default();
        self.alternatives.iter().fold(usual, |usual, (days, other)| {
            let dates = self.on(window, |day| days.hold(day)).without(&taken);
            if dates.is_empty() {
                return usual;
            }
            taken = std::mem::take(&mut taken).or(dates.clone());
            usual.without(&dates).or(other.open_in(window).and(&dates))
        })
    }

    /// What the exceptions say about the window.
    fn special(&self, window: Span) -> Special {
        let mut dates = Vec::new();
        let mut opened = Vec::new();
        let mut removed = Vec::new();
        // Ranges of an exception end on the day after at the latest.
        let days: Vec<_> = self.days(window, 1).collect();
        for exception in &self.exceptions {
            for day in exception.days.among(&days) {
                let spans = |ranges: &[Range]| -> Vec<Span> {
                    ranges.iter().filter_map(|it| span(self.zone, day, it.from_minute(), it.length_minutes())).collect()
                };
                match &exception.effect {
                    Effect::Closed => dates.extend(whole(self.zone, day)),
                    Effect::Open(ranges) => {
                        dates.extend(whole(self.zone, day));
                        opened.extend(spans(ranges));
                    }
                    Effect::Add(ranges) => opened.extend(spans(ranges)),
                    Effect::Remove(ranges) => removed.extend(spans(ranges)),
                }
            }
        }
        Special {
            replaced: Spans::within(window, dates),
            opened: Spans::within(window, opened),
            removed: Spans::within(window, removed),
        }
    }

    /// The instants of the window that lie on dates of a kind.
    fn on(&self, window: Span, kind: impl Fn(NaiveDate) -> bool) -> Spans {
        let days = self.days(window, 0).filter(|day| kind(*day));
        Spans::within(window, days.filter_map(|day| whole(self.zone, day)))
    }

    /// The dates that the window touches, from so many before it on. One more on each side covers dates that a zone
    /// has skipped, and midnights that a change of clocks has moved.
    fn days(&self, window: Span, back: u64) -> impl Iterator<Item = NaiveDate> + use<> {
        let date = |at: DateTime<Utc>| at.with_timezone(&self.zone).date_naive();
        let (first, last) = (date(window.0), date(window.1));
        let first = first.checked_sub_days(Count::new(back + 1)).unwrap_or(first);
        let last = last.succ_opt().unwrap_or(last);
        first.iter_days().take_while(move |day| *day <= last)
    }
}

/// What exceptions say about a window.
struct Special {
    /// Where the usual hours do not hold.
    replaced: Spans,
    /// Where it is open all the same.
    opened: Spans,
    /// Where it is closed in any case.
    removed: Spans,
}
