//! Who is alive, what time it is, and the sweep over everything that is due and has nobody.
//!
//! Started by the root. Talked to by its own alarms and tasks only. When it dies it forgets who was alive,
//! and learns it again within 3.5 s. With one node it is the same code as with many.

mod liveness;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use domain::event::{ActorKind, Event};
use domain::ports::{Beat, Due, StoreError, Take, WorkCounts};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::Fault;
use crate::tenants::TenantsMsg;
use liveness::Liveness;

/// Pause between heartbeats, and between sweeps.
const BEAT: Duration = Duration::from_secs(1);
/// How long one heartbeat may take; then the next begins.
const BEAT_DEADLINE: Duration = Duration::from_millis(2500);
/// How long one sweep may take.
const SWEEP_DEADLINE: Duration = Duration::from_secs(10);
/// Callbacks that one sweep brings back, of ours and of others each.
const SWEPT_AT_ONCE: usize = 2_000;
/// A row that is overdue by this is taken whoever owns it.
const OVERDUE: TimeDelta = TimeDelta::seconds(60);
/// Beats between two looks at the sizes of the work lists.
const BEATS_PER_COUNT: u64 = 15;
/// Beats between two purges.
const BEATS_PER_PURGE: u64 = 60;
/// Records removed in one step of a purge, and steps in one purge.
const PURGED_AT_ONCE: usize = 500;
const PURGE_STEPS: usize = 100;
/// How long a purge may take.
const PURGE_DEADLINE: Duration = Duration::from_secs(50);
/// A record stays for this long after its desired time (a fixed value of the product).
const KEPT_FOR: TimeDelta = TimeDelta::days(14);

/// Messages to membership.
pub(crate) enum MembershipMsg {
    /// From its alarm, each second.
    SecondPassed,
    /// From its task: what the heartbeat brought, or why not.
    Beaten { started: Instant, beat: Result<Beat, StoreError> },
    /// From its task: what is due and has nobody.
    Swept { due: Result<Vec<Due>, StoreError> },
    /// From its task.
    Purged { purged: Result<u64, StoreError> },
    /// From its task.
    Counted { counts: Result<WorkCounts, StoreError> },
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
    beats: u64,
    /// One of each at a time.
    beating: bool,
    sweeping: bool,
    purging: bool,
    counting: bool,
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
            beats: 0,
            beating: false,
            sweeping: false,
            purging: false,
            counting: false,
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
            MembershipMsg::Swept { due } => state.on_swept(due)?,
            MembershipMsg::Purged { purged } => state.on_purged(purged),
            MembershipMsg::Counted { counts } => state.on_counted(counts),
        }
        Ok(())
    }
}

impl State {
    fn on_second(&mut self) {
        let alive = self.liveness.am_alive(Instant::now());
        if !alive && self.node.is_alive() {
            tracing::warn!("no heartbeat was committed for 3 s: nothing is begun until one is");
        }
        self.node.set_alive(alive);
        if !std::mem::replace(&mut self.beating, true) {
            self.beat();
        }
        if !self.node.may_work() {
            return;
        }
        if !std::mem::replace(&mut self.sweeping, true) {
            self.sweep();
        }
        self.beats += 1;
        if self.beats % BEATS_PER_COUNT == 1 && !std::mem::replace(&mut self.counting, true) {
            self.count();
        }
        if self.beats % BEATS_PER_PURGE == 30 && !std::mem::replace(&mut self.purging, true) {
            self.purge();
        }
    }

    fn beat(&self) {
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            let started = Instant::now();
            let beat = timeout(BEAT_DEADLINE, node.ports.nodes.heartbeat(node.me)).await;
            let beat = beat.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the heartbeat took too long".into())));
            me.hint(MembershipMsg::Beaten { started, beat });
        });
    }

    fn on_beaten(&mut self, started: Instant, beat: Result<Beat, StoreError>) -> Result<(), Fault> {
        self.beating = false;
        match beat {
            Ok(beat) => {
                let was_alive = self.liveness.am_alive(Instant::now());
                self.node.ports.clock.observe(beat.now);
                self.liveness.beaten(started, Instant::now(), &beat.nodes);
                self.node.set_alive(true);
                if !was_alive && self.epoch.is_some() {
                    // The store has come back: what was silent meanwhile is not gone.
                    self.node.begin_quiet_time();
                }
                if self.epoch.replace(beat.epoch).is_some_and(|before| before != beat.epoch) {
                    self.node.tenants.hint(TenantsMsg::SettingsChanged);
                }
                Ok(())
            }
            Err(StoreError::Unreadable(why)) => Err(Fault(format!("cannot read the nodes: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "a heartbeat failed");
                Ok(())
            }
        }
    }

    fn sweep(&self) {
        let (node, me) = (self.node.clone(), self.me.clone());
        let living = self.liveness.living(Instant::now());
        tokio::spawn(async move {
            let swept = async {
                let at = node.now();
                let mut due = node.ports.callbacks.due(node.me, at, SWEPT_AT_ONCE).await?;
                let limit = SWEPT_AT_ONCE.min(node.free_seats());
                if limit > 0 {
                    let take = Take { owner: node.me, living, at, overdue_before: at - OVERDUE, limit };
                    due.extend(node.ports.callbacks.take(take).await?);
                }
                Ok(due)
            };
            let due = timeout(SWEEP_DEADLINE, swept).await;
            let due = due.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the sweep took too long".into())));
            me.hint(MembershipMsg::Swept { due });
        });
    }

    fn on_swept(&mut self, due: Result<Vec<Due>, StoreError>) -> Result<(), Fault> {
        self.sweeping = false;
        match due {
            Ok(due) if due.is_empty() => Ok(()),
            Ok(due) => {
                self.node.tenants.hint(TenantsMsg::Work { due });
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
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            let purged = async {
                let mut purged = 0;
                for _ in 0..PURGE_STEPS {
                    let now = node.now();
                    let step = node.ports.callbacks.purge(now - KEPT_FOR, now, PURGED_AT_ONCE).await?;
                    purged += step;
                    if step < PURGED_AT_ONCE as u64 {
                        break;
                    }
                }
                Ok(purged)
            };
            let purged = timeout(PURGE_DEADLINE, purged).await;
            let purged = purged.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the purge took too long".into())));
            me.hint(MembershipMsg::Purged { purged });
        });
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

    fn count(&self) {
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            let counts = timeout(SWEEP_DEADLINE, node.ports.callbacks.work_counts()).await;
            let counts = counts.unwrap_or_else(|_| Err(StoreError::NotDone("counting took too long".into())));
            me.hint(MembershipMsg::Counted { counts });
        });
    }

    fn on_counted(&mut self, counts: Result<WorkCounts, StoreError>) {
        self.counting = false;
        if let Ok(counts) = counts {
            self.node.note(Event::WorkLists {
                monitor_active: counts.scheduled,
                monitor_total: counts.scheduled,
                ping_active: self.node.sessions() as u64,
                ping_total: counts.active,
            });
        }
    }
}
