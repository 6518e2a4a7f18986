use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::document::{fields, read as read_document};
use crate::queue::{CallDirection, DuplicatePolicy, Overridable, QueueSettings, ThrottleWindow};

fn settings(json: &str) -> (QueueSettings, Vec<String>) {
    let mut node: Node = serde_json::from_str(json).unwrap();
    let mut found = Vec::new();
    translate("queues.support", "support", &mut node, &mut found);
    let reading = read_document::<QueueSettings>(&node);
    let told = found.iter().chain(&reading.mistakes).map(ToString::to_string).collect();
    (reading.value.unwrap(), told)
}

#[test]
fn every_name_of_the_product_reaches_the_setting_that_it_means() {
    let json = r#"{
        "_vq": "VQ_1", "_immediate_enabled": "false", "_scheduled_enabled": true, "_paused_services_list": "sales, support",
        "_business_hours_service": "office", "_enable_reject_out_of_office_hours": "no", "_immediate_blackout": "600",
        "_logged_in_check": 1, "_min_time_before_callback": "900", "_reject_future_desired_time": "3D", "_default_country": "GB",
        "_disallow_premium_phone_numbers": "false", "_disallow_impossible_phone_numbers": "FALSE",
        "_request_time_bucket": "30", "_max_request_by_time_bucket": 7, "_enable_in_queue_checking": "false",
        "_throttle_request_parameters": "_customer_number,customerId", "_throttle_request_parameters_limit": "3",
        "_enable_throttle_header_parameters": "false", "_throttle_callbacks_per_service_1": "5", "_throttle_ttl_1": 60,
        "_throttle_callbacks_per_service_2": 50, "_throttle_ttl_2": "600", "max_queued_callbacks_per_service": "9",
        "_ttl": "3600", "_request_execution_time_buffer": "0", "_target": "?:Skill=5", "_route_point": 8001,
        "surveyRP": "8002", "_urs_vq_priority": "-5", "_prefix_dial_out": 91, "_call_direction": "USERORIGINATED",
        "_call_display_name": "Support", "_call_display_number": "+14165550100", "_cpd_enable": "false",
        "_cpd_timeguard": "1000", "_max_dial_attempts": "1", "_dial_retry_timeout": 60, "_snooze_duration": "70",
        "_hold_enabled": "true", "_push_notification_threshold": "5", "_pushed_callback_expiry_time": "10",
        "_attach_udata": "separate_keys", "_overwritable_options": "_language;_urs_vq_priority",
        "_agent_preview": true, "_agent_preview_timeout": 30, "_service": "callback"
    }"#;
    let (read, told) = settings(json);
    assert_eq!(told, Vec::<String>::new());
    let mut checks = Checks::default();
    read.check(&mut checks);
    assert_eq!(checks.into_errors(), []);
    assert_eq!((read.virtual_queue.as_deref(), read.immediate_enabled, read.paused), (Some("VQ_1"), false, true));
    assert_eq!(serde_json::to_value(&read.hours).unwrap(), "office");
    assert_eq!((read.min_lead_seconds, read.max_ahead_days), (900, 3));
    assert_eq!((read.slot_minutes.get(), read.slot_capacity, read.ttl_seconds), (30, 7, 3_600));
    assert_eq!((read.duplicate_policy, read.call_direction), (DuplicatePolicy::Allow, CallDirection::UserOriginated));
    assert_eq!(read.throttle_parameters, ["phoneNumber", "customerId"]);
    let windows = [ThrottleWindow { limit: 5, seconds: 60 }, ThrottleWindow { limit: 50, seconds: 600 }];
    assert_eq!(read.throttle_windows, windows);
    assert_eq!((read.route_point.as_deref(), read.dial_prefix.as_deref()), (Some("8001"), Some("91")));
    assert_eq!((read.priority, read.max_queued, read.snooze_seconds), (Some(-5), 9, 70));
    assert_eq!(read.overridable, [Overridable::Language, Overridable::Priority]);
    let options = [("_agent_preview", "true"), ("_agent_preview_timeout", "30"), ("_service", "callback")];
    assert_eq!(read.routing_options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), options);
}

