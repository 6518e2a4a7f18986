//! Nothing private leaves by a side door. Markers are planted in phone numbers, user data, keys and tokens,
//! everything is run at TRACE with traces on, and no log line, metric, trace or error text may hold one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use crate::harness::http::{Answer, Client};
use crate::harness::on_postgres::master_key_text;
use crate::harness::service::{Options, Service, run_to_end};
use crate::harness::{api, poll};

/// Digits that no clock or random id shows by chance; they end in a magic number, or the like.
const PHONES: [&str; 3] = ["4165559137", "4165559138", "4165550001"];
const USER_DATA: &str = "marker-user-data-7f3a91";
const WRONG_KEY: &str = "marker-wrong-api-key-0c55d2e8";
const IDEMPOTENCY_KEY: &str = "marker-idempotency-key-b81f";
const PUSH_TOKEN: &str = "marker-push-token-44ad";
const CAPTCHA: &str = "marker-captcha-token-92ce";
const EXPORT: &str = "/ges/v1/personal-data/export";
const ERASE: &str = "/ges/v1/personal-data/erase";
const CORRELATED: &str = "callbacks/create";

#[test]
fn planted_secrets_appear_in_no_output() {
    let collector = Collector::start();
    let options = Options::fast()
        .with("GES_LOG_LEVEL", "TRACE")
        .with("GES_LOG_MAX_LEN", 1_000_000)
        .with("GES_OTLP_ENDPOINT", format!("http://{}", collector.address));
    let mut service = Service::start(options.clone());
    let made = run_to_end(service.folder(), &options, &["keys", "create", "--tenant", "demo", "--label", "planted"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let secret_key = the_key_in(&String::from_utf8_lossy(&made.stdout));

    let error_texts = use_everything(&service, &secret_key);
    let metrics = Client::new(service.internal()).get("/metrics").unwrap().text();
    let health = Client::new(service.internal()).get("/ges/v1/health/detail").unwrap().text();
    poll::until("a trace of a create", Duration::from_secs(60), || collector.text().contains(CORRELATED).then_some(()));
    // What stops under way is logged and traced too.
    api::create(&mut Client::new(service.external()).with_header("X-API-Key", &secret_key), None, &planted_booking(0))
        .unwrap();
    assert!(service.sigterm().success());
    service.restart();
    assert!(service.sigterm().success());

    let data = service.folder().data();
    let secrets = [&PHONES[..], &[USER_DATA, WRONG_KEY, IDEMPOTENCY_KEY, PUSH_TOKEN, CAPTCHA, &secret_key]].concat();
    let master_key = master_key_text(&data);
    let places = [
        ("the log", service.everything_written()),
        ("the metrics", metrics),
        ("the health page", health),
        ("the traces", collector.text()),
        ("the error texts", error_texts),
        ("the journal of routing", journal_text(&data)),
    ];
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} is empty: nothing was searched");
        for secret in secrets.iter().chain([&master_key.trim()]) {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                panic!("{place} holds `{secret}`: {}", line.chars().take(400).collect::<String>());
            }
        }
    }
    // What a refused client is told leads to the line in the log, so the log was written and searched.
    let log = &places[0].1;
    assert!(log.contains("\"TRACE\""), "nothing was logged at TRACE");
    let refusals = places[4].1.lines().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    for refusal in refusals {
        let corr_id = refusal["status"]["corrId"].as_str().expect("every refusal has a correlation id").to_owned();
        assert!(log.contains(&corr_id), "the correlation id {corr_id} is not in the log");
    }
}

