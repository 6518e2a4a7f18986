//! What is asked about events and their delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::callback::PushTarget;
use domain::happening::{HappeningId, Kind};
use domain::ports::{FeedFrom, RecoverFrom};
use serde::de::MapAccess;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::create::push_target;
use super::query::Query;
use super::{Loose, Members, members, object, skip, time};
use crate::front_door::error::Problem;

/// Events in an answer unless asked otherwise, and at most.
const USUAL_EVENTS: u32 = 100;
const MAX_EVENTS: u32 = 500;
/// Longest wait for an event, in seconds.
const MAX_WAIT_SECONDS: i64 = 20;
/// Longest place in a feed, in digits: more than any feed will ever have.
const MAX_PLACE_DIGITS: usize = 18;
/// Longest text that is read as an id, a time or the name of a type, in characters.
const MAX_WORD_CHARS: usize = 64;
/// Longest notification of a sender's own, in bytes; FCM takes 4,096.
const MAX_NOTIFICATION_BYTES: usize = 4_096;

/// What a reader of the feed asks for.
pub(crate) struct FeedQuery {
    pub(crate) from: FeedFrom,
    pub(crate) limit: usize,
    pub(crate) wait: Duration,
}

/// Reads `after`, `limit` and `wait`.
pub(crate) fn feed_query(raw: Option<&str>) -> Result<FeedQuery, Problem> {
    let query = Query::new(raw);
    let from = match query.text(&["after"], MAX_WORD_CHARS)?.as_deref() {
        None => FeedFrom::Start,
        Some("end") => FeedFrom::End,
        Some(text) => FeedFrom::After(place("after", text)?),
    };
    let seconds = query.whole(&["wait"], 0, MAX_WAIT_SECONDS)?.unwrap_or_default();
    let limit = query.limit(USUAL_EVENTS, MAX_EVENTS)?;
    Ok(FeedQuery { from, limit, wait: Duration::from_secs(seconds.unsigned_abs()) })
}

/// How much of a list is asked for.
pub(crate) struct ListQuery {
    /// Only what is older than this event.
    pub(crate) before: Option<HappeningId>,
    pub(crate) limit: usize,
}

/// Reads `before` and `limit`.
pub(crate) fn list_query(raw: Option<&str>) -> Result<ListQuery, Problem> {
    let query = Query::new(raw);
    let before = query.text(&["before"], MAX_WORD_CHARS)?.map(|text| happening("before", &text)).transpose()?;
    let limit = query.limit(USUAL_EVENTS, MAX_EVENTS)?;
    Ok(ListQuery { before, limit })
}

/// Reads `event`, which names one.
pub(crate) fn event_query(raw: Option<&str>) -> Result<HappeningId, Problem> {
    happening("event", &Query::new(raw).required_text(&["event"], MAX_WORD_CHARS)?)
}

fn place(field: &str, text: &str) -> Result<u64, Problem> {
    let digits = text.len() <= MAX_PLACE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let place = text.parse().ok().filter(|_| digits);
    place.ok_or_else(|| Problem::bad(field, "must be the value of next in an earlier answer, or end"))
}

fn happening(field: &str, text: &str) -> Result<HappeningId, Problem> {
    let uuid = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
    uuid.map(HappeningId::from_uuid).ok_or_else(|| Problem::bad(field, "must be the id of an event"))
}

members! {
    /// A body with at most one member that counts, all of them texts.
    struct Words<'de> {
        "eventId" => event_id: Loose<'de>,
        "since" => since: Loose<'de>,
        "after" => after: Loose<'de>,
        "type" => r#type: Loose<'de>,
    }
}

/// Reads `{"eventId": …}`.
pub(crate) fn resend(body: &[u8]) -> Result<HappeningId, Problem> {
    let words: Words<'_> = object(body)?;
    happening("eventId", &words.event_id.required_text("eventId", MAX_WORD_CHARS)?)
}

/// Reads `{"since": …}` or `{"after": …}`.
pub(crate) fn recover(body: &[u8]) -> Result<RecoverFrom, Problem> {
    let words: Words<'_> = object(body)?;
    let after = words.after.text("after", MAX_WORD_CHARS)?;
    match (words.since.text("since", MAX_WORD_CHARS)?, after) {
        (None, Some(after)) => Ok(RecoverFrom::After(place("after", &after)?)),
        (Some(since), None) => Ok(RecoverFrom::Since(instant(&since)?)),
        (None, None) => Err(Problem::bad("since", "is required, or after")),
        (Some(_), Some(_)) => Err(Problem::bad("since", "must not come together with after")),
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, Problem> {
    let rule = "must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z";
    time::parse(text).ok_or_else(|| Problem::bad("since", rule))
}

/// Reads `{"type": …}`; the body may be missing.
pub(crate) fn example(body: &[u8]) -> Result<Kind, Problem> {
    let words: Words<'_> = if body.is_empty() { Words::default() } else { object(body)? };
    match words.r#type.text("type", MAX_WORD_CHARS)? {
        None => Ok(Kind::Created),
        Some(name) => Kind::from_name(&name).ok_or_else(|| Problem::bad("type", "must be a type of events")),
    }
}

/// A notification of a sender's own.
pub(crate) struct Publishing {
    pub(crate) target: PushTarget,
    /// Compact or not, as it came.
    pub(crate) notification: String,
    pub(crate) validate_only: bool,
}

#[derive(Default)]
struct PublishMembers<'a> {
    channel: Loose<'a>,
    target: Loose<'a>,
    event: Option<&'a RawValue>,
    validate_only: Loose<'a>,
}

