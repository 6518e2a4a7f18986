//! Calendars that draw on others.

use std::collections::BTreeMap;

use super::*;
use crate::setting::SettingError;

fn resolve(documents: &[(&str, &str)]) -> Result<BTreeMap<String, Arc<Calendar>>, Vec<SettingError>> {
    let documents =
        documents.iter().map(|(name, document)| ((*name).to_owned(), serde_json::from_str(document).unwrap()));
    let mut checks = Checks::default();
    let calendars = Calendars::resolve(&documents.collect(), &mut checks);
    let errors = checks.into_errors();
    if errors.is_empty() { Ok(calendars.into_named()) } else { Err(errors) }
}

fn told(documents: &[(&str, &str)]) -> Vec<String> {
    resolve(documents).unwrap_err().iter().map(ToString::to_string).collect()
}

fn open(calendar: &Calendar, from: &str, to: &str) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    calendar.open_between(utc(from), utc(to))
}

#[test]
fn included_calendars_are_open_as_well_and_alternatives_instead() {
    let day = r#"{"zone":"Europe/London","weekly":{"tue":[{"from":"09:00","to":"17:00"}]}"#;
    let calendars = resolve(&[
        ("day", &format!("{day}}}")),
        ("night", r#"{"zone":"Asia/Tokyo","weekly":{"wed":[{"from":"01:00","to":"03:00"}]}}"#),
        ("summer", r#"{"zone":"Europe/London","weekly":{"tue":[{"from":"10:00","to":"11:00"}]}}"#),
        ("holidays", r#"{"zone":"UTC","exceptions":[{"days":"12-25","closed":true},{"days":"12-24","enabled":false,"closed":true}]}"#),
        ("all", &format!(
            r#"{day},"include":["night"],"exceptionsOf":["holidays"],"alternatives":[
                {{"calendar":"night","days":"2029-06-01..2029-08-31","enabled":false}},
                {{"calendar":"summer","days":"06-01..08-31"}},{{"calendar":"day","days":"08-01..09-30"}}]}}"#
        )),
    ])
    .unwrap();
    let all = &calendars["all"];
    // A Tuesday in January: nine to five in London, and one to three of Wednesday in Tokyo.
    let tuesday = open(all, "2029-01-09T00:00:00Z", "2029-01-10T00:00:00Z");
    assert_eq!(tuesday, [(utc("2029-01-09T09:00:00Z"), utc("2029-01-09T18:00:00Z"))]);
    let july = open(all, "2029-07-10T00:00:00Z", "2029-07-11T00:00:00Z");
    assert_eq!(july, [(utc("2029-07-10T09:00:00Z"), utc("2029-07-10T10:00:00Z"))]);
    assert_eq!(open(all, "2029-08-07T00:00:00Z", "2029-08-08T00:00:00Z").len(), 1, "the first alternative holds");
    let september = open(all, "2029-09-04T00:00:00Z", "2029-09-05T00:00:00Z");
    assert_eq!(september, [(utc("2029-09-04T08:00:00Z"), utc("2029-09-04T16:00:00Z"))]);
    assert_eq!(
        open(all, "2029-12-25T00:00:00Z", "2029-12-26T00:00:00Z"),
        [],
        "a Tuesday, closed with what is included"
    );
    assert_eq!(all.zone(), Tz::Europe__London);
}

