//! Requests to the byte as the official clients and tutorials send them, and their rules of reading applied to what
//! comes back. The requests stand in `tests/fixtures/clients`, a file for each; every file is sent.

mod hazards;
mod models;
mod reading;
mod replay;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use chrono_tz::America::Toronto;
use domain::tenant::TenantDocument;
use serde_json::{Value, json};

use crate::harness::http::Answer;
use crate::harness::outside::Outside;
use crate::harness::service::{Options, Service, run_to_end};
use crate::harness::{gws, tenants};
use models::{AVAILABILITY, BY_ID, CALL_IN, CALLBACK, OPEN_FOR, PROPOSALS, QUEUE_STATUS, STATISTICS, WAITS};
use reading::{Client, Kind, read, read_refusal};
use replay::Replay;

const TENANT: &str = "shop";
/// Another tenant, with the same settings.
const STRANGER: &str = "stranger";
const SHOP: &str = "https://shop.example";

fn folder() -> PathBuf {
    Path::new("tests/fixtures/clients").to_path_buf()
}

/// Every request, by folder and name.
fn fixtures() -> BTreeSet<String> {
    let names = |kind: &str| -> Vec<String> {
        let entries = fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| format!("{kind}/{}", path.file_stem().unwrap().to_str().unwrap())).collect()
    };
    ["javascript", "java", "plain"].into_iter().flat_map(names).collect()
}

fn settings(tenant: &str, statistics: &Outside) -> Value {
    let freely = json!({ "executionBufferSeconds": 0, "duplicatePolicy": "allow", "throttleParameters": [] });
    let with = |members: Value| {
        let mut queue = freely.clone();
        queue.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        queue
    };
    json!({
        "tenant": tenant,
        "queues": {
            "support": freely,
            "Büro/Süd": freely,
            "small": with(json!({ "slotCapacity": 1 })),
            "strict": with(json!({ "duplicatePolicy": "refuse", "duplicateLimit": 1 })),
        },
        "businessHours": { "office_hours": { "_timezone": "UTC", "_bh_regular1": "Sun-Sat 0:00-24:00" } },
        "callInGroups": { "mobile_help": { "numbers": ["+18005550199"] } },
        "corsOrigins": [SHOP],
        "gws": {
            "clientId": gws::CLIENT, "clientSecret": { "env": "GWS_SECRET" },
            "authUrl": statistics.url(), "statsUrl": statistics.url(),
        },
    })
}

