//! What an operator sees while something that the service uses is away, written down in the handbook by these tests.

mod gws;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::documents;
use crate::harness::http::Client;
use crate::harness::postgres::{self, Server};
use crate::harness::redis::Redis;
use crate::harness::service::Service;
use crate::harness::{api, nodes, poll};

/// Probes and connectors look every 15 s, and twice before they believe it; circuits rest for up to a minute.
const SOON: Duration = Duration::from_secs(120);
/// Fields of a line that say what it is about; the others differ from run to run.
const FIELDS: [&str; 4] = ["connector", "alarm", "resource", "what"];
/// Series that count: by how much is chance.
const COUNTERS: [&str; 1] = ["GWS_SERVER_ERROR"];

/// A page as it grows, scene by scene. Each scene shows what is there once everything has been waited for that belongs to
/// it, so that no pause and no order of what happens side by side stands in it.
struct Page<'a> {
    service: &'a Service,
    /// What is shown of the metrics.
    series: &'a [&'a str],
    /// Whether a line of the log by this part of the program, with these fields, belongs to the page.
    about: fn(&str, &str) -> bool,
    text: String,
    /// So many bytes of the log have been told.
    told: usize,
    /// Lines of the last scene: what goes on for a moment into the next one is not told again.
    before: BTreeSet<String>,
}

/// Lines of the supervised clients and of alarms.
fn is_of_the_tree(target: &str) -> bool {
    ["actors::", "ges::telemetry::alarms"].iter().any(|part| target.starts_with(part))
}

impl<'a> Page<'a> {
    fn new(service: &'a Service, series: &'a [&'a str], about: fn(&str, &str) -> bool) -> Self {
        Self { service, series, about, text: String::new(), told: 0, before: BTreeSet::new() }
    }

    /// The lines since the last scene, each once, in the order of the alphabet: who is first is chance. And up to where
    /// they were read; the last line may be half written.
    fn read(&self) -> (BTreeSet<String>, usize) {
        let log = self.service.log();
        let whole = log.rfind('\n').map_or(0, |end| end + 1);
        let lines = log[self.told..whole].lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let fields: String =
                FIELDS.iter().filter_map(|name| Some(format!(" {name}={}", line.get(name)?))).collect();
            let belongs = (self.about)(line["target"].as_str().unwrap(), &fields);
            belongs.then(|| format!("{} {}{fields}", line["level"].as_str().unwrap(), line["msg"].as_str().unwrap()))
        });
        (lines.collect(), whole)
    }

    /// Waits until the log has this line, as the page shows it.
    fn waits_for(&self, line: &str) {
        poll::until(line, SOON, || self.read().0.contains(line).then_some(()));
    }

    /// Waits until a series has this value.
    fn waits_for_value(&self, series: &str, value: &str) {
        poll::until(series, SOON, || (self.value(series)? == value).then_some(()));
    }

    fn waits_until_all_is_up(&self) {
        poll::until("everything is up", SOON, || {
            let detail = Client::new(self.service.internal()).get("/ges/v1/health/detail").ok()?.json();
            (detail["status"] == "UP").then_some(())
        });
    }

    fn metrics(&self) -> String {
        Client::new(self.service.internal()).get("/metrics").map(|answer| answer.text()).unwrap_or_default()
    }

    fn value(&self, series: &str) -> Option<String> {
        self.metrics().lines().find_map(|line| Some(line.strip_prefix(series)?.strip_prefix(' ')?.to_owned()))
    }

    /// Waits until a counter counts on from here.
    fn waits_for_more(&self, series: &str) {
        let before = self.value(series);
        poll::until(series, SOON, || {
            let now = self.value(series);
            (now.is_some() && now != before).then_some(())
        });
    }

    /// One block of the page: health, metrics, `requests` and what came of them, the log.
    fn scene(&mut self, title: &str, requests: &[String]) {
        let detail = Client::new(self.service.internal()).get("/ges/v1/health/detail").unwrap().json();
        let _ = writeln!(self.text, "\n**{title}**\n\n```text");
        let _ = writeln!(self.text, "GET /ges/v1/health/detail   status {}", detail["status"].as_str().unwrap());
        for dependency in detail["dependencies"].as_array().unwrap() {
            let (name, status) = (dependency["name"].as_str().unwrap(), dependency["status"].as_str().unwrap());
            let _ = writeln!(self.text, "                            {name} {status}");
        }
        let metrics = self.metrics();
        for name in self.series {
            let found: Vec<_> = metrics.lines().filter(|line| line.starts_with(name)).collect();
            let shown = match (found.is_empty(), COUNTERS.contains(name)) {
                (true, _) => format!("{name} (no series: it never happened)"),
                (false, true) => format!("{name} above 0"),
                (false, false) => found.join("\n"),
            };
            let _ = writeln!(self.text, "GET /metrics                {shown}");
        }
        let (lines, until) = self.read();
        for line in requests.iter().chain(lines.difference(&self.before)) {
            let _ = writeln!(self.text, "{line}");
        }
        self.text.push_str("```\n");
        (self.before, self.told) = (lines, until);
    }
}

#[test]
fn the_page_shows_what_happens_while_redis_is_away() {
    let database = Server::start(&[]);
    postgres::query(&database.address("postgres"), "CREATE DATABASE ges");
    let address = database.address("ges");
    nodes::settle(&address);
    let (mut redis, voice) = (Redis::start(), Redis::start());
    let options = nodes::options(&address, 0)
        .with("GES_REDIS_HOST", "127.0.0.1")
        .with("GES_REDIS_PORT", redis.port())
        .with("GES_VMCS_REDIS_HOST", "127.0.0.1")
        .with("GES_VMCS_REDIS_PORT", voice.port());
    let service = Service::start(options);
    let series = ["REDIS_CONNECTION", "GES_HEALTH", "DB_STATUS", "ges_supervisor_restarts_total"];
    // Another dependency that was slow once on a busy machine is not what the page is about.
    let about =
        |target: &str, fields: &str| is_of_the_tree(target) && fields.contains("\"redis\"") && !fields.contains("ors-");
    let mut page = Page::new(&service, &series, about);
    let open = r#"INFO a client is open connector="redis""#;

    page.waits_until_all_is_up();
    page.waits_for(open);
    page.scene("All is well", &[]);

    redis.kill9();
    page.waits_for_value("REDIS_CONNECTION", "1");
    page.waits_for(r#"WARN a client does not work and is opened again connector="redis""#);
    page.waits_for(
        r#"WARN more happens than is tolerated alarm="REDIS_CONNECTION" resource="redis" what="the service's own Redis does not answer""#,
    );
    let booked = api::create(&mut api::client(service.external()), None, &api::booking("+14165550100", None)).unwrap();
    assert_eq!(booked.status, 200, "{}", booked.text());
    page.scene("Redis is killed; bookings are answered as before", &[]);

    redis.restart();
    page.waits_for_value("REDIS_CONNECTION", "0");
    page.waits_for(open);
    page.waits_for(r#"INFO an alarm is over alarm="REDIS_CONNECTION" resource="redis""#);
    page.scene("Redis is back, as empty as it comes", &[]);
    documents::assert_holds("transcripts/redis-away.md", "transcript", &page.text);
}
