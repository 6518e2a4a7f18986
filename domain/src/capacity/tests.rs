use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

pub(super) fn rule(document: &str) -> CapacityRule {
    serde_json::from_str(document).unwrap()
}

/// Every rule that the document breaks, as it is told.
fn told(document: &str) -> Vec<String> {
    let mut checks = Checks::default();
    checks.at("capacityRules", |checks| checks.at("office", |checks| rule(document).check(checks)));
    checks.into_errors().iter().map(ToString::to_string).collect()
}

/// The places of the slots of a date that have any, by the start of the slot.
pub(super) fn on(rule: &CapacityRule, date: &str) -> Vec<(String, u32)> {
    let places = rule.places();
    let minutes = usize::try_from(rule.slot_minutes.get()).unwrap();
    let slots = places.on(date.parse().unwrap()).iter().enumerate().filter(|(_, places)| **places > 0);
    slots.map(|(slot, places)| (format!("{:02}:{:02}", slot * minutes / 60, slot * minutes % 60), *places)).collect()
}

pub(super) fn slots<const N: usize>(expected: [(&str, u32); N]) -> Vec<(String, u32)> {
    expected.map(|(start, places)| (start.to_owned(), places)).to_vec()
}

pub(super) fn minutes(number: u32) -> SlotMinutes {
    SlotMinutes::new(number).unwrap()
}

// 2030-03-04 is a Monday.
pub(super) const MON: &str = "2030-03-04";
const TUE: &str = "2030-03-05";
const SAT: &str = "2030-03-09";

#[test]
fn single_slots_and_ranges_are_read() {
    let rule = rule(r#"{"slotMinutes":60,"week":{"mon":{"09:00-12:00":5,"10:00":0,"23:00-24:00":1}}}"#);
    assert_eq!(on(&rule, MON), slots([("09:00", 5), ("11:00", 5), ("23:00", 1)]));
    assert_eq!(on(&rule, TUE), slots([]), "what is missing has no place");
    assert_eq!(rule.places().on(MON.parse().unwrap()).len(), 24);
}

#[test]
fn a_day_named_alone_counts_before_ranges_and_lists() {
    let rule = rule(
        r#"{"slotMinutes":60,"week":{"mon-wed":{"09:00":1},"sat, sun":{"10:00":2},"tue":{"11:00":3},"fri-fri":{"12:00":4}}}"#,
    );
    assert_eq!(on(&rule, MON), slots([("09:00", 1)]));
    assert_eq!(on(&rule, TUE), slots([("11:00", 3)]));
    assert_eq!(on(&rule, "2030-03-08"), slots([("12:00", 4)]));
    assert_eq!(on(&rule, SAT), slots([("10:00", 2)]));
    assert_eq!(on(&rule, "2030-03-07"), slots([]));
    let daily = self::rule(r#"{"slotMinutes":60,"week":{"daily":{"09:00":1},"mon":{}}}"#);
    assert_eq!((on(&daily, MON), on(&daily, SAT)), (slots([]), slots([("09:00", 1)])));
    let wrapped = self::rule(r#"{"slotMinutes":60,"week":{"sat-mon":{"09:00":1}}}"#);
    assert_eq!((on(&wrapped, MON), on(&wrapped, TUE)), (slots([("09:00", 1)]), slots([])));
}

#[test]
fn exceptions_replace_a_day_or_single_slots() {
    let rule = rule(
        r#"{"slotMinutes":30,"week":{"daily":{"09:00-10:30":5}},"exceptions":{
            "2030-03-04":{"day":{"14:00":1}},"2030-03-05":{"day":{}},"2030-03-09":{"slots":{"09:30":0,"12:00":7}}}}"#,
    );
    assert_eq!(on(&rule, MON), slots([("14:00", 1)]));
    assert_eq!(on(&rule, TUE), slots([]));
    assert_eq!(on(&rule, SAT), slots([("09:00", 5), ("10:00", 5), ("12:00", 7)]));
    assert_eq!(on(&rule, "2030-03-11"), slots([("09:00", 5), ("09:30", 5), ("10:00", 5)]), "a week later");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let document = r#"{"slotMinutes":30,"week":{
            "mon":{"09:00-17:00":5,"09:10":1,"9:00":1,"16:00-18:00":2,"17:00-16:00":1,"24:00":3,"12:00":1000001},
            "mon-mon":{},"tue-thu":{},"wed,sat":{},"monday":{}},
        "exceptions":{"2030-2-4":{"day":{}},"2030-02-30":{"slots":{"09:00-17:15":1}}}}"#;
    assert_eq!(
        told(document),
        [
            "capacityRules.office.week.mon.12:00: has to be 0 to 1000000, not 1000001",
            "capacityRules.office.week.mon.16:00-18:00: must not overlap another range",
            "capacityRules.office.week.mon.17:00-16:00: has to lie within the day, its end after its start",
            "capacityRules.office.week.mon.09:10: has to begin and end where slots do",
            "capacityRules.office.week.mon.24:00: has to lie within the day, its end after its start",
            "capacityRules.office.week.mon.9:00: has to be a time such as 09:00, or a range such as 09:00-17:00",
            "capacityRules.office.week.mon-mon: must not name a day that another key of the kind names",
            "capacityRules.office.week.monday: has to be a day (mon to sun), a range, a list, or daily",
            "capacityRules.office.week.wed,sat: must not name a day that another key of the kind names",
            "capacityRules.office.exceptions.2030-02-30: has to be a date such as 2030-12-24",
            "capacityRules.office.exceptions.2030-02-30.09:00-17:15: has to begin and end where slots do",
            "capacityRules.office.exceptions.2030-2-4: has to be a date such as 2030-12-24",
        ]
    );
    assert_eq!(
        told(r#"{"slotMinutes":120}"#),
        ["capacityRules.office.slotMinutes: has to be 5, 10, 15, 20, 30 or 60, not 120"]
    );
    let year: BTreeMap<String, Exception> = NaiveDate::from_ymd_opt(2030, 1, 1)
        .unwrap()
        .iter_days()
        .take(401)
        .map(|date| (date.to_string(), Exception::Day(DayPlaces::new())))
        .collect();
    let mut checks = Checks::default();
    CapacityRule { exceptions: year, ..CapacityRule::default() }.check(&mut checks);
    assert_eq!(checks.into_errors().len(), 1);
}

