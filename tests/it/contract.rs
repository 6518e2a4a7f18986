//! Our OpenAPI document (3.1) covers the published contract (3.0.3) for the operations that exist: paths, methods,
//! ids, statuses, members, types and what is required. More may be said than the contract says, never less.

use serde_json::Value;

const CONTRACT: &str = include_str!("../fixtures/engagement-v3.openapi.yaml");
const PREFIX: &str = "/engagement/v3";
const OPERATIONS: &[&str] = &[
    "/callbacks/create",
    "/callbacks/cancel",
    "/callbacks/retrieve",
    "/callbacks/availability/{service-name}",
    "/callbacks/queue-status/{queue-name}",
    "/estimated-wait-time",
    "/call-in/requests/create",
    "/statistics/operations/get-statistic-ex",
    "/callbacks/open-for/{service-name}",
];

/// Operations of the public API that the contract does not have.
const OWN_OPERATIONS: &[&str] =
    &["/callbacks/holds", "/callbacks/holds/release", "/callbacks/reschedule", "/callbacks/recreate"];

/// Members that the contract does not have, by where they stand.
const OWN_MEMBERS: &[&str] = &["/callbacks/create request.holdId"];

const OPEN_FOR: &str = "/paths/~1engagement~1v3~1callbacks~1open-for~1{service-name}/get";

fn contract() -> Value {
    serde_saphyr::from_str(CONTRACT).unwrap()
}

fn ours() -> Value {
    serde_json::from_str(&ges::front_door::openapi()).unwrap()
}

/// Follows references, and `allOf` of one, to the thing itself.
fn resolve<'a>(document: &'a Value, mut node: &'a Value) -> &'a Value {
    loop {
        if let Some(reference) = node["$ref"].as_str() {
            node = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        } else if let Some([only]) = node["allOf"].as_array().map(Vec::as_slice) {
            node = only;
        } else {
            return node;
        }
    }
}

fn keys(object: &Value) -> Vec<&String> {
    object.as_object().map(|members| members.keys().collect()).unwrap_or_default()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// One document and a place in it.
#[derive(Clone, Copy)]
struct At<'a> {
    document: &'a Value,
    node: &'a Value,
}

impl<'a> At<'a> {
    fn new(document: &'a Value, node: &'a Value) -> Self {
        Self { document, node: resolve(document, node) }
    }

    fn to(self, name: &str) -> Self {
        Self::new(self.document, &self.node[name])
    }
}

/// Compares two schemas; `path` says where, for the message.
fn compare(theirs: At<'_>, ours: At<'_>, path: &str) {
    assert!(!ours.node.is_null(), "{path} is missing");
    assert_eq!(theirs.node["type"], ours.node["type"], "{path}: type");
    if !theirs.node["format"].is_null() {
        assert_eq!(theirs.node["format"], ours.node["format"], "{path}: format");
    }
    // One allowed value is written as a range or a pattern of one on our side, or is a list that has grown.
    if let Some(words) = theirs.node["enum"].as_array().filter(|words| words.len() > 1 || !ours.node["enum"].is_null())
    {
        let given = ours.node["enum"].as_array().unwrap_or_else(|| panic!("{path}: enum"));
        let grown = if words.len() == 1 { words.iter().all(|word| given.contains(word)) } else { words == given };
        assert!(grown, "{path}: enum");
    }
    let (mut wanted, mut given) = (texts(&theirs.node["required"]), texts(&ours.node["required"]));
    wanted.sort_unstable();
    given.sort_unstable();
    assert_eq!(wanted, given, "{path}: required");
    for member in keys(&theirs.node["properties"]) {
        compare(theirs.to("properties").to(member), ours.to("properties").to(member), &format!("{path}.{member}"));
    }
    for member in keys(&ours.node["properties"]) {
        let known = !theirs.node["properties"][member].is_null();
        assert!(known || OWN_MEMBERS.contains(&format!("{path}.{member}").as_str()), "{path}.{member} is ours alone");
    }
    if theirs.node["items"].is_object() {
        compare(theirs.to("items"), ours.to("items"), &format!("{path}[]"));
    }
    if theirs.node["additionalProperties"].is_object() {
        compare(theirs.to("additionalProperties"), ours.to("additionalProperties"), &format!("{path}.*"));
    }
    if let Some(choices) = theirs.node["oneOf"].as_array() {
        let given = ours.node["oneOf"].as_array().unwrap_or_else(|| panic!("{path}: oneOf"));
        assert_eq!(choices.len(), given.len(), "{path}: oneOf");
        for (position, (wanted, given)) in choices.iter().zip(given).enumerate() {
            let (theirs, ours) = (At::new(theirs.document, wanted), At::new(ours.document, given));
            compare(theirs, ours, &format!("{path}({position})"));
        }
    }
}

