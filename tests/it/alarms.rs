//! The counters that alerts are made of, each raised by what it counts in the running program. Those of throttles are in
//! `limits.rs`; a panic in a handler is planted in `src/front_door/tests.rs`, one in an actor in `actors/tests/supervision`.

use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use domain::alarm::{AlarmKind, AlarmType};

use crate::documents;
use crate::gws;
use crate::harness::gws::{CENTERS, OBJECTS, TOKENS};
use crate::harness::http::Client;
use crate::harness::outside::Says;
use crate::harness::service::{Folder, Options, Service, command};
use crate::harness::{api, database, free_port, poll};
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

/// The types as they stand on the page.
fn types() -> String {
    let mut text =
        "| type | severity | class | tolerated | told | what has happened |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for kind in AlarmKind::ALL {
        let AlarmType { severity, class, tolerance, throttle, message } = kind.rule();
        let periods = if tolerance.periods == 1 { String::new() } else { format!(", {} times", tolerance.periods) };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} in {} s{periods} | {} in {} s | {message} |",
            kind.name(),
            severity.name(),
            class.name(),
            tolerance.max,
            tolerance.time.as_secs(),
            throttle.max,
            throttle.time.as_secs(),
        );
    }
    text
}

#[test]
fn the_page_lists_every_type_of_alarm_as_the_code_has_it() {
    documents::assert_holds("alerts.md", "alarm types", &types());
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

/// What the book says of a type of alarm: how often it has happened, and whether that exceeds what is tolerated.
fn in_the_book(internal: SocketAddr, kind: &str) -> Option<(u64, bool)> {
    let listed = Client::new(internal).get("/ges/v1/alarms").ok()?.json();
    let alarm = listed["data"]["alarms"].as_array()?.iter().find(|alarm| alarm["type"] == kind)?;
    Some((alarm["occurrences"].as_u64()?, alarm["exceedsTolerance"].as_bool()?))
}

fn wait_for_alarm(internal: SocketAddr, kind: &str) -> u64 {
    let standing = || in_the_book(internal, kind).filter(|(_, exceeds)| *exceeds);
    poll::until(&format!("the alarm {kind}"), WITHIN, standing).0
}

/// Single alerts of a type that are told.
fn told(internal: SocketAddr, kind: &str) -> usize {
    let listed = Client::new(internal).get("/ges/v1/alerts?limit=1000").unwrap().json();
    listed["data"]["alerts"].as_array().unwrap().iter().filter(|alert| alert["type"] == kind).count()
}

#[test]
fn what_gws_does_is_counted_from_its_first_event_and_stands_in_the_book() {
    let platform = gws::acme();
    let service = Service::start(gws::options(&platform));
    let internal = service.internal();
    let read_users = || platform.count(&format!("{OBJECTS}dns"));
    poll::until("users are read", WITHIN, || (read_users() >= 1).then_some(()));
    for counter in ["GWS_SERVER_ERROR", "GWS_INCORRECT_CLIENT_CREDENTIALS", "RBAC_CREATE_VQ_PROXY_ERROR"] {
        assert_eq!((gws::metric(internal, counter), in_the_book(internal, counter)), (None, None), "{counter}");
    }

    // Every refresh is a reading: five that fail are tolerated.
    platform.with(|state| state.moods.insert("/configuration/v3/objects/dns", Says::Answer(404, String::new())));
    let failures = || in_the_book(internal, "RBAC_CREATE_VQ_PROXY_ERROR").unwrap_or_default();
    let times = poll::until("readings that fail", WITHIN, || {
        let refreshed = Client::new(internal).post_json("/ges/v1/settings/refresh", &[], "").unwrap();
        assert_eq!(refreshed.status, 200, "{}", refreshed.text());
        let (times, exceeds) = failures();
        assert_eq!(exceeds, times > 5, "{times}");
        (times >= 8).then_some(times)
    });
    wait_for(internal, "RBAC_CREATE_VQ_PROXY_ERROR", 8.0);
    assert_eq!(gws::metric(internal, "rbac_create_vq_proxy_error_tolerance"), Some(5.0));
    assert_eq!(u64::try_from(told(internal, "RBAC_CREATE_VQ_PROXY_ERROR")), Ok(times), "each of so few is told");
    platform.with(|state| state.moods.clear());

    // One that stays away: any failure is one too many, and one line tells of all of them.
    platform.with(|state| state.moods.insert(CENTERS, Says::Answer(503, String::new())));
    wait_for_alarm(internal, "GWS_SERVER_ERROR");
    wait_for_alarm(internal, "GWS_ENV_STATUS");
    wait_for(internal, "GWS_SERVER_ERROR", 2.0);
    assert!(in_the_book(internal, "GWS_SERVER_ERROR").is_some_and(|(times, _)| times >= 2));
    assert_eq!(told(internal, "GWS_SERVER_ERROR"), 1);
    platform.with(|state| state.moods.clear());
    let over = || in_the_book(internal, "GWS_ENV_STATUS").is_none();
    poll::until("it is well again", WITHIN, || over().then_some(()));
    platform.with(|state| state.moods.insert("/configuration/", Says::Nothing));
    wait_for_alarm(internal, "GWS_CONFIG_STATUS");
    platform.with(|state| state.moods.clear());

    // The client is not taken any more.
    platform.with(|state| state.moods.insert(TOKENS, Says::Answer(401, r#"{"error":"invalid_client"}"#.to_owned())));
    platform.revoke_tokens();
    wait_for(internal, "GWS_INCORRECT_CLIENT_CREDENTIALS", 1.0);
    wait_for_alarm(internal, "GWS_INCORRECT_CLIENT_CREDENTIALS");
    wait_for_alarm(internal, "GWS_AUTH_STATUS");
    assert_eq!(in_the_book(internal, "DEPENDENCY_DOWN"), None, "each has a name of its own");
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (external, internal) = (free_port(), free_port());
    let options = Options::default().with("GES_EXTERNAL_PORT", external).with("GES_INTERNAL_PORT", internal);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let folder = Folder::new();
    let mut child = command(&folder, &options).arg("serve").stdout(full).stderr(Stdio::null()).spawn().unwrap();
    let internal = SocketAddr::from(([127, 0, 0, 1], internal));
    let counted = std::panic::catch_unwind(|| {
        wait_for(internal, "LOGGING_FAILURE", 1.0);
        wait_for_alarm(internal, "LOGGING_FAILURE");
    });
    child.kill().unwrap();
    child.wait().unwrap();
    counted.unwrap();
}
