//! The adapter to Orchestration keeps the contract, over a real Redis; and what it promises beyond.
//!
//! The clauses run on a clock that stands still, and Redis does not: the adapter lives in a runtime of its own, and the
//! clock waits for every command. What stands in for Orchestration is the simulator behind the very entries that the
//! adapter wrote, read as a consumer group reads them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{AttemptRef, Clock, Connector, Details, Invitation, Probe, QueueReports, Routing, RoutingError};
use domain::wait::QueueReport;
use ges::routing::ors_stream::{
    self, Action, Layout, MAX_PING, MAX_USER_DATA_BYTES, OrsStream, RedisSettings, ReportBoard, StreamSettings,
    TlsSettings, Verify,
};
use ges::routing::simulator::{Journal, JournalEvent, Simulator, SimulatorSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::bench::{Bench, ScriptedInbox, TestClock, asked, id, tenant};
use crate::harness::redis::{self, Redis, Reply};

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
        host: "127.0.0.1".into(),
        port: redis.port(),
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
                Action::Cancel { tenant, id } => self.simulator.close(tenant, id).await.unwrap(),
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

    async fn close(&self, tenant: TenantId, id: CallbackId) -> Result<(), RoutingError> {
        let stream = self.stream.clone();
        let answer = really(async move { Routing::close(stream.as_ref(), tenant, id).await }).await;
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

super::clauses::run_clauses! {
    StreamBench::new();
    a_start_is_idempotent_by_callback_and_attempt,
    a_life_is_reported_in_order_with_rising_seq,
    a_higher_attempt_kills_the_session_of_the_lower,
    a_lower_attempt_does_not_enter,
    a_closed_register_lets_nothing_in,
    closing_ends_a_session_unless_people_talk,
    nothing_is_noticed_before_accepted_was_answered,
    an_attempt_that_is_not_granted_ends,
    a_session_that_is_no_longer_valid_ends,
    every_signal_is_repeated_until_answered_in_order,
    a_busy_callback_does_not_hold_up_another,
    nobody_is_dialled_before_the_desired_time,
    a_ping_is_answered_for_each_attempt,
    an_attempt_that_was_never_granted_is_invited_again_after_a_kill,
    a_lost_session_is_reported_and_never_goes_on,
    whoever_was_reached_is_reported_as_reached_after_a_kill,
    what_has_ended_stays_ended_after_a_kill,
}

// ------------------------------------------------------------------------------- what goes over the wire

/// The adapter of a fresh Redis, opened, in this test's own runtime.
async fn opened(redis: &Redis) -> Arc<OrsStream> {
    let stream = adapter(&settings(redis), Arc::new(ges::clock::SystemClock::default()));
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
        call: domain::queue::CallOptions::usual(&queue),
        queue,
        phone: domain::numbers::PhoneNumber::from_digits(15_551_230_000),
        desired_time: now,
        details: Details::default(),
    }
}

fn register(n: u128) -> String {
    format!("{{{STREAM}}}:cb:{}", id(n))
}

fn said(redis: &Redis) -> Vec<(String, String)> {
    let of = |fields: &std::collections::BTreeMap<String, String>, name: &str| fields.get(name).cloned();
    let entries = redis.entries(STREAM).into_iter();
    entries.map(|(_, it)| (of(&it, "action").unwrap(), of(&it, "attempt").unwrap_or_default())).collect()
}

#[tokio::test]
async fn entries_hold_what_the_contract_says_and_registers_outlive_their_callback() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    let mut long = invited(1, 2);
    long.details.user_data = Some("x".repeat(MAX_USER_DATA_BYTES + 1));
    stream.start(long).await.unwrap();
    stream.start(invited(1, 1)).await.unwrap();
    let (entry_id, fields) = redis.entries(STREAM).pop().unwrap();
    assert_eq!(redis.entries(STREAM).len(), 1, "the lower attempt did not enter");
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "action",
            "attempt",
            "callbackId",
            "desiredTime",
            "language",
            "notAfter",
            "options",
            "phoneNumber",
            "replyTo",
            "tenant",
            "ts",
            "userData",
            "v",
            "virtualQueue"
        ]
    );
    assert_eq!((fields["userData"].as_str(), fields["phoneNumber"].as_str()), ("", "+15551230000"));
    let held = redis.ask(&["GET", &register(1)]).text().to_owned();
    assert_eq!(held, format!("2 {entry_id} {}", fields["notAfter"]));
    let life = redis.ask(&["TTL", &register(1)]).number();
    assert!((47 * 3600..=48 * 3600).contains(&life), "{life} s: a day of life and a day more");

    Routing::close(stream.as_ref(), tenant(), id(1)).await.unwrap();
    Routing::close(stream.as_ref(), tenant(), id(1)).await.unwrap();
    assert_eq!(said(&redis), [("cancel".to_owned(), "2".to_owned())], "the start went, and is cancelled once");
    let (_, cancel) = redis.entries(STREAM).pop().unwrap();
    assert_eq!(cancel["unless"], "processing");
    assert_eq!(redis.ask(&["GET", &register(1)]).text(), "closed");
    assert!(redis.ask(&["TTL", &register(1)]).number() > 47 * 3600, "a closed register lives as long");
    Routing::close(stream.as_ref(), tenant(), id(2)).await.unwrap();
    assert!(redis.ask(&["TTL", &register(2)]).number() > 14 * 86_400, "of one that was never seen: longer");
    Connector::close(stream.as_ref()).await;
}

