//! Giving a rule slots of another length: what it becomes, and what that does to its places.

use super::places::{Day, days, lay, time};
use super::{CapacityRule, DayPlaces, Exception, WeekPlaces};
use crate::queue::SlotMinutes;

/// A rule with slots of another length, not yet in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The rule as it would be.
    pub rule: CapacityRule,
    /// When there would be more or fewer places, or other ones: weekdays from Monday on, then dates that have places of
    /// their own; at most [`Self::MAX_EFFECTS`].
    pub effects: Vec<Effect>,
    /// How many more effects there are.
    pub omitted: usize,
}

/// What becomes of the places of a time of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// `mon` to `sun`, or a date.
    pub day: String,
    /// Where it begins on the wall clock.
    pub from: String,
    /// Where it ends, up to `24:00`.
    pub to: String,
    /// It is the same in every period of so many minutes, the shortest that slots of both lengths fill.
    pub period_minutes: u32,
    /// The numbers of the old slots of a period, in order.
    pub before: Vec<u32>,
    /// The numbers of the new ones.
    pub after: Vec<u32>,
}

impl Conversion {
    /// Most effects that are told.
    pub const MAX_EFFECTS: usize = 1_000;
}

impl Effect {
    /// Places of a period before.
    pub fn places_before(&self) -> u64 {
        sum(&self.before)
    }

    /// Places of a period afterwards.
    pub fn places_after(&self) -> u64 {
        sum(&self.after)
    }
}

fn sum(numbers: &[u32]) -> u64 {
    numbers.iter().copied().map(u64::from).sum()
}

impl CapacityRule {
    /// The rule with slots of another length, and what that does to its places. With the length that it has, it stays
    /// as it is written.
    pub fn converted(&self, slot_minutes: SlotMinutes) -> Conversion {
        if slot_minutes == self.slot_minutes {
            return Conversion { rule: self.clone(), effects: Vec::new(), omitted: 0 };
        }
        let rule = self.with_slot_minutes(slot_minutes);
        let (old, new) = (self.places(), rule.places());
        let week = WeekPlaces::WEEKDAYS.into_iter();
        let week = week.map(|(name, day)| effects(name, old.weekday(day), new.weekday(day)));
        let dates = self.exceptions.keys().filter_map(|name| {
            let date = name.parse().ok()?;
            Some(effects(name, old.date(date), new.date(date)))
        });
        let mut all: Vec<Effect> = week.chain(dates).flatten().collect();
        let omitted = all.len().saturating_sub(Conversion::MAX_EFFECTS);
        all.truncate(Conversion::MAX_EFFECTS);
        Conversion { rule, effects: all, omitted }
    }

    /// The same rule with slots of another length, its days under the names that they have. A number is what one slot
    /// takes, so each new slot gets the largest number of the old slots that it touches: shorter slots each take what
    /// the longer one took, and a longer one takes no more than those that it joins took together, and something if one
    /// of them did.
    #[must_use]
    pub fn with_slot_minutes(&self, slot_minutes: SlotMinutes) -> Self {
        let resized = |places: &DayPlaces| lay(self.slot_minutes, places).resized(slot_minutes).document();
        let named = self.week.iter().filter(|(name, _)| days(name).is_some());
        let week = named.map(|(name, places)| (name.clone(), resized(places)));
        let old = self.places();
        let exceptions = self.exceptions.iter().map(|(date, exception)| {
            let new = match (exception, date.parse()) {
                (Exception::Day(places), _) => Exception::Day(resized(places)),
                (Exception::Slots(places), Ok(day)) => {
                    let touched = Day::new(self.slot_minutes).named_by(places).resized(slot_minutes);
                    Exception::Slots(old.date(day).resized(slot_minutes).document_where(&touched))
                }
                (other @ Exception::Slots(_), Err(_)) => other.clone(),
            };
            (date.clone(), new)
        });
        Self { slot_minutes, week: week.collect(), exceptions: exceptions.collect() }
    }
}

/// What differs between a day and the same day in slots of another length, neighbours that are alike in one.
fn effects(name: &str, old: &Day, new: &Day) -> Vec<Effect> {
    let period_minutes = least_common_multiple(old.length(), new.length());
    let periods = old.parts(period_minutes).zip(new.parts(period_minutes));
    let mut found: Vec<Effect> = Vec::new();
    for ((before, after), start) in periods.zip((0..).step_by(period_minutes as usize)) {
        let is_even = before.windows(2).all(|two| matches!(two, [one, next] if one == next));
        if is_even && sum(before) == sum(after) {
            continue;
        }
        let (from, to) = (time(start), time(start + period_minutes));
        match found.last_mut() {
            Some(last) if last.to == from && last.before == before && last.after == after => last.to = to,
            _ => {
                let (day, before, after) = (name.to_owned(), before.to_vec(), after.to_vec());
                found.push(Effect { day, from, to, period_minutes, before, after });
            }
        }
    }
    found
}

fn least_common_multiple(one: u32, other: u32) -> u32 {
    let (mut divisor, mut rest) = (one, other);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    one / divisor * other
}

#[cfg(test)]
mod tests;
