//! Notifications to customers on the whole program: nobody is told the same twice, whatever breaks in between; the
//! short wait is told once; and whoever calls in is told when, and waited for so long and no longer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::fcm::{FakeFcm, SEND};
use crate::harness::http::Client;
use crate::harness::journal::What;
use crate::harness::receiver::{Received, Receiver, Say};
use crate::harness::service::{Folder, Options, Service};
use crate::harness::{api, journal, poll, seed};
use crate::webhooks::{UNLIMITED, apply, feed, options, settle};

const ALL_EVENTS: &str = "[CALLBACK_SCHEDULED, CALLBACK_UPCOMING, CALLBACK_AGENT_READY, CALLBACK_RESCHEDULED, \
     CALLBACK_CANCELLED, CALLBACK_COMPLETED]";

/// A folder whose demo tenant pushes through `fcm`, with more lines of its document.
fn folder(fcm: &FakeFcm, options: &Options, events: &str, more: &str) -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.beside("account.json"), fcm.account()).unwrap();
    let push = format!(
        "push: {{fcm: {{file: account.json}}, fcmUrl: '{}', events: {events}}}\neventFeed: {{enabled: true}}\n",
        fcm.receiver.url("")
    );
    apply(&folder, options, &format!("tenant: demo\n{push}{more}"));
    folder
}

fn body(queue: &str, phone: &str, channel: &str, target: &str) -> Value {
    json!({
        "serviceName": queue,
        "phoneNumber": phone,
        "pushTargets": [{ "channel": channel, "target": target }],
    })
}

/// Books, and returns the id if the answer came.
fn book(client: &mut Client, body: &Value) -> Option<Uuid> {
    api::id_of(&api::create(client, None, &body.to_string()).ok()?)
}

/// (callback, event) of a message.
fn subject(data: &Value) -> (String, String) {
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("callbackId"), text("event"))
}

