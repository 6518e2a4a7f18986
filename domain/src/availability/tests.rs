use proptest::prelude::*;

use super::*;
use crate::hours::{BusinessHours, Range as Hours, Week};
use crate::queue::QueueSettings;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A Monday noon in New York, seven minutes and a bit past.
fn now() -> DateTime<Utc> {
    utc("2030-03-04T17:07:08.009Z")
}

fn office(change: impl FnOnce(&mut QueueSettings)) -> Queue {
    let week = Week::working_days(Hours::new("09:00", "17:00").unwrap());
    let mut settings = QueueSettings {
        hours: BusinessHours::weekly(chrono_tz::Tz::America__New_York, week).into(),
        slot_minutes: crate::queue::SlotMinutes::new(30).unwrap(),
        slot_capacity: 2,
        ..QueueSettings::default()
    };
    change(&mut settings);
    Queue::standalone(settings)
}

fn question(start: Option<&str>, end: End) -> Question {
    Question {
        service_name: "support".into(),
        start: start.map(utc),
        end,
        show: Show { max_free: None, busy: Busy::Hidden },
    }
}

/// The answer by day, hour and minute in UTC, with nothing taken.
fn found(queue: &Queue, question: &Question) -> Vec<String> {
    let mut slots = Vec::new();
    fill(queue, question.show, starts(queue, question, now()), &BTreeMap::new(), &mut slots);
    slots.iter().map(|slot| slot.start.format("%dT%H:%M").to_string()).collect()
}

#[test]
fn windows_are_cut_as_they_should() {
    let at = |text: &str| End::At(utc(text));
    let hours = |hours| End::After(Duration::hours(hours));
    let table: [(&str, Option<&str>, End, &[&str]); 15] = [
        ("the slot of now", None, End::AtStart, &["04T17:00"]),
        ("the slot of the start", Some("2030-03-04T19:59:59Z"), End::AtStart, &["04T19:30"]),
        ("on the edge", Some("2030-03-04T19:30:00Z"), End::AtStart, &["04T19:30"]),
        ("of no length by its end", Some("2030-03-04T19:59:59Z"), at("2030-03-04T19:59:59Z"), &["04T19:30"]),
        ("a closed instant", Some("2030-03-04T23:00:00Z"), End::AtStart, &[]),
        ("a start before now is now", Some("2030-03-04T09:00:00Z"), End::AtStart, &["04T17:00"]),
        ("the end is not part", None, at("2030-03-04T18:00:00Z"), &["04T17:00", "04T17:30"]),
        ("just past the edge", None, at("2030-03-04T18:00:00.001Z"), &["04T17:00", "04T17:30", "04T18:00"]),
        ("over before now", Some("2030-03-04T09:00:00Z"), at("2030-03-04T10:00:00Z"), &[]),
        ("ends before it begins", Some("2030-03-05T19:30:00Z"), at("2030-03-05T19:00:00Z"), &[]),
        ("from the start that was asked for", Some("2030-03-04T16:00:00Z"), hours(2), &["04T17:00", "04T17:30"]),
        ("from now", None, hours(1), &["04T17:00", "04T17:30", "04T18:00"]),
        ("across a night", Some("2030-03-04T21:30:00Z"), hours(17), &["04T21:30", "05T14:00"]),
        ("beyond what can be booked", Some("2030-03-18T17:08:00Z"), hours(1), &[]),
        ("the last slot that can be", Some("2030-03-18T17:07:08Z"), hours(1_000), &["18T17:00"]),
    ];
    for (what, start, end, expected) in table {
        assert_eq!(found(&office(|_| ()), &question(start, end)), expected, "{what}");
    }
    let endless = question(None, End::After(Duration::MAX));
    // What is left of today, nine working days, and the last day, which begins an hour earlier for UTC.
    assert_eq!(found(&office(|_| ()), &endless).len(), 10 + 9 * 16 + 9);
}

