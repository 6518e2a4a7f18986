//! What supervisors do alike. A [`Keeper`] remembers which child is which, counts its failures, and says when to
//! start it again. A [`Supervisor`] does all there is to do for a [`Family`] of children that is known from the start.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ports::Observer;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, RestartPolicy, Restarts, Verdict, any_number, note_failed_start, note_failure};

/// Who the children of a supervisor are, and what holds for them. It is asked again at every restart.
pub(crate) trait Family: Send + Sync + 'static {
    /// Names a child, also in the log.
    type Child: Copy + Eq + Hash + Display + Send + Sync + 'static;

    /// What the supervisor itself is.
    const KIND: ActorKind;
    /// How long the children may take to end, all together; then they are left behind.
    const STOP_DEADLINE: Duration;

    /// Every child, in the order in which they are started.
    fn children(&self, node: &Node) -> Vec<Self::Child>;

    /// What a child is.
    fn kind(child: Self::Child) -> ActorKind;

    /// How often a child may fail.
    fn policy(child: Self::Child) -> RestartPolicy;

    /// Starts a child below `supervisor`, most likely by [`spawn`]; none if it is not wanted any more.
    fn start(
        &self,
        node: &Arc<Node>,
        child: Self::Child,
        supervisor: ActorCell,
    ) -> impl Future<Output = Option<Result<ActorCell, SpawnErr>>> + Send;

    /// A child was lost and will be started again.
    fn on_lost(&self, _node: &Node, _child: Self::Child) {}

    /// A child failed too often: the supervisor ends with this.
    fn on_give_up(&self, _fault: &Fault) {}
}

/// Starts an actor below `supervisor`. `args` gets the counter in which its address and its meter count together.
pub(crate) async fn spawn<A: Actor>(
    actor: A,
    args: impl FnOnce(Waiting) -> A::Arguments,
    supervisor: ActorCell,
) -> Result<Address<A::Msg>, SpawnErr> {
    let waiting: Waiting = Arc::new(AtomicUsize::new(0));
    let (actor, _) = A::spawn_linked(None, actor, args(waiting.clone()), supervisor).await?;
    Ok(Address::new(actor, waiting))
}

/// Message of a supervisor to itself: start this child, for the first time or again after its pause.
pub(crate) struct Start<C>(C);

/// What a supervisor is started with.
pub(crate) struct SupervisorArgs<F> {
    pub(crate) node: Arc<Node>,
    pub(crate) family: F,
    pub(crate) waiting: Waiting,
}

/// State of a supervisor.
pub(crate) struct State<F: Family> {
    node: Arc<Node>,
    family: F,
    me: Address<Start<F::Child>>,
    keeper: Keeper<F::Child>,
    meter: Meter,
}

/// The actor.
pub(crate) struct Supervisor<F>(PhantomData<fn(F)>);

impl<F> Supervisor<F> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<F: Family> Actor for Supervisor<F> {
    type Msg = Start<F::Child>;
    type State = State<F>;
    type Arguments = SupervisorArgs<F>;

    async fn pre_start(&self, me: ActorRef<Self::Msg>, args: Self::Arguments) -> Result<State<F>, ActorProcessingErr> {
        let SupervisorArgs { node, family, waiting } = args;
        let observer = node.ports.observer.clone();
        let meter = Meter::new(F::KIND, observer.clone(), waiting);
        let me = meter.address(&me);
        for child in family.children(&node) {
            me.hint(Start(child));
        }
        Ok(State { node, family, me, keeper: Keeper::new(F::KIND, observer), meter })
    }

    async fn handle(
        &self,
        _me: ActorRef<Self::Msg>,
        Start(child): Self::Msg,
        state: &mut State<F>,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        Ok(state.on_start(child).await?)
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State<F>,
    ) -> Result<(), ActorProcessingErr> {
        let lost = state.keeper.lost(event);
        Ok(state.on_lost(lost)?)
    }

