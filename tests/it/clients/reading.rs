//! How the two official clients read answers, as far as it is known: what they need, what they stumble over, and what
//! they take without a word although it is wrong. An answer passes if it serves both.

use std::fmt;

use serde_json::Value;

use crate::harness::http::Answer;

/// Which client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    JavaScript,
    Java,
}

/// What a member has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    Uuid,
    Number,
    Switch,
    Time,
    /// Texts by names.
    Texts,
    Object(&'static [Member]),
    List(&'static [Member]),
    /// Anything but nothing; no client looks into it.
    Opaque,
}

/// A member of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    name: &'static str,
    kind: Kind,
    need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Tutorials print it, count it or call something of it.
    Used,
    /// Null, or absent, is nothing.
    Optional,
}

/// A member that has to be there.
pub(crate) const fn used(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, need: Need::Used }
}

/// A member that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, need: Need::Optional }
}

/// What a client does with an answer that does not suit it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stumble(pub(crate) String);

impl fmt::Display for Stumble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn stumble<T>(what: impl fmt::Display) -> Result<T, Stumble> {
    Err(Stumble(what.to_string()))
}

const STATUS: &[Member] = &[used("code", Kind::Number), used("message", Kind::Text), used("corrId", Kind::Uuid)];

/// Reads a good answer with the rules of `client`: its `data`.
pub(crate) fn read(client: Client, answer: &Answer, data: Kind) -> Result<Value, Stumble> {
    if answer.status == 204 {
        return stumble("both give null for 204");
    }
    if !(200..300).contains(&answer.status) {
        return stumble(format!("rejected with {}", answer.status));
    }
    let body = document(answer)?;
    value(client, &body["status"], Kind::Object(STATUS), "status")?;
    if body["status"]["code"] != 0 {
        return stumble("a good answer with a code of failure");
    }
    value(client, &body["data"], data, "data")?;
    Ok(body["data"].clone())
}

/// Reads an answer that a client rejects: neither parses it, so what counts is that people and programs can.
pub(crate) fn read_refusal(answer: &Answer) -> Result<i64, Stumble> {
    if (200..300).contains(&answer.status) {
        return stumble("a refusal that is taken for an answer");
    }
    let body = document(answer)?;
    for client in [Client::JavaScript, Client::Java] {
        value(client, &body["status"], Kind::Object(STATUS), "status")?;
    }
    match body["status"]["code"].as_i64() {
        Some(code) if code != 0 => Ok(code),
        _ => stumble("a refusal with the code of success"),
    }
}

/// With another type the one throws, and the other goes on with an object that has no fields.
fn document(answer: &Answer) -> Result<Value, Stumble> {
    let typed = answer.header("content-type").unwrap_or_default();
    if typed.split(';').next().map(str::trim) != Some("application/json") {
        return stumble(format!("the type {typed:?}"));
    }
    serde_json::from_slice(&answer.body).or_else(|error| stumble(format!("no JSON: {error}")))
}

fn value(client: Client, value: &Value, kind: Kind, path: &str) -> Result<(), Stumble> {
    let fits = match kind {
        Kind::Text => text(client, value),
        Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Uuid => value.as_str().is_some_and(|text| client == Client::JavaScript || is_uuid(text)),
        Kind::Number => number(value),
        // The one takes any text that is not empty for true, the other throws on 0 and 1.
        Kind::Switch => value.is_boolean(),
        Kind::Time => value.as_str().is_some_and(|text| time(client, text)),
        Kind::Texts => value.as_object().is_some_and(|members| members.values().all(|it| text(client, it))),
        Kind::Opaque => !value.is_null(),
        Kind::Object(members) => {
            if value.is_object() {
                return members.iter().try_for_each(|it| member(client, value, it, path));
            }
            false
        }
        Kind::List(members) => {
            if let Some(items) = value.as_array() {
                let item =
                    |(place, item)| self::value(client, item, Kind::Object(members), &format!("{path}[{place}]"));
                return items.iter().enumerate().try_for_each(item);
            }
            false
        }
    };
    if fits { Ok(()) } else { stumble(format!("{client:?}: {path} is {value}")) }
}

fn member(client: Client, object: &Value, member: &Member, path: &str) -> Result<(), Stumble> {
    let found = &object[member.name];
    if found.is_null() && member.need == Need::Optional {
        return Ok(());
    }
    value(client, found, member.kind, &format!("{path}.{}", member.name))
}

/// Java makes texts of numbers and booleans; of objects it throws, and JavaScript would print `[object Object]`.
fn text(client: Client, value: &Value) -> bool {
    value.is_string() || (client == Client::Java && (value.is_number() || value.is_boolean()))
}

/// Both read numbers from texts too; other texts are NaN in the one, and break the other.
fn number(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite))
}

/// Java takes any five groups of hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hexadecimal = |group: &&str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.len() == 5 && groups.iter().all(hexadecimal)
}

/// A date and time with an offset, as it stands in ISO 8601 with all its parts.
fn time(client: Client, text: &str) -> bool {
    let Some((wall, rest)) = text.split_at_checked(19) else { return false };
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("0", rest),
    };
    let offset_fits = match client {
        Client::JavaScript => offset == "Z" || fits(offset, "+dd:dd") || fits(offset, "-dd:dd"),
        // Of the forms without a colon only this one is put right before it is read.
        Client::Java => offset == "Z" || offset == "+0000" || fits(offset, "+dd:dd") || fits(offset, "-dd:dd"),
    };
    fits(wall, "dddd-dd-ddTdd:dd:dd") && (1..=9).contains(&fraction.len()) && offset_fits
}

/// Whether a text has this form, in which each `d` stands for a digit.
fn fits(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}
