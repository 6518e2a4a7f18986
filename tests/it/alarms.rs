//! The counters that alerts are made of, each raised by what it counts in the running program. Those of throttles are in
//! `limits.rs`; a panic in a handler is planted in `src/front_door/tests.rs`, one in an actor in `actors/tests/supervision`.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::harness::http::Client;
use crate::harness::service::{Folder, Options, Service, command};
use crate::harness::{api, database, poll, redis};
use crate::webhooks::{UNLIMITED, apply, options};

/// How long what was caused may take to be counted. Refusals are tried again after 1 and 5 s.
const WITHIN: Duration = Duration::from_secs(60);

/// Waits until a series is at least so high.
fn wait_for(internal: SocketAddr, series: &str, at_least: f64) -> f64 {
    let mut last = String::new();
    let found = poll::try_until(WITHIN, || {
        last = Client::new(internal).get("/metrics").ok()?.text();
        let value = last.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.filter(|value: &f64| *value >= at_least)
    });
    found.unwrap_or_else(|| panic!("{series} has not risen to {at_least}:\n{last}"))
}

/// Books and returns nothing: what comes of it is counted.
fn book(service: &Service, phone: &str, later: Option<TimeDelta>) {
    let body = api::booking(phone, later.map(|later| Utc::now() + later));
    let answer = api::create(&mut api::client(service.external()), None, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn each_counter_rises_with_what_it_counts() {
    let (folder, options) = (Folder::new(), options().with("GES_MAX_BODY_BYTES", 1024));
    apply(
        &folder,
        &options,
        &format!(
            "tenant: demo\nqueues: {{support: {{{UNLIMITED}}}}}\n\
             webhooks: {{gone: {{url: 'https://no-such-host.invalid/hook', secret: {{env: WEBHOOK_KEY}}}}}}\n"
        ),
    );
    let mut service = Service::start_in(folder.clone(), options);
    book(&service, "+14165550100", Some(TimeDelta::minutes(30)));
    // While the program is down the callback's time comes and is over for two minutes.
    service.kill9();
    database::let_time_pass(&folder.data(), TimeDelta::minutes(32).num_milliseconds());
    service.restart();
    let internal = service.internal();
    wait_for(internal, "MONITOR_LAGGING_BEHIND", 1.0);
    let promises = |result| format!(r#"ges_promises_total{{queue="support",result="{result}",tenant="demo"}}"#);
    wait_for(internal, &promises("late"), 1.0);

    book(&service, "+14165550101", None);
    wait_for(internal, &promises("kept"), 1.0);
    wait_for(internal, r#"ges_signal_lag_seconds_count{event="accepted"}"#, 1.0);
    // The endpoint is told of it, if only its name could be looked up.
    wait_for(internal, "DNS_FAILURE", 1.0);

    book(&service, "+14165550005", None);
    wait_for(internal, "CB_SUBMIT_FAILED", 1.0);
    assert_eq!(wait_for(internal, &promises("missed"), 1.0), 1.0);

    let long = format!(r#"{{"serviceName":"support","userData":{{"note":"{}"}}}}"#, "x".repeat(2_000));
    let answer = api::create(&mut api::client(service.external()), None, &long).unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(wait_for(internal, "INVALID_CONTENT_LENGTH", 1.0), 1.0);

    assert_eq!(wait_for(internal, "ges_nodes", 1.0), 1.0);
    wait_for(internal, "ges_runtime_lag_seconds_count", 1.0);
    wait_for(internal, "ges_process_memory_limit_bytes", 1e6);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (external, internal) = (redis::free_port(), redis::free_port());
    let options = Options::default().with("GES_EXTERNAL_PORT", external).with("GES_INTERNAL_PORT", internal);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let folder = Folder::new();
    let mut child = command(&folder, &options).arg("serve").stdout(full).stderr(Stdio::null()).spawn().unwrap();
    let counted = std::panic::catch_unwind(|| wait_for(([127, 0, 0, 1], internal).into(), "LOGGING_FAILURE", 1.0));
    child.kill().unwrap();
    child.wait().unwrap();
    counted.unwrap();
}
