//! The PostgreSQL store: how the contract gets into it, and what only several nodes can show.

mod erasure;
mod updates;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use domain::ids::CallbackId;
use domain::numbers::PhoneNumber;
use ges::stores::combiner::Limits;
use ges::stores::postgres::{Address, PostgresOptions, PostgresStore};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::harness::*;
use super::sqlite::Nobody;
use crate::harness::postgres::{Database, query, shared};
use crate::harness::postgres_search;

struct PostgresInjector {
    store: Arc<PostgresStore>,
    database: Database,
}

/// Opens what is there.
pub(crate) async fn open(address: &Address, limits: Limits) -> PostgresStore {
    let options = PostgresOptions { limits, ..PostgresOptions::new(address.clone(), Arc::new(Nobody)) };
    PostgresStore::open(options).await.unwrap()
}

/// A fresh database with every table.
pub(crate) fn database() -> Database {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let name = format!("template_{}", std::process::id());
        query(&shared("postgres"), &format!("CREATE DATABASE {name}"));
        let migrate = async { drop(open(&shared(&name), Limits::default()).await) };
        block_in_place(|| Handle::current().block_on(migrate));
        // A template with a session in it cannot be copied, and sessions end a little after their sockets.
        let sessions = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        while !query(&shared("postgres"), &sessions).is_empty() {}
        name
    });
    Database::copy(template)
}

impl PostgresInjector {
    fn query(&self, text: &str) -> Vec<String> {
        query(&self.database.0, text)
    }

    fn number(&self, text: &str) -> u64 {
        self.query(text).first().unwrap().parse().unwrap()
    }
}

#[async_trait]
impl Injector for PostgresInjector {
    fn writing(&self) -> &dyn Writing {
        &*self.store
    }

    fn lose_next_commit_answer(&self) {
        self.store.lose_next_commit_answer();
    }

    fn break_bookings_of(&self, phone: PhoneNumber, how: Break) {
        let how = match how {
            Break::Statement => "RAISE EXCEPTION 'broken on request'",
            Break::Transaction => "PERFORM pg_terminate_backend(pg_backend_pid())",
        };
        self.query(&format!(
            "CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {how}; RETURN NEW; END $$; \
             CREATE TRIGGER broken AFTER INSERT ON callbacks FOR EACH ROW WHEN (NEW.phone = {}) \
             EXECUTE FUNCTION broken()",
            phone.digits()
        ));
    }

    fn heal(&self) {
        self.query("DROP TRIGGER broken ON callbacks");
    }

    fn raise_format(&self, id: CallbackId) {
        self.query(&format!("UPDATE callbacks SET format = 2 WHERE id = '\\x{}'", id.as_uuid().simple()));
    }

    fn rows(&self) -> Rows {
        Rows::counted(|table| self.number(&format!("SELECT count(*) FROM {table}")))
    }

    fn counts(&self) -> u64 {
        self.number("SELECT (SELECT count(*) FROM counted_values) + (SELECT count(*) FROM counted_windows)")
    }

    fn tables(&self) -> BTreeMap<String, u64> {
        let tables =
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_diesel%'";
        let count = |table: String| {
            let rows = self.number(&format!("SELECT count(*) FROM {table}"));
            (table, rows)
        };
        self.query(tables).into_iter().map(count).collect()
    }

    fn stored_forms(&self, phone: PhoneNumber) -> Vec<Vec<u8>> {
        postgres_search::stored_forms(&self.database.0, phone.digits())
    }

    /// Files are the server's, and shared by all fixtures: what is in them is shown in [`erasure`].
    fn traces(&self, phone: PhoneNumber, texts: &[&str], forms: &[Vec<u8>]) -> Vec<String> {
        postgres_search::in_values(&self.database.0, phone.digits(), texts, forms)
    }

    fn leave_copy(&self, _: PhoneNumber) -> bool {
        false
    }

    fn rewrites_files(&self) -> bool {
        false
    }

    fn tamper(&self, how: Tamper) {
        let tenant = format!("(SELECT key FROM tenants WHERE id = '\\x{}')", tenant().as_uuid().simple());
        let statements = how.statements(&tenant);
        self.query(&statements);
    }
}

pub(crate) fn start(limits: Limits) -> Fixture {
    let database = database();
    let store = Arc::new(block_in_place(|| Handle::current().block_on(open(&database.0, limits))));
    Fixture::of(&store, PostgresInjector { store: store.clone(), database })
}
