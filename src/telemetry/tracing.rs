//! Log lines and traces.
//!
//! Lines go to standard output: one JSON object each, or text for people on a terminal. A line carries the fields
//! of the spans it was written in, so that everything about one request shares its `corr_id`. No phone number,
//! key, token or body is logged by this program; and because libraries could (an HTTP client prints headers
//! when it traces), only our own packages follow the configured level: all others are held at WARN, and at INFO
//! under TRACE.

mod level;
mod lines;
mod otlp;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clients::http::{SetupError, authorities};
use crate::config::{Level, LogFormat, Url};
pub use level::{LONGEST, LevelNow, LevelSwitch, NotApplied};
use lines::{Lines, Style};
use writer::Writer;

/// Targets of our own packages. The integration tests are among them, so that they are heard as well.
const OWN_TARGETS: [&str; 4] = ["ges", "actors", "domain", "it"];

/// What it tells comes back as errors as well, and of a listener strangers would decide how much that is.
const SILENT_TARGET: &str = "rustls::";

/// How long the end of the process waits for the collector of traces.
const COLLECTOR_DEADLINE: Duration = Duration::from_secs(3);

/// Why nothing can be told.
#[derive(Debug, Error)]
pub enum TracingError {
    /// The thread that writes could not be started.
    #[error("cannot start the log writer")]
    Writer(#[source] io::Error),
    /// The exporter of traces could not be made.
    #[error("cannot set up traces for GES_OTLP_ENDPOINT")]
    Otlp(#[source] opentelemetry_otlp::ExporterBuildError),
    /// A file of certificate authorities, which the collector may be verified by.
    #[error(transparent)]
    Authorities(#[from] SetupError),
    /// Something else listens to tracing in this process.
    #[error("cannot install the log: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// What is told, and how.
#[derive(Debug, Clone)]
pub struct TracingSettings {
    /// Least important lines that are written.
    pub level: Level,
    /// Longest message and longest text of a field, in bytes.
    pub max_len_bytes: usize,
    /// What a line looks like.
    pub format: LogFormat,
    /// Whether lines of text may be coloured.
    pub colour: bool,
    /// Name of the node, in every JSON line and trace.
    pub node: String,
    /// Base URL of the collector of traces.
    pub otlp_endpoint: Option<Url>,
    /// PEM files of certificate authorities that the collector may be verified by, beside the system's.
    pub ca_files: Vec<PathBuf>,
}

/// Keeps the log going; dropping it writes out what is still queued.
#[must_use = "dropping it ends the log"]
pub struct Guard {
    writer: Writer,
    level: Arc<LevelSwitch>,
    traces: Option<SdkTracerProvider>,
}

impl Guard {
    /// Log lines that could not be written so far: the queue was full, or standard output failed.
    pub fn failures(&self) -> Arc<AtomicU64> {
        self.writer.failures()
    }

    /// Switches the level while the log goes on.
    pub fn level(&self) -> Arc<LevelSwitch> {
        self.level.clone()
    }

    /// Sends the last traces, for at most 3 s, and writes out the last lines.
    pub async fn shut_down(mut self) {
        if let Some(traces) = self.traces.take() {
            // The exporter blocks its thread until the collector answers.
            let ended = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(COLLECTOR_DEADLINE)).await;
            if let Ok(Err(error)) = ended {
                tracing::warn!(%error, "the last traces may not have arrived");
            }
        }
    }
}

/// Sends everything that is logged from now on to standard output, and spans to the collector if there is one.
///
/// # Errors
/// [`TracingError`]; nothing is installed then.
pub fn install(settings: &TracingSettings) -> Result<Guard, TracingError> {
    let (subscriber, guard) = build(settings, io::stdout())?;
    subscriber.try_init()?;
    Ok(guard)
}

/// As [`install`], but lines go to `sink`, and nothing listens until the subscriber is put to use.
///
/// # Errors
/// [`TracingError`].
pub fn build<W: io::Write + Send + 'static>(
    settings: &TracingSettings,
    sink: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), TracingError> {
    let writer = Writer::start(sink).map_err(TracingError::Writer)?;
    let style = match settings.format {
        LogFormat::Json => Style::Json { node: settings.node.clone() },
        LogFormat::Text => Style::Text { colour: settings.colour },
    };
    let (filter, filters) = reload::Layer::new(lines_filter(settings.level));
    let lines = Lines::new(style, settings.max_len_bytes, writer.queue()).with_filter(filter);
    let apply = move |level| filters.reload(lines_filter(level)).map_err(|_| NotApplied);
    let level = Arc::new(LevelSwitch::new(settings.level, apply));
    let traces = match &settings.otlp_endpoint {
        Some(url) => {
            let authorities = authorities(&settings.ca_files)?;
            Some(otlp::provider(url, &settings.node, authorities).map_err(TracingError::Otlp)?)
        }
        None => None,
    };
    let spans =
        traces.as_ref().map(|provider| otlp::layer(provider).with_filter(own(LevelFilter::INFO, LevelFilter::OFF)));
    Ok((tracing_subscriber::registry().with(lines).with(spans), Guard { writer, level, traces }))
}

/// Our own packages at the wanted level, libraries held back.
fn lines_filter(level: Level) -> Targets {
    let wanted = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let libraries = if level == Level::Trace { LevelFilter::INFO } else { wanted.min(LevelFilter::WARN) };
    own(wanted, libraries).with_target(SILENT_TARGET, LevelFilter::OFF)
}

fn own(wanted: LevelFilter, others: LevelFilter) -> Targets {
    OWN_TARGETS.into_iter().fold(Targets::new().with_default(others), |targets, own| targets.with_target(own, wanted))
}
