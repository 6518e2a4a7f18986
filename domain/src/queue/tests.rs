use super::*;
use proptest::prelude::*;

fn name() -> QueueName {
    QueueName::new("support").unwrap()
}

#[test]
fn an_empty_document_is_the_products_defaults() {
    let settings: QueueSettings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, QueueSettings::default());
    assert_eq!(settings.check(&name()), []);
    assert_eq!((settings.slot_minutes.get(), settings.slot_capacity), (5, 100));
    assert_eq!((settings.ttl_seconds, settings.execution_buffer_seconds), (86_400, 120));
    assert_eq!((settings.default_region.as_str(), settings.hand_off_limit), ("US", 200));
    assert!(settings.immediate_enabled && settings.scheduled_enabled && settings.reject_out_of_hours);
}

#[test]
fn the_whole_document_prints_back() {
    let document = serde_json::json!({
        "immediateEnabled": false,
        "scheduledEnabled": true,
        "hours": {"zone": "America/New_York", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}},
        "rejectOutOfHours": false,
        "defaultRegion": "GB",
        "slotMinutes": 30,
        "slotCapacity": 0,
        "ttlSeconds": 3600,
        "executionBufferSeconds": 0,
        "whenClosed": "expire",
        "handOffLimit": 1,
        "target": "?:Skill=5",
        "routePoint": "8001",
    });
    let settings: QueueSettings = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(settings.check(&name()), []);
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
    let told: Vec<String> = settings.check(&name()).iter().map(ToString::to_string).collect();
    let text = "has to be 1 to 255 characters without control characters, or left out";
    assert_eq!(
        told,
        [
            "support.slotCapacity: has to be 0 to 1000000, not 1000001".to_owned(),
            "support.ttlSeconds: has to be 60 to 1209600, not 59".to_owned(),
            "support.executionBufferSeconds: has to be 0 to 3600, not 3601".to_owned(),
            "support.handOffLimit: has to be 1 to 10000, not 0".to_owned(),
            format!("support.target: {text}"),
            format!("support.routePoint: {text}"),
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
    fn the_bounds_of_each_range_are_inside(ttl in any::<u32>(), limit in any::<u32>()) {
        let settings = QueueSettings { ttl_seconds: ttl, hand_off_limit: limit, ..QueueSettings::default() };
        let broken: Vec<_> = settings.check(&name()).iter().map(|error| error.key).collect();
        prop_assert_eq!(broken.contains(&"ttlSeconds"), !(60..=1_209_600).contains(&ttl));
        prop_assert_eq!(broken.contains(&"handOffLimit"), !(1..=10_000).contains(&limit));
    }
}
