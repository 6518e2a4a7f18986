//! Create, cancel and retrieve callbacks.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::callback::{Canceller, Idempotency, Live, NewCallback, State as CallbackState};
use domain::ids::{CorrelationId, TenantId};
use domain::keys::Scope;
use domain::ports::{CallbackView, How, Submitted};
use http::{HeaderMap, HeaderValue};

use super::schemas::{
    CallbackData, CallbackIdRequest, CallbackRef, CallbackRefusals, CancelCallbackResponse, CreateCallback429Response,
    CreateCallbackRequest, CreateCallbackResponse, ErrorResponse, GetCallbackResponse, IdempotencyRefusals, Refusals,
    Throttling, example_status,
};
use super::{Entered, enter, enter_anew};
use crate::front_door::error::Problem;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::front_door::wire::{self, create::new_callback, short_hash};
use crate::front_door::{rates, reply};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Longest `Idempotency-Key` in characters.
pub(crate) const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// Book an immediate or a scheduled callback.
///
/// Without `desiredTime` the callback is immediate: it joins the callback queue at once. With `desiredTime` it is
/// scheduled, and the slot that contains that instant is checked for capacity; if it is full, the answer is 429
/// with other slots in `data.slots`. A 200 is durable. The same `Idempotency-Key` with the same body books once
/// within 24 hours.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/create",
    operation_id = "bookCallbackExternal",
    tag = "Callbacks",
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters, chosen by the client for each booking it means to make once.",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$",
    )),
    request_body(
        content = CreateCallbackRequest,
        examples(
            ("immediate" = (value = json!({"serviceName": "support", "phoneNumber": "+14165550101"}))),
            ("scheduled" = (value = json!({
                "serviceName": "support",
                "phoneNumber": "+14165550101",
                "desiredTime": "2030-03-04T15:30:00.000Z",
                "userData": {"topic": "billing", "tier": 2}
            }))),
            ("generatedClientDefaults" = (
                summary = "What generated clients send when only the two required members are set.",
                value = json!({
                    "serviceName": "support",
                    "phoneNumber": "+14165550101",
                    "cbOfferType": "ASAP unless a time was asked for, else SCHEDULED (prose, not a token)",
                    "language": "en-US"
                })
            )),
        )
    ),
    responses(
        (status = 200, description = "Callback accepted; its id is in `data.id`.", body = CreateCallbackResponse,
            headers(
                ("Idempotency-Status" = String, description = "`replayed`: the same Idempotency-Key was answered so before."),
                ("Duplicate-Status" = String, description = "The number waited already. `existing`: nothing was booked, the \
                                                             id is that of the callback that waits. `replaced`: it was \
                                                             booked, and the oldest one that waited has ended."),
            ),
            example = json!({
                "status": example_status(),
                "data": {"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"}
            })),
        (status = 404, description = "What this `Idempotency-Key` had made has been erased.", body = ErrorResponse),
        IdempotencyRefusals,
        (status = 429, description = "The slot has no place left (then `data.slots` proposes others), or the caller is \
                                      being throttled (then `data` is absent).",
            body = CreateCallback429Response,
            headers(("Retry-After" = u32, description = "Seconds to wait. Sent for throttling only.")),
            example = json!({
                "status": {
                    "code": 7043,
                    "message": "No capacity is left at the requested time.",
                    "corrId": "2c2f4a35-4b7e-4a2a-9c38-93d6a5fc9b02"
                },
                "data": {"slots": {"2030-03-04T16:00:00.000Z": "3", "2030-03-04T16:30:00.000Z": "5"}}
            })),
        Refusals,
    ),
)]
pub(crate) async fn create(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, headers, body } = enter_anew(&shared, request, Scope::CallbacksWrite).await?;
    let new = read_booking(&shared, caller.tenant, &headers, &body.bytes)?;
    let has_key = new.idempotency.is_some();
    // The text of the request is no longer needed while the booking is being kept.
    drop(body);
    let kept = shared.door.desk.submit(caller.tenant, new).await;
    let now = shared.door.clock.now();
    let submitted = kept.map_err(|error| Problem::submit(error, has_key, now))?;
    Ok(booked(context.corr_id(), submitted))
}

