//! The document of a calendar: what people write, and what is kept.

use std::fmt;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::days::DayList;
use super::exception::{Exception, is_yes, yes};
use super::gms::{self, Section};
use super::week::Week;
use crate::setting::Checks;

/// When a queue is open, as written: always, or by the week in a zone with everything that departs from it.
///
/// As a document it is the word `"always"`, or an object of [`Written`]; on the way in, an object of the
/// predecessor's keys (`_bh_regular1`, …) will do as well.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessHours(pub(super) Document);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Document {
    Always,
    Written(Box<Written>),
}

/// Hours by the week:
/// `{"zone": "America/New_York", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}}` with the days `mon` to
/// `sun`; a day that is missing is closed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Written {
    /// Where the clock hangs on whose wall all times are read: a zone of the tz database.
    #[schemars(with = "String")]
    pub zone: Tz,
    /// Ranges by the day on which they start. Default none.
    #[serde(default, skip_serializing_if = "Week::is_empty")]
    pub weekly: Week,
    /// Special days, at most [`BusinessHours::MAX_EXCEPTIONS`]. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// Calendars whose exceptions hold here too, read in this calendar's zone. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions_of: Vec<String>,
    /// Dates outside which it is closed, whatever else is written. Default none: it holds for ever.
    #[serde(default, skip_serializing_if = "no_dates")]
    pub effective: DayList,
    /// Calendars in whose hours it is open as well. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Calendars that hold instead of the week and the included ones on certain dates. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// On its dates another calendar holds instead of the week. Of several for a date the first holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alternative {
    /// Name of the other calendar.
    pub calendar: String,
    /// On which dates, from midnight to midnight in the zone of the calendar that says so.
    pub days: DayList,
    /// Whether it counts; if not, it is as good as not written. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

fn no_dates(days: &DayList) -> bool {
    days.0.is_empty()
}

impl Written {
    /// Closed at all times.
    pub fn new(zone: Tz) -> Self {
        Self {
            zone,
            weekly: Week::default(),
            exceptions: Vec::new(),
            exceptions_of: Vec::new(),
            effective: DayList::default(),
            include: Vec::new(),
            alternatives: Vec::new(),
        }
    }
}

impl BusinessHours {
    /// Most exceptions of a calendar, those of other calendars included.
    pub const MAX_EXCEPTIONS: usize = 400;
    /// Most dates or ranges of dates of one exception, of one alternative, and of the effective dates.
    pub const MAX_DAYS: usize = 32;
    /// Most calendars that one calendar names in each of `include`, `alternatives` and `exceptionsOf`.
    pub const MAX_NAMED: usize = 16;
    /// Most calendars on the way from one calendar to the last that it draws on.
    pub const MAX_DEPTH: usize = 8;
    /// Most calendars that one draws on, each counted as often as it is named.
    pub const MAX_DRAWN: usize = 64;

    /// Open at every instant.
    pub const fn always() -> Self {
        Self(Document::Always)
    }

    /// Open by the week, read in `zone`.
    pub fn weekly(zone: Tz, week: Week) -> Self {
        Written { weekly: week, ..Written::new(zone) }.into()
    }

    /// Notes every rule of its own that the document breaks; the names in it are judged with the whole tenant.
    pub(super) fn check(&self, checks: &mut Checks) {
        let Document::Written(hours) = &self.0 else { return };
        checks.within("exceptions", hours.exceptions.len(), 0..=Self::MAX_EXCEPTIONS);
        for (position, exception) in hours.exceptions.iter().enumerate() {
            checks.at(format!("exceptions.{position}"), |checks| exception.check(checks));
        }
        checks.within("exceptionsOf", hours.exceptions_of.len(), 0..=Self::MAX_NAMED);
        checks.within("effective", hours.effective.0.len(), 0..=Self::MAX_DAYS);
        checks.within("include", hours.include.len(), 0..=Self::MAX_NAMED);
        checks.within("alternatives", hours.alternatives.len(), 0..=Self::MAX_NAMED);
        for (position, alternative) in hours.alternatives.iter().enumerate() {
            checks.at(format!("alternatives.{position}"), |checks| {
                checks.within("days", alternative.days.0.len(), 0..=Self::MAX_DAYS);
            });
        }
    }
}

