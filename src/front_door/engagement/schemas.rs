//! The shapes of the public API: those that are written, and those that only describe what `wire` reads.

pub(crate) mod availability;
pub(crate) mod call_in;
pub(crate) mod moves;

use domain::ids::CallbackId;
use serde::Serialize;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{IntoResponses, ToSchema};

use crate::front_door::wire::time::Stamp;

/// UUID in the usual text form; the Java client throws on anything else.
fn uuid() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .pattern(Some("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"))
        .into()
}

// ------------------------------------------------------------------------------------------------- written

/// A callback, named.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallbackRef {
    #[schema(schema_with = uuid)]
    pub(crate) id: CallbackId,
}

/// A callback, shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Callback)]
pub(crate) struct CallbackData<'a> {
    #[schema(schema_with = uuid)]
    pub(crate) id: CallbackId,
    /// UTC with milliseconds and a literal Z.
    #[schema(
        value_type = String, format = DateTime,
        pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"
    )]
    pub(crate) desired_time: Stamp,
    #[schema(schema_with = callback_state)]
    pub(crate) callback_state: &'static str,
    /// Why the callback ended. Present in state COMPLETED only; an open set.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callback_reason: Option<&'a str>,
    pub(crate) phone_number: String,
    /// From 1; -1 if unknown. Present in states QUEUED, ROUTING and PROCESSING only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position_in_queue: Option<i32>,
    /// Seconds; -1 if unknown. Present in states QUEUED, ROUTING and PROCESSING only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_wait_time: Option<i32>,
}

fn callback_state() -> Schema {
    let names = domain::callback::State::ALL.map(domain::callback::State::name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

// ----------------------------------------------------------------------------------------------- described

/// The beginning of every 200.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
#[schema(rename_all = "camelCase")]
pub(crate) struct SuccessStatus {
    /// Always 0.
    #[schema(minimum = 0, maximum = 0)]
    code: i32,
    /// Always `Successful`.
    #[schema(pattern = "^Successful$")]
    message: String,
    #[schema(schema_with = uuid)]
    corr_id: String,
}

/// The beginning of every 200 in the examples.
pub(crate) fn example_status() -> serde_json::Value {
    serde_json::json!({"code": 0, "message": "Successful", "corrId": "5a0f7c1e-8f5b-4d6e-9d0c-2f1b7a3c4e55"})
}

/// The beginning of every refusal.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
#[schema(rename_all = "camelCase")]
pub(crate) struct ErrorStatus {
    /// Application code, not the HTTP status: 501 invalid parameter, 1103 missing API key, 7030 invalid number,
    /// 7036 impossible number, 7037 number not allowed, 7040 unknown service, 7041 too many requests, 7042 office closed,
    /// 7043 slot full, 409 not in a state for this, or a hold that is not there; 401, 403, 404, 405, 408, 412, 413, 415, 422, 428 and 500 as in HTTP, 500
    /// also with HTTP 503.
    #[schema(minimum = 1)]
    code: i32,
    /// Names the field and the rule.
    #[schema(min_length = 1)]
    message: String,
    #[schema(schema_with = uuid)]
    corr_id: String,
}

/// Every refusal. With `Accept: application/problem+json` the same facts come as an RFC 9457 document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ErrorResponse {
    status: ErrorStatus,
}

/// Answer to a booking.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CreateCallbackResponse {
    status: SuccessStatus,
    data: CallbackRef,
}

/// Answer to a cancel.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CancelCallbackResponse {
    status: SuccessStatus,
    data: CallbackRef,
}

/// Answer to a retrieve.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct GetCallbackResponse {
    status: SuccessStatus,
    data: CallbackData<'static>,
}

/// Refusal of a booking for want of a place, or because the caller is throttled.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CreateCallback429Response {
    status: ErrorStatus,
    #[schema(nullable = false)]
    data: Option<ProposedSlots>,
}

/// Nearest slots with places.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ProposedSlots {
    #[schema(schema_with = slots)]
    slots: (),
}

pub(crate) fn slots() -> Schema {
    let places = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$")).build();
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Start of each proposed slot, in UTC, to its free places; at most 10, ascending."))
        .additional_properties(Some(AdditionalProperties::RefOr(Schema::Object(places).into())))
        .into()
}

/// Names a callback.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct CallbackIdRequest {
    #[schema(schema_with = uuid)]
    id: String,
}

