//! Threads with a read-only connection each. Reads never wait for the writer, and requests that wait at the
//! same time share read transactions.
//!
//! A request is answered from a snapshot that is taken after the request was made, so whoever has seen a
//! write committed reads it. A thread takes one request after the other, so a slow one keeps only its own
//! thread: what waits behind it is taken by the others.
//!
//! Tenants take turns, by the same rule as in the batches of the writer: a request of a tenant that asks for little
//! waits for one request of each other tenant at most, however many these have made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use diesel::query_dsl::methods::LoadQuery;
use domain::event::Event;
use domain::fair::{Lanes, may_take};
use domain::ids::TenantId;
use domain::ports::{Observer, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::names::Names;
use super::statement::{Bind, Sql, Statement, execute, first, rows, statements};

/// Requests that may wait, of which one tenant has a fair share; one more is refused at once.
const MAX_WAITING: usize = 10_000;

/// The longest that requests are taken into one read transaction: an old snapshot keeps the log from being cut.
const MAX_SNAPSHOT: Duration = Duration::from_secs(1);

statements! {
    BeginRead = "BEGIN";
    EndRead = "COMMIT";
}

/// How a thread runs its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Requests that wait together share a read transaction.
    Snapshot,
    /// Each request begins and ends what transactions it needs.
    Plain,
}

/// What a request works with.
pub(in crate::stores) struct Reader {
    pub(super) connection: SqliteConnection,
    pub(super) names: Arc<Names>,
}

type Request = Box<dyn FnOnce(Result<&mut Reader, StoreError>) + Send>;

/// The threads and the queue before them.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Lanes<Option<TenantId>, Waiting>,
    /// Requests that have been made so far: the number of the next one.
    made: u64,
    /// Requests that have been taken so far.
    taken: u64,
    /// Threads that wait for a request.
    idle: usize,
    closing: bool,
}

struct Waiting {
    run: Request,
    number: u64,
    /// How many had been taken when it was made, if nothing else of its tenant waited then.
    met: Option<u64>,
}

/// A request whose turn has come.
struct Taken {
    run: Request,
    /// Requests taken since it was made, if nothing else of its tenant waited then.
    turns: Option<u64>,
}

impl State {
    /// Puts a request at the end of those of its tenant; hands it back if there is no room for it beside the others.
    fn push(&mut self, whose: Option<TenantId>, run: Request) -> Result<(), Request> {
        let (all, own) = (self.waiting.load().items, self.waiting.load_of(&whose).items);
        let parties = self.waiting.count() + usize::from(own == 0);
        if !may_take(MAX_WAITING, all, own, parties, 1) {
            return Err(run);
        }
        let met = (whose.is_some() && own == 0).then_some(self.taken);
        self.waiting.push(whose, Waiting { run, number: self.made, met }, 0);
        self.made += 1;
        Ok(())
    }

    fn take(&mut self) -> Option<Taken> {
        let (_, Waiting { run, met, .. }, _) = self.waiting.pop()?;
        let turns = met.map(|met| self.taken - met);
        self.taken += 1;
        Some(Taken { run, turns })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a request, and tells the number of the first one that is yet to be made. None once everything
    /// is closed and answered.
    fn next(&self) -> Option<(Taken, u64)> {
        let mut state = self.lock();
        loop {
            if let Some(request) = state.take() {
                return Some((request, state.made));
            }
            if state.closing {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// The request whose turn it is, if it is one of the first `made`.
    fn next_of(&self, made: u64) -> Option<Taken> {
        let mut state = self.lock();
        if state.waiting.peek()?.number < made { state.take() } else { None }
    }
}

impl Readers {
    /// Starts a thread per reader. `observer` hears how many turns requests of tenants waited for.
    pub(super) fn start(
        readers: Vec<Reader>,
        name: &str,
        manner: Manner,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        let mut started = Self { shared: Arc::default(), threads: Vec::new() };
        for (number, mut reader) in readers.into_iter().enumerate() {
            let (shared, observer) = (started.shared.clone(), observer.clone());
            let told = move |taken: Taken| {
                if let (Some(turns), Some(observer)) = (taken.turns, &observer) {
                    observer.note(Event::TurnsWaited { turns });
                }
                taken.run
            };
            let thread = thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                while let Some((request, made)) = shared.next() {
                    match manner {
                        Manner::Snapshot => reader.answer(told(request), || shared.next_of(made).map(&told)),
                        Manner::Plain => reader.run(told(request)),
                    }
                }
            })?;
            started.threads.push(thread);
        }
        Ok(started)
    }

    /// As [`Self::read_in`], for a request that is no tenant's.
    ///
    /// # Errors
    /// As that.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_in(None, request).await
    }

    /// Runs `request` on one of the threads, in its turn among those of `whose`.
    ///
    /// # Errors
    /// `NotDone` at once if too many wait, or the tenant has its share of those that wait; else what the request says,
    /// or why it could not run.
    pub(super) async fn read_in<T: Send + 'static>(
        &self,
        whose: Option<TenantId>,
        request: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request: Request = Box::new(move |reader| {
            if !reply.is_closed() {
                // Whoever stopped waiting meanwhile needs no answer.
                let _ = reply.send(reader.and_then(request));
            }
        });
        let wake = {
            let mut state = self.shared.lock();
            if state.push(whose, request).is_err() {
                return Err(StoreError::NotDone("too many reads are waiting".to_owned()));
            }
            state.idle > 0
        };
        if wake {
            self.shared.changed.notify_one();
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::NotDone("the reader gave no answer".to_owned())))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Reader {
    /// All rows of a query.
    pub(super) fn rows<T: Sql, U>(&mut self, binds: &[Bind<'_>]) -> Result<Vec<U>, StoreError>
    where
        for<'a> Statement<'a, T>: LoadQuery<'a, SqliteConnection, U>,
    {
        rows::<T, U>(&mut self.connection, binds).map_err(not_read)
    }

    /// The first row of a query, if it has one.
    pub(super) fn first<T: Sql, U>(&mut self, binds: &[Bind<'_>]) -> Result<Option<U>, StoreError>
    where
        for<'a> Statement<'a, T>: LoadQuery<'a, SqliteConnection, U>,
    {
        first::<T, U>(&mut self.connection, binds).map_err(not_read)
    }

    /// A request that panics ends without an answer, which its caller hears; the thread goes on.
    fn run(&mut self, request: Request) {
        drop(catch_unwind(AssertUnwindSafe(|| request(Ok(self)))));
    }

    /// Answers `request` and what `more` has, which must be older than this call, from one snapshot.
    fn answer(&mut self, request: Request, more: impl Fn() -> Option<Request>) {
        if let Err(error) = execute::<BeginRead>(&mut self.connection, &[]) {
            request(Err(StoreError::NotDone(error.to_string())));
            let _ = self.connection.batch_execute("ROLLBACK");
            return;
        }
        let began = Instant::now();
        self.run(request);
        while began.elapsed() < MAX_SNAPSHOT
            && let Some(request) = more()
        {
            self.run(request);
        }
        if execute::<EndRead>(&mut self.connection, &[]).is_err() {
            // The failing request has been told; the next transaction must begin in the open.
            let _ = self.connection.batch_execute("ROLLBACK");
        }
    }
}

/// A failed read: nothing was done, and nothing is known.
pub(super) fn not_read(error: diesel::result::Error) -> StoreError {
    match error {
        diesel::result::Error::DeserializationError(_) => {
            StoreError::Unreadable("a column has another type".to_owned())
        }
        other => StoreError::NotDone(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
