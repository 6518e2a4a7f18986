//! Group commit: commands gather while the previous transaction is in flight and then go as one.
//!
//! A durable commit costs the same for one command as for a hundred, so this is what makes many creates per
//! second possible. There is no timer: with light load every batch holds one command and nobody waits; with
//! heavy load batches grow by themselves.
//!
//! ```text
//!   callers ──submit──▶ queue ──form──▶ batch ──▶ BEGIN · commands · COMMIT ──▶ each caller its own outcome
//!                         ▲                             │
//!                         └── gathers meanwhile         └─ data error: again in halves, until the
//!                                                          culprit stands alone and fails alone
//! ```
//!
//! Tenants take turns in a batch, so whoever has few commands waits for the batch in flight and no other, however
//! much others have brought; and none may fill the queue so that no room is left for the rest.
//!
//! The combiner knows no database: a [`Transactions`] runs one batch as one transaction and says how it
//! ended. Outcomes are judged from rows inside the transaction, never from a caught error: any error ends the
//! whole attempt, and nothing of it may stay.

mod queue;
#[cfg(test)]
mod tests;
mod written;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use domain::event::Event;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Observer, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use queue::Entry;
use queue::Queue;
use written::Written;

/// One unit that is written altogether or not at all.
pub trait Command: Send + 'static {
    /// What its caller is told. Refusals are outcomes too: they come from rows, not from errors.
    type Outcome: Send + 'static;

    /// The callbacks that it writes.
    fn touches(&self) -> &[CallbackId];

    /// Whose it is: the commands of each tenant keep their order, and tenants take turns. None for what belongs to
    /// nobody, or to many.
    fn tenant(&self) -> Option<TenantId> {
        None
    }

    /// Rough size in memory, for the bound of the queue.
    fn bytes(&self) -> usize;

    /// Rows that it writes if nobody waits for it (claims, takes, purges); 0 for work that somebody waits for.
    fn background_rows(&self) -> usize;

    /// Whether it costs statements of its own where others share theirs: see [`Limits::batch_alone`].
    fn goes_alone(&self) -> bool {
        false
    }
}

/// Why an attempt to write a batch failed. The texts hold no values of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// A command's own data was refused; the others may be innocent.
    Data(String),
    /// Somebody else holds a lock; the same batch may succeed at once.
    Busy(String),
    /// Surely nothing was written.
    NotDone(String),
    /// The answer to COMMIT was lost or was an error that may have come after the write.
    PerhapsDone(String),
}

/// The database side: one transaction per call, nothing left open after it.
pub trait Transactions<C: Command>: Send + 'static {
    /// Writes all commands and commits; one outcome per command, in order.
    ///
    /// # Errors
    /// [`BatchError`]; unless it is `PerhapsDone`, nothing was written.
    fn run(&mut self, batch: &[Entry<C>]) -> Result<Vec<C::Outcome>, BatchError>;

    /// Called after each batch, once its callers have been answered: the time for upkeep, which has to be short.
    fn between(&mut self) {}
}

/// The bounds of a combiner.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Commands that may wait; one more is refused at once. Too small refuses bursts, too large lets callers
    /// wait for longer than they care. Default 10,000.
    pub queued_commands: usize,
    /// Bytes that may wait. Default 64 MB.
    pub queued_bytes: usize,
    /// Commands in one transaction. Larger saves little and delays the first of them. Default 1,000.
    pub batch_commands: usize,
    /// Of those, commands with statements of their own. Where each statement is a message to a server, many of them hold
    /// the locks of a batch for long. Default: as many as there are.
    pub batch_alone: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queued_commands: 10_000, queued_bytes: 64_000_000, batch_commands: 1_000, batch_alone: usize::MAX }
    }
}

impl Limits {
    /// How often a batch that met a lock is run again.
    pub const BUSY_RETRIES: u32 = 3;
    /// Into how many parts it goes then: whoever needs the lock stands alone soon, and the others do not wait for long.
    const BUSY_PARTS: usize = 8;

    /// Rows of background work in one batch: a quarter.
    pub const fn background_rows(&self) -> usize {
        self.batch_commands / 4
    }

    /// Waiting commands that are looked at for one batch, so that ten thousand commands for one callback do
    /// not make every batch read through all of them.
    const fn examined(&self) -> usize {
        self.batch_commands.saturating_mul(4)
    }
}

/// What has been written since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteStats {
    /// Transactions committed.
    pub commits: u64,
    /// Commands in them.
    pub commands: u64,
}