#[test]
fn a_calendar_that_never_closes_may_be_included() {
    let calendars = resolve(&[
        ("ever", r#""always""#),
        ("but", r#"{"zone":"UTC","include":["ever"],"exceptions":[{"days":"12-25","closed":true}]}"#),
    ])
    .unwrap();
    let status = calendars["but"].status(utc("2029-12-24T00:00:00Z"));
    assert_eq!(status, Status::OpenUntil(utc("2029-12-25T00:00:00Z")));
    assert_eq!(calendars["but"].status(utc("2029-01-01T00:00:00Z")), Status::OpenAlways);
}

#[test]
fn names_under_which_nothing_stands_are_told_with_their_place() {
    let one = r#"{"zone":"UTC","include":["a","b"],"exceptionsOf":["c"],"alternatives":[{"calendar":"d","days":[]}]}"#;
    assert_eq!(
        told(&[("a", r#""always""#), ("one", one)]),
        [
            "one.exceptionsOf.0: has to be a name of businessHours, not c",
            "one.include.1: has to be a name of businessHours, not b",
            "one.alternatives.0.calendar: has to be a name of businessHours, not d",
        ]
    );
}

#[test]
fn loops_and_depths_are_refused() {
    let draws = |other: &str| format!(r#"{{"zone":"UTC","include":["{other}"]}}"#);
    let rule = "has to draw on calendars no more than 8 deep, and never on itself";
    let itself = told(&[("a", &draws("a"))]);
    assert_eq!(itself, [format!("a: {rule}")]);
    let round = told(&[
        ("a", &draws("b")),
        ("b", r#"{"zone":"UTC","alternatives":[{"calendar":"c","days":"12-25"}]}"#),
        ("c", r#"{"zone":"UTC","exceptionsOf":["a"]}"#),
        ("d", r#""always""#),
    ]);
    assert_eq!(round, [format!("a: {rule}"), format!("b: {rule}"), format!("c: {rule}")]);
    let chain: Vec<_> = (0..10).map(|depth| (format!("c{depth}"), draws(&format!("c{}", depth + 1)))).collect();
    let mut documents: Vec<_> = chain.iter().map(|(name, document)| (name.as_str(), document.as_str())).collect();
    documents.push(("c9", r#""always""#));
    documents.remove(9);
    assert_eq!(told(&documents), [format!("c0: {rule}")]);
    assert!(resolve(&documents[1..]).is_ok());
}

#[test]
fn a_calendar_cannot_multiply() {
    let twice = |other: usize| format!(r#"{{"zone":"UTC","include":["c{other}","c{other}"]}}"#);
    let documents: Vec<_> = (0..8)
        .map(|depth| (format!("c{depth}"), if depth == 0 { "\"always\"".to_owned() } else { twice(depth - 1) }))
        .collect();
    let documents: Vec<_> = documents.iter().map(|(name, document)| (name.as_str(), document.as_str())).collect();
    // 2 + 4 + 8 + 16 + 32 = 62 are drawn on, the next would be 126.
    assert!(resolve(&documents[..6]).is_ok());
    let most = "has to draw on at most 64 calendars, each as often as it is named";
    assert_eq!(told(&documents[..7]), [format!("c6: {most}, not 126")]);
}

#[test]
fn limits_are_told_with_their_place() {
    let many = |count: usize, text: &str| vec![text; count].join(",");
    let closed = r#"{"days":"12-25","closed":true}"#;
    let dates = many(33, "\"12-25\"");
    let names = many(17, "\"a\"");
    let document = format!(
        r#"{{"zone":"UTC","exceptions":[{},{{"name":" ","days":[{dates}],"closed":true}}],"effective":[{dates}],
            "include":[{names}],"exceptionsOf":[{names}]}}"#,
        many(400, closed)
    );
    let text = "has to be 1 to 255 characters without control characters, or left out";
    assert_eq!(
        told(&[("a", r#""always""#), ("b", &document), ("always", r#""always""#)]),
        [
            "always: cannot be the name of a calendar, for it is the word for one that never closes".to_owned(),
            "b.exceptions: has to be 0 to 400, not 401".to_owned(),
            format!("b.exceptions.400.name: {text}, not \" \""),
            "b.exceptions.400.days: has to be 0 to 32, not 33".to_owned(),
            "b.exceptionsOf: has to be 0 to 16, not 17".to_owned(),
            "b.effective: has to be 0 to 32, not 33".to_owned(),
            "b.include: has to be 0 to 16, not 17".to_owned(),
        ]
    );
    let half = format!(r#"{{"zone":"UTC","exceptions":[{}]}}"#, many(201, closed));
    let both = format!(r#"{{"zone":"UTC","exceptions":[{}],"exceptionsOf":["half"]}}"#, many(200, closed));
    let told = told(&[("half", &half), ("both", &both)]);
    assert_eq!(told, ["both.exceptionsOf: has to bring the exceptions to at most 400, not 401"]);
}

#[test]
fn every_mistake_in_a_tenants_calendars_and_rules_is_told_at_its_place() {
    let document = serde_json::json!({
        "tenant": "demo",
        "queues": {"support": {"hours": {"zone": "UTC", "include": ["nowhere"]}, "numberRule": "europe"}},
        "businessHours": {
            "office": {
                "zone": "UTC", "holidays": [],
                "exceptions": [
                    {"days": "12-32", "closed": true},
                    {"days": ["12-25", "x"], "open": [{"from": "9", "to": "10:00"}]},
                    {"days": "12-25"},
                    {"closed": true},
                    {"days": "12-25", "colsed": true},
                ],
                "effective": "soon",
            },
            "loop": {"zone": "UTC", "alternatives": [{"calendar": "loop", "days": "12-25"}]},
        },
        "numberRules": {"europe": {"countries": {"Germany": [], "DE": [900, "0900", {"regexp": "x"}]}}},
    });
    let told: Vec<_> = crate::tenant::read(serde_json::from_value(document).unwrap())
        .unwrap_err()
        .iter()
        .map(|error| format!("{}: {}", error.path, error.rule))
        .collect();
    for expected in [
        "queues.support.hours.include.0: has to be a name of businessHours",
        "businessHours.office.holidays: is not a known key",
        "businessHours.office.exceptions.0.days: dates are one date",
        "businessHours.office.exceptions.1.days.1: dates are one date",
        "businessHours.office.exceptions.1.open.0: a time is HH:MM",
        "businessHours.office.exceptions.2: an exception has exactly one of",
        "businessHours.office.exceptions.3.days: is missing",
        "businessHours.office.exceptions.4.colsed: is not a known key; did you mean closed?",
        "businessHours.office.effective: dates are one date",
        "businessHours.loop: has to draw on calendars no more than 8 deep",
        "numberRules.europe.countries.Germany: a region is two upper-case letters",
        "numberRules.europe.countries.DE.0: has to be digits, `x` and `*` in quotes",
        "numberRules.europe.countries.DE.1: has to leave out the 0",
        "numberRules.europe.countries.DE.2.regexp: is not a known key; did you mean regex?",
    ] {
        assert!(told.iter().any(|told| told.starts_with(expected)), "{expected} in\n{}", told.join("\n"));
    }
}

#[test]
fn documents_are_what_the_schema_says() {
    let schema = crate::tenant::json_schema();
    for name in ["BusinessHours", "Written", "DayList", "Days", "NumberRule", "BlockedPattern"] {
        assert!(schema.pointer(&format!("/$defs/{name}")).is_some_and(serde_json::Value::is_object), "{name}");
    }
    let written = &schema["$defs"]["Written"];
    assert_eq!(written["required"], serde_json::json!(["zone"]));
    assert_eq!(written["additionalProperties"], false);
    for key in ["weekly", "exceptions", "exceptionsOf", "effective", "include", "alternatives"] {
        assert!(written["properties"][key].is_object(), "{key}");
    }
}
