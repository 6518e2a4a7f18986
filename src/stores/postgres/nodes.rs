//! Heartbeats and the health probe, on a connection of their own.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::Incarnation;
use domain::ports::{Beat, NodeStore, Probe, StoreError};

use super::PostgresStore;
use super::errors::{Sql, SqlError};
use super::statement::{Connection, execute, first, rows, statements};
use crate::stores::rows::instant;

// The database's own clock, in milliseconds, cut and not rounded: it is never ahead.
macro_rules! now {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

statements! {
    // One statement, so that a name never stands for two incarnations.
    Register = concat!(
        "WITH older AS (DELETE FROM nodes WHERE name = ?)
        INSERT INTO nodes (name, version, seen_at) VALUES (?, ?, ", now!(), ") RETURNING incarnation");
    RaiseCounter = concat!("UPDATE nodes SET counter = counter + 1, seen_at = ", now!(), " WHERE incarnation = ?");
    Leave = "DELETE FROM nodes WHERE incarnation = ?";
    ListNodes = "SELECT incarnation, counter FROM nodes ORDER BY incarnation";
    Epoch = "SELECT epoch FROM installation";
    // Alone and last: the database's time is at least this when the answer arrives.
    Now = concat!("SELECT ", now!());
    ProbeRead = "SELECT 1 FROM installation";
    ProbeWrite = concat!("UPDATE installation SET probed_at = ", now!());
}

fn missing(what: &str) -> SqlError {
    SqlError::Unreadable(format!("{what} is missing"))
}

async fn beat(connection: &mut Connection, me: Incarnation) -> Sql<Beat> {
    execute::<RaiseCounter>(connection, &[me.0.into()]).await?;
    let nodes: Vec<(i64, i64)> = rows::<ListNodes, _>(connection, &[]).await?;
    let epoch: Option<(i64,)> = first::<Epoch, _>(connection, &[]).await?;
    let now: Option<(i64,)> = first::<Now, _>(connection, &[]).await?;
    let ((epoch,), (now,)) = epoch.zip(now).ok_or_else(|| missing("the row of the installation"))?;
    let nodes = nodes.into_iter().map(|(node, counter)| (Incarnation(node), counter)).collect();
    Ok(Beat { now: instant(now)?, epoch, nodes })
}

impl PostgresStore {
    /// The database's time: it is at least this when the answer arrives.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let mut kept = self.database.keeper.take().await?;
        let now = first::<Now, (i64,)>(kept.connection()?, &[]).await;
        let (now,) = kept.heard(now)?.ok_or_else(|| missing("the time"))?;
        instant(now)
    }
}

#[async_trait]
impl NodeStore for PostgresStore {
    async fn register(&self, name: &str, version: &str) -> Result<Incarnation, StoreError> {
        let mut kept = self.database.keeper.take().await?;
        let binds = [name.into(), name.into(), version.into()];
        let row = first::<Register, (i64,)>(kept.connection()?, &binds).await;
        let row = kept.heard(row)?;
        Ok(row.map(|(incarnation,)| Incarnation(incarnation)).ok_or_else(|| missing("an incarnation"))?)
    }

    async fn heartbeat(&self, me: Incarnation) -> Result<Beat, StoreError> {
        let mut kept = self.database.keeper.take().await?;
        let beat = beat(kept.connection()?, me).await;
        kept.heard(beat)
    }

    async fn leave(&self, me: Incarnation) -> Result<(), StoreError> {
        let mut kept = self.database.keeper.take().await?;
        let left = execute::<Leave>(kept.connection()?, &[me.0.into()]).await;
        kept.heard(left).map(drop)
    }
}

#[async_trait]
impl Probe for PostgresStore {
    fn name(&self) -> &'static str {
        "database"
    }

    fn required(&self) -> bool {
        true
    }

    /// Reads and writes: a full or read-only server can still be read.
    async fn check(&self) -> Result<(), String> {
        let reader = self.database.readers.reader().await.map_err(|error| error.to_string())?;
        let read: Result<Option<(i64,)>, _> = first::<ProbeRead, _>(&reader.connection, &[]).await;
        read.map_err(|error| format!("cannot read: {error}"))?;
        let mut kept = self.database.keeper.take().await.map_err(|error| error.to_string())?;
        let wrote = execute::<ProbeWrite>(kept.connection().map_err(|error| error.to_string())?, &[]).await;
        kept.heard(wrote).map(drop).map_err(|error| format!("cannot write: {error}"))
    }
}
