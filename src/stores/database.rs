//! The ports of a store, written once for every database.
//!
//! ```text
//!   ports ──▶ DatabaseStore ──▶ Writes ─────────▶ combiner ──▶ the database's own writer
//!                    └────────▶ Database::read ──▶ its readers: one statement each, in its own SQL
//! ```
//!
//! What is packed, which command it becomes, what its outcome means, which steps background work takes and what is made
//! of rows stands here. A database brings a writer for the combiner and, by the traits of this module, its statements.

mod audit;
mod call_ins;
mod callback_reads;
mod callbacks;
mod erasure;
mod explain;
mod flow;
mod holds;
mod notice_reads;
mod notices;
mod purge;
mod recount;
mod search;
mod settings;
mod tenants;
mod users;
mod writes;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use domain::erasure::Search;
use domain::ids::{QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{Observer, StoreError};
use futures::future::BoxFuture;
use uuid::Uuid;

use super::combiner::{Combiner, Limits, Transactions, WriteStats};
use super::command::Command;
use super::names::QueueKey;
use super::rows::unreadable;
pub(super) use audit::{AuditReads, AuditRows};
pub(super) use call_ins::{CallInReads, UntidyRow};
pub(super) use callback_reads::{CallbackReads, DetailsRow, DueRow, ParkedRow, Whose};
pub(super) use erasure::PersonalReads;
pub(super) use explain::ExplainReads;
pub(super) use flow::FlowReads;
pub(super) use holds::HoldReads;
pub(super) use notice_reads::{InHandRow, NoticeReads, NoticesAsked};
pub(super) use recount::{RecountReads, SlotRow};
pub(super) use search::SearchReads;
pub(super) use settings::SettingsReads;
pub(super) use tenants::TenantReads;
pub(super) use users::UserReads;
use writes::Writes;

/// Callbacks, settings and nodes in one database.
///
/// Dropping it writes what is queued, ends its threads and gives its connections back.
pub struct DatabaseStore<D> {
    // In the order in which they have to end.
    writes: Writes,
    pub(super) database: D,
    migrated: Vec<String>,
}

/// What comes back from a connection for reads.
pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Who writes into a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// This process, but for short commands beside it.
    One,
    /// Any number of nodes.
    Many,
}

/// What a database has beside its statements.
#[async_trait]
pub(super) trait Database: Send + Sync + 'static {
    /// A connection for reads.
    type Reader: Reads;

    /// Who writes into it.
    const WRITERS: Writers;

    /// Asks a connection, in the turn of `whose` where tenants take turns. What was committed when it is asked is seen.
    ///
    /// # Errors
    /// `NotDone` if no connection can be had; else what the question says.
    async fn read<T, Q>(&self, whose: Option<TenantId>, question: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: for<'a> FnOnce(&'a mut Self::Reader) -> Answer<'a, T> + Send + 'static;

    /// As [`Self::read`], for a row or two.
    async fn read_row<T, Q>(&self, tenant: TenantId, question: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: for<'a> Fn(&'a mut Self::Reader) -> Answer<'a, T> + Copy + Send + 'static,
    {
        self.read(Some(tenant), question).await
    }

    /// Clears up behind rows of a number that were erased. `traces` is what else they are recognised by in files; none
    /// if that is not known. What a search of the files has found, if they are ours to search.
    async fn clear_up(&self, phone: PhoneNumber, traces: Option<Vec<Vec<u8>>>) -> Result<Option<Search>, StoreError>;
}

/// Small numbers of names, remembered or asked for.
#[async_trait]
pub(super) trait NameReads: Send {
    /// The number of a tenant; none if nothing of it was ever kept.
    async fn tenant_key(&mut self, tenant: TenantId) -> Result<Option<i64>, StoreError>;

    /// The tenant with a number.
    async fn tenant_of(&mut self, key: i64) -> Result<Option<TenantId>, StoreError>;

    /// The numbers of a queue; none if nothing of it was ever kept.
    async fn queue_key(&mut self, tenant: TenantId, queue: &QueueName) -> Result<Option<QueueKey>, StoreError>;

    /// Whose queue a number is and what it is called; none if there is no such number.
    async fn queue_of(&mut self, key: i64) -> Result<Option<(TenantId, QueueName)>, StoreError>;

    /// As [`Self::queue_of`], of a row that names it.
    async fn queue_name(&mut self, key: i64) -> Result<(TenantId, QueueName), StoreError> {
        self.queue_of(key).await?.ok_or_else(|| unreadable("a queue has no name"))
    }
}

/// Everything that is asked of a connection for reads.
pub(super) trait Reads:
    CallbackReads
    + CallInReads
    + HoldReads
    + RecountReads
    + NoticeReads
    + FlowReads
    + PersonalReads
    + AuditReads
    + SettingsReads
    + TenantReads
    + ExplainReads
    + SearchReads
    + UserReads
    + 'static
{
}

impl<D> DatabaseStore<D> {
    /// Starts the writer of a database that is open.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(
        database: D,
        writer: impl Transactions<Command>,
        limits: Limits,
        observer: Option<Arc<dyn Observer>>,
        migrated: Vec<String>,
    ) -> io::Result<Self> {
        let step_rows = limits.background_rows().max(1);
        let writes = Writes { combiner: Combiner::start(writer, limits, observer)?, step_rows };
        Ok(Self { writes, database, migrated })
    }

    /// Migrations that opening has applied, in order; none if the schema was up to date.
    pub fn migrated(&self) -> &[String] {
        &self.migrated
    }

    /// Batches committed and commands in them since it was opened.
    pub fn write_stats(&self) -> WriteStats {
        self.writes.combiner.stats()
    }

    /// Commands that wait to be written.
    pub fn writes_waiting(&self) -> usize {
        self.writes.combiner.waiting()
    }

    /// The most batches that a write of a tenant had to wait for, the one in flight when it came included. For tests.
    pub fn longest_wait(&self, tenant: TenantId) -> u64 {
        self.writes.combiner.longest_wait(Some(tenant))
    }

    /// Keeps the writer from beginning a batch while the guard lives. For tests: what is submitted meanwhile
    /// goes as one batch.
    pub fn hold_writer(&self) -> impl Send + use<D> {
        self.writes.combiner.hold()
    }
}

/// An id as it is bound.
fn id_bytes(id: &Uuid) -> &[u8] {
    id.as_bytes().as_slice()
}
