//! What the service asks of its own Redis, by the server's own count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::SOON;
use super::pair::Pair;
use crate::harness::stand_in::StandIn;
use crate::harness::{api, poll};

/// How long is counted while nothing happens: longer than from one look of a client's actor to the next.
const IDLE: Duration = Duration::from_secs(20);
/// Callbacks for now.
const NOW: usize = 100;
/// Callbacks for later.
const LATER: usize = 300;

/// Commands of clients; the test's own question is not counted.
fn commands(calls: &BTreeMap<String, u64>) -> u64 {
    calls.iter().filter(|(name, _)| *name != "info" && *name != "dbsize").map(|(_, calls)| calls).sum()
}

fn asked(pair: &Pair) -> u64 {
    commands(&pair.own().calls())
}

fn count_for(pair: &Pair, time: Duration) -> (u64, f64) {
    let (before, began) = (asked(pair), Instant::now());
    let _: Option<()> = poll::try_until(time, || None);
    (asked(pair) - before, began.elapsed().as_secs_f64())
}

#[test]
fn redis_is_asked_seldom() {
    let pair = Pair::with_redis();
    let (idle, seconds) = count_for(&pair, IDLE);
    println!("idle: {idle} commands of two nodes in {seconds:.1} s, {:.2} per second", idle as f64 / seconds);
    assert!(idle as f64 <= 2.0 * seconds, "at most one per second and node");

    for number in 0..LATER {
        let at = Utc::now() + TimeDelta::hours(2) + TimeDelta::minutes(number as i64 % 600);
        let body = api::booking(&format!("+1416556{number:04}"), Some(at));
        assert_eq!(api::create(&mut pair.client(number % 2), None, &body).unwrap().status, 200);
    }
    let (waiting, seconds) = count_for(&pair, IDLE);
    println!("{LATER} scheduled callbacks wait: {waiting} commands in {seconds:.1} s");
    assert!(waiting as f64 <= 2.0 * seconds, "they ask nothing");
    assert_eq!(pair.own().ask(&["DBSIZE"]).number(), 0, "and hold nothing");

    // The engine's signals go to either node in turn.
    let engine = StandIn::start(&pair.voice, 20, 10);
    let (before, began) = (asked(&pair), Instant::now());
    let ids: Vec<Uuid> = (0..NOW)
        .map(|number| {
            let body = api::booking(&format!("+1416555{:04}", 2_000 + number), None);
            let answer = api::create(&mut pair.client(number % 2), None, &body).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            api::id_of(&answer).unwrap()
        })
        .collect();
    let mut open = pair.client(0);
    for id in ids {
        poll::until("the end of a callback", SOON, || {
            let data = api::retrieve(&mut open, id).ok()?.json()["data"].clone();
            (data["callbackState"] == "COMPLETED").then_some(())
        });
    }
    let (taken, seconds) = (asked(&pair) - before, began.elapsed().as_secs_f64());
    println!("{NOW} immediate callbacks in {seconds:.1} s: {taken} commands, {:.2} each", taken as f64 / NOW as f64);
    assert!(taken <= 6 * NOW as u64, "at most six each");
    assert!(taken as f64 <= 2.0 * 125.0 * (1.0 + seconds / 60.0), "whatever happens, few in a minute");
    assert_eq!(pair.own().ask(&["DBSIZE"]).number(), 0);
    assert!(!engine.everything_written().contains("panicked"));
}
