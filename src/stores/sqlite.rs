//! The store of the embedded mode: one SQLite file in the data folder.
//!
//! ```text
//!   writes ──▶ combiner ──▶ one writer thread      synchronous=FULL: `Ok` means it survives a power cut
//!   reads ───▶ queue ─────▶ a few reader threads   snapshots; they never wait for the writer
//!   reads of one row ─────▶ the asking thread      if a connection is free and the disk is fast; else as above
//!   heartbeats, probe ────▶ one thread             synchronous=NORMAL; they never wait for a batch
//! ```
//!
//! `serve` holds the folder's lock for its life; commands of the command line open the same file without it
//! and write in short transactions. Nothing here awaits while a transaction is open.

mod audit;
mod call_ins;
mod direct;
mod erasure;
mod explain;
mod flow;
mod holds;
mod in_place;
mod judge;
mod names;
mod nodes;
mod notices;
mod open;
mod queries;
mod readers;
mod recount;
mod rows;
mod search;
mod settings;
mod statement;
mod tenants;
mod users;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use domain::erasure::Search;
use domain::ids::TenantId;
use domain::numbers::PhoneNumber;
use domain::ports::{Observer, StoreError};
use futures::FutureExt as _;

use super::combiner::Limits;
use super::command;
use super::database::{Answer, Database, DatabaseStore, Writers};
pub use direct::{DirectError, DirectWriter};
use in_place::{InPlace, MAX_PLACES, usual_places};
use names::Names;
use open::Folder;
pub use open::{DATABASE_FILE, OpenError};
use readers::{Manner, Reader, Readers};
use writer::{Faults, Writer};

/// Who opens the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The service: alone in its folder.
    Serve,
    /// A short command beside it.
    Command,
}

/// How to open a store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Who opens it.
    pub mode: Mode,
    /// Threads that read, 1 to 16. More help only on more cores; each keeps up to 8 MB of cache. Default 2.
    pub reader_threads: usize,
    /// Connections for reads of one row on the thread that asks, 0 to 8. More than half of the threads that
    /// serve requests would let a disk that hangs stop them all. Default: half as many as there are processors.
    pub in_place: usize,
    /// Bounds of the write queue.
    pub limits: Limits,
    /// Hears of every committed batch.
    pub observer: Option<Arc<dyn Observer>>,
}

impl SqliteOptions {
    /// For the service.
    pub fn serve(observer: Arc<dyn Observer>) -> Self {
        Self {
            mode: Mode::Serve,
            reader_threads: 2,
            in_place: usual_places(),
            limits: Limits::default(),
            observer: Some(observer),
        }
    }

    /// For a command beside it.
    pub fn command() -> Self {
        Self { mode: Mode::Command, reader_threads: 1, in_place: 0, limits: Limits::default(), observer: None }
    }
}

/// Connections to one file, and the lock of its folder.
pub struct Sqlite {
    // In the order in which they have to end: the lock last.
    in_place: InPlace,
    readers: Readers,
    keeper: Readers,
    faults: Arc<Faults>,
    /// With its lock.
    folder: Folder,
}

/// Callbacks, settings and nodes in one SQLite file.
pub type SqliteStore = DatabaseStore<Sqlite>;

#[async_trait]
impl Database for Sqlite {
    type Reader = Reader;

    const WRITERS: Writers = Writers::One;

    async fn read<T, Q>(&self, whose: Option<TenantId>, question: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: for<'a> FnOnce(&'a mut Reader) -> Answer<'a, T> + Send + 'static,
    {
        self.readers.read_in(whose, move |reader| at_once(question(reader))).await
    }

    async fn read_row<T, Q>(&self, tenant: TenantId, question: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: for<'a> Fn(&'a mut Reader) -> Answer<'a, T> + Copy + Send + 'static,
    {
        match self.in_place.read(move |reader: &mut Reader| at_once(question(reader))).await {
            Some(found) => found,
            None => self.read(Some(tenant), question).await,
        }
    }

    async fn clear_up(&self, phone: PhoneNumber, traces: Option<Vec<Vec<u8>>>) -> Result<Option<Search>, StoreError> {
        erasure::scrub(self.folder.files(), phone, traces).await.map(Some)
    }
}

/// What a connection to a file answers: it makes nobody wait, so the first look at its answer is the last.
fn at_once<T>(answer: Answer<'_, T>) -> Result<T, StoreError> {
    answer.now_or_never().unwrap_or_else(|| Err(StoreError::NotDone("a read of the file has waited".to_owned())))
}

impl SqliteStore {
    /// Opens the database in `data_dir`, making folder (0700) and file if they are not there and bringing an
    /// older schema up to date. It blocks for a few milliseconds.
    ///
    /// # Errors
    /// [`OpenError`]: the folder cannot be used, and nothing in it was changed.
    pub fn open(data_dir: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let folder = Folder::open(data_dir, options.mode)?;
        let migrated = folder.migrate()?;
        let names = Arc::<Names>::default();
        let faults = Arc::<Faults>::default();
        let writer = Writer::new(folder.connect_writer()?, names.clone(), folder.wal(), faults.clone());
        let reader = |connection| Reader { connection, names: names.clone() };
        let connections: Result<Vec<Reader>, OpenError> =
            (0..options.reader_threads.clamp(1, 16)).map(|_| folder.connect_reader().map(reader)).collect();
        let readers = Readers::start(connections?, "store-reader", Manner::Snapshot, options.observer.clone());
        let readers = readers.map_err(OpenError::Threads)?;
        let connections: Result<Vec<Reader>, OpenError> =
            (0..options.in_place.min(MAX_PLACES)).map(|_| folder.connect_in_place().map(reader)).collect();
        let in_place = InPlace::new(connections?);
        let keeper = vec![reader(folder.connect_keeper()?)];
        let keeper = Readers::start(keeper, "store-keeper", Manner::Plain, None).map_err(OpenError::Threads)?;
        let database = Sqlite { in_place, readers, keeper, faults, folder };
        Self::start(database, writer, options.limits, options.observer, migrated).map_err(OpenError::Threads)
    }

    /// Makes the next COMMIT look as if its answer got lost. For tests.
    pub fn lose_next_commit_answer(&self) {
        self.database.faults.lose_commit_answer.store(true, Ordering::Relaxed);
    }

    /// Lets the file grow to `pages` pages (but never below its size), as if the disk ended there. For tests.
    pub fn limit_pages(&self, pages: u32) {
        self.database.faults.max_pages.store(pages, Ordering::Relaxed);
    }
}
