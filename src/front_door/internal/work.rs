//! What routing reports, and what operators do about callbacks.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::callback::{Reply, StepError};
use domain::ids::CallbackId;
use domain::ports::{CancelError, SignalError};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::entry::{Asked, BodyRefusals, WorkRefusals, admit, path_id};
use super::parameters::{CallbackPath, PageLimit, TenantHeader};
use crate::front_door::engagement::schemas::{CallbackRef, CancelCallbackResponse, ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;
use crate::front_door::{reply, wire};
use crate::testing::{self, Rule};

/// What routing reports.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct SignalRequest {
    /// The attempt it is about, from 1.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    attempt: i64,
    /// Order among signals that change the state; rises within an attempt.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    seq: i64,
    /// accepted, queued, routing, processing, dial-result, completed, failed, position, alive, ended or unknown.
    #[schema(
        pattern = "^(accepted|queued|routing|processing|dial-result|completed|failed|position|alive|ended|unknown)$"
    )]
    event: String,
    /// Required for `accepted`.
    #[schema(nullable = false, max_length = 128)]
    session_id: Option<String>,
    /// Required for `dial-result`.
    #[schema(nullable = false, max_length = 64, pattern = "^[A-Za-z0-9_]*$")]
    reason: Option<String>,
    /// For `position`: place in the queue, from 1; -1 if unknown.
    #[schema(nullable = false, minimum = -1)]
    position: Option<i32>,
    /// For `position`: seconds; -1 if unknown.
    #[schema(nullable = false, minimum = -1)]
    estimated_wait_time: Option<i32>,
    #[schema(nullable = false)]
    agent_id: Option<String>,
}

/// Answer to a signal.
#[derive(Serialize, ToSchema)]
struct Taken {
    /// `done`, or `repeated` if it had been done before.
    result: &'static str,
}

/// Answer to a signal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct SignalResponse {
    status: SuccessStatus,
    data: Taken,
}

/// A callback that was set aside.
#[derive(Serialize, ToSchema)]
struct ParkedEntry {
    #[schema(value_type = String, format = Uuid)]
    id: CallbackId,
    /// Name of the tenant, or its id if it is gone.
    tenant: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// Why.
    reason: String,
}

/// What was set aside.
#[derive(Serialize, ToSchema)]
struct ParkedList {
    parked: Vec<ParkedEntry>,
}

/// Answer to the question what was set aside.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ParkedResponse {
    status: SuccessStatus,
    data: ParkedList,
}

/// Refusals of internal operations on one callback.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(super) enum OneRefusals {
    /// No such callback in this tenant, or no such tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
    /// The callback is not in a state for this; for a signal: another session, or a stale attempt.
    #[response(status = 409)]
    Conflict(ErrorResponse),
}

/// Report what happened to an attempt.
///
/// 200 once it is durable, and for a repetition. Repeat it until it is answered with anything but 503.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/{id}/signals", tag = "Internal",
    params(CallbackPath, TenantHeader),
    request_body = SignalRequest,
    responses(
        (status = 200, description = "Taken.", body = SignalResponse),
        WorkRefusals,
        OneRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn signals(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (Asked { context, tenant, .. }, body) = Asked::with_json(&shared, request).await?;
    let id = path_id(id)?;
    let signal = wire::signal::signal(&body.bytes)?;
    let result = match shared.door.inbox.signal(tenant, id, signal).await {
        Err(SignalError::Refused(StepError::OtherSession)) if testing::is_broken(Rule::Fence) => "done",
        answer => match answer? {
            Reply::Done => "done",
            Reply::Repeated => "repeated",
        },
    };
    Ok(reply::success(context.corr_id(), Taken { result }))
}

/// List callbacks that were set aside because work on them failed again and again.
#[utoipa::path(
    get, path = "/ges/v1/callbacks/parked", tag = "Internal",
    params(PageLimit),
    responses((status = 200, description = "Oldest first, of every tenant.", body = ParkedResponse), WorkRefusals),
)]
pub(crate) async fn parked(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let limit = Query::new(query.as_deref()).page_limit()?;
    let parked = shared.door.parking.parked(limit).await?;
    let entries = parked.into_iter().map(|entry| ParkedEntry {
        id: entry.id,
        tenant: shared
            .door
            .keys
            .tenant_name(entry.tenant)
            .map_or_else(|| entry.tenant.to_string(), |it| it.to_string()),
        at: Stamp(entry.at),
        reason: entry.reason,
    });
    Ok(reply::success(context.corr_id(), ParkedList { parked: entries.collect() }))
}

/// Take a parked callback up again: it is due at once.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/{id}/unpark", tag = "Internal",
    params(CallbackPath, TenantHeader),
    responses(
        (status = 200, description = "It is due; the same id is echoed.", body = CancelCallbackResponse),
        WorkRefusals,
        OneRefusals,
    ),
)]
pub(crate) async fn unpark(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (id, tenant) = (path_id(id)?, asked.tenant);
    asked.who.must_see(&shared, asked.tenant, id).await?;
    shared.door.parking.unpark(tenant, id, asked.who.actor()).await?;
    Ok(reply::success(asked.context.corr_id(), CallbackRef { id }))
}

/// Cancel a callback for a person in the office: it ends with the reason CANCELLED_BY_ADMIN.
///
/// Cancelling again what was cancelled answers 200 again.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/{id}/cancel", tag = "Internal",
    params(CallbackPath, TenantHeader),
    responses(
        (status = 200, description = "It is cancelled; the same id is echoed.", body = CancelCallbackResponse),
        WorkRefusals,
        OneRefusals,
    ),
)]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (id, tenant) = (path_id(id)?, asked.tenant);
    asked.who.must_see(&shared, asked.tenant, id).await?;
    shared.door.desk.cancel(tenant, id, asked.who.canceller()).await.map_err(|error| match error {
        CancelError::NotCancellable(state) => {
            Problem::new(Kind::Conflict, format!("A callback in state {state} cannot be cancelled."))
        }
        CancelError::Unserved(unserved) => unserved.into(),
    })?;
    Ok(reply::success(asked.context.corr_id(), CallbackRef { id }))
}
