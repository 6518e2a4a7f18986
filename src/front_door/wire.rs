//! Reads request bodies and query strings: bytes to well-formed domain values, or a refusal that names the member
//! and the rule.
//!
//! The reading is lax where old clients are sloppy (unknown members, `null`, repeated members of which the last
//! counts) and strict where a guess could book the wrong thing. No member is read into a tree: scalars become
//! [`Loose`], user data is copied through, everything else is skipped, so that a body of one megabyte costs
//! about one megabyte.

pub(crate) mod availability;
pub(crate) mod call_in;
pub(crate) mod captcha;
pub(crate) mod create;
pub(crate) mod flow;
pub(crate) mod log_level;
pub(crate) mod moves;
pub(crate) mod news;
pub(crate) mod numbers;
pub(crate) mod privacy;
pub(crate) mod query;
pub(crate) mod search;
pub(crate) mod signal;
pub(crate) mod statistics;
pub(crate) mod time;
mod user_data;
pub(crate) mod waits;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use domain::ids::CallbackId;
use domain::numbers::Region;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Kind, Problem};

/// Largest whole number read anywhere: what a double holds exactly, and what clients can therefore write.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// One member, as far as a scalar needs it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Loose<'a> {
    /// Left out, or `null`.
    #[default]
    Absent,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    /// An array or an object, skipped.
    Nested,
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LooseVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for LooseVisitor<'a> {
            type Value = Loose<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Loose::Absent)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Loose::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Loose::Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Loose::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Loose::Number(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Owned(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::Nested)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::Nested)
            }
        }

        deserializer.deserialize_any(LooseVisitor(PhantomData))
    }
}

/// What one kind of body keeps of its members.
pub(crate) trait Members<'de>: Default {
    /// Takes the value of `name` out of `from`; a member that comes again replaces what was there.
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error>;
}

/// What one kind of body keeps, each member behind the name by which it comes; others are passed over.
macro_rules! members {
    ($(#[$about:meta])* struct $kind:ident<$life:lifetime> { $($name:literal => $field:ident: $value:ty,)+ }) => {
        $(#[$about])*
        #[derive(Default)]
        struct $kind<$life> {
            $($field: $value,)+
        }

        impl<$life> $crate::front_door::wire::Members<$life> for $kind<$life> {
            fn take<A: serde::de::MapAccess<$life>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
                match name {
                    $($name => self.$field = from.next_value()?,)+
                    _ => $crate::front_door::wire::skip(from)?,
                }
                Ok(())
            }
        }
    };
}
use members;

/// Visits an object member by member.
pub(crate) struct ObjectVisitor<M>(pub(crate) PhantomData<M>);

impl<'de, M: Members<'de>> Visitor<'de> for ObjectVisitor<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<M, A::Error> {
        let mut members = M::default();
        while let Some(name) = from.next_key::<Loose<'de>>()? {
            let Loose::Text(name) = name else { return Err(A::Error::custom("a member name is text")) };
            members.take(&name, &mut from)?;
        }
        Ok(members)
    }
}

