//! A running tree, and the words in which the tests speak of it.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{FakeRouting, World, booking, tenant, tenant_id, until};
use actors::{Tree, TreeSettings};
use chrono::{DateTime, Utc};
use domain::callback::{Callback, Reason, Reply, Signal, SignalEvent, State};
use domain::event::ActorKind;
use domain::ids::{CallbackId, SessionId};
use domain::ports::{CancelError, Desk, Inbox, SignalError, SubmitError};
use domain::queue::QueueSettings;

/// Long enough for anything in these tests; time is paused, so it costs nothing.
pub(crate) const SOON: Duration = Duration::from_secs(120);

pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) tree: Tree,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) inbox: Arc<dyn Inbox>,
}

impl Service {
    pub(crate) async fn start(world: World) -> Self {
        Self::start_with(world, 1_000).await
    }

    pub(crate) async fn start_with(world: World, session_limit: usize) -> Self {
        let settings = TreeSettings { node_name: "test".into(), version: "0".into(), session_limit };
        let tree = Tree::start(world.ports(), settings).await.expect("the tree starts");
        let (desk, inbox) = (tree.desk(), tree.inbox());
        Self { world, tree, desk, inbox }
    }

    /// A second node on the same store.
    pub(crate) async fn beside(&self) -> Self {
        let settings = TreeSettings { node_name: "beside".into(), version: "0".into(), session_limit: 1_000 };
        let tree = Tree::start(self.world.ports(), settings).await.expect("the tree starts");
        let (desk, inbox) = (tree.desk(), tree.inbox());
        Self { world: self.world.clone(), tree, desk, inbox }
    }

    /// A running tree whose queue has these settings.
    pub(crate) async fn with(settings: QueueSettings) -> Self {
        let world = World::new();
        world.settings.put(tenant(settings));
        Self::start(world).await
    }

    /// A running tree whose routing makes whole calls.
    pub(crate) async fn calling() -> Self {
        Self::start(World::new()).await.answered()
    }

    /// As [`Self::with`], and routing makes whole calls.
    pub(crate) async fn calling_with(settings: QueueSettings) -> Self {
        Self::with(settings).await.answered()
    }

    fn answered(self) -> Self {
        self.world.routing.answer(self.inbox.clone(), FakeRouting::whole_call());
        self
    }

    pub(crate) async fn create(&self) -> CallbackId {
        self.try_create().await.expect("a booking is kept")
    }

    /// A callback for now whose first attempt is granted to `session-1`, on a service that has had no other.
    pub(crate) async fn accepted(&self) -> CallbackId {
        let id = self.create().await;
        self.until_entered(1).await;
        assert_eq!(self.report(id, 1, 1, SignalEvent::Accepted).await, Ok(Reply::Done));
        id
    }

    pub(crate) async fn try_create(&self) -> Result<CallbackId, SubmitError> {
        self.desk.submit(tenant_id(), booking(None)).await.map(|submitted| submitted.id)
    }

    pub(crate) async fn schedule(&self, desired_time: DateTime<Utc>) -> CallbackId {
        self.desk.submit(tenant_id(), booking(Some(desired_time))).await.expect("a booking is kept").id
    }

    pub(crate) async fn cancel(&self, id: CallbackId) -> Result<(), CancelError> {
        self.desk.cancel(tenant_id(), id, domain::callback::Canceller::Api).await
    }

    /// A report of the session `session-{attempt}`.
    pub(crate) async fn report(
        &self,
        id: CallbackId,
        attempt: u32,
        seq: u64,
        event: SignalEvent,
    ) -> Result<Reply, SignalError> {
        let session = SessionId::new(&format!("session-{attempt}")).ok();
        self.inbox.signal(tenant_id(), id, Signal { attempt, seq, session, event }).await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.world.clock.time()
    }

    /// The row as it stands.
    pub(crate) fn row(&self, id: CallbackId) -> Callback {
        self.world.store.row(id).expect("the row is there").callback
    }

    pub(crate) fn sessions(&self) -> usize {
        self.world.recorder.living(ActorKind::Session)
    }

    pub(crate) async fn until_state(&self, id: CallbackId, state: State) {
        until(&format!("{id} is {state}"), SOON, || self.row(id).state == state).await;
    }

    pub(crate) async fn until_ended(&self, id: CallbackId, reason: Reason) {
        self.until_state(id, State::Completed).await;
        assert_eq!(self.row(id).reason, Some(reason));
    }

    pub(crate) async fn until_entered(&self, count: usize) {
        until(&format!("{count} attempts entered"), SOON, || self.world.routing.entered().len() >= count).await;
    }

    pub(crate) async fn until_sessions(&self, count: usize) {
        until(&format!("{count} sessions"), SOON, || self.sessions() == count).await;
    }

    /// Nothing failed so far.
    pub(crate) fn assert_no_restarts(&self) {
        assert_eq!(self.world.recorder.all_restarts(), 0);
    }
}

/// Lets the (paused) time pass, for what must not happen in it.
/// An instant as it is written.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
