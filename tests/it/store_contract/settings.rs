//! Tenants, keys and nodes.

use domain::ids::{ApiKeyId, Incarnation, QueueName};
use domain::keys::{ApiKey, Scope};
use domain::ports::StoreError;
use domain::queue::QueueSettings;
use domain::tenant::{Tenant, TenantDocument};
use ges::stores::combiner::Limits;

use super::harness::*;

fn demo(capacity: u32) -> TenantDocument {
    let settings = QueueSettings { slot_capacity: capacity, ..QueueSettings::default() };
    let queues = [(queue(), settings), (QueueName::new("sales").unwrap(), QueueSettings::default())];
    TenantDocument::with_queues("contract", queues)
}

fn known(capacity: u32) -> Tenant {
    demo(capacity).resolve(tenant()).unwrap()
}

fn key(hash: u8) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(),
        tenant: tenant(),
        hash: [hash; 32],
        label: "of a test".to_owned(),
        scopes: vec![Scope::CallbacksRead],
        created_at: noon(),
        revoked_at: None,
    }
}

pub(crate) async fn tenants_come_back(start: &Start) {
    let store = start(Limits::default());
    // A booking lends its tenant a number before anybody has put its settings.
    store.keep(scheduled(noon())).await;
    assert_eq!(store.settings.tenants().await, Ok(vec![]));
    store.settings.put_tenant(tenant(), demo(5)).await.unwrap();
    assert_eq!(store.settings.tenants().await, Ok(vec![known(5)]));
    store.settings.put_tenant(tenant(), demo(6)).await.unwrap();
    assert_eq!(store.settings.tenants().await, Ok(vec![known(6)]), "replaced");
    let other = TenantDocument::with_queues("another", []);
    store.settings.put_tenant(stranger(), other.clone()).await.unwrap();
    assert_eq!(store.settings.tenants().await, Ok(vec![other.resolve(stranger()).unwrap(), known(6)]));
    let same_name = TenantDocument::with_queues("contract", []);
    let refused = store.settings.put_tenant(stranger(), same_name).await;
    assert!(matches!(refused, Err(StoreError::NotDone(_))), "names are unique: {refused:?}");
}

pub(crate) async fn keys_come_back(start: &Start) {
    let store = start(Limits::default());
    let (first, second) = (key(1), ApiKey { scopes: Scope::ALL.to_vec(), ..key(2) });
    store.settings.add_key(first.clone()).await.unwrap();
    store.settings.add_key(second.clone()).await.unwrap();
    let mut kept = store.settings.keys().await.unwrap();
    kept.sort_by_key(|key| key.hash);
    assert_eq!(kept, [first.clone(), second.clone()]);
    assert_eq!(store.settings.revoke_key(first.id, noon() + minutes(1)).await, Ok(true));
    assert_eq!(store.settings.revoke_key(first.id, noon() + minutes(2)).await, Ok(false));
    assert_eq!(store.settings.revoke_key(ApiKeyId::generate(), noon()).await, Ok(false));
    let kept = store.settings.keys().await.unwrap();
    let revoked = kept.iter().find(|key| key.id == first.id).unwrap();
    assert_eq!(revoked.revoked_at, Some(noon() + minutes(1)));
    assert_eq!(kept.iter().find(|key| key.id == second.id), Some(&second));
}

pub(crate) async fn changes_raise_the_epoch(start: &Start) {
    let store = start(Limits::default());
    let me = store.nodes.register("node", "1").await.unwrap();
    let mut last = store.nodes.heartbeat(me).await.unwrap().epoch;
    let mut rose = async |what: &str| {
        let epoch = store.nodes.heartbeat(me).await.unwrap().epoch;
        assert!(epoch > last, "{what}");
        last = epoch;
    };
    let added = key(1);
    store.settings.put_tenant(tenant(), demo(1)).await.unwrap();
    rose("a tenant").await;
    store.settings.add_key(added.clone()).await.unwrap();
    rose("a key").await;
    store.settings.revoke_key(added.id, noon()).await.unwrap();
    rose("a revocation").await;
    store.keep(scheduled(noon())).await;
    assert_eq!(store.nodes.heartbeat(me).await.unwrap().epoch, last, "a booking is no change of settings");
}

pub(crate) async fn a_hash_is_kept_once(start: &Start) {
    let store = start(Limits::default());
    store.settings.add_key(key(1)).await.unwrap();
    let again = store.settings.add_key(key(1)).await;
    assert!(matches!(again, Err(StoreError::NotDone(_))), "{again:?}");
    assert_eq!(store.settings.keys().await.unwrap().len(), 1);
}

pub(crate) async fn nodes_replace_their_older_selves(start: &Start) {
    let store = start(Limits::default());
    let old = store.nodes.register("a", "1").await.unwrap();
    let other = store.nodes.register("b", "1").await.unwrap();
    let new = store.nodes.register("a", "2").await.unwrap();
    assert!(old < other && other < new, "numbers rise");
    let nodes = |beat: domain::ports::Beat| beat.nodes.into_iter().map(|(node, _)| node).collect::<Vec<_>>();
    assert_eq!(nodes(store.nodes.heartbeat(new).await.unwrap()), [other, new]);
    store.nodes.leave(new).await.unwrap();
    let next = store.nodes.register("a", "2").await.unwrap();
    assert!(next > new, "no number comes twice");
    assert_eq!(nodes(store.nodes.heartbeat(other).await.unwrap()), [other, next]);
    // Who was replaced learns it from the list.
    assert_eq!(nodes(store.nodes.heartbeat(old).await.unwrap()), [other, next]);
}

pub(crate) async fn heartbeats_count(start: &Start) {
    let store = start(Limits::default());
    let me = store.nodes.register("a", "1").await.unwrap();
    let counter = |nodes: &[(Incarnation, i64)]| nodes.iter().find(|(node, _)| *node == me).unwrap().1;
    let first = store.nodes.heartbeat(me).await.unwrap();
    let second = store.nodes.heartbeat(me).await.unwrap();
    assert_eq!(counter(&second.nodes), counter(&first.nodes) + 1);
    assert!(second.now >= first.now);
    assert!(first.now > noon() - chrono::Duration::days(3_650), "a real clock");
    // A writer that is held must not stop the heart.
    let _hold = store.injector.hold_writer();
    store.nodes.heartbeat(me).await.unwrap();
}
