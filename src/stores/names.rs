//! Small numbers of tenants and queues, remembered in both directions.
//!
//! A number is remembered only once it is committed, and its row is never removed, so what is remembered is true for as
//! long as the server is the same: one that stands in for it may have lost the last ones. The maps hold one entry per tenant
//! and queue of the installation: their bound is the settings.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::ids::{QueueName, TenantId};

/// The numbers of a queue and of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::stores) struct QueueKey {
    pub(in crate::stores) tenant: i64,
    pub(in crate::stores) queue: i64,
}

/// What is known to be committed.
#[derive(Default)]
pub(super) struct NameMemory {
    maps: RwLock<Maps>,
}

#[derive(Default)]
struct Maps {
    tenants: HashMap<TenantId, i64>,
    queues: HashMap<(TenantId, QueueName), QueueKey>,
    by_queue: HashMap<i64, (TenantId, QueueName)>,
}

impl NameMemory {
    fn read(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Maps> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: the server may be another one.
    pub(super) fn forget(&self) {
        *self.write() = Maps::default();
    }

    /// Remembers the committed number of a queue and that of its tenant.
    pub(super) fn learn(&self, tenant: TenantId, queue: &QueueName, key: QueueKey) {
        let mut maps = self.write();
        maps.tenants.insert(tenant, key.tenant);
        maps.queues.insert((tenant, queue.clone()), key);
        maps.by_queue.insert(key.queue, (tenant, queue.clone()));
    }

    /// Remembers the committed number of a tenant.
    pub(super) fn learn_tenant(&self, tenant: TenantId, key: i64) {
        if !self.read().tenants.contains_key(&tenant) {
            self.write().tenants.insert(tenant, key);
        }
    }

    pub(super) fn tenant(&self, tenant: TenantId) -> Option<i64> {
        self.read().tenants.get(&tenant).copied()
    }

    pub(super) fn queue(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueKey> {
        self.read().queues.get(&(tenant, queue.clone())).copied()
    }

    /// Whose queue a number is, and what it is called.
    pub(super) fn name(&self, queue: i64) -> Option<(TenantId, QueueName)> {
        self.read().by_queue.get(&queue).cloned()
    }
}
