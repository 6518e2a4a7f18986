//! The adapter to Orchestration's REST interface keeps what it can of the contract, over real HTTP; and what it promises
//! beyond. Four clauses are not its own: it has no register, so a start that is sent again begins again, a lower attempt
//! enters and a closed callback does not refuse; and whom it never started it cannot ask after. What stands in their place
//! is in `outcomes`, and in the fence of `accepted`.
//!
//! As with the stream, the adapter lives where time runs; what stands behind it, the simulator's own front for sessions
//! over HTTP, lives where the clock waits.

mod outcomes;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::{Again, Live};
use domain::event::Event;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{AttemptRef, Clock, Closing, Inbox, Invitation, Observer, Routing, RoutingError};
use domain::region::{Node, NodeKind, Region, Role};
use domain::wait::QueueReport;
use ges::clients::http::{HttpClient, HttpSettings, Rests};
use ges::clock::SystemClock;
use ges::routing::nodes::NodeBoard;
use ges::routing::ors_rest::{OrsRest, RestSettings};
use ges::routing::simulator::{Journal, JournalEvent, Simulator, SimulatorSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::bench::{Bench, ScriptedInbox, TestClock};

const REPLY_TO: &str = "http://ges.ges:3050";

static REAL: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

async fn really<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::task::spawn_blocking(move || REAL.block_on(work)).await.unwrap()
}

struct Deaf;

impl Observer for Deaf {
    fn note(&self, _: Event) {}
}

/// An adapter to nodes with their regions, and its board.
fn adapter(nodes: &[(String, &str)], affinity: &[&str], inbox: Arc<dyn Inbox>) -> (Arc<OrsRest>, Arc<NodeBoard>) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let node = |(at, (url, region)): (usize, &(String, &str))| {
        let (name, region) = (format!("n{at}"), Region::new(region));
        (Node { name, kind: NodeKind::Ors, region, role: Role::Primary }, url.clone())
    };
    let affinity = affinity.iter().map(|region| Region::new(region)).collect();
    let board = Arc::new(NodeBoard::new(nodes.iter().enumerate().map(node).collect(), affinity, clock.clone()));
    let settings = HttpSettings { rests: Rests::Never, ..HttpSettings::default() };
    let client = Arc::new(HttpClient::new(&settings, Arc::new(Deaf)).unwrap());
    let settings = RestSettings { scxml_url: Some("http://flows/callback.scxml".into()), quiet: Duration::ZERO };
    let rest = OrsRest::new(settings, board.clone(), client, Arc::default(), clock);
    rest.begin(inbox, REPLY_TO.into());
    (Arc::new(rest), board)
}

struct RestBench {
    folder: TempDir,
    clock: Arc<TestClock>,
    inbox: Arc<ScriptedInbox>,
    engine: Option<Arc<Engine>>,
}

/// The adapter, and what serves behind it.
struct Engine {
    rest: Arc<OrsRest>,
    _simulator: Arc<Simulator>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RestBench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self { folder, clock: Arc::new(TestClock::new()), inbox: ScriptedInbox::new(), engine: None };
        bench.open();
        bench
    }

    fn open(&mut self) {
        let simulator = Simulator::open(SimulatorSettings::default(), &self.path(), self.clock.clone()).unwrap();
        simulator.attach(self.inbox.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = ges::simulate_ors::router(Arc::downgrade(&simulator), |said| assert_eq!(said, REPLY_TO));
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let (rest, _) = adapter(&[(url, "eu")], &[], self.inbox.clone());
        self.engine = Some(Arc::new(Engine { rest, _simulator: simulator, server }));
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("routing.journal")
    }

    fn lines(&self, event: JournalEvent) -> Vec<ges::routing::simulator::JournalEntry> {
        Journal::read(&self.path()).unwrap().into_iter().filter(|entry| entry.event == event).collect()
    }
}

#[async_trait]
impl Routing for Engine {
    async fn start(&self, invitation: Invitation) -> Result<(), RoutingError> {
        let rest = self.rest.clone();
        really(async move { rest.start(invitation).await }).await
    }

    fn again(&self) -> Again {
        self.rest.again()
    }

    async fn close(&self, attempt: AttemptRef, closing: Closing) -> Result<(), RoutingError> {
        let rest = self.rest.clone();
        really(async move { rest.close(attempt, closing).await }).await
    }

    async fn ping(&self, attempts: Vec<AttemptRef>) -> Result<(), RoutingError> {
        let rest = self.rest.clone();
        really(async move { rest.ping(attempts).await }).await
    }

    fn expected_wait(&self, tenant: TenantId, queue: &QueueName) -> Option<i32> {
        self.rest.expected_wait(tenant, queue)
    }

    fn queue_report(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueReport> {
        self.rest.queue_report(tenant, queue)
    }

    fn live(&self, id: CallbackId) -> Option<Live> {
        self.rest.live(id)
    }
}

#[async_trait]
impl Bench for RestBench {
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

super::clauses::run_clauses! {
    RestBench::new();
    a_life_is_reported_in_order_with_rising_seq,
    a_higher_attempt_kills_the_session_of_the_lower,
    closing_ends_a_session_unless_people_talk,
    nothing_is_noticed_before_accepted_was_answered,
    an_attempt_that_is_not_granted_ends,
    a_session_that_is_no_longer_valid_ends,
    every_signal_is_repeated_until_answered_in_order,
    a_busy_callback_does_not_hold_up_another,
    nobody_is_dialled_before_the_desired_time,
    an_attempt_that_was_never_granted_is_invited_again_after_a_kill,
    a_lost_session_is_reported_and_never_goes_on,
    whoever_was_reached_is_reported_as_reached_after_a_kill,
    what_has_ended_stays_ended_after_a_kill,
}