/// A booking. Unknown members are ignored; `null` counts as left out; texts must not contain U+0000.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct CreateCallbackRequest {
    /// Callback service to book on.
    #[schema(rename = "serviceName", min_length = 1, max_length = 255)]
    service_name: String,
    /// Number to call back; without a country code it is read in the region of the service.
    #[schema(rename = "phoneNumber", min_length = 1, max_length = 64)]
    phone_number: String,
    #[schema(rename = "desiredTime", schema_with = desired_time, required = false)]
    desired_time: (),
    /// What the customer was offered, for reports: ASAP, SCHEDULED or COMBINED_SCHEDULED_AND_ASAP. Anything else
    /// counts as absent, because generated clients send a whole sentence here.
    #[schema(rename = "cbOfferType", nullable = false)]
    cb_offer_type: Option<String>,
    /// Prompt language, such as en-US or fr-CA.
    #[schema(nullable = false, default = "en-US", max_length = 35)]
    language: Option<String>,
    /// Inbound virtual queue the caller would have waited in; reports.
    #[schema(rename = "inboundVQ", nullable = false, max_length = 255)]
    inbound_vq: Option<String>,
    /// Wait in seconds that led to the offer; reports.
    #[schema(rename = "offerThreshold", nullable = false, minimum = -1_000_000_000, maximum = 1_000_000_000)]
    offer_threshold: Option<f64>,
    /// Channel the request came from; reports.
    #[schema(nullable = false, max_length = 255)]
    channel: Option<String>,
    /// ON-HOURS or OFF-HOURS.
    #[schema(rename = "offerTiming", nullable = false, max_length = 255)]
    offer_timing: Option<String>,
    /// Id of the call or chat in which the callback was offered.
    #[schema(rename = "cbOriginationIxnId", nullable = false, max_length = 255)]
    cb_origination_ixn_id: Option<String>,
    /// Routing point of the survey after the call; overrides the service setting.
    #[schema(rename = "surveyRP", nullable = false, max_length = 255)]
    survey_rp: Option<String>,
    /// Initial priority in the virtual queue; overrides the service setting.
    #[schema(nullable = false, minimum = -1_000_000_000, maximum = 1_000_000_000)]
    priority: Option<f64>,
    /// Routing point of the outbound call; overrides the service setting.
    #[schema(rename = "routePoint", nullable = false, max_length = 255)]
    route_point: Option<String>,
    #[schema(rename = "userData", schema_with = user_data, required = false)]
    user_data: (),
    /// Token of the solved captcha; needed when the tenant demands one.
    #[schema(rename = "captchaToken", nullable = false, max_length = 4_096)]
    captcha_token: Option<String>,
    /// Devices to notify.
    #[schema(rename = "pushTargets", nullable = false, max_items = 10)]
    push_targets: Option<Vec<PushTarget>>,
    /// Replaced by `pushTargets` in June 2019.
    #[schema(rename = "pushChannel", nullable = false, max_length = 255)]
    #[deprecated]
    push_channel: Option<String>,
    /// Replaced by `pushTargets` in June 2019.
    #[schema(rename = "pushTarget", nullable = false, max_length = 4_096)]
    #[deprecated]
    push_target: Option<String>,
    /// When true, a callback with a `desiredTime` always counts as scheduled and is refused if its slot is not
    /// likely to serve it.
    #[schema(rename = "alwaysCheckCapacity", nullable = false, default = false)]
    always_check_capacity: Option<bool>,
    #[schema(rename = "holdId", schema_with = hold_id, required = false)]
    hold_id: (),
}

fn desired_time() -> Schema {
    time_of_day(
        "When to call: ISO 8601; seconds, fraction and offset are optional, and without an offset it is UTC. Absent, or \
         not in the future, means now. At most as many days ahead as the service takes bookings: 14, or fewer.",
    )
}

/// As [`desired_time`], where one has to be named.
fn required_time() -> Schema {
    time_of_day(
        "When to call: ISO 8601; seconds, fraction and offset are optional, and without an offset it is UTC. Not in the \
         past, and at most as many days ahead as the service takes bookings: 14, or fewer.",
    )
}

fn time_of_day(description: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(concat!(
            "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?",
            "(Z|[+-][0-9]{2}:?[0-9]{2})?$"
        )))
        .description(Some(description))
        .examples(["2030-03-04T15:30:00.000Z"])
        .into()
}

fn hold_id() -> Schema {
    match uuid() {
        Schema::Object(mut schema) => {
            schema.description = Some(
                "A held place (our addition): the booking takes it over. With it, desiredTime is required.".into(),
            );
            schema.into()
        }
        other => other,
    }
}

fn user_data() -> Schema {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)));
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("JSON text of such an object, as clients before October 2021 send it."));
    OneOfBuilder::new()
        .item(object)
        .item(text)
        .description(Some(
            "Free attached data. Members whose names are not valid JavaScript identifiers are dropped without an error. \
             Never written to logs.",
        ))
        .into()
}

/// A device to notify.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct PushTarget {
    /// `FCM`, or our own `HTTP`.
    #[schema(schema_with = push_channel)]
    channel: String,
    /// For FCM the registration token of the device; for HTTP the name of an endpoint of the tenant, or `name:whom`.
    #[schema(min_length = 1, max_length = 4_096)]
    target: String,
}

fn push_channel() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(domain::push::Receiver::CHANNELS)).into()
}

/// Refusals that every operation of the public API can answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(crate) enum Refusals {
    /// The request is malformed, names something that is not configured, or breaks a rule of the service.
    #[response(status = 400)]
    BadRequest(ErrorResponse),
    /// The API key is absent or unknown.
    #[response(status = 401)]
    Unauthorized(ErrorResponse),
    /// The key may not do this, or the request carried a tenant header from outside.
    #[response(status = 403)]
    Forbidden(ErrorResponse),
    /// The body did not arrive in time.
    #[response(status = 408)]
    TooSlow(ErrorResponse),
    /// The body is longer than the configured maximum.
    #[response(status = 413)]
    TooLong(ErrorResponse),
    /// A body that is not JSON.
    #[response(status = 415)]
    WrongType(ErrorResponse),
    /// The server, or something behind it, failed.
    #[response(status = 500)]
    Failed(ErrorResponse),
    /// The server cannot take requests now.
    #[response(status = 503, headers(("Retry-After" = u32, description = "Seconds to wait.")))]
    Busy(ErrorResponse),
}

/// Refusal of operations on one callback.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(crate) enum CallbackRefusals {
    /// No callback with that id belongs to this tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
}

/// Refusal of operations that can be made once under a key.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(crate) enum IdempotencyRefusals {
    /// `Idempotency-Key` was used before with another body.
    #[response(status = 422)]
    Reused(ErrorResponse),
}

/// Refusal of requests that come too often.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(crate) enum Throttling {
    /// The caller is being throttled.
    #[response(status = 429, headers(("Retry-After" = u32, description = "Seconds to wait.")))]
    TooManyRequests(ErrorResponse),
}
