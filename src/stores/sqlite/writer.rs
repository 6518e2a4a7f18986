//! The one connection that writes: a batch is `BEGIN IMMEDIATE`, its commands in order, `COMMIT`.
//!
//! After any error nothing more runs in that batch. SQLite ends the transaction by itself on some errors (a
//! full disk for one); whatever came next would stand alone and stay. So the first error leads straight to
//! `ROLLBACK`, which may find no transaction any more.

mod audit;
mod booking;
mod call_ins;
mod erasure;
mod holds;
mod idempotency;
mod limits;
mod notices;
mod recount;
mod saving;
mod tenants;
mod upkeep;
mod user_data;
mod users;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::{QueryResult, SqliteConnection};
use tokio::time::Instant;

use super::command::{Command, Outcome};
use audit::Noted;
pub(super) use booking::known_booking;
pub(super) use holds::find_hold;
pub(super) use idempotency::{Keyed, Keys, Operation};
use recount::CountedBy;

use super::names::{FreshNames, Names};
use super::statement::{Bind, Sql, Statement, execute, first, statements};
use crate::stores::combiner::{BatchError, Entry, Transactions};

/// Above this length the write-ahead log is emptied and cut.
const WAL_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Pause between two tries to cut it, so that a reader of another process does not slow down every batch.
const WAL_CUT_PAUSE: Duration = Duration::from_secs(1);

/// Waits at most 50 ms for readers; the usual patience is set again afterwards.
const CUT_WAL: &str = "PRAGMA busy_timeout = 50; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 1000";

statements! {
    Begin = "BEGIN IMMEDIATE";
    Commit = "COMMIT";
    AddHistory = "INSERT INTO history (callback, version, at, cause, state, implied, attempt)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    RaiseEpoch = "UPDATE installation SET epoch = epoch + 1";
    PutRootKey = "UPDATE installation SET root_key = ? WHERE root_key = ?";
}

/// Runs batches on its own connection.
pub(super) struct Writer {
    connection: SqliteConnection,
    names: Arc<Names>,
    fresh: FreshNames,
    wal: PathBuf,
    faults: Arc<Faults>,
    counted_by: CountedBy,
    /// Entries of the audit log in the open transaction.
    noted: Vec<Noted>,
    /// When the log was last tried to be cut.
    cut_tried_at: Option<Instant>,
    /// The last transaction may still be open: a panic came between.
    in_doubt: bool,
}

