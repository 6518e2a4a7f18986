//! What only the internal listener serves.

use axum::body::Body;
use domain::callback::{Live, Reason, Reply, Signal, SignalEvent, StepError};
use domain::health::DependencyStatus;
use domain::ids::{SessionId, TenantId};
use domain::ports::{SaveError, SignalError, StoreError, Unserved};
use http::Request;
use serde_json::json;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, CREATE, House, ID, id, settings};
use crate::front_door::{DoorLimits, DoorSettings, InternalToken, Phase, openapi};

fn signals() -> String {
    format!("/ges/v1/callbacks/{ID}/signals")
}

async fn signal(house: &House, body: &str) -> Answer {
    let request = Request::post(signals()).header("ContactCenterID", "demo");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn every_event_is_read() {
    let house = House::new(Side::Internal);
    let reason = || Reason::new("BUSY").unwrap();
    for (members, expected) in [
        (r#""event":"accepted""#, SignalEvent::Accepted),
        (r#""event":"queued""#, SignalEvent::Queued),
        (r#""event":"routing","agentId":"a1""#, SignalEvent::Routing),
        (r#""event":"processing""#, SignalEvent::Processing),
        (r#""event":"dial-result","reason":"BUSY""#, SignalEvent::DialResult(reason())),
        (r#""event":"completed""#, SignalEvent::Completed(None)),
        (r#""event":"failed","reason":"BUSY""#, SignalEvent::Failed(Some(reason()))),
        (r#""event":"alive""#, SignalEvent::Alive),
        (r#""event":"ended","reason":null"#, SignalEvent::Ended(None)),
        (r#""event":"unknown""#, SignalEvent::Unknown),
        (
            r#""event":"position","position":3,"estimatedWaitTime":9e1"#,
            SignalEvent::Position(Live { position: 3, estimated_wait_seconds: 90 }),
        ),
        (r#""event":"position""#, SignalEvent::Position(Live::UNKNOWN)),
    ] {
        let answer = signal(&house, &format!(r#"{{"attempt":2,"seq":7,"sessionId":"s-1",{members}}}"#)).await;
        assert_eq!((answer.status, answer.json()["data"]["result"].as_str()), (200, Some("done")), "{members}");
        let session = Some(SessionId::new("s-1").unwrap());
        let taken = house.fake.signals.lock().unwrap().pop().unwrap();
        let expected = Signal { attempt: 2, seq: 7, session, event: expected };
        assert_eq!(taken, (TenantId::from_name("demo"), id(), expected));
    }
}

#[tokio::test]
async fn a_signal_that_breaks_a_rule_of_form_is_told_which() {
    let house = House::new(Side::Internal);
    for (body, message) in [
        (r#"{"seq":1,"event":"alive"}"#, "attempt is required."),
        (r#"{"attempt":0,"seq":1,"event":"alive"}"#, "attempt must be a whole number between 1 and 4294967295."),
        (r#"{"attempt":1.5,"seq":1,"event":"alive"}"#, "attempt must be a whole number."),
        (r#"{"attempt":1,"event":"alive"}"#, "seq is required."),
        (r#"{"attempt":1,"seq":1}"#, "event is required."),
        (r#"{"attempt":1,"seq":1,"event":"accepted"}"#, "sessionId is required for event accepted."),
        (r#"{"attempt":1,"seq":1,"event":"dial-result"}"#, "reason is required for event dial-result."),
        (
            r#"{"attempt":1,"seq":1,"event":"alive","sessionId":"a\nb"}"#,
            "sessionId must not contain control characters.",
        ),
        (
            r#"{"attempt":1,"seq":1,"event":"position","position":-2}"#,
            "position must be a whole number between -1 and 2147483647.",
        ),
    ] {
        let answer = signal(&house, body).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    let answer = signal(&house, r#"{"attempt":1,"seq":1,"event":"sleeping"}"#).await;
    assert!(answer.message().starts_with("event must be one of accepted, "), "{answer:?}");
    assert!(house.fake.signals.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_becomes_of_a_signal_is_told() {
    const ALIVE: &str = r#"{"attempt":1,"seq":1,"event":"alive"}"#;
    let house = House::new(Side::Internal);
    *house.fake.signal.lock().unwrap() = Ok(Reply::Repeated);
    assert_eq!(signal(&house, ALIVE).await.json()["data"]["result"], "repeated");
    for (error, expected) in [
        (SignalError::Refused(StepError::OtherSession), (409, 409)),
        (SignalError::Refused(StepError::StaleAttempt), (409, 409)),
        (SignalError::Unserved(Unserved::NotFound), (404, 404)),
        (SignalError::Unserved(Unserved::Busy), (503, 500)),
        (SignalError::Unserved(Unserved::Perhaps), (503, 500)),
    ] {
        *house.fake.signal.lock().unwrap() = Err(error.clone());
        let answer = signal(&house, ALIVE).await;
        assert_eq!(answer.refusal(), expected, "{error:?}");
        assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 503, "{error:?}");
    }
}

#[tokio::test]
async fn the_tenant_and_the_callback_of_a_signal_must_be_named() {
    let house = House::new(Side::Internal);
    let ask = async |path: &str, tenant: &str| {
        let request = Request::post(path).header("ContactCenterID", tenant);
        house.send(request.body(Body::from(r#"{"attempt":1,"seq":1,"event":"alive"}"#)).unwrap()).await
    };
    assert_eq!(ask(&signals(), &TenantId::from_name("demo").to_string()).await.status, 200);
    assert_eq!(ask(&signals(), " ").await.refusal(), (400, 501));
    assert_eq!(ask(&signals(), "nobody").await.refusal(), (404, 404));
    assert_eq!(ask("/ges/v1/callbacks/7/signals", "demo").await.refusal(), (400, 501));
    assert_eq!(ask("/ges/v1/callbacks/%FF/signals", "demo").await.refusal(), (400, 501));
}

#[tokio::test]
async fn a_shared_token_guards_the_work_and_not_the_health() {
    let token = Some(InternalToken::new("s3cret"));
    let guarded = DoorSettings { internal_token: token, ..settings(DoorLimits::default()) };
    let house = House::with(Side::Internal, guarded);
    let ask = async |path: &str, token: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    for token in [None, Some("s3cret"), Some("Bearer wrong"), Some("Basic s3cret"), Some("Bearer")] {
        assert_eq!(ask("/ges/v1/callbacks/parked", token).await.refusal(), (401, 401), "{token:?}");
    }
    assert_eq!(ask("/ges/v1/callbacks/parked", Some("bearer s3cret")).await.status, 200);
    assert_eq!(ask("/ges/v1/health/ready", None).await.status, 200);
    assert_eq!(signal(&house, "{}").await.refusal(), (401, 401));
}

#[tokio::test]
async fn parked_callbacks_are_listed_and_taken_up() {
    let house = House::new(Side::Internal);
    let answer = house.get("/ges/v1/callbacks/parked?limit=1").await;
    insta::assert_snapshot!(
        answer.json()["data"].to_string(),
        @r#"{"parked":[{"at":"2030-01-01T00:00:00.000Z","id":"0192f0a0-0000-7000-8000-000000000001","reason":"unreadable","tenant":"demo"}]}"#
    );
    for limit in ["0", "1001", "x", "1.5"] {
        let answer = house.get(&format!("/ges/v1/callbacks/parked?limit={limit}")).await;
        assert_eq!(answer.refusal(), (400, 501), "{limit}");
    }
    let unpark = async || {
        let request = Request::post(format!("/ges/v1/callbacks/{ID}/unpark")).header("ContactCenterID", "demo");
        house.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(unpark().await.json()["data"]["id"], ID);
    for (error, expected) in [
        (SaveError::NotFound, (404, 404)),
        (SaveError::Conflict, (409, 409)),
        (SaveError::Store(StoreError::NotDone("detail".into())), (503, 500)),
        (SaveError::Store(StoreError::Unreadable("detail".into())), (500, 500)),
    ] {
        *house.fake.unpark.lock().unwrap() = Err(error.clone());
        let answer = unpark().await;
        assert_eq!(answer.refusal(), expected, "{error:?}");
        assert!(!answer.text.contains("detail"), "texts for operators stay inside");
    }
}

#[tokio::test]
async fn health_says_what_design_asks() {
    let house = House::new(Side::Internal);
    insta::assert_snapshot!(house.get("/ges/v1/health/live").await.text, @r#"{"status":"UP"}"#);
    let detail = house.get("/ges/v1/health/detail").await.text.replace(env!("CARGO_PKG_VERSION"), "[version]");
    insta::assert_snapshot!(
        detail,
        @r#"{"status":"UP","version":"[version]","node":"node-1","startedAt":"2030-01-01T00:00:00.000Z","uptimeSeconds":3600,"dependencies":[{"name":"database","status":"UP","required":true,"since":"2030-01-01T00:00:00.000Z","checkedAt":"2030-01-01T00:00:15.000Z"}]}"#
    );
    for (phase, required, status, ready, word) in [
        (Phase::Serving, true, DependencyStatus::Up, 200, "UP"),
        (Phase::Serving, false, DependencyStatus::Down, 200, "DEGRADED"),
        (Phase::Serving, true, DependencyStatus::Down, 503, "DOWN"),
        (Phase::Starting, true, DependencyStatus::Up, 503, "STARTING"),
        (Phase::Draining, true, DependencyStatus::Up, 503, "DRAINING"),
    ] {
        {
            let mut health = house.fake.health.lock().unwrap();
            health.phase = phase;
            health.dependencies[0].status = status;
            health.dependencies[0].required = required;
        }
        for path in ["/ges/v1/health", "/ges/v1/health/ready"] {
            let answer = house.get(path).await;
            assert_eq!((answer.status, answer.json()["status"].as_str()), (ready, Some(word)), "{path} {phase:?}");
        }
        assert_eq!(house.get("/ges/v1/health/live").await.status, 200);
        assert_eq!(house.get("/ges/v1/health/detail").await.status, 200);
    }
}

#[tokio::test]
async fn metrics_are_text_of_a_version() {
    let answer = House::new(Side::Internal).get("/metrics").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "ges_up 1\n"));
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let house = House::new(Side::Internal);
    let document = house.get("/engagement/v3/openapi.json").await;
    assert_eq!((document.status, &document.text), (200, &openapi()));
    assert_eq!(house.get("/engagement/v3/docs").await.headers["location"], "/engagement/v3/docs/");
    let page = house.get("/engagement/v3/docs/").await;
    assert!(page.text.contains("swagger-ui-bundle.js") && !page.text.contains("http"), "{page:?}");
    assert!(!page.text.contains("<script>"), "no inline script, or the policy would stop it: {page:?}");
    let policy = &page.headers["content-security-policy"];
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    let start = house.get("/engagement/v3/docs/swagger-initializer.js").await;
    assert!(start.text.contains(r#""validatorUrl": "none""#), "{start:?}");
    assert!(start.text.contains("/engagement/v3/openapi.json") && !start.text.contains("https://"), "{start:?}");
    assert_eq!(house.get("/engagement/v3/docs/swagger-ui.css").await.headers["content-type"], "text/css");
    assert_eq!(house.get("/engagement/v3/docs/nothing.js").await.refusal(), (404, 404));
}

#[tokio::test]
async fn every_documented_path_has_a_template_in_the_closed_set() {
    let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(crate::front_door::guard::ROUTES.contains(&path.as_str()), "{path}");
    }
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"].get(CREATE).is_some());
}

#[test]
fn every_operation_says_by_what_it_admits_a_caller_but_those_that_anybody_may_ask() {
    let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
    let mut open_to_all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let external = path.starts_with("/engagement/");
            let expected = if external { json!([{"apiKey": []}]) } else { json!([{}, {"internalToken": []}]) };
            match operation.get("security") {
                Some(security) => assert_eq!(security, &expected, "{method} {path}"),
                None => open_to_all.push(path.as_str()),
            }
        }
    }
    let expected = [
        "/ges/v1/captcha/test-page",
        "/ges/v1/health",
        "/ges/v1/health/detail",
        "/ges/v1/health/live",
        "/ges/v1/health/ready",
        "/ges/v1/schemas/tenant",
        "/ges/v1/session",
        "/ges/v1/session",
        "/ges/v1/session",
        "/ges/v1/session/callback",
        "/ges/v1/session/login",
        "/metrics",
    ];
    assert_eq!(open_to_all, expected);
}
