//! How a queue says when it is served: by the name of a calendar, or by one in place.

use std::fmt;
use std::sync::Arc;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::{ALWAYS, BusinessHours};

/// A calendar, named or in place. The word `always` is a calendar in place; any other text is a name.
#[derive(Debug, Clone, PartialEq)]
pub enum HoursRef {
    /// A calendar of the tenant.
    Named(String),
    /// A calendar that only this queue has.
    InPlace(Arc<BusinessHours>),
}

impl Default for HoursRef {
    fn default() -> Self {
        BusinessHours::always().into()
    }
}

impl From<BusinessHours> for HoursRef {
    fn from(hours: BusinessHours) -> Self {
        Self::InPlace(Arc::new(hours))
    }
}

impl Serialize for HoursRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(name) => serializer.serialize_str(name),
            Self::InPlace(hours) => hours.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HoursRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Document;

        impl<'de> Visitor<'de> for Document {
            type Value = HoursRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"always\", the name of a calendar, or a calendar")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HoursRef, E> {
                if text == ALWAYS {
                    return BusinessHours::deserialize(StrDeserializer::new(text)).map(HoursRef::from);
                }
                Ok(HoursRef::Named(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HoursRef, A::Error> {
                BusinessHours::deserialize(MapAccessDeserializer::new(map)).map(HoursRef::from)
            }
        }

        deserializer.deserialize_any(Document)
    }
}
