//! The courier against receivers that are slow, refuse, break off and recover. What became of each sending decides
//! whether it may be sent again, so the receivers' own counts are held against what the courier says.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{FakeSecrets, Recorder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, PushTarget, State, Terms};
use domain::happening::{About, CallbackNews, Happening, Kind};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::notices::{Detail, Outcome, Sent};
use domain::numbers::PhoneNumber;
use domain::ports::{
    Courier as _, CredentialCheck as _, CredentialRefused, Message, OfferedCredential, Push, PushContent,
};
use domain::push::{PushEndpoint, PushEvent, PushSettings, PushText};
use domain::secret::{CredentialKind, Secret, SecretRef};
use ges::clients::courier::HttpCourier;
use ges::clients::http::{HttpClient, HttpSettings, Private};
use ges::clock::SystemClock;
use ring::hmac;
use serde_json::json;

use crate::harness::fcm::{FakeFcm, SEND, TOKEN};
use crate::harness::receiver::{Received, Receiver, Say};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

fn sealed(name: &str) -> SecretRef {
    SecretRef::Sealed(name.to_owned())
}

fn now() -> DateTime<Utc> {
    Utc::now()
}

struct Office {
    courier: HttpCourier,
    secrets: Arc<FakeSecrets>,
}

impl Office {
    fn new(private: Private) -> Self {
        // The second of two tests finds it done.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secrets = Arc::new(FakeSecrets::default());
        secrets.know(tenant(), sealed("key"), KEY);
        secrets.know(tenant(), sealed("other"), OTHER_KEY);
        secrets.know(tenant(), sealed("bad"), "no key");
        let settings = HttpSettings { private, ..HttpSettings::default() };
        let http = HttpClient::new(&settings, Arc::new(Recorder::default())).unwrap();
        let courier = HttpCourier::new(Arc::new(http), secrets.clone(), Arc::new(SystemClock::default()));
        Self { courier, secrets }
    }

    fn open() -> Self {
        Self::new(Private::Allowed)
    }

    async fn send(&self, url: &str, secrets: &[&str]) -> Sent {
        self.courier.message(message(url, secrets)).await
    }

    async fn push(&self, settings: &PushSettings, target: &str) -> Sent {
        self.courier.push(settings, push("FCM", target)).await
    }
}

fn message(url: &str, secrets: &[&str]) -> Message {
    let about = About::Callback(CallbackNews {
        id: CallbackId::generate(now()),
        queue: QueueName::new("support").unwrap(),
        version: 3,
        state: State::Queued,
        passed: Vec::new(),
        reason: None,
        push: None,
        phone: Some(PhoneNumber::from_digits(14_165_550_199)),
    });
    let happening = Happening { tenant: tenant(), seq: 7, kind: Kind::Queued, at: now(), about };
    Message {
        tenant: tenant(),
        url: url.to_owned(),
        secrets: secrets.iter().map(|name| sealed(name)).collect(),
        id: happening.id().to_string(),
        at: now(),
        happening,
        phone_number: false,
    }
}

fn push(channel: &str, target: &str) -> Push {
    let terms = Terms {
        tenant: tenant(),
        queue: QueueName::new("support").unwrap(),
        phone: PhoneNumber::from_digits(14_165_550_199),
        ttl: TimeDelta::hours(1),
    };
    let callback = Callback::immediate(CallbackId::generate(now()), terms, Incarnation(1), now());
    Push {
        tenant: tenant(),
        id: "notice-1".into(),
        target: PushTarget { channel: channel.into(), target: target.into() },
        content: PushContent::Callback { event: PushEvent::CallbackUpcoming, callback: Box::new(callback) },
        at: now(),
        expires_at: Some(now() + TimeDelta::seconds(300)),
        validate_only: false,
    }
}

fn fcm_settings(office: &Office, fcm: &FakeFcm) -> PushSettings {
    office.secrets.know(tenant(), sealed("fcm"), &fcm.account());
    PushSettings { fcm: Some(sealed("fcm")), fcm_url: Some(fcm.receiver.url("")), ..PushSettings::default() }
}

/// One push by a courier that knows neither a token nor of any failure.
async fn push_anew(fcm: &FakeFcm) -> Sent {
    let office = Office::open();
    office.push(&fcm_settings(&office, fcm), "device").await
}

