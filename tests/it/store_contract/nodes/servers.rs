//! Servers that crash, forget, or are not who they say; schemas; and what a callback costs.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};
use domain::ports::{Booked, Booking, CallbackStore as _, NodeStore as _, Probe as _, StoreError};
use ges::stores::combiner::Limits;
use ges::stores::postgres::{Address, OpenError, PostgresOptions, PostgresStore, tls};
use tokio::time::Instant;

use super::super::harness::*;
use super::super::postgres::{database, open};
use super::super::sqlite::Nobody;
use super::{number, two};
use crate::harness::postgres::{Database, Server, query, shared, try_query};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_loses_and_doubles_nothing() {
    let mut server = Server::start(&[]);
    query(&server.address("postgres"), "CREATE DATABASE ges");
    let address = server.address("ges");
    let stores = [open(&address, Limits::default()).await, open(&address, Limits::default()).await].map(Arc::new);
    let me = stores[0].register("one", "1").await.unwrap();
    let clients = (0..8_u8).map(|client| {
        let store = stores[usize::from(client % 2)].clone();
        tokio::spawn(async move {
            let (mut lost, mut longest) = (0_u32, StdDuration::ZERO);
            for n in 0..200_u8 {
                let mut booking = with_key(scheduled(noon()), client, 1);
                booking.idempotency.as_mut().unwrap().key[1] = n;
                loop {
                    let began = Instant::now();
                    let outcome = store.book(Booking { callback: scheduled(noon()), ..booking.clone() }).await;
                    longest = longest.max(began.elapsed());
                    match outcome {
                        Ok(Booked::New | Booked::Existing(_)) => break,
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => lost += 1,
                    }
                    tokio::time::sleep(StdDuration::from_millis(20)).await;
                }
            }
            (lost, longest)
        })
    });
    let clients: Vec<_> = clients.collect();
    until("the clients are at it", || stores[0].write_stats().commits > 20).await;
    tokio::task::block_in_place(|| server.kill());
    let dead = stores[0].heartbeat(me).await;
    assert!(matches!(dead, Err(StoreError::NotDone(_))), "{dead:?}");
    assert!(stores[0].check().await.is_err());
    assert!(matches!(stores[0].load(tenant(), scheduled(noon()).id).await, Err(StoreError::NotDone(_))));
    tokio::task::block_in_place(|| server.restart());
    let outcomes = join(clients).await;
    println!("tries that failed, and the longest: {outcomes:?}");
    let noticed = |(lost, longest): &(u32, StdDuration)| *lost > 0 || *longest > StdDuration::from_millis(500);
    assert!(outcomes.iter().any(noticed), "the server was away");
    assert_eq!(query(&address, "SELECT count(*) FROM callbacks"), ["1600"]);
    assert_eq!(query(&address, "SELECT count(*) FROM idempotency_keys"), ["1600"]);
    assert!(stores[0].heartbeat(me).await.is_ok());
    assert_eq!(stores[0].check().await, Ok(()));
}

