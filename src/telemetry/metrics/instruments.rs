//! Names, types, labels and meanings: the list that dashboards, alert rules and `docs/metrics.md` rely on.

use std::fmt::Write as _;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// What a metric is in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Type {
    /// The word behind `# TYPE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// From when on a metric is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// From the start.
    Always,
    /// At 0 for every known tenant.
    PerTenant,
    /// With its first event.
    FirstEvent,
    /// Only with `GES_NODE_METRICS`.
    StandIn,
}

impl Presence {
    const fn words(self) -> &'static str {
        match self {
            Self::Always => "from the start",
            Self::PerTenant => "at 0 per known tenant",
            Self::FirstEvent => "with the first event",
            Self::StandIn => "with `GES_NODE_METRICS`",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Exactly as exported.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// From when on it is there.
    pub presence: Presence,
    /// What it means.
    pub help: &'static str,
}

/// Makes the struct of instruments and the list from one table. The doc comment is the meaning.
macro_rules! instruments {
    ( $( $(#[doc = $doc:literal])+ $field:ident: $type:ident $name:literal [$($label:literal),*] $presence:ident $(, $bounds:expr)?; )+ ) => {
        /// Every instrument there is.
        pub(super) struct Instruments {
            $( $(#[doc = $doc])+ pub(super) $field: instruments!(@type $type), )+
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                Self {
                    $( $field: instruments!(@make $type, meter, $name, concat!($($doc),+).trim() $(, $bounds)?), )+
                }
            }
        }

        /// Every metric there is, in the order of the documentation.
        pub const METRICS: &[Metric] = &[
            $( Metric {
                name: $name,
                kind: instruments!(@kind $type),
                labels: &[$($label),*],
                presence: Presence::$presence,
                help: concat!($($doc),+),
            }, )+
        ];
    };
    (@type count) => { Counter<u64> };
    (@type total) => { Counter<f64> };
    (@type gauge) => { Gauge<f64> };
    (@type histogram) => { Histogram<f64> };
    (@kind count) => { Type::Counter };
    (@kind total) => { Type::Counter };
    (@kind gauge) => { Type::Gauge };
    (@kind histogram) => { Type::Histogram };
    (@make count, $meter:ident, $name:literal, $help:expr) => { $meter.u64_counter($name).with_description($help).build() };
    (@make total, $meter:ident, $name:literal, $help:expr) => { $meter.f64_counter($name).with_description($help).build() };
    (@make gauge, $meter:ident, $name:literal, $help:expr) => { $meter.f64_gauge($name).with_description($help).build() };
    (@make histogram, $meter:ident, $name:literal, $help:expr, $bounds:expr) => {
        $meter.f64_histogram($name).with_description($help).with_boundaries($bounds.to_vec()).build()
    };
}

/// Seconds of an answer: from a retrieve out of the cache to the longest deadline.
const ANSWER_SECONDS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Seconds in a handler: it waits for nothing but its own save.
const HANDLE_SECONDS: [f64; 10] = [0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.5, 5.0];
/// Seconds of a commit: a flush of the disk, or many.
const COMMIT_SECONDS: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// Seconds of lateness: 250 ms is the promise, 60 s is an alert.
const LATENESS_SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 600.0, 7200.0];
/// Seconds of a call to the outside: from a neighbour's answer to the longest deadline.
const OUTWARD_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];
/// Seconds by which a task is woken late: a millisecond is none, 5 ms are an alert.
const LAG_SECONDS: [f64; 9] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];
/// Seconds until a report of routing is kept: a commit, or a wait for one.
const SIGNAL_SECONDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 8.0];
/// Things that wait or go together.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 8192.0];

