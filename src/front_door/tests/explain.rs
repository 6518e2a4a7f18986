//! What the door says of explanations and searches: the same words as the booking itself.

use std::collections::HashSet;

use axum::body::Body;
use chrono::TimeDelta;
use domain::callback::{Callback, Cause, Live, State, Terms};
use domain::captcha::TokenRefusal;
use domain::explain::{
    Counted, Explanation, HandOffBudget, Measure, Next, Place, Rule, Tally, Whereabouts, WouldBe, why,
};
use domain::ids::{Incarnation, QueueName, TenantId};
use domain::number_rules::NumberRefusal;
use domain::numbers::PhoneNumber;
use domain::ports::{Clock as _, Explained, Found, HistoryEntry, How, SearchError, Story, SubmitError, Unserved};
use domain::search::{Order, Search};
use domain::throttle::{LimitReached, LimitRule};
use http::Request;
use serde_json::{Value, json};

use crate::front_door::DoorLimits;
use crate::front_door::error::{Kind, TABLE};
use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, CREATE, House, ID, at, id, settings};

const EXPLAIN: &str = "/ges/v1/callbacks/explain";
const SEARCH: &str = "/ges/v1/callbacks/search";
const BOOKING: &str = r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#;

async fn inside(house: &House, path: &str, body: &str) -> Answer {
    let request = Request::post(path).header("ContactCenterID", "demo").header("content-type", "application/json");
    house.send(request.header("Idempotency-Key", "k").body(Body::from(body.to_owned())).unwrap()).await
}

fn explained(house: &House, refused: &SubmitError) -> Explained {
    let at = house.fake.now();
    let explanation = Explanation::new(Err(refused.clone()), vec![], None);
    Explained { explanation, next: Next::default(), measure: None, at }
}

/// How a refusal of the table can come of a booking.
#[derive(Debug, PartialEq, Eq)]
enum Reached {
    /// A check of the booking decides, and is named.
    Explained,
    /// Before anything of the booking is looked at: whose it is, or whether there is room.
    Caller,
    /// Not by a booking.
    Never,
}

/// A new kind of refusal does not compile here before it is known how a booking comes to it.
fn reached(kind: Kind) -> Reached {
    match kind {
        Kind::BadParameter
        | Kind::TooLong
        | Kind::WrongType
        | Kind::KeyReused
        | Kind::NotANumber
        | Kind::ImpossibleNumber
        | Kind::NotAllowedNumber
        | Kind::UnknownService
        | Kind::Throttled
        | Kind::Closed
        | Kind::SlotFull
        | Kind::Paused
        | Kind::TooSoon
        | Kind::ClosesSoon
        | Kind::HoldGone
        | Kind::SlotUnlikely => Reached::Explained,
        Kind::NoKey
        | Kind::Forbidden
        | Kind::WrongMethod
        | Kind::TooSlow
        | Kind::Withdrawn
        | Kind::Failed
        | Kind::Busy => Reached::Caller,
        Kind::NoToken
        | Kind::NoSession
        | Kind::TooManyGuesses
        | Kind::NoCredentials
        | Kind::NotFound
        | Kind::Conflict
        | Kind::PreconditionFailed
        | Kind::PreconditionRequired
        | Kind::NotCancellable
        | Kind::NotReschedulable
        | Kind::NotEnded => Reached::Never,
    }
}

