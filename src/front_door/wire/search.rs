//! The body of `POST /ges/v1/callbacks/search`.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use domain::callback::State;
use domain::ports::Named;
use domain::search::{Operand, Order, Properties, Search};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::create::{MAX_PHONE_CHARS, MAX_SERVICE_CHARS, MAX_TEXT_CHARS, scalars_are};
use super::{Loose, members, object, parse_id, time};
use crate::front_door::error::Problem;

/// Callbacks of a page unless asked otherwise.
pub(crate) const USUAL_ENTRIES: usize = 100;
/// Longest word, time or cursor in characters; a UUID has 36.
const MAX_WORD_CHARS: usize = 64;
/// Whole numbers up to this are written without a point.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct SearchRequest {
    pub(crate) named: Named,
    pub(crate) search: Search,
    /// Whether numbers are shown whole.
    pub(crate) shows_numbers: bool,
}

/// Several values, as far as their limit allows to keep them.
#[derive(Default)]
enum Several<T> {
    #[default]
    Absent,
    /// Not what was expected.
    Odd,
    TooMany,
    Items(Vec<T>),
}

/// A list.
#[derive(Default)]
struct List<'a>(Several<Loose<'a>>);

/// An object.
#[derive(Default)]
struct Object<'a>(Several<(String, Loose<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            scalars_are!(List(Several::Odd));

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                while from.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(List(Several::Odd))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while items.len() < Search::MAX_QUEUES {
                    match from.next_element::<Loose<'de>>()? {
                        Some(item) => items.push(item),
                        None => return Ok(List(Several::Items(items))),
                    }
                }
                let more = from.next_element::<IgnoredAny>()?.is_some();
                while from.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(if more { Several::TooMany } else { Several::Items(items) }))
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            scalars_are!(Object(Several::Odd));

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Object::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                while from.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object(Several::Odd))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut items: Vec<(String, Loose<'de>)> = Vec::new();
                let mut too_many = false;
                while let Some((name, value)) = from.next_entry::<String, Loose<'de>>()? {
                    // Of several of one name the last counts.
                    items.retain(|(known, _)| *known != name);
                    too_many |= items.len() >= Search::MAX_PROPERTIES;
                    if !too_many {
                        items.push((name, value));
                    }
                }
                Ok(Object(if too_many { Several::TooMany } else { Several::Items(items) }))
            }
        }

        deserializer.deserialize_any(ObjectVisitor)
    }
}

members! {
    struct SearchMembers<'de> {
        "queues" => queues: List<'de>,
        "states" => states: List<'de>,
        "from" => from: Loose<'de>,
        "to" => to: Loose<'de>,
        "phoneNumber" => phone_number: Loose<'de>,
        "properties" => properties: Object<'de>,
        "operand" => operand: Loose<'de>,
        "sort" => sort: Loose<'de>,
        "limit" => limit: Loose<'de>,
        "cursor" => cursor: Loose<'de>,
        "showNumbers" => show_numbers: Loose<'de>,
    }
}

/// Reads what is looked for.
pub(crate) fn search(body: &[u8]) -> Result<SearchRequest, Problem> {
    let members: SearchMembers<'_> = object(body)?;
    let order = match members.sort.text("sort", MAX_WORD_CHARS)?.as_deref() {
        None | Some("-created") => Order::NewestFirst,
        Some("created") => Order::OldestFirst,
        Some(_) => return Err(Problem::bad("sort", "must be created or -created")),
    };
    let max = i64::try_from(Search::MAX_LIMIT).unwrap_or(i64::MAX);
    let limit = members.limit.whole("limit", 1, max)?.and_then(|limit| usize::try_from(limit).ok());
    let cursor = members.cursor.text("cursor", MAX_WORD_CHARS)?;
    let all = Search::all(order, limit.unwrap_or(USUAL_ENTRIES));
    let desired = instant(members.from, "from")?.unwrap_or(all.desired.start)
        ..instant(members.to, "to")?.unwrap_or(all.desired.end);
    if desired.is_empty() {
        return Err(Problem::bad("to", "must be after from"));
    }
    let named = Named {
        queues: texts(members.queues, "queues", MAX_SERVICE_CHARS)?,
        phone_number: members.phone_number.text("phoneNumber", MAX_PHONE_CHARS)?.map(Into::into),
    };
    let search = Search {
        states: states(members.states)?,
        desired,
        properties: Properties { wanted: properties(members.properties)?, operand: operand(members.operand)? },
        after: cursor.map(|text| parse_id("cursor", &text)).transpose()?,
        ..all
    };
    Ok(SearchRequest { named, search, shows_numbers: members.show_numbers.flag("showNumbers")?.unwrap_or(false) })
}

