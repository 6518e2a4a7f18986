//! One probe per dependency, every 15 s, folded into one verdict.
//!
//! The supervisor is started by the root, its probes by it. A probe that fails is started again; what it last
//! said stays on the board meanwhile. Nobody asks these actors anything: the board is read.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::event::{ActorKind, Event};
use domain::health::{Dependency, DependencyStatus};
use domain::ports::Probe;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::timeout;

use crate::keeper::{Keeper, Lost};
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, Policies};

/// Pause between two probes of the same dependency.
const EVERY: Duration = Duration::from_secs(15);
/// While a dependency does not answer it is asked more often, so that its return is seen soon.
const EVERY_WHILE_DOWN: Duration = Duration::from_secs(3);
/// How long one probe may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the probes may take to end; one that is asking is left behind.
const STOP_DEADLINE: Duration = Duration::from_millis(200);

/// What is known of every dependency.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard(Mutex<BTreeMap<&'static str, Dependency>>);

/// A copy of the board with the state of the node.
#[derive(Debug, Clone)]
pub struct HealthSnapshot {
    /// Every dependency, by name.
    pub dependencies: Vec<Dependency>,
    /// Requests may be sent here: started, not draining, and the database answers.
    pub ready: bool,
    /// The node is ending.
    pub draining: bool,
}

impl HealthBoard {
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Nothing is known of it, unless an earlier life of its probe has left a finding.
    fn open(&self, probe: &dyn Probe, now: DateTime<Utc>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.entry(probe.name()).or_insert_with(|| Dependency {
            name: probe.name(),
            status: DependencyStatus::Unknown,
            required: probe.required(),
            since: now,
            checked_at: now,
            reason: None,
        });
    }

    fn put(&self, probe: &dyn Probe, status: DependencyStatus, reason: Option<String>, now: DateTime<Utc>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = board.get(probe.name()).filter(|known| known.status == status).map_or(now, |known| known.since);
        let dependency =
            Dependency { name: probe.name(), status, required: probe.required(), since, checked_at: now, reason };
        board.insert(probe.name(), dependency);
    }
}

/// Messages to the supervisor of the probes.
pub(crate) enum HealthMsg {
    /// From itself: start this probe, for the first time or again after its pause.
    Start { probe: usize },
}

/// What it is started with.
pub(crate) struct HealthArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
}

/// State of the supervisor.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<HealthMsg>,
    keeper: Keeper<usize>,
    meter: Meter,
}

/// The supervisor.
pub(crate) struct HealthActor;

impl Actor for HealthActor {
    type Msg = HealthMsg;
    type State = State;
    type Arguments = HealthArgs;

    async fn pre_start(&self, me: ActorRef<HealthMsg>, args: HealthArgs) -> Result<State, ActorProcessingErr> {
        let observer = args.node.ports.observer.clone();
        let meter = Meter::new(ActorKind::Health, observer.clone(), args.waiting);
        let me = meter.address(&me);
        for (index, probe) in args.node.ports.probes.iter().enumerate() {
            args.node.health.open(probe.as_ref(), args.node.now());
            me.hint(HealthMsg::Start { probe: index });
        }
        Ok(State { node: args.node, me, keeper: Keeper::new(ActorKind::Health, observer), meter })
    }

    async fn handle(
        &self,
        _me: ActorRef<HealthMsg>,
        message: HealthMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            HealthMsg::Start { probe } => state.on_start(probe).await?,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<HealthMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match state.keeper.lost(event) {
            Some(lost) => Ok(state.on_lost(lost)?),
            None => Ok(()),
        }
    }

    async fn post_stop(&self, me: ActorRef<HealthMsg>, _state: &mut State) -> Result<(), ActorProcessingErr> {
        me.stop_children_and_wait(None, Some(STOP_DEADLINE)).await;
        Ok(())
    }
}

impl State {
    async fn on_start(&mut self, index: usize) -> Result<(), Fault> {
        let Some(probe) = self.node.ports.probes.get(index).cloned() else { return Ok(()) };
        let waiting: Waiting = Arc::new(AtomicUsize::new(0));
        let args = ProbeArgs { node: self.node.clone(), probe, waiting };
        let spawned = ProbeActor::spawn_linked(None, ProbeActor, args, self.me.cell()).await;
        self.keeper.started(index, spawned).map_or(Ok(()), |lost| self.on_lost(lost))
    }

    fn on_lost(&mut self, lost: Lost<usize>) -> Result<(), Fault> {
        let pause = self.keeper.failed(&lost, ActorKind::Probe, Policies::PROBE)?;
        // Whoever cannot be asked cannot be relied on.
        if let Some(probe) = self.node.ports.probes.get(lost.child) {
            let reason = Some("its probe failed".to_owned());
            self.node.health.put(probe.as_ref(), DependencyStatus::Down, reason, self.node.now());
            self.node.note(Event::Probed { dependency: probe.name(), up: false });
        }
        self.me.hint_after(pause, HealthMsg::Start { probe: lost.child });
        Ok(())
    }
}

/// Messages to a probe.
pub(crate) enum ProbeMsg {
    /// From itself.
    Check,
}

struct ProbeArgs {
    node: Arc<Node>,
    probe: Arc<dyn Probe>,
    waiting: Waiting,
}

struct ProbeState {
    node: Arc<Node>,
    probe: Arc<dyn Probe>,
    meter: Meter,
}

struct ProbeActor;

impl Actor for ProbeActor {
    type Msg = ProbeMsg;
    type State = ProbeState;
    type Arguments = ProbeArgs;

    async fn pre_start(&self, me: ActorRef<ProbeMsg>, args: ProbeArgs) -> Result<ProbeState, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Probe, args.node.ports.observer.clone(), args.waiting);
        meter.address(&me).hint(ProbeMsg::Check);
        Ok(ProbeState { node: args.node, probe: args.probe, meter })
    }

    async fn handle(
        &self,
        me: ActorRef<ProbeMsg>,
        message: ProbeMsg,
        state: &mut ProbeState,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            ProbeMsg::Check => state.on_check(&me).await,
        }
        Ok(())
    }
}

impl ProbeState {
    /// Asks, writes the answer on the board, and sets the next time. The one thing a probe does is wait for
    /// its answer, so it waits here.
    async fn on_check(&mut self, me: &ActorRef<ProbeMsg>) {
        let answer = timeout(DEADLINE, self.probe.check()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        let up = answer.is_ok();
        let status = if up { DependencyStatus::Up } else { DependencyStatus::Down };
        self.node.health.put(self.probe.as_ref(), status, answer.err(), self.node.now());
        self.node.note(Event::Probed { dependency: self.probe.name(), up });
        self.meter.address(me).hint_after(if up { EVERY } else { EVERY_WHILE_DOWN }, ProbeMsg::Check);
    }
}
