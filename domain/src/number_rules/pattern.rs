//! Patterns of numbers that are not called.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::numbers::Region;

/// Longest simple pattern, in characters.
const MAX_SIMPLE_CHARS: usize = 32;
/// Longest regular expression, in characters.
const MAX_EXPRESSION_CHARS: usize = 512;
/// Memory of one compiled expression, in bytes; a rule has at most 50 of them.
const MAX_EXPRESSION_BYTES: usize = 64 << 10;

/// A pattern as written. In a document a simple one is a text, a regular expression `{"regex": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockedPattern {
    /// Digits, `x` and `*`.
    Simple(String),
    /// A regular expression.
    Expression(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExpressionText {
    regex: String,
}

impl BlockedPattern {
    /// The pattern ready for use in a country, or the rule that it breaks.
    pub(super) fn compiled(&self, country: Region) -> Result<Compiled, String> {
        match self {
            Self::Simple(text) => simple(text, country).map(Compiled::Simple),
            Self::Expression(text) => expression(text).map(Compiled::Expression),
        }
    }
}

fn simple(text: &str, country: Region) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*');
    if !(1..=MAX_SIMPLE_CHARS).contains(&text.len()) || digits.is_empty() || !digits.bytes().all(good) {
        return Err(format!("has to be 1 to {MAX_SIMPLE_CHARS} digits, `x` and `*`, perhaps with a `+` before them"));
    }
    if text.starts_with('+') {
        let code = country.country_code().to_string();
        let stars = digits.find('*').unwrap_or(digits.len());
        let open = digits
            .bytes()
            .zip(code.bytes())
            .take(stars)
            .all(|(left, right)| left == right || left.eq_ignore_ascii_case(&b'x'));
        if !open {
            return Err(format!("has to begin with +{code}, the code of {country}, or it fits nothing"));
        }
    } else if let Some(prefix) = country.trunk_prefix().filter(|prefix| digits.starts_with(*prefix)) {
        return Err(format!(
            "has to leave out the {prefix} that is dialled before numbers inside {country}, or it fits nothing"
        ));
    }
    Ok(text.to_owned())
}

fn expression(text: &str) -> Result<Regex, String> {
    if !(1..=MAX_EXPRESSION_CHARS).contains(&text.chars().count()) {
        return Err(format!("has to be 1 to {MAX_EXPRESSION_CHARS} characters"));
    }
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).size_limit(MAX_EXPRESSION_BYTES).dfa_size_limit(MAX_EXPRESSION_BYTES).nest_limit(32);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("has to take at most {MAX_EXPRESSION_BYTES} bytes when compiled"),
        _ => "has to be a regular expression without look-around and back-references".to_owned(),
    })
}

/// A pattern ready for use.
#[derive(Debug, Clone)]
pub(super) enum Compiled {
    /// As written; checked.
    Simple(String),
    /// Compiled.
    Expression(Regex),
}

impl Compiled {
    /// Whether it fits a number, given with plus and country code, and without both.
    pub(super) fn fits(&self, whole: &str, national: &str) -> bool {
        match self {
            Self::Simple(pattern) if pattern.starts_with('+') => begins(whole.as_bytes(), pattern.as_bytes()),
            Self::Simple(pattern) => begins(national.as_bytes(), pattern.as_bytes()),
            Self::Expression(regex) => regex.is_match(whole.as_bytes()) || regex.is_match(national.as_bytes()),
        }
    }
}

/// Whether a number begins as a simple pattern says. Patterns are short, and so are numbers.
fn begins(number: &[u8], pattern: &[u8]) -> bool {
    // Where a star was seen, and where the number was then: what came after the star may begin later, too.
    let (mut number, mut pattern) = (number, pattern);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (number, pattern) {
            (_, []) => return true,
            (rest, [b'*', after @ ..]) => {
                star = Some((rest, after));
                pattern = after;
            }
            ([digit, rest @ ..], [wanted, after @ ..]) if wanted == digit || wanted.eq_ignore_ascii_case(&b'x') => {
                (number, pattern) = (rest, after);
            }
            _ => match star {
                Some(([_, later @ ..], after)) => {
                    star = Some((later, after));
                    (number, pattern) = (later, after);
                }
                _ => return false,
            },
        }
    }
}

impl fmt::Display for BlockedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) | Self::Expression(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => f.write_str(text),
            Self::Expression(regex) => write!(f, "regex {}", regex.as_str()),
        }
    }
}

impl JsonSchema for BlockedPattern {
    fn schema_name() -> Cow<'static, str> {
        "BlockedPattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let expression = generator.subschema_for::<ExpressionText>();
        json_schema!({
            "description": "Numbers that are not called: digits, `x` for any one and `*` for any number of them, or a \
                            regular expression.",
            "anyOf": [
                { "type": "string", "pattern": r"^\+?[0-9xX*]+$", "minLength": 1, "maxLength": MAX_SIMPLE_CHARS },
                expression,
            ],
        })
    }
}

impl Serialize for BlockedPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Simple(text) => serializer.serialize_str(text),
            Self::Expression(text) => ExpressionText { regex: text.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BlockedPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrExpression;

        impl<'de> Visitor<'de> for TextOrExpression {
            type Value = BlockedPattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("digits, `x` and `*` in quotes, or an object with `regex`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BlockedPattern, E> {
                Ok(BlockedPattern::Simple(text.to_owned()))
            }

            /// Nothing is a pattern that cannot be used, which is told with the other rules.
            fn visit_unit<E: serde::de::Error>(self) -> Result<BlockedPattern, E> {
                Ok(BlockedPattern::Simple(String::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BlockedPattern, A::Error> {
                let text = ExpressionText::deserialize(MapAccessDeserializer::new(map))?;
                Ok(BlockedPattern::Expression(text.regex))
            }
        }

        deserializer.deserialize_any(TextOrExpression)
    }
}
