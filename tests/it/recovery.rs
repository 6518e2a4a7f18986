//! The crash test: the program is killed again and again at random moments while clients book, cancel and
//! look. Afterwards nothing that was confirmed may be missing, and nobody may have been called twice.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::checker::{self, Facts};
use crate::harness::load::{Load, Told};
use crate::harness::service::{Options, Service};
use crate::harness::{database, journal, now_ms, poll, seed};

const KILLS: usize = 20;
const CLIENTS: u64 = 6;
/// How long after the last kill everything that has begun must have come to its end. Sessions that were lost
/// are asked after no earlier than a minute after the start.
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

#[test]
fn twenty_kills_lose_nothing_and_call_nobody_twice() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut service = Service::start(Options::fast());
    let load = Load::start(CLIENTS, seed);
    let mut kills = Vec::new();

    for _ in 0..KILLS {
        if dice.random_bool(0.2) {
            // Some kills hit the start itself.
            serve_for(&mut service, &load, Duration::from_millis(dice.random_range(20..400)));
        } else {
            // The others hit the middle of the work. Its amount is counted in answers, so that a slow machine
            // does as much of it as a fast one.
            up_again(&mut service, &load);
            load.wait_for_answers(dice.random_range(10..300));
            serve_for(&mut service, &load, Duration::from_millis(dice.random_range(0..60)));
        }
        service.kill9();
        load.down();
        kills.push(now_ms());
        service.respawn();
    }
    up_again(&mut service, &load);
    let told = load.stop();
    let data = service.folder().data();
    let settled = poll::try_until(SETTLE_WITHIN, || (database::moving(&data) == 0).then_some(()));
    if settled.is_none() {
        println!("{} callbacks still move; the checker says which", database::moving(&data));
    }
    assert!(service.sigterm().success());

    assert_not_idle(&told, &kills);
    assert_eq!(told.server_errors, Vec::<String>::new());
    let panics = service.everything_written().lines().filter(|line| line.contains("panicked")).count();
    assert_eq!(panics, 0, "the program panicked");

    let (entries, torn_lines) = journal::read(&data);
    let mut facts = Facts { kills, journal: entries, torn_lines, ..Facts::default() };
    told.put_into(&mut facts);
    database::read_into(&data, &mut facts);
    print_ends(&facts);
    checker::assert_kept(&facts);
    assert_every_kind_of_end(&facts);
}

fn up_again(service: &mut Service, load: &Load) {
    poll::until("the service after a kill", Duration::from_secs(30), || service.is_ready().then_some(()));
    load.up(service.external());
}

/// Lets the service run for so long, from wherever in its start it is.
fn serve_for(service: &mut Service, load: &Load, time: Duration) {
    let deadline = Instant::now() + time;
    let mut up = false;
    let over = poll::try_until(time + Duration::from_secs(1), || {
        if !up && service.is_ready() {
            load.up(service.external());
            up = true;
        }
        (Instant::now() >= deadline).then_some(())
    });
    assert!(over.is_some());
}

/// A run in which nothing happened proves nothing.
fn assert_not_idle(told: &Told, kills: &[i64]) {
    println!(
        "{} kills, {} creates confirmed, {} cancels confirmed, {} retrieves, {} answers lost, {} creates repeated",
        kills.len(),
        told.creations.len(),
        told.cancellations.len(),
        told.sightings.len(),
        told.lost,
        told.repeated
    );
    assert_eq!(kills.len(), KILLS);
    assert!(told.creations.len() >= 300, "only {} creates were confirmed", told.creations.len());
    assert!(told.cancellations.len() >= 10, "only {} cancels were confirmed", told.cancellations.len());
    assert!(told.sightings.len() >= 100, "only {} retrieves were answered", told.sightings.len());
    assert!(told.lost >= 5, "only {} answers were lost: the kills hit nothing", told.lost);
}

fn print_ends(facts: &Facts) {
    let mut ends: std::collections::BTreeMap<(&str, Option<&str>), usize> = std::collections::BTreeMap::new();
    for row in facts.rows.values() {
        *ends.entry((row.state, row.reason.as_deref())).or_default() += 1;
    }
    println!("{} rows, {} journal entries, ends {ends:?}", facts.rows.len(), facts.journal.len());
}

fn assert_every_kind_of_end(facts: &Facts) {
    let ended = |reason: &str| facts.rows.values().filter(|row| row.reason.as_deref() == Some(reason)).count();
    for reason in ["AGENT_CONNECTED", "CANCELLED", "FAIL_CALL_TO_CUSTOMER", "SUBMIT_FAILED"] {
        assert!(ended(reason) > 0, "no callback ended as {reason}");
    }
    assert!(facts.rows.values().any(|row| row.state == "SCHEDULED"), "no callback waits for its time");
    assert!(!facts.slots.is_empty(), "no slot was used");
}