#[test]
fn the_document_prints_back_as_it_was_written() {
    let document: serde_json::Value = serde_json::from_str(
        r#"{"slotMinutes":30,"week":{"mon-fri":{"09:00-17:00":5,"12:00":0}},
            "exceptions":{"2030-12-24":{"day":{"09:00-12:00":2}},"2030-12-31":{"slots":{"16:00":0}}}}"#,
    )
    .unwrap();
    let rule: CapacityRule = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rule).unwrap(), document);
    assert_eq!(serde_json::from_str::<CapacityRule>("{}").unwrap(), CapacityRule::default());
    for (document, expected) in [
        (r#"{"slotMinute":30}"#, "unknown field `slotMinute`"),
        (r#"{"slotMinutes":7}"#, "5, 10, 15, 20, 30, 60 or 120 minutes, not 7"),
        (r#"{"week":{"mon":{"09:00":-1}}}"#, "invalid value"),
        (r#"{"exceptions":{"2030-12-24":{"date":{}}}}"#, "unknown variant `date`"),
    ] {
        let error = serde_json::from_str::<CapacityRule>(document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

#[test]
fn keys_of_the_predecessor_are_read() {
    let rule = rule(
        r#"{"_capacity":["Mon","Tue","Wed","Thu","Fri","Sat","Sun"],"_capacity_1":{"1":{"0000":1,"0900":3,"2300":2}},
            "_capacity_2":{"0900":4,"0930":0},"_capacity_7":{},"_capacity_add":{"2030-03-09":{"1000":6}},
            "_max_capacity":6,"_service":"capacity","_type":"builtin","slotMinutes":30}"#,
    );
    assert_eq!(rule.slot_minutes, minutes(30));
    let monday = slots([("00:00", 1), ("00:30", 1), ("09:00", 3), ("09:30", 3), ("23:00", 2), ("23:30", 2)]);
    assert_eq!(on(&rule, MON), monday, "a number is that of each slot of its hour");
    assert_eq!(on(&rule, TUE), slots([("09:00", 4)]), "to the next time that is named");
    assert_eq!(on(&rule, SAT), slots([("10:00", 6), ("10:30", 6)]));
    assert_eq!(on(&rule, "2030-03-10"), slots([]));
    let mut checks = Checks::default();
    rule.check(&mut checks);
    assert_eq!(checks.into_errors(), []);
    let printed = serde_json::to_value(&rule).unwrap();
    assert_eq!(serde_json::from_value::<CapacityRule>(printed.clone()).unwrap(), rule);
    assert_eq!(printed["week"]["mon"]["09:00-10:00"], 3, "kept in its own form");
    // Without a length of slots, it is the predecessor's.
    assert_eq!(self::rule(r#"{"_capacity_1":{"0900":1}}"#).slot_minutes, minutes(5));
}

#[test]
fn what_cannot_be_taken_over_is_named() {
    for (document, expected) in [
        (r#"{"_timezone":"UTC"}"#, "_timezone has no place in a capacity rule"),
        (r#"{"week":{"mon":{"09:00":1}},"_capacity_1":{"0900":1}}"#, "cannot stand beside _capacity keys"),
        (r#"{"_capacity_3":{"3":{"2400":1}}}"#, "wed.2400: a time has to be HHMM"),
        (r#"{"_capacity_3":{"0960":1}}"#, "wed.0960: a time has to be HHMM"),
        (r#"{"_capacity_3":{"+900":1}}"#, "wed.+900: a time has to be HHMM"),
        (r#"{"_capacity_1":{"0900":1001},"_max_capacity":1000}"#, "mon.0900: has to be 0 to 1000"),
        (r#"{"_capacity_8":{}}"#, "unknown field `_capacity_8`"),
    ] {
        let error = serde_json::from_str::<CapacityRule>(document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(day in "[a-z,-]{0,8}", span in "[0-9:-]{0,12}", date in "[0-9-]{0,11}", length in 0..7usize) {
        let places = DayPlaces::from([(span, 1)]);
        let rule = CapacityRule {
            slot_minutes: minutes(*SlotMinutes::ALLOWED.get(length).unwrap()),
            week: BTreeMap::from([(day, places.clone())]),
            exceptions: BTreeMap::from([(date.clone(), Exception::Slots(places.clone())), (format!("{date} "), Exception::Day(places))]),
        };
        let mut checks = Checks::default();
        rule.check(&mut checks);
        let _ = (rule.places(), rule.converted(minutes(60)), rule.converted(minutes(5)));
    }
}
