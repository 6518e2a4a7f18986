//! Who is alive, what time it is, the sweep over everything that is due and has nobody, and the end of what time ends:
//! old records, and places that were held long enough.
//!
//! Started by the root. Talked to by its own alarms and tasks only. When it dies it forgets who was alive,
//! and learns it again within 3.5 s. With one node it is the same code as with many.

mod liveness;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use domain::event::{ActorKind, Event};
use domain::ports::{Beat, StoreError, WorkCounts};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, TaskPanicked};
use crate::tenants::TenantsMsg;
use liveness::Liveness;
use sweep::{DEADLINE as SWEEP_DEADLINE, SWEPT_AT_ONCE, Swept};

/// Pause between heartbeats, and between sweeps.
const BEAT: Duration = Duration::from_secs(1);
/// How long one heartbeat may take; then the next begins.
const BEAT_DEADLINE: Duration = Duration::from_millis(2500);
/// What one sweep may grow to while more of ours is due than it brings back: those that wait in line for
/// routing stay due, and must not hide the others behind them.
const SWEPT_AT_MOST: usize = 32_000;
/// Rounds between two looks at the sizes of the work lists.
const ROUNDS_PER_COUNT: u64 = 15;
/// Settings are read again this often even if no epoch says that they have changed (the product does so every
/// half hour).
const READ_SETTINGS: Duration = Duration::from_secs(25 * 60);
/// Rounds between two purges.
const ROUNDS_PER_PURGE: u64 = 60;
/// Rounds between two looks for places whose hold is over.
const ROUNDS_PER_EXPIRY: u64 = 5;
/// Holds that one look ends; what is left is for the next.
const EXPIRED_AT_ONCE: usize = 5_000;
/// Records removed in one step of a purge, and steps in one purge.
const PURGED_AT_ONCE: usize = 500;
const PURGE_STEPS: usize = 100;
/// How long one step of a purge may take.
const PURGE_DEADLINE: Duration = Duration::from_secs(10);
/// A record stays for this long after its desired time (a fixed value of the product).
const KEPT_FOR: TimeDelta = domain::erasure::RETENTION;

/// Messages to membership.
pub(crate) enum MembershipMsg {
    /// From its alarm, each second.
    SecondPassed,
    /// From its task: what the heartbeat brought, or why not.
    Beaten { started: Instant, beat: Result<Beat, StoreError> },
    /// From its task: what is due and has nobody.
    Swept { swept: Result<Swept, StoreError> },
    /// From its task.
    Purged { purged: Result<u64, StoreError> },
    /// From its task: places whose hold was over were given back.
    HoldsExpired { expired: Result<u64, StoreError> },
    /// From its task.
    Counted { counts: Result<WorkCounts, StoreError> },
    /// From one of its tasks, in place of its answer.
    TaskPanicked,
}

/// What it is started with.
pub(crate) struct MembershipArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
}

/// State of membership.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<MembershipMsg>,
    liveness: Liveness,
    epoch: Option<i64>,
    /// What was last said about this node in the log.
    was_alive: bool,
    /// When settings were last asked to be read.
    settings_asked: Instant,
    /// Rounds of unasked work so far, one a second.
    rounds: u64,
    /// What the next sweep may bring back of ours.
    sweep_limit: usize,
    /// One of each at a time.
    beating: bool,
    sweeping: bool,
    purging: bool,
    counting: bool,
    expiring: bool,
    alarm: AbortHandle,
    meter: Meter,
}

impl Drop for State {
    fn drop(&mut self) {
        self.alarm.abort();
    }
}

/// The actor.
pub(crate) struct MembershipActor;

impl Actor for MembershipActor {
    type Msg = MembershipMsg;
    type State = State;
    type Arguments = MembershipArgs;

