//! Call-ins that two nodes open, match and end at once.

use std::collections::BTreeSet;

use domain::call_in::{Call, Presented};
use domain::callback::Idempotency;
use domain::ids::CallInId;
use domain::ports::{CallInStore as _, MatchOutcome, Matched, Opened, Opening, Withdrawn};
use ges::stores::postgres::PostgresStore;

use super::super::call_ins::{at, by_ani, by_code, group, matching, opening};
use super::super::harness::*;
use super::{deadlocks, number, two};

const OPEN_IS_COUNTED: &str = "SELECT count(*) FROM call_in_numbers n WHERE open <>
    (SELECT count(*) FROM call_ins c WHERE c.number = n.key AND c.state = 0)";

async fn open(store: &PostgresStore, opening: Opening) -> domain::call_in::CallIn {
    match store.open_call_in(opening).await {
        Ok(Opened::New(kept)) => kept,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_given_out_once() {
    let (database, stores) = two().await;
    let group = group(1, Some(3));
    let tasks = (0..920).map(|n| {
        let (store, asked) = (stores[n % 2].clone(), opening(&group, None));
        tokio::spawn(async move { store.open_call_in(asked).await.unwrap() })
    });
    let mut codes = BTreeSet::new();
    let mut refused = 0;
    for outcome in join(tasks.collect()).await {
        match outcome {
            Opened::New(kept) => assert!(codes.insert(kept.code), "{kept:?} twice"),
            Opened::NothingFree => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((codes.len(), refused), (900, 20), "every one of them, and the last one is found");
    assert_eq!(number(&database, OPEN_IS_COUNTED), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_calls_that_come_to_both_one_wins() {
    let (database, stores) = two().await;
    let group = group(2, Some(6));
    for round in 0..15 {
        let kept = open(&stores[0], opening(&group, Some(round))).await;
        let tasks = (0..20).map(|n| {
            let call = match n % 3 {
                0 => by_code(kept.code.unwrap()),
                1 => by_ani(round),
                _ => Call { ani: Presented::Value(phone(round)), ..by_code(kept.code.unwrap()) },
            };
            let store = stores[n % 2].clone();
            tokio::spawn(async move { store.match_call_in(matching(call)).await.unwrap() })
        });
        let cancelled = tokio::spawn({
            let (store, id) = (stores[1].clone(), kept.id);
            async move { store.cancel_call_in(tenant(), id, noon()).await.unwrap() }
        });
        let won = join(tasks.collect()).await.into_iter();
        let won = won.filter(|it| matches!(it, MatchOutcome::Answer(Matched::Won(won)) if won.call_in.id == kept.id));
        let ended = won.count() + usize::from(cancelled.await.unwrap() == Withdrawn::Done);
        assert_eq!(ended, 1, "round {round}");
    }
    assert_eq!(number(&database, OPEN_IS_COUNTED), 0);
    assert_eq!(number(&database, "SELECT coalesce(sum(open), 0) FROM call_in_numbers"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_keys_open_one_request() {
    let (database, stores) = two().await;
    let group = group(1, Some(6));
    let tasks = (0..60_usize).map(|n| {
        let idempotency = Some(Idempotency { key: [u8::try_from(n / 6).unwrap(); 16], body: [1; 16] });
        let asked = Opening { idempotency, ..opening(&group, None) };
        let store = stores[n % 2].clone();
        tokio::spawn(async move { store.open_call_in(asked).await.unwrap() })
    });
    let outcomes = join(tasks.collect()).await;
    for equal in outcomes.chunks(6) {
        let made: Vec<_> = equal.iter().filter(|it| matches!(it, Opened::New(_))).collect();
        let [Opened::New(made)] = made[..] else { panic!("one of {equal:?} was first") };
        let again = equal.iter().filter(|it| matches!(it, Opened::Existing(kept) if kept == made));
        assert_eq!(again.count(), 5, "{equal:?}");
    }
    assert_eq!(number(&database, "SELECT count(*) FROM call_ins"), 10);
}

/// What time does is written down by whoever comes first, beside new requests, and counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_is_counted_once() {
    use domain::ports::CallbackStore as _;
    let (database, stores) = two().await;
    let group = group(2, Some(6));
    for n in 0..60 {
        let opening = opening(&group, None);
        let tenant = if n % 3 == 0 { stranger() } else { tenant() };
        open(&stores[n % 2], Opening { tenant, ..opening }).await;
    }
    let purges = (0..2).map(|node| {
        let store = stores[node].clone();
        tokio::spawn(async move { store.purge(noon() - minutes(60), at(300), 100).await.map(drop) })
    });
    let opens = (0..40).map(|n| {
        let (store, id) = (stores[n % 2].clone(), CallInId::generate(at(300)));
        let asked = Opening { id, at: at(300), ..opening(&group, None) };
        tokio::spawn(async move { store.open_call_in(asked).await.map(drop) })
    });
    let tasks: Vec<_> = purges.chain(opens).collect();
    assert!(join(tasks).await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(number(&database, OPEN_IS_COUNTED), 0);
    assert_eq!(number(&database, "SELECT count(*) FROM call_ins WHERE state = 0"), 40);
    assert_eq!(number(&database, "SELECT count(*) FROM call_ins WHERE state = 2"), 60);
    drop(stores);
    assert_eq!(deadlocks(&database).await, 0);
}
