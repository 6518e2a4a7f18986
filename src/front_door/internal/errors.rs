//! Calls of a tenant that failed.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use domain::ids::CorrelationId;
use serde::Serialize;
use utoipa::ToSchema;

use super::admin::AskRefusals;
use super::entry::Asked;
use super::parameters::TenantHeader;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::Problem;
use crate::front_door::failures::Failure;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::parse_id;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;

/// Entries of a list unless asked otherwise, and at most.
const USUAL_ENTRIES: u32 = 100;
const MAX_ENTRIES: u32 = 10_000;

/// A call that failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FailureEntry {
    #[schema(value_type = String, format = Uuid)]
    corr_id: CorrelationId,
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    method: &'static str,
    /// The template of its route: no value that was sent.
    route: &'static str,
    /// HTTP status.
    status: u16,
    /// `status.code` of its answer.
    code: u16,
    /// `status.message` of its answer.
    message: String,
}

/// Calls that failed.
#[derive(Serialize, ToSchema)]
struct FailureList {
    errors: Vec<FailureEntry>,
}

/// Answer to the question what failed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct FailuresResponse {
    status: SuccessStatus,
    data: FailureList,
}

/// List calls of a tenant that failed, for a day and 10,000 at most.
///
/// They are those that this node answered.
#[utoipa::path(
    get, path = "/ges/v1/errors", tag = "Settings",
    params(
        TenantHeader,
        ("corrId" = Option<String>, Query, description = "Only the call of this correlation id.", format = Uuid),
        ("limit" = Option<u32>, Query, description = "1 to 10,000; 100 if absent.", minimum = 1, maximum = 10_000),
    ),
    responses((status = 200, description = "Newest first.", body = FailuresResponse), AskRefusals),
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let query = Query::new(query.as_deref());
    let corr_id = query.text(&["corrId"], 64)?.map(|text| parse_id("corrId", &text)).transpose()?;
    let limit = query.limit(USUAL_ENTRIES, MAX_ENTRIES)?;
    let failures = shared.door.failures.of(&asked.name, corr_id, limit, shared.door.clock.now());
    let entry = |it: Failure| FailureEntry {
        corr_id: it.corr_id,
        at: Stamp(it.at),
        method: it.method,
        route: it.route,
        status: it.status,
        code: it.code,
        message: it.message.into_owned(),
    };
    let errors = failures.into_iter().map(entry).collect();
    Ok(reply::success(asked.context.corr_id(), FailureList { errors }))
}
