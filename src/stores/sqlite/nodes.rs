//! Who is alive, and whether the database answers. Both have a connection of their own: a heartbeat must not
//! wait behind a batch, and it does not sync the disk (`synchronous=NORMAL`), or an idle node would do so
//! every second. Nothing is lost by that: the log is written in order, so whatever a node saved durably
//! brought its registration to the disk with it.

use async_trait::async_trait;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use domain::ids::Incarnation;
use domain::ports::{Beat, NodeStore, Probe, StoreError};

use super::SqliteStore;
use super::readers::{Reader, not_read};
use super::rows::instant;
use super::statement::{execute, first, rows, statements};

// The database's own clock, in milliseconds, cut and not rounded: it is never ahead.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

statements! {
    RemoveOlder = "DELETE FROM nodes WHERE name = ?";
    Register -> (BigInt) = concat!(
        "INSERT INTO nodes (name, version, seen_at) VALUES (?, ?, ", now!(), ") RETURNING incarnation");
    RaiseCounter = concat!(
        "UPDATE nodes SET counter = counter + 1, seen_at = ", now!(), " WHERE incarnation = ?");
    Leave = "DELETE FROM nodes WHERE incarnation = ?";
    NowAndEpoch -> (BigInt, BigInt) = concat!("SELECT ", now!(), ", epoch FROM installation");
    ListNodes -> (BigInt, BigInt) = "SELECT incarnation, counter FROM nodes ORDER BY incarnation";
    ProbeRead -> (BigInt) = "SELECT count(*) FROM sqlite_master";
    ProbeWrite = concat!("UPDATE installation SET probed_at = ", now!());
}

impl Reader {
    /// Runs `work` as one write transaction.
    fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.connection.batch_execute("BEGIN IMMEDIATE").map_err(not_read)?;
        let result =
            work(self).and_then(|value| self.connection.batch_execute("COMMIT").map_err(not_read).map(|()| value));
        if result.is_err() {
            let _ = self.connection.batch_execute("ROLLBACK");
        }
        result
    }
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn register(&self, name: &str, version: &str) -> Result<Incarnation, StoreError> {
        let (name, version) = (name.to_owned(), version.to_owned());
        let register = move |reader: &mut Reader| {
            reader.write(|reader| {
                execute::<RemoveOlder>(&mut reader.connection, &[name.as_str().into()]).map_err(not_read)?;
                let binds = [name.as_str().into(), version.as_str().into()];
                let row: Option<(i64,)> = first::<Register, _>(&mut reader.connection, &binds).map_err(not_read)?;
                row.map(|(incarnation,)| Incarnation(incarnation))
                    .ok_or_else(|| StoreError::NotDone("no incarnation was given".to_owned()))
            })
        };
        self.database.keeper.read(register).await
    }

    async fn heartbeat(&self, me: Incarnation) -> Result<Beat, StoreError> {
        let beat = move |reader: &mut Reader| {
            execute::<RaiseCounter>(&mut reader.connection, &[me.0.into()]).map_err(not_read)?;
            let (now, epoch) = first::<NowAndEpoch, (i64, i64)>(&mut reader.connection, &[])
                .map_err(not_read)?
                .ok_or_else(|| StoreError::Unreadable("the row of the installation is missing".to_owned()))?;
            let nodes: Vec<(i64, i64)> = rows::<ListNodes, _>(&mut reader.connection, &[]).map_err(not_read)?;
            let nodes = nodes.into_iter().map(|(node, counter)| (Incarnation(node), counter)).collect();
            Ok(Beat { now: instant(now)?, epoch, nodes })
        };
        self.database.keeper.read(beat).await
    }

    async fn leave(&self, me: Incarnation) -> Result<(), StoreError> {
        let leave = move |reader: &mut Reader| {
            execute::<Leave>(&mut reader.connection, &[me.0.into()]).map_err(not_read).map(|_| ())
        };
        self.database.keeper.read(leave).await
    }
}

#[async_trait]
impl Probe for SqliteStore {
    fn name(&self) -> &'static str {
        "database"
    }

    fn required(&self) -> bool {
        true
    }

    /// Reads and writes: a full or read-only disk can still be read.
    async fn check(&self) -> Result<(), String> {
        let read =
            |reader: &mut Reader| first::<ProbeRead, (i64,)>(&mut reader.connection, &[]).map_err(not_read).map(|_| ());
        self.database.readers.read(read).await.map_err(|error| format!("cannot read: {error}"))?;
        let write =
            |reader: &mut Reader| execute::<ProbeWrite>(&mut reader.connection, &[]).map_err(not_read).map(|_| ());
        self.database.keeper.read(write).await.map_err(|error| format!("cannot write: {error}"))
    }
}