fn texts(list: List<'_>, field: &str, max: usize) -> Result<BTreeSet<String>, Problem> {
    match list.0 {
        Several::Absent => Ok(BTreeSet::new()),
        Several::Odd => Err(Problem::bad(field, "must be an array of strings")),
        Several::TooMany => Err(Problem::bad(field, format!("must have at most {} entries", Search::MAX_QUEUES))),
        Several::Items(items) => items.into_iter().map(|item| item.required_text(field, max).map(Into::into)).collect(),
    }
}

fn states(list: List<'_>) -> Result<BTreeSet<State>, Problem> {
    let named = |name: String| State::ALL.into_iter().find(|state| state.name() == name);
    let names = texts(list, "states", MAX_WORD_CHARS)?;
    let states = names.into_iter().map(named).collect::<Option<_>>();
    states.ok_or_else(|| Problem::bad("states", format!("must be of {}", State::ALL.map(State::name).join(", "))))
}

/// Without an offset it is UTC.
fn instant(member: Loose<'_>, field: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(text) = member.text(field, MAX_WORD_CHARS)? else { return Ok(None) };
    let rule = "must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z";
    time::parse(&text).map(Some).ok_or_else(|| Problem::bad(field, rule))
}

fn operand(member: Loose<'_>) -> Result<Operand, Problem> {
    let Some(text) = member.text("operand", MAX_WORD_CHARS)? else { return Ok(Operand::default()) };
    let found = Operand::ALL.into_iter().find(|operand| operand.name() == text);
    found.ok_or_else(|| Problem::bad("operand", "must be AND or OR"))
}

