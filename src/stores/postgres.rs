//! The store of the cluster mode: one PostgreSQL database that any number of nodes share. Nothing newer than version 11
//! is used.
//!
//! ```text
//!   writes ──▶ combiner ──▶ one writer thread, one connection   what a batch touches is locked first, in one order
//!   reads ───▶ a pool of connections                            what is read was committed when it was asked
//!   heartbeats, probe ────▶ one connection                      they never wait for a batch
//! ```
//!
//! A database that is gone is `NotDone` at once, and nothing has to be done when it is back.

mod audit;
mod call_ins;
mod connect;
mod erasure;
mod errors;
mod explain;
mod flow;
mod holds;
mod keeper;
mod keys;
mod locks;
mod names;
mod nodes;
mod notices;
mod open;
mod pool;
mod queries;
mod reading;
mod recount;
mod search;
mod settings;
mod statement;
mod tenants;
mod tls;
mod users;
mod view;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::erasure::Search;
use domain::ids::TenantId;
use domain::numbers::PhoneNumber;
use domain::ports::{Observer, StoreError};

use super::combiner::Limits;
use super::database::{Answer, Database, DatabaseStore, Writers};
use connect::Dialer;
pub use connect::{Address, Login};
use keeper::Keeper;
use names::Names;
pub use open::OpenError;
use pool::{Reader, Readers};
pub use tls::{TlsError, tls};
use writer::{Faults, Writer};

/// Commands with statements of their own in one batch: a few hundred messages, a tenth of a second.
const MAX_ALONE: usize = 64;

/// How to open a store.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is.
    pub address: Address,
    /// Connections for reads, 1 to 100. Too few make reads wait for each other, too many cost the server memory (about
    /// 5 MB each). Default 8.
    pub readers: usize,
    /// Bounds of the write queue.
    pub limits: Limits,
    /// Hears of every committed batch.
    pub observer: Option<Arc<dyn Observer>>,
}

impl PostgresOptions {
    /// For the service.
    pub fn new(address: Address, observer: Arc<dyn Observer>) -> Self {
        Self { address, readers: 8, limits: Limits::default(), observer: Some(observer) }
    }

    /// For a command beside it.
    pub fn command(address: Address) -> Self {
        Self { address, readers: 1, limits: Limits::default(), observer: None }
    }
}

/// Connections to one database, and how to make them.
pub struct Postgres {
    readers: Readers,
    keeper: Keeper,
    dialer: Dialer,
    faults: Arc<Faults>,
}

/// Callbacks, settings and nodes in one database.
pub type PostgresStore = DatabaseStore<Postgres>;

#[async_trait]
impl Database for Postgres {
    type Reader = Reader;

    const WRITERS: Writers = Writers::Many;

    async fn read<T, Q>(&self, _whose: Option<TenantId>, question: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: for<'a> FnOnce(&'a mut Reader) -> Answer<'a, T> + Send + 'static,
    {
        let mut reader = self.readers.reader().await?;
        question(&mut reader).await
    }

    async fn clear_up(&self, _: PhoneNumber, _: Option<Vec<Vec<u8>>>) -> Result<Option<Search>, StoreError> {
        erasure::clear_up(&self.dialer).await;
        Ok(None)
    }
}

impl PostgresStore {
    /// Opens the database, bringing an older schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; what is not final may be tried again.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let dialer = Dialer::new(&options.address);
        let migrated = open::migrate(&dialer).await?;
        let names = Arc::<Names>::default();
        let faults = Arc::<Faults>::default();
        let readers = Readers::new(dialer.clone(), options.readers, names.clone()).map_err(OpenError::Connect)?;
        let writer = Writer::new(dialer.clone(), names, faults.clone()).map_err(OpenError::Threads)?;
        let limits = Limits { batch_alone: options.limits.batch_alone.min(MAX_ALONE), ..options.limits };
        let keeper = Keeper::new(dialer.clone());
        let database = Postgres { readers, keeper, dialer, faults };
        Self::start(database, writer, limits, options.observer, migrated).map_err(OpenError::Threads)
    }

    /// In whose name connections are made.
    pub fn login(&self) -> Login {
        self.database.dialer.login()
    }

    /// Makes the next COMMIT look as if nobody could say what became of it. For tests.
    pub fn lose_next_commit_answer(&self) {
        self.database.faults.lose_commit_answer.store(true, Ordering::Relaxed);
    }

    /// Has the next COMMIT carried out and its answer not heard. For tests.
    pub fn deafen_next_commit(&self) {
        self.database.faults.deafen_commit.store(true, Ordering::Relaxed);
    }

    /// Has the next COMMIT get lost on its way. For tests.
    pub fn drop_next_commit(&self) {
        self.database.faults.drop_commit.store(true, Ordering::Relaxed);
    }

    /// Has the writer do nothing for a while before its next COMMIT, with every lock held. For tests.
    pub fn pause_before_commit(&self, pause: Duration) {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.database.faults.pause_ms.store(pause_ms, Ordering::Relaxed);
    }

    /// Messages that batches have sent to the server, whatever is in them. For tests.
    pub fn messages(&self) -> u64 {
        self.database.faults.messages.load(Ordering::Relaxed)
    }
}