#[test]
fn what_is_wrong_is_told_under_the_name_that_was_written() {
    for (json, expected) in [
        (r#"{"_ttl": "1h"}"#, r#"ttlSeconds: has to be a whole number from 0 to 4294967295, not "1h""#),
        (
            r#"{"_ttl": 60, "ttlSeconds": 60}"#,
            "queues.support.ttlSeconds: says the same as _ttl, which stands there too",
        ),
        (
            r#"{"ttlSeconds": 60, "_ttl": 60}"#,
            "queues.support._ttl: says the same as ttlSeconds, which stands there too",
        ),
        (
            r#"{"_vq": "a", "_urs_virtual_queue": "a"}"#,
            "queues.support._urs_virtual_queue: says the same as _vq, which stands there too",
        ),
        (r#"{"_tll": 60}"#, "queues.support._tll: is not a known key; did you mean _ttl?"),
        (
            r#"{"_agent_previews": 60}"#,
            "queues.support._agent_previews: is not a known key; did you mean _agent_preview?",
        ),
        (r#"{"_throttle_ttl_9": 60}"#, "queues.support._throttle_ttl_9: is not a known key"),
        (r#"{"_throttle_ttl_1": 60}"#, "throttleWindows.0.limit: is missing"),
        (
            r#"{"_enable_in_queue_checking": "maybe"}"#,
            r#"duplicatePolicy: has to be one of allow, return-existing, replace, refuse, not "maybe""#,
        ),
    ] {
        assert_eq!(settings(json).1, [expected], "{json}");
    }
}

#[test]
fn an_empty_text_of_the_product_sets_nothing() {
    let (read, told) =
        settings(r#"{"_target": "", "_ttl": "", "_business_hours_service": "", "_call_direction": null}"#);
    assert_eq!((read, told), (QueueSettings::default(), vec![]));
}

#[test]
fn how_far_ahead_is_a_span_of_days() {
    let read = |text: &str| read(Form::Ahead, Shape::Whole, "q", text);
    for (text, days) in
        [("3", 3), ("3D", 3), ("3 d", 3), ("1W", 7), ("2w", 14), ("3W", 14), ("1M", 14), ("1y", 14), ("0D", 0)]
    {
        assert_eq!(read(text), Some(Node::Whole(days)), "{text}");
    }
    assert_eq!(read(&format!("{}Y", u32::MAX)), Some(Node::Whole(14)));
    for text in ["1m", "1H", "D", "-1D", "1.5D", "1DD", "P1M"] {
        assert_eq!(read(text), Some(Node::text(text)), "{text}");
    }
    assert_eq!(read(""), None);
    let told = settings(r#"{"_reject_future_desired_time": "1H"}"#).1;
    assert_eq!(told, [r#"maxAheadDays: has to be a whole number from 0 to 4294967295, not "1H""#]);
}

#[test]
fn options_that_nobody_knows_are_refused() {
    let queue = r#"{"routingOptions": {"_agent_preveiw": "true", "_service": "a\u0007"}}"#;
    let mut checks = Checks::default();
    settings(queue).0.check(&mut checks);
    let told: Vec<_> = checks.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "routingOptions._agent_preveiw: is not a known option of routing; did you mean _agent_preview?",
            "routingOptions._service: has to be at most 4096 characters without controls",
        ]
    );
    assert!(ROUTING_OPTIONS.is_sorted());
}

#[test]
fn the_table_names_settings_that_there_are_and_no_name_twice() {
    let known: BTreeSet<_> = fields::<QueueSettings>().iter().copied().collect();
    assert_eq!(known.len(), shapes().len());
    let mut names = BTreeSet::new();
    for key in PRODUCT_KEYS {
        assert!(known.contains(key.ours), "{}", key.ours);
        assert!(shapes().contains_key(key.ours), "{}", key.ours);
        assert!(names.insert(key.name), "{} is there twice", key.name);
        assert!(!known.contains(key.name) && !ROUTING_OPTIONS.contains(&key.name), "{}", key.name);
    }
    let of = |key: &str| shapes()[key];
    assert_eq!((of("paused"), of("ttlSeconds"), of("priority")), (Shape::Flag, Shape::Whole, Shape::Whole));
    assert_eq!((of("slotMinutes"), of("target"), of("whenClosed")), (Shape::Whole, Shape::Text, Shape::Text));
    assert_eq!(
        (of("aliases"), of("overridable"), of("throttleParameters")),
        (Shape::Texts, Shape::Texts, Shape::Texts)
    );
    assert_eq!((of("hours"), of("throttleWindows"), of("routingOptions")), (Shape::Other, Shape::Other, Shape::Other));
}

proptest! {
    #[test]
    fn cells_read_back(text in any::<String>(), number in any::<i64>(), flag in any::<bool>(), items in prop::collection::vec(any::<String>(), 0..4)) {
        let back = |shape, node: &Node| read(Form::Plain, shape, "q", &cell(node));
        let (text, list) = (Node::Text(text), Node::List(items.into_iter().map(Node::Text).collect()));
        prop_assert_eq!(back(Shape::Text, &text), Some(text.clone()));
        prop_assert_eq!(back(Shape::Other, &text), Some(text));
        prop_assert_eq!(back(Shape::Texts, &list), Some(list.clone()));
        prop_assert_eq!(back(Shape::Other, &Node::Object(vec![("a".into(), list.clone())])), Some(Node::Object(vec![("a".into(), list)])));
        prop_assert_eq!(back(Shape::Whole, &Node::Whole(number.into())), Some(Node::Whole(number.into())));
        prop_assert_eq!(back(Shape::Flag, &Node::Flag(flag)), Some(Node::Flag(flag)));
    }
}