instruments! {
    /// Callbacks booked.
    callbacks_created: count "ges_callbacks_created" ["tenant"] PerTenant;
    /// Call-in requests opened.
    callin_created: count "ges_callin_created" ["tenant"] PerTenant;
    /// Push notifications that have come to their end, by the product's reporting names: taken by the channel (`PUSH_DELIVERY_CONFIRMED`), perhaps taken (`PUSH_DELIVERY_NOT_CONFIRMED`), not taken (`PUSH_SEND_ERROR`).
    push_notifications_sent: count "ges_push_notifications_sent" ["tenant", "result"] PerTenant;
    /// Requests answered. The path is the template of the route; the tenant is `none` where no key was recognised.
    http_requests: count "ges_http_requests_total" ["tenant", "path"] FirstEvent;
    /// Requests answered with status 400 or above.
    http_failed_requests: count "ges_http_failed_requests_total" ["tenant", "path", "httpCode"] FirstEvent;
    /// Seconds from the head of a request to its answer.
    http_request_duration: histogram "ges_http_request_duration_seconds" ["method", "route", "code"] FirstEvent, ANSWER_SECONDS;
    /// Sizes of the work lists: scheduled callbacks claimed by this node (`activeMonitor`) and in all (`totalMonitor`), active sessions of this node (`activePing`) and active callbacks in all (`totalPing`).
    monitor_size: gauge "ges_monitor_size" ["type"] Always;
    /// Seconds of processor time used by this process.
    process_cpu_seconds: total "ges_process_cpu_seconds_total" [] Always;
    /// Bytes of memory that this process occupies.
    process_resident_memory: gauge "ges_process_resident_memory_bytes" [] Always;
    /// Bytes of memory that this process may use: the limit of its control group, or else the machine's memory.
    process_memory_limit: gauge "ges_process_memory_limit_bytes" [] Always;
    /// When this process started, in seconds since the epoch.
    process_start_time: gauge "ges_process_start_time_seconds" [] Always;
    /// Stand-in: seconds by which the runtime last woke a task late, as `ges_runtime_lag_seconds` has it.
    nodejs_eventloop_lag: gauge "ges_nodejs_eventloop_lag_seconds" [] StandIn;
    /// Stand-in: bytes of memory that this process occupies.
    nodejs_heap_used: gauge "ges_nodejs_heap_space_size_used_bytes" [] StandIn;
    /// Stand-in: bytes of memory that this process may use.
    nodejs_heap_available: gauge "ges_nodejs_heap_space_size_available_bytes" [] StandIn;

    /// 1 while the database, routing, its Redis or a part of GWS is down; 0 otherwise.
    health: gauge "GES_HEALTH" [] Always;
    /// 1 while the database is down; 0 otherwise.
    db_status: gauge "DB_STATUS" [] Always;
    /// 1 while the service's own Redis is down; 0 otherwise, also when there is none.
    redis_connection: gauge "REDIS_CONNECTION" [] Always;
    /// 1 while the Redis of routing is down; 0 otherwise, also when there is none.
    ors_redis_status: gauge "ORS_REDIS_STATUS" [] Always;
    /// 1 while the authentication service of GWS is down; 0 otherwise, also when there is none.
    gws_auth_status: gauge "GWS_AUTH_STATUS" [] Always;
    /// 1 while the environment service of GWS is down; 0 otherwise, also when there is none.
    gws_env_status: gauge "GWS_ENV_STATUS" [] Always;
    /// 1 while the configuration service of GWS is down; 0 otherwise, also when there is none.
    gws_config_status: gauge "GWS_CONFIG_STATUS" [] Always;
    /// 1 while no URS can be reached; 0 otherwise, also when there is none.
    all_urs_down: gauge "ALL_URS_DOWN" [] Always;
    /// Calls to GWS that were answered with 5xx or not at all, at addresses of the installation.
    gws_server_error: count "GWS_SERVER_ERROR" [] FirstEvent;
    /// Times that GWS gave no token for the service's own client (`AUTHENTICATION-CLIENT-ID`).
    gws_incorrect_client_credentials: count "GWS_INCORRECT_CLIENT_CREDENTIALS" [] FirstEvent;
    /// Times that the virtual queues of a contact centre could not be read from the configuration service.
    rbac_create_vq_proxy_error: count "RBAC_CREATE_VQ_PROXY_ERROR" [] FirstEvent;
    /// Log lines that could not be written.
    logging_failure: count "LOGGING_FAILURE" [] FirstEvent;
    /// Panics caught in an actor or a handler.
    uncaught_exception: count "UNCAUGHT_EXCEPTION" [] FirstEvent;
    /// Requests whose body was longer than allowed.
    invalid_content_length: count "INVALID_CONTENT_LENGTH" [] FirstEvent;
    /// Calls to services outside for which the name of the host could not be looked up.
    dns_failure: count "DNS_FAILURE" [] FirstEvent;
    /// Scheduled callbacks that started more than 60 s late.
    monitor_lagging_behind: count "MONITOR_LAGGING_BEHIND" [] FirstEvent;
    /// Bookings refused because their queue takes no more for a while: callbacks for now of one value on one day, callbacks in a window, active callbacks.
    cb_ttl_limit_reached: count "CB_TTL_LIMIT_REACHED" ["tenant"] FirstEvent;
    /// Bookings whose number waits as often as their queue allows, whether they were refused, answered with the callback that waits, or booked in its place.
    cb_enqueue_limit_reached: count "CB_ENQUEUE_LIMIT_REACHED" ["tenant"] FirstEvent;
    /// Callbacks that routing refused for good.
    cb_submit_failed: count "CB_SUBMIT_FAILED" [] FirstEvent;
    /// Failed requests with status 400 in 2 minutes above which an alert is raised.
    http_400_tolerance: gauge "http_400_tolerance" [] Always;
    /// Failed requests with status 401 in 2 minutes above which an alert is raised.
    http_401_tolerance: gauge "http_401_tolerance" [] Always;
    /// Failed requests with status 404 in 2 minutes above which an alert is raised.
    http_404_tolerance: gauge "http_404_tolerance" [] Always;
    /// Failed requests with status 500 in 2 minutes above which an alert is raised.
    http_500_tolerance: gauge "http_500_tolerance" [] Always;
    /// Errors of the VQ proxy in 10 minutes above which an alert is raised.
    rbac_create_vq_proxy_error_tolerance: gauge "rbac_create_vq_proxy_error_tolerance" [] Always;
    /// Too long bodies in 2 minutes above which an alert is raised.
    invalid_content_length_tolerance: gauge "invalid_content_length_tolerance" [] Always;

    /// Always 1; says which version runs under which name.
    build_info: gauge "ges_build_info" ["version", "node"] Always;
    /// 1 while a dependency does not answer its probe, 0 while it does.
    dependency_down: gauge "ges_dependency_down" ["dependency"] FirstEvent;
    /// Steps of callbacks from state to state.
    callback_moves: count "ges_callback_transitions_total" ["tenant", "from", "to"] FirstEvent;
    /// Versions of callbacks saved, by what caused them.
    callback_saves: count "ges_callback_saves_total" ["cause"] FirstEvent;
    /// Callbacks set aside for an operator because their session failed again and again.
    callbacks_parked: count "ges_callbacks_parked_total" ["tenant"] PerTenant;
    /// Bookings refused because no place was left at that time.
    slot_full: count "ges_slot_full_total" ["tenant"] PerTenant;
    /// Bookings refused by a throttle, by rule: `day`, `window` or `depth`.
    bookings_throttled: count "ges_bookings_throttled_total" ["tenant", "rule"] FirstEvent;
    /// Places not held because as many are held as may be, by bound: `queue` or `number`.
    holds_refused: count "ges_holds_refused_total" ["tenant", "bound"] FirstEvent;
    /// Requests refused because their tenant makes more than its rate allows.
    requests_over_rate: count "ges_requests_over_rate_total" ["tenant"] PerTenant;
    /// Requests refused because their tenant has its share of those that are served at once, or of the memory for long bodies.
    requests_over_share: count "ges_requests_over_share_total" ["tenant"] PerTenant;
    /// Incoming calls that were recognised as those of a call-in request.
    callin_matched: count "ges_callin_matched_total" ["tenant"] PerTenant;
    /// Incoming calls that were looked up and belonged to no open call-in request.
    callin_missed: count "ges_callin_missed_total" ["tenant"] PerTenant;
    /// Call-in requests refused because no access number and code of their group was free.
    callin_nothing_free: count "ges_callin_nothing_free_total" ["tenant"] PerTenant;
    /// Bookings refused because of their number, by rule: not-a-number, impossible, country, country-unknown, pattern,
    /// premium.
    numbers_refused: count "ges_numbers_refused_total" ["rule", "tenant"] FirstEvent;
    /// Seconds that scheduled callbacks started after their start instant.
    start_lateness: histogram "ges_callback_start_lateness_seconds" [] FirstEvent, LATENESS_SECONDS;
    /// Seconds from the first statement of a batch of writes to the answer to its commit.
    commit: histogram "ges_commit_seconds" [] FirstEvent, COMMIT_SECONDS;
    /// Commands in one batch of writes.
    commit_commands: histogram "ges_commit_commands" [] FirstEvent, COUNTS;
    /// Batches that the write of a tenant that waited longest had waited for when its own was formed, the one in flight included. One value for each tenant in each batch; only who brings more than a batch holds waits for more than 1.
    commit_batches_waited: histogram "ges_commit_batches_waited" [] FirstEvent, COUNTS;
    /// Reads that were taken while one waited whose tenant had no other waiting when it was made: at most one of each other tenant, and one of the service's own. Reads that need no queue are not in it.
    read_turns_waited: histogram "ges_read_turns_waited" [] FirstEvent, COUNTS;
    /// Requests refused before any work because the service was full.
    shed_requests: count "ges_requests_shed_total" [] Always;
    /// Callbacks removed after their time in the records.
    purged_callbacks: count "ges_callbacks_purged_total" [] Always;
    /// Captcha tokens of bookings that a provider was asked about: `passed`, `refused`, `unavailable` (no verdict, and the booking was refused), `unverified` (no verdict, and the booking was taken all the same).
    captcha_checks: count "ges_captcha_checks_total" ["tenant", "end"] FirstEvent;
    /// Calls to services outside, by how they ended: `ok` (2xx), `refused` (other statuses below 500), `failed` (5xx), `not-done` (no connection), `perhaps` (no whole answer), `resting` (not tried, because it failed too often lately).
    outward_calls: count "ges_outward_calls_total" ["to", "end"] FirstEvent;
    /// Seconds that calls to services outside took, with their repetitions.
    outward_call: histogram "ges_outward_call_seconds" ["to"] FirstEvent, OUTWARD_SECONDS;
    /// Tries of messages to webhook endpoints: `delivered`, `failed` (tried again later) or `given-up`.
    webhook_tries: count "ges_webhook_tries_total" ["tenant", "result"] FirstEvent;
    /// Webhook endpoints switched off because they failed for five days, or said that they are gone.
    webhook_endpoints_disabled: count "ges_webhook_endpoints_disabled_total" ["tenant"] PerTenant;
    /// Messages (`webhook`) and notifications (`push`) that are due, in the whole installation; counted up to 100,000.
    notices_due: gauge "ges_notices_due" ["channel"] Always;
    /// Seconds for which the oldest of them has been due; 0 if none is.
    notices_oldest: gauge "ges_notices_oldest_seconds" ["channel"] Always;
    /// Messages between nodes through the service's own Redis: `sent`, `received` from another node, `ignored` (of another version, too long, or not to be read), and `dropped`, which counts the hints in them: nobody could be told, or there were too many.
    bus_messages: count "ges_bus_messages_total" ["end"] Always;
    /// Actors that a supervisor started again, by why the one before ended.
    supervisor_restarts: count "ges_supervisor_restarts_total" ["supervisor", "child", "reason"] FirstEvent;
    /// Actors that run now.
    actors: gauge "ges_actors" ["kind"] Always;
    /// Messages that were waiting when an actor took one, that one included.
    mailbox_depth: histogram "ges_mailbox_depth" ["kind"] FirstEvent, COUNTS;
    /// Seconds that an actor spent with one message.
    actor_handle: histogram "ges_actor_handle_seconds" ["kind"] FirstEvent, HANDLE_SECONDS;
    /// Promises of callbacks by what became of them, once each: `kept` if routing took the callback on within 60 s of its desired time (of the opening, if it was put off until then), `late` if it did so later, `missed` if the callback ended without. Not counted: callbacks that were cancelled before, and those that are still set aside.
    promises: count "ges_promises_total" ["tenant", "queue", "result"] FirstEvent;
    /// Seconds from the arrival of a report of routing to its answer, which waits until what it says is kept. Live values (`position`, `alive`) are kept in memory only and not in it.
    signal_lag: histogram "ges_signal_lag_seconds" ["event"] FirstEvent, SIGNAL_SECONDS;
    /// Callbacks that this node took over: from nodes that are gone, from its own life before, or because nobody had worked on them in time.
    taken_over: count "ges_callbacks_taken_over_total" [] Always;
    /// Seconds for which the oldest callback that the last sweep of this node found had been due; 0 if it found none.
    work_oldest: gauge "ges_work_oldest_seconds" [] Always;
    /// Nodes that live, as this one sees it; 0 before its first heartbeat.
    nodes: gauge "ges_nodes" [] Always;
    /// Seconds by which the clock on the wall of this machine is ahead of the database's time; 0 in the embedded mode, whose time it is.
    clock_skew: gauge "ges_clock_skew_seconds" [] Always;
    /// Seconds by which the runtime wakes a task late that asks once a second. The timer rounds up to milliseconds, so one of them is no lag.
    runtime_lag: histogram "ges_runtime_lag_seconds" [] FirstEvent, LAG_SECONDS;
}

/// The list of metrics, as it stands in `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from("| name | type | labels | exported | meaning |\n| --- | --- | --- | --- | --- |\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let (kind, presence, help) = (metric.kind.name(), metric.presence.words(), metric.help.trim());
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {presence} | {help} |", metric.name);
    }
    text
}
