//! Expected waits and the status of queues, as the contract has them.

use domain::wait::{Mode, NoEstimate, QueueStatus};

use crate::front_door::router::Side;
use crate::front_door::testing::{House, READ_ONLY_KEY};

const WAIT: &str = "/engagement/v3/estimated-wait-time";
const STATUS: &str = "/engagement/v3/callbacks/queue-status";

#[tokio::test]
async fn waits_come_in_the_order_of_the_request() {
    let house = House::new(Side::External);
    house.fake.waits.waits.lock().unwrap().extend([
        ("support", Ok(42)),
        ("sales", Err(NoEstimate::NoAgents)),
        ("fresh", Err(NoEstimate::NoTraffic)),
    ]);
    let answer = house.ask(&format!("{WAIT}?virtual-queues=support%2Csales,fresh,%20nobody,support&mode=mode1")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["status"]["code"], 0);
    let expected = serde_json::json!([
        {"virtualQueue": "support", "estimatedWaitTime": 42, "message": "", "resultCode": 0},
        {"virtualQueue": "sales", "estimatedWaitTime": -1,
         "message": "No agent is logged in for this queue", "resultCode": -2},
        {"virtualQueue": "fresh", "estimatedWaitTime": -1,
         "message": "There has been no interaction in this queue yet", "resultCode": -1},
        {"virtualQueue": "nobody", "estimatedWaitTime": -1, "message": "No such queue", "resultCode": -1},
        {"virtualQueue": "support", "estimatedWaitTime": 42, "message": "", "resultCode": 0},
    ]);
    assert_eq!(json["data"], expected);
    house.ask(&format!("{WAIT}?virtual-queues=a&include-calls-on-hold=true")).await;
    assert_eq!(*house.fake.waits.asked.lock().unwrap(), [(Mode::Throughput, false), (Mode::Agents, true)]);
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let house = House::new(Side::External);
    for query in ["", "?virtual-queues=", "?virtual-queues=a&mode=mode9", "?virtual-queues=a&include-calls-on-hold=2"] {
        assert_eq!(house.ask(&format!("{WAIT}{query}")).await.refusal(), (400, 501), "{query}");
    }
    assert_eq!(house.get(&format!("{WAIT}?virtual-queues=a")).await.refusal(), (401, 1103));
    for path in [format!("{WAIT}?virtual-queues=a"), format!("{STATUS}/support")] {
        let request = http::Request::get(path).header("x-api-key", READ_ONLY_KEY).body(axum::body::Body::empty());
        assert_eq!(house.send(request.unwrap()).await.refusal(), (403, 403));
    }
    assert_eq!(house.post(WAIT, "{}").await.refusal(), (405, 405));
}

#[tokio::test]
async fn a_queue_tells_what_it_offers() {
    let house = House::new(Side::External);
    for (wait_seconds, offers_immediate, ewt) in [(Some(95), true, 95), (None, true, -1), (None, false, -1)] {
        let status = QueueStatus { wait_seconds, offers_immediate, offers_scheduled: true };
        *house.fake.waits.status.lock().unwrap() = Some(status);
        let answer = house.ask(&format!("{STATUS}/support")).await;
        let expected = serde_json::json!({
            "ewt": ewt, "offerImmediateCallback": offers_immediate, "offerScheduledCallback": true,
        });
        assert_eq!((answer.status, &answer.json()["data"]), (200, &expected));
    }
}

#[tokio::test]
async fn names_of_queues_are_decoded_after_routing() {
    let house = House::new(Side::External);
    for name in ["a%2Fb", "B%C3%BCro%20S%C3%BCd", "a%252Fb"] {
        assert_eq!(house.ask(&format!("{STATUS}/{name}")).await.refusal(), (400, 7040), "{name}");
    }
    assert_eq!(*house.fake.waits.named.lock().unwrap(), ["a/b", "Büro Süd", "a%2Fb"]);
    for name in ["%FF", "%20", "%00", &"x".repeat(256)] {
        assert_eq!(house.ask(&format!("{STATUS}/{name}")).await.refusal(), (400, 501), "{name}");
    }
}
