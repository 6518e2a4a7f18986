//! What operators ask about captchas.

use axum::body::Body;
use domain::captcha::{CaptchaKeys, Provider, TokenRefusal, WhenUnavailable};
use domain::ports::{NoVerdict, Unserved, VerifyError};
use domain::secret::SecretRef;
use http::Request;

use crate::front_door::router::Side;
use crate::front_door::testing::{Answer, House, settings};
use crate::front_door::{DoorLimits, DoorSettings, InternalToken};

const VERIFY: &str = "/ges/v1/captcha/verify";
const PAGE: &str = "/ges/v1/captcha/test-page";

async fn verify(house: &House, body: &str) -> Answer {
    let request = Request::post(VERIFY).header("ContactCenterID", "demo").body(Body::from(body.to_owned()));
    house.send(request.unwrap()).await
}

const BODY: &str = r#"{"siteKey":"site","captchaToken":"token","more":[]}"#;

#[tokio::test]
async fn a_token_is_verified_with_its_reason() {
    let house = House::new(Side::Internal);
    assert_eq!(verify(&house, BODY).await.json()["data"], serde_json::json!({ "success": true }));
    *house.fake.verify.lock().unwrap() = Err(TokenRefusal::WrongHost.into());
    let answer = verify(&house, BODY).await;
    let expected = serde_json::json!({ "success": false, "reason": "The token was made on another host." });
    assert_eq!((answer.status, &answer.json()["data"]), (200, &expected));
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused() {
    let house = House::new(Side::Internal);
    for (error, expected) in [
        (VerifyError::UnknownSiteKey, (400, 501)),
        (NoVerdict::Misconfigured("no such secret".into()).into(), (500, 500)),
        (NoVerdict::Unavailable("slow".into()).into(), (503, 500)),
        (Unserved::Busy.into(), (503, 500)),
    ] {
        *house.fake.verify.lock().unwrap() = Err(error.clone());
        assert_eq!(verify(&house, BODY).await.refusal(), expected, "{error:?}");
    }
    for body in ["", "{}", r#"{"siteKey":"site"}"#, r#"{"siteKey":1,"captchaToken":"token"}"#] {
        assert_eq!(verify(&house, body).await.refusal(), (400, 501), "{body}");
    }
    let nobody = Request::post(VERIFY).body(Body::from(BODY)).unwrap();
    assert_eq!(house.send(nobody).await.refusal(), (400, 501));
    let guarded = DoorSettings {
        internal_token: Some(InternalToken::new("token-of-the-installation")),
        ..settings(DoorLimits::default())
    };
    assert_eq!(verify(&House::with(Side::Internal, guarded), BODY).await.refusal(), (401, 401));
    let outside = House::new(Side::External);
    let request = Request::post(VERIFY).body(Body::from(BODY)).unwrap();
    assert_eq!(outside.send(request).await.refusal(), (404, 404));
    assert_eq!(outside.get(&format!("{PAGE}?keys=shop&tenant=demo")).await.refusal(), (404, 404));
}

fn keys(provider: Provider) -> CaptchaKeys {
    CaptchaKeys {
        provider,
        site_key: r#"6Lc_"<script>alert(1)</script>'&{tenant}"#.to_owned(),
        secret_key: SecretRef::Sealed("fingerprint-of-the-secret".to_owned()),
        min_score: 0.5,
        action: provider.names_actions().then(|| "book\"ing".to_owned()),
        hostnames: Vec::new(),
        when_unavailable: WhenUnavailable::Refuse,
        verify_url: None,
    }
}

#[tokio::test]
async fn the_test_page_lets_in_the_providers_script_only() {
    let house = House::new(Side::Internal);
    for (provider, script, source) in [
        (Provider::RecaptchaV2, "https://www.google.com/recaptcha/api.js\"", "https://www.google.com/recaptcha/"),
        (
            Provider::RecaptchaV2Invisible,
            "https://www.google.com/recaptcha/api.js\"",
            "https://www.google.com/recaptcha/",
        ),
        (
            Provider::RecaptchaV3,
            "https://www.google.com/recaptcha/api.js?render=6Lc_%22%3Cscript",
            "https://www.google.com/recaptcha/",
        ),
        (Provider::Hcaptcha, "https://js.hcaptcha.com/1/api.js\"", "https://*.hcaptcha.com"),
        (
            Provider::Turnstile,
            "https://challenges.cloudflare.com/turnstile/v0/api.js\"",
            "https://challenges.cloudflare.com",
        ),
    ] {
        *house.fake.key_set.lock().unwrap() = Some(keys(provider));
        let answer = house.get(&format!("{PAGE}?keys=shop&tenant=demo")).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
        let policy = &answer.headers["content-security-policy"];
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-") && policy.contains(source), "{policy}");
        let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
        assert!(!scripts.contains("unsafe") && !scripts.contains("'self'"), "{scripts}");
        assert_eq!(answer.text.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "{}", answer.text);
        assert_eq!(answer.text.matches("<script").count(), 2, "nothing of the settings became markup: {}", answer.text);
        assert!(answer.text.contains(&format!("src=\"{script}")), "{}", answer.text);
        assert!(!answer.text.contains("fingerprint-of-the-secret") && !answer.text.contains("book\"ing"));
        assert!(!answer.text.contains("{site_key}") && !answer.text.contains("{element}"), "{}", answer.text);
        let again = house.get(&format!("{PAGE}?keys=shop&tenant=demo")).await;
        assert_ne!(&again.headers["content-security-policy"], policy, "a nonce is used once");
    }
}

#[tokio::test]
async fn the_test_page_needs_a_tenant_and_a_key_set() {
    let house = House::new(Side::Internal);
    *house.fake.key_set.lock().unwrap() = Some(keys(Provider::Turnstile));
    for (query, expected) in [
        ("?tenant=demo&keys=shop", None),
        ("?tenant=demo&keys=shop&keys=x", None),
        ("?tenant=demo", Some((400, 501))),
        ("?keys=shop", Some((400, 501))),
        ("?tenant=demo&keys=other", Some((404, 404))),
        ("?tenant=other&keys=shop", Some((404, 404))),
        ("?tenant=%0A&keys=shop", Some((400, 501))),
    ] {
        let answer = house.get(&format!("{PAGE}{query}")).await;
        match expected {
            None => assert_eq!(answer.status, 200, "{query}"),
            Some(refusal) => assert_eq!(answer.refusal(), refusal, "{query}"),
        }
    }
    let request = Request::get(format!("{PAGE}?keys=shop")).header("ContactCenterID", "demo");
    assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.status, 200);
}