#[tokio::test]
async fn what_is_over_is_taken_away_by_its_time_and_never_by_length() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    for n in 0..10 {
        let mut over = invited(n, 1);
        over.not_after = Utc::now() + chrono::Duration::milliseconds(100);
        stream.start(over).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 10);
    // Waits for an instant that the entries themselves name.
    let last = redis.entries(STREAM)[9].1["notAfter"].clone();
    crate::harness::poll::until("the end of their time", Duration::from_secs(5), || {
        (Utc::now().to_rfc3339() > last).then_some(())
    });
    for n in 10..15 {
        stream.start(invited(n, 1)).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 5, "two go for each that comes");
    for n in 15..115 {
        stream.start(invited(n, 1)).await.unwrap();
    }
    assert_eq!(redis.entries(STREAM).len(), 105, "however many there are");
}

#[tokio::test]
async fn five_hundred_attempts_are_asked_after_in_one_command() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    let many: Vec<AttemptRef> = (0..u128::try_from(MAX_PING).unwrap()).map(|n| asked(n, 1)).collect();
    stream.ping(many.clone()).await.unwrap();
    let before = redis.calls();
    stream.ping(many.clone()).await.unwrap();
    let sent = redis.calls()["evalsha"] - before.get("evalsha").copied().unwrap_or_default();
    assert_eq!((sent, redis.entries(STREAM).len()), (1, 2));
    let fields: HashMap<_, _> = redis.entries(STREAM)[0].1.clone().into_iter().collect();
    assert_eq!(ors_stream::read(&fields).unwrap().action, Action::Ping(many.clone()));
    let too_many = stream.ping(many.into_iter().chain([asked(7, 2)]).collect()).await;
    assert!(matches!(too_many, Err(RoutingError::NotDone(_))), "{too_many:?}");
}

#[tokio::test]
async fn nothing_is_asked_after_while_the_connection_has_only_just_come_back() {
    let redis = Redis::start();
    let settings = StreamSettings { quiet: ors_stream::QUIET, ..settings(&redis) };
    let stream = adapter(&settings, Arc::new(ges::clock::SystemClock::default()));
    stream.open().await.unwrap();
    let asked = stream.ping(vec![asked(1, 1)]).await;
    assert!(matches!(asked, Err(RoutingError::NotDone(_))), "{asked:?}");
    assert_eq!(redis.entries(STREAM), []);
}

