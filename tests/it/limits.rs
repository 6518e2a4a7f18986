//! Limits of tenants and queues in the whole program, and how little a tenant feels of another's flood.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use domain::ids::QueueName;
use domain::limits::TenantLimits;
use domain::queue::{DuplicatePolicy, QueueSettings, ThrottleWindow};
use domain::tenant::TenantDocument;

use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, tenants};

/// Requests of the quiet tenant in one measurement, one after the other.
const QUIET_REQUESTS: usize = 100;

fn document(tenant: &str, queue: QueueSettings, limits: TenantLimits) -> TenantDocument {
    let queues = [(QueueName::new(api::QUEUE).unwrap(), queue)];
    TenantDocument { limits, ..TenantDocument::with_queues(tenant, queues) }
}

fn client(address: SocketAddr, tenant: &str) -> Client {
    Client::new(address).with_header("X-API-Key", &tenants::key_of(tenant))
}

fn booking(number: u64) -> String {
    api::booking(&format!("+1416555{:04}", 1_000 + number % 9_000), None)
}

/// What one tenant was answered.
#[derive(Default)]
struct Seen {
    served: u64,
    /// 429 with everything that has to come along.
    over_rate: u64,
    /// 503: no share of what is served at once.
    over_share: u64,
    waits: Vec<Duration>,
}

impl Seen {
    fn hear(&mut self, answer: &Answer, took: Duration) {
        match (answer.status, answer.code()) {
            (200, _) => self.served += 1,
            (429, Some(7041)) => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert!(
                    answer.header("ratelimit").unwrap().starts_with("\"tenant\";r=0;t="),
                    "{:?}",
                    answer.header("ratelimit")
                );
                self.over_rate += 1;
            }
            (503, Some(500)) => self.over_share += 1,
            _ => panic!("{} {}", answer.status, answer.text()),
        }
        self.waits.push(took);
    }

    fn all(&self) -> u64 {
        self.served + self.over_rate + self.over_share
    }

    fn add(&mut self, other: Self) {
        self.served += other.served;
        self.over_rate += other.over_rate;
        self.over_share += other.over_share;
        self.waits.extend(other.waits);
    }

    fn p99(&self) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }
}

/// Something to ask for, a little different each time.
type Ask = fn(&mut Client, u64) -> Answer;

/// Books with a new number.
fn book(client: &mut Client, number: u64) -> Answer {
    api::create(client, None, &booking(number)).unwrap()
}

/// Asks for the free times of some days, which the store has to count.
fn look(client: &mut Client, number: u64) -> Answer {
    let (days, queue) = (1 + number % 14, api::QUEUE);
    let path = format!("/engagement/v3/callbacks/availability/{queue}?numberOfDays={days}&maxTimeSlots=5");
    client.get(&path).unwrap()
}

/// Asks until told to stop, or so often.
fn keep_asking(ask: Ask, address: SocketAddr, tenant: &str, from: u64, most: usize, stop: &AtomicBool) -> Seen {
    let mut client = client(address, tenant);
    let mut seen = Seen::default();
    for number in (from..).take(most) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let asked = Instant::now();
        let answer = ask(&mut client, number);
        seen.hear(&answer, asked.elapsed());
    }
    seen
}

/// The quiet tenant asks one thing after the other while the noisy one floods over so many connections.
fn flood(service: &Service, ask: Ask, connections: u64) -> (Seen, Seen, Duration) {
    let address = service.external();
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let flood_one = |number: u64| {
        let stop = stop.clone();
        thread::spawn(move || keep_asking(ask, address, "noisy", number * 1_000_000, usize::MAX, &stop))
    };
    let floods: Vec<_> = (0..connections).map(flood_one).collect();
    let quiet = keep_asking(ask, address, "quiet", 0, QUIET_REQUESTS, &AtomicBool::new(false));
    stop.store(true, Ordering::Relaxed);
    let mut noisy = Seen::default();
    floods.into_iter().for_each(|flood| noisy.add(flood.join().unwrap()));
    (quiet, noisy, began.elapsed())
}

