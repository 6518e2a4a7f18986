//! Shapes of what is asked and answered about the delivery of events.

use domain::ids::CallbackId;
use domain::ports::{EndpointView, NoticeView};
use serde::Serialize;
use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::front_door::engagement::schemas::{ErrorResponse, SuccessStatus};
use crate::front_door::wire::time::Stamp;

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointEntry<'a> {
    name: &'a str,
    /// Absent if the settings name it no longer.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    /// `on`; `off`: switched off by the settings; `failed`: switched off because it failed for too long.
    #[schema(pattern = "^(on|off|failed)$")]
    state: &'static str,
    /// Since when it has failed without one success.
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Stamp>,
    /// When it was switched off because of that.
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Stamp>,
    /// Messages that it is owed, counted up to 10,000; those that wait for an earlier one about the same callback do
    /// not count.
    #[schema(minimum = 0)]
    owed: u64,
}

impl<'a> From<&'a EndpointView> for EndpointEntry<'a> {
    fn from(view: &'a EndpointView) -> Self {
        let disabled_at = view.record.as_ref().and_then(|record| record.disabled_at);
        Self {
            name: &view.name,
            url: view.url.as_deref(),
            state: match (view.disabled, disabled_at) {
                (true, _) => "off",
                (false, Some(_)) => "failed",
                (false, None) => "on",
            },
            failing_since: view.record.as_ref().and_then(|record| record.failing_since).map(Stamp),
            disabled_at: disabled_at.map(Stamp),
            owed: view.record.as_ref().map_or(0, |record| record.owed),
        }
    }
}

/// Webhook endpoints.
#[derive(Serialize, ToSchema)]
pub(super) struct EndpointList<'a> {
    pub(super) endpoints: Vec<EndpointEntry<'a>>,
}

/// Webhook endpoints of a contact centre.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(super) struct EndpointsResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: EndpointList<'static>,
}

/// What became of one message or notification.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryEntry<'a> {
    /// The event.
    #[schema(format = Uuid)]
    event_id: String,
    /// Its type.
    r#type: &'static str,
    #[schema(nullable = false, value_type = Option<String>, format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_id: Option<CallbackId>,
    /// The endpoint; absent for a notification to a customer.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    /// For a notification: which of the booking's `pushTargets`, from 0.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u8>,
    /// `owed`, `delivered`, `perhaps`, `failed`, `dropped` or `expired`.
    #[schema(pattern = "^(owed|delivered|perhaps|failed|dropped|expired)$")]
    state: &'static str,
    /// Tries since it was last owed.
    #[schema(minimum = 0)]
    attempts: u32,
    /// When it is tried next. Absent if it has ended, or waits for an earlier one about the same callback.
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Stamp>,
    /// The latest tries, oldest first.
    tries: Vec<TryEntry>,
}

/// One try.
#[derive(Serialize, ToSchema)]
pub(super) struct TryEntry {
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// What came of it.
    #[schema(example = "answered 503")]
    result: String,
}

impl<'a> From<&'a NoticeView> for DeliveryEntry<'a> {
    fn from(view: &'a NoticeView) -> Self {
        let tries = view.tries.iter().map(|(at, detail)| TryEntry { at: Stamp(*at), result: detail.words() });
        Self {
            event_id: view.happening.to_string(),
            r#type: view.kind.name(),
            callback_id: view.callback,
            endpoint: view.endpoint.as_deref(),
            target: view.endpoint.is_none().then_some(view.target),
            state: view.ending.map_or("owed", |ending| ending.name()),
            attempts: view.attempts,
            next_at: view.next_at.map(Stamp),
            tries: tries.collect(),
        }
    }
}

/// Deliveries.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryList<'a> {
    pub(super) deliveries: Vec<DeliveryEntry<'a>>,
}

/// What became of messages or notifications.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(super) struct DeliveriesResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: DeliveryList<'static>,
}

/// An event to send again.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(super) struct ResendRequest {
    #[schema(format = Uuid, max_length = 36)]
    event_id: String,
}

/// From where to recover: one of the two.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(super) struct RecoverRequest {
    /// A time.
    #[schema(nullable = false, format = DateTime, max_length = 64)]
    since: Option<String>,
    /// `next` of the answer before.
    #[schema(nullable = false, pattern = "^[0-9]{1,18}$")]
    after: Option<String>,
}

/// What an example is of.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(super) struct ExampleRequest {
    /// A type of events; `callback.created` if absent.
    #[schema(nullable = false, max_length = 64)]
    r#type: Option<String>,
}

/// A notification to send now.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(super) struct PublishRequest {
    /// `FCM` or `HTTP`.
    #[schema(pattern = "^(FCM|HTTP)$")]
    channel: String,
    /// As in a booking.
    #[schema(min_length = 1, max_length = 4_096)]
    target: String,
    /// A notification object as Firebase has it, at most 4,096 bytes.
    #[schema(value_type = Object)]
    event: String,
    /// Only find out whether it would be taken.
    #[schema(nullable = false, default = false)]
    validate_only: Option<bool>,
}

/// What has been done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    /// Messages that are owed because of it.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<u64>,
    /// There may be more: send it as `after`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// Whether the endpoint had been switched off.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<bool>,
    /// What came of the one try.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<String>,
    /// Whether it was taken.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivered: Option<bool>,
    /// The channel's own name for what it took.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<String>,
}

impl Done {
    pub(super) const NOTHING: Self =
        Self { messages: None, next: None, enabled: None, result: None, delivered: None, message_id: None };
}

/// Answer to what was done by hand.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(super) struct DoneResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: Done,
}

/// Which endpoint.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `news` reads")]
#[into_params(parameter_in = Path)]
pub(super) struct EndpointPath {
    /// Name of the endpoint.
    endpoint: String,
}

/// Refusals of operations on one endpoint.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(super) enum EndpointRefusals {
    /// No such endpoint, event or tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
    /// The endpoint is switched off in the settings.
    #[response(status = 409)]
    Conflict(ErrorResponse),
}
