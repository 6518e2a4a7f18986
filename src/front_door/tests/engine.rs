//! What a routing engine reports in bulk.

use axum::body::Body;
use domain::callback::{Reply, SignalEvent, StepError};
use domain::health::DependencyStatus;
use domain::ids::TenantId;
use domain::ports::{NotReported, SignalError, Unserved};
use domain::region::{Node, NodeKind, NodeReport, Region, Role};
use domain::wait::QueueReport;
use http::Request;
use serde_json::json;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, ID, at, id};

async fn post(house: &House, path: &str, body: &serde_json::Value) -> Answer {
    let request = Request::post(path).header("ContactCenterID", "demo");
    house.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn batch(house: &House, signals: serde_json::Value) -> Answer {
    post(house, "/ges/v1/callbacks/signals", &json!({ "signals": signals })).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let results = answer.json()["data"]["results"].as_array().unwrap().clone();
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn each_signal_of_a_batch_is_answered_for_itself() {
    let house = House::new(Side::Internal);
    let answer = batch(
        &house,
        json!([
            {"callbackId": ID, "attempt": 1, "seq": 1, "event": "accepted", "sessionId": "s"},
            {"callbackId": "7", "attempt": 1, "seq": 1, "event": "queued"},
            {"attempt": 1, "seq": 1, "event": "queued"},
            {"callbackId": ID, "attempt": 1, "seq": 2, "event": "sleeping"},
            {"callbackId": ID, "attempt": 1, "seq": 2, "event": "queued", "sessionId": "s"},
        ]),
    )
    .await;
    assert_eq!((answer.status, statuses(&answer)), (200, vec![200, 400, 400, 400, 200]));
    assert_eq!(answer.json()["data"]["results"][2]["message"], "callbackId is required.");
    let taken: Vec<_> =
        house.fake.signals.lock().unwrap().iter().map(|(_, who, it)| (*who, it.event.clone())).collect();
    assert_eq!(taken, [(id(), SignalEvent::Accepted), (id(), SignalEvent::Queued)], "in their order");
    for (error, status) in [
        (SignalError::Refused(StepError::OtherSession), 409),
        (SignalError::Unserved(Unserved::NotFound), 404),
        (SignalError::Unserved(Unserved::Perhaps), 503),
    ] {
        *house.fake.signal.lock().unwrap() = Err(error);
        let answer = batch(&house, json!([{"callbackId": ID, "attempt": 1, "seq": 1, "event": "alive"}])).await;
        assert_eq!(statuses(&answer), [status]);
    }
    *house.fake.signal.lock().unwrap() = Ok(Reply::Repeated);
    let answer = batch(&house, json!([{"callbackId": ID, "attempt": 1, "seq": 1, "event": "alive"}])).await;
    assert_eq!(answer.json()["data"]["results"][0]["result"], "repeated");
}

#[tokio::test]
async fn nothing_overtakes_a_signal_that_was_not_taken() {
    let house = House::new(Side::Internal);
    *house.fake.signal.lock().unwrap() = Err(SignalError::Unserved(Unserved::Busy));
    let other = "0192f0a0-0000-7000-8000-000000000002";
    let queued = |who: &str, seq: u32| json!({"callbackId": who, "attempt": 1, "seq": seq, "event": "queued"});
    let answer = batch(&house, json!([queued(ID, 1), queued(ID, 2), queued(other, 1), queued(ID, 3)])).await;
    assert_eq!(statuses(&answer), [503, 503, 503, 503]);
    assert_eq!(house.fake.signals.lock().unwrap().len(), 2, "one of each callback was tried");
}

#[tokio::test]
async fn a_batch_has_bounds_and_a_form() {
    let house = House::new(Side::Internal);
    let alive = json!({"callbackId": ID, "attempt": 1, "seq": 1, "event": "alive"});
    assert_eq!(statuses(&batch(&house, json!(vec![alive.clone(); 500])).await).len(), 500);
    assert_eq!(batch(&house, json!(vec![alive; 501])).await.refusal(), (400, 501));
    assert_eq!(statuses(&batch(&house, json!([])).await), Vec::<u64>::new());
    for body in [json!({}), json!({"signals": 7}), json!({"signals": [7]}), json!([])] {
        assert_eq!(post(&house, "/ges/v1/callbacks/signals", &body).await.refusal(), (400, 501), "{body}");
    }
}

#[tokio::test]
async fn queues_are_reported_about() {
    const PATH: &str = "/ges/v1/queues/reports";
    let house = House::new(Side::Internal);
    let whole = json!({"queues": [
        {"queue": "support", "agents": 5, "freeAgents": 1, "waiting": 2, "onHold": 1, "served": 32,
         "servedOverSeconds": 64.5, "meanBusySeconds": 20, "expectedWaitSeconds": 9},
        {"queue": "sales"},
    ]});
    let answer = post(&house, PATH, &whole).await;
    assert_eq!((answer.status, answer.json()["data"]["taken"].as_u64()), (200, Some(2)));
    let taken = house.fake.reports.taken.lock().unwrap().clone();
    let names: Vec<_> = taken.iter().map(|(tenant, queue, _)| (*tenant, queue.as_str().to_owned())).collect();
    let demo = TenantId::from_name("demo");
    assert_eq!(names, [(demo, "support".to_owned()), (demo, "sales".to_owned())]);
    let expected = QueueReport {
        agents: Some(5),
        free_agents: 1,
        waiting: 2,
        on_hold: 1,
        served: 32,
        served_over_seconds: 64.5,
        mean_busy_seconds: Some(20.0),
        expected_wait_seconds: Some(9),
    };
    assert_eq!(taken[0].2, expected);
    assert_eq!((taken[1].2.agents, taken[1].2.expected_wait_seconds), (None, None));
    for wrong in [
        json!({}),
        json!({"queues": [{}]}),
        json!({"queues": [{"queue": "q", "served": 33}]}),
        json!({"queues": [{"queue": "q", "agents": -1}]}),
        json!({"queues": [{"queue": "q", "meanBusySeconds": 1e9}]}),
    ] {
        assert_eq!(post(&house, PATH, &wrong).await.refusal(), (400, 501), "{wrong}");
    }
    for (why, refusal) in [(NotReported::NotWanted, (409, 409)), (NotReported::Full, (503, 500))] {
        *house.fake.reports.refuses.lock().unwrap() = Some(why);
        assert_eq!(post(&house, PATH, &json!({"queues": [{"queue": "q"}]})).await.refusal(), refusal);
    }
}

#[tokio::test]
async fn the_nodes_of_routing_are_told_with_their_last_answer() {
    let house = House::new(Side::Internal);
    let path = "/ges/v1/routing/nodes";
    assert_eq!(house.get(path).await.json()["data"]["nodes"], json!([]));
    let node = Node { name: "eu-1".into(), kind: NodeKind::Ors, region: Region::new("eu"), role: Role::Primary };
    let report = NodeReport {
        node,
        status: DependencyStatus::Down,
        since: at("2030-01-01T00:00Z"),
        last_response: Some(at("2029-12-31T23:59Z")),
        reason: Some("no answer in time".into()),
    };
    house.fake.nodes.0.lock().unwrap().push(report);
    let told = json!({
        "name": "eu-1", "type": "ORS", "region": "eu", "role": "primary", "status": "DOWN",
        "since": "2030-01-01T00:00:00.000Z", "lastResponse": "2029-12-31T23:59:00.000Z", "reason": "no answer in time",
    });
    assert_eq!(house.get(path).await.json()["data"]["nodes"], json!([told]));
    assert_eq!(house.get("/ges/v1/health/detail").await.json()["routingNodes"], json!([told]));
    let outside = House::new(Side::External);
    assert_eq!(outside.get(path).await.status, 404);
}
