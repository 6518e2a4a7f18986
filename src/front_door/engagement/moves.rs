//! Hold a place, move a callback, make one once more. Our own additions: the product's API has none of them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::callback::Idempotency;
use domain::keys::Scope;
use domain::ports::{Recreation, Unserved};

use super::callbacks::{booked, idempotency};
use super::schemas::moves::{
    HoldData, HoldIdRequest, HoldRef, HoldRequest, HoldResponse, NoPlaceResponse, PlaceRefusals, RecreateRequest,
    ReleaseHoldResponse, RescheduleRequest, RescheduleResponse, Rescheduled,
};
use super::schemas::{
    CallbackRefusals, CreateCallbackResponse, IdempotencyRefusals, Refusals, Throttling, example_status,
};
use super::{Entered, enter, enter_anew};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::front_door::wire::{moves, short_hash};
use crate::front_door::{rates, reply};

/// Hold a place of a service at a time, while a form is filled in.
///
/// The place counts as taken until `expiresAt` (`holdSeconds` of the service). A booking that names the hold as
/// `holdId`, with the same service and a `desiredTime` in the same slot, takes it over: once. A 200 is durable. Our own
/// addition to the product's API.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/holds",
    operation_id = "holdPlace",
    tag = "Callbacks",
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters, chosen by the client for each hold it means to make once.",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$",
    )),
    request_body(
        content = HoldRequest,
        example = json!({"serviceName": "support", "desiredTime": "2030-03-04T15:30:00.000Z"})
    ),
    responses(
        (status = 200, description = "The place is held.", body = HoldResponse,
            example = json!({
                "status": example_status(),
                "data": {
                    "id": "0192f0a0-1c5e-7b0f-9f53-7d5d2b0f6a77",
                    "slot": "2030-03-04T15:30:00.000Z",
                    "desiredTime": "2030-03-04T15:30:00.000Z",
                    "expiresAt": "2030-03-04T12:05:00.000Z"
                }
            })),
        IdempotencyRefusals,
        (status = 429, description = "The slot has no place left (then `data.slots` proposes others), or too many places \
                                      are held, or the caller is being throttled (then `data` is absent).",
            body = NoPlaceResponse,
            headers(("Retry-After" = u32, description = "Seconds to wait. Not sent for a full slot."))),
        Refusals,
    ),
)]
pub(crate) async fn hold(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, headers, body } = enter_anew(&shared, request, Scope::CallbacksWrite).await?;
    let idempotency = idempotency(&headers, &body.bytes)?;
    let new = moves::new_hold(&body.bytes, idempotency)?;
    let held = shared.door.moves.hold(caller.tenant, new).await;
    let now = shared.door.clock.now();
    let held = held.map_err(|error| Problem::hold(error, idempotency.is_some(), now))?;
    let data = HoldData {
        id: held.id,
        slot: Stamp(held.slot),
        desired_time: Stamp(held.desired_time),
        expires_at: Stamp(held.expires_at),
    };
    Ok(reply::success(context.corr_id(), data))
}

/// Give a held place up early.
///
/// 404 if there is no such hold any more: then no place is held under this id either. Our own addition to the product's
/// API.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/holds/release",
    operation_id = "releasePlace",
    tag = "Callbacks",
    request_body(content = HoldIdRequest, example = json!({"id": "0192f0a0-1c5e-7b0f-9f53-7d5d2b0f6a77"})),
    responses(
        (status = 200, description = "The place is free; the same id is echoed.", body = ReleaseHoldResponse,
            example = json!({
                "status": example_status(),
                "data": {"id": "0192f0a0-1c5e-7b0f-9f53-7d5d2b0f6a77"}
            })),
        Refusals,
        CallbackRefusals,
        Throttling,
    ),
)]
pub(crate) async fn release(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, body, .. } = enter(&shared, request, Scope::CallbacksWrite).await?;
    let id = moves::hold_id(&body.bytes)?;
    shared.door.moves.release(caller.tenant, id).await.map_err(|error| match error {
        Unserved::NotFound => Problem::new(Kind::NotFound, "Hold not found: unknown, used, given up, or over."),
        other => other.into(),
    })?;
    Ok(reply::success(context.corr_id(), HoldRef { id }))
}

