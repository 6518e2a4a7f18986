use std::sync::Mutex;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::*;
use crate::clients::http::tests::tls_acceptor;

/// Takes lines, so that a test can read them.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that fails.
struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings(level: Level, format: LogFormat) -> TracingSettings {
    TracingSettings {
        level,
        max_len_bytes: 64,
        format,
        colour: false,
        node: "n1".to_owned(),
        otlp_endpoint: None,
        ca_files: Vec::new(),
    }
}

/// What `told` logs, line by line.
fn heard(settings: &TracingSettings, told: impl FnOnce()) -> Vec<String> {
    let sink = Sink::default();
    let (subscriber, guard) = build(settings, sink.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, told);
    assert_eq!(guard.failures().load(Ordering::Relaxed), 0);
    drop(guard);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

fn objects(level: Level, told: impl FnOnce()) -> Vec<Value> {
    heard(&settings(level, LogFormat::Json), told).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_of_a_request_carries_its_fields() {
    let lines = objects(Level::Info, || {
        let request = tracing::info_span!("request", corr_id = "c-1", tenant.name = tracing::field::Empty, depth = 1);
        request.in_scope(|| {
            tracing::info!("first");
            request.record("tenant.name", "demo");
            tracing::info_span!("inner", depth = 2).in_scope(|| tracing::info!(count = 3, ok = true, "second"));
        });
        tracing::info!("outside");
    });
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["msg"], &lines[0]["corr_id"], &lines[0]["level"]),
        (&"first".into(), &"c-1".into(), &"INFO".into())
    );
    assert_eq!(lines[0]["tenant.name"], Value::Null);
    assert_eq!((&lines[1]["corr_id"], &lines[1]["tenant.name"]), (&"c-1".into(), &"demo".into()));
    assert_eq!((&lines[1]["depth"], &lines[1]["count"], &lines[1]["ok"]), (&2.into(), &3.into(), &true.into()));
    assert_eq!(lines[2]["corr_id"], Value::Null);
    assert_eq!((&lines[2]["node"], &lines[2]["target"]), (&"n1".into(), &"ges::telemetry::tracing::tests".into()));
    assert!(lines[2]["ts"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());
}

#[test]
fn long_texts_are_cut_between_characters_and_marked() {
    let long = "ä".repeat(50);
    let lines = objects(Level::Info, || tracing::info!(field = long.as_str(), "{long}"));
    let kept = format!("{}… (cut, 100 bytes)", "ä".repeat(32));
    assert_eq!((&lines[0]["msg"], &lines[0]["field"]), (&kept.as_str().into(), &kept.as_str().into()));
    for (text, limit, expected) in [("abc", 3, "abc"), ("abc", 2, "ab… (cut, 3 bytes)"), ("ää", 3, "ä… (cut, 4 bytes)")]
    {
        assert_eq!(lines::cut(text, limit), expected);
    }
}

#[test]
fn no_field_takes_the_place_of_what_every_line_has() {
    let lines = objects(Level::Info, || tracing::info!(level = "none", ts = "never", node = "x", msg = "y", "true"));
    assert_eq!(
        (&lines[0]["level"], &lines[0]["node"], &lines[0]["msg"]),
        (&"INFO".into(), &"n1".into(), &"true".into())
    );
}

#[test]
fn a_value_cannot_begin_a_line_of_its_own() {
    let told = || tracing::info!(evil = "a\nINFO b\x1b[31m", "one\r\ntwo");
    for format in [LogFormat::Json, LogFormat::Text] {
        let lines = heard(&settings(Level::Info, format), told);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains('\x1b') && !lines[0].contains('\r'), "{lines:?}");
    }
}

#[test]
fn text_is_readable_alone() {
    let lines =
        heard(&settings(Level::Info, LogFormat::Text), || tracing::warn!(duration_ms = 1.5, name = "demo", "slow"));
    let (_, rest) = lines[0].split_once(' ').unwrap();
    assert_eq!(rest, " WARN slow duration_ms=1.5 name=demo");
}

