//! Every status that the contract has for an operation is answered by it, in the shape that the contract gives it.

use std::collections::BTreeSet;

use axum::body::Body;
use domain::availability::Availability;
use domain::callback::State;
use domain::limits::TenantLimits;
use domain::ports::{CancelError, SubmitError, Unserved};
use domain::slots::FreeSlot;
use domain::tenant::TenantDocument;
use domain::wait::QueueStatus;
use http::Request;
use serde_json::Value;

use super::view;
use crate::front_door::DoorLimits;
use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, ID, KEY, Mood, at, settings};

const CONTRACT: &str = include_str!("../../../tests/fixtures/engagement-v3.openapi.yaml");
const PREFIX: &str = "/engagement/v3";
const STATISTICS: &str = r#"{"data":{"statistics":[{"name":"EWT","objectId":"q","objectType":"Queue"}]}}"#;

/// An operation, by its path in the contract.
struct Operation {
    template: &'static str,
    /// What is asked so that it is answered 200.
    path: &'static str,
    /// Empty for a question that has none.
    body: &'static str,
    /// A path that breaks a rule; of an operation with a body, no JSON breaks it.
    broken: &'static str,
}

const fn posted(template: &'static str, body: &'static str) -> Operation {
    Operation { template, path: template, body, broken: template }
}

const fn asked(template: &'static str, path: &'static str, broken: &'static str) -> Operation {
    Operation { template, path, body: "", broken }
}

const BY_ID: &str = r#"{"id":"0192f0a0-0000-7000-8000-000000000001"}"#;

