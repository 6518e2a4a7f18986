//! The last place goes once: far more clients than places, all at once, and the program killed under them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use crate::harness::checker::{self, Creation, Facts};
use crate::harness::load::Address;
use crate::harness::service::{Options, Service};
use crate::harness::{api, database, journal, poll, seed};

/// Runs unless `TEST_RUNS` says otherwise; `make faults` makes fifty.
const RUNS: u32 = 5;
const REQUESTS: u64 = 10_000;
const CONNECTIONS: u64 = 256;
/// Places of a slot of the demo queue.
const PLACES: usize = 100;
/// How many answers the clients have had since the last kill when the next comes: one while places are being taken,
/// the others wherever they hit.
const KILLS: [std::ops::Range<u64>; 3] = [5..95, 20..400, 100..3_000];
/// A run in which somebody has no answer after this long has failed.
const RUN_WITHIN: Duration = Duration::from_secs(240);
/// How long a client waits before it repeats a request that was lost or not taken.
const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn ten_thousand_requests_for_a_hundred_places_get_a_hundred() {
    let runs = std::env::var("TEST_RUNS").map_or(RUNS, |text| text.parse().expect("TEST_RUNS is a number"));
    let mut dice = StdRng::seed_from_u64(seed());
    let mut service = Service::start(Options::default());
    let mut facts = Facts::default();
    for run in 0..runs {
        let began = Instant::now();
        // A slot of its own for each run, between two and three days ahead.
        let slot = next_slot(Utc::now() + TimeDelta::days(2)) + TimeDelta::minutes(i64::from(run % 200) * 5);
        let clients = Clients::start(run, slot);
        clients.up(&service);
        for after in KILLS {
            clients.wait_for_answers(dice.random_range(after));
            service.kill9();
            clients.down();
            service.respawn();
            poll::until("the service after a kill", Duration::from_secs(30), || service.is_ready().then_some(()));
            clients.up(&service);
        }
        let told = clients.join();
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

/// Clients on a connection each. Each takes the next request and repeats it, under its key, until it has an answer.
struct Clients {
    address: Address,
    answers: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Told>>,
}

impl Clients {
    fn start(run: u32, slot: DateTime<Utc>) -> Self {
        let (address, answers, over) = (Address::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let next: Arc<AtomicU64> = Arc::default();
        let start_one = |_| {
            let worker = Worker {
                run,
                slot,
                address: address.clone(),
                next: next.clone(),
                answers: answers.clone(),
                over: over.clone(),
                told: Told::default(),
            };
            thread::spawn(move || worker.run())
        };
        let threads = (0..CONNECTIONS).map(start_one).collect();
        Self { address, answers, over, threads }
    }

    fn up(&self, service: &Service) {
        *self.address.lock().unwrap() = Some(service.external());
    }

    fn down(&self) {
        *self.address.lock().unwrap() = None;
    }

    /// Waits for so many more answers, or for the last of them, closely: a kill is to hit the middle of the work.
    fn wait_for_answers(&self, more: u64) {
        let wanted = (self.answers.load(Ordering::Relaxed) + more).min(REQUESTS);
        let deadline = Instant::now() + RUN_WITHIN;
        while self.answers.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < deadline, "no answers any more");
            thread::park_timeout(Duration::from_micros(200));
        }
    }

    fn join(self) -> Told {
        let answered = poll::try_until(RUN_WITHIN, || (self.answers.load(Ordering::Relaxed) == REQUESTS).then_some(()));
        self.over.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for thread in self.threads {
            let told = thread.join().expect("a client never panics");
            all.booked.extend(told.booked);
            all.full += told.full;
            all.lost += told.lost;
            all.replayed += told.replayed;
        }
        assert!(answered.is_some(), "some requests have no answer");
        all
    }
}

struct Worker {
    run: u32,
    slot: DateTime<Utc>,
    address: Arc<Mutex<Option<std::net::SocketAddr>>>,
    next: Arc<AtomicU64>,
    answers: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    told: Told,
}

impl Worker {
    fn run(mut self) -> Told {
        let mut client = api::client(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return self.told;
            }
            let key = format!("run-{}-request-{number}", self.run);
            let body = api::booking(&format!("+1416555{:04}", number % 10_000), Some(self.slot));
            while !self.over.load(Ordering::Relaxed) {
                let address = *self.address.lock().unwrap();
                if let Some(address) = address {
                    client.turn_to(address);
                    match api::create(&mut client, Some(&key), &body) {
                        Ok(answer) if answer.status < 500 => {
                            self.hear(&answer, key);
                            break;
                        }
                        // Full for the moment: 503.
                        Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                        Err(_) => self.told.lost += 1,
                    }
                }
                thread::park_timeout(PAUSE);
            }
        }
    }

    fn hear(&mut self, answer: &crate::harness::http::Answer, key: String) {
        self.answers.fetch_add(1, Ordering::Relaxed);
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
