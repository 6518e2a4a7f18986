//! Special days and effective dates.

use super::*;

/// What a calendar is open on a day, as pairs of times in its zone.
fn hours_on(calendar: &Calendar, date: &str) -> Vec<String> {
    let zone = calendar.zone();
    let midnight = |date: chrono::NaiveDate| first_instant(zone, date.and_hms_opt(0, 0, 0).unwrap()).unwrap();
    let date: chrono::NaiveDate = date.parse().unwrap();
    let (from, to) = (midnight(date), midnight(date.succ_opt().unwrap()));
    let time = |at: DateTime<Utc>| {
        if at == to { "24:00".to_owned() } else { at.with_timezone(&zone).format("%H:%M").to_string() }
    };
    calendar.open_between(from, to).into_iter().map(|(from, to)| format!("{}-{}", time(from), time(to))).collect()
}

/// An office from nine to five, with a night shift from Sunday on, and these exceptions.
fn office(exceptions: &str) -> Arc<Calendar> {
    read(&format!(
        r#"{{"zone":"America/New_York","weekly":{{
            "mon":[{{"from":"09:00","to":"17:00"}}],"tue":[{{"from":"09:00","to":"17:00"}}],
            "wed":[{{"from":"09:00","to":"17:00"}}],"thu":[{{"from":"09:00","to":"17:00"}}],
            "fri":[{{"from":"09:00","to":"17:00"}}],"sun":[{{"from":"22:00","to":"06:00"}}]}},
            "exceptions":[{exceptions}]}}"#
    ))
}