/// What FCM answered to which message.
type Answers = Arc<Mutex<Vec<((String, String), &'static str)>>>;

/// FCM on a bad day: one message in six is not taken, or nobody knows.
fn moody_fcm(seed: u64, answers: Answers) -> FakeFcm {
    let dice = Mutex::new(StdRng::seed_from_u64(seed));
    FakeFcm::with(move |message| {
        let (name, say) = match dice.lock().unwrap().random_range(0..100) {
            0..6 => ("503", Some(Say::Status(503, vec![("Retry-After", "1".into())], String::new()))),
            6..8 => ("429", Some(Say::Status(429, vec![("Retry-After", "1".into())], String::new()))),
            8..12 => ("500", Some(Say::status(500))),
            12..16 => ("broken off", Some(Say::BreakOff)),
            _ => ("taken", None),
        };
        answers.lock().unwrap().push((subject(&message.json()["message"]["data"]), name));
        say
    })
}

#[test]
fn nobody_is_told_twice_although_fcm_fails_and_the_program_is_killed() {
    let (seed, answers) = (seed(), Answers::default());
    let mut dice = StdRng::seed_from_u64(seed);
    let (fcm, options) = (moody_fcm(seed, answers.clone()), options());
    let queues = format!("queues: {{support: {{{UNLIMITED}, pushThresholdMinutes: 1}}}}\n");
    let folder = folder(&fcm, &options, ALL_EVENTS, &queues);
    let mut service = Service::start_in(folder.clone(), options);
    let mut booked = Vec::new();
    for round in 0..5 {
        let mut client = api::client(service.external());
        for _ in 0..dice.random_range(20..40) {
            let mut body = body("support", &format!("+1416555{:04}", 2_000 + booked.len()), "FCM", "device");
            if dice.random_bool(0.3) {
                let at = chrono::Utc::now() + chrono::TimeDelta::seconds(dice.random_range(2..3_600));
                body["desiredTime"] = at.to_rfc3339().into();
            }
            let id = book(&mut client, &body).unwrap();
            booked.push(id);
            if dice.random_bool(0.15) {
                drop(api::cancel(&mut client, id));
            }
        }
        if round < 4 {
            service.kill9();
            service.restart();
        }
    }
    settle(&folder);
    let told = assert_told_once(&answers.lock().unwrap());
    let results = assert_results(&feed(&service), &told);
    println!("{} callbacks, {} messages, results {results:?}", booked.len(), answers.lock().unwrap().len());
    assert!(told.len() > 100 && service.sigterm().success());
}

/// Messages that may have reached a customer: each at most once, and none after it. A message that surely was not
/// taken may come again.
fn assert_told_once(answers: &[((String, String), &'static str)]) -> HashMap<(String, String), &'static str> {
    let mut told = HashMap::new();
    let mut kinds = BTreeMap::<_, u32>::new();
    for (subject, answer) in answers {
        *kinds.entry(*answer).or_default() += 1;
        assert!(!told.contains_key(subject), "{subject:?} came again after {:?}", told[subject]);
        if !["503", "429"].contains(answer) {
            told.insert(subject.clone(), *answer);
        }
    }
    println!("FCM answered {kinds:?}");
    told
}

/// What the feed says became of the notifications agrees with what FCM saw.
fn assert_results(feed: &[Value], told: &HashMap<(String, String), &'static str>) -> BTreeMap<String, u32> {
    let (mut results, mut ended) = (BTreeMap::<_, u32>::new(), HashSet::new());
    for event in feed.iter().filter(|event| event["type"] == "callback.push") {
        let data = &event["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let subject = (text("callbackId"), text("pushEvent"));
        let result = text("pushResult");
        match (told.get(&subject), result.as_str()) {
            (Some(&"taken"), "PUSH_DELIVERY_CONFIRMED" | "PUSH_DELIVERY_NOT_CONFIRMED")
            | (Some(&("500" | "broken off")), "PUSH_DELIVERY_NOT_CONFIRMED")
            // Killed between taking it on and sending it.
            | (None, "PUSH_DELIVERY_NOT_CONFIRMED") => {}
            other => panic!("{subject:?}: {other:?}"),
        }
        assert!(ended.insert(subject), "{event} is told twice");
        *results.entry(result).or_default() += 1;
    }
    assert!(told.keys().all(|subject| ended.contains(subject)), "a notification has no end in the feed");
    results
}

#[test]
fn a_short_wait_is_told_once_when_it_becomes_short() {
    const CALLBACKS: usize = 230;
    const SERVED_AT_ONCE: usize = 20;
    let fcm = FakeFcm::start();
    // One agent who needs some 0.36 s for each: a minute's wait stands behind about 170.
    let options = options().with("GES_SIM_SPEED", 50).with("GES_SIM_AGENTS", 1);
    let queues = format!("queues: {{support: {{{UNLIMITED}, pushThresholdMinutes: 1}}}}\n");
    let folder = folder(&fcm, &options, "[CALLBACK_UPCOMING]", &queues);
    let service = Service::start_in(folder, options);
    let mut client = api::client(service.external());
    let began = Instant::now();
    let mut numbers = HashMap::new();
    for number in 0..CALLBACKS {
        let body = body("support", &format!("+1416555{:04}", 2_000 + number), "FCM", &format!("device-{number}"));
        numbers.insert(book(&mut client, &body).unwrap().to_string(), number);
    }
    let booked = began.elapsed();
    let number = |message: &Received| {
        let message = &message.json()["message"];
        let (callback, event) = subject(&message["data"]);
        assert_eq!(event, "CALLBACK_UPCOMING");
        assert_eq!(message["token"], format!("device-{}", numbers[&callback]));
        numbers[&callback]
    };
    // The first are served at once, and no wait is left that could be told of.
    let told = poll::until("everybody who waits was told", Duration::from_secs(120), || {
        let told = fcm.receiver.received_at(SEND);
        let waited: HashSet<_> = told.iter().map(number).filter(|number| *number >= SERVED_AT_ONCE).collect();
        (waited.len() == CALLBACKS - SERVED_AT_ONCE).then_some(told)
    });
    let late: Vec<_> = told.iter().filter(|message| message.at_ms > told[0].at_ms + 6_000).map(number).collect();
    println!(
        "{CALLBACKS} booked in {booked:?}, {} told after {:?}, {} of them more than 6 s after the first: {late:?}",
        told.len(),
        began.elapsed(),
        late.len()
    );
    assert!(late.len() > 5, "the wait of the last was short from the beginning");
    assert!(late.iter().all(|number| *number > 100), "one near the head of the line was told late");
    assert_eq!(told.iter().map(number).collect::<HashSet<_>>().len(), told.len(), "nobody was told twice");
}

#[test]
fn whoever_calls_in_is_told_and_waited_for() {
    let receiver = Receiver::start();
    let (folder, options) = (Folder::new(), options().with("GES_SIM_SPEED", 20));
    let document = format!(
        "tenant: demo\nqueues: {{app: {{{UNLIMITED}, callDirection: user-originated, pushThresholdMinutes: 1, \
         pushedExpirySeconds: 10}}}}\npush: {{endpoints: {{phone: {{url: '{}', secret: {{env: WEBHOOK_KEY}}}}}}}}\n",
        receiver.url("/push")
    );
    apply(&folder, &options, &document);
    let mut service = Service::start_in(folder.clone(), options);
    let mut client = api::client(service.external());
    let refused =
        api::create(&mut client, None, &json!({"serviceName": "app", "phoneNumber": "+14165550000"}).to_string());
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.code()), (400, Some(501)), "{}", refused.text());
    // The first calls in, the second never does.
    let [calls, stays_away] = ["+14165550000", "+14165550002"]
        .map(|phone| book(&mut client, &body("app", phone, "HTTP", &format!("phone:{phone}"))).unwrap());
    let told = receiver.until(2, Duration::from_secs(30));
    let told: HashMap<_, _> =
        told.iter().map(Received::json).map(|it| (it["data"]["callbackId"].clone(), it)).collect();
    for (id, phone) in [(calls, "+14165550000"), (stays_away, "+14165550002")] {
        let message = &told[&json!(id)];
        assert_eq!((&message["type"], &message["data"]["target"]), (&json!("CALLBACK_AGENT_READY"), &json!(phone)));
        assert!(message["data"]["expiresAt"].is_string(), "{message}");
    }
    let end = |client: &mut Client, id| {
        poll::until("the callback ends", Duration::from_secs(60), || {
            let data = api::retrieve(client, id).ok()?.json()["data"].clone();
            (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].as_str().unwrap().to_owned())
        })
    };
    assert_eq!(end(&mut client, calls), "AGENT_CONNECTED");
    assert_eq!(end(&mut client, stays_away), "FAIL_USER_NO_CONFIRM");
    assert_eq!(receiver.received().len(), 2, "each was told once");
    assert!(service.sigterm().success());
    let (entries, _) = journal::read(&folder.data());
    let of = |id: Uuid| entries.iter().filter(move |entry| entry.callback == id).map(|entry| entry.event);
    let dialled = entries.iter().any(|entry| entry.event == What::Dialled);
    assert!(!dialled, "nobody who calls in is dialled");
    assert!(of(stays_away).any(|event| event == What::Closed));
}

#[test]
fn without_an_account_the_callback_is_made_and_the_failure_counted() {
    let options = options();
    let folder = Folder::new();
    let push = "push: {events: [CALLBACK_COMPLETED]}";
    apply(&folder, &options, &format!("tenant: demo\nqueues: {{support: {{{UNLIMITED}}}}}\n{push}\n"));
    let service = Service::start_in(folder.clone(), options);
    let mut client = api::client(service.external());
    let id = book(&mut client, &body("support", "+14165550000", "FCM", "device")).unwrap();
    settle(&folder);
    let data = api::retrieve(&mut client, id).unwrap().json()["data"].clone();
    assert_eq!(data["callbackReason"], "AGENT_CONNECTED");
    poll::until("the failure is counted", Duration::from_secs(10), || {
        let page = Client::new(service.internal()).get("/metrics").ok()?.text();
        let mut counts = page.lines().filter(|line| line.starts_with("ges_push_notifications_sent{"));
        counts.any(|line| line.contains("PUSH_SEND_ERROR") && line.ends_with(" 1")).then_some(())
    });
}

/// An account that Google gives no token is not kept; of one that nobody could ask about, that is said.
#[test]
fn an_account_put_over_http_is_asked_about_before_it_is_kept() {
    const CREDENTIALS: &str = "/ges/v1/credentials";
    let fcm = FakeFcm::start();
    let mut service = Service::start(options());
    let mut inside = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let mut put = |account: &str| {
        let typed = [("Content-Type", "application/json")];
        inside.request("PUT", &format!("{CREDENTIALS}/push"), &typed, account.as_bytes()).unwrap()
    };
    let kept = || {
        let list = Client::new(service.internal()).with_header("ContactCenterID", "demo").get(CREDENTIALS).unwrap();
        list.json()["data"]["credentials"].as_array().unwrap().len()
    };
    fcm.next([Say::json(400, &json!({ "error": "invalid_grant" }))]);
    let refused = put(&fcm.account());
    assert_eq!((refused.status, kept(), fcm.tokens()), (400, 0, 0), "{}", refused.text());
    assert!(refused.text().contains("the provider refused it"), "{}", refused.text());
    let good = put(&fcm.account());
    assert_eq!((good.status, kept(), fcm.tokens()), (200, 1, 1), "{}", good.text());
    assert_eq!(good.json()["data"]["remarks"], json!([]));
    // Another account, so that it is new to the store.
    let account = fcm.account().replace("test-project", "other-project");
    fcm.next([Say::status(503), Say::status(503)]);
    let unsure = put(&account);
    assert_eq!((unsure.status, kept(), fcm.tokens()), (200, 1, 1), "{}", unsure.text());
    let remark = unsure.json()["data"]["remarks"][0].to_string();
    assert!(remark.contains("the provider could not be asked"), "{remark}");
    for told in [refused, good, unsure] {
        assert!(!told.text().contains("PRIVATE KEY"), "{}", told.text());
    }
    assert!(service.sigterm().success());
    assert!(!service.everything_written().contains("PRIVATE KEY"));
}