/// The queue and the one thread that writes.
pub struct Combiner<C: Command> {
    shared: Arc<Shared<C>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<C: Command> {
    state: Mutex<State<C>>,
    changed: Condvar,
    commits: AtomicU64,
    commands: AtomicU64,
    written: Written,
}

struct State<C: Command> {
    queue: Queue<C>,
    /// Commands of the transaction in flight.
    in_flight: usize,
    /// Batches that were formed and are over.
    finished: u64,
    /// The most batches that a command of each tenant had to wait for. As many entries as there are tenants.
    longest_waits: HashMap<Option<TenantId>, u64>,
    /// How many [`Hold`]s keep the writer from forming a batch.
    holds: usize,
    closing: bool,
}

impl<C: Command> State<C> {
    /// How many batches the command of each tenant in a new batch that waited longest has waited for others.
    fn note_waits(&mut self, batch: &[Entry<C>]) -> Vec<u64> {
        let mut waits: HashMap<Option<TenantId>, u64> = HashMap::new();
        for entry in batch {
            let waited = self.finished.saturating_sub(entry.arrived);
            let longest = waits.entry(entry.command.tenant()).or_default();
            *longest = waited.max(*longest);
        }
        for (tenant, waited) in &waits {
            let longest = self.longest_waits.entry(*tenant).or_default();
            *longest = (*longest).max(*waited);
        }
        // Background work has time.
        waits.into_iter().filter(|(tenant, _)| tenant.is_some()).map(|(_, waited)| waited).collect()
    }
}

impl<C: Command> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        // Nothing panics while it holds the lock, and if it did, the queue would still be a queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Command> Combiner<C> {
    /// Starts the writer thread. It ends, with everything written that was queued, when the combiner is dropped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        transactions: impl Transactions<C>,
        limits: Limits,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        let state = State {
            queue: Queue::new(limits),
            in_flight: 0,
            finished: 0,
            longest_waits: HashMap::new(),
            holds: 0,
            closing: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            commits: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            written: Written::default(),
        });
        let writer = Writer { shared: shared.clone(), transactions, observer };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.write_all())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues a command and waits for its outcome. Dropping the future before its batch forms takes the
    /// command back; afterwards it is written all the same.
    ///
    /// # Errors
    /// `NotDone` at once if the queue is full; else what became of the command.
    pub async fn submit(&self, command: C) -> Result<C::Outcome, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let idle = {
            let mut state = self.shared.lock();
            let mut entry = Entry::new(command, reply);
            entry.arrived = state.finished;
            if state.queue.push(entry).is_err() {
                return Err(StoreError::NotDone("too many writes are waiting".to_owned()));
            }
            state.in_flight == 0
        };
        // A writer with a batch in flight looks at the queue by itself afterwards: no system call for it.
        if idle {
            self.shared.changed.notify_all();
        }
        outcome.await.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the writer gave no answer".to_owned())))
    }

    /// What has been written since the start.
    pub fn stats(&self) -> WriteStats {
        WriteStats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            commands: self.shared.commands.load(Ordering::Relaxed),
        }
    }

    /// A number that grows with every command of a tenant, and of nobody, before its caller hears of its outcome.
    pub fn writes_of(&self, tenant: TenantId) -> u64 {
        self.shared.written.of(tenant)
    }

    /// Commands that wait for the next batch.
    pub fn waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// The most batches that a command of a tenant had to wait for before its own, the one in flight when it came
    /// included. For tests.
    pub fn longest_wait(&self, tenant: Option<TenantId>) -> u64 {
        self.shared.lock().longest_waits.get(&tenant).copied().unwrap_or_default()
    }

    /// Keeps the writer from forming batches until the guard is dropped; returns once none is in flight. For
    /// tests: what is submitted meanwhile is sure to gather.
    pub fn hold(&self) -> Hold<C> {
        let mut state = self.shared.lock();
        state.holds += 1;
        while state.in_flight > 0 {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Hold(self.shared.clone())
    }
}

impl<C: Command> Drop for Combiner<C> {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread catches panics of its transactions, so there is no more to learn from its end.
            let _ = thread.join();
        }
    }
}

/// Keeps batches from forming while it lives.
pub struct Hold<C: Command>(Arc<Shared<C>>);

impl<C: Command> Drop for Hold<C> {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
        self.0.changed.notify_all();
    }
}

struct Writer<C: Command, T> {
    shared: Arc<Shared<C>>,
    transactions: T,
    observer: Option<Arc<dyn Observer>>,
}

