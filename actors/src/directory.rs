//! Which tenants there are, and where their actors live just now.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::Duration;
use domain::ids::{QueueName, TenantId};
use domain::ports::Routing;
use domain::tenant::Tenant;

use crate::mailbox::Address;
use crate::tenant::TenantMsg;

/// One tenant with its actor.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) address: Address<TenantMsg>,
    pub(crate) tenant: Arc<Tenant>,
}

/// Written by the tenants' supervisor, read by everybody.
#[derive(Default)]
pub(crate) struct Directory {
    entries: RwLock<HashMap<TenantId, Entry>>,
}

impl Directory {
    pub(crate) fn find(&self, tenant: TenantId) -> Option<Entry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    /// Whether no tenant is known, or not yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Every tenant that is known, for whoever goes through all of them.
    pub(crate) fn tenants(&self) -> Vec<Arc<Tenant>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().map(|entry| entry.tenant.clone()).collect()
    }

    pub(crate) fn put(&self, entry: Entry) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(entry.tenant.id, entry);
    }

    pub(crate) fn remove(&self, tenant: TenantId) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// By how much each queue has to start before the desired time, as things stand.
    pub(crate) fn leads(&self, routing: &dyn Routing) -> BTreeMap<(TenantId, QueueName), Duration> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let queues = entries.values().flat_map(|entry| {
            let tenant = entry.tenant.id;
            entry.tenant.queues.iter().map(move |(name, settings)| {
                let lead = settings.lead(routing.expected_wait(tenant, name));
                ((tenant, name.clone()), lead)
            })
        });
        queues.collect()
    }
}
