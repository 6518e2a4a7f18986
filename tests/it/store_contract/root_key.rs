//! The root key in the database, and the master keys that open it.

use domain::ids::ApiKeyId;
use domain::keys::{ApiKey, Scope};
use domain::tenant::TenantDocument;
use ges::master_key::{MasterKey, MasterKeys};
use ges::root_key::{self, RootKey, RootKeyError, is_fresh};
use ges::stores::Store;
use ges::stores::combiner::Limits;

use super::harness::*;

fn master(number: u8) -> MasterKey {
    MasterKey::new([number; 32])
}

fn masters(current: u8, old: &[u8]) -> MasterKeys {
    MasterKeys { current: master(current), old: old.iter().map(|number| master(*number)).collect() }
}

async fn open(store: &Fixture, current: u8, old: &[u8]) -> Result<RootKey, RootKeyError> {
    root_key::open(store.whole.as_ref(), &masters(current, old)).await
}

async fn add_key(store: &dyn Store) {
    store.put_tenant(tenant(), TenantDocument::with_queues("contract", [])).await.unwrap();
    let (id, label, created_at) = (ApiKeyId::generate(), "of a test".to_owned(), noon());
    let scopes = vec![Scope::CallbacksRead];
    store
        .add_key(ApiKey { id, tenant: tenant(), hash: [1; 32], label, scopes, created_at, revoked_at: None })
        .await
        .unwrap();
}

pub(crate) async fn is_replaced_as_it_was_read(start: &Start) {
    let fixture = start(Limits::default());
    let store = &fixture.whole;
    assert_eq!(store.sealed_root_key().await, Ok(Vec::new()));
    let (first, second) =
        tokio::join!(store.replace_root_key(Vec::new(), vec![1; 61]), store.replace_root_key(Vec::new(), vec![2; 61]));
    assert_ne!(first.unwrap(), second.unwrap(), "of two at once one wins");
    let kept = store.sealed_root_key().await.unwrap();
    assert!(kept == [1; 61] || kept == [2; 61]);
    assert_eq!(store.replace_root_key(Vec::new(), vec![3; 61]).await, Ok(false));
    assert_eq!(store.replace_root_key(kept, vec![3; 61]).await, Ok(true));
    assert_eq!(store.sealed_root_key().await, Ok(vec![3; 61]));
}

pub(crate) async fn outlives_its_master_keys(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(is_fresh(store.whole.as_ref()).await, Ok(true));
    let (one, other) = tokio::join!(open(&store, 1, &[]), open(&store, 1, &[]));
    let root = one.unwrap();
    assert_eq!(other.unwrap(), root, "nodes that start together have one");
    assert_eq!(is_fresh(store.whole.as_ref()).await, Ok(false), "a lost master key is not replaced by a new one");
    assert_ne!(root, RootKey::new([1; 32]), "who finds the master key of a backup's time has nothing of today");
    add_key(store.whole.as_ref()).await;

    assert_eq!(open(&store, 1, &[2]).await.unwrap(), root, "the next one is announced");
    let sealed = store.whole.sealed_root_key().await;
    assert_eq!(open(&store, 1, &[2]).await.unwrap(), root);
    assert_eq!(store.whole.sealed_root_key().await, sealed, "nothing is written where nothing changes");
    assert_eq!(open(&store, 2, &[3, 1]).await.unwrap(), root);
    assert_eq!(open(&store, 2, &[]).await.unwrap(), root, "the old one is not needed any more");
    assert!(matches!(open(&store, 1, &[]).await, Err(RootKeyError::Locked)));
    assert!(matches!(open(&store, 1, &[3, 4]).await, Err(RootKeyError::Locked)));
    assert_eq!(open(&store, 1, &[2]).await.unwrap(), root, "and back again");
}

pub(crate) async fn is_the_master_key_where_older_programs_made_keys_of_it(start: &Start) {
    let store = start(Limits::default());
    add_key(store.whole.as_ref()).await;
    assert_eq!(is_fresh(store.whole.as_ref()).await, Ok(false));
    assert!(matches!(open(&store, 2, &[1]).await, Err(RootKeyError::Unsealed)), "it cannot tell which of them");
    assert_eq!(open(&store, 1, &[]).await.unwrap(), RootKey::new([1; 32]));
    assert_eq!(open(&store, 2, &[1]).await.unwrap(), RootKey::new([1; 32]));
}