impl<C: Command, T: Transactions<C>> Writer<C, T> {
    fn write_all(mut self) {
        while let Some(batch) = self.next_batch() {
            self.write(batch);
            self.transactions.between();
            let mut state = self.shared.lock();
            state.in_flight = 0;
            state.finished += 1;
            let watched = state.holds > 0;
            drop(state);
            if watched {
                self.shared.changed.notify_all();
            }
        }
    }

    /// Waits for commands; none once the combiner is dropped and everything is written.
    fn next_batch(&self) -> Option<Vec<Entry<C>>> {
        let mut state = self.shared.lock();
        loop {
            let held = state.holds > 0 && !state.closing;
            if !held && !state.queue.is_empty() {
                let batch = state.queue.form();
                if !batch.is_empty() {
                    state.in_flight = batch.len();
                    let waits = state.note_waits(&batch);
                    drop(state);
                    self.tell_waits(&waits);
                    return Some(batch);
                }
            } else if state.closing {
                return None;
            } else {
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn tell_waits(&self, waits: &[u64]) {
        if let Some(observer) = &self.observer {
            waits.iter().for_each(|batches| observer.note(Event::BatchesWaited { batches: *batches }));
        }
    }

    /// Writes a batch; where its data is at fault, or a lock does not come free, in parts until the culprit stands alone.
    fn write(&mut self, batch: Vec<Entry<C>>) {
        let mut parts = vec![batch];
        // A lock that was waited for so often is not waited for again with every part.
        let mut retries = Limits::BUSY_RETRIES;
        while let Some(part) = parts.pop() {
            let result = self.attempt(&part, retries);
            self.shared.written.note(part.iter().map(|entry| entry.command.tenant()));
            match result {
                Ok(outcomes) => answer(part, outcomes),
                Err(BatchError::Data(_)) if part.len() > 1 => parts.extend(split(part, 2)),
                Err(BatchError::Busy(_)) if part.len() > 1 => {
                    retries = 0;
                    parts.extend(split(part, Limits::BUSY_PARTS));
                }
                Err(error) => refuse(part, &error),
            }
        }
    }

    fn attempt(&mut self, part: &[Entry<C>], most_retries: u32) -> Result<Vec<C::Outcome>, BatchError> {
        let mut retries = 0;
        loop {
            let began = Instant::now();
            // A panic must not end all writing: the next transaction begins by rolling this one back.
            let result = catch_unwind(AssertUnwindSafe(|| self.transactions.run(part)))
                .unwrap_or_else(|_| Err(BatchError::PerhapsDone("the writer panicked".to_owned())));
            match result {
                Err(BatchError::Busy(_)) if retries < most_retries => retries += 1,
                Ok(outcomes) => {
                    self.note(part.len(), began);
                    return Ok(outcomes);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn note(&self, commands: usize, began: Instant) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.commands.fetch_add(u64::try_from(commands).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(observer) = &self.observer {
            observer.note(Event::Committed { commands, took: began.elapsed() });
        }
    }
}

/// Parts of about the same size, the last one first: taken from the end, they are in the order of arrival.
fn split<C: Command>(mut whole: Vec<Entry<C>>, parts: usize) -> Vec<Vec<Entry<C>>> {
    let size = whole.len().div_ceil(parts).max(1);
    let mut split = Vec::with_capacity(parts);
    while !whole.is_empty() {
        let begin = (whole.len() - 1) / size * size;
        split.push(whole.split_off(begin));
    }
    split
}

fn answer<C: Command>(part: Vec<Entry<C>>, outcomes: Vec<C::Outcome>) {
    debug_assert_eq!(part.len(), outcomes.len(), "one outcome per command");
    for (entry, outcome) in part.into_iter().zip(outcomes) {
        // Whoever does not wait any more will find the row.
        let _ = entry.reply.send(Ok(outcome));
    }
}

fn refuse<C: Command>(part: Vec<Entry<C>>, error: &BatchError) {
    let error = match error {
        BatchError::Data(text) | BatchError::Busy(text) | BatchError::NotDone(text) => {
            tracing::warn!(commands = part.len(), error = %text, "a batch of writes was not done");
            StoreError::NotDone(text.clone())
        }
        BatchError::PerhapsDone(text) => {
            tracing::error!(commands = part.len(), error = %text, "the outcome of a batch of writes is not known");
            StoreError::PerhapsDone(text.clone())
        }
    };
    for entry in part {
        let _ = entry.reply.send(Err(error.clone()));
    }
}
