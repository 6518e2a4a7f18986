//! What one node tells, the others hear: over one server, over sentinels with a fail-over in between, over a cluster, and
//! encrypted. What cannot be heard is lost, and nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use domain::callback::Live;
use domain::event::BusEnd;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{AnswerCache as _, Bus as _, Connector, Hint, Probe};
use domain::secret::Secret;
use domain::wait::QueueReport;
use ges::redis::{Endpoint, Layout, RedisBus, RedisSettings, TlsSettings, Verify};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Node, SOON, single};
use crate::harness::redis::{self, Redis};
use crate::harness::sentinels::{NAME, Sentinels};

fn id(number: u128) -> CallbackId {
    CallbackId::from_uuid(Uuid::from_u128(number))
}

fn changed(number: u128) -> Hint {
    Hint::Changed { tenant: TenantId::from_name("a"), id: id(number) }
}

fn heard(number: u128, position: i32) -> Hint {
    Hint::Heard { id: id(number), attempt: 2, live: Some(Live { position, estimated_wait_seconds: 60 }) }
}

fn every_hint() -> Vec<Hint> {
    let report = QueueReport {
        agents: None,
        free_agents: 1,
        waiting: 2,
        on_hold: 3,
        served: 4,
        served_over_seconds: 5.5,
        mean_busy_seconds: Some(6.25),
        expected_wait_seconds: Some(7),
    };
    let (tenant, queue) = (TenantId::from_name("a"), QueueName::new("support").unwrap());
    vec![Hint::SettingsChanged, changed(1), heard(2, 9), Hint::Reported { tenant, queue, report }]
}

