//! Members of a JSON object by the names that providers have for them.

use serde_json::{Map, Value};

/// What is told of a user.
pub(super) type Claims = Map<String, Value>;

/// The first of some members that is a text or a number and says something.
pub(super) fn text(claims: &Claims, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match claims.get(*name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A list of names: texts, objects with a `name`, or one text alone.
pub(super) fn names(value: Option<&Value>) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => object.get("name").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(name).take(MAX_NAMES).collect(),
        Some(value) => name(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Most groups of a user that are looked at.
const MAX_NAMES: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_come_in_every_form_that_providers_have() {
        for (value, expected) in [
            (json!(["a", "b"]), &["a", "b"][..]),
            (json!([{"name": "a", "privileges": []}, {"id": 1}]), &["a"]),
            (json!("a"), &["a"]),
            (json!(null), &[]),
            (json!({"a": 1}), &[]),
        ] {
            assert_eq!(names(Some(&value)), expected, "{value}");
        }
        assert_eq!(names(None), Vec::<String>::new());
    }
}
