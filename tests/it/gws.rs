//! GWS under the running program: contact centres appear and vanish, tokens end and are taken back, the whole of it
//! goes away and comes back; and no promise hangs on any of that.

mod alone;

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::harness::gws::{CENTERS, Center, Listed, OBJECTS, OWN_CLIENT, OWN_SECRET, OWN_TOKEN, Platform, TOKENS};
use crate::harness::http::{Answer, Client};
use crate::harness::outside::Says;
use crate::harness::service::{Folder, Options, Service, run_to_end};
use crate::harness::{api, database, poll};
use crate::webhooks::{UNLIMITED, apply};

/// Contact centres.
pub(crate) const ACME: &str = "9350e2fc-a1dd-4c65-8d40-1f75a2e080dd";
const BETA: &str = "9350e2fc-a1dd-4c65-8d40-1f75a2e080de";
const SHOP: &str = "https://shop.example";
/// Breakers rest for 5 s, then 10; probes look every 3 s meanwhile, and a machine may be busy.
const WITHIN: Duration = Duration::from_secs(60);

/// The program with a client of the platform, which it asks every second, and everything that it tells in the log.
pub(crate) fn options(platform: &Platform) -> Options {
    client_of(platform).with("GES_LOG_LEVEL", "TRACE")
}

/// The program with a client of the platform, which it asks every second.
pub(crate) fn client_of(platform: &Platform) -> Options {
    let url = platform.server.url();
    Options::fast()
        .with("GES_GWS_AUTH", &url)
        .with("GES_GWS_ENV", &url)
        .with("GES_GWS_CONF", &url)
        .with("GES_GWS_REFRESH_SECONDS", 1)
        .with("GES_AUTHENTICATION_CLIENT_ID", OWN_CLIENT)
        .with("GES_AUTHENTICATION_CLIENT_PASSWORD", OWN_SECRET)
}

pub(crate) fn acme() -> Platform {
    Platform::start(ACME, "acme.example")
}

/// The demo tenant belongs to the contact centre.
pub(crate) fn link(folder: &Folder, options: &Options) {
    let document = format!("tenant: demo\ncontactCenterId: {ACME}\nqueues: {{support: {{{UNLIMITED}}}}}\n");
    apply(folder, options, &document);
}

fn internal(service: &Service, path: &str) -> Answer {
    Client::new(service.internal()).get(path).unwrap()
}

