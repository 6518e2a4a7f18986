//! Clients that book, cancel and look, keep at it while the service dies under them, and remember what they
//! were told. Like a careful client they repeat a request whose answer was lost, under the same key.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::checker::{Creation, Facts, Sighting};
use super::http::{Answer, Client, Lost};
use super::{api, now_ms, poll};

/// Pause of a client between two requests: the load is to be steady, not the most there can be.
const PAUSE: Duration = Duration::from_millis(4);
/// How long any number of answers that a test waits for may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Where the service is now; nowhere while it is down.
pub(crate) type Address = Arc<Mutex<Option<SocketAddr>>>;

/// What the clients were told, and a few counts that show that the run was not idle.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) creations: Vec<Creation>,
    pub(crate) cancellations: Vec<Uuid>,
    pub(crate) sightings: Vec<Sighting>,
    /// Creates whose answer was lost and which were repeated until they had one.
    pub(crate) repeated: usize,
    /// Requests whose answer was lost.
    pub(crate) lost: usize,
    /// How the last of them was lost.
    pub(crate) last_loss: String,
    /// Honest answers 503.
    pub(crate) busy: usize,
    /// Answers 5xx other than an honest 503.
    pub(crate) server_errors: Vec<String>,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.creations.extend(other.creations);
        self.cancellations.extend(other.cancellations);
        self.sightings.extend(other.sightings);
        self.repeated += other.repeated;
        self.lost += other.lost;
        self.busy += other.busy;
        self.server_errors.extend(other.server_errors);
    }

    /// Hands what was told to the checker.
    pub(crate) fn put_into(self, facts: &mut Facts) {
        facts.creations = self.creations;
        facts.cancellations = self.cancellations;
        facts.sightings = self.sightings;
    }
}

/// Running clients.
pub(crate) struct Load {
    address: Address,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Told>>,
}