/// What every kind of server has to give.
async fn keeps_the_contract(settings: &RedisSettings) {
    let (one, other) = (Node::open(settings).await, Node::open(settings).await);
    let stranger = Node::new(settings, 2);
    stranger.bus.open().await.unwrap();
    for (teller, listener) in [(&one, &other), (&other, &one)] {
        every_hint().into_iter().for_each(|hint| teller.bus.tell(hint));
        for hint in every_hint() {
            listener.until_heard(&hint).await;
        }
    }
    Probe::check(one.bus.as_ref()).await.unwrap();
    assert_eq!((one.heard().len(), other.heard().len()), (4, 4), "nobody hears itself");
    assert_eq!(stranger.heard(), [], "another installation on the same servers hears nothing");
    assert_eq!((one.count(BusEnd::Dropped), one.count(BusEnd::Ignored)), (0, 0));
    one.bus.keep(b"question", "an answer".into(), Duration::from_secs(60));
    let found = async {
        loop {
            if let Some(known) = other.bus.find(b"question").await {
                return known;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let found = timeout(SOON, found).await.expect("an answer is shared");
    assert_eq!(found.answer.as_ref(), "an answer");
    assert_eq!((stranger.bus.find(b"question").await, one.bus.find(b"another").await), (None, None));
    for node in [one, other, stranger] {
        node.bus.close().await;
    }
}

/// Does for a client what its actor does: looks often, and opens it anew when it does not work.
async fn look_after(bus: Arc<RedisBus>) {
    loop {
        if Connector::check(bus.as_ref()).await.is_err() {
            bus.close().await;
            let _ = bus.open().await;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_keeps_the_contract() {
    let redis = Redis::start();
    keeps_the_contract(&single(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_that_asks_for_a_password_keeps_the_contract() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let certificates = std::fs::canonicalize("tests/fixtures/tls").unwrap();
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let port = redis::free_port();
    let redis = Redis::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "planted-password",
    ]);
    let tls = TlsSettings { server_name: None, verify: Verify::Yes, ca_files: vec![certificates.join("ca.pem")] };
    let settings = RedisSettings {
        servers: vec![Endpoint::new("localhost", port)],
        password: Some(Secret::new("planted-password")),
        tls: Some(tls.clone()),
        ..single(&redis)
    };
    keeps_the_contract(&settings).await;
    let untrusted = RedisSettings { tls: Some(TlsSettings { ca_files: vec![], ..tls }), ..settings.clone() };
    assert!(Node::new(&untrusted, 1).bus.open().await.is_err(), "nobody vouches for it");
    let wrong = RedisSettings { password: Some(Secret::new("another-password")), ..settings };
    let said = Node::new(&wrong, 1).bus.open().await.unwrap_err();
    assert!(!said.contains("another") && !said.contains("planted"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract_whichever_member_is_named() {
    let servers = redis::cluster();
    for server in &servers {
        keeps_the_contract(&RedisSettings { layout: Layout::Cluster, ..single(server) }).await;
    }
    // Members that are connected to different servers hear each other, too.
    let ends: Vec<RedisSettings> =
        servers.iter().map(|server| RedisSettings { layout: Layout::Cluster, ..single(server) }).collect();
    let (one, other) = (Node::open(&ends[0]).await, Node::open(&ends[2]).await);
    one.bus.tell(changed(5));
    other.until_heard(&changed(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_keep_the_contract_and_lead_to_the_next_primary() {
    let mut sentinels = Sentinels::start(Some("planted-password"));
    let settings = RedisSettings {
        servers: sentinels.ports().into_iter().map(|port| Endpoint::new("127.0.0.1", port)).collect(),
        layout: Layout::Sentinel(NAME.into()),
        password: Some(Secret::new("planted-password")),
        ..single(&sentinels.servers[0])
    };
    keeps_the_contract(&settings).await;
    let (one, other) = (Node::open(&settings).await, Node::open(&settings).await);
    let actors = [&one, &other].map(|node| tokio::spawn(look_after(node.bus.clone())));
    one.bus.tell(changed(1));
    other.until_heard(&changed(1)).await;
    let old = sentinels.primary();
    sentinels.servers[0].kill9();
    sentinels.until_taken_over(old);
    // Whatever is told meanwhile may be lost; in the end they hear each other again.
    for (teller, listener, number) in [(&one, &other, 2), (&other, &one, 3)] {
        let again = async {
            while !listener.heard().contains(&changed(number)) {
                teller.bus.tell(changed(number));
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(SOON, again).await.expect("they hear each other over the new primary");
    }
    for (node, actor) in [one, other].iter().zip(actors) {
        actor.abort();
        Probe::check(node.bus.as_ref()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_hear_is_lost_and_afterwards_everything_heals() {
    let mut redis = Redis::start();
    let settings = single(&redis);
    let (one, other) = (Node::open(&settings).await, Node::open(&settings).await);
    redis.kill9();
    for number in 0..50 {
        one.bus.tell(heard(number, 1));
        one.bus.tell(changed(number));
    }
    assert!(one.bus.find(b"question").await.is_none());
    one.bus.keep(b"question", "an answer".into(), Duration::from_secs(60));
    let said = Probe::check(one.bus.as_ref()).await.unwrap_err();
    assert!(said.contains("until it is back"), "{said}");
    let actors = [&one, &other].map(|node| tokio::spawn(look_after(node.bus.clone())));
    redis.restart();
    let again = async {
        while !other.heard().contains(&changed(100)) {
            one.bus.tell(changed(100));
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, again).await.expect("it is heard again");
    assert!(one.count(BusEnd::Dropped) > 0, "what was lost is counted");
    // Stopped in the middle of whatever it does, it answers nobody and closes nothing.
    redis.stop();
    let told = timeout(SOON, async { while Probe::check(one.bus.as_ref()).await.is_ok() {} });
    told.await.expect("it is noticed");
    redis.go_on();
    let again = async {
        while !one.heard().contains(&changed(101)) {
            other.bus.tell(changed(101));
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, again).await.expect("it is heard once more");
    actors.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_into_the_channel_hurts_nobody() {
    let redis = Redis::start();
    let settings = single(&redis);
    let (one, other) = (Node::open(&settings).await, Node::open(&settings).await);
    let channels = redis.ask(&["PUBSUB", "CHANNELS"]);
    let [channel] = channels.list() else { panic!("one channel, not {channels:?}") };
    let long = format!(r#"{{"v":1,"from":1,"settings":true,"more":"{}"}}"#, "x".repeat(2 << 20));
    for text in ["", "nonsense", r#"{"v":99,"from":1,"settings":true}"#, r#"{"v":1}"#, &long] {
        assert_eq!(redis.ask(&["PUBLISH", channel.text(), text]).number(), 2);
    }
    one.bus.tell(changed(1));
    other.until_heard(&changed(1)).await;
    assert_eq!((other.heard(), other.count(BusEnd::Ignored)), (vec![changed(1)], 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hints_are_few_messages_and_the_last_word_counts() {
    let redis = Redis::start();
    let settings = single(&redis);
    let (one, other) = (Node::open(&settings).await, Node::open(&settings).await);
    for position in (1..=50).rev() {
        (0..200).for_each(|number| one.bus.tell(heard(number, position)));
    }
    (0..900).for_each(|number| one.bus.tell(changed(number)));
    for number in 0..200 {
        other.until_heard(&heard(number, 1)).await;
    }
    other.until_heard(&changed(899)).await;
    assert_eq!(other.heard().len(), 1_100, "each once");
    assert!(one.count(BusEnd::Sent) <= 3, "{} messages", one.count(BusEnd::Sent));
    assert_eq!(one.count(BusEnd::Sent), other.count(BusEnd::Received));
}
