//! The last place goes once: far more clients than places, all at once, and the program killed under them.

mod clients;
mod mixed;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use clients::{Clients, Line, REQUESTS};

use crate::harness::checker::{self, Creation, Facts};
use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, database, journal, poll, seed};

/// Runs unless `TEST_RUNS` says otherwise; `make faults` makes fifty.
const RUNS: u32 = 5;
/// Places of a slot of the demo queue.
const PLACES: usize = 100;
/// How many requests are done since the last kill when the next comes: one while places are being taken,
/// the others wherever they hit.
const KILLS: [std::ops::Range<u64>; 3] = [5..95, 20..400, 100..3_000];

fn runs(usual: u32) -> u32 {
    std::env::var("TEST_RUNS").map_or(usual, |text| text.parse().expect("TEST_RUNS is a number"))
}

#[test]
fn ten_thousand_requests_for_a_hundred_places_get_a_hundred() {
    let mut dice = StdRng::seed_from_u64(seed());
    let mut service = Service::start(Options::default());
    let mut facts = Facts::default();
    for run in 0..runs(RUNS) {
        let began = Instant::now();
        // A slot of its own for each run, between two and three days ahead.
        let slot = next_slot(Utc::now() + TimeDelta::days(2)) + TimeDelta::minutes(i64::from(run % 200) * 5);
        let clients = Clients::start(move |line| Worker { run, slot, line, told: Told::default() }.run());
        clients.up(&service);
        for after in KILLS {
            clients.wait_for(dice.random_range(after));
            service.kill9();
            clients.down();
            service.respawn();
            poll::until("the service after a kill", Duration::from_secs(30), || service.is_ready().then_some(()));
            clients.up(&service);
        }
        let mut told = Told::default();
        clients.join().into_iter().for_each(|one| told.add(one));
        let ids: BTreeSet<Uuid> = told.booked.iter().map(|creation| creation.id).collect();
        println!(
            "run {run}: {} booked, {} full, {} answers lost, {} replayed, {:?}",
            told.booked.len(),
            told.full,
            told.lost,
            told.replayed,
            began.elapsed()
        );
        assert_eq!((told.booked.len(), ids.len()), (PLACES, PLACES), "each place went once");
        assert_eq!(told.full, REQUESTS - PLACES as u64);
        facts.creations.extend(told.booked);
        let mut stored = Facts::default();
        database::read_into(&service.folder().data(), &mut stored);
        let in_slot = stored.rows.iter().filter(|(_, row)| row.slot == Some(slot.timestamp_millis()));
        assert_eq!(in_slot.map(|(id, _)| *id).collect::<BTreeSet<_>>(), ids, "what is stored is what was confirmed");
        if run == 0 {
            cancelled_places_come_back(&service, slot, &ids, &mut facts);
        }
    }
    assert!(service.sigterm().success());
    let data = service.folder().data();
    (facts.journal, facts.torn_lines) = journal::read(&data);
    database::read_into(&data, &mut facts);
    checker::assert_kept(&facts);
}

/// The slots of the demo queue are five minutes long.
fn next_slot(at: DateTime<Utc>) -> DateTime<Utc> {
    let start = at.timestamp() - at.timestamp().rem_euclid(300) + 300;
    DateTime::from_timestamp(start, 0).unwrap()
}

/// Seven cancel, and of many who want a place then, seven get one.
fn cancelled_places_come_back(service: &Service, slot: DateTime<Utc>, ids: &BTreeSet<Uuid>, facts: &mut Facts) {
    let mut client = api::client(service.external());
    for id in ids.iter().take(7) {
        assert_eq!(api::cancel(&mut client, *id).unwrap().status, 200);
        facts.cancellations.push(*id);
    }
    let answers = (0..30).map(|_| api::create(&mut client, None, &api::booking("+14165550199", Some(slot))).unwrap());
    let booked: Vec<_> = answers.filter(|answer| answer.status == 200).collect();
    assert_eq!(booked.len(), 7);
    facts.creations.extend(booked.iter().map(|answer| Creation { id: api::id_of(answer).unwrap(), key: None }));
}

#[derive(Default)]
struct Told {
    booked: Vec<Creation>,
    full: u64,
    lost: u64,
    replayed: u64,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.booked.extend(other.booked);
        self.full += other.full;
        self.lost += other.lost;
        self.replayed += other.replayed;
    }
}

/// A client that takes the next request and repeats it, under its key, until it has an answer.
struct Worker {
    run: u32,
    slot: DateTime<Utc>,
    line: Line,
    told: Told,
}

impl Worker {
    fn run(mut self) -> Told {
        let mut client = Line::client();
        while let Some(number) = self.line.take() {
            let key = format!("run-{}-request-{number}", self.run);
            let body = api::booking(&format!("+1416555{:04}", number % 10_000), Some(self.slot));
            let create = |client: &mut Client| api::create(client, Some(&key), &body);
            let Some(answer) = self.line.ask(&mut client, &mut self.told.lost, create) else { break };
            self.hear(&answer, key);
            self.line.done();
        }
        self.told
    }

    fn hear(&mut self, answer: &Answer, key: String) {
        if answer.status == 200 {
            self.told.replayed += u64::from(answer.header("idempotency-status") == Some("replayed"));
            let id = api::id_of(answer).expect("a confirmed create names the callback");
            self.told.booked.push(Creation { id, key: Some(key) });
        } else {
            assert_eq!((answer.status, answer.code()), (429, Some(7043)), "{}", answer.text());
            self.told.full += 1;
        }
    }
}
