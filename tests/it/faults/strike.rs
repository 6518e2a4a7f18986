//! The faults themselves. Each strikes under load, lasts a moment, and is over when its function returns.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::engine::Mood;
use super::house::{House, SOON};
use crate::harness::balancer::Line;
use crate::harness::load::Load;
use crate::harness::redis::{Redis, Reply};
use crate::harness::service::Options;
use crate::harness::{now_ms, poll};

/// Nodes that stand still for so long are dead to the others.
const DEAD_AFTER: Duration = Duration::from_secs(6);
/// How long something is away, slow or silent.
const A_WHILE: Duration = Duration::from_secs(4);
/// Debian's `faketime` for programs with threads.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// What goes wrong. A new one needs its line in [`House::strike`] and its place in [`Fault::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    NodeKilled,
    NodesKilled,
    NodeFrozen,
    NodesFrozen,
    /// Nodes stand still between the first lock of a transaction and its COMMIT.
    FrozenInTransaction,
    /// The same, and then they are killed.
    KilledInTransaction,
    NodeDrained,
    /// A node's wall clock is five minutes ahead, another's five behind.
    WallClocksWrong,
    DatabaseRestarted,
    DatabaseKilled,
    DatabaseStopped,
    DatabaseSlow,
    DatabaseFrozen,
    DatabaseFailedOver,
    DatabaseCut,
    DatabaseSilent,
    /// Commits arrive and their answers do not.
    DatabaseDeaf,
    VoiceFlushed,
    VoiceKilled,
    VoiceFrozen,
    VoiceFailedOver,
    VoiceCut,
    VoiceDeaf,
    EngineSlow,
    EngineRefuses,
    EngineLate,
    EngineDead,
    EngineBackEmpty,
    ClientsCut,
    SignalsSilent,
}

impl Fault {
    pub(super) const ALL: [Self; 30] = [
        Self::NodeKilled,
        Self::NodesKilled,
        Self::NodeFrozen,
        Self::NodesFrozen,
        Self::FrozenInTransaction,
        Self::KilledInTransaction,
        Self::NodeDrained,
        Self::WallClocksWrong,
        Self::DatabaseRestarted,
        Self::DatabaseKilled,
        Self::DatabaseStopped,
        Self::DatabaseSlow,
        Self::DatabaseFrozen,
        Self::DatabaseFailedOver,
        Self::DatabaseCut,
        Self::DatabaseSilent,
        Self::DatabaseDeaf,
        Self::VoiceFlushed,
        Self::VoiceKilled,
        Self::VoiceFrozen,
        Self::VoiceFailedOver,
        Self::VoiceCut,
        Self::VoiceDeaf,
        Self::EngineSlow,
        Self::EngineRefuses,
        Self::EngineLate,
        Self::EngineDead,
        Self::EngineBackEmpty,
        Self::ClientsCut,
        Self::SignalsSilent,
    ];
}

/// Lets time go by: what is tested is that something lasts.
pub(super) fn lasts(time: Duration) {
    let _: Option<()> = poll::try_until(time, || None);
}

impl House {
    pub(super) fn strike(&mut self, fault: Fault, load: &Load, dice: &mut StdRng) {
        let node = dice.random_range(0..self.nodes.len());
        match fault {
            Fault::NodeKilled => self.kill_nodes(&[node], load, dice),
            Fault::NodesKilled => self.kill_nodes(&(0..self.nodes.len()).collect::<Vec<_>>(), load, dice),
            Fault::NodeFrozen => self.freeze_nodes(&[node]),
            Fault::NodesFrozen => self.freeze_nodes(&(0..self.nodes.len()).collect::<Vec<_>>()),
            Fault::FrozenInTransaction => self.stop_in_transaction(false),
            Fault::KilledInTransaction => self.stop_in_transaction(true),
            Fault::NodeDrained => {
                assert!(self.nodes[node].sigterm().success());
                self.nodes[node].respawn();
            }
            Fault::WallClocksWrong => self.set_clocks_wrong(load),
            Fault::DatabaseRestarted => {
                self.database.stop();
                self.database.restart();
            }
            Fault::DatabaseKilled => {
                self.database.kill();
                self.database.restart();
            }
            Fault::DatabaseStopped => {
                self.database.stop();
                lasts(A_WHILE);
                self.database.restart();
            }
            Fault::DatabaseSlow => on_line(&self.database_line, Line::Slow(Duration::from_millis(50))),
            Fault::DatabaseFrozen => {
                self.database.signal_backends("STOP");
                lasts(A_WHILE);
                self.database.signal_backends("CONT");
            }
            Fault::DatabaseFailedOver => self.fail_over(load, dice),
            Fault::DatabaseCut => self.database_line.cut(),
            Fault::DatabaseSilent => on_line(&self.database_line, Line::Silent),
            Fault::DatabaseDeaf => on_line(&self.database_line, Line::Deaf),
            Fault::VoiceCut => self.redis_line.cut(),
            Fault::VoiceDeaf => on_line(&self.redis_line, Line::Deaf),
            Fault::VoiceFlushed | Fault::VoiceKilled | Fault::VoiceFailedOver => self.lose_registers(fault),
            Fault::VoiceFrozen => {
                self.redis.stop();
                lasts(A_WHILE);
                self.redis.go_on();
            }
            Fault::EngineSlow => self.engine_is(Mood::Slow),
            Fault::EngineRefuses => self.engine_is(Mood::Refuses),
            Fault::EngineLate => self.engine_is(Mood::Late),
            Fault::EngineDead => self.kill_engine(false),
            Fault::EngineBackEmpty => self.kill_engine(true),
            Fault::ClientsCut => self.outside.cut(),
            Fault::SignalsSilent => on_line(&self.inside, Line::Silent),
        }
    }