const OPERATIONS: [Operation; 9] = [
    posted("/callbacks/create", r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#),
    posted("/callbacks/cancel", BY_ID),
    posted("/callbacks/retrieve", BY_ID),
    asked(
        "/callbacks/availability/{service-name}",
        "/callbacks/availability/support",
        "/callbacks/availability/support?start=tomorrow",
    ),
    asked("/callbacks/open-for/{service-name}", "/callbacks/open-for/support", "/callbacks/open-for/support?start=x"),
    asked("/callbacks/queue-status/{queue-name}", "/callbacks/queue-status/support", "/callbacks/queue-status/%FF"),
    asked("/estimated-wait-time", "/estimated-wait-time?virtual-queues=a%2Cb", "/estimated-wait-time"),
    posted("/call-in/requests/create", r#"{"groupName":"mobile"}"#),
    posted("/statistics/operations/get-statistic-ex", STATISTICS),
];

impl Operation {
    fn head(&self, path: &str, key: &str) -> http::request::Builder {
        let method = if self.body.is_empty() { "GET" } else { "POST" };
        // Both clients type their questions too, which have no body.
        Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header("x-api-key", key)
            .header("content-type", "application/json")
    }

    fn request(&self) -> Request<Body> {
        self.head(self.path, KEY).body(Body::from(self.body)).unwrap()
    }

    /// Asks so that the answer has this status.
    async fn answered(&self, status: u16) -> Answer {
        let house = match status {
            429 => {
                let limits = TenantLimits { requests_per_second: 1, burst: Some(1) };
                House::of(TenantDocument { limits, ..TenantDocument::with_queues("demo", []) }, DoorLimits::default())
            }
            503 => House::with(Side::External, settings(DoorLimits { requests_in_flight: 0, ..DoorLimits::default() })),
            _ => House::new(Side::External),
        };
        ready(&house);
        let request = match status {
            400 => {
                let body = if self.body.is_empty() { "" } else { "[" };
                self.head(self.broken, KEY).body(Body::from(body)).unwrap()
            }
            401 => self.head(self.path, "unknown").body(Body::from(self.body)).unwrap(),
            403 => self.head(self.path, KEY).header("ccid", "demo").body(Body::from(self.body)).unwrap(),
            413 => self.head(self.path, KEY).header("content-length", 2 << 20).body(Body::empty()).unwrap(),
            415 => {
                let mut request = self.request();
                request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
                request
            }
            _ => self.request(),
        };
        match status {
            404 => {
                *house.fake.retrieve.lock().unwrap() = Err(Unserved::NotFound);
                *house.fake.cancel.lock().unwrap() = Err(CancelError::Unserved(Unserved::NotFound));
            }
            422 => *house.fake.submit.lock().unwrap() = Err(SubmitError::KeyReused),
            429 => assert_eq!(house.send(self.request()).await.status, 200, "{}: the first of two", self.template),
            500 => *house.fake.mood.lock().unwrap() = Mood::Panics,
            _ => {}
        }
        house.send(request).await
    }
}

/// Lets the fakes answer everything well.
fn ready(house: &House) {
    let start = at("2030-03-04T15:30:00.000Z");
    let slots = vec![FreeSlot { start, free: 2, total: 5 }];
    *house.fake.availability.lock().unwrap() = Ok(Availability { slot_minutes: 30, slots });
    *house.fake.retrieve.lock().unwrap() = Ok(view(State::Queued));
    *house.fake.waits.status.lock().unwrap() =
        Some(QueueStatus { wait_seconds: Some(95), offers_immediate: true, offers_scheduled: true });
    house.fake.waits.waits.lock().unwrap().insert("a", Ok(42));
}

/// The statuses that an operation of the contract can have, declared by the product or asked for beside.
fn statuses(operation: &Value) -> BTreeSet<u16> {
    let listed = ["x-documented-statuses", "x-proposed-statuses"].into_iter();
    let listed = listed.flat_map(|list| operation[list].as_array().unwrap()).map(|status| status.as_u64().unwrap());
    let described = operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap());
    listed.chain(described).map(|status| u16::try_from(status).unwrap()).collect()
}

/// Fails if the answer is not what the contract says of this status.
fn check(contract: &Value, operation: &Value, status: u16, answer: &Answer) {
    let mut response = &operation["responses"][status.to_string()];
    if response.is_null() {
        // Proposed, and as every refusal.
        response = &contract["components"]["responses"]["BadRequest"];
    }
    if let Some(reference) = response["$ref"].as_str() {
        response = contract.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let mut schema = response["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{status}: no schema to hold the answer against");
    schema["components"] = contract["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let body = answer.json();
    let faults: Vec<_> = validator.iter_errors(&body).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{status}: {faults:?} in {answer:?}");
}

#[tokio::test]
async fn every_operation_answers_every_status_of_the_contract() {
    let contract: Value = serde_saphyr::from_str(CONTRACT).unwrap();
    let templates: BTreeSet<&str> = contract["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(templates, OPERATIONS.iter().map(|operation| operation.template).collect());
    let mut answered = 0;
    for operation in &OPERATIONS {
        let method = if operation.body.is_empty() { "get" } else { "post" };
        let described = &contract["paths"][operation.template][method];
        for status in statuses(described) {
            let answer = operation.answered(status).await;
            assert_eq!(answer.status, status, "{}: {answer:?}", operation.template);
            assert_eq!(answer.headers["content-type"], "application/json");
            check(&contract, described, status, &answer);
            if status != 200 {
                answer.refusal();
            }
            assert_eq!(answer.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{answer:?}");
            answered += 1;
        }
    }
    assert_eq!(answered, 76, "statuses of the contract");
}

/// Answers that break the contract are told from those that keep it.
#[test]
fn a_shape_that_the_contract_does_not_have_is_noticed() {
    let contract: Value = serde_saphyr::from_str(CONTRACT).unwrap();
    let retrieve = &contract["paths"]["/callbacks/retrieve"]["post"];
    let answer = |text: &str| Answer { status: 200, headers: [].into(), text: text.to_owned() };
    let good = format!(
        r#"{{"status":{{"code":0,"message":"Successful","corrId":"{ID}"}},"data":{{"id":"{ID}","desiredTime":"2030-03-04T15:30:00.000Z","callbackState":"SCHEDULED","phoneNumber":"+1"}}}}"#
    );
    check(&contract, retrieve, 200, &answer(&good));
    for (from, to) in [
        ("\"code\":0", "\"code\":\"0\""),
        ("Successful", "OK"),
        ("15:30:00.000Z", "15:30:00Z"),
        ("SCHEDULED", "WAITING"),
        ("\"phoneNumber\":\"+1\"", "\"phone\":\"+1\""),
        (ID, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ] {
        let broken = answer(&good.replace(from, to));
        assert!(std::panic::catch_unwind(|| check(&contract, retrieve, 200, &broken)).is_err(), "{to}");
    }
}
