//! Business hours against an independent judge: Python's zoneinfo, for every zone and every change of clocks in ten
//! years. Rules and zone data are both judged: the two programs find the changes by themselves.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Offset as _, TimeZone as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use domain::hours::{BusinessHours, Calendar, Status};
use domain::ids::TenantId;
use domain::queue::{Queue, QueueSettings, SlotMinutes};
use domain::slots;
use domain::tenant::TenantDocument;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::http::Client;
use crate::harness::on_postgres::with_store;
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};

const ORACLE: &str = include_str!("hours/oracle.py");
/// What is looked at around each change, in seconds.
const AROUND: i64 = 36 * 3600;
/// Calendars judged at each change, taken in turn.
const PICKS: usize = 4;
/// Calendars made up beside those that are written here.
const MADE_UP: usize = 40;

/// What the oracle says about one zone.
#[derive(Deserialize)]
struct Verdict {
    zone: String,
    /// Instant, offset before and offset after, in seconds.
    changes: Vec<(i64, i64, i64)>,
    /// First second of the date of each change, and of the date after.
    days: Vec<(i64, i64)>,
    /// Open intervals around each change, for each picked calendar.
    open: Vec<Vec<(i64, i64)>>,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn first_of(year: i32) -> i64 {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap().timestamp()
}

#[test]
fn every_zone_and_every_change_of_ten_years_is_judged_as_python_judges_it() {
    let calendars = calendars();
    let verdicts = ask(&calendars);
    assert_eq!(verdicts.len(), TZ_VARIANTS.len());
    let (mut changes, mut compared, mut lengths) = (0, 0, BTreeMap::new());
    for verdict in &verdicts {
        let zone: Tz = verdict.zone.parse().unwrap();
        assert_eq!(changes_of(zone), verdict.changes, "{zone}: the two know different clocks");
        let named = placed(&calendars, zone);
        for (position, (change, _, _)) in verdict.changes.iter().enumerate() {
            for pick in 0..PICKS {
                let (name, calendar) = &named[(changes + pick) % named.len()];
                let expected = &verdict.open[position * PICKS + pick];
                compare(calendar, *change, expected, &format!("{zone}, {}, calendar {name}", at(*change)));
                compared += 1;
            }
            changes += 1;
            *lengths.entry(slots_of_the_day(zone, verdict.days[position])).or_insert(0) += 1;
        }
    }
    println!(
        "{} zones, {changes} changes, {compared} calendars compared; half hours of the day: {lengths:?}",
        verdicts.len()
    );
    assert!(changes > 4_000 && compared == changes * PICKS);
    let days_of = |hours: i64| lengths.get(&(hours * 2)).copied().unwrap_or(0);
    assert!(days_of(23) > 1_000 && days_of(25) > 1_000, "{lengths:?}");
}

/// The whole window as intervals, and around each of their ends the questions that the service asks.
fn compare(calendar: &Calendar, change: i64, expected: &[(i64, i64)], place: &str) {
    let window = (at(change - AROUND), at(change + AROUND));
    let expected: Vec<_> = expected.iter().map(|(from, to)| (at(*from), at(*to))).collect();
    assert_eq!(calendar.open_between(window.0, window.1), expected, "{place}");
    let second = Duration::seconds(1);
    let mut closed_from = window.0;
    for (opening, closing) in expected {
        if opening > closed_from {
            assert_eq!(calendar.next_opening(closed_from), Some(opening), "{place}");
            assert!(!calendar.is_open(opening - second), "{place}");
        }
        assert!(calendar.is_open(opening) && calendar.is_open(closing - second), "{place}");
        if closing < window.1 {
            assert_eq!(calendar.closes_at(opening), Some(closing), "{place}");
            assert!(!calendar.is_open(closing), "{place}");
        }
        closed_from = closing;
    }
}

/// How many slots of half an hour the date of a change has; they fill it without a gap.
fn slots_of_the_day(zone: Tz, (midnight, following): (i64, i64)) -> i64 {
    let slot_minutes = SlotMinutes::new(30).unwrap();
    let hours = BusinessHours::from(domain::hours::Written::new(zone)).into();
    let queue = Queue::standalone(QueueSettings { hours, slot_minutes, ..QueueSettings::default() });
    let (midnight, following) = (at(midnight), at(following));
    assert_eq!(slots::slot_start(&queue, midnight), midnight, "{zone}");
    let starts = std::iter::successors(Some(midnight), |start| Some(slots::next_slot(&queue, *start)));
    let starts: Vec<_> = starts.take_while(|start| *start <= following).collect();
    assert_eq!(starts.last(), Some(&following), "{zone}: the last slot ends with the date");
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] <= Duration::minutes(30)), "{zone}");
    i64::try_from(starts.len()).unwrap() - 1
}

