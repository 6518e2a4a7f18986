//! Clients beside the usual load: they want the few places of narrow slots and give them back, use one key in two
//! tenants, have numbers erased, and look for what is not theirs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use uuid::Uuid;

use super::house::{NARROW, OTHER_KEY};
use crate::harness::checker::{Creation, Erased, Facts};
use crate::harness::http::{Answer, Client};
use crate::harness::{api, now_ms};

const PAUSE: Duration = Duration::from_millis(25);
/// Slots that are wanted, a day ahead.
const SLOTS: i64 = 6;
const ERASE: &str = "/ges/v1/personal-data/erase";
/// Tries of what has to be answered in the end.
const TRIES: usize = 2_000;

/// Started clients.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Facts>>,
}

/// What all of them share.
#[derive(Clone)]
struct Place {
    outside: SocketAddr,
    inside: SocketAddr,
    stop: Arc<AtomicBool>,
    known: Arc<Mutex<Vec<Uuid>>>,
}

impl Clients {
    pub(super) fn start(outside: SocketAddr, inside: SocketAddr, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let place = Place { outside, inside, stop: stop.clone(), known: Arc::default() };
        let work: [fn(Place, StdRng) -> Facts; 4] = [want_places, want_places, erase_numbers, look_elsewhere];
        let threads = (1..).zip(work).map(|(number, work)| {
            let (place, dice) = (place.clone(), StdRng::seed_from_u64(seed.wrapping_add(number)));
            thread::spawn(move || work(place, dice))
        });
        Self { stop, threads: threads.collect() }
    }

    /// What they were told. The service must be up.
    pub(super) fn stop(self, facts: &mut Facts) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let told = thread.join().expect("a client never panics");
            facts.creations.extend(told.creations);
            facts.cancellations.extend(told.cancellations);
            facts.erased.extend(told.erased);
            facts.strangers.extend(told.strangers);
        }
    }
}

impl Place {
    fn goes_on(&self) -> bool {
        thread::park_timeout(PAUSE);
        !self.stop.load(Ordering::Relaxed)
    }

    /// Sends one and the same request until it is answered with anything but 5xx.
    fn ask(&self, key: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut client = Client::new(self.outside).with_header("X-API-Key", key);
        for _ in 0..TRIES {
            match client.post_json(path, headers, body) {
                Ok(answer) if answer.status < 500 => return answer,
                _ => thread::park_timeout(PAUSE),
            }
        }
        panic!("no answer although the service is up");
    }
}

fn first_slot() -> DateTime<Utc> {
    let day = 24 * 3_600;
    DateTime::from_timestamp((Utc::now().timestamp() / day + 2) * day, 0).unwrap()
}

fn narrow(phone: &str, at: DateTime<Utc>) -> String {
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({"serviceName": NARROW, "phoneNumber": phone, "desiredTime": at}).to_string()
}

fn want_places(place: Place, mut dice: StdRng) -> Facts {
    let mut facts = Facts::default();
    let mut mine: Vec<Uuid> = Vec::new();
    let (me, first) = (dice.random::<u32>(), first_slot());
    for number in 0.. {
        if !place.goes_on() {
            break;
        }
        let slot = first + TimeDelta::minutes(dice.random_range(0..SLOTS) * 5);
        let some = mine.choose(&mut dice).copied();
        match (dice.random_range(0..10), some) {
            (0..2, Some(id)) => {
                let answer = place.ask(api::KEY, api::CANCEL, &[], &json!({ "id": id }).to_string());
                // A repetition of what was done before its answer got lost is refused.
                if answer.status == 200 {
                    facts.cancellations.push(id);
                }
                mine.retain(|it| *it != id);
            }
            (2..4, Some(id)) => {
                let to = slot.to_rfc3339_opts(SecondsFormat::Millis, true);
                place.ask(api::KEY, api::RESCHEDULE, &[], &json!({"id": id, "desiredTime": to}).to_string());
            }
            _ => {
                let key = format!("narrow-{me}-{number}");
                let headers = [("Idempotency-Key", key.as_str())];
                for _ in 0..dice.random_range(1..3) {
                    let answer = place.ask(api::KEY, api::CREATE, &headers, &narrow("+14165550100", slot));
                    if let (200, Some(id)) = (answer.status, api::id_of(&answer)) {
                        facts.creations.push(Creation { id, key: Some(key.clone()) });
                        mine.push(id);
                        place.known.lock().unwrap().push(id);
                    }
                }
            }
        }
    }
    facts
}

fn erase_numbers(place: Place, mut dice: StdRng) -> Facts {
    let mut facts = Facts::default();
    for number in 0.. {
        if !place.goes_on() {
            break;
        }
        let phone = 14_165_560_000 + number;
        let later = Utc::now() + TimeDelta::seconds(if dice.random() { 3_600 } else { 4 });
        let key = format!("erased-{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        let answer = place.ask(api::KEY, api::CREATE, &headers, &api::booking(&format!("+{phone}"), Some(later)));
        // Its time may be over by the time it is heard.
        let (200, Some(id)) = (answer.status, api::id_of(&answer)) else { continue };
        facts.creations.push(Creation { id, key: Some(key) });
        let body = json!({"phoneNumber": format!("+{phone}"), "unfinished": "cancel"}).to_string();
        let mut client = Client::new(place.inside).with_header("ContactCenterID", "demo");
        for _ in 0..TRIES {
            // Refused while somebody talks, or is on the way to it.
            match client.post_json(ERASE, &[], &body) {
                Ok(answer) if answer.status == 200 => {
                    facts.erased.push(Erased { phone, ids: vec![id], at: now_ms() });
                    break;
                }
                _ => thread::park_timeout(PAUSE),
            }
        }
    }
    facts
}

fn look_elsewhere(place: Place, mut dice: StdRng) -> Facts {
    let mut facts = Facts::default();
    for number in 0.. {
        if !place.goes_on() {
            break;
        }
        // A key that others use, too, names a booking of its own here.
        let (key, when) = (format!("erased-{number}"), Utc::now() + TimeDelta::hours(1));
        let headers = [("Idempotency-Key", key.as_str())];
        let answer = place.ask(OTHER_KEY, api::CREATE, &headers, &api::booking("+14165550100", Some(when)));
        if let (200, Some(id)) = (answer.status, api::id_of(&answer)) {
            facts.creations.push(Creation { id, key: Some(format!("second: {key}")) });
        }
        let known = place.known.lock().unwrap().choose(&mut dice).copied();
        let Some(id) = known else { continue };
        let (path, body) = match number % 3 {
            0 => (api::RETRIEVE, json!({ "id": id })),
            1 => (api::CANCEL, json!({ "id": id })),
            _ => (api::RESCHEDULE, json!({"id": id, "desiredTime": when.to_rfc3339()})),
        };
        facts.strangers.push((id, place.ask(OTHER_KEY, path, &[], &body.to_string()).status));
    }
    facts
}