/// Move a scheduled callback to another time.
///
/// The place in the new slot is taken and the old one given back in one step; within a slot the place stays. The rules
/// for the time are those of a booking. Refused, everything stays as it was. Moving it to the time that it has already
/// answers 200, so a request whose answer got lost may be repeated. Our own addition to the product's API.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/reschedule",
    operation_id = "rescheduleCallback",
    tag = "Callbacks",
    request_body(
        content = RescheduleRequest,
        example = json!({"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10", "desiredTime": "2030-03-04T16:30:00.000Z"})
    ),
    responses(
        (status = 200, description = "It is wanted at that time now.", body = RescheduleResponse,
            example = json!({
                "status": example_status(),
                "data": {"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10", "desiredTime": "2030-03-04T16:30:00.000Z"}
            })),
        CallbackRefusals,
        PlaceRefusals,
        Refusals,
    ),
)]
pub(crate) async fn reschedule(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, body, .. } = enter_anew(&shared, request, Scope::CallbacksWrite).await?;
    let (id, desired_time) = moves::reschedule(&body.bytes)?;
    shared.door.moves.reschedule(caller.tenant, id, desired_time).await?;
    Ok(reply::success(context.corr_id(), Rescheduled { id, desired_time: Stamp(desired_time) }))
}

/// Make a callback that has ended once more, now or at a time.
///
/// A new callback is booked with the service, number, user data and all else of the old one, by the rules of a booking;
/// the old one stays as it is. Our own addition to the product's API, whose web page can do it.
#[utoipa::path(
    post,
    path = "/engagement/v3/callbacks/recreate",
    operation_id = "recreateCallback",
    tag = "Callbacks",
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 visible ASCII characters, chosen by the client for each callback it means to make once.",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$",
    )),
    request_body(
        content = RecreateRequest,
        examples(
            ("now" = (value = json!({"id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10"}))),
            ("scheduled" = (value = json!({
                "id": "0d2c7d5a-6d55-4b0c-8a5e-1f7c2a9b3e10", "desiredTime": "2030-03-04T16:30:00.000Z"
            }))),
        )
    ),
    responses(
        (status = 200, description = "The new callback's id is in `data.id`.", body = CreateCallbackResponse,
            headers(
                ("Idempotency-Status" = String, description = "`replayed`: the same Idempotency-Key was answered so before."),
                ("Duplicate-Status" = String, description = "As with a booking."),
            ),
            example = json!({
                "status": example_status(),
                "data": {"id": "6e0b1d0d-1b5e-4b0f-9f53-7d5d2b0f6a77"}
            })),
        CallbackRefusals,
        IdempotencyRefusals,
        PlaceRefusals,
        Refusals,
    ),
)]
pub(crate) async fn recreate(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, headers, body } = enter_anew(&shared, request, Scope::CallbacksWrite).await?;
    let idempotency = idempotency(&headers, &body.bytes)?.map(apart_from_create);
    let (id, again) = moves::recreation(&body.bytes, idempotency)?;
    let again = Recreation { counted_headers: rates::counted(&shared, caller.tenant, &headers), ..again };
    let made = shared.door.moves.recreate(caller.tenant, id, again).await;
    let now = shared.door.clock.now();
    let made = made.map_err(|error| Problem::recreate(error, idempotency.is_some(), now))?;
    Ok(booked(context.corr_id(), made))
}

/// The same key for another operation is another key.
fn apart_from_create(idempotency: Idempotency) -> Idempotency {
    Idempotency { key: short_hash(&[b"recreate".as_slice(), &idempotency.key].concat()), ..idempotency }
}
