//! The service's own Redis is emptied, stopped and started empty while callbacks are booked: nobody who books notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};

use super::pair::Pair;
use crate::harness::http::Client;
use crate::harness::stand_in::StandIn;
use crate::harness::{api, poll};

/// Clients that book.
const CLIENTS: usize = 8;
/// Pause of a client between two bookings: a steady load, not the most there can be.
const PAUSE: Duration = Duration::from_millis(20);
/// Length of a phase, and how long Redis stays away, for each run of `TEST_RUNS`: one in `make test`, twelve are a minute.
const RUN: Duration = Duration::from_secs(5);

/// What became of the bookings of one phase.
#[derive(Default)]
struct Phase {
    took: Vec<Duration>,
    refused: Vec<String>,
}

/// In which phase, how long it took, and what came of it.
type Booked = (usize, Duration, Result<(), String>);

/// Clients that book until they are told to stop, and note in which phase.
struct Bookers {
    phase: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Booked>>>,
}

impl Bookers {
    fn start(pair: &Pair) -> Self {
        let (phase, stop): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let one = |number: usize| {
            let mut client = pair.client(number % 2);
            let (phase, stop) = (phase.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut booked = Vec::new();
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let phase = phase.load(Ordering::Relaxed);
                    let began = Instant::now();
                    let result = book(&mut client, number, round);
                    booked.push((phase, began.elapsed(), result));
                    std::thread::park_timeout(PAUSE);
                }
                booked
            })
        };
        let clients = (0..CLIENTS).map(one).collect();
        Self { phase, stop, clients }
    }

    fn next(&self) {
        self.phase.fetch_add(1, Ordering::Relaxed);
    }

    fn end(self, phases: usize) -> Vec<Phase> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all: Vec<Phase> = (0..phases).map(|_| Phase::default()).collect();
        for client in self.clients {
            for (phase, took, result) in client.join().unwrap() {
                all[phase].took.push(took);
                all[phase].refused.extend(result.err());
            }
        }
        all
    }
}

/// One for now among three for later, over so many days that no slot fills up.
fn book(client: &mut Client, number: usize, round: usize) -> Result<(), String> {
    let later = (!round.is_multiple_of(4)).then(|| Utc::now() + TimeDelta::minutes(30 + (round * 7 % 18_000) as i64));
    let body = api::booking(&format!("+1416555{:04}", 2_000 + (number * 977 + round) % 7_000), later);
    match api::create(client, None, &body) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.text()),
        Err(lost) => Err(lost.to_string()),
    }
}

fn pass(time: Duration) {
    let _: Option<()> = poll::try_until(time, || None);
}

#[test]
fn whoever_books_does_not_notice_that_redis_is_lost() {
    let runs: u32 = std::env::var("TEST_RUNS").map_or(1, |text| text.parse().expect("TEST_RUNS is a number"));
    let length = RUN * runs.clamp(1, 12);
    let mut pair = Pair::with_redis();
    let engine = StandIn::start(&pair.voice, 50, 200);
    let bookers = Bookers::start(&pair);
    pass(length);
    bookers.next();
    pair.own().ask(&["FLUSHALL"]);
    pass(length);
    bookers.next();
    if let Some(redis) = &mut pair.own {
        redis.kill9();
    }
    pass(length);
    bookers.next();
    if let Some(redis) = &mut pair.own {
        redis.restart();
    }
    pass(length);
    let phases = bookers.end(4);
    let names = ["before", "emptied", "away", "back, empty"];
    println!(
        "creates while Redis is lost, each phase {} s\n| phase | creates | refused | p50 | p99 |",
        length.as_secs()
    );
    for (name, phase) in names.iter().zip(&phases) {
        let mut took = phase.took.clone();
        took.sort();
        let of = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
        println!("| {name} | {} | {} | {:.1} ms | {:.1} ms |", took.len(), phase.refused.len(), of(50), of(99));
    }
    for (name, phase) in names.iter().zip(&phases) {
        assert!(phase.took.len() >= 2 * CLIENTS, "{name}: too little happened");
        assert_eq!(phase.refused, Vec::<String>::new(), "{name}");
    }
    for node in 0..2 {
        pair.until_dependency(node, "redis", "UP");
        assert!(!pair.nodes[node].everything_written().contains("panicked"));
    }
    assert!(!engine.everything_written().contains("panicked"));
}
