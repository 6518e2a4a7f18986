//! Runs the clients: each has an actor that opens it, looks after it, closes it and opens it again.
//!
//! The supervisor is started by the root, its connectors by it. An outage is not a failure: a client that
//! cannot be opened is tried again, for ever, with growing pauses.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use domain::event::{ActorKind, Failure};
use domain::ports::Connector;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::timeout;

use crate::keeper::Keeper;
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, Policies, failure_of};

/// Pause between two looks at a client.
const EVERY: Duration = Duration::from_secs(15);
/// How long opening or checking may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Messages to the supervisor of the connectors.
pub(crate) enum ConnectorsMsg {
    /// From itself: start this connector, for the first time or again after its pause.
    Start { connector: usize },
}

/// What it is started with.
pub(crate) struct ConnectorsArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
}

/// State of the supervisor.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<ConnectorsMsg>,
    keeper: Keeper<usize>,
    meter: Meter,
}

/// The supervisor.
pub(crate) struct ConnectorsActor;

impl Actor for ConnectorsActor {
    type Msg = ConnectorsMsg;
    type State = State;
    type Arguments = ConnectorsArgs;

    async fn pre_start(&self, me: ActorRef<ConnectorsMsg>, args: ConnectorsArgs) -> Result<State, ActorProcessingErr> {
        let observer = args.node.ports.observer.clone();
        let meter = Meter::new(ActorKind::Connectors, observer.clone(), args.waiting);
        let me = meter.address(&me);
        for connector in 0..args.node.ports.connectors.len() {
            me.hint(ConnectorsMsg::Start { connector });
        }
        Ok(State { node: args.node, me, keeper: Keeper::new(ActorKind::Connectors, observer), meter })
    }

    async fn handle(
        &self,
        _me: ActorRef<ConnectorsMsg>,
        message: ConnectorsMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            ConnectorsMsg::Start { connector } => state.on_start(connector).await?,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<ConnectorsMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                if let Some(connector) = state.keeper.ended(child.get_id()) {
                    state.on_failure(connector, failure_of(&error), &error.to_string())?;
                }
            }
            SupervisionEvent::ActorTerminated(child, _, _) => drop(state.keeper.ended(child.get_id())),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    async fn on_start(&mut self, index: usize) -> Result<(), Fault> {
        let Some(connector) = self.node.ports.connectors.get(index).cloned() else { return Ok(()) };
        let waiting: Waiting = Arc::new(AtomicUsize::new(0));
        let args = ConnectorArgs { node: self.node.clone(), connector, waiting };
        match ConnectorActor::spawn_linked(None, ConnectorActor, args, self.me.cell()).await {
            Ok((actor, _)) => {
                self.keeper.started(actor.get_id(), index);
                Ok(())
            }
            Err(error) => self.on_failure(index, Failure::Start, &error.to_string()),
        }
    }

    fn on_failure(&mut self, index: usize, reason: Failure, error: &str) -> Result<(), Fault> {
        let pause = self.keeper.failed(index, ActorKind::Connector, Policies::CONNECTOR, reason, error)?;
        let me = self.me.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            me.hint(ConnectorsMsg::Start { connector: index });
        });
        Ok(())
    }
}

/// Messages to a connector.
pub(crate) enum ConnectorMsg {
    /// From itself: open the client, or look after it.
    LookAfter,
}

struct ConnectorArgs {
    node: Arc<Node>,
    connector: Arc<dyn Connector>,
    waiting: Waiting,
}

struct ConnectorState {
    connector: Arc<dyn Connector>,
    open: bool,
    /// Times in a row that it could not be opened.
    refused: u32,
    meter: Meter,
}

struct ConnectorActor;

impl Actor for ConnectorActor {
    type Msg = ConnectorMsg;
    type State = ConnectorState;
    type Arguments = ConnectorArgs;

    async fn pre_start(
        &self,
        me: ActorRef<ConnectorMsg>,
        args: ConnectorArgs,
    ) -> Result<ConnectorState, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Connector, args.node.ports.observer.clone(), args.waiting);
        meter.address(&me).hint(ConnectorMsg::LookAfter);
        Ok(ConnectorState { connector: args.connector, open: false, refused: 0, meter })
    }

    async fn handle(
        &self,
        me: ActorRef<ConnectorMsg>,
        message: ConnectorMsg,
        state: &mut ConnectorState,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            ConnectorMsg::LookAfter => state.on_look_after(&me).await,
        }
        Ok(())
    }

    async fn post_stop(&self, _me: ActorRef<ConnectorMsg>, state: &mut ConnectorState) -> Result<(), ActorProcessingErr> {
        state.connector.close().await;
        Ok(())
    }
}

impl ConnectorState {
    async fn on_look_after(&mut self, me: &ActorRef<ConnectorMsg>) {
        let name = self.connector.name();
        let step = async { if self.open { self.connector.check().await } else { self.connector.open().await } };
        let result = timeout(DEADLINE, step).await;
        let result = result.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        let pause = match result {
            Ok(()) => {
                if !std::mem::replace(&mut self.open, true) {
                    tracing::info!(connector = name, "open");
                }
                self.refused = 0;
                EVERY
            }
            Err(error) => {
                tracing::warn!(connector = name, error, "closed, and opened again after a pause");
                if std::mem::take(&mut self.open) {
                    self.connector.close().await;
                }
                self.refused = self.refused.saturating_add(1);
                let policy = Policies::CONNECTOR;
                policy.pause_min.saturating_mul(1 << self.refused.min(10)).min(policy.pause_max)
            }
        };
        let again = self.meter.address(me);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            again.hint(ConnectorMsg::LookAfter);
        });
    }
}
