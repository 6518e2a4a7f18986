//! Carries out what is owed: messages to webhook endpoints, notifications over FCM and to HTTP endpoints.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::callback::Callback;
use domain::event::Outward;
use domain::ids::TenantId;
use domain::notices::{Detail, Outcome, Sent};
use domain::ports::{
    Clock, Courier, CredentialCheck, CredentialRefused, Message, OfferedCredential, Push, PushContent, SecretError,
    Secrets,
};
use domain::push::{PushEvent, PushSettings, Receiver};
use domain::secret::{CredentialKind, SecretRef};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::fcm::Fcm;
use super::http::{Answer, Call, CallError, Cause, HttpClient, NamedBy};
use super::signature::{is_key, sign};
use crate::event_document::EventDocument;

/// How long an endpoint may take. Long enough for a receiver that works before it answers.
const DEADLINE: Duration = Duration::from_secs(15);
/// Longest answer that is read of an endpoint: nothing in it is used.
const ANSWER_BYTES: usize = 16 << 10;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The courier of the program.
pub struct HttpCourier {
    http: Arc<HttpClient>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    fcm: Fcm,
}

/// What the HTTP channel posts about a callback.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushDocument<'a> {
    id: &'a str,
    r#type: &'static str,
    timestamp: String,
    data: PushData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushData<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    validate_only: bool,
    /// As the sender gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<&'a RawValue>,
}

/// A callback in a notification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallbackData<'a> {
    callback_id: String,
    callback_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_reason: Option<&'a str>,
    service_name: &'a str,
    desired_time: String,
    version: u32,
}

impl<'a> CallbackData<'a> {
    fn new(callback: &'a Callback) -> Self {
        Self {
            callback_id: callback.id.to_string(),
            callback_state: callback.state.name(),
            callback_reason: callback.reason.as_ref().map(|reason| reason.as_str()),
            service_name: callback.queue.as_str(),
            desired_time: stamp(callback.desired_time),
            version: callback.version,
        }
    }
}

/// Pairs that a device gets with a notification: FCM takes texts only.
pub(super) fn data_of(event: PushEvent, callback: &Callback) -> serde_json::Map<String, serde_json::Value> {
    let value = serde_json::to_value(CallbackData::new(callback)).unwrap_or_default();
    let pairs = value.as_object().into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text.into())
    });
    pairs.chain([("event".to_owned(), event.name().into())]).collect()
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl HttpCourier {
    /// A courier that calls through `http`.
    pub fn new(http: Arc<HttpClient>, secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>) -> Self {
        Self { fcm: Fcm::new(http.clone()), http, secrets, clock }
    }

    /// Posts a signed document to an address of the tenant.
    async fn post(&self, to: Outward, tenant: TenantId, posting: Posting<'_>) -> Sent {
        let mut keys = Vec::with_capacity(posting.secrets.len());
        for secret in posting.secrets {
            match self.secrets.reveal(tenant, secret).await {
                Ok(key) => keys.push(key),
                Err(error) => return unopened(&error),
            }
        }
        let timestamp = posting.at.timestamp();
        let signed = sign(&keys, posting.id, timestamp, &posting.body).ok();
        let headers = signed.and_then(|signature| {
            let mut signature = HeaderValue::from_str(&signature).ok()?;
            signature.set_sensitive(true);
            Some((HeaderValue::from_str(posting.id).ok()?, HeaderValue::from(timestamp), signature))
        });
        let Some((id, timestamp, signature)) = headers else {
            return Sent::new(Outcome::Refused, Detail::NoCredentials);
        };
        let call = match Call::post(to, NamedBy::Tenant(tenant), posting.url) {
            Ok(call) => call,
            Err(error) => return unanswered(&error),
        };
        let call = Call { max_answer_bytes: ANSWER_BYTES, ..call }
            .header(WEBHOOK_ID, id)
            .header(WEBHOOK_TIMESTAMP, timestamp)
            .header(WEBHOOK_SIGNATURE, signature)
            .json(posting.body)
            .within(DEADLINE);
        match self.http.call(call).await {
            Ok(answer) => answered(&answer),
            // Whatever the rest of the answer would have been, its status says it.
            Err(CallError::Perhaps { status: Some(status), .. }) if status.is_success() => {
                Sent::new(Outcome::Done, Detail::Status(status.as_u16()))
            }
            Err(error) => unanswered(&error),
        }
    }
}