/// Values as text, as user data is compared.
fn properties(object: Object<'_>) -> Result<Vec<(String, String)>, Problem> {
    let items = match object.0 {
        Several::Absent => return Ok(Vec::new()),
        Several::Odd => return Err(Problem::bad("properties", "must be an object")),
        Several::TooMany => {
            let rule = format!("must have at most {} members", Search::MAX_PROPERTIES);
            return Err(Problem::bad("properties", rule));
        }
        Several::Items(items) => items,
    };
    let text = |(name, value): (String, Loose<'_>)| {
        let value = match value {
            Loose::Text(text) if text.chars().count() <= MAX_TEXT_CHARS => text.into_owned(),
            Loose::Bool(flag) => flag.to_string(),
            Loose::Number(number) if number.fract() == 0.0 && number.abs() <= MAX_EXACT => format!("{number:.0}"),
            Loose::Number(number) => number.to_string(),
            Loose::Text(_) => {
                let rule = format!("must have values of at most {MAX_TEXT_CHARS} characters");
                return Err(Problem::bad("properties", rule));
            }
            Loose::Absent | Loose::Nested => {
                return Err(Problem::bad("properties", "must have values that are text, numbers, true or false"));
            }
        };
        Ok((name, value))
    };
    items.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_asked_is_read() {
        let body = br#"{
            "queues": ["support", "help", "support"], "states": ["QUEUED", "SCHEDULED"], "from": "2030-03-04T15:00Z",
            "to": "2030-03-05T00:00:00+01:00", "phoneNumber": "(416) 555-0101", "operand": "OR", "sort": "created",
            "properties": {"tier": 2, "vip": true, "half": 0.5, "topic": "billing", "tier": 3.0},
            "limit": 7.0, "cursor": "0192f0a0-0000-7000-8000-000000000001", "showNumbers": true, "unknown": [{}]
        }"#;
        let read = search(body).unwrap();
        assert_eq!(read.named.queues, ["help", "support"].map(str::to_owned).into());
        assert_eq!(read.named.phone_number.as_deref(), Some("(416) 555-0101"));
        let wanted = [("vip", "true"), ("half", "0.5"), ("topic", "billing"), ("tier", "3")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let expected = Search {
            states: [State::Queued, State::Scheduled].into(),
            desired: time::parse("2030-03-04T15:00Z").unwrap()..time::parse("2030-03-04T23:00Z").unwrap(),
            properties: Properties { wanted, operand: Operand::Or },
            after: Some("0192f0a0-0000-7000-8000-000000000001".parse().unwrap()),
            ..Search::all(Order::OldestFirst, 7)
        };
        assert_eq!((read.search, read.shows_numbers), (expected, true));
        let nothing = search(b"{}").unwrap();
        assert_eq!(nothing.search, Search::all(Order::NewestFirst, USUAL_ENTRIES));
        assert!(!nothing.shows_numbers && nothing.named == Named::default());
        let empty = br#"{"queues": [], "states": null, "properties": {}, "phoneNumber": ""}"#;
        assert_eq!(search(empty).unwrap(), nothing, "an empty filter is none");
    }

    #[test]
    fn what_breaks_a_rule_of_form_is_told_which() {
        let many = |count: usize, one: &str| vec![one; count].join(",");
        let queues = format!(r#"{{"queues":[{}]}}"#, many(101, "\"q\""));
        let members: Vec<_> = (0..11).map(|number| format!("\"m{number}\":1")).collect();
        let properties = format!(r#"{{"properties":{{{}}}}}"#, members.join(","));
        for (body, message) in [
            (r#"{"queues":"support"}"#, "queues must be an array of strings."),
            (r#"{"queues":[7]}"#, "queues must be a string."),
            (r#"{"queues":[""]}"#, "queues must not be empty."),
            (r#"{"queues":[null]}"#, "queues is required."),
            (queues.as_str(), "queues must have at most 100 entries."),
            (r#"{"states":["DONE"]}"#, "states must be of SCHEDULED, QUEUED, ROUTING, PROCESSING, COMPLETED."),
            (r#"{"states":{}}"#, "states must be an array of strings."),
            (r#"{"from":"soon"}"#, "from must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z."),
            (r#"{"from":"2030-03-04T15:00Z","to":"2030-03-04T15:00Z"}"#, "to must be after from."),
            (r#"{"phoneNumber":7}"#, "phoneNumber must be a string."),
            (r#"{"properties":[]}"#, "properties must be an object."),
            (properties.as_str(), "properties must have at most 10 members."),
            (r#"{"properties":{"a":null}}"#, "properties must have values that are text, numbers, true or false."),
            (r#"{"operand":"XOR"}"#, "operand must be AND or OR."),
            (r#"{"sort":"name"}"#, "sort must be created or -created."),
            (r#"{"limit":0}"#, "limit must be a whole number between 1 and 1000."),
            (r#"{"cursor":"x"}"#, "cursor must be a UUID in the form 8-4-4-4-12."),
            (r#"{"showNumbers":"yes"}"#, "showNumbers must be true or false."),
        ] {
            assert_eq!(search(body.as_bytes()).unwrap_err().message, message, "{body}");
        }
        assert!(search(format!(r#"{{"queues":[{}]}}"#, many(100, "\"q\"")).as_bytes()).is_ok());
    }
}
