//! Which dates a part of a calendar speaks of.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Not a date, and not a range of dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "dates are one date or a range, once (2026-12-25, 2026-12-24..2026-12-26, 2026-12-24.., ..2026-12-26) or every \
     year (12-25, 12-24..01-02)"
)]
pub struct BadDays;

/// A date or a range of dates, both ends included, once or every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(Dates);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    /// Without an end it goes on for ever on that side.
    Once { first: Option<NaiveDate>, last: Option<NaiveDate> },
    /// A range whose last day comes before its first one reaches over the new year.
    Yearly { first: MonthDay, last: MonthDay },
}

/// A day of every year; 29 February comes in leap years only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct MonthDay {
    month: u32,
    day: u32,
}

impl MonthDay {
    fn of(date: NaiveDate) -> Self {
        Self { month: date.month(), day: date.day() }
    }
}

impl Days {
    /// Whether `date` is one of them.
    pub fn hold(&self, date: NaiveDate) -> bool {
        match self.0 {
            Dates::Once { first, last } => {
                first.is_none_or(|first| first <= date) && last.is_none_or(|last| date <= last)
            }
            Dates::Yearly { first, last } => {
                let day = MonthDay::of(date);
                if first <= last { first <= day && day <= last } else { first <= day || day <= last }
            }
        }
    }

    /// Whether one of them may lie from `from` to `to`; false is certain, and cheap for dates that come once.
    fn may_touch(&self, from: NaiveDate, to: NaiveDate) -> bool {
        match self.0 {
            Dates::Once { first, last } => {
                first.is_none_or(|first| first <= to) && last.is_none_or(|last| from <= last)
            }
            Dates::Yearly { .. } => true,
        }
    }
}

enum End {
    Date(NaiveDate),
    MonthDay(MonthDay),
}

/// `YYYY-MM-DD` or `MM-DD`.
fn end(text: &str) -> Option<End> {
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    };
    let dash = |at: usize| (text.as_bytes().get(at) == Some(&b'-')).then_some(());
    match text.len() {
        5 => {
            dash(2)?;
            let (month, day) = (number(0..2)?, number(3..5)?);
            // A leap year has every day that any year has.
            NaiveDate::from_ymd_opt(2024, month, day).map(|_| End::MonthDay(MonthDay { month, day }))
        }
        10 => {
            dash(4)?;
            dash(7)?;
            let year = i32::try_from(number(0..4)?).ok().filter(|year| *year > 0)?;
            NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?).map(End::Date)
        }
        _ => None,
    }
}

impl FromStr for Days {
    type Err = BadDays;

    fn from_str(text: &str) -> Result<Self, BadDays> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let read = |text: &str| if text.is_empty() { Ok(None) } else { end(text).map(Some).ok_or(BadDays) };
        let dates = match (read(first)?, read(last)?) {
            (Some(End::MonthDay(first)), Some(End::MonthDay(last))) => Dates::Yearly { first, last },
            (Some(End::Date(first)), Some(End::Date(last))) if first <= last => {
                Dates::Once { first: Some(first), last: Some(last) }
            }
            (Some(End::Date(first)), None) => Dates::Once { first: Some(first), last: None },
            (None, Some(End::Date(last))) => Dates::Once { first: None, last: Some(last) },
            _ => return Err(BadDays),
        };
        Ok(Self(dates))
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Dates::Once { first: Some(first), last: Some(last) } if first == last => write!(f, "{first}"),
            Dates::Once { first, last } => {
                first.map_or(Ok(()), |first| write!(f, "{first}"))?;
                f.write_str("..")?;
                last.map_or(Ok(()), |last| write!(f, "{last}"))
            }
            Dates::Yearly { first, last } if first == last => write!(f, "{first}"),
            Dates::Yearly { first, last } => write!(f, "{first}..{last}"),
        }
    }
}

impl TryFrom<String> for Days {
    type Error = BadDays;

    fn try_from(text: String) -> Result<Self, BadDays> {
        text.parse()
    }
}

impl From<Days> for String {
    fn from(days: Days) -> Self {
        days.to_string()
    }
}

