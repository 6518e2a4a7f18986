//! What is exported against what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use domain::callback::{Cause, Promise, State};
use domain::event::{ActorKind, BusEnd, CallEnd, CaptchaEnd, Event, Failure, MessageResult, Outward};
use domain::holds::HoldBound;
use domain::ids::QueueName;
use domain::notices::Channel;
use domain::ports::{Observer as _, Owed};
use domain::push::PushResult;
use ges::telemetry::metrics::{METRICS, Metrics, MetricsSettings, Presence, Type, markdown};

use crate::documents;

fn metrics() -> Metrics {
    Metrics::new(MetricsSettings { node: "n1".to_owned(), version: "1.2.3".to_owned(), ..Default::default() }).unwrap()
}

/// One event of every kind, each with what makes it count most.
fn every_event() -> Vec<Event> {
    let tenant: Arc<str> = "demo".into();
    let took = Duration::from_millis(3);
    let answered = |tenant, status| Event::Answered {
        tenant,
        method: "POST",
        route: "/engagement/v3/callbacks/create",
        status,
        took,
    };
    let events = vec![
        Event::TenantKnown { tenant: tenant.clone() },
        Event::Booked { tenant: tenant.clone() },
        Event::CallInOpened { tenant: tenant.clone() },
        Event::CallInNothingFree { tenant: tenant.clone() },
        Event::CallInMatched { tenant: tenant.clone() },
        Event::CallInMissed { tenant: tenant.clone() },
        Event::Moved { tenant: tenant.clone(), from: State::Queued, to: State::Routing },
        Event::Saved { cause: Cause::Booked },
        Event::Fired { lateness: Duration::from_secs(61) },
        Event::SubmitFailed,
        Event::Parked { tenant: tenant.clone() },
        Event::ActorStarted(ActorKind::Session),
        Event::ActorStopped(ActorKind::Session),
        Event::Handled { kind: ActorKind::Session, took, waiting: 3 },
        Event::Restarted { supervisor: ActorKind::Tenant, child: ActorKind::Session, reason: Failure::Panic },
        Event::PanicCaught,
        Event::Probed { dependency: "database", up: true },
        Event::WorkLists { monitor_active: 1, monitor_total: 2, ping_active: 3, ping_total: 4 },
        answered(Some(tenant.clone()), 200),
        answered(None, 401),
        Event::BodyTooLong,
        Event::Shed,
        Event::SlotFull { tenant: tenant.clone() },
        Event::DuplicateLimitReached { tenant: tenant.clone() },
        Event::Throttled { tenant: tenant.clone(), rule: "window" },
        Event::HoldRefused { tenant: tenant.clone(), bound: HoldBound::Number },
        Event::OverRate { tenant: tenant.clone() },
        Event::OverShare { tenant: tenant.clone() },
        Event::BatchesWaited { batches: 1 },
        Event::TurnsWaited { turns: 1 },
        Event::NumberRefused { tenant, rule: "country" },
        Event::Committed { commands: 7, took },
        Event::PushEnded { tenant: "demo".into(), result: PushResult::Confirmed },
        Event::MessageTried { tenant: "demo".into(), result: MessageResult::Delivered },
        Event::EndpointDisabled { tenant: "demo".into() },
        Event::Owed(Owed { channel: Channel::Webhook, due: 3, oldest: took }),
        Event::Purged { callbacks: 5 },
        Event::CaptchaAsked { tenant: "demo".into(), end: CaptchaEnd::Refused },
        Event::BusEnded { end: BusEnd::Received, count: 2 },
        Event::CalledOut { to: Outward::Webhook, end: CallEnd::Perhaps, took },
        Event::GwsFailed,
        Event::GwsClientRefused,
        Event::VirtualQueuesNotRead,
        Event::LookupFailed,
        Event::Promised { tenant: "demo".into(), queue: QueueName::new("support").unwrap(), promise: Promise::Late },
        Event::SignalAnswered { event: "accepted", took },
        Event::Swept { taken: 4, oldest: Duration::from_secs(7) },
        Event::Beaten { living: 2, skew: TimeDelta::milliseconds(-1_500) },
        Event::Woken { late: took },
    ];
    // A new kind of event does not compile here until it is in the list above.
    for event in &events {
        match event {
            Event::TenantKnown { .. } | Event::Booked { .. } | Event::Moved { .. } | Event::Saved { .. } => {}
            Event::CallInOpened { .. } | Event::CallInNothingFree { .. } => {}
            Event::CallInMatched { .. } | Event::CallInMissed { .. } => {}
            Event::Fired { .. } | Event::SubmitFailed | Event::Parked { .. } | Event::ActorStarted(_) => {}
            Event::ActorStopped(_) | Event::Handled { .. } | Event::Restarted { .. } | Event::PanicCaught => {}
            Event::Probed { .. } | Event::WorkLists { .. } | Event::Answered { .. } | Event::BodyTooLong => {}
            Event::DuplicateLimitReached { .. } | Event::Throttled { .. } | Event::OverRate { .. } => {}
            Event::OverShare { .. } | Event::NumberRefused { .. } | Event::BatchesWaited { .. } => {}
            Event::TurnsWaited { .. } | Event::HoldRefused { .. } => {}
            Event::PushEnded { .. } | Event::MessageTried { .. } | Event::EndpointDisabled { .. } | Event::Owed(_) => {}
            Event::Shed | Event::SlotFull { .. } | Event::Committed { .. } | Event::Purged { .. } => {}
            Event::CaptchaAsked { .. } | Event::CalledOut { .. } | Event::BusEnded { .. } => {}
            Event::LookupFailed | Event::Promised { .. } => {}
            Event::GwsFailed | Event::GwsClientRefused | Event::VirtualQueuesNotRead => {}
            Event::SignalAnswered { .. } | Event::Swept { .. } | Event::Beaten { .. } | Event::Woken { .. } => {}
        }
    }
    events
}

