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
mod callbacks;
mod direct;
mod erasure;
mod explain;
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
mod user_data;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::ids::TenantId;
use domain::ports::Observer;

use super::combiner::{Combiner, Limits, WriteStats};
use super::command;
use command::Command;
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

/// Callbacks, settings and nodes in one SQLite file.
///
/// Dropping it writes what is queued, ends its threads and then gives the folder free.
pub struct SqliteStore {
    // In the order in which they have to end: the lock last.
    combiner: Combiner<Command>,
    in_place: InPlace,
    readers: Readers,
    keeper: Readers,
    faults: Arc<Faults>,
    limits: Limits,
    migrated: Vec<String>,
    /// With its lock.
    folder: Folder,
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
        let combiner = Combiner::start(writer, options.limits, options.observer).map_err(OpenError::Threads)?;
        Ok(Self { combiner, in_place, readers, keeper, faults, limits: options.limits, migrated, folder })
    }

    /// Migrations that opening has applied, in order; none if the schema was up to date.
    pub fn migrated(&self) -> &[String] {
        &self.migrated
    }

    /// Batches committed and commands in them since it was opened.
    pub fn write_stats(&self) -> WriteStats {
        self.combiner.stats()
    }

    /// Commands that wait to be written.
    pub fn writes_waiting(&self) -> usize {
        self.combiner.waiting()
    }

    /// The most batches that a write of a tenant had to wait for, the one in flight when it came included. For tests.
    pub fn longest_wait(&self, tenant: TenantId) -> u64 {
        self.combiner.longest_wait(Some(tenant))
    }

    /// Keeps the writer from beginning a batch while the guard lives. For tests: what is submitted meanwhile
    /// goes as one batch.
    pub fn hold_writer(&self) -> impl Send + use<> {
        self.combiner.hold()
    }

    /// Makes the next COMMIT look as if its answer got lost. For tests.
    pub fn lose_next_commit_answer(&self) {
        self.faults.lose_commit_answer.store(true, Ordering::Relaxed);
    }

    /// Lets the file grow to `pages` pages (but never below its size), as if the disk ended there. For tests.
    pub fn limit_pages(&self, pages: u32) {
        self.faults.max_pages.store(pages, Ordering::Relaxed);
    }
}