fn refusals(now: chrono::DateTime<chrono::Utc>) -> Vec<SubmitError> {
    let limited = |rule, until| SubmitError::Limited(LimitReached { rule, limit: 3, until });
    let later = now + TimeDelta::hours(1);
    vec![
        SubmitError::UnknownQueue,
        SubmitError::CaptchaMissing,
        SubmitError::CaptchaRefused(TokenRefusal::Used),
        SubmitError::Paused,
        SubmitError::ImmediateDisabled,
        SubmitError::ScheduledDisabled,
        SubmitError::PushTargetsRequired,
        SubmitError::UnknownPushEndpoint,
        SubmitError::NotANumber,
        SubmitError::ImpossibleNumber,
        SubmitError::NumberNotAllowed { rule: NumberRefusal::Premium },
        SubmitError::TooSoon { earliest: later, lead_seconds: 3_600 },
        SubmitError::TooFarAhead { latest: later, max_ahead_days: 3 },
        SubmitError::ClosesSoon { closes_at: later, blackout_seconds: 7_200 },
        SubmitError::Closed { next_opening: Some(later) },
        SubmitError::SlotUnlikely { wait_seconds: 60, slot_end: later, first: later, proposals: vec![(later, 2)] },
        SubmitError::NoAgents,
        SubmitError::HoldGone,
        SubmitError::HoldElsewhere,
        SubmitError::SlotFull { proposals: vec![(later, 3), (later + TimeDelta::hours(1), 5)] },
        limited(LimitRule::Duplicates, None),
        limited(LimitRule::Day { parameter: "customerId".to_owned() }, Some(later)),
        limited(LimitRule::Window { seconds: 300 }, Some(later)),
        limited(LimitRule::Depth, None),
        SubmitError::KeyReused,
    ]
}

/// Status, code, message, `Retry-After` and slots of a booking's own refusal.
fn told(answer: &Answer) -> (u16, Value, Value, Option<u32>, Value) {
    let json = answer.json();
    let retry_after = answer.headers.get("retry-after").map(|seconds| seconds.parse().unwrap());
    let slots = json["data"]["slots"].clone();
    (answer.status, json["status"]["code"].clone(), json["status"]["message"].clone(), retry_after, slots)
}

/// The same of a verdict.
fn foretold(data: &Value) -> (u16, Value, Value, Option<u32>, Value) {
    let verdict = &data["verdict"];
    let number = |name: &str| verdict[name].as_u64().map(|number| u32::try_from(number).unwrap());
    let status = u16::try_from(number("httpStatus").unwrap()).unwrap();
    let retry_after = number("retryAfterSeconds");
    (status, verdict["code"].clone(), verdict["message"].clone(), retry_after, verdict["slots"].clone())
}

