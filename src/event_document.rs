//! An event as tenants read it: the same document in the feed and in the body of a webhook.

use chrono::SecondsFormat;
use domain::happening::{About, Happening};
use serde::Serialize;
use utoipa::ToSchema;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventDocument<'a> {
    /// The same for every repetition, and in the header `webhook-id`.
    #[schema(format = Uuid)]
    id: String,
    /// What happened; more types may come.
    #[schema(example = "callback.completed")]
    r#type: &'static str,
    /// When it happened: UTC with milliseconds.
    #[schema(format = DateTime)]
    timestamp: String,
    data: EventData<'a>,
}

/// What it is about.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventData<'a> {
    #[schema(nullable = false, format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_id: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    /// Where the callback stood when it happened.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_state: Option<&'static str>,
    /// States that it passed through on the way, without an event of their own.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_states: Vec<&'static str>,
    /// Why it ended. In COMPLETED only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<&'a str>,
    /// Version of the callback. Whoever has seen a higher one knows more already.
    #[schema(nullable = false, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// Only where the settings of the feed or endpoint ask for it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    /// In `callback.push`: what the customer was to be told.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    push_event: Option<&'static str>,
    /// In `callback.push`: what became of it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    push_result: Option<&'static str>,
    /// In `webhook.disabled`: the name of the endpoint.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

impl<'a> EventDocument<'a> {
    /// A happening, with the phone number only if that is asked for.
    pub(crate) fn new(happening: &'a Happening, phone_number: bool) -> Self {
        Self {
            id: happening.id().to_string(),
            r#type: happening.kind.name(),
            timestamp: happening.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            data: EventData::new(&happening.about, phone_number),
        }
    }
}

impl<'a> EventData<'a> {
    fn new(about: &'a About, phone_number: bool) -> Self {
        match about {
            About::Endpoint { name } => Self { endpoint: Some(name), ..Self::default() },
            About::Callback(news) => Self {
                callback_id: Some(news.id.to_string()),
                service_name: Some(news.queue.as_str()),
                callback_state: Some(news.state.name()),
                passed_states: news.passed.iter().map(|state| state.name()).collect(),
                callback_reason: news.reason.as_ref().map(|reason| reason.as_str()),
                version: Some(news.version),
                phone_number: news.phone.filter(|_| phone_number).map(|phone| phone.e164()),
                push_event: news.push.map(|(event, _)| event.name()),
                push_result: news.push.map(|(_, result)| result.name()),
                endpoint: None,
            },
        }
    }
}
