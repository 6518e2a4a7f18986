//! Click-to-call-in from the first request to the recognised call, through the real program and across kills.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::call_in::CallInGroup;
use domain::ids::{CallInGroupName, TenantId};
use domain::tenant::TenantDocument;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::harness::http::{Answer, Client};
use crate::harness::on_postgres::with_store;
use crate::harness::service::{Options, Service};
use crate::harness::{api, now_ms, poll, seed};

const OPEN: &str = "/engagement/v3/call-in/requests/create";
const MATCH: &str = "/ges/v1/call-in/match";
const LIST: &str = "/ges/v1/call-in/requests";
/// The demo's only access number.
const NUMBER: &str = "+18005550199";

fn inside(address: SocketAddr) -> Client {
    Client::new(address).with_header("ContactCenterID", "demo")
}

fn good(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["status"]["code"], 0);
    json["data"].clone()
}

fn refused(answer: &Answer) -> (u16, i64) {
    (answer.status, answer.code().unwrap_or_default())
}

fn open(client: &mut Client, body: &Value) -> Value {
    good(client.post_json(OPEN, &[], &body.to_string()).unwrap())
}

fn call(client: &mut Client, body: &Value) -> Value {
    good(client.post_json(MATCH, &[], &body.to_string()).unwrap())
}

fn metric(service: &Service, name: &str) -> f64 {
    let text = Client::new(service.internal()).get("/metrics").unwrap().text();
    let series = format!("{name}{{tenant=\"demo\"}} ");
    text.lines().find_map(|line| line.strip_prefix(series.as_str())?.parse().ok()).unwrap_or(f64::NAN)
}

