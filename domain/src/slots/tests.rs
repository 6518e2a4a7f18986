use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::availability::{self, Busy, Show};
use crate::booking::MAX_AHEAD;
use crate::hours::{BusinessHours, Range as Hours, Week};
use crate::queue::{QueueSettings, SlotMinutes};
use crate::samples::utc;
use proptest::prelude::*;

fn daily(zone: Tz, from: &str, to: &str, minutes: u32) -> Queue {
    let day = vec![Hours::new(from, to).unwrap()];
    let week = Week::new(std::array::from_fn(|_| day.clone())).unwrap();
    Queue::standalone(QueueSettings {
        hours: BusinessHours::weekly(zone, week).into(),
        slot_minutes: SlotMinutes::new(minutes).unwrap(),
        ..QueueSettings::default()
    })
}

/// The queue with one setting changed.
fn with(queue: &Queue, change: impl FnOnce(&mut QueueSettings)) -> Queue {
    let mut settings = queue.settings.clone();
    change(&mut settings);
    Queue::standalone(settings)
}

fn in_zone(zone: Tz, minutes: u32) -> Queue {
    daily(zone, "00:00", "24:00", minutes)
}

/// The starts of all slots from the one of `from` up to `to`.
fn grid(settings: &Queue, from: &str, to: &str) -> Vec<String> {
    let starts =
        std::iter::successors(Some(slot_start(settings, utc(from))), |start| Some(next_slot(settings, *start)));
    starts.take_while(|start| *start < utc(to)).map(|start| start.format("%H:%M").to_string()).collect()
}

#[test]
fn slots_are_on_the_wall_clocks_grid() {
    let table = [
        (Queue::standalone(QueueSettings::default()), "2030-03-04T10:07:59.999Z", "2030-03-04T10:05:00Z"),
        (Queue::standalone(QueueSettings::default()), "2030-03-04T10:05:00Z", "2030-03-04T10:05:00Z"),
        // Kathmandu, +5:45: 15:45 on the wall is on a grid of 15 minutes and not on one of an hour.
        (in_zone(Tz::Asia__Kathmandu, 15), "2030-03-04T10:07:00Z", "2030-03-04T10:00:00Z"),
        (in_zone(Tz::Asia__Kathmandu, 60), "2030-03-04T10:14:59Z", "2030-03-04T09:15:00Z"),
        (in_zone(Tz::Asia__Kathmandu, 60), "2030-03-04T10:15:00Z", "2030-03-04T10:15:00Z"),
        (in_zone(Tz::Asia__Kathmandu, 120), "2030-03-04T10:15:00Z", "2030-03-04T10:15:00Z"),
        // Lord Howe, +10:30 in winter and +11 in summer.
        (in_zone(Tz::Australia__Lord_Howe, 60), "2030-07-04T10:10:00Z", "2030-07-04T09:30:00Z"),
        (in_zone(Tz::Australia__Lord_Howe, 60), "2030-01-04T10:10:00Z", "2030-01-04T10:00:00Z"),
        // Before 1970 too.
        (in_zone(Tz::UTC, 120), "1969-12-31T23:59:59Z", "1969-12-31T22:00:00Z"),
    ];
    for (settings, at, start) in table {
        assert_eq!(slot_start(&settings, utc(at)), utc(start), "{at}");
    }
}

#[test]
fn repeated_hours_have_their_own_slots_and_skipped_ones_none() {
    // New York falls back at 06:00 UTC and springs forward at 07:00 UTC.
    let half = in_zone(Tz::America__New_York, 30);
    let night = ["04:00", "04:30", "05:00", "05:30", "06:00", "06:30", "07:00", "07:30"];
    assert_eq!(grid(&half, "2030-11-03T04:00:00Z", "2030-11-03T08:00:00Z"), night);
    assert_eq!(grid(&half, "2030-03-10T04:00:00Z", "2030-03-10T08:00:00Z"), night);
    // Slots of two hours are cut by the change and are on the grid again after it.
    let two = in_zone(Tz::America__New_York, 120);
    assert_eq!(grid(&two, "2030-11-03T04:00:00Z", "2030-11-03T10:00:00Z"), ["04:00", "06:00", "07:00", "09:00"]);
    assert_eq!(grid(&two, "2030-03-10T05:00:00Z", "2030-03-10T11:00:00Z"), ["05:00", "07:00", "08:00", "10:00"]);
    // Half an hour of change against slots of an hour.
    let howe = in_zone(Tz::Australia__Lord_Howe, 60);
    assert_eq!(grid(&howe, "2030-04-06T14:00:00Z", "2030-04-06T17:00:00Z"), ["14:00", "15:00", "15:30", "16:30"]);
    assert_eq!(grid(&howe, "2030-10-05T14:30:00Z", "2030-10-05T18:00:00Z"), ["14:30", "15:30", "16:00", "17:00"]);
}

