//! For how long an office stays open.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::hours::Calendar;
use domain::ids::TenantId;
use domain::keys::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::schemas::{Refusals, SuccessStatus, Throttling, example_status};
use super::{Asked, ask, segment};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;

/// How long it stays open.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenFor {
    /// Whole seconds; 0 if it is closed, 1209600 (14 days) if it does not close before.
    #[schema(minimum = 0, maximum = 1_209_600)]
    open_for: u32,
}

/// Answer to the question how long an office stays open.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct OpenForResponse {
    status: SuccessStatus,
    data: OpenFor,
}

/// Tell for how many more seconds the office stays open.
///
/// The name is that of a callback service, or, if there is none of that name, that of a business-hours calendar.
/// Weekly hours, special days and changes of clocks count.
#[utoipa::path(
    get,
    path = "/engagement/v3/callbacks/open-for/{service-name}",
    operation_id = "openFor",
    tag = "Availability",
    params(
        ("service-name" = String, Path, description = "Callback service or calendar. Percent-encode it, `/` as `%2F`.",
            min_length = 1, max_length = 255, example = "support"),
        ("start" = Option<String>, Query, description = "From when on. Without an offset it is read in `timezone`. Now \
            when absent.", pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$", example = "2030-03-04T15:30:00.000Z"),
        ("timezone" = Option<String>, Query, description = "IANA zone of `start` when that carries no offset of its own. \
            UTC when absent.", example = "America/Toronto"),
    ),
    responses(
        (status = 200, description = "Seconds until closing, counted from `start` or from now; 0 when already closed.",
            body = OpenForResponse,
            examples(
                ("open" = (value = json!({
                    "status": example_status(),
                    "data": {"openFor": 12600}
                }))),
                ("closed" = (value = json!({
                    "status": example_status(),
                    "data": {"openFor": 0}
                }))),
            )),
        Refusals,
        Throttling,
    ),
)]
pub(crate) async fn open_for(
    State(shared): State<Arc<Shared>>,
    service: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, caller, query, .. } = ask(&shared, request, Scope::AvailabilityRead)?;
    let calendar = calendar(&shared, caller.tenant, &segment("service-name", service)?)?;
    let start = asked_instant(&shared, Query::new(query.as_deref()), "start")?;
    Ok(reply::success(context.corr_id(), OpenFor { open_for: calendar.open_for_seconds(start) }))
}

/// The calendar that a path names, by a service or by its own name.
pub(crate) fn calendar(shared: &Shared, tenant: TenantId, name: &str) -> Result<Arc<Calendar>, Problem> {
    let unknown = || Problem::new(Kind::UnknownService, "The path names no configured service and no calendar.");
    shared.door.hours.calendar(tenant, name)?.ok_or_else(unknown)
}

/// The instant that a request asks about: a parameter read in the parameter `timezone`, or now.
pub(crate) fn asked_instant(shared: &Shared, query: Query<'_>, name: &str) -> Result<DateTime<Utc>, Problem> {
    let zone = query.zone(&["timezone"])?.unwrap_or(Tz::UTC);
    Ok(query.instant(&[name], zone)?.unwrap_or_else(|| shared.door.clock.now()))
}
