//! Who is alive, what time it is, the sweep over everything that is due and has nobody, and the end of what time ends:
//! old records, and places that were held long enough. It also hands over what a node that ends leaves behind.
//!
//! Started by the root. Talked to by its own alarms and tasks, and by the root when the node drains. When it dies it
//! forgets who was alive, and learns it again within 3.5 s. With one node it is the same code as with many.

mod drain;
mod liveness;
mod sweep;
mod upkeep;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::event::{ActorKind, Event};
use domain::ports::{Beat, StoreError, WorkCounts};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
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
    /// From the root, once: the node drains from now on.
    DrainBegan,
    /// From the root, when no session is left: hand everything over. Answered when that was done, or could not be.
    HandOver { reply: oneshot::Sender<()> },
    /// From its task: a hand-over has ended.
    HandedOver,
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
    handing_over: bool,
    /// Rounds in which a node that drains still looks for what it has not begun.
    rounds_of_drain: u32,
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
        args.node.membership.put(me.clone());
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
            handing_over: false,
            rounds_of_drain: drain::ROUNDS,
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
            MembershipMsg::DrainBegan => state.hand_over_unbegun(),
            MembershipMsg::HandOver { reply } => state.on_hand_over(reply),
            MembershipMsg::HandedOver => state.handing_over = false,
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
        if self.node.is_draining() {
            self.hand_over_unbegun();
        } else if alive && self.epoch.is_some() {
            // Before its first heartbeat one that was restarted knows nobody, and would take all others for dead.
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
        let waiting = self.rounds % sweep::ROUNDS_PER_WAITING == sweep::ROUNDS_PER_WAITING - 1;
        let reach = sweep::Reach { living, limit: self.sweep_limit, waiting };
        let work = async move { MembershipMsg::Swept { swept: sweep::sweep(&node, reach).await } };
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

#[cfg(test)]
mod tests;
