//! Log-ins at Genesys Web Services and at a provider that speaks OpenID Connect.

use std::fs;
use std::sync::Arc;

use actors::testing::Recorder;
use domain::event::Event;
use domain::ids::TenantId;
use domain::secret::Secret;
use ges::clients::http::{HttpClient, HttpSettings};
use ges::clients::identity::{Client, ClientCredentials, GwsProvider, GwsProviderSettings};
use ges::users::{Provider as _, ProviderError, Trip};

use super::{Browser, soon};
use crate::gws;
use crate::harness::database;
use crate::harness::http::Answer;
use crate::harness::identity::{CLIENT, Identity, SECRET, TOKEN, USER};
use crate::harness::service::{Folder, Options, Service};

/// How users are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Gws,
    Oidc,
}

const WAYS: [Way; 2] = [Way::Gws, Way::Oidc];

fn start(way: Way) -> (Service, Identity) {
    let identity = identity();
    let secret = match way {
        Way::Gws => "GES_AUTHENTICATION_CLIENT_SECRET",
        Way::Oidc => "GES_OIDC_CLIENT_SECRET",
    };
    let options = options(way, &identity).with(secret, SECRET);
    (Service::start(options), identity)
}

fn identity() -> Identity {
    Identity::start(&TenantId::from_name("demo").to_string(), &["demo Supervisors"])
}

/// Without the secret of the client.
fn options(way: Way, identity: &Identity) -> Options {
    let options = Options::default()
        .with("GES_PUBLIC_URL", "http://ges.example")
        .with("GES_USER_REFRESH_SECONDS", 1)
        .with("GES_ALLOW_PRIVATE_DESTINATIONS", true)
        .with("GES_SECURE_COOKIES", false);
    match way {
        Way::Gws => options
            .with("GES_AUTH", "gws")
            .with("GES_GWS_AUTH", identity.url())
            .with("GES_AUTHENTICATION_CLIENT_ID", CLIENT),
        Way::Oidc => {
            options.with("GES_AUTH", "oidc").with("GES_OIDC_ISSUER", identity.url()).with("GES_OIDC_CLIENT_ID", CLIENT)
        }
    }
}

impl Browser {
    /// Goes to the provider and comes back.
    fn try_travel(&mut self, identity: &Identity) -> Answer {
        let there = self.get("/ges/v1/session/login?return=/ges/callbacks");
        assert_eq!(there.status, 303, "{}", there.text());
        self.keep(&there);
        let back = identity.log_in(there.header("location").unwrap());
        self.get(&back)
    }

    /// Logs in at the provider; where it ends.
    fn travel(&mut self, identity: &Identity) -> String {
        let answer = self.try_travel(identity);
        assert_eq!(answer.status, 303, "{}", answer.text());
        self.keep(&answer);
        answer.header("location").unwrap().to_owned()
    }
}

#[test]
fn a_user_logs_in_and_out_at_the_provider() {
    for way in WAYS {
        let (service, identity) = start(way);
        let mut carol = Browser::new(service.external());
        assert_eq!(carol.log_in("carol", "any password").status, 403, "there are no local accounts");
        assert_eq!(carol.travel(&identity), "/ges/callbacks", "{way:?}");
        assert!(carol.cookie.starts_with("ges_session="), "{}", carol.cookie);
        let who = carol.who();
        assert_eq!((who["user"].as_str(), who["tenant"].as_str()), (Some(USER), Some("demo")));
        assert_eq!(who["roles"], serde_json::json!(["supervisor"]));
        let token = carol.cookie.split_once('=').unwrap().1.to_owned();
        let out = carol.ask("DELETE", "/ges/v1/session", "");
        assert_eq!(out.status, 200);
        let address = out.json()["data"]["signOutUrl"].as_str().unwrap_or_default().to_owned();
        match way {
            Way::Gws => assert_eq!((identity.signed_out(), address.as_str()), (1, "")),
            Way::Oidc => assert!(address.starts_with(&format!("{}/oidc/bye?", identity.url())), "{address}"),
        }
        carol.cookie = format!("ges_session={token}");
        assert_eq!(carol.get("/ges/v1/session").status, 401);
        let written = service.everything_written();
        for secret in [SECRET, TOKEN, USER, token.as_str()] {
            assert!(!written.contains(secret), "{way:?}: {secret} was logged");
        }
        assert!(!identity.heard().is_empty());
    }
}

