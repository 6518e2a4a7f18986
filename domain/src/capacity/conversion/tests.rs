use chrono::NaiveDate;
use proptest::prelude::*;

use super::super::tests::{MON, minutes, on, rule, slots};
use super::*;
use crate::setting::Checks;

/// Every effect in a line.
fn told(conversion: &Conversion) -> Vec<String> {
    let line = |effect: &Effect| {
        let Effect { day, from, to, period_minutes, before, after } = effect;
        format!("{day} {from}-{to}, {period_minutes} min: {before:?} → {after:?}")
    };
    conversion.effects.iter().map(line).collect()
}

#[test]
fn what_a_conversion_does_to_places_is_told() {
    let hourly = rule(r#"{"slotMinutes":60,"week":{"mon-tue":{"09:00-11:00":4,"12:00":1},"tue":{}}}"#);
    let half = hourly.converted(minutes(30));
    assert_eq!(
        told(&half),
        ["mon 09:00-11:00, 60 min: [4] → [4, 4]", "mon 12:00-13:00, 60 min: [1] → [1, 1]"],
        "a number is what one slot takes"
    );
    assert_eq!((half.effects[0].places_before(), half.effects[0].places_after()), (4, 8));
    assert_eq!(half.rule.week.keys().collect::<Vec<_>>(), ["mon-tue", "tue"], "days keep their names");

    let uneven = rule(
        r#"{"slotMinutes":30,"week":{"fri":{"09:00":2,"09:30":5,"10:30":1,"23:00-24:00":3}},
            "exceptions":{"2030-03-08":{"slots":{"09:30":0}},"2030-03-09":{"day":{}}}}"#,
    );
    assert_eq!(
        told(&uneven.converted(minutes(60))),
        [
            "fri 09:00-10:00, 60 min: [2, 5] → [5]",
            // As many places as before, and at times that had none.
            "fri 10:00-11:00, 60 min: [0, 1] → [1]",
            "fri 23:00-24:00, 60 min: [3, 3] → [3]",
            "2030-03-08 09:00-10:00, 60 min: [2, 0] → [2]",
            "2030-03-08 10:00-11:00, 60 min: [0, 1] → [1]",
            "2030-03-08 23:00-24:00, 60 min: [3, 3] → [3]",
        ]
    );
    let quarters = rule(r#"{"slotMinutes":15,"week":{"sun":{"00:00":1,"00:30":2}}}"#);
    assert_eq!(told(&quarters.converted(minutes(20))), ["sun 00:00-01:00, 60 min: [1, 0, 2, 0] → [1, 2, 2]"]);
}

#[test]
fn a_rule_that_has_the_length_stays_as_it_is_written() {
    let rule = rule(r#"{"slotMinutes":30,"week":{"daily":{"09:00-17:00":5,"12:00":0},"sun":{}}}"#);
    assert_eq!(rule.converted(minutes(30)), Conversion { rule: rule.clone(), effects: vec![], omitted: 0 });
}

#[test]
fn no_more_effects_are_told_than_can_be_read() {
    // Every other slot of every day has a place.
    let day: Vec<_> =
        (0..24).flat_map(|hour| [0, 20, 40].map(|minute| format!(r#""{hour:02}:{minute:02}":{hour}"#))).collect();
    let document = format!(r#"{{"slotMinutes":10,"week":{{"daily":{{{}}}}}}}"#, day.join(","));
    let mut rule = rule(&document);
    for date in NaiveDate::from_ymd_opt(2030, 1, 1).unwrap().iter_days().take(400) {
        rule.exceptions.insert(date.to_string(), Exception::Slots(DayPlaces::new()));
    }
    let conversion = rule.converted(minutes(20));
    // Hours are told apart by their numbers, but for the first, which has none.
    assert_eq!((conversion.effects.len(), conversion.omitted), (1_000, 407 * 23 - 1_000));
}

#[test]
fn another_length_of_slots_keeps_the_number_of_a_slot() {
    let hourly = rule(
        r#"{"slotMinutes":60,"week":{"mon-tue":{"09:00-11:00":4,"12:00":1}},"exceptions":{"2030-03-05":{"slots":{"09:00":2}}}}"#,
    );
    let half = hourly.with_slot_minutes(minutes(30));
    let expected = r#"{"slotMinutes":30,"week":{"mon-tue":{"09:00-11:00":4,"12:00-13:00":1}},
        "exceptions":{"2030-03-05":{"slots":{"09:00-10:00":2}}}}"#;
    assert_eq!(half, rule(expected));
    let back = half.with_slot_minutes(minutes(60));
    assert_eq!(back.places(), hourly.places(), "there and back is where it was");
    // Joining takes the larger number: not more than both had, and not nothing if one had something.
    let uneven = rule(
        r#"{"slotMinutes":30,"week":{"mon":{"09:00":2,"09:30":5,"10:30":1}},"exceptions":{"2030-03-04":{"slots":{"09:30":0}}}}"#,
    );
    let joined = uneven.with_slot_minutes(minutes(60));
    assert_eq!(on(&joined, "2030-03-11"), slots([("09:00", 5), ("10:00", 1)]));
    assert_eq!(on(&joined, MON), slots([("09:00", 2), ("10:00", 1)]));
}

/// Rules whose days, lengths and numbers are random.
fn any_rule() -> impl Strategy<Value = CapacityRule> {
    let day = |length: u32| {
        let slots = 1440 / length;
        prop::collection::vec((0..slots, 1..=slots, 0u32..6), 0..4).prop_map(move |spans| {
            let time = |slot: u32| format!("{:02}:{:02}", slot * length / 60, slot * length % 60);
            let text = |from: u32, to: u32| if to > from { format!("{}-{}", time(from), time(to)) } else { time(from) };
            spans.into_iter().map(|(from, to, places)| (text(from, to), places)).collect::<DayPlaces>()
        })
    };
    prop::sample::select(&SlotMinutes::ALLOWED[..6]).prop_flat_map(move |length| {
        let week = prop::collection::btree_map(
            prop::sample::select(vec!["mon", "wed", "sat", "mon-fri", "sat,sun"]).prop_map(str::to_owned),
            day(length),
            0..4,
        );
        let exception = prop_oneof![day(length).prop_map(Exception::Day), day(length).prop_map(Exception::Slots)];
        let dates = prop::sample::select(vec!["2030-03-04", "2030-03-06", "2030-03-10"]).prop_map(str::to_owned);
        let exceptions = prop::collection::btree_map(dates, exception, 0..3);
        (week, exceptions).prop_map(move |(week, exceptions)| CapacityRule {
            slot_minutes: minutes(length),
            week,
            exceptions,
        })
    })
}

/// The places of every weekday, counted in effects and out of them, add up to those that there are.
fn check_effects(rule: &CapacityRule, target: SlotMinutes) -> Result<(), TestCaseError> {
    let Conversion { rule: new, effects, omitted } = rule.converted(target);
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u64>().unwrap() * 60 + minute.parse::<u64>().unwrap()
    };
    prop_assert!(effects.iter().all(|effect| minute(&effect.from) < minute(&effect.to)));
    prop_assert!(effects.len() <= Conversion::MAX_EFFECTS && omitted == 0);
    // A week without exceptional dates.
    let monday = NaiveDate::from_ymd_opt(2031, 3, 3).unwrap();
    for (date, (name, _)) in monday.iter_days().zip(WeekPlaces::WEEKDAYS) {
        let sum = |rule: &CapacityRule| rule.places().on(date).iter().copied().map(u64::from).sum::<u64>();
        let (mut before, mut after) = (0, 0);
        for effect in effects.iter().filter(|effect| effect.day == name) {
            let periods = (minute(&effect.to) - minute(&effect.from)) / u64::from(effect.period_minutes);
            before += periods * effect.places_before();
            after += periods * effect.places_after();
        }
        prop_assert_eq!(sum(rule) + after, sum(&new) + before, "{}", name);
    }
    Ok(())
}

proptest! {
    /// A switch to shorter slots and back changes nothing, and a switch never gives an hour more slots with places
    /// than it touches, or a larger number than there was.
    #[test]
    fn a_switch_of_length_keeps_its_promises(rule in any_rule(), target in 0..6usize) {
        let target = minutes(*SlotMinutes::ALLOWED.get(target).unwrap());
        let switched = rule.with_slot_minutes(target);
        prop_assert_eq!(switched.slot_minutes, target);
        let mut checks = Checks::default();
        switched.check(&mut checks);
        prop_assert_eq!(checks.into_errors(), []);
        let (old, new) = (rule.places(), switched.places());
        let (old_length, length) = (rule.slot_minutes.get() as usize, target.get() as usize);
        for day in NaiveDate::from_ymd_opt(2030, 3, 1).unwrap().iter_days().take(14) {
            for (slot, places) in new.on(day).iter().enumerate() {
                let touched = slot * length / old_length..((slot + 1) * length).div_ceil(old_length);
                prop_assert_eq!(Some(*places), old.on(day)[touched].iter().copied().max(), "{} {}", day, slot);
            }
        }
        if old_length % length == 0 {
            prop_assert_eq!(switched.with_slot_minutes(rule.slot_minutes).places(), old);
        }
        check_effects(&rule, target)?;
    }
}
