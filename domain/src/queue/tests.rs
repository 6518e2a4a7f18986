use super::*;
use proptest::prelude::*;

/// Every rule that the settings break, as it is told.
fn told(settings: &QueueSettings) -> Vec<String> {
    let mut checks = Checks::default();
    checks.at("queues", |checks| checks.at("support", |checks| settings.check(checks)));
    checks.into_errors().iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_document_is_the_products_defaults() {
    let settings: QueueSettings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, QueueSettings::default());
    assert_eq!(told(&settings), Vec::<String>::new());
    assert_eq!((settings.slot_minutes.get(), settings.slot_capacity), (5, 100));
    assert_eq!((settings.ttl_seconds, settings.execution_buffer_seconds), (86_400, 120));
    assert_eq!((settings.default_region.as_str(), settings.hand_off_limit), ("US", 200));
    assert!(settings.immediate_enabled && settings.scheduled_enabled && settings.reject_out_of_hours);
}

#[test]
fn the_whole_document_prints_back() {
    let document: serde_json::Value = serde_json::from_str(
        r#"{
        "virtualQueue": "VQ_Support",
        "aliases": ["help"],
        "immediateEnabled": false,
        "scheduledEnabled": true,
        "paused": true,
        "hours": {"zone": "America/New_York", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}},
        "rejectOutOfHours": false,
        "immediateBlackoutSeconds": 600,
        "loggedInCheck": true,
        "minLeadSeconds": 900,
        "maxAheadDays": 3,
        "defaultRegion": "GB",
        "numberRule": "europe",
        "refusePremiumNumbers": false,
        "refuseImpossibleNumbers": false,
        "capacityRule": "office",
        "slotMinutes": 30,
        "slotCapacity": 0,
        "duplicatePolicy": "return-existing",
        "duplicateLimit": 1,
        "throttleParameters": ["phoneNumber", "customerId"],
        "throttleDailyLimit": 0,
        "throttleHeaders": false,
        "throttleWindows": [{"limit": 5, "seconds": 60}],
        "maxQueued": 7,
        "ttlSeconds": 3600,
        "executionBufferSeconds": 0,
        "whenClosed": "expire",
        "handOffLimit": 1,
        "target": "?:Skill=5",
        "routePoint": "8001",
        "surveyRoutePoint": "8002",
        "priority": -5,
        "regionRule": "eu",
        "dialPrefix": "91",
        "callDirection": "user-originated",
        "displayName": "Support",
        "displayNumber": "+14165550100",
        "callProgressDetection": false,
        "callProgressGuardMs": 1000,
        "dialAttempts": 1,
        "dialRetrySeconds": 60,
        "snoozeSeconds": 60,
        "holdEnabled": true,
        "pushThresholdMinutes": 5,
        "pushedExpirySeconds": 10,
        "holdSeconds": 10,
        "holdLimit": 0,
        "holdLimitPerNumber": 1,
        "attachUserData": "single_json",
        "overridable": ["priority"],
        "captcha": "shop",
        "routingOptions": {"_agent_preview": "true"}
    }"#,
    )
    .unwrap();
    let settings: QueueSettings = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(told(&settings), Vec::<String>::new());
    assert_eq!(serde_json::to_value(&settings).unwrap(), document);
}

#[test]
fn all_broken_ranges_are_told_at_once() {
    let settings = QueueSettings {
        slot_capacity: 1_000_001,
        ttl_seconds: 59,
        execution_buffer_seconds: 3601,
        hand_off_limit: 0,
        target: Some(" ".to_owned()),
        route_point: Some("x".repeat(256)),
        ..QueueSettings::default()
    };
    let text = "has to be 1 to 255 characters without control characters, or left out";
    assert_eq!(
        told(&settings),
        [
            "queues.support.slotCapacity: has to be 0 to 1000000, not 1000001".to_owned(),
            "queues.support.ttlSeconds: has to be 60 to 1209600, not 59".to_owned(),
            "queues.support.executionBufferSeconds: has to be 0 to 3600, not 3601".to_owned(),
            "queues.support.handOffLimit: has to be 1 to 10000, not 0".to_owned(),
            format!("queues.support.target: {text}, not \" \""),
            format!("queues.support.routePoint: {text}, not \"{}", "x".repeat(63)),
        ]
    );
}

#[test]
fn misspelt_keys_and_wrong_values_are_refused_by_name() {
    for (document, expected) in [
        (r#"{"slotMinute":5}"#, "unknown field `slotMinute`"),
        (r#"{"slotMinutes":7}"#, "5, 10, 15, 20, 30, 60 or 120 minutes, not 7"),
        (r#"{"slotCapacity":-1}"#, "invalid value"),
        (r#"{"defaultRegion":"us"}"#, "two upper-case letters"),
        (r#"{"whenClosed":"never"}"#, "unknown variant `never`"),
    ] {
        let error = serde_json::from_str::<QueueSettings>(document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
}

proptest! {
    #[test]
    fn the_lead_is_wait_and_buffer_within_two_hours(wait in prop::option::of(any::<i32>()), buffer in 0u32..=3600) {
        let settings = QueueSettings { execution_buffer_seconds: buffer, ..QueueSettings::default() };
        let expected = i64::from(wait.unwrap_or(0).max(0)) + i64::from(buffer);
        prop_assert_eq!(settings.lead(wait).num_seconds(), expected.min(7200));
    }

    #[test]
    fn the_bounds_of_each_range_are_inside(ttl in any::<u32>(), limit in any::<u32>(), days in 0u32..20) {
        let settings = QueueSettings { ttl_seconds: ttl, hand_off_limit: limit, max_ahead_days: days, ..QueueSettings::default() };
        let broken = |key: &str| told(&settings).iter().any(|line| line.starts_with(&format!("queues.support.{key}:")));
        prop_assert_eq!(broken("ttlSeconds"), !(60..=1_209_600).contains(&ttl));
        prop_assert_eq!(broken("maxAheadDays"), !(1..=14).contains(&days));
        prop_assert_eq!(broken("handOffLimit"), !(1..=10_000).contains(&limit));
    }
}
