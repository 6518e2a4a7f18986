//! Call-ins inside: what the flow engine asks when a customer calls, and what operators see and withdraw.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::access::Permission;
use domain::call_in::{CallIn, Criteria, Criterion, State as CallInState};
use domain::ids::{CallInId, CallbackId};
use domain::numbers::PhoneNumber;
use domain::ports::{CallInPage, Matched};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{IntoResponses, ToSchema};

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals, path_id};
use super::parameters::{PageLimit, TenantHeader};
use crate::front_door::engagement::callbacks::idempotency;
use crate::front_door::engagement::schemas::{ErrorResponse, IdempotencyRefusals, SuccessStatus, example_status};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::call_in::{call_in_query, incoming_call};
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;

/// What a call brings; at least one of `accessCode`, `ani` and `dnis`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct MatchRequest {
    /// Looks at requests of this group alone.
    #[schema(nullable = false, max_length = 255)]
    group_name: Option<String>,
    #[schema(schema_with = typed_code, required = false)]
    access_code: (),
    /// Number that called. A text that is no number counts as withheld.
    #[schema(nullable = false, max_length = 64)]
    ani: Option<String>,
    /// Number that was dialled.
    #[schema(nullable = false, max_length = 64)]
    dnis: Option<String>,
}

fn typed_code() -> Schema {
    utoipa::openapi::OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(64)))
        .item(ObjectBuilder::new().schema_type(Type::Number))
        .description(Some("What the caller entered, as text or as a number."))
        .into()
}

/// A call-in request, shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallInRecord {
    #[schema(value_type = String, format = Uuid)]
    id: CallInId,
    #[schema(schema_with = state)]
    state: &'static str,
    group_name: String,
    /// Number to dial.
    to_phone_number: String,
    /// Number that the customer said to call from. Users without `callbacks.export` see its last two digits only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_phone_number: Option<String>,
    /// The callback that it is tied to.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_service_id: Option<CallbackId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Stamp,
    /// From when on it is void.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Stamp,
    /// When it was matched or cancelled.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Stamp>,
    /// What it was recognised by; there in state MATCHED.
    #[schema(schema_with = criteria, required = false)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    criteria: Vec<&'static str>,
}

fn state() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(CallInState::ALL.map(CallInState::name))).into()
}

fn criteria() -> Schema {
    let names = Criterion::ALL.map(Criterion::name);
    ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))).into()
}

/// Free data as it was sent.
pub(super) fn free_data() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .description(Some("What was sent along."))
        .into()
}

/// What becomes of a call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MatchData {
    /// Whether the call is a request's. That request is matched from now on and will match no other call.
    matched: bool,
    /// Which criteria fit it. Without a match `dnis` alone may stand here: requests wait on the number dialled, but
    /// what else the call brought says that it is none of theirs.
    #[schema(schema_with = criteria)]
    criteria: Vec<&'static str>,
    /// The request, if one matched.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    call_in: Option<CallInRecord>,
    /// What its customer sent along.
    #[schema(schema_with = free_data, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<Box<RawValue>>,
}

/// Answer to a match.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct MatchResponse {
    status: SuccessStatus,
    data: MatchData,
}

/// Some of the requests that were asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CallInList {
    requests: Vec<CallInRecord>,
    /// How many there are in all, of those that were looked at.
    total: u64,
    /// False if there are so many requests that not all were looked at: then `total` is a lower bound.
    total_is_complete: bool,
    /// Where to go on; absent on the last page.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<CallInId>,
}

/// Answer to the question which requests there are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CallInListResponse {
    status: SuccessStatus,
    data: CallInList,
}

/// A call-in request, named.
#[derive(Serialize, ToSchema)]
struct CallInRef {
    #[schema(value_type = String, format = Uuid)]
    id: CallInId,
}

/// Answer to a cancel.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CallInCancelResponse {
    status: SuccessStatus,
    data: CallInRef,
}

/// Refusals of a cancel.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum CancelRefusals {
    /// No such request in this tenant, or no such tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
    /// It has been matched, or its time is over.
    #[response(status = 409)]
    Conflict(ErrorResponse),
}

/// How callers' numbers are told.
#[derive(Clone, Copy)]
enum Numbers {
    Whole,
    /// With all but the last two digits hidden.
    Masked,
}

fn names(criteria: Criteria) -> Vec<&'static str> {
    criteria.each().map(Criterion::name).collect()
}

fn record(call_in: CallIn, numbers: Numbers) -> CallInRecord {
    let shown = |number: PhoneNumber| match numbers {
        Numbers::Whole => number.e164(),
        Numbers::Masked => number.to_string(),
    };
    CallInRecord {
        id: call_in.id,
        state: call_in.state.name(),
        group_name: call_in.group.into(),
        to_phone_number: call_in.number.e164(),
        from_phone_number: call_in.caller.map(shown),
        callback_service_id: call_in.callback,
        created_at: Stamp(call_in.created_at),
        expires_at: Stamp(call_in.expires_at),
        ended_at: call_in.ended_at.map(Stamp),
        criteria: names(call_in.criteria),
    }
}