    fn kill_nodes(&mut self, nodes: &[usize], load: &Load, dice: &mut StdRng) {
        nodes.iter().for_each(|node| self.kill(*node));
        if nodes.len() < self.nodes.len() {
            load.wait_for_answers(dice.random_range(10..150));
        }
        nodes.iter().for_each(|node| self.nodes[*node].respawn());
    }

    fn freeze_nodes(&mut self, nodes: &[usize]) {
        nodes.iter().for_each(|node| self.nodes[*node].freeze());
        // A balancer sees that they answer no more.
        self.balance(|node| !nodes.contains(&node));
        lasts(DEAD_AFTER);
        // They come back to callbacks that are not their own any more.
        nodes.iter().for_each(|node| self.nodes[*node].thaw());
    }

    /// Holds a lock that bookings need, stops all nodes once one of them waits for it, and lets it go.
    fn stop_in_transaction(&mut self, then_kill: bool) {
        // All writes of callbacks wait for this; reads do not.
        let text = "BEGIN; LOCK TABLE history IN EXCLUSIVE MODE; SELECT pg_sleep(0.9); COMMIT";
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ges' AND wait_event_type = 'Lock'";
        let met = (0..20).any(|_| {
            let address = self.address();
            let holding = std::thread::spawn(move || crate::harness::postgres::query(&address, text));
            let held = || (self.query(waits) != ["0"]).then_some(());
            let met = poll::try_until(Duration::from_millis(800), held).is_some();
            if met {
                self.nodes.iter().for_each(|node| node.freeze());
            }
            holding.join().unwrap();
            met
        });
        assert!(met, "no node was in a transaction");
        lasts(Duration::from_millis(1_500));
        for node in &mut self.nodes {
            if then_kill {
                node.kill9();
                node.respawn();
            } else {
                node.thaw();
            }
        }
    }

    fn set_clocks_wrong(&mut self, load: &Load) {
        for (node, shift) in [(0, "+300s"), (1, "-300s")] {
            let wrong = wrong_clock(self.options(node), shift);
            self.kill(node);
            self.nodes[node].respawn_as(wrong);
        }
        self.all_ready();
        load.wait_for_answers(500);
        lasts(A_WHILE);
        for node in 0..2 {
            let options = self.options(node);
            self.kill(node);
            self.nodes[node].respawn_as(options);
        }
    }

    fn fail_over(&mut self, load: &Load, dice: &mut StdRng) {
        let standby = self.database.synchronous_standby();
        load.wait_for_answers(dice.random_range(50..200));
        let mut failed = std::mem::replace(&mut self.database, standby);
        failed.kill();
        self.database.promote();
        self.find_servers();
    }

    /// The voice Redis comes back, or another in its place, without what it held.
    fn lose_registers(&mut self, fault: Fault) {
        match fault {
            Fault::VoiceKilled => {
                self.redis.kill9();
                lasts(Duration::from_secs(1));
                self.redis.restart();
            }
            Fault::VoiceFailedOver => {
                let standby = Redis::start();
                let port = self.redis.port().to_string();
                assert_eq!(standby.ask(&["REPLICAOF", "127.0.0.1", &port]), Reply::Text("OK".into()));
                poll::until("a replica", SOON, || {
                    standby.ask(&["INFO", "replication"]).text().contains("master_link_status:up").then_some(())
                });
                // What comes now does not reach it any more.
                standby.ask(&["REPLICAOF", "NO", "ONE"]);
                lasts(Duration::from_millis(300));
                drop(std::mem::replace(&mut self.redis, standby));
                self.find_servers();
            }
            _ => {
                self.redis.ask(&["FLUSHALL"]);
            }
        }
        self.facts.registers_lost.push(now_ms());
    }

    fn engine_is(&self, mood: Mood) {
        self.engine.be(mood);
        lasts(A_WHILE);
        self.engine.be(Mood::Serves);
    }

    fn kill_engine(&mut self, everything: bool) {
        self.engine.die(everything);
        self.facts.kills.push(now_ms());
        lasts(A_WHILE);
        self.engine.come_back();
    }
}

/// A wall clock that is wrong by so much; the steady clock goes on as it does.
pub(super) fn wrong_clock(options: Options, shift: &str) -> Options {
    assert!(std::path::Path::new(FAKETIME).exists(), "`make test` installs faketime");
    options.with("LD_PRELOAD", FAKETIME).with("FAKETIME", shift).with("DONT_FAKE_MONOTONIC", 1)
}

/// A line is bad for a while; what it held back then is lost.
fn on_line(line: &crate::harness::balancer::Balancer, bad: Line) {
    line.set(bad);
    lasts(A_WHILE);
    if !matches!(bad, Line::Slow(_)) {
        line.cut();
    }
    line.set(Line::Open);
}
