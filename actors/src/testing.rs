//! Fakes of every port, for the tests of this package and of those above it: they keep what they are given,
//! record what they were asked, and fail on command. Nothing of this is in the shipped program.
//!
//! [`World`] holds one of each. Faults are set by operation ([`Op`], [`Fault`]); time follows tokio's clock, so
//! that a test with paused time runs through hours in an instant.

#![expect(clippy::panic, clippy::expect_used, reason = "a fake that panics on command is the point of some tests")]

mod bookings;
mod bus;
mod call_in;
mod captcha;
mod clock;
#[cfg(test)]
mod collect;
mod courier;
mod explain;
mod faults;
mod flow;
mod holds;
mod limits;
mod nodes;
mod notices;
mod recorder;
mod routing;
mod secrets;
mod store;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{NewCallback, Options};
use domain::ids::{QueueName, TenantId};
use domain::keys::ApiKey;
use domain::ports::{Connector, KeyRing, NoReports, Ports, Probe};
use domain::queue::QueueSettings;
use domain::tenant::{Tenant, TenantDocument};

pub use bus::FakeBus;
pub use call_in::FakeCallIns;
pub use captcha::{FakeCaptcha, FakeStatistics};
pub use clock::TestClock;
#[cfg(test)]
pub(crate) use collect::{Collected, collect};
pub use courier::{Carried, FakeCourier};
pub use faults::{Fault, Faults, Op};
pub use limits::FakeBlinds;
pub use nodes::{FakeNodes, FakeSettings};
pub use notices::NoticeRow;
pub use recorder::Recorder;
pub use routing::{Entered, FakeRouting, Script};
pub use secrets::FakeSecrets;
pub use store::{FakeStore, Row};

/// Name of the tenant that every world begins with.
pub const TENANT: &str = "demo";
/// Name of its queue: always open, plain settings, no execution buffer.
pub const QUEUE: &str = "support";
/// A number that every queue takes.
pub const PHONE: &str = "+14155550100";

/// One fake of every port.
#[derive(Clone)]
pub struct World {
    /// What is to go wrong, for all fakes.
    pub faults: Arc<Faults>,
    /// Time.
    pub clock: Arc<TestClock>,
    /// Callbacks.
    pub store: Arc<FakeStore>,
    /// Call-in requests.
    pub call_ins: Arc<FakeCallIns>,
    /// Tenants and keys.
    pub settings: Arc<FakeSettings>,
    /// Nodes.
    pub nodes: Arc<FakeNodes>,
    /// The way between them.
    pub bus: Arc<FakeBus>,
    /// Routing.
    pub routing: Arc<FakeRouting>,
    /// Captcha providers.
    pub captcha: Arc<FakeCaptcha>,
    /// The statistics service.
    pub statistics: Arc<FakeStatistics>,
    /// What is sent out.
    pub courier: Arc<FakeCourier>,
    /// What the observer heard.
    pub recorder: Arc<Recorder>,
    /// What the door would know.
    pub key_ring: Arc<FakeKeyRing>,
    /// Probes; one of each kind to begin with.
    pub probes: Vec<Arc<FakeProbe>>,
    /// Connectors; one to begin with.
    pub connectors: Vec<Arc<FakeConnector>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with one tenant and one queue, at half past a minute, so that the next tick is 30 s away.
    pub fn new() -> Self {
        Self::at("2026-11-23T10:00:30Z".parse().expect("a valid instant"))
    }

    /// A world whose clock shows `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        let faults = Arc::new(Faults::default());
        let clock = Arc::new(TestClock::new(now, Arc::clone(&faults)));
        let settings = Arc::new(FakeSettings::new(Arc::clone(&faults)));
        let nodes = Arc::new(FakeNodes::new(Arc::clone(&faults), Arc::clone(&clock), settings.epoch()));
        let world = Self {
            store: Arc::new(FakeStore::new(Arc::clone(&faults))),
            call_ins: Arc::new(FakeCallIns::new(Arc::clone(&faults))),
            routing: Arc::new(FakeRouting::new(Arc::clone(&faults), Arc::clone(&clock))),
            captcha: Arc::new(FakeCaptcha::new(Arc::clone(&faults))),
            statistics: Arc::default(),
            courier: Arc::new(FakeCourier::new(Arc::clone(&clock))),
            recorder: Arc::new(Recorder::default()),
            bus: Arc::default(),
            key_ring: Arc::new(FakeKeyRing::default()),
            probes: vec![
                Arc::new(FakeProbe { name: "database", required: true, faults: Arc::clone(&faults) }),
                Arc::new(FakeProbe { name: "routing", required: false, faults: Arc::clone(&faults) }),
            ],
            connectors: vec![Arc::new(FakeConnector { name: "routing", faults: Arc::clone(&faults) })],
            faults,
            clock,
            settings,
            nodes,
        };
        world.settings.put(tenant(plain_queue()));
        world
    }

    /// The fakes as the tree wants them.
    pub fn ports(&self) -> Ports {
        Ports {
            callbacks: self.store.clone(),
            call_ins: self.call_ins.clone(),
            holds: self.store.clone(),
            flow: self.store.clone(),
            explain: self.store.clone(),
            search: self.store.clone(),
            settings: self.settings.clone(),
            notices: self.store.clone(),
            courier: self.courier.clone(),
            nodes: self.nodes.clone(),
            bus: self.bus.join(),
            key_ring: self.key_ring.clone(),
            blinds: Arc::new(FakeBlinds),
            routing: self.routing.clone(),
            reports: Arc::new(NoReports),
            captcha: self.captcha.clone(),
            statistics: self.statistics.clone(),
            clock: self.clock.clone(),
            observer: self.recorder.clone(),
            connectors: self.connectors.iter().map(|it| Arc::clone(it) as Arc<dyn Connector>).collect(),
            probes: self.probes.iter().map(|it| Arc::clone(it) as Arc<dyn Probe>).collect(),
        }
    }
}

