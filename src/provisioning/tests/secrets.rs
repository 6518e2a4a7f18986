use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::json;

use super::*;

const SECRET: &str = "0x-planted-secret";

fn captcha(name: &str, key: &str) -> String {
    format!("tenant: acme\ncaptcha: {{keys: {{{name}: {{provider: hcaptcha, siteKey: s, secretKey: {key}}}}}}}\n")
}

/// A service account whose key is a PEM key, though not one that Google would make.
fn service_account() -> String {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key.as_ref()));
    json!({"type": "service_account", "project_id": "p", "client_email": "a@p.example", "private_key": pem, "token_uri": "https://token.example"})
        .to_string()
}

#[tokio::test]
async fn a_secret_is_sealed_and_only_its_fingerprint_shows() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    office.apply(&captcha("web", "{env: KEY}")).await;
    let exported = office.exported("acme").await;
    let fingerprint = text_at(&exported, "captcha.keys.web.secretKey.sealed");
    assert_eq!(office.sealed("acme").await, [("captcha", "web".to_owned(), fingerprint.clone())]);
    assert_eq!(office.reveal("acme", &fingerprint).await.as_deref(), Ok(SECRET));
    let plan = office.plan(&captcha("web", "{env: KEY}")).await.unwrap();
    assert_eq!(plan.differences, [], "the same secret is no change");
    for shown in [exported, format!("{plan:?}"), format!("{:?}", office.store.tenants().await)] {
        assert!(!shown.contains("planted"), "{shown}");
    }
    assert_eq!(office.provider.asked.lock().unwrap().len(), 1, "what is known is not asked about again");
}

#[tokio::test]
async fn a_secret_follows_the_name_that_refers_to_it_and_goes_with_the_last() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    office.apply(&captcha("web", "{env: KEY}")).await;
    let fingerprint = text_at(&office.exported("acme").await, "captcha.keys.web.secretKey.sealed");
    let sealed = format!("{{sealed: {fingerprint}}}");
    office.apply(&captcha("app", &sealed)).await;
    assert_eq!(office.sealed("acme").await, [("captcha", "app".to_owned(), fingerprint.clone())]);
    // Its old name is free for another secret.
    office.plant("OTHER", "another-planted-secret");
    let web = "web: {provider: hcaptcha, siteKey: s, secretKey: {env: OTHER}}";
    office.apply(&captcha("app", &sealed).replace("{app:", &format!("{{{web}, app:"))).await;
    assert_eq!(office.sealed("acme").await.len(), 2);
    assert_eq!(office.reveal("acme", &fingerprint).await.as_deref(), Ok(SECRET));
    office.apply("tenant: acme\n").await;
    assert_eq!(office.sealed("acme").await, []);
    office.vault.forget();
    assert_eq!(office.reveal("acme", &fingerprint).await, Err(SecretError::Unknown));
    let wrong = office.wrong(&captcha("web", &sealed)).await;
    let expected =
        format!("captcha.keys.web.secretKey: no secret of that fingerprint is kept for this tenant, not {fingerprint}");
    assert_eq!(wrong, [expected]);
}

#[tokio::test]
async fn secrets_are_walled_by_tenant() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    office.apply(&captcha("web", "{env: KEY}")).await;
    let fingerprint = text_at(&office.exported("acme").await, "captcha.keys.web.secretKey.sealed");
    let theirs = captcha("web", &format!("{{sealed: {fingerprint}}}")).replace("acme", "other");
    assert_eq!(office.wrong(&theirs).await.len(), 1);
    office.apply("tenant: other\n").await;
    assert_eq!(office.reveal("other", &fingerprint).await, Err(SecretError::Unknown));
}

