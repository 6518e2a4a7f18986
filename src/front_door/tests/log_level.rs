//! Another log level for a while.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House};

const PATH: &str = "/ges/v1/log-level";

async fn ask(house: &House, method: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(PATH).header("content-type", "application/json");
    house.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

fn level(answer: &Answer) -> Value {
    answer.json()["data"].clone()
}

#[tokio::test(start_paused = true)]
async fn it_is_told_set_and_ended() {
    let house = House::new(Side::Internal);
    let usual = json!({"node": "node-1", "level": "INFO", "usual": "INFO", "until": null});
    assert_eq!(level(&ask(&house, "GET", "").await), usual);
    let set = ask(&house, "PUT", r#"{"level":"debug","forSeconds":600}"#).await;
    let raised = json!({"node": "node-1", "level": "DEBUG", "usual": "INFO", "until": "2030-01-01T01:10:00.000Z"});
    assert_eq!((set.status, level(&set)), (200, raised.clone()));
    assert_eq!(level(&ask(&house, "GET", "").await), raised);
    assert_eq!(level(&ask(&house, "DELETE", "").await), usual);
    ask(&house, "PUT", r#"{"level":"FATAL","forSeconds":1}"#).await;
    assert_eq!(level(&ask(&house, "GET", "").await)["level"], "ERROR");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(level(&ask(&house, "GET", "").await), usual);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let house = House::new(Side::Internal);
    for (body, message) in [
        (r#"{"forSeconds":1}"#, "level is required."),
        (r#"{"level":"LOUD","forSeconds":1}"#, "level must be ERROR, WARN, INFO, DEBUG or TRACE."),
        (r#"{"level":"DEBUG"}"#, "forSeconds is required."),
        (r#"{"level":"DEBUG","forSeconds":0}"#, "forSeconds must be a whole number between 1 and 3600."),
        (r#"{"level":"DEBUG","forSeconds":3601}"#, "forSeconds must be a whole number between 1 and 3600."),
    ] {
        let answer = ask(&house, "PUT", body).await;
        assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{body}");
    }
    assert_eq!(House::new(Side::External).get(PATH).await.refusal(), (404, 404));
}