fn json_schema(at: At<'_>) -> At<'_> {
    at.to("content").to("application/json").to("schema")
}

#[test]
fn our_document_covers_the_contract() {
    check(&contract(), &ours());
}

const AVAILABILITY: &str = "/paths/~1engagement~1v3~1callbacks~1availability~1{service-name}";

/// A comparison that looks nowhere would find nothing.
#[test]
fn the_comparison_notices_what_is_missing() {
    let schemas = "/components/schemas";
    for (pointer, change) in [
        (format!("{schemas}/Callback/properties/positionInQueue/type"), Value::from("string")),
        (format!("{schemas}/CreateCallbackRequest/properties/priority"), Value::Null),
        (
            format!("{schemas}/CallbackIdRequest/properties"),
            serde_json::json!({"id": {"type": "string", "format": "uuid"}, "another": {"type": "string"}}),
        ),
        (format!("{schemas}/ErrorStatus/required"), serde_json::json!(["code", "message"])),
        (format!("{schemas}/PushTarget/properties/channel/enum"), serde_json::json!(["APNS", "HTTP"])),
        (format!("{schemas}/EstimatedWaitTime/properties/resultCode/enum"), serde_json::json!([0, -1])),
        ("/paths/~1engagement~1v3~1estimated-wait-time/get/parameters/1/name".to_owned(), Value::from("model")),
        (format!("{schemas}/ProposedSlots/properties/slots/additionalProperties/type"), Value::from("integer")),
        ("/paths/~1engagement~1v3~1callbacks~1create/post/responses/429".to_owned(), Value::Null),
        (format!("{AVAILABILITY}/get/parameters/2/schema/type"), Value::from("string")),
        (format!("{AVAILABILITY}/get/parameters/0/required"), Value::from(false)),
        (format!("{AVAILABILITY}/get/parameters/7"), serde_json::json!({"name": "max-time-slots", "in": "query"})),
        ("/paths/~1engagement~1v3~1callbacks~1cancel/post/operationId".to_owned(), Value::from("cancel")),
        (format!("{OPEN_FOR}/parameters/1/name"), Value::from("begin")),
        (format!("{OPEN_FOR}/parameters/1/required"), Value::from(true)),
        (format!("{OPEN_FOR}/parameters/1/schema/pattern"), Value::from("^.*$")),
        (format!("{OPEN_FOR}/parameters/2/in"), Value::from("header")),
        (format!("{OPEN_FOR}/responses/429"), Value::Null),
    ] {
        let mut changed = ours();
        *changed.pointer_mut(&pointer).unwrap_or_else(|| panic!("{pointer}")) = change;
        assert!(std::panic::catch_unwind(|| check(&contract(), &changed)).is_err(), "{pointer}");
    }
}

/// The one method of an operation.
fn method(item: &Value) -> &'static str {
    ["get", "post"].into_iter().find(|method| item[method].is_object()).expect("a method")
}