/// The changes of a zone as this program knows them.
fn changes_of(zone: Tz) -> Vec<(i64, i64, i64)> {
    let offset = |second| i64::from(zone.offset_from_utc_datetime(&at(second).naive_utc()).fix().local_minus_utc());
    let (from, to, step) = (first_of(2026), first_of(2036), 6 * 3600);
    let mut found = Vec::new();
    let mut before = offset(from);
    for second in (from + step..=to).step_by(6 * 3600) {
        let after = offset(second);
        if after != before {
            let (mut low, mut high) = (second - step, second);
            while high - low > 1 {
                let middle = (low + high) / 2;
                if offset(middle) == after { high = middle } else { low = middle }
            }
            found.push((high, before, after));
            before = after;
        }
    }
    found
}

/// The calendars of a tenant in that zone, in the order in which the oracle takes them.
fn placed(calendars: &BTreeMap<String, Value>, zone: Tz) -> Vec<(String, Arc<Calendar>)> {
    let place = |document: &Value| match document {
        Value::Object(members) => {
            let mut members = members.clone();
            members.entry("zone").or_insert_with(|| zone.name().into());
            Value::Object(members)
        }
        word => word.clone(),
    };
    let all: BTreeMap<_, _> = calendars.iter().map(|(name, document)| (name, place(document))).collect();
    let document = json!({"tenant": "demo", "businessHours": all});
    let document: TenantDocument = serde_json::from_value(document).unwrap();
    let tenant = document.resolve(TenantId::from_name("demo")).unwrap();
    tenant.business_hours.into_iter().collect()
}

