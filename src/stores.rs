//! Stores: where everything a customer was ever told is kept.
//!
//! Every store shares the [`combiner`], which makes one transaction of the writes that wait at the same time, the
//! commands that it carries, what decides about a booking, the codes of rows and the packing of user data. [`sqlite`] is
//! the store of the embedded mode: one file, nothing to install. [`postgres`] is the store of several nodes.

mod audit;
mod call_ins;
pub mod combiner;
mod command;
mod erasure;
mod idempotency;
mod judge;
mod names;
mod packing;
pub mod postgres;
mod rows;
mod search;
pub mod sqlite;
mod statement;
mod upkeep;
mod user_data;

use domain::ports::{
    AuditStore, CallInStore, CallbackStore, ExplainStore, FlowStore, HoldStore, NodeStore, NoticeStore, PersonalStore,
    Probe, SearchStore, SettingsStore, TenantStore,
};

pub use audit::audit_digest;

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
    + Probe
{
}

impl<S> Store for S where
    S: CallbackStore
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
        + Probe
{
}
