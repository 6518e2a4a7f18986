//! The one connection that writes: a batch is `BEGIN`, its locks in one order, its commands, `COMMIT`.
//!
//! Outcomes come from rows that came back under those locks. After any error nothing more runs in that batch: it is
//! rolled back as a whole. When the answer to `COMMIT` is lost, the server is asked what became of the transaction.

mod audit;
mod call_ins;
mod counters;
mod erasure;
mod fate;
mod holds;
mod keyed;
mod notices;
mod parking;
mod rows;
pub(super) mod steps;
mod tenants;
mod upkeep;
mod user_data;
mod users;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::callback::Cause;
use domain::ids::TenantId;
use domain::ports::{Booked, Change, SaveError};
use futures::future::try_join;
use tokio::runtime::{Builder, Runtime};

use super::connect::Dialer;
use super::errors::{Sql, SqlError};
use super::keys::Keys;
use super::locks::Locks;
use super::names::Names;
use super::reading::Manner;
use super::statement::{Connection, execute, statements};
use super::view::View;
use crate::stores::combiner::{BatchError, Entry, Transactions};
use crate::stores::command::{Book, Command, Outcome};
use crate::stores::rows::millis;
use crate::testing::{self, Rule};
use audit::Noted;
use fate::{Identity, Transaction};
use steps::Run;

/// The longest that a batch may take before its COMMIT. The server gives up on each statement earlier.
const BATCH_DEADLINE: Duration = Duration::from_secs(10);
/// For how long a switch of the `testing` build commits nothing of what it has answered.
const UNCOMMITTED_MS: u64 = 300;

statements! {
    RaiseEpoch = "UPDATE installation SET epoch = epoch + 1";
    PutRootKey = "UPDATE installation SET root_key = ? WHERE root_key = ?";
}

/// Runs batches on its own connection and on its own thread, so that it needs nobody else's to go on.
pub(super) struct Writer {
    runtime: Runtime,
    desk: Desk,
}

/// What outlives a batch.
struct Desk {
    dialer: Dialer,
    names: Arc<Names>,
    faults: Arc<Faults>,
    identity: Identity,
    connection: Option<Connection>,
    /// Queues whose grid is known to have a name, which none ever loses again.
    named: HashSet<i64>,
    /// What a switch of the `testing` build has answered before its commit.
    uncommitted: Option<(Connection, Transaction)>,
}

/// What a test may make go wrong.
#[derive(Default)]
pub(super) struct Faults {
    /// The answer to the next COMMIT gets lost, after it was carried out, and nobody can say what became of it.
    pub(super) lose_commit_answer: AtomicBool,
    /// The next COMMIT is sent, and its answer is not heard.
    pub(super) deafen_commit: AtomicBool,
    /// The next COMMIT gets lost on its way, and nobody notices.
    pub(super) drop_commit: AtomicBool,
    /// For so many milliseconds the writer does nothing before its next COMMIT, as if its process were stopped.
    pub(super) pause_ms: AtomicU64,
    /// Messages to the server for batches so far.
    pub(super) messages: AtomicU64,
}

/// One batch on its way.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) names: &'a Names,
    named: &'a mut HashSet<i64>,
    /// Entries of the audit log in the open transaction.
    noted: Vec<Noted>,
    /// Slots whose rows were made to be locked, and in which no place was taken yet.
    made_slots: HashSet<(i64, i64)>,
    /// What its call-ins need not ask twice.
    call_ins: call_ins::Remembered,
    /// When it began by the database's clock, in milliseconds since 1970.
    began_ms: i64,
}

impl Writer {
    pub(super) fn new(dialer: Dialer, names: Arc<Names>, faults: Arc<Faults>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime,
            desk: Desk {
                dialer,
                names,
                faults,
                identity: Identity::new(),
                connection: None,
                named: HashSet::new(),
                uncommitted: None,
            },
        })
    }
}

impl Transactions<Command> for Writer {
    fn run(&mut self, batch: &[Entry<Command>]) -> Result<Vec<Outcome>, BatchError> {
        self.runtime.block_on(self.desk.run(batch))
    }

