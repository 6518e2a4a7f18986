//! Free times, asked of the whole program: what bookings and cancels do to them, and what becomes of places when the
//! slots of a queue change under load and the program is killed meanwhile.

use std::time::Duration;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use domain::ids::{QueueName, TenantId};
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use serde_json::Value;

use crate::harness::http::Client;
use crate::harness::on_postgres::with_store;
use crate::harness::service::{Options, Service};
use crate::harness::{api, database, poll};

const WITHIN: Duration = Duration::from_secs(60);

fn ask(client: &mut Client, service: &str, query: &str) -> Value {
    let answer = client.get(&format!("/engagement/v3/callbacks/availability/{service}?{query}")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

/// Start, free places and places in all of every slot.
fn slots(data: &Value) -> Vec<(DateTime<Utc>, u64, u64)> {
    let slot = |slot: &Value| {
        let start: DateTime<Utc> = slot["utcTime"].as_str().unwrap().parse().unwrap();
        let local: DateTime<Utc> = slot["localTime"].as_str().unwrap().parse().unwrap();
        assert_eq!(start, local, "two texts of one instant");
        (start, slot["capacity"].as_u64().unwrap(), slot["total"].as_u64().unwrap())
    };
    data["slots"].as_array().unwrap().iter().map(slot).collect()
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A full hour, tomorrow.
fn tomorrow() -> DateTime<Utc> {
    (Utc::now() + TimeDelta::hours(24)).duration_trunc(TimeDelta::hours(1)).unwrap()
}

#[test]
fn free_times_follow_bookings_and_hours() {
    let service = Service::start(Options::fast());
    let mut client = api::client(service.external());
    let hour = tomorrow();
    let window = format!("start={}&end={}", stamp(hour), stamp(hour + TimeDelta::minutes(15)));
    let free =
        |client: &mut Client| slots(&ask(client, api::QUEUE, &window)).iter().map(|slot| slot.1).collect::<Vec<_>>();
    assert_eq!(free(&mut client), [100, 100, 100]);
    let book = |client: &mut Client, minute: i64| {
        let at = hour + TimeDelta::minutes(minute);
        let answer = api::create(client, None, &api::booking("+14165550000", Some(at))).unwrap();
        api::id_of(&answer).unwrap_or_else(|| panic!("{}", answer.text()))
    };
    let first = book(&mut client, 6);
    book(&mut client, 9);
    book(&mut client, 10);
    assert_eq!(free(&mut client), [100, 98, 99]);
    assert_eq!(api::cancel(&mut client, first).unwrap().status, 200);
    assert_eq!(free(&mut client), [100, 99, 99]);

    let all = ask(&mut client, api::QUEUE, "numberOfDays=14&timezone=America/Toronto");
    assert_eq!((&all["durationMin"], &all["timezone"]), (&5.into(), &"America/Toronto".into()));
    let listed = slots(&all);
    assert!((4_032..=4_034).contains(&listed.len()), "{} slots in 14 days", listed.len());
    assert!(listed.windows(2).all(|two| two[1].0 - two[0].0 == TimeDelta::minutes(5)));
    assert!(listed[0].0 <= Utc::now() && listed[4_031].0 <= Utc::now() + TimeDelta::days(14));
    assert_eq!(slots(&ask(&mut client, api::QUEUE, "numberOfDays=14&maxTimeSlots=5")), listed[..5]);
    assert_eq!(slots(&ask(&mut client, api::QUEUE, "")), listed[..1], "without an end, the slot of now");

    // Office hours: 9 to 17 in New York on working days, five callbacks in half an hour.
    let sales = ask(&mut client, "sales", "number-of-days=7&timezone=America/New_York&report-busy=true");
    let hours: Vec<&str> =
        sales["slots"].as_array().unwrap().iter().map(|slot| &slot["localTime"].as_str().unwrap()[11..16]).collect();
    assert!(hours.iter().all(|hour| ("09:00"..="16:30").contains(hour)), "{hours:?}");
    assert!(hours.contains(&"09:00") && hours.contains(&"16:30"));
    assert_eq!(sales["durationMin"], 30);
    assert!(slots(&sales).iter().all(|slot| slot.2 == 5));

    let unknown = client.get("/engagement/v3/callbacks/availability/no%2Fbody").unwrap();
    assert_eq!((unknown.status, unknown.code()), (400, Some(7040)));
}

/// A long list is kept for whoever asks next, and no longer than it is true.
#[test]
fn a_long_list_follows_every_booking_at_once() {
    let service = Service::start(Options::fast());
    let mut clients = [api::client(service.external()), api::client(service.external())];
    let hour = tomorrow();
    let mut free = |turn: usize| {
        let listed = slots(&ask(&mut clients[turn % 2], api::QUEUE, "numberOfDays=14"));
        assert!(listed.len() >= 4_032, "{}", listed.len());
        listed.iter().find(|slot| slot.0 == hour).unwrap().1
    };
    let mut booking = api::client(service.external());
    for turn in 0..20 {
        let left = 100 - u64::try_from(turn).unwrap();
        assert_eq!([free(turn), free(turn + 1)], [left, left]);
        let answer = api::create(&mut booking, None, &api::booking("+14165550000", Some(hour))).unwrap();
        let id = api::id_of(&answer).unwrap_or_else(|| panic!("{}", answer.text()));
        assert_eq!(free(turn), left - 1, "booked");
        assert_eq!(api::cancel(&mut booking, id).unwrap().status, 200);
        assert_eq!(free(turn), left, "given back");
        assert_eq!(api::create(&mut booking, None, &api::booking("+14165550000", Some(hour))).unwrap().status, 200);
    }
}

/// The demo's queue with slots by a rule.
async fn put_rule(service: &Service, rule: &str) {
    let settings = QueueSettings { capacity_rule: Some("rule".into()), ..QueueSettings::unlimited() };
    let name = QueueName::new(api::QUEUE).unwrap();
    let mut document = TenantDocument::with_queues("demo", [(name, settings)]);
    document.capacity_rules.insert("rule".into(), serde_json::from_str(rule).unwrap());
    with_store(&service.folder().data(), async |store| {
        store.put_tenant(TenantId::from_name("demo"), document).await.unwrap();
    });
}

/// Waits until the queue has slots of so many minutes, with the bookings of each counted in it.
fn until_counted(service: &Service, minutes: u64, query: &str) {
    // Four hours of bookings, one every 24 s.
    let (slot, every) = (minutes * 60, 24);
    let expected =
        (0..240 / minutes).map(|number| (number * slot).div_ceil(every)..((number + 1) * slot).div_ceil(every));
    let expected: Vec<u64> = expected.map(|bookings| bookings.end - bookings.start).collect();
    let mut last = Value::Null;
    let counted = poll::try_until(WITHIN, || {
        let mut client = api::client(service.external());
        last = ask(&mut client, api::QUEUE, query);
        let taken: Vec<u64> = slots(&last).iter().map(|slot| slot.2 - slot.1).collect();
        (last["durationMin"] == minutes && taken == expected).then_some(())
    });
    assert!(counted.is_some(), "not counted by slots of {minutes} minutes: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_slots_lose_no_place_through_kills() {
    const BOOKINGS: i64 = 600;
    let mut service = Service::start(Options::fast());
    let hour = tomorrow();
    let window = format!("start={}&end={}&reportBusy=true", stamp(hour), stamp(hour + TimeDelta::hours(4)));
    let rule = |minutes: u64, places: u64| {
        format!(r#"{{"slotMinutes":{minutes},"week":{{"daily":{{"00:00-24:00":{places}}}}}}}"#)
    };
    put_rule(&service, &rule(60, 1_000)).await;
    poll::until("slots of an hour", WITHIN, || {
        let mut client = api::client(service.external());
        (ask(&mut client, api::QUEUE, &window)["durationMin"] == 60).then_some(())
    });
    let mut client = api::client(service.external());
    for number in 0..BOOKINGS {
        let at = hour + TimeDelta::seconds(number * 24);
        let answer = api::create(&mut client, None, &api::booking("+14165550000", Some(at))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    until_counted(&service, 60, &window);

    // Four changes, each cut off by a kill at another moment.
    for (minutes, moment) in [(30, Moment::AtOnce), (15, Moment::Marked), (20, Moment::Moving), (5, Moment::Done)] {
        let data = service.folder().data();
        let before = database::moved_to_other_slots(&data);
        put_rule(&service, &rule(minutes, 1_000)).await;
        let moved = || database::moved_to_other_slots(&data) - before;
        poll::until("the moment to kill", WITHIN, || {
            let come = match moment {
                Moment::AtOnce => true,
                Moment::Marked => database::being_counted(&data) > 0 || moved() > 0,
                Moment::Moving => moved() > 0,
                Moment::Done => moved() > 0 && database::being_counted(&data) == 0,
            };
            come.then_some(())
        });
        service.kill9();
        service.restart();
        until_counted(&service, minutes, &window);
    }

    // Fewer places than bookings: who is there stays, and nobody else comes.
    put_rule(&service, &rule(5, 3)).await;
    let mut client = api::client(service.external());
    poll::until("every slot is full", WITHIN, || {
        let slots = slots(&ask(&mut client, api::QUEUE, &window));
        slots.iter().all(|(_, free, total)| (*free, *total) == (0, 3)).then_some(())
    });
    let more = api::booking("+14165550000", Some(hour + TimeDelta::minutes(61)));
    let full = api::create(&mut client, None, &more).unwrap();
    assert_eq!((full.status, full.code()), (429, Some(7043)), "{}", full.text());
    let proposed = full.json()["data"]["slots"].clone();
    assert_eq!(proposed.as_object().unwrap().keys().next(), Some(&stamp(hour + TimeDelta::hours(4))), "{proposed}");
}

/// An administrator looks at what becomes of a rule, then has it done: what is booked goes along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_converted_rule_takes_its_bookings_along() {
    let service = Service::start(Options::fast());
    let hour = tomorrow();
    let window = format!("start={}&end={}&reportBusy=true", stamp(hour), stamp(hour + TimeDelta::hours(1)));
    put_rule(&service, r#"{"slotMinutes":60,"week":{"daily":{"00:00-24:00":3}}}"#).await;
    let mut client = api::client(service.external());
    let free = |client: &mut Client, minutes: u64| {
        let data = ask(client, api::QUEUE, &window);
        let slots = slots(&data).iter().map(|slot| (slot.1, slot.2)).collect::<Vec<_>>();
        (data["durationMin"] == minutes).then_some(slots)
    };
    poll::until("slots of an hour", WITHIN, || free(&mut client, 60));
    for minute in [10, 40, 50] {
        let at = hour + TimeDelta::minutes(minute);
        let answer = api::create(&mut client, None, &api::booking("+14165550000", Some(at))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(free(&mut client, 60), Some(vec![(0, 3)]));

    let mut admin = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let convert = "/ges/v1/tenant/capacityRules/rule/convert?slotMinutes=30";
    let shown = admin.get(convert).unwrap();
    assert_eq!(shown.status, 200, "{}", shown.text());
    let told = shown.json()["data"]["effects"].clone();
    let days: Vec<_> = told.as_array().unwrap().iter().map(|effect| effect["day"].clone()).collect();
    assert_eq!(days, ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "{told}");
    assert_eq!((&told[0]["placesBefore"], &told[0]["placesAfter"]), (&3.into(), &6.into()));
    assert_eq!(free(&mut client, 60), Some(vec![(0, 3)]), "nothing was done");
    let tag = shown.header("etag").unwrap().to_owned();
    let done = admin.post_json(convert, &[("If-Match", &tag)], "").unwrap();
    assert_eq!(done.status, 200, "{}", done.text());
    // Of one booking and of two, each in the half hour of its time.
    poll::until("slots of half an hour, counted", WITHIN, || {
        (free(&mut client, 30)? == [(2, 3), (1, 3)]).then_some(())
    });
    assert_eq!(admin.post_json(convert, &[("If-Match", &tag)], "").unwrap().status, 412, "the document has changed");
}

/// When the program is killed in a change of slots.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Before it knows of the change.
    AtOnce,
    /// When nobody can take places any more.
    Marked,
    /// When some bookings have moved.
    Moving,
    /// When all have.
    Done,
}
