//! What the environment and configuration services say, read with care: their answers are not published in full. What
//! cannot be read as a whole counts as no answer.

use std::collections::BTreeMap;

use domain::ids::ContactCenterId;
use serde_json::{Map, Value};

use super::own::GwsError;
use crate::clients::http::Answer;

/// Deepest nesting of options that is followed.
const MAX_DEPTH: usize = 4;

/// A contact centre of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Center {
    pub(super) id: ContactCenterId,
    pub(super) domains: Vec<String>,
}

/// A page of objects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) objects: Vec<Map<String, Value>>,
    /// How many there are in all, if it says so.
    pub(super) total: Option<usize>,
}

fn malformed(what: &str) -> GwsError {
    GwsError::Unavailable(format!("its answer is {what}"))
}

/// The part `data` of a good answer.
fn data(answer: &Answer) -> Result<Value, GwsError> {
    match answer.status.as_u16() {
        200 => {}
        status @ (401 | 403) => return Err(GwsError::TokenRefused(status)),
        status => return Err(GwsError::Unavailable(format!("it answered with status {status}"))),
    }
    // The library's own text may quote what it has read.
    let whole: Value = serde_json::from_slice(&answer.body).map_err(|_| malformed("no JSON"))?;
    let Value::Object(mut whole) = whole else { return Err(malformed("no object")) };
    let code = whole.get("status").and_then(|status| status.get("code"));
    if code.is_some_and(|code| code.as_i64() != Some(0)) {
        return Err(malformed("no success"));
    }
    whole.remove("data").ok_or_else(|| malformed("without data"))
}

/// The list in an answer: `data` itself, or the one member of it that is a list.
fn page(answer: &Answer) -> Result<Page, GwsError> {
    let (list, total) = match data(answer)? {
        Value::Array(list) => (list, None),
        Value::Object(members) => {
            let total = members.get("totalCount").or_else(|| members.get("total")).and_then(Value::as_u64);
            let mut lists = members.into_iter().filter_map(|(_, value)| match value {
                Value::Array(list) => Some(list),
                _ => None,
            });
            let list = lists.next().ok_or_else(|| malformed("no list"))?;
            if lists.next().is_some() {
                return Err(malformed("more than one list"));
            }
            (list, total.and_then(|total| usize::try_from(total).ok()))
        }
        _ => return Err(malformed("no list")),
    };
    let objects: Option<Vec<_>> =
        list.into_iter().map(|one| if let Value::Object(it) = one { Some(it) } else { None }).collect();
    Ok(Page { objects: objects.ok_or_else(|| malformed("a list of something else"))?, total })
}

/// Objects of the configuration.
pub(super) fn objects(answer: &Answer) -> Result<Page, GwsError> {
    page(answer)
}

/// Every contact centre. A list with one that has no id, or with fewer than it says there are, is none.
pub(super) fn centers(answer: &Answer) -> Result<Vec<Center>, GwsError> {
    let Page { objects, total } = page(answer)?;
    if total.is_some_and(|total| total != objects.len()) {
        return Err(malformed("a part of the list"));
    }
    let center = |object: &Map<String, Value>| {
        let id = object.get("id").and_then(Value::as_str)?.parse().ok()?;
        Some(Center { id, domains: texts(object.get("domains")) })
    };
    objects
        .iter()
        .map(center)
        .collect::<Option<_>>()
        .ok_or_else(|| malformed("a list with a contact centre without id"))
}

/// The value of a setting of a contact centre; none if it has no such.
pub(super) fn setting(answer: &Answer, name: &str) -> Result<Option<String>, GwsError> {
    let found = page(answer)?.objects.into_iter().find(|it| it.get("name").and_then(Value::as_str) == Some(name));
    Ok(found.and_then(|setting| setting.get("value").and_then(Value::as_str).map(str::to_owned)))
}

/// Texts of a list, or of one text with commas.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => {
            text.split(',').map(|part| part.trim().to_owned()).filter(|it| !it.is_empty()).collect()
        }
        _ => Vec::new(),
    }
}

