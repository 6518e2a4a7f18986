//! Whether an office is open, in the words in which people are told.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::hours::Status;
use domain::ports::AvailabilityError;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{Asked, TenantRefusals, WorkRefusals};
use super::parameters::TenantHeader;
use crate::front_door::engagement::hours::{asked_instant, calendar};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::engagement::segment;
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;

/// Whether it is open, and until when.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HoursStatus {
    /// `open-always` (no closing within 15 days), `open-until`, `closed-until`, or `closed-unknown` (no opening within
    /// 15 days).
    #[schema(pattern = "^(open-always|open-until|closed-until|closed-unknown)$")]
    state: &'static str,
    open: bool,
    /// When it closes, in state `open-until`.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    closes_at: Option<Stamp>,
    /// When it opens, in state `closed-until`.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<Stamp>,
    /// The zone in which its hours are written.
    timezone: &'static str,
}

/// Answer to the question whether an office is open.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct HoursStatusResponse {
    status: SuccessStatus,
    data: HoursStatus,
}

/// Tell whether a queue or a calendar is open, and until when.
#[utoipa::path(
    get, path = "/ges/v1/hours/{name}/status", tag = "Internal", operation_id = "hoursStatus",
    params(
        ("name" = String, Path, description = "Queue, alias or calendar, in this order. Percent-encode it, `/` as `%2F`.",
            min_length = 1, max_length = 255, example = "support"),
        ("at" = Option<String>, Query, description = "When. Without an offset it is read in `timezone`. Now when absent.",
            pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"),
        ("timezone" = Option<String>, Query, description = "IANA zone of `at` when that carries no offset. UTC when absent."),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "Open or closed.", body = HoursStatusResponse),
        WorkRefusals,
        TenantRefusals,
    ),
)]
pub(crate) async fn status(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let name = segment("name", name)?;
    // A calendar alone says nothing of queues, but its name may be that of one.
    if !asked.who.sees(&name) {
        return Err(AvailabilityError::UnknownQueue.into());
    }
    let calendar = calendar(&shared, asked.tenant, &name)?;
    let at = asked_instant(&shared, Query::new(query.as_deref()), "at")?;
    let status = calendar.status(at);
    let (state, closes_at, opens_at) = match status {
        Status::OpenAlways => ("open-always", None, None),
        Status::OpenUntil(closing) => ("open-until", Some(Stamp(closing)), None),
        Status::ClosedUntil(opening) => ("closed-until", None, Some(Stamp(opening))),
        Status::ClosedUnknown => ("closed-unknown", None, None),
    };
    let timezone = calendar.zone().name();
    Ok(reply::success(
        asked.context.corr_id(),
        HoursStatus { state, open: status.is_open(), closes_at, opens_at, timezone },
    ))
}
