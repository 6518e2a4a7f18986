use super::*;
use crate::ids::TenantId;
use crate::tenant::TenantDocument;

fn keys(provider: Provider) -> CaptchaKeys {
    CaptchaKeys {
        provider,
        site_key: "public".to_owned(),
        secret_key: SecretRef::Env("CAPTCHA_SECRET".to_owned()),
        min_score: 0.5,
        action: None,
        hostnames: Vec::new(),
        when_unavailable: WhenUnavailable::Refuse,
        verify_url: None,
    }
}

#[test]
fn a_verdict_is_worth_what_the_key_set_asks_of_it() {
    let (v2, v3) = (keys(Provider::RecaptchaV2), keys(Provider::RecaptchaV3));
    let action = CaptchaKeys { action: Some("book".to_owned()), ..keys(Provider::Turnstile) };
    let hosts =
        CaptchaKeys { hostnames: vec!["Shop.example".to_owned(), "b.example".to_owned()], ..keys(Provider::Hcaptcha) };
    let strict = CaptchaKeys { min_score: 0.9, ..keys(Provider::Hcaptcha) };
    let good = || Verdict { success: true, ..Verdict::default() };
    let scored = |score| Verdict { score: Some(score), ..good() };
    let acted = |action: &str| Verdict { action: Some(action.to_owned()), ..good() };
    let hosted = |host: &str| Verdict { hostname: Some(host.to_owned()), ..good() };
    for (keys, verdict, expected) in [
        (&v2, good(), Ok(())),
        (&v2, Verdict::default(), Err(TokenRefusal::Rejected)),
        (&v2, Verdict { success: false, ..scored(1.0) }, Err(TokenRefusal::Rejected)),
        (&v3, scored(0.5), Ok(())),
        (&v3, scored(0.49), Err(TokenRefusal::LowScore)),
        (&v3, scored(f64::NAN), Err(TokenRefusal::LowScore)),
        (&v3, good(), Err(TokenRefusal::LowScore)),
        (&strict, good(), Ok(())),
        (&strict, scored(0.8), Err(TokenRefusal::LowScore)),
        (&action, acted("book"), Ok(())),
        (&action, acted("login"), Err(TokenRefusal::WrongAction)),
        (&action, good(), Err(TokenRefusal::WrongAction)),
        (&hosts, hosted("shop.EXAMPLE"), Ok(())),
        (&hosts, hosted("b.example"), Ok(())),
        (&hosts, hosted("evil-shop.example"), Err(TokenRefusal::WrongHost)),
        (&hosts, good(), Err(TokenRefusal::WrongHost)),
    ] {
        assert_eq!(keys.judge(&verdict), expected, "{keys:?} {verdict:?}");
    }
}

#[test]
fn a_queue_may_say_otherwise_than_its_tenant() {
    let site = |site_key: &str| CaptchaKeys { site_key: site_key.to_owned(), ..keys(Provider::Turnstile) };
    let sets = BTreeMap::from([("shop".to_owned(), site("1")), ("app".to_owned(), site("2"))]);
    for (required, queue, needed) in [
        (None, "inherit", None),
        (Some("shop"), "inherit", Some("1")),
        (Some("shop"), "none", None),
        (Some("shop"), "app", Some("2")),
        (None, "app", Some("2")),
    ] {
        let settings = CaptchaSettings { keys: sets.clone(), required: required.map(str::to_owned) };
        let queue = QueueSettings { captcha: queue.to_owned().into(), ..QueueSettings::default() };
        assert_eq!(settings.needed_by(&queue).map(|keys| keys.site_key.as_str()), needed, "{required:?} {queue:?}");
    }
}

#[test]
fn a_document_is_read_with_its_defaults_and_prints_back() {
    let text =
        r#"{"keys":{"shop":{"provider":"recaptcha-v3","siteKey":"6Lc","secretKey":{"env":"S"}}},"required":"shop"}"#;
    let settings: CaptchaSettings = serde_json::from_str(text).unwrap();
    let shop = &settings.keys["shop"];
    assert_eq!(
        (shop.min_score, shop.when_unavailable, shop.verify_at()),
        (0.5, WhenUnavailable::Refuse, "https://www.google.com/recaptcha/api/siteverify")
    );
    let printed = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<CaptchaSettings>(&printed).unwrap(), settings);
    assert!(serde_json::from_str::<CaptchaSettings>(&text.replace("siteKey", "sitekey")).is_err());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let document: TenantDocument = serde_json::from_str(
        r#"{
        "tenant": "demo",
        "queues": {"support": {"captcha": "lost"}, "sales": {"captcha": "none"}},
        "captcha": {
            "required": "gone",
            "keys": {
                "none": {"provider": "turnstile", "siteKey": "k", "secretKey": {"env": "S"}},
                "bad": {
                    "provider": "hcaptcha", "siteKey": "", "secretKey": {"env": "S"}, "minScore": 1.5, "action": "book",
                    "hostnames": ["https://shop.example"], "verifyUrl": "example.com/verify"
                }
            }
        }
    }"#,
    )
    .unwrap();
    let told: Vec<_> =
        document.resolve(TenantId::from_name("demo")).unwrap_err().iter().map(|error| error.path.clone()).collect();
    assert_eq!(
        told,
        [
            "captcha.keys.bad.siteKey",
            "captcha.keys.bad.minScore",
            "captcha.keys.bad.action",
            "captcha.keys.bad.hostnames.0",
            "captcha.keys.bad.verifyUrl",
            "captcha.keys",
            "captcha.required",
            "queues.support.captcha",
        ]
    );
}
