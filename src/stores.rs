//! Stores: where everything a customer was ever told is kept.
//!
//! [`sqlite`] is the store of the embedded mode: one file, nothing to install. [`postgres`] is the store of several nodes.
//! Both are a [`DatabaseStore`], and differ by what stands at the bottom:
//!
//! ```text
//!   database/     the ports, once: packing, commands, outcomes, steps of background work, what is made of rows
//!      │
//!      ├─ command/, combiner   what a writer is asked, and one transaction of all that waits to be written
//!      ├─ judge, rows/, search, erasure …   rules about rows that know no SQL
//!      ▼
//!   sqlite/, postgres/        statements: readers of rows, a writer of batches, heartbeats, opening and migrating
//! ```
//!
//! Whatever two databases can do by the same code stands above; SQL, locks, threads and connections stand below.

mod audit;
mod binds;
mod call_ins;
pub mod combiner;
mod command;
mod database;
mod erasure;
mod idempotency;
mod judge;
mod names;
mod packing;
pub mod postgres;
mod rows;
mod schema;
mod search;
pub mod sqlite;
mod statement;
mod upkeep;
mod user_data;

use crate::root_key::RootKeyStore;
use domain::ports::{
    AccountStore, AuditStore, CallInStore, CallbackStore, ExplainStore, FlowStore, HoldStore, NodeStore, NoticeStore,
    PersonalStore, Probe, SearchStore, SessionStore, SettingsStore, TenantStore,
};

pub use audit::audit_digest;
pub use database::DatabaseStore;

/// Everything that is asked of a store.
pub trait Store:
    CallbackStore
    + CallInStore
    + HoldStore
    + FlowStore
    + ExplainStore
    + SearchStore
    + SettingsStore
    + NoticeStore
    + NodeStore
    + TenantStore
    + PersonalStore
    + AuditStore
    + SessionStore
    + AccountStore
    + RootKeyStore
    + Probe
{
}

impl Store for sqlite::SqliteStore {}
impl Store for postgres::PostgresStore {}
