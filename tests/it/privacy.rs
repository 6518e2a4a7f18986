//! Export and erasure by number and the audit log on the whole program: over HTTP, from the command line beside it, and
//! through kills.

use std::net::SocketAddr;
use std::path::Path;

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::http::{Answer, Client};
use crate::harness::on_postgres::with_store;
use crate::harness::service::{Options, Service, run_to_end};
use crate::harness::{api, database, database_search, on_postgres, poll, seed};

const EXPORT: &str = "/ges/v1/personal-data/export";
const ERASE: &str = "/ges/v1/personal-data/erase";
const CALL_IN: &str = "/engagement/v3/call-in/requests/create";
/// Ends in a magic number: answered, and over soon.
const PHONE: &str = "+14165550000";
const DIGITS: u64 = 14_165_550_000;
const TEXTS: [&str; 3] = ["planted-order-4c71", "planted-page-e20d", "planted-attached-8b13"];

fn inside(address: SocketAddr) -> Client {
    Client::new(address).with_header("ContactCenterID", "demo")
}

fn good(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

fn refused(answer: &Answer) -> (u16, i64) {
    (answer.status, answer.code().unwrap_or_default())
}

fn post(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.post_json(path, &[], &body.to_string()).unwrap()
}

fn number() -> Value {
    json!({ "phoneNumber": PHONE })
}

fn booking(text: &str) -> Value {
    json!({"serviceName": api::QUEUE, "phoneNumber": PHONE, "language": "fr-CA", "userData": {"order": text}})
}

fn ended(outside: &mut Client, id: Uuid) {
    poll::until("the end of a callback", Duration::from_secs(60), || {
        (api::retrieve(outside, id).unwrap().json()["data"]["callbackState"] == "COMPLETED").then_some(())
    });
}

/// Books, and waits until it has ended.
fn book_to_the_end(outside: &mut Client, key: &str, text: &str) -> Uuid {
    let answer = outside.post_json(api::CREATE, &[("Idempotency-Key", key)], &booking(text).to_string()).unwrap();
    let id = api::id_of(&answer).unwrap_or_else(|| panic!("{}", answer.text()));
    ended(outside, id);
    id
}

/// Nothing of the customer is in any value of the database or any byte of the data folder.
fn nothing_is_left(data: &Path, forms: &[Vec<u8>]) {
    let mut found = database_search::in_values(data, DIGITS, &TEXTS);
    found.extend(database_search::in_files(data, DIGITS, &TEXTS, forms));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_number_is_told_and_erased_and_nothing_of_it_is_found() {
    let mut service = Service::start(Options::fast());
    let (mut outside, mut inside) = (api::client(service.external()), inside(service.internal()));
    let id = book_to_the_end(&mut outside, "once", TEXTS[0]);
    let attached = json!({"userData": {"note": TEXTS[2]}});
    good(post(&mut inside, &format!("/ges/v1/callbacks/{id}/user-data"), &attached));
    let call_in = json!({"groupName": "mobile", "fromPhoneNumber": PHONE, "userData": {"page": TEXTS[1]}});
    let call_in = good(post(&mut outside, CALL_IN, &call_in))["id"].clone();
    let tied = json!({"groupName": "mobile", "callbackServiceId": id});
    good(post(&mut outside, CALL_IN, &tied));

    let told = good(post(&mut inside, EXPORT, &number()));
    assert_eq!((&told["phoneNumber"], told["callbacks"].as_array().unwrap().len()), (&json!(PHONE), 1));
    let callback = &told["callbacks"][0];
    assert_eq!(callback["id"], id.to_string());
    assert_eq!(callback["userData"], json!({"order": TEXTS[0], "note": TEXTS[2]}));
    assert_eq!(
        (&callback["options"], &callback["callbackState"]),
        (&json!({"language": "fr-CA"}), &json!("COMPLETED"))
    );
    let history = callback["history"].as_array().unwrap();
    assert!(history.len() >= 4, "{history:?}");
    assert_eq!(told["callIns"].as_array().unwrap().len(), 2);
    assert_eq!((&told["callIns"][0]["id"], &told["callIns"][0]["userData"]), (&call_in, &json!({"page": TEXTS[1]})));
    assert_eq!(told["idempotencyKeys"], 1);
    assert!(told.get("nextCursor").is_none() && told.get("callInsLeftOut").is_none());
    let nobody = good(post(&mut inside, EXPORT, &json!({"phoneNumber": "416 555 0199"})));
    assert_eq!((&nobody["phoneNumber"], &nobody["callbacks"]), (&json!("+14165550199"), &json!([])));

    let data = service.folder().data();
    let forms = database_search::stored_forms(&data, DIGITS);
    assert_eq!(forms.len(), 3, "options and user data of the callback, user data of the call-in");
    let receipt = good(post(&mut inside, ERASE, &number()));
    assert_eq!(receipt["removed"]["callbacks"], 1);
    assert_eq!((&receipt["removed"]["callIns"], &receipt["removed"]["idempotencyKeys"]), (&json!(2), &json!(1)));
    assert_eq!((&receipt["cancelled"], &receipt["searched"]["found"]), (&json!(0), &json!(0)));
    let remains: Vec<_> = receipt["remains"].as_array().unwrap().iter().map(|it| it["where"].clone()).collect();
    // A server has archives of its log, and files that it cleans in its own time.
    let of_a_server: &[&str] = if on_postgres::of(&data).is_some() { &["archives", "files"] } else { &[] };
    assert_eq!(remains, [&["backups"], of_a_server, &["events", "receivers", "journal", "settings"]].concat());
    assert!(receipt["remains"][0]["until"].is_string());
    nothing_is_left(&data, &forms);

    assert_eq!(refused(&api::retrieve(&mut outside, id).unwrap()), (404, 404));
    for text in [TEXTS[0], "another"] {
        let body = booking(text).to_string();
        let again = outside.post_json(api::CREATE, &[("Idempotency-Key", "once")], &body).unwrap();
        assert_eq!(refused(&again), (404, 404), "the same key books nothing anew");
    }
    assert_eq!(good(post(&mut inside, EXPORT, &number()))["callbacks"], json!([]));
    let again = good(post(&mut inside, ERASE, &number()));
    assert_eq!((&again["removed"]["callbacks"], &again["fingerprint"]), (&json!(0), &receipt["fingerprint"]));

    let list = good(inside.get("/ges/v1/erasures").unwrap());
    assert_eq!(list["erasures"], json!([again, receipt]));
    let one = format!("/ges/v1/erasures/{}", receipt["id"].as_str().unwrap());
    assert_eq!(good(inside.get(&one).unwrap()), receipt);
    let audit = good(inside.get("/ges/v1/audit").unwrap());
    let acts: Vec<_> = audit["entries"].as_array().unwrap().iter().map(|it| it["act"].as_str().unwrap()).collect();
    let expected = ["number.exported", "number.exported", "number.erased", "number.exported", "number.erased"];
    assert_eq!(&acts[acts.len() - 5..], expected);
    assert_eq!(&acts[..2], ["settings.applied", "key.created"], "the demo was made by acts, too");
    assert!(!audit.to_string().contains("4165550000"));
    assert!(service.sigterm().success());
    assert!(!service.everything_written().contains("4165550000"), "the log holds the number");
    nothing_is_left(&data, &forms);
}

#[test]
fn what_has_not_ended_is_cancelled_if_that_is_wanted() {
    // One agent who is never free: callbacks stay on their way.
    let mut service = Service::start(Options::default().with("GES_SIM_AGENTS", 1));
    let (mut outside, mut inside) = (api::client(service.external()), inside(service.internal()));
    let later = chrono::Utc::now() + chrono::TimeDelta::days(2);
    let scheduled = api::id_of(&api::create(&mut outside, None, &api::booking(PHONE, Some(later))).unwrap()).unwrap();
    let others = api::booking("+14165550199", None);
    for _ in 0..3 {
        api::create(&mut outside, None, &others).unwrap();
    }
    let queued = api::id_of(&post(&mut outside, api::CREATE, &booking(TEXTS[0]))).unwrap();
    assert_eq!(refused(&post(&mut inside, ERASE, &number())), (409, 409));
    let refuse = json!({"phoneNumber": PHONE, "unfinished": "refuse"});
    assert_eq!(refused(&post(&mut inside, ERASE, &refuse)), (409, 409));
    for id in [scheduled, queued] {
        assert_eq!(api::retrieve(&mut outside, id).unwrap().status, 200, "nothing was erased");
    }
    let cancel = json!({"phoneNumber": PHONE, "unfinished": "cancel"});
    let receipt = good(post(&mut inside, ERASE, &cancel));
    let removed = &receipt["removed"];
    assert_eq!((&receipt["cancelled"], &removed["callbacks"], &removed["blinded"]), (&json!(2), &json!(2), &json!(0)));
    for id in [scheduled, queued] {
        assert_eq!(refused(&api::retrieve(&mut outside, id).unwrap()), (404, 404));
    }
    let audit = good(inside.get("/ges/v1/audit").unwrap());
    let cancels = audit["entries"].as_array().unwrap().iter().filter(|it| it["act"] == "callback.cancelled").count();
    assert_eq!(cancels, 2);
    // Routing was told before the row went: nobody is dialled.
    let journal = crate::harness::journal::path(&service.folder().data());
    let lines = std::fs::read_to_string(journal).unwrap();
    let closed = lines.lines().any(|line| line.contains("\"closed\"") && line.contains(&queued.to_string()));
    assert!(closed, "{lines}");
    assert!(service.sigterm().success());
}

#[test]
fn the_command_line_does_it_beside_a_running_service() {
    let options = Options::default();
    let service = Service::start(options.clone());
    let mut outside = api::client(service.external());
    let run = |arguments: &[&str]| {
        let output = run_to_end(service.folder(), &options, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let later = (chrono::Utc::now() + chrono::TimeDelta::days(2)).to_rfc3339();
    let mut wanted = booking(TEXTS[0]);
    wanted["desiredTime"] = json!(later);
    let id = api::id_of(&post(&mut outside, api::CREATE, &wanted)).unwrap();
    let (code, told, _) = run(&["export", "--number", PHONE]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["callbacks"][0]["id"]), (Some(0), &json!(id.to_string())));
    let file = service.folder().beside("told.json");
    let (code, said, _) = run(&["export", "--number", PHONE, "-o", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");

    let (code, _, said) = run(&["erase", PHONE]);
    assert!(code == Some(2) && said.contains("--cancel"), "{said}");
    assert_eq!(run(&["erase", "--tenant", "nobody", PHONE]).0, Some(2));
    assert_eq!(run(&["erase", "call me"]).0, Some(2));
    assert_eq!(run(&["erase"]).0, Some(2));
    let data = service.folder().data();
    let forms = database_search::stored_forms(&data, DIGITS);
    let (code, receipt, said) = run(&["erase", "--cancel", PHONE]);
    assert_eq!(code, Some(0), "{said}");
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!((&receipt["cancelled"], &receipt["actor"]), (&json!(1), &json!("ges")));
    assert_eq!((&receipt["removed"]["callbacks"], &receipt["removed"]["blinded"]), (&json!(1), &json!(0)));
    nothing_is_left(&data, &forms);
    assert_eq!(refused(&api::retrieve(&mut outside, id).unwrap()), (404, 404));
    let (_, list, _) = run(&["erase", "--list"]);
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()[0]["id"], receipt["id"]);

    let (code, said, _) = run(&["audit", "verify"]);
    assert_eq!(code, Some(0), "{said}");
    let head = said.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    assert_eq!(run(&["audit", "verify", "--head", &head]).0, Some(0));
    let (seq, hash) = head.split_once(':').unwrap();
    let wrong = format!("{seq}:{}", hash.chars().rev().collect::<String>());
    let (code, said, _) = run(&["audit", "verify", "--head", &wrong]);
    assert!(code == Some(1) && said.contains(&format!("entry {seq}")), "{said}");
    let (_, list, _) = run(&["audit", "list", "--after", "2"]);
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["entries"][0]["seq"], 3);
    database::run(&data, "UPDATE audit SET actor = 'nobody' WHERE seq = 3");
    let (code, said, _) = run(&["audit", "verify"]);
    assert!(code == Some(1) && said.contains("entry 3 was changed") && said.contains("2 entries"), "{said}");
}

/// Callbacks of the customer that have ended, put there before the service starts.
fn plant(data: &Path, count: u8) {
    use domain::callback::{Callback, Cause, Options as Rare, Saving, State, Terms};
    use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
    use domain::numbers::PhoneNumber;
    use domain::ports::{Booking, Change};
    use domain::slots::Grid;
    use domain::throttle::BookingLimits;

    let now = chrono::Utc::now();
    let terms = Terms {
        tenant: TenantId::from_name("demo"),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(DIGITS),
        ttl: chrono::Duration::hours(24),
    };
    for number in 0..count {
        let callback = Callback::immediate(CallbackId::generate(now), terms.clone(), Incarnation(1), now);
        let booking = Booking {
            callback: callback.clone(),
            slot_capacity: 1,
            grid: Grid::default(),
            options: Rare::default(),
            user_data: Some(format!(r#"{{"order":"{} {number}"}}"#, TEXTS[0])),
            idempotency: Some(domain::callback::Idempotency { key: [number; 16], body: [number; 16] }),
            limits: BookingLimits::default(),
            captcha: None,
            hold: None,
            booked_at: now,
            announcement: None,
            on_replaced: None,
        };
        let mut ended = callback.clone();
        ended.version += 1;
        ended.state = State::Completed;
        ended.reason = Some(domain::callback::Reason::AGENT_CONNECTED);
        (ended.owner, ended.wake_at, ended.ended_at) = (None, None, Some(now));
        let change = Change {
            callback: ended,
            from: callback.state,
            expected_version: callback.version,
            expected_owner: None,
            saving: Saving { cause: Cause::Looked, implied: Vec::new(), give_back: None, take: None, actor: None },
            slot_capacity: 1,
            grid: Grid::default(),
            at: now,
            announcement: None,
        };
        with_store(data, async |store| {
            store.book(booking).await.unwrap();
            store.save(change).await.unwrap();
        });
    }
}

#[test]
fn an_erasure_goes_on_after_every_kill() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut service = Service::start(Options::fast());
    assert!(service.sigterm().success());
    let data = service.folder().data();
    plant(&data, 200);
    let forms = database_search::stored_forms(&data, DIGITS);
    assert_eq!(forms.iter().filter(|form| !form.is_empty()).count(), 200);
    service.restart();
    let erasures = 6;
    for _ in 0..erasures {
        let address = service.internal();
        let pause = Duration::from_micros(random.random_range(0..30_000));
        let asked = thread::spawn(move || drop(inside(address).post_json(ERASE, &[], &number().to_string())));
        // A time and not a state on purpose: the kill may come anywhere.
        let begun = std::time::Instant::now();
        while begun.elapsed() < pause {
            thread::yield_now();
        }
        service.kill9();
        asked.join().unwrap();
        service.restart();
    }
    let mut inside = inside(service.internal());
    good(post(&mut inside, ERASE, &number()));
    nothing_is_left(&data, &forms);
    let list = good(inside.get("/ges/v1/erasures").unwrap());
    let list = list["erasures"].as_array().unwrap();
    assert!(list.iter().all(|receipt| receipt["finishedAt"].is_string()), "{list:?}");
    let removed: u64 = list.iter().map(|receipt| receipt["removed"]["callbacks"].as_u64().unwrap()).sum();
    let keys: u64 = list.iter().map(|receipt| receipt["removed"]["idempotencyKeys"].as_u64().unwrap()).sum();
    assert_eq!((removed, keys), (200, 200), "each counted once, over {} receipts", list.len());
    println!("{erasures} kills, {} receipts", list.len());
}