    fn between(&mut self) {
        if let Some((connection, transaction)) = self.desk.uncommitted.take() {
            // Whoever was answered believes it meanwhile; what becomes of it is not told to anybody.
            self.desk.faults.pause_ms.store(UNCOMMITTED_MS, Ordering::Relaxed);
            let _ = self.runtime.block_on(self.desk.commit(connection, transaction));
        }
    }
}

impl Desk {
    async fn run(&mut self, batch: &[Entry<Command>]) -> Result<Vec<Outcome>, BatchError> {
        let (mut connection, transaction) = self.begin(batch).await.map_err(|error| error.classify())?;
        let asked = connection.asked();
        let mut work = Batch {
            connection: &mut connection,
            names: &self.names,
            named: &mut self.named,
            noted: Vec::new(),
            made_slots: HashSet::new(),
            call_ins: call_ins::Remembered::default(),
            began_ms: transaction.at_ms,
        };
        let done = tokio::time::timeout(BATCH_DEADLINE, work.run(batch)).await.unwrap_or(Err(SqlError::Late));
        let noted = work.noted;
        let outcomes = match done {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let error = error.classify();
                // What is cut off rolls back by itself. A server that fails otherwise may not be the right one any more.
                let stays = matches!(error, BatchError::Data(_) | BatchError::Busy(_));
                if stays && connection.run("ROLLBACK").await.is_ok() {
                    self.connection = Some(connection);
                }
                return Err(error);
            }
        };
        self.faults.messages.fetch_add(connection.asked() - asked + 2, Ordering::Relaxed);
        if testing::is_broken(Rule::Commit) {
            self.uncommitted = Some((connection, transaction));
            return Ok(outcomes);
        }
        self.commit(connection, transaction).await?;
        noted.iter().for_each(Noted::tell);
        if self.faults.lose_commit_answer.swap(false, Ordering::Relaxed) {
            return Err(BatchError::PerhapsDone("the answer to COMMIT was lost on request of a test".to_owned()));
        }
        Ok(outcomes)
    }

    /// A connection with names for everybody in the batch and an open transaction. One that has died since the last batch,
    /// as after a restart of the server, or does not get that far, is made anew once.
    async fn begin(&mut self, batch: &[Entry<Command>]) -> Sql<(Connection, Transaction)> {
        if let Some(mut connection) = self.connection.take().filter(|connection| !connection.is_dead()) {
            match self.open(&mut connection, batch).await {
                Ok(transaction) => return Ok((connection, transaction)),
                Err(error) => tracing::debug!(%error, "the writer's connection is made anew"),
            }
        }
        let mut connection = self.dialer.dial_writer().await?;
        // A server that stands in for another may not have what was learnt from that one.
        self.names.forget();
        self.named.clear();
        Identity::remove_gone(&mut connection).await?;
        let transaction = self.open(&mut connection, batch).await?;
        Ok((connection, transaction))
    }

    async fn open(&mut self, connection: &mut Connection, batch: &[Entry<Command>]) -> Sql<Transaction> {
        for entry in batch {
            self.name(connection, entry.command()).await?;
        }
        self.identity.begin(connection).await
    }

    /// Numbers for the tenant and the queue of a command, which most have been given long ago.
    async fn name(&self, connection: &mut Connection, command: &Command) -> Sql<()> {
        let queue = match command {
            Command::Book(book) => Some((book.callback.tenant, &book.callback.queue)),
            Command::Save(change) => Some((change.callback.tenant, &change.callback.queue)),
            Command::Holds(command) => command.queue(),
            Command::Apply(all) => {
                for one in all {
                    self.names.ensure_tenant(connection, one.tenant).await?;
                }
                return Ok(());
            }
            _ => None,
        };
        match queue {
            Some((tenant, queue)) => self.names.ensure_queue(connection, tenant, queue).await,
            None => match whose(command) {
                Some(tenant) => self.names.ensure_tenant(connection, tenant).await,
                None => Ok(()),
            },
        }
    }

    async fn commit(&mut self, mut connection: Connection, transaction: Transaction) -> Result<(), BatchError> {
        match self.send_commit(&mut connection, transaction).await {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            // Behind a cut line the server would not notice either that we hang up: so the connection stays until it has
            // said what became of the transaction.
            Err(error) => transaction.fate(&self.dialer, error).await,
        }
    }

    async fn send_commit(&self, connection: &mut Connection, transaction: Transaction) -> Sql<()> {
        let pause_ms = self.faults.pause_ms.swap(0, Ordering::Relaxed);
        if pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        if self.faults.drop_commit.swap(false, Ordering::Relaxed) {
            return Err(SqlError::Late);
        }
        transaction.commit(connection).await?;
        if self.faults.deafen_commit.swap(false, Ordering::Relaxed) { Err(SqlError::Late) } else { Ok(()) }
    }
}