fn ask(calendars: &BTreeMap<String, Value>) -> Vec<Verdict> {
    let python = std::env::var("ZONE_PYTHON").expect("`make test` installs Python's zone data and names it here");
    let zones: Vec<_> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    let request = json!({
        "zones": zones, "from": first_of(2026), "to": first_of(2036),
        "calendars": calendars, "around": AROUND, "picks": PICKS,
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(request.to_string().as_bytes()).unwrap();
    // Not the machine's zone data, which may be of another year than ours.
    let output = Command::new(python).args(["-c", ORACLE]).arg(file.path()).env("PYTHONTZPATH", "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What real centres write, and what nobody would: made up, the same in every run.
fn calendars() -> BTreeMap<String, Value> {
    let range = |from: &str, to: &str| json!({"from": from, "to": to});
    let every_day = |range: Value| {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        Value::Object(days.iter().map(|day| ((*day).to_owned(), json!([range]))).collect())
    };
    let mut all = BTreeMap::from([
        ("whole-days".to_owned(), json!({"weekly": every_day(range("00:00", "24:00"))})),
        ("nights".to_owned(), json!({"weekly": every_day(range("22:00", "06:00"))})),
        ("around-two".to_owned(), json!({"weekly": every_day(range("01:30", "02:30"))})),
        ("weekend".to_owned(), json!({"weekly": {"fri": [range("22:00", "mon 06:00")]}})),
        ("tokyo".to_owned(), json!({"zone": "Asia/Tokyo", "weekly": every_day(range("09:00", "17:00"))})),
        ("ever".to_owned(), json!("always")),
        (
            "sundays-otherwise".to_owned(),
            json!({"weekly": {"mon": [range("00:00", "mon 00:00")]}, "include": ["tokyo"],
                "exceptions": [{"days": "03-01..04-20", "remove": [range("02:00", "03:00")]},
                    {"days": "09-01..11-10", "open": [range("00:30", "01:30"), range("23:00", "01:30")]}]}),
        ),
        (
            "seasons".to_owned(),
            json!({"weekly": every_day(range("01:00", "03:00")), "exceptionsOf": ["sundays-otherwise"],
                "effective": ["02-10..06-30", "2027-01-01.."],
                "alternatives": [{"calendar": "ever", "days": "10-20..11-05"}, {"calendar": "nights", "days": "03-20..10-31"}]}),
        ),
    ]);
    let mut runner = TestRunner::deterministic();
    for number in 0..MADE_UP {
        let document = document().new_tree(&mut runner).unwrap().current();
        all.insert(format!("made-up-{number:02}"), document);
    }
    all
}

fn document() -> impl Strategy<Value = Value> {
    // Mostly near the hours in which clocks change.
    let minute = || prop_oneof![0u16..1440, 0u16..260, 1320u16..1440];
    let time = move || minute().prop_map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60));
    let range = move || (time(), time()).prop_map(|(from, to)| json!({"from": from, "to": to}));
    let until = prop::sample::select(vec!["", "", "", "", "mon ", "wed ", "sat ", "sun "]);
    let long = (time(), until, time()).prop_map(|(from, day, to)| json!({"from": from, "to": format!("{day}{to}")}));
    let week = prop::collection::vec(prop::collection::vec(long, 0..3), 7);
    let month_day = || (1u32..=12, 1u32..=28).prop_map(|(month, day)| format!("{month:02}-{day:02}"));
    let days = prop_oneof![
        month_day(),
        (month_day(), month_day()).prop_map(|(first, last)| format!("{first}..{last}")),
        (month_day(), 2026..2036).prop_map(|(day, year)| format!("{year}-{day}..")),
        (month_day(), 2026..2036).prop_map(|(day, year)| format!("{year}-01-01..{year}-{day}")),
    ];
    let kind = prop::sample::select(vec!["closed", "open", "add", "add", "remove", "remove"]);
    let exception = (days.clone(), kind, prop::collection::vec(range(), 0..3), prop::bool::weighted(0.9));
    let exception = exception.prop_map(|(days, kind, ranges, enabled)| {
        let effect = if kind == "closed" { json!(true) } else { json!(ranges) };
        json!({"days": days, "enabled": enabled, kind: effect})
    });
    let effective = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(days, 1..3)];
    (week, prop::collection::vec(exception, 0..5), effective).prop_map(|(week, exceptions, effective)| {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let week: serde_json::Map<_, _> =
            names.iter().map(|it| (*it).to_owned()).zip(week.into_iter().map(Value::from)).collect();
        json!({"weekly": week, "exceptions": exceptions, "effective": effective})
    })
}

/// What a client of the demo tenant is told, over HTTP.
fn open_for(client: &mut Client, name_and_query: &str) -> Option<u64> {
    let answer = client.get(&format!("/engagement/v3/callbacks/open-for/{name_and_query}")).unwrap();
    answer.json()["data"]["openFor"].as_u64()
}

#[test]
fn a_changed_calendar_is_taken_up_while_callbacks_wait() {
    let service = Service::start(Options::fast());
    let mut client = api::client(service.external());
    let tomorrow = Utc::now() + Duration::days(1);
    let booked = api::create(&mut client, None, &api::booking("+14165550100", Some(tomorrow))).unwrap();
    let id = api::id_of(&booked).unwrap();
    // A Monday at 15:00 in New York, two hours before the office closes.
    for name in ["sales", "office"] {
        let asked = format!("{name}?start=2030-03-04T15:00&timezone=America%2FNew_York");
        assert_eq!(open_for(&mut client, &asked), Some(7_200), "{name}");
    }
    assert_eq!(open_for(&mut client, "support"), Some(1_209_600));

    let changed = json!({
        "tenant": "demo",
        "queues": {"support": {}, "sales": {"hours": "office"}},
        "businessHours": {"office": {
            "zone": "America/New_York",
            "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]},
            "exceptions": [{"days": "2030-03-04", "remove": [{"from": "16:00", "to": "17:00"}]}]
        }}
    });
    let document: TenantDocument = serde_json::from_value(changed).unwrap();
    with_store(&service.folder().data(), async |store| {
        store.put_tenant(TenantId::from_name("demo"), document).await.unwrap();
    });

    let asked = "sales?start=2030-03-04T15:00&timezone=America%2FNew_York";
    poll::until("the changed calendar", StdDuration::from_secs(10), || {
        (open_for(&mut client, asked) == Some(3_600)).then_some(())
    });
    let waiting = api::retrieve(&mut client, id).unwrap();
    assert_eq!(waiting.json()["data"]["callbackState"], "SCHEDULED");
    let another = api::create(&mut client, None, &api::booking("+14165550101", Some(tomorrow))).unwrap();
    assert_eq!(another.status, 200, "{}", another.text());
    let mut operator = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let status = operator.get("/ges/v1/hours/office/status?at=2030-03-04T21:00Z").unwrap();
    assert_eq!(status.json()["data"]["opensAt"], "2030-03-11T13:00:00.000Z", "{}", status.text());
}

/// Documents that the handbook shows are what people copy.
#[test]
fn the_handbooks_calendars_are_read() {
    let page = include_str!("../../docs/api/hours.md");
    let blocks: Vec<_> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [ours, the_products] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let read = |text: &str| -> TenantDocument { serde_saphyr::from_str(&format!("tenant: demo\n{text}")).unwrap() };
    let resolve = |document: &TenantDocument| document.resolve(TenantId::from_name("demo"));
    let missing: Vec<_> = resolve(&read(ours)).unwrap_err().iter().map(ToString::to_string).collect();
    let rule = "has to be a name of businessHours";
    assert_eq!(
        missing,
        [
            format!("businessHours.office.exceptionsOf.0: {rule}, not public-holidays"),
            format!("businessHours.office.include.0: {rule}, not night-desk"),
            format!("businessHours.office.alternatives.0.calendar: {rule}, not summer"),
        ]
    );
    let office = &resolve(&read(the_products)).unwrap().business_hours["office"];
    // A Saturday in summer: open until midnight in Paris, and on Monday from nine.
    let noon = "2026-07-04T12:00:00Z".parse().unwrap();
    assert_eq!(office.status(noon), Status::OpenUntil("2026-07-04T22:00:00Z".parse().unwrap()));
    let night = "2026-07-04T23:00:00Z".parse().unwrap();
    assert_eq!(office.status(night), Status::ClosedUntil("2026-07-06T07:00:00Z".parse().unwrap()));
}
