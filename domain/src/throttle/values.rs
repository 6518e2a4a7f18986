//! Which values of a booking are counted per day, and in what form they are kept: never as they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::booking::Plan;
use crate::callback::NewCallback;
use crate::ports::Blinds;
use crate::queue::Queue;

/// The parameter that every booking has. A header of this name changes nothing, or whoever sends a new one with each
/// booking would never be counted.
pub const PHONE_NUMBER: &str = "phoneNumber";
/// The product's name for it.
const CUSTOMER_NUMBER: &str = "_customer_number";

/// A value that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedValue {
    /// What it is the value of, as the settings name it.
    pub parameter: String,
    /// What is kept instead of it.
    pub blinded: [u8; 16],
}

/// The one name of a parameter.
pub(crate) fn canonical(parameter: &str) -> &str {
    if parameter == CUSTOMER_NUMBER { PHONE_NUMBER } else { parameter }
}

/// Whether a parameter may be named by a header: everything but the number whose name can be that of a header.
pub fn is_header(parameter: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    canonical(parameter) != PHONE_NUMBER && !parameter.is_empty() && parameter.bytes().all(is_token)
}

/// The counted values of a booking, each once. A parameter without a value is not counted.
pub(super) fn counted(queue: &Queue, plan: &Plan, new: &NewCallback, blinds: &dyn Blinds) -> Vec<CountedValue> {
    let mut values: Vec<CountedValue> = Vec::with_capacity(queue.throttle_parameters.len());
    for parameter in queue.throttle_parameters.iter().map(|parameter| canonical(parameter)) {
        if values.iter().any(|known| known.parameter == parameter) {
            continue;
        }
        if let Some(value) = value(queue, plan, new, parameter) {
            let blinded = blinds.blind(plan.terms.tenant, parameter, value.as_bytes());
            values.push(CountedValue { parameter: parameter.to_owned(), blinded });
        }
    }
    values
}

fn value<'a>(queue: &Queue, plan: &Plan, new: &'a NewCallback, parameter: &str) -> Option<Cow<'a, str>> {
    if parameter == PHONE_NUMBER {
        return Some(plan.terms.phone.digits().to_string().into());
    }
    if queue.throttle_headers
        && let Some((_, value)) = new.counted_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(parameter))
    {
        return Some(value.into());
    }
    member(new.user_data.as_deref()?, parameter).map(Cow::Owned)
}

/// A member of the user data as text; none if it is not there, or null.
fn member(user_data: &str, name: &str) -> Option<String> {
    let found = Member(name).deserialize(&mut serde_json::Deserializer::from_str(user_data)).ok()??;
    match found {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Reads one member of an object without making anything of the others.
struct Member<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.0 {
                // Of several of one name the last counts, as for every reader of JSON.
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name() {
        let data = r#"{"a":"x","b":{"a":1},"c":7.5,"d":null,"a":"y","e":[1,2],"f":true}"#;
        let found = ["a", "b", "c", "d", "e", "f", "g"].map(|name| member(data, name));
        let expected = [Some("y"), Some(r#"{"a":1}"#), Some("7.5"), None, Some("[1,2]"), Some("true"), None];
        assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
        assert_eq!(member("[]", "a"), None);
        assert_eq!(member("{\"a\"", "a"), None, "what cannot be read is not counted");
    }

    #[test]
    fn the_number_has_one_name_and_no_header() {
        assert_eq!(canonical("_customer_number"), "phoneNumber");
        assert_eq!(
            ["customerId", "X-Device", "phoneNumber", "_customer_number", "", "a b", "ü"].map(is_header),
            [true, true, false, false, false, false, false]
        );
    }
}
