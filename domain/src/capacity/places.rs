//! The places of a rule as arrays, one number per slot of a day, and the texts that they are written as.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{Datelike as _, NaiveDate, Weekday};

use super::DayPlaces;
use crate::queue::SlotMinutes;

const DAY_MINUTES: u32 = 24 * 60;

/// A day's place in a week that begins on Monday.
pub(super) trait DayOfWeek {
    fn index(&self) -> usize;

    /// Marks the day; whether it was marked before.
    fn mark(&self, week: &mut [bool; 7]) -> bool {
        week.get_mut(self.index()).is_some_and(|marked| std::mem::replace(marked, true))
    }
}

impl DayOfWeek for Weekday {
    fn index(&self) -> usize {
        self.num_days_from_monday() as usize
    }
}

/// The days that a key of the week names, once each; none if it is no such key.
pub(super) fn days(name: &str) -> Option<Vec<Weekday>> {
    let day = |name: &str| WeekPlaces::WEEKDAYS.into_iter().find(|(known, _)| *known == name).map(|(_, day)| day);
    if name == "daily" {
        return Some(WeekPlaces::WEEKDAYS.into_iter().map(|(_, day)| day).collect());
    }
    let mut named = Vec::new();
    for part in name.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first.trim())?, day(last.trim())?);
        let range = std::iter::successors(Some(first), |day| (*day != last).then(|| day.succ()));
        named.extend(range);
    }
    let mut seen = [false; 7];
    named.iter().all(|day| !day.mark(&mut seen)).then_some(named)
}

/// Whether a text is a date in the one form that is written.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<NaiveDate>().is_ok()
}

/// What a key of a day stands for.
enum Span {
    /// The slot that begins at this minute of the day.
    Slot(u32),
    /// Every slot between two minutes of the day.
    Range(Range<u32>),
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        match text.split_once('-') {
            None => minute_of_day(text).map(Self::Slot),
            Some((from, to)) => Some(Self::Range(minute_of_day(from)?..minute_of_day(to)?)),
        }
    }

    const fn is_range(&self) -> bool {
        matches!(self, Self::Range(_))
    }

    fn minutes(&self, length: u32) -> Range<u32> {
        match self {
            Self::Slot(from) => *from..from + length,
            Self::Range(range) => range.clone(),
        }
    }
}

fn minute_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MINUTES).then_some(total)
}

/// A minute of the day as it is written.
pub(super) fn time(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// One number per slot of a day by the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    minutes: SlotMinutes,
    slots: Vec<u32>,
}

/// The places of one day; of what cannot be read nothing counts.
pub(super) fn lay(minutes: SlotMinutes, places: &DayPlaces) -> Day {
    let mut day = Day::new(minutes);
    day.lay(places);
    day
}

impl Day {
    /// A day without places.
    pub(super) fn new(minutes: SlotMinutes) -> Self {
        let slots = DAY_MINUTES / minutes.get();
        Self { minutes, slots: vec![0; slots as usize] }
    }