struct Posting<'a> {
    url: &'a str,
    secrets: &'a [SecretRef],
    id: &'a str,
    at: DateTime<Utc>,
    body: Vec<u8>,
}

/// What an endpoint's answer means. What it did before it answered with an error is not known, so a notification is
/// not repeated after most of them.
fn answered(answer: &Answer) -> Sent {
    let status = answer.status.as_u16();
    let outcome = match status {
        200..=299 => Outcome::Done,
        // Too many, or not now: it says itself that it has not been done.
        429 | 503 => Outcome::NotDone,
        500..=599 => Outcome::Perhaps,
        _ => Outcome::Refused,
    };
    Sent { retry_after: retry_after(&answer.headers), ..Sent::new(outcome, Detail::Status(status)) }
}

/// Seconds in `Retry-After`; a date in it is passed over.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(TimeDelta::seconds(seconds.into()))
}

/// What a call without an answer means.
pub(super) fn unanswered(error: &CallError) -> Sent {
    match error {
        CallError::NotDone(Cause::Resting | Cause::Crowded) => Sent::new(Outcome::NotDone, Detail::Resting),
        CallError::NotDone(Cause::BadUrl | Cause::Private) => Sent::new(Outcome::Refused, Detail::NotAllowed),
        CallError::NotDone(_) => Sent::new(Outcome::NotDone, Detail::NotReached),
        CallError::Perhaps { .. } => Sent::new(Outcome::Perhaps, Detail::NoAnswer),
    }
}

/// A secret that cannot be had: for good, or only while the store is out.
fn unopened(error: &SecretError) -> Sent {
    match error {
        SecretError::Store(_) => Sent::new(Outcome::NotDone, Detail::NoCredentials),
        SecretError::NotSealed | SecretError::Unknown | SecretError::Unreadable => {
            Sent::new(Outcome::Refused, Detail::NoCredentials)
        }
    }
}

/// Whether Google gives a token for a service account. Signing keys have nobody to ask.
#[async_trait]
impl CredentialCheck for HttpCourier {
    async fn check(&self, offered: OfferedCredential<'_>) -> Result<(), CredentialRefused> {
        if offered.kind == CredentialKind::Push && !is_key(offered.secret) {
            self.fcm.check(offered.tenant, offered.secret, self.clock.now()).await
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn message(&self, message: Message) -> Sent {
        let document = EventDocument::new(&message.happening, message.phone_number);
        let posting = Posting {
            url: &message.url,
            secrets: &message.secrets,
            id: &message.id,
            at: message.at,
            body: serde_json::to_vec(&document).unwrap_or_default(),
        };
        self.post(Outward::Webhook, message.tenant, posting).await
    }

    async fn push(&self, settings: &PushSettings, push: Push) -> Sent {
        match Receiver::of(&push.target.channel, &push.target.target) {
            Some(Receiver::Fcm { token }) => {
                let Some(account) = &settings.fcm else {
                    return Sent::new(Outcome::Refused, Detail::NoCredentials);
                };
                match self.secrets.reveal(push.tenant, account).await {
                    Ok(account) => self.fcm.push(settings, &account, token, &push).await,
                    Err(error) => unopened(&error),
                }
            }
            Some(Receiver::Http { endpoint, whom }) => {
                let Some(endpoint) = settings.endpoints.get(endpoint) else {
                    return Sent::new(Outcome::Refused, Detail::NoTarget);
                };
                let Ok(body) = push_body(&push, whom) else {
                    return Sent::new(Outcome::Refused, Detail::NoTarget);
                };
                let secrets = std::slice::from_ref(&endpoint.secret);
                let posting = Posting { url: &endpoint.url, secrets, id: &push.id, at: push.at, body };
                self.post(Outward::Push, push.tenant, posting).await
            }
            None => Sent::new(Outcome::Refused, Detail::NoTarget),
        }
    }
}

fn push_body(push: &Push, target: &str) -> serde_json::Result<Vec<u8>> {
    let (r#type, callback, given) = match &push.content {
        PushContent::Callback { event, callback } => (event.name(), Some(CallbackData::new(callback)), None),
        PushContent::Given(text) => ("NOTIFICATION", None, Some(RawValue::from_string(text.clone())?)),
    };
    let data = PushData {
        target,
        callback,
        expires_at: push.expires_at.map(stamp),
        validate_only: push.validate_only,
        notification: given.as_deref(),
    };
    serde_json::to_vec(&PushDocument { id: &push.id, r#type, timestamp: stamp(push.at), data })
}