#[tokio::test]
async fn wrong_secrets_are_mistakes_that_repeat_nothing() {
    let mut office = Office::new();
    let account = service_account();
    let broken = account.replace("-----BEGIN", "planted-BEGIN");
    for (name, text) in [
        ("SHORT", "planted"),
        ("LINES", "planted\nplanted"),
        ("TEXT", "planted"),
        ("BROKEN", &broken),
        ("FCM", &account),
    ] {
        office.plant(name, text);
    }
    let fcm = |key: &str| format!("tenant: acme\npush: {{fcm: {{file: {key}}}}}\n");
    for (document, expected) in [
        (captcha("web", "{env: NOWHERE}"), "captcha.keys.web.secretKey: is not there"),
        (
            captcha("web", "{env: SHORT}"),
            "captcha.keys.web.secretKey: has to be one line of 8 to 256 letters, digits and signs",
        ),
        (
            captcha("web", "{file: LINES}"),
            "captcha.keys.web.secretKey: has to be one line of 8 to 256 letters, digits and signs",
        ),
        (
            captcha("web", "planted"),
            "captcha.keys.web.secretKey: has to be {file: PATH}, {env: VARIABLE} or {sealed: FINGERPRINT}",
        ),
        (fcm("TEXT"), "push.fcm: has to be the JSON key file of a service account"),
        (fcm("BROKEN"), "push.fcm: has to be the JSON key file of a service account; its private_key is no PEM key"),
    ] {
        let told = office.wrong(&document).await;
        assert_eq!(told, [expected], "{document}");
        assert!(!told.join("").contains("planted"));
    }
    office.apply(&fcm("FCM")).await;
    assert_eq!(office.sealed("acme").await[0].1, "fcm");
}

#[tokio::test]
async fn whoever_asks_over_the_network_names_no_files() {
    let office = Office::new();
    let order = Order { actor: "api", source: &NoSource, ask_providers: true };
    for key in ["{file: /etc/passwd}", "{env: HOME}"] {
        let refused = office.provisioning.plan(parse(&captcha("web", key)).unwrap(), &order).await;
        let Err(ProvisioningError::Mistakes(mistakes)) = refused else { panic!("{refused:?}") };
        assert!(mistakes[0].rule.starts_with("has to be sealed"), "{mistakes:?}");
    }
}

#[tokio::test]
async fn files_are_read_whole_without_their_line_end() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &[u8]| {
        std::fs::write(folder.path().join(name), text).unwrap();
        FromProcess.read(&SecretRef::File(folder.path().join(name).display().to_string()))
    };
    assert_eq!(file("a", b"  key \r\n\n").unwrap().reveal(), "  key ");
    assert_eq!(file("b", b"\n").unwrap_err(), "is empty");
    assert!(file("c", &[0xff, 0xfe]).unwrap_err().contains("cannot be read"));
    assert!(file("d", &vec![b'x'; 70_000]).unwrap_err().contains("longer than a secret can be"));
    assert!(FromProcess.read(&SecretRef::Env("GES_NO_SUCH_VARIABLE".to_owned())).unwrap_err().contains("is not set"));
}

#[tokio::test]
async fn the_provider_has_the_last_word_if_it_can_be_asked() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    let document = captcha("web", "{env: KEY}");
    *office.provider.answer.lock().unwrap() = Some(CredentialRefused::Refused("unknown key".to_owned()));
    assert_eq!(office.wrong(&document).await, ["captcha.keys.web.secretKey: the provider refused it: unknown key"]);
    *office.provider.answer.lock().unwrap() = Some(CredentialRefused::NotAsked("timeout".to_owned()));
    let plan = office.plan(&document).await.unwrap();
    assert_eq!(plan.remarks, ["captcha.keys.web.secretKey: the provider could not be asked: timeout"]);
    let asked = office.provider.asked.lock().unwrap().len();
    let quiet = Order { ask_providers: false, ..office.order() };
    office.provisioning.plan(parse(&document).unwrap(), &quiet).await.unwrap();
    assert_eq!(office.provider.asked.lock().unwrap().len(), asked, "a comparison asks nobody");
}

