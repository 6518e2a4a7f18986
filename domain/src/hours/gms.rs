//! Reads a calendar in the keys of the product and its predecessor: an option section of an office-hours service.
//!
//! - `_timezone`: required, a zone of the tz database;
//! - `_bh_regular<n>`: `Mon-Fri 9:00-17:00`; one day or a range of days, which may reach over the end of the week;
//!   hours which may reach over midnight, or without an end (`9:00-`) go on to 24:00;
//! - `_bh_add<n>`: `2026-11-30 10:00-14:00` or every year `11-30 10:00-14:00`, beside the regular hours;
//! - `_holiday<n>`: `2026-12-25` or every year `12-25`; the regular hours do not hold;
//! - `_effective_dates<n>`: `2026-04-01` or `2026-04-01 to 2026-10-31`.
//!
//! Empty values say nothing. Keys that belong to a section but not to hours are passed over.

use chrono::Weekday;
use chrono_tz::Tz;

use super::days::{DayList, Days};
use super::document::Written;
use super::exception::{Effect, Exception};
use super::week::{HoursError, Range, Week};

/// The one key that a section has to have.
pub(super) const ZONE: &str = "_timezone";
/// Keys of a section that say nothing about hours.
const IGNORED: [&str; 7] = ["_name", "_service", "_type", "_ttl", "_ors", "_ors_lb_strategy", "_id"];

/// Families of keys, each with a number behind.
const REGULAR: &str = "_bh_regular";
const ADDED: &str = "_bh_add";
const HOLIDAY: &str = "_holiday";
const EFFECTIVE: &str = "_effective_dates";
/// Families whose meaning is not published.
const UNREAD: [(&str, &str); 2] = [("_include", "include or exceptionsOf"), ("_use_alternative", "alternatives")];

/// A section while it is read, key by key.
#[derive(Debug, Default)]
pub(super) struct Section {
    zone: Option<Tz>,
    days: [Vec<Range>; 7],
    exceptions: Vec<Exception>,
    effective: Vec<Days>,
}

impl Section {
    /// Whether the zone was read.
    pub(super) const fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// The calendar; in UTC, if no zone was read.
    pub(super) fn written(self) -> Result<Written, HoursError> {
        let zone = self.zone.unwrap_or(Tz::UTC);
        let (weekly, effective) = (Week::new(self.days)?, DayList(self.effective));
        Ok(Written { weekly, effective, exceptions: self.exceptions, ..Written::new(zone) })
    }

    /// Takes one key, or says which rule its value breaks. An empty value says nothing.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        if value.is_empty() || IGNORED.contains(&key) {
            return Ok(());
        }
        if key == ZONE {
            self.zone = Some(value.parse().map_err(|_| "has to be a zone of the tz database".to_owned())?);
        } else if numbered(key, REGULAR) {
            let (which, range) = regular(value).ok_or("has to be days and hours, such as Mon-Fri 9:00-17:00")?;
            for day in which {
                if let Some(ranges) = self.days.get_mut(day.num_days_from_monday() as usize) {
                    ranges.push(range);
                }
            }
        } else if numbered(key, ADDED) {
            let (date, range) = added(value).ok_or("has to be a date and hours, such as 2026-11-30 10:00-14:00")?;
            self.exceptions.push(Exception::new(date, Effect::Add(vec![range])));
        } else if numbered(key, HOLIDAY) {
            let date = date(value).ok_or("has to be a date, such as 2026-12-25 or 12-25")?;
            self.exceptions.push(Exception::new(date, Effect::Closed));
        } else if numbered(key, EFFECTIVE) {
            self.effective.push(effective(value).ok_or("has to be a date or two, such as 2026-04-01 to 2026-10-31")?);
        } else if let Some((_, instead)) = UNREAD.iter().find(|(family, _)| key.starts_with(family)) {
            return Err(format!("is not read; write {instead} in this service's own form"));
        } else {
            return Err("is not a key of business hours".to_owned());
        }
        Ok(())
    }
}

/// Whether a key is of a family: its name, and a number or nothing behind.
fn numbered(key: &str, family: &str) -> bool {
    key.strip_prefix(family).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `Mon-Fri 9:00-17:00`.
fn regular(value: &str) -> Option<(impl Iterator<Item = Weekday> + use<>, Range)> {
    let (days, hours) = value.split_once(' ')?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last): (Weekday, Weekday) = (first.parse().ok()?, last.parse().ok()?);
    let length = last.days_since(first) as usize + 1;
    Some((std::iter::successors(Some(first), |day| Some(day.succ())).take(length), range(hours)?))
}

/// `2026-11-30 10:00-14:00` or `11-30 10:00-14:00`.
fn added(value: &str) -> Option<(DayList, Range)> {
    let (day, hours) = value.split_once(' ')?;
    Some((date(day)?, range(hours)?))
}