/// A server that waits in vain for its standby has committed here and says so to nobody: nor do we.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_standby_does_not_have_is_not_confirmed() {
    let (server, mut standby) = tokio::task::block_in_place(|| {
        let server = Server::start(&[]);
        query(&server.address("postgres"), "CREATE DATABASE ges");
        let standby = server.synchronous_standby();
        (server, standby)
    });
    let store = open(&server.address("ges"), Limits::default()).await;
    assert_eq!(store.book(with_key(scheduled(noon()), 1, 1)).await, Ok(Booked::New));
    tokio::task::block_in_place(|| standby.kill());
    let lonely = with_key(scheduled(noon()), 2, 1);
    let outcome = store.book(lonely.clone()).await;
    assert!(matches!(outcome, Err(StoreError::PerhapsDone(_))), "{outcome:?}");
    tokio::task::block_in_place(|| standby.restart());
    let deadline = Instant::now() + StdDuration::from_secs(60);
    let mut again = store.book(Booking { callback: scheduled(noon()), ..lonely.clone() }).await;
    while again.is_err() && Instant::now() < deadline {
        again = store.book(Booking { callback: scheduled(noon()), ..lonely.clone() }).await;
    }
    assert_eq!(again, Ok(Booked::Existing(lonely.callback.id)), "it was there all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_together_migrate_once() {
    let name = format!("fresh_{}", std::process::id());
    query(&shared("postgres"), &format!("CREATE DATABASE {name}"));
    let fresh = Database(shared(&name));
    let opening = (0..4).map(|_| {
        let address = fresh.0.clone();
        tokio::spawn(async move { open(&address, Limits::default()).await.migrated().len() })
    });
    let mut steps = join(opening.collect()).await;
    steps.sort_unstable();
    let all = std::fs::read_dir("migrations/postgres").unwrap().count();
    assert_eq!(steps, [0, 0, 0, all]);
    query(&fresh.0, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')");
    assert_eq!(open(&fresh.0, Limits::default()).await.migrated().len(), 0, "what was only added is no hindrance");
    query(&fresh.0, "UPDATE installation SET needs = '20991231000000'");
    let newer = PostgresStore::open(PostgresOptions::new(fresh.0.clone(), Arc::new(Nobody))).await;
    assert!(matches!(newer, Err(OpenError::Newer { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_is_refused() {
    for setting in ["fsync=off", "full_page_writes=off"] {
        let server = tokio::task::block_in_place(|| Server::start(&[setting]));
        let opened = PostgresStore::open(PostgresOptions::new(server.address("postgres"), Arc::new(Nobody))).await;
        let error = opened.err().expect("it is refused");
        assert!(matches!(&error, OpenError::NotDurable(name) if setting.starts_with(name.as_str())), "{error}");
        assert!(error.is_final());
        let tables = try_query(&server.address("postgres"), "SELECT 1 FROM pg_tables WHERE schemaname = 'public'");
        assert!(tables.unwrap().is_empty(), "untouched");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_in_the_clear() {
    let server = tokio::task::block_in_place(|| Server::start(&["ssl=on"]));
    let trusted = tls(&["tests/fixtures/tls/ca.pem".into()]).unwrap();
    let address = Address { tls: Some(trusted.clone()), ..server.address("postgres") };
    let store = open(&address, Limits::default()).await;
    assert_eq!(store.book(booking(scheduled(noon()))).await, Ok(Booked::New));
    let sessions =
        "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'ges'";
    assert_eq!(query(&server.address("postgres"), sessions), ["true"]);
    let unknown = Address { tls: Some(tls(&[]).unwrap()), ..address.clone() };
    let refused = PostgresStore::open(PostgresOptions::new(unknown, Arc::new(Nobody))).await;
    let error = refused.err().expect("an unknown authority is not believed");
    assert!(error.to_string().contains("certificate"), "{error}");
    let plain = tokio::task::block_in_place(|| Server::start(&[]));
    let address = Address { tls: Some(trusted), ..plain.address("postgres") };
    assert!(PostgresStore::open(PostgresOptions::new(address, Arc::new(Nobody))).await.is_err(), "no TLS, no talk");
    assert!(tls(&["tests/fixtures/tls/server.key".into()]).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_migration_goes_down_and_up_again() {
    let database = database();
    let schema = || {
        let columns = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations' ORDER BY 1";
        let indexes =
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '__diesel_schema_migrations'
            ORDER BY 1";
        [query(&database.0, columns), query(&database.0, indexes)].concat()
    };
    let mut steps: Vec<_> = std::fs::read_dir("migrations/postgres").unwrap().map(|it| it.unwrap().path()).collect();
    steps.sort();
    let run = |step: &std::path::Path, file: &str| {
        query(&database.0, &std::fs::read_to_string(step.join(file)).unwrap());
    };
    let full = schema();
    assert!(full.len() > 100, "columns and indexes: {full:?}");
    steps.iter().rev().for_each(|step| run(step, "down.sql"));
    assert!(schema().is_empty(), "{:?}", schema());
    steps.iter().for_each(|step| run(step, "up.sql"));
    assert_eq!(schema(), full);
}

/// A round instant on the day of `noon`.
fn at(n: i64) -> DateTime<Utc> {
    noon() + Duration::seconds(n % 86_400)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_callback_costs_less_than_600_bytes() {
    const COUNT: i64 = 20_000;
    let (database, [store, _]) = two().await;
    let tasks = (0..64_i64).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in (task..COUNT).step_by(64) {
                let callback = with_phone(scheduled(at(n * 7)), phone(n.cast_unsigned()));
                store.book(booking(callback)).await.unwrap();
            }
        })
    });
    join(tasks.collect()).await;
    query(&database.0, "VACUUM ANALYZE");
    let tables = ["callbacks", "history", "details"];
    let bytes = |table: &str| number(&database, &format!("SELECT pg_total_relation_size('{table}')"));
    let each: Vec<_> = tables.iter().map(|table| (table, bytes(table) / COUNT.cast_unsigned())).collect();
    let all: u64 = tables.iter().map(|table| bytes(table)).sum::<u64>() / COUNT.cast_unsigned();
    println!("bytes per scheduled callback: {all}, {each:?}");
    assert!(all <= 600, "{all}: {each:?}");
}
