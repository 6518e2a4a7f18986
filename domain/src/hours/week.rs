//! The week of a calendar: which ranges of wall-clock time begin on each day.

use std::fmt;

use chrono::Weekday;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a week was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HoursError {
    /// Not a time of day.
    #[error(
        "a time is HH:MM from 00:00 to 23:59, and a range may also end at 24:00 or, in a week, on a day (mon 06:00)"
    )]
    BadTime,
    /// More ranges than a day may have.
    #[error("a day has at most {max} ranges, not {0}", max = Week::MAX_RANGES)]
    TooManyRanges(usize),
}

/// From one wall-clock time to another of a day. If `to` is not later than `from`, it is on the next day: `22:00` to
/// `06:00` is a night, `00:00` to `00:00` (as `00:00` to `24:00`) a whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RangeText", into = "RangeText")]
pub struct Range {
    /// Minutes since midnight, 0 to 1439.
    from: u16,
    /// Minutes since midnight, 0 to 1440.
    to: u16,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RangeText {
    from: String,
    to: String,
}

impl Range {
    pub(super) const DAY: u16 = 24 * 60;

    /// A range between two times in the form `HH:MM`.
    ///
    /// # Errors
    /// [`HoursError::BadTime`] for anything else.
    pub fn new(from: &str, to: &str) -> Result<Self, HoursError> {
        let from = minute_of_day(from).filter(|minute| *minute < Self::DAY).ok_or(HoursError::BadTime)?;
        let to = minute_of_day(to).ok_or(HoursError::BadTime)?;
        Ok(Self { from, to })
    }

    /// Start, in minutes since midnight.
    pub const fn from_minute(self) -> u16 {
        self.from
    }

    /// Length by the wall clock, 1 to 1440 minutes.
    pub const fn length_minutes(self) -> u16 {
        if self.to > self.from { self.to - self.from } else { self.to + Self::DAY - self.from }
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= Range::DAY).then_some(total)
}

impl TryFrom<RangeText> for Range {
    type Error = HoursError;

    fn try_from(text: RangeText) -> Result<Self, HoursError> {
        Self::new(&text.from, &text.to)
    }
}

impl From<Range> for RangeText {
    fn from(range: Range) -> Self {
        let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self { from: text(range.from), to: text(range.to) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = RangeText::from(*self);
        write!(f, "{}-{}", text.from, text.to)
    }
}

/// A range of a week: as a [`Range`] of the day under which it stands, or up to a time of another day:
/// `{"from": "22:00", "to": "mon 06:00"}` under `fri` is a weekend. It is at most a week long, which it is if it
/// ends on its own day at a time not later than its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RangeText", into = "RangeText")]
pub struct WeekRange {
    times: Range,
    /// The day on which it ends, if that is said.
    until: Option<Weekday>,
}

impl WeekRange {
    /// A range of the form `HH:MM` to `HH:MM` or `day HH:MM`.
    ///
    /// # Errors
    /// [`HoursError::BadTime`] for anything else.
    pub fn new(from: &str, to: &str) -> Result<Self, HoursError> {
        let Some((day, time)) = to.split_once(' ') else { return Ok(Range::new(from, to)?.into()) };
        let until = DAYS.iter().find(|(name, _)| *name == day).map(|(_, day)| *day).ok_or(HoursError::BadTime)?;
        Ok(Self { times: Range::new(from, time)?, until: Some(until) })
    }

    /// Start, in minutes since the midnight of its day.
    pub const fn from_minute(self) -> u16 {
        self.times.from
    }

    /// Length by the wall clock if it starts on `day`, 1 to 10,080 minutes.
    pub fn length_minutes(self, day: Weekday) -> u16 {
        let Some(until) = self.until else { return self.times.length_minutes() };
        let end = until.days_since(day) as u16 * Range::DAY + self.times.to;
        if end > self.times.from { end - self.times.from } else { end + 7 * Range::DAY - self.times.from }
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

impl From<Range> for WeekRange {
    fn from(times: Range) -> Self {
        Self { times, until: None }
    }
}

impl TryFrom<RangeText> for WeekRange {
    type Error = HoursError;

    fn try_from(text: RangeText) -> Result<Self, HoursError> {
        Self::new(&text.from, &text.to)
    }
}

impl From<WeekRange> for RangeText {
    fn from(range: WeekRange) -> Self {
        let text = Self::from(range.times);
        let day = DAYS.iter().find(|(_, day)| Some(*day) == range.until);
        Self { to: day.map_or(text.to.clone(), |(name, _)| format!("{name} {}", text.to)), from: text.from }
    }
}

/// The ranges of each day, at most [`Week::MAX_RANGES`] a day. Ranges may touch and overlap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WeekDocument", into = "WeekDocument")]
pub struct Week([Vec<WeekRange>; 7]);

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WeekDocument {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mon: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tue: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wed: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thu: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fri: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sat: Vec<WeekRange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sun: Vec<WeekRange>,
}

impl Week {
    /// Most ranges of one day.
    pub const MAX_RANGES: usize = 24;

    /// A week from its days, Monday first.
    ///
    /// # Errors
    /// [`HoursError::TooManyRanges`] if a day has more than [`Self::MAX_RANGES`].
    pub fn new<R: Into<WeekRange>>(days: [Vec<R>; 7]) -> Result<Self, HoursError> {
        match days.iter().map(Vec::len).find(|ranges| *ranges > Self::MAX_RANGES) {
            Some(ranges) => Err(HoursError::TooManyRanges(ranges)),
            None => Ok(Self(days.map(|ranges| ranges.into_iter().map(Into::into).collect()))),
        }
    }

    /// The same `range` from Monday to Friday, closed at the weekend.
    pub fn working_days(range: Range) -> Self {
        let closed = Vec::new;
        let open = || vec![range.into()];
        Self([open(), open(), open(), open(), open(), closed(), closed()])
    }

    /// The ranges that start on `day`.
    pub fn ranges(&self, day: Weekday) -> &[WeekRange] {
        let [mon, tue, wed, thu, fri, sat, sun] = &self.0;
        match day {
            Weekday::Mon => mon,
            Weekday::Tue => tue,
            Weekday::Wed => wed,
            Weekday::Thu => thu,
            Weekday::Fri => fri,
            Weekday::Sat => sat,
            Weekday::Sun => sun,
        }
    }
}

impl Week {
    /// Whether no day has a range.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// The longest range by the wall clock, in minutes.
    pub fn longest_minutes(&self) -> u16 {
        let lengths = DAYS.iter().flat_map(|(_, day)| self.ranges(*day).iter().map(|range| range.length_minutes(*day)));
        lengths.max().unwrap_or_default()
    }
}

impl TryFrom<WeekDocument> for Week {
    type Error = HoursError;

    fn try_from(week: WeekDocument) -> Result<Self, HoursError> {
        Self::new([week.mon, week.tue, week.wed, week.thu, week.fri, week.sat, week.sun])
    }
}

impl From<Week> for WeekDocument {
    fn from(Week([mon, tue, wed, thu, fri, sat, sun]): Week) -> Self {
        Self { mon, tue, wed, thu, fri, sat, sun }
    }
}
