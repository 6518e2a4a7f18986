//! The whole program with Orchestration behind a stream: the built-in contact centre as a process of its own, an engine
//! by a script, and a Redis that is killed, stopped and emptied under both.

mod faults;
mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::harness::http::Client;
use crate::harness::journal::{self, What};
use crate::harness::redis::{self, Redis};
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::stand_in::StandIn;
use crate::harness::{api, poll};

/// How long what takes seconds may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const STREAM: &str = "NewCallbackStream";

/// The service with its callbacks going through the stream of `redis`. The port for signals stays the same over restarts.
fn options(redis: &Redis) -> Options {
    let signals = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Options::default()
        .with("GES_ROUTING", "stream")
        .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
        .with("GES_VMCS_REDIS_PORT", redis.port())
        .with("GES_INTERNAL_PORT", signals)
}

fn book(client: &mut Client, digits: u32) -> Uuid {
    let answer = api::create(client, None, &api::booking(&format!("+1416555{digits:04}"), None)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    api::id_of(&answer).unwrap()
}

/// State and reason.
fn state(client: &mut Client, id: Uuid) -> (String, String) {
    let data = api::retrieve(client, id).unwrap().json()["data"].clone();
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    (text("callbackState"), text("callbackReason"))
}

fn until_ended(client: &mut Client, id: Uuid, within: Duration) -> String {
    poll::until("the end of a callback", within, || {
        let (state, reason) = state(client, id);
        (state == "COMPLETED").then_some(reason)
    })
}

fn redis_is(service: &Service, status: &str) {
    poll::until("the dependency's status", SOON, || {
        let health = Client::new(service.internal()).get("/ges/v1/health/detail").ok()?.json();
        let dependencies = health["dependencies"].as_array()?.clone();
        dependencies.iter().any(|it| it["name"] == "ors-redis" && it["status"] == status).then_some(())
    });
}

/// Commands that clients sent: what scripts called inside is left out.
fn sent(calls: &BTreeMap<String, u64>) -> u64 {
    let of_clients = ["evalsha", "eval", "xreadgroup", "xack", "xlen", "ping", "xgroup|create"];
    of_clients.iter().filter_map(|name| calls.get(*name)).sum()
}

#[test]
fn callbacks_come_to_their_ends_through_a_stream_for_few_commands() {
    let redis = Redis::start();
    let stand_in = StandIn::start(&redis, 50, 50);
    let service = Service::start(options(&redis));
    redis_is(&service, "UP");
    let mut client = api::client(service.external());
    let before = redis.calls();
    let ends = [
        "AGENT_CONNECTED",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_AGENT_CONNECT",
        "SUBMIT_FAILED",
        "AGENT_CONNECTED",
        "AGENT_CONNECTED",
    ];
    let magic: Vec<Uuid> = (0..8).map(|digits| book(&mut client, digits)).collect();
    let plain: Vec<Uuid> = (0..92).map(|number| book(&mut client, 2000 + number)).collect();
    for (id, end) in magic.iter().zip(ends) {
        assert_eq!(until_ended(&mut client, *id, SOON), end);
    }
    for id in plain {
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
    }
    let after = redis.calls();
    let of = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    let commands = sent(&after) - sent(&before);
    let ours = of("evalsha") + of("eval");
    println!(
        "voice Redis, 100 callbacks: {commands} commands ({} starts by the service, {} reads and {} acknowledgements by \
         the engine), {:.2} per callback; inside scripts: {} XADD, {} GET, {} SET, {} XRANGE",
        ours,
        of("xreadgroup"),
        of("xack"),
        commands as f64 / 100.0,
        of("xadd"),
        of("get"),
        of("set"),
        of("xrange")
    );
    assert!(ours >= 100, "every callback was handed over");
    assert!(commands <= 400, "at most 4 per callback");
    assert!(!stand_in.everything_written().contains("panicked"));
}

#[test]
fn waits_positions_and_cancels_go_between_the_service_and_its_engine() {
    let redis = Redis::start();
    // One agent and a leisurely pace: whoever comes second waits.
    let stand_in = StandIn::start(&redis, 2, 1);
    let service = Service::start(options(&redis));
    let mut client = api::client(service.external());
    let mut internal = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let body =
        json!({"serviceName": api::QUEUE, "phoneNumber": "+14165550000", "userData": {"note": "x".repeat(10_000)}});
    let first = api::id_of(&api::create(&mut client, None, &body.to_string()).unwrap()).unwrap();
    let second = book(&mut client, 2001);

    poll::until("the start of the first", SOON, || {
        let entries = redis.entries(STREAM);
        let start = entries.iter().find(|(_, it)| it.get("callbackId") == Some(&first.to_string()))?;
        assert_eq!(start.1["replyTo"], format!("http://{}", service.internal()));
        assert_eq!(start.1["userData"], "", "it is too long to go along");
        Some(())
    });
    let fetched = internal.get(&format!("/ges/v1/callbacks/{first}")).unwrap().json();
    assert_eq!(fetched["data"]["userData"]["note"].as_str().map(str::len), Some(10_000));

    // Those that are handed over at once may be let in in any order: the third comes when the others are.
    poll::until("the sessions of the first two", SOON, || {
        let (entries, _) = journal::read(&stand_in.journal_folder());
        (entries.iter().filter(|it| it.event == What::Accepted).count() == 2).then_some(())
    });
    let third = book(&mut client, 2002);
    let place = poll::until("the place of the third in the line", SOON, || {
        let data = api::retrieve(&mut client, third).ok()?.json()["data"].clone();
        data["positionInQueue"].as_i64().filter(|place| *place >= 1)
    });
    assert!(place <= 3, "{place}");
    poll::until("an expected wait", SOON, || {
        let path = "/engagement/v3/estimated-wait-time?virtual-queues=support&mode=mode3";
        let waits = client.get(path).ok()?.json();
        (waits["data"][0]["resultCode"] == 0).then_some(())
    });

    let cancelled = api::cancel(&mut client, third).unwrap();
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    poll::until("the closed register in the engine's own journal", SOON, || {
        let (entries, _) = journal::read(&stand_in.journal_folder());
        entries.iter().any(|it| it.callback == third && it.event == What::Closed).then_some(())
    });
    assert_eq!(redis.ask(&["GET", &format!("{{{STREAM}}}:cb:{third}")]).text(), "closed");
    for id in [first, second] {
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
    }
    let (entries, _) = journal::read(&stand_in.journal_folder());
    assert!(!entries.iter().any(|it| it.callback == third && it.event == What::Dialled), "nobody rings who cancelled");
    assert_eq!(state(&mut client, third), ("COMPLETED".into(), "CANCELLED".into()));
}

/// Whichever member of the cluster is named: the stream is on another one in two cases of three.
#[test]
fn a_cluster_is_found_through_any_of_its_members() {
    let servers = redis::cluster();
    let stand_in = StandIn::start_with(&servers[1], 100, 50, &["--cluster"]);
    let service = Service::start(options(&servers[2]).with("GES_VMCS_REDIS_CLUSTER_MODE", "true"));
    let mut client = api::client(service.external());
    let ids: Vec<Uuid> = (0..30).map(|number| book(&mut client, 2000 + number)).collect();
    for id in ids {
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
    }
    assert!(!stand_in.everything_written().contains("panicked"));
}

#[test]
fn a_stream_without_an_address_does_not_start() {
    let folder = Folder::new();
    let output = run_to_end(&folder, &Options::default().with("GES_ROUTING", "stream"), &["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("GES_ROUTING") && said.contains("GES_VMCS_REDIS_HOST"), "{said}");
    let output = run_to_end(&folder, &Options::default(), &["simulate-ors"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_secret_of_the_product_opens_the_redis_in_both_spellings() {
    for spelling in ["voice-redis-ors-stream", "voice_redis_ors_stream"] {
        let redis = Redis::start_with(&["--requirepass", "planted-password-of-the-voice-redis"]);
        let folder = Folder::new();
        std::fs::create_dir(folder.beside("secrets")).unwrap();
        let secret = json!({"password": "planted-password-of-the-voice-redis", "port": redis.port()});
        std::fs::write(folder.beside("secrets").join(spelling), secret.to_string() + "\n").unwrap();
        let options = Options::default()
            .with("GES_ROUTING", "stream")
            .with("GES_ORS_REDIS_LOCATION", "127.0.0.1:1")
            .with("GES_LOG_LEVEL", "TRACE")
            .with("GES_CONFIG_FOLDERS", folder.beside("secrets").display());
        let service = Service::start_in(folder, options);
        redis_is(&service, "UP");
        assert!(!service.everything_written().contains("planted-password"), "a secret is in the log");
    }
}
