//! Every instrument of the service, and the only place that makes any: facts come in as [`Event`]s, numbers go
//! out as Prometheus text.
//!
//! Names are those that the product publishes, so that dashboards and alert rules keep working; its alert
//! metrics (upper case) appear with their first event, gauges are always there and fall to zero. What a name
//! means stands once, in `instruments.rs`, and is the text of `docs/metrics.md` and of `# HELP` alike.

mod instruments;
mod observer;
mod process;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use domain::alarm::AlarmKind;
use domain::event::{ActorKind, BusEnd, Event};
use domain::notices::Channel;
use domain::ports::{Observer, Owed};
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
pub(super) const LAGGING: Duration = Duration::from_secs(60);

/// Series of one instrument; what goes beyond is summed up in one series that says so. Tenants times routes.
const MAX_SERIES: usize = 20_000;

/// The tenant of requests whose key was not recognised.
const NO_TENANT: &str = "none";

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
        // The product's alert rules compare these with increases over 2 minutes (the proxy's: 10), as the types of
        // alarms do. Only the proxy's is published; the others are ours.
        for (gauge, kind) in [
            (&to.http_400_tolerance, AlarmKind::Http400),
            (&to.http_401_tolerance, AlarmKind::Http401),
            (&to.http_404_tolerance, AlarmKind::Http404),
            (&to.http_500_tolerance, AlarmKind::Http500),
            (&to.rbac_create_vq_proxy_error_tolerance, AlarmKind::ProxyError),
            (&to.invalid_content_length_tolerance, AlarmKind::InvalidContentLength),
        ] {
            gauge.record(kind.rule().tolerance.max.into(), &[]);
        }
        to.shed_requests.add(0, &[]);
        to.purged_callbacks.add(0, &[]);
        for end in BusEnd::ALL {
            self.note(Event::BusEnded { end, count: 0 });
        }
        if self.settings.node_metrics {
            to.nodejs_eventloop_lag.record(0.0, &[]);
        }
        self.note(Event::Swept { taken: 0, oldest: Duration::ZERO });
        self.note(Event::Beaten { living: 0, skew: TimeDelta::zero() });
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
        let memory_limit = process::memory_limit_bytes().unwrap_or_default();
        to.process_memory_limit.record(memory_limit, &[]);
        if self.settings.node_metrics {
            to.nodejs_heap_used.record(process.resident_bytes, &[]);
            to.nodejs_heap_available.record(memory_limit, &[]);
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
        let healthy_needs = ["database", "routing", "ors-redis", "ors", "gws-auth", "gws-env", "gws-config"];
        to.health.record(any_down(&healthy_needs), &[]);
        for name in dependencies.keys() {
            to.dependency_down.record(down(name), &[KeyValue::new("dependency", *name)]);
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
