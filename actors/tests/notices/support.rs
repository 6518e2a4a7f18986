//! A running tree whose tenant is told of things, and the words in which the tests speak of it.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{FakeRouting, PHONE, QUEUE, TENANT, World, booking, queue_name, tenant_id, until};
use actors::{Tree, TreeSettings};
use domain::callback::{Canceller, NewCallback, Options, PushTarget, Signal, SignalEvent};
use domain::happening::{About, EventFeedSettings, Happening, Kind};
use domain::ids::{CallbackId, SessionId};
use domain::notices::{Detail, Ending, Outcome, Sent};
use domain::ports::{Desk, Inbox, NewsDesk};
use domain::push::{PushEvent, PushSettings};
use domain::queue::QueueSettings;
use domain::secret::SecretRef;
use domain::tenant::TenantDocument;
use domain::webhooks::WebhookEndpoint;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const FIRST: &str = "https://first.example.com/";
pub(crate) const SECOND: &str = "https://second.example.com/";
pub(crate) const DEVICE: &str = "device-token";

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn endpoint(url: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        url: url.to_owned(),
        secret: SecretRef::Sealed("x".into()),
        previous_secret: None,
        events: Vec::new(),
        phone_number: false,
        disabled: false,
    }
}

/// The usual tenant with nothing that would be told of.
pub(crate) fn quiet() -> TenantDocument {
    let settings = QueueSettings { execution_buffer_seconds: 0, ..QueueSettings::unlimited() };
    TenantDocument::with_queues(TENANT, [(queue_name(), settings)])
}

/// With the endpoint `first`, and a feed.
pub(crate) fn with_first() -> TenantDocument {
    let mut document = quiet();
    document.webhooks.insert("first".into(), endpoint(FIRST));
    document.event_feed = EventFeedSettings { enabled: true, ..EventFeedSettings::default() };
    document
}

pub(crate) fn with_both() -> TenantDocument {
    let mut document = with_first();
    document.webhooks.insert("second".into(), endpoint(SECOND));
    document
}

/// A tenant that notifies of `events`, in whose queue a wait of less than five minutes is short.
pub(crate) fn pushing(events: &[PushEvent]) -> TenantDocument {
    let mut document = quiet();
    document.push = PushSettings { events: events.to_vec(), ..PushSettings::default() };
    for queue in document.queues.values_mut() {
        queue.push_threshold_minutes = 5;
    }
    document
}

pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) tree: Tree,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) news: Arc<dyn NewsDesk>,
}

impl Service {
    pub(crate) async fn start(document: TenantDocument) -> Self {
        let world = World::new();
        world.settings.put(document.resolve(tenant_id()).expect("valid settings"));
        Self::start_in(world).await
    }

    pub(crate) async fn start_in(world: World) -> Self {
        let settings = TreeSettings { node_name: "test".into(), version: "0".into(), session_limit: 1_000 };
        let tree = Tree::start(world.ports(), settings).await.expect("the tree starts");
        until("the node may work", SOON, || tree.health()().ready).await;
        let (desk, inbox, news) = (tree.desk(), tree.inbox(), tree.news());
        Self { world, tree, desk, inbox, news }
    }

    /// Routing makes whole calls from now on.
    pub(crate) fn call(&self) {
        self.world.routing.answer(self.inbox.clone(), FakeRouting::whole_call());
    }

    pub(crate) async fn book(&self) -> CallbackId {
        self.desk.submit(tenant_id(), booking(None)).await.expect("a booking is kept").id
    }

    /// A booking for now with devices.
    pub(crate) async fn book_for(&self, devices: &[&str]) -> CallbackId {
        self.desk.submit(tenant_id(), for_devices(devices)).await.expect("a booking is kept").id
    }

    /// A callback whose attempt was granted to the session `s`.
    pub(crate) async fn book_and_accept(&self, devices: &[&str]) -> CallbackId {
        let id = self.book_for(devices).await;
        until("the attempt is entered", SOON, || self.world.routing.entered().iter().any(|it| it.invitation.id == id))
            .await;
        self.report(id, 1, SignalEvent::Accepted).await;
        id
    }

    pub(crate) async fn report(&self, id: CallbackId, seq: u64, event: SignalEvent) {
        let signal = Signal { attempt: 1, seq, session: SessionId::new("s").ok(), event };
        self.inbox.signal(tenant_id(), id, signal).await.expect("a signal is taken");
    }

    pub(crate) async fn cancel(&self, id: CallbackId) {
        self.desk.cancel(tenant_id(), id, Canceller::Api).await.expect("it is cancelled");
    }

    /// Kinds of what was sent to a receiver, about one callback, in order.
    pub(crate) fn told(&self, to: &str, id: CallbackId) -> Vec<Kind> {
        let carried = self.world.courier.carried_to(to);
        carried.into_iter().filter(|it| it.callback == Some(id)).filter_map(|it| it.kind).collect()
    }

    /// What devices were told, in order.
    pub(crate) fn pushed(&self, device: &str) -> Vec<PushEvent> {
        self.world.courier.carried_to(device).into_iter().filter_map(|it| it.event).collect()
    }

    pub(crate) fn happenings(&self) -> Vec<Happening> {
        self.world.store.happening_rows(tenant_id())
    }

    pub(crate) async fn until_told(&self, to: &str, count: usize) {
        until(&format!("{count} sendings to {to}"), SOON, || self.world.courier.carried_to(to).len() >= count).await;
    }

    /// How every notice has ended, in the order of the feed.
    pub(crate) fn endings(&self) -> Vec<Option<Ending>> {
        self.world.store.notice_rows().into_iter().map(|row| row.ending).collect()
    }

    pub(crate) async fn until_settled(&self) {
        until("nothing is owed", SOON, || self.endings().iter().all(Option::is_some)).await;
    }
}

pub(crate) fn for_devices(devices: &[&str]) -> NewCallback {
    let push_targets =
        devices.iter().map(|device| PushTarget { channel: "FCM".into(), target: (*device).to_owned() }).collect();
    let options = Options { push_targets, ..Options::default() };
    NewCallback { service_name: QUEUE.into(), phone_number: PHONE.into(), options, ..booking(None) }
}

pub(crate) fn refused(status: u16) -> Sent {
    Sent::new(Outcome::Refused, Detail::Status(status))
}

pub(crate) fn kinds(happenings: &[Happening]) -> Vec<Kind> {
    happenings.iter().map(|happening| happening.kind).collect()
}

pub(crate) fn callback_of(happening: &Happening) -> CallbackId {
    match &happening.about {
        About::Callback(news) => news.id,
        About::Endpoint { name } => panic!("about the endpoint {name}"),
    }
}
