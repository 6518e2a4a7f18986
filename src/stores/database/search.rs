//! The port for finding callbacks. How they are found is each database's own; what is looked for, and how much is looked
//! at for one page, is [`crate::stores::search`].

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::ports::{Found, SearchStore, StoreError};
use domain::search::Search;

use super::{Database, DatabaseStore, NameReads};

/// How callbacks are found.
#[async_trait]
pub(in crate::stores) trait SearchReads: NameReads {
    /// Finds callbacks of a tenant; `queues` are the numbers of those that were named, none if all are wanted.
    async fn find(
        &mut self,
        tenant: (TenantId, i64),
        queues: Option<BTreeSet<i64>>,
        search: &Search,
    ) -> Result<Found, StoreError>;

    async fn search(&mut self, tenant: TenantId, search: Search) -> Result<Found, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Found::default()) };
        if search.queues.is_empty() {
            return self.find((tenant, key), None, &search).await;
        }
        // Those of which nothing was ever kept are left out.
        let mut queues = BTreeSet::new();
        for queue in &search.queues {
            queues.extend(self.queue_key(tenant, queue).await?.map(|key| key.queue));
        }
        if queues.is_empty() { Ok(Found::default()) } else { self.find((tenant, key), Some(queues), &search).await }
    }
}

#[async_trait]
impl<D: Database> SearchStore for DatabaseStore<D> {
    async fn search(&self, tenant: TenantId, search: Search) -> Result<Found, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.search(tenant, search)).await
    }
}