/// Every parameter of the contract is there, of the same type and as necessary; its older names are not in it.
fn compare_parameters(theirs: At<'_>, ours: At<'_>, path: &str) {
    let list = |at: At<'_>| -> Vec<Value> {
        let parameters = at.node["parameters"].as_array().into_iter().flatten();
        parameters.map(|parameter| resolve(at.document, parameter).clone()).collect()
    };
    let (wanted, given) = (list(theirs), list(ours));
    for parameter in &wanted {
        let (name, place) = (&parameter["name"], &parameter["in"]);
        let found = given.iter().find(|it| it["name"] == *name && it["in"] == *place);
        let found = found.unwrap_or_else(|| panic!("{path}: parameter {name} is missing"));
        let required = |parameter: &Value| parameter["required"].as_bool().unwrap_or_default();
        assert_eq!(required(parameter), required(found), "{path}: parameter {name}: required");
        let (theirs, ours) = (At::new(theirs.document, &parameter["schema"]), At::new(ours.document, &found["schema"]));
        compare(theirs, ours, &format!("{path}: parameter {name}"));
        assert_eq!(theirs.node["pattern"], ours.node["pattern"], "{path}: parameter {name}: pattern");
    }
    let in_query = |list: &[Value]| list.iter().filter(|it| it["in"] == "query").count();
    assert_eq!(in_query(&wanted), in_query(&given), "{path}: parameters");
}

fn check(contract: &Value, ours: &Value) {
    assert!(ours["openapi"].as_str().unwrap().starts_with("3.1."));
    for path in OPERATIONS {
        let item = At::new(contract, &contract["paths"][path]);
        let our_item = At::new(ours, &ours["paths"][format!("{PREFIX}{path}")]);
        assert_eq!(keys(item.node), keys(our_item.node), "{path}: methods");
        let (theirs, ours) = (item.to(method(item.node)), our_item.to(method(item.node)));
        assert_eq!(theirs.node["operationId"], ours.node["operationId"], "{path}: operationId");
        compare_parameters(theirs, ours, path);
        let body_is_required = |at: At<'_>| at.node["requestBody"]["required"].as_bool().unwrap_or(false);
        assert_eq!(body_is_required(theirs), body_is_required(ours), "{path}: body");
        if theirs.node["requestBody"].is_object() {
            let (theirs, ours) = (json_schema(theirs.to("requestBody")), json_schema(ours.to("requestBody")));
            compare(theirs, ours, &format!("{path} request"));
        }
        compare_parameters(theirs, ours, path);
        for status in keys(&theirs.node["responses"]) {
            let (theirs, ours) = (theirs.to("responses").to(status), ours.to("responses").to(status));
            compare(json_schema(theirs), json_schema(ours), &format!("{path} {status}"));
            for header in keys(&theirs.node["headers"]) {
                assert!(ours.node["headers"][header].is_object(), "{path} {status}: header {header}");
            }
        }
    }
}

#[test]
fn the_api_key_is_described_as_in_the_contract() {
    let (contract, ours) = (contract(), ours());
    for member in ["type", "in", "name"] {
        assert_eq!(
            contract["components"]["securitySchemes"]["apiKey"][member],
            ours["components"]["securitySchemes"]["apiKey"][member],
            "{member}"
        );
    }
    for path in OPERATIONS.iter().chain(OWN_OPERATIONS) {
        let item = &ours["paths"][format!("{PREFIX}{path}")];
        let security = &item[method(item)]["security"];
        assert_eq!(*security, serde_json::json!([{"apiKey": []}]), "{path}");
    }
}

/// Examples are what people copy: each must be valid against the schema beside it.
#[test]
fn our_examples_are_valid() {
    let document = ours();
    let mut checked = 0;
    for path in OPERATIONS.iter().chain(OWN_OPERATIONS) {
        let item = &document["paths"][format!("{PREFIX}{path}")];
        let operation = &item[method(item)];
        let answers = operation["responses"].as_object().unwrap().values();
        for content in std::iter::once(&operation["requestBody"]).chain(answers) {
            let media = &content["content"]["application/json"];
            let mut schema = media["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let named = media["examples"].as_object().into_iter().flat_map(|it| it.values()).map(|it| &it["value"]);
            for example in named.chain(media.get("example")) {
                assert!(validator.is_valid(example), "{path}: {example}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 10, "{checked}");
}