/// Any number of [`Days`]. In a document one stands alone or in a list; an empty list is no date at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayList(pub Vec<Days>);

impl DayList {
    /// Whether `date` is one of them.
    pub fn hold(&self, date: NaiveDate) -> bool {
        self.0.iter().any(|days| days.hold(date))
    }

    /// Those of `dates`, which are in order, that are among them.
    pub(super) fn among<'a>(&'a self, dates: &'a [NaiveDate]) -> impl Iterator<Item = NaiveDate> + 'a {
        let ends = dates.first().zip(dates.last());
        let near = ends.filter(|(from, to)| self.0.iter().any(|days| days.may_touch(**from, **to)));
        near.into_iter().flat_map(move |_| dates.iter().copied().filter(|date| self.hold(*date)))
    }
}

impl From<Days> for DayList {
    fn from(days: Days) -> Self {
        Self(vec![days])
    }
}

impl Serialize for DayList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [days] => days.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for DayList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = DayList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dates such as 2026-12-25, 12-25 or 12-24..01-02, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DayList, E> {
                text.parse::<Days>().map(DayList::from).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DayList, A::Error> {
                let mut all = Vec::new();
                while let Some(days) = items.next_element()? {
                    all.push(days);
                }
                Ok(DayList(all))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn dates_hold_once_or_every_year() {
        for (days, inside, outside) in [
            ("2026-12-25", vec!["2026-12-25"], vec!["2026-12-24", "2026-12-26", "2027-12-25"]),
            (
                "2026-12-24..2027-01-02",
                vec!["2026-12-24", "2026-12-31", "2027-01-02"],
                vec!["2026-12-23", "2027-01-03"],
            ),
            ("2026-12-24..", vec!["2026-12-24", "2099-01-01"], vec!["2026-12-23"]),
            ("..2026-12-24", vec!["1999-01-01", "2026-12-24"], vec!["2026-12-25"]),
            ("12-25", vec!["2026-12-25", "2027-12-25"], vec!["2026-12-24", "2026-11-25"]),
            ("06-01..08-31", vec!["2026-06-01", "2030-07-15", "2026-08-31"], vec!["2026-05-31", "2026-09-01"]),
            ("12-24..01-02", vec!["2026-12-24", "2026-12-31", "2026-01-02"], vec!["2026-12-23", "2026-01-03"]),
            ("02-29", vec!["2028-02-29"], vec!["2026-02-28", "2026-03-01"]),
            ("02-20..02-29", vec!["2026-02-28", "2028-02-29"], vec!["2026-03-01"]),
        ] {
            let parsed: Days = days.parse().unwrap();
            assert_eq!(parsed.to_string(), days);
            assert!(inside.iter().all(|day| parsed.hold(date(day))), "{days}");
            assert!(!outside.iter().any(|day| parsed.hold(date(day))), "{days}");
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "..",
            "christmas",
            "2026-12",
            "2026-13-01",
            "2026-02-29",
            "0000-01-01",
            "02-30",
            "13-01",
            "1-1",
            "2026-1-01",
            "2026-12-26..2026-12-24",
            "2026-12-24..12-26",
            "12-24..",
            "..12-24",
            "2026-12-24...",
            "2026-12-24..2026-12-26..",
            "+026-12-24",
            "２-25",
            " 12-25",
        ] {
            assert_eq!(text.parse::<Days>(), Err(BadDays), "{text}");
        }
    }

    #[test]
    fn one_stands_alone_and_many_in_a_list() {
        for document in [r#""12-25""#, r#"["12-25","2026-05-01..2026-05-03"]"#, "[]"] {
            let list: DayList = serde_json::from_str(document).unwrap();
            assert_eq!(serde_json::to_string(&list).unwrap(), document);
        }
        for (document, expected) in
            [(r#""x""#, "dates are one date"), ("7", "expected dates such as"), (r#"["x"]"#, "dates are")]
        {
            let error = serde_json::from_str::<DayList>(document).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_prints_back(text in "[0-9.-]{0,24}") {
            if let Ok(days) = text.parse::<Days>() {
                prop_assert_eq!(days.to_string().parse::<Days>(), Ok(days));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<Days>();
        }
    }
}
