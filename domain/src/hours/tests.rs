use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Duration, TimeZone as _, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::samples::utc;
use crate::setting::Checks;

mod composed;
mod special;

/// The calendar of a document that names no others.
fn calendar(document: &BusinessHours) -> Arc<Calendar> {
    let mut checks = Checks::default();
    let calendar = Calendars::default().in_place(document, &mut checks);
    assert_eq!(checks.into_errors(), []);
    calendar
}

fn read(document: &str) -> Arc<Calendar> {
    calendar(&serde_json::from_str(document).unwrap())
}

fn weekly(zone: Tz, week: Week) -> Arc<Calendar> {
    calendar(&BusinessHours::weekly(zone, week))
}

/// Hours of one kind for every day of the week.
fn daily(zone: Tz, from: &str, to: &str) -> Arc<Calendar> {
    let day = vec![Range::new(from, to).unwrap()];
    weekly(zone, Week::new(std::array::from_fn(|_| day.clone())).unwrap())
}

#[test]
fn office_hours_of_an_ordinary_week() {
    let hours = weekly(Tz::America__New_York, Week::working_days(Range::new("09:00", "17:00").unwrap()));
    // 2030-03-04 is a Monday, UTC−5.
    let table = [
        ("2030-03-04T13:59:59Z", "2030-03-04T14:00:00Z", "2030-03-04T13:59:59Z"),
        ("2030-03-04T14:00:00Z", "2030-03-04T14:00:00Z", "2030-03-04T22:00:00Z"),
        ("2030-03-04T21:59:59Z", "2030-03-04T21:59:59Z", "2030-03-04T22:00:00Z"),
        ("2030-03-04T22:00:00Z", "2030-03-05T14:00:00Z", "2030-03-04T22:00:00Z"),
        // Friday evening to Monday, over the change of clocks of 2030-03-10.
        ("2030-03-08T22:00:00Z", "2030-03-11T13:00:00Z", "2030-03-08T22:00:00Z"),
    ];
    for (at, opening, closing) in table {
        let at = utc(at);
        assert_eq!(hours.is_open(at), utc(opening) == at, "{at}");
        assert_eq!(hours.next_opening(at), Some(utc(opening)), "{at}");
        assert_eq!(hours.closes_at(at), Some(utc(closing)), "{at}");
    }
}