/// What a receiver does to find out who sent it.
fn is_signed_by(received: &Received, key: &str) -> bool {
    let key = STANDARD.decode(key.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let signed = format!("{id}.{at}.{}", received.body);
    received.header("webhook-signature").split(' ').any(|signature| {
        let bytes = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, signed.as_bytes(), &bytes).is_ok()
    })
}

fn outcome(sent: &Sent) -> (Outcome, Detail) {
    (sent.outcome, sent.detail)
}

#[tokio::test]
async fn a_message_is_signed_with_every_key_that_is_valid() {
    let (office, receiver) = (Office::open(), Receiver::start());
    let sent = office.send(&receiver.url("/hook?x=1"), &["key", "other"]).await;
    assert_eq!(outcome(&sent), (Outcome::Done, Detail::Status(204)));
    let received = &receiver.received()[0];
    assert_eq!(received.path, "/hook?x=1");
    assert!(is_signed_by(received, KEY) && is_signed_by(received, OTHER_KEY));
    assert!(!is_signed_by(received, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(received.header("content-type"), "application/json");
    let seconds: i64 = received.header("webhook-timestamp").parse().unwrap();
    assert!((seconds * 1_000 - received.at_ms).abs() < 5_000);
    let body = received.json();
    assert_eq!(
        (body["type"].as_str(), body["id"].as_str()),
        (Some("callback.queued"), Some(received.header("webhook-id")))
    );
    assert_eq!(body["data"]["version"], 3);
    assert!(!received.body.contains("4165550199"), "no phone number unless it is asked for");
    let told = Message { phone_number: true, ..message(&receiver.url("/"), &["key"]) };
    office.courier.message(told).await;
    assert_eq!(receiver.received()[1].json()["data"]["phoneNumber"], "+14165550199");
}

#[tokio::test]
async fn every_way_of_failing_is_told_apart() {
    let (office, mut receiver) = (Office::open(), Receiver::start());
    let late = Say::late(Duration::from_millis(300), Say::status(200));
    let retry = Say::Status(503, vec![("Retry-After", "17".into())], String::new());
    for (say, expected) in [
        (late, (Outcome::Done, Detail::Status(200))),
        (Say::status(404), (Outcome::Refused, Detail::Status(404))),
        (Say::status(302), (Outcome::Refused, Detail::Status(302))),
        (retry, (Outcome::NotDone, Detail::Status(503))),
        (Say::status(500), (Outcome::Perhaps, Detail::Status(500))),
        (Say::BreakOff, (Outcome::Perhaps, Detail::NoAnswer)),
        (Say::Half, (Outcome::Done, Detail::Status(200))),
    ] {
        receiver.next([say.clone()]);
        let sent = office.send(&receiver.url("/"), &["key"]).await;
        assert_eq!(outcome(&sent), expected, "{say:?}");
        assert_eq!(sent.retry_after.is_some(), expected.1 == Detail::Status(503), "{say:?}");
    }
    assert_eq!(receiver.received().len(), 7, "each once: whether it is sent again is decided elsewhere");
    receiver.close();
    let sent = office.send(&receiver.url("/"), &["key"]).await;
    assert_eq!(outcome(&sent), (Outcome::NotDone, Detail::NotReached));
    // Someone else asks: this one lets the place rest after so many failures.
    receiver.open();
    let sent = Office::open().send(&receiver.url("/"), &["key"]).await;
    assert_eq!(outcome(&sent), (Outcome::Done, Detail::Status(204)));
}

#[tokio::test]
async fn without_a_usable_key_or_address_nothing_is_sent() {
    let (office, receiver) = (Office::open(), Receiver::start());
    for secret in ["bad", "missing"] {
        let sent = office.send(&receiver.url("/"), &[secret]).await;
        assert_eq!(outcome(&sent), (Outcome::Refused, Detail::NoCredentials), "{secret}");
    }
    let closed = Office::new(Private::Refused);
    for url in [receiver.url("/"), "https://127.0.0.1/".into(), "https://169.254.169.254/".into()] {
        let sent = closed.send(&url, &["key"]).await;
        assert_eq!(outcome(&sent), (Outcome::Refused, Detail::NotAllowed), "{url}");
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_notification_goes_to_fcm_under_a_token_that_is_kept() {
    let (office, fcm) = (Office::open(), FakeFcm::start());
    let mut settings = fcm_settings(&office, &fcm);
    for _ in 0..5 {
        let sent = office.push(&settings, "device").await;
        assert_eq!(outcome(&sent), (Outcome::Done, Detail::Status(200)));
        assert_eq!(sent.receipt.as_deref(), Some("projects/test-project/messages/1"));
    }
    assert_eq!((fcm.tokens(), fcm.messages().len()), (1, 5));
    let body = &fcm.messages()[0];
    assert_eq!(body["validate_only"], false);
    let message = &body["message"];
    assert_eq!((message["token"].as_str(), message.get("notification")), (Some("device"), None));
    let data = message["data"].as_object().unwrap();
    assert!(data.values().all(serde_json::Value::is_string), "FCM takes texts only: {data:?}");
    assert_eq!((&data["event"], &data["callbackState"]), (&json!("CALLBACK_UPCOMING"), &json!("QUEUED")));
    assert_eq!(data["version"], "1");
    let ttl = message["android"]["ttl"].as_str().unwrap().strip_suffix('s').unwrap().parse::<u32>().unwrap();
    assert!((290..=300).contains(&ttl), "{ttl}");
    assert!(!body.to_string().contains("4165550199"), "a device needs no phone number");

    let text = PushText { title: "Soon".into(), body: "We call you in a moment.".into() };
    settings.texts.insert(PushEvent::CallbackUpcoming, text);
    office.push(&settings, "device").await;
    assert_eq!(fcm.messages()[5]["message"]["notification"]["title"], "Soon");
    let given = Push {
        content: PushContent::Given(r#"{"title":"Test","image":"https://example.com/i.png"}"#.into()),
        expires_at: None,
        validate_only: true,
        ..push("FCM", "device")
    };
    office.courier.push(&settings, given).await;
    let expected = json!({
        "validate_only": true,
        "message": { "token": "device", "notification": { "title": "Test", "image": "https://example.com/i.png" } },
    });
    assert_eq!(fcm.messages()[6], expected);
}

#[tokio::test]
async fn a_token_that_is_taken_no_more_is_replaced_and_one_that_grows_old_renewed() {
    let (office, fcm) = (Office::open(), FakeFcm::start());
    let settings = fcm_settings(&office, &fcm);
    office.push(&settings, "device").await;
    fcm.revoke_tokens();
    assert_eq!(office.push(&settings, "device").await.outcome, Outcome::Done);
    assert_eq!((fcm.tokens(), fcm.messages().len()), (2, 3), "one try under the old token, one under the new");
    // Good for five minutes: renewed ahead, again and again, and used meanwhile.
    fcm.tokens_last(300);
    fcm.revoke_tokens();
    assert_eq!(office.push(&settings, "device").await.outcome, Outcome::Done);
    assert_eq!(fcm.tokens(), 3);
    fcm.next([Say::status(503), Say::status(503)]);
    assert_eq!(office.push(&settings, "device").await.outcome, Outcome::Done, "the old one is still good");
    assert_eq!(fcm.tokens(), 3);
    assert_eq!(office.push(&settings, "device").await.outcome, Outcome::Done);
    assert_eq!(fcm.tokens(), 4);
    // Many at once ask for one token.
    fcm.tokens_last(3_600);
    let fresh = Arc::new(Office::open());
    let settings = Arc::new(fcm_settings(&fresh, &fcm));
    let pushes = (0..20).map(|_| {
        let (fresh, settings) = (fresh.clone(), settings.clone());
        tokio::spawn(async move { fresh.push(&settings, "device").await.outcome })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap(), Outcome::Done);
    }
    assert_eq!(fcm.tokens(), 5);
}

#[tokio::test]
async fn fcm_says_itself_what_it_did_not_take() {
    let (office, fcm) = (Office::open(), FakeFcm::start());
    let settings = fcm_settings(&office, &fcm);
    office.push(&settings, "device").await;
    let busy = |status| Say::Status(status, vec![("Retry-After", "30".into())], String::new());
    for (say, expected) in [
        (Say::status(400), Outcome::Refused),
        (Say::status(403), Outcome::Refused),
        (Say::status(404), Outcome::Refused),
        (busy(429), Outcome::NotDone),
        (busy(503), Outcome::NotDone),
        (Say::status(500), Outcome::Perhaps),
        (Say::BreakOff, Outcome::Perhaps),
        (Say::Half, Outcome::Perhaps),
    ] {
        fcm.next([say.clone()]);
        let sent = office.push(&settings, "device").await;
        assert_eq!(sent.outcome, expected, "{say:?}");
        let retry = sent.retry_after.map(|pause| pause.num_seconds());
        assert_eq!(retry, (expected == Outcome::NotDone).then_some(30), "{say:?}");
    }
    assert_eq!(fcm.messages().len(), 9, "each once");
}

#[tokio::test]
async fn without_a_token_a_notification_surely_was_not_sent() {
    let mut fcm = FakeFcm::start();
    for (answers, expected) in [
        (vec![Say::status(500), Say::status(500)], Outcome::NotDone),
        (vec![Say::BreakOff, Say::BreakOff], Outcome::NotDone),
        (vec![Say::json(400, &json!({ "error": "invalid_grant" }))], Outcome::Refused),
    ] {
        let asked = fcm.receiver.received_at(TOKEN).len();
        fcm.next(answers);
        assert_eq!(push_anew(&fcm).await.outcome, expected);
        assert!(fcm.receiver.received_at(TOKEN).len() > asked);
    }
    fcm.receiver.close();
    assert_eq!(outcome(&push_anew(&fcm).await), (Outcome::NotDone, Detail::NotReached));
    fcm.receiver.open();
    assert_eq!(fcm.messages().len(), 0);
    assert_eq!(push_anew(&fcm).await.outcome, Outcome::Done);
    assert_eq!(fcm.receiver.received_at(SEND).len(), 1);
}

#[tokio::test]
async fn an_account_is_checked_before_it_is_kept() {
    let (office, fcm) = (Office::open(), FakeFcm::start());
    let check = |text: String| {
        let office = &office;
        async move {
            let (secret, settings) = (Secret::new(text), domain::tenant::TenantDocument::default());
            let (kind, name) = (CredentialKind::Push, "fcm");
            let offered = OfferedCredential { tenant: tenant(), kind, name, settings: &settings, secret: &secret };
            office.courier.check(offered).await
        }
    };
    assert_eq!((check(fcm.account()).await, fcm.tokens()), (Ok(()), 1));
    assert_eq!((check(KEY.to_owned()).await, fcm.tokens()), (Ok(()), 1), "nobody is asked about a signing key");
    fcm.next([Say::json(401, &json!({}))]);
    assert!(matches!(check(fcm.account()).await, Err(CredentialRefused::Refused(_))));
    fcm.next([Say::status(500), Say::status(500)]);
    assert!(matches!(check(fcm.account()).await, Err(CredentialRefused::NotAsked(_))));
    let mut broken: serde_json::Value = serde_json::from_str(&fcm.account()).unwrap();
    broken["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for text in ["{}".to_owned(), "x".to_owned(), broken.to_string()] {
        let Err(CredentialRefused::Malformed(why)) = check(text.clone()).await else { panic!("{text}") };
        assert!(why.starts_with("it has to be") || why.starts_with("its private_key has to be"), "{why}");
    }
}

#[tokio::test]
async fn a_notification_goes_to_an_endpoint_of_the_tenant() {
    let (office, receiver) = (Office::open(), Receiver::start());
    let endpoint = PushEndpoint { url: receiver.url("/push"), secret: sealed("key") };
    let endpoints = [("app".to_owned(), endpoint)].into();
    let settings = PushSettings { endpoints, ..PushSettings::default() };
    let sent = office.courier.push(&settings, push("HTTP", "app:user 7")).await;
    assert_eq!(outcome(&sent), (Outcome::Done, Detail::Status(204)));
    let received = &receiver.received()[0];
    assert!(is_signed_by(received, KEY));
    assert_eq!(received.header("webhook-id"), "notice-1");
    let body = received.json();
    assert_eq!((body["type"].as_str(), body["data"]["target"].as_str()), (Some("CALLBACK_UPCOMING"), Some("user 7")));
    assert_eq!(body["data"]["callbackState"], "QUEUED");
    let given =
        Push { content: PushContent::Given(r#"{"title":"Test"}"#.into()), validate_only: true, ..push("HTTP", "app") };
    office.courier.push(&settings, given).await;
    let body = receiver.received()[1].json();
    assert_eq!(body["data"]["notification"], json!({ "title": "Test" }));
    assert_eq!((body["data"]["validateOnly"].as_bool(), body["data"].get("target")), (Some(true), None));
    for (channel, target) in [("HTTP", "other"), ("SMS", "x")] {
        let sent = office.courier.push(&settings, push(channel, target)).await;
        assert_eq!(outcome(&sent), (Outcome::Refused, Detail::NoTarget), "{channel}");
    }
    let sent = office.push(&settings, "device").await;
    assert_eq!(outcome(&sent), (Outcome::Refused, Detail::NoCredentials), "no account for FCM");
}
