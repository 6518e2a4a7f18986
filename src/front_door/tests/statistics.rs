//! Statistics: what is passed on, how young an answer has to be, and which refusals there are.

use std::time::Duration;

use domain::ports::StatisticsError;

use crate::front_door::router::Side;
use crate::front_door::testing::{House, READ_ONLY_KEY, post};

const PATH: &str = "/engagement/v3/statistics/operations/get-statistic-ex";
const BODY: &str = r#"{"data":{"statistics":[{"objectType":"Queue","objectId":"q","name":"EWT"}]}}"#;

#[tokio::test]
async fn the_answer_is_wrapped_unchanged() {
    let house = House::new(Side::External);
    let upstream = r#"{"status":{"code":0},"data":{"statistics":[{"value":1.50,"x":"é"}]},"path":"/p"}"#;
    *house.fake.statistics.lock().unwrap() = Ok(upstream.into());
    let request = post(PATH).header("cache-control", "max-age=40").body(BODY.into()).unwrap();
    let answer = house.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.redacted(),
        format!(r#"{{"status":{{"code":0,"message":"Successful","corrId":"[uuid]"}},"data":{upstream}}}"#)
    );
    let asked = house.fake.asked_statistics.lock().unwrap().pop().unwrap();
    let compact = r#"{"data":{"statistics":[{"name":"EWT","objectId":"q","objectType":"Queue"}]}}"#;
    assert_eq!(asked, (compact.to_owned(), Duration::from_secs(40)));
    house.post(PATH, BODY).await;
    assert_eq!(house.fake.asked_statistics.lock().unwrap().pop().unwrap().1, Duration::from_secs(15));
}

#[tokio::test]
async fn a_missing_or_odd_body_is_a_400_and_nobody_is_asked() {
    let house = House::new(Side::External);
    for body in ["", "[]", "{}", r#"{"data":{"statistics":[{}]}}"#, "{"] {
        assert_eq!(house.post(PATH, body).await.refusal(), (400, 501), "{body}");
    }
    assert!(house.fake.asked_statistics.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_refusal_has_its_status_and_code() {
    let house = House::new(Side::External);
    for (error, expected) in [
        (StatisticsError::NoCredentials, (401, 401)),
        (StatisticsError::CredentialsRefused, (401, 401)),
        (StatisticsError::RequestRefused, (400, 501)),
        (StatisticsError::NotConfigured, (500, 500)),
        (StatisticsError::Unavailable("down".into()), (500, 500)),
    ] {
        *house.fake.statistics.lock().unwrap() = Err(error.clone());
        let answer = house.post(PATH, BODY).await;
        assert_eq!(answer.refusal(), expected, "{error:?}");
        assert!(!answer.text.contains("down"), "what went wrong behind it is for the log");
    }
    let request = post(PATH).header("x-api-key", "wrong");
    let request = request.body(BODY.into()).unwrap();
    // The first of two keys counts, and it is good: replace it.
    let (mut parts, body) = request.into_parts();
    parts.headers.insert("x-api-key", "wrong".parse().unwrap());
    assert_eq!(house.send(http::Request::from_parts(parts.clone(), body)).await.refusal(), (401, 1103));
    parts.headers.insert("x-api-key", READ_ONLY_KEY.parse().unwrap());
    assert_eq!(house.send(http::Request::from_parts(parts, BODY.into())).await.refusal(), (403, 403));
}
