//! Servers that ask for a password, that are encrypted, that are many; and what needs none.

use std::path::PathBuf;
use std::sync::Arc;

use domain::ids::QueueName;
use domain::ports::{Connector, Probe, QueueReports, Routing};
use domain::wait::QueueReport;
use ges::clock::SystemClock;
use ges::redis::{Endpoint, Layout, TlsSettings, Verify};
use ges::routing::ors_stream::{OrsStream, ReportBoard};

use super::{STREAM, adapter, asked, close, invited, settings, tenant};
use crate::harness::redis::{self, Redis, Reply};

#[tokio::test]
async fn a_password_is_shown_and_a_wrong_one_opens_nothing() {
    let redis = Redis::start_with(&["--requirepass", "planted-password"]);
    let with = |password: Option<&str>| {
        let mut settings = settings(&redis);
        settings.redis.password = password.map(domain::secret::Secret::new);
        adapter(&settings, Arc::new(SystemClock::default()))
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
    let port = redis::free_port();
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
    let with = |server_name: Option<&str>, verify, ca_files: Vec<PathBuf>| {
        let mut settings = settings(&redis);
        settings.redis.servers = vec![Endpoint::new("127.0.0.1", port)];
        settings.redis.tls = Some(TlsSettings { server_name: server_name.map(str::to_owned), verify, ca_files });
        adapter(&settings, Arc::new(SystemClock::default()))
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
    let stream = adapter(&cluster, Arc::new(SystemClock::default()));
    stream.open().await.unwrap();
    for n in 0..20 {
        stream.start(invited(n, 1)).await.unwrap();
        stream.start(invited(n, 1)).await.unwrap();
    }
    close(stream.as_ref(), 0).await.unwrap();
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
    let stream = OrsStream::new(&settings(&redis), board.clone(), Arc::new(SystemClock::default()));
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
