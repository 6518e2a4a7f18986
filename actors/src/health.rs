//! One probe per dependency, every 15 s, folded into one verdict.
//!
//! The supervisor is started by the root, its probes by it. A probe that fails is started again; what it last
//! said stays on the board meanwhile. A status changes with the second result that says so. Nobody asks these actors
//! anything: the board is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::event::{ActorKind, Event};
use domain::health::{Dependency, DependencyStatus, Steady};
use domain::ports::Probe;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::time::timeout;

use crate::keeper::{Family, spawn};
use crate::mailbox::{Meter, Waiting};
use crate::node::Node;
use crate::restart::{Policies, RestartPolicy, any_number};

/// Longest pause between two probes of the same dependency; up to a tenth of it is left out, so that nodes and
/// dependencies do not ask in step.
const EVERY: Duration = Duration::from_secs(15);
/// While a dependency does not answer, or has just said the contrary of what it said before, it is asked more often.
const EVERY_WHILE_DOWN: Duration = Duration::from_secs(3);
/// How long one probe may take.
const DEADLINE: Duration = Duration::from_secs(5);

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

/// The probes, named by their place in the list of ports.
pub(crate) struct Probes;

impl Family for Probes {
    type Child = usize;

    const KIND: ActorKind = ActorKind::Health;
    /// A probe that is asking is left behind.
    const STOP_DEADLINE: Duration = Duration::from_millis(200);

    fn children(&self, node: &Node) -> Vec<usize> {
        node.ports.probes.iter().for_each(|probe| node.health.open(probe.as_ref(), node.now()));
        (0..node.ports.probes.len()).collect()
    }

    fn kind(_probe: usize) -> ActorKind {
        ActorKind::Probe
    }

    fn policy(_probe: usize) -> RestartPolicy {
        Policies::PROBE
    }

    async fn start(
        &self,
        node: &Arc<Node>,
        probe: usize,
        supervisor: ActorCell,
    ) -> Option<Result<ActorCell, SpawnErr>> {
        let probe = node.ports.probes.get(probe)?.clone();
        let args = |waiting| ProbeArgs { node: node.clone(), probe, waiting };
        Some(spawn(ProbeActor, args, supervisor).await.map(|probe| probe.cell()))
    }

    /// Whoever cannot be asked cannot be relied on.
    fn on_lost(&self, node: &Node, probe: usize) {
        if let Some(probe) = node.ports.probes.get(probe) {
            let reason = Some("its probe failed".to_owned());
            node.health.put(probe.as_ref(), DependencyStatus::Down, reason, node.now());
            node.note(Event::Probed { dependency: probe.name(), up: false });
        }
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
    steady: Steady,
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
        Ok(ProbeState { node: args.node, probe: args.probe, steady: Steady::default(), meter })
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
        let status = self.steady.heard(answer.is_ok());
        let up = status == DependencyStatus::Up;
        let once = || Some("it has answered only once since".to_owned());
        let reason = if up { None } else { answer.err().or_else(once) };
        self.node.health.put(self.probe.as_ref(), status, reason, self.node.now());
        if status != DependencyStatus::Unknown {
            self.node.note(Event::Probed { dependency: self.probe.name(), up });
        }
        let pause = if up && !self.steady.is_in_doubt() { spread(EVERY) } else { EVERY_WHILE_DOWN };
        self.meter.address(me).hint_after(pause, ProbeMsg::Check);
    }
}

/// The pause, less up to a tenth of it.
fn spread(pause: Duration) -> Duration {
    let tenth = u64::try_from((pause / 10).as_millis()).unwrap_or_default().max(1);
    pause - Duration::from_millis(any_number() % tenth)
}