/// The answer that names a booked callback.
pub(super) fn booked(corr_id: CorrelationId, Submitted { id, how }: Submitted) -> Response {
    let mut response = reply::success(corr_id, CallbackRef { id });
    if let Some((name, value)) = told(how) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Reads a booking out of a request.
pub(crate) fn read_booking(
    shared: &Shared,
    tenant: TenantId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<NewCallback, Problem> {
    let new = new_callback(body, idempotency(headers, body)?)?;
    Ok(NewCallback { counted_headers: rates::counted(shared, tenant, headers), ..new })
}

/// The header that says why the answer names this callback, unless it is simply the one that was booked.
const fn told(how: How) -> Option<(&'static str, &'static str)> {
    match how {
        How::Booked => None,
        How::Replayed => Some(("idempotency-status", "replayed")),
        How::Existing => Some(("duplicate-status", "existing")),
        How::Replaced => Some(("duplicate-status", "replaced")),
    }
}

/// Cancel a callback by its id.
///
/// Cancelling again what was cancelled answers 200 again. The id is in the body, not in the path, so that it does
/// not end up in access logs.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/cancel",
    operation_id = "cancelCallback",
    tag = "Callbacks",
    request_body(content = CallbackIdRequest, example = json!({"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"})),
    responses(
        (status = 200, description = "Callback cancelled; the same id is echoed.", body = CancelCallbackResponse,
            example = json!({
                "status": example_status(),
                "data": {"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"}
            })),
        Refusals,
        CallbackRefusals,
        Throttling,
    ),
)]
pub(crate) async fn cancel(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, body, .. } = enter(&shared, request, Scope::CallbacksWrite).await?;
    let id = wire::callback_id(&body.bytes)?;
    shared.door.desk.cancel(caller.tenant, id, Canceller::Api).await?;
    Ok(reply::success(context.corr_id(), CallbackRef { id }))
}

/// Read the current state of a callback by its id.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/retrieve",
    operation_id = "queryCallbackById",
    tag = "Callbacks",
    request_body(content = CallbackIdRequest, example = json!({"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"})),
    responses(
        (status = 200, description = "The callback.", body = GetCallbackResponse,
            examples(
                ("scheduled" = (value = json!({
                    "status": example_status(),
                    "data": {
                        "id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10",
                        "desiredTime": "2030-03-04T15:30:00.000Z",
                        "callbackState": "SCHEDULED",
                        "phoneNumber": "+14165550101"
                    }
                }))),
                ("queued" = (value = json!({
                    "status": example_status(),
                    "data": {
                        "id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10",
                        "desiredTime": "2030-03-04T15:30:00.000Z",
                        "callbackState": "QUEUED",
                        "phoneNumber": "+14165550101",
                        "positionInQueue": 4,
                        "estimatedWaitTime": 310
                    }
                }))),
                ("completed" = (value = json!({
                    "status": example_status(),
                    "data": {
                        "id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10",
                        "desiredTime": "2030-03-04T15:30:00.000Z",
                        "callbackState": "COMPLETED",
                        "callbackReason": "AGENT_CONNECTED",
                        "phoneNumber": "+14165550101"
                    }
                }))),
            )),
        Refusals,
        CallbackRefusals,
        Throttling,
    ),
)]
pub(crate) async fn retrieve(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, body, .. } = enter(&shared, request, Scope::CallbacksRead).await?;
    let id = wire::callback_id(&body.bytes)?;
    let view = shared.door.desk.retrieve(caller.tenant, id).await?;
    Ok(reply::success(context.corr_id(), shown(&view)))
}

/// A callback as the contract shows it: live values in active states only (−1 if unknown), the reason in
/// COMPLETED only.
fn shown(view: &CallbackView) -> CallbackData<'_> {
    let live = view.state.is_active().then(|| view.live.unwrap_or(Live::UNKNOWN));
    CallbackData {
        id: view.id,
        desired_time: Stamp(view.desired_time),
        callback_state: view.state.name(),
        callback_reason: view.reason.as_ref().filter(|_| view.state == CallbackState::Completed).map(|it| it.as_str()),
        phone_number: view.phone.e164(),
        position_in_queue: live.map(|live| live.position),
        estimated_wait_time: live.map(|live| live.estimated_wait_seconds),
    }
}

/// What makes a repetition recognisable: hashes, because neither the key nor the body is kept.
pub(crate) fn idempotency(headers: &HeaderMap, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.as_bytes();
    if !(1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::bad("Idempotency-Key", "must have 1 to 255 visible ASCII characters"));
    }
    Ok(Some(Idempotency { key: short_hash(key), body: short_hash(body) }))
}
