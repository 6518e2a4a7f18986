//! Capacity rules with slots of another length.

use serde_json::{Value, json};

use super::*;

const RULE: &str = "/ges/v1/tenant/capacityRules/office";

/// A tenant with an hourly rule that two of its queues have; at revision 2.
async fn hourly() -> Office {
    let office = Office::new().await;
    let document = json!({
        "tenant": "demo",
        "capacityRules": {"office": {"slotMinutes": 60, "week": {"mon-fri": {"09:00-11:00": 4}, "fri": {"09:00": 3}}}},
        "queues": {"support": {"capacityRule": "office"}, "sales": {"capacityRule": "office"}, "other": {}},
    });
    let answer = office.ask("PUT", TENANT).json(&document).matching("*").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    office
}

impl Office {
    fn conversion(&self, method: &str, rule: &str, query: &str) -> Ask<'_> {
        self.ask(method, &format!("/ges/v1/tenant/capacityRules/{rule}/convert?{query}"))
    }
}

#[tokio::test]
async fn what_is_shown_is_what_is_done() {
    let office = hourly().await;
    let before = office.ask("GET", RULE).send().await.json();
    let shown = office.conversion("GET", "office", "slotMinutes=30").send().await;
    assert_eq!((shown.status, shown.headers["etag"].as_str()), (200, "\"2\""), "{shown:?}");
    let mut told = shown.json()["data"].clone();
    let rule = json!({"slotMinutes": 30, "week": {"fri": {"09:00-10:00": 3}, "mon-fri": {"09:00-11:00": 4}}});
    assert_eq!((&told["rule"], &told["queues"]), (&rule, &json!(["sales", "support"])));
    assert_eq!((told["effects"].as_array().map(Vec::len), &told["omittedEffects"]), (Some(5), &json!(0)));
    assert_eq!(
        told["effects"][4],
        json!({"day": "fri", "from": "09:00", "to": "10:00", "periodMinutes": 60, "slotsBefore": [3],
            "slotsAfter": [3, 3], "placesBefore": 3, "placesAfter": 6})
    );
    assert_eq!(told.get("revision"), None, "nothing was applied");
    assert_eq!(office.ask("GET", RULE).send().await.json(), before);

    let done = office.conversion("POST", "office", "slotMinutes=30").matching("\"2\"").send().await;
    assert_eq!((done.status, done.headers["etag"].as_str()), (200, "\"3\""), "{done:?}");
    told["revision"] = json!(3);
    assert_eq!(done.json()["data"], told);
    assert_eq!(office.ask("GET", RULE).send().await.json(), rule);
    let revisions = office.ask("GET", "/ges/v1/tenant/revisions?limit=1").send().await.json();
    let entry = &revisions["data"]["revisions"][0];
    assert_eq!((&entry["revision"], &entry["actor"]), (&json!(3), &json!("api")));
    let audit = office.ask("GET", "/ges/v1/audit").send().await.json();
    let act = audit["data"]["entries"].as_array().unwrap().last().unwrap();
    assert_eq!((&act["act"], &act["subject"]), (&json!("settings.applied"), &json!("revision 3")));

    // Again, there is nothing to change, and the document keeps its revision.
    let again = office.conversion("POST", "office", "slotMinutes=30").matching("*").send().await;
    assert_eq!((again.status, again.headers["etag"].as_str()), (200, "\"3\""));
    assert_eq!((&again.json()["data"]["effects"], &again.json()["data"]["rule"]), (&json!([]), &rule));
    let back = office.conversion("POST", "office", "slotMinutes=60").matching("\"3\"").send().await;
    let rule = &back.json()["data"]["rule"];
    assert_eq!(rule["week"], json!({"fri": {"09:00": 3}, "mon-fri": {"09:00-11:00": 4}}));
}

#[tokio::test]
async fn a_conversion_is_refused_with_its_reason() {
    let office = hourly().await;
    for (query, message) in [
        ("", "slotMinutes is required."),
        ("slotMinutes=", "slotMinutes is required."),
        ("slotMinutes=0", "slotMinutes must be 5, 10, 15, 20, 30 or 60."),
        ("slotMinutes=7", "slotMinutes must be 5, 10, 15, 20, 30 or 60."),
        ("slotMinutes=120", "slotMinutes must be 5, 10, 15, 20, 30 or 60."),
    ] {
        for method in ["GET", "POST"] {
            let answer = office.conversion(method, "office", query).matching("*").send().await;
            assert_eq!((answer.refusal(), answer.message().as_str()), ((400, 501), message), "{method} {query}");
        }
    }
    for query in ["slotMinutes=-5", "slotMinutes=7.5", "slotMinutes=half", "slotMinutes=99999999999"] {
        let answer = office.conversion("POST", "office", query).matching("*").send().await;
        assert_eq!(answer.refusal(), (400, 501), "{query}");
    }
    let half = "slotMinutes=30";
    for method in ["GET", "POST"] {
        let unknown = office.conversion(method, "nothing", half).matching("*").send().await;
        assert_eq!(unknown.refusal(), (404, 404), "{method}");
        let theirs = office.conversion(method, "office", half).tenant("other").matching("*").send().await;
        assert_eq!(theirs.refusal(), (404, 404), "{method}");
    }
    assert_eq!(office.conversion("POST", "office", half).send().await.refusal(), (428, 428));
    // Somebody else changes the document after it was looked at.
    let shown = office.conversion("GET", "office", half).send().await;
    let other = office.ask("PUT", "/ges/v1/tenant/queues/other").json(&json!({"paused": true})).matching("*");
    assert_eq!(other.send().await.status, 200);
    let stale = office.conversion("POST", "office", half).matching(&shown.headers["etag"]).send().await;
    assert_eq!(stale.refusal(), (412, 412));
    let rule: Value = office.ask("GET", RULE).send().await.json();
    assert_eq!(rule["slotMinutes"], 60, "nothing was changed");
}