#[tokio::test]
async fn nothing_goes_out_before_it_is_known_where_to_reply() {
    let redis = Redis::start();
    let clock = Arc::new(ges::clock::SystemClock::default());
    let stream = OrsStream::new(&settings(&redis), Arc::default(), clock);
    stream.open().await.unwrap();
    assert!(matches!(stream.start(invited(1, 1)).await, Err(RoutingError::NotDone(_))));
    assert_eq!(redis.entries(STREAM), []);
    stream.reply_to(REPLY_TO.into());
    assert_eq!(stream.start(invited(1, 1)).await, Ok(()));
}

// -------------------------------------------------------------------------------------- honest outcomes

#[tokio::test]
async fn a_redis_that_is_not_there_surely_did_nothing() {
    let mut redis = Redis::start();
    let stream = adapter(&settings(&redis), Arc::new(ges::clock::SystemClock::default()));
    let start = async || stream.start(invited(1, 1)).await;
    assert!(matches!(start().await, Err(RoutingError::NotDone(_))), "not opened yet");
    redis.kill9();
    assert!(stream.open().await.is_err());
    Connector::close(stream.as_ref()).await;
    assert!(matches!(start().await, Err(RoutingError::NotDone(_))), "refused connection");
    assert!(Probe::check(stream.as_ref()).await.is_err());
    redis.restart();
    stream.open().await.unwrap();
    assert_eq!(start().await, Ok(()));
    redis.kill9();
    let answers = [start().await, start().await, start().await];
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    assert!(matches!(answers[2], Err(RoutingError::NotDone(_))), "the loss is known by now: {answers:?}");
    assert!(Connector::check(stream.as_ref()).await.is_err());
    redis.restart();
    // The client comes back by itself, between two looks of its actor.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while Connector::check(stream.as_ref()).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it did not come back");
        tokio::task::yield_now().await;
    }
    assert_eq!(start().await, Ok(()));
    assert_eq!(said(&redis), [("start".to_owned(), "1".to_owned())], "the register was lost, so it enters again");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_perhaps_did_it_and_once_is_enough() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    redis.stop();
    let began = tokio::time::Instant::now();
    let answer = stream.start(invited(1, 1)).await;
    assert!(matches!(answer, Err(RoutingError::Perhaps(_))), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "within the deadline of a session");
    redis.go_on();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while stream.start(invited(1, 1)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it did not come back");
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&redis), [("start".to_owned(), "1".to_owned())], "done twice, entered once");
}

#[tokio::test]
async fn what_the_server_refuses_was_surely_not_done() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let answer = stream.start(invited(1, 1)).await;
    assert!(matches!(answer, Err(RoutingError::NotDone(_))), "{answer:?}");
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(redis.ask(&["EXISTS", &register(1), STREAM]), Reply::Number(0));
    redis.ask(&["SET", STREAM, "no stream"]);
    assert!(matches!(stream.start(invited(1, 1)).await, Err(RoutingError::NotDone(_))));
    assert_eq!(redis.ask(&["EXISTS", &register(1)]), Reply::Number(0), "no register without an entry");
    assert!(Probe::check(stream.as_ref()).await.unwrap_err().contains("WRONGTYPE"));
}

#[tokio::test]
async fn scripts_and_registers_may_vanish() {
    let redis = Redis::start();
    let stream = opened(&redis).await;
    stream.start(invited(1, 1)).await.unwrap();
    redis.ask(&["SCRIPT", "FLUSH"]);
    stream.start(invited(1, 2)).await.unwrap();
    redis.ask(&["FLUSHALL"]);
    redis.ask(&["SCRIPT", "FLUSH"]);
    Routing::close(stream.as_ref(), tenant(), id(1)).await.unwrap();
    assert_eq!(said(&redis), [("cancel".to_owned(), "0".to_owned())], "whoever works on it is told all the same");
    let refused = stream.start(invited(1, 3)).await;
    assert!(matches!(refused, Err(RoutingError::Refused(_))), "{refused:?}");
}

// --------------------------------------------------------------------- passwords, encryption, clusters

