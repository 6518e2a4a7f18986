//! What whole nodes tell each other: with a Redis of their own at once, without one by what the database says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::SOON;
use super::pair::{Pair, median};
use crate::harness::{api, poll};

/// A refusal is followed by another attempt after a second. Whoever has to find it out by himself waits for 30 s.
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// Cancels whose way is timed.
const TIMED: usize = 9;

const WAITS: &str = "/engagement/v3/estimated-wait-time?virtual-queues=support&mode=mode3";

fn wait_of(pair: &Pair, node: usize) -> Value {
    pair.client(node).get(WAITS).unwrap().json()["data"][0].clone()
}

#[test]
fn what_one_node_is_told_every_node_answers() {
    let pair = Pair::with_redis();
    let id = pair.started(0, 2_000);
    pair.report(0, id, 1, "accepted", Value::Null);
    pair.report(0, id, 2, "queued", Value::Null);
    assert_eq!(pair.position(1, id), -1);
    pair.report(0, id, 0, "position", json!({"position": 7, "estimatedWaitTime": 70}));
    assert_eq!(pair.position(0, id), 7);
    pair.until_position(1, id, 7);
    // Told to the other node, the owner knows.
    pair.report(1, id, 0, "position", json!({"position": 3, "estimatedWaitTime": 30}));
    assert_eq!(pair.position(1, id), 3);
    pair.until_position(0, id, 3);

    assert_eq!(wait_of(&pair, 1)["resultCode"], -1);
    let report = json!({"queues": [{"queue": "support", "agents": 2, "waiting": 3, "expectedWaitSeconds": 42}]});
    let answer = pair.internal(0).post_json("/ges/v1/queues/reports", &[], &report.to_string()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    poll::until("the other node knows the wait", SOON, || (wait_of(&pair, 1)["resultCode"] == 0).then_some(()));
    assert_eq!(wait_of(&pair, 1), wait_of(&pair, 0));
    assert_eq!(pair.own().ask(&["DBSIZE"]).number(), 0, "nothing of it is kept in Redis");
    assert!(pair.metric(1, r#"ges_bus_messages_total{end="received"}"#) >= 2.0);
    assert!(pair.metric(0, r#"ges_bus_messages_total{end="sent"}"#) >= 2.0);
}

#[test]
fn without_redis_only_who_was_told_answers() {
    let pair = Pair::without_redis();
    let id = pair.started(0, 2_000);
    pair.report(0, id, 1, "accepted", Value::Null);
    pair.report(0, id, 2, "queued", Value::Null);
    pair.report(0, id, 0, "position", json!({"position": 7, "estimatedWaitTime": 70}));
    assert_eq!((pair.position(0, id), pair.position(1, id)), (7, -1));
    assert_eq!(pair.health(0)["status"], "UP", "what is not wanted is not missed");
    assert_eq!(pair.dependency(0, "redis"), Value::Null);
}

/// Cancels through the other node; how long it takes until the owner has told the engine.
fn cancelled(pair: &Pair, number: usize) -> Duration {
    let id = pair.started(0, number);
    pair.report(0, id, 1, "accepted", Value::Null);
    let began = Instant::now();
    assert_eq!(api::cancel(&mut pair.client(1), id).unwrap().status, 200);
    pair.until_entered(id, "cancel", 1);
    began.elapsed()
}

#[test]
fn what_is_written_beside_the_owner_is_acted_upon_sooner_than_its_sweep() {
    let (told, apart) = (Pair::with_redis(), Pair::without_redis());
    let numbers = || (0..TIMED).map(|number| 2_000 + number);
    let with = median(numbers().map(|number| cancelled(&told, number)).collect());
    let without = median(numbers().map(|number| cancelled(&apart, number)).collect());
    println!("a cancel on the other node reaches the engine in {with:?}, without Redis in {without:?} (medians)");
    assert!(with < without, "{with:?} and {without:?}");

    let refused = |pair: &Pair| -> Uuid {
        let id = pair.started(0, 2_100);
        pair.report(1, id, 1, "failed", Value::Null);
        id
    };
    let (id, began) = (refused(&told), Instant::now());
    told.until_entered(id, "start", 2);
    println!("a refusal that the other node heard is followed by the next attempt after {:?}", began.elapsed());
    assert!(began.elapsed() < TOLD_WITHIN, "{:?}", began.elapsed());
}

#[test]
fn a_key_that_is_revoked_stops_working_on_the_other_node() {
    let pair = Pair::with_redis();
    let mut caller = pair.client(1);
    let mut works = || api::retrieve(&mut caller, Uuid::nil()).unwrap().status != 401;
    assert!(works());
    let mut office = pair.internal(0);
    let mut document = office.get("/ges/v1/tenant").unwrap().json();
    document["keys"] = json!({});
    let heard = pair.metric(1, r#"ges_bus_messages_total{end="received"}"#);
    let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
    let put = office.request("PUT", "/ges/v1/tenant", &headers, document.to_string().as_bytes()).unwrap();
    assert_eq!(put.status, 200, "{}", put.text());
    let began = Instant::now();
    poll::until("the key is refused", SOON, || (!works()).then_some(()));
    println!("a key revoked on one node was refused by the other after {:?}", began.elapsed());
    poll::until("the other node was told", SOON, || {
        (pair.metric(1, r#"ges_bus_messages_total{end="received"}"#) > heard).then_some(())
    });
}

#[test]
fn without_its_redis_a_node_says_what_is_reduced_and_goes_on() {
    let mut pair = Pair::with_redis();
    let id = pair.started(0, 2_000);
    pair.report(0, id, 1, "accepted", Value::Null);
    if let Some(redis) = &mut pair.own {
        redis.kill9();
    }
    for node in 0..2 {
        pair.until_dependency(node, "redis", "DOWN");
        let health = pair.health(node);
        assert_eq!(health["status"], "DEGRADED");
        let reason = pair.dependency(node, "redis")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("until it is back") && reason.contains("positions"), "{reason}");
        assert_eq!(pair.internal(node).get("/ges/v1/health/ready").unwrap().status, 200);
        assert_eq!(pair.metric(node, "REDIS_CONNECTION"), 1.0);
        assert_eq!(pair.metric(node, "GES_HEALTH"), 0.0);
    }
    // Bookings, signals and cancels go on, on either node.
    pair.report(1, id, 2, "queued", Value::Null);
    let other = pair.started(1, 2_001);
    for (node, id) in [(1, id), (0, other)] {
        assert_eq!(api::cancel(&mut pair.client(node), id).unwrap().status, 200);
        pair.until_entered(id, "cancel", 1);
    }
    if let Some(redis) = &mut pair.own {
        redis.restart();
    }
    for node in 0..2 {
        pair.until_dependency(node, "redis", "UP");
        assert_eq!(pair.metric(node, "REDIS_CONNECTION"), 0.0);
    }
    let id = pair.started(0, 2_002);
    pair.report(0, id, 1, "accepted", Value::Null);
    pair.report(0, id, 0, "position", json!({"position": 5, "estimatedWaitTime": 50}));
    pair.until_position(1, id, 5);
    for node in &pair.nodes {
        assert!(!node.everything_written().contains("panicked"));
    }
}
