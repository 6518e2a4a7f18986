//! Tenants as code over HTTP, with a real store behind the door.

mod conversion;
mod credentials;

use axum::body::Body;
use domain::ids::TenantId;
use domain::ports::TenantStore as _;
use http::Request;
use serde_json::json;
use tracing::instrument::WithSubscriber as _;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, CREATE, House, KEY, Office, settings};
use crate::front_door::tests::Log;
use crate::front_door::{DoorLimits, DoorSettings, InternalToken};

const TENANT: &str = "/ges/v1/tenant";

/// One request about a tenant.
struct Ask<'a> {
    office: &'a Office,
    request: http::request::Builder,
    body: Body,
}

impl Office {
    fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path).header("ContactCenterID", "demo");
        Ask { office: self, request, body: Body::empty() }
    }
}

impl Ask<'_> {
    fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Of another tenant.
    fn tenant(mut self, name: &str) -> Self {
        self.request.headers_mut().unwrap().insert("ContactCenterID", name.parse().unwrap());
        self
    }

    fn matching(self, tag: &str) -> Self {
        self.header("If-Match", tag)
    }

    fn body(self, body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    async fn send(self) -> Answer {
        self.office.house.send(self.request.body(self.body).unwrap()).await
    }
}

fn mistakes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let list = json["data"]["mistakes"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    list.iter().map(|it| format!("{}: {}", it["path"].as_str().unwrap(), it["rule"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_document_is_read_changed_under_its_revision_and_read_again() {
    let office = Office::new().await;
    let answer = office.ask("GET", TENANT).send().await;
    assert_eq!((answer.status, answer.headers["etag"].as_str()), (200, "\"1\""));
    assert_eq!(answer.json(), json!({"format": 1, "tenant": "demo"}));

    let document = json!({"tenant": "demo", "queues": {"support": {"_ttl": "3600"}}});
    let put = || office.ask("PUT", TENANT).json(&document);
    assert_eq!(put().send().await.refusal(), (428, 428));
    for tag in ["\"2\"", "1", "W/\"1\"", "\"x\"", ""] {
        assert_eq!(put().matching(tag).send().await.refusal(), (412, 412), "{tag}");
    }
    let answer = put().matching("\"9\", \"1\"").send().await;
    assert_eq!((answer.status, answer.headers["etag"].as_str()), (200, "\"2\""), "{answer:?}");
    let data = &answer.json()["data"];
    assert_eq!((data["revision"].as_u64(), data["changes"][0]["path"].as_str()), (Some(2), Some("queues.support")));
    assert_eq!(put().matching("\"1\"").send().await.refusal(), (412, 412));
    let read = office.ask("GET", TENANT).send().await;
    assert_eq!(read.json()["queues"], json!({"support": {"ttlSeconds": 3600}}));
    // What was read is what may be put.
    let answer = office.ask("PUT", TENANT).json(&read.json()).matching("\"2\"").send().await;
    assert_eq!((answer.status, answer.json()["data"]["changes"].as_array().map(Vec::len)), (200, Some(0)));

    let history = office.ask("GET", "/ges/v1/tenant/revisions?limit=1").send().await.json();
    let entries = history["data"]["revisions"].as_array().unwrap();
    assert_eq!(
        (entries.len(), entries[0]["revision"].as_u64(), entries[0]["actor"].as_str()),
        (1, Some(2), Some("api"))
    );
    let old = office.ask("GET", "/ges/v1/tenant/revisions/1").send().await;
    assert_eq!(old.json(), json!({"format": 1, "tenant": "demo"}));
    assert_eq!(office.ask("GET", "/ges/v1/tenant/revisions/9").send().await.refusal(), (404, 404));
    assert_eq!(office.ask("GET", "/ges/v1/tenant/revisions/x").send().await.refusal(), (400, 501));
    assert_eq!(office.ask("GET", "/ges/v1/tenant/revisions?limit=0").send().await.refusal(), (400, 501));
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_and_nothing_is_applied() {
    let office = Office::new().await;
    let wrong = json!({
        "tenant": "demo", "limts": {}, "keys": {"web": {"key": {"env": "HOME"}}},
        "queues": {"support": {"slotMinutes": 7, "hours": "nowhere"}},
    });
    for (method, path) in [("POST", "/ges/v1/tenant/validate"), ("PUT", TENANT)] {
        let answer = office.ask(method, path).json(&wrong).matching("*").send().await;
        assert_eq!(answer.refusal(), (400, 501));
        assert_eq!(answer.message(), "There are 3 mistakes, see mistakes; nothing was changed.");
        let mut told = mistakes(&answer);
        told.sort();
        assert_eq!(
            told,
            [
                "limts: is not a known key; did you mean limits?",
                "queues.support.hours: has to be a name of businessHours",
                "queues.support.slotMinutes: a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not 7",
            ]
        );
    }
    let key = json!({"tenant": "demo", "keys": {"web": {"key": {"env": "HOME"}}}});
    let answer = office.ask("PUT", TENANT).json(&key).matching("*").send().await;
    assert!(mistakes(&answer)[0].starts_with("keys.web.key: has to be sealed"), "{answer:?}");
    let problem = office.ask("PUT", TENANT).json(&wrong).matching("*").header("accept", "application/problem+json");
    assert_eq!(problem.send().await.json()["mistakes"].as_array().map(Vec::len), Some(3));
    for body in ["", "{", "[1", "nonsense"] {
        assert_eq!(office.ask("PUT", TENANT).body(body).matching("*").send().await.refusal(), (400, 501), "{body}");
    }
    assert_eq!(office.ask("GET", TENANT).send().await.headers["etag"], "\"1\"");
    let good = office.ask("POST", "/ges/v1/tenant/validate").json(&json!({"tenant": "demo", "limits": {"burst": 5}}));
    let answer = good.send().await.json();
    insta::assert_snapshot!(answer["data"].to_string(), @r#"{"changes":[{"after":"5","path":"limits.burst"}],"remarks":[]}"#);
    assert_eq!(office.ask("GET", TENANT).send().await.headers["etag"], "\"1\"");
}

#[tokio::test]
async fn a_document_is_its_tenants_and_a_new_tenant_is_made_on_purpose() {
    let office = Office::new().await;
    let named = |name: &str| json!({"tenant": name});
    let answer = office.ask("PUT", TENANT).json(&named("other")).matching("*").send().await;
    assert_eq!(mistakes(&answer), ["tenant: has to be the name of the tenant"]);
    let new = || office.ask("PUT", TENANT).tenant("acme").json(&named("acme"));
    assert_eq!(new().matching("*").send().await.refusal(), (404, 404));
    let answer = new().header("If-None-Match", "*").send().await;
    assert_eq!((answer.status, answer.headers["etag"].as_str()), (200, "\"1\""), "{answer:?}");
    assert_eq!(new().header("If-None-Match", "*").send().await.refusal(), (412, 412));
    let exists = office.ask("PUT", TENANT).json(&named("demo")).header("If-None-Match", "*").send().await;
    assert_eq!(exists.refusal(), (412, 412));
    let list = office.ask("GET", "/ges/v1/tenants").send().await.json();
    let names: Vec<_> = list["data"]["tenants"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["acme", "demo", "other"]);
}

#[tokio::test]
async fn tenants_are_walls() {
    let office = Office::new().await;
    let queue = office.ask("PUT", "/ges/v1/tenant/queues/support").json(&json!({"paused": true})).matching("*");
    assert_eq!(queue.send().await.status, 200);
    let secret = office.ask("PUT", "/ges/v1/credentials/captcha/web").json(&json!({"secretKey": "0x123456789"}));
    let fingerprint = secret.send().await.json()["data"]["fingerprint"].as_str().unwrap().to_owned();
    for (method, path) in [
        ("GET", "/ges/v1/tenant/queues/support"),
        ("DELETE", "/ges/v1/tenant/queues/support"),
        ("GET", "/ges/v1/tenant/revisions/2"),
        ("DELETE", "/ges/v1/credentials/captcha/web"),
    ] {
        let answer = office.ask(method, path).tenant("other").matching("*").send().await;
        assert_eq!(answer.refusal(), (404, 404), "{method} {path}");
    }
    for path in ["/ges/v1/tenant", "/ges/v1/credentials", "/ges/v1/callback-settings"] {
        let answer = office.ask("GET", path).tenant("other").send().await;
        assert!(
            answer.status == 200 && !answer.text.contains("support") && !answer.text.contains(&fingerprint),
            "{answer:?}"
        );
    }
    let captcha =
        json!({"keys": {"web": {"provider": "hcaptcha", "siteKey": "s", "secretKey": {"sealed": fingerprint}}}});
    let theirs = json!({"tenant": "other", "captcha": captcha});
    let answer = office.ask("PUT", TENANT).tenant("other").json(&theirs).matching("*").send().await;
    assert_eq!(
        mistakes(&answer),
        ["captcha.keys.web.secretKey: no secret of that fingerprint is kept for this tenant"]
    );
}

/// Every operation that is about one tenant.
const OPERATIONS: [(&str, &str); 25] = [
    ("GET", "/ges/v1/tenant"),
    ("PUT", "/ges/v1/tenant"),
    ("POST", "/ges/v1/tenant/validate"),
    ("GET", "/ges/v1/tenant/revisions"),
    ("GET", "/ges/v1/tenant/revisions/1"),
    ("GET", "/ges/v1/tenant/queues/a"),
    ("PUT", "/ges/v1/tenant/queues/a"),
    ("DELETE", "/ges/v1/tenant/queues/a"),
    ("GET", "/ges/v1/tenant/capacityRules/a/convert?slotMinutes=30"),
    ("POST", "/ges/v1/tenant/capacityRules/a/convert?slotMinutes=30"),
    ("GET", "/ges/v1/callback-settings"),
    ("PUT", "/ges/v1/callback-settings"),
    ("GET", "/ges/v1/credentials"),
    ("PUT", "/ges/v1/credentials/push"),
    ("PUT", "/ges/v1/credentials/push/fcm"),
    ("DELETE", "/ges/v1/credentials/push"),
    ("DELETE", "/ges/v1/credentials/push/fcm"),
    ("GET", "/ges/v1/errors"),
    ("GET", "/ges/v1/tenants"),
    ("POST", "/ges/v1/settings/refresh"),
    ("POST", "/ges/v1/personal-data/export"),
    ("POST", "/ges/v1/personal-data/erase"),
    ("GET", "/ges/v1/erasures"),
    ("GET", "/ges/v1/erasures/0192f0a0-0000-7000-8000-000000000001"),
    ("GET", "/ges/v1/audit"),
];

#[tokio::test]
async fn every_operation_needs_a_tenant_and_the_token_and_is_internal() {
    let token = Some(InternalToken::new("planted-token"));
    let guarded = Office::with(DoorSettings { internal_token: token, ..settings(DoorLimits::default()) }).await;
    let office = Office::new().await;
    for (method, path) in OPERATIONS {
        assert_eq!(guarded.ask(method, path).send().await.refusal(), (401, 401), "{method} {path}");
        let let_in = guarded.ask(method, path).header("authorization", "Bearer planted-token").send().await;
        assert_ne!(let_in.status, 401, "{method} {path}");
        let outside = Request::builder().method(method).uri(path).header("x-api-key", KEY);
        let outside = House::new(Side::External).send(outside.body(Body::empty()).unwrap()).await;
        assert_eq!(outside.refusal(), (404, 404), "{method} {path}");
        if ["/ges/v1/tenants", "/ges/v1/settings/refresh"].contains(&path) {
            continue;
        }
        let nobody = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        assert_eq!(office.house.send(nobody).await.refusal(), (400, 501), "{method} {path}");
        assert_eq!(office.ask(method, path).tenant("nobody").send().await.refusal(), (404, 404), "{method} {path}");
        // A store that is away is an honest 503.
        let request =
            Request::builder().method(method).uri(path).header("ContactCenterID", "demo").header("if-match", "*");
        let away = House::new(Side::Internal).send(request.body(Body::empty()).unwrap()).await;
        assert!([400, 503, 200].contains(&away.status), "{method} {path}: {away:?}");
    }
}

#[tokio::test]
async fn parts_are_read_put_and_removed() {
    let office = Office::new().await;
    let hours = json!({"zone": "UTC", "weekly": {"mon": [{"from": "09:00", "to": "17:00"}]}});
    let put = async |path: &str, value: &serde_json::Value, tag: &str| {
        office.ask("PUT", &format!("/ges/v1/tenant/{path}")).json(value).matching(tag).send().await
    };
    assert_eq!(put("businessHours/office", &hours, "\"1\"").await.status, 200);
    let queue = json!({"hours": "office", "_request_time_bucket": "30"});
    assert_eq!(put("queues/sales%20%26%20more", &queue, "\"2\"").await.status, 200);
    let read = office.ask("GET", "/ges/v1/tenant/queues/sales%20%26%20more").send().await;
    assert_eq!((read.status, read.headers["etag"].as_str()), (200, "\"3\""));
    let settings = read.json();
    assert_eq!((&settings["slotMinutes"], &settings["slotCapacity"]), (&json!(30), &json!(100)), "with its defaults");
    assert_eq!(office.ask("GET", "/ges/v1/tenant/businessHours/office").send().await.json(), hours);

    let dangling = office.ask("DELETE", "/ges/v1/tenant/businessHours/office").matching("*").send().await;
    assert_eq!(mistakes(&dangling), ["queues.sales & more.hours: has to be a name of businessHours"]);
    let wrong = put("queues/support", &json!({"slotCapacity": "x"}), "*").await;
    assert_eq!(mistakes(&wrong).len(), 1);
    let unconditional = office.ask("DELETE", "/ges/v1/tenant/queues/support").send().await;
    assert_eq!(unconditional.refusal(), (428, 428));
    let gone = office.ask("DELETE", "/ges/v1/tenant/queues/sales%20%26%20more").matching("\"3\"").send().await;
    assert_eq!(gone.status, 200);
    for path in ["queues/support", "callInGroups/mobile"] {
        assert_eq!(office.ask("GET", &format!("/ges/v1/tenant/{path}")).send().await.refusal(), (404, 404), "{path}");
    }
    let unknown = office.ask("GET", "/ges/v1/tenant/captcha/keys").send().await;
    assert_eq!(unknown.refusal(), (400, 501));
    assert!(unknown.message().starts_with("The section in the path must be one of queues, "), "{unknown:?}");
}

/// Whatever is there may be changed, but not undone: the answer 200 is true of every part.
#[tokio::test]
async fn changes_of_parts_at_once_undo_nothing() {
    let office = Office::new().await;
    for round in 0..20 {
        let put = async |queue: &str| {
            let path = format!("/ges/v1/tenant/queues/{queue}{round}");
            let answer = office.ask("PUT", &path).json(&json!({"paused": true})).matching("*").send().await;
            assert!([200, 412].contains(&answer.status), "{answer:?}");
            (answer.status == 200).then_some(path)
        };
        let table = async || {
            let table = format!("queue,paused\ntable{round},yes\n");
            let ask = office.ask("PUT", "/ges/v1/callback-settings").header("content-type", "text/csv").body(table);
            let answer = ask.matching("*").send().await;
            assert!([200, 412].contains(&answer.status), "{answer:?}");
            (answer.status == 200).then(|| format!("/ges/v1/tenant/queues/table{round}"))
        };
        let (first, second, third) = tokio::join!(put("a"), table(), put("b"));
        let done: Vec<_> = [first, second, third].into_iter().flatten().collect();
        assert!(!done.is_empty(), "one of them wins");
        for path in done {
            assert_eq!(office.ask("GET", &path).send().await.status, 200, "{path} was there");
        }
    }
}

#[tokio::test]
async fn queues_go_out_and_come_in_as_a_table() {
    let office = Office::new().await;
    let table = |text: &str| {
        office.ask("PUT", "/ges/v1/callback-settings").header("content-type", "text/csv").body(text.to_owned())
    };
    let answer = table("Virtual Queue,_ttl,displayNumber\nsupport,3600,+14165550100\n").matching("\"1\"").send().await;
    assert_eq!((answer.status, answer.headers["etag"].as_str()), (200, "\"2\""), "{answer:?}");
    let read = office.ask("GET", "/ges/v1/callback-settings").send().await;
    assert_eq!(
        (read.headers["content-type"].as_str(), read.headers["etag"].as_str()),
        ("text/csv; charset=utf-8", "\"2\"")
    );
    assert!(read.text.contains("\nsupport,") && read.text.contains(",'+14165550100,"), "{}", read.text);
    let same = table(&read.text).matching("\"2\"").send().await;
    assert_eq!(same.json()["data"]["changes"].as_array().map(Vec::len), Some(0));

    let wrong = table("queue,ttlSeconds,paused\nsupport,5,x\nsales,y,no\n").matching("*").send().await;
    assert_eq!(
        mistakes(&wrong),
        [
            "row 2, column ttlSeconds: has to be 60 to 1209600",
            "row 2, column paused: has to be true or false",
            "row 3, column ttlSeconds: has to be a whole number from 0 to 4294967295",
        ]
    );
    assert_eq!(table("queue\nsupport\n").send().await.refusal(), (428, 428));
    let json = office.ask("PUT", "/ges/v1/callback-settings").json(&json!({})).matching("*").send().await;
    assert_eq!(json.refusal(), (415, 415));
    let bytes = office.ask("PUT", "/ges/v1/callback-settings").matching("*").body(vec![0xff_u8, 0xfe]).send().await;
    assert_eq!(bytes.refusal(), (400, 501));
}

#[tokio::test]
async fn failed_calls_are_found_by_their_correlation_id() {
    let office = Office::new().await;
    let call = async |key: &str, body: &str| {
        let request = Request::post(CREATE).header("x-api-key", key).header("content-type", "application/json");
        office.house.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let failed = call(KEY, r#"{"serviceName":"planted","phoneNumber":""}"#).await;
    call(KEY, r#"{"serviceName":"support","phoneNumber":"+14165550101"}"#).await;
    call("other-key", "{}").await;
    call("planted-unknown-key", "{}").await;
    let corr_id = failed.json()["status"]["corrId"].as_str().unwrap().to_owned();
    let ask = async |tenant: &str, query: &str| {
        office.ask("GET", &format!("/ges/v1/errors{query}")).tenant(tenant).send().await.json()["data"]["errors"]
            .clone()
    };
    let all = ask("demo", "").await;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all[0]["corrId"], corr_id.as_str());
    assert_eq!((&all[0]["method"], &all[0]["route"], &all[0]["status"]), (&json!("POST"), &json!(CREATE), &json!(400)));
    assert_eq!(
        (&all[0]["message"], &all[0]["at"]),
        (&failed.json()["status"]["message"], &json!("2030-01-01T01:00:00.000Z"))
    );
    assert!(!all.to_string().contains("planted"));
    assert_eq!(ask("demo", &format!("?corrId={corr_id}")).await, all);
    assert_eq!(ask("other", &format!("?corrId={corr_id}")).await, json!([]));
    assert_eq!(ask("other", "?limit=5").await.as_array().map(Vec::len), Some(1));
    for query in ["?corrId=x", "?limit=0", "?limit=10001", "?limit=x"] {
        let answer = office.ask("GET", &format!("/ges/v1/errors{query}")).send().await;
        assert_eq!(answer.refusal(), (400, 501), "{query}");
    }
}

#[tokio::test]
async fn settings_are_read_again_and_the_schema_is_there() {
    let office = Office::new().await;
    let answer = office.ask("POST", "/ges/v1/settings/refresh").send().await;
    assert_eq!(answer.json()["data"]["inForceAt"], "2030-01-01T01:00:00.000Z");
    let schema = office.ask("GET", "/ges/v1/schemas/tenant").send().await.json();
    assert_eq!(schema, domain::tenant::json_schema());
    // An unknown path of the family is no route.
    assert_eq!(office.ask("GET", "/ges/v1/tenant/queues").send().await.refusal(), (404, 404));
    assert_eq!(office.ask("POST", TENANT).send().await.refusal(), (405, 405));
}
