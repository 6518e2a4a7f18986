//! The whole program with Orchestration behind its REST interface: the built-in contact centre as a process of its own,
//! engines by a script, nodes that die and come back without their sessions, and regions that fall over and back.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::checker::{self, Facts};
use crate::harness::http::Client;
use crate::harness::ors::{Manner, Ors};
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::stand_in::StandIn;
use crate::harness::{api, database, free_port, journal, now_ms, poll};

/// How long what takes seconds may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// Nothing is asked after in the first minute, and then after a minute of silence.
const ASKED_WITHIN: Duration = Duration::from_secs(300);

fn options(nodes: &str) -> Options {
    // The port for signals stays the same over restarts.
    Options::default().with("GES_ROUTING", "rest").with("GES_ORS_NODES", nodes).with("GES_INTERNAL_PORT", free_port())
}

fn book(client: &mut Client, digits: u32) -> Uuid {
    let answer = api::create(client, None, &api::booking(&format!("+1416555{digits:04}"), None)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    api::id_of(&answer).unwrap()
}

fn until_ended(client: &mut Client, id: Uuid, within: Duration) -> String {
    poll::until("the end of a callback", within, || {
        let data = api::retrieve(client, id).ok()?.json()["data"].clone();
        (data["callbackState"] == "COMPLETED").then(|| data["callbackReason"].as_str().unwrap_or_default().to_owned())
    })
}

/// Names and statuses of the nodes as the service tells them.
fn nodes(service: &Service) -> Vec<Value> {
    let answer = Client::new(service.internal()).get("/ges/v1/routing/nodes").unwrap();
    answer.json()["data"]["nodes"].as_array().cloned().unwrap_or_default()
}

fn until_node(service: &Service, name: &str, status: &str) {
    poll::until("the status of a node", SOON, || {
        nodes(service).iter().any(|it| it["name"] == name && it["status"] == status).then_some(())
    });
}

#[test]
fn callbacks_come_to_their_ends_though_the_engine_is_killed_in_the_middle() {
    let port = free_port();
    let mut stand_in = StandIn::listen(port, 20, 50);
    let mut service = Service::start(options(&format!("sim=http://127.0.0.1:{port};eu;primary")));
    until_node(&service, "sim", "UP");
    let mut client = api::client(service.external());
    let ends = [
        "AGENT_CONNECTED",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_CALL_TO_CUSTOMER",
        "FAIL_AGENT_CONNECT",
        "SUBMIT_FAILED",
        // It answers after its time-out, and asked for its attempt in time.
        "AGENT_CONNECTED",
        "AGENT_CONNECTED",
    ];
    let magic: Vec<Uuid> = (0..8).map(|digits| book(&mut client, digits)).collect();
    for (id, end) in magic.iter().zip(ends) {
        assert_eq!(until_ended(&mut client, *id, SOON), end, "…{end}");
    }
    let before: Vec<Uuid> = (0..60).map(|number| book(&mut client, 2000 + number)).collect();
    stand_in.kill9();
    let kills = vec![now_ms()];
    let meanwhile: Vec<Uuid> = (0..20).map(|number| book(&mut client, 2100 + number)).collect();
    until_node(&service, "sim", "DOWN");
    stand_in.respawn();
    for id in before.iter().chain(&meanwhile) {
        let end = until_ended(&mut client, *id, ASKED_WITHIN);
        assert!(["AGENT_CONNECTED", "NOT_AVAILABLE"].contains(&end.as_str()), "{end}");
    }
    let data = service.folder().data();
    assert!(service.sigterm().success());
    assert!(!service.everything_written().contains("panicked") && !stand_in.everything_written().contains("panicked"));
    let (entries, torn_lines) = journal::read(&stand_in.journal_folder());
    let mut facts = Facts { kills, journal: entries, torn_lines, ..Facts::default() };
    database::read_into(&data, &mut facts);
    let attempts: Vec<u32> = meanwhile.iter().map(|id| facts.rows[id].attempt).collect();
    println!("highest attempt {:?} of those booked in the outage", attempts.iter().max());
    checker::assert_kept(&facts);
}

#[test]
fn an_engine_that_is_slow_refuses_forgets_or_answers_too_late_is_borne() {
    let mut ors = Ors::listen();
    let service = Service::start(options(&format!("one={};eu;primary", ors.url())));
    until_node(&service, "one", "UP");
    let mut client = api::client(service.external());
    let mut booked = |manner: Manner| book(&mut client, manner.digits());
    let manners =
        [Manner::Serves, Manner::Slow, Manner::AnswersTooLate, Manner::RepeatsAndReorders, Manner::BeginsTwice];
    let served = manners.map(&mut booked);
    let refuses = booked(Manner::Refuses);
    let never_begins = booked(Manner::NeverBegins);
    let forgets = booked(Manner::Forgets);
    let late = booked(Manner::AnswersLate);
    for (id, manner) in served.iter().zip(manners) {
        assert_eq!(until_ended(&mut client, *id, ASKED_WITHIN), "AGENT_CONNECTED", "{manner:?}");
        assert_eq!(ors.starts_of(*id), [1], "{manner:?}: handed over once");
    }
    // An answer that came too late was an outage: after it one callback of the queue goes first, and waits to be asked for.
    assert_eq!(until_ended(&mut client, refuses, ASKED_WITHIN), "SUBMIT_FAILED");
    assert_eq!(ors.starts_of(refuses), [1, 2, 3], "three attempts");
    let cancelled = book(&mut client, Manner::AnswersLate.digits());
    poll::until("its start", ASKED_WITHIN, || (!ors.starts_of(cancelled).is_empty()).then_some(()));
    assert_eq!(api::cancel(&mut client, cancelled).unwrap().status, 200);
    poll::until("its end at the engine", SOON, || {
        ors.seen().iter().any(|it| it.action == "terminate" && it.callback == Some(cancelled)).then_some(())
    });
    // From here on it takes the minutes that waiting and questions take.
    assert_eq!(until_ended(&mut client, never_begins, ASKED_WITHIN), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(never_begins), [1, 2], "perhaps begun, never asked for: a second attempt");
    assert_eq!(until_ended(&mut client, late, ASKED_WITHIN), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(late), [1], "asked after, alive, and no second attempt");
    assert_eq!(until_ended(&mut client, forgets, ASKED_WITHIN), "AGENT_CONNECTED");
    assert_eq!(ors.starts_of(forgets), [1, 2], "gone in the queue: a second attempt");
    let granted: Vec<_> = ors.said().into_iter().filter(|it| it.event == "accepted" && it.status == 200).collect();
    let sessions: BTreeSet<_> = granted.iter().map(|it| (it.callback, it.attempt, &it.session)).collect();
    let attempts: BTreeSet<_> = granted.iter().map(|it| (it.callback, it.attempt)).collect();
    assert_eq!(attempts.len(), sessions.len(), "every attempt was granted to one session only");
    ors.die();
    until_node(&service, "one", "DOWN");
}

#[test]
fn regions_fall_over_and_back_and_a_rule_of_a_queue_goes_before_what_is_preferred() {
    let (mut eu, us, urs) = (Ors::listen(), Ors::listen(), Ors::listen());
    let listed = format!("eu-1={};eu;primary,us-1={};us;primary", eu.url(), us.url());
    let options =
        options(&listed).with("GES_REGION_AFFINITY", "eu,us").with("GES_URS_NODES", format!("u={}", urs.url()));
    let service = Service::start(options);
    until_node(&service, "us-1", "UP");
    until_node(&service, "u", "UP");
    let mut client = api::client(service.external());
    let mut serve = |by: &Ors, digits| {
        let id = book(&mut client, digits);
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
        assert_eq!(by.starts_of(id), [1]);
        id
    };
    let first = serve(&eu, 2000);
    assert_eq!(us.starts_of(first), Vec::<u32>::new());
    eu.die();
    // What was sent on a connection that breaks is perhaps begun, and would wait for a minute.
    until_node(&service, "eu-1", "DOWN");
    serve(&us, 2001);
    let told = nodes(&service);
    let of_eu = told.iter().find(|it| it["name"] == "eu-1").unwrap();
    assert_eq!((&of_eu["type"], &of_eu["region"], &of_eu["role"]), (&json!("ORS"), &json!("eu"), &json!("primary")));
    assert!(of_eu["reason"].is_string() && of_eu["lastResponse"].is_string(), "{of_eu}");
    let health = Client::new(service.internal()).get("/ges/v1/health/detail").unwrap().json();
    assert_eq!(health["routingNodes"].as_array().map(Vec::len), Some(3), "{health}");
    eu.come_back();
    until_node(&service, "eu-1", "UP");
    serve(&eu, 2002);

    let rules = r#"{"us": ["us"]}"#;
    let mut internal = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let mut document = internal.get("/ges/v1/tenant").unwrap().json();
    document["regionRules"] = serde_json::from_str(rules).unwrap();
    document["queues"]["support"]["regionRule"] = json!("us");
    let body = document.to_string();
    let answer = internal.request(
        "PUT",
        "/ges/v1/tenant",
        &[("Content-Type", "application/json"), ("If-Match", "*")],
        body.as_bytes(),
    );
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    poll::until("the rule of the queue", SOON, || {
        let id = book(&mut client, 2003);
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
        (us.starts_of(id) == [1]).then_some(())
    });
    drop(urs);
    poll::until("the alarm that no URS answers", SOON, || {
        let metrics = Client::new(service.internal()).get("/metrics").ok()?.text();
        metrics.lines().any(|line| line.starts_with("ALL_URS_DOWN") && line.ends_with(" 1")).then_some(())
    });
}

#[test]
fn rest_without_its_nodes_or_with_nodes_of_another_shape_does_not_start() {
    let folder = Folder::new();
    let ends = |options: Options| {
        let output = run_to_end(&folder, &options, &["serve"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = ends(Options::default().with("GES_ROUTING", "rest"));
    assert!(said.contains("GES_ROUTING") && said.contains("GES_ORS_NODES"), "{said}");
    for wrong in ["http://ors:9098", "a=tcp://10.0.0.1:9098;eu;primary", "a=http://h;eu;leader"] {
        let said = ends(Options::default().with("GES_ROUTING", "rest").with("GES_ORS_NODES", wrong));
        assert!(said.contains("GES_ORS_NODES") && said.contains("name=url;region;role"), "{said}");
    }
}