/// The nearest slots with places from the one that starts at `first` on, with their free places.
fn proposals(
    queue: &Queue,
    taken: &BTreeMap<DateTime<Utc>, u32>,
    first: DateTime<Utc>,
    horizon: DateTime<Utc>,
    limit: usize,
) -> Vec<(DateTime<Utc>, u32)> {
    let mut found = Vec::new();
    let show = Show { max_free: Some(limit), busy: Busy::Hidden };
    availability::fill(queue, show, availability::proposal_starts(first, horizon), taken, &mut found);
    found.iter().map(|slot| (slot.start, slot.free)).collect()
}

#[test]
fn proposals_are_the_nearest_free_slots_in_open_hours() {
    let settings = with(&daily(Tz::America__New_York, "09:00", "10:30", 30), |it| it.slot_capacity = 3);
    let after = utc("2030-03-04T14:10:00Z");
    let taken = BTreeMap::from([(utc("2030-03-04T14:30:00Z"), 3), (utc("2030-03-04T15:00:00Z"), 2)]);
    let found = proposals(&settings, &taken, next_slot(&settings, after), after + MAX_AHEAD, 4);
    let expected = [
        ("2030-03-04T15:00:00Z", 1),
        ("2030-03-05T14:00:00Z", 3),
        ("2030-03-05T14:30:00Z", 3),
        ("2030-03-05T15:00:00Z", 3),
    ];
    assert_eq!(found, expected.map(|(start, free)| (utc(start), free)));
}

#[test]
fn proposals_begin_while_the_queue_is_open() {
    let settings = daily(Tz::Europe__London, "09:07", "10:00", 30);
    let first = utc("2030-01-07T01:30:00Z");
    let found = proposals(&settings, &BTreeMap::new(), first, utc("2030-01-08T00:00:00Z"), 10);
    assert_eq!(found, [(utc("2030-01-07T09:30:00Z"), 100)], "09:00 is before the opening");
    let anytime = with(&settings, |it| it.reject_out_of_hours = false);
    let found = proposals(&anytime, &BTreeMap::new(), first, utc("2030-01-08T00:00:00Z"), 1);
    assert_eq!(found, [(utc("2030-01-07T01:30:00Z"), 100)]);
}

#[test]
fn proposals_have_their_limits() {
    let settings = Queue::standalone(QueueSettings::default());
    let now = utc("2030-03-04T14:10:00Z");
    let none = BTreeMap::new();
    assert_eq!(proposals(&settings, &none, now, now + MAX_AHEAD, 7).len(), 7);
    assert_eq!(proposals(&settings, &none, now, now + Duration::minutes(10), 10).len(), 3, "the horizon is bookable");
    assert_eq!(proposals(&settings, &none, now, now - Duration::minutes(10), 10), []);
    let full = with(&settings, |it| it.slot_capacity = 0);
    assert_eq!(proposals(&full, &none, now, now + MAX_AHEAD, 10), []);
    let shut: BusinessHours = serde_json::from_str(r#"{"zone":"UTC","weekly":{}}"#).unwrap();
    assert_eq!(proposals(&with(&settings, |it| it.hours = shut.into()), &none, now, now + MAX_AHEAD, 10), []);
}

const ZONES: [Tz; 7] = [
    Tz::UTC,
    Tz::America__New_York,
    Tz::Europe__London,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Kathmandu,
    Tz::America__St_Johns,
    Tz::Africa__Casablanca,
];

/// A rule whose number names the slot: the quarter of the day, from 1, and 7 on Sundays.
fn rule(minutes: u32) -> crate::capacity::CapacityRule {
    let quarters = r#"{"00:00-06:00":1,"06:00-12:00":2,"12:00-18:00":3,"18:00-24:00":4}"#;
    let document = format!(
        r#"{{"slotMinutes":{minutes},"week":{{"daily":{quarters},"sun":{{"00:00-24:00":7}},"wed":{{"01:00-03:00":9}}}},
            "exceptions":{{"2030-03-31":{{"slots":{{"02:00-03:00":0}}}},"2030-11-03":{{"day":{{"01:00-02:00":5}}}}}}}}"#
    );
    serde_json::from_str(&document).unwrap()
}

