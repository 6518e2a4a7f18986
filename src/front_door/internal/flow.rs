//! What a flow engine asks about callbacks: one with everything of it, data laid over its own, how full a queue is.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::callback::{Callback, Options, State as CallbackState};
use domain::ids::CallbackId;
use domain::ports::{Details, FlowView, Unserved, WatermarkError};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoResponses, ToSchema};

use super::call_in::{free_data, raw};
use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals, path_id};
use super::parameters::{CallbackPath, TenantHeader};
use crate::front_door::engagement::schemas::{CallbackRef, CancelCallbackResponse, ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::flow::attached;
use crate::front_door::wire::time::Stamp;

/// A callback with everything that came with it, but for the devices to notify.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FlowCallback {
    #[schema(value_type = String, format = Uuid)]
    id: CallbackId,
    /// Its queue.
    service_name: String,
    phone_number: String,
    #[schema(value_type = String, format = DateTime)]
    desired_time: Stamp,
    /// When it is given up.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Stamp,
    #[schema(schema_with = state)]
    callback_state: &'static str,
    /// Why it ended. Present in state COMPLETED only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<String>,
    /// Highest attempt begun; 0 if none was.
    attempt: u32,
    /// Routing's session that was granted the attempt.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The rarer members of the booking, by their names in it.
    #[schema(schema_with = free_data)]
    options: Options,
    /// What was sent along or attached since.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
}

fn state() -> Schema {
    let names = CallbackState::ALL.map(CallbackState::name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// Answer to the question for a callback.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct FlowCallbackResponse {
    status: SuccessStatus,
    data: FlowCallback,
}

/// Data to attach.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct AttachRequest {
    /// Each member takes the place of the one of its name; the empty text takes that one away. Members whose names are
    /// not valid JavaScript identifiers are dropped without an error.
    #[schema(rename = "userData", schema_with = free_data, required = true)]
    user_data: (),
}

/// How full a queue is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WatermarkData {
    /// The queue, by its own name.
    queue: String,
    /// Callbacks waiting, dialling or routing: those below together.
    active: u64,
    /// Waiting in the queue, or being dialled. Counted up to 10,000.
    waiting: u64,
    /// With the customer on the line. Counted up to 10,000.
    routing: u64,
}

/// Answer to the question how full a queue is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct WatermarkResponse {
    status: SuccessStatus,
    data: WatermarkData,
}

/// Refusals of operations on one callback that do not depend on its state.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum CallbackRefusals {
    /// No such callback in this tenant, or no such tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
}

fn shown(view: FlowView) -> Result<FlowCallback, Problem> {
    let FlowView { callback, details: Details { options, user_data } } = view;
    let Callback { id, queue, phone, desired_time, expires_at, state, reason, attempt, session, .. } = callback;
    Ok(FlowCallback {
        id,
        service_name: queue.into(),
        phone_number: phone.e164(),
        desired_time: Stamp(desired_time),
        expires_at: Stamp(expires_at),
        callback_state: state.name(),
        callback_reason: reason.map(|reason| reason.as_str().to_owned()),
        attempt,
        session_id: session.map(Into::into),
        // Addresses of devices are for the notifier alone.
        options: Options { push_targets: Vec::new(), ..options },
        user_data: raw(user_data)?,
    })
}

/// Read a callback with everything that came with it.
#[utoipa::path(
    get, path = "/ges/v1/callbacks/{id}", tag = "Internal",
    params(CallbackPath, TenantHeader),
    responses(
        (status = 200, description = "The callback.", body = FlowCallbackResponse),
        WorkRefusals,
        CallbackRefusals,
    ),
)]
pub(crate) async fn callback(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let view = shared.door.flow.callback(asked.tenant, path_id(id)?).await?;
    if !asked.who.sees(view.callback.queue.as_str()) {
        return Err(Unserved::NotFound.into());
    }
    Ok(reply::success(asked.context.corr_id(), shown(view)?))
}

/// Attach data to a callback.
///
/// It is laid over what is there, member by member; all of it together may have 1 MiB. A 200 is durable, and
/// repeating a request does no harm.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/{id}/user-data", tag = "Internal",
    params(CallbackPath, TenantHeader),
    request_body(content = AttachRequest, example = json!({"userData": {"disposition": "sold", "draft": ""}})),
    responses(
        (status = 200, description = "Attached; the same id is echoed.", body = CancelCallbackResponse),
        WorkRefusals,
        CallbackRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn attach(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (Asked { context, tenant, .. }, body) = Asked::with_json(&shared, request).await?;
    let id = path_id(id)?;
    let data = attached(&body.bytes)?;
    drop(body);
    shared.door.flow.attach(tenant, id, data).await?;
    Ok(reply::success(context.corr_id(), CallbackRef { id }))
}

/// How many callbacks of a queue are on their way to an agent, to stop offering more when there are too many.
#[utoipa::path(
    get, path = "/ges/v1/queues/{name}/watermark", tag = "Internal",
    params(
        ("name" = String, Path, description = "The queue, by its name or an alias."),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "Its callbacks.", body = WatermarkResponse),
        WorkRefusals,
        TenantRefusals,
    ),
)]
pub(crate) async fn watermark(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let Ok(Path(name)) = name else {
        return Err(Problem::new(Kind::NotFound, "The name in the path names no queue."));
    };
    if !asked.who.sees(&name) {
        return Err(WatermarkError::UnknownQueue.into());
    }
    let watermark = shared.door.flow.watermark(asked.tenant, &name).await?;
    let (waiting, routing) = (watermark.active.waiting, watermark.active.routing);
    let data = WatermarkData { queue: watermark.queue.into(), active: waiting + routing, waiting, routing };
    Ok(reply::success(asked.context.corr_id(), data))
}
