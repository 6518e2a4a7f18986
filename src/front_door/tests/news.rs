//! Events and their delivery, as the door serves them.

use axum::body::Body;
use domain::callback::{PushTarget, Reason, State};
use domain::happening::{About, CallbackNews, Happening, HappeningId, Kind};
use domain::ids::{QueueName, TenantId};
use domain::notices::{Detail, Ending, Outcome, Sent};
use domain::numbers::PhoneNumber;
use domain::ports::{
    EndpointRecord, EndpointView, FeedFrom, FeedPage, NewsError, NoticeQuery, NoticeView, RecoverFrom, Recovered,
    Unserved,
};
use domain::push::{PushEvent, PushResult};
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::news::Asked;
use crate::front_door::testing::{Answer, House, KEY, READ_ONLY_KEY, at, id};

const EVENTS: &str = "/engagement/v3/events";

fn demo() -> TenantId {
    TenantId::from_name("demo")
}

fn happening(seq: u64, kind: Kind, about: About) -> Happening {
    Happening { tenant: demo(), seq, kind, at: at("2030-03-04T15:30:00.250Z"), about }
}

fn news() -> CallbackNews {
    CallbackNews {
        id: id(),
        queue: QueueName::new("support").unwrap(),
        version: 4,
        state: State::Completed,
        passed: vec![State::Routing, State::Processing],
        reason: Some(Reason::AGENT_CONNECTED),
        push: None,
        phone: Some(PhoneNumber::from_digits(14_165_550_101)),
    }
}

async fn read(house: &House, query: &str, key: &str) -> Answer {
    let request = Request::get(format!("{EVENTS}{query}")).header("x-api-key", key);
    house.send(request.body(Body::empty()).unwrap()).await
}

