//! Runs the clients: each has an actor that opens it, looks after it, closes it and opens it again.
//!
//! The supervisor is started by the root, its connectors by it. An outage is not a failure: a client that
//! cannot be opened is tried again, for ever, with growing pauses.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use domain::event::ActorKind;
use domain::ports::Connector;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::timeout;

use crate::keeper::{Keeper, Lost};
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, Policies, any_number};

/// Pause between two looks at a client.
const EVERY: Duration = Duration::from_secs(15);
/// How long opening or checking may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long closing may take; then the client is dropped as it is.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the connectors may take to end together.
const STOP_DEADLINE: Duration = Duration::from_millis(2_500);

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
        match state.keeper.lost(event) {
            Some(lost) => Ok(state.on_lost(lost)?),
            None => Ok(()),
        }
    }

    async fn post_stop(&self, me: ActorRef<ConnectorsMsg>, _state: &mut State) -> Result<(), ActorProcessingErr> {
        me.stop_children_and_wait(None, Some(STOP_DEADLINE)).await;
        Ok(())
    }
}

impl State {
    async fn on_start(&mut self, index: usize) -> Result<(), Fault> {
        let Some(connector) = self.node.ports.connectors.get(index).cloned() else { return Ok(()) };
        let waiting: Waiting = Arc::new(AtomicUsize::new(0));
        let args = ConnectorArgs { node: self.node.clone(), connector, waiting };
        let spawned = ConnectorActor::spawn_linked(None, ConnectorActor, args, self.me.cell()).await;
        self.keeper.started(index, spawned).map_or(Ok(()), |lost| self.on_lost(lost))
    }

    fn on_lost(&mut self, lost: Lost<usize>) -> Result<(), Fault> {
        let pause = self.keeper.failed(&lost, ActorKind::Connector, Policies::CONNECTOR)?;
        self.me.hint_after(pause, ConnectorsMsg::Start { connector: lost.child });
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
    /// Whether it was opened and has not been closed since. At first it may be: an earlier life that panicked
    /// left it as it was, so the first thing done is to close it.
    open: Open,
    /// Times in a row that it could not be opened, or did not work.
    refused: usize,
    meter: Meter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Perhaps,
    Yes,
    No,
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
        Ok(ConnectorState { connector: args.connector, open: Open::Perhaps, refused: 0, meter })
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

    async fn post_stop(
        &self,
        _me: ActorRef<ConnectorMsg>,
        state: &mut ConnectorState,
    ) -> Result<(), ActorProcessingErr> {
        state.close().await;
        Ok(())
    }
}

impl ConnectorState {
    async fn on_look_after(&mut self, me: &ActorRef<ConnectorMsg>) {
        if self.open == Open::Perhaps {
            self.close().await;
        }
        let name = self.connector.name();
        let step =
            async { if self.open == Open::Yes { self.connector.check().await } else { self.connector.open().await } };
        let result = timeout(DEADLINE, step).await;
        let result = result.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        let pause = match result {
            Ok(()) => {
                if std::mem::replace(&mut self.open, Open::Yes) != Open::Yes {
                    tracing::info!(connector = name, "a client is open");
                }
                self.refused = 0;
                EVERY
            }
            Err(error) => {
                self.close().await;
                self.refused = self.refused.saturating_add(1);
                let pause = Policies::CONNECTOR.pause(self.refused, any_number());
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(connector = name, error, pause_ms, "a client does not work and is opened again");
                pause
            }
        };
        self.meter.address(me).hint_after(pause, ConnectorMsg::LookAfter);
    }

    async fn close(&mut self) {
        self.open = Open::No;
        if timeout(CLOSE_DEADLINE, self.connector.close()).await.is_err() {
            tracing::warn!(connector = self.connector.name(), "a client could not be closed in time and is dropped");
        }
    }
}
