//! Open-for and the status of hours.

use axum::body::Body;
use domain::ports::Unserved;
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, KEY, READ_ONLY_KEY};

const OPEN_FOR: &str = "/engagement/v3/callbacks/open-for";

async fn ask(house: &House, path_and_query: &str) -> Answer {
    let request = Request::get(format!("{OPEN_FOR}/{path_and_query}")).header("x-api-key", KEY);
    house.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn open_for_counts_the_seconds_until_closing() {
    let house = House::new(Side::External);
    // The clock of the house stands at Tuesday, 2030-01-01T01:00:00Z.
    for (asked, seconds) in [
        ("support", 1_209_600),
        ("help", 1_209_600),
        ("shut", 0),
        ("a%2Fb%20%C3%A9", 3_600),
        ("a%2fb%20%c3%a9?start=2030-01-01T01:59:59.001Z", 0),
        ("sales", 0),
        // A Monday, 10:30 in New York; the calendar by its own name, and by that of the queue.
        ("office?start=2030-03-04T15:30:00.000Z", 23_400),
        ("sales?start=2030-03-04T10:30:00.000&timezone=America%2FNew_York", 23_400),
        ("sales?start=2030-03-04T10:30:00-05:00&timezone=Asia/Tokyo", 23_400),
        ("sales?start=2030-03-04T22%3A00&_=1730000000000&start=2030-03-04T15:30:00Z", 0),
        ("sales?start=&timezone=", 0),
        ("sales?start=2030-03-04T21:59:58.999Z", 1),
        // At nine of the Monday after clocks changed.
        ("sales?start=2030-03-11T13:00Z", 28_800),
    ] {
        let answer = ask(&house, asked).await;
        assert_eq!((answer.status, answer.json()["data"]["openFor"].as_u64()), (200, Some(seconds)), "{asked}");
    }
    insta::assert_snapshot!(
        ask(&house, "shut").await.redacted(),
        @r#"{"status":{"code":0,"message":"Successful","corrId":"[uuid]"},"data":{"openFor":0}}"#
    );
}

#[tokio::test]
async fn open_for_names_what_it_cannot_read() {
    let house = House::new(Side::External);
    for (asked, code, message) in [
        ("nobody", 7040, "The path names no configured service and no calendar."),
        ("Support", 7040, "The path names no configured service and no calendar."),
        ("%FF", 501, "service-name must be percent-encoded UTF-8."),
        ("%00", 501, "service-name must have 1 to 255 characters and no U+0000."),
        ("sales?start=now", 501, "start must be an ISO 8601 date and time such as 2030-03-04T15:30:00.000Z."),
        ("sales?timezone=EST5", 501, "timezone must be a zone of the tz database, such as America/Toronto."),
    ] {
        let answer = ask(&house, asked).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, code), message), "{asked}");
    }
    for path in ["a/b", ""] {
        assert_eq!(ask(&house, path).await.refusal(), (404, 404), "a separator that is not encoded is one: {path}");
    }
    *house.fake.tenant.lock().unwrap() = Err(Unserved::Busy);
    assert_eq!(ask(&house, "support").await.refusal(), (503, 500));
    for (key, refusal) in [("wrong", (401, 1103)), (READ_ONLY_KEY, (403, 403))] {
        let request = Request::get(format!("{OPEN_FOR}/support")).header("x-api-key", key);
        assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.refusal(), refusal);
    }
}

#[tokio::test]
async fn the_status_of_hours_is_told_in_parts() {
    let house = House::new(Side::Internal);
    let ask = async |path_and_query: &str, tenant: &str| {
        let request = Request::get(format!("/ges/v1/hours/{path_and_query}")).header("ContactCenterID", tenant);
        house.send(request.body(Body::empty()).unwrap()).await
    };
    for (asked, expected) in [
        ("help/status", r#"{"open":true,"state":"open-always","timezone":"UTC"}"#),
        (
            "a%2Fb%20%C3%A9/status",
            r#"{"closesAt":"2030-01-01T02:00:00.000Z","open":true,"state":"open-until","timezone":"UTC"}"#,
        ),
        (
            "office/status?at=2030-03-04T17:00&timezone=America/New_York",
            r#"{"open":false,"opensAt":"2030-03-11T13:00:00.000Z","state":"closed-until","timezone":"America/New_York"}"#,
        ),
        ("shut/status", r#"{"open":false,"state":"closed-unknown","timezone":"UTC"}"#),
    ] {
        let answer = ask(asked, "demo").await;
        assert_eq!((answer.status, answer.json()["data"].to_string().as_str()), (200, expected), "{asked}");
    }
    assert_eq!(ask("nobody/status", "demo").await.refusal(), (400, 7040));
    assert_eq!(ask("shut/status?at=x", "demo").await.refusal(), (400, 501));
    assert_eq!(ask("shut/status", "nobody").await.refusal(), (404, 404));
    assert_eq!(House::new(Side::External).get("/ges/v1/hours/shut/status").await.refusal(), (404, 404));
}
