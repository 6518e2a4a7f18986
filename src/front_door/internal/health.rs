//! How the process is. These answers are documents of their own, without the envelope: probes and collectors
//! read them, and the verdict is in the body.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::health::{Dependency, DependencyStatus, Verdict, verdict};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::routing_nodes::NodeEntry;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::front_door::{HealthReport, Phase, reply};

/// Prometheus' text format, version 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// A verdict alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// UP, DEGRADED, DOWN, STARTING or DRAINING.
    status: &'static str,
}

/// Everything that is known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthDetail<'a> {
    /// UP; DEGRADED if something that is not required is down; DOWN if nothing can be accepted.
    status: &'static str,
    version: &'static str,
    node: &'a str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Stamp,
    uptime_seconds: u64,
    dependencies: Vec<DependencyDetail<'a>>,
    /// The nodes of routing, if any are set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routing_nodes: Vec<NodeEntry>,
}

/// One dependency.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DependencyDetail<'a> {
    name: &'a str,
    /// UP, DOWN or UNKNOWN (not probed yet).
    status: &'static str,
    /// Whether nothing can be accepted without it.
    required: bool,
    /// Since when the status has been what it is.
    #[schema(value_type = String, format = DateTime)]
    since: Stamp,
    #[schema(value_type = String, format = DateTime)]
    checked_at: Stamp,
    /// Why it is down.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Whether the service can be used: 503 while it starts, drains, or cannot accept anything.
#[utoipa::path(
    get, path = "/ges/v1/health", tag = "Internal",
    responses(
        (status = 200, description = "It can be used, perhaps with reduced functions.", body = Health),
        (status = 503, description = "It cannot.", body = Health),
    )
)]
pub(crate) async fn overall(State(shared): State<Arc<Shared>>) -> Response {
    let report = shared.door.health.report();
    readiness(&report)
}

/// Whether the process lives; says nothing of anything else.
#[utoipa::path(
    get, path = "/ges/v1/health/live", tag = "Internal",
    responses((status = 200, description = "The process lives.", body = Health))
)]
pub(crate) async fn live() -> Response {
    reply::plain(StatusCode::OK, &Health { status: "UP" })
}

/// Whether to send requests here: 503 only while starting, draining or without the database.
#[utoipa::path(
    get, path = "/ges/v1/health/ready", tag = "Internal",
    responses(
        (status = 200, description = "Ready.", body = Health),
        (status = 503, description = "Not ready.", body = Health),
    )
)]
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    readiness(&shared.door.health.report())
}

/// Everything that is known of the process and what it depends on; always 200, the verdict is in the body.
#[utoipa::path(
    get, path = "/ges/v1/health/detail", tag = "Internal",
    responses((status = 200, description = "The verdict and its reasons.", body = HealthDetail<'static>))
)]
pub(crate) async fn detail(State(shared): State<Arc<Shared>>) -> Response {
    let report = shared.door.health.report();
    let uptime = shared.door.clock.now() - report.started_at;
    let document = HealthDetail {
        status: name(verdict(&report.dependencies)),
        version: env!("CARGO_PKG_VERSION"),
        node: &report.node,
        started_at: Stamp(report.started_at),
        uptime_seconds: u64::try_from(uptime.num_seconds()).unwrap_or_default(),
        dependencies: report.dependencies.iter().map(dependency).collect(),
        routing_nodes: shared.door.nodes.nodes().into_iter().map(NodeEntry::from).collect(),
    };
    reply::plain(StatusCode::OK, &document)
}

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "Internal",
    responses((status = 200, description = "Metrics.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], (shared.door.metrics)()).into_response()
}

fn readiness(report: &HealthReport) -> Response {
    let verdict = verdict(&report.dependencies);
    let (status, word) = match (report.phase, verdict) {
        (Phase::Starting, _) => (StatusCode::SERVICE_UNAVAILABLE, "STARTING"),
        (Phase::Draining, _) => (StatusCode::SERVICE_UNAVAILABLE, "DRAINING"),
        (Phase::Serving, Verdict::Down) => (StatusCode::SERVICE_UNAVAILABLE, "DOWN"),
        (Phase::Serving, verdict) => (StatusCode::OK, name(verdict)),
    };
    reply::plain(status, &Health { status: word })
}

const fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "UP",
        Verdict::Degraded => "DEGRADED",
        Verdict::Down => "DOWN",
    }
}

pub(super) const fn status_name(status: DependencyStatus) -> &'static str {
    match status {
        DependencyStatus::Up => "UP",
        DependencyStatus::Down => "DOWN",
        DependencyStatus::Unknown => "UNKNOWN",
    }
}

fn dependency(dependency: &Dependency) -> DependencyDetail<'_> {
    DependencyDetail {
        name: dependency.name,
        status: status_name(dependency.status),
        required: dependency.required,
        since: Stamp(dependency.since),
        checked_at: Stamp(dependency.checked_at),
        reason: dependency.reason.as_deref(),
    }
}
