//! How fast the SQLite store is beside what SQLite itself can do, in one run on one machine. It asserts
//! nothing, so it runs only on request:
//! `cargo test --profile bench-fast --test it store_contract::speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ports::CallbackStore as _;
use ges::stores::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::time::Instant;

use super::harness::*;

const SPAN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, asserts nothing"]
async fn creates_and_loads() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { observer: None, ..SqliteOptions::serve(Arc::new(super::sqlite::Nobody)) };
    let store = Arc::new(SqliteStore::open(folder.path(), options).unwrap());
    for callers in [1, 16, 64, 256] {
        let before = store.write_stats();
        let began = Instant::now();
        let tasks = (0..callers).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                while began.elapsed() < SPAN {
                    store.book(booking(immediate(ME, noon()))).await.unwrap();
                }
            })
        });
        join(tasks.collect()).await;
        let after = store.write_stats();
        let (commits, commands) = (after.commits - before.commits, after.commands - before.commands);
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "creates, {callers} callers: {:.0}/s in {:.0} commits/s, {:.1} each",
            commands as f64 / seconds,
            commits as f64 / seconds,
            commands as f64 / commits as f64
        );
    }
    let kept = store.keep_one().await;
    for callers in [1, 16, 256] {
        let loads = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let tasks = (0..callers).map(|_| {
            let (store, loads) = (store.clone(), loads.clone());
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

trait KeepOne {
    async fn keep_one(&self) -> domain::ids::CallbackId;
}

impl KeepOne for SqliteStore {
    async fn keep_one(&self) -> domain::ids::CallbackId {
        let callback = scheduled(noon());
        self.book(booking(callback.clone())).await.unwrap();
        callback.id
    }
}
