//! What a tenant is told of: one entry of its event feed, one message of its webhooks, one reason to notify a
//! customer. (What operators are told of, in figures, is [`crate::event`].)
//!
//! A happening is written in the very step that causes it, so there is none without its step and no step without it.
//! Its place in the feed rises by one with every happening of the tenant, in the order of their commits.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::callback::{Callback, Cause, Reason, State};
use crate::ids::{CallbackId, QueueName, TenantId};
use crate::numbers::PhoneNumber;
use crate::push::{PushEvent, PushResult};
use crate::setting::Checks;

/// Kinds of happenings. Small numbers for storage never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[repr(i16)]
pub enum Kind {
    /// A callback was booked.
    #[serde(rename = "callback.created")]
    Created = 0,
    /// It waits for an agent (again).
    #[serde(rename = "callback.queued")]
    Queued = 1,
    /// An agent is reserved for it.
    #[serde(rename = "callback.routing")]
    Routing = 2,
    /// Agent and customer talk.
    #[serde(rename = "callback.processing")]
    Processing = 3,
    /// It ended; the reason says how.
    #[serde(rename = "callback.completed")]
    Completed = 4,
    /// It ended because somebody asked for it.
    #[serde(rename = "callback.cancelled")]
    Cancelled = 5,
    /// It was moved to another time.
    #[serde(rename = "callback.rescheduled")]
    Rescheduled = 6,
    /// Its expected wait fell under the threshold of its queue.
    #[serde(rename = "callback.upcoming")]
    Upcoming = 7,
    /// It is the customer's turn to call in, and that is being said.
    #[serde(rename = "callback.turn")]
    TurnCame = 8,
    /// A notification to the customer has come to its end.
    #[serde(rename = "callback.push")]
    Push = 9,
    /// A webhook endpoint was switched off, because it failed for too long.
    #[serde(rename = "webhook.disabled")]
    EndpointDisabled = 10,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Queued,
        Self::Routing,
        Self::Processing,
        Self::Completed,
        Self::Cancelled,
        Self::Rescheduled,
        Self::Upcoming,
        Self::TurnCame,
        Self::Push,
        Self::EndpointDisabled,
    ];

    /// The number in storage.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The kind with that number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name on the wire (`type`) and in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "callback.created",
            Self::Queued => "callback.queued",
            Self::Routing => "callback.routing",
            Self::Processing => "callback.processing",
            Self::Completed => "callback.completed",
            Self::Cancelled => "callback.cancelled",
            Self::Rescheduled => "callback.rescheduled",
            Self::Upcoming => "callback.upcoming",
            Self::TurnCame => "callback.turn",
            Self::Push => "callback.push",
            Self::EndpointDisabled => "webhook.disabled",
        }
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What a saved step means to the outside; none if it only moved work about. A step that went through several
    /// states is told of once, by the last.
    pub fn of_step(cause: Cause, before: State, after: &Callback) -> Option<Self> {
        match cause {
            Cause::Booked => return Some(Self::Created),
            Cause::Rescheduled => return Some(Self::Rescheduled),
            Cause::WaitShort => return Some(Self::Upcoming),
            Cause::TurnCame => return Some(Self::TurnCame),
            _ if before == after.state => return None,
            _ => {}
        }
        Some(match after.state {
            // No arrow leads back there.
            State::Scheduled => return None,
            State::Queued => Self::Queued,
            State::Routing => Self::Routing,
            State::Processing => Self::Processing,
            State::Completed if after.reason.as_ref().is_some_and(Reason::is_cancellation) => Self::Cancelled,
            State::Completed => Self::Completed,
        })
    }
}

/// Names a happening for good: the same for every endpoint, every repetition and the feed.
///
/// It carries the place in the feed, and is bound to its tenant, so that it is found without an index of its own
/// and says nothing to another tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HappeningId(Uuid);

impl HappeningId {
    /// Bits of the place; the rest of the 122 free bits of a UUID is the tenant's.
    const SEQ_BITS: u32 = 62;

