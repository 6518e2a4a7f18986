//! Alarms, alerts and their types, as operators see them.

use std::sync::Arc;

use axum::body::Body;
use domain::event::Event;
use domain::ports::Observer as _;
use http::Request;

use crate::clock::SystemClock;
use crate::front_door::DoorLimits;
use crate::front_door::router::Side;
use crate::front_door::testing::{House, door, settings};
use crate::telemetry::alarms::{AlarmBook, MetricsAndAlarms};
use crate::telemetry::metrics::{Metrics, MetricsSettings};

#[tokio::test]
async fn what_happens_too_often_is_listed() {
    let alarms = Arc::new(AlarmBook::new(Arc::new(SystemClock::default())));
    let metrics = Arc::new(Metrics::new(MetricsSettings::default()).unwrap());
    let observer = MetricsAndAlarms { metrics, alarms: alarms.clone() };
    let (mut door, fake) = door();
    door.alarms = alarms;
    let house = House::behind(Side::Internal, settings(DoorLimits::default()), (door, fake));
    let list = async |path: &str| house.get(path).await.json()["data"].clone();
    assert_eq!(list("/ges/v1/alarms").await, serde_json::json!({"node": "node-1", "alarms": []}));
    observer.note(Event::Probed { dependency: "redis", up: false });
    observer.note(Event::Throttled { tenant: "demo".into(), rule: "window" });
    for _ in 0..3 {
        observer.note(Event::PanicCaught);
    }
    let alarms = list("/ges/v1/alarms").await["alarms"].clone();
    let told: Vec<_> = alarms.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["REDIS_CONNECTION", "UNCAUGHT_EXCEPTION", "CB_TTL_LIMIT_REACHED"]);
    let mut redis = alarms[0].clone();
    for time in ["since", "last", "exceedsSince"] {
        assert!(redis.as_object_mut().unwrap().remove(time).unwrap().as_str().unwrap().ends_with('Z'));
    }
    insta::assert_snapshot!(redis.to_string(), @r#"{"class":"dependency","exceedsTolerance":true,"incident":1,"message":"the service's own Redis does not answer","occurrences":1,"resource":"redis","severity":"critical","type":"REDIS_CONNECTION"}"#);
    let alerts = list("/ges/v1/alerts?limit=2").await["alerts"].clone();
    assert_eq!(alerts.as_array().unwrap().len(), 2);
    assert_eq!((&alerts[0]["incident"], &alerts[0]["heldBack"]), (&3.into(), &0.into()));
    assert_eq!(list("/ges/v1/alerts").await["alerts"][3]["tenant"], "demo");
    observer.note(Event::Probed { dependency: "redis", up: true });
    assert_eq!(list("/ges/v1/alarms").await["alarms"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn types_have_their_limits_and_lists_theirs() {
    let house = House::new(Side::Internal);
    let types = house.get("/ges/v1/alarm-types").await.json()["data"]["types"].clone();
    insta::assert_snapshot!(types[8].to_string(), @r#"{"class":"api","message":"a request was answered 400","name":"HTTP_400","severity":"info","throttle":{"max":10,"timeSeconds":60},"tolerance":{"max":100,"periods":1,"timeSeconds":120}}"#);
    for limit in ["0", "1001", "x"] {
        let answer = house.get(&format!("/ges/v1/alerts?limit={limit}")).await;
        assert_eq!(answer.refusal(), (400, 501), "{limit}");
    }
    for path in ["/ges/v1/alarms", "/ges/v1/alerts", "/ges/v1/alarm-types"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(House::new(Side::External).send(request).await.refusal(), (404, 404), "{path}");
    }
}
