//! The SQLite store: how the contract gets into it, and what only a file can show.

mod opening;
mod size;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Duration;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use domain::event::Event;
use domain::ids::CallbackId;
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;
use domain::ports::{Booked, Booking, CallbackStore as _, NodeStore as _, Observer, Probe as _, SettingsStore as _};
use ges::stores::combiner::Limits;
use ges::stores::sqlite::{DATABASE_FILE, Mode, OpenError, SqliteOptions, SqliteStore};
use tempfile::TempDir;

use super::harness::*;
use crate::harness::database_search;

pub(crate) struct Nobody;

impl Observer for Nobody {
    fn note(&self, _: Event) {}
}

fn serve() -> SqliteOptions {
    SqliteOptions::serve(Arc::new(Nobody))
}

struct SqliteInjector {
    store: Arc<SqliteStore>,
    folder: TempDir,
}

fn connect(folder: &Path) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(folder.join(DATABASE_FILE).to_str().unwrap()).unwrap();
    connection.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    connection
}

fn number(connection: &mut SqliteConnection, query: &str) -> u64 {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let found: Number = diesel::sql_query(format!("SELECT ({query}) AS number")).get_result(connection).unwrap();
    found.number.cast_unsigned()
}

#[async_trait]
impl Injector for SqliteInjector {
    fn writing(&self) -> &dyn Writing {
        &*self.store
    }

    fn lose_next_commit_answer(&self) {
        self.store.lose_next_commit_answer();
    }

    fn break_bookings_of(&self, phone: PhoneNumber, how: Break) {
        let how = match how {
            Break::Statement => "ABORT",
            Break::Transaction => "ROLLBACK",
        };
        let trigger = format!(
            "CREATE TRIGGER broken AFTER INSERT ON callbacks WHEN NEW.phone = {} \
             BEGIN SELECT RAISE({how}, 'broken on request'); END",
            phone.digits()
        );
        connect(self.folder.path()).batch_execute(&trigger).unwrap();
    }

    fn heal(&self) {
        connect(self.folder.path()).batch_execute("DROP TRIGGER broken").unwrap();
    }

    fn raise_format(&self, id: CallbackId) {
        let update = format!("UPDATE callbacks SET format = 2 WHERE id = x'{}'", id.as_uuid().simple());
        connect(self.folder.path()).batch_execute(&update).unwrap();
    }

    fn rows(&self) -> Rows {
        let mut connection = connect(self.folder.path());
        Rows::counted(|table| number(&mut connection, &format!("SELECT count(*) FROM {table}")))
    }

    fn counts(&self) -> u64 {
        let mut connection = connect(self.folder.path());
        number(&mut connection, "(SELECT count(*) FROM counted_values) + (SELECT count(*) FROM counted_windows)")
    }

    fn tables(&self) -> BTreeMap<String, u64> {
        let mut connection = connect(self.folder.path());
        let count = |table: String| {
            let rows = number(&mut connection, &format!("SELECT count(*) FROM {table}"));
            (table, rows)
        };
        database_search::tables(self.folder.path()).into_iter().map(count).collect()
    }

    fn stored_forms(&self, phone: PhoneNumber) -> Vec<Vec<u8>> {
        database_search::stored_forms(self.folder.path(), phone.digits())
    }

    fn traces(&self, phone: PhoneNumber, texts: &[&str], forms: &[Vec<u8>]) -> Vec<String> {
        let folder = self.folder.path();
        let mut found = database_search::in_values(folder, phone.digits(), texts);
        found.extend(database_search::in_files(folder, phone.digits(), texts, forms));
        found
    }

    fn leave_copy(&self, phone: PhoneNumber) -> bool {
        let digits = phone.digits();
        let row = format!(
            "PRAGMA secure_delete = OFF; INSERT INTO slots (queue, start, booked) VALUES (999, {digits}, 1), (999, 1, 1); \
             DELETE FROM slots WHERE queue = 999 AND start = {digits}; PRAGMA wal_checkpoint(TRUNCATE)"
        );
        connect(self.folder.path()).batch_execute(&row).unwrap();
        true
    }

    fn rewrites_files(&self) -> bool {
        true
    }

    fn tamper(&self, how: Tamper) {
        let tenant = format!("(SELECT key FROM tenants WHERE id = x'{}')", tenant().as_uuid().simple());
        let statements = how.statements(&tenant);
        connect(self.folder.path()).batch_execute(&statements).unwrap();
    }
}

pub(crate) fn start(limits: Limits) -> Fixture {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions { limits, ..serve() }).unwrap());
    Fixture::of(&store, SqliteInjector { store: store.clone(), folder })
}

/// Steps that this program knows.
fn migrations() -> usize {
    fs::read_dir("migrations/sqlite").unwrap().count()
}