impl<'de> Members<'de> for PublishMembers<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error> {
        match name {
            "channel" => self.channel = from.next_value()?,
            "target" => self.target = from.next_value()?,
            "event" => self.event = from.next_value()?,
            "validate_only" | "validateOnly" => self.validate_only = from.next_value()?,
            _ => skip(from)?,
        }
        Ok(())
    }
}

/// Reads `{"channel": …, "target": …, "event": {…}, "validate_only": …}`.
pub(crate) fn publish(body: &[u8]) -> Result<Publishing, Problem> {
    let members: PublishMembers<'_> = object(body)?;
    let target = push_target(members.channel, "channel", members.target, "target")?;
    let event = members.event.map(RawValue::get).unwrap_or_default();
    if event.is_empty() {
        return Err(Problem::bad("event", "is required"));
    }
    if !event.starts_with('{') {
        return Err(Problem::bad("event", "must be a notification object"));
    }
    if event.len() > MAX_NOTIFICATION_BYTES {
        return Err(Problem::bad("event", format!("must have at most {MAX_NOTIFICATION_BYTES} bytes")));
    }
    let validate_only = members.validate_only.flag("validate_only")?.unwrap_or(false);
    Ok(Publishing { target, notification: event.to_owned(), validate_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(result: Result<T, Problem>) -> String {
        result.err().map(|problem| problem.message.into_owned()).unwrap_or_default()
    }

    #[test]
    fn cursors_are_read_or_refused() {
        let from = |raw: &str| feed_query(Some(raw)).map(|query| (query.from, query.limit, query.wait.as_secs()));
        assert_eq!(from("").unwrap(), (FeedFrom::Start, 100, 0));
        assert_eq!(from("after=end&limit=1&wait=20").unwrap(), (FeedFrom::End, 1, 20));
        assert_eq!(from("after=0042&limit=5E2").unwrap(), (FeedFrom::After(42), 500, 0));
        let rule = "after must be the value of next in an earlier answer, or end.";
        for raw in ["after=x", "after=-1", "after=1.0", "after=%2B1", "after=1234567890123456789"] {
            assert_eq!(told(from(raw)), rule, "{raw}");
        }
        assert_eq!(told(from("limit=0")), "limit must be a whole number between 1 and 500.");
        assert_eq!(told(from("wait=21")), "wait must be a whole number between 0 and 20.");
    }

    #[test]
    fn a_stretch_to_recover_has_one_beginning() {
        assert_eq!(recover(br#"{"after":"7"}"#).unwrap(), RecoverFrom::After(7));
        assert!(matches!(recover(br#"{"since":"2030-03-04T15:30:00Z"}"#).unwrap(), RecoverFrom::Since(_)));
        for (body, message) in [
            (r#"{}"#, "since is required, or after."),
            (r#"{"since":"2030-03-04T15:30:00Z","after":"7"}"#, "since must not come together with after."),
            (r#"{"since":"yesterday"}"#, "since must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z."),
        ] {
            assert_eq!(told(recover(body.as_bytes())), message, "{body}");
        }
    }

    #[test]
    fn a_notification_is_taken_as_it_is() {
        let read = |event: &str| {
            publish(format!(r#"{{"channel":"FCM","target":"t","event":{event},"validate_only":true}}"#).as_bytes())
        };
        let published = read(r#"{ "title":"a", "x-y":[1] }"#).unwrap();
        assert_eq!(published.notification, r#"{ "title":"a", "x-y":[1] }"#);
        assert!(published.validate_only && published.target.channel == "FCM");
        assert_eq!(told(read("null")), "event is required.");
        assert_eq!(told(read("7")), "event must be a notification object.");
        assert_eq!(
            told(read(&format!(r#"{{"title":"{}"}}"#, "x".repeat(5_000)))),
            "event must have at most 4096 bytes."
        );
        assert_eq!(told(publish(br#"{"channel":"SMS","target":"t","event":{}}"#)), "channel must be FCM or HTTP.");
        assert_eq!(told(publish(br#"{"channel":"FCM","event":{}}"#)), "target is required.");
    }

    #[test]
    fn an_example_is_of_a_known_type() {
        assert_eq!(example(b"").unwrap(), Kind::Created);
        assert_eq!(example(br#"{"type":"webhook.disabled"}"#).unwrap(), Kind::EndpointDisabled);
        assert_eq!(told(example(br#"{"type":"x"}"#)), "type must be a type of events.");
    }
}
