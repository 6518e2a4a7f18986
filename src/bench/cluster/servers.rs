//! The servers that `scripts/bench-cluster` has started, and a database by its own counters.

use std::net::SocketAddr;
use std::path::PathBuf;

use domain::ports::{Booked, Booking, CallbackStore as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::{Client, NoTls, Statement};

use super::super::processes::Process;
use super::super::{BenchError, seed};
use super::redis::Redis;
use crate::master_key::MasterKey;
use crate::stores::postgres::{Address, PostgresOptions, PostgresStore};

/// The key of the nodes of a bench.
pub(super) const MASTER_KEY: [u8; 32] = [7; 32];
/// Bookings that are on their way to the store at once.
const LOADED_AT_ONCE: usize = 3_000;

/// Where they are.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) postgres: SocketAddr,
    pub(super) own: Redis,
    pub(super) voice: Redis,
    pub(super) pgbench: PathBuf,
}

impl Servers {
    /// From the variables that the script sets.
    ///
    /// # Errors
    /// The one that is not there.
    pub(super) fn from_environment() -> Result<Self, BenchError> {
        let text = |name: &str| {
            std::env::var(name).map_err(|_| BenchError::Target(format!("{name} is not set: use scripts/bench-cluster")))
        };
        let address = |name: &str| {
            text(name)?.parse().map_err(|_| BenchError::Target(format!("{name} is no address such as 127.0.0.1:5432")))
        };
        Ok(Self {
            postgres: address("BENCH_POSTGRES")?,
            own: Redis(address("BENCH_REDIS")?),
            voice: Redis(address("BENCH_VOICE_REDIS")?),
            pgbench: PathBuf::from(text("BENCH_PGBENCH")?),
        })
    }

    fn address(&self, database: &str) -> Address {
        Address {
            host: self.postgres.ip().to_string(),
            port: self.postgres.port(),
            database: database.to_owned(),
            user: "ges".to_owned(),
            password: None,
            tls: None,
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> BenchError {
    BenchError::Data(error.to_string())
}

async fn connect(address: &Address) -> Result<Client, BenchError> {
    let mut config = tokio_postgres::Config::new();
    config.host(&address.host).port(address.port).user(&address.user).dbname(&address.database);
    let (client, connection) = config.connect(NoTls).await.map_err(|error| failed(&error))?;
    // Whoever asks through the client hears of its end.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// A database with the tables and the tenant of the bench.
pub(super) struct Database {
    pub(super) address: Address,
    client: Client,
    store: PostgresStore,
}

impl Database {
    /// A new one.
    ///
    /// # Errors
    /// If the server does not make it.
    pub(super) async fn make(servers: &Servers) -> Result<Self, BenchError> {
        let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
        let server = connect(&servers.address("postgres")).await?;
        server.batch_execute(&format!("CREATE DATABASE {name}")).await.map_err(|error| failed(&error))?;
        let address = servers.address(&name);
        let store = PostgresStore::open(PostgresOptions::command(address.clone())).await;
        let store = store.map_err(|error| failed(&error))?;
        seed::put_shared(&store, MasterKey::new(MASTER_KEY)).await?;
        let client = connect(&address).await?;
        Ok(Self { address, client, store })
    }

    /// Runs statements that bring nothing.
    pub(super) async fn run(&self, text: &str) -> Result<(), BenchError> {
        self.client.batch_execute(text).await.map_err(|error| failed(&error))
    }

    /// The number that a query brings, which has to be a `bigint`.
    pub(super) async fn number(&self, text: &str) -> Result<i64, BenchError> {
        let row = self.client.query_one(text, &[]).await.map_err(|error| failed(&error))?;
        row.try_get(0).map_err(|error| failed(&error))
    }

    /// Bytes of all tables with their indexes and what is kept beside them.
    pub(super) async fn bytes(&self) -> Result<f64, BenchError> {
        let text = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        Ok(self.number(text).await? as f64)
    }

    /// Tables and indexes with their bytes, the largest first.
    pub(super) async fn sizes(&self) -> Result<Vec<(String, f64)>, BenchError> {
        let text = "SELECT relname::text, pg_relation_size(oid) FROM pg_class
            WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC";
        let rows = self.client.query(text, &[]).await.map_err(|error| failed(&error))?;
        let one = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)? as f64));
        rows.iter().map(one).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| failed(&error))
    }

