//! The service of each listener, called without a socket.

mod alarms;
mod availability;
mod call_in;
mod captcha;
mod cors;
mod create;
mod engine;
mod explain;
mod flow;
mod fuzz;
mod hours;
mod internal;
mod limits;
mod log_level;
mod moves;
mod news;
mod numbers;
mod privacy;
mod settings;
mod statistics;
mod statuses;
mod users;
mod waits;
mod withdrawn;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use domain::callback::{Live, Reason, State};
use domain::event::Event;
use domain::numbers::PhoneNumber;
use domain::ports::{CallbackView, CancelError, Unserved};
use http::{Method, Request};
use tokio::sync::Notify;
use tracing::instrument::WithSubscriber as _;

use super::router::Side;
use super::testing::{CANCEL, CREATE, House, ID, KEY, Mood, READ_ONLY_KEY, RETRIEVE, at, id, post, settings, until};
use super::{DoorLimits, error};

fn view(state: State) -> CallbackView {
    CallbackView {
        id: id(),
        desired_time: at("2030-03-04T15:30:00.000Z"),
        state,
        reason: (state == State::Completed).then_some(Reason::AGENT_CONNECTED),
        phone: PhoneNumber::from_digits(14_165_550_101),
        live: None,
    }
}

fn by_id() -> String {
    format!(r#"{{"id":"{ID}"}}"#)
}

#[tokio::test]
async fn a_booking_is_answered_with_its_id() {
    let house = House::new(Side::External);
    let answer = house.post(CREATE, r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#).await;
    assert_eq!(answer.status, 200);
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-000000000001"}}"#
    );
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn each_state_shows_what_the_contract_wants_in_it() {
    let house = House::new(Side::External);
    let show = async |view: CallbackView| {
        *house.fake.retrieve.lock().unwrap() = Ok(view);
        house.post(RETRIEVE, by_id()).await.json()["data"].to_string()
    };
    insta::assert_snapshot!(
        show(view(State::Scheduled)).await,
        @r#"{"callbackState":"SCHEDULED","desiredTime":"2030-03-04T15:30:00.000Z","id":"0192f0a0-0000-7000-8000-000000000001","phoneNumber":"+14165550101"}"#
    );
    let live = Some(Live { position: 4, estimated_wait_seconds: 310 });
    insta::assert_snapshot!(
        show(CallbackView { live, ..view(State::Queued) }).await,
        @r#"{"callbackState":"QUEUED","desiredTime":"2030-03-04T15:30:00.000Z","estimatedWaitTime":310,"id":"0192f0a0-0000-7000-8000-000000000001","phoneNumber":"+14165550101","positionInQueue":4}"#
    );
    insta::assert_snapshot!(
        show(view(State::Processing)).await,
        @r#"{"callbackState":"PROCESSING","desiredTime":"2030-03-04T15:30:00.000Z","estimatedWaitTime":-1,"id":"0192f0a0-0000-7000-8000-000000000001","phoneNumber":"+14165550101","positionInQueue":-1}"#
    );
    insta::assert_snapshot!(
        show(CallbackView { live, ..view(State::Completed) }).await,
        @r#"{"callbackReason":"AGENT_CONNECTED","callbackState":"COMPLETED","desiredTime":"2030-03-04T15:30:00.000Z","id":"0192f0a0-0000-7000-8000-000000000001","phoneNumber":"+14165550101"}"#
    );
}

#[tokio::test]
async fn a_cancel_echoes_the_id_or_says_why_not() {
    let house = House::new(Side::External);
    let answer = house.post(CANCEL, by_id()).await;
    assert_eq!((answer.status, answer.json()["data"]["id"].as_str()), (200, Some(ID)));
    assert_eq!(*house.fake.cancelled.lock().unwrap(), [domain::callback::Canceller::Api]);
    for (outcome, expected) in [
        (CancelError::NotCancellable(State::Processing), (400, 409)),
        (CancelError::Unserved(Unserved::NotFound), (404, 404)),
        (CancelError::Unserved(Unserved::Busy), (503, 500)),
        (CancelError::Unserved(Unserved::Perhaps), (503, 500)),
    ] {
        *house.fake.cancel.lock().unwrap() = Err(outcome.clone());
        let answer = house.post(CANCEL, by_id()).await;
        assert_eq!(answer.refusal(), expected, "{outcome:?}");
        assert_eq!(answer.headers.contains_key("retry-after"), expected.0 == 503, "{outcome:?}");
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_named() {
    let house = House::new(Side::External);
    for (body, message) in [
        (r#"{}"#, "id is required."),
        (r#"{"id":null}"#, "id is required."),
        (r#"{"id":7}"#, "id must be a string."),
        (r#"{"id":""}"#, "id must be a UUID in the form 8-4-4-4-12."),
        (r#"{"id":"{0192f0a0-0000-7000-8000-000000000001}"}"#, "id must be a UUID in the form 8-4-4-4-12."),
        ("[]", "The body must be a JSON object."),
        ("", "The body is empty; it must be a JSON object."),
    ] {
        for path in [CANCEL, RETRIEVE] {
            let answer = house.post(path, body).await;
            assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{path} {body}");
        }
    }
    // The last of repeated members counts; unknown ones do not.
    *house.fake.retrieve.lock().unwrap() = Ok(view(State::Scheduled));
    let body = format!(r#"{{"x":[{{"id":1}}],"id":1,"id":"{ID}","_":1e999999}}"#);
    assert_eq!(house.post(RETRIEVE, body).await.status, 200);
}

#[tokio::test]
async fn keys_and_scopes_open_the_door() {
    let house = House::new(Side::External);
    let ask = async |path: &str, key: Option<&str>| {
        let mut request = Request::post(path);
        if let Some(key) = key {
            request = request.header("X-API-Key", key);
        }
        house.send(request.body(Body::from(by_id())).unwrap()).await
    };
    for key in [None, Some(""), Some("wrong"), Some("DEMO-KEY")] {
        for path in [CREATE, CANCEL, RETRIEVE] {
            assert_eq!(ask(path, key).await.refusal(), (401, 1103), "{key:?}");
        }
    }
    assert_eq!(ask(CANCEL, Some(READ_ONLY_KEY)).await.refusal(), (403, 403));
    assert_eq!(ask(CREATE, Some(READ_ONLY_KEY)).await.refusal(), (403, 403));
    // Known and allowed; there is just no such callback.
    assert_eq!(ask(RETRIEVE, Some(READ_ONLY_KEY)).await.refusal(), (404, 404));
    assert_eq!(ask(RETRIEVE, Some(KEY)).await.refusal(), (404, 404));
}

#[tokio::test]
async fn nobody_outside_names_a_tenant() {
    let body = || Body::from(by_id());
    for header in ["ccid", "CCID", "ContactCenterID", "contactcenterid"] {
        let request = |value: &str| post(CANCEL).header(header, value).body(body()).unwrap();
        let house = House::new(Side::External);
        assert_eq!(house.send(request("demo")).await.refusal(), (403, 403), "{header}");
        assert_eq!(house.send(request(" ")).await.status, 200, "{header}");
        assert_eq!(House::new(Side::Internal).send(request("demo")).await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let house = House::new(Side::External);
    for (content_type, status) in [
        (Some("application/json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (None, 200),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
    ] {
        let mut request = Request::post(CANCEL).header("x-api-key", KEY);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = house.send(request.body(Body::from(by_id())).unwrap()).await;
        assert_eq!(answer.status, status, "{content_type:?}");
        if status != 200 {
            assert_eq!(answer.refusal(), (415, 415));
        }
    }
    // An empty body has no type to be wrong.
    let request = Request::post(CANCEL).header("x-api-key", KEY).header("content-type", "text/plain");
    assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.refusal(), (400, 501));
}

#[tokio::test]
async fn other_paths_and_methods_get_the_envelope() {
    let house = House::new(Side::External);
    let internal =
        ["/metrics", "/ges/v1/health", "/ges/v1/health/live", "/engagement/v3/docs/", "/engagement/v3/openapi.json"];
    for path in ["/", "/engagement/v3/callbacks", "/engagement/v3/callbacks/create/", "/ges/v1/callbacks/x/signals"]
        .into_iter()
        .chain(internal)
    {
        assert_eq!(house.get(path).await.refusal(), (404, 404), "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let request = Request::builder().method(method.clone()).uri(CREATE).body(Body::empty()).unwrap();
        let answer = house.send(request).await;
        assert_eq!(answer.refusal(), (405, 405), "{method}");
        assert_eq!(answer.headers["allow"], "POST", "{method}");
    }
}

#[tokio::test]
async fn a_problem_document_comes_to_who_asks() {
    let house = House::new(Side::External);
    let request = post(CANCEL).header("accept", "application/problem+json").body(Body::from("{}")).unwrap();
    let answer = house.send(request).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"type":"urn:ges:problem:invalid-parameter","title":"Bad Request","status":400,"detail":"id is required.","code":501,"corrId":"[uuid]"}"#
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_its_length_and_by_its_bytes() {
    let house = House::with(Side::External, settings(DoorLimits { body_bytes: 64, ..DoorLimits::default() }));
    let long = format!(r#"{{"id":"{ID}","x":"{}"}}"#, "x".repeat(64));
    let announced = post(CANCEL).header("content-length", long.len()).body(Body::empty()).unwrap();
    assert_eq!(house.send(announced).await.refusal(), (413, 413));
    assert_eq!(house.post(CANCEL, long).await.refusal(), (413, 413));
    assert_eq!(house.fake.count(|event| *event == Event::BodyTooLong), 2);
    assert_eq!(house.post(CANCEL, by_id()).await.status, 200);
}

#[tokio::test]
async fn long_bodies_share_a_bounded_memory() {
    let limits = DoorLimits { body_memory_bytes: 40 << 10, ..DoorLimits::default() };
    let house = House::with(Side::External, settings(limits));
    let body = |bytes: usize| format!(r#"{{"id":"{ID}","x":"{}"}}"#, "x".repeat(bytes));
    for _ in 0..3 {
        assert_eq!(house.post(CANCEL, body(30 << 10)).await.status, 200);
    }
    assert_eq!(house.post(CANCEL, body(50 << 10)).await.refusal(), (503, 500));
}

#[tokio::test]
async fn over_the_limit_of_requests_the_answer_is_quick_and_nothing_is_done() {
    let limits = DoorLimits { requests_in_flight: 1, ..DoorLimits::default() };
    let house = Arc::new(House::with(Side::Internal, settings(limits)));
    let gate = Arc::new(Notify::new());
    *house.fake.mood.lock().unwrap() = Mood::Waits(Arc::clone(&gate));
    let waiting = tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.post(CREATE, r#"{"serviceName":"a","phoneNumber":"+14165550101"}"#).await }
    });
    until(|| house.fake.booked.lock().unwrap().len() == 1).await;

    let shed = house.post(CREATE, r#"{"serviceName":"a","phoneNumber":"+14165550101"}"#).await;
    assert_eq!(shed.refusal(), (503, 500));
    assert_eq!(shed.headers["retry-after"], error::RETRY_AFTER_SECONDS.to_string());
    assert_eq!(house.fake.count(|event| *event == Event::Shed), 1);
    assert_eq!(house.fake.booked.lock().unwrap().len(), 1);
    assert_eq!(house.get("/ges/v1/health/live").await.status, 200, "a full service is alive");

    gate.notify_one();
    assert_eq!(waiting.await.unwrap().status, 200);
    *house.fake.mood.lock().unwrap() = Mood::Answers;
    assert_eq!(house.post(CANCEL, by_id()).await.status, 200, "the place was given back");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    let house = House::new(Side::External);
    *house.fake.mood.lock().unwrap() = Mood::Panics;
    let answer = house.post(CANCEL, by_id()).await;
    assert_eq!(answer.refusal(), (500, 500));
    assert_eq!(house.fake.count(|event| *event == Event::PanicCaught), 1);
    house.fake.mood.clear_poison();
    *house.fake.mood.lock().unwrap() = Mood::Answers;
    assert_eq!(house.post(CANCEL, by_id()).await.status, 200);
}

#[tokio::test]
async fn every_request_has_a_deadline() {
    let limits = DoorLimits {
        body_gap: Duration::from_millis(20),
        request: Duration::from_millis(200),
        ..DoorLimits::default()
    };
    let house = House::with(Side::External, settings(limits));
    assert_eq!(house.post(CANCEL, Body::new(Silent)).await.refusal(), (408, 408));
    *house.fake.mood.lock().unwrap() = Mood::Hangs;
    assert_eq!(house.post(CANCEL, by_id()).await.refusal(), (500, 500));
    let slow = DoorLimits { body_gap: Duration::from_secs(60), ..limits };
    let house = House::with(Side::External, settings(slow));
    assert_eq!(house.post(CANCEL, Body::new(Silent)).await.refusal(), (408, 408));
}

/// A body of which nothing ever comes.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn every_answer_is_reported_once_with_a_closed_set_of_routes() {
    let house = House::new(Side::External);
    house.post(CANCEL, by_id()).await;
    house.get(&format!("/secret/{ID}")).await;
    let request = Request::builder().method("BREW").uri(CREATE).body(Body::empty()).unwrap();
    house.send(request).await;
    let events = house.fake.events.lock().unwrap();
    let answered: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Answered { tenant, method, route, status, .. } => {
                Some((tenant.as_deref(), *method, *route, *status))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        answered,
        [(Some("demo"), "POST", CANCEL, 200), (None, "GET", "unknown", 404), (None, "OTHER", CREATE, 405)]
    );
}

/// Where the log of a test goes.
#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_with_its_id_and_nothing_private() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let house = House::new(Side::External);
    let body = r#"{"serviceName":"marker-1","phoneNumber":"+14165550199","userData":{"a":"marker-2"}}"#;
    let ask = async {
        let good = house.post(CREATE, body).await;
        let bad = house.send(Request::post(CREATE).header("x-api-key", "marker-3").body(body.into()).unwrap()).await;
        [good, bad, house.get("/marker-4").await]
    };
    let answers = ask.with_subscriber(subscriber).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for answer in &answers {
        let corr_id = answer.json()["status"]["corrId"].as_str().unwrap().to_owned();
        assert_eq!(text.lines().filter(|line| line.contains(&corr_id)).count(), 1, "{text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains(r#""level":"INFO""#)).count(), answers.len(), "{text}");
    assert!(!text.contains("marker") && !text.contains("5550199"), "{text}");
}
