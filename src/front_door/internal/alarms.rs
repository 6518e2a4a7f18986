//! Alarms and alerts of the node that is asked, and their types.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use domain::alarm::{Alarm, AlarmKind, Alert, MAX_ALERTS, Resource};
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{WorkRefusals, admit};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;

/// Alerts unless asked otherwise.
const USUAL_ENTRIES: u32 = 100;

/// What happens, and where.
#[derive(Serialize, ToSchema)]
struct What {
    /// Name of the type.
    #[serde(rename = "type")]
    kind: &'static str,
    /// critical, warning or info.
    severity: &'static str,
    /// dependency, api, callbacks or process.
    class: &'static str,
    /// What has happened.
    message: &'static str,
    /// A dependency, a kind of actors, a tenant, or `node`.
    resource: String,
    /// The tenant, if it is one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The same number for everything about one resource until that has rested.
    incident: u64,
}

impl What {
    fn new(kind: AlarmKind, resource: &Resource, incident: u64) -> Self {
        let rule = kind.rule();
        let tenant = if let Resource::Tenant(name) = resource { Some(name.to_string()) } else { None };
        Self {
            kind: kind.name(),
            severity: rule.severity.name(),
            class: rule.class.name(),
            message: rule.message,
            resource: resource.to_string(),
            tenant,
            incident,
        }
    }
}

/// What has happened and has not rested.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AlarmEntry {
    #[serde(flatten)]
    what: What,
    /// When it happened first.
    #[schema(value_type = String, format = DateTime)]
    since: Stamp,
    /// When it happened last.
    #[schema(value_type = String, format = DateTime)]
    last: Stamp,
    /// How often since then.
    occurrences: u64,
    /// Whether more happens than is tolerated: then the alarm stands.
    exceeds_tolerance: bool,
    /// Since when it does.
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    exceeds_since: Option<Stamp>,
}

impl From<Alarm> for AlarmEntry {
    fn from(alarm: Alarm) -> Self {
        Self {
            what: What::new(alarm.kind, &alarm.resource, alarm.incident),
            since: Stamp(alarm.since),
            last: Stamp(alarm.last),
            occurrences: alarm.occurrences,
            exceeds_tolerance: alarm.exceeds_since.is_some(),
            exceeds_since: alarm.exceeds_since.map(Stamp),
        }
    }
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AlertEntry {
    #[serde(flatten)]
    what: What,
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// How often it happened since the alert before without an alert of its own.
    held_back: u64,
}

impl From<Alert> for AlertEntry {
    fn from(alert: Alert) -> Self {
        let what = What::new(alert.kind, &alert.resource, alert.incident);
        Self { what, at: Stamp(alert.at), held_back: alert.held_back }
    }
}

/// A type and its limits.
#[derive(Serialize, ToSchema)]
struct TypeEntry {
    name: &'static str,
    severity: &'static str,
    class: &'static str,
    message: &'static str,
    tolerance: ToleranceEntry,
    throttle: ThrottleEntry,
}

/// How much may happen before the alarm stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ToleranceEntry {
    /// Occurrences in one period that are tolerated.
    max: u32,
    /// Length of a period.
    time_seconds: u64,
    /// Periods in a row that have to be over `max`, and within it for the alarm to end.
    periods: u32,
}

/// How many alerts are kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ThrottleEntry {
    /// Alerts of one resource in that time; those beyond are only counted.
    max: u32,
    time_seconds: u64,
}

impl From<AlarmKind> for TypeEntry {
    fn from(kind: AlarmKind) -> Self {
        let rule = kind.rule();
        let (tolerance, throttle) = (rule.tolerance, rule.throttle);
        Self {
            name: kind.name(),
            severity: rule.severity.name(),
            class: rule.class.name(),
            message: rule.message,
            tolerance: ToleranceEntry {
                max: tolerance.max,
                time_seconds: tolerance.time.as_secs(),
                periods: tolerance.periods,
            },
            throttle: ThrottleEntry { max: throttle.max, time_seconds: throttle.time.as_secs() },
        }
    }
}

/// Alarms of a node.
#[derive(Serialize, ToSchema)]
struct AlarmList {
    #[schema(value_type = String)]
    node: Arc<str>,
    alarms: Vec<AlarmEntry>,
}

/// Alerts of a node.
#[derive(Serialize, ToSchema)]
struct AlertList {
    #[schema(value_type = String)]
    node: Arc<str>,
    alerts: Vec<AlertEntry>,
}

/// Types of alarms.
#[derive(Serialize, ToSchema)]
struct TypeList {
    types: Vec<TypeEntry>,
}

/// Answer to the question for alarms.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct AlarmsResponse {
    status: SuccessStatus,
    data: AlarmList,
}

/// Answer to the question for alerts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct AlertsResponse {
    status: SuccessStatus,
    data: AlertList,
}

/// Answer to the question for types.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct TypesResponse {
    status: SuccessStatus,
    data: TypeList,
}

/// List what has happened on this node and has not rested.
#[utoipa::path(
    get, path = "/ges/v1/alarms", tag = "Internal",
    responses(
        (status = 200, description = "What exceeds its tolerance first, then by severity.", body = AlarmsResponse),
        WorkRefusals,
    ),
)]
pub(crate) async fn alarms(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let alarms = shared.door.alarms.alarms().into_iter().map(AlarmEntry::from).collect();
    Ok(reply::success(context.corr_id(), AlarmList { node: shared.door.health.report().node, alarms }))
}

/// List alerts of this node, a thousand at most.
#[utoipa::path(
    get, path = "/ges/v1/alerts", tag = "Internal",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 1,000; 100 if absent.", minimum = 1, maximum = 1_000),
    ),
    responses((status = 200, description = "Newest first.", body = AlertsResponse), WorkRefusals),
)]
pub(crate) async fn alerts(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let most = u32::try_from(MAX_ALERTS).unwrap_or(u32::MAX);
    let limit = Query::new(query.as_deref()).limit(USUAL_ENTRIES, most)?;
    let alerts = shared.door.alarms.alerts(limit).into_iter().map(AlertEntry::from).collect();
    Ok(reply::success(context.corr_id(), AlertList { node: shared.door.health.report().node, alerts }))
}

/// List the types of alarms with how much is tolerated and how much is told.
#[utoipa::path(
    get, path = "/ges/v1/alarm-types", tag = "Internal",
    responses((status = 200, description = "The same for every node of a version.", body = TypesResponse), WorkRefusals),
)]
pub(crate) async fn types(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let types = AlarmKind::ALL.into_iter().map(TypeEntry::from).collect();
    Ok(reply::success(context.corr_id(), TypeList { types }))
}
