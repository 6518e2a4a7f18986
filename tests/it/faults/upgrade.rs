//! A rolling upgrade: one node after the other is replaced by the next version, which changes the schema, while clients
//! go on, and then by the version before again. Nobody notices.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::engine::Mood;
use super::house::{Build, House, SETTLED_WITHIN};
use super::{testing_build, until};
use crate::harness::checker::{self, Creation};
use crate::harness::http::Client;
use crate::harness::journal::What;
use crate::harness::load::{Load, Told};
use crate::harness::{api, seed};

/// How long a node serves after it has said that it is not ready.
const DRAIN_SECONDS: u32 = 3;
/// Answers between two steps: old and new work side by side meanwhile.
const ANSWERS: u64 = 400;
const STEPS: &str = "SELECT count(*) FROM __diesel_schema_migrations WHERE version LIKE '2099%'";

/// Replaces one node after the other by what the house builds now, under load.
fn replace_all(house: &mut House, load: &Load) {
    for node in 0..2 {
        house.nodes[node].ask_to_end();
        // As a balancer does: whoever is not ready gets no new connection.
        let inside = house.nodes[node].internal();
        until("a node that is not ready", || {
            let ready = Client::new(inside).get("/ges/v1/health/ready").ok()?;
            (ready.status == 503).then_some(())
        });
        house.balance(|it| it != node);
        assert!(house.nodes[node].wait_for_end().success());
        let options = house.options(node).with("GES_DRAIN_SECONDS", DRAIN_SECONDS);
        house.nodes[node].respawn_as(options);
        house.all_ready();
        assert_eq!(house.query(STEPS), ["1"], "the first new node changes the schema, and nobody changes it back");
        load.wait_for_answers(ANSWERS);
    }
}

/// There, and back: the step only adds, so the version before can be gone back to.
#[test]
fn nodes_are_replaced_by_the_next_version_one_by_one_and_back_and_nobody_notices() {
    let program = testing_build::program();
    let seed = seed();
    let mut house = House::start(2, Build::default());
    for node in 0..2 {
        let options = house.options(node).with("GES_DRAIN_SECONDS", DRAIN_SECONDS);
        house.nodes[node].sigterm();
        house.nodes[node].respawn_as(options);
    }
    house.all_ready();
    let load = Load::start(4, seed);
    load.up(house.outside.address());
    load.wait_for_answers(ANSWERS);
    assert_eq!(house.query(STEPS), ["0"]);
    for build in [Build::of(program, None), Build::default()] {
        house.build = build;
        replace_all(&mut house, &load);
    }
    let told = load.stop();
    println!("{} creates confirmed, {} busy, {} lost ({})", told.creations.len(), told.busy, told.lost, told.last_loss);
    if told.busy > 0 {
        house.print_warnings();
    }
    assert_eq!((told.busy, told.lost, &told.server_errors), (0, 0, &Vec::<String>::new()), "{}", told.last_loss);
    assert!(told.creations.len() > 200, "{}", told.creations.len());
    let facts = house.judge(told, SETTLED_WITHIN);
    checker::assert_kept(&facts);
    house.assert_no_panic();
}

