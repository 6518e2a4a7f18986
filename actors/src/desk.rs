//! The way in: finds the tenant, hands the reply port on, and waits under a deadline. Nobody in between waits.

pub(crate) mod availability;
mod call_in;
mod captcha;
mod explain;
mod flow;
mod hours;
mod moves;
mod news;
mod numbers;
mod search;
mod settings;
mod statistics;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::{Callback, Canceller, Live, NewCallback, Reply, Signal, SignalEvent};
use domain::erasure::ERASED;
use domain::event::Event;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{
    CallbackView, CancelError, Desk as DeskPort, Inbox, SignalError, StoreError, SubmitError, Submitted, Unserved,
};
use domain::tenant::Tenant;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::node::Node;
use crate::task;
use crate::tenant::TenantMsg;
pub(crate) use news::WaitingReaders;

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

    /// Runs `work` beside the caller and waits for it. It is seen through, and counted, even if the caller goes away.
    async fn see_through<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unserved> {
        let (reply, answer) = oneshot::channel();
        let work = async move {
            // Without an answer in time the reply port is dropped, and so is the command if its batch has not begun.
            if let Ok(answer) = timeout(DEADLINE, work).await {
                drop(reply.send(answer));
            }
        };
        task::spawn(&self.node, what, work);
        answer.await.map_err(|_| Unserved::Perhaps)
    }

    /// Waits for a read. Whatever became of it, nothing was changed by it.
    async fn read<T>(
        &self,
        what: &'static str,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Unserved> {
        let read = timeout(DEADLINE, read).await.map_err(|_| Unserved::Busy)?;
        read.map_err(|error| {
            if let StoreError::Unreadable(why) = &error {
                tracing::error!(why, what, "something stored cannot be read");
            }
            Unserved::Busy
        })
    }

    /// One callback of a tenant.
    async fn load(&self, tenant: TenantId, id: CallbackId) -> Result<Callback, Unserved> {
        let read = timeout(DEADLINE, self.node.ports.callbacks.load(tenant, id)).await;
        let read = read.map_err(|_| Unserved::Busy)?.map_err(|error| {
            if let StoreError::Unreadable(why) = &error {
                tracing::error!(why, session.id = %id, "a callback cannot be read");
            }
            // Whatever became of a read, nothing was changed by it.
            Unserved::Busy
        })?;
        // A row that has lost its number only stays until routing has been told of its end.
        read.filter(|callback| callback.phone != ERASED).ok_or(Unserved::NotFound)
    }

    /// The settings of a tenant.
    fn settings(&self, tenant: TenantId) -> Result<Arc<Tenant>, Unserved> {
        self.node.directory.find(tenant).map(|entry| entry.tenant).ok_or(Unserved::Busy)
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
        let callback = self.load(tenant, id).await?;
        let live = callback.state.is_active().then(|| self.live(&callback));
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
    fn live(&self, callback: &Callback) -> Live {
        let (node, id) = (&self.node, callback.id);
        let known = node.ports.routing.live(id).or_else(|| node.live.live(id));
        known.or_else(|| node.elsewhere.live(id, callback.attempt)).unwrap_or(Live::UNKNOWN)
    }
}

#[async_trait]
impl Inbox for Desk {
    async fn signal(&self, tenant: TenantId, id: CallbackId, signal: Signal) -> Result<Reply, SignalError> {
        // Live values stay in memory. What the board does not follow finds a session first, which makes it.
        let live = matches!(signal.event, SignalEvent::Position(_) | SignalEvent::Alive);
        if live && self.node.hear(tenant, id, &signal) {
            return Ok(Reply::Done);
        }
        let (event, began) = (signal.event.name(), Instant::now());
        let answer = self.ask(tenant, |reply| TenantMsg::Signal { id, signal, reply }).await;
        self.node.note(Event::SignalAnswered { event, took: began.elapsed() });
        answer
    }
}
