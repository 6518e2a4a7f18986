//! Explanations: what a booking would come to and which rule decides, and why a callback waits.

mod bookings;
mod lives;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bookings::{Booking, CheckEntry, ExplainResponse, Explanation, Verdict};
use lives::{Life, StoryResponse};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals, path_id};
use super::parameters::{CallbackPath, TenantHeader};
use crate::front_door::body::Media;
use crate::front_door::engagement::callbacks::read_booking;
use crate::front_door::engagement::schemas::CreateCallbackRequest;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;

/// The operations of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(story))
}

/// Say what a booking would come to, and which rule decides.
///
/// The body is that of a booking, the answer the same for the same tenant and moment: `data.verdict` holds status, code
/// and message that the booking would get. Nothing is booked, no place is taken, no key is remembered, no captcha
/// provider is asked, and nothing is counted. Key, scope and rate of a caller are not judged.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/explain", tag = "Internal", operation_id = "explainBooking",
    params(
        TenantHeader,
        ("Idempotency-Key" = Option<String>, Header, description = "As the booking would bring it.",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(
        content = CreateCallbackRequest,
        example = json!({"serviceName": "support", "phoneNumber": "+14165550101"})
    ),
    responses(
        (status = 200, description = "Every check in its order, and the verdict.", body = ExplainResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn explain(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let read = asked.body(&shared, Media::Json).await;
    let Asked { context, tenant, headers, who, .. } = asked;
    let mut new = match read.and_then(|body| read_booking(&shared, tenant, &headers, &body.bytes)) {
        Ok(new) => new,
        // A booking would get the same answer. What is the fault of this very request is not explained but refused.
        Err(problem) if matches!(problem.kind, Kind::BadParameter | Kind::TooLong | Kind::WrongType) => {
            let at = shared.door.clock.now();
            return Ok(reply::success(context.corr_id(), Explanation::of_body(&problem, at)));
        }
        Err(problem) => return Err(problem),
    };
    let has_key = new.idempotency.is_some();
    if !who.sees(&new.service_name) {
        // A queue that is not there for the user is explained as one that is not there at all.
        new.service_name.clear();
    }
    let explained = shared.door.explain.explain(tenant, new).await?;
    let refused = explained.explanation.verdict.clone().err();
    let problem = refused.map(|refused| Problem::submit(refused, has_key, explained.at));
    let data = Explanation {
        accepted: problem.is_none(),
        verdict: Verdict::of(problem.as_ref()),
        booking: explained.explanation.verdict.as_ref().ok().map(Booking::from),
        checks: explained.explanation.checks.iter().map(|check| CheckEntry::of(check, &explained, &problem)).collect(),
        at: Stamp(explained.at),
    };
    Ok(reply::success(context.corr_id(), data))
}

/// Say why a callback waits and when next, and what has happened to it.
///
/// `waiting.why` is one of: `time` (it is not due), `opening` (its queue is closed), `node` (it is due, and a node takes
/// it up within moments), `place` (as many attempts of its queue are with routing as may be), `retry` (the pause before
/// the next attempt), `grant` (routing was invited and has not asked for the attempt), `customerCall` (the customer was
/// told to call in), `agent`, `customer` (an agent is reserved), `conversation`, `parked` (set aside for an operator),
/// `owed` (it has ended, and routing has still to be told) and `ended`.
#[utoipa::path(
    get, path = "/ges/v1/callbacks/{id}/explain", tag = "Internal", operation_id = "explainCallback",
    params(CallbackPath, TenantHeader),
    responses(
        (status = 200, description = "What it waits for, where it is, and its steps.", body = StoryResponse),
        WorkRefusals,
        TenantRefusals,
    ),
)]
pub(crate) async fn story(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let id = path_id(id)?;
    asked.who.must_see(&shared, asked.tenant, id).await?;
    let story = shared.door.explain.story(asked.tenant, id).await?;
    Ok(reply::success(asked.context.corr_id(), Life::from(&story)))
}