/// Whose number a command needs.
fn whose(command: &Command) -> Option<TenantId> {
    match command {
        Command::Notices(command) => command.whose(),
        other => crate::stores::combiner::Command::tenant(other),
    }
}

impl Batch<'_> {
    async fn run(&mut self, batch: &[Entry<Command>]) -> Sql<Vec<Outcome>> {
        let (mut locks, mut keys) = (Locks::default(), Keys::default());
        for entry in batch {
            self.declare(entry.command(), &mut locks, &mut keys)?;
        }
        let is_in_parts = batch.iter().any(|entry| !matches!(entry.command(), Command::Book(_) | Command::Save(_)));
        locks.complete(is_in_parts);
        locks.name_grids(self.named);
        let view = self.lock(&locks, &mut keys).await?;
        // Nothing was written yet, so what is named is committed.
        self.named.extend(view.named());
        locks.take_heads(self.connection).await?;
        self.made_slots.clone_from(&view.made_slots);
        let mut run = Some(Run::on(view));
        let mut outcomes = Vec::with_capacity(batch.len());
        for entry in batch {
            let command = entry.command();
            let outcome = match command {
                Command::Book(book) => Outcome::Booked(self.book(book, &mut run, &locks, &mut keys).await?),
                Command::Save(change) => Outcome::Saved(self.save(change, &mut run, &locks).await?),
                other => {
                    // It reads what those before it wrote, and those after it have to read again what it wrote.
                    if let Some(run) = run.take() {
                        self.write(run).await?;
                    }
                    self.apply(other).await?
                }
            };
            outcomes.push(outcome);
        }
        if let Some(run) = run {
            self.write(run).await?;
        }
        self.remove_unused_slots().await?;
        keys.settle(self.connection).await?;
        Ok(outcomes)
    }

    /// Takes the locks in their order, as much of it in one message as does not depend on an answer.
    async fn lock(&mut self, locks: &Locks, keys: &mut Keys) -> Sql<View> {
        let connection = &*self.connection;
        Locks::ready(connection).await?;
        View::ready(connection).await?;
        if keys.is_empty() {
            let both = try_join(locks.take_advisory(connection), View::load(connection, locks, Manner::Lock));
            return both.await.map(|((), view)| view);
        }
        locks.take_advisory(connection).await?;
        keys.take(self.connection).await?;
        View::load(self.connection, locks, Manner::Lock).await
    }

    async fn book<'b>(
        &mut self,
        book: &'b Book,
        run: &mut Option<Run<'b>>,
        locks: &Locks,
        keys: &mut Keys,
    ) -> Sql<Booked> {
        let key = steps::queue_key(self.names, &book.callback)?;
        loop {
            let mut current = self.current(run, locks).await?;
            match current.book(book, key, keys)? {
                Some(booked) => {
                    *run = Some(current);
                    return Ok(booked);
                }
                // What it ends was changed by this run: the next one reads it again. Nothing is in its way then.
                None => self.write(current).await?,
            }
        }
    }

    async fn save<'b>(
        &mut self,
        change: &'b Change,
        run: &mut Option<Run<'b>>,
        locks: &Locks,
    ) -> Sql<Result<(), SaveError>> {
        let key = steps::queue_key(self.names, &change.callback)?;
        let mut current = self.current(run, locks).await?;
        // Nothing begins before its time by the database's own clock, whatever the caller takes for the time.
        let is_early = change.saving.cause == Cause::Started && millis(change.callback.start_at) > self.began_ms;
        let saved = if is_early && !testing::is_broken(Rule::Clock) {
            Err(SaveError::Conflict)
        } else {
            current.save(change, key)
        };
        *run = Some(current);
        Ok(saved)
    }

    /// The run that goes on, or a new one under the same locks.
    async fn current<'b>(&mut self, run: &mut Option<Run<'b>>, locks: &Locks) -> Sql<Run<'b>> {
        match run.take() {
            Some(run) => Ok(run),
            None => Ok(Run::on(View::load(self.connection, locks, Manner::Lock).await?)),
        }
    }

    /// What a command needs locked. Whatever it may wait for has to be in it.
    fn declare(&self, command: &Command, locks: &mut Locks, keys: &mut Keys) -> Sql<()> {
        match command {
            Command::Book(book) => {
                steps::declare_book(book, steps::queue_key(self.names, &book.callback)?, locks, keys);
            }
            Command::Save(change) => {
                steps::declare_save(change, steps::queue_key(self.names, &change.callback)?, locks);
                if change.saving.cause == Cause::CancelledByAdmin {
                    self.declare_audit(change.callback.tenant, locks);
                }
            }
            Command::Park { tenant, id, .. } | Command::Unpark { tenant, id, .. } => {
                locks.callbacks.insert(*id);
                self.declare_audit(*tenant, locks);
            }
            Command::ReplaceUserData(replace) => {
                locks.callbacks.insert(replace.id);
            }
            Command::MoveSlots(moves) => upkeep::declare_moves(moves, locks),
            Command::NameGrids(naming) => upkeep::declare_naming(naming, locks),
            Command::Notices(command) => self.declare_notices(command, locks),
            Command::Holds(command) => self.declare_holds(command, locks),
            Command::CallIn(command) => self.declare_call_in(command, locks),
            Command::Privacy(command) => self.declare_privacy(command, locks),
            Command::Apply(all) => self.declare_apply(all, locks),
            Command::AddKey(key) => self.declare_settings(key.tenant, locks),
            Command::RevokeKey { tenant, .. } => self.declare_settings(*tenant, locks),
            Command::User(command) => self.declare_user(command, locks),
            Command::Own(_)
            | Command::Remove(_)
            | Command::Forget(_)
            | Command::ReplaceRootKey(_)
            | Command::Shrink => {}
        }
        Ok(())
    }

    /// A command that goes by itself.
    async fn apply(&mut self, command: &Command) -> Sql<Outcome> {
        match command {
            Command::Park { tenant, id, reason, at } => self.park(*tenant, *id, reason, *at).await.map(Outcome::Saved),
            Command::Unpark { tenant, id, at, actor } => {
                self.unpark(*tenant, *id, *at, actor).await.map(Outcome::Saved)
            }
            Command::Own(own) => self.own(own).await.map(Outcome::Each),
            Command::Remove(remove) => self.remove(remove).await.map(Outcome::Each),
            Command::MoveSlots(moves) => self.move_slots(moves).await.map(Outcome::Each),
            Command::NameGrids(naming) => self.name_grids(naming).await.map(|()| Outcome::Done),
            Command::Forget(forget) => self.forget(forget).await.map(|()| Outcome::Done),
            Command::Notices(command) => self.notices(command).await,
            Command::Privacy(command) => self.privacy(command).await,
            Command::Apply(all) => self.apply_tenants(all).await.map(Outcome::Applied),
            Command::AddKey(key) => self.add_key(key).await.map(|()| Outcome::Done),
            Command::RevokeKey { tenant, id, at } => self.revoke_key(*tenant, *id, *at).await.map(Outcome::Revoked),
            Command::Holds(command) => self.holds(command).await,
            Command::CallIn(command) => self.call_in(command).await.map(Outcome::CallIn),
            Command::ReplaceUserData(replace) => self.replace_user_data(replace).await.map(Outcome::Replaced),
            Command::User(command) => self.user(command).await.map(Outcome::Count),
            Command::ReplaceRootKey(replace) => {
                let binds = [replace.after.as_slice().into(), replace.before.as_slice().into()];
                execute::<PutRootKey>(self.connection, &binds).await.map(Outcome::Count)
            }
            // There are no pages to give back: vacuum does that by itself.
            Command::Shrink => Ok(Outcome::Done),
            Command::Book(_) | Command::Save(_) => Err(SqlError::Refused("a step does not go by itself")),
        }
    }
}