/// The metrics page. Its values belong together: the service goes on working, and another page has others.
struct Page(String);

impl Page {
    fn of(service: &Service) -> Self {
        Self(Client::new(service.internal()).get("/metrics").unwrap().text())
    }

    /// A value; 0 if it is not there.
    fn value(&self, series: &str) -> f64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }
}

/// No write of anybody waited for more than the batch in flight, and the quiet tenant was refused nothing.
fn assert_undisturbed(service: &Service, quiet: &Seen) {
    assert_eq!(quiet.served, QUIET_REQUESTS as u64, "every request of the quiet tenant was served at once");
    let page = Page::of(service);
    let waited = page.value("ges_commit_batches_waited_count");
    assert!(waited > 0.0);
    assert_eq!(page.value("ges_commit_batches_waited_bucket{le=\"1\"}"), waited, "one batch at most");
    for metric_of_quiet in ["ges_requests_over_rate_total", "ges_requests_over_share_total"] {
        assert_eq!(page.value(&format!("{metric_of_quiet}{{tenant=\"quiet\"}}")), 0.0);
    }
    assert_eq!(page.value("ges_requests_shed_total"), 0.0);
}

#[test]
fn a_tenant_at_ten_times_its_rate_is_not_felt_by_another() {
    const RATE: u32 = 20;
    let limits = TenantLimits { requests_per_second: RATE, burst: None };
    let folder = tenants::folder(&[
        document("noisy", QueueSettings::unlimited(), limits),
        document("quiet", QueueSettings::unlimited(), TenantLimits::default()),
    ]);
    let service = Service::start_in(folder, Options::fast());
    let (quiet, noisy, took) = flood(&service, book, 16);
    let allowed = f64::from(RATE) * took.as_secs_f64();
    println!(
        "noisy: {} requests in {took:?}, {} booked, p99 {:?}; quiet: {} booked, p99 {:?}",
        noisy.all(),
        noisy.served,
        noisy.p99(),
        quiet.served,
        quiet.p99()
    );
    assert!(noisy.all() as f64 >= 10.0 * allowed, "only {} requests were sent: that is no flood", noisy.all());
    assert!(noisy.served as f64 <= allowed + f64::from(RATE) + 1.0, "{} of {allowed}", noisy.served);
    assert!(noisy.served as f64 >= allowed / 2.0, "{} of {allowed}", noisy.served);
    assert_eq!(noisy.over_share, 0);
    assert_eq!(Page::of(&service).value("ges_requests_over_rate_total{tenant=\"noisy\"}"), noisy.over_rate as f64);
    assert_undisturbed(&service, &quiet);
}

#[test]
fn a_tenant_without_a_rate_gets_no_more_than_its_share() {
    let folder = tenants::folder(
        &["noisy", "quiet"].map(|name| document(name, QueueSettings::unlimited(), TenantLimits::default())),
    );
    let options = Options::fast().with("GES_MAX_REQUESTS_IN_FLIGHT", 160);
    let service = Service::start_in(folder, options);
    let (quiet, noisy, took) = flood(&service, book, 180);
    println!(
        "noisy: {} booked and {} refused in {took:?}, p99 {:?}; quiet: {} booked, p99 {:?}",
        noisy.served,
        noisy.over_share,
        noisy.p99(),
        quiet.served,
        quiet.p99()
    );
    assert!(noisy.over_share > 0, "it never came to its share: that is no flood");
    assert_eq!(Page::of(&service).value("ges_requests_over_share_total{tenant=\"noisy\"}"), noisy.over_share as f64);
    assert_undisturbed(&service, &quiet);
}