impl From<Written> for BusinessHours {
    fn from(hours: Written) -> Self {
        Self(Document::Written(Box::new(hours)))
    }
}

impl Default for BusinessHours {
    fn default() -> Self {
        Self::always()
    }
}

pub(super) const ALWAYS: &str = "always";

impl Serialize for BusinessHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Document::Always => serializer.serialize_str(ALWAYS),
            Document::Written(hours) => hours.serialize(serializer),
        }
    }
}

const MEMBERS: &[&str] = &["zone", "weekly", "exceptions", "exceptionsOf", "effective", "include", "alternatives"];

/// What an object said before it is known whether it is ours or the predecessor's.
#[derive(Default)]
struct Members {
    zone: Option<Tz>,
    weekly: Option<Week>,
    exceptions: Option<Vec<Exception>>,
    exceptions_of: Option<Vec<String>>,
    effective: Option<DayList>,
    include: Option<Vec<String>>,
    alternatives: Option<Vec<Alternative>>,
}

impl Members {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "zone" => self.zone = Some(from.next_value()?),
            "weekly" => self.weekly = Some(from.next_value()?),
            "exceptions" => self.exceptions = Some(from.next_value()?),
            "exceptionsOf" => self.exceptions_of = Some(from.next_value()?),
            "effective" => self.effective = Some(from.next_value()?),
            "include" => self.include = Some(from.next_value()?),
            "alternatives" => self.alternatives = Some(from.next_value()?),
            _ => return Err(A::Error::unknown_field(name, MEMBERS)),
        }
        Ok(())
    }

    fn written<E: serde::de::Error>(self) -> Result<Written, E> {
        Ok(Written {
            zone: self.zone.ok_or_else(|| E::missing_field("zone"))?,
            weekly: self.weekly.unwrap_or_default(),
            exceptions: self.exceptions.unwrap_or_default(),
            exceptions_of: self.exceptions_of.unwrap_or_default(),
            effective: self.effective.unwrap_or_default(),
            include: self.include.unwrap_or_default(),
            alternatives: self.alternatives.unwrap_or_default(),
        })
    }
}

/// A key that belongs into an object of hours.
enum Key {
    Member(&'static str),
    OfSection(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.starts_with('_') {
            return Ok(Self::OfSection(name));
        }
        let member = MEMBERS.iter().find(|member| **member == name);
        member.map(|member| Self::Member(member)).ok_or_else(|| D::Error::unknown_field(&name, MEMBERS))
    }
}

/// The value of one key of a section. What is wrong with it is told while it is read, so that its place is known.
struct KeyOf<'a> {
    section: &'a mut Section,
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let value = String::deserialize(deserializer)?;
        self.section.take(self.name, &value).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for BusinessHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, because serde's untagged enums forget which member was wrong.
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = BusinessHours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"always\", or an object with \"zone\" and \"weekly\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BusinessHours, E> {
                if text == ALWAYS {
                    Ok(BusinessHours::always())
                } else {
                    Err(E::invalid_value(Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BusinessHours, A::Error> {
                let (mut members, mut section) = (None::<Members>, None::<Section>);
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::OfSection(name) if members.is_none() => {
                            let section = section.get_or_insert_default();
                            map.next_value_seed(KeyOf { section, name: &name })?;
                        }
                        Key::Member(name) if section.is_none() => {
                            members.get_or_insert_default().take(name, &mut map)?;
                        }
                        _ => return Err(A::Error::custom("keys with and without `_` cannot stand together")),
                    }
                }
                let Some(section) = section else {
                    return members.unwrap_or_default().written().map(BusinessHours::from);
                };
                if !section.has_zone() {
                    return Err(A::Error::missing_field(gms::ZONE));
                }
                section.written().map(BusinessHours::from).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
