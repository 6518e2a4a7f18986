use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

#[test]
fn members_replace_their_namesakes_and_the_empty_text_removes() {
    for (stored, attached, expected) in [
        (None, r#"{"a":1}"#, Some(r#"{"a":1}"#)),
        (None, "{}", None),
        (None, r#"{"a":""}"#, None),
        (Some("{}"), "{}", None),
        (Some(r#"{"a":1}"#), "{}", Some(r#"{"a":1}"#)),
        (Some(r#"{"a":1,"b":[{"c":"},"}]}"#), r#"{"a":2}"#, Some(r#"{"b":[{"c":"},"}],"a":2}"#)),
        (Some(r#"{"a":1,"b":2}"#), r#"{"b":""}"#, Some(r#"{"a":1}"#)),
        (Some(r#"{"a":1}"#), r#"{"a":""}"#, None),
        (Some(r#"{"a":"","b":null}"#), r#"{"c":null}"#, Some(r#"{"a":"","b":null,"c":null}"#)),
        (Some(r#"{"a":1}"#), r#"{"a":2,"a":""}"#, None),
        (Some(r#"{"a":1}"#), r#"{"a":"","a":3}"#, Some(r#"{"a":3}"#)),
        (Some(r#"{"a\"":"\\"}"#), r#"{"b":" "}"#, Some(r#"{"a\"":"\\","b":" "}"#)),
    ] {
        let result = attach(stored, attached);
        assert_eq!(result.as_ref().map(Option::as_deref), Ok(expected), "{stored:?} {attached}");
    }
}

#[test]
fn anything_but_an_object_is_refused() {
    for text in
        ["", "{", "}", "[]", "null", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, r#"{:1}"#, r#"{a:1}"#, r#"{"a":[}"#]
            .into_iter()
            .chain([r#"{"a":1]}"#, r#"{"a":"x}"#, r#"{,}"#, r#"{"a":1,,"b":2}"#])
    {
        assert_eq!(attach(None, text), Err(AttachError::Malformed), "{text}");
        assert_eq!(attach(Some(text), r#"{"a":1}"#), Err(AttachError::Malformed), "{text}");
    }
}

#[test]
fn the_whole_has_a_limit_and_what_is_removed_does_not_count() {
    let text = |name: &str, length: usize| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(length));
    // `{"a":"…"}` has eight characters beside the text.
    let full = text("a", MAX_BYTES - 8);
    assert_eq!(full.len(), MAX_BYTES);
    assert_eq!(attach(None, &full).as_ref().map(Option::as_ref), Ok(Some(&full)));
    assert_eq!(attach(None, &text("a", MAX_BYTES - 7)), Err(AttachError::TooLong));
    assert_eq!(attach(Some(&full), r#"{"b":1}"#), Err(AttachError::TooLong));
    assert_eq!(attach(Some(&full), r#"{"b":1,"a":""}"#), Ok(Some(r#"{"b":1}"#.into())));
}

#[test]
fn many_members_take_no_time_to_speak_of() {
    let many = |from: u32| {
        let members: Vec<String> = (from..from + 60_000).map(|number| format!(r#""m{number}":{number}"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    // With a comparison of each with each this would take minutes.
    assert_eq!(attach(Some(&many(0)), &many(0)), Ok(Some(many(0))));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        Just("".into()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[a-d]|\\PC{0,3}", value(), 0..5).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn it_does_what_a_tree_would_do(stored in object(), attached in object()) {
        let mut expected = stored.clone();
        for (name, value) in &attached {
            if *value == "" {
                expected.remove(name);
            } else {
                expected.insert(name.clone(), value.clone());
            }
        }
        let (stored, attached) = (Value::Object(stored).to_string(), Value::Object(attached).to_string());
        let result = attach(Some(&stored), &attached).unwrap();
        prop_assert_eq!(result.is_none(), expected.is_empty());
        if let Some(text) = result {
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).unwrap(), expected);
        }
    }

    #[test]
    fn no_text_breaks_it(stored in "[{}\\[\\]\",:a\\\\ ]{0,12}", attached in any::<String>()) {
        let _ = attach(Some(&stored), &attached);
        let _ = attach(None, &stored);
    }
}

#[test]
fn members_are_found_by_name() {
    let data = r#"{"a":"x","b":{"a":1},"c":7.5,"d":null,"a":"y","e":[1,2],"f":true}"#;
    let found = ["a", "b", "c", "d", "e", "f", "g"].map(|name| member(data, name));
    let expected = [Some("y"), Some(r#"{"a":1}"#), Some("7.5"), None, Some("[1,2]"), Some("true"), None];
    assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
    assert_eq!(member("[]", "a"), None);
    assert_eq!(member("{\"a\"", "a"), None, "what cannot be read is not counted");
}