#[test]
fn nobody_comes_back_who_did_not_go_and_nobody_twice() {
    for way in WAYS {
        let (service, identity) = start(way);
        let mut carol = Browser::new(service.external());
        let there = carol.get("/ges/v1/session/login?return=https://evil.example/");
        carol.keep(&there);
        let trip = carol.cookie.clone();
        let back = identity.log_in(there.header("location").unwrap());
        let mut mallory = Browser::new(service.external());
        assert_eq!(mallory.get(&back).status, 401, "another browser");
        let (path, _) = back.split_once("&state=").unwrap();
        assert_eq!(carol.get(&format!("{path}&state=forged")).status, 401);
        assert_eq!(carol.get("/ges/v1/session/callback?error=access_denied").status, 401);
        let answer = carol.get(&back);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/ges/")), "no other site");
        carol.cookie = trip;
        assert_eq!(carol.get(&back).status, 401, "a code counts once");
    }
}

#[test]
fn an_address_that_is_refused_again_and_again_waits() {
    let (service, _identity) = start(Way::Oidc);
    let mut mallory = Browser::new(service.external());
    let there = mallory.get("/ges/v1/session/login");
    mallory.keep(&there);
    let forged = "/ges/v1/session/callback?code=forged&state=forged";
    for _ in 0..20 {
        assert_eq!(mallory.get(forged).status, 401);
    }
    let waits = (0..40).map(|_| mallory.get(forged)).find(|answer| answer.status == 429).unwrap();
    assert!(waits.header("retry-after").is_some(), "{}", waits.text());
    let (cookie, csrf) = (mallory.cookie, mallory.csrf);
    let mut other = Browser { cookie, csrf, ..Browser::behind(service.external(), "198.51.100.7") };
    assert_eq!(other.get(forged).status, 401, "behind a proxy everybody has an address of their own");
}

#[test]
fn groups_that_change_during_a_session_change_what_is_allowed() {
    for way in WAYS {
        let (service, identity) = start(way);
        let mut carol = Browser::new(service.external());
        carol.travel(&identity);
        assert_eq!(carol.who()["roles"], serde_json::json!(["supervisor"]));
        identity.set_groups(&["demo Administrators", "Platform Read Only"]);
        let both = serde_json::json!(["administrator", "devops"]);
        soon("the new roles", || carol.who()["roles"] == both);
        // A token that is taken no more is replaced by a newer one.
        let given = identity.given();
        identity.expire_tokens();
        soon("a newer token", || {
            assert_eq!(carol.get("/ges/v1/session").status, 200, "{way:?}");
            identity.given() > given
        });
        // What was known holds while nobody can be asked.
        identity.set_down(true);
        let asked = identity.heard().len();
        soon("a question in vain", || {
            assert_eq!(carol.get("/ges/v1/session").status, 200, "{way:?}");
            identity.heard().len() > asked
        });
        identity.set_down(false);
        identity.set_groups(&[]);
        soon("no roles", || carol.who()["roles"] == serde_json::json!([]));
        assert_eq!(carol.ask("POST", "/ges/v1/callbacks/search", "{}").status, 403, "nothing is allowed by default");
        identity.forget_user();
        soon("the user is out", || carol.get("/ges/v1/session").status == 401);
    }
}

#[test]
fn a_user_of_a_linked_contact_centre_has_the_groups_of_the_configuration() {
    let platform = gws::acme();
    platform.with(|state| state.users = vec![(101, "ann", vec!["demo Supervisors"])]);
    let options = gws::options(&platform)
        .with("GES_AUTH", "gws")
        .with("GES_PUBLIC_URL", "http://ges.example")
        .with("GES_SECURE_COOKIES", false);
    let folder = Folder::new();
    gws::link(&folder, &options);
    let service = Service::start_in(folder, options);
    let mut ann = Browser::new(service.external());
    let there = ann.get("/ges/v1/session/login");
    ann.keep(&there);
    let state = there.header("location").unwrap().split_once("&state=").unwrap().1;
    let state = state.split('&').next().unwrap();
    let back = format!("/ges/v1/session/callback?code=code-of-ann&state={state}");
    // Nothing is known of users before the settings were read once.
    soon("the user is let in", || {
        let answer = ann.get(&back);
        if answer.status == 303 {
            ann.keep(&answer);
        }
        answer.status == 303
    });
    let who = ann.who();
    assert_eq!((who["user"].as_str(), who["tenant"].as_str()), (Some("ann"), Some("demo")));
    assert_eq!(who["roles"], serde_json::json!(["supervisor"]));
}

