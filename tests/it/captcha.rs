//! CAPTCHA providers over real HTTP: slow, refusing, broken off, malformed, and back again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::testing::{FakeSecrets, Recorder};
use domain::captcha::{CaptchaKeys, Provider, WhenUnavailable};
use domain::ids::TenantId;
use domain::ports::{Captcha, CredentialCheck as _, CredentialRefused, NoVerdict, OfferedCredential};
use domain::secret::{CredentialKind, Secret, SecretRef};
use domain::tenant::TenantDocument;
use ges::clients::captcha::CaptchaClient;
use ges::clients::http::{HttpClient, HttpSettings, Private};

use crate::harness::captcha::{PATH, SECRET, honest, provider};
use crate::harness::http::{Answer, Client};
use crate::harness::outside::{Heard, Outside, Says};
use crate::harness::service::{Options, Service, run_to_end};
use crate::harness::{api, gws, poll};

fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

fn sealed() -> SecretRef {
    SecretRef::Sealed("0123456789abcdef".to_owned())
}

fn keys(provider: Provider, outside: &Outside) -> CaptchaKeys {
    CaptchaKeys {
        provider,
        site_key: "site".to_owned(),
        secret_key: sealed(),
        min_score: 0.5,
        action: None,
        hostnames: Vec::new(),
        when_unavailable: WhenUnavailable::Refuse,
        verify_url: Some(format!("{}{PATH}", outside.url())),
    }
}

fn client(private: Private, secret: Option<&str>) -> CaptchaClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secrets = Arc::new(FakeSecrets::default());
    if let Some(secret) = secret {
        secrets.know(tenant(), sealed(), secret);
    }
    let settings = HttpSettings { private, ..HttpSettings::default() };
    let http = HttpClient::new(&settings, Arc::new(Recorder::default())).unwrap();
    CaptchaClient::new(Arc::new(http), secrets)
}

async fn ask(client: &CaptchaClient, keys: &CaptchaKeys, token: &str) -> Result<domain::captcha::Verdict, NoVerdict> {
    client.ask(tenant(), keys, &Secret::new(token)).await
}