/// Books at the first node.
fn book(house: &mut House, key: &str, at: Option<chrono::DateTime<Utc>>) -> Uuid {
    let mut client = api::client(house.nodes[0].external());
    let answer = api::create(&mut client, Some(key), &api::booking("+14165552000", at)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = api::id_of(&answer).unwrap();
    house.facts.creations.push(Creation { id, key: Some(key.to_owned()) });
    id
}

/// A node with many sessions that wait for the engine is asked to end while callbacks of its fall due. The other one
/// begins those on time, owns the others when the node is gone, and sees all of them through.
#[test]
fn a_node_that_ends_leaves_its_sessions_to_the_other() {
    /// As many as may wait for it at once, and some room.
    const SESSIONS: usize = 150;
    const DUE: usize = 30;
    const CANCELLED: usize = 20;
    /// Longer than anything that is late for another reason.
    const SERVES_ON: Duration = Duration::from_secs(10);
    let mut house = House::start(2, Build::default());
    let options = house.options(0).with("GES_DRAIN_SECONDS", SERVES_ON.as_secs());
    house.nodes[0].sigterm();
    house.nodes[0].respawn_as(options);
    house.all_ready();
    house.engine.be(Mood::Rests);
    let sessions: Vec<Uuid> =
        (0..SESSIONS).map(|number| book(&mut house, &format!("drained-{number}"), None)).collect();
    let entered = |house: &House, id: Uuid| {
        let journal = house.engine.journal();
        journal.iter().find(|it| it.callback == id && it.event == What::Entered).map(|it| it.at)
    };
    until("every session waits for the engine", || {
        sessions.iter().all(|id| entered(&house, *id).is_some()).then_some(())
    });
    let owned_by = |name: &str| {
        format!(
            "SELECT count(*) FROM callbacks WHERE wake_at IS NOT NULL
            AND owner = (SELECT incarnation FROM nodes WHERE name = '{name}')"
        )
    };
    let soon = Utc::now() + TimeDelta::seconds(3);
    let due: Vec<_> = (0..DUE)
        .map(|number| {
            let at = soon + TimeDelta::milliseconds(300 * number as i64);
            (book(&mut house, &format!("due-{number}"), Some(at)), at.timestamp_millis())
        })
        .collect();
    assert_eq!(house.query(&owned_by("node-0")), [(SESSIONS + DUE).to_string()]);

    house.balance(|node| node == 1);
    let began = Instant::now();
    house.nodes[0].ask_to_end();
    let mut late: Vec<i64> = due
        .iter()
        .map(|(id, at)| until("a callback that fell due is with the engine", || entered(&house, *id)) - at)
        .collect();
    late.sort_unstable();
    println!("{DUE} callbacks fell due: lateness in the middle {} ms, longest {} ms", late[DUE / 2], late[DUE - 1]);
    assert!(late[DUE / 2] < 2_000, "{late:?}");
    assert!(late[DUE - 1] < SERVES_ON.as_millis() as i64 / 2, "nobody waits until the node is gone: {late:?}");
    assert!(house.nodes[0].wait_for_end().success());
    println!("{SESSIONS} sessions, ended after {:?}", began.elapsed());
    assert_eq!(house.query(&owned_by("node-1")), [(SESSIONS + DUE).to_string()], "it has handed them over");

    let mut client = api::client(house.nodes[1].external());
    let cancelled = Instant::now();
    for id in &sessions[..CANCELLED] {
        let answer = api::cancel(&mut client, *id).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        house.facts.cancellations.push(*id);
    }
    let of = |what: What, ids: &[Uuid]| {
        let journal = house.engine.journal();
        ids.iter().filter(|id| journal.iter().any(|it| it.event == what && it.callback == **id)).count()
    };
    until("the engine is told of the cancels", || {
        (of(What::Closed, &sessions[..CANCELLED]) == CANCELLED).then_some(())
    });
    println!("{CANCELLED} cancels were with the engine after {:?}", cancelled.elapsed());
    let signalled = Instant::now();
    house.engine.be(Mood::Serves);
    let left = &sessions[CANCELLED..];
    until("the engine's sessions are let in", || (of(What::Accepted, left) == left.len()).then_some(()));
    println!("{} sessions of the engine were let in after {:?}", left.len(), signalled.elapsed());
    let facts = house.judge(Told::default(), SETTLED_WITHIN);
    println!("all seen through after {:?}", began.elapsed());
    checker::assert_kept(&facts);
    let connected = facts.rows.values().filter(|row| row.reason.as_deref() == Some("AGENT_CONNECTED")).count();
    assert_eq!(connected, SESSIONS + DUE - CANCELLED);
}
