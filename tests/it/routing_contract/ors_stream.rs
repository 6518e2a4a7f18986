//! The adapter to Orchestration keeps the contract, over a real Redis; and what it promises beyond.
//!
//! The clauses run on a clock that stands still, and Redis does not: the adapter lives in a runtime of its own, and the
//! clock waits for every command. What stands in for Orchestration is the simulator behind the very entries that the
//! adapter wrote, read as a consumer group reads them.

mod outcomes;
mod servers;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{AttemptRef, Clock, Closing, Connector, Details, Invitation, Routing, RoutingError};
use domain::queue::CallOptions;
use domain::wait::QueueReport;
use ges::clock::SystemClock;
use ges::redis::{Endpoint, Layout, RedisSettings};
use ges::routing::ors_stream::{self, Action, OrsStream, StreamSettings};
use ges::routing::simulator::{Journal, JournalEvent, Simulator, SimulatorSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::bench::{Bench, ScriptedInbox, TestClock, asked, close, id, tenant};
use crate::harness::redis::{self, Redis};

const STREAM: &str = "NewCallbackStream";
const REPLY_TO: &str = "http://ges.ges:3050";

/// Where the adapters live, with a clock that runs.
static REAL: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Does something where time runs; the caller's clock stands still meanwhile.
async fn really<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::task::spawn_blocking(move || REAL.block_on(work)).await.unwrap()
}

fn settings(redis: &Redis) -> StreamSettings {
    let redis = RedisSettings {
        servers: vec![Endpoint::new("127.0.0.1", redis.port())],
        layout: Layout::Single,
        password: None,
        tls: None,
    };
    StreamSettings { redis, stream: STREAM.into(), quiet: Duration::ZERO }
}

fn adapter(settings: &StreamSettings, clock: Arc<dyn Clock>) -> Arc<OrsStream> {
    let stream = OrsStream::new(settings, Arc::default(), clock);
    stream.reply_to(REPLY_TO.into());
    Arc::new(stream)
}

struct StreamBench {
    redis: Arc<Redis>,
    folder: TempDir,
    clock: Arc<TestClock>,
    inbox: Arc<ScriptedInbox>,
    engine: Option<Arc<Engine>>,
}

/// The adapter, and what reads behind it.
struct Engine {
    stream: Arc<OrsStream>,
    simulator: Arc<Simulator>,
    redis: Arc<Redis>,
}

impl StreamBench {
    fn new() -> Self {
        let mut bench = Self {
            redis: Arc::new(Redis::start()),
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::new()),
            inbox: ScriptedInbox::new(),
            engine: None,
        };
        bench.redis.ask(&["XGROUP", "CREATE", STREAM, "ors", "0", "MKSTREAM"]);
        bench.open();
        bench
    }

    fn open(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let stream = adapter(&settings(&self.redis), clock.clone());
        let opened = stream.clone();
        std::thread::spawn(move || REAL.block_on(opened.open())).join().unwrap().unwrap();
        let simulator = Simulator::open_behind_stream(SimulatorSettings::default(), &self.path(), clock).unwrap();
        simulator.attach(self.inbox.clone());
        self.engine = Some(Arc::new(Engine { stream, simulator, redis: self.redis.clone() }));
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("routing.journal")
    }

    fn lines(&self, event: JournalEvent) -> Vec<ges::routing::simulator::JournalEntry> {
        Journal::read(&self.path()).unwrap().into_iter().filter(|entry| entry.event == event).collect()
    }
}

impl Engine {
    /// Hands over what is new in the stream.
    async fn deliver(&self) {
        let read = ["XREADGROUP", "GROUP", "ors", "one", "COUNT", "1000", "STREAMS", STREAM, ">"];
        let answer = self.redis.ask(&read);
        let Some(stream) = answer.list().first() else { return };
        for entry in stream.list()[1].list() {
            let (entry_id, fields) = redis::entry(entry);
            let entry = ors_stream::read(&fields.into_iter().collect::<HashMap<_, _>>()).unwrap();
            assert_eq!(entry.reply_to, REPLY_TO);
            match entry.action {
                Action::Start(invitation) => drop(self.simulator.enter(&invitation)),
                Action::Cancel { tenant, id } => self.simulator.close_register(tenant, id).unwrap(),
                Action::Ping(attempts) => self.simulator.ping(attempts).await.unwrap(),
            }
            self.redis.ask(&["XACK", STREAM, "ors", &entry_id]);
        }
    }
}

#[async_trait]
impl Routing for Engine {
    async fn start(&self, invitation: Invitation) -> Result<(), RoutingError> {
        let stream = self.stream.clone();
        let answer = really(async move { stream.start(invitation).await }).await;
        self.deliver().await;
        answer
    }

    async fn close(&self, attempt: AttemptRef, closing: Closing) -> Result<(), RoutingError> {
        let stream = self.stream.clone();
        let answer = really(async move { Routing::close(stream.as_ref(), attempt, closing).await }).await;
        self.deliver().await;
        answer
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        let stream = self.stream.clone();
        let answer = really(async move { stream.ping(attempts).await }).await;
        self.deliver().await;
        answer
    }

    fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32> {
        self.stream.expected_wait(tenant, queue)
    }

    fn queue_report(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        self.stream.queue_report(tenant, queue)
    }

    fn live(&self, id: CallbackId) -> Option<Live> {
        self.stream.live(id)
    }
}

#[async_trait]
impl Bench for StreamBench {
    fn routing(&self) -> Arc<dyn Routing> {
        self.engine.clone().unwrap()
    }

    fn inbox(&self) -> Arc<ScriptedInbox> {
        self.inbox.clone()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn restart(&mut self) {
        drop(self.engine.take());
        self.open();
    }

    fn handed_over(&self) -> Vec<(CallbackId, u32)> {
        self.lines(JournalEvent::Entered).iter().map(|entry| (entry.callback, entry.attempt)).collect()
    }

    fn dialled(&self) -> Vec<(CallbackId, DateTime<Utc>)> {
        let lines = self.lines(JournalEvent::Dialled);
        lines.iter().map(|it| (it.callback, DateTime::from_timestamp_millis(it.at).unwrap())).collect()
    }
}

super::clauses::run_clauses! { StreamBench::new() }

// --------------------------------------------------------------------- for the tests of what goes beyond

/// The adapter of a fresh Redis, opened, in this test's own runtime.
async fn opened(redis: &Redis) -> Arc<OrsStream> {
    let stream = adapter(&settings(redis), Arc::new(SystemClock::default()));
    stream.open().await.unwrap();
    stream
}

fn invited(n: u128, attempt: u32) -> Invitation {
    let now = Utc::now();
    let queue = QueueName::new("support").unwrap();
    Invitation {
        tenant: tenant(),
        id: id(n),
        attempt,
        not_after: now + chrono::Duration::days(1),
        call: CallOptions::usual(&queue),
        queue,
        phone: PhoneNumber::from_digits(15_551_230_000),
        desired_time: now,
        details: Details::default(),
    }
}

fn register(n: u128) -> String {
    format!("{{{STREAM}}}:cb:{}", id(n))
}

fn said(redis: &Redis) -> Vec<(String, String)> {
    let of = |fields: &BTreeMap<String, String>, name: &str| fields.get(name).cloned();
    let entries = redis.entries(STREAM).into_iter();
    entries.map(|(_, it)| (of(&it, "action").unwrap(), of(&it, "attempt").unwrap_or_default())).collect()
}

/// Waits until the client has come back by itself, between two looks of its actor.
async fn came_back(stream: &OrsStream) {
    let back = async {
        while Connector::check(stream).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), back).await.expect("it comes back");
}