#[test]
fn libraries_are_held_back_at_every_level() {
    let cases = [
        (Level::Error, vec!["own error"]),
        (Level::Warn, vec!["own error", "library warns"]),
        (Level::Info, vec!["own error", "own info", "library warns"]),
        (Level::Debug, vec!["own error", "own info", "own debug", "library warns"]),
        (Level::Trace, vec!["own error", "own info", "own debug", "own trace", "library warns", "library informs"]),
    ];
    for (level, expected) in cases {
        let lines = objects(level, || {
            tracing::error!("own error");
            tracing::info!("own info");
            tracing::debug!(target: "actors::session", "own debug");
            tracing::trace!("own trace");
            tracing::warn!(target: "hyper::proto", "library warns");
            tracing::error!(target: "rustls::msgs::handshake", "a name that a stranger has sent");
            tracing::info!(target: "h2::client", "library informs");
            tracing::debug!(target: "hyper::proto", "library prints a header");
            tracing::trace!(target: "reqwest", "library prints a body");
        });
        let said: Vec<_> = lines.iter().map(|line| line["msg"].as_str().unwrap()).collect();
        assert_eq!(said, expected, "{level:?}");
    }
}

#[test]
fn an_error_is_told_with_all_its_causes() {
    #[derive(Debug, Error)]
    #[error("cannot save")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("disk full"));
    let lines = objects(Level::Info, || tracing::error!(error = &error as &dyn std::error::Error, "failed"));
    assert_eq!(lines[0]["error"], "cannot save: disk full");
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (subscriber, guard) = build(&settings(Level::Info, LogFormat::Json), Broken).unwrap();
    let failures = guard.failures();
    tracing::subscriber::with_default(subscriber, || (0..3).for_each(|_| tracing::info!("lost")));
    drop(guard);
    assert_eq!(failures.load(Ordering::Relaxed), 3);
}

/// With a collector.
fn traced(url: &str) -> TracingSettings {
    let environment = vec![("GES_OTLP_ENDPOINT".into(), url.into())];
    let loaded = crate::config::Config::load(crate::config::Sources { environment, file: None }).unwrap();
    TracingSettings { otlp_endpoint: loaded.config.telemetry.otlp_endpoint, ..settings(Level::Info, LogFormat::Json) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_collector_is_verified_by_private_authorities_too() {
    let (acceptor, listener) = (tls_acceptor(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let hearing = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut line = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut line).await.unwrap();
        String::from_utf8(line.to_vec()).unwrap()
    });
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
    let settings = TracingSettings { ca_files: vec![ca.into()], ..traced(&url) };
    let (subscriber, guard) = build(&settings, Sink::default()).unwrap();
    tracing::subscriber::with_default(subscriber, || tracing::info_span!("request").in_scope(|| {}));
    tokio::time::timeout(Duration::from_secs(20), guard.shut_down()).await.unwrap();
    assert_eq!(hearing.await.unwrap(), "POST /v1/traces ");
    let missing = TracingSettings { ca_files: vec!["none.pem".into()], ..traced(&url) };
    assert!(matches!(build(&missing, Sink::default()), Err(TracingError::Authorities(_))));
}

#[test]
fn a_collector_that_is_not_there_stops_nobody() {
    // Whoever uses TLS in this process needs a provider; a test binary has no `main` that installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = traced("http://127.0.0.1:1");
        let sink = Sink::default();
        let (subscriber, guard) = build(&settings, sink.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("request").in_scope(|| tracing::info!("served"));
        });
        tokio::time::timeout(Duration::from_secs(20), guard.shut_down()).await.unwrap();
        assert!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap().contains("served"));
    });
}

#[tokio::test(start_paused = true)]
async fn another_level_counts_for_a_while() {
    let sink = Sink::default();
    let (subscriber, guard) = build(&settings(Level::Warn, LogFormat::Json), sink.clone()).unwrap();
    let _listening = tracing::subscriber::set_default(subscriber);
    tracing::info!("before");
    guard.level().set(Level::Debug, Duration::from_secs(60), chrono::DateTime::UNIX_EPOCH).unwrap();
    tracing::debug!("meanwhile");
    tracing::debug!(target: "hyper::proto", "a library");
    tokio::time::sleep(Duration::from_secs(61)).await;
    tracing::info!("after");
    drop(guard);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = said.iter().map(|line| line["msg"].as_str().unwrap()).collect();
    let told = ["the log level is another one for a while", "meanwhile", "the log level is the configured one again"];
    assert_eq!(said, told);
}