#[test]
fn exceptions_close_open_add_and_remove() {
    // 2026-12-21 is a Monday; the night shift of Sunday reaches into it.
    let day = |exceptions: &str| hours_on(&office(exceptions), "2026-12-21");
    let christmas = |effect: &str| format!(r#"{{"days":"2026-12-21",{effect}}}"#);
    let closed = christmas(r#""closed":true"#);
    let open = christmas(r#""open":[{"from":"10:00","to":"12:00"}]"#);
    let add = christmas(r#""add":[{"from":"18:00","to":"20:00"},{"from":"16:00","to":"17:30"}]"#);
    let remove = christmas(r#""remove":[{"from":"12:00","to":"13:00"},{"from":"19:00","to":"21:00"}]"#);
    let usual = ["00:00-06:00", "09:00-17:00"];
    assert_eq!(day(""), usual);
    assert_eq!(day(&closed), [""; 0], "also what reaches in from the day before");
    assert_eq!(day(&open), ["10:00-12:00"]);
    assert_eq!(day(&add), ["00:00-06:00", "09:00-17:30", "18:00-20:00"]);
    assert_eq!(day(&remove), ["00:00-06:00", "09:00-12:00", "13:00-17:00"]);
    // Several on one date, in whatever order: closed takes the usual hours away and no more, removing goes last.
    let combined = [
        (vec![&closed, &add], vec!["16:00-17:30", "18:00-20:00"]),
        (vec![&closed, &open], vec!["10:00-12:00"]),
        (vec![&open, &add], vec!["10:00-12:00", "16:00-17:30", "18:00-20:00"]),
        (vec![&remove, &add, &closed], vec!["16:00-17:30", "18:00-19:00"]),
        (vec![&remove, &add], vec!["00:00-06:00", "09:00-12:00", "13:00-17:30", "18:00-19:00"]),
    ];
    for (exceptions, expected) in combined {
        let exceptions: Vec<_> = exceptions.into_iter().map(String::as_str).collect();
        assert_eq!(day(&exceptions.join(",")), expected, "{exceptions:?}");
        let reversed: Vec<_> = exceptions.into_iter().rev().collect();
        assert_eq!(day(&reversed.join(",")), expected, "{reversed:?}");
    }
}

#[test]
fn exceptions_hold_on_their_dates_only() {
    let hours = office(
        r#"{"name":"Christmas","days":["12-25","2026-12-28..2026-12-29"],"closed":true},
           {"days":"2027-01-01","enabled":false,"closed":true},
           {"days":[],"closed":true}"#,
    );
    let usual = vec!["09:00-17:00".to_owned()];
    for (date, open) in [
        ("2026-12-24", true),
        ("2026-12-25", false),
        ("2026-12-28", false),
        ("2026-12-29", false),
        ("2026-12-30", true),
        ("2027-01-01", true),
        ("2028-12-25", false),
        ("2028-12-29", true),
    ] {
        assert_eq!(hours_on(&hours, date), if open { usual.clone() } else { vec![] }, "{date}");
    }
    // Closed from Friday on; the night shift of Sunday opens, and is cut off where Monday is closed.
    assert_eq!(hours.status(utc("2026-12-25T15:00:00Z")), Status::ClosedUntil(utc("2026-12-28T03:00:00Z")));
    assert_eq!(hours.status(utc("2026-12-28T03:00:00Z")), Status::OpenUntil(utc("2026-12-28T05:00:00Z")));
    assert_eq!(hours.status(utc("2026-12-28T05:00:00Z")), Status::ClosedUntil(utc("2026-12-30T14:00:00Z")));
}

#[test]
fn what_an_exception_opens_reaches_into_a_closed_date() {
    let hours = office(
        r#"{"days":"12-31","open":[{"from":"20:00","to":"02:00"}]},{"days":"01-01","closed":true},
           {"days":"2027-01-01","remove":[{"from":"01:00","to":"02:00"}]}"#,
    );
    assert_eq!(hours_on(&hours, "2025-12-31"), ["20:00-24:00"]);
    assert_eq!(hours_on(&hours, "2026-01-01"), ["00:00-02:00"]);
    assert_eq!(hours_on(&hours, "2027-01-01"), ["00:00-01:00"]);
}

#[test]
fn outside_its_effective_dates_it_is_closed() {
    let document = |effective: &str| {
        read(&format!(
            r#"{{"zone":"UTC","weekly":{{"mon":[{{"from":"00:00","to":"mon 00:00"}}]}},"effective":{effective},
                "exceptions":[{{"days":"2026-07-01","add":[{{"from":"09:00","to":"10:00"}}]}}]}}"#
        ))
    };
    let season = document(r#"["2026-04-01..2026-04-02","2026-10-31.."]"#);
    let whole = vec!["00:00-24:00".to_owned()];
    for (date, open) in [
        ("2026-03-31", false),
        ("2026-04-01", true),
        ("2026-04-02", true),
        ("2026-04-03", false),
        ("2026-07-01", false),
        ("2026-10-31", true),
        ("2030-01-01", true),
    ] {
        assert_eq!(hours_on(&season, date), if open { whole.clone() } else { vec![] }, "{date}");
    }
    assert_eq!(season.status(utc("2026-04-01T10:00:00Z")), Status::OpenUntil(utc("2026-04-03T00:00:00Z")));
    assert_eq!(season.status(utc("2026-05-01T10:00:00Z")), Status::ClosedUnknown);
    assert_eq!(document("[]").status(utc("2026-05-01T10:00:00Z")), Status::OpenAlways, "no dates are no limit");
    let summers = document(r#""06-01..08-31""#);
    assert_eq!(hours_on(&summers, "2031-08-31"), whole);
    assert_eq!(hours_on(&summers, "2031-09-01"), Vec::<String>::new());
}

#[test]
fn a_date_is_as_long_as_its_clock_makes_it() {
    let length = |hours: &Calendar, date: &str, zone: Tz| {
        let date: chrono::NaiveDate = date.parse().unwrap();
        let noon = zone.from_local_datetime(&date.and_hms_opt(12, 0, 0).unwrap()).unwrap().to_utc();
        let open = hours.open_between(noon - Duration::days(2), noon + Duration::days(2));
        open.iter().map(|(from, to)| (*to - *from).num_hours()).sum::<i64>()
    };
    for (zone, date, hours) in [
        (Tz::America__New_York, "2030-03-10", 23),
        (Tz::America__New_York, "2030-11-03", 25),
        (Tz::America__New_York, "2030-06-03", 24),
        // Where clocks change at midnight.
        (Tz::America__Havana, "2030-03-10", 23),
        (Tz::America__Havana, "2030-11-03", 25),
    ] {
        let document = |effect: &str| {
            read(&format!(
                r#"{{"zone":"{zone}","weekly":{{"mon":[{{"from":"00:00","to":"mon 00:00"}}]}},
                    "effective":"{date}","exceptions":[{{"days":"{date}",{effect}}}]}}"#
            ))
        };
        assert_eq!(length(&document(r#""add":[]"#), date, zone), hours, "{zone} {date}");
        assert_eq!(length(&document(r#""closed":true"#), date, zone), 0, "{zone} {date}");
        let whole = r#""open":[{"from":"00:00","to":"24:00"}]"#;
        assert_eq!(length(&document(whole), date, zone), hours, "{zone} {date}");
    }
}