/// Settings of a queue without execution buffer and without limits on how often customers may book.
pub fn plain_queue() -> QueueSettings {
    QueueSettings { execution_buffer_seconds: 0, ..QueueSettings::unlimited() }
}

/// The tenant [`TENANT`] with the queue [`QUEUE`], set as given.
pub fn tenant(settings: QueueSettings) -> Tenant {
    TenantDocument::with_queues(TENANT, [(queue_name(), settings)]).resolve(tenant_id()).expect("valid settings")
}

/// Id of [`TENANT`].
pub fn tenant_id() -> TenantId {
    TenantId::from_name(TENANT)
}

/// [`QUEUE`] as a name.
pub fn queue_name() -> QueueName {
    QueueName::new(QUEUE).expect("a valid name")
}

/// A booking for now, or for `desired_time`.
pub fn booking(desired_time: Option<DateTime<Utc>>) -> NewCallback {
    NewCallback {
        service_name: QUEUE.into(),
        phone_number: PHONE.into(),
        desired_time,
        always_check_capacity: false,
        user_data: None,
        options: Options::default(),
        idempotency: None,
        counted_headers: Vec::new(),
        captcha: None,
        hold: None,
    }
}

/// Waits until `holds`, looking again every 10 ms of (perhaps paused) time.
///
/// # Panics
/// After `deadline`, naming `what`.
pub async fn until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(deadline, poll).await.is_err() {
        panic!("not within {deadline:?}: {what}");
    }
}

/// Remembers what it was given.
#[derive(Default)]
pub struct FakeKeyRing {
    given: Mutex<Vec<(Vec<Tenant>, Vec<ApiKey>)>>,
    nodes: AtomicU32,
}

impl FakeKeyRing {
    /// How many nodes share the limits, as it was told last; 0 if it was not.
    pub fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// What it was filled with last.
    pub fn last(&self) -> Option<(Vec<Tenant>, Vec<ApiKey>)> {
        self.given.lock().expect("no test panics in here").last().cloned()
    }
}

impl KeyRing for FakeKeyRing {
    fn replace(&self, tenants: &[Tenant], keys: Vec<ApiKey>) {
        self.given.lock().expect("no test panics in here").push((tenants.to_vec(), keys));
    }

    fn share_among(&self, nodes: u32) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }
}

/// Answers unless told otherwise ([`Op::Probe`]).
pub struct FakeProbe {
    name: &'static str,
    required: bool,
    faults: Arc<Faults>,
}

#[async_trait]
impl Probe for FakeProbe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn required(&self) -> bool {
        self.required
    }

    async fn check(&self) -> Result<(), String> {
        match self.faults.pass(Op::Probe(self.name)).await {
            None => Ok(()),
            Some(fault) => Err(format!("told to fail: {fault:?}")),
        }
    }
}

/// Opens, works and closes unless told otherwise ([`Op::Open`], [`Op::Check`], [`Op::CloseClient`]).
pub struct FakeConnector {
    name: &'static str,
    faults: Arc<Faults>,
}

#[async_trait]
impl Connector for FakeConnector {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn open(&self) -> Result<(), String> {
        self.faults.pass(Op::Open).await.map_or(Ok(()), |fault| Err(format!("told to fail: {fault:?}")))
    }

    async fn check(&self) -> Result<(), String> {
        self.faults.pass(Op::Check).await.map_or(Ok(()), |fault| Err(format!("told to fail: {fault:?}")))
    }

    async fn close(&self) {
        let _ = self.faults.pass(Op::CloseClient).await;
    }
}
