//! How often the data of each tenant was written: whoever keeps what was read learns here that it may be old.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::ids::TenantId;

/// Commands written, by tenant. As many entries as there are tenants.
#[derive(Default)]
pub(super) struct Written {
    by: Mutex<HashMap<Option<TenantId>, u64>>,
}

impl Written {
    /// Counts commands that were tried, whatever became of them. Has to come before their callers hear of it.
    pub(super) fn note(&self, tenants: impl Iterator<Item = Option<TenantId>>) {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        for tenant in tenants {
            *by.entry(tenant).or_default() += 1;
        }
    }

    /// Commands of a tenant, and of nobody: these may be about anybody.
    pub(super) fn of(&self, tenant: TenantId) -> u64 {
        let by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |whose| by.get(&whose).copied().unwrap_or_default();
        count(Some(tenant)) + count(None)
    }
}
