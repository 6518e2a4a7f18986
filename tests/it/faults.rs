//! The fault suite: three nodes on one PostgreSQL, a scripted engine behind a stream, load through balancers; everything
//! that can fail does, in an order that a printed seed makes; then the checkers judge what was written down. Nothing may
//! be lost, doubled, early or oversold, and at the end every node has to serve as on the first day.

mod clients;
mod engine;
mod house;
mod proof;
mod strike;
mod testing_build;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

use crate::harness::checker::{self, Facts, Violation};
use crate::harness::journal::What;
use crate::harness::load::Load;
use crate::harness::{api, poll, seed};
use clients::Clients;
use house::{Build, House, SETTLED_WITHIN, SOON};
use strike::Fault;

const NODES: usize = 3;
/// Of the usual load.
const CLIENTS: u64 = 4;

/// Faults of the short run, of which none makes an engine forget what it has been given: that takes minutes to mend.
const SHORT: [Fault; 8] = [
    Fault::NodeKilled,
    Fault::NodeFrozen,
    Fault::FrozenInTransaction,
    Fault::DatabaseKilled,
    Fault::DatabaseFailedOver,
    Fault::DatabaseDeaf,
    Fault::VoiceDeaf,
    Fault::NodesKilled,
];

#[test]
fn whatever_fails_nothing_is_lost_doubled_early_or_oversold() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut faults = match std::env::var("TEST_RUNS") {
        // Every kind once, and then whatever comes.
        Ok(runs) => {
            let runs: usize = runs.parse().expect("TEST_RUNS is a number");
            let more = (Fault::ALL.len()..runs).map(|_| *Fault::ALL.choose(&mut dice).unwrap());
            Fault::ALL.into_iter().chain(more.collect::<Vec<_>>()).collect::<Vec<_>>()
        }
        Err(_) => SHORT.to_vec(),
    };
    faults.shuffle(&mut dice);
    run(seed, &faults, &mut dice);
}

fn run(seed: u64, faults: &[Fault], dice: &mut StdRng) {
    let mut house = House::start(NODES, Build::default());
    let load = Load::start(CLIENTS, seed);
    let clients = Clients::start(house.outside.address(), house.inside.address(), seed);
    load.up(house.outside.address());
    load.wait_for_answers(200);
    let mut recovered: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for (number, fault) in faults.iter().enumerate() {
        // Printed as they come: a run that fails half-way tells how far it was.
        println!("{} {number} {fault:?}", crate::harness::now_ms());
        load.wait_for_answers(dice.random_range(20..200));
        house.strike(*fault, &load, dice);
        let began = Instant::now();
        house.all_ready();
        let id = house.book(&format!("probe-{number}"), "+14165552000", None);
        let reason = house.ended(id, SETTLED_WITHIN);
        assert_eq!(reason.as_deref(), Some("AGENT_CONNECTED"), "after {fault:?}: {}", house.told_of(id));
        recovered.entry(*fault).or_default().push(began.elapsed());
    }
    house.all_ready();
    let mut told = load.stop();
    clients.stop(&mut house.facts);
    let server_errors = std::mem::take(&mut told.server_errors);
    let facts = house.judge(told, SETTLED_WITHIN);
    let violations = checker::check(&facts);
    print_table(&facts, &violations, &recovered);
    clean_tail(&house);
    assert_eq!(server_errors, Vec::<String>::new());
    house.assert_no_panic();
    assert_not_idle(&facts);
    checker::assert_kept(&facts);
}

/// Every node serves without an error, so that a run in which everything failed cannot pass.
fn clean_tail(house: &House) {
    for node in &house.nodes {
        let mut client = api::client(node.external());
        for _ in 0..20 {
            let answer = api::create(&mut client, None, &api::booking("+14165559999", None)).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let id = api::id_of(&answer).unwrap();
            assert_eq!(house.ended(id, SOON).as_deref(), Some("AGENT_CONNECTED"), "{}", house.told_of(id));
        }
    }
}

/// A run in which nothing happened proves nothing.
fn assert_not_idle(facts: &Facts) {
    assert!(facts.creations.len() >= 300, "only {} creates were confirmed", facts.creations.len());
    assert!(facts.cancellations.len() >= 10, "only {} cancels were confirmed", facts.cancellations.len());
    assert!(facts.sightings.len() >= 50, "only {} retrieves were answered", facts.sightings.len());
    assert!(facts.erased.len() >= 3, "only {} numbers were erased", facts.erased.len());
    assert!(facts.strangers.len() >= 10, "only {} strangers came", facts.strangers.len());
    assert!(!facts.capacities.is_empty(), "nobody wanted a place");
}

fn print_table(facts: &Facts, violations: &[Violation], recovered: &BTreeMap<Fault, Vec<Duration>>) {
    let of = |names: &[&str]| violations.iter().filter(|it| names.contains(&it.invariant)).count();
    let lost = of(&["accepted is kept", "a cancel that was confirmed is kept", "nothing rests"]);
    let doubled = of(&[
        "one hand-over per attempt",
        "one session per attempt",
        "no attempt beside another",
        "nobody is called again after talking",
        "same key, same booking",
    ]);
    let ids: BTreeSet<_> = facts.creations.iter().map(|it| it.id).collect();
    println!(
        "accepted {} | lost {lost} | doubled {doubled} | early {} | oversold {} | all breaches {}",
        ids.len(),
        of(&["never early"]),
        of(&["no slot is oversold", "no place is lost or doubled"]),
        violations.len()
    );
    let late = lateness(facts);
    let at = |share: usize| late.get((late.len() * share / 1000).min(late.len().saturating_sub(1))).unwrap_or(&0);
    println!(
        "lateness of {} starts, faults included: p50 {} ms, p90 {} ms, p99 {} ms, longest {} ms",
        late.len(),
        at(500),
        at(900),
        at(990),
        at(1000)
    );
    let highest = facts.rows.values().map(|row| row.attempt).max().unwrap_or_default();
    println!(
        "rows {}, highest attempt {highest}, erased {}, strangers {}",
        facts.rows.len(),
        facts.erased.len(),
        facts.strangers.len()
    );
    println!("{:<22} times  seconds until all was well again", "fault");
    for (fault, times) in recovered {
        let longest = times.iter().max().map_or(0.0, Duration::as_secs_f64);
        let mean = times.iter().map(Duration::as_secs_f64).sum::<f64>() / times.len() as f64;
        println!("{:<22} {:>5}  mean {mean:.1}, longest {longest:.1}", format!("{fault:?}"), times.len());
    }
}

/// By how much first attempts entered after their start instants, in milliseconds, sorted.
fn lateness(facts: &Facts) -> Vec<i64> {
    let mut first: BTreeMap<_, i64> = BTreeMap::new();
    for entry in facts.journal.iter().filter(|it| it.event == What::Entered) {
        first.entry(entry.callback).or_insert(entry.at);
    }
    let late = first.iter().filter_map(|(id, at)| Some(at - facts.rows.get(id)?.start_at));
    let mut late: Vec<i64> = late.collect();
    late.sort_unstable();
    late
}

/// Waits for a state that has to come.
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll::until(what, SOON, look)
}
