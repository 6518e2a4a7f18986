//! What a booking asks for, already valid in form.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Callback, Devices, Fate, HandOff, Originated, State};
use crate::captcha::CaptchaToken;
use crate::ids::{CallbackId, HoldId, Incarnation, QueueName, TenantId};
use crate::numbers::PhoneNumber;

/// What the customer was offered, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OfferType {
    /// A call as soon as possible.
    Asap,
    /// A call at a chosen time.
    Scheduled,
    /// A choice of both.
    CombinedScheduledAndAsap,
}

/// A device to notify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushTarget {
    /// `FCM` or `HTTP`.
    pub channel: String,
    /// Registration token of the device; for `HTTP` the name of an endpoint of the tenant, or `name:whom`.
    pub target: String,
}

/// The rare members of a booking. Stored as one small document beside the row, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Options {
    /// What the customer was offered, if it was said and understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cb_offer_type: Option<OfferType>,
    /// Language of prompts; left out when it is `en-US`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Inbound virtual queue, for reports.
    #[serde(rename = "inboundVQ", skip_serializing_if = "Option::is_none")]
    pub inbound_vq: Option<String>,
    /// Expected wait in seconds that led to the offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_threshold: Option<f64>,
    /// Origination channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `ON-HOURS` or `OFF-HOURS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_timing: Option<String>,
    /// The call or chat in which the callback was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cb_origination_ixn_id: Option<String>,
    /// Routing point of the survey; overrides the queue's.
    #[serde(rename = "surveyRP", skip_serializing_if = "Option::is_none")]
    pub survey_rp: Option<String>,
    /// Initial priority; overrides the queue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// Routing point of the outbound call; overrides the queue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_point: Option<String>,
    /// Devices to notify.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub push_targets: Vec<PushTarget>,
}

impl Options {
    /// Whether nothing was said, so that nothing needs storing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A booking as the door hands it in: well-formed, not yet judged by the rules of its queue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCallback {
    /// The wanted queue, as written by the client.
    pub service_name: String,
    /// The number, as written by the client.
    pub phone_number: String,
    /// When to call; absent means now.
    pub desired_time: Option<DateTime<Utc>>,
    /// Count any desired time as scheduled, and refuse rather than slide.
    pub always_check_capacity: bool,
    /// Free data as compact JSON text of an object, keys filtered; none if absent or empty.
    pub user_data: Option<String>,
    /// The rare members.
    pub options: Options,
    /// Hash of the `Idempotency-Key`, if one was sent, with a hash of the body it came with.
    pub idempotency: Option<Idempotency>,
    /// Headers of the request that a queue of the tenant counts, by name.
    pub counted_headers: Vec<(String, String)>,
    /// Token of the solved captcha, if one was sent.
    pub captcha: Option<CaptchaToken>,
    /// The held place that it takes over; its slot is that of the desired time, which is there then.
    pub hold: Option<HoldId>,
}

/// What makes a repeated booking recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Hash of the key.
    pub key: [u8; 16],
    /// Hash of the request body.
    pub body: [u8; 16],
}

/// When and where a judged booking is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Whose it is.
    pub tenant: TenantId,
    /// The queue that was named.
    pub queue: QueueName,
    /// The number, parsed.
    pub phone: PhoneNumber,
    /// Time to live after the desired time.
    pub ttl: chrono::Duration,
}

impl Callback {
    /// A callback to be made as soon as possible, owned by the node that booked it.
    pub fn immediate(id: CallbackId, terms: Terms, owner: Incarnation, now: DateTime<Utc>) -> Self {
        Self { owner: Some(owner), ..Self::fresh(id, terms, State::Queued, now, now) }
    }

    /// A callback for later. `start_at` is the start instant as known now; `owner` is the node that books
    /// it if the start lies before its current horizon, else nobody.
    pub fn scheduled(
        id: CallbackId,
        terms: Terms,
        owner: Option<Incarnation>,
        desired_time: DateTime<Utc>,
        start_at: DateTime<Utc>,
        slot: Option<DateTime<Utc>>,
    ) -> Self {
        Self { owner, slot, ..Self::fresh(id, terms, State::Scheduled, desired_time, start_at) }
    }

    /// The same with devices to notify, and, if the customer is to call, for how many seconds they are waited for.
    pub fn with_devices(self, targets: u8, originated_within_seconds: Option<u32>) -> Self {
        let devices = Devices { targets: targets.min(Devices::MAX), told_upcoming: false };
        let originated = originated_within_seconds.map(|within_seconds| Originated { within_seconds, until: None });
        Self { devices, originated, ..self }
    }

    fn fresh(id: CallbackId, terms: Terms, state: State, desired_time: DateTime<Utc>, start_at: DateTime<Utc>) -> Self {
        Self {
            id,
            tenant: terms.tenant,
            queue: terms.queue,
            phone: terms.phone,
            desired_time,
            expires_at: desired_time + terms.ttl,
            state,
            reason: None,
            version: 1,
            attempt: 0,
            hand_off: HandOff::Idle,
            session: None,
            refusals: 0,
            last_seq: 0,
            dialled: false,
            start_at,
            owner: None,
            wake_at: Some(start_at),
            owes_terminate: false,
            ended_at: None,
            slot: None,
            devices: Devices::default(),
            originated: None,
            fate: Fate::Unknown,
        }
    }
}
