//! Answers of the statistics service are shared among nodes.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::{FakeSecrets, Recorder};
use domain::gws::GwsSettings;
use domain::ids::TenantId;
use domain::ports::{Connector as _, Statistics as _};
use domain::secret::SecretRef;
use ges::clients::gws::{GwsAddresses, GwsClient};
use ges::clients::http::{HttpClient, HttpSettings};

use super::{Node, SOON, single};
use crate::harness::gws::{CLIENT, SECRET, STATISTICS, TOKEN, honest};
use crate::harness::outside::Outside;
use crate::harness::poll;
use crate::harness::redis::Redis;

const REQUEST: &str = r#"{"data":{"statistics":[{"name":"EWT","objectId":"q","objectType":"Queue"}]}}"#;
const YOUNG: Duration = Duration::from_secs(300);

fn settings(client: &str) -> GwsSettings {
    let secret = SecretRef::Sealed("client".to_owned());
    GwsSettings { auth_url: None, stats_url: None, client_id: client.to_owned(), client_secret: secret, user: None }
}

fn client(node: &Node, gws: &Outside) -> GwsClient {
    drop(rustls::crypto::ring::default_provider().install_default());
    let secrets = Arc::new(FakeSecrets::default());
    for tenant in ["demo", "other"] {
        secrets.know(TenantId::from_name(tenant), SecretRef::Sealed("client".to_owned()), SECRET);
    }
    let http = HttpClient::new(&HttpSettings::default(), Arc::new(Recorder::default())).unwrap();
    let addresses = GwsAddresses { auth: Some(gws.url()), stats: Some(gws.url()) };
    GwsClient::sharing(Arc::new(http), secrets, addresses, node.bus.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_has_asked_the_others_know_and_without_redis_each_asks() {
    let (mut redis, gws) = (Redis::start(), Outside::start(honest()));
    let nodes = [Node::open(&single(&redis)).await, Node::open(&single(&redis)).await];
    let [one, other] = [client(&nodes[0], &gws), client(&nodes[1], &gws)];
    let demo = TenantId::from_name("demo");
    let asked = || gws.count(STATISTICS);
    let first = one.ask(demo, &settings(CLIENT), REQUEST, YOUNG).await.unwrap();
    poll::until("it is shared", SOON, || (redis.ask(&["DBSIZE"]).number() == 1).then_some(()));
    assert_eq!((other.ask(demo, &settings(CLIENT), REQUEST, YOUNG).await.unwrap(), asked()), (first.clone(), 1));
    // Known here from now on, with the age that it has.
    let before = redis.calls().get("get").copied();
    other.ask(demo, &settings(CLIENT), REQUEST, YOUNG).await.unwrap();
    assert_eq!((redis.calls().get("get").copied(), asked()), (before, 1));
    tokio::time::sleep(Duration::from_millis(20)).await;
    other.ask(demo, &settings(CLIENT), REQUEST, Duration::from_millis(10)).await.unwrap();
    assert_eq!(asked(), 2, "it is not young enough for everybody");
    other.ask(TenantId::from_name("other"), &settings(CLIENT), REQUEST, YOUNG).await.unwrap();
    assert_eq!(asked(), 3, "tenants share nothing");
    // Neither names nor values tell anything that is not an answer.
    let names = redis.ask(&["KEYS", "*"]);
    for name in names.list() {
        let name = name.text();
        let life = redis.ask(&["PTTL", name]).number();
        assert!((1..=300_000).contains(&life), "{name} lives for {life} ms");
        let text = format!("{name} {}", redis.ask(&["GET", name]).text());
        for secret in [SECRET, TOKEN, CLIENT, "demo", "EWT", "objectId"] {
            assert!(!name.contains(secret) && (secret.len() < 10 || !text.contains(secret)), "{text}");
        }
    }
    // Emptied, it is asked for again; gone, each asks for itself, and nobody waits for Redis.
    redis.ask(&["FLUSHALL"]);
    let again = client(&nodes[0], &gws);
    again.ask(demo, &settings(CLIENT), REQUEST, YOUNG).await.unwrap();
    assert_eq!(asked(), 4);
    redis.kill9();
    let alone = client(&nodes[1], &gws);
    assert_eq!(alone.ask(demo, &settings(CLIENT), REQUEST, YOUNG).await.unwrap(), first);
    assert_eq!(asked(), 5);
    for node in &nodes {
        node.bus.close().await;
    }
}
