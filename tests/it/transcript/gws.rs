//! GWS dies under the running service and comes back.

use super::{Page, SOON, is_of_the_tree};
use crate::documents;
use crate::gws;
use crate::harness::gws::Platform;
use crate::harness::http::Answer;
use crate::harness::outside::Says;
use crate::harness::service::{Options, Service};
use crate::harness::{api, poll};
use crate::roles::Browser;

const CENTER: &str = "9350e2fc-a1dd-4c65-8d40-1f75a2e080dd";
const SERIES: [&str; 6] = [
    "GWS_AUTH_STATUS",
    "GWS_ENV_STATUS",
    "GWS_CONFIG_STATUS",
    "GES_HEALTH",
    "GWS_SERVER_ERROR",
    "ges_supervisor_restarts_total",
];
/// The parts, as health and the counters of calls name them.
const PARTS: [&str; 3] = ["gws-auth", "gws-env", "gws-config"];
/// Their alarms, and what these say.
const ALARMS: [(&str, &str); 3] = [
    ("GWS_AUTH_STATUS", "the authentication service of GWS does not answer, or gives no token"),
    ("GWS_ENV_STATUS", "the environment service of GWS does not answer"),
    ("GWS_CONFIG_STATUS", "the configuration service of GWS does not answer"),
];
/// Seconds that a token of the service's own client is good: an outage longer than that leaves it without one.
const TOKEN_LIFE: u64 = 20;

fn about(target: &str, fields: &str) -> bool {
    let by_it = ["ges::clients::gws", "ges::users", "ges::front_door::internal::session"];
    by_it.iter().any(|part| target.starts_with(part)) || (is_of_the_tree(target) && fields.contains("\"gws"))
}

fn options(platform: &Platform) -> Options {
    gws::client_of(platform)
        .with("GES_AUTH", "gws")
        .with("GES_PUBLIC_URL", "http://ges.example")
        .with("GES_SECURE_COOKIES", false)
        .with("GES_USER_REFRESH_SECONDS", 1)
}

/// Sends a browser to GWS; the path on which it comes back as that user.
fn trip(browser: &mut Browser, user: &str) -> String {
    let there = browser.get("/ges/v1/session/login?return=/ges/callbacks");
    assert_eq!(there.status, 303, "{}", there.text());
    browser.keep(&there);
    let location = there.header("location").unwrap();
    let state = location.split("&state=").nth(1).unwrap().split('&').next().unwrap();
    format!("/ges/v1/session/callback?code=code-of-{user}&state={state}")
}

/// Goes to GWS and comes back, until that works.
fn logs_in(browser: &mut Browser, user: &str) -> Answer {
    poll::until("a log-in", SOON, || {
        let back = trip(browser, user);
        let answer = browser.get(&back);
        (answer.status == 303).then(|| {
            browser.keep(&answer);
            answer
        })
    })
}

/// A request and its answer, as the page shows them.
fn told(request: &str, answer: &Answer) -> String {
    let message = answer.json()["status"]["message"].as_str().map(|text| format!(" {text}")).unwrap_or_default();
    format!("{request:<46} {}{message}", answer.status)
}

/// Books, and waits until the customer has been called and has talked to an agent.
fn books(service: &Service) -> [String; 2] {
    let mut client = api::client(service.external());
    let booked = api::create(&mut client, None, &api::booking("+14165550100", None)).unwrap();
    let id = api::id_of(&booked).unwrap_or_else(|| panic!("{}", booked.text()));
    let ended = poll::until("the end of a callback", SOON, || {
        let data = api::retrieve(&mut client, id).ok()?.json()["data"].clone();
        (data["callbackState"] == "COMPLETED").then_some(data)
    });
    let (create, retrieve) = (format!("POST {}", api::CREATE), format!("POST {}", api::RETRIEVE));
    let reason = ended["callbackReason"].as_str().unwrap();
    [format!("{create:<46} {}", booked.status), format!("{retrieve:<46} 200 COMPLETED {reason}")]
}