/// Everything that can be exported, after one event of every kind.
fn full_text() -> String {
    let log_failures = Arc::new(AtomicU64::new(2));
    let settings = MetricsSettings { node_metrics: true, log_failures, ..Default::default() };
    let metrics = Metrics::new(settings).unwrap();
    every_event().into_iter().for_each(|event| metrics.note(event));
    metrics.render().unwrap()
}

/// Name to type and label names, as read from the exposition text.
fn exported(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|n| found.contains_key(*n)));
        let (_, names) = found.get_mut(family.unwrap_or(name)).unwrap_or_else(|| panic!("{name} has no type"));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        names.extend(labels.map(|label| label.split_once('=').unwrap().0.to_owned()).filter(|label| label != "le"));
    }
    found
}

/// The value of a series without labels, or with exactly these.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_page_lists_every_metric_as_the_code_has_it() {
    documents::assert_holds("metrics.md", "metrics", &markdown());
}

#[test]
fn exactly_the_published_names_types_and_labels_are_exported() {
    let published: BTreeMap<_, _> = METRICS
        .iter()
        .map(|metric| {
            let labels = metric.labels.iter().map(ToString::to_string).collect();
            (metric.name.to_owned(), (metric.kind.name().to_owned(), labels))
        })
        .collect();
    assert_eq!(published.len(), METRICS.len(), "a name stands twice in the list");
    assert_eq!(exported(&full_text()), published);
}