    async fn pre_start(&self, me: ActorRef<MembershipMsg>, args: MembershipArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Membership, args.node.ports.observer.clone(), args.waiting);
        let me = meter.address(&me);
        let ticking = me.clone();
        let alarm = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(BEAT);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                seconds.tick().await;
                ticking.hint(MembershipMsg::SecondPassed);
            }
        });
        Ok(State {
            liveness: Liveness::new(args.node.me),
            node: args.node,
            me,
            epoch: None,
            was_alive: false,
            settings_asked: Instant::now(),
            rounds: 0,
            sweep_limit: SWEPT_AT_ONCE,
            beating: false,
            sweeping: false,
            purging: false,
            counting: false,
            expiring: false,
            alarm: alarm.abort_handle(),
            meter,
        })
    }

    async fn handle(
        &self,
        _me: ActorRef<MembershipMsg>,
        message: MembershipMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            MembershipMsg::SecondPassed => state.on_second(),
            MembershipMsg::Beaten { started, beat } => state.on_beaten(started, beat)?,
            MembershipMsg::Swept { swept } => state.on_swept(swept)?,
            MembershipMsg::Purged { purged } => state.on_purged(purged),
            MembershipMsg::HoldsExpired { expired } => state.on_holds_expired(expired),
            MembershipMsg::Counted { counts } => state.on_counted(counts),
            MembershipMsg::TaskPanicked => return Err(TaskPanicked.into()),
        }
        Ok(())
    }
}

impl State {
    fn on_second(&mut self) {
        let alive = self.node.is_alive();
        if std::mem::replace(&mut self.was_alive, alive) && !alive {
            tracing::warn!("no heartbeat was committed for 3 s: nothing is begun until one is");
        }
        if !std::mem::replace(&mut self.beating, true) {
            self.beat();
        }
        if self.settings_asked.elapsed() >= READ_SETTINGS {
            self.read_settings();
        }
        if self.node.may_work() {
            self.work_unasked();
        }
    }

    /// One round of what this node does on its own initiative.
    fn work_unasked(&mut self) {
        if !std::mem::replace(&mut self.sweeping, true) {
            self.sweep();
        }
        if self.rounds.is_multiple_of(ROUNDS_PER_COUNT) && !std::mem::replace(&mut self.counting, true) {
            self.count();
        }
        if self.rounds.is_multiple_of(ROUNDS_PER_EXPIRY) && !std::mem::replace(&mut self.expiring, true) {
            self.expire_holds();
        }
        // Not in the first minute, in which there is enough to do.
        if self.rounds % ROUNDS_PER_PURGE == ROUNDS_PER_PURGE - 1 && !std::mem::replace(&mut self.purging, true) {
            self.purge();
        }
        self.node.tell_places(self.rounds);
        self.rounds += 1;
    }

