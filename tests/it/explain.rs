//! Decisions explained by the whole program: the verdict before a booking is the answer to it, a life is told to its
//! end, and callbacks are found without a number in any log.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Utc, Weekday};
use serde_json::{Value, json};

use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, now_ms, poll};

const EXPLAIN: &str = "/ges/v1/callbacks/explain";
const SEARCH: &str = "/ges/v1/callbacks/search";

fn inside(service: &Service) -> Client {
    Client::new(service.internal()).with_header("ContactCenterID", "demo")
}

fn good(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now_ms()).unwrap()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Three in the afternoon, UTC, of a working day that begins later: office hours in New York all year.
fn office_hours() -> DateTime<Utc> {
    let mut day = now().date_naive() + chrono::Days::new(2);
    while [Weekday::Sat, Weekday::Sun].contains(&day.weekday()) {
        day = day.succ_opt().unwrap();
    }
    day.and_hms_opt(15, 0, 0).unwrap().and_utc()
}

fn booking(queue: &str, phone: &str, members: &Value) -> Value {
    let mut body = json!({"serviceName": queue, "phoneNumber": phone});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// A sentence up to its first digit: behind it may stand an instant that has passed meanwhile.
fn beginning(message: &Value) -> String {
    message.as_str().unwrap().chars().take_while(|character| !character.is_ascii_digit()).collect()
}

#[test]
fn the_verdict_is_the_answer() {
    let service = Service::start(Options::fast());
    let (mut client, mut operator) = (api::client(service.external()), inside(&service));
    let full = json!({"desiredTime": text(office_hours() + TimeDelta::minutes(7))});
    let far = json!({"desiredTime": text(now() + TimeDelta::days(15))});
    let at_night = json!({"desiredTime": text(office_hours() + TimeDelta::hours(12))});
    for number in 0..5 {
        let body = booking("sales", &format!("+1416555014{number}"), &full).to_string();
        assert!(api::create(&mut client, None, &body).unwrap().status == 200);
    }
    for (key, phone) in [(None, "+14165550150"), (Some("once"), "+14165550151")] {
        let body = booking("strict", phone, &json!({"desiredTime": text(now() + TimeDelta::hours(3))})).to_string();
        assert_eq!(api::create(&mut client, key, &body).unwrap().status, 200);
    }
    let none = json!({});
    for (key, body, rule) in [
        (None, json!({"serviceName": "support"}), "body"),
        (None, booking("nowhere", "+14165550160", &none), "queue"),
        (None, booking("app", "+14165550160", &none), "devices"),
        (None, booking("support", "call me", &none), "number"),
        (None, booking("support", "555", &none), "number"),
        (None, booking("support", "+1 900 555 0100", &none), "numberRule"),
        (None, booking("support", "+14165550160", &far), "maxAhead"),
        (None, booking("sales", "+14165550160", &at_night), "hours"),
        (None, booking("sales", "+14165550160", &full), "slot"),
        (None, booking("strict", "+14165550150", &none), "duplicates"),
        (Some("once"), booking("strict", "+14165550152", &none), "idempotencyKey"),
    ] {
        let (body, headers) = (body.to_string(), key.map(|key| ("Idempotency-Key", key)));
        let headers: Vec<_> = headers.into_iter().collect();
        let told = good(operator.post_json(EXPLAIN, &headers, &body).unwrap());
        let refused = api::create(&mut client, key, &body).unwrap();
        let verdict = &told["verdict"];
        let foretold = (verdict["httpStatus"].as_u64(), verdict["code"].as_i64(), beginning(&verdict["message"]));
        let json = refused.json();
        let answered = (Some(u64::from(refused.status)), refused.code(), beginning(&json["status"]["message"]));
        assert_eq!(foretold, answered, "{body}");
        assert_eq!(verdict["slots"], json["data"]["slots"], "{body}");
        let deciders: Vec<&Value> =
            told["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "decides").collect();
        assert_eq!(deciders.len(), 1, "{told}");
        assert_eq!(deciders[0]["rule"], rule, "{body}");
        let counted = match rule {
            "slot" => (Some(5), Some(5)),
            "duplicates" => (Some(1), Some(1)),
            "maxAhead" => (Some(15 * 86_400 - 1), Some(14 * 86_400)),
            _ => (None, None),
        };
        let number = deciders[0]["number"].as_i64();
        let near = counted.0.zip(number).is_none_or(|(counted, number)| (counted - number).abs() <= 30);
        assert!(near && deciders[0]["limit"].as_i64() == counted.1, "{told}");
    }
    // What would be booked is told, and is not booked by that.
    let later = json!({"desiredTime": text(office_hours() + TimeDelta::minutes(40))});
    let body = booking("sales", "+14165550160", &later).to_string();
    for _ in 0..3 {
        let told = good(operator.post_json(EXPLAIN, &[], &body).unwrap());
        assert_eq!((&told["accepted"], &told["booking"]["how"]), (&json!(true), &json!("booked")));
        assert_eq!(told["booking"]["slot"], text(office_hours() + TimeDelta::minutes(30)));
        let slot = told["checks"].as_array().unwrap().iter().find(|check| check["rule"] == "slot").unwrap();
        assert_eq!((&slot["number"], &slot["limit"], &slot["outcome"]), (&json!(0), &json!(5), &json!("passed")));
    }
    let all = good(operator.post_json(SEARCH, &[], "{}").unwrap());
    assert_eq!(all["callbacks"].as_array().unwrap().len(), 7, "{all}");
}

fn story(operator: &mut Client, id: &str) -> Value {
    good(operator.get(&format!("/ges/v1/callbacks/{id}/explain")).unwrap())
}

#[test]
fn a_life_is_told_to_its_end() {
    let service = Service::start(Options::fast());
    let (mut client, mut operator) = (api::client(service.external()), inside(&service));
    let desired = now() + TimeDelta::hours(3);
    let later = api::create(&mut client, None, &api::booking("+14165550171", Some(desired))).unwrap();
    let told = story(&mut operator, &api::id_of(&later).unwrap().to_string());
    assert_eq!((&told["callbackState"], &told["waiting"]["why"]), (&json!("SCHEDULED"), &json!("time")));
    let next: DateTime<Utc> = told["waiting"]["nextAt"].as_str().unwrap().parse().unwrap();
    assert!(next <= desired && desired - next <= TimeDelta::hours(2), "{told}");
    assert_eq!(told["history"].as_array().unwrap().len(), 1);

    let soon = api::create(&mut client, None, &api::booking("+14165550172", None)).unwrap();
    let id = api::id_of(&soon).unwrap().to_string();
    let ended = poll::until("the callback has ended", Duration::from_secs(60), || {
        Some(story(&mut operator, &id)).filter(|told| told["waiting"]["why"] == "ended")
    });
    assert_eq!(ended["callbackReason"], "AGENT_CONNECTED", "{ended}");
    let history = ended["history"].as_array().unwrap();
    let of = |name: &str| -> Vec<&str> { history.iter().map(|step| step[name].as_str().unwrap()).collect() };
    assert_eq!((of("cause")[0], ended["historyIsComplete"].as_bool()), ("booked", Some(true)));
    assert!(of("cause").contains(&"accepted"), "{ended}");
    let mut states = of("callbackState");
    states.dedup();
    assert_eq!(states, ["QUEUED", "ROUTING", "PROCESSING", "COMPLETED"], "{ended}");
    for (place, step) in history.iter().enumerate() {
        assert_eq!(step["version"].as_u64(), Some(place as u64 + 1), "no gap: {ended}");
    }
    let unknown = operator.get("/ges/v1/callbacks/0192f0a0-0000-7000-8000-00000000ffff/explain").unwrap();
    assert_eq!(unknown.status, 404);
}

fn found(operator: &mut Client, search: &Value) -> (Vec<String>, Value) {
    let data = good(operator.post_json(SEARCH, &[], &search.to_string()).unwrap());
    let ids = data["callbacks"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
    (ids.collect(), data)
}

#[test]
fn callbacks_are_found_and_no_number_is_written_down() {
    let service = Service::start(Options::fast());
    let (mut client, mut operator) = (api::client(service.external()), inside(&service));
    let mut book = |queue: &str, phone: &str, hours: i64, user_data: Value| {
        let members = json!({"desiredTime": text(now() + TimeDelta::hours(hours)), "userData": user_data});
        let answer = api::create(&mut client, None, &booking(queue, phone, &members).to_string()).unwrap();
        api::id_of(&answer).unwrap_or_else(|| panic!("{}", answer.text())).to_string()
    };
    let first = book("support", "+14165550181", 3, json!({"topic": "billing", "tier": 2}));
    let second = book("support", "+14165550182", 6, json!({"topic": "delivery", "tier": 2}));
    let third = book("strict", "+14165550181", 9, json!({}));
    let ids = |wanted: &[&String]| wanted.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    for (search, expected) in [
        (json!({}), ids(&[&third, &second, &first])),
        (json!({"sort": "created"}), ids(&[&first, &second, &third])),
        (json!({"queues": ["support"], "states": ["SCHEDULED"]}), ids(&[&second, &first])),
        (json!({"states": ["QUEUED", "COMPLETED"]}), vec![]),
        (json!({"phoneNumber": "(416) 555-0181"}), ids(&[&third, &first])),
        (json!({"phoneNumber": "4165550181", "states": ["SCHEDULED"], "queues": ["strict"]}), ids(&[&third])),
        (json!({"properties": {"tier": 2, "topic": "billing"}}), ids(&[&first])),
        (json!({"properties": {"tier": 3, "topic": "delivery"}, "operand": "OR"}), ids(&[&second])),
        (json!({"from": text(now() + TimeDelta::hours(5)), "to": text(now() + TimeDelta::hours(7))}), ids(&[&second])),
    ] {
        let (told, data) = found(&mut operator, &search);
        assert_eq!((told, data.get("nextCursor")), (expected, None), "{search}");
    }
    // Page by page.
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let (ids, data) = found(&mut operator, &json!({"limit": 1, "cursor": cursor}));
        seen.extend(ids);
        match data.get("nextCursor") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ids(&[&third, &second, &first]));
    let (_, hidden) = found(&mut operator, &json!({"queues": ["strict"]}));
    assert_eq!(hidden["callbacks"][0]["phoneNumber"], "…81");
    let (_, shown) = found(&mut operator, &json!({"queues": ["strict"], "showNumbers": true}));
    assert_eq!(shown["callbacks"][0]["phoneNumber"], "+14165550181");
    let unread = operator.post_json(SEARCH, &[], r#"{"phoneNumber": "555-NOPE-4165550183"}"#).unwrap();
    assert_eq!(unread.status, 400);
    let explained = booking("support", "+14165550184", &json!({"userData": {"secret": "marker-in-explain"}}));
    good(operator.post_json(EXPLAIN, &[], &explained.to_string()).unwrap());
    let written = service.everything_written();
    for planted in ["4165550181", "4165550182", "4165550183", "4165550184", "marker-in-explain", "billing"] {
        assert!(!written.contains(planted), "{planted} was written to the log");
    }
}