fn error(folder: &Path) -> OpenError {
    match SqliteStore::open(folder, serve()) {
        Ok(_) => panic!("{} was opened", folder.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made/on the way");
    let store = SqliteStore::open(&path, serve()).unwrap();
    assert_eq!(store.migrated().len(), migrations());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let callback = in_slot(noon());
    let booking = Booking { user_data: Some("{\"a\":1}".to_owned()), ..with_key(callback.clone(), 1, 1) };
    assert_eq!(store.book(booking).await, Ok(Booked::New));
    let first = store.register("node", "1").await.unwrap();
    drop(store);

    let store = SqliteStore::open(&path, serve()).unwrap();
    assert!(store.migrated().is_empty());
    assert_eq!(store.load(tenant(), callback.id).await, Ok(Some(callback.clone())));
    let details = store.details(tenant(), callback.id).await.unwrap().unwrap();
    assert_eq!(details.user_data.as_deref(), Some("{\"a\":1}"));
    assert_eq!(store.book(with_key(in_slot(noon()), 1, 1)).await, Ok(Booked::Existing(callback.id)));
    assert_eq!(store.book(booking_in_the_same_slot()).await, Ok(Booked::SlotFull));
    assert!(store.register("node", "1").await.unwrap() > first);
}

fn booking_in_the_same_slot() -> Booking {
    booking(in_slot(noon()))
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_store_closes() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), serve()).unwrap());
    let hold = store.hold_writer();
    let callback = scheduled(noon());
    let booked = {
        let (store, booking) = (store.clone(), booking(callback.clone()));
        tokio::spawn(async move { store.book(booking).await })
    };
    until("the booking waits", || store.writes_waiting() == 1).await;
    drop(hold);
    assert_eq!(booked.await.unwrap(), Ok(Booked::New));
    drop(store);
    let store = SqliteStore::open(folder.path(), serve()).unwrap();
    assert_eq!(store.load(tenant(), callback.id).await, Ok(Some(callback)));
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_and_heals() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), serve()).unwrap());
    let before = scheduled(noon());
    assert_eq!(store.book(booking(before.clone())).await, Ok(Booked::New));
    store.limit_pages(1);
    let large = |n: u32| Booking {
        user_data: Some(random_text(n.into(), 60_000)),
        ..booking(in_slot(noon() + minutes(n.into())))
    };
    let hold = store.hold_writer();
    let mut tasks = Vec::new();
    for n in 1..=3 {
        let (store, booking) = (store.clone(), large(n));
        tasks.push(tokio::spawn(async move { store.book(booking).await }));
    }
    until("all wait", || store.writes_waiting() == 3).await;
    drop(hold);
    for outcome in join(tasks).await {
        let Err(StoreError::NotDone(text)) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(text, "database or disk is full");
    }
    let mut connection = connect(folder.path());
    assert_eq!(number(&mut connection, "SELECT count(*) FROM callbacks"), 1);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM slots"), 0);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM details"), 0);

    store.limit_pages(1_000_000);
    assert_eq!(store.book(large(4)).await, Ok(Booked::New));
    assert_eq!(store.load(tenant(), before.id).await, Ok(Some(before)));
}

#[tokio::test]
async fn the_probe_reads_and_writes() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path(), serve()).unwrap();
    assert_eq!((store.name(), store.required()), ("database", true));
    assert_eq!(store.check().await, Ok(()));
    connect(folder.path()).batch_execute("DROP TABLE installation").unwrap();
    assert!(store.check().await.unwrap_err().starts_with("cannot write"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_cut_once_readers_let_it() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions { in_place: 1, ..serve() }).unwrap());
    let log = folder.path().join(format!("{DATABASE_FILE}-wal"));
    let length = || fs::metadata(&log).unwrap().len();
    // Reads that follow each other without a pause, in place and on the threads, are no reader that sits.
    let known = scheduled(noon());
    store.book(booking(known.clone())).await.unwrap();
    let reading: Vec<_> = (0..3)
        .map(|_| {
            let (store, known) = (store.clone(), known.clone());
            tokio::spawn(async move {
                loop {
                    assert_eq!(store.load(tenant(), known.id).await, Ok(Some(known.clone())));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    // A reader of another process sits on an old snapshot.
    let mut reader = connect(folder.path());
    reader.batch_execute("BEGIN; SELECT count(*) FROM callbacks").unwrap();
    let text = random_text(1, 4_000_000);
    while length() <= 64 * 1024 * 1024 {
        let large = Booking { user_data: Some(text.clone()), ..booking(scheduled(noon())) };
        assert_eq!(store.book(large).await, Ok(Booked::New), "writes go on meanwhile");
    }
    reader.batch_execute("COMMIT").unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while length() > 1024 * 1024 {
        assert!(tokio::time::Instant::now() < deadline, "the log still has {} bytes", length());
        assert_eq!(store.book(booking(scheduled(noon()))).await, Ok(Booked::New));
    }
    for reads in reading {
        assert!(!reads.is_finished(), "every read found what was committed before");
        reads.abort();
    }
}

/// Whoever keeps what was read has to see that it may be old: by each write of the tenant and of nobody, by no other.
#[tokio::test]
async fn writes_are_counted_by_tenant_before_they_are_answered() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path(), serve()).unwrap();
    let of = |tenant| store.writes_of(tenant).unwrap();
    for round in 0..3 {
        let (own, other) = (of(tenant()), of(stranger()));
        assert_eq!(store.book(booking(in_slot(noon() + minutes(10 * round)))).await, Ok(Booked::New));
        assert!(of(tenant()) > own);
        assert_eq!(of(stranger()), other, "another's booking");
    }
    let before = of(tenant());
    store.places_taken(tenant(), &queue(), noon(), noon() + minutes(10)).await.unwrap();
    assert_eq!(of(tenant()), before, "a read changes nothing");
}

/// However reads are shared out, whoever has heard of a write reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_was_answered_is_read() {
    for in_place in [0, 1, 4] {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path(), SqliteOptions { in_place, ..serve() }).unwrap());
        let tasks = (0..16).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let callback = scheduled(noon());
                    assert_eq!(store.book(booking(callback.clone())).await, Ok(Booked::New));
                    assert_eq!(store.load(tenant(), callback.id).await, Ok(Some(callback)));
                }
            })
        });
        join(tasks.collect()).await;
    }
}