fn is_unavailable<T>(result: &Result<T, NoVerdict>) -> bool {
    matches!(result, Err(NoVerdict::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_about_once_with_the_secret_key() {
    let outside = provider();
    let client = client(Private::Allowed, Some(SECRET));
    let v3 = keys(Provider::RecaptchaV3, &outside);
    let verdict = ask(&client, &v3, "good & strange+token").await.unwrap();
    assert!(verdict.success && verdict.score == Some(0.9) && verdict.action.as_deref() == Some("book"), "{verdict:?}");
    assert_eq!(verdict.hostname.as_deref(), Some("shop.example"));
    assert!(!ask(&client, &v3, "good & strange+token").await.unwrap().success, "the provider took it once");
    let hcaptcha = ask(&client, &keys(Provider::Hcaptcha, &outside), "low-1").await.unwrap();
    assert_eq!(hcaptcha.score, Some(0.9), "hCaptcha scores the risk");
    let heard = outside.heard();
    assert_eq!(heard.len(), 3);
    let form = heard[0].form();
    assert_eq!((form["secret"].as_str(), form["response"].as_str()), (SECRET, "good & strange+token"));
    assert!(!form.contains_key("sitekey") && heard[2].form()["sitekey"] == "site");
    assert_eq!(heard[0].header("content-type"), "application/x-www-form-urlencoded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_nothing_of_use_is_unavailable_and_asked_once() {
    type Mood = fn(&Heard) -> Says;
    let says: [(&str, Mood); 6] = [
        ("closes", |_| Says::Nothing),
        ("breaks off", |_| Says::half()),
        ("is no HTTP", |_| Says::Raw("what?\r\n\r\n".to_owned())),
        ("is no JSON", |_| Says::Answer(200, "<html>".to_owned())),
        ("fails", |_| Says::Answer(503, r#"{"success":true}"#.to_owned())),
        ("redirects", |_| {
            Says::Raw("HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned())
        }),
    ];
    for (what, script) in says {
        let outside = Outside::start(script);
        let client = client(Private::Allowed, Some(SECRET));
        let answer = ask(&client, &keys(Provider::Turnstile, &outside), "good").await;
        assert!(is_unavailable(&answer), "{what}: {answer:?}");
        assert_eq!(outside.heard().len(), 1, "{what}: asking again would use the token up");
        outside.say(honest());
        assert!(
            ask(&client, &keys(Provider::Turnstile, &outside), "good").await.unwrap().success,
            "{what}: it recovers"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_has_three_seconds() {
    let outside = Outside::start(|_| Says::Silence);
    let client = client(Private::Allowed, Some(SECRET));
    let began = Instant::now();
    assert!(is_unavailable(&ask(&client, &keys(Provider::Turnstile, &outside), "good").await));
    let took = began.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_left_alone_after_some_failures() {
    let outside = Outside::start(|_| Says::Answer(500, String::new()));
    let client = client(Private::Allowed, Some(SECRET));
    let keys = keys(Provider::Turnstile, &outside);
    for _ in 0..50 {
        assert!(is_unavailable(&ask(&client, &keys, "good").await));
    }
    assert_eq!(outside.heard().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_that_is_missing_or_wrong_is_no_outage() {
    let outside = provider();
    let keys = keys(Provider::Turnstile, &outside);
    let without = ask(&client(Private::Allowed, None), &keys, "good").await;
    assert!(matches!(without, Err(NoVerdict::Misconfigured(_))), "{without:?}");
    assert_eq!(outside.heard().len(), 0);
    let wrong = ask(&client(Private::Allowed, Some("wrong-secret")), &keys, "good").await;
    let Err(NoVerdict::Misconfigured(why)) = wrong else { panic!("{wrong:?}") };
    assert!(!why.contains("wrong-secret") && !why.contains("good"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_asked_about_before_it_is_kept() {
    let outside = provider();
    let client = client(Private::Allowed, None);
    let mut settings = TenantDocument::default();
    settings.captcha.keys.insert("web".to_owned(), keys(Provider::RecaptchaV2, &outside));
    let check = async |kind, name, secret| {
        let secret = Secret::new(secret);
        client.check(OfferedCredential { tenant: tenant(), kind, name, settings: &settings, secret: &secret }).await
    };
    assert_eq!(check(CredentialKind::Captcha, "web", SECRET).await, Ok(()));
    assert_eq!(outside.heard()[0].form()["secret"], SECRET);
    let wrong = check(CredentialKind::Captcha, "web", "wrong-secret").await;
    assert!(matches!(wrong, Err(CredentialRefused::Refused(_))), "{wrong:?}");
    assert_eq!(check(CredentialKind::Captcha, "not-described-yet", "wrong-secret").await, Ok(()));
    assert_eq!(check(CredentialKind::Gws, "web", "wrong-secret").await, Ok(()));
    assert_eq!(outside.heard().len(), 2, "who has no provider is not asked about");
    outside.say(|_| Says::Nothing);
    let unasked = check(CredentialKind::Captcha, "web", SECRET).await;
    assert!(matches!(unasked, Err(CredentialRefused::NotAsked(_))), "{unasked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_verify_url_reaches_no_private_address_unless_allowed() {
    let outside = provider();
    let answer = ask(&client(Private::Refused, Some(SECRET)), &keys(Provider::Turnstile, &outside), "good").await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert_eq!(outside.heard().len(), 0);
}

/// A service whose demo tenant needs captchas of `outside` and takes statistics from `gws`.
pub(crate) fn service(outside: &Outside, gws: &Outside) -> Service {
    let options = Options::fast()
        .with("GES_LOG_LEVEL", "TRACE")
        .with("GES_LOG_MAX_LEN", 1_000_000)
        .with("GES_ALLOW_PRIVATE_DESTINATIONS", true)
        .with("CAPTCHA_SECRET", SECRET)
        .with("GWS_SECRET", gws::SECRET)
        .with("GWS_USER", serde_json::json!({ "userName": gws::USER, "password": gws::PASSWORD }));
    let service = Service::start(options.clone());
    let document = serde_json::json!({
        "tenant": "demo",
        "queues": {
            api::QUEUE: { "executionBufferSeconds": 0, "duplicatePolicy": "allow", "throttleParameters": [] },
            "free": { "captcha": "none" },
        },
        "captcha": {
            "required": "shop",
            "keys": { "shop": {
                "provider": "recaptcha-v3", "siteKey": "site", "secretKey": { "env": "CAPTCHA_SECRET" },
                "action": "book", "hostnames": ["shop.example"], "verifyUrl": format!("{}{PATH}", outside.url()),
            } },
        },
        "gws": {
            "clientId": gws::CLIENT, "clientSecret": { "env": "GWS_SECRET" }, "user": { "env": "GWS_USER" },
            "authUrl": gws.url(), "statsUrl": gws.url(),
        },
        "corsOrigins": ["https://shop.example"],
    });
    let file = service.folder().beside("demo.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let applied = run_to_end(service.folder(), &options, &["apply", "-f", &file.display().to_string()]);
    let text = String::from_utf8_lossy(&[&applied.stdout[..], &applied.stderr[..]].concat()).into_owned();
    assert!(applied.status.success(), "{text}");
    assert_no_secret("what apply says", &text);
    poll::until("the settings are taken up", Duration::from_secs(30), || {
        let answer = book(&mut api::client(service.external()), None, None);
        (answer.status == 400).then(|| assert_eq!(message(&answer), "captchaToken is required."))
    });
    service
}

/// How often the provider was asked about a token: once it was asked about the secret key alone, when the settings
/// were applied.
fn asked(outside: &Outside) -> usize {
    outside.count(PATH) - 1
}

fn assert_no_secret(place: &str, text: &str) {
    for secret in [SECRET, gws::SECRET, gws::PASSWORD, gws::TOKEN, "good-", "low-"] {
        if let Some(line) = text.lines().find(|line| line.contains(secret)) {
            panic!("{place} holds {secret}: {}", line.chars().take(400).collect::<String>());
        }
    }
}

fn book(client: &mut Client, key: Option<&str>, token: Option<&str>) -> Answer {
    let mut body = serde_json::json!({ "serviceName": api::QUEUE, "phoneNumber": "+14165550101" });
    if let Some(token) = token {
        body["captchaToken"] = token.into();
    }
    api::create(client, key, &body.to_string()).unwrap()
}

fn message(answer: &Answer) -> String {
    answer.json()["status"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_booking_needs_a_token_that_counts_once_also_after_a_crash() {
    let (outside, gws) = (provider(), gws::server());
    let mut service = service(&outside, &gws);
    let mut client = api::client(service.external());
    let booked = book(&mut client, Some("key-1"), Some("good-1"));
    assert_eq!(booked.status, 200, "{}", booked.text());
    assert_eq!(api::id_of(&book(&mut client, Some("key-1"), Some("good-1"))), api::id_of(&booked), "repeated");
    for (token, told) in [
        ("good-1", "captchaToken was used before."),
        ("bad-1", "captchaToken was not accepted by the captcha provider."),
        ("low-1", "captchaToken has too low a score."),
    ] {
        let refused = book(&mut client, None, Some(token));
        assert_eq!((refused.status, refused.code(), message(&refused).as_str()), (400, Some(501), told));
    }
    assert_eq!(asked(&outside), 3, "each token was asked about once");
    let free = api::create(&mut client, None, r#"{"serviceName":"free","phoneNumber":"+14165550101"}"#).unwrap();
    assert_eq!(free.status, 200, "{}", free.text());

    service.kill9();
    service.restart();
    let mut client = api::client(service.external());
    assert_eq!(api::id_of(&book(&mut client, Some("key-1"), Some("good-1"))), api::id_of(&booked), "after a crash");
    assert_eq!(asked(&outside), 3, "a repetition needs no verdict");
    // A provider that takes a token twice: the store does not.
    outside.say(honest());
    let refused = book(&mut client, None, Some("good-1"));
    assert_eq!((refused.status, message(&refused).as_str()), (400, "captchaToken was used before."));
    assert_eq!(asked(&outside), 4);

    let mut internal = Client::new(service.internal()).with_header("ContactCenterID", "demo");
    let verified = |internal: &mut Client, token: &str| {
        let body = serde_json::json!({ "siteKey": "site", "captchaToken": token }).to_string();
        internal.post_json("/ges/v1/captcha/verify", &[], &body).unwrap().json()["data"].clone()
    };
    assert_eq!(verified(&mut internal, "good-9"), serde_json::json!({ "success": true }));
    assert_eq!(verified(&mut internal, "low-9")["success"], false);
    let page = internal.get("/ges/v1/captcha/test-page?keys=shop").unwrap();
    assert!(page.status == 200 && page.text().contains("data-site-key=\"site\""), "{}", page.text());
    let metrics = internal.get("/metrics").unwrap().text();
    for series in [
        r#"ges_captcha_checks_total{end="passed",tenant="demo"} 1"#,
        r#"ges_outward_calls_total{end="ok",to="captcha"} 3"#,
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    assert!(service.sigterm().success());
    assert_no_secret("the log", &service.everything_written());
    assert_no_secret("the metrics", &metrics);
}

#[test]
fn an_outage_of_the_provider_uses_no_token_up() {
    let (outside, gws) = (provider(), gws::server());
    let service = service(&outside, &gws);
    let mut client = api::client(service.external());
    let moods: [fn(&Heard) -> Says; 3] = [|_| Says::Nothing, |_| Says::half(), |_| Says::Answer(500, String::new())];
    for mood in moods {
        outside.say(mood);
        let refused = book(&mut client, None, Some("good-1"));
        assert_eq!((refused.status, refused.code()), (503, Some(500)), "{}", refused.text());
        assert!(message(&refused).starts_with("captchaToken cannot be checked"), "{}", refused.text());
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    outside.say(honest());
    assert_eq!(book(&mut client, None, Some("good-1")).status, 200);
}

#[test]
fn of_many_at_once_with_one_token_one_is_booked() {
    let (outside, gws) = (provider(), gws::server());
    let service = service(&outside, &gws);
    outside.hold();
    let external = service.external();
    let booking: Vec<_> = (0..30)
        .map(|_| std::thread::spawn(move || book(&mut api::client(external), None, Some("good-1")).status))
        .collect();
    poll::until("the provider is asked", Duration::from_secs(10), || (asked(&outside) == 1).then_some(()));
    outside.release();
    let statuses: Vec<_> = booking.into_iter().map(|booking| booking.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
    assert_eq!(asked(&outside), 1);
}
