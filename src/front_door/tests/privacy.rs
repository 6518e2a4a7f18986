//! Export, erasure and the audit log behind the door, over a real store.

use axum::body::Body;
use domain::callback::{Callback, Canceller, Options, State, Terms};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{Booked, Booking, CallbackStore as _, CancelError, Unserved};
use domain::slots::Grid;
use domain::throttle::BookingLimits;
use http::Request;
use serde_json::{Value, json};

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, Office, at};

const EXPORT: &str = "/ges/v1/personal-data/export";
const ERASE: &str = "/ges/v1/personal-data/erase";

async fn post(house: &House, tenant: &str, path: &str, body: &Value) -> Answer {
    let request = Request::post(path).header("ContactCenterID", tenant).header("content-type", "application/json");
    house.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn get(house: &House, tenant: &str, path: &str) -> Answer {
    house.send(Request::get(path).header("ContactCenterID", tenant).body(Body::empty()).unwrap()).await
}

/// Books for the tenant `demo`.
async fn book(office: &Office, change: impl FnOnce(&mut Booking)) -> CallbackId {
    let terms = Terms {
        tenant: TenantId::from_name("demo"),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(14_165_550_107),
        ttl: chrono::Duration::hours(24),
    };
    let now = at("2030-01-01T01:00Z");
    let callback = Callback::immediate(CallbackId::generate(now), terms, Incarnation(1), now);
    let mut booking = Booking {
        callback,
        slot_capacity: 1,
        grid: Grid::default(),
        options: Options::default(),
        user_data: None,
        idempotency: None,
        limits: BookingLimits::default(),
        captcha: None,
        hold: None,
        booked_at: now,
        announcement: None,
        on_replaced: None,
    };
    change(&mut booking);
    let id = booking.callback.id;
    assert_eq!(office.store.book(booking).await, Ok(Booked::New));
    id
}

fn has_ended(booking: &mut Booking) {
    booking.callback.state = State::Completed;
    booking.callback.wake_at = None;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_why() {
    let house = House::new(Side::Internal);
    for path in [EXPORT, ERASE] {
        for (body, refusal, message) in [
            (json!({}), (400, 501), "phoneNumber is required."),
            (json!({"phoneNumber": 14_165_550_107_u64}), (400, 501), "phoneNumber must be a string."),
            (json!({"phoneNumber": "call me"}), (400, 7030), "phoneNumber is not a valid number."),
            (
                json!({"phoneNumber": "1", "country": "us"}),
                (400, 501),
                "country must be two upper-case letters of ISO 3166-1, such as US.",
            ),
            (
                json!({"phoneNumber": "+14165550107", "x": [1]}),
                (503, 500),
                "The service cannot take this now; nothing was done.",
            ),
        ] {
            let answer = post(&house, "demo", path, &body).await;
            assert_eq!((answer.refusal(), answer.message().as_str()), (refusal, message), "{path} {body}");
        }
    }
    let wrong = json!({"phoneNumber": "+14165550107", "unfinished": "keep"});
    assert_eq!(post(&house, "demo", ERASE, &wrong).await.message(), "unfinished must be refuse or cancel.");
    for path in
        ["/ges/v1/erasures?limit=0", "/ges/v1/erasures?cursor=x", "/ges/v1/erasures/x", "/ges/v1/audit?cursor=-1"]
    {
        assert_eq!(get(&house, "demo", path).await.refusal(), (400, 501), "{path}");
    }
    assert_eq!(get(&house, "demo", "/ges/v1/audit").await.refusal(), (503, 500));
}

#[tokio::test]
async fn pages_come_together_to_the_whole() {
    let office = Office::new().await;
    for number in 0..230 {
        let text = format!(r#"{{"n":{number}}}"#);
        book(&office, |booking| booking.user_data = Some(text)).await;
    }
    let (mut numbers, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let asked = json!({"phoneNumber": "416 555 0107", "cursor": cursor});
        let answer = post(&office.house, "demo", EXPORT, &asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = answer.json()["data"].clone();
        let callbacks = data["callbacks"].as_array().unwrap().clone();
        numbers.extend(callbacks.iter().map(|callback| callback["userData"]["n"].as_u64().unwrap()));
        pages += 1;
        let Some(next) = data["nextCursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    numbers.sort_unstable();
    assert_eq!((pages, numbers), (3, (0..230).collect::<Vec<_>>()));
    let wrong = json!({"phoneNumber": "+14165550107", "cursor": "x"});
    assert_eq!(post(&office.house, "demo", EXPORT, &wrong).await.refusal(), (400, 501));
    let audit = get(&office.house, "demo", "/ges/v1/audit?limit=1000").await.json();
    let subjects: Vec<_> =
        audit["data"]["entries"].as_array().unwrap().iter().map(|it| it["subject"].clone()).collect();
    let told = ["callbacks 100, callIns 0", "callbacks 100, callIns 0", "callbacks 30, callIns 0"];
    assert_eq!(subjects[subjects.len() - 3..], told, "every page is an act");
    assert!(!audit.to_string().contains("4165550107"));
}

#[tokio::test]
async fn an_erasure_is_refused_while_something_has_not_ended() {
    let office = Office::new().await;
    let number = json!({"phoneNumber": "+14165550107"});
    let cancel = json!({"phoneNumber": "+14165550107", "unfinished": "cancel"});
    book(&office, |_| {}).await;
    let answer = post(&office.house, "demo", ERASE, &number).await;
    assert_eq!(answer.refusal(), (409, 409));
    assert!(
        answer.message().starts_with("One callback of the number has not ended; nothing was erased."),
        "{answer:?}"
    );
    book(&office, |_| {}).await;
    assert!(post(&office.house, "demo", ERASE, &number).await.message().starts_with("2 callbacks"));
    for (refusal, expected) in [
        (CancelError::NotCancellable(State::Processing), (409, 409)),
        (CancelError::Unserved(Unserved::Busy), (503, 500)),
    ] {
        *office.house.fake.cancel.lock().unwrap() = Err(refusal.clone());
        assert_eq!(post(&office.house, "demo", ERASE, &cancel).await.refusal(), expected, "{refusal:?}");
    }
    let by = office.house.fake.cancelled.lock().unwrap().clone();
    assert!(by.iter().all(|by| *by == Canceller::Admin) && by.len() >= 2, "{by:?}");
    // Agent and customer talk: nobody is even asked.
    book(&office, |booking| booking.callback.state = State::Processing).await;
    *office.house.fake.cancel.lock().unwrap() = Ok(());
    let answer = post(&office.house, "demo", ERASE, &cancel).await;
    assert_eq!(answer.refusal(), (409, 409));
    assert!(answer.message().starts_with("Agent and customer talk"), "{answer:?}");
    assert_eq!(get(&office.house, "demo", "/ges/v1/erasures").await.json()["data"]["erasures"], json!([]));
}

#[tokio::test]
async fn receipts_and_acts_are_their_tenants() {
    let office = Office::new().await;
    let kept = book(&office, has_ended).await;
    let number = json!({"phoneNumber": "+14165550107"});
    let theirs = post(&office.house, "other", ERASE, &number).await.json()["data"].clone();
    assert_eq!(theirs["removed"]["callbacks"], 0);
    assert!(office.store.load(TenantId::from_name("demo"), kept).await.unwrap().is_some(), "it is another tenant's");
    let ours = post(&office.house, "demo", ERASE, &number).await.json()["data"].clone();
    assert_eq!(ours["removed"]["callbacks"], 1);
    assert_ne!(ours["fingerprint"], theirs["fingerprint"], "tenants cannot compare whom they know");
    for (tenant, own, foreign) in [("demo", &ours, &theirs), ("other", &theirs, &ours)] {
        let path = |receipt: &Value| format!("/ges/v1/erasures/{}", receipt["id"].as_str().unwrap());
        assert_eq!(get(&office.house, tenant, &path(own)).await.json()["data"], *own);
        assert_eq!(get(&office.house, tenant, &path(foreign)).await.refusal(), (404, 404));
        let list = get(&office.house, tenant, "/ges/v1/erasures").await.json();
        assert_eq!(list["data"]["erasures"], json!([own]));
        let acts = get(&office.house, tenant, "/ges/v1/audit").await.json();
        let subject = acts["data"]["entries"].as_array().unwrap().last().unwrap()["subject"].clone();
        assert_eq!(subject, own["id"]);
    }
    let again = post(&office.house, "demo", ERASE, &number).await.json()["data"].clone();
    let page = get(&office.house, "demo", "/ges/v1/erasures?limit=1").await.json();
    let next = page["data"]["nextCursor"].as_str().unwrap();
    let rest = get(&office.house, "demo", &format!("/ges/v1/erasures?limit=1&cursor={next}")).await.json();
    // Of the same millisecond, which of the two comes first is chance.
    let pages = [&page, &rest].map(|page| page["data"]["erasures"].as_array().unwrap().clone()).concat();
    assert!(pages.len() == 2 && [&ours, &again].iter().all(|receipt| pages.contains(receipt)), "{pages:?}");
    let first = get(&office.house, "demo", "/ges/v1/audit?limit=1").await.json()["data"].clone();
    assert_eq!((&first["entries"][0]["seq"], &first["nextCursor"]), (&json!(1), &json!(1)));
}