    async fn post_stop(&self, me: ActorRef<Self::Msg>, _state: &mut State<F>) -> Result<(), ActorProcessingErr> {
        me.stop_children_and_wait(None, Some(F::STOP_DEADLINE)).await;
        Ok(())
    }
}

impl<F: Family> State<F> {
    async fn on_start(&mut self, child: F::Child) -> Result<(), Fault> {
        let Some(spawned) = self.family.start(&self.node, child, self.me.cell()).await else { return Ok(()) };
        let lost = self.keeper.started(child, spawned);
        self.on_lost(lost)
    }

    fn on_lost(&mut self, lost: Option<Lost<F::Child>>) -> Result<(), Fault> {
        let Some(lost) = lost else { return Ok(()) };
        let child = lost.child;
        let verdict = self.keeper.failed(&lost, F::kind(child), F::policy(child));
        let pause = verdict.inspect_err(|fault| self.family.on_give_up(fault))?;
        self.family.on_lost(&self.node, child);
        self.me.hint_after(pause, Start(child));
        Ok(())
    }
}

/// The children of one supervisor, named by `K`.
pub(crate) struct Keeper<K> {
    supervisor: ActorKind,
    observer: Arc<dyn Observer>,
    by_actor: HashMap<ActorId, K>,
    failures: HashMap<K, Restarts>,
}

/// A child that ended without having been asked to, or did not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost<K> {
    pub(crate) child: K,
    pub(crate) failure: Failure,
    /// What may be written about it.
    pub(crate) text: String,
}

impl<K: Copy + Eq + Hash + Display> Keeper<K> {
    pub(crate) fn new(supervisor: ActorKind, observer: Arc<dyn Observer>) -> Self {
        Self { supervisor, observer, by_actor: HashMap::new(), failures: HashMap::new() }
    }

    /// Takes in how the start of a child went.
    pub(crate) fn started(&mut self, child: K, spawned: Result<ActorCell, SpawnErr>) -> Option<Lost<K>> {
        match spawned {
            Ok(actor) => {
                self.by_actor.insert(actor.get_id(), child);
                None
            }
            Err(error) => {
                let text = note_failed_start(self.observer.as_ref(), &error);
                Some(Lost { child, failure: Failure::Start, text })
            }
        }
    }

    /// Which child was lost, if the event tells of one. A child that was killed, or stopped by whomever, is
    /// missed as much as one that failed: only its supervisor ends it, and hears no events any more by then.
    pub(crate) fn lost(&mut self, event: SupervisionEvent) -> Option<Lost<K>> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                let child = self.by_actor.remove(&actor.get_id())?;
                let (failure, text) = note_failure(self.observer.as_ref(), &error);
                Some(Lost { child, failure, text })
            }
            SupervisionEvent::ActorTerminated(actor, _, reason) => {
                let child = self.by_actor.remove(&actor.get_id())?;
                let text = reason.unwrap_or_else(|| "it stopped".to_owned());
                Some(Lost { child, failure: Failure::Error, text })
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => None,
        }
    }

    /// Counts a failure and says after which pause to start the child again.
    ///
    /// # Errors
    /// The supervisor's own failure, if the child failed too often.
    pub(crate) fn failed(&mut self, lost: &Lost<K>, kind: ActorKind, policy: RestartPolicy) -> Result<Duration, Fault> {
        let Lost { child, failure, text } = lost;
        let restarts = self.failures.entry(*child).or_insert_with(|| Restarts::new(policy));
        match restarts.failed(Instant::now(), any_number()) {
            Verdict::Restart(pause) => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(%child, reason = failure.name(), error = text, pause_ms, "an actor failed and is started again");
                self.observer.note(Event::Restarted { supervisor: self.supervisor, child: kind, reason: *failure });
                Ok(pause)
            }
            Verdict::GiveUp => {
                Err(Fault(format!("{child} failed more often than it may, last by {}: {text}", failure.name())))
            }
        }
    }
}
