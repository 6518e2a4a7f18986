//! Notifications to customers on their devices: what they are about, when one is still worth sending, and the
//! settings of a tenant.

use std::collections::BTreeMap;

use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::callback::{Callback, State};
use crate::happening::Kind;
use crate::secret::SecretRef;
use crate::setting::Checks;
use crate::webhooks::check_address;

/// What a customer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PushEvent {
    /// The callback is booked for later.
    CallbackScheduled,
    /// The wait has become short: the call is near.
    CallbackUpcoming,
    /// An agent is there: the phone rings in a moment, or, where customers call in, it is time to call.
    CallbackAgentReady,
    /// The callback was moved.
    CallbackRescheduled,
    /// It was cancelled.
    CallbackCancelled,
    /// It has ended.
    CallbackCompleted,
}

impl PushEvent {
    /// Every event.
    pub const ALL: [Self; 6] = [
        Self::CallbackScheduled,
        Self::CallbackUpcoming,
        Self::CallbackAgentReady,
        Self::CallbackRescheduled,
        Self::CallbackCancelled,
        Self::CallbackCompleted,
    ];

    /// The product's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallbackScheduled => "CALLBACK_SCHEDULED",
            Self::CallbackUpcoming => "CALLBACK_UPCOMING",
            Self::CallbackAgentReady => "CALLBACK_AGENT_READY",
            Self::CallbackRescheduled => "CALLBACK_RESCHEDULED",
            Self::CallbackCancelled => "CALLBACK_CANCELLED",
            Self::CallbackCompleted => "CALLBACK_COMPLETED",
        }
    }

    /// The event with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// What a customer is told of a happening, by the state of the callback then and by who calls whom.
    pub fn of(kind: Kind, state: State, originated: bool) -> Option<Self> {
        match kind {
            Kind::Created if state == State::Scheduled => Some(Self::CallbackScheduled),
            Kind::Upcoming => Some(Self::CallbackUpcoming),
            // Whoever calls in is told when to, and not that an agent waits for that.
            Kind::Routing if !originated => Some(Self::CallbackAgentReady),
            Kind::TurnCame => Some(Self::CallbackAgentReady),
            Kind::Rescheduled => Some(Self::CallbackRescheduled),
            Kind::Cancelled => Some(Self::CallbackCancelled),
            Kind::Completed => Some(Self::CallbackCompleted),
            Kind::Created | Kind::Queued | Kind::Routing | Kind::Processing | Kind::Push | Kind::EndpointDisabled => {
                None
            }
        }
    }

    /// How long it is worth sending. What comes later than that would confuse more than it helps.
    pub const fn valid_for(self) -> Duration {
        match self {
            Self::CallbackUpcoming => Duration::minutes(10),
            Self::CallbackAgentReady => Duration::minutes(2),
            Self::CallbackScheduled | Self::CallbackRescheduled | Self::CallbackCancelled | Self::CallbackCompleted => {
                Duration::hours(1)
            }
        }
    }

    /// Whether the callback, as it is now, is still one that the customer should be told this of.
    pub fn is_warranted(self, callback: &Callback) -> bool {
        match self {
            Self::CallbackScheduled | Self::CallbackRescheduled => callback.state == State::Scheduled,
            Self::CallbackUpcoming => matches!(callback.state, State::Queued | State::Routing) && !callback.dialled,
            Self::CallbackAgentReady => match callback.originated {
                Some(_) => matches!(callback.state, State::Queued | State::Routing),
                None => callback.state == State::Routing,
            },
            Self::CallbackCancelled | Self::CallbackCompleted => callback.state == State::Completed,
        }
    }
}

/// How a notification ended, under the product's reporting names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PushResult {
    /// The channel took it.
    Confirmed,
    /// It may have been taken. It is not sent again: nobody is told twice.
    NotConfirmed,
    /// It was not taken, and will not be.
    SendError,
}

impl PushResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Confirmed, Self::NotConfirmed, Self::SendError];

    /// The product's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "PUSH_DELIVERY_CONFIRMED",
            Self::NotConfirmed => "PUSH_DELIVERY_NOT_CONFIRMED",
            Self::SendError => "PUSH_SEND_ERROR",
        }
    }

    /// The result with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.name() == name)
    }
}

/// Push settings of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PushSettings {
    /// Service account of Firebase Cloud Messaging, as Google's JSON key file. None: nothing is pushed by FCM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<SecretRef>,
    /// Where FCM is, for a proxy or a test. Default `https://fcm.googleapis.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm_url: Option<String>,
    /// Endpoints of the channel `HTTP`, by name; at most 20.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, PushEndpoint>,
    /// What the device shows, by event; the app decides itself where nothing stands here. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<PushEvent, PushText>,
    /// What customers are told. Default `CALLBACK_UPCOMING` alone. Customers who call in are told when it is their
    /// turn whatever stands here.
    pub events: Vec<PushEvent>,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            fcm: None,
            fcm_url: None,
            endpoints: BTreeMap::new(),
            texts: BTreeMap::new(),
            events: vec![PushEvent::CallbackUpcoming],
        }
    }
}

/// What a device shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushText {
    /// First line.
    pub title: String,
    /// The rest.
    pub body: String,
}

/// An endpoint of the channel `HTTP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushEndpoint {
    /// Where notifications are posted; `https`, or `http` on this machine.
    pub url: String,
    /// Key of the signature, as of a webhook.
    pub secret: SecretRef,
}

impl PushSettings {
    /// Most endpoints of a tenant.
    pub const MAX_ENDPOINTS: usize = 20;

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        if let Some(url) = &self.fcm_url {
            check_address(checks, "fcmUrl", url);
        }
        checks.at("texts", |checks| {
            for (event, text) in &self.texts {
                checks.at(event.name(), |checks| {
                    checks.line("title", Some(&text.title));
                    checks.line("body", Some(&text.body));
                });
            }
        });
        checks.within("endpoints", self.endpoints.len(), 0..=Self::MAX_ENDPOINTS);
        checks.at("endpoints", |checks| {
            for (name, endpoint) in &self.endpoints {
                checks.at(name, |checks| {
                    if name.is_empty() || name.contains(':') {
                        checks.broken("", Some(name), "has to be named by 1 or more characters without a colon");
                    }
                    check_address(checks, "url", &endpoint.url);
                });
            }
        });
    }
}

/// Whom a notification goes to, by its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver<'a> {
    /// Firebase Cloud Messaging, to the device with this registration token.
    Fcm {
        /// The token.
        token: &'a str,
    },
    /// An endpoint of the tenant. What stands behind its name is handed to it as it is.
    Http {
        /// Name of the endpoint.
        endpoint: &'a str,
        /// Whom the endpoint shall tell; empty if the name stands alone.
        whom: &'a str,
    },
}

impl<'a> Receiver<'a> {
    /// Names of the channels in a booking.
    pub const CHANNELS: [&'static str; 2] = ["FCM", "HTTP"];

    /// Reads a target of a booking: `FCM` and a token, or `HTTP` and `endpoint` or `endpoint:whom`.
    pub fn of(channel: &str, target: &'a str) -> Option<Self> {
        match channel {
            "FCM" => Some(Self::Fcm { token: target }),
            "HTTP" => {
                let (endpoint, whom) = target.split_once(':').unwrap_or((target, ""));
                Some(Self::Http { endpoint, whom })
            }
            _ => None,
        }
    }
}