fn ruled(queue: &Queue, minutes: u32) -> Queue {
    Queue { layout: Layout::by_rule(queue.hours.zone(), Arc::new(rule(minutes).places())), ..queue.clone() }
}

#[test]
fn the_places_of_a_rule_follow_the_clock_on_the_wall() {
    let queue = ruled(&in_zone(Tz::America__New_York, 5), 30);
    let places = |from: &str, to: &str| -> Vec<(String, u32)> {
        let slots = open_slots(&queue, utc(from)..utc(to));
        slots.map(|(start, places)| (start.format("%dT%H:%M").to_string(), places)).collect()
    };
    let same = |found: Vec<(String, u32)>, expected: &[(&str, u32)]| {
        let expected: Vec<_> = expected.iter().map(|(at, places)| ((*at).to_owned(), *places)).collect();
        assert_eq!(found, expected);
    };
    // A Monday morning; 11:00 UTC is 06:00.
    same(
        places("2030-03-04T10:00:00Z", "2030-03-04T12:00:00Z"),
        &[("04T10:00", 1), ("04T10:30", 1), ("04T11:00", 2), ("04T11:30", 2)],
    );
    // Wednesdays are said alone, so of the other hours nothing is left.
    same(
        places("2030-03-06T05:00:00Z", "2030-03-07T05:00:00Z"),
        &[("06T06:00", 9), ("06T06:30", 9), ("06T07:00", 9), ("06T07:30", 9)],
    );
    // The hour from one to two happens twice, and has its places each time; the date has no others.
    same(
        places("2030-11-03T04:00:00Z", "2030-11-04T05:00:00Z"),
        &[("03T05:00", 5), ("03T05:30", 5), ("03T06:00", 5), ("03T06:30", 5)],
    );
    assert_eq!(places("2030-03-11T04:00:00Z", "2030-03-12T04:00:00Z").len(), 48);
    assert_eq!(places("2030-03-10T05:00:00Z", "2030-03-11T04:00:00Z").len(), 46, "the day of 23 hours");
    assert_eq!(places("2030-11-10T05:00:00Z", "2030-11-11T05:00:00Z").len(), 48);
}

#[test]
fn days_of_a_change_have_23_and_25_hours_of_slots() {
    for (zone, day, hours) in [
        (Tz::America__New_York, "2030-03-10T05:00:00Z", 23),
        (Tz::America__New_York, "2030-11-03T04:00:00Z", 25),
        (Tz::Europe__London, "2030-03-31T00:00:00Z", 23),
        (Tz::Europe__London, "2030-10-26T23:00:00Z", 25),
    ] {
        let queue = in_zone(zone, 15);
        let found = open_slots(&queue, utc(day)..utc(day) + Duration::hours(hours));
        assert_eq!(found.count(), usize::try_from(hours * 4).unwrap(), "{zone} {day}");
        let wall = |at: DateTime<Utc>| at.with_timezone(&zone).time();
        assert_eq!(wall(utc(day)), wall(utc(day) + Duration::hours(hours)), "from midnight to midnight");
    }
}

/// The slots of a window, one after the other, by the plain functions alone.
fn plainly(queue: &Queue, starts: Range<DateTime<Utc>>) -> Vec<(DateTime<Utc>, u32)> {
    let first = slot_start(queue, starts.start);
    let slots = std::iter::successors(Some(first), |start| Some(next_slot(queue, *start)));
    slots
        .take_while(|start| *start < starts.end)
        .filter(|start| starts.contains(start))
        .filter(|start| !queue.reject_out_of_hours || queue.hours.is_open(*start))
        .map(|start| (start, queue.layout.capacity_at(start)))
        .filter(|(_, places)| *places > 0)
        .collect()
}

