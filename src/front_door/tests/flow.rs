//! What a flow engine asks about callbacks.

use axum::body::Body;
use domain::ports::{ActiveCallbacks, Unserved, UserDataError, Watermark, WatermarkError};
use domain::user_data::AttachError;
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, ID};

fn one() -> String {
    format!("/ges/v1/callbacks/{ID}")
}

fn user_data() -> String {
    format!("/ges/v1/callbacks/{ID}/user-data")
}

async fn ask(house: &House, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("ContactCenterID", "demo");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_callback_comes_with_everything_but_the_devices() {
    let house = House::new(Side::Internal);
    let answer = ask(&house, "GET", &one(), "").await;
    insta::assert_snapshot!(
        answer.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"id":"0192f0a0-0000-7000-8000-000000000001","serviceName":"support","phoneNumber":"+14165550101","desiredTime":"2030-03-04T15:30:00.000Z","expiresAt":"2030-03-05T15:30:00.000Z","callbackState":"QUEUED","attempt":0,"options":{"language":"de-DE"}}}"#
    );
    *house.fake.call_in.user_data.lock().unwrap() = Some(r#"{"a":[1.50,"x"]}"#.into());
    let answer = ask(&house, "GET", &one(), "").await;
    assert!(answer.text.ends_with(r#""userData":{"a":[1.50,"x"]}}}"#), "to the byte as it is kept: {answer:?}");
    *house.fake.call_in.user_data.lock().unwrap() = Some("{damaged".into());
    assert_eq!(ask(&house, "GET", &one(), "").await.refusal(), (500, 500));
    let other = ID.replace('1', "2");
    assert_eq!(ask(&house, "GET", &format!("/ges/v1/callbacks/{other}"), "").await.refusal(), (404, 404));
    assert_eq!(ask(&house, "GET", "/ges/v1/callbacks/7", "").await.refusal(), (400, 501));
    // The list of parked ones keeps its path.
    assert_eq!(house.get("/ges/v1/callbacks/parked").await.status, 200);
}

#[tokio::test]
async fn data_is_attached_as_it_was_sent() {
    let house = House::new(Side::Internal);
    for (body, expected) in [
        (r#"{"userData":{"a":1,"b":""}}"#, r#"{"a":1,"b":""}"#),
        (r#"{"userData":"{\"a\": 1}"}"#, r#"{"a":1}"#),
        (r#"{"userData":{"no-name":1}}"#, "{}"),
        (r#"{"userData":{}}"#, "{}"),
    ] {
        assert_eq!(ask(&house, "POST", &user_data(), body).await.json()["data"]["id"], ID, "{body}");
        assert_eq!(house.fake.call_in.attached.lock().unwrap().pop().unwrap(), expected);
    }
    for (body, message) in [
        ("{}", "userData is required."),
        (r#"{"userData":null}"#, "userData is required."),
        (r#"{"userData":7}"#, "userData must be a JSON object, or the JSON text of one."),
        (r#"{"userData":{"a":"\u0000"}}"#, "userData must not contain the character U+0000."),
    ] {
        let answer = ask(&house, "POST", &user_data(), body).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    for (error, expected) in [
        (UserDataError::Attach(AttachError::TooLong), (413, 413)),
        (UserDataError::Attach(AttachError::Malformed), (500, 500)),
        (UserDataError::Unserved(Unserved::NotFound), (404, 404)),
        (UserDataError::Unserved(Unserved::Busy), (503, 500)),
    ] {
        *house.fake.call_in.attach.lock().unwrap() = Err(error.clone());
        assert_eq!(ask(&house, "POST", &user_data(), r#"{"userData":{}}"#).await.refusal(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_watermark_is_the_sum_of_its_kinds() {
    let house = House::new(Side::Internal);
    let path = |name: &str| format!("/ges/v1/queues/{name}/watermark");
    let answer = ask(&house, "GET", &path("supp%6Frt"), "").await;
    insta::assert_snapshot!(
        answer.json()["data"].to_string(),
        @r#"{"active":4,"queue":"support","routing":1,"waiting":3}"#
    );
    for name in ["other", "%FF", "a%2Fb"] {
        assert_eq!(ask(&house, "GET", &path(name), "").await.refusal(), (404, 404), "{name}");
    }
    *house.fake.call_in.watermark.lock().unwrap() = Err(WatermarkError::Unserved(Unserved::Busy));
    assert_eq!(ask(&house, "GET", &path("support"), "").await.refusal(), (503, 500));
    let queue = domain::ids::QueueName::new("support").unwrap();
    *house.fake.call_in.watermark.lock().unwrap() = Ok(Watermark { queue, active: ActiveCallbacks::default() });
    assert_eq!(ask(&house, "GET", &path("support"), "").await.json()["data"]["active"], 0);
}

#[tokio::test]
async fn nothing_of_it_is_reached_from_outside() {
    let house = House::new(Side::External);
    for path in [one(), "/ges/v1/queues/support/watermark".to_owned()] {
        assert_eq!(house.get(&path).await.refusal(), (404, 404), "{path}");
    }
    assert_eq!(house.post(&user_data(), "{}").await.refusal(), (404, 404));
}
