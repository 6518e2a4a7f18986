//! How fast the stores are, in one run on one machine. It asserts nothing, so it runs only on request:
//! `cargo test --profile bench-fast --test it store_contract::speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ports::CallbackStore;
use ges::stores::DatabaseStore;
use ges::stores::combiner::{Limits, WriteStats};
use ges::stores::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::time::Instant;

use super::harness::*;

const SPAN: Duration = Duration::from_secs(3);

trait Counting: CallbackStore {
    fn stats(&self) -> WriteStats;
}

impl<D> Counting for DatabaseStore<D>
where
    Self: CallbackStore,
{
    fn stats(&self) -> WriteStats {
        self.write_stats()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, asserts nothing"]
async fn of_sqlite() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { observer: None, ..SqliteOptions::serve(Arc::new(super::sqlite::Nobody)) };
    creates_and_loads(vec![Arc::new(SqliteStore::open(folder.path(), options).unwrap())]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, asserts nothing"]
async fn of_postgres() {
    let database = super::postgres::database();
    let store = Arc::new(super::postgres::open(&database.0, Limits::default()).await);
    println!("one node:");
    creates_and_loads(vec![store.clone()]).await;
    let other = Arc::new(super::postgres::open(&database.0, Limits::default()).await);
    println!("two nodes:");
    creates_and_loads(vec![store, other]).await;
}

/// As many callers at once, shared by `stores`.
async fn creates_and_loads<S: Counting + 'static>(stores: Vec<Arc<S>>) {
    let total = || {
        stores.iter().fold((0, 0), |(commits, commands), store| {
            let stats = store.stats();
            (commits + stats.commits, commands + stats.commands)
        })
    };
    for callers in [1, 16, 64, 256] {
        let before = total();
        let began = Instant::now();
        let tasks = (0..callers).map(|caller| {
            let store = stores[caller % stores.len()].clone();
            tokio::spawn(async move {
                while began.elapsed() < SPAN {
                    store.book(booking(immediate(ME, noon()))).await.unwrap();
                }
            })
        });
        join(tasks.collect()).await;
        let after = total();
        let (commits, commands) = (after.0 - before.0, after.1 - before.1);
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "creates, {callers} callers: {:.0}/s in {:.0} commits/s, {:.1} each",
            commands as f64 / seconds,
            commits as f64 / seconds,
            commands as f64 / commits as f64
        );
    }
    let kept = scheduled(noon());
    stores[0].book(booking(kept.clone())).await.unwrap();
    let kept = kept.id;
    for callers in [1, 16, 256] {
        let loads = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let tasks = (0..callers).map(|_| {
            let (store, loads) = (stores[0].clone(), loads.clone());
            tokio::spawn(async move {
                while began.elapsed() < SPAN {
                    assert!(store.load(tenant(), kept).await.unwrap().is_some());
                    loads.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        join(tasks.collect()).await;
        let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(loads.load(Ordering::Relaxed));
        println!("loads, {callers} callers: {:.0}/s, {each:.1} us each", 1e6 / each);
    }
}