    /// Transactions that were committed in it.
    pub(super) async fn commits(&self) -> Result<f64, BenchError> {
        let text = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        Ok(self.number(text).await? as f64)
    }

    /// Bytes of write-ahead log that the whole server has written.
    pub(super) async fn wal_bytes(&self) -> Result<f64, BenchError> {
        Ok(self.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").await? as f64)
    }

    /// How often the nodes' sessions have waited: about once for each statement that came and for each flush of the log.
    pub(super) async fn waits(&self) -> Result<f64, BenchError> {
        let text = "SELECT pid::bigint FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'ges'";
        let rows = self.client.query(text, &[]).await.map_err(|error| failed(&error))?;
        let processes = rows.iter().filter_map(|row| row.try_get::<_, i64>(0).ok());
        // One that has ended meanwhile has no part in the load.
        Ok(processes.filter_map(|it| Process::waits(&it.to_string()).ok()).sum::<u64>() as f64)
    }

    /// Somebody who looks at what the nodes' sessions do.
    ///
    /// # Errors
    /// If the server lets nobody in.
    pub(super) async fn watcher(&self) -> Result<Watcher, BenchError> {
        let client = connect(&self.address).await?;
        let text = "SELECT state, coalesce(wait_event, '') FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'ges' AND state <> 'idle'";
        let statement = client.prepare(text).await.map_err(|error| failed(&error))?;
        Ok(Watcher { client, statement })
    }

    /// Books by the store's own way of writing: a queue, batches, and the statements of the service.
    ///
    /// # Errors
    /// If one is not kept.
    pub(super) async fn load(&self, bookings: impl Iterator<Item = Booking>) -> Result<(), BenchError> {
        let booked = stream::iter(bookings.map(|booking| self.store.book(booking))).buffer_unordered(LOADED_AT_ONCE);
        let kept =
            booked.map_err(|error| failed(&error)).try_fold(true, async |all, booked| Ok(all && booked == Booked::New));
        if kept.await? { Ok(()) } else { Err(BenchError::Broken("a booking was not kept".to_owned())) }
    }
}

/// What a session is doing that has a transaction under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// It executes.
    Runs,
    /// It waits until the log is on disk.
    Flushes,
    /// It waits for the next statement.
    WaitsForNode,
    /// It waits for anything else.
    Waits,
}

impl Activity {
    fn of(state: &str, wait_event: &str) -> Self {
        // Their case differs between versions of the server.
        let event = wait_event.to_ascii_lowercase();
        match (state, event.as_str()) {
            ("active", "") => Self::Runs,
            ("active", event) if event.starts_with("wal") && !event.contains("insert") => Self::Flushes,
            ("active", event) if event != "clientread" => Self::Waits,
            _ => Self::WaitsForNode,
        }
    }
}

/// A connection of its own, so that looking waits for nothing.
pub(super) struct Watcher {
    client: Client,
    statement: Statement,
}

impl Watcher {
    /// What each session of a node does that is not idle.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(super) async fn sessions(&self) -> Result<Vec<Activity>, BenchError> {
        let rows = self.client.query(&self.statement, &[]).await.map_err(|error| failed(&error))?;
        let one = |row: &tokio_postgres::Row| Ok(Activity::of(row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(one).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_events_are_told_apart() {
        for (state, event, expected) in [
            ("active", "", Activity::Runs),
            ("active", "WALSync", Activity::Flushes),
            ("active", "WalSync", Activity::Flushes),
            ("active", "WALWrite", Activity::Flushes),
            ("active", "WALInsert", Activity::Waits),
            ("active", "transactionid", Activity::Waits),
            ("active", "ClientRead", Activity::WaitsForNode),
            ("idle in transaction", "ClientRead", Activity::WaitsForNode),
        ] {
            assert_eq!(Activity::of(state, event), expected, "{state} {event}");
        }
    }
}
