//! What may die, dies: the service, the engine, the Redis between them. Afterwards the checker looks for callbacks that
//! were lost, doubled or called early.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{SOON, book, options, redis_is, until_ended};
use crate::harness::checker::{self, Facts};
use crate::harness::load::Load;
use crate::harness::redis::Redis;
use crate::harness::service::Service;
use crate::harness::stand_in::StandIn;
use crate::harness::{api, database, journal, now_ms, poll, seed};

/// How often each kind of fault comes.
const ROUNDS: usize = 3;
/// What was lost with a Redis is asked after a minute after it came back, and then begun anew.
const SETTLE_WITHIN: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillService,
    KillEngine,
    KillRedis,
    FlushRedis,
    StopRedis,
}

const FAULTS: [Fault; 5] =
    [Fault::KillService, Fault::KillEngine, Fault::KillRedis, Fault::FlushRedis, Fault::StopRedis];

struct House {
    redis: Redis,
    engine: StandIn,
    service: Service,
    load: Load,
    kills: Vec<i64>,
}

impl House {
    fn up(&mut self) {
        poll::until("the service", SOON, || self.service.is_ready().then_some(()));
        self.load.up(self.service.external());
    }

    fn strike(&mut self, fault: Fault, dice: &mut StdRng) {
        match fault {
            Fault::KillService => {
                self.service.kill9();
                self.load.down();
                self.kills.push(now_ms());
                self.service.respawn();
                self.up();
            }
            Fault::KillEngine => {
                self.engine.kill9();
                self.kills.push(now_ms());
                self.load.wait_for_answers(dice.random_range(10..100));
                self.engine.respawn();
            }
            Fault::KillRedis => {
                self.redis.kill9();
                self.load.wait_for_answers(dice.random_range(50..300));
                self.redis.restart();
            }
            Fault::FlushRedis => {
                self.redis.ask(&["FLUSHALL"]);
            }
            Fault::StopRedis => {
                self.redis.stop();
                self.load.wait_for_answers(dice.random_range(200..600));
                self.redis.go_on();
            }
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_early_whatever_dies() {
    let seed = seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let redis = Redis::start();
    let engine = StandIn::start(&redis, 1000, 500);
    let service = Service::start(options(&redis));
    let mut house = House { redis, engine, service, load: Load::start(4, seed), kills: Vec::new() };
    house.up();
    house.load.wait_for_answers(300);
    let mut faults: Vec<Fault> = FAULTS.iter().copied().cycle().take(FAULTS.len() * ROUNDS).collect();
    rand::seq::SliceRandom::shuffle(&mut faults[..], &mut dice);
    for fault in &faults {
        // Printed as they come: a run that fails half-way tells how far it was.
        println!("{} {fault:?}", now_ms());
        house.strike(*fault, &mut dice);
        house.load.wait_for_answers(dice.random_range(50..400));
    }
    house.up();
    let House { redis, engine, mut service, load, kills } = house;
    let told = load.stop();
    let data = service.folder().data();
    let began = std::time::Instant::now();
    let settled = poll::try_until(SETTLE_WITHIN, || (database::moving(&data) == 0).then_some(()));
    if settled.is_none() {
        println!("{} callbacks still move; the checker says which", database::moving(&data));
    }
    let settled_after = began.elapsed();

    // The clean tail: after the last fault everything works as on the first day.
    let mut client = api::client(service.external());
    let last: Vec<_> = (0..20).map(|number| book(&mut client, 2000 + number)).collect();
    for id in last {
        assert_eq!(until_ended(&mut client, id, SOON), "AGENT_CONNECTED");
    }
    assert!(service.sigterm().success());
    assert_eq!(told.server_errors, Vec::<String>::new());
    assert!(!service.everything_written().contains("panicked"), "the program panicked");
    assert!(!engine.everything_written().contains("panicked"), "the engine panicked");

    let (entries, torn_lines) = journal::read(&engine.journal_folder());
    let accepted = told.creations.len();
    let mut facts = Facts { kills, journal: entries, torn_lines, ..Facts::default() };
    told.put_into(&mut facts);
    database::read_into(&data, &mut facts);
    println!(
        "{} faults {faults:?}: {accepted} creates accepted, {} rows, {} journal entries, highest attempt {}, settled \
         after {:.0} s",
        faults.len(),
        facts.rows.len(),
        facts.journal.len(),
        facts.rows.values().map(|row| row.attempt).max().unwrap_or_default(),
        settled_after.as_secs_f64()
    );
    assert!(accepted >= 200, "only {accepted} creates were confirmed");
    checker::assert_kept(&facts);
    drop(redis);
}

/// However long the voice Redis is away: bookings are taken, no attempt is used up, and all are made when it is back.
#[test]
fn an_outage_uses_no_attempt_up() {
    let mut redis = Redis::start();
    redis.kill9();
    let mut service = Service::start(options(&redis));
    redis_is(&service, "DOWN");
    let mut client = api::client(service.external());
    let ids: Vec<_> = (0..30).map(|number| book(&mut client, 2000 + number)).collect();
    let refused = || service.log().lines().filter(|line| line.contains("is opened again")).count();
    poll::until("some attempts to connect in vain", SOON, || (refused() >= 3).then_some(()));
    redis.restart();
    let engine = StandIn::start(&redis, 1000, 50);
    for id in &ids {
        assert_eq!(until_ended(&mut client, *id, Duration::from_secs(120)), "AGENT_CONNECTED");
    }
    redis_is(&service, "UP");
    let data = service.folder().data();
    assert!(service.sigterm().success());
    let (entries, torn_lines) = journal::read(&engine.journal_folder());
    let mut facts = Facts { journal: entries, torn_lines, ..Facts::default() };
    database::read_into(&data, &mut facts);
    let attempts: Vec<u32> = ids.iter().map(|id| facts.rows[id].attempt).collect();
    assert_eq!(attempts, vec![1; 30]);
    checker::assert_kept(&facts);
}
