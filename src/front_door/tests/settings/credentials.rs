//! Credentials of tenants, and keys that somebody asks about.

use super::*;

#[tokio::test]
async fn credentials_come_in_and_never_go_out() {
    let office = Office::new().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let all = async {
        let put = async |path: &str, body: &serde_json::Value| {
            office.ask("PUT", &format!("/ges/v1/credentials/{path}")).json(body).send().await
        };
        let mut answers = vec![
            put("captcha/web", &json!({"secretKey": "planted-captcha"})).await,
            put("gws", &json!({"userName": "u", "password": "planted-password"})).await,
            put("webhook/crm", &json!({"secret": "whsec_plantedplantedplantedplanted/web"})).await,
        ];
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        for (path, body, status) in [
            ("push", json!({"type": "service_account", "private_key": "planted-key"}), 400),
            ("push", json!({"secretKey": "planted"}), 400),
            ("gws", json!({"userName": "planted"}), 400),
            ("captcha/web", json!(["planted"]), 400),
            ("planted", json!({}), 400),
            ("captcha/web%07", json!({"secretKey": "planted-captcha"}), 400),
        ] {
            let answer = put(path, &body).await;
            assert_eq!(answer.status, status, "{path} {answer:?}");
            answers.push(answer);
        }
        answers.push(office.ask("GET", "/ges/v1/credentials").send().await);
        answers.push(office.ask("GET", TENANT).send().await);
        answers
    };
    let answers = all.with_subscriber(subscriber).await;
    let list = answers[answers.len() - 2].json();
    let kept: Vec<_> = list["data"]["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}/{}", it["kind"].as_str().unwrap(), it["name"].as_str().unwrap()))
        .collect();
    assert_eq!(kept, ["captcha/web", "gws/default", "webhook/crm"]);
    let told: String = answers.iter().map(|answer| answer.text.as_str()).collect();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let tenant = TenantId::from_name("demo");
    let sealed = office.store.credentials(tenant).await.unwrap();
    let kept = office.store.sealed(tenant, &sealed[0].fingerprint).await.unwrap().unwrap();
    for shown in [told, log, String::from_utf8_lossy(&kept).into_owned()] {
        assert!(!shown.contains("planted"), "{shown}");
    }
    let remove = async |path: &str| office.ask("DELETE", &format!("/ges/v1/credentials/{path}")).send().await;
    assert_eq!(remove("gws").await.status, 200);
    assert_eq!(remove("gws").await.refusal(), (404, 404));
}

#[tokio::test]
async fn a_credential_in_use_stays() {
    let office = Office::new().await;
    let put = |body| office.ask("PUT", "/ges/v1/credentials/captcha/web").json(&body);
    let first = put(json!({"secretKey": "0x-first-secret"})).send().await.json();
    let captcha = |fingerprint: &serde_json::Value| json!({"keys": {"web": {"provider": "hcaptcha", "siteKey": "s", "secretKey": {"sealed": fingerprint}, "minScore": 0.5, "whenUnavailable": "refuse"}}});
    let document = json!({"tenant": "demo", "captcha": captcha(&first["data"]["fingerprint"])});
    assert_eq!(office.ask("PUT", TENANT).json(&document).matching("*").send().await.status, 200);
    let second = put(json!({"secretKey": "0x-second-secret"})).send().await.json();
    let read = office.ask("GET", TENANT).send().await.json();
    assert_eq!(read["captcha"], captcha(&second["data"]["fingerprint"]), "it took its place");
    let refused = office.ask("DELETE", "/ges/v1/credentials/captcha/web").send().await;
    assert_eq!(refused.refusal(), (409, 409));
    assert_eq!(refused.message(), "The settings need it at captcha.keys.web.secretKey: change them first.");
}

#[tokio::test]
async fn a_key_is_judged_in_one_shape() {
    let office = Office::new().await;
    let verdict = async |key: &str, tenant: Option<&str>| {
        let mut request = Request::post("/ges/v1/api-keys/validate").header("content-type", "application/json");
        if let Some(tenant) = tenant {
            request = request.header("ContactCenterID", tenant);
        }
        let body = json!({"key": key}).to_string();
        office.house.send(request.body(Body::from(body)).unwrap()).await.json()["data"].clone()
    };
    let invalid = json!({"valid": false, "tenant": null, "label": null, "scopes": []});
    let valid = verdict("other-key", None).await;
    assert_eq!(
        (&valid["valid"], &valid["tenant"], &valid["label"]),
        (&json!(true), &json!("other"), &json!("key of other"))
    );
    assert_eq!(valid["scopes"].as_array().map(Vec::len), Some(7));
    assert_eq!(verdict("other-key", Some("other")).await, valid);
    assert_eq!(verdict("other-key", Some("demo")).await, invalid);
    assert_eq!(verdict("planted-unknown", None).await, invalid);
    for body in ["{}", r#"{"key": ""}"#, r#"{"key": 7}"#, "[]", "x"] {
        let request = Request::post("/ges/v1/api-keys/validate").body(Body::from(body)).unwrap();
        assert_eq!(office.house.send(request).await.refusal(), (400, 501), "{body}");
    }
}