    fn beat(&self) {
        let node = self.node.clone();
        let work = async move {
            let started = Instant::now();
            let beat = timeout(BEAT_DEADLINE, node.ports.nodes.heartbeat(node.me)).await;
            let beat = beat.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the heartbeat took too long".into())));
            MembershipMsg::Beaten { started, beat }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    fn on_beaten(&mut self, started: Instant, beat: Result<Beat, StoreError>) -> Result<(), Fault> {
        self.beating = false;
        match beat {
            Ok(beat) => {
                self.on_beat(started, &beat);
                Ok(())
            }
            Err(StoreError::Unreadable(why)) => Err(Fault(format!("cannot read the nodes: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "a heartbeat failed");
                Ok(())
            }
        }
    }

    fn on_beat(&mut self, started: Instant, beat: &Beat) {
        self.node.ports.clock.observe(beat.now);
        let was_alive = self.node.is_alive();
        if !self.liveness.beaten(started, Instant::now(), &beat.nodes) {
            tracing::error!("another process has taken the name of this node: this one begins nothing any more");
        }
        self.node.set_alive_until(self.liveness.alive_until());
        let living = u32::try_from(self.liveness.living(Instant::now()).len()).unwrap_or(u32::MAX);
        self.node.ports.key_ring.share_among(living);
        self.node.note(Event::Beaten { living, skew: self.node.ports.clock.skew() });
        if !was_alive && self.node.may_work() {
            self.on_return();
        }
        // Also at the first heartbeat: what changed between reading the settings and now is not known.
        if self.epoch.replace(beat.epoch) != Some(beat.epoch) {
            self.read_settings();
        }
    }

    fn read_settings(&mut self) {
        self.settings_asked = Instant::now();
        self.node.tenants.hint(TenantsMsg::SettingsChanged);
    }

    /// This node may begin work (again): what fell due meanwhile has waited long enough.
    fn on_return(&mut self) {
        if self.epoch.is_some() {
            // The store was away: what was silent meanwhile is not gone.
            self.node.begin_quiet_time();
        }
        self.work_unasked();
    }

    fn sweep(&self) {
        let node = self.node.clone();
        let living = self.liveness.living(Instant::now());
        node.set_living(living.clone());
        let limit = self.sweep_limit;
        let work = async move { MembershipMsg::Swept { swept: sweep::sweep(&node, living, limit).await } };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    fn on_swept(&mut self, swept: Result<Swept, StoreError>) -> Result<(), Fault> {
        self.sweeping = false;
        match swept {
            Ok(Swept { due, more }) => {
                let limit = if more { self.sweep_limit.saturating_mul(2) } else { SWEPT_AT_ONCE };
                self.sweep_limit = limit.min(SWEPT_AT_MOST);
                if !due.is_empty() {
                    self.node.tenants.hint(TenantsMsg::Work { due });
                }
                Ok(())
            }
            Err(StoreError::Unreadable(why)) => Err(Fault(format!("cannot sweep: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "a sweep failed");
                Ok(())
            }
        }
    }

    fn purge(&self) {
        let node = self.node.clone();
        let work = async move {
            let purged = purge_all(&node).await;
            MembershipMsg::Purged { purged }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    fn on_purged(&mut self, purged: Result<u64, StoreError>) {
        self.purging = false;
        match purged {
            Ok(0) => {}
            Ok(callbacks) => {
                tracing::info!(callbacks, "old records were removed");
                self.node.note(Event::Purged { callbacks });
            }
            Err(error) => tracing::warn!(%error, "a purge failed; the next one goes on"),
        }
    }

    fn expire_holds(&self) {
        let node = self.node.clone();
        let work = async move {
            let expired = timeout(SWEEP_DEADLINE, node.ports.holds.expire_holds(node.now(), EXPIRED_AT_ONCE)).await;
            let expired = expired.unwrap_or_else(|_| Err(StoreError::PerhapsDone("it took too long".into())));
            MembershipMsg::HoldsExpired { expired }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    fn on_holds_expired(&mut self, expired: Result<u64, StoreError>) {
        self.expiring = false;
        match expired {
            Ok(0) => {}
            Ok(holds) => tracing::debug!(holds, "held places were given back"),
            Err(error) => tracing::warn!(%error, "held places could not be given back; the next look goes on"),
        }
    }

    fn count(&self) {
        let node = self.node.clone();
        let work = async move {
            let counts = timeout(SWEEP_DEADLINE, node.ports.callbacks.work_counts()).await;
            let counts = counts.unwrap_or_else(|_| Err(StoreError::NotDone("counting took too long".into())));
            MembershipMsg::Counted { counts }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    fn on_counted(&mut self, counts: Result<WorkCounts, StoreError>) {
        self.counting = false;
        if let Ok(counts) = counts {
            self.node.note(Event::WorkLists {
                monitor_active: self.node.claimed.load(Ordering::Relaxed) as u64,
                monitor_total: counts.scheduled,
                ping_active: self.node.sessions() as u64,
                ping_total: counts.active,
            });
        }
    }
}

/// Removes old records step by step, so that nobody else waits for long; what is left is for the next purge.
async fn purge_all(node: &Node) -> Result<u64, StoreError> {
    let mut purged = 0;
    for _ in 0..PURGE_STEPS {
        let now = node.now();
        let step = timeout(PURGE_DEADLINE, node.ports.callbacks.purge(now - KEPT_FOR, now, PURGED_AT_ONCE)).await;
        let step = step.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the purge took too long".into())))?;
        purged += step;
        if step < PURGED_AT_ONCE as u64 || !node.may_work() {
            break;
        }
    }
    Ok(purged)
}

#[cfg(test)]
mod tests;