#[tokio::test]
async fn one_credential_takes_its_place_in_the_document() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    office.apply(&captcha("web", "{env: KEY}")).await;
    let id = TenantId::from_name("acme");
    let put = async |kind, name: &str, text: &str| {
        let planned = office.provisioning.plan_credential(id, kind, name, &Secret::new(text), &office.order()).await;
        let (plan, fingerprint) = planned?;
        office.provisioning.apply(vec![plan]).await?;
        Ok::<_, ProvisioningError>(fingerprint)
    };
    let renewed = put(CredentialKind::Captcha, "web", "0x-another-planted").await.unwrap();
    assert_eq!(text_at(&office.exported("acme").await, "captcha.keys.web.secretKey.sealed"), renewed);
    let fcm = put(CredentialKind::Push, "fcm", &service_account()).await.unwrap();
    assert_eq!(text_at(&office.exported("acme").await, "push.fcm.sealed"), fcm);
    // No section asks for it yet: it lies ready.
    let user = r#"{"userName": "u", "password": "p-planted"}"#;
    let gws = put(CredentialKind::Gws, "statistics", user).await.unwrap();
    assert_eq!(put(CredentialKind::Gws, "statistics", user).await.unwrap(), gws, "again");
    let kinds: Vec<_> =
        office.sealed("acme").await.into_iter().map(|(kind, name, _)| format!("{kind}/{name}")).collect();
    assert_eq!(kinds, ["captcha/web", "gws/statistics", "push/fcm"]);
    let refused = put(CredentialKind::Gws, "statistics", "{}").await.unwrap_err();
    assert!(
        matches!(&refused, ProvisioningError::Mistakes(found) if found[0].rule == "has to be a JSON object with userName and password")
    );
    assert!(!office.exported("acme").await.contains("planted"));

    let remove = async |kind, name: &str| {
        let plan = office.provisioning.plan_without_credential(id, kind, name, &office.order()).await?;
        office.provisioning.apply(vec![plan]).await.map_err(ProvisioningError::from)?;
        Ok::<_, CredentialError>(())
    };
    let in_use = remove(CredentialKind::Captcha, "web").await.unwrap_err();
    assert_eq!(in_use.to_string(), "the settings refer to it at captcha.keys.web.secretKey");
    assert!(matches!(
        remove(CredentialKind::Captcha, "app").await,
        Err(CredentialError::Other(ProvisioningError::UnknownEntry))
    ));
    remove(CredentialKind::Push, "fcm").await.unwrap();
    assert!(!office.exported("acme").await.contains("push"));
    remove(CredentialKind::Gws, "statistics").await.unwrap();
    assert_eq!(office.sealed("acme").await.len(), 1);
}

#[tokio::test]
async fn a_signing_key_that_is_replaced_stays_as_the_one_before() {
    let mut office = Office::new();
    let (old, new) = ("whsec_plantedplantedplantedplanted/old", "whsec_plantedplantedplantedplanted/new");
    office.plant("OLD", old);
    office.plant("NEW", new);
    office.plant("LINE", "a-planted-line-of-text");
    let endpoint = |keys: &str| format!("tenant: acme\nwebhooks: {{crm: {{url: 'https://crm.example', {keys}}}}}\n");
    office.apply(&endpoint("secret: {env: OLD}")).await;
    let before = text_at(&office.exported("acme").await, "webhooks.crm.secret.sealed");
    office.apply(&endpoint(&format!("secret: {{env: NEW}}, previousSecret: {{sealed: {before:?}}}"))).await;
    office.vault.forget();
    let after = office.exported("acme").await;
    for (place, text) in [("secret", new), ("previousSecret", old)] {
        let fingerprint = text_at(&after, &format!("webhooks.crm.{place}.sealed"));
        assert_eq!(office.reveal("acme", &fingerprint).await.as_deref(), Ok(text), "{place}");
    }
    let names: Vec<_> = office.sealed("acme").await.into_iter().map(|(kind, name, _)| (kind, name)).collect();
    assert_eq!(names, [("webhook", "crm".to_owned()), ("webhook", "crm.previousSecret".to_owned())]);
    office.apply(&endpoint("secret: {env: NEW}")).await;
    assert_eq!(office.sealed("acme").await.len(), 1, "the change is over");
    let wrong = office.wrong(&endpoint("secret: {env: LINE}")).await;
    assert_eq!(wrong, ["webhooks.crm.secret: has to be whsec_ and a key of 24 to 64 bytes in base64"]);
}

#[tokio::test]
async fn the_vault_remembers_until_it_is_told_to_forget() {
    let mut office = Office::new();
    office.plant("KEY", SECRET);
    office.apply(&captcha("web", "{env: KEY}")).await;
    let fingerprint = office.sealed("acme").await[0].2.clone();
    office.reveal("acme", &fingerprint).await.unwrap();
    let id = TenantId::from_name("acme");
    office.apply("tenant: acme\n").await;
    assert_eq!(office.reveal("acme", &fingerprint).await.as_deref(), Ok(SECRET), "remembered");
    office.vault.forget();
    assert_eq!(office.reveal("acme", &fingerprint).await, Err(SecretError::Unknown));
    let clear = office.vault.reveal(id, &SecretRef::Env("KEY".to_owned())).await;
    assert_eq!(clear, Err(SecretError::NotSealed));
    // Another master key opens nothing.
    office.apply(&captcha("web", "{env: KEY}")).await;
    let other = Vault::new(office.store.clone(), Sealer::new(&RootKey::new([2; 32])).unwrap());
    assert_eq!(other.reveal(id, &SecretRef::Sealed(fingerprint)).await, Err(SecretError::Unreadable));
}
