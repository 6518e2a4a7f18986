//! Reads query strings: percent-encoded UTF-8 with `+` as a blank, as browsers and HTTP libraries write them.
//!
//! A parameter may have several names (the older API hyphenated them); the first one in a request counts, an empty
//! one is as good as none, and unknown ones are passed over. What is refused is told under the parameter's first name.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::{Loose, time};
use crate::front_door::error::Problem;

/// Longest timestamp or number that is read, in characters; the longest sensible one has 35.
const MAX_SCALAR_CHARS: usize = 64;
/// Longest zone that is read, in characters; the longest of the tz database has 32.
const MAX_ZONE_CHARS: usize = 64;
/// Last instant that may be named in milliseconds: the end of the year 9999, as in the written form.
const MAX_EPOCH_MS: i64 = 253_402_300_799_999;

/// Entries of a page unless asked otherwise, and at most.
const USUAL_ENTRIES: u32 = 100;
const MAX_ENTRIES: u32 = 1_000;

/// The parameters of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a>(&'a [u8]);

impl<'a> Query<'a> {
    /// The part of the URL behind `?`, if there is one.
    pub(crate) fn new(raw: Option<&'a str>) -> Self {
        Self(raw.unwrap_or_default().as_bytes())
    }

    /// The value of the first parameter under one of `names`.
    fn find(self, names: &[&str]) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.0);
        pairs.find(|(name, _)| names.contains(&name.as_ref())).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// Whether a value was given under one of `names`, of whatever form.
    pub(crate) fn has(self, names: &[&str]) -> bool {
        self.find(names).is_some()
    }

    /// A text of at most `max` characters without U+0000.
    pub(crate) fn text(self, names: &[&str], max: usize) -> Result<Option<Cow<'a, str>>, Problem> {
        self.find(names).map_or(Loose::Absent, Loose::Text).text(first(names), max)
    }

    /// As [`Self::text`], but it must be there and not blank.
    pub(crate) fn required_text(self, names: &[&str], max: usize) -> Result<Cow<'a, str>, Problem> {
        let text = self.text(names, max)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| Problem::bad(first(names), "is required"))
    }

    /// A whole number between `min` and `max`, also written as `7.0` or `7e0`.
    pub(crate) fn whole(self, names: &[&str], min: i64, max: i64) -> Result<Option<i64>, Problem> {
        self.scalar(names).whole(first(names), min, max)
    }

    /// A number of at least `min`, also written as `1.53E+12`; more than `max` counts as `max`.
    pub(crate) fn number_up_to(self, names: &[&str], min: f64, max: f64) -> Result<Option<f64>, Problem> {
        self.capped(names, max).number(first(names), min, max)
    }

    /// As [`Self::whole`], but more than `max` counts as `max`.
    pub(crate) fn whole_up_to(self, names: &[&str], min: i64, max: u32) -> Result<Option<i64>, Problem> {
        self.capped(names, max.into()).whole(first(names), min, max.into())
    }

    fn capped(self, names: &[&str], max: f64) -> Loose<'a> {
        match self.scalar(names) {
            Loose::Number(number) => Loose::Number(number.min(max)),
            other => other,
        }
    }

    /// How many entries of a list are asked for: 1 to `max`, `usual` if nothing is said.
    pub(crate) fn limit(self, usual: u32, max: u32) -> Result<usize, Problem> {
        let limit = self.whole(&["limit"], 1, max.into())?.unwrap_or(usual.into());
        Ok(usize::try_from(limit).unwrap_or_default())
    }

    /// How many entries of a page are asked for, where nothing is said of other bounds.
    pub(crate) fn page_limit(self) -> Result<usize, Problem> {
        self.limit(USUAL_ENTRIES, MAX_ENTRIES)
    }

    /// `true` or `false`, in whatever case.
    pub(crate) fn flag(self, names: &[&str]) -> Result<Option<bool>, Problem> {
        let value = self.find(names).map_or(Loose::Absent, |text| match text.to_ascii_lowercase().as_str() {
            "true" => Loose::Bool(true),
            "false" => Loose::Bool(false),
            _ => Loose::Text(text),
        });
        value.flag(first(names))
    }

    /// A zone of the tz database, such as `America/Toronto`.
    pub(crate) fn zone(self, names: &[&str]) -> Result<Option<Tz>, Problem> {
        let Some(text) = self.text(names, MAX_ZONE_CHARS)? else { return Ok(None) };
        let rule = "must be a zone of the tz database, such as America/Toronto";
        text.parse().map(Some).map_err(|_| Problem::bad(first(names), rule))
    }

    /// An instant as ISO 8601; without an offset it is wall-clock time of `zone`, by the rules of
    /// [`time::parse_in`].
    pub(crate) fn instant(self, names: &[&str], zone: Tz) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.text(names, MAX_SCALAR_CHARS)? else { return Ok(None) };
        let rule = "must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z";
        time::parse_in(&plus(text), zone).map(Some).ok_or_else(|| Problem::bad(first(names), rule))
    }

    /// An instant as milliseconds since 1970.
    pub(crate) fn epoch_ms(self, names: &[&str]) -> Result<Option<DateTime<Utc>>, Problem> {
        let ms = self.whole(names, 0, MAX_EPOCH_MS)?;
        Ok(ms.and_then(DateTime::from_timestamp_millis))
    }

    /// A number if it is one, else the text, which the caller then refuses.
    fn scalar(self, names: &[&str]) -> Loose<'a> {
        let Some(text) = self.find(names) else { return Loose::Absent };
        number(&plus(text.clone())).map_or(Loose::Text(text), Loose::Number)
    }
}