    /// The id of the happening at place `seq` of the tenant's feed (UUID version 8).
    pub fn new(tenant: TenantId, seq: u64) -> Self {
        let place = u128::from(seq & ((1 << Self::SEQ_BITS) - 1));
        let high = tenant.as_uuid().as_u128() & !((1 << 64) - 1);
        let bytes = (high | place).to_be_bytes();
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The id that a client names, whatever tenant it is of.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The place in the feed of `tenant`; none if it is another tenant's id, or no id of a happening.
    pub fn seq_in(self, tenant: TenantId) -> Option<u64> {
        let low = u64::try_from(self.0.as_u128() & u128::from(u64::MAX)).unwrap_or_default();
        let seq = low & ((1 << Self::SEQ_BITS) - 1);
        (Self::new(tenant, seq) == self).then_some(seq)
    }
}

impl std::fmt::Display for HappeningId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// One happening as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its place in the tenant's feed, from 1.
    pub seq: u64,
    /// What it is.
    pub kind: Kind,
    /// When (database time).
    pub at: DateTime<Utc>,
    /// What it is about.
    pub about: About,
}

impl Happening {
    /// Its name for good.
    pub fn id(&self) -> HappeningId {
        HappeningId::new(self.tenant, self.seq)
    }
}

/// What a happening is about. Never user data.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// A callback as it was then.
    Callback(CallbackNews),
    /// A webhook endpoint.
    Endpoint {
        /// Its name.
        name: String,
    },
}

/// A callback as it was when something happened to it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackNews {
    /// Who it is.
    pub id: CallbackId,
    /// Its queue.
    pub queue: QueueName,
    /// The version that the step made.
    pub version: u32,
    /// Where it stood.
    pub state: State,
    /// States passed through on the way there, without a happening of their own.
    pub passed: Vec<State>,
    /// Why it ended, in [`State::Completed`].
    pub reason: Option<Reason>,
    /// What became of a notification, in [`Kind::Push`].
    pub push: Option<(PushEvent, PushResult)>,
    /// Whom to ring, as far as the callback is still kept. Shown only where the tenant's settings say so.
    pub phone: Option<PhoneNumber>,
}

/// What is written with a step because of what the tenant's settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What happened.
    pub kind: Kind,
    /// Webhook endpoints that are owed a message.
    pub endpoints: Vec<String>,
    /// Notifications that the customer is owed.
    pub push: Option<OwedPush>,
}

/// Notifications owed to the devices of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedPush {
    /// Devices, named by their place in the booking, from 0.
    pub targets: u8,
    /// After this instant it would only confuse.
    pub expires_at: DateTime<Utc>,
}

/// Settings of the event feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct EventFeedSettings {
    /// Whether happenings can be read as a feed. Each costs a row of some 60 bytes. Default false.
    pub enabled: bool,
    /// Whether events tell the phone number. Default false.
    pub phone_number: bool,
    /// Days for which happenings are kept, also for resending webhooks, 1 to 14. Default 14.
    pub keep_days: u32,
}

impl Default for EventFeedSettings {
    fn default() -> Self {
        Self { enabled: false, phone_number: false, keep_days: 14 }
    }
}

impl EventFeedSettings {
    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("keepDays", self.keep_days, 1..=14);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_place_in_its_tenant_only(seq in 1u64..(1 << 62), other in any::<u128>()) {
            let tenant = TenantId::from_name("demo");
            let id = HappeningId::new(tenant, seq);
            let uuid: Uuid = id.to_string().parse().unwrap();
            prop_assert_eq!(uuid.get_version_num(), 8);
            prop_assert_eq!(HappeningId::from_uuid(uuid).seq_in(tenant), Some(seq));
            prop_assert_eq!(id.seq_in(TenantId::from_name("stranger")), None);
            prop_assert_eq!(HappeningId::from_uuid(Uuid::from_u128(other | 1 << 79)).seq_in(tenant), None);
        }
    }

    #[test]
    fn kinds_are_known_by_number_and_name() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(kind.code()), Ok(number));
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