/// Reads a body that must be one JSON object.
pub(crate) fn object<'de, M: Members<'de>>(body: &'de [u8]) -> Result<M, Problem> {
    if body.is_empty() {
        return Err(Problem::new(Kind::BadParameter, "The body is empty; it must be a JSON object."));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let members = deserializer.deserialize_map(ObjectVisitor::<M>(PhantomData)).and_then(|members| {
        deserializer.end()?;
        Ok(members)
    });
    members.map_err(|error| {
        // The library's own text may quote the body.
        if error.is_data() {
            return Problem::new(Kind::BadParameter, "The body must be a JSON object.");
        }
        let (line, column) = (error.line(), error.column());
        let rule = format!("The body is not valid JSON, or nested too deeply, at line {line}, column {column}.");
        Problem::new(Kind::BadParameter, rule)
    })
}

impl<'a> Loose<'a> {
    pub(crate) fn is_absent(&self) -> bool {
        *self == Self::Absent
    }

    /// A text of at most `max` characters without U+0000; an empty one counts as absent.
    pub(crate) fn text(self, field: &str, max: usize) -> Result<Option<Cow<'a, str>>, Problem> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) if text.is_empty() => Ok(None),
            Self::Text(text) => {
                // A character has at most four bytes, so most texts need no counting.
                if text.len() > max && text.chars().count() > max {
                    return Err(Problem::bad(field, format!("must have at most {max} characters")));
                }
                if text.contains('\0') {
                    return Err(Problem::bad(field, "must not contain the character U+0000"));
                }
                Ok(Some(text))
            }
            _ => Err(Problem::bad(field, "must be a string")),
        }
    }

    /// As [`Self::text`], but it must be there and not empty.
    pub(crate) fn required_text(self, field: &str, max: usize) -> Result<Cow<'a, str>, Problem> {
        let absent = self.is_absent();
        let rule = if absent { "is required" } else { "must not be empty" };
        self.text(field, max)?.ok_or_else(|| Problem::bad(field, rule))
    }

    /// A country.
    pub(crate) fn country(self, field: &str) -> Result<Option<Region>, Problem> {
        let country = self.text(field, 2)?.map(|text| text.parse()).transpose();
        country.map_err(|_| Problem::bad(field, "must be two upper-case letters of ISO 3166-1, such as US"))
    }

    /// A number between `min` and `max`.
    pub(crate) fn number(self, field: &str, min: f64, max: f64) -> Result<Option<f64>, Problem> {
        match self {
            Self::Absent => Ok(None),
            Self::Number(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Self::Number(_) => Err(Problem::bad(field, format!("must be a number between {min} and {max}"))),
            _ => Err(Problem::bad(field, "must be a number")),
        }
    }

    /// A whole number between `min` and `max`, also written as `7.0` or `7e0`.
    pub(crate) fn whole(self, field: &str, min: i64, max: i64) -> Result<Option<i64>, Problem> {
        let number = match self {
            Self::Absent => return Ok(None),
            // Exact: whole, and within what a double counts one by one.
            Self::Number(number) if number.fract() == 0.0 && number.abs() <= MAX_WHOLE => number as i64,
            _ => return Err(Problem::bad(field, "must be a whole number")),
        };
        if (min..=max).contains(&number) {
            return Ok(Some(number));
        }
        Err(Problem::bad(field, format!("must be a whole number between {min} and {max}")))
    }

    /// `true` or `false`, nothing like it.
    pub(crate) fn flag(self, field: &str) -> Result<Option<bool>, Problem> {
        match self {
            Self::Absent => Ok(None),
            Self::Bool(flag) => Ok(Some(flag)),
            _ => Err(Problem::bad(field, "must be true or false")),
        }
    }
}

members! {
    /// The body of cancel and retrieve.
    struct IdMembers<'de> {
        "id" => id: Loose<'de>,
    }
}

/// Reads `{"id": "<uuid>"}`.
pub(crate) fn callback_id(body: &[u8]) -> Result<CallbackId, Problem> {
    match object::<IdMembers<'_>>(body)?.id {
        Loose::Absent => Err(Problem::bad("id", "is required")),
        Loose::Text(text) => parse_id("id", &text),
        _ => Err(Problem::bad("id", "must be a string")),
    }
}

/// Reads an id that is a UUID out of `field`.
pub(crate) fn parse_id<I: FromStr>(field: &str, text: &str) -> Result<I, Problem> {
    text.parse().map_err(|_| Problem::bad(field, "must be a UUID in the form 8-4-4-4-12"))
}

/// A hash that is long enough to tell what clients send apart, and says nothing of it.
pub(crate) fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut short);
    short
}

/// Passes over the value of a member that nobody knows, however deep it is.
pub(crate) fn skip<'de, A: MapAccess<'de>>(from: &mut A) -> Result<(), A::Error> {
    from.next_value::<IgnoredAny>().map(drop)
}

#[cfg(test)]
mod tests;
