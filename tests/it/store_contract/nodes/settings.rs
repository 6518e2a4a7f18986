//! Settings, acts, erasures and user data from several nodes at once.

use std::collections::BTreeMap;

use domain::audit::{Act, Verifier};
use domain::ids::{ApiKeyId, TenantId};
use domain::keys::{ApiKey, Scope};
use domain::ports::{
    Application, Applied, ApplyError, AuditStore as _, Booked, Booking, CallbackStore as _, Expected, FlowStore as _,
    HeldRecords, NewEntry, PersonalStore as _, Replaced, SettingsStore as _, StoreError, TenantStore as _,
};
use domain::tenant::TenantDocument;
use ges::stores::audit_digest;

use super::super::erasure::{COUNTED_AS, customer, erasing, planted};
use super::super::harness::*;
use super::super::work::settled;
use super::{number, query, two};

fn application(whose: TenantId, expected: Expected, document: TenantDocument) -> Application {
    let actor = "ges".to_owned();
    Application { tenant: whose, expected, document, actor, at: noon(), keys: Vec::new(), credentials: Vec::new() }
}

fn document(name: &str, queues: usize) -> TenantDocument {
    let queue = |number| (domain::ids::QueueName::new(&format!("q{number}")).unwrap(), Default::default());
    TenantDocument::with_queues(name, (0..queues).map(queue))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_from_both_one_wins() {
    let (_database, stores) = two().await;
    stores[0].apply(vec![application(tenant(), Expected::Absent, document("contract", 0))]).await.unwrap();
    for revision in 1..=20 {
        let tasks = [1, 2].map(|number| {
            let store = stores[number - 1].clone();
            let document = document("contract", revision * 2 + number);
            let change = application(tenant(), Expected::Revision(revision as u64), document);
            tokio::spawn(async move { store.apply(vec![change]).await })
        });
        let mut outcomes = join(tasks.into()).await;
        outcomes.sort_by_key(Result::is_err);
        let next = revision as u64 + 1;
        assert_eq!(outcomes[0], Ok(vec![Applied { revision: next, changed: true }]));
        assert_eq!(outcomes[1], Err(ApplyError::Conflict { tenant: tenant(), found: Some(next) }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_goes_once() {
    let (_database, stores) = two().await;
    for round in 0..20 {
        let tasks = [0, 1].map(|node| {
            let (store, whose) = (stores[node].clone(), TenantId::from_name(&format!("{round} {node}")));
            let change = application(whose, Expected::Absent, document(&format!("name {round}"), 1));
            tokio::spawn(async move { store.apply(vec![change]).await })
        });
        let mut outcomes = join(tasks.into()).await;
        outcomes.sort_by_key(Result::is_err);
        assert!(outcomes[0].is_ok(), "{outcomes:?}");
        assert_eq!(outcomes[1], Err(ApplyError::NameTaken));
    }
    assert_eq!(stores[1].tenants().await.unwrap().len(), 20);
}

/// As a newer program may write it, while this one is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_not_understood_hides_no_other() {
    let (database, [store, _]) = two().await;
    store.put_tenant(tenant(), TenantDocument::with_queues("here", [])).await.unwrap();
    store.put_tenant(stranger(), TenantDocument::with_queues("newer", [])).await.unwrap();
    query(
        &database.0,
        "UPDATE tenants SET settings = replace(settings::text, '\"tenant\"', '\"tomorrow\":1,\"tenant\"')
            WHERE name = 'newer'",
    );
    let (understood, others) = store.understood_tenants().await.unwrap();
    assert_eq!(understood.iter().map(|tenant| &*tenant.name).collect::<Vec<_>>(), ["here"]);
    assert_eq!(others, [stranger()]);
    assert!(
        matches!(store.tenants().await, Err(StoreError::Unreadable(_))),
        "whoever changes it has to know all of it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_from_both_make_one_chain() {
    let (_database, stores) = two().await;
    let tasks = (0..60_u8).map(|n| {
        let store = stores[usize::from(n) % 2].clone();
        tokio::spawn(async move {
            let key = ApiKey {
                id: ApiKeyId::generate(),
                tenant: tenant(),
                hash: [n; 32],
                label: "of a test".to_owned(),
                scopes: Scope::ALL.to_vec(),
                created_at: noon(),
                revoked_at: None,
            };
            store.add_key(key.clone()).await.unwrap();
            assert_eq!(store.revoke_key(key.id, noon()).await, Ok(true));
            let (subject, details) = (n.to_string(), String::new());
            let entry = NewEntry { at: noon(), act: Act::NumberExported, actor: "api".to_owned(), subject, details };
            store.note_act(tenant(), entry).await.unwrap();
        })
    });
    join(tasks.collect()).await;
    let page = stores[0].audit(tenant(), 0, 1_000).await.unwrap();
    let mut verifier = Verifier::new(tenant(), page.base, None, audit_digest);
    page.entries.iter().try_for_each(|entry| verifier.take(entry)).unwrap();
    assert_eq!(verifier.finish(page.head).map(|head| head.seq), Ok(180));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_from_both_counts_everything_once() {
    let (database, stores) = two().await;
    for key in 0..40 {
        let booking = planted(immediate(ME, noon()), key);
        let callback = booking.callback.clone();
        assert_eq!(stores[0].book(booking).await, Ok(Booked::New));
        stores[0].save(settled(&callback)).await.unwrap();
    }
    // Others book meanwhile, with the same values to be counted, and are served.
    let beside = (0..50_u64).map(|n| {
        let store = stores[usize::try_from(n).unwrap() % 2].clone();
        let theirs = planted(immediate(ME, noon()), 0);
        let callback = with_phone(theirs.callback.clone(), phone(500 + n));
        let booking = Booking { idempotency: None, callback, ..theirs };
        tokio::spawn(async move { assert_eq!(store.book(booking).await, Ok(Booked::New)) })
    });
    let erasures = [0, 1].map(|node| {
        let store = stores[node].clone();
        tokio::spawn(async move { store.erase(erasing(noon())).await.unwrap() })
    });
    join(beside.collect()).await;
    let receipts: BTreeMap<_, _> = join(erasures.into()).await.into_iter().map(|it| (it.id, it)).collect();
    for id in receipts.keys() {
        assert!(stores[0].receipt(tenant(), *id).await.unwrap().unwrap().finished_at.is_some());
    }
    let stored = stores[0].receipts(tenant(), None, 10).await.unwrap();
    let counted = |of: fn(&domain::erasure::Counts) -> u64| stored.iter().map(|it| of(&it.counts)).sum::<u64>();
    assert_eq!((counted(|it| it.callbacks), counted(|it| it.history), counted(|it| it.idempotency_keys)), (40, 80, 40));
    let left = stores[1].held(tenant(), customer(), COUNTED_AS, noon()).await.unwrap();
    assert_eq!(HeldRecords { counted_values: 0, ..left }, HeldRecords::default());
    assert_eq!(number(&database, "SELECT count(*) FROM callbacks"), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_from_both_is_never_lost() {
    let (_database, stores) = two().await;
    let callback = scheduled(noon());
    stores[0].book(booking(callback.clone())).await.unwrap();
    let tasks = (0..30).map(|n| {
        let (store, id) = (stores[n % 2].clone(), callback.id);
        tokio::spawn(async move {
            loop {
                let read = store.user_data(tenant(), id).await.unwrap().unwrap();
                let new = domain::user_data::attach(read.text.as_deref(), &format!(r#"{{"m{n}":{n}}}"#)).unwrap();
                if store.replace_user_data(tenant(), id, read.stamp, new).await == Ok(Replaced::Done) {
                    return;
                }
            }
        })
    });
    join(tasks.collect()).await;
    let data = stores[0].user_data(tenant(), callback.id).await.unwrap().unwrap().text.unwrap();
    for n in 0..30 {
        assert!(data.contains(&format!(r#""m{n}":{n}"#)), "{n} is missing in {data}");
    }
}
