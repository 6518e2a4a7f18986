//! Click-to-call-in: a number to dial, and how the caller will be recognised.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::keys::Scope;

use super::callbacks::idempotency;
use super::schemas::call_in::{CallInData, CallInRequestParams, CallInResponse};
use super::schemas::{ErrorResponse, IdempotencyRefusals, Refusals, Throttling, example_status};
use super::{Entered, enter_anew};
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::call_in::new_call_in;

/// Create a click-to-call-in request and get the number to dial.
///
/// The answer names a number to dial and, if the group uses access codes, a code to enter; until `expirationTime`
/// whoever does so is recognised as this customer, once. A 200 is durable. The same `Idempotency-Key` with the same
/// body opens one request within 24 hours.
#[utoipa::path(
    post,
    path = "/engagement/v3/call-in/requests/create",
    operation_id = "callInRequests",
    tag = "CallIn",
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters, chosen by the client for each request it means to make once.",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$",
    )),
    request_body(
        content = CallInRequestParams,
        examples(
            ("basic" = (value = json!({
                "groupName": "mobile", "fromPhoneNumber": "+14165550101", "userData": {"page": "checkout"}
            }))),
            ("legacyStringUserData" = (
                summary = "Older Java clients put a JSON document in a string.",
                value = json!({"groupName": "mobile", "userData": "{}"})
            )),
        )
    ),
    responses(
        (status = 200, description = "What the caller has to dial, and until when.", body = CallInResponse,
            example = json!({
                "status": example_status(),
                "data": {
                    "id": "6e0b1d0d-1b5e-4b0f-9f53-7d5d2b0f6a77",
                    "toPhoneNumber": "+18005550199",
                    "groupName": "mobile",
                    "expirationTime": 1_898_870_400_000_i64,
                    "accessCode": 482_913,
                    "fromPhoneNumber": "+14165550101"
                }
            })),
        (status = 404, description = "What this `Idempotency-Key` had made has been erased.", body = ErrorResponse),
        IdempotencyRefusals,
        Throttling,
        Refusals,
    ),
)]
pub(crate) async fn create(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, headers, body } = enter_anew(&shared, request, Scope::CallInsWrite).await?;
    let idempotency = idempotency(&headers, &body.bytes)?;
    let new = new_call_in(&body.bytes, idempotency)?;
    // The text of the request is no longer needed while the request is being kept.
    drop(body);
    let opened = shared.door.call_ins.open_call_in(caller.tenant, new).await;
    let call_in = opened.map_err(|error| Problem::call_in(error, idempotency.is_some()))?;
    let data = CallInData {
        id: call_in.id,
        to_phone_number: call_in.number.e164(),
        group_name: call_in.group.as_str(),
        expiration_time: call_in.expires_at.timestamp_millis(),
        access_code: call_in.code,
        from_phone_number: call_in.caller.map(|caller| caller.e164()),
        callback_service_id: call_in.callback,
    };
    Ok(reply::success(context.corr_id(), data))
}
