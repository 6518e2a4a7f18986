//! What is sent out.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::callback::{Callback, PushTarget};
use crate::happening::Happening;
use crate::ids::TenantId;
use crate::notices::Sent;
use crate::push::{PushEvent, PushSettings};
use crate::secret::SecretRef;

/// A message to a webhook endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Whose.
    pub tenant: TenantId,
    /// Where to.
    pub url: String,
    /// Keys of the signature; the message is signed with each.
    pub secrets: Vec<SecretRef>,
    /// `webhook-id`: the same for every repetition.
    pub id: String,
    /// `webhook-timestamp`: when this try is made.
    pub at: DateTime<Utc>,
    /// What it tells.
    pub happening: Happening,
    /// Whether it tells the phone number.
    pub phone_number: bool,
}

/// A notification to one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// Whose.
    pub tenant: TenantId,
    /// `webhook-id`, for the channel `HTTP`.
    pub id: String,
    /// The device.
    pub target: PushTarget,
    /// What it says.
    pub content: PushContent,
    /// When (database time).
    pub at: DateTime<Utc>,
    /// After this it is not to be shown any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// Only whether it would be taken.
    pub validate_only: bool,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq)]
pub enum PushContent {
    /// Something about a callback as it is now.
    Callback {
        /// What.
        event: PushEvent,
        /// The callback.
        callback: Box<Callback>,
    },
    /// A notification object in the words of the channel, as compact JSON text.
    Given(String),
}

/// Sends things out, each under a deadline of its own (20 s at most).
#[async_trait]
pub trait Courier: Send + Sync {
    /// Posts a message to a webhook endpoint.
    async fn message(&self, message: Message) -> Sent;

    /// Notifies a device. `settings` are those of its tenant.
    async fn push(&self, settings: &PushSettings, push: Push) -> Sent;
}