#[test]
fn who_belongs_to_another_tenant_by_now_is_put_out() {
    for way in WAYS {
        let (service, identity) = start(way);
        let mut carol = Browser::new(service.external());
        carol.travel(&identity);
        identity.set_tenant("elsewhere");
        soon("the user has moved", || carol.get("/ges/v1/session").status == 401);
    }
}

#[test]
fn a_new_secret_of_the_client_counts_without_a_restart() {
    for (way, file) in [(Way::Gws, "AUTHENTICATION-CLIENT-PASSWORD"), (Way::Oidc, "OIDC-CLIENT-SECRET")] {
        let (identity, secrets) = (identity(), tempfile::tempdir().unwrap());
        let put = |secret: &str| fs::write(secrets.path().join(file), secret).unwrap();
        put("marker-old-client-secret-7e11");
        let options = options(way, &identity).with("GES_CONFIG_FOLDERS", secrets.path().display());
        let service = Service::start(options);
        let refused = Browser::new(service.external()).try_travel(&identity);
        assert_eq!(refused.status, 503, "{way:?}: {}", refused.text());
        put(SECRET);
        soon("a log-in with the new secret", || Browser::new(service.external()).try_travel(&identity).status == 303);
        let written = service.everything_written();
        assert!(!written.contains("marker-old-client-secret-7e11") && !written.contains(SECRET), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_is_told_apart_from_a_code_that_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (identity, heard) = (identity(), Arc::new(Recorder::default()));
    let http = Arc::new(HttpClient::new(&HttpSettings::default(), heard.clone()).unwrap());
    let credentials = ClientCredentials::new(CLIENT, Some(Secret::new("marker-wrong")));
    let client = Client { credentials: credentials.clone(), public_url: "http://ges.example".to_owned() };
    let settings = GwsProviderSettings { auth: identity.url(), public_auth: identity.url(), client };
    let provider = GwsProvider::new(http, heard.clone(), settings);
    let trip = Trip::new("/ges/", i64::MAX).unwrap();
    let refused = async || provider.arrive("any code", &trip).await.map(drop).err();
    let told = || heard.count(|event| *event == Event::GwsClientRefused);
    assert_eq!((refused().await, told()), (Some(ProviderError::ClientRefused), 1));
    credentials.replace(CLIENT, Some(Secret::new(SECRET)));
    assert_eq!((refused().await, told()), (Some(ProviderError::Refused), 1), "it is the code now");
    identity.set_down(true);
    assert!(matches!(refused().await, Some(ProviderError::Unavailable(_))));
    assert_eq!(heard.count(|event| *event == Event::GwsFailed), 1, "log-ins are calls to GWS like others");
}

#[test]
fn a_user_of_no_tenant_is_not_let_in_and_one_of_a_tenant_that_goes_is_put_out() {
    let (service, identity) = start(Way::Gws);
    let mut carol = Browser::new(service.external());
    carol.travel(&identity);
    let data = service.folder().data();
    database::run(&data, "UPDATE tenants SET settings = NULL, name = NULL WHERE name = 'demo'");
    database::run(&data, "UPDATE installation SET epoch = epoch + 1");
    soon("the users of a tenant that is gone are out", || carol.get("/ges/v1/session").status == 401);
    let there = carol.get("/ges/v1/session/login");
    carol.keep(&there);
    let back = identity.log_in(there.header("location").unwrap());
    assert_eq!(carol.get(&back).status, 403);
}

#[test]
fn without_the_provider_nobody_logs_in_and_bookings_go_on() {
    let (service, identity) = start(Way::Oidc);
    identity.set_down(true);
    let mut carol = Browser::new(service.external());
    assert_eq!(carol.get("/ges/v1/session/login").status, 503);
    let mut client = crate::harness::api::client(service.external());
    let body = crate::harness::api::booking("+14165550101", None);
    assert_eq!(crate::harness::api::create(&mut client, None, &body).unwrap().status, 200);
    identity.set_down(false);
    soon("the provider is there again", || carol.get("/ges/v1/session/login").status == 303);
}
