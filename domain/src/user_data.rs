//! Free user data: JSON text of an object, changed member by member without becoming a tree.
//!
//! The text is compact and was written by this program, so a name is always spelt the same way and texts of names
//! can be compared.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use thiserror::Error;

/// Longest text that may be kept, in bytes: what the longest usual request body could bring.
pub const MAX_BYTES: usize = 1_048_576;

/// The value that takes a member away, as flows know it from the product's ancestor.
const REMOVES: &str = "\"\"";

/// Why user data was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AttachError {
    /// It would become too long.
    #[error("the user data would have more than {MAX_BYTES} bytes")]
    TooLong,
    /// What is there, or what is to be attached, is no object as this program writes them.
    #[error("not the text of an object")]
    Malformed,
}

/// The user data after `attached` was laid over `stored`: a member takes the place of the one of its name, and the
/// empty text takes that one away. None if no member is left.
///
/// # Errors
/// [`AttachError`].
pub fn attach(stored: Option<&str>, attached: &str) -> Result<Option<String>, AttachError> {
    let stored = stored.map_or(Ok(Vec::new()), members)?;
    let attached = members(attached)?;
    // Of several of one name the last counts, as for every reader of JSON.
    let last: HashMap<&str, usize> = attached.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
    let mut kept: Vec<(&str, &str)> = stored.into_iter().filter(|(name, _)| !last.contains_key(name)).collect();
    let counting = attached.iter().enumerate().filter(|(place, (name, _))| last.get(name) == Some(place));
    kept.extend(counting.map(|(_, member)| *member).filter(|(_, value)| *value != REMOVES));
    if kept.is_empty() {
        return Ok(None);
    }
    let length = 1 + kept.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    if length > MAX_BYTES {
        return Err(AttachError::TooLong);
    }
    let members: Vec<String> = kept.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    Ok(Some(format!("{{{}}}", members.join(","))))
}

/// The members of an object: names in their quotes, values as they are written.
fn members(text: &str) -> Result<Vec<(&str, &str)>, AttachError> {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(AttachError::Malformed)?;
    let mut members = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let (name, after) = split_value(rest, b':')?;
        if !name.starts_with('"') {
            return Err(AttachError::Malformed);
        }
        let (value, after) = split_value(after, b',')?;
        members.push((name, value));
        rest = after;
    }
    Ok(members)
}

/// Splits off the value before the next `end` outside brackets and texts; `end` itself goes. A comma has to be
/// followed by something, and the last value needs none.
fn split_value(text: &str, end: u8) -> Result<(&str, &str), AttachError> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1).ok_or(AttachError::Malformed)?,
            _ if byte == end && depth == 0 => return split_at(text, place),
            _ => {}
        }
    }
    let whole = depth == 0 && !in_text && end == b',' && !text.is_empty();
    if whole { Ok((text, "")) } else { Err(AttachError::Malformed) }
}

fn split_at(text: &str, place: usize) -> Result<(&str, &str), AttachError> {
    match (text.get(..place), text.get(place + 1..)) {
        (Some(value), Some(rest)) if !value.is_empty() && !rest.is_empty() => Ok((value, rest)),
        _ => Err(AttachError::Malformed),
    }
}

/// A member of user data as text; none if it is not there, or null.
pub fn member(user_data: &str, name: &str) -> Option<String> {
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
mod tests;