/// What a test may make go wrong.
#[derive(Default)]
pub(super) struct Faults {
    /// The answer to the next COMMIT gets lost, after it was carried out.
    pub(super) lose_commit_answer: AtomicBool,
    /// From the next batch on the file may have so many pages, as if the disk ended there; 0 changes nothing.
    pub(super) max_pages: AtomicU32,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection, names: Arc<Names>, wal: PathBuf, faults: Arc<Faults>) -> Self {
        let (fresh, counted_by) = (FreshNames::default(), CountedBy::default());
        Self {
            connection,
            names,
            fresh,
            wal,
            faults,
            counted_by,
            noted: Vec::new(),
            cut_tried_at: None,
            in_doubt: false,
        }
    }

    fn apply(&mut self, command: &Command) -> QueryResult<Outcome> {
        match command {
            Command::Book(book) => self.book(book).map(Outcome::Booked),
            Command::Save(change) => self.save(change).map(Outcome::Saved),
            Command::Park { tenant, id, reason, at } => self.park(*tenant, *id, reason, *at).map(Outcome::Saved),
            Command::Unpark { tenant, id, at, actor } => self.unpark(*tenant, *id, *at, actor).map(Outcome::Saved),
            Command::Own(own) => self.own(own).map(Outcome::Each),
            Command::Remove(remove) => self.remove(remove).map(Outcome::Each),
            Command::MoveSlots(moves) => self.move_slots(moves).map(Outcome::Each),
            Command::NameGrids(naming) => self.name_grids(naming).map(|()| Outcome::Done),
            Command::Forget(forget) => self.forget(forget).map(|()| Outcome::Done),
            Command::Shrink => self.shrink().map(|()| Outcome::Done),
            Command::Notices(command) => self.notices(command),
            Command::Privacy(command) => self.privacy(command),
            Command::Apply(all) => self.apply_tenants(all).map(Outcome::Applied),
            Command::AddKey(key) => self.add_key(key).map(|()| Outcome::Done),
            Command::RevokeKey { tenant, id, at } => self.revoke_key(*tenant, *id, *at).map(Outcome::Revoked),
            Command::Holds(command) => self.holds(command),
            Command::CallIn(command) => self.call_in(command).map(Outcome::CallIn),
            Command::ReplaceUserData(replace) => self.replace_user_data(replace).map(Outcome::Replaced),
            Command::User(command) => self.user(command).map(Outcome::Count),
            Command::ReplaceRootKey(replace) => {
                let binds = [replace.after.as_slice().into(), replace.before.as_slice().into()];
                execute::<PutRootKey>(&mut self.connection, &binds).map(|rows| Outcome::Count(rows as u64))
            }
        }
    }

    fn transaction(&mut self, batch: &[Entry<Command>]) -> Result<Vec<Outcome>, BatchError> {
        execute::<Begin>(&mut self.connection, &[]).map_err(|error| classify(&error))?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for entry in batch {
            outcomes.push(self.apply(entry.command()).map_err(|error| classify(&error))?);
        }
        execute::<Commit>(&mut self.connection, &[]).map_err(|error| match classify(&error) {
            BatchError::NotDone(text) if text.contains(IO_ERROR) => BatchError::PerhapsDone(text),
            other => other,
        })?;
        Ok(outcomes)
    }

    /// The one number that a query returns.
    fn count<T: Sql>(&mut self, binds: &[Bind<'_>]) -> QueryResult<i64>
    where
        for<'a> Statement<'a, T>: LoadQuery<'a, SqliteConnection, (i64,)>,
    {
        first::<T, (i64,)>(&mut self.connection, binds).map(|found| found.map_or(0, |(count,)| count))
    }

    fn roll_back(&mut self) {
        self.fresh.forget();
        self.counted_by.forget();
        self.noted.clear();
        // "No transaction is active" is as good: SQLite has rolled back by itself.
        let _ = self.connection.batch_execute("ROLLBACK");
    }
}

impl Transactions<Command> for Writer {
    fn run(&mut self, batch: &[Entry<Command>]) -> Result<Vec<Outcome>, BatchError> {
        if self.in_doubt {
            self.roll_back();
        }
        let max_pages = self.faults.max_pages.swap(0, Ordering::Relaxed);
        if max_pages > 0 {
            let limit = format!("PRAGMA max_page_count = {max_pages}");
            self.connection.batch_execute(&limit).map_err(|error| classify(&error))?;
        }
        self.in_doubt = true;
        let result = self.transaction(batch);
        if result.is_err() {
            self.roll_back();
        }
        self.in_doubt = false;
        let outcomes = result?;
        self.noted.drain(..).for_each(|noted| noted.tell());
        if self.faults.lose_commit_answer.swap(false, Ordering::Relaxed) {
            self.fresh.forget();
            return Err(BatchError::PerhapsDone("the answer to COMMIT was lost on request of a test".to_owned()));
        }
        self.fresh.publish(&self.names);
        Ok(outcomes)
    }

    fn between(&mut self) {
        let length = || std::fs::metadata(&self.wal).map(|file| file.len()).unwrap_or_default();
        let may_try = self.cut_tried_at.is_none_or(|tried| tried.elapsed() >= WAL_CUT_PAUSE);
        if length() <= WAL_MAX_BYTES || !may_try {
            return;
        }
        // Checkpoints that come by themselves never wait, so readers that follow each other without a gap can
        // keep the log from starting over. This one waits for them, briefly.
        self.cut_tried_at = Some(Instant::now());
        if let Err(error) = self.connection.batch_execute(CUT_WAL) {
            tracing::warn!(%error, "the write-ahead log could not be cut");
        }
    }
}

const IO_ERROR: &str = "disk I/O error";

/// What an error means for the batch. Diesel keeps SQLite's code only for constraints; the rest is told apart
/// by SQLite's constant texts.
fn classify(error: &Error) -> BatchError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, information) => {
            let text = information.message();
            let has = |part: &str| text.contains(part);
            if has("is locked") || has("busy") {
                BatchError::Busy(text.to_owned())
            } else if has("constraint failed") || has("too big") || has("datatype mismatch") {
                BatchError::Data(text.to_owned())
            } else {
                BatchError::NotDone(text.to_owned())
            }
        }
        Error::DatabaseError(_, information) => BatchError::Data(information.message().to_owned()),
        Error::SerializationError(_) | Error::DeserializationError(_) => BatchError::Data(error.to_string()),
        other => BatchError::NotDone(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(text: &str) -> BatchError {
        classify(&Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned())))
    }

    #[test]
    fn errors_are_told_apart() {
        assert!(matches!(unknown("database is locked"), BatchError::Busy(_)));
        assert!(matches!(unknown("database table is locked"), BatchError::Busy(_)));
        assert!(matches!(unknown("string or blob too big"), BatchError::Data(_)));
        assert!(matches!(unknown("database or disk is full"), BatchError::NotDone(_)));
        assert!(matches!(unknown(IO_ERROR), BatchError::NotDone(_)));
        let unique = Error::DatabaseError(DatabaseErrorKind::UniqueViolation, Box::new("x".to_owned()));
        assert!(matches!(classify(&unique), BatchError::Data(_)));
    }
}
