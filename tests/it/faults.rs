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
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

use crate::harness::checker::{self, Facts, Violation};
use crate::harness::journal::What;
use crate::harness::load::Load;
use crate::harness::{api, now_ms, poll, seed};
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

/// A fault that was survived.
struct Survived {
    fault: Fault,
    /// From when it struck until a callback was served again, in milliseconds since 1970.
    lasted: RangeInclusive<i64>,
    /// How long that took once the cause was gone.
    recovery: Duration,
}

fn run(seed: u64, faults: &[Fault], dice: &mut StdRng) {
    let mut house = House::start(NODES, Build::default());
    let load = Load::start(CLIENTS, seed);
    let clients = Clients::start(house.outside.address(), house.inside.address(), seed);
    load.up(house.outside.address());
    load.wait_for_answers(200);
    let mut survived = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        // Printed as they come: a run that fails half-way tells how far it was.
        println!("{} {number} {fault:?}", now_ms());
        load.wait_for_answers(dice.random_range(20..200));
        let struck = now_ms();
        house.strike(*fault, &load, dice);
        let began = Instant::now();
        house.all_ready();
        let id = house.book(&format!("probe-{number}"), "+14165552000", None);
        let reason = house.ended(id, SETTLED_WITHIN);
        assert_eq!(reason.as_deref(), Some("AGENT_CONNECTED"), "after {fault:?}: {}", house.told_of(id));
        survived.push(Survived { fault: *fault, lasted: struck..=now_ms(), recovery: began.elapsed() });
    }
    house.all_ready();
    let mut told = load.stop();
    clients.stop(&mut house.facts);
    let server_errors = std::mem::take(&mut told.server_errors);
    let facts = house.judge(told, SETTLED_WITHIN);
    let violations = checker::check(&facts);
    print_table(&facts, &violations, &survived);
    let broken = violations.iter().filter_map(|it| it.what.split(' ').next()?.parse().ok());
    broken.take(5).for_each(|id| println!("{}", house.told_of(id)));
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

fn print_table(facts: &Facts, violations: &[Violation], survived: &[Survived]) {
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
    let [p50, p90, p99, longest] = shares(&late, |_| true);
    println!(
        "lateness of {} starts, faults included: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, longest {longest} ms",
        late.len()
    );
    let [p50, p90, ..] = shares(&late, |due| !survived.iter().any(|it| it.lasted.contains(&due)));
    println!("of those that fell due between faults: p50 {p50} ms, p90 {p90} ms");
    let highest = facts.rows.values().map(|row| row.attempt).max().unwrap_or_default();
    println!(
        "rows {}, highest attempt {highest}, erased {}, strangers {}",
        facts.rows.len(),
        facts.erased.len(),
        facts.strangers.len()
    );
    println!("{:<22} times  seconds until all was well again  lateness in ms of what fell due meanwhile", "fault");
    let mut by_fault: BTreeMap<Fault, Vec<&Survived>> = BTreeMap::new();
    survived.iter().for_each(|it| by_fault.entry(it.fault).or_default().push(it));
    for (fault, of_it) in by_fault {
        let longest = of_it.iter().map(|it| it.recovery).max().unwrap_or_default().as_secs_f64();
        let mean = of_it.iter().map(|it| it.recovery.as_secs_f64()).sum::<f64>() / of_it.len() as f64;
        let [p50, p90, ..] = shares(&late, |due| of_it.iter().any(|it| it.lasted.contains(&due)));
        let (name, times) = (format!("{fault:?}"), of_it.len());
        println!("{name:<22} {times:>5}  mean {mean:>4.1}, longest {longest:>4.1}           p50 {p50}, p90 {p90}");
    }
}

/// When callbacks fell due and by how much later their first attempts entered, in milliseconds.
fn lateness(facts: &Facts) -> Vec<(i64, i64)> {
    let mut first: BTreeMap<_, i64> = BTreeMap::new();
    for entry in facts.journal.iter().filter(|it| it.event == What::Entered) {
        first.entry(entry.callback).or_insert(entry.at);
    }
    let due = |id| facts.rows.get(id).map(|row| row.start_at);
    first.iter().filter_map(|(id, at)| due(id).map(|due| (due, at - due))).collect()
}

/// The median, the 90th and 99th percentile and the longest lateness of what fell due at certain instants.
fn shares(late: &[(i64, i64)], of: impl Fn(i64) -> bool) -> [i64; 4] {
    let mut late: Vec<i64> = late.iter().filter(|(due, _)| of(*due)).map(|(_, late)| *late).collect();
    late.sort_unstable();
    [500, 900, 990, 1000].map(|share| {
        late.get((late.len() * share / 1000).min(late.len().saturating_sub(1))).copied().unwrap_or_default()
    })
}

/// Waits for a state that has to come.
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll::until(what, SOON, look)
}
