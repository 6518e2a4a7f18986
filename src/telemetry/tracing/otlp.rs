//! Traces for a collector, over HTTP. Only spans of our own packages are sent, so the exporter's own requests
//! and complaints never become spans again.

use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use reqwest::Certificate;
use reqwest::blocking::Client;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Url;

/// How long one delivery may take; what the collector does not take in time is dropped.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Sends spans in batches from a thread of its own; its queue has a limit (2,048 spans) and drops what is beyond.
/// `authorities` are trusted beside the system's.
pub(super) fn provider(
    url: &Url,
    node: &str,
    authorities: Vec<Certificate>,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let endpoint = format!("{url}/v1/traces");
    let http = SpanExporter::builder().with_http().with_http_client(client(authorities)?);
    let exporter = http.with_endpoint(endpoint).with_timeout(EXPORT_DEADLINE).build()?;
    let about = Resource::builder()
        .with_service_name("ges")
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(about).build())
}

/// A client of the kind that the exporter's thread waits for. It has a runtime of its own, which must not be made where
/// others wait: so it is made on a thread of its own.
fn client(authorities: Vec<Certificate>) -> Result<Client, ExporterBuildError> {
    let make = || Client::builder().timeout(EXPORT_DEADLINE).tls_certs_merge(authorities).build();
    let failed = |why: String| ExporterBuildError::InternalFailure(format!("the client could not be made: {why}"));
    let made = thread::spawn(make).join().map_err(|_| failed("it panicked".to_owned()))?;
    made.map_err(|error| failed(error.to_string()))
}

pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, Tracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("ges")).with_threads(false).with_location(false)
}