proptest! {
    /// Going through a window fast finds what the plain functions find, around every change of clocks too.
    #[test]
    fn a_window_is_what_the_plain_functions_say(
        zone in 0..ZONES.len(), length in 0..6usize, hour in 0i64..9_000, minute in 0i64..120, hours in 0i64..80,
        kind in 0..3u8, by_rule in any::<bool>(),
    ) {
        let zone = *ZONES.get(zone).unwrap();
        let length = *SlotMinutes::ALLOWED.get(length).unwrap();
        let queue = match kind {
            0 => daily(zone, "22:40", "03:10", length),
            1 => daily(zone, "01:07", "01:12", length),
            _ => with(&daily(zone, "09:00", "17:00", length), |it| it.reject_out_of_hours = false),
        };
        let queue = if by_rule { ruled(&queue, length) } else { queue };
        let from = utc("2030-01-01T00:00:00Z") + Duration::minutes(60 * hour + minute);
        let starts = from..from + Duration::hours(hours);
        prop_assert_eq!(open_slots(&queue, starts.clone()).collect::<Vec<_>>(), plainly(&queue, starts));
    }

    /// What is free is what is not taken, and never less than none.
    #[test]
    fn free_places_are_what_is_left(taken in prop::collection::vec((0i64..200, 0u32..5), 0..80), capacity in 1u32..4) {
        let queue = with(&Queue::standalone(QueueSettings::default()), |it| it.slot_capacity = capacity);
        let from = utc("2030-03-04T00:00:00Z");
        // Also places of slots that the grid does not have: they count nowhere.
        let taken: BTreeMap<_, _> = taken.into_iter().map(|(step, booked)| (from + Duration::minutes(step * 2), booked)).collect();
        let slots = free_slots(open_slots(&queue, from..from + Duration::hours(5)), &taken);
        for slot in slots {
            let booked = taken.get(&slot.start).copied().unwrap_or_default();
            prop_assert_eq!(slot, FreeSlot { start: slot.start, free: capacity.saturating_sub(booked), total: capacity });
        }
    }

    /// Slots cut time without gap or overlap: every instant is in exactly one, whose start is its own.
    #[test]
    fn every_instant_is_in_one_slot(zone in 0..ZONES.len(), length in 0..7usize, seconds in 1_860_000_000i64..1_960_000_000) {
        let length = *SlotMinutes::ALLOWED.get(length).unwrap();
        let settings = in_zone(*ZONES.get(zone).unwrap(), length);
        let settings = if length < 120 { ruled(&settings, length) } else { settings };
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        let start = slot_start(&settings, at);
        let end = next_slot(&settings, at);
        prop_assert!(start <= at && at < end);
        prop_assert!(end - start <= Duration::minutes(settings.layout.grid().minutes().get().into()));
        prop_assert_eq!(slot_start(&settings, start), start);
        prop_assert_eq!(slot_start(&settings, end - Duration::seconds(1)), start);
        prop_assert_eq!(slot_start(&settings, end), end);
    }

    /// The days of a change, second by second where it happens.
    #[test]
    fn the_hours_of_a_change_are_cut_cleanly(zone in 1..4usize, length in 0..7usize, minute in 0i64..2880) {
        let zone = *ZONES.get(zone).unwrap();
        let settings = in_zone(zone, *SlotMinutes::ALLOWED.get(length).unwrap());
        for day in ["2030-03-10", "2030-11-03", "2030-03-31", "2030-10-27", "2030-04-06", "2030-10-05"] {
            let at = utc(&format!("{day}T00:00:00Z")) + Duration::minutes(minute);
            let (start, end) = (slot_start(&settings, at), next_slot(&settings, at));
            prop_assert!(start <= at && at < end);
            prop_assert_eq!(slot_start(&settings, end), end);
            prop_assert_eq!(slot_start(&settings, end - Duration::seconds(1)), start);
        }
    }

    #[test]
    fn proposals_are_free_open_ascending_and_in_range(
        zone in 0..ZONES.len(), length in 0..7usize, minute in 0i64..500_000, days in 0i64..20,
        taken in prop::collection::vec(0u32..3, 60), limit in 1usize..12,
    ) {
        let zone = *ZONES.get(zone).unwrap();
        let length = *SlotMinutes::ALLOWED.get(length).unwrap();
        let settings = with(&daily(zone, "22:40", "03:10", length), |it| it.slot_capacity = 2);
        let after = utc("2030-01-01T00:00:00Z") + Duration::minutes(minute);
        let horizon = after + Duration::days(days);
        let first = next_slot(&settings, after);
        let range = availability::proposal_starts(first, horizon);
        let starts = std::iter::successors(Some(first), |start| Some(next_slot(&settings, *start)));
        let taken: BTreeMap<_, _> = starts.zip(taken).collect();
        let found = proposals(&settings, &taken, first, horizon, limit);
        prop_assert!(found.len() <= limit);
        prop_assert!(found.is_sorted());
        for (start, free) in found {
            prop_assert!(range.contains(&start) && start > after && start <= horizon);
            prop_assert_eq!(slot_start(&settings, start), start);
            prop_assert!(settings.hours.is_open(start));
            prop_assert_eq!(free, 2 - taken.get(&start).copied().unwrap_or_default());
            prop_assert!(free > 0);
        }
    }
}
