//! What became of a transaction when nobody heard the answer to COMMIT.
//!
//! Every batch writes its number into the row of its writer, in its own transaction. Once that transaction is surely over,
//! the row tells: it holds the number if, and only if, everything else of the batch is there, too. The number of the
//! transaction itself serves only to know that it is over: a server that crashes gives the numbers of transactions that
//! it had not written down to others, who may commit under them.

use std::time::Duration;

use futures::future::try_join;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::connect::Dialer;
use super::super::errors::{Sql, SqlError};
use super::super::statement::{Connection, execute, first, statements};
use crate::stores::combiner::BatchError;

/// How long the server is asked what became of a transaction.
const ASKED_FOR: Duration = Duration::from_secs(5);
const ASK_PAUSE: Duration = Duration::from_millis(50);

/// After an error the server answers COMMIT with a rollback and no error of its own. Then this SELECT fails instead, and
/// COMMIT is not even read.
const COMMIT: &str = "SELECT 1; COMMIT";

statements! {
    Status = "SELECT txid_status(?::bigint)";
    // The process may be somebody else's by now: only if it is still in that very transaction. One that waits for a
    // synchronous standby is not ended: the server would call committed what nobody but itself has.
    EndIt = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid = ? AND backend_xid::text::bigint = ?::bigint % 4294967296 AND wait_event IS DISTINCT FROM 'SyncRep'";
    WriteBatch = "INSERT INTO writers (id, batch, at)
        VALUES (?, ?, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
        ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, at = excluded.at
        RETURNING txid_current(), pg_backend_pid(), at";
    // A write and no question: it is answered when its own commit, which comes after that of the batch, is as safe as every
    // commit has to be. Then the batch is so, too, also on the standby that the server waits for.
    ConfirmBatch = "UPDATE writers SET at = at WHERE id = ? AND batch = ?";
    RemoveGone = "DELETE FROM writers WHERE id IN (SELECT id FROM writers
        WHERE at < floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint - 86400000
        LIMIT 1000 FOR UPDATE SKIP LOCKED)";
}

/// One writer, told from all others.
#[derive(Debug)]
pub(super) struct Identity {
    id: i64,
    /// Batches begun so far.
    batches: i64,
}

impl Identity {
    pub(super) fn new() -> Self {
        // Positive, so that it reads well.
        let id = Uuid::new_v4().as_u64_pair().0 >> 1;
        Self { id: id.cast_signed(), batches: 0 }
    }

    /// Removes writers that have written nothing for a day.
    pub(super) async fn remove_gone(connection: &mut Connection) -> Sql<()> {
        execute::<RemoveGone>(connection, &[]).await.map(drop)
    }

    pub(super) async fn begin(&mut self, connection: &mut Connection) -> Sql<Transaction> {
        self.batches += 1;
        let (writer, batch) = (self.id, self.batches);
        connection.ready::<WriteBatch>().await?;
        let binds = [writer.into(), batch.into()];
        let begun = try_join(connection.run("BEGIN"), first::<WriteBatch, (i64, i64, i64)>(connection, &binds)).await?;
        let ((), Some((number, process, at_ms))) = begun else {
            return Err(SqlError::Unreadable("a transaction has no number".to_owned()));
        };
        Ok(Transaction { number, process, writer, batch, at_ms })
    }
}

/// An open transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction {
    number: i64,
    /// The server's process.
    process: i64,
    writer: i64,
    batch: i64,
    /// When it began by the database's clock, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

impl Transaction {
    pub(super) async fn commit(&self, connection: &mut Connection) -> Sql<()> {
        connection.run(COMMIT).await
    }

    /// What became of it after `error` was all that was heard of its COMMIT.
    pub(super) async fn fate(&self, dialer: &Dialer, error: SqlError) -> Result<(), BatchError> {
        if error.says_rolled_back() {
            return Err(error.classify());
        }
        tracing::warn!(%error, "the answer to COMMIT was lost: asking what became of the transaction");
        let deadline = Instant::now() + ASKED_FOR;
        loop {
            match self.ask(dialer).await {
                Ok(Some(true)) => return Ok(()),
                Ok(Some(false)) => return Err(BatchError::NotDone(format!("rolled back: {error}"))),
                Ok(None) => {}
                Err(again) => tracing::debug!(error = %again, "cannot ask what became of the transaction"),
            }
            if Instant::now() >= deadline {
                return Err(BatchError::PerhapsDone(error.to_string()));
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
    }

    /// Whether it was committed; none if that is still open.
    async fn ask(&self, dialer: &Dialer) -> Sql<Option<bool>> {
        let connection = dialer.dial().await?;
        let status = first::<Status, (Option<String>,)>(&connection, &[self.number.into()]).await;
        match status {
            Ok(Some((Some(status),))) if status == "in progress" => {
                let binds = [self.process.into(), self.number.into()];
                return first::<EndIt, (bool,)>(&connection, &binds).await.map(|_| None);
            }
            Ok(_) => {}
            // A server that has lost the end of what it knew, as one that stands in for another, takes the number for one
            // that is yet to come. What matters is what it has now.
            Err(error) if error.says_rolled_back() => {}
            Err(error) => return Err(error),
        }
        let binds = [self.writer.into(), self.batch.into()];
        Ok(Some(execute::<ConfirmBatch>(&connection, &binds).await? > 0))
    }
}
