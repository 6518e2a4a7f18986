use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::hours::BusinessHours;
use crate::numbers::Region;
use crate::secret::SecretRef;

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Shop {
    name: String,
    open: bool,
    seats: u32,
    kind: Kind,
    doors: Vec<Door>,
    countries: BTreeMap<Region, u8>,
    hours: Option<BusinessHours>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Corner,
    Shopping,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Door {
    width: u32,
    height: u32,
    key: SecretRef,
}

fn node(json: &str) -> Node {
    serde_json::from_str(json).unwrap()
}

fn told(json: &str) -> Vec<String> {
    read::<Shop>(&node(json)).mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_document_has_no_mistakes() {
    let json = r#"{"name": "x", "seats": 3.0, "doors": [{"width": 1, "height": 2, "key": {"env": "K"}}]}"#;
    let reading = read::<Shop>(&node(json));
    assert_eq!((reading.mistakes.as_slice(), reading.stand_ins.len()), ([].as_slice(), 0));
    let shop = reading.value.unwrap();
    assert_eq!((shop.name.as_str(), shop.seats, shop.doors.len()), ("x", 3, 1));
}

#[test]
fn each_mistake_is_told_once_at_its_place() {
    let door = r#""width": 1, "height": 2, "key": {"env": "K"}"#;
    for (json, expected) in [
        ("7", vec!["the document: has to be an object, not 7"]),
        ("[]", vec!["the document: has to be an object, not a list"]),
        (r#"{"seats": "many"}"#, vec![r#"seats: has to be a whole number from 0 to 4294967295, not "many""#]),
        (r#"{"seats": -1}"#, vec!["seats: has to be a whole number from 0 to 4294967295, not -1"]),
        (r#"{"seats": 1.5}"#, vec!["seats: has to be a whole number from 0 to 4294967295, not 1.5"]),
        (r#"{"open": "yes"}"#, vec![r#"open: has to be true or false, not "yes""#]),
        (r#"{"open": null}"#, vec!["open: has to be true or false, not nothing"]),
        (r#"{"name": 7}"#, vec!["name: has to be a text (in quotes, if it looks like a number), not 7"]),
        (r#"{"nmae": "x"}"#, vec!["nmae: is not a known key; did you mean name?"]),
        (r#"{"elsewhere": {}}"#, vec!["elsewhere: is not a known key"]),
        (r#"{"open": true, "open": false}"#, vec!["open: stands there twice"]),
        (
            r#"{"kind": "shoping"}"#,
            vec![r#"kind: has to be one of corner, shopping; did you mean shopping?, not "shoping""#],
        ),
        (r#"{"kind": 1}"#, vec!["kind: has to be one of corner, shopping, not 1"]),
        (r#"{"doors": {}}"#, vec!["doors: has to be a list, not an object"]),
        (r#"{"doors": [7]}"#, vec!["doors.0: has to be an object, not 7"]),
        (
            r#"{"doors": [{}]}"#,
            vec!["doors.0.width: is missing", "doors.0.height: is missing", "doors.0.key: is missing"],
        ),
        (
            r#"{"doors": [{"width": "w", "heigth": 1, "key": {"env": "K"}}]}"#,
            vec![
                r#"doors.0.width: has to be a whole number from 0 to 4294967295, not "w""#,
                "doors.0.heigth: is not a known key; did you mean height?",
                "doors.0.height: is missing",
            ],
        ),
        (
            &format!(r#"{{"doors": [5, {{{door}}}, {{{door}, "x": 1}}], "seats": true}}"#),
            vec![
                "doors.0: has to be an object, not 5",
                "doors.2.x: is not a known key",
                "seats: has to be a whole number from 0 to 4294967295, not true",
            ],
        ),
        (
            r#"{"countries": {"XX": 1, "US": 300}}"#,
            vec![
                "countries.XX: a region is two upper-case letters of ISO 3166-1, such as US",
                "countries.US: has to be a whole number from 0 to 255, not 300",
            ],
        ),
        // A hand-written reader passes the error of what is inside on as a text.
        (
            r#"{"hours": {"zone": "UTC", "weekly": {"mon": [{"from": "9:00", "to": "17:00"}]}}}"#,
            vec![
                "hours.weekly.mon.0: a time is HH:MM from 00:00 to 23:59, and a range may also end at 24:00 or, in a week, on a day (mon 06:00), not an object",
            ],
        ),
    ] {
        assert_eq!(told(json), expected, "{json}");
    }
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    for key in
        [r#""planted""#, r#"{"plain": "planted"}"#, r#"{"file": ["planted"]}"#, r#"{"file": "a", "env": "planted"}"#]
    {
        let told = told(&format!(r#"{{"doors": [{{"width": 1, "height": 2, "key": {key}}}]}}"#)).join("\n");
        assert!(!told.contains("planted") && told.contains("{sealed: FINGERPRINT}"), "{key}: {told}");
    }
}

#[test]
fn echoes_of_a_mistake_are_left_out() {
    let mut reading = read::<Shop>(&node(r#"{"doors": [{"height": 2, "key": {"env": "K"}}], "seats": 3}"#));
    let found = |path: &str| SettingError { path: path.to_owned(), value: None, rule: "is too small".to_owned() };
    reading.add([found("doors.0.width"), found("doors.0.height"), found("doors.0.widthwise"), found("seats")]);
    let told: Vec<_> = reading.mistakes.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(told, ["doors.0.width", "doors.0.height", "doors.0.widthwise", "seats"]);
}

#[test]
fn there_is_an_end_to_a_document_of_mistakes() {
    let json = format!("{{{}}}", (0..5_000).map(|n| format!(r#""k{n}": 1"#)).collect::<Vec<_>>().join(","));
    assert_eq!(told(&json).len(), MAX_MISTAKES);
}

fn any_node() -> impl Strategy<Value = Node> {
    let keys = prop::sample::select(vec![
        "name",
        "open",
        "seats",
        "kind",
        "doors",
        "countries",
        "hours",
        "width",
        "height",
        "key",
        "US",
        "file",
        "env",
        "sealed",
        "zone",
        "weekly",
        "mon",
        "from",
        "to",
        "nmae",
    ]);
    let leaf = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Flag),
        (-10i64..500).prop_map(|number| Node::Whole(number.into())),
        Just(Node::Real(1.5)),
        prop::sample::select(vec!["", "corner", "UTC", "09:00", "always", "US"]).prop_map(Node::text),
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            prop::collection::vec((keys.clone().prop_map(str::to_owned), inner), 0..6).prop_map(Node::Object),
        ]
    })
}

proptest! {
    #[test]
    fn reading_agrees_with_serde_and_ends(tree in any_node()) {
        let reading = read::<Shop>(&tree);
        let plain = serde_json::from_str::<Shop>(&serde_json::to_string(&tree).unwrap());
        // serde also takes lists for structs, and the last of repeated keys of a map.
        if reading.mistakes.is_empty() {
            prop_assert_eq!(reading.value.unwrap(), plain.unwrap());
        } else {
            prop_assert!(reading.mistakes.iter().all(|error| !error.rule.is_empty()));
            let mut places: Vec<_> = reading.mistakes.iter().map(|error| (&error.path, &error.rule)).collect();
            places.sort();
            places.dedup();
            prop_assert_eq!(places.len(), reading.mistakes.len(), "nothing is told twice");
        }
    }

    #[test]
    fn trees_print_and_read_back(tree in any_node()) {
        let text = serde_json::to_string(&tree).unwrap();
        prop_assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), tree);
    }
}
