//! Capacity rules: how many scheduled callbacks a queue takes in each slot of the week.
//!
//! A rule has no zone of its own: it is read in the zone of the queue's hours. While a rule is assigned, what it
//! does not name has no place. A number is what **one slot** takes, however long the slot is, and a slot that a
//! change of clocks repeats takes it twice, for it happens twice.

mod conversion;
mod document;
mod places;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::queue::{QueueSettings, SlotMinutes};
use crate::setting::Checks;
pub use conversion::{Conversion, Effect};
pub use places::WeekPlaces;
use places::{Day, DayOfWeek as _, days, is_date, lay};

/// Places by the slots that have them: `"09:00": 5` for the slot that begins then, `"09:00-17:00": 5` for every
/// slot of that time (up to `24:00`). A single slot counts before a range that holds it; ranges do not overlap.
pub type DayPlaces = BTreeMap<String, u32>;

/// A weekly grid of places, shared by any number of queues. It has no zone of its own: it is read in the zone of
/// the queue's hours.
///
/// As a document it may also be written with the keys of the predecessor's capacity service (`_capacity_1`, Monday,
/// to `_capacity_7`, `_capacity_add`, `_max_capacity`); it is kept and given back in its own form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", try_from = "document::Document")]
pub struct CapacityRule {
    /// Slot length in minutes; one of 5, 10, 15, 20, 30, 60. Default 5.
    pub slot_minutes: SlotMinutes,
    /// Places per day: `mon` to `sun`, a range such as `mon-fri`, a list such as `tue,thu`, or `daily`. A day that
    /// is named alone counts before ranges and lists, which name no day twice. What is missing has no place.
    pub week: BTreeMap<String, DayPlaces>,
    /// Places on a date (`2030-12-24`), instead of its weekday's; at most 400 dates. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exceptions: BTreeMap<String, Exception>,
}

/// What is different on one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Exception {
    /// The whole day is as said here; what is missing has no place.
    Day(DayPlaces),
    /// Only the slots that are named here differ.
    Slots(DayPlaces),
}

impl Exception {
    const fn places(&self) -> &DayPlaces {
        match self {
            Self::Day(places) | Self::Slots(places) => places,
        }
    }
}

impl CapacityRule {
    /// Longest slot of a rule, in minutes.
    pub const MAX_SLOT_MINUTES: u32 = 60;
    /// Most dates with exceptions: a year and a month.
    pub const MAX_EXCEPTIONS: usize = 400;

    /// The length of slots of so many minutes, if a rule may have it: 5, 10, 15, 20, 30 or 60.
    pub fn slot_length(minutes: u32) -> Option<SlotMinutes> {
        SlotMinutes::new(minutes).ok().filter(|length| length.get() <= Self::MAX_SLOT_MINUTES)
    }

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        let minutes = self.slot_minutes.get();
        if Self::slot_length(minutes).is_none() {
            checks.broken("slotMinutes", Some(&minutes), "has to be 5, 10, 15, 20, 30 or 60");
        }
        checks.at("week", |checks| self.check_week(checks));
        checks.within("exceptions", self.exceptions.len(), 0..=Self::MAX_EXCEPTIONS);
        checks.at("exceptions", |checks| {
            for (date, exception) in &self.exceptions {
                if !is_date(date) {
                    checks.broken(date, None, "has to be a date such as 2030-12-24");
                }
                checks.at(date, |checks| self.check_day(exception.places(), checks));
            }
        });
    }

    fn check_week(&self, checks: &mut Checks) {
        // Days named alone, and days named with others.
        let mut named_before = [[false; 7]; 2];
        for (name, places) in &self.week {
            match days(name) {
                None => checks.broken(name, None, "has to be a day (mon to sun), a range, a list, or daily"),
                Some(named) => {
                    let before = named_before.get_mut(usize::from(named.len() > 1));
                    let twice = before.is_some_and(|before| named.iter().filter(|day| day.mark(before)).count() > 0);
                    if twice {
                        checks.broken(name, None, "must not name a day that another key of the kind names");
                    }
                }
            }
            checks.at(name.as_str(), |checks| self.check_day(places, checks));
        }
    }

    fn check_day(&self, places: &DayPlaces, checks: &mut Checks) {
        for (span, number) in places {
            checks.within(span, *number, 0..=QueueSettings::MAX_SLOT_CAPACITY);
        }
        for (span, rule) in Day::new(self.slot_minutes).lay(places) {
            checks.broken(span, None, rule);
        }
    }

    /// The places of every slot, ready to be looked up. Of what [`Self::check`] refuses, nothing counts.
    pub fn places(&self) -> WeekPlaces {
        let grouped = self.week.iter().filter(|(name, _)| days(name).is_some_and(|days| days.len() > 1));
        let alone = self.week.iter().filter(|(name, _)| days(name).is_some_and(|days| days.len() == 1));
        let mut week = WeekPlaces::empty(self.slot_minutes);
        for (name, places) in grouped.chain(alone) {
            let day = lay(self.slot_minutes, places);
            days(name).unwrap_or_default().into_iter().for_each(|weekday| week.set_weekday(weekday, &day));
        }
        for (date, exception) in &self.exceptions {
            let Ok(date) = date.parse() else { continue };
            match exception {
                Exception::Day(places) => week.set_date(date, lay(self.slot_minutes, places)),
                Exception::Slots(places) => week.change_date(date, places),
            }
        }
        week
    }
}

#[cfg(test)]
mod tests;