impl Load {
    /// Starts `clients` clients. They do nothing while [`Self::down`] holds.
    pub(crate) fn start(clients: u64, seed: u64) -> Self {
        let address = Address::default();
        let stop = Arc::new(AtomicBool::new(false));
        let answers: Arc<AtomicU64> = Arc::default();
        let known: Arc<Mutex<Vec<Uuid>>> = Arc::default();
        let start_one = |number: u64| {
            let worker = Worker {
                number,
                dice: StdRng::seed_from_u64(seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                address: address.clone(),
                stop: stop.clone(),
                answers: answers.clone(),
                known: known.clone(),
                client: api::client(SocketAddr::from(([127, 0, 0, 1], 1))),
                unanswered: Vec::new(),
                bookings: 0,
                told: Told::default(),
            };
            std::thread::spawn(move || worker.run())
        };
        let clients = (0..clients).map(start_one).collect();
        Self { address, stop, answers, clients }
    }

    /// Waits until the clients have had so many more answers.
    pub(crate) fn wait_for_answers(&self, more: u64) {
        let wanted = self.answers.load(Ordering::Relaxed) + more;
        poll::until("answers under load", ANSWERS_WITHIN, || {
            (self.answers.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// The service is up here.
    pub(crate) fn up(&self, address: SocketAddr) {
        *self.address.lock().unwrap() = Some(address);
    }

    /// The service is down.
    pub(crate) fn down(&self) {
        *self.address.lock().unwrap() = None;
    }

    /// Ends the load. The service must be up: whatever has no answer yet is repeated until it has one.
    pub(crate) fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for client in self.clients {
            all.add(client.join().expect("a client never panics"));
        }
        all
    }
}

/// A create with a key whose answer was lost.
struct Unanswered {
    key: String,
    body: String,
}

struct Worker {
    number: u64,
    dice: StdRng,
    address: Address,
    stop: Arc<AtomicBool>,
    /// Answers to all clients.
    answers: Arc<AtomicU64>,
    /// Ids that were confirmed to any client.
    known: Arc<Mutex<Vec<Uuid>>>,
    client: Client,
    unanswered: Vec<Unanswered>,
    bookings: u64,
    told: Told,
}

impl Worker {
    fn run(mut self) -> Told {
        while !self.stop.load(Ordering::Relaxed) {
            if self.find_service() {
                self.act();
            }
            std::thread::park_timeout(PAUSE);
        }
        // Bounded: the service is up for good now, so each of these gets its answer or the run has failed.
        for _ in 0..1_000 {
            if self.unanswered.is_empty() {
                break;
            }
            if self.find_service() {
                self.repeat();
            }
            std::thread::park_timeout(PAUSE);
        }
        assert!(self.unanswered.is_empty(), "no answer although the service is up: {}", self.told.last_loss);
        self.told
    }

    fn find_service(&mut self) -> bool {
        let Some(address) = *self.address.lock().unwrap() else { return false };
        self.client.turn_to(address);
        true
    }

    fn act(&mut self) {
        match self.dice.random_range(0..100) {
            0..30 if !self.unanswered.is_empty() => self.repeat(),
            0..45 => self.book(None),
            45..65 => {
                let at = chrono::Utc::now() + chrono::TimeDelta::milliseconds(self.dice.random_range(200..8_000));
                self.book(Some(at));
            }
            65..72 => {
                // After the longest run: what falls due while it is judged would be taken for what got lost.
                let at = chrono::Utc::now() + chrono::TimeDelta::minutes(self.dice.random_range(120..600));
                self.book(Some(at));
            }
            72..84 => self.cancel(),
            _ => self.look(),
        }
    }

    fn book(&mut self, desired_time: Option<chrono::DateTime<chrono::Utc>>) {
        self.bookings += 1;
        // The last four digits choose the outcome; every second booking takes one of the magic numbers.
        let ending =
            if self.dice.random() { self.dice.random_range(0..8) } else { self.dice.random_range(1000..10_000) };
        let body = api::booking(&format!("+1416555{ending:04}"), desired_time);
        if self.dice.random() {
            let key = format!("client-{}-booking-{}", self.number, self.bookings);
            self.send_keyed(Unanswered { key, body });
        } else {
            let answer = api::create(&mut self.client, None, &body);
            self.hear_creation(answer, None);
        }
    }

    fn repeat(&mut self) {
        if let Some(request) = self.unanswered.pop() {
            self.told.repeated += 1;
            self.send_keyed(request);
        }
    }

    fn send_keyed(&mut self, request: Unanswered) {
        let answer = api::create(&mut self.client, Some(&request.key), &request.body);
        if self.hear_creation(answer, Some(&request.key)) {
            // Some of the confirmed ones are sent once more, as an impatient client does.
            if self.dice.random_bool(0.2) {
                let again = api::create(&mut self.client, Some(&request.key), &request.body);
                self.hear_creation(again, Some(&request.key));
            }
        } else {
            self.unanswered.push(request);
        }
    }

    /// Returns whether the request needs no repetition: it was confirmed or refused.
    fn hear_creation(&mut self, answer: Result<Answer, Lost>, key: Option<&str>) -> bool {
        let Some(answer) = self.hear(answer) else { return false };
        if answer.status == 200 {
            let id = api::id_of(&answer).expect("a confirmed create names the callback");
            self.told.creations.push(Creation { id, key: key.map(str::to_owned) });
            self.known.lock().unwrap().push(id);
        }
        answer.status < 500
    }

    fn some_known(&mut self) -> Option<Uuid> {
        let known = self.known.lock().unwrap();
        // Mostly the young ones: the old have ended long ago.
        let young = known.len().saturating_sub(200);
        known[young..].choose(&mut self.dice).copied()
    }

    fn cancel(&mut self) {
        let Some(id) = self.some_known() else { return };
        let answer = api::cancel(&mut self.client, id);
        if self.hear(answer).is_some_and(|answer| answer.status == 200) {
            self.told.cancellations.push(id);
        }
    }

    fn look(&mut self) {
        let Some(id) = self.some_known() else { return };
        let asked_at = now_ms();
        let answer = api::retrieve(&mut self.client, id);
        let Some(answer) = self.hear(answer) else { return };
        let seen = match answer.status {
            200 => {
                let data = &answer.json()["data"];
                let text = |name: &str| data[name].as_str().map(str::to_owned);
                Some((text("callbackState").expect("every callback has a state"), text("callbackReason")))
            }
            404 => None,
            _ => return,
        };
        self.told.sightings.push(Sighting { id, asked_at, answered_at: now_ms(), seen });
    }

    /// The answer, if there is one. An honest "not now" counts as none.
    fn hear(&mut self, answer: Result<Answer, Lost>) -> Option<Answer> {
        self.answers.fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
        match answer {
            Ok(answer) if answer.status >= 500 => {
                if answer.status == 503 {
                    self.told.busy += 1;
                } else {
                    self.told.server_errors.push(format!("{} {}", answer.status, answer.text()));
                }
                Some(answer)
            }
            Ok(answer) => Some(answer),
            Err(lost) => {
                self.told.lost += usize::from(matches!(lost, Lost::Perhaps(_)));
                self.told.last_loss = lost.to_string();
                None
            }
        }
    }
}
