use super::*;
use crate::hours::{BusinessHours, Range as Hours, Week};
use crate::queue::{QueueSettings, SlotMinutes};
use proptest::prelude::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

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

#[test]
fn proposals_are_the_nearest_free_slots_in_open_hours() {
    let settings = with(&daily(Tz::America__New_York, "09:00", "10:30", 30), |it| it.slot_capacity = 3);
    let after = utc("2030-03-04T14:10:00Z");
    let taken = BTreeMap::from([(utc("2030-03-04T14:30:00Z"), 3), (utc("2030-03-04T15:00:00Z"), 2)]);
    let found = proposals(&settings, &taken, after, after + MAX_AHEAD, 4);
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
    let found = proposals(&settings, &BTreeMap::new(), utc("2030-01-07T01:00:00Z"), utc("2030-01-08T00:00:00Z"), 10);
    assert_eq!(found, [(utc("2030-01-07T09:30:00Z"), 100)], "09:00 is before the opening");
    let anytime = with(&settings, |it| it.reject_out_of_hours = false);
    let found = proposals(&anytime, &BTreeMap::new(), utc("2030-01-07T01:00:00Z"), utc("2030-01-08T00:00:00Z"), 1);
    assert_eq!(found, [(utc("2030-01-07T01:30:00Z"), 100)]);
}

#[test]
fn proposals_have_their_limits() {
    let settings = Queue::standalone(QueueSettings::default());
    let now = utc("2030-03-04T14:10:00Z");
    let none = BTreeMap::new();
    assert_eq!(proposals(&settings, &none, now, now + MAX_AHEAD, 1000).len(), MAX_PROPOSALS);
    assert_eq!(proposals(&settings, &none, now, now + Duration::minutes(10), 10).len(), 2);
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

proptest! {
    /// Slots cut time without gap or overlap: every instant is in exactly one, whose start is its own.
    #[test]
    fn every_instant_is_in_one_slot(zone in 0..ZONES.len(), length in 0..7usize, seconds in 1_860_000_000i64..1_960_000_000) {
        let settings = in_zone(*ZONES.get(zone).unwrap(), *SlotMinutes::ALLOWED.get(length).unwrap());
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        let start = slot_start(&settings, at);
        let end = next_slot(&settings, at);
        prop_assert!(start <= at && at < end);
        prop_assert!(end - start <= Duration::minutes(settings.slot_minutes.get().into()));
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
        taken in prop::collection::vec(0u32..3, 60), limit in 0usize..12,
    ) {
        let zone = *ZONES.get(zone).unwrap();
        let length = *SlotMinutes::ALLOWED.get(length).unwrap();
        let settings = with(&daily(zone, "22:40", "03:10", length), |it| it.slot_capacity = 2);
        let after = utc("2030-01-01T00:00:00Z") + Duration::minutes(minute);
        let horizon = after + Duration::days(days);
        let range = proposal_range(&settings, after, horizon);
        let starts = std::iter::successors(Some(range.start), |start| Some(next_slot(&settings, *start)));
        let taken: BTreeMap<_, _> = starts.zip(taken).collect();
        let found = proposals(&settings, &taken, after, horizon, limit);
        prop_assert!(found.len() <= limit.min(MAX_PROPOSALS));
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