/// `2026-04-01` or `2026-04-01 to 2026-10-31`.
fn effective(value: &str) -> Option<Days> {
    match value.split_once(" to ") {
        Some((from, to)) => format!("{}..{}", from.trim(), to.trim()).parse().ok(),
        None => value.parse().ok(),
    }
}

fn date(value: &str) -> Option<DayList> {
    let one = !value.contains("..");
    value.parse::<Days>().ok().filter(|_| one).map(DayList::from)
}

/// `9:00-17:00`; hours with one digit or two.
fn range(hours: &str) -> Option<Range> {
    let (from, to) = hours.trim().split_once('-')?;
    let padded = |time: &str| if time.len() == 4 { format!("0{time}") } else { time.to_owned() };
    let to = if to.trim().is_empty() { "24:00" } else { to.trim() };
    Range::new(&padded(from.trim()), &padded(to)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::hours::BusinessHours;

    fn keys(pairs: &[(&str, &str)]) -> Value {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
    }

    #[test]
    fn a_section_becomes_a_document() {
        let section = keys(&[
            ("_name", "Office"),
            ("_service", "office-hours"),
            ("_type", "builtin"),
            ("_ttl", "30"),
            ("_timezone", "Europe/Paris"),
            ("_bh_regular1", "Mon-Fri 9:00-12:30"),
            ("_bh_regular2", "Sat-Mon 19:00-7:00"),
            ("_bh_regular3", "Wed-Wed 01:00-24:00"),
            ("_bh_regular4", "thu 20:00-"),
            ("_bh_add1", "2026-11-30 10:00-14:00"),
            ("_bh_add2", "07-14 12:00-14:30"),
            ("_bh_add3", ""),
            ("_holiday1", "12-25"),
            ("_holiday2", "2026-07-15"),
            ("_effective_dates1", "2026-04-01 to 2026-10-31"),
            ("_effective_dates2", "2027-01-01"),
        ]);
        let hours: BusinessHours = serde_json::from_value(section).unwrap();
        let range = |from: &str, to: &str| serde_json::json!({"from": from, "to": to});
        let (morning, night) = (range("09:00", "12:30"), range("19:00", "07:00"));
        let document = serde_json::json!({
            "zone": "Europe/Paris",
            "weekly": {
                "mon": [morning, night], "tue": [morning], "wed": [morning, range("01:00", "24:00")],
                "thu": [morning, range("20:00", "24:00")], "fri": [morning], "sat": [night], "sun": [night],
            },
            "exceptions": [
                {"days": "2026-11-30", "add": [range("10:00", "14:00")]},
                {"days": "07-14", "add": [range("12:00", "14:30")]},
                {"days": "12-25", "closed": true},
                {"days": "2026-07-15", "closed": true},
            ],
            "effective": ["2026-04-01..2026-10-31", "2027-01-01"],
        });
        assert_eq!(serde_json::to_value(&hours).unwrap(), document);
    }

    #[test]
    fn every_key_that_cannot_be_read_is_named() {
        let section = keys(&[
            ("_bh_regular1", "Monday to Friday"),
            ("_bh_regular2", "Mon-Fri 9-17"),
            ("_bh_regularly", "Mon 9:00-17:00"),
            ("_bh_add1", "2026-02-30 10:00-14:00"),
            ("_holiday1", "12-24..12-26"),
            ("_effective_dates1", "soon"),
            ("_include_regular1", "other"),
            ("_use_alternative1", "other"),
        ]);
        let document = serde_json::json!({"tenant": "demo", "businessHours": {"office": section}});
        let errors = crate::tenant::read(serde_json::from_value(document).unwrap()).unwrap_err();
        let mut told: Vec<_> = errors.iter().map(|error| format!("{}: {}", error.path, error.rule)).collect();
        told.sort();
        let expected = [
            "_bh_add1: has to be a date and hours, such as 2026-11-30 10:00-14:00",
            "_bh_regular1: has to be days and hours, such as Mon-Fri 9:00-17:00",
            "_bh_regular2: has to be days and hours, such as Mon-Fri 9:00-17:00",
            "_bh_regularly: is not a key of business hours",
            "_effective_dates1: has to be a date or two, such as 2026-04-01 to 2026-10-31",
            "_holiday1: has to be a date, such as 2026-12-25 or 12-25",
            "_include_regular1: is not read; write include or exceptionsOf in this service's own form",
            "_timezone: is missing",
            "_use_alternative1: is not read; write alternatives in this service's own form",
        ];
        assert_eq!(told, expected.map(|error| format!("businessHours.office.{error}")));
        let mixed = r#"{"_timezone": "UTC", "zone": "UTC"}"#;
        let error = serde_json::from_str::<BusinessHours>(mixed).unwrap_err();
        assert!(error.to_string().contains("cannot stand together"), "{error}");
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_refused(key in prop::sample::select(vec!["_bh_regular1", "_bh_add1", "_holiday1", "_effective_dates1", "_timezone"]), value in "[A-Za-z0-9: .-]{0,24}") {
            let _ = serde_json::from_value::<BusinessHours>(keys(&[(key, &value)]));
        }
    }
}
