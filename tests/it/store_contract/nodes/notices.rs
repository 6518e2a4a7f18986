//! The feed and what is owed, written and taken on by two nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Duration;
use domain::callback::Callback;
use domain::happening::{About, Kind};
use domain::ids::{CallbackId, Incarnation};
use domain::notices::{Claimed, NoticeKey};
use domain::ports::{Booked, Booking, CallbackStore as _, ClaimNotices, EndpointMood, NoticeStore, Settle};
use ges::stores::postgres::PostgresStore;

use super::super::harness::*;
use super::super::notices::{claim, delivered, step, told_to};
use super::{deadlocks, number, two};

const OWNERS: [Incarnation; 2] = [ME, OTHER];

async fn book_told(store: &PostgresStore, endpoints: &[&str]) -> Callback {
    let callback = scheduled(noon());
    let booking = Booking { announcement: told_to(endpoints), ..booking(callback.clone()) };
    assert_eq!(store.book(booking).await, Ok(Booked::New));
    callback
}

async fn take(store: &PostgresStore, claim: ClaimNotices) -> Vec<Claimed> {
    NoticeStore::claim(store, claim).await.unwrap()
}

/// Reads the feed as a follower does, who never comes back to what is behind him; the callbacks in the order of places.
async fn follow(store: Arc<PostgresStore>, until: u64) -> Vec<CallbackId> {
    let mut ids = Vec::new();
    let mut after = 0;
    while after < until {
        let stretch = store.happenings(tenant(), after, 50).await.unwrap();
        assert!(stretch.last >= after && stretch.first_kept <= 1, "{stretch:?}");
        for happening in stretch.happenings {
            assert_eq!(happening.seq, after + 1, "no gap, and nothing comes in behind");
            after = happening.seq;
            match happening.about {
                About::Callback(news) => ids.push(news.id),
                About::Endpoint { name } => panic!("{name}"),
            }
        }
        tokio::task::yield_now().await;
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_rise_with_commits() {
    let (database, stores) = two().await;
    let followers: Vec<_> = stores.iter().map(|store| tokio::spawn(follow(store.clone(), 600))).collect();
    let writers = (0..12).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move {
            for round in 0..25 {
                let callback = book_told(&store, &["first", "second"]).await;
                let kind = if round % 2 == 0 { Kind::Queued } else { Kind::Routing };
                assert_eq!(store.save(step(&callback, kind, &["first"])).await, Ok(()));
                let mut theirs = scheduled(noon());
                theirs.tenant = stranger();
                let booking = Booking { announcement: told_to(&["first"]), ..booking(theirs) };
                assert_eq!(store.book(booking).await, Ok(Booked::New));
            }
        })
    });
    join(writers.collect()).await;
    let feeds = join(followers).await;
    assert_eq!(feeds[0], feeds[1]);
    assert_eq!(feeds[0].iter().collect::<BTreeSet<_>>().len(), 300);
    assert_eq!(stores[1].happenings(stranger(), 0, 1_000).await.unwrap().happenings.len(), 300);
    drop(stores);
    assert_eq!(number(&database, "SELECT count(*) FROM lanes"), 3, "made once");
    assert_eq!(deadlocks(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_is_taken_on_by_one() {
    let (_database, stores) = two().await;
    for n in 0..150 {
        book_told(&stores[n % 2], &["first", "second"]).await;
    }
    let claimers = (0..6).map(|n| {
        let (store, owner) = (stores[n % 2].clone(), OWNERS[n % 2]);
        tokio::spawn(async move {
            let mut mine: Vec<NoticeKey> = Vec::new();
            // What another has locked that very moment is passed over, so an empty hand is no end.
            let mut empty = 0;
            while empty < 3 {
                let claimed = take(&store, ClaimNotices { owner, limit: 7, ..claim(noon()) }).await;
                empty = if claimed.is_empty() { empty + 1 } else { 0 };
                mine.extend(claimed.into_iter().map(|it| it.key));
            }
            mine
        })
    });
    let taken: Vec<NoticeKey> = join(claimers.collect()).await.into_iter().flatten().collect();
    let different: BTreeSet<&NoticeKey> = taken.iter().collect();
    assert_eq!((taken.len(), different.len()), (300, 300), "each by one");
}

/// Takes on what is due and ends it, until so many were ended by all together.
async fn deliver(store: Arc<PostgresStore>, owner: Incarnation, ended: Arc<AtomicUsize>, all: usize) -> Vec<Claimed> {
    let mut mine = Vec::new();
    while ended.load(Ordering::SeqCst) < all {
        let at = noon() + minutes(1);
        for claimed in take(&store, ClaimNotices { owner, limit: 9, ..claim(at) }).await {
            let settle = Settle { owner, endpoint: EndpointMood::Well, ..delivered(&claimed) };
            assert!(store.settle(settle).await.unwrap().written);
            ended.fetch_add(1, Ordering::SeqCst);
            mine.push(claimed);
        }
        tokio::task::yield_now().await;
    }
    mine
}

/// Whatever one node ends while the other writes what comes next about the same callback: the next one is never forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_released_by_whoever_ends_the_first() {
    const CALLBACKS: usize = 24;
    const STEPS: usize = 12;
    let (database, stores) = two().await;
    let ended = Arc::new(AtomicUsize::new(0));
    let all = CALLBACKS * (STEPS + 1) * 2;
    let workers = (0..4).map(|n| tokio::spawn(deliver(stores[n % 2].clone(), OWNERS[n % 2], ended.clone(), all)));
    let workers: Vec<_> = workers.collect();
    let writers = (0..CALLBACKS).map(|n| {
        let stores = stores.clone();
        tokio::spawn(async move {
            let mut callback = book_told(&stores[n % 2], &["first", "second"]).await;
            for round in 0..STEPS {
                let step = step(&callback, Kind::Queued, &["first", "second"]);
                callback = step.callback.clone();
                assert_eq!(stores[(n + round) % 2].save(step).await, Ok(()));
            }
        })
    });
    join(writers.collect()).await;
    let deadline = tokio::time::timeout(std::time::Duration::from_secs(30), join(workers)).await;
    let forgotten = "SELECT count(*) FROM notices WHERE ending = 0";
    let delivered = deadline.unwrap_or_else(|_| panic!("{} notices wait for ever", number(&database, forgotten)));
    let mut keys = BTreeMap::new();
    for claimed in delivered.into_iter().flatten() {
        assert!(keys.insert(claimed.key, claimed.attempt).is_none() && claimed.attempt == 1, "{claimed:?} twice");
    }
    assert_eq!(keys.len(), all);
    assert_eq!(number(&database, forgotten), 0);
    drop(stores);
    assert_eq!(deadlocks(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_switched_off_once_and_told_of_once() {
    let (_database, stores) = two().await;
    for n in 0..20 {
        book_told(&stores[n % 2], &["first"]).await;
    }
    let claimed = take(&stores[0], claim(noon())).await;
    assert_eq!(claimed.len(), 20);
    let gone = claimed.into_iter().enumerate().map(|(n, claimed)| {
        let store = stores[n % 2].clone();
        let settle = Settle {
            endpoint: EndpointMood::Gone,
            told_of_disabling: vec!["second".to_owned()],
            at: noon() + Duration::seconds(1),
            ..delivered(&claimed)
        };
        tokio::spawn(async move { store.settle(settle).await.unwrap() })
    });
    let settled = join(gone.collect()).await;
    assert!(settled.iter().all(|it| it.written));
    assert_eq!(settled.iter().filter(|it| it.disabled).count(), 1);
    let stretch = stores[1].happenings(tenant(), 20, 10).await.unwrap();
    assert_eq!((stretch.last, stretch.happenings.len()), (21, 1));
    assert_eq!(stretch.happenings[0].kind, Kind::EndpointDisabled);
}
