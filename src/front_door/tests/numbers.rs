//! Trying numbers on number rules.

use axum::body::Body;
use domain::ports::Unserved;
use http::Request;
use serde_json::json;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House};

const TEST: &str = "/ges/v1/number-rules/test";

async fn ask(house: &House, body: &serde_json::Value) -> Answer {
    let request = Request::post(TEST).header("ContactCenterID", "demo").header("content-type", "application/json");
    house.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn the_rule_that_decides_is_told() {
    let house = House::new(Side::Internal);
    for (asked, result, decided_by, message) in [
        (json!({"number": "+14165550107"}), "pass", "none", "The number passes; its country is CA."),
        (json!({"number": "14165550107"}), "pass", "none", "The number passes; its country is CA."),
        (json!({"number": "+80012345678"}), "pass", "none", "The number passes; its country cannot be determined."),
        (json!({"number": "030 123456", "queue": "european"}), "pass", "none", "The number passes; its country is DE."),
        (
            json!({"number": "+14165550107", "rule": "europe"}),
            "fail",
            "country",
            "The number is refused: its country, CA, is not permitted.",
        ),
        (
            json!({"number": "0151 23456799", "rule": "europe", "country": "DE"}),
            "fail",
            "pattern",
            "The number is refused: a pattern of DE blocks it.",
        ),
        (
            json!({"number": "020 7946 0018", "queue": "european", "country": "GB"}),
            "fail",
            "pattern",
            "The number is refused: a pattern of GB blocks it.",
        ),
        (
            json!({"number": "+7 200 000 0000", "queue": "european"}),
            "fail",
            "country-unknown",
            "The number is refused: its country cannot be determined.",
        ),
        (
            json!({"number": "0900 1 123456", "queue": "european"}),
            "warn",
            "premium",
            "The number is a premium-rate number, which is refused unless its queue takes them.",
        ),
        (
            json!({"number": "+1 900 555 0100", "queue": "lenient"}),
            "pass",
            "none",
            "The number passes; its country is US.",
        ),
        (
            json!({"number": "555", "queue": "support"}),
            "fail",
            "impossible",
            "The number is refused: it is not a possible phone number.",
        ),
        (
            json!({"number": "555", "queue": "lenient"}),
            "pass",
            "none",
            "The number passes; its country cannot be determined.",
        ),
        (json!({"number": "call"}), "fail", "not-a-number", "The number is refused: it is not a phone number."),
    ] {
        let answer = ask(&house, &asked).await;
        let data = &answer.json()["data"];
        let told = (data["result"].as_str(), data["decidedBy"].as_str(), data["message"].as_str());
        assert_eq!(
            (answer.status, told),
            (200, (Some(result), Some(decided_by), Some(message))),
            "{asked}: {answer:?}"
        );
        assert_eq!(data["allowed"], result == "pass", "{asked}");
    }
    insta::assert_snapshot!(
        ask(&house, &json!({"number": "0151 23456799", "queue": "european"})).await.json()["data"].to_string(),
        @r#"{"allowed":false,"country":"DE","decidedBy":"pattern","message":"The number is refused: a pattern of DE blocks it.","number":"+4915123456799","pattern":"15*99","premium":false,"result":"fail"}"#
    );
    let premium = ask(&house, &json!({"number": "+19005550100", "queue": "lenient"})).await;
    assert_eq!(premium.json()["data"]["premium"], true);
}

#[tokio::test]
async fn a_trial_that_cannot_be_made_is_told_why() {
    let house = House::new(Side::Internal);
    for (asked, refusal, message) in [
        (json!({}), (400, 501), "number is required."),
        (json!({"number": 14165550107_u64}), (400, 501), "number must be a string."),
        (json!({"number": "1", "queue": "a", "rule": "b"}), (400, 501), "queue and rule exclude each other."),
        (
            json!({"number": "1", "country": "us"}),
            (400, 501),
            "country must be two upper-case letters of ISO 3166-1, such as US.",
        ),
        (json!({"number": "1", "queue": "nobody"}), (400, 7040), "queue names no configured service."),
        (json!({"number": "1", "rule": "none"}), (400, 7040), "rule names no number rule."),
    ] {
        let answer = ask(&house, &asked).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), (refusal, message), "{asked}");
    }
    *house.fake.tenant.lock().unwrap() = Err(Unserved::Busy);
    assert_eq!(ask(&house, &json!({"number": "1"})).await.refusal(), (503, 500));
    let outside = House::new(Side::External).post(TEST, r#"{"number":"1"}"#).await;
    assert_eq!(outside.refusal(), (404, 404));
}
