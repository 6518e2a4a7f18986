//! What an update writes beside its row: nothing, as long as no indexed column changes. PostgreSQL counts both kinds.

use std::time::Duration;

use domain::callback::State;
use domain::ports::CallbackStore as _;
use ges::stores::combiner::Limits;

use super::super::harness::*;
use super::{database, open};
use crate::harness::poll;
use crate::harness::postgres::{Database, query};

const SOON: Duration = Duration::from_secs(30);
/// So few that a page has room for the next version of each.
const CALLBACKS: u64 = 8;

/// All updates of a table, and those that wrote no index entry.
fn updates(database: &Database, table: &str) -> (u64, u64) {
    let text = |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = '{table}'");
    let number = |column| query(&database.0, &text(column)).first().unwrap().parse().unwrap();
    (number("n_tup_upd"), number("n_tup_hot_upd"))
}

/// An index with `state` among its columns, or in its condition, would make each of these steps write all indexes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_moves_no_wake_up_writes_no_index() {
    let database = database();
    let store = open(&database.0, Limits::default()).await;
    for _ in 0..CALLBACKS {
        let mut callback = immediate(ME, noon());
        store.book(booking(callback.clone())).await.unwrap();
        for state in [State::Routing, State::Processing] {
            let step = change(&callback, |it| it.state = state);
            callback = step.callback.clone();
            store.save(step).await.unwrap();
        }
    }
    // A session tells what it has counted when it ends, at the latest.
    drop(store);
    let (all, hot) = poll::until("the steps were counted", SOON, || {
        let (all, hot) = updates(&database, "callbacks");
        (all >= CALLBACKS * 2).then_some((all, hot))
    });
    assert_eq!((all, hot), (CALLBACKS * 2, CALLBACKS * 2), "updates, and those that wrote no index");
    for table in ["queue_depths", "writers"] {
        let (all, hot) = updates(&database, table);
        assert!(all > 0 && hot == all, "{table}: {hot} of {all} wrote no index");
    }
}
