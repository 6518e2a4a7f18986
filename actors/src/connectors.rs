//! Runs the clients: each has an actor that opens it, looks after it, closes it and opens it again.
//!
//! The supervisor is started by the root, its connectors by it. An outage is not a failure: a client that
//! cannot be opened is tried again, for ever, with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use domain::event::ActorKind;
use domain::ports::Connector;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::time::timeout;

use crate::keeper::{Family, spawn};
use crate::mailbox::{Meter, Waiting};
use crate::node::Node;
use crate::restart::{Policies, RestartPolicy, any_number};

/// How long opening or checking may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long closing may take; then the client is dropped as it is.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// The clients, named by their place in the list of ports.
pub(crate) struct Connectors;

impl Family for Connectors {
    type Child = usize;

    const KIND: ActorKind = ActorKind::Connectors;
    const STOP_DEADLINE: Duration = Duration::from_millis(2_500);

    fn children(&self, node: &Node) -> Vec<usize> {
        (0..node.ports.connectors.len()).collect()
    }

    fn kind(_connector: usize) -> ActorKind {
        ActorKind::Connector
    }

    fn policy(_connector: usize) -> RestartPolicy {
        Policies::CONNECTOR
    }

    async fn start(
        &self,
        node: &Arc<Node>,
        connector: usize,
        supervisor: ActorCell,
    ) -> Option<Result<ActorCell, SpawnErr>> {
        let connector = node.ports.connectors.get(connector)?.clone();
        let args = |waiting| ConnectorArgs { node: node.clone(), connector, waiting };
        Some(spawn(ConnectorActor, args, supervisor).await.map(|connector| connector.cell()))
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
                self.connector.pause()
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
