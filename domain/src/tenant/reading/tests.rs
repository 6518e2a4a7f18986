use proptest::prelude::*;

use super::*;

fn told(json: &str) -> Vec<String> {
    let node = serde_json::from_str(json).unwrap();
    read(node).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Every kind of mistake, each with what is told of it: what makes a document of them all tells them all.
const MISTAKES: &[(&str, &str)] = &[
    (r#""format": 2"#, "format: this program reads format 1, not 2"),
    (r#""tenannt": "acme""#, "tenannt: is not a known key; did you mean tenant?"),
    (
        r#""businessHours": {"office": {"zone": "Mars/Base", "weekly": {}}, "night": "sometimes", "late": {"zone": "UTC", "weekly": {"mon": [{"from": "9", "to": "17:00"}], "mo": []}}}"#,
        "businessHours.office.zone: failed to parse timezone: 'Mars/Base', not \"Mars/Base\"",
    ),
    ("", "businessHours.night: has to be \"always\", or an object with \"zone\" and \"weekly\", not \"sometimes\""),
    (
        "",
        "businessHours.late.weekly.mon.0: a time is HH:MM from 00:00 to 23:59, and a range may also end at 24:00 or, in a week, on a day (mon 06:00), not an object",
    ),
    ("", "businessHours.late.weekly.mo: is not a known key; did you mean mon?"),
    (
        r#""queues": {
            "support": {"slotCapacity": "many", "ttlSeconds": 5, "whenClosed": "expires", "hours": "offices", "capacityRule": "nowhere", "slotMinutes": 7, "defaultRegion": "us", "throttleWindows": [{"limit": 1}, {"limit": 1, "seconds": 0}]},
            "sales": {"_request_time_bucket": "12", "_tll": 5, "paused": "yes", "aliases": ["support"], "routePoint": 8001, "routingOptions": {"_agent_previw": "1"}},
            "": {}
        }"#,
        "queues.support.slotCapacity: has to be a whole number from 0 to 4294967295, not \"many\"",
    ),
    ("", "queues.support.whenClosed: has to be one of wait-for-opening, expire; did you mean expire?, not \"expires\""),
    ("", "queues.support.slotMinutes: a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not 7"),
    ("", "queues.support.defaultRegion: a region is two upper-case letters of ISO 3166-1, such as US, not \"us\""),
    ("", "queues.support.throttleWindows.0.seconds: is missing"),
    ("", "queues.support.throttleWindows.1.seconds: has to be 1 to 86400, not 0"),
    ("", "queues.support.throttleWindows.1.seconds: has to differ from every other window's, not 0"),
    ("", "queues.support.ttlSeconds: has to be 60 to 1209600, not 5"),
    ("", "queues.support.hours: has to be a name of businessHours, not offices"),
    ("", "queues.support.capacityRule: has to be a name of capacityRules, not nowhere"),
    ("", "queues.sales._request_time_bucket: a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not 12"),
    ("", "queues.sales._tll: is not a known key; did you mean _ttl?"),
    ("", "queues.sales.paused: has to be true or false, not \"yes\""),
    ("", "queues.sales.aliases: has to be the name of no other queue, not support"),
    ("", "queues.sales.routePoint: has to be a text (in quotes, if it looks like a number), not 8001"),
    ("", "queues.sales.routingOptions._agent_previw: is not a known option of routing; did you mean _agent_preview?"),
    ("", "queues.: a name has 1 to 255 characters and no control characters"),
    (
        r#""callInGroups": {"mobile": {"numbers": [], "codeDigits": 2}}"#,
        "callInGroups.mobile.numbers: has to be 1 to 100, not 0",
    ),
    ("", "callInGroups.mobile.codeDigits: has to be 3 to 9, not 2"),
    (
        r#""captcha": {"keys": {"web": {"provider": "recaptchav3", "secretKey": "planted"}}}"#,
        "captcha.keys.web.siteKey: is missing",
    ),
    (
        "",
        "captcha.keys.web.provider: has to be one of recaptcha-v2, recaptcha-v2-invisible, recaptcha-v3, hcaptcha, turnstile; did you mean recaptcha-v3?, not \"recaptchav3\"",
    ),
    ("", "captcha.keys.web.secretKey: has to be {file: PATH}, {env: VARIABLE} or {sealed: FINGERPRINT}"),
    (r#""limits": {"burst": 0}, "limits": {}"#, "limits: stands there twice"),
    ("", "limits.burst: has to be 1 to 1000000, not 0"),
    (
        r#""corsOrigins": ["https://good.example", "good.example/"]"#,
        "corsOrigins.1: has to be an origin such as https://www.example.com, not \"good.example/\"",
    ),
    (r#""regionRules": {"eu": []}"#, "regionRules.eu: has to be 1 to 20, not 0"),
    (
        r#""keys": {"web": {"scopes": ["everything"], "key": {"env": "K"}}, "app": {"scopes": [], "key": {"env": "K"}}}"#,
        "keys.web.scopes.0: has to be one of callbacks-write, callbacks-read, availability-read, waits-read, call-ins-write, statistics-read, events-read, not \"everything\"",
    ),
    ("", "keys.app.scopes: has to be 1 to 7, not 0"),
];

#[test]
fn a_document_of_every_kind_of_mistake_tells_them_all() {
    let members: Vec<_> = MISTAKES.iter().map(|(member, _)| *member).filter(|member| !member.is_empty()).collect();
    let mut all = told(&format!("{{\"tenant\": \"acme\", {}}}", members.join(",")));
    assert!(!all.join("\n").contains("planted"));
    assert_eq!(told("{}"), ["tenant: is missing"]);
    let mut expected: Vec<_> = MISTAKES.iter().map(|(_, told)| (*told).to_owned()).collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn names_of_the_product_and_ours_make_the_same_document() {
    let ours = r#"{"format": 1, "tenant": "acme", "queues": {"a.b": {"ttlSeconds": 3600, "routingOptions": {"_agent_preview": "true"}}}}"#;
    let theirs = r#"{"tenant": "acme", "queues": {"a.b": {"_ttl": "3600", "_agent_preview": true}}}"#;
    let read = |json: &str| read(serde_json::from_str(json).unwrap()).unwrap();
    assert_eq!(read(ours), read(theirs));
    let wrong = r#"{"tenant": "acme", "queues": {"a.b": {"_ttl": "1", "_throttle_ttl_1": 5, "_throttle_callbacks_per_service_1": "x"}}}"#;
    assert_eq!(
        told(wrong),
        [
            "queues.a.b._throttle_callbacks_per_service_<n>.0.limit: has to be a whole number from 0 to 4294967295, not \"x\"",
            "queues.a.b._ttl: has to be 60 to 1209600, not 1",
        ]
    );
}

#[test]
fn the_schema_knows_both_names_of_a_setting() {
    let schema = json_schema();
    let queue = schema.pointer("/$defs/QueueSettings").unwrap();
    assert_eq!(queue["additionalProperties"], false);
    for name in ["ttlSeconds", "_ttl", "_agent_preview", "_throttle_ttl_4"] {
        assert!(queue["properties"][name]["description"].is_string(), "{name}");
    }
    assert_eq!(queue["properties"]["ttlSeconds"]["minimum"], 60);
    assert_eq!(queue["properties"]["ttlSeconds"]["default"], 86_400);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z_.]{1,12}", any::<String>()]
}

fn any_value() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Flag),
        any::<i64>().prop_map(|number| Node::Whole(number.into())),
        any_text().prop_map(Node::Text),
    ];
    let known = prop::sample::select(vec![
        "tenant",
        "queues",
        "support",
        "businessHours",
        "ttlSeconds",
        "_ttl",
        "_throttle_ttl_1",
        "hours",
        "aliases",
        "keys",
        "key",
        "file",
        "limits",
        "routingOptions",
        "_agent_preview",
        "throttleWindows",
        "captcha",
        "format",
    ]);
    let key = prop_oneof![4 => known.prop_map(str::to_owned), 1 => any_text()];
    leaf.prop_recursive(5, 96, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
            3 => prop::collection::vec((key.clone(), inner), 0..8).prop_map(Node::Object),
        ]
    })
}

proptest! {
    #[test]
    fn anything_can_be_read_and_what_is_good_prints_back(root in any_value()) {
        if let Ok(document) = read(root) {
            let printed = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(read(serde_json::from_str(&printed).unwrap()), Ok(document));
        }
    }
}
