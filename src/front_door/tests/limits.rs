//! What the door says of limits, and whom it lets in beside whom.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use chrono::TimeDelta;
use domain::event::Event;
use domain::limits::TenantLimits;
use domain::ports::{Clock as _, How, SubmitError, Submitted};
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use domain::throttle::{LimitReached, LimitRule};
use http::Request;
use tokio::sync::Notify;

use crate::front_door::DoorLimits;
use crate::front_door::router::Side;
use crate::front_door::testing::{
    Answer, CANCEL, CREATE, House, ID, KEY, Mood, NEIGHBOURS_KEY, READ_ONLY_KEY, RETRIEVE, id, post, until,
};

const BOOKING: &str = r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#;

fn by_id() -> String {
    format!(r#"{{"id":"{ID}"}}"#)
}

fn limited(requests_per_second: u32, burst: u32) -> House {
    let limits = TenantLimits { requests_per_second, burst: Some(burst) };
    House::of(TenantDocument { limits, ..TenantDocument::with_queues("demo", []) }, DoorLimits::default())
}

async fn as_tenant(house: &House, key: &str, path: &str, body: impl Into<Body>) -> Answer {
    house.send(Request::post(path).header("x-api-key", key).body(body.into()).unwrap()).await
}

#[tokio::test]
async fn each_way_to_a_callback_is_told() {
    let house = House::new(Side::External);
    let told = async |how: How| {
        *house.fake.submit.lock().unwrap() = Ok(Submitted { id: id(), how });
        let answer = house.post(CREATE, BOOKING).await;
        assert_eq!((answer.status, answer.json()["data"]["id"].as_str()), (200, Some(ID)));
        ["idempotency-status", "duplicate-status"].map(|name| answer.headers.get(name).cloned().unwrap_or_default())
    };
    assert_eq!(told(How::Booked).await, ["", ""]);
    assert_eq!(told(How::Replayed).await, ["replayed", ""]);
    assert_eq!(told(How::Existing).await, ["", "existing"]);
    assert_eq!(told(How::Replaced).await, ["", "replaced"]);
}

#[tokio::test]
async fn a_counted_rule_is_named_with_its_number_and_its_end() {
    let house = House::new(Side::External);
    let now = house.fake.now();
    let day = LimitRule::Day { parameter: "customerId".to_owned() };
    for (rule, limit, ms, message, wait) in [
        (LimitRule::Duplicates, 2, None, "The limit of 2 waiting callbacks for the same phoneNumber is reached.", None),
        (
            day.clone(),
            6,
            Some(3_600_001),
            "The limit of 6 immediate callbacks per day for the same customerId is reached; try again after \
             2030-01-01T02:00:00.001Z.",
            Some("3601"),
        ),
        (day, 0, None, "The limit of 0 immediate callbacks per day for the same customerId is reached.", None),
        (
            LimitRule::Window { seconds: 300 },
            500,
            Some(0),
            "The service's limit of 500 callbacks in 300 seconds is reached; try again after 2030-01-01T01:00:00.000Z.",
            Some("1"),
        ),
        (LimitRule::Depth, 1_000, None, "The service's limit of 1000 active callbacks is reached.", None),
    ] {
        let until = ms.map(|ms| now + TimeDelta::milliseconds(ms));
        *house.fake.submit.lock().unwrap() = Err(SubmitError::Limited(LimitReached { rule, limit, until }));
        let answer = house.post(CREATE, BOOKING).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((429, 7041), message));
        assert_eq!(answer.headers.get("retry-after").map(String::as_str), wait, "{message}");
        assert!(answer.json().get("data").is_none(), "no slots to choose from");
    }
}