async fn ask(house: &House, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("ContactCenterID", "demo");
    let request = request.header("content-type", "application/json");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn events_are_shown_without_the_phone_number_unless_the_tenant_asks() {
    let house = House::new(Side::External);
    let push = CallbackNews {
        push: Some((PushEvent::CallbackUpcoming, PushResult::NotConfirmed)),
        reason: None,
        passed: Vec::new(),
        state: State::Queued,
        ..news()
    };
    let page = FeedPage {
        happenings: vec![
            happening(7, Kind::Completed, About::Callback(news())),
            happening(8, Kind::Push, About::Callback(push)),
            happening(9, Kind::EndpointDisabled, About::Endpoint { name: "crm".into() }),
        ],
        phone_number: false,
        next: 9,
        more: true,
        missed: false,
    };
    *house.fake.news.page.lock().unwrap() = Ok(page.clone());
    let answer = read(&house, "?after=6&limit=3&wait=0", KEY).await;
    assert_eq!(answer.status, 200);
    assert_eq!(house.fake.last_asked(), Some(Asked::Feed(FeedFrom::After(6), 3, std::time::Duration::ZERO)));
    let data = &answer.json()["data"];
    insta::assert_snapshot!(
        data["events"][0].to_string().replace(&HappeningId::new(demo(), 7).to_string(), "[id]"),
        @r#"{"data":{"callbackId":"0192f0a0-0000-7000-8000-000000000001","callbackReason":"AGENT_CONNECTED","callbackState":"COMPLETED","passedStates":["ROUTING","PROCESSING"],"serviceName":"support","version":4},"id":"[id]","timestamp":"2030-03-04T15:30:00.250Z","type":"callback.completed"}"#
    );
    insta::assert_snapshot!(
        data["events"][1]["data"].to_string(),
        @r#"{"callbackId":"0192f0a0-0000-7000-8000-000000000001","callbackState":"QUEUED","pushEvent":"CALLBACK_UPCOMING","pushResult":"PUSH_DELIVERY_NOT_CONFIRMED","serviceName":"support","version":4}"#
    );
    assert_eq!(data["events"][2]["data"].to_string(), r#"{"endpoint":"crm"}"#);
    assert_eq!((data["next"].as_str(), data["more"].as_bool(), data.get("missed")), (Some("9"), Some(true), None));
    *house.fake.news.page.lock().unwrap() = Ok(FeedPage { phone_number: true, missed: true, ..page });
    let data = &read(&house, "", KEY).await.json()["data"];
    assert_eq!(data["events"][0]["data"]["phoneNumber"], "+14165550101");
    assert_eq!(data["missed"], true);
}

#[tokio::test]
async fn the_feed_is_for_who_may_read_it() {
    let house = House::new(Side::External);
    assert_eq!(read(&house, "", READ_ONLY_KEY).await.refusal(), (403, 403));
    assert_eq!(read(&house, "", "none").await.refusal(), (401, 1103));
    assert_eq!(read(&house, "?limit=x", KEY).await.refusal(), (400, 501));
    *house.fake.news.done.lock().unwrap() = Err(NewsError::SwitchedOff);
    let answer = read(&house, "", KEY).await;
    assert_eq!(answer.refusal(), (403, 403));
    assert!(answer.message().contains("eventFeed.enabled"), "{}", answer.message());
    *house.fake.news.done.lock().unwrap() = Err(Unserved::Busy.into());
    assert_eq!(read(&house, "", KEY).await.refusal(), (503, 500));
    let other = house.send(Request::post(EVENTS).header("x-api-key", KEY).body(Body::empty()).unwrap()).await;
    assert_eq!(other.refusal(), (405, 405));
}

#[tokio::test]
async fn endpoints_and_deliveries_are_listed() {
    let house = House::new(Side::Internal);
    let since = at("2030-01-01T00:00Z");
    let record = |name: &str, failed: bool| EndpointRecord {
        name: name.into(),
        failing_since: Some(since),
        disabled_at: failed.then_some(since),
        owed: 2,
    };
    let url = Some("https://example.com/".to_owned());
    *house.fake.news.endpoints.lock().unwrap() = vec![
        EndpointView { name: "new".into(), url: url.clone(), disabled: false, record: None },
        EndpointView { name: "bad".into(), url: url.clone(), disabled: false, record: Some(record("bad", true)) },
        EndpointView { name: "off".into(), url, disabled: true, record: Some(record("off", false)) },
    ];
    let data = ask(&house, "GET", "/ges/v1/webhooks", "").await.json()["data"].to_string();
    insta::assert_snapshot!(data, @r#"{"endpoints":[{"name":"new","owed":0,"state":"on","url":"https://example.com/"},{"disabledAt":"2030-01-01T00:00:00.000Z","failingSince":"2030-01-01T00:00:00.000Z","name":"bad","owed":2,"state":"failed","url":"https://example.com/"},{"failingSince":"2030-01-01T00:00:00.000Z","name":"off","owed":2,"state":"off","url":"https://example.com/"}]}"#);
    let event = HappeningId::new(demo(), 7);
    *house.fake.news.notices.lock().unwrap() = vec![NoticeView {
        happening: event,
        kind: Kind::Completed,
        callback: Some(id()),
        endpoint: Some("crm".into()),
        target: 0,
        ending: Some(Ending::Delivered),
        attempts: 2,
        next_at: None,
        tries: vec![(since, Detail::NoAnswer), (since, Detail::Status(204))],
    }];
    let answer = ask(&house, "GET", &format!("/ges/v1/webhooks/c%20rm/deliveries?before={event}&limit=5"), "").await;
    insta::assert_snapshot!(
        answer.json()["data"]["deliveries"][0].to_string().replace(&event.to_string(), "[id]"),
        @r#"{"attempts":2,"callbackId":"0192f0a0-0000-7000-8000-000000000001","endpoint":"crm","eventId":"[id]","state":"delivered","tries":[{"at":"2030-01-01T00:00:00.000Z","result":"no answer"},{"at":"2030-01-01T00:00:00.000Z","result":"answered 204"}],"type":"callback.completed"}"#
    );
    let query = NoticeQuery::Endpoint { endpoint: "c rm".into(), before: Some(7) };
    assert_eq!(house.fake.last_asked(), Some(Asked::Notices(query, 5)));
    ask(&house, "GET", &format!("/ges/v1/webhooks/deliveries?event={event}"), "").await;
    assert_eq!(house.fake.last_asked(), Some(Asked::Notices(NoticeQuery::Happening(7), 200)));
    ask(&house, "GET", "/ges/v1/notifications", "").await;
    assert_eq!(house.fake.last_asked(), Some(Asked::Notices(NoticeQuery::Push { before: None }, 100)));
    let foreign = HappeningId::new(TenantId::from_name("other"), 7);
    let answer = ask(&house, "GET", &format!("/ges/v1/webhooks/deliveries?event={foreign}"), "").await;
    assert_eq!(answer.refusal(), (404, 404));
}

#[tokio::test]
async fn delivery_is_helped_by_hand() {
    let house = House::new(Side::Internal);
    let event = HappeningId::new(demo(), 7);
    let resend = format!(r#"{{"eventId":"{event}"}}"#);
    for (path, body, asked, data) in [
        ("resend", resend.as_str(), Asked::Resend("crm".into(), event), r#"{"messages":1}"#),
        ("recover", r#"{"after":"5"}"#, Asked::Recover("crm".into(), RecoverFrom::After(5)), r#"{"messages":3}"#),
        ("enable", "", Asked::Enable("crm".into()), r#"{"enabled":true}"#),
        (
            "example",
            r#"{"type":"callback.completed"}"#,
            Asked::Example("crm".into(), Kind::Completed),
            r#"{"delivered":true,"result":"answered 204"}"#,
        ),
    ] {
        let path = format!("/ges/v1/webhooks/crm/{path}");
        let answer = ask(&house, "POST", &path, body).await;
        assert_eq!((answer.status, answer.json()["data"].to_string().as_str()), (200, data), "{path}");
        assert_eq!(house.fake.last_asked(), Some(asked), "{path}");
        for (error, expected) in [
            (NewsError::NotFound, (404, 404)),
            (NewsError::Disabled, (409, 409)),
            (NewsError::Unserved(Unserved::Perhaps), (503, 500)),
        ] {
            *house.fake.news.done.lock().unwrap() = Err(error);
            assert_eq!(ask(&house, "POST", &path, body).await.refusal(), expected, "{path}");
        }
        *house.fake.news.done.lock().unwrap() = Ok(());
    }
    *house.fake.news.recovered.lock().unwrap() = Recovered { messages: 9, until: 77, complete: false };
    let answer = ask(&house, "POST", "/ges/v1/webhooks/crm/recover", r#"{"since":"2030-03-04T15:30:00Z"}"#).await;
    assert_eq!(answer.json()["data"].to_string(), r#"{"messages":9,"next":"77"}"#);
}

#[tokio::test]
async fn a_notification_is_published() {
    let house = House::new(Side::Internal);
    let body = r#"{"channel":"HTTP","target":"app:7","event":{"title":"Hello"},"validate_only":true}"#;
    let publish = "/ges/v1/notifications/publish";
    let sent = |outcome, status| Sent::new(outcome, Detail::Status(status));
    *house.fake.news.sent.lock().unwrap() =
        Sent { receipt: Some("projects/p/messages/1".into()), ..sent(Outcome::Done, 200) };
    let answer = ask(&house, "POST", publish, body).await;
    assert_eq!(answer.json()["data"].to_string(), r#"{"delivered":true,"messageId":"projects/p/messages/1"}"#);
    let target = PushTarget { channel: "HTTP".into(), target: "app:7".into() };
    assert_eq!(house.fake.last_asked(), Some(Asked::Publish(target, r#"{"title":"Hello"}"#.into(), true)));
    for (outcome, expected) in
        [(Outcome::Refused, (400, 501)), (Outcome::NotDone, (503, 500)), (Outcome::Perhaps, (500, 500))]
    {
        *house.fake.news.sent.lock().unwrap() = sent(outcome, 404);
        let answer = ask(&house, "POST", publish, body).await;
        assert_eq!(answer.refusal(), expected, "{outcome:?}");
        assert!(answer.message().contains("answered 404"), "{}", answer.message());
    }
}

#[tokio::test]
async fn nothing_of_delivery_is_reached_from_outside() {
    let house = House::new(Side::External);
    for path in ["/ges/v1/webhooks", "/ges/v1/webhooks/crm/deliveries", "/ges/v1/notifications"] {
        assert_eq!(house.get(path).await.refusal(), (404, 404), "{path}");
    }
    let house = House::new(Side::Internal);
    assert_eq!(house.get("/ges/v1/webhooks").await.refusal(), (400, 501), "the tenant has to be named");
}