#[test]
fn ranges_wrap_midnight_and_the_week() {
    let hours = read(r#"{"zone":"Europe/London","weekly":{"sun":[{"from":"22:00","to":"06:00"}]}}"#);
    for (at, open) in [
        ("2030-01-06T21:59:00Z", false),
        ("2030-01-06T22:00:00Z", true),
        ("2030-01-07T05:59:59Z", true),
        ("2030-01-07T06:00:00Z", false),
    ] {
        assert_eq!(hours.is_open(utc(at)), open, "{at}");
    }
    assert_eq!(hours.closes_at(utc("2030-01-06T23:00:00Z")), Some(utc("2030-01-07T06:00:00Z")));
}

#[test]
fn a_range_reaches_over_days_and_over_the_end_of_the_week() {
    let hours = read(r#"{"zone":"Europe/London","weekly":{"fri":[{"from":"22:00","to":"mon 06:00"}]}}"#);
    let (opening, closing) = (utc("2030-01-04T22:00:00Z"), utc("2030-01-07T06:00:00Z"));
    assert_eq!(hours.next_opening(utc("2030-01-01T00:00:00Z")), Some(opening));
    for at in [opening, utc("2030-01-06T12:00:00Z"), closing - Duration::seconds(1)] {
        assert_eq!((hours.is_open(at), hours.closes_at(at)), (true, Some(closing)), "{at}");
    }
    assert!(!hours.is_open(closing) && !hours.is_open(opening - Duration::seconds(1)));
    // The same day at a time not later is a week later: open for good.
    let whole = read(r#"{"zone":"UTC","weekly":{"wed":[{"from":"12:00","to":"wed 12:00"}]}}"#);
    assert_eq!(whole.closes_at(opening), None);
    let nearly = read(r#"{"zone":"UTC","weekly":{"wed":[{"from":"12:00","to":"wed 11:59"}]}}"#);
    assert_eq!(nearly.closes_at(utc("2030-01-02T12:00:00Z")), Some(utc("2030-01-09T11:59:00Z")));
    let same = read(r#"{"zone":"UTC","weekly":{"wed":[{"from":"11:00","to":"wed 12:00"}]}}"#);
    assert_eq!(same.closes_at(utc("2030-01-02T11:00:00Z")), Some(utc("2030-01-02T12:00:00Z")));
}

#[test]
fn a_status_is_told_in_the_words_of_the_product() {
    let office = daily(Tz::UTC, "09:00", "17:00");
    let at = utc("2030-01-01T12:00:00Z");
    for (hours, at, expected) in [
        (Arc::new(Calendar::always()), at, Status::OpenAlways),
        (daily(Tz::UTC, "00:00", "24:00"), at, Status::OpenAlways),
        (office.clone(), at, Status::OpenUntil(utc("2030-01-01T17:00:00Z"))),
        (office.clone(), utc("2030-01-01T17:00:00Z"), Status::ClosedUntil(utc("2030-01-02T09:00:00Z"))),
        (read(r#"{"zone":"UTC"}"#), at, Status::ClosedUnknown),
    ] {
        assert_eq!(hours.status(at), expected);
        assert_eq!(hours.status(at).is_open(), hours.is_open(at));
    }
}

#[test]
fn whole_days_follow_each_other_without_a_gap() {
    for to in ["24:00", "00:00"] {
        let hours = daily(Tz::Europe__London, "00:00", to);
        assert_eq!(hours.closes_at(utc("2030-03-28T10:00:00Z")), None, "over the change of clocks too");
    }
    let weekend = read(
        r#"{"zone":"UTC","weekly":{"sat":[{"from":"00:00","to":"24:00"}],
            "sun":[{"from":"00:00","to":"12:00"},{"from":"10:00","to":"14:00"}]}}"#,
    );
    assert_eq!(weekend.closes_at(utc("2030-01-05T08:00:00Z")), Some(utc("2030-01-06T14:00:00Z")));
}

#[test]
fn always_never_closes_and_an_empty_week_never_opens() {
    let at = utc("2030-01-01T00:00:00Z");
    let always = read(r#""always""#);
    assert_eq!((always.next_opening(at), always.closes_at(at)), (Some(at), None));
    let never = read(r#"{"zone":"UTC","weekly":{}}"#);
    assert_eq!((never.is_open(at), never.next_opening(at), never.closes_at(at)), (false, None, Some(at)));
}

#[test]
fn an_opening_once_a_week_is_within_sight() {
    let hours = read(r#"{"zone":"Pacific/Auckland","weekly":{"wed":[{"from":"08:00","to":"08:01"}]}}"#);
    let opening = hours.next_opening(utc("2030-01-01T19:01:00Z")).unwrap();
    assert_eq!(opening, utc("2030-01-08T19:00:00Z"));
}

#[test]
fn boundaries_in_a_spring_gap_move_to_its_end() {
    // New York: 02:00 EST becomes 03:00 EDT at 07:00 UTC.
    let opens = daily(Tz::America__New_York, "02:30", "05:00");
    assert_eq!(opens.next_opening(utc("2030-03-10T05:30:00Z")), Some(utc("2030-03-10T07:00:00Z")));
    let closes = daily(Tz::America__New_York, "01:00", "02:30");
    assert_eq!(closes.closes_at(utc("2030-03-10T06:00:00Z")), Some(utc("2030-03-10T07:00:00Z")));
    let inside = daily(Tz::America__New_York, "02:15", "02:45");
    assert_eq!(inside.next_opening(utc("2030-03-10T00:00:00Z")), Some(utc("2030-03-11T06:15:00Z")));
    // Lord Howe: 02:00 (+10:30) becomes 02:30 (+11) at 15:30 UTC of the day before.
    let half = daily(Tz::Australia__Lord_Howe, "02:10", "04:00");
    assert_eq!(half.next_opening(utc("2030-10-05T15:00:00Z")), Some(utc("2030-10-05T15:30:00Z")));
}

#[test]
fn boundaries_in_an_autumn_overlap_open_first_and_close_last() {
    // London: 02:00 BST becomes 01:00 GMT at 01:00 UTC.
    let opens = daily(Tz::Europe__London, "01:30", "05:00");
    assert_eq!(opens.next_opening(utc("2030-10-26T22:00:00Z")), Some(utc("2030-10-27T00:30:00Z")));
    let closes = daily(Tz::Europe__London, "00:00", "01:30");
    assert_eq!(closes.closes_at(utc("2030-10-27T00:00:00Z")), Some(utc("2030-10-27T01:30:00Z")));
    // Lord Howe: 02:00 (+11) becomes 01:30 (+10:30) at 15:00 UTC of the day before.
    let half = daily(Tz::Australia__Lord_Howe, "00:00", "01:45");
    assert_eq!(half.closes_at(utc("2030-04-06T13:30:00Z")), Some(utc("2030-04-06T15:15:00Z")));
}

#[test]
fn a_date_that_a_zone_skipped_is_no_trouble() {
    // Samoa had no 2011-12-30.
    let hours = daily(Tz::Pacific__Apia, "09:00", "17:00");
    let opening = hours.next_opening(utc("2011-12-30T03:00:00Z")).unwrap();
    assert_eq!(opening, utc("2011-12-30T19:00:00Z"), "nine o'clock on the 31st");
}

#[test]
fn documents_print_back() {
    for document in [
        r#""always""#,
        r#"{"zone":"America/New_York","weekly":{"mon":[{"from":"09:00","to":"12:30"},{"from":"13:00","to":"24:00"}]}}"#,
        r#"{"zone":"UTC","weekly":{"fri":[{"from":"22:00","to":"mon 06:00"}]}}"#,
        concat!(
            r#"{"zone":"Europe/Berlin","exceptions":[{"name":"Christmas","days":"12-25","closed":true},"#,
            r#"{"days":["2026-12-24","2026-12-31"],"enabled":false,"open":[{"from":"09:00","to":"12:00"}]},"#,
            r#"{"days":[],"add":[]},{"days":"2026-05-04..","remove":[{"from":"12:00","to":"13:00"}]}],"#,
            r#""exceptionsOf":["holidays"],"effective":"2026-01-01..2026-12-31","include":["night"],"#,
            r#""alternatives":[{"calendar":"summer","days":"06-01..08-31"}]}"#
        ),
    ] {
        let hours: BusinessHours = serde_json::from_str(document).unwrap();
        assert_eq!(serde_json::to_string(&hours).unwrap(), document);
    }
}

#[test]
fn bad_documents_say_what_is_wrong() {
    let many = serde_json::json!({"zone": "UTC", "weekly": {"mon": vec![serde_json::json!({"from": "01:00", "to": "02:00"}); 25]}});
    let range =
        |from: &str, to: &str| format!(r#"{{"zone":"UTC","weekly":{{"mon":[{{"from":"{from}","to":"{to}"}}]}}}}"#);
    for (document, expected) in [
        (r#""sometimes""#.to_owned(), "expected \"always\", or an object"),
        (r#"{"zone":"Mars/Base","weekly":{}}"#.to_owned(), "timezone"),
        (r#"{"weekly":{}}"#.to_owned(), "missing field `zone`"),
        (r#"{"zone":"UTC","weekly":{"monday":[]}}"#.to_owned(), "unknown field `monday`"),
        (r#"{"zone":"UTC","weekly":{},"holidays":[]}"#.to_owned(), "unknown field `holidays`"),
        (r#"{"zone":"UTC","_holiday1":"12-25"}"#.to_owned(), "cannot stand together"),
        (r#"{"zone":"UTC","exceptions":[{"days":"12-25"}]}"#.to_owned(), "exactly one of `closed: true`, `open`"),
        (r#"{"zone":"UTC","exceptions":[{"days":"12-25","closed":true,"open":[]}]}"#.to_owned(), "exactly one"),
        (r#"{"zone":"UTC","exceptions":[{"closed":true}]}"#.to_owned(), "missing field `days`"),
        (r#"{"zone":"UTC","exceptions":[{"days":"x","closed":true}]}"#.to_owned(), "dates are one date"),
        (r#"{"zone":"UTC","alternatives":[{"days":"12-25"}]}"#.to_owned(), "missing field `calendar`"),
        (range("09:00", "monday 06:00"), "HH:MM"),
        (range("mon 09:00", "10:00"), "HH:MM"),
        (range("24:00", "01:00"), "HH:MM"),
        (range("9:00", "17:00"), "HH:MM"),
        (range("09:00", "24:01"), "HH:MM"),
        (range("09:60", "10:00"), "HH:MM"),
        (range("+9:00", "10:00"), "HH:MM"),
        (many.to_string(), "at most 24 ranges, not 25"),
    ] {
        let error = serde_json::from_str::<BusinessHours>(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

/// What the rules say in the plainest words, minute by minute: some range of some day holds the minute.
fn plainly_open(zone: Tz, week: &Week, at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&zone).naive_local();
    (-8i64..=0).any(|back| {
        let day = local.date() + Duration::days(back);
        let midnight = day.and_hms_opt(0, 0, 0).unwrap();
        week.ranges(day.weekday()).iter().any(|range| {
            let from = midnight + Duration::minutes(range.from_minute().into());
            let to = from + Duration::minutes(range.length_minutes(day.weekday()).into());
            from <= local && local < to
        })
    })
}

fn time() -> impl Strategy<Value = String> {
    // Mostly near the hours in which clocks change.
    prop_oneof![0u16..1440, 30u16..240].prop_map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60))
}

fn week() -> impl Strategy<Value = Week> {
    let until = prop::sample::select(vec!["", "", "", "mon ", "thu ", "sun "]);
    let range =
        (time(), until, time()).prop_map(|(from, day, to)| WeekRange::new(&from, &format!("{day}{to}")).unwrap());
    let day = prop::collection::vec(range, 0..3);
    prop::collection::vec(day, 7).prop_map(|days| Week::new(std::array::from_fn(|index| days[index].clone())).unwrap())
}

/// Zones with the midnight (UTC) before two of their changes, and the hours around which nothing changes.
const CHANGES: [(Tz, &str); 8] = [
    (Tz::America__New_York, "2030-03-10T00:00:00Z"),
    (Tz::America__New_York, "2030-11-03T00:00:00Z"),
    (Tz::Europe__London, "2030-03-31T00:00:00Z"),
    (Tz::Europe__London, "2030-10-27T00:00:00Z"),
    (Tz::Australia__Lord_Howe, "2030-10-05T12:00:00Z"),
    (Tz::Australia__Lord_Howe, "2030-04-06T12:00:00Z"),
    (Tz::Asia__Kathmandu, "2030-04-06T12:00:00Z"),
    (Tz::Pacific__Apia, "2011-12-30T00:00:00Z"),
];

proptest! {
    /// On the days of a change: openings are open, closings are not, and every minute between is as
    /// `is_open` says.
    #[test]
    fn openings_and_closings_agree_with_every_minute(week in week(), which in 0..CHANGES.len(), offset in 0i64..1440) {
        let (zone, day) = CHANGES[which];
        let hours = weekly(zone, week);
        let at = utc(day) + Duration::minutes(offset);
        // Every minute of the change's two days, and then and when of what follows.
        let minutes = |until: DateTime<Utc>| {
            let all = (until - at).num_minutes();
            (0..all.min(2880)).chain((2880..all).step_by(97)).map(move |minute| at + Duration::minutes(minute))
        };
        match hours.next_opening(at) {
            None => prop_assert!(minutes(at + Duration::days(8)).all(|minute| !hours.is_open(minute))),
            Some(opening) => {
                prop_assert!(opening >= at && hours.is_open(opening));
                prop_assert_eq!(hours.next_opening(opening), Some(opening));
                prop_assert!(minutes(opening).all(|minute| !hours.is_open(minute)));
            }
        }
        match hours.closes_at(at) {
            None => prop_assert!(minutes(at + Calendar::LOOK_AHEAD).all(|minute| hours.is_open(minute))),
            Some(closing) => {
                prop_assert!(closing >= at && !hours.is_open(closing));
                prop_assert!(minutes(closing).all(|minute| hours.is_open(minute)));
            }
        }
    }

    /// Away from the changes, the intervals are what a clock on the wall would say.
    #[test]
    fn an_ordinary_day_is_read_off_the_wall(week in week(), which in 0..CHANGES.len(), minute in 0i64..20_000) {
        let (zone, _) = CHANGES[which];
        let at = utc("2030-06-10T00:00:00Z") + Duration::minutes(minute);
        let hours = weekly(zone, week.clone());
        prop_assert_eq!(hours.is_open(at), plainly_open(zone, &week, at));
    }

    /// A change of clocks may lengthen what the wall says, and never shortens it.
    #[test]
    fn whoever_reads_open_off_the_wall_finds_it_open(week in week(), which in 0..7usize, minute in 0i64..2880) {
        let (zone, day) = CHANGES[which];
        let at = utc(day) + Duration::minutes(minute);
        let hours = weekly(zone, week.clone());
        prop_assert!(hours.is_open(at) || !plainly_open(zone, &week, at));
    }

    #[test]
    fn never_panics(week in week(), zone in 0..chrono_tz::TZ_VARIANTS.len(), seconds in -9_000_000_000i64..9_000_000_000) {
        let hours = weekly(chrono_tz::TZ_VARIANTS[zone], week);
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        let _ = (hours.is_open(at), hours.next_opening(at), hours.closes_at(at));
    }
}