#[test]
fn names_are_there_from_when_they_are_said_to_be() {
    let metrics = metrics();
    let names = |metrics: &Metrics| exported(&metrics.render().unwrap()).into_keys().collect::<BTreeSet<_>>();
    let of = |presences: &[Presence]| {
        METRICS
            .iter()
            .filter(|metric| presences.contains(&metric.presence))
            .map(|metric| metric.name.to_owned())
            .collect()
    };
    assert_eq!(names(&metrics), of(&[Presence::Always]));
    metrics.note(Event::TenantKnown { tenant: "demo".into() });
    assert_eq!(names(&metrics), of(&[Presence::Always, Presence::PerTenant]));
    let text = metrics.render().unwrap();
    assert_eq!(value(&text, r#"ges_callbacks_created{tenant="demo"}"#), Some(0.0));
}

#[test]
fn facts_arrive_under_their_numbers() {
    let text = full_text();
    for (series, expected) in [
        (r#"ges_callbacks_created{tenant="demo"}"#, 1.0),
        (r#"ges_callin_created{tenant="demo"}"#, 1.0),
        (r#"ges_callin_matched_total{tenant="demo"}"#, 1.0),
        (r#"ges_callin_missed_total{tenant="demo"}"#, 1.0),
        (r#"ges_callin_nothing_free_total{tenant="demo"}"#, 1.0),
        (r#"ges_http_requests_total{path="/engagement/v3/callbacks/create",tenant="demo"}"#, 1.0),
        (r#"ges_http_failed_requests_total{httpCode="401",path="/engagement/v3/callbacks/create",tenant="none"}"#, 1.0),
        (r#"ges_monitor_size{type="activePing"}"#, 3.0),
        (r#"ges_actors{kind="session"}"#, 0.0),
        (r#"ges_actors{kind="root"}"#, 0.0),
        (r#"ges_supervisor_restarts_total{child="session",reason="panic",supervisor="tenant"}"#, 1.0),
        (r#"ges_mailbox_depth_bucket{kind="session",le="4"}"#, 1.0),
        (r#"ges_mailbox_depth_bucket{kind="session",le="2"}"#, 0.0),
        (r#"ges_callback_start_lateness_seconds_bucket{le="60"}"#, 0.0),
        ("ges_commit_commands_sum", 7.0),
        (r#"ges_bus_messages_total{end="received"}"#, 2.0),
        ("MONITOR_LAGGING_BEHIND", 1.0),
        ("LOGGING_FAILURE", 2.0),
        ("UNCAUGHT_EXCEPTION", 1.0),
        ("ges_callbacks_purged_total", 5.0),
        ("rbac_create_vq_proxy_error_tolerance", 5.0),
        ("DNS_FAILURE", 1.0),
        ("GWS_SERVER_ERROR", 1.0),
        ("GWS_INCORRECT_CLIENT_CREDENTIALS", 1.0),
        ("RBAC_CREATE_VQ_PROXY_ERROR", 1.0),
        (r#"ges_promises_total{queue="support",result="late",tenant="demo"}"#, 1.0),
        (r#"ges_promises_total{queue="support",result="missed",tenant="demo"}"#, 0.0),
        (r#"ges_signal_lag_seconds_count{event="accepted"}"#, 1.0),
        ("ges_callbacks_taken_over_total", 4.0),
        ("ges_work_oldest_seconds", 7.0),
        ("ges_nodes", 2.0),
        ("ges_clock_skew_seconds", -1.5),
        ("ges_runtime_lag_seconds_count", 1.0),
        ("ges_nodejs_eventloop_lag_seconds", 0.003),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
    assert!(value(&text, "ges_process_resident_memory_bytes").unwrap() > 1e6);
    assert!(value(&text, "ges_process_start_time_seconds").unwrap() > 1.6e9);
}

#[test]
fn gauges_fall_to_zero_and_never_vanish() {
    let metrics = metrics();
    let seen = |name: &str| value(&metrics.render().unwrap(), name).unwrap();
    for (dependency, name) in [
        ("database", "DB_STATUS"),
        ("redis", "REDIS_CONNECTION"),
        ("ors-redis", "ORS_REDIS_STATUS"),
        ("gws-auth", "GWS_AUTH_STATUS"),
    ] {
        for (up, expected) in [(false, 1.0), (true, 0.0)] {
            metrics.note(Event::Probed { dependency, up });
            assert_eq!(seen(name), expected, "{name}");
            // The product's overall health leaves its own Redis out.
            assert_eq!(seen("GES_HEALTH"), if dependency == "redis" { 0.0 } else { expected }, "{dependency}");
        }
    }
}

#[test]
fn log_failures_count_once() {
    let log_failures = Arc::new(AtomicU64::new(0));
    let metrics = Metrics::new(MetricsSettings { log_failures: log_failures.clone(), ..Default::default() }).unwrap();
    assert_eq!(value(&metrics.render().unwrap(), "LOGGING_FAILURE"), None);
    log_failures.store(3, Ordering::Relaxed);
    assert_eq!(value(&metrics.render().unwrap(), "LOGGING_FAILURE"), Some(3.0));
    assert_eq!(value(&metrics.render().unwrap(), "LOGGING_FAILURE"), Some(3.0));
}

#[test]
fn many_tenants_keep_series_of_their_own() {
    let metrics = metrics();
    for number in 0..3_000 {
        metrics.note(Event::Booked { tenant: format!("tenant-{number}").into() });
    }
    let text = metrics.render().unwrap();
    assert!(!text.contains("otel_metric_overflow"), "series were folded together");
    assert_eq!(value(&text, r#"ges_callbacks_created{tenant="tenant-2999"}"#), Some(1.0));
}

#[test]
fn promtool_finds_nothing_but_the_products_own_names() {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        assert!(std::env::var_os("CI").is_none(), "promtool is not on the PATH: install Debian's package prometheus");
        eprintln!("NOT RUN: promtool is not on the PATH; Debian's package prometheus has it");
        return;
    };
    promtool.stdin.take().unwrap().write_all(full_text().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // The product's counters without `_total`, which dashboards know by these names, and its one label in camel case.
    let without_total =
        METRICS.iter().filter(|metric| metric.kind == Type::Counter && !metric.name.ends_with("_total"));
    let mut allowed: BTreeSet<_> =
        without_total.map(|metric| format!(r#"{} counter metrics should have "_total" suffix"#, metric.name)).collect();
    allowed.insert(
        "ges_http_failed_requests_total label names should be written in 'snake_case' not 'camelCase'".to_owned(),
    );
    let unexpected: Vec<_> = said.lines().filter(|line| !allowed.contains(*line)).collect();
    assert_eq!(unexpected, Vec::<&str>::new());
    assert_eq!(said.lines().count(), allowed.len(), "every one of the product's names was looked at: {said}");
}

/// Not a check but a figure: `cargo test --profile bench-fast --test it what_a_note_costs -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn what_a_note_costs() {
    const ROUNDS: u32 = 1_000_000;
    let metrics = metrics();
    for event in every_event() {
        let began = tokio::time::Instant::now();
        for _ in 0..ROUNDS / 10 {
            metrics.note(event.clone());
        }
        println!("{:>7} ns  {event:?}", began.elapsed().as_nanos() * 10 / u128::from(ROUNDS));
    }
}