#[tokio::test]
async fn headers_that_a_queue_counts_come_with_the_booking() {
    let names = ["phoneNumber", "X-Device", "customerId"].map(str::to_owned);
    let counting = QueueSettings { throttle_parameters: names.to_vec(), ..QueueSettings::default() };
    let quiet = QueueSettings {
        throttle_parameters: vec!["X-Other".to_owned()],
        throttle_headers: false,
        ..QueueSettings::default()
    };
    let queues = [("a", counting), ("b", quiet)].map(|(name, settings)| (name.parse().unwrap(), settings));
    let house = House::of(TenantDocument::with_queues("demo", queues), DoorLimits::default());
    let request = post(CREATE)
        .header("x-device", "  d-7 ")
        .header("phonenumber", "1")
        .header("x-other", "2")
        .header("customerid", "c")
        .body(BOOKING.into())
        .unwrap();
    assert_eq!(house.send(request).await.status, 200);
    let expected = [("customerid", "c"), ("x-device", "d-7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(house.fake.booked.lock().unwrap()[0].counted_headers, expected);
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_a_limited_tenant_tells_its_rate() {
    let house = limited(10, 40);
    let told = |answer: &Answer| ["ratelimit-policy", "ratelimit"].map(|name| answer.headers[name].clone());
    let answer = house.post(CREATE, BOOKING).await;
    assert_eq!(answer.status, 200);
    assert_eq!(told(&answer), [r#""tenant";q=40;w=4"#, r#""tenant";r=39;t=1"#]);
    for (answer, status, left) in [
        (house.post(RETRIEVE, by_id()).await, 404, 38),
        (house.post(CREATE, "no JSON").await, 400, 37),
        (as_tenant(&house, READ_ONLY_KEY, CREATE, BOOKING).await, 403, 36),
    ] {
        assert_eq!(answer.status, status);
        assert_eq!(told(&answer)[1], format!(r#""tenant";r={left};t=1"#), "{status}");
    }
    assert!(!as_tenant(&house, "wrong", CREATE, BOOKING).await.headers.contains_key("ratelimit"), "whose would it be");
    let neighbours = as_tenant(&house, NEIGHBOURS_KEY, CANCEL, by_id()).await;
    assert!(!neighbours.headers.contains_key("ratelimit-policy"), "it has no limit");
}

#[tokio::test(start_paused = true)]
async fn over_its_rate_a_tenant_is_refused_before_its_body_is_read() {
    let house = limited(2, 3);
    for _ in 0..3 {
        assert_eq!(house.post(CANCEL, by_id()).await.status, 200);
    }
    let refused = house.send(post(CREATE).body(Body::new(Endless)).unwrap()).await;
    assert_eq!((refused.refusal(), refused.headers["retry-after"].as_str()), ((429, 7041), "1"));
    assert_eq!(refused.message(), "The limit of 2 requests per second is reached.");
    assert_eq!(refused.headers["ratelimit"], r#""tenant";r=0;t=2"#);
    assert_eq!(house.fake.booked.lock().unwrap().len(), 0);
    let over_rate = Event::OverRate { tenant: "demo".into() };
    assert_eq!(house.fake.count(|event| *event == over_rate), 1);
    assert_eq!(as_tenant(&house, NEIGHBOURS_KEY, CANCEL, by_id()).await.status, 200);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(house.post(CANCEL, by_id()).await.status, 200, "half a second is worth one");
    assert_eq!(house.post(CANCEL, by_id()).await.status, 429);
}

/// A body that never ends; reading it would hang the test.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        panic!("somebody reads a body that was not to be read")
    }
}

/// Requests that wait in the desk until the gate opens.
async fn wait_in_the_desk(house: &Arc<House>, key: &'static str, count: usize) -> Vec<tokio::task::JoinHandle<Answer>> {
    let send = |house: Arc<House>| tokio::spawn(async move { as_tenant(&house, key, CREATE, BOOKING).await });
    let before = house.fake.booked.lock().unwrap().len();
    let tasks = (0..count).map(|_| send(Arc::clone(house))).collect();
    until(|| house.fake.booked.lock().unwrap().len() == before + count).await;
    tasks
}

#[tokio::test]
async fn a_tenant_that_takes_all_it_can_get_leaves_room_for_others() {
    let limits = DoorLimits { requests_in_flight: 16, ..DoorLimits::default() };
    let house = Arc::new(House::of(TenantDocument::with_queues("demo", []), limits));
    let gate = Arc::new(Notify::new());
    *house.fake.mood.lock().unwrap() = Mood::Waits(Arc::clone(&gate));
    let mut waiting = wait_in_the_desk(&house, KEY, 14).await;
    let refused = as_tenant(&house, KEY, CREATE, BOOKING).await;
    assert_eq!((refused.refusal(), refused.headers["retry-after"].as_str()), ((503, 500), "1"));
    let over_share = Event::OverShare { tenant: "demo".into() };
    assert_eq!(house.fake.count(|event| *event == over_share), 1);
    waiting.extend(wait_in_the_desk(&house, NEIGHBOURS_KEY, 2).await);
    assert_eq!(house.fake.count(|event| *event == Event::Shed), 0, "nobody was refused for want of room");
    gate.notify_waiters();
    for answer in waiting {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    *house.fake.mood.lock().unwrap() = Mood::Answers;
    assert_eq!(as_tenant(&house, KEY, CREATE, BOOKING).await.status, 200, "what was held came back");
}

#[tokio::test]
async fn long_bodies_of_one_tenant_leave_memory_for_others() {
    let limits = DoorLimits { body_memory_bytes: 160 << 10, ..DoorLimits::default() };
    let house = Arc::new(House::of(TenantDocument::with_queues("demo", []), limits));
    let long = |bytes: usize| format!(r#"{{"filler":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(as_tenant(&house, KEY, CANCEL, long(150 << 10)).await.refusal(), (503, 500), "more than its share");
    assert_eq!(as_tenant(&house, KEY, CANCEL, long(120 << 10)).await.refusal(), (400, 501), "read and judged");
    assert_eq!(house.fake.count(|event| matches!(event, Event::OverShare { .. })), 1);
}
