//! Finding callbacks. What is looked for stands in the body, so that no phone number ends up in a log of URLs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::access::Permission;
use domain::callback::Callback;
use domain::ids::CallbackId;
use domain::ports::{Found, SearchError};
use domain::search::Operand;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals};
use super::parameters::TenantHeader;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::search::{self as wire, SearchRequest};
use crate::front_door::wire::time::Stamp;

fn state() -> ObjectBuilder {
    let names = domain::callback::State::ALL.map(domain::callback::State::name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}

fn one_state() -> Schema {
    state().into()
}

fn state_list() -> Schema {
    ArrayBuilder::new().items(state()).description(Some("In one of these states.")).into()
}

fn queue_list() -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let text =
        "In one of these queues, by name or alias. A name that the settings do not know finds what was left in it.";
    ArrayBuilder::new().items(name).max_items(Some(100)).description(Some(text)).into()
}

fn wanted_members() -> Schema {
    let value = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(255)))
        .item(ObjectBuilder::new().schema_type(Type::Number))
        .item(ObjectBuilder::new().schema_type(Type::Boolean))
        .build();
    let text = "With these members of userData, compared as text: text as it is, all else as JSON has it.";
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .max_properties(Some(10))
        .additional_properties(Some(AdditionalProperties::RefOr(Schema::OneOf(value).into())))
        .description(Some(text))
        .into()
}

fn operands() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Operand::ALL.map(Operand::name)))
        .description(Some("With all of `properties`, or with one of them. AND if absent."))
        .into()
}

/// Which callbacks are wanted. A filter that is left out, or empty, admits all.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct CallbackSearch {
    #[schema(schema_with = queue_list, required = false)]
    queues: (),
    #[schema(schema_with = state_list, required = false)]
    states: (),
    /// Wanted (`desiredTime`) at this time or later. UTC if it says nothing else.
    #[schema(nullable = false, max_length = 64)]
    from: Option<String>,
    /// Wanted before this time.
    #[schema(nullable = false, max_length = 64)]
    to: Option<String>,
    /// Of this number, as people write it, in the regions of the queues.
    #[schema(nullable = false, max_length = 64)]
    phone_number: Option<String>,
    #[schema(schema_with = wanted_members, required = false)]
    properties: (),
    #[schema(schema_with = operands, required = false)]
    operand: (),
    /// `-created`, the last booked first, if absent; else `created`.
    #[schema(nullable = false, pattern = "^-?created$")]
    sort: Option<String>,
    /// 1 to 1,000; 100 if absent.
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// `nextCursor` of the page before, which was asked for alike.
    #[schema(nullable = false, format = Uuid)]
    cursor: Option<String>,
    /// Whether phone numbers are shown whole. Otherwise only their last two digits are.
    #[schema(nullable = false)]
    show_numbers: Option<bool>,
}

/// A callback that was found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoundEntry {
    #[schema(value_type = String, format = Uuid)]
    id: CallbackId,
    /// Its queue.
    service_name: String,
    /// With all but the last two digits hidden, unless `showNumbers` was asked for.
    phone_number: String,
    #[schema(value_type = String, format = DateTime)]
    desired_time: Stamp,
    #[schema(schema_with = one_state)]
    callback_state: &'static str,
    /// Why it ended. Present in state COMPLETED only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<String>,
    /// When it ended.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Stamp>,
    /// Highest attempt begun; 0 if none was.
    attempt: u32,
}

/// Some of the callbacks that are wanted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoundList {
    #[schema(inline)]
    callbacks: Vec<FoundEntry>,
    /// Where to go on; absent once everything was looked at.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<CallbackId>,
}

/// Answer to a search.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CallbackSearchResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: FoundList,
}

fn entry(callback: Callback, shows_numbers: bool) -> FoundEntry {
    FoundEntry {
        id: callback.id,
        service_name: callback.queue.into(),
        // As a number is shown wherever nobody asked for it.
        phone_number: if shows_numbers { callback.phone.e164() } else { callback.phone.to_string() },
        desired_time: Stamp(callback.desired_time),
        callback_state: callback.state.name(),
        callback_reason: callback.reason.map(|reason| reason.as_str().to_owned()),
        ended_at: callback.ended_at.map(Stamp),
        attempt: callback.attempt,
    }
}

/// Find callbacks by queue, state, desired time, number and members of user data.
///
/// A page may be short, even empty, and have a `nextCursor`: so many callbacks are looked at for one and no more. What
/// waits under a number, and what is QUEUED or ROUTING, is found at once; everything else is looked through in the order
/// of booking.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/search", tag = "Internal", operation_id = "searchCallbacks",
    params(TenantHeader),
    request_body(
        content = CallbackSearch,
        example = json!({"queues": ["support"], "states": ["SCHEDULED", "QUEUED"], "properties": {"topic": "billing"}})
    ),
    responses(
        (status = 200, description = "Callbacks, and where to go on.", body = CallbackSearchResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn search(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (asked, body) = Asked::with_json(&shared, request).await?;
    let SearchRequest { mut named, search, shows_numbers } = wire::search(&body.bytes)?;
    if shows_numbers {
        asked.who.needs(&shared, Permission::CallbacksExport)?;
    }
    if let Some(seen) = asked.who.limited_to() {
        let anywhere = named.queues.is_empty();
        let all = || seen.iter().map(ToString::to_string).collect();
        named.queues =
            if anywhere { all() } else { named.queues.into_iter().filter(|name| asked.who.sees(name)).collect() };
        if named.queues.is_empty() {
            // No queue at all would mean every queue.
            return Ok(reply::success(asked.context.corr_id(), FoundList { callbacks: Vec::new(), next_cursor: None }));
        }
    }
    let found = shared.door.search.search(asked.tenant, named, search).await;
    let Found { callbacks, next } = found.map_err(|error| match error {
        SearchError::NotANumber => Problem::bad("phoneNumber", "must be a phone number"),
        SearchError::Unserved(unserved) => unserved.into(),
    })?;
    let callbacks = callbacks.into_iter().map(|callback| entry(callback, shows_numbers)).collect();
    Ok(reply::success(asked.context.corr_id(), FoundList { callbacks, next_cursor: next }))
}
