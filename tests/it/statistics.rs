//! The statistics service over real HTTP: how often it is asked, and what becomes of its moods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::testing::{FakeSecrets, Recorder};
use domain::gws::GwsSettings;
use domain::ids::TenantId;
use domain::ports::{CredentialCheck as _, CredentialRefused, OfferedCredential, Statistics, StatisticsError};
use domain::secret::{CredentialKind, Secret, SecretRef};
use domain::tenant::TenantDocument;
use ges::clients::gws::{GwsAddresses, GwsClient};
use ges::clients::http::{HttpClient, HttpSettings, Private};

use crate::harness::gws::{CLIENT, PASSWORD, SECRET, STATISTICS, TOKEN, TOKENS, USER, honest, server};
use crate::harness::outside::{Heard, Outside, Says};
use crate::harness::{api, poll};

const REQUEST: &str = r#"{"data":{"statistics":[{"name":"EWT","objectId":"q","objectType":"Queue"}]}}"#;
/// Never satisfied by what is kept.
const ANEW: Duration = Duration::ZERO;
const YOUNG: Duration = Duration::from_secs(15);

fn sealed(name: &str) -> SecretRef {
    SecretRef::Sealed(name.to_owned())
}

fn settings() -> GwsSettings {
    GwsSettings {
        auth_url: None,
        stats_url: None,
        client_id: CLIENT.to_owned(),
        client_secret: sealed("client"),
        user: None,
    }
}

fn user(name: &str) -> String {
    serde_json::json!({ "userName": name, "password": PASSWORD }).to_string()
}

struct World {
    client: Arc<GwsClient>,
    gws: Outside,
}

impl World {
    fn new(script: impl Fn(&Heard) -> Says + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gws = Outside::start(script);
        let secrets = Arc::new(FakeSecrets::default());
        for tenant in ["demo", "other"] {
            let tenant = TenantId::from_name(tenant);
            secrets.know(tenant, sealed("client"), SECRET);
            secrets.know(tenant, sealed("user"), &user(USER));
            secrets.know(tenant, sealed("nobody"), &user("nobody"));
            secrets.know(tenant, sealed("odd"), PASSWORD);
            secrets.know(tenant, sealed("wrong"), "marker-wrong-secret");
        }
        let http = HttpClient::new(&HttpSettings::default(), Arc::new(Recorder::default())).unwrap();
        let addresses = GwsAddresses { auth: Some(gws.url()), stats: Some(gws.url() + "/") };
        Self { client: Arc::new(GwsClient::new(Arc::new(http), secrets, addresses)), gws }
    }

    async fn ask_as(
        &self,
        tenant: &str,
        settings: &GwsSettings,
        request: &str,
        max_age: Duration,
    ) -> Result<String, StatisticsError> {
        let tenant = TenantId::from_name(tenant);
        self.client.ask(tenant, settings, request, max_age).await.map(|answer| answer.to_string())
    }

    async fn ask(&self, max_age: Duration) -> Result<String, StatisticsError> {
        self.ask_as("demo", &settings(), REQUEST, max_age).await
    }