/// Calls every operation, well and badly, with markers everywhere, and returns the texts of all refusals.
fn use_everything(service: &Service, secret_key: &str) -> String {
    let mut refusals = String::new();
    let mut refused = |answer: Answer| {
        assert!(answer.status >= 400, "{}", answer.text());
        refusals.push_str(&answer.text());
        refusals.push('\n');
    };
    let mut known = Client::new(service.external()).with_header("X-API-Key", secret_key);
    let mut unknown = Client::new(service.external()).with_header("X-API-Key", WRONG_KEY);

    // The key is known within two seconds of its making.
    let first = poll::until("the new key to be known", Duration::from_secs(30), || {
        let answer =
            known.post_json(api::CREATE, &[("Idempotency-Key", IDEMPOTENCY_KEY)], &planted_booking(0)).unwrap();
        (answer.status == 200).then_some(answer)
    });
    let mut ids = vec![api::id_of(&first).unwrap()];
    for number in 1..PHONES.len() {
        let answer = known.post_json(api::CREATE, &[], &planted_booking(number)).unwrap();
        ids.extend(api::id_of(&answer));
    }
    refused(known.post_json(api::CREATE, &[("Idempotency-Key", IDEMPOTENCY_KEY)], &planted_booking(1)).unwrap());
    refused(unknown.post_json(api::CREATE, &[], &planted_booking(0)).unwrap());
    refused(known.post_json(api::RETRIEVE, &[], &format!(r#"{{"id":"{USER_DATA}"}}"#)).unwrap());
    refused(api::cancel(&mut known, Uuid::nil()).unwrap());
    refused(known.get(&format!("/{USER_DATA}?key={WRONG_KEY}&phone={}", PHONES[0])).unwrap());
    for body in bad_bodies() {
        refused(known.post_json(api::CREATE, &[], &body).unwrap());
    }
    let mut inside = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    for (bad, answer) in call_in(&mut known, &mut inside, ids[0]) {
        if bad {
            refused(answer);
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    for id in &ids {
        poll::until("the end of a planted callback", Duration::from_secs(60), || {
            let answer = api::retrieve(&mut known, *id).unwrap();
            (answer.json()["data"]["callbackState"] == "COMPLETED").then_some(())
        });
        // Whether it is refused depends on how it ended; either way it is logged.
        drop(api::cancel(&mut known, *id).unwrap());
    }
    refusals
}

/// Call-ins and what flows ask, with markers; whether each has to be refused.
fn call_in(outside: &mut Client, inside: &mut Client, id: Uuid) -> Vec<(bool, Answer)> {
    let (open, matched) = ("/engagement/v3/call-in/requests/create", "/ges/v1/call-in/match");
    let (phone, attach) = (PHONES[0], format!("/ges/v1/callbacks/{id}/user-data"));
    let request = format!(r#"{{"groupName":"mobile","fromPhoneNumber":"+1{phone}","userData":{{"a":"{USER_DATA}"}}}}"#);
    let key = [("Idempotency-Key", IDEMPOTENCY_KEY)];
    vec![
        (false, outside.post_json(open, &key, &request).unwrap()),
        (true, outside.post_json(open, &key, r#"{"groupName":"mobile"}"#).unwrap()),
        (true, outside.post_json(open, &[], &format!(r#"{{"groupName":"{USER_DATA}"}}"#)).unwrap()),
        (true, outside.post_json(open, &[], &request.replace("+1", USER_DATA)).unwrap()),
        (false, inside.get(&format!("/ges/v1/call-in/requests?ani=%2B1{phone}")).unwrap()),
        (true, inside.get(&format!("/ges/v1/call-in/requests?ani={USER_DATA}&state={phone}")).unwrap()),
        (false, inside.post_json(matched, &key, &format!(r#"{{"ani":"+1{phone}"}}"#)).unwrap()),
        (true, inside.post_json(matched, &[], &format!(r#"{{"groupName":"{USER_DATA}","ani":"+1{phone}"}}"#)).unwrap()),
        (false, inside.post_json(&attach, &[], &format!(r#"{{"userData":{{"b":"{USER_DATA}"}}}}"#)).unwrap()),
        (true, inside.post_json(&attach, &[], &format!(r#"{{"userData":"{USER_DATA} {phone}"}}"#)).unwrap()),
        (false, inside.post_json(EXPORT, &[], &format!(r#"{{"phoneNumber":"+1{phone}"}}"#)).unwrap()),
        (true, inside.post_json(EXPORT, &[], &format!(r#"{{"phoneNumber":"{USER_DATA}"}}"#)).unwrap()),
        (
            true,
            inside
                .post_json(ERASE, &[], &format!(r#"{{"phoneNumber":"+1{phone}","unfinished":"{USER_DATA}"}}"#))
                .unwrap(),
        ),
        (false, inside.get(&format!("/ges/v1/callbacks/{id}")).unwrap()),
        (true, inside.get(&format!("/ges/v1/queues/{USER_DATA}/watermark")).unwrap()),
    ]
}

fn planted_booking(number: usize) -> String {
    serde_json::json!({
        "serviceName": api::QUEUE,
        "phoneNumber": format!("+1{}", PHONES[number]),
        "userData": { "note": USER_DATA, "list": [USER_DATA], USER_DATA.replace('-', "_"): 1 },
        "captchaToken": CAPTCHA,
        "pushTargets": [{ "channel": "FCM", "target": PUSH_TOKEN }],
    })
    .to_string()
}

/// Bodies that are wrong in a place that holds a marker, so that an echo would show.
fn bad_bodies() -> Vec<String> {
    let phone = PHONES[0];
    [
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}{phone}"}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"{USER_DATA}"}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":{phone}}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":["+1{phone}"]}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}","userData":"{USER_DATA}"}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}","userData":"{{{USER_DATA}"}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}","pushTargets":"{PUSH_TOKEN}"}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}","userData":{{"a":"{USER_DATA}\u0000"}}}}"#),
        format!(r#"{{"serviceName":"support","phoneNumber":"+1{phone}","desiredTime":"{USER_DATA}"}}"#),
        format!(r#"{{"serviceName":"nowhere","phoneNumber":"+1{phone}"}}"#),
        format!(r#"{{"userData":{{"a":"{USER_DATA}"}}"#),
        format!(r#"{USER_DATA} +1{phone}"#),
    ]
    .into()
}

/// The new key is the only long word that `keys create` prints.
fn the_key_in(text: &str) -> String {
    let is_key = |word: &&str| word.len() >= 30 && word.parse::<Uuid>().is_err() && !word.contains('/');
    text.split_whitespace().find(is_key).unwrap_or_else(|| panic!("no key in: {text}")).to_owned()
}

fn journal_text(data: &std::path::Path) -> String {
    std::fs::read_to_string(crate::harness::journal::path(data)).unwrap()
}

/// A collector of traces that keeps every byte it is sent.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = received.clone();
        // Ends with the process: it waits for a connection that may never come.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || while take_one(&connection, &kept).is_some() {});
            }
        });
        Self { address, received }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

/// Reads one export and says that it is taken; none when the connection is over.
fn take_one(connection: &TcpStream, kept: &Mutex<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        kept.lock().unwrap().extend_from_slice(line.as_bytes());
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    kept.lock().unwrap().extend_from_slice(&body);
    (&*connection).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()
}
