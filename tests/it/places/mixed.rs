//! Places that come and go: bookings, holds that become bookings or are given up, and callbacks that move away, all at
//! once, with the program killed under them. No slot is ever sold beyond its places, and none is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use super::clients::{Clients, Line, REQUESTS};
use super::{KILLS, PLACES, next_slot, runs};
use crate::harness::checker::{self, Creation, Facts};
use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, database, journal, poll, seed};

/// Runs unless `TEST_RUNS` says otherwise.
const RUNS: u32 = 3;
/// Slots that callbacks move to, in the week that follows: together far more places than all runs have callbacks.
const ELSEWHERE: u64 = 2_000;

#[test]
fn places_come_back_and_go_once_while_callbacks_move_and_holds_end() {
    let mut dice = StdRng::seed_from_u64(seed() ^ 1);
    let mut service = Service::start(Options::default());
    let mut facts = Facts::default();
    let mut came_back = Told::default();
    for run in 0..runs(RUNS) {
        let began = Instant::now();
        // A slot of its own for each run, between five and six days ahead; those to move to are a day later.
        let slot = next_slot(Utc::now() + TimeDelta::days(5)) + TimeDelta::minutes(i64::from(run % 200) * 5);
        let clients = Clients::start(move |line| Worker { run, slot, line, lost: 0, told: Told::default() }.run());
        clients.up(&service);
        for after in KILLS {
            clients.wait_for(dice.random_range(after));
            service.kill9();
            clients.down();
            never_oversold(&service, slot);
            service.respawn();
            poll::until("the service after a kill", Duration::from_secs(30), || service.is_ready().then_some(()));
            clients.up(&service);
        }
        let mut told = Told::default();
        clients.join().into_iter().for_each(|one| told.add(one));
        println!("run {run}: {told}, {:?}", began.elapsed());
        came_back.add(Told { staying: Vec::new(), elsewhere: Vec::new(), ..told });
        fill(&service, slot, &mut told);
        assert_eq!(told.staying.len(), PLACES, "each place went once in the end");
        let seen = never_oversold(&service, slot);
        assert_eq!(seen.ids, told.staying.iter().map(|it| it.id).collect(), "what is stored is what was confirmed");
        assert_eq!(seen.holds, 0, "every hold was used or given up");
        facts.creations.extend(told.staying);
        facts.creations.extend(told.elsewhere);
    }
    let Told { moved, taken_over, released, .. } = came_back;
    assert!(moved > 100 && taken_over > 0 && released > 100, "places came and went all the time");
    assert!(service.sigterm().success());
    let data = service.folder().data();
    (facts.journal, facts.torn_lines) = journal::read(&data);
    database::read_into(&data, &mut facts);
    checker::assert_kept(&facts);
}

/// What is in a slot.
struct Seen {
    ids: BTreeSet<Uuid>,
    holds: i64,
}

/// Reads the slot in the file: what counts in it is what is in it, and no more than it has places.
fn never_oversold(service: &Service, slot: DateTime<Utc>) -> Seen {
    let mut stored = Facts::default();
    database::read_into(&service.folder().data(), &mut stored);
    let start = slot.timestamp_millis();
    let in_slot = stored.rows.iter().filter(|(_, row)| row.slot == Some(start));
    let ids: BTreeSet<Uuid> = in_slot.map(|(id, _)| *id).collect();
    let sum = |places: &std::collections::BTreeMap<(i64, i64), i64>| -> i64 {
        places.iter().filter(|((_, at), _)| *at == start).map(|(_, places)| places).sum()
    };
    let (booked, holds) = (sum(&stored.slots), sum(&stored.holds));
    assert_eq!(booked, ids.len() as i64 + holds, "every place that counts is somebody's");
    assert!(booked <= PLACES as i64, "{booked} places are taken");
    Seen { ids, holds }
}

/// Takes what came free after the last that wanted it.
fn fill(service: &Service, slot: DateTime<Utc>, told: &mut Told) {
    let mut client = api::client(service.external());
    for _ in 0..=PLACES {
        let answer = api::create(&mut client, None, &api::booking("+14165550199", Some(slot))).unwrap();
        if answer.status != 200 {
            assert_eq!((answer.status, answer.code()), (429, Some(7043)), "{}", answer.text());
            return;
        }
        told.staying.push(Creation { id: api::id_of(&answer).unwrap(), key: None });
    }
    panic!("a slot without end");
}