#[test]
fn a_customer_asks_calls_and_is_recognised_once() {
    let service = Service::start(Options::fast());
    let (mut outside, mut inside) = (api::client(service.external()), inside(service.internal()));
    let before = now_ms();
    let asked = json!({"groupName": "mobile", "fromPhoneNumber": "(416) 555-0101", "userData": {"page": "checkout"}});
    let request = open(&mut outside, &asked);
    assert_eq!((request["toPhoneNumber"].as_str(), request["groupName"].as_str()), (Some(NUMBER), Some("mobile")));
    assert_eq!(request["fromPhoneNumber"], "+14165550101");
    assert!(request.get("callbackServiceId").is_none());
    let code = request["accessCode"].as_u64().unwrap();
    assert!((100_000..=999_999).contains(&code), "{code}");
    let lives = request["expirationTime"].as_i64().unwrap() - before;
    assert!((299_000..=330_000).contains(&lives), "five minutes, in milliseconds: {lives}");

    // Another caller, a wrong code: nobody, though requests wait on the number.
    let wrong = json!({"accessCode": "100000", "ani": "+14165550199", "dnis": NUMBER});
    assert_eq!(call(&mut inside, &wrong), json!({"matched": false, "criteria": ["dnis"]}));
    let listed = good(inside.get(&format!("{LIST}?state=WAITING&ani=4165550101")).unwrap());
    assert_eq!((listed["total"].as_u64(), listed["requests"][0]["id"].as_str()), (Some(1), request["id"].as_str()));

    let right = json!({"accessCode": code.to_string(), "ani": "anonymous", "dnis": "1-800-555-0199"});
    let won = call(&mut inside, &right);
    assert_eq!((&won["matched"], &won["criteria"]), (&json!(true), &json!(["accessCode", "dnis"])));
    assert_eq!(won["userData"], json!({"page": "checkout"}));
    assert_eq!(won["callIn"]["id"], request["id"]);
    assert_eq!(call(&mut inside, &right), json!({"matched": false, "criteria": []}), "once");

    let other = open(&mut outside, &json!({"groupName": "mobile"}));
    let cancel = format!("{LIST}/{}/cancel", other["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(good(inside.post_json(&cancel, &[], "").unwrap())["id"], other["id"]);
    }
    let matched = format!("{LIST}/{}/cancel", request["id"].as_str().unwrap());
    assert_eq!(refused(&inside.post_json(&matched, &[], "").unwrap()), (409, 409));
    let states: Vec<String> = good(inside.get(&format!("{LIST}?sort=created")).unwrap())["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["MATCHED", "CANCELLED"]);
    for (name, expected) in
        [("ges_callin_created", 2.0), ("ges_callin_matched_total", 1.0), ("ges_callin_missed_total", 2.0)]
    {
        assert_eq!(metric(&service, name), expected, "{name}");
    }
}

#[test]
fn refusals_name_their_rule() {
    let service = Service::start(Options::fast());
    let mut outside = api::client(service.external());
    for (body, expected) in [
        (json!({}), (400, 501)),
        (json!({"groupName": "nobody"}), (400, 7040)),
        (json!({"groupName": "mobile", "fromPhoneNumber": "call me"}), (400, 7030)),
        (json!({"groupName": "mobile", "fromPhoneNumber": "+1"}), (400, 7036)),
        (json!({"groupName": "mobile", "callbackServiceId": "0192f0a0-0000-7000-8000-000000000001"}), (400, 501)),
        (json!({"groupName": "mobile", "userData": [1]}), (400, 501)),
    ] {
        let answer = outside.post_json(OPEN, &[], &body.to_string()).unwrap();
        assert_eq!(refused(&answer), expected, "{body}: {}", answer.text());
    }
    let mut inside = inside(service.internal());
    let unknown = json!({"groupName": "nobody", "accessCode": "123456"});
    assert_eq!(refused(&inside.post_json(MATCH, &[], &unknown.to_string()).unwrap()), (400, 7040));
    let asked = json!({"groupName": "mobile", "x": 1}).to_string();
    let key = [("Idempotency-Key", "once")];
    good(outside.post_json(OPEN, &key, &asked).unwrap());
    assert_eq!(refused(&outside.post_json(OPEN, &key, r#"{"groupName":"mobile"}"#).unwrap()), (422, 422));
}

#[test]
fn a_callback_is_tied_read_and_added_to() {
    // One agent who is never free: callbacks stay on their way.
    let service = Service::start(Options::default().with("GES_SIM_AGENTS", 1));
    let (mut outside, mut inside) = (api::client(service.external()), inside(service.internal()));
    let wanted = chrono::Utc::now() + chrono::TimeDelta::days(2);
    let booking = json!({
        "serviceName": "support", "phoneNumber": "+14165551234", "language": "fr-CA",
        "desiredTime": wanted.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "userData": {"order": 7, "draft": "x"}
    });
    let id = good(outside.post_json(api::CREATE, &[], &booking.to_string()).unwrap())["id"].clone();
    let one = format!("/ges/v1/callbacks/{}", id.as_str().unwrap());
    let attach = |inside: &mut Client, data: Value| {
        good(inside.post_json(&format!("{one}/user-data"), &[], &json!({"userData": data}).to_string()).unwrap())
    };
    assert_eq!(attach(&mut inside, json!({"draft": "", "tier": {"level": 2}}))["id"], id);
    let shown = good(inside.get(&one).unwrap());
    assert_eq!(shown["userData"], json!({"order": 7, "tier": {"level": 2}}));
    assert_eq!(shown["options"], json!({"language": "fr-CA"}));
    assert_eq!(
        (shown["callbackState"].as_str(), shown["phoneNumber"].as_str()),
        (Some("SCHEDULED"), Some("+14165551234"))
    );
    let large = "x".repeat(1_000_000);
    attach(&mut inside, json!({"large": large}));
    let more = json!({"userData": {"more": large}}).to_string();
    assert_eq!(refused(&inside.post_json(&format!("{one}/user-data"), &[], &more).unwrap()), (413, 413));
    attach(&mut inside, json!({"large": "", "order": "", "tier": ""}));
    assert!(good(inside.get(&one).unwrap()).get("userData").is_none(), "nothing is left of it");

    let request = open(&mut outside, &json!({"groupName": "mobile", "callbackServiceId": id}));
    assert_eq!(request["callbackServiceId"], id);
    let won = call(&mut inside, &json!({"accessCode": request["accessCode"]}));
    assert_eq!(won["callIn"]["callbackServiceId"], id, "so the flow knows which callback to report as completed");

    let watermark = |inside: &mut Client| good(inside.get("/ges/v1/queues/support/watermark").unwrap());
    assert_eq!(watermark(&mut inside)["active"], 0, "one that waits for its time is not on its way");
    for last in 0..5 {
        let body = api::booking(&format!("+1416555100{last}"), None);
        good(outside.post_json(api::CREATE, &[], &body).unwrap());
    }
    let full = watermark(&mut inside);
    assert!((3..=5).contains(&full["active"].as_u64().unwrap()), "one or two may be talking already: {full}");
    assert_eq!(full["active"].as_u64(), full["waiting"].as_u64().zip(full["routing"].as_u64()).map(|(w, r)| w + r));
    assert_eq!(refused(&inside.get("/ges/v1/queues/nobody/watermark").unwrap()), (404, 404));
}

#[test]
fn of_many_calls_with_one_code_one_is_recognised() {
    const CALLS: usize = 48;
    let service = Service::start(Options::fast());
    let mut outside = api::client(service.external());
    for round in 0..5 {
        let request = open(&mut outside, &json!({"groupName": "mobile", "userData": {"round": round}}));
        let (barrier, address) = (Arc::new(Barrier::new(CALLS)), service.internal());
        let body = json!({"accessCode": request["accessCode"], "dnis": NUMBER});
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let (barrier, body) = (barrier.clone(), body.clone());
                thread::spawn(move || {
                    let mut client = inside(address);
                    barrier.wait();
                    call(&mut client, &body)
                })
            })
            .collect();
        let answers: Vec<Value> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        let won: Vec<&Value> = answers.iter().filter(|answer| answer["matched"] == true).collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(won[0]["userData"], json!({"round": round}));
        assert!(answers.iter().all(|it| it["matched"] == true || it.get("userData").is_none()));
    }
}

/// Another tenant's requests and callbacks are nobody's, whatever id or code is known of them.
#[test]
fn tenants_are_walls() {
    let service = Service::start(Options::fast());
    let (mut outside, mut demo) = (api::client(service.external()), inside(service.internal()));
    let group = CallInGroup { numbers: vec![NUMBER.to_owned()], ..CallInGroup::default() };
    let groups = [(CallInGroupName::new("mobile").unwrap(), group)].into();
    let document = TenantDocument { call_in_groups: groups, ..TenantDocument::with_queues("other", []) };
    with_store(&service.folder().data(), async |store| {
        store.put_tenant(TenantId::from_name("other"), document).await.unwrap();
    });
    let mut other = Client::new(service.internal()).with_header("ContactCenterID", "other");
    poll::until("the new tenant to be known", Duration::from_secs(30), || {
        other.get(LIST).is_ok_and(|answer| answer.status == 200).then_some(())
    });

    let callback = good(outside.post_json(api::CREATE, &[], &api::booking("+14165550000", None)).unwrap());
    let request = open(&mut outside, &json!({"groupName": "mobile", "fromPhoneNumber": "+14165550101"}));
    let theirs = json!({"accessCode": request["accessCode"], "ani": "+14165550101", "dnis": NUMBER});
    assert_eq!(call(&mut other, &theirs), json!({"matched": false, "criteria": []}));
    assert_eq!(good(other.get(LIST).unwrap())["total"], 0);
    let one = format!("/ges/v1/callbacks/{}", callback["id"].as_str().unwrap());
    let cancel = format!("{LIST}/{}/cancel", request["id"].as_str().unwrap());
    assert_eq!(refused(&other.post_json(&cancel, &[], "").unwrap()), (404, 404));
    assert_eq!(refused(&other.get(&one).unwrap()), (404, 404));
    let attach = other.post_json(&format!("{one}/user-data"), &[], r#"{"userData":{"a":1}}"#).unwrap();
    assert_eq!(refused(&attach), (404, 404));
    assert_eq!(refused(&other.get("/ges/v1/queues/support/watermark").unwrap()), (404, 404));
    assert_eq!(call(&mut demo, &theirs)["matched"], true, "it is still its owner's");
}

/// What clients asked under which key, and what they were told.
#[derive(Default)]
struct Ledger {
    asked: BTreeMap<String, String>,
    told: BTreeMap<String, Value>,
}

impl Ledger {
    fn unanswered(&self) -> Vec<(String, String)> {
        let open = self.asked.iter().filter(|(key, _)| !self.told.contains_key(*key));
        open.map(|(key, body)| (key.clone(), body.clone())).collect()
    }
}

/// Sends what `next` says, one request after the other, until the service is gone.
fn ask_until_it_is_gone(
    mut client: Client,
    path: &'static str,
    ledger: &Mutex<Ledger>,
    mut next: impl FnMut() -> Option<(String, String)>,
) {
    while let Some((key, body)) = next() {
        ledger.lock().unwrap().asked.insert(key.clone(), body.clone());
        let Ok(answer) = client.post_json(path, &[("Idempotency-Key", &key)], &body) else { return };
        ledger.lock().unwrap().told.insert(key, good(answer));
    }
}

/// Repeats whatever has no answer; each has to get one now.
fn repeat(client: &mut Client, path: &str, ledger: &Mutex<Ledger>) -> usize {
    let mut ledger = ledger.lock().unwrap();
    let unanswered = ledger.unanswered();
    let count = unanswered.len();
    for (key, body) in unanswered {
        let told = good(client.post_json(path, &[("Idempotency-Key", &key)], &body).unwrap());
        ledger.told.insert(key, told);
    }
    count
}

/// Kills the service at some moment while clients ask.
fn kill_under_load(service: &mut Service, dice: &mut StdRng, start: impl FnOnce(&Service) -> Vec<JoinHandle<()>>) {
    let clients = start(service);
    // Not for a state: the kill has to come at any moment at all.
    thread::park_timeout(Duration::from_micros(dice.random_range(5_000..60_000)));
    service.kill9();
    clients.into_iter().for_each(|client| client.join().unwrap());
    service.restart();
}

/// Kills between the commit of a request and its answer: repeated under its key it is answered as the one request
/// that was kept, and the same holds for matches.
#[test]
fn a_kill_between_commit_and_answer_opens_and_matches_once() {
    const CLIENTS: u64 = 16;
    const ROUNDS: u64 = 40;
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut service = Service::start(Options::fast());

    let opened: Arc<Mutex<Ledger>> = Arc::default();
    let mut kept_unanswered = 0;
    let mut rounds = 0;
    let few = |opened: &Mutex<Ledger>| opened.lock().unwrap().told.len() < 200;
    while rounds < 5 || (rounds < ROUNDS && (kept_unanswered == 0 || few(&opened))) {
        rounds += 1;
        kill_under_load(&mut service, &mut dice, |service| {
            let start_one = |number| {
                let (ledger, client) = (opened.clone(), api::client(service.external()));
                let mut count = 0;
                let next = move || {
                    count += 1;
                    let key = format!("{rounds}-{number}-{count}");
                    Some((key.clone(), json!({"groupName": "mobile", "userData": {"key": key}}).to_string()))
                };
                thread::spawn(move || ask_until_it_is_gone(client, OPEN, &ledger, next))
            };
            (0..CLIENTS).map(start_one).collect()
        });
        let total = good(inside(service.internal()).get(&format!("{LIST}?limit=1")).unwrap())["total"].as_u64();
        let told = opened.lock().unwrap().told.len() as u64;
        kept_unanswered += total.unwrap() - told;
        let repeated = repeat(&mut api::client(service.external()), OPEN, &opened);
        println!(
            "round {rounds}: {told} answered, {} kept without an answer, {repeated} repeated",
            total.unwrap() - told
        );
    }
    assert!(kept_unanswered > 0, "no kill came between a commit and its answer");
    let opened = Arc::into_inner(opened).unwrap().into_inner().unwrap();
    let distinct = |member: &str| opened.told.values().map(|told| told[member].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(distinct("id").len(), opened.asked.len(), "one request per key");
    assert_eq!(distinct("accessCode").len(), opened.asked.len(), "one code per request");
    let total = good(inside(service.internal()).get(&format!("{LIST}?limit=1")).unwrap())["total"].as_u64();
    assert_eq!(total, Some(opened.asked.len() as u64), "and no request beside them");

    // Now each of them is called for, under a key of the call's own, with kills in between.
    // Those that wait for long enough yet, on a slow machine too, and not more than a few kills' worth.
    let waits = |told: &Value| told["expirationTime"].as_i64().unwrap() > now_ms() + 200_000;
    let wanted: Vec<(String, Value)> = opened.told.into_iter().filter(|(_, told)| waits(told)).take(400).collect();
    assert!(wanted.len() >= 100, "only {} requests are left to be called for", wanted.len());
    let matched: Arc<Mutex<Ledger>> = Arc::default();
    let waiting = Arc::new(Mutex::new(wanted.clone()));
    let mut kept_unanswered = 0;
    while !waiting.lock().unwrap().is_empty() {
        kill_under_load(&mut service, &mut dice, |service| {
            let start_one = |_| {
                let (ledger, waiting, client) = (matched.clone(), waiting.clone(), inside(service.internal()));
                let next = move || {
                    let (key, told) = waiting.lock().unwrap().pop()?;
                    Some((key, json!({"accessCode": told["accessCode"]}).to_string()))
                };
                thread::spawn(move || ask_until_it_is_gone(client, MATCH, &ledger, next))
            };
            (0..CLIENTS).map(start_one).collect()
        });
        let path = format!("{LIST}?state=MATCHED&limit=1");
        let total = good(inside(service.internal()).get(&path).unwrap())["total"].as_u64();
        kept_unanswered += total.unwrap() - matched.lock().unwrap().told.len() as u64;
        repeat(&mut inside(service.internal()), MATCH, &matched);
    }
    println!("{} matches, {kept_unanswered} of them kept without an answer", wanted.len());
    let matched = Arc::into_inner(matched).unwrap().into_inner().unwrap();
    for (key, told) in &wanted {
        let answer = &matched.told[key];
        assert_eq!((&answer["matched"], &answer["callIn"]["id"]), (&json!(true), &told["id"]), "{key}");
        assert_eq!(answer["userData"], json!({"key": key}));
    }
    let again = call(&mut inside(service.internal()), &json!({"accessCode": wanted[0].1["accessCode"]}));
    assert_eq!(again["matched"], false, "another call is nobody's");
}
