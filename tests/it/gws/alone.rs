//! The client of GWS alone, without the program round it.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{FakeSecrets, Recorder};
use domain::event::Event;
use domain::ids::TenantId;
use domain::ports::{Connector as _, DirectoryError, UserDirectory, WhichUser};
use domain::secret::Secret;
use domain::tenant::TenantDocument;
use ges::clients::gws::{GwsAddresses, GwsClient, GwsConnector, GwsConnectorSettings, GwsPorts};
use ges::clients::http::{HttpClient, HttpSettings};
use ges::clock::SystemClock;
use ges::stores::sqlite::{SqliteOptions, SqliteStore};

use super::{WITHIN, acme};
use crate::harness::gws::{OBJECTS, OWN_CLIENT, OWN_SECRET, Platform, TOKENS};
use crate::harness::outside::Says;
use crate::harness::poll;
use crate::harness::service::Folder;

/// The client alone, with one tenant.
struct Alone {
    _folder: Folder,
    platform: Platform,
    gws: Arc<GwsConnector>,
    directory: Arc<dyn UserDirectory>,
    heard: Arc<Recorder>,
    tenant: TenantId,
}

impl Alone {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (platform, heard) = (acme(), Arc::new(Recorder::default()));
        let url = platform.server.url();
        let http = Arc::new(HttpClient::new(&HttpSettings::default(), heard.clone()).unwrap());
        let clients = GwsClient::new(http.clone(), Arc::new(FakeSecrets::default()), GwsAddresses::default());
        let (id, secret) = (Secret::new(OWN_CLIENT), Secret::new(OWN_SECRET));
        let (env, conf, refresh) = (None, Some(url.clone()), Duration::from_secs(60));
        let settings = GwsConnectorSettings { auth: url, env, conf, id, secret, refresh };
        let folder = Folder::embedded();
        let store = Arc::new(SqliteStore::open(&folder.data(), SqliteOptions::command()).unwrap());
        let clock = Arc::new(SystemClock::default());
        let ports = GwsPorts { http, observer: heard.clone(), tenants: store, clock, clients: Arc::new(clients) };
        let gws = GwsConnector::new(settings, ports);
        let directory = gws.directory().unwrap();
        let tenant = TenantId::from_name("acme");
        gws.know(&[TenantDocument::with_queues("acme", []).resolve(tenant).unwrap()]);
        Self { _folder: folder, platform, gws, directory, heard, tenant }
    }

    async fn user(&self, which: WhichUser<'_>) -> Result<Option<String>, DirectoryError> {
        let found = self.directory.user(self.tenant, which).await?;
        Ok(found.map(|user| format!("{} {} {}", user.dbid, user.user_name, user.access_groups.join("+"))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_known_by_number_and_name_and_stay_known_while_gws_is_away() {
    let alone = Alone::new();
    alone.platform.with(|state| {
        state.users =
            vec![(101, "Ann", vec!["Acme Supervisors", "Callback Developers"]), (102, "bob", vec!["Acme Supervisors"])];
        state.virtual_queues = vec!["VQ_b", "VQ_a"];
    });
    let ann = Ok(Some("101 Ann Acme Supervisors+Callback Developers".to_owned()));
    let (one, other) = tokio::join!(alone.user(WhichUser::Dbid(101)), alone.user(WhichUser::Named("ANN")));
    assert_eq!((one, other), (ann.clone(), ann.clone()));
    assert_eq!(alone.platform.count(OBJECTS), 3, "one reading for both");
    assert_eq!(alone.user(WhichUser::Dbid(7)).await, Ok(None));
    assert_eq!(alone.platform.count(OBJECTS), 3, "who was not there a moment ago is not looked for again");
    assert_eq!(*alone.directory.virtual_queues(alone.tenant).await.unwrap(), ["VQ_a", "VQ_b"]);
    let other = alone.directory.user(TenantId::from_name("other"), WhichUser::Dbid(101)).await;
    assert_eq!(other.err(), Some(DirectoryError::NotConfigured), "of another tenant nothing is known");

    // Another access group, on demand; then GWS is away.
    alone.platform.with(|state| state.users[1].2 = vec!["Acme Administrators"]);
    alone.gws.refresh().await;
    let bob = Ok(Some("102 bob Acme Administrators".to_owned()));
    assert_eq!(alone.user(WhichUser::Named("Bob")).await, bob);
    alone.platform.with(|state| state.moods.insert("/", Says::Answer(503, String::new())));
    alone.gws.refresh().await;
    assert_eq!((alone.user(WhichUser::Named("bob")).await, alone.user(WhichUser::Dbid(101)).await), (bob, ann));
    assert!(alone.heard.count(|event| *event == Event::GwsFailed) > 0);

    // Virtual queues alone do not come: users do.
    alone.platform.with(|state| {
        state.moods = [("/configuration/v3/objects/dns", Says::Answer(404, String::new()))].into();
        state.users.push((103, "cy", vec![]));
    });
    poll::until("the circuit is closed again", WITHIN, || {
        let read = async {
            alone.gws.refresh().await;
            alone.user(WhichUser::Dbid(103)).await
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(read)).ok().flatten()
    });
    assert!(alone.heard.count(|event| *event == Event::VirtualQueuesNotRead) > 0);
    assert_eq!(*alone.directory.virtual_queues(alone.tenant).await.unwrap(), ["VQ_a", "VQ_b"], "the known ones stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_was_closed_opens_with_a_new_token() {
    let alone = Alone::new();
    alone.gws.open().await.unwrap();
    alone.gws.check().await.unwrap();
    assert_eq!(alone.platform.with(|state| state.given), 1);
    alone.gws.close().await;
    alone.gws.open().await.unwrap();
    assert_eq!(alone.platform.with(|state| state.given), 2);
    assert!(alone.gws.pause() <= Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_can_be_replaced_and_what_was_refused_is_tried_at_once() {
    let alone = Alone::new();
    alone.gws.replace_credentials(Secret::new(OWN_CLIENT), Secret::new("marker-wrong"));
    assert!(alone.gws.open().await.is_err() && alone.gws.open().await.is_err());
    assert_eq!(alone.platform.count(TOKENS), 1, "what was refused is not shown again");
    assert_eq!(alone.heard.count(|event| *event == Event::GwsClientRefused), 1);
    alone.gws.replace_credentials(Secret::new(OWN_CLIENT), Secret::new(OWN_SECRET));
    alone.gws.open().await.unwrap();
    assert_eq!(alone.platform.count(TOKENS), 2);
}