#[derive(Default)]
struct Told {
    /// Booked, and not moved away.
    staying: Vec<Creation>,
    /// Booked and moved.
    elsewhere: Vec<Creation>,
    full: u64,
    taken_over: u64,
    released: u64,
    moved: u64,
    lost: u64,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.staying.extend(other.staying);
        self.elsewhere.extend(other.elsewhere);
        self.full += other.full;
        self.taken_over += other.taken_over;
        self.released += other.released;
        self.moved += other.moved;
        self.lost += other.lost;
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { staying, full, taken_over, released, moved, lost, .. } = self;
        let staying = staying.len();
        write!(
            f,
            "of {REQUESTS}: {staying} stay, {moved} moved away, {taken_over} from holds, {released} holds given up, \
             {full} full, {lost} answers lost"
        )
    }
}

struct Worker {
    run: u32,
    slot: DateTime<Utc>,
    line: Line,
    lost: u64,
    told: Told,
}

impl Worker {
    fn run(mut self) -> Told {
        let mut client = Line::client();
        while let Some(number) = self.line.take() {
            // None: the run is over, and has failed.
            // Few stay, so that places come and go for long; the last quarter wants what is left.
            let done = match number % 64 {
                _ if number >= REQUESTS / 4 * 3 => self.book(&mut client, number).map(drop),
                0 => self.book(&mut client, number).map(drop),
                1 => self.hold_and_book(&mut client, number),
                even if even % 2 == 0 => self.book_and_move(&mut client, number),
                _ => self.hold_and_release(&mut client, number),
            };
            if done.is_none() {
                break;
            }
            self.line.done();
        }
        Told { lost: self.lost, ..self.told }
    }

    fn key(&self, what: &str, number: u64) -> String {
        format!("mixed-{}-{what}-{number}", self.run)
    }

    fn time(at: DateTime<Utc>) -> String {
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Sends a request until it is answered; under its key, if it has one.
    fn ask(&mut self, client: &mut Client, path: &str, key: Option<&str>, body: &str) -> Option<Answer> {
        let headers: Vec<_> = key.iter().map(|key| ("Idempotency-Key", *key)).collect();
        self.line.ask(client, &mut self.lost, |client| client.post_json(path, &headers, body))
    }

    /// The id of what was made; none inside if the slot is full.
    fn made(&mut self, answer: &Answer) -> Option<Uuid> {
        if answer.status == 200 {
            return Some(api::id_of(answer).expect("what is confirmed is named"));
        }
        assert_eq!((answer.status, answer.code()), (429, Some(7043)), "{}", answer.text());
        self.told.full += 1;
        None
    }

    fn book(&mut self, client: &mut Client, number: u64) -> Option<Option<Creation>> {
        let (key, body) = (self.key("book", number), api::booking("+14165550100", Some(self.slot)));
        let answer = self.ask(client, api::CREATE, Some(&key), &body)?;
        let creation = self.made(&answer).map(|id| Creation { id, key: Some(key) });
        self.told.staying.extend(creation.clone());
        Some(creation)
    }

    fn book_and_move(&mut self, client: &mut Client, number: u64) -> Option<()> {
        let Some(creation) = self.book(client, number)? else { return Some(()) };
        let to = self.slot + TimeDelta::days(1) + TimeDelta::minutes(5 * (number % ELSEWHERE) as i64);
        let body = serde_json::json!({"id": creation.id, "desiredTime": Self::time(to)}).to_string();
        let answer = self.ask(client, api::RESCHEDULE, None, &body)?;
        if self.made(&answer).is_some() {
            self.told.staying.pop();
            self.told.elsewhere.push(creation);
            self.told.moved += 1;
        }
        Some(())
    }

    fn hold(&mut self, client: &mut Client, number: u64) -> Option<Option<Uuid>> {
        let key = self.key("hold", number);
        let body = serde_json::json!({"serviceName": api::QUEUE, "desiredTime": Self::time(self.slot)}).to_string();
        let answer = self.ask(client, api::HOLDS, Some(&key), &body)?;
        Some(self.made(&answer))
    }

    fn hold_and_book(&mut self, client: &mut Client, number: u64) -> Option<()> {
        let Some(hold) = self.hold(client, number)? else { return Some(()) };
        let mut body: serde_json::Value =
            serde_json::from_str(&api::booking("+14165550100", Some(self.slot))).expect("a body of ours is JSON");
        body["holdId"] = hold.to_string().into();
        let key = self.key("book", number);
        let answer = self.ask(client, api::CREATE, Some(&key), &body.to_string())?;
        let id = self.made(&answer).expect("what is held is there");
        self.told.staying.push(Creation { id, key: Some(key) });
        self.told.taken_over += 1;
        Some(())
    }

    fn hold_and_release(&mut self, client: &mut Client, number: u64) -> Option<()> {
        let Some(hold) = self.hold(client, number)? else { return Some(()) };
        let answer = self.ask(client, api::RELEASE, None, &format!(r#"{{"id":"{hold}"}}"#))?;
        // 404: it was done, and the answer got lost.
        assert!([200, 404].contains(&answer.status), "{}", answer.text());
        self.told.released += 1;
        Some(())
    }
}
