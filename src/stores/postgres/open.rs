//! Opening the database: looked at, brought up to date under a lock, and checked to be durable.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel_async::AsyncMigrationHarness;
use diesel_async::pg::AsyncPgConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::Dialer;
use super::errors::SqlError;
use crate::stores::schema;

/// The steps of the schema.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// The step after them, with which a rolling upgrade is tried.
#[cfg(feature = "testing")]
const NEXT: EmbeddedMigrations = embed_migrations!("migrations/testing/postgres");

/// The steps that this program knows.
fn sources() -> Vec<EmbeddedMigrations> {
    Vec::from([
        MIGRATIONS,
        #[cfg(feature = "testing")]
        NEXT,
    ])
}

/// The advisory lock of whoever changes the schema: the letters `GES`.
const SCHEMA_LOCK: i64 = 0x4745_5300;

/// How long one node waits for another that is changing the schema.
const SCHEMA_WAIT: Duration = Duration::from_secs(60);
const SCHEMA_PAUSE: Duration = Duration::from_millis(100);

/// Nothing that a step locks may stop bookings for longer than they are willing to wait.
const STEP_LIMITS: &str = "SET lock_timeout = 1000; SET synchronous_commit = on";

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nobody answers there, or they do not let us in. It may be tried again.
    #[error("cannot open the database: {0}")]
    Connect(String),
    /// A newer program has changed it such that older ones cannot use it any more.
    #[error("the database is newer than this program: it has the unknown migration {migration}")]
    Newer {
        /// The first step that is not known.
        migration: String,
    },
    /// A server setting makes commits forgettable.
    #[error("the database does not keep what it commits: {0} is off")]
    NotDurable(String),
    /// The schema could not be brought up to date; the step was rolled back.
    #[error("cannot migrate the database: {0}")]
    Migration(String),
    /// The system gave no thread.
    #[error("cannot start the threads of the store")]
    Threads(#[source] std::io::Error),
}

impl OpenError {
    /// Whether it will be the same at the next try.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::NotDurable(_))
    }
}

impl From<SqlError> for OpenError {
    fn from(error: SqlError) -> Self {
        Self::Connect(error.to_string())
    }
}

/// The first column of every row that a text brings.
async fn column(client: &Client, text: &str) -> Result<Vec<String>, SqlError> {
    let messages = client.simple_query(text).await?;
    let values = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(values.collect())
}

/// Refuses a server that may lose what it has committed.
pub(super) async fn check_durable(client: &Client) -> Result<(), OpenError> {
    for setting in ["fsync", "full_page_writes"] {
        if column(client, &format!("SHOW {setting}")).await?.first().is_none_or(|value| value != "on") {
            return Err(OpenError::NotDurable(setting.to_owned()));
        }
    }
    Ok(())
}

fn known() -> Result<BTreeSet<String>, OpenError> {
    let mut known = BTreeSet::new();
    for source in sources() {
        let steps = MigrationSource::<Pg>::migrations(&source);
        let steps = steps.map_err(|error| OpenError::Migration(error.to_string()))?;
        known.extend(steps.iter().map(|step| step.name().version().to_string()));
    }
    Ok(known)
}

/// Steps that are known and not applied.
async fn pending(client: &Client) -> Result<Vec<String>, OpenError> {
    let known = known()?;
    let table =
        "SELECT 1 FROM pg_tables WHERE tablename = '__diesel_schema_migrations' AND schemaname = current_schema()";
    if column(client, table).await?.is_empty() {
        return Ok(known.into_iter().collect());
    }
    let applied = column(client, "SELECT version FROM __diesel_schema_migrations ORDER BY version").await?;
    let applied: BTreeSet<String> = applied.into_iter().collect();
    let needs = if applied.contains(schema::SAYS_WHAT_IT_NEEDS) {
        column(client, "SELECT needs FROM installation").await?.pop()
    } else {
        None
    };
    schema::pending(&known, &applied, needs.as_deref()).map_err(|migration| OpenError::Newer { migration })
}

/// Brings the schema up to date, one node at a time; the steps that were taken.
pub(super) async fn migrate(dialer: &Dialer) -> Result<Vec<String>, OpenError> {
    let client = dialer.bare().await?;
    check_durable(&client).await?;
    if pending(&client).await?.is_empty() {
        return Ok(Vec::new());
    }
    // The lock goes with the connection, however this ends.
    let lock = format!("SELECT pg_try_advisory_lock({SCHEMA_LOCK})");
    let deadline = tokio::time::Instant::now() + SCHEMA_WAIT;
    while column(&client, &lock).await?.first().is_none_or(|held| held != "t") {
        if tokio::time::Instant::now() > deadline {
            return Err(OpenError::Migration("another node is changing the schema".to_owned()));
        }
        tokio::time::sleep(SCHEMA_PAUSE).await;
    }
    let steps = pending(&client).await?;
    if steps.is_empty() {
        return Ok(steps);
    }
    client.batch_execute(STEP_LIMITS).await.map_err(SqlError::from)?;
    let failed = |error: &dyn std::fmt::Display| OpenError::Migration(error.to_string());
    let connection = AsyncPgConnection::try_from(client).await.map_err(|error| failed(&error))?;
    // Diesel's harness blocks its thread.
    let runtime = Handle::current();
    let run = move || {
        let _inside = runtime.enter();
        let mut harness = AsyncMigrationHarness::new(connection);
        sources()
            .into_iter()
            .try_for_each(|source| harness.run_pending_migrations(source).map(drop).map_err(|error| failed(&error)))
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| failed(&error))??;
    Ok(steps)
}
