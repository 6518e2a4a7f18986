//! A node that ends hands its callbacks over while it and others still write them.

use std::collections::BTreeMap;

use domain::callback::Callback;
use domain::ids::Incarnation;
use domain::ports::{CallbackStore as _, Change, HandOver, Handed, SaveError};

use super::super::harness::*;
use super::{deadlocks, number, two};
use crate::harness::postgres::query;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_has_one_owner_and_every_step_is_kept_or_refused() {
    const ROWS: u32 = 600;
    let third = Incarnation(9);
    let (database, stores) = two().await;
    let tasks = (0..ROWS).map(|_| {
        let store = stores[0].clone();
        tokio::spawn(async move {
            let callback = immediate(ME, noon());
            store.book(booking(callback.clone())).await.unwrap();
            callback
        })
    });
    let rows: Vec<Callback> = join(tasks.collect()).await;
    // Sessions of the node that ends save steps of their own meanwhile, and inputs come in at the other one.
    let steps = rows.into_iter().enumerate().map(|(n, before)| {
        let store = stores[n % 2].clone();
        let expected_owner = (n % 2 == 0).then_some(ME);
        tokio::spawn(async move { store.save(Change { expected_owner, ..change(&before, |_| {}) }).await })
    });
    let steps: Vec<_> = steps.collect();
    let ending = stores[0].clone();
    let handing = tokio::spawn(async move {
        let mut given = 0;
        loop {
            let to = vec![OTHER, third];
            let step = HandOver { owner: ME, to, what: Handed::All, at: noon(), limit: 100 };
            match ending.hand_over(step).await.unwrap() {
                0 => return given,
                more => given += more,
            }
        }
    });
    let saved = join(steps).await;
    let given = handing.await.unwrap();
    let refused = saved.iter().filter(|it| **it == Err(SaveError::Conflict)).count();
    println!("{given} handed over, {refused} of {ROWS} steps refused");
    assert!(saved.iter().all(|it| matches!(it, Ok(()) | Err(SaveError::Conflict))), "{saved:?}");
    // What was locked while the last batch looked for it is left to the sweep.
    let left = number(&database, &format!("SELECT count(*) FROM callbacks WHERE owner = {}", ME.0));
    assert_eq!(given + left, u64::from(ROWS), "each went once");
    let owners = query(&database.0, "SELECT owner || ' ' || count(*) FROM callbacks GROUP BY owner ORDER BY owner");
    let owners: BTreeMap<i64, u64> = owners
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
        .collect();
    let [one, other] = [OTHER, third].map(|it| owners.get(&it.0).copied().unwrap_or_default());
    assert!(one.abs_diff(other) <= 50, "{owners:?}");
    let versions = "SELECT count(*) FROM callbacks c WHERE version <>
        (SELECT count(*) FROM history h WHERE h.callback = c.id)";
    assert_eq!(number(&database, versions), 0, "no step is missing, and none was written twice");
    let kept = saved.iter().filter(|it| it.is_ok()).count() as u64;
    assert_eq!(number(&database, "SELECT sum(version) FROM callbacks"), u64::from(ROWS) + kept + given);
    drop(stores);
    assert_eq!(deadlocks(&database).await, 0);
}
