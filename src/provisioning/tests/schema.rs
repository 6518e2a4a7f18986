//! What editors are told of documents against what is read.

use domain::tenant::{json_schema, read};
use serde_json::{Value, json};

fn reads(document: &Value) -> bool {
    read(serde_json::from_value(document.clone()).unwrap()).is_ok()
}

#[test]
fn schema_and_reader_agree() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let queue = |settings: Value| json!({"tenant": "acme", "queues": {"a": settings}});
    let hours = |office: Value| json!({"tenant": "acme", "businessHours": {"a": office, "b": "always"}});
    let captcha = |keys: Value| json!({"tenant": "acme", "captcha": {"keys": {"web": keys}}});
    let good = [
        json!({"tenant": "acme"}),
        json!({"format": 1, "tenant": "acme", "queues": {}, "limits": {"burst": 1}}),
        queue(json!({"hours": "always"})),
        queue(json!({"hours": {"zone": "UTC", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}}})),
        hours(json!({"zone": "UTC", "weekly": {"fri": [{"from": "22:00", "to": "mon 06:00"}]}, "include": ["b"],
            "exceptionsOf": ["b"], "effective": ["2026-01-01..", "..2025-01-01", "12-24..01-02"],
            "alternatives": [{"calendar": "b", "days": "06-01..08-31", "enabled": false}],
            "exceptions": [{"name": "x", "days": "12-25", "closed": true}, {"days": [], "add": []},
                {"days": ["2026-12-24"], "enabled": false, "remove": [{"from": "12:00", "to": "13:00"}]}]})),
        hours(
            json!({"_timezone": "UTC", "_bh_regular1": "Mon-Fri 9:00-17:00", "_holiday1": "12-25", "_name": "Office"}),
        ),
        json!({"tenant": "acme", "numberRules": {"eu": {"countries": {"DE": [], "US": ["900", "+1x*", {"regex": "^9"}]}}}}),
        queue(
            json!({"slotMinutes": 30, "ttlSeconds": 60, "whenClosed": "expire", "priority": null, "defaultRegion": "GB"}),
        ),
        queue(
            json!({"_ttl": "3600", "_request_time_bucket": 30, "_agent_preview": true, "_throttle_ttl_1": 5, "_throttle_callbacks_per_service_1": "5"}),
        ),
        queue(json!({"throttleWindows": [{"limit": 1, "seconds": 60}], "overridable": ["surveyRP"], "aliases": ["b"]})),
        captcha(json!({"provider": "turnstile", "siteKey": "s", "secretKey": {"env": "K"}})),
        json!({"tenant": "acme", "keys": {"web": {"scopes": ["callbacks-read"], "key": {"sealed": "0"}}}}),
        json!({"tenant": "acme", "callInGroups": {"m": {"numbers": ["+18005550199"]}}, "regionRules": {"eu": ["EU"]}}),
    ];
    let bad = [
        json!({}),
        json!([]),
        json!({"tenant": 7}),
        json!({"tenant": "acme", "format": 2}),
        json!({"tenant": "acme", "queus": {}}),
        json!({"tenant": "acme", "queues": []}),
        queue(json!({"slotMinute": 5})),
        queue(json!({"slotMinutes": 7})),
        queue(json!({"slotCapacity": "5"})),
        queue(json!({"slotCapacity": -1})),
        queue(json!({"ttlSeconds": 59})),
        queue(json!({"paused": "yes"})),
        queue(json!({"whenClosed": "never"})),
        queue(json!({"defaultRegion": "gb"})),
        queue(json!({"hours": 7})),
        queue(json!({"hours": {"weekly": {}}})),
        hours(json!({"zone": "UTC", "exceptions": [{"days": "christmas", "closed": true}]})),
        hours(json!({"zone": "UTC", "exceptions": [{"closed": true}]})),
        hours(json!({"zone": "UTC", "exceptions": [{"days": "12-25", "open": "always"}]})),
        hours(json!({"zone": "UTC", "effective": "12-24.."})),
        hours(json!({"zone": "UTC", "alternatives": [{"days": "12-25"}]})),
        hours(json!({"zone": "UTC", "_holiday1": "12-25"})),
        hours(json!({"_holiday1": "12-25"})),
        hours(json!({"_timezone": "UTC", "_holidays": "12-25"})),
        json!({"tenant": "acme", "numberRules": {"eu": {"countries": {"DE": ["9 00"]}}}}),
        json!({"tenant": "acme", "numberRules": {"eu": {"countries": {"DE": [{"regexp": "9"}]}}}}),
        queue(json!({"hours": {"zone": "UTC", "weekly": {"mo": []}}})),
        queue(json!({"throttleWindows": [{"limit": 1}]})),
        queue(json!({"overridable": ["everything"]})),
        queue(json!({"_tll": 5})),
        captcha(json!({"provider": "turnstile", "siteKey": "s"})),
        captcha(json!({"provider": "turnstile", "siteKey": "s", "secretKey": "clear"})),
        captcha(json!({"provider": "turnstile", "siteKey": "s", "secretKey": {"clear": "x"}})),
        json!({"tenant": "acme", "keys": {"web": {"scopes": ["all"], "key": {"sealed": "0"}}}}),
    ];
    for document in good {
        let found: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(found.is_empty() && reads(&document), "{document}: {found:?}");
    }
    for document in bad {
        assert!(!validator.is_valid(&document) && !reads(&document), "{document}");
    }
}

/// The ranges of numbers stand in the schema and in the checks: at both bounds and beyond, they agree.
#[test]
fn ranges_of_the_schema_are_those_of_the_checks() {
    let schema = json_schema();
    let properties = schema.pointer("/$defs/QueueSettings/properties").unwrap().as_object().unwrap();
    let mut checked = 0;
    for (key, property) in properties {
        let at = |value: i64| reads(&json!({"tenant": "acme", "queues": {"a": {key: value}}}));
        for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
            let Some(bound) = property[bound].as_i64() else { continue };
            assert!(at(bound) && !at(bound + beyond), "{key}: {bound}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn every_part_of_the_schema_is_described() {
    let schema = json_schema();
    for section in ["TenantDocument", "QueueSettings", "CallInGroup", "TenantLimits"] {
        let place =
            if section == "TenantDocument" { "/properties".to_owned() } else { format!("/$defs/{section}/properties") };
        for (key, property) in schema.pointer(&place).unwrap().as_object().unwrap() {
            let described = property["description"].is_string() || property["$ref"].is_string();
            assert!(described, "{section}.{key}: {property}");
        }
    }
}
