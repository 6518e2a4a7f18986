//! Every instrument of the service, and the only place that makes any: facts come in as [`Event`]s, numbers go
//! out as Prometheus text.
//!
//! Names are those that the product publishes, so that dashboards and alert rules keep working; its alert
//! metrics (upper case) appear with their first event, gauges are always there and fall to zero. What a name
//! means stands once, in `instruments.rs`, and is the text of `docs/metrics.md` and of `# HELP` alike.

mod instruments;
mod process;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::notices::Channel;
use domain::ports::{Observer, Owed};
use domain::push::PushResult;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{Key, KeyValue, StringValue};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use parking::Shelf;
use prometheus::{Encoder as _, Registry, TextEncoder};
use thiserror::Error;

use instruments::Instruments;
pub use instruments::{METRICS, Metric, Presence, Type, markdown};

/// A start that is later than this is counted as `MONITOR_LAGGING_BEHIND`.
const LAGGING: Duration = Duration::from_secs(60);

/// Series of one instrument; what goes beyond is summed up in one series that says so. Tenants times routes.
const MAX_SERIES: usize = 20_000;

/// The tenant of requests whose key was not recognised.
const NO_TENANT: &str = "none";

/// Values of the product's tolerance gauges, which its alert rules compare with increases over 2 minutes
/// (the proxy's: 10). Only the proxy's is published; the others are ours.
const TOLERANCES: Tolerances =
    Tolerances { http_400: 100.0, http_401: 100.0, http_404: 100.0, http_500: 10.0, proxy: 5.0, content_length: 10.0 };

struct Tolerances {
    http_400: f64,
    http_401: f64,
    http_404: f64,
    http_500: f64,
    proxy: f64,
    content_length: f64,
}