fn alarm(what: &str, name: &str, part: &str) -> String {
    format!(r#"{what} alarm="{name}" resource="{part}""#)
}

#[test]
fn the_page_shows_what_happens_while_gws_is_away() {
    let platform = Platform::start(CENTER, "acme.example");
    platform.with(|state| {
        state.life = TOKEN_LIFE;
        state.users = vec![(101, "ann", vec!["Supervisors"]), (102, "bob", vec!["Supervisors"])];
    });
    let service = Service::start(options(&platform));
    let mut page = Page::new(&service, &SERIES, about);
    let who = "GET /ges/v1/session (ann, who has logged in)";
    let gauges = ["GWS_AUTH_STATUS", "GWS_ENV_STATUS", "GWS_CONFIG_STATUS"];

    page.waits_until_all_is_up();
    page.waits_for(r#"INFO a client is open connector="gws""#);
    let (mut ann, mut bob) = (Browser::new(service.external()), Browser::new(service.external()));
    logs_in(&mut ann, "ann");
    let bob_comes_back = trip(&mut bob, "bob");
    let visit = ann.get("/ges/v1/session");
    page.waits_for("INFO a user has logged in");
    let booked = books(&service);
    page.scene("All is well", &[&[told(who, &visit)], &booked[..]].concat());

    // As of a process that is gone: every connection ends without a word.
    platform.with(|state| state.moods.insert("/", Says::Nothing));
    gauges.iter().for_each(|gauge| page.waits_for_value(gauge, "1"));
    let connect_anew = |browser: &mut Browser| browser.connect_anew(service.external());
    [&mut ann, &mut bob].into_iter().for_each(connect_anew);
    let refused = bob.get(&bob_comes_back);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "it says when to try again");
    let asked_in_vain = "WARN what users may do cannot be asked";
    let visit = poll::until(asked_in_vain, SOON, || {
        let visit = ann.get("/ges/v1/session");
        assert_eq!(visit.status, 200, "{}", visit.text());
        page.read().0.contains(asked_in_vain).then_some(visit)
    });
    page.waits_for("WARN GWS gave no token for the service's own client");
    page.waits_for(r#"WARN GWS could not be read; what is known stays in force what="contact centres""#);
    page.waits_for(r#"WARN a client does not work and is opened again connector="gws""#);
    page.waits_for("WARN a user could not log in");
    for ((name, what), part) in ALARMS.iter().zip(PARTS) {
        page.waits_for(&format!(r#"{} what="{what}""#, alarm("WARN more happens than is tolerated", name, part)));
    }
    let log_in = told("GET /ges/v1/session/callback?code=… (bob)", &refused);
    let circuits = counted(&page, "resting", "its circuit is open");
    let requests = [&circuits[..], &[told(who, &visit), log_in], &books(&service)].concat();
    page.scene("GWS is killed; bookings are answered and customers called as before", &requests);

    platform.with(|state| state.moods.clear());
    gauges.iter().for_each(|gauge| page.waits_for_value(gauge, "0"));
    page.waits_until_all_is_up();
    [&mut ann, &mut bob].into_iter().for_each(connect_anew);
    let back = logs_in(&mut bob, "bob");
    let visit = ann.get("/ges/v1/session");
    for line in [
        "INFO GWS gives tokens for the service's own client again",
        r#"INFO GWS can be read again what="contact centres""#,
        r#"INFO a client is open connector="gws""#,
        "INFO a user has logged in",
    ] {
        page.waits_for(line);
    }
    for ((name, _), part) in ALARMS.iter().zip(PARTS) {
        page.waits_for(&alarm("INFO an alarm is over", name, part));
    }
    let circuits = counted(&page, "ok", "its circuit is closed");
    let log_in = told("GET /ges/v1/session/callback?code=… (bob)", &back);
    let requests = [&circuits[..], &[told(who, &visit), log_in], &books(&service)].concat();
    page.scene("GWS is back", &requests);
    documents::assert_holds("transcripts/gws-away.md", "transcript", &page.text);
}

/// Waits until calls to each part end so, and says so.
fn counted(page: &Page<'_>, end: &str, meaning: &str) -> Vec<String> {
    let of_part = |part: &&str| {
        let series = format!(r#"ges_outward_calls_total{{end="{end}",to="{part}"}}"#);
        page.waits_for_more(&series);
        format!("GET /metrics                {series} rises: {meaning}")
    };
    PARTS.iter().map(of_part).collect()
}
