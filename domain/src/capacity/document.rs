//! Reading a rule: its own form, or the keys of the predecessor's capacity service.
//!
//! There, `_capacity_<n>` is the n-th day of the week from Monday and maps the start of an hour (`"0900"`) to a
//! number, either at once or below the number of the day (`{"1": {"0900": 5}}`). A number holds to the end of its
//! hour, or to the next time that is named, and for each slot of that hour, whatever the length of slots. Times
//! that are not named have no place. `_capacity_add` holds dates in the same form, whose named hours differ from
//! the week's.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{CapacityRule, DayPlaces, Exception};
use crate::queue::SlotMinutes;

/// Every key that is read.
#[derive(Deserialize, Default, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    slot_minutes: SlotMinutes,
    week: BTreeMap<String, DayPlaces>,
    exceptions: BTreeMap<String, Exception>,
    #[serde(rename = "_capacity_1")]
    monday: HourPlaces,
    #[serde(rename = "_capacity_2")]
    tuesday: HourPlaces,
    #[serde(rename = "_capacity_3")]
    wednesday: HourPlaces,
    #[serde(rename = "_capacity_4")]
    thursday: HourPlaces,
    #[serde(rename = "_capacity_5")]
    friday: HourPlaces,
    #[serde(rename = "_capacity_6")]
    saturday: HourPlaces,
    #[serde(rename = "_capacity_7")]
    sunday: HourPlaces,
    #[serde(rename = "_capacity_add")]
    dates: BTreeMap<String, HourPlaces>,
    /// Highest number that may stand in the other keys. Default none.
    #[serde(rename = "_max_capacity")]
    max_capacity: Option<u32>,
    /// Has no place in a rule, so that it is refused with a reason.
    #[serde(rename = "_timezone")]
    #[schemars(with = "Option<serde_json::Value>")]
    zone: Option<IgnoredAny>,
    /// Names of the service and of its days: nothing to keep.
    #[serde(rename = "_capacity")]
    #[schemars(with = "Option<serde_json::Value>")]
    _capacity: Option<IgnoredAny>,
    #[serde(rename = "_service")]
    #[schemars(with = "Option<serde_json::Value>")]
    _service: Option<IgnoredAny>,
    #[serde(rename = "_type")]
    #[schemars(with = "Option<serde_json::Value>")]
    _type: Option<IgnoredAny>,
}

type HourPlaces = BTreeMap<String, HourNumber>;

/// A number, or the same once more below the number of the day.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum HourNumber {
    Places(u32),
    OfDay(BTreeMap<String, u32>),
}

/// Why the predecessor's keys cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadKeys {
    #[error("week and exceptions cannot stand beside _capacity keys")]
    Both,
    #[error("_timezone has no place in a capacity rule, which is read in the zone of the queue's hours: leave it out")]
    Zone,
    #[error("{0}: a time has to be HHMM, from 0000 to 2359")]
    Time(String),
    #[error("{0}: has to be 0 to {1} (_max_capacity)")]
    TooMany(String, u32),
}

impl TryFrom<Document> for CapacityRule {
    type Error = BadKeys;

    fn try_from(document: Document) -> Result<Self, BadKeys> {
        if document.zone.is_some() {
            return Err(BadKeys::Zone);
        }
        let keys = Keys { max_capacity: document.max_capacity.unwrap_or(u32::MAX) };
        let days = [
            ("mon", document.monday),
            ("tue", document.tuesday),
            ("wed", document.wednesday),
            ("thu", document.thursday),
            ("fri", document.friday),
            ("sat", document.saturday),
            ("sun", document.sunday),
        ];
        let named = days.into_iter().filter(|(_, hours)| !hours.is_empty());
        let week = named.map(|(day, hours)| Ok((day.to_owned(), keys.day(day, hours)?))).collect::<Result<_, _>>()?;
        let dates = document.dates.into_iter();
        let dates = dates.map(|(date, hours)| keys.day(&date, hours).map(|day| (date, Exception::Slots(day))));
        let exceptions = dates.collect::<Result<_, _>>()?;
        let read = Self { slot_minutes: document.slot_minutes, week, exceptions };
        let own = Self { slot_minutes: document.slot_minutes, week: document.week, exceptions: document.exceptions };
        match (read.is_empty(), own.is_empty()) {
            (true, _) => Ok(own),
            (false, true) => Ok(read),
            (false, false) => Err(BadKeys::Both),
        }
    }
}

impl CapacityRule {
    fn is_empty(&self) -> bool {
        self.week.is_empty() && self.exceptions.is_empty()
    }
}

/// How the predecessor's keys are read.
struct Keys {
    max_capacity: u32,
}

impl Keys {
    fn day(&self, name: &str, hours: HourPlaces) -> Result<DayPlaces, BadKeys> {
        let mut numbers: Vec<(u32, u32)> = Vec::new();
        for (key, number) in hours {
            match number {
                HourNumber::Places(places) => numbers.push(self.number(name, &key, places)?),
                HourNumber::OfDay(hours) => {
                    for (time, places) in hours {
                        numbers.push(self.number(name, &time, places)?);
                    }
                }
            }
        }
        numbers.sort_unstable();
        let ends = numbers.iter().skip(1).map(|(minute, _)| *minute).chain([u32::MAX]);
        let spans = numbers.iter().zip(ends).map(|(&(from, places), next)| {
            let hour_ends = (from / 60 + 1) * 60;
            (span(&(from..hour_ends.min(next))), places)
        });
        Ok(spans.collect())
    }

    fn number(&self, name: &str, time: &str, places: u32) -> Result<(u32, u32), BadKeys> {
        let digits = Some(time).filter(|time| time.len() == 4 && time.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|time| time.parse::<u32>().ok());
        let minute = number.filter(|number| number / 100 < 24 && number % 100 < 60).map(|it| it / 100 * 60 + it % 100);
        let minute = minute.ok_or_else(|| BadKeys::Time(format!("{name}.{time}")))?;
        if places > self.max_capacity {
            return Err(BadKeys::TooMany(format!("{name}.{time}"), self.max_capacity));
        }
        Ok((minute, places))
    }
}

fn span(minutes: &Range<u32>) -> String {
    let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{}-{}", time(minutes.start), time(minutes.end))
}