    /// Requests for tokens and for statistics.
    fn counts(&self) -> (usize, usize) {
        (self.gws.count(TOKENS), self.gws.count(STATISTICS))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_equal_requests_ask_once() {
    let world = World::new(honest());
    world.gws.hold();
    let asking: Vec<_> = (0..200)
        .map(|_| {
            let client = world.client.clone();
            let ask = async move { client.ask(TenantId::from_name("demo"), &settings(), REQUEST, YOUNG).await };
            tokio::spawn(ask)
        })
        .collect();
    poll::until("the token is asked for", Duration::from_secs(10), || (world.gws.count(TOKENS) == 1).then_some(()));
    world.gws.release();
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.unwrap().unwrap());
    }
    assert_eq!(world.counts(), (1, 1));
    let answer: serde_json::Value = serde_json::from_str(&answers[0]).unwrap();
    assert_eq!(answer["data"]["statistics"][0]["value"], 42);
    assert!(answers.iter().all(|other| *other == answers[0]));
    assert_eq!(world.gws.heard()[1].body, REQUEST, "it is passed on as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_serves_again_while_it_is_young_and_for_its_question_only() {
    let world = World::new(honest());
    for _ in 0..10 {
        world.ask(YOUNG).await.unwrap();
    }
    assert_eq!(world.counts(), (1, 1));
    world.ask(ANEW).await.unwrap();
    assert_eq!(world.counts(), (1, 2), "too old for this one");
    world.ask_as("demo", &settings(), r#"{"data":{"statistics":[]}}"#, YOUNG).await.unwrap();
    assert_eq!(world.counts(), (1, 3), "another request");
    // The server takes its newest token only, and the other tenant gets one of its own.
    world.ask_as("other", &settings(), REQUEST, YOUNG).await.unwrap();
    assert_eq!(world.counts(), (2, 4), "another tenant shares neither answers nor tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_in_between_is_renewed_once() {
    let world = World::new(honest());
    world.ask(ANEW).await.unwrap();
    // It forgets all tokens, as after a restart.
    world.gws.say(honest());
    world.ask(ANEW).await.unwrap();
    assert_eq!(world.counts(), (2, 3), "the old token was tried once, then a new one");
    world.gws.say(|heard| match heard.path.as_str() {
        STATISTICS => Says::Answer(401, String::new()),
        _ => Says::json(&serde_json::json!({ "access_token": "other" })),
    });
    assert_eq!(world.ask(ANEW).await, Err(StatisticsError::CredentialsRefused));
    assert_eq!(world.counts(), (3, 5), "and not again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_and_not_tried_without_end() {
    let world = World::new(honest());
    let wrong = GwsSettings { client_secret: sealed("wrong"), ..settings() };
    for _ in 0..20 {
        let refused = world.ask_as("demo", &wrong, REQUEST, ANEW).await;
        assert_eq!(refused, Err(StatisticsError::CredentialsRefused));
    }
    assert_eq!(world.counts(), (1, 0));
    let unknown = GwsSettings { client_secret: sealed("gone"), ..settings() };
    assert_eq!(world.ask_as("demo", &unknown, REQUEST, ANEW).await, Err(StatisticsError::NoCredentials));
    assert!(world.ask(ANEW).await.is_ok(), "others are not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_asks_with_a_password() {
    let world = World::new(honest());
    let as_user = |secret: &str| GwsSettings { user: Some(sealed(secret)), ..settings() };
    world.ask_as("demo", &as_user("user"), REQUEST, ANEW).await.unwrap();
    let form = world.gws.heard()[0].form();
    assert_eq!((form["grant_type"].as_str(), form["username"].as_str()), ("password", USER));
    let refused = world.ask_as("demo", &as_user("nobody"), REQUEST, ANEW).await;
    assert_eq!(refused, Err(StatisticsError::CredentialsRefused));
    assert_eq!(world.ask_as("demo", &as_user("odd"), REQUEST, ANEW).await, Err(StatisticsError::NoCredentials));
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_service_is_told_without_secrets_and_passes() {
    type Mood = fn(&Heard) -> Says;
    let moods: [(&str, Mood, usize); 5] = [
        ("it fails", |_| Says::Answer(500, "secret trouble".to_owned()), 1),
        ("it is overloaded", |_| Says::Answer(503, String::new()), 2),
        ("it breaks off", |_| Says::half(), 2),
        ("it is no HTTP", |_| Says::Raw("what?\r\n\r\n".to_owned()), 2),
        ("it is no JSON", |_| Says::Answer(200, "<html>".to_owned()), 1),
    ];
    for (what, mood, asked) in moods {
        let world = World::new(honest());
        world.ask(ANEW).await.unwrap();
        world.gws.say(mood);
        let before = world.gws.count(STATISTICS);
        let refused = world.ask(ANEW).await;
        let Err(StatisticsError::Unavailable(why)) = &refused else { panic!("{what}: {refused:?}") };
        for secret in [SECRET, TOKEN, "secret trouble", "127.0.0.1"] {
            assert!(!why.contains(secret), "{what}: {why}");
        }
        assert_eq!(
            world.gws.count(STATISTICS) - before,
            asked,
            "{what}: reading twice does no harm, where it may help"
        );
        assert!(world.ask(YOUNG).await.is_ok(), "{what}: an answer that is young enough still serves");
        // The token is good for the honest one of before only.
        world.gws.say(honest());
        assert!(world.ask(ANEW).await.is_ok(), "{what}: it recovers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_request_are_not_outages() {
    let world = World::new(honest());
    world.ask(ANEW).await.unwrap();
    world.gws.say(|_| Says::Answer(400, r#"{"status":{"code":1}}"#.to_owned()));
    assert_eq!(world.ask(ANEW).await, Err(StatisticsError::RequestRefused));
    world.gws.say(|_| Says::Answer(403, String::new()));
    assert_eq!(world.ask(ANEW).await, Err(StatisticsError::CredentialsRefused));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_asked_about_before_they_are_kept() {
    let world = World::new(honest());
    let check = async |name, secret: &str, settings: GwsSettings| {
        let settings = TenantDocument { gws: Some(settings), ..TenantDocument::default() };
        let (tenant, kind, secret) = (TenantId::from_name("demo"), CredentialKind::Gws, Secret::new(secret));
        let offered = OfferedCredential { tenant, kind, name, settings: &settings, secret: &secret };
        world.client.check(offered).await
    };
    assert_eq!(check("clientSecret", SECRET, settings()).await, Ok(()));
    let wrong = check("clientSecret", "marker-wrong-secret", settings()).await;
    assert!(matches!(wrong, Err(CredentialRefused::Refused(_))), "{wrong:?}");
    let named = GwsSettings { user: Some(sealed("user")), ..settings() };
    assert_eq!(check("user", &user(USER), named.clone()).await, Ok(()));
    let nobody = check("user", &user("nobody"), named.clone()).await;
    assert!(matches!(nobody, Err(CredentialRefused::Refused(_))), "{nobody:?}");
    assert_eq!(world.counts(), (4, 0));
    let other = GwsSettings { client_secret: SecretRef::Env("SECRET".to_owned()), ..named };
    assert_eq!(check("user", &user("nobody"), other).await, Ok(()), "not without its client");
    let away = GwsSettings { auth_url: Some("https://127.0.0.1:1".to_owned()), ..settings() };
    let unasked = check("clientSecret", SECRET, away).await;
    assert!(matches!(unasked, Err(CredentialRefused::NotAsked(_))), "{unasked:?}");
    assert_eq!(world.counts(), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_service_is_waited_for_under_a_deadline() {
    let world = World::new(honest());
    world.ask(ANEW).await.unwrap();
    world.gws.say(|_| Says::Silence);
    let began = Instant::now();
    assert!(matches!(world.ask(ANEW).await, Err(StatisticsError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_nothing_is_asked_and_a_tenants_own_is_judged() {
    let world = World::new(honest());
    let private = GwsSettings { stats_url: Some(server().url()), ..settings() };
    let refused = world.ask_as("demo", &private, REQUEST, ANEW).await;
    assert!(matches!(refused, Err(StatisticsError::Unavailable(_))), "{refused:?}");
    let http = HttpClient::new(
        &HttpSettings { private: Private::Allowed, ..HttpSettings::default() },
        Arc::new(Recorder::default()),
    );
    let secrets = Arc::new(FakeSecrets::default());
    let tenant = TenantId::from_name("demo");
    secrets.know(tenant, sealed("client"), SECRET);
    let client = GwsClient::new(Arc::new(http.unwrap()), secrets, GwsAddresses::default());
    let asked = client.ask(tenant, &settings(), REQUEST, ANEW).await;
    assert_eq!(asked, Err(StatisticsError::NotConfigured));
    let own = server();
    let named = GwsSettings { auth_url: Some(own.url()), stats_url: Some(own.url()), ..settings() };
    assert!(client.ask(tenant, &named, REQUEST, ANEW).await.is_ok());
}

#[test]
fn two_hundred_clients_with_one_question_ask_the_service_once() {
    let (outside, gws) = (crate::harness::captcha::provider(), server());
    let mut service = crate::captcha::service(&outside, &gws);
    gws.hold();
    let external = service.external();
    const PATH: &str = "/engagement/v3/statistics/operations/get-statistic-ex";
    let asking: Vec<_> = (0..200)
        .map(|_| {
            std::thread::spawn(move || {
                api::client(external).post_json(PATH, &[("Cache-Control", "max-age=60")], REQUEST)
            })
        })
        .collect();
    poll::until("the token is asked for", Duration::from_secs(20), || (gws.count(TOKENS) == 1).then_some(()));
    gws.release();
    for asked in asking {
        let answer = asked.join().unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["data"]["data"]["statistics"][0]["value"], 42);
    }
    assert_eq!((gws.count(TOKENS), gws.count(STATISTICS)), (1, 1));
    assert_eq!(gws.heard()[0].form()["username"], USER);

    // Kept answers outlive the service behind them, and nothing else does.
    gws.say(|_| Says::Nothing);
    let mut client = api::client(external);
    assert_eq!(client.post_json(PATH, &[("Cache-Control", "max-age=60")], REQUEST).unwrap().status, 200);
    let other = REQUEST.replace("\"q\"", "\"other\"");
    let failed = client.post_json(PATH, &[], &other).unwrap();
    assert_eq!((failed.status, failed.code()), (500, Some(500)), "{}", failed.text());
    let preflight = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")];
    let allowed = client.request("OPTIONS", PATH, &preflight, b"").unwrap();
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    // What is saved is told at TRACE, so a log without that level was written at another one.
    let free = api::create(&mut client, None, r#"{"serviceName":"free","phoneNumber":"+14165550101"}"#).unwrap();
    assert_eq!(free.status, 200, "{}", free.text());
    assert!(service.sigterm().success());
    let log = service.everything_written();
    for secret in [SECRET, PASSWORD, TOKEN] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    assert!(log.contains("\"TRACE\""), "nothing was logged at TRACE");
}