/// The program with both tenants, their secrets sealed.
fn start(statistics: &Outside) -> Service {
    let documents = [TENANT, STRANGER].map(|tenant| settings(tenant, statistics));
    let known: Vec<TenantDocument> =
        documents.iter().map(|document| serde_json::from_value(document.clone()).unwrap()).collect();
    let folder = tenants::folder(&known);
    let options = Options::fast().with("GES_ALLOW_PRIVATE_DESTINATIONS", true).with("GWS_SECRET", gws::SECRET);
    for document in &documents {
        let file = folder.beside("tenant.json");
        fs::write(&file, document.to_string()).unwrap();
        let applied = run_to_end(&folder, &options, &["apply", "-f", &file.display().to_string()]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
    Service::start_in(folder, options)
}

fn state(callback: &Value) -> (&str, Option<&str>) {
    (callback["callbackState"].as_str().unwrap(), callback["callbackReason"].as_str())
}

/// Starts of the slots, their local times and the free places.
fn slots(data: &Value) -> Vec<(&str, &str, u64)> {
    let slots = data["slots"].as_array().unwrap().iter();
    slots
        .map(|slot| {
            let texts = (slot["utcTime"].as_str().unwrap(), slot["localTime"].as_str().unwrap());
            (texts.0, texts.1, slot["capacity"].as_u64().unwrap())
        })
        .collect()
}

#[test]
fn what_official_clients_send_is_answered_as_they_read() {
    let statistics = gws::server();
    let service = start(&statistics);
    let mut replay = Replay::new(service.external());
    javascript(&mut replay);
    java(&mut replay);
    plain(&mut replay);
    assert_eq!(replay.sent, fixtures(), "every file is sent");
    let asked = statistics.count(gws::STATISTICS);
    assert_eq!(asked, 1, "clients that send no body do not come so far");
}

fn javascript(replay: &mut Replay) {
    replay.book("javascript/book-now");
    replay.book("javascript/book-at");
    let callback = replay.data("javascript/retrieve", CALLBACK);
    assert_eq!(state(&callback), ("SCHEDULED", None), "the prose about offers does not make it one for now");
    assert_eq!(
        (&callback["desiredTime"], &callback["phoneNumber"]),
        (&json!(replay.values["utc"]), &json!("+14165550000"))
    );
    for _ in 0..2 {
        let cancelled = replay.data("javascript/cancel", BY_ID);
        assert_eq!(cancelled["id"], replay.values["id"].as_str(), "also a second time");
    }
    assert_eq!(state(&replay.data("javascript/retrieve", CALLBACK)), ("COMPLETED", Some("CANCELLED")));

    replay.data("javascript/book-full", BY_ID);
    let full = replay.refused("javascript/book-full", 429, 7043).json();
    let proposed = read_proposals(&full);
    assert!((1..=10).contains(&proposed.len()) && proposed.iter().all(|(_, places)| places == "1"), "{proposed:?}");
    assert!(proposed.windows(2).all(|two| two[0].0 < two[1].0) && proposed[0].0 > replay.values["utc"]);
    replay.data("javascript/book-again", BY_ID);
    let throttled = replay.refused("javascript/book-again", 429, 7041).json();
    assert!(throttled.get("data").is_none(), "no slots to choose from");
    replay.refused("javascript/book-unknown", 400, 7040);

    let here = replay.data("javascript/availability-from", AVAILABILITY);
    assert_eq!(slots(&here)[0].0, replay.values["utc"]);
    assert_eq!((slots(&here).len(), here["timezone"].as_str()), (1, Some("UTC")), "without an end, one slot");
    assert_eq!(slots(&replay.data("javascript/availability-week", AVAILABILITY)).len(), 5);
    let uncached = replay.data("javascript/availability-uncached", AVAILABILITY);
    let (utc, local, _) = slots(&uncached)[0];
    assert_eq!(utc, replay.values["utc"], "a bare time is one of the zone");
    assert!(local.starts_with(replay.values["bare"].as_str()) && local.len() > 23, "{local}");

    assert_eq!(replay.data("javascript/open-for", OPEN_FOR)["openFor"], 1_209_600, "it never closes");
    replay.data("javascript/queue-status", QUEUE_STATUS);
    let waits = replay.data("javascript/estimated-wait-time", WAITS);
    assert_eq!((&waits[0]["virtualQueue"], &waits[1]["virtualQueue"]), (&json!("support"), &json!("Nobody_VQ")));
    assert_eq!((&waits[1]["estimatedWaitTime"], &waits[1]["resultCode"]), (&json!(-1), &json!(-1)));
    let call_in = replay.data("javascript/call-in", CALL_IN);
    assert_eq!((&call_in["fromPhoneNumber"], call_in.get("callbackServiceId")), (&json!("+14165550101"), None));
    let code = call_in["accessCode"].as_u64().unwrap().to_string();
    assert!(code.len() >= 3 && !code.starts_with('0'), "{code}");
    let expires = call_in["expirationTime"].as_i64().unwrap();
    assert!(expires > Utc::now().timestamp_millis(), "milliseconds: {expires}");
    replay.refused("javascript/statistics", 400, 501);
}

fn read_proposals(answer: &Value) -> Vec<(String, String)> {
    let good = json!({ "status": { "code": 0, "message": "", "corrId": "0-0-0-0-0" }, "data": answer["data"] });
    let typed = Answer::made_up(200, "application/json", &good.to_string());
    let data = read(Client::Java, &typed, PROPOSALS).unwrap();
    let slots = data["slots"].as_object().unwrap().iter();
    slots.map(|(start, places)| (start.clone(), places.as_str().unwrap().to_owned())).collect()
}

fn java(replay: &mut Replay) {
    replay.book("java/book-now");
    replay.book("java/book-at-nanoseconds");
    replay.book("java/book-with-device");
    replay.book("java/book-at");
    let callback = replay.data("java/retrieve", CALLBACK);
    let desired: DateTime<Utc> = callback["desiredTime"].as_str().unwrap().parse().unwrap();
    assert_eq!(desired, replay.values["offset"].parse::<DateTime<Utc>>().unwrap(), "the offset counts");

    let busy = replay.data("java/availability-busy", AVAILABILITY);
    assert_eq!(slots(&busy).len(), 1);
    let zone = replay.data("java/availability-zone", AVAILABILITY);
    let (first, local, _) = slots(&zone)[0];
    assert_eq!(first.parse::<DateTime<Utc>>().unwrap(), desired, "the offset wins over the zone");
    assert_eq!((slots(&zone).len(), zone["timezone"].as_str()), (12, Some("America/Toronto")));
    let on_the_wall = desired.with_timezone(&Toronto).format("%Y-%m-%dT%H:%M:%S.000%:z").to_string();
    assert_eq!(local, on_the_wall);
    let exponent = replay.data("java/availability-exponent", AVAILABILITY);
    assert_eq!((slots(&exponent).len(), slots(&exponent)[0].0), (5, replay.values["utc"].as_str()));

    assert_eq!(replay.data("java/open-for", OPEN_FOR)["openFor"], 1_209_600);
    replay.data("java/queue-status", QUEUE_STATUS);
    assert_eq!(replay.data("java/estimated-wait-time", WAITS).as_array().unwrap().len(), 2);
    let call_in = replay.data("java/call-in", CALL_IN);
    assert_eq!(call_in["callbackServiceId"], replay.values["id"].as_str());
    replay.refused("plain/stranger-retrieve", 404, 404);
    replay.refused("plain/stranger-cancel", 404, 404);
    replay.refused("plain/stranger-call-in", 400, 501);
    assert_eq!(state(&replay.data("java/retrieve", CALLBACK)), ("SCHEDULED", None), "nothing happened to it");
    replay.data("java/cancel", BY_ID);
    replay.refused("java/cancel-unknown", 404, 404);
    replay.refused("java/statistics", 400, 501);
}

fn plain(replay: &mut Replay) {
    let data = replay.data("plain/statistics", STATISTICS);
    assert_eq!(data["data"]["statistics"][0]["value"], 42, "the answer of the service behind, as it is");
    replay.book("plain/book-large");
    let preflight = replay.send("plain/preflight");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, Some(SHOP)));
    let allowed = preflight.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
    assert!(allowed.contains("x-api-key") && allowed.contains("content-type"), "{allowed}");
    let booked = replay.send("plain/book-from-page");
    assert_eq!((booked.status, booked.header("access-control-allow-origin")), (200, Some(SHOP)));
    replay.refused("plain/no-key", 401, 1103);
    replay.refused("plain/foreign-centre", 403, 403);
    replay.refused("plain/book-of-2018", 404, 404);
    replay.refused("plain/captcha-of-2018", 404, 404);
}