/// The value of a series; none while it is not there.
pub(crate) fn metric(internal: SocketAddr, series: &str) -> Option<f64> {
    let text = Client::new(internal).get("/metrics").ok()?.text();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn wait_for(service: &Service, series: &str, wanted: impl Fn(f64) -> bool) {
    let what = format!("{series} of the wanted value");
    poll::until(&what, WITHIN, || metric(service.internal(), series).filter(|value| wanted(*value)));
}

fn wait_for_health(service: &Service, status: &str) {
    poll::until(&format!("health {status}"), WITHIN, || {
        let detail = internal(service, "/ges/v1/health/detail").json();
        (detail["status"] == status).then_some(())
    });
}

fn create(service: &Service) -> Answer {
    api::create(&mut api::client(service.external()), None, &api::booking("+14165550100", None)).unwrap()
}

/// Every tenant with its standing.
fn tenants(service: &Service) -> Vec<(String, String)> {
    let listed = internal(service, "/ges/v1/tenants").json();
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let entries = listed["data"]["tenants"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|it| (text(&it["name"]), text(&it["standing"]))).collect()
}

/// Waits until the list was read so many times from now on.
fn after_readings(platform: &Platform, readings: usize) {
    let lists = || platform.server.count(CENTERS);
    let before = lists();
    poll::until("readings of the list", WITHIN, || (lists() >= before + readings).then_some(()));
}

#[test]
fn contact_centres_appear_and_vanish_and_their_promises_are_kept() {
    let platform = acme();
    platform.with(|state| state.centers.get_mut(ACME).unwrap().cors_origins = SHOP);
    let (folder, options) = (Folder::new(), options(&platform));
    link(&folder, &options);
    let mut service = Service::start_in(folder.clone(), options);

    // What GWS does not know stays, and what is new becomes a tenant without a restart.
    let beta = Center { domain: "beta.example", listed: Listed::Yes, cors_origins: "" };
    platform.with(|state| state.centers.insert(BETA, beta));
    poll::until("a tenant for the new contact centre", WITHIN, || {
        tenants(&service).contains(&("beta.example".to_owned(), "served".to_owned())).then_some(())
    });
    let found = poll::until("the tenant by the id of its contact centre", WITHIN, || {
        let mut beta = Client::new(service.internal()).with_header("ContactCenterID", BETA);
        Some(beta.get("/ges/v1/tenant").unwrap()).filter(|answer| answer.status == 200)
    });
    assert_eq!(found.json()["tenant"], "beta.example", "{}", found.text());

    // The contact centre allows a page, and its tenant says nothing else.
    poll::until("the origin of the contact centre", WITHIN, || {
        let mut page = api::client(service.external()).with_header("Origin", SHOP);
        let answer = page.get("/engagement/v3/estimated-wait-time?virtual-queues=support").unwrap();
        (answer.header("access-control-allow-origin") == Some(SHOP)).then_some(())
    });

    let later = Utc::now() + TimeDelta::minutes(30);
    let booked = api::create(&mut api::client(service.external()), None, &api::booking("+14165550100", Some(later)));
    let id = api::id_of(&booked.unwrap()).unwrap();

    // A list that is short, empty or no list withdraws nobody.
    platform.with(|state| state.centers.get_mut(ACME).unwrap().listed = Listed::ById);
    after_readings(&platform, 4);
    assert_eq!(create(&service).status, 200, "the list was short");
    for mood in [
        Says::Answer(200, r#"{"status":{"code":0},"data":[]}"#.to_owned()),
        Says::Answer(200, r#"{"status":{"code":0},"data":[{"id":"#.to_owned()),
        Says::Answer(200, "<html>".to_owned()),
        Says::Answer(404, String::new()),
    ] {
        platform.with(|state| state.moods.insert(CENTERS, mood.clone()));
        after_readings(&platform, 3);
        assert_eq!(create(&service).status, 200, "{mood:?}");
    }

    platform.with(|state| {
        state.moods.clear();
        state.centers.get_mut(ACME).unwrap().listed = Listed::No;
    });
    withdrawn(&service);
    // What was booked can be looked at, and ends as it was promised: a restart later, still without its contact centre.
    let seen = api::retrieve(&mut api::client(service.external()), id).unwrap();
    assert_eq!(seen.json()["data"]["callbackState"], "SCHEDULED", "{}", seen.text());
    service.kill9();
    database::let_time_pass(&folder.data(), TimeDelta::minutes(31).num_milliseconds());
    service.restart();
    withdrawn(&service);
    poll::until("the callback of a vanished contact centre", WITHIN, || {
        let seen = api::retrieve(&mut api::client(service.external()), id).unwrap().json();
        let ended = seen["data"]["callbackState"] == "COMPLETED";
        ended.then(|| assert_eq!(seen["data"]["callbackReason"], "AGENT_CONNECTED", "{seen}"))
    });

    platform.with(|state| state.centers.get_mut(ACME).unwrap().listed = Listed::Yes);
    poll::until("the contact centre is back", WITHIN, || (create(&service).status == 200).then_some(()));
}

/// Waits until nothing new is taken, and it is said why.
fn withdrawn(service: &Service) {
    let refused = poll::until("nothing new is taken", WITHIN, || Some(create(service)).filter(|it| it.status != 200));
    assert_eq!((refused.status, refused.code()), (403, Some(403)), "{}", refused.text());
    assert!(refused.text().contains("contact center is no longer served"), "{}", refused.text());
    assert!(tenants(service).contains(&("demo".to_owned(), "withdrawn".to_owned())), "{:?}", tenants(service));
}

#[test]
fn a_token_is_renewed_before_it_ends_and_replaced_when_it_is_taken_back() {
    let platform = acme();
    platform.with(|state| state.life = 10);
    let service = Service::start(options(&platform));
    poll::until("renewals", WITHIN, || (platform.with(|state| state.given) >= 4).then_some(()));
    assert_eq!(platform.with(|state| state.refused), 0, "no token was shown that had ended");

    platform.with(|state| state.life = 3_600);
    let long = platform.with(|state| state.given);
    poll::until("a token that lives long", WITHIN, || (platform.with(|state| state.given) > long).then_some(()));
    let before = platform.with(|state| state.given);
    platform.revoke_tokens();
    after_readings(&platform, 3);
    assert_eq!(platform.with(|state| state.given), before + 1, "one new token for all who were refused");
    assert!(platform.with(|state| state.refused) >= 1);
    wait_for(&service, "GWS_ENV_STATUS", |value| value == 0.0);
    assert_eq!(metric(service.internal(), "GWS_INCORRECT_CLIENT_CREDENTIALS"), None);
}

#[test]
fn a_circuit_opens_and_heals_while_bookings_are_taken() {
    let platform = acme();
    let service = Service::start(options(&platform));
    wait_for_health(&service, "UP");
    for (mood, path, gauge, dependency) in [
        (Says::Answer(503, String::new()), CENTERS, "GWS_ENV_STATUS", "gws-env"),
        (Says::Nothing, "/configuration/", "GWS_CONFIG_STATUS", "gws-config"),
        (Says::Raw("no HTTP at all".to_owned()), "/auth/", "GWS_AUTH_STATUS", "gws-auth"),
    ] {
        let errors = metric(service.internal(), "GWS_SERVER_ERROR").unwrap_or_default();
        platform.with(|state| state.moods.insert(path, mood));
        wait_for(&service, gauge, |value| value == 1.0);
        wait_for_health(&service, "DEGRADED");
        let detail = internal(&service, "/ges/v1/health/detail").json();
        let parts = detail["dependencies"].as_array().unwrap();
        let part = parts.iter().find(|part| part["name"] == dependency).unwrap();
        assert_eq!((&part["status"], &part["required"]), (&Value::from("DOWN"), &Value::from(false)), "{part}");
        let resting = format!(r#"ges_outward_calls_total{{end="resting",to="{dependency}"}}"#);
        wait_for(&service, &resting, |value| value >= 1.0);
        wait_for(&service, "GWS_SERVER_ERROR", |value| value > errors);
        assert_eq!((create(&service).status, internal(&service, "/ges/v1/health/ready").status), (200, 200));
        platform.with(|state| state.moods.clear());
        wait_for(&service, gauge, |value| value == 0.0);
    }
    wait_for_health(&service, "UP");
    assert_eq!(metric(service.internal(), "GES_HEALTH"), Some(0.0));
}

#[test]
fn a_platform_that_says_nothing_keeps_nobody_waiting_and_readings_on_demand_reach_it() {
    let platform = acme();
    let service = Service::start(options(&platform));
    poll::until("users are read", WITHIN, || (platform.count(&format!("{OBJECTS}dns")) >= 1).then_some(()));
    let before = (platform.count(&format!("{OBJECTS}persons")), platform.server.count(CENTERS));
    let refreshed = Client::new(service.internal()).post_json("/ges/v1/settings/refresh", &[], "").unwrap();
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    assert!(platform.count(&format!("{OBJECTS}persons")) > before.0 && platform.server.count(CENTERS) > before.1);

    platform.with(|state| state.moods.insert("/", Says::Silence));
    for gauge in ["GWS_AUTH_STATUS", "GWS_ENV_STATUS", "GWS_CONFIG_STATUS"] {
        wait_for(&service, gauge, |value| value == 1.0);
    }
    assert_eq!(create(&service).status, 200);
    let restarts = r#"ges_supervisor_restarts_total{child="connector",reason="error",supervisor="connectors"}"#;
    assert_eq!(metric(service.internal(), restarts), None, "an outage is no failure");
    platform.with(|state| state.moods.clear());
    wait_for_health(&service, "UP");
}

#[test]
fn wrong_credentials_are_counted_and_not_tried_without_end() {
    let platform = acme();
    let service =
        Service::start(options(&platform).with("GES_AUTHENTICATION_CLIENT_PASSWORD", "marker-wrong-secret-81d0"));
    wait_for(&service, "GWS_INCORRECT_CLIENT_CREDENTIALS", |value| value >= 1.0);
    wait_for(&service, "GWS_AUTH_STATUS", |value| value == 1.0);
    wait_for_health(&service, "DEGRADED");
    // Probes look every 3 s, and the connector sooner than that: what was refused is not shown again for 30 s.
    let pings = platform.server.count("/auth/v3/ping");
    poll::until("more probes", WITHIN, || (platform.server.count("/auth/v3/ping") >= pings + 2).then_some(()));
    assert!(platform.server.count(TOKENS) <= 3, "{} requests for tokens", platform.server.count(TOKENS));
    assert_eq!(create(&service).status, 200);
}

#[test]
fn virtual_queues_that_cannot_be_read_are_counted() {
    let platform = acme();
    platform.with(|state| state.moods.insert("/configuration/v3/objects/dns", Says::Answer(404, String::new())));
    let service = Service::start(options(&platform));
    wait_for(&service, "RBAC_CREATE_VQ_PROXY_ERROR", |value| value >= 1.0);
    assert_eq!(metric(service.internal(), "GWS_CONFIG_STATUS"), Some(0.0));
}

#[test]
fn nothing_secret_is_written_whatever_happens() {
    let platform = acme();
    platform.with(|state| {
        state.life = 8;
        state.users = vec![(101, "marker-user-name-0f4e", vec!["Acme Supervisors"])];
    });
    let mut service = Service::start(options(&platform));
    poll::until("a renewal", WITHIN, || (platform.with(|state| state.given) >= 2).then_some(()));
    platform.revoke_tokens();
    after_readings(&platform, 2);
    for mood in [
        Says::Answer(500, format!("{OWN_SECRET} {OWN_TOKEN}")),
        Says::Answer(400, format!("{OWN_SECRET} {OWN_TOKEN}")),
        Says::Answer(200, format!("{{\"access_token\": \"{OWN_TOKEN}")),
        Says::half(),
    ] {
        platform.with(|state| state.moods.insert("/", mood));
        let before = platform.server.heard().len();
        poll::until("more requests", WITHIN, || (platform.server.heard().len() >= before + 2).then_some(()));
    }
    let pages = ["/metrics", "/ges/v1/health/detail", "/ges/v1/tenants"].map(|path| internal(&service, path).text());
    assert!(service.sigterm().success());
    let log = service.everything_written();
    assert!(log.contains("GWS gave a token") && log.contains("called out"), "nothing was logged");
    let basic = "Z2VzX2NsaWVudDptYXJrZXItb3duLWNsaWVudC1zZWNyZXQ";
    for secret in [OWN_SECRET, OWN_TOKEN, OWN_CLIENT, "marker-user-name-0f4e", basic] {
        for text in pages.iter().chain([&log]) {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` is written: {line:?}");
        }
    }
}

#[test]
fn a_secret_that_cannot_be_opened_ends_the_start_and_prints_nothing() {
    let platform = acme();
    let options = options(&platform).with("GES_DECRYPT_PASSWORD", "marker-decrypt-password-77");
    let output = run_to_end(&Folder::embedded(), &options, &["check-config"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("GES_AUTHENTICATION_CLIENT_PASSWORD") && told.contains("GES_DECRYPT_PASSWORD"), "{told}");
    assert!(!told.contains("marker"), "{told}");
}