/// A member under its name in any case of letters: `dbid` and `DBID` are both in use.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A number that may be written as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Options by name: an object, or a list of `{key, value}`, as the configuration writes them.
pub(super) fn options(value: &Value) -> BTreeMap<String, Value> {
    fn of(value: &Value, depth: usize) -> BTreeMap<String, Value> {
        let deeper = |value: &Value| match value {
            Value::Array(_) if depth < MAX_DEPTH => Value::Object(of(value, depth + 1).into_iter().collect()),
            other => other.clone(),
        };
        match value {
            Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), deeper(value))).collect(),
            Value::Array(list) => list
                .iter()
                .filter_map(|pair| {
                    Some((member(pair.as_object()?, "key")?.as_str()?.to_owned(), deeper(pair.get("value")?)))
                })
                .collect(),
            _ => BTreeMap::new(),
        }
    }
    of(value, 0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    const ID: &str = "9350e2fc-a1dd-4c65-8d40-1f75a2e080dd";

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn only_a_whole_list_is_a_list() {
        let one = Center { id: ID.parse().unwrap(), domains: vec!["acme.example".to_owned()] };
        let entry = format!(r#"{{"id":"{ID}","domains":["acme.example"],"environmentId":"e","auth":"configServer"}}"#);
        for good in [
            format!(r#"{{"status":{{"code":0}},"data":[{entry}]}}"#),
            format!(r#"{{"data":{{"contactCenters":[{entry}]}}}}"#),
            format!(r#"{{"status":{{"code":0}},"data":{{"contactCenters":[{entry}],"totalCount":1}}}}"#),
        ] {
            assert_eq!(centers(&answer(200, &good)), Ok(vec![one.clone()]), "{good}");
        }
        assert_eq!(centers(&answer(200, r#"{"data":[]}"#)), Ok(vec![]));
        for bad in [
            format!(r#"{{"status":{{"code":0}},"data":[{entry},{{"id":"x"}}]}}"#),
            format!(r#"{{"status":{{"code":0}},"data":[{entry},7]}}"#),
            format!(r#"{{"status":{{"code":7}},"data":[{entry}]}}"#),
            format!(r#"{{"data":{{"contactCenters":[{entry}],"totalCount":2}}}}"#),
            format!(r#"{{"data":[{entry}"#),
            format!("[{entry}]"),
            r#"{"data":{"a":[],"b":[]}}"#.to_owned(),
            r#"{"status":{"code":0}}"#.to_owned(),
            r#"{"data":null}"#.to_owned(),
            "<html>".to_owned(),
        ] {
            assert!(matches!(centers(&answer(200, &bad)), Err(GwsError::Unavailable(_))), "{bad}");
        }
        let good = format!(r#"{{"data":[{entry}]}}"#);
        for status in [202, 206, 404, 500] {
            assert!(centers(&answer(status, &good)).is_err(), "{status}");
        }
        assert_eq!(centers(&answer(403, &good)), Err(GwsError::TokenRefused(403)));
    }

    #[test]
    fn settings_are_found_by_name() {
        let list = r#"{"data":[{"name":"a","value":"1"},{"name":"cors-origins","location":"/","shared":false,"value":"https://a.example, https://b.example"}]}"#;
        assert_eq!(
            setting(&answer(200, list), "cors-origins").unwrap().unwrap(),
            "https://a.example, https://b.example"
        );
        assert_eq!(setting(&answer(200, list), "b"), Ok(None));
        assert!(setting(&answer(200, "{}"), "a").is_err());
    }

    #[test]
    fn options_are_read_in_both_forms() {
        let nested = serde_json::json!({ "ges": { "roles": "Supervisor" } });
        let pairs = serde_json::json!([{ "key": "ges", "type": "kvlist", "value": [{ "key": "roles", "type": "str", "value": "Supervisor" }] }]);
        assert_eq!(options(&nested), options(&pairs));
        assert_eq!(options(&nested)["ges"]["roles"], "Supervisor");
        assert!(options(&serde_json::json!(7)).is_empty());
    }
}
