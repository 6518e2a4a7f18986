//! What finds callbacks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use thiserror::Error;

use super::{StoreError, Unserved};
use crate::callback::Callback;
use crate::ids::{CallbackId, TenantId};
use crate::search::Search;

/// Finds callbacks for operators.
#[async_trait]
pub trait SearchDesk: Send + Sync {
    /// Some of the callbacks that are wanted. `named` are their queues and number as written; what they mean takes the
    /// place of `search.queues` and `search.phones`.
    async fn search(&self, tenant: TenantId, named: Named, search: Search) -> Result<Found, SearchError>;
}

/// What a search names, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Queues, by name or alias. A name that the settings do not know is taken as it is: callbacks outlive their queue.
    pub queues: BTreeSet<String>,
    /// A number as people write it, in the regions of those queues, or of all.
    pub phone_number: Option<String>,
}

/// A page of callbacks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// In the order that was asked for.
    pub callbacks: Vec<Callback>,
    /// Where to go on; none if all were looked at. A page may be short, even empty, and have this.
    pub next: Option<CallbackId>,
}

/// Why nothing was searched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SearchError {
    /// The number cannot be read in any region.
    #[error("not a phone number")]
    NotANumber,
    /// Not now.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Finds callbacks. Whatever is wanted, so many rows are looked at for one page and no more.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Some of the callbacks that are wanted.
    async fn search(&self, tenant: TenantId, search: Search) -> Result<Found, StoreError>;
}