/// A file that says what no client would say would prove nothing.
#[test]
fn the_files_keep_to_what_is_known_of_the_clients() {
    let replay = Replay::new("127.0.0.1:2050".parse().unwrap());
    for file in fixtures().iter().filter(|file| !file.starts_with("plain/")) {
        let request = String::from_utf8(replay.request(file)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| head.lines().filter_map(|line| line.split_once(": ")).find(|it| it.0 == name);
        assert!(header("x-api-key").is_some(), "{file}: the name in lower case");
        let typed = header("Content-Type").unwrap().1;
        assert!(typed.starts_with("application/json"), "{file}: questions without a body are typed too");
        assert_eq!(typed.contains("charset"), file.starts_with("java/") && head.starts_with("POST"), "{file}");
        assert!(!head.lines().next().unwrap().contains(','), "{file}: commas are encoded");
        let Ok(Value::Object(members)) = serde_json::from_str(body) else {
            assert!(body.is_empty(), "{file}");
            continue;
        };
        if head.contains("/callbacks/create") && !members.contains_key("pushTarget") {
            let prose = members["cbOfferType"].as_str().unwrap();
            assert!(prose.starts_with("ASAP") && prose.contains("SCHEDULED") && prose.len() > 100, "{file}");
            assert_eq!(members["language"], "en-US", "{file}: it rides along");
        }
    }
}

/// Judges that find nothing prove nothing unless they can find something.
#[test]
fn what_a_client_stumbles_over_is_noticed() {
    const ID: &str = "0192f0a0-0000-7000-8000-000000000001";
    let body =
        |data: &str| format!(r#"{{"status":{{"code":0,"message":"Successful","corrId":"{ID}"}},"data":{data}}}"#);
    let judge = |client: Client, data: &str, model: Kind| {
        read(client, &Answer::made_up(200, "application/json", &body(data)), model).map(drop)
    };
    let slot = |utc: &str, local: &str| {
        format!(
            r#"{{"slots":[{{"utcTime":"{utc}","localTime":"{local}","capacity":1,"total":2}}],"durationMin":5,"timezone":"UTC"}}"#
        )
    };
    const UTC: &str = "2030-03-04T15:30:00.000Z";
    // What the two read, and where they differ.
    for (data, model, javascript, java) in [
        (format!(r#"{{"id":"{ID}"}}"#), BY_ID, true, true),
        (r#"{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#.into(), BY_ID, true, false),
        (r#"{"id":""}"#.into(), BY_ID, true, false),
        (r#"{"id":"a-b-c-d-e"}"#.into(), BY_ID, true, true),
        (r#"{"id":7}"#.into(), BY_ID, false, false),
        ("{}".into(), BY_ID, false, false),
        ("null".into(), BY_ID, false, false),
        (slot(UTC, "2030-03-04T10:30:00.000-05:00"), AVAILABILITY, true, true),
        (slot(UTC, "2030-03-04T10:30:00-05:00"), AVAILABILITY, true, true),
        (slot(UTC, "2030-03-04T10:30:00.123456789Z"), AVAILABILITY, true, true),
        (slot(UTC, "2030-03-04T15:30:00.000+0000"), AVAILABILITY, false, true),
        (slot(UTC, "2030-03-04T10:30:00.000-0500"), AVAILABILITY, false, false),
        (slot(UTC, "2030-03-04T10:30:00.000"), AVAILABILITY, false, false),
        (slot(UTC, "2030-03-04T10:30:00.000-05:00[America/Toronto]"), AVAILABILITY, false, false),
        (slot("tomorrow", UTC), AVAILABILITY, false, false),
        (slot("", UTC), AVAILABILITY, false, false),
        (r#"{"durationMin":5,"timezone":"UTC"}"#.into(), AVAILABILITY, false, false),
        (r#"{"slots":{},"durationMin":5,"timezone":"UTC"}"#.into(), AVAILABILITY, false, false),
        (r#"{"slots":[],"durationMin":"5","timezone":"UTC"}"#.into(), AVAILABILITY, true, true),
        (r#"{"slots":[],"durationMin":"","timezone":"UTC"}"#.into(), AVAILABILITY, false, false),
        (r#"{"ewt":1,"offerImmediateCallback":true,"offerScheduledCallback":false}"#.into(), QUEUE_STATUS, true, true),
        (r#"{"ewt":1,"offerImmediateCallback":"false","offerScheduledCallback":0}"#.into(), QUEUE_STATUS, false, false),
        (
            r#"{"ewt":null,"offerImmediateCallback":true,"offerScheduledCallback":true}"#.into(),
            QUEUE_STATUS,
            false,
            false,
        ),
        ("[]".into(), WAITS, true, true),
        ("{}".into(), WAITS, false, false),
        (r#"[{"virtualQueue":"a","estimatedWaitTime":null,"message":"","resultCode":0}]"#.into(), WAITS, false, false),
        (r#"{"slots":{"2030-03-04T15:30:00.000Z":"3"}}"#.into(), PROPOSALS, true, true),
        (r#"{"slots":{"2030-03-04T15:30:00.000Z":3}}"#.into(), PROPOSALS, false, true),
        (r#"{"slots":{"2030-03-04T15:30:00.000Z":{"free":3}}}"#.into(), PROPOSALS, false, false),
    ] {
        let read = [Client::JavaScript, Client::Java].map(|client| judge(client, &data, model).is_ok());
        assert_eq!(read, [javascript, java], "{data}");
    }
    let good = body(&format!(r#"{{"id":"{ID}"}}"#));
    for (status, content_type, body) in [
        (204, "application/json", good.clone()),
        (200, "text/plain", good.clone()),
        (400, "application/json", good.clone()),
        (200, "application/json", good.replace("\"code\":0", "\"code\":\"OK\"")),
        (200, "application/json", good.replace("\"code\":0", "\"code\":501")),
        (200, "application/json", good.replace("corrId", "correlationId")),
        (200, "application/json", good.replace("\"message\"", "\"text\"")),
        (200, "application/json", "{".to_owned()),
    ] {
        let answer = Answer::made_up(status, content_type, &body);
        assert!(read(Client::Java, &answer, BY_ID).is_err(), "{status} {content_type} {body}");
        assert!(read_refusal(&answer).is_err(), "{status} {content_type} {body}");
    }
    assert!(read(Client::Java, &Answer::made_up(201, "application/json; charset=utf-8", &good), BY_ID).is_ok());
}