/// User data as it goes out.
pub(super) fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>, Problem> {
    let raw = text.map(RawValue::from_string).transpose();
    raw.map_err(|_| Problem::new(Kind::Failed, "What is stored cannot be read."))
}

/// Find the request that an incoming call belongs to.
///
/// Of the open requests that fit, the one with most fitting criteria is matched, of several the oldest; of any number
/// of calls one gets it. The number dialled alone fits only a request that nothing else the call brought speaks
/// against. A 200 is durable. With an `Idempotency-Key` a repetition gets the same request again for 24 hours.
#[utoipa::path(
    post, path = "/ges/v1/call-in/match", tag = "Internal",
    params(
        TenantHeader,
        ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the flow for each call, such as its id.",
            min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(
        content = MatchRequest,
        example = json!({"accessCode": "482913", "ani": "+14165550101", "dnis": "+18005550199"})
    ),
    responses(
        (status = 200, description = "Whether it is a request's, and whose.", body = MatchResponse,
            example = json!({
                "status": example_status(),
                "data": {
                    "matched": true,
                    "criteria": ["accessCode", "dnis"],
                    "callIn": {
                        "id": "6e0b1d0d-1b5e-4b0f-9f53-7d5d2b0f6a77",
                        "state": "MATCHED",
                        "groupName": "mobile",
                        "toPhoneNumber": "+18005550199",
                        "createdAt": "2030-03-04T15:55:00.000Z",
                        "expiresAt": "2030-03-04T16:00:00.000Z",
                        "endedAt": "2030-03-04T15:56:12.345Z",
                        "criteria": ["accessCode", "dnis"]
                    },
                    "userData": {"page": "checkout"}
                }
            })),
        IdempotencyRefusals,
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn match_call(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Asked { context, tenant, headers, .. }, body) = Asked::with_json(&shared, request).await?;
    let idempotency = idempotency(&headers, &body.bytes)?;
    let call = incoming_call(&body.bytes, idempotency)?;
    let matched = shared.door.call_ins.match_call_in(tenant, call).await;
    let data = match matched.map_err(|error| Problem::matched(error, idempotency.is_some()))? {
        Matched::Won(won) => MatchData {
            matched: true,
            criteria: names(won.call_in.criteria),
            user_data: raw(won.user_data)?,
            call_in: Some(record(won.call_in, Numbers::Whole)),
        },
        Matched::Nobody(fitting) => {
            MatchData { matched: false, criteria: names(fitting), call_in: None, user_data: None }
        }
    };
    Ok(reply::success(context.corr_id(), data))
}

/// List call-in requests.
///
/// A page may be short, even empty, and have a `nextCursor`: so many requests are looked at and no more.
#[utoipa::path(
    get, path = "/ges/v1/call-in/requests", tag = "Internal",
    params(
        TenantHeader,
        ("state" = Option<String>, Query, description = "In this state alone.",
            pattern = "^(WAITING|MATCHED|EXPIRED|CANCELLED)$"),
        ("group" = Option<String>, Query, description = "Of this group alone.", max_length = 255),
        ("ani" = Option<String>, Query, description = "Of this caller alone.", max_length = 64),
        ("sort" = Option<String>, Query, description = "`-created`, the newest first, if absent; else `created`.",
            pattern = "^-?created$"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before.", format = Uuid),
        PageLimit,
    ),
    responses(
        (status = 200, description = "Requests, and how many there are.", body = CallInListResponse),
        WorkRefusals,
        TenantRefusals,
    ),
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, tenant, who, .. } = Asked::enter(&shared, request)?;
    let (ani, query) = call_in_query(Query::new(query.as_deref()))?;
    let page = shared.door.call_ins.call_ins(tenant, ani, query).await?;
    let CallInPage { call_ins, next, total, total_is_complete } = page;
    let whole = who.needs(&shared, Permission::CallbacksExport).is_ok();
    let numbers = if whole { Numbers::Whole } else { Numbers::Masked };
    let requests = call_ins.into_iter().map(|call_in| record(call_in, numbers)).collect();
    Ok(reply::success(context.corr_id(), CallInList { requests, total, total_is_complete, next_cursor: next }))
}

/// Withdraw a call-in request. Withdrawing again what was withdrawn answers 200 again.
#[utoipa::path(
    post, path = "/ges/v1/call-in/requests/{id}/cancel", tag = "Internal",
    params(
        ("id" = String, Path, description = "The request.", format = Uuid),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "It is cancelled; the same id is echoed.", body = CallInCancelResponse),
        WorkRefusals,
        CancelRefusals,
    ),
)]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, tenant, .. } = Asked::enter(&shared, request)?;
    let id = path_id(id)?;
    shared.door.call_ins.cancel_call_in(tenant, id).await?;
    Ok(reply::success(context.corr_id(), CallInRef { id }))
}
