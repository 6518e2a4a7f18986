//! Identifiers: one type each, so that no two can be mixed up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::{NoContext, Timestamp, Uuid};

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Not a UUID in the 8-4-4-4-12 form.
    #[error("not a UUID in the form 8-4-4-4-12")]
    NotAUuid,
    /// A name that is empty, longer than its limit, or holds a control character.
    #[error("a name has 1 to {max} characters and no control characters")]
    BadName {
        /// Longest allowed name, in characters.
        max: usize,
    },
}

/// Reads the hyphenated form only: the `uuid` crate alone would also take braces, URNs and bare hex.
fn parse_hyphenated(text: &str) -> Result<Uuid, IdError> {
    if text.len() != 36 {
        return Err(IdError::NotAUuid);
    }
    Uuid::try_parse(text).map_err(|_| IdError::NotAUuid)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to be of this kind, for example because it comes from our store.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hyphenated(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// One callback. Version 7, so that callbacks sort by the time they were booked.
    CallbackId
}
uuid_id! {
    /// One contact centre (`ContactCenterID` on the wire between services).
    TenantId
}
uuid_id! {
    /// One contact centre as the environment service of GWS knows it (*ccid*).
    ContactCenterId
}
uuid_id! {
    /// One API key, named without revealing it.
    ApiKeyId
}
uuid_id! {
    /// One call-in request. Version 7, so that requests sort by the time they were made.
    CallInId
}
uuid_id! {
    /// One erasure of a number. Version 7, so that receipts sort by the time they were asked for.
    ErasureId
}
uuid_id! {
    /// One held place. Version 7, so that holds sort by the time they were made.
    HoldId
}
uuid_id! {
    /// One request, as the client sees it in `status.corrId` and operators in the log.
    CorrelationId
}

impl CallbackId {
    /// A new id that carries `now` (to the millisecond) and 74 random bits.
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(of_instant(now))
    }

    /// A random-looking but repeatable time from zero up to but not including `below`, in milliseconds; different for
    /// every callback and `round`, so that those which woke together do not act together.
    pub fn spread(&self, round: u32, below: Duration) -> Duration {
        let bits = self.0.as_u128() ^ (u128::from(round) << 7);
        // Fibonacci hashing spreads neighbours apart; the low half of a version 7 id is random anyway.
        let mixed = (bits as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Duration::milliseconds(i64::try_from(mixed).unwrap_or_default() % below.num_milliseconds().max(1))
    }
}

impl CallInId {
    /// A new id that carries `now` (to the millisecond) and 74 random bits.
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(of_instant(now))
    }
}

impl ErasureId {
    /// A new id that carries `now` (to the millisecond) and 74 random bits.
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(of_instant(now))
    }
}

impl HoldId {
    /// A new id that carries `now` (to the millisecond) and 74 random bits.
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(of_instant(now))
    }
}

/// A UUID of version 7 that carries `now`.
fn of_instant(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

impl CorrelationId {
    /// A fresh random id.
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl ApiKeyId {
    /// A fresh random id.
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl TenantId {
    /// The id of a tenant that is known by name only; the same name always gives the same id (UUID version 5).
    pub fn from_name(name: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// The id of the tenant that is made for a contact centre: the same.
    pub const fn of_contact_center(center: ContactCenterId) -> Self {
        Self(center.as_uuid())
    }

    /// The contact centre that a tenant of this id and `name` was made for; none if its id comes from its name.
    pub fn contact_center(self, name: &str) -> Option<ContactCenterId> {
        (self != Self::from_name(name)).then_some(ContactCenterId(self.0))
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("minLength" = 1, "maxLength" = $max))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest allowed text, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Checks the length (1 to [`Self::MAX_CHARS`] characters) and refuses control characters.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let bad = text.is_empty()
                    || text.chars().count() > Self::MAX_CHARS
                    || text.chars().any(char::is_control);
                if bad { Err(IdError::BadName { max: Self::MAX_CHARS }) } else { Ok(Self(text.into())) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// Name of a queue inside its tenant; on the wire `serviceName` and *virtual queue*.
    QueueName, 255
}
text_id! {
    /// Name of a call-in group inside its tenant; on the wire `groupName`.
    CallInGroupName, 255
}
text_id! {
    /// Routing's own name for its work on one attempt (`sessionId` in a signal).
    SessionId, 128
}

/// One life of one node, from start to end. A node that starts again is a new incarnation, so whatever
/// the old one owned is known to be without an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub i64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_print_and_parse_back(bits in any::<u128>()) {
            let id = CallbackId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<CallbackId>(), Ok(id));
        }

        #[test]
        fn names_never_panic(text in any::<String>()) {
            if let Ok(name) = QueueName::new(&text) {
                prop_assert_eq!(name.as_str(), text);
            }
        }

        #[test]
        fn spreads_stay_below_their_limit(bits in any::<u128>(), round in any::<u32>(), below_ms in 0i64..100_000) {
            let id = CallbackId::from_uuid(Uuid::from_u128(bits));
            let spread = id.spread(round, Duration::milliseconds(below_ms)).num_milliseconds();
            prop_assert!((0..below_ms.max(1)).contains(&spread));
            prop_assert_eq!(id.spread(round, Duration::milliseconds(below_ms)).num_milliseconds(), spread);
        }

        #[test]
        fn callback_ids_sort_by_time(a in 0i64..3_000_000_000_000, later in 1i64..1_000_000_000_000) {
            let b = a + later;
            let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
            prop_assert!(CallbackId::generate(at(a)) < CallbackId::generate(at(b)));
        }
    }

    #[test]
    fn those_who_wait_together_are_spread_over_the_whole_time() {
        let second_of = |number| {
            let id = CallbackId::from_uuid(Uuid::from_u128(number));
            id.spread(0, Duration::seconds(10)).num_seconds()
        };
        let mut counts = [0; 10];
        for second in (0..10_000).map(second_of) {
            counts[usize::try_from(second).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        for text in ["", "x", "{5a0f7c1e-8f5b-4d6e-9d0c-2f1b7a3c4e55}", "5a0f7c1e8f5b4d6e9d0c2f1b7a3c4e55"] {
            assert_eq!(text.parse::<CallbackId>(), Err(IdError::NotAUuid), "{text}");
        }
    }
}