    /// Writes places into the day, ranges first. Returns what could not be written, and the rule it breaks.
    pub(super) fn lay<'a>(&mut self, places: &'a DayPlaces) -> Vec<(&'a str, &'static str)> {
        let length = self.minutes.get();
        let mut broken = Vec::new();
        let mut covered = vec![false; self.slots.len()];
        let read = places.iter().map(|(text, number)| (text.as_str(), Span::read(text), *number));
        let (ranges, rest): (Vec<_>, Vec<_>) = read.partition(|(_, span, _)| span.as_ref().is_some_and(Span::is_range));
        for (text, span, number) in ranges.into_iter().chain(rest) {
            let Some(span) = span else {
                broken.push((text, "has to be a time such as 09:00, or a range such as 09:00-17:00"));
                continue;
            };
            let minutes = span.minutes(length);
            if minutes.start >= minutes.end || minutes.end > DAY_MINUTES {
                broken.push((text, "has to lie within the day, its end after its start"));
                continue;
            }
            if minutes.start % length != 0 || minutes.end % length != 0 {
                broken.push((text, "has to begin and end where slots do"));
                continue;
            }
            let slots = (minutes.start / length) as usize..(minutes.end / length) as usize;
            if span.is_range() {
                let Some(covered) = covered.get_mut(slots.clone()) else { continue };
                if covered.iter().any(|covered| *covered) {
                    broken.push((text, "must not overlap another range"));
                    continue;
                }
                covered.fill(true);
            }
            if let Some(slots) = self.slots.get_mut(slots) {
                slots.fill(number);
            }
        }
        broken
    }

    /// Length of its slots in minutes.
    pub(super) const fn length(&self) -> u32 {
        self.minutes.get()
    }

    /// The numbers of its slots by periods of so many minutes, which slots have to fill.
    pub(super) fn parts(&self, minutes: u32) -> impl Iterator<Item = &[u32]> {
        self.slots.chunks((minutes / self.length()).max(1) as usize)
    }

    /// 1 for every slot that `places` name, whatever their number.
    pub(super) fn named_by(mut self, places: &DayPlaces) -> Self {
        self.lay(&places.keys().map(|span| (span.clone(), 1)).collect());
        self
    }

    /// The day in slots of another length, each with the largest number of the old ones that it touches.
    pub(super) fn resized(&self, minutes: SlotMinutes) -> Self {
        let mut new = Self::new(minutes);
        let (old_length, length) = (self.minutes.get() as usize, minutes.get() as usize);
        for (position, slot) in new.slots.iter_mut().enumerate() {
            let touched = position * length / old_length..((position + 1) * length).div_ceil(old_length);
            *slot = self.slots.get(touched).into_iter().flatten().copied().max().unwrap_or_default();
        }
        new
    }

    /// The day as it is written, without slots that have no place.
    pub(super) fn document(&self) -> DayPlaces {
        self.spans(|_, places| places > 0)
    }

    /// The slots of the day that are not 0 in `wanted`, as they are written.
    pub(super) fn document_where(&self, wanted: &Self) -> DayPlaces {
        self.spans(|position, _| wanted.slots.get(position).is_some_and(|wanted| *wanted > 0))
    }

    /// Neighbours with equal numbers become one range.
    fn spans(&self, wanted: impl Fn(usize, u32) -> bool) -> DayPlaces {
        let length = self.minutes.get();
        let mut spans: Vec<(Range<u32>, u32)> = Vec::new();
        for ((position, places), start) in self.slots.iter().enumerate().zip((0..DAY_MINUTES).step_by(length as usize))
        {
            if !wanted(position, *places) {
                continue;
            }
            match spans.last_mut() {
                Some((span, number)) if span.end == start && number == places => span.end = start + length,
                _ => spans.push((start..start + length, *places)),
            }
        }
        let text = |span: Range<u32>| match span.end - span.start {
            minutes if minutes == length => time(span.start),
            _ => format!("{}-{}", time(span.start), time(span.end)),
        };
        spans.into_iter().map(|(span, places)| (text(span), places)).collect()
    }
}

/// The places of a rule, one array per weekday and per exceptional date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeekPlaces {
    /// Monday first.
    week: [Arc<Day>; 7],
    dates: BTreeMap<NaiveDate, Arc<Day>>,
}

impl WeekPlaces {
    pub(super) const WEEKDAYS: [(&'static str, Weekday); 7] = [
        ("mon", Weekday::Mon),
        ("tue", Weekday::Tue),
        ("wed", Weekday::Wed),
        ("thu", Weekday::Thu),
        ("fri", Weekday::Fri),
        ("sat", Weekday::Sat),
        ("sun", Weekday::Sun),
    ];

    pub(super) fn empty(minutes: SlotMinutes) -> Self {
        let day = Arc::new(Day::new(minutes));
        Self { week: std::array::from_fn(|_| day.clone()), dates: BTreeMap::new() }
    }

    pub(super) fn set_weekday(&mut self, weekday: Weekday, day: &Day) {
        if let Some(slot) = self.week.get_mut(weekday.index()) {
            *slot = Arc::new(day.clone());
        }
    }

    pub(super) fn set_date(&mut self, date: NaiveDate, day: Day) {
        self.dates.insert(date, Arc::new(day));
    }

    pub(super) fn change_date(&mut self, date: NaiveDate, places: &DayPlaces) {
        let mut day = self.weekday(date.weekday()).clone();
        day.lay(places);
        self.set_date(date, day);
    }

    pub(super) fn weekday(&self, weekday: Weekday) -> &Day {
        let [mon, tue, wed, thu, fri, sat, sun] = &self.week;
        match weekday {
            Weekday::Mon => mon,
            Weekday::Tue => tue,
            Weekday::Wed => wed,
            Weekday::Thu => thu,
            Weekday::Fri => fri,
            Weekday::Sat => sat,
            Weekday::Sun => sun,
        }
    }

    pub(super) fn date(&self, date: NaiveDate) -> &Day {
        self.dates.get(&date).map_or_else(|| self.weekday(date.weekday()), Arc::as_ref)
    }

    /// Length of the slots.
    pub fn slot_minutes(&self) -> SlotMinutes {
        self.weekday(Weekday::Mon).minutes
    }

    /// The places of each slot of a date by the wall clock, from midnight on.
    pub fn on(&self, date: NaiveDate) -> &[u32] {
        &self.date(date).slots
    }
}
