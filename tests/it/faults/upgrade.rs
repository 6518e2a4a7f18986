//! A rolling upgrade: one node after the other is replaced by the next version, which changes the schema, while clients
//! go on. Nobody notices.

use std::time::Instant;

use super::engine::Mood;
use super::house::{Build, House, SETTLED_WITHIN};
use super::{testing_build, until};
use crate::harness::checker::{self, Creation};
use crate::harness::http::Client;
use crate::harness::load::{Load, Told};
use crate::harness::{api, seed};

/// How long a node serves after it has said that it is not ready.
const DRAIN_SECONDS: u32 = 3;
/// Answers between two steps: old and new work side by side meanwhile.
const ANSWERS: u64 = 400;
const STEPS: &str = "SELECT count(*) FROM __diesel_schema_migrations WHERE version LIKE '2099%'";

#[test]
fn nodes_are_replaced_by_the_next_version_one_by_one_and_nobody_notices() {
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
    house.build = Build::of(program, None);
    for node in 0..2 {
        assert_eq!(house.query(STEPS), [node.min(1).to_string()], "the first new node changes the schema");
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
        load.wait_for_answers(ANSWERS);
    }
    assert_eq!(house.query(STEPS), ["1"]);
    let told = load.stop();
    println!("{} creates confirmed, {} busy, {} lost ({})", told.creations.len(), told.busy, told.lost, told.last_loss);
    assert_eq!((told.busy, told.lost, &told.server_errors), (0, 0, &Vec::<String>::new()), "{}", told.last_loss);
    assert!(told.creations.len() > 200, "{}", told.creations.len());
    let facts = house.judge(told, SETTLED_WITHIN);
    checker::assert_kept(&facts);
    house.assert_no_panic();
}

/// A node with hundreds of sessions that wait for the engine is asked to end: the other one sees them all through.
#[test]
fn a_node_that_ends_leaves_its_sessions_to_the_other() {
    const SESSIONS: usize = 300;
    let mut house = House::start(2, Build::default());
    house.engine.be(Mood::Rests);
    let mut client = api::client(house.nodes[0].external());
    for number in 0..SESSIONS {
        let key = format!("drained-{number}");
        let answer = api::create(&mut client, Some(&key), &api::booking("+14165552000", None)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = api::id_of(&answer).unwrap();
        house.facts.creations.push(Creation { id, key: Some(key) });
    }
    house.balance(|node| node == 1);
    let began = Instant::now();
    assert!(house.nodes[0].sigterm().success());
    println!("{SESSIONS} sessions, ended after {:?}", began.elapsed());
    house.engine.be(Mood::Serves);
    let facts = house.judge(Told::default(), SETTLED_WITHIN);
    println!("all seen through after {:?}", began.elapsed());
    checker::assert_kept(&facts);
    let connected = facts.rows.values().filter(|row| row.reason.as_deref() == Some("AGENT_CONNECTED")).count();
    assert_eq!(connected, SESSIONS);
}
