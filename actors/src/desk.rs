//! The way in: finds the tenant, hands the reply port on, and waits under a deadline. Nobody in between waits.

pub(crate) mod availability;
mod hours;
mod numbers;
mod settings;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::{Canceller, Live, NewCallback, Reply, Signal, SignalEvent};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{
    CallbackView, CancelError, Desk as DeskPort, Inbox, SignalError, StoreError, SubmitError, Submitted, Unserved,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::node::Node;
use crate::tenant::TenantMsg;

/// How long an answer may take. Below the door's own limit, above that of the store.
const DEADLINE: Duration = Duration::from_secs(8);

/// The tree, seen from the door and from routing.
#[derive(Clone)]
pub(crate) struct Desk {
    node: Arc<Node>,
}

impl Desk {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Sends a message with a reply port to the tenant's actor and waits for the answer.
    async fn ask<T, E: From<Unserved>>(
        &self,
        tenant: TenantId,
        message: impl FnOnce(oneshot::Sender<Result<T, E>>) -> TenantMsg + Send,
    ) -> Result<T, E> {
        let Some(entry) = self.node.directory.find(tenant) else { return Err(Unserved::Busy.into()) };
        let (reply, answer) = oneshot::channel();
        if entry.address.send(message(reply)).is_err() {
            return Err(Unserved::Busy.into());
        }
        match timeout(DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            // The actor died with our message, or the time is up: it may or may not have been kept.
            Ok(Err(_)) | Err(_) => Err(Unserved::Perhaps.into()),
        }
    }
}

#[async_trait]
impl DeskPort for Desk {
    async fn submit(&self, tenant: TenantId, new: NewCallback) -> Result<Submitted, SubmitError> {
        self.ask(tenant, |reply| TenantMsg::Submit { new: Box::new(new), reply }).await
    }

    async fn cancel(&self, tenant: TenantId, id: CallbackId, by: Canceller) -> Result<(), CancelError> {
        self.ask(tenant, |reply| TenantMsg::Cancel { id, by, reply }).await
    }

    async fn retrieve(&self, tenant: TenantId, id: CallbackId) -> Result<CallbackView, Unserved> {
        let read = timeout(DEADLINE, self.node.ports.callbacks.load(tenant, id)).await;
        let callback = read
            .map_err(|_| Unserved::Busy)?
            .map_err(|error| {
                if let StoreError::Unreadable(why) = &error {
                    tracing::error!(why, session.id = %id, "a callback cannot be read");
                }
                // Whatever became of a read, nothing was changed by it.
                Unserved::Busy
            })?
            .ok_or(Unserved::NotFound)?;
        let live = callback.state.is_active().then(|| self.live(id));
        Ok(CallbackView {
            id: callback.id,
            desired_time: callback.desired_time,
            state: callback.state,
            reason: callback.reason,
            phone: callback.phone,
            live,
        })
    }
}

impl Desk {
    fn live(&self, id: CallbackId) -> Live {
        let known = self.node.ports.routing.live(id).or_else(|| self.node.live.live(id));
        known.unwrap_or(Live::UNKNOWN)
    }
}

#[async_trait]
impl Inbox for Desk {
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        // Live values stay in memory. What the board does not follow finds a session first, which makes it.
        let live = matches!(signal.event, SignalEvent::Position(_) | SignalEvent::Alive);
        if live && self.node.live.hear(id, tenant, &signal, self.node.now()) {
            return Ok(Reply::Done);
        }
        self.ask(tenant, |reply| TenantMsg::Signal { id, signal, reply }).await
    }
}
