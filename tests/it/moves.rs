//! Holds, moves and repetitions on the whole program.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::ids::QueueName;
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll, tenants};

/// How long what happens by itself may take at most here.
const SOON: Duration = Duration::from_secs(60);

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn later(hours: i64) -> DateTime<Utc> {
    let at = Utc::now() + TimeDelta::hours(hours);
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap()
}

fn post(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.post_json(path, &[], &body.to_string()).unwrap()
}

fn good(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

fn refused(answer: &Answer) -> (u16, Option<i64>) {
    (answer.status, answer.code())
}

fn id_in(data: &Value) -> Uuid {
    data["id"].as_str().unwrap().parse().unwrap()
}

fn shown(client: &mut Client, id: Uuid) -> Value {
    good(&api::retrieve(client, id).unwrap())
}

/// A place per slot, held for the shortest time there is.
fn one_place() -> TenantDocument {
    let settings = QueueSettings { slot_capacity: 1, hold_seconds: 10, ..QueueSettings::unlimited() };
    TenantDocument::with_queues("shop", [(QueueName::new(api::QUEUE).unwrap(), settings)])
}

fn client_of(service: &Service, tenant: &str) -> Client {
    Client::new(service.external()).with_header("X-API-Key", &tenants::key_of(tenant))
}

fn free_places(client: &mut Client, at: DateTime<Utc>) -> i64 {
    let path = format!("/engagement/v3/callbacks/availability/{}?start={}&reportBusy=true", api::QUEUE, time(at));
    let data = good(&client.get(&path).unwrap());
    data["slots"][0]["capacity"].as_i64().unwrap_or_else(|| panic!("{data}"))
}

/// What was held when the program died is held when it is back, until its time is over and not longer.
#[test]
fn holds_outlive_the_program_and_end_by_themselves() {
    let mut service = Service::start_in(tenants::folder(&[one_place()]), Options::default());
    let mut client = client_of(&service, "shop");
    let wanted = later(30);
    let body = json!({"serviceName": api::QUEUE, "desiredTime": time(wanted)});
    let held = good(&post(&mut client, api::HOLDS, &body));
    let over: DateTime<Utc> = held["expiresAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(free_places(&mut client, wanted), 0);
    service.kill9();
    service.respawn();
    poll::until("the service after the kill", SOON, || service.is_ready().then_some(()));
    let mut client = client_of(&service, "shop");
    let booking = api::booking("+14165550100", Some(wanted));
    let full = api::create(&mut client, None, &booking).unwrap();
    // Where the machine took longer to come back than the place is held, there is nothing to see any more.
    if Utc::now() < over {
        assert_eq!(refused(&full), (429, Some(7043)), "{}", full.text());
        assert!(Utc::now() > over || full.json()["data"]["slots"].as_object().is_some_and(|slots| slots.len() == 10));
        // Nobody asks for it, and it comes back.
        poll::until("the place is shown as free", SOON, || (free_places(&mut client, wanted) == 1).then_some(()));
        assert!(Utc::now() >= over, "not before its time is over");
        good(&api::create(&mut client, None, &booking).unwrap());
    }
    let mut late: Value = serde_json::from_str(&booking).unwrap();
    late["holdId"] = held["id"].clone();
    assert_eq!(refused(&post(&mut client, api::CREATE, &late)), (400, Some(409)));
    assert_eq!(refused(&post(&mut client, api::RELEASE, &json!({"id": held["id"]}))), (404, Some(404)));
}

#[test]
fn a_form_is_filled_in_while_its_place_waits() {
    let service = Service::start_in(tenants::folder(&[one_place()]), Options::default());
    let mut client = client_of(&service, "shop");
    let wanted = later(30);
    let held = good(&post(&mut client, api::HOLDS, &json!({"serviceName": api::QUEUE, "desiredTime": time(wanted)})));
    let mut booking: Value = serde_json::from_str(&api::booking("+14165550100", Some(wanted))).unwrap();
    assert_eq!(refused(&post(&mut client, api::CREATE, &booking)), (429, Some(7043)), "others find it full");
    booking["holdId"] = held["id"].clone();
    let mut elsewhere = booking.clone();
    elsewhere["desiredTime"] = time(wanted + TimeDelta::minutes(30)).into();
    assert_eq!(refused(&post(&mut client, api::CREATE, &elsewhere)), (400, Some(501)));
    let id = id_in(&good(&post(&mut client, api::CREATE, &booking)));
    assert_eq!(refused(&post(&mut client, api::CREATE, &booking)), (400, Some(409)), "once");
    assert_eq!(shown(&mut client, id)["desiredTime"], time(wanted));
    assert_eq!(free_places(&mut client, wanted), 0);
    api::cancel(&mut client, id).unwrap();
    assert_eq!(free_places(&mut client, wanted), 1, "one place was taken, and it is back");
}

/// Moved from tomorrow to now: it is made now, once, and its contact centre hears of the move in order.
#[test]
fn a_moved_callback_is_made_at_its_new_time() {
    let service = Service::start(Options::fast());
    let mut client = api::client(service.external());
    let id = id_in(&good(&api::create(&mut client, None, &api::booking("+14165550000", Some(later(24)))).unwrap()));
    let far = later(48);
    let moved = good(&post(&mut client, api::RESCHEDULE, &json!({"id": id, "desiredTime": time(far)})));
    assert_eq!((&moved["id"], &moved["desiredTime"]), (&id.to_string().into(), &time(far).into()));
    assert_eq!(shown(&mut client, id)["desiredTime"], time(far));
    for (to, expected) in [(later(-1), (400, Some(501))), (later(24 * 15), (400, Some(501)))] {
        let answer = post(&mut client, api::RESCHEDULE, &json!({"id": id, "desiredTime": time(to)}));
        assert_eq!(refused(&answer), expected, "{}", answer.text());
    }
    let soon = DateTime::from_timestamp_millis(Utc::now().timestamp_millis() + 3_000).unwrap();
    let body = json!({"id": id, "desiredTime": time(soon)});
    good(&post(&mut client, api::RESCHEDULE, &body));
    poll::until("it is made", SOON, || (shown(&mut client, id)["callbackState"] == "COMPLETED").then_some(()));
    assert!(Utc::now() >= soon, "not early");
    assert_eq!(shown(&mut client, id)["callbackReason"], "AGENT_CONNECTED");
    assert_eq!(refused(&post(&mut client, api::RESCHEDULE, &body)), (400, Some(409)), "it has been made");
    let events = good(&client.get("/engagement/v3/events?limit=500").unwrap());
    let all = events["events"].as_array().unwrap();
    let of_it = all.iter().filter(|event| event["data"]["callbackId"] == id.to_string());
    let of_it: Vec<&str> = of_it.map(|event| event["type"].as_str().unwrap()).collect();
    let moves = of_it.iter().filter(|kind| **kind == "callback.rescheduled").count();
    assert_eq!((moves, of_it[0], of_it[of_it.len() - 1]), (2, "callback.created", "callback.completed"), "{of_it:?}");

    // And once more, with everything that it had.
    let again = json!({"id": id});
    let second =
        id_in(&good(&client.post_json(api::RECREATE, &[("Idempotency-Key", "k")], &again.to_string()).unwrap()));
    assert_ne!(second, id);
    let repeated = client.post_json(api::RECREATE, &[("Idempotency-Key", "k")], &again.to_string()).unwrap();
    assert_eq!((id_in(&good(&repeated)), repeated.header("idempotency-status")), (second, Some("replayed")));
    poll::until("it is made", SOON, || (shown(&mut client, second)["callbackState"] == "COMPLETED").then_some(()));
    assert_eq!(shown(&mut client, second)["phoneNumber"], "+14165550000");
    let third = id_in(&good(&post(&mut client, api::RECREATE, &json!({"id": second, "desiredTime": time(later(5))}))));
    assert_eq!(refused(&post(&mut client, api::RECREATE, &json!({"id": third}))), (400, Some(409)), "it waits");

    // A person in the office cancels it, and that is what it says.
    let mut office = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    good(&office.post_json(&format!("/ges/v1/callbacks/{third}/cancel"), &[], "").unwrap());
    assert_eq!(shown(&mut client, third)["callbackReason"], "CANCELLED_BY_ADMIN");
}

/// What one tenant holds or waits for is nothing to another, whatever id is known of it.
#[test]
fn tenants_are_walls() {
    let neighbour = TenantDocument { tenant: "neighbour".into(), ..one_place() };
    let service = Service::start_in(tenants::folder(&[one_place(), neighbour]), Options::default());
    let (mut shop, mut other) = (client_of(&service, "shop"), client_of(&service, "neighbour"));
    let wanted = later(30);
    let held = good(&post(&mut shop, api::HOLDS, &json!({"serviceName": api::QUEUE, "desiredTime": time(wanted)})));
    let id = id_in(&good(&api::create(&mut shop, None, &api::booking("+14165550100", Some(later(40)))).unwrap()));
    let ended = id_in(&good(&api::create(&mut shop, None, &api::booking("+14165550100", Some(later(50)))).unwrap()));
    api::cancel(&mut shop, ended).unwrap();
    let mut booking: Value = serde_json::from_str(&api::booking("+14165550100", Some(wanted))).unwrap();
    booking["holdId"] = held["id"].clone();
    assert_eq!(refused(&post(&mut other, api::CREATE, &booking)), (400, Some(409)));
    assert_eq!(refused(&post(&mut other, api::RELEASE, &json!({"id": held["id"]}))), (404, Some(404)));
    let to = json!({"id": id, "desiredTime": time(later(60))});
    assert_eq!(refused(&post(&mut other, api::RESCHEDULE, &to)), (404, Some(404)));
    assert_eq!(refused(&post(&mut other, api::RECREATE, &json!({"id": ended}))), (404, Some(404)));
    good(&post(&mut shop, api::CREATE, &booking));
    good(&post(&mut shop, api::RESCHEDULE, &to));
    good(&post(&mut shop, api::RECREATE, &json!({"id": ended})));
}