#[tokio::test]
async fn a_password_is_shown_and_a_wrong_one_opens_nothing() {
    let redis = Redis::start_with(&["--requirepass", "planted-password"]);
    let with = |password: Option<&str>| {
        let mut settings = settings(&redis);
        settings.redis.password = password.map(domain::secret::Secret::new);
        adapter(&settings, Arc::new(ges::clock::SystemClock::default()))
    };
    with(Some("planted-password")).open().await.unwrap();
    for wrong in [None, Some("another-password")] {
        let error = with(wrong).open().await.unwrap_err();
        assert!(!error.contains("password-"), "{error}");
        assert!(!error.contains("planted") && !error.contains("another"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_is_encrypted_and_verified_unless_told_otherwise() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let certificates = std::fs::canonicalize("tests/fixtures/tls").unwrap();
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let port = 19_000 + rand::random_range(0..900);
    let redis = Redis::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-auth-clients",
        "no",
    ]);
    let with = |server_name: Option<&str>, verify, ca_files: Vec<std::path::PathBuf>| {
        let mut settings = settings(&redis);
        settings.redis.port = port;
        settings.redis.tls = Some(TlsSettings { server_name: server_name.map(str::to_owned), verify, ca_files });
        adapter(&settings, Arc::new(ges::clock::SystemClock::default()))
    };
    let ca = || vec![certificates.join("ca.pem")];
    let stream = with(Some("localhost"), Verify::Yes, ca());
    stream.open().await.unwrap();
    assert_eq!(stream.start(invited(1, 1)).await, Ok(()));
    assert!(with(Some("localhost"), Verify::Yes, vec![]).open().await.is_err(), "nobody vouches for it");
    assert!(with(Some("elsewhere.example"), Verify::Yes, ca()).open().await.is_err(), "another name");
    with(Some("elsewhere.example"), Verify::No, vec![]).open().await.unwrap();
}

#[tokio::test]
async fn a_cluster_holds_the_stream_and_its_registers_in_one_slot() {
    let servers = redis::cluster();
    let mut cluster = settings(&servers[0]);
    cluster.redis.layout = Layout::Cluster;
    let stream = adapter(&cluster, Arc::new(ges::clock::SystemClock::default()));
    stream.open().await.unwrap();
    for n in 0..20 {
        stream.start(invited(n, 1)).await.unwrap();
        stream.start(invited(n, 1)).await.unwrap();
    }
    Routing::close(stream.as_ref(), tenant(), id(0)).await.unwrap();
    stream.ping(vec![asked(1, 1)]).await.unwrap();
    Probe::check(stream.as_ref()).await.unwrap();
    let lengths: Vec<i64> = servers
        .iter()
        .map(|server| match server.ask(&["XLEN", STREAM]) {
            Reply::Number(length) => length,
            _moved => 0,
        })
        .collect();
    assert_eq!(lengths.iter().filter(|length| **length > 0).collect::<Vec<_>>(), [&21], "{lengths:?}");
}

#[tokio::test]
async fn what_queues_report_is_known_for_two_minutes() {
    let redis = Redis::start();
    let board = Arc::new(ReportBoard::default());
    let stream = OrsStream::new(&settings(&redis), board.clone(), Arc::new(ges::clock::SystemClock::default()));
    let queue = QueueName::new("support").unwrap();
    assert_eq!((stream.expected_wait(tenant(), &queue), stream.queue_report(tenant(), &queue)), (None, None));
    let report = QueueReport {
        agents: Some(2),
        free_agents: 0,
        waiting: 3,
        on_hold: 0,
        served: 8,
        served_over_seconds: 80.0,
        mean_busy_seconds: Some(30.0),
        expected_wait_seconds: None,
    };
    board.take(tenant(), queue.clone(), report).unwrap();
    assert_eq!(stream.expected_wait(tenant(), &queue), Some(60), "(3 + 1) x 30 / 2");
    let own = QueueReport { expected_wait_seconds: Some(7), ..report };
    board.take(tenant(), queue.clone(), own).unwrap();
    assert_eq!(stream.expected_wait(tenant(), &queue), Some(7), "the engine's own figure goes before");
    assert_eq!(stream.queue_report(tenant(), &queue), Some(own));
}