/// Why metrics cannot be kept.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The exporter could not be set up.
    #[error("cannot set up the metrics exporter")]
    Exporter(#[source] OTelSdkError),
    /// The registry could not be written as text.
    #[error("cannot write the metrics as text")]
    Encode(#[source] prometheus::Error),
}

/// What the metrics are about.
#[derive(Debug, Clone, Default)]
pub struct MetricsSettings {
    /// Name of the node, in `ges_build_info`.
    pub node: String,
    /// Version of the program, in `ges_build_info`.
    pub version: String,
    /// Whether to export stand-ins for the metrics of Node.js.
    pub node_metrics: bool,
    /// Log lines that could not be written, counted by the log writer.
    pub log_failures: Arc<AtomicU64>,
}

/// The metrics of this process.
pub struct Metrics {
    registry: Registry,
    /// Instruments die with their provider.
    _provider: SdkMeterProvider,
    instruments: Instruments,
    settings: MetricsSettings,
    kinds: BTreeMap<ActorKind, OfKind>,
    /// Whether each dependency answered its last probe. Written every 15 s at most.
    dependencies: Shelf<BTreeMap<&'static str, bool>>,
    /// What was last told of counters that are kept elsewhere.
    told: Shelf<Told>,
}

/// What belongs to one kind of actor, made once because messages are many.
struct OfKind {
    label: [KeyValue; 1],
    running: AtomicI64,
}

#[derive(Default)]
struct Told {
    log_failures: u64,
    cpu_seconds: f64,
}

/// A mutex that is never poisoned for its users: what it holds is valid after any panic.
mod parking {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    #[derive(Default)]
    pub(super) struct Shelf<T>(Mutex<T>);

    impl<T> Shelf<T> {
        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl Metrics {
    /// Metrics with a registry of their own.
    ///
    /// # Errors
    /// The exporter cannot be set up.
    pub fn new(settings: MetricsSettings) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        // The product's names are whole: nothing may be added to them.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(MetricsError::Exporter)?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).with_view(room_for_tenants).build();
        let instruments = Instruments::new(&provider.meter("ges"));
        let kinds = ActorKind::ALL
            .map(|kind| (kind, OfKind { label: [KeyValue::new("kind", kind.name())], running: AtomicI64::new(0) }));
        let metrics = Self {
            registry,
            _provider: provider,
            instruments,
            settings,
            kinds: kinds.into(),
            dependencies: Shelf::default(),
            told: Shelf::default(),
        };
        metrics.tell_constants();
        Ok(metrics)
    }

    /// Everything as Prometheus text (version 0.0.4).
    ///
    /// # Errors
    /// The text cannot be made.
    pub fn render(&self) -> Result<String, MetricsError> {
        self.tell_gauges();
        self.tell_process();
        let mut text = Vec::with_capacity(16 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(MetricsError::Encode)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// What never changes, and counters that exist from the start.
    fn tell_constants(&self) {
        let to = &self.instruments;
        let about = [
            KeyValue::new("version", self.settings.version.clone()),
            KeyValue::new("node", self.settings.node.clone()),
        ];
        to.build_info.record(1.0, &about);
        to.http_400_tolerance.record(TOLERANCES.http_400, &[]);
        to.http_401_tolerance.record(TOLERANCES.http_401, &[]);
        to.http_404_tolerance.record(TOLERANCES.http_404, &[]);
        to.http_500_tolerance.record(TOLERANCES.http_500, &[]);
        to.rbac_create_vq_proxy_error_tolerance.record(TOLERANCES.proxy, &[]);
        to.invalid_content_length_tolerance.record(TOLERANCES.content_length, &[]);
        to.shed_requests.add(0, &[]);
        to.purged_callbacks.add(0, &[]);
        for channel in Channel::ALL {
            self.note(Event::Owed(Owed { channel, due: 0, oldest: Duration::ZERO }));
        }
        self.note(Event::WorkLists { monitor_active: 0, monitor_total: 0, ping_active: 0, ping_total: 0 });
        self.tell_dependencies(&self.dependencies.lock());
    }

    fn tell_gauges(&self) {
        for of_kind in self.kinds.values() {
            let running = i32::try_from(of_kind.running.load(Ordering::Relaxed)).unwrap_or(i32::MAX);
            self.instruments.actors.record(running.into(), &of_kind.label);
        }
    }

    fn tell_process(&self) {
        let to = &self.instruments;
        let mut told = self.told.lock();
        let log_failures = self.settings.log_failures.load(Ordering::Relaxed);
        if log_failures > told.log_failures {
            to.logging_failure.add(log_failures - told.log_failures, &[]);
            told.log_failures = log_failures;
        }
        let Some(process) = process::read() else { return };
        to.process_cpu_seconds.add((process.cpu_seconds - told.cpu_seconds).max(0.0), &[]);
        told.cpu_seconds = process.cpu_seconds.max(told.cpu_seconds);
        to.process_resident_memory.record(process.resident_bytes, &[]);
        to.process_start_time.record(process.started_at_seconds, &[]);
        if self.settings.node_metrics {
            to.nodejs_eventloop_lag.record(0.0, &[]);
            to.nodejs_heap_used.record(process.resident_bytes, &[]);
            to.nodejs_heap_available.record(process::memory_limit_bytes().unwrap_or_default(), &[]);
        }
    }

    /// Whether a dependency answers, under the product's names, where 1 is down. What is not configured is not down.
    fn tell_dependencies(&self, dependencies: &BTreeMap<&'static str, bool>) {
        let down = |name: &str| f64::from(u8::from(dependencies.get(name) == Some(&false)));
        let any_down = |names: &[&str]| names.iter().map(|name| down(name)).fold(0.0, f64::max);
        let to = &self.instruments;
        to.db_status.record(down("database"), &[]);
        to.redis_connection.record(down("redis"), &[]);
        to.ors_redis_status.record(down("ors-redis"), &[]);
        to.gws_auth_status.record(down("gws-auth"), &[]);
        to.gws_env_status.record(down("gws-env"), &[]);
        to.gws_config_status.record(down("gws-config"), &[]);
        to.all_urs_down.record(down("urs"), &[]);
        let healthy_needs = ["database", "routing", "ors-redis", "gws-auth", "gws-env", "gws-config"];
        to.health.record(any_down(&healthy_needs), &[]);
        for name in dependencies.keys() {
            to.dependency_down.record(down(name), &[KeyValue::new("dependency", *name)]);
        }
    }

    fn note_known(&self, tenant: &Arc<str>) {
        let label = [labelled("tenant", tenant)];
        let to = &self.instruments;
        let counters = [
            &to.callbacks_created,
            &to.callin_created,
            &to.webhook_endpoints_disabled,
            &to.callbacks_parked,
            &to.slot_full,
            &to.requests_over_rate,
            &to.requests_over_share,
            &to.callin_matched,
            &to.callin_missed,
            &to.callin_nothing_free,
        ];
        for counter in counters {
            counter.add(0, &label);
        }
        let [label] = label;
        for result in PushResult::ALL {
            to.push_notifications_sent.add(0, &[label.clone(), KeyValue::new("result", result.name())]);
        }
    }

    fn note_answered(
        &self,
        tenant: Option<&Arc<str>>,
        method: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let to = &self.instruments;
        let tenant = tenant.map_or_else(|| KeyValue::new("tenant", NO_TENANT), |tenant| labelled("tenant", tenant));
        let path = KeyValue::new("path", route);
        let code = i64::from(status);
        if status >= 400 {
            to.http_failed_requests.add(1, &[tenant.clone(), path.clone(), KeyValue::new("httpCode", code)]);
        }
        to.http_requests.add(1, &[tenant, path]);
        let labels = [KeyValue::new("method", method), KeyValue::new("route", route), KeyValue::new("code", code)];
        to.http_request_duration.record(took.as_secs_f64(), &labels);
    }

    fn note_restarted(&self, supervisor: ActorKind, child: ActorKind, reason: Failure) {
        let labels = [
            KeyValue::new("supervisor", supervisor.name()),
            KeyValue::new("child", child.name()),
            KeyValue::new("reason", reason.name()),
        ];
        self.instruments.supervisor_restarts.add(1, &labels);
    }

    fn note_work_lists(&self, sizes: [(&'static str, u64); 4]) {
        for (list, size) in sizes {
            self.instruments.monitor_size.record(rough(size), &[KeyValue::new("type", list)]);
        }
    }

    fn note_handled(&self, kind: ActorKind, took: Duration, waiting: usize) {
        if let Some(of_kind) = self.kinds.get(&kind) {
            self.instruments.actor_handle.record(took.as_secs_f64(), &of_kind.label);
            self.instruments.mailbox_depth.record(rough(waiting), &of_kind.label);
        }
    }

    fn count_running(&self, kind: ActorKind, change: i64) {
        if let Some(of_kind) = self.kinds.get(&kind) {
            of_kind.running.fetch_add(change, Ordering::Relaxed);
        }
    }
}

impl Observer for Metrics {
    fn note(&self, event: Event) {
        let to = &self.instruments;
        match event {
            Event::TenantKnown { tenant } => self.note_known(&tenant),
            Event::Booked { tenant } => to.callbacks_created.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInOpened { tenant } => to.callin_created.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInNothingFree { tenant } => to.callin_nothing_free.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInMatched { tenant } => to.callin_matched.add(1, &[labelled("tenant", &tenant)]),
            Event::CallInMissed { tenant } => to.callin_missed.add(1, &[labelled("tenant", &tenant)]),
            Event::Moved { tenant, from, to: state } => {
                let labels = [
                    labelled("tenant", &tenant),
                    KeyValue::new("from", from.name()),
                    KeyValue::new("to", state.name()),
                ];
                to.callback_moves.add(1, &labels);
            }
            Event::Saved { cause } => to.callback_saves.add(1, &[KeyValue::new("cause", cause.name())]),
            Event::Fired { lateness } => {
                to.start_lateness.record(lateness.as_secs_f64(), &[]);
                if lateness > LAGGING {
                    to.monitor_lagging_behind.add(1, &[]);
                }
            }
            Event::SubmitFailed => to.cb_submit_failed.add(1, &[]),
            Event::Parked { tenant } => to.callbacks_parked.add(1, &[labelled("tenant", &tenant)]),
            Event::ActorStarted(kind) => self.count_running(kind, 1),
            Event::ActorStopped(kind) => self.count_running(kind, -1),
            Event::Handled { kind, took, waiting } => self.note_handled(kind, took, waiting),
            Event::Restarted { supervisor, child, reason } => self.note_restarted(supervisor, child, reason),
            Event::PanicCaught => to.uncaught_exception.add(1, &[]),
            Event::Probed { dependency, up } => {
                let mut dependencies = self.dependencies.lock();
                dependencies.insert(dependency, up);
                self.tell_dependencies(&dependencies);
            }
            Event::WorkLists { monitor_active, monitor_total, ping_active, ping_total } => self.note_work_lists([
                ("activeMonitor", monitor_active),
                ("totalMonitor", monitor_total),
                ("activePing", ping_active),
                ("totalPing", ping_total),
            ]),
            Event::Answered { tenant, method, route, status, took } => {
                self.note_answered(tenant.as_ref(), method, route, status, took);
            }
            Event::BodyTooLong => to.invalid_content_length.add(1, &[]),
            Event::Shed => to.shed_requests.add(1, &[]),
            Event::SlotFull { tenant } => to.slot_full.add(1, &[labelled("tenant", &tenant)]),
            Event::DuplicateLimitReached { tenant } => {
                to.cb_enqueue_limit_reached.add(1, &[labelled("tenant", &tenant)])
            }
            Event::Throttled { tenant, rule } => {
                to.cb_ttl_limit_reached.add(1, &[labelled("tenant", &tenant)]);
                to.bookings_throttled.add(1, &[labelled("tenant", &tenant), KeyValue::new("rule", rule)]);
            }
            Event::HoldRefused { tenant, bound } => {
                to.holds_refused.add(1, &[labelled("tenant", &tenant), KeyValue::new("bound", bound.name())]);
            }
            Event::OverRate { tenant } => to.requests_over_rate.add(1, &[labelled("tenant", &tenant)]),
            Event::OverShare { tenant } => to.requests_over_share.add(1, &[labelled("tenant", &tenant)]),
            Event::BatchesWaited { batches } => to.commit_batches_waited.record(rough(batches), &[]),
            Event::TurnsWaited { turns } => to.read_turns_waited.record(rough(turns), &[]),
            Event::NumberRefused { tenant, rule } => {
                to.numbers_refused.add(1, &[labelled("tenant", &tenant), KeyValue::new("rule", rule)]);
            }
            Event::Committed { commands, took } => {
                to.commit.record(took.as_secs_f64(), &[]);
                to.commit_commands.record(rough(commands), &[]);
            }
            Event::Purged { callbacks } => to.purged_callbacks.add(callbacks, &[]),
            Event::CaptchaAsked { tenant, end } => {
                to.captcha_checks.add(1, &[labelled("tenant", &tenant), KeyValue::new("end", end.name())]);
            }
            Event::PushEnded { tenant, result } => {
                let labels = [labelled("tenant", &tenant), KeyValue::new("result", result.name())];
                to.push_notifications_sent.add(1, &labels);
            }
            Event::MessageTried { tenant, result } => {
                to.webhook_tries.add(1, &[labelled("tenant", &tenant), KeyValue::new("result", result.name())]);
            }
            Event::EndpointDisabled { tenant } => {
                to.webhook_endpoints_disabled.add(1, &[labelled("tenant", &tenant)]);
            }
            Event::Owed(owed) => {
                let channel = [KeyValue::new("channel", owed.channel.name())];
                to.notices_due.record(rough(owed.due), &channel);
                to.notices_oldest.record(owed.oldest.as_secs_f64(), &channel);
            }
            Event::CalledOut { to: callee, end, took } => {
                let callee = KeyValue::new("to", callee.name());
                to.outward_calls.add(1, &[callee.clone(), KeyValue::new("end", end.name())]);
                to.outward_call.record(took.as_secs_f64(), &[callee]);
            }
        }
    }
}

/// A label whose value is shared, not copied.
fn labelled(key: &'static str, value: &Arc<str>) -> KeyValue {
    KeyValue::new(Key::from_static_str(key), StringValue::from(Arc::clone(value)))
}

/// A count as a gauge holds it; exact up to four billion, and no count here comes near.
fn rough(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

/// The SDK keeps 2,000 series of an instrument; where a tenant is one of the labels there may be more.
fn room_for_tenants(instrument: &Instrument) -> Option<Stream> {
    let per_tenant = METRICS.iter().any(|metric| metric.name == instrument.name() && metric.labels.contains(&"tenant"));
    if per_tenant { Stream::builder().with_cardinality_limit(MAX_SERIES).build().ok() } else { None }
}