#[test]
fn what_no_booking_can_have_is_not_shown() {
    let day = question(None, End::After(Duration::hours(24)));
    assert_eq!(found(&office(|it| it.scheduled_enabled = false), &day), Vec::<String>::new());
    assert_eq!(found(&office(|it| it.paused = true), &day), Vec::<String>::new());
    assert_eq!(found(&office(|it| it.slot_capacity = 0), &day), Vec::<String>::new());
    let first = |lead: u32| found(&office(|it| it.min_lead_seconds = lead), &day).first().cloned();
    assert_eq!(first(0).as_deref(), Some("04T17:00"));
    assert_eq!(first(1).as_deref(), Some("04T17:30"), "a booking for its start would be too soon");
    assert_eq!(first(3_600).as_deref(), Some("04T18:30"));
    let one = question(None, End::AtStart);
    assert_eq!(found(&office(|it| it.min_lead_seconds = 60), &one), Vec::<String>::new());
}

#[test]
fn nothing_is_shown_beyond_what_the_queue_takes() {
    let endless = question(None, End::After(Duration::MAX));
    let three = office(|it| it.max_ahead_days = 3);
    let all = found(&three, &endless);
    // What is left of today, two days, and the last one to the same time of day.
    assert_eq!((all.len(), all.last().map(String::as_str)), (10 + 2 * 16 + 7, Some("07T17:00")));
    let at = |start: &str| found(&three, &question(Some(start), End::AtStart));
    assert_eq!(at("2030-03-07T17:07:08Z"), ["07T17:00"], "the latest instant can be booked itself");
    assert_eq!(at("2030-03-07T17:07:09Z"), Vec::<String>::new());
    let first = utc("2030-03-07T16:30:00Z");
    let beyond = proposal_starts(first, now() + three.max_ahead());
    assert!(beyond.contains(&utc("2030-03-07T17:00:00Z")) && !beyond.contains(&utc("2030-03-07T17:30:00Z")));
}

#[test]
fn busy_slots_are_shown_on_request_and_never_counted() {
    let queue = office(|_| ());
    let taken = BTreeMap::from([
        (utc("2030-03-04T17:00:00Z"), 2),
        (utc("2030-03-04T18:00:00Z"), 1),
        // Above a capacity that was lowered.
        (utc("2030-03-04T18:30:00Z"), 3),
    ]);
    let ask = |busy, max_free| {
        let question = Question { show: Show { busy, max_free }, ..question(None, End::After(Duration::hours(3))) };
        let mut slots = Vec::new();
        let more = fill(&queue, question.show, starts(&queue, &question, now()), &taken, &mut slots);
        (slots.iter().map(|slot| slot.free).collect::<Vec<_>>(), more)
    };
    assert_eq!(ask(Busy::Hidden, None), (vec![2, 1, 2, 2, 2], Fill::MoreWanted));
    assert_eq!(ask(Busy::Shown, None), (vec![0, 2, 1, 0, 2, 2, 2], Fill::MoreWanted));
    assert_eq!(ask(Busy::Shown, Some(3)), (vec![0, 2, 1, 0, 2], Fill::Enough));
    assert_eq!(ask(Busy::Hidden, Some(3)), (vec![2, 1, 2], Fill::Enough));
    assert_eq!(ask(Busy::Hidden, Some(6)), (vec![2, 1, 2, 2, 2], Fill::MoreWanted));
}

proptest! {
    /// Looking at a window in parts finds the same as looking at it at once.
    #[test]
    fn parts_of_a_window_add_up(
        cut in 0i64..20_160, max_free in prop::option::of(1usize..40), shown in any::<bool>(), taken in prop::collection::vec(0u32..4, 60),
    ) {
        let queue = office(|_| ());
        let busy = if shown { Busy::Shown } else { Busy::Hidden };
        let question = Question { show: Show { busy, max_free }, ..question(None, End::After(Duration::days(14))) };
        let range = starts(&queue, &question, now());
        let taken: BTreeMap<_, _> = slots::open_slots(&queue, range.clone()).map(|(start, _)| start).zip(taken).collect();
        let mut whole = Vec::new();
        fill(&queue, question.show, range.clone(), &taken, &mut whole);
        let cut = range.start + Duration::minutes(cut);
        let mut parts = Vec::new();
        if fill(&queue, question.show, range.start..cut, &taken, &mut parts) == Fill::MoreWanted {
            fill(&queue, question.show, cut..range.end, &taken, &mut parts);
        }
        prop_assert_eq!(parts, whole);
    }
}