/// The name that documents use.
fn first<'n>(names: &[&'n str]) -> &'n str {
    names.first().copied().unwrap_or_default()
}

/// Numbers and timestamps hold no blanks: one that is there was a plus that nobody encoded.
fn plus(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(' ') { Cow::Owned(text.replace(' ', "+")) } else { text }
}

/// Digits, sign, point and exponent; none of the words that Rust takes for numbers.
fn number(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.filter(|_| text.len() <= MAX_SCALAR_CHARS && text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::time::Stamp;
    use super::*;

    const DAYS: &[&str] = &["numberOfDays", "number-of-days"];

    fn told<T>(result: Result<T, Problem>) -> String {
        result.err().map(|problem| problem.message.into_owned()).unwrap_or_default()
    }

    #[test]
    fn the_first_of_all_names_counts_and_an_empty_one_is_none() {
        for (raw, expected) in [
            ("numberOfDays=3", Some(3)),
            ("number-of-days=3&numberOfDays=4", Some(3)),
            ("_=17&number%2Dof%2Ddays=5", Some(5)),
            ("numberofdays=3", None),
            ("numberOfDays=&number-of-days=3", None),
            ("numberOfDays", None),
            ("&&=&", None),
            ("", None),
        ] {
            assert_eq!(Query::new(Some(raw)).whole(DAYS, 0, 14).unwrap(), expected, "{raw}");
        }
        assert!(!Query::new(None).has(DAYS));
        assert!(Query::new(Some("number-of-days=x")).has(DAYS));
    }

    #[test]
    fn numbers_come_in_every_form() {
        let read = |text: &str| Query::new(Some(&format!("startMS={text}"))).epoch_ms(&["startMS"]);
        for text in ["1530000000000", "1.53E+12", "1.53E%2B12", "1.53e12", "1530000000000.0", "+1530000000000"] {
            assert_eq!(read(text).unwrap().map(|at| at.timestamp_millis()), Some(1_530_000_000_000), "{text}");
        }
        for text in ["-1", "1.5", "1e300", "253402300800000"] {
            assert!(told(read(text)).starts_with("startMS must be a whole number"), "{text}");
        }
        for text in ["x", "inf", "NaN", "0x10", "1e999", "1_000", "1,5", "%20"] {
            assert_eq!(told(read(text)), "startMS must be a whole number.", "{text}");
        }
        let half = Query::new(Some("numberOfDays=0.5")).number_up_to(DAYS, 0.0, 14.0).unwrap();
        assert_eq!(half, Some(0.5));
    }

    #[test]
    fn texts_are_decoded_and_limited() {
        let read = |raw: &str| Query::new(Some(raw)).required_text(&["q"], 7).map(Cow::into_owned);
        assert_eq!(read("q=a%2Fb+c%C3%A9").unwrap(), "a/b cé");
        assert_eq!(told(read("q=12345678")), "q must have at most 7 characters.");
        assert_eq!(told(read("q=%00")), "q must not contain the character U+0000.");
        for raw in ["", "q", "q=", "q=%20+"] {
            assert_eq!(told(read(raw)), "q is required.", "{raw}");
        }
    }

    #[test]
    fn flags_are_words() {
        let read = |raw: &str| Query::new(Some(raw)).flag(&["reportBusy"]);
        assert_eq!(read("reportBusy=true").unwrap(), Some(true));
        assert_eq!(read("reportBusy=False").unwrap(), Some(false));
        assert_eq!(read("reportBusy=").unwrap(), None);
        assert_eq!(told(read("reportBusy=1")), "reportBusy must be true or false.");
    }

    #[test]
    fn instants_keep_their_offset_and_else_are_of_the_zone() {
        let zone = Query::new(Some("timezone=America%2FToronto")).zone(&["timezone"]).unwrap().unwrap();
        let read = |text: &str| Query::new(Some(&format!("start={text}"))).instant(&["start"], zone);
        for (text, expected) in [
            ("2030-03-04T10:30:00.000", "2030-03-04T15:30:00.000Z"),
            ("2030-03-04T10%3A30%3A00%2B01%3A00", "2030-03-04T09:30:00.000Z"),
            ("2030-03-04T10:30:00+01:00", "2030-03-04T09:30:00.000Z"),
            ("2030-03-04T10:30:00Z", "2030-03-04T10:30:00.000Z"),
        ] {
            assert_eq!(read(text).unwrap().map(|at| Stamp(at).to_string()).as_deref(), Some(expected), "{text}");
        }
        let rule = "start must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z.";
        assert_eq!(told(read("tomorrow")), rule);
        for zone in ["Mars/Base", "america/toronto", "+01:00"] {
            let raw = format!("timezone={zone}");
            let message = told(Query::new(Some(&raw)).zone(&["timezone"]));
            assert_eq!(message, "timezone must be a zone of the tz database, such as America/Toronto.", "{zone}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(raw in "[a-z=&%+0-9.:T-]{0,60}") {
            let query = Query::new(Some(&raw));
            let names: &[&str] = &["a", "b"];
            let _ = (query.text(names, 9), query.flag(names), query.zone(names), query.epoch_ms(names));
            let _ = (query.instant(names, Tz::UTC), query.number_up_to(names, 0.0, 9.0), query.required_text(names, 9));
        }
    }
}