#[test]
fn questions_of_one_tenant_do_not_keep_another_waiting() {
    let folder = tenants::folder(
        &["noisy", "quiet"].map(|name| document(name, QueueSettings::unlimited(), TenantLimits::default())),
    );
    let service = Service::start_in(folder, Options::fast());
    let (quiet, noisy, took) = flood(&service, look, 32);
    let page = Page::of(&service);
    let turns = |most: &str| page.value(&format!("ges_read_turns_waited_bucket{{le=\"{most}\"}}"));
    let all = page.value("ges_read_turns_waited_count");
    println!(
        "noisy: {} answers in {took:?}, p99 {:?}; quiet: {} answers, p99 {:?}; of {all} reads that came first in their \
         line, {} waited for one other at most, and {} for two",
        noisy.all(),
        noisy.p99(),
        quiet.served,
        quiet.p99(),
        turns("1"),
        turns("2") - turns("1"),
    );
    assert_eq!(quiet.served, QUIET_REQUESTS as u64, "every question of the quiet tenant was answered");
    assert!(noisy.all() > 3 * quiet.all(), "only {} questions: that is no flood", noisy.all());
    assert!(all >= QUIET_REQUESTS as f64, "{all} reads went through the line");
    assert_eq!(turns("2"), all, "one of the other tenant at most, and one of the service's own");
}

#[test]
fn rules_of_a_queue_refuse_and_are_counted() {
    let queue = QueueSettings {
        throttle_windows: vec![ThrottleWindow { limit: 3, seconds: 3_600 }],
        throttle_daily_limit: 2,
        throttle_parameters: vec!["X-Device".to_owned()],
        duplicate_limit: 1,
        ..QueueSettings::default()
    };
    let replacing = QueueSettings { duplicate_policy: DuplicatePolicy::Replace, ..queue.clone() };
    let folder = tenants::folder(&[
        document("strict", queue, TenantLimits::default()),
        document("kind", replacing, TenantLimits::default()),
    ]);
    let mut service = Service::start_in(folder, Options::default());
    let ask = |service: &Service, tenant: &str, device: &str, number: u64| {
        client(service.external(), tenant).post_json(api::CREATE, &[("X-Device", device)], &booking(number)).unwrap()
    };
    let refused = |answer: &Answer| {
        assert_eq!((answer.status, answer.code()), (429, Some(7041)), "{}", answer.text());
        answer.json()["status"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(&service, "strict", "a", 1).status, 200);
    assert!(refused(&ask(&service, "strict", "b", 1)).contains("limit of 1 waiting callbacks"));
    assert_eq!(ask(&service, "strict", "a", 2).status, 200);
    // What was counted is on disk.
    service.kill9();
    service.restart();
    let daily = ask(&service, "strict", "a", 3);
    assert!(refused(&daily).contains("limit of 2 immediate callbacks per day for the same X-Device"));
    assert!(daily.header("retry-after").is_some());
    assert_eq!(ask(&service, "strict", "c", 4).status, 200);
    let window = ask(&service, "strict", "d", 5);
    assert!(refused(&window).contains("limit of 3 callbacks in 3600 seconds"));
    let seconds: u64 = window.header("retry-after").unwrap().parse().unwrap();
    assert!((3_000..=3_660).contains(&seconds), "{seconds}");

    let first = api::id_of(&ask(&service, "kind", "a", 1)).unwrap();
    let second = ask(&service, "kind", "b", 1);
    assert_eq!((second.status, second.header("duplicate-status")), (200, Some("replaced")));
    let shown = api::retrieve(&mut client(service.external(), "kind"), first).unwrap().json();
    assert_eq!(
        (shown["data"]["callbackState"].as_str(), shown["data"]["callbackReason"].as_str()),
        (Some("COMPLETED"), Some("CANCELLED"))
    );
    // Counters begin with the process: those of the restart.
    assert_eq!(Page::of(&service).value("CB_TTL_LIMIT_REACHED{tenant=\"strict\"}"), 2.0);
    assert_eq!(Page::of(&service).value("CB_ENQUEUE_LIMIT_REACHED{tenant=\"kind\"}"), 1.0);
    assert_eq!(Page::of(&service).value("ges_bookings_throttled_total{rule=\"window\",tenant=\"strict\"}"), 1.0);
}