fn decider(data: &Value) -> Vec<&str> {
    let checks = data["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["outcome"] == "decides").map(|check| check["rule"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_refusal_that_a_booking_can_meet_is_foretold_in_its_words() {
    let (outside, house) = (House::new(Side::External), House::new(Side::Internal));
    let mut kinds = HashSet::new();
    let kind = |status: u16, data: &Value| {
        let name = data["verdict"]["problem"].as_str().unwrap();
        let row = TABLE.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row.status.as_u16(), status);
        row.kind
    };
    for refused in refusals(house.fake.now()) {
        *outside.fake.submit.lock().unwrap() = Err(refused.clone());
        *house.fake.explain.explain.lock().unwrap() = Ok(explained(&house, &refused));
        let booked = outside.post(CREATE, BOOKING).await;
        let answer = inside(&house, EXPLAIN, BOOKING).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = &answer.json()["data"];
        assert_eq!(foretold(data), told(&booked), "{refused:?}");
        assert_eq!(decider(data), [refused.rule().unwrap().name()], "{refused:?}");
        assert_eq!(data["accepted"], false);
        kinds.insert(kind(booked.status, data));
    }
    // What breaks a rule of form never comes to the desk.
    let small = DoorLimits { body_bytes: 200, ..DoorLimits::default() };
    let (outside, house) = (House::with(Side::External, settings(small)), House::with(Side::Internal, settings(small)));
    let long = format!(r#"{{"serviceName":"{}"}}"#, "x".repeat(300));
    for (body, media) in [
        ("{}", "application/json"),
        (r#"{"serviceName":"support"}"#, "application/json"),
        (r#"{"serviceName":"support","phoneNumber":"1","desiredTime":"soon"}"#, "application/json"),
        ("", "application/json"),
        ("no JSON", "application/json"),
        (long.as_str(), "application/json"),
        (BOOKING, "text/plain"),
    ] {
        let request = |path: &str| Request::post(path).header("content-type", media).header("ContactCenterID", "demo");
        let booked =
            Request::post(CREATE).header("content-type", media).header("x-api-key", crate::front_door::testing::KEY);
        let booked = outside.send(booked.body(Body::from(body.to_owned())).unwrap()).await;
        let answer = house.send(request(EXPLAIN).body(Body::from(body.to_owned())).unwrap()).await;
        let data = &answer.json()["data"];
        assert_eq!((answer.status, foretold(data)), (200, told(&booked)), "{body}");
        assert_eq!(decider(data), ["body"], "{body}");
        kinds.insert(kind(booked.status, data));
    }
    assert!(house.fake.explain.asked.lock().unwrap().is_empty());
    for row in &TABLE {
        assert_eq!(reached(row.kind) == Reached::Explained, kinds.contains(&row.kind), "{:?}", row.kind);
    }
}

#[tokio::test]
async fn a_bookings_members_key_and_headers_come_along() {
    let house = House::new(Side::Internal);
    inside(&house, EXPLAIN, BOOKING).await;
    let (tenant, new) = house.fake.explain.asked.lock().unwrap().pop().unwrap();
    assert_eq!((tenant, new.service_name.as_str()), (TenantId::from_name("demo"), "support"));
    assert!(new.idempotency.is_some());
    let bad_key = Request::post(EXPLAIN).header("ContactCenterID", "demo").header("Idempotency-Key", "a b");
    let answer = house.send(bad_key.body(Body::from(BOOKING)).unwrap()).await;
    assert_eq!(decider(&answer.json()["data"]), ["body"], "{answer:?}");
    assert_eq!(inside(&house, EXPLAIN, BOOKING).await.refusal(), (503, 500), "what is not judged is not explained");
}

#[tokio::test]
async fn counts_and_times_are_told_in_numbers_and_words() {
    let house = House::new(Side::Internal);
    let now = house.fake.now();
    let limit = |rule, counted, limit| Tally { of: Counted::Limit(rule), counted, limit };
    let window = LimitRule::Window { seconds: 60 };
    let refused = SubmitError::Limited(LimitReached { rule: window.clone(), limit: 7, until: Some(now) });
    let tallies = vec![
        Tally { of: Counted::Slot(now), counted: 4, limit: 9 },
        limit(LimitRule::Duplicates, 1, 2),
        limit(LimitRule::Day { parameter: "customerId".to_owned() }, 2, 3),
        limit(window, 7, 7),
    ];
    let next = Next { retry_at: Some(now), ..Next::default() };
    let explanation = Explanation::new(Err(refused), tallies, Some(Rule::Captcha));
    *house.fake.explain.explain.lock().unwrap() = Ok(Explained { explanation, next, measure: None, at: now });
    let answer = inside(&house, EXPLAIN, BOOKING).await;
    let json = answer.json();
    let checks: Vec<&Value> = json["data"]["checks"].as_array().unwrap().iter().skip(15).collect();
    insta::assert_snapshot!(checks.iter().map(|check| format!("{check}\n")).collect::<String>(), @r#"
        {"outcome":"notJudged","rule":"captcha","says":"The provider would be asked about captchaToken; asking uses the token up.","settings":["captcha"]}
        {"outcome":"passed","rule":"hold","settings":["holdSeconds"]}
        {"limit":9,"number":4,"outcome":"passed","rule":"slot","says":"4 of 9 places are taken in the slot of 2030-01-01T01:00:00.000Z.","settings":["capacityRule","slotCapacity","slotMinutes"],"unit":"places"}
        {"limit":2,"number":1,"outcome":"passed","rule":"duplicates","says":"1 of 2 callbacks wait for the same phoneNumber.","settings":["duplicatePolicy","duplicateLimit"],"unit":"callbacks"}
        {"limit":3,"number":2,"outcome":"passed","rule":"day","says":"2 of 3 immediate callbacks were booked today for the same customerId.","settings":["throttleParameters","throttleDailyLimit","throttleHeaders"],"unit":"bookings"}
        {"limit":7,"number":7,"outcome":"decides","retryAt":"2030-01-01T01:00:00.000Z","rule":"window","says":"7 of 7 callbacks were booked in the last 60 seconds.","settings":["throttleWindows"],"unit":"bookings"}
        {"outcome":"notReached","rule":"depth","settings":["maxQueued"]}
        "#);

    let earliest = now + TimeDelta::seconds(900);
    let refused = SubmitError::TooSoon { earliest, lead_seconds: 900 };
    let explained = Explained {
        measure: Some(Measure { seconds: 60, limit_seconds: 900 }),
        next: Next { bookable_from: Some(earliest), ..Next::default() },
        ..explained(&house, &refused)
    };
    *house.fake.explain.explain.lock().unwrap() = Ok(explained);
    let json = inside(&house, EXPLAIN, BOOKING).await.json();
    let check = json["data"]["checks"].as_array().unwrap().iter().find(|check| check["rule"] == "minLead").unwrap();
    let told = (&check["number"], &check["limit"], &check["unit"], &check["bookableFrom"]);
    assert_eq!(told, (&json!(60), &json!(900), &json!("seconds"), &json!("2030-01-01T01:15:00.000Z")));
}

#[tokio::test]
async fn what_would_be_booked_is_told() {
    let house = House::new(Side::Internal);
    let (now, planned) = (house.fake.now(), at("2030-01-01T03:10:00Z"));
    let booked = domain::explain::Planned {
        state: State::Scheduled,
        desired_time: planned,
        start_at: planned - TimeDelta::minutes(2),
        slot: Some(planned),
    };
    let replaced = WouldBe { how: How::Replaced, id: None, ends: Some(id()), booked: Some(booked) };
    let told = async |would_be| {
        let explanation = Explanation::new(Ok(would_be), vec![], None);
        let explained = Explained { explanation, next: Next::default(), measure: None, at: now };
        *house.fake.explain.explain.lock().unwrap() = Ok(explained);
        let data = inside(&house, EXPLAIN, BOOKING).await.json()["data"].clone();
        assert_eq!((&data["accepted"], &data["verdict"]["httpStatus"]), (&json!(true), &json!(200)));
        data
    };
    let expected = json!({
        "how": "replaced", "ends": ID, "callbackState": "SCHEDULED", "desiredTime": "2030-01-01T03:10:00.000Z",
        "startAt": "2030-01-01T03:08:00.000Z", "slot": "2030-01-01T03:10:00.000Z",
    });
    assert_eq!(told(replaced).await["booking"], expected);
    let data = told(WouldBe::there(id(), How::Existing)).await;
    assert_eq!(data["booking"], json!({"how": "existing", "id": ID}));
    assert_eq!(decider(&data), ["duplicates"]);
}

fn callback() -> Callback {
    let terms = Terms {
        tenant: TenantId::from_name("demo"),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(14_165_550_101),
        ttl: TimeDelta::hours(24),
    };
    Callback::immediate(id(), terms, Incarnation(3), at("2030-03-04T15:30:00Z"))
}

#[tokio::test]
async fn a_life_is_told_without_what_is_private() {
    let house = House::new(Side::Internal);
    let path = format!("/ges/v1/callbacks/{ID}/explain");
    let ask = async || {
        let request = Request::get(&path).header("ContactCenterID", "demo");
        house.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(ask().await.refusal(), (404, 404));
    let callback = callback();
    let place = Place::InLine { ahead: 2 };
    let budget = HandOffBudget { limit: 200, allowed: 1, held: 1, waiting: 5 };
    let step = |version, cause, state| HistoryEntry {
        version,
        at: callback.desired_time,
        cause,
        state,
        implied: if version == 2 { vec![State::Routing] } else { vec![] },
        attempt: 0,
    };
    let story = Story {
        waiting: why(&callback, false, place, house.fake.now()),
        parked: Some((callback.desired_time, "for a test".to_owned())),
        is_ours: true,
        whereabouts: Some(Whereabouts { has_session: true, is_recovering: false, place, budget }),
        live: Some(Live { position: 3, estimated_wait_seconds: 90 }),
        history: vec![step(1, Cause::Booked, State::Queued), step(2, Cause::Reported, State::Queued)],
        at: at("2030-03-04T15:31:00Z"),
        callback,
    };
    *house.fake.explain.story.lock().unwrap() = Ok(story.clone());
    let answer = ask().await;
    insta::assert_snapshot!(answer.redacted(), @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-000000000001","serviceName":"support","callbackState":"QUEUED","waiting":{"why":"place","says":"As many attempts of its queue are with routing as may be; it stands in line."},"desiredTime":"2030-03-04T15:30:00.000Z","startAt":"2030-03-04T15:30:00.000Z","expiresAt":"2030-03-05T15:30:00.000Z","wakeAt":"2030-03-04T15:30:00.000Z","attempt":0,"attemptState":"idle","refusals":0,"positionInQueue":3,"estimatedWaitTime":90,"owner":3,"here":{"owner":true,"session":true,"recovering":false,"place":"inLine","ahead":2,"handOff":{"limit":200,"allowed":1,"held":1,"waiting":5}},"parked":{"at":"2030-03-04T15:30:00.000Z","reason":"for a test"},"history":[{"version":1,"at":"2030-03-04T15:30:00.000Z","cause":"booked","callbackState":"QUEUED","attempt":0},{"version":2,"at":"2030-03-04T15:30:00.000Z","cause":"reported","callbackState":"QUEUED","implied":["ROUTING"],"attempt":0}],"historyIsComplete":true,"at":"2030-03-04T15:31:00.000Z"}}"#);
    assert!(!answer.text.contains("4165550101"));
    let mut cut = story;
    cut.callback.version = 9;
    cut.whereabouts = None;
    *house.fake.explain.story.lock().unwrap() = Ok(cut);
    let data = ask().await.json()["data"].clone();
    assert_eq!((&data["historyIsComplete"], data.get("here")), (&json!(false), None));
}

#[tokio::test]
async fn found_callbacks_hide_their_numbers_unless_asked() {
    let house = House::new(Side::Internal);
    *house.fake.explain.found.lock().unwrap() = Ok(Found { callbacks: vec![callback()], next: Some(id()) });
    let answer = inside(&house, SEARCH, r#"{"queues":["help"],"phoneNumber":"(416) 555-0101","limit":7}"#).await;
    insta::assert_snapshot!(answer.json()["data"].to_string(), @r#"{"callbacks":[{"attempt":0,"callbackState":"QUEUED","desiredTime":"2030-03-04T15:30:00.000Z","id":"0192f0a0-0000-7000-8000-000000000001","phoneNumber":"…01","serviceName":"support"}],"nextCursor":"0192f0a0-0000-7000-8000-000000000001"}"#);
    let (named, search) = house.fake.explain.searched.lock().unwrap().pop().unwrap();
    assert_eq!((named.queues.len(), named.phone_number.as_deref()), (1, Some("(416) 555-0101")));
    assert_eq!(search, Search::all(Order::NewestFirst, 7));
    let answer = inside(&house, SEARCH, r#"{"showNumbers":true}"#).await;
    assert_eq!(answer.json()["data"]["callbacks"][0]["phoneNumber"], "+14165550101");
    *house.fake.explain.found.lock().unwrap() = Err(SearchError::NotANumber);
    let answer = inside(&house, SEARCH, r#"{"phoneNumber":"nobody"}"#).await;
    assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), "phoneNumber must be a phone number."));
    *house.fake.explain.found.lock().unwrap() = Err(Unserved::Busy.into());
    assert_eq!(inside(&house, SEARCH, "{}").await.refusal(), (503, 500));
    assert_eq!(inside(&house, SEARCH, "[]").await.refusal(), (400, 501));
}

#[tokio::test]
async fn nothing_of_it_is_reached_from_outside() {
    let house = House::new(Side::External);
    for path in [EXPLAIN, SEARCH] {
        assert_eq!(house.post(path, BOOKING).await.refusal(), (404, 404), "{path}");
    }
    assert_eq!(house.ask(&format!("/ges/v1/callbacks/{ID}/explain")).await.refusal(), (404, 404));
    let house = House::new(Side::Internal);
    for path in [EXPLAIN, SEARCH] {
        assert_eq!(house.post(path, BOOKING).await.refusal(), (400, 501), "{path}: whose is not said");
    }
}
