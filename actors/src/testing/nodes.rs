//! Nodes, tenants and keys in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{ApiKeyId, Incarnation, TenantId};
use domain::keys::ApiKey;
use domain::ports::{Beat, NodeStore, SettingsStore, StoreError};
use domain::tenant::{Tenant, TenantDocument};

use super::{Fault, Faults, Op, TestClock};

/// Who is alive.
pub struct FakeNodes {
    faults: Arc<Faults>,
    clock: Arc<TestClock>,
    epoch: Arc<AtomicI64>,
    nodes: Mutex<Vec<(String, Incarnation, i64)>>,
    last: AtomicI64,
}

impl FakeNodes {
    pub(super) fn new(faults: Arc<Faults>, clock: Arc<TestClock>, epoch: Arc<AtomicI64>) -> Self {
        Self { faults, clock, epoch, nodes: Mutex::new(Vec::new()), last: AtomicI64::new(0) }
    }

    /// Registers another node, which the test keeps alive by [`Self::beat_for`], or not.
    pub fn add_other(&self, name: &str) -> Incarnation {
        let incarnation = Incarnation(self.last.fetch_add(1, Ordering::SeqCst) + 1);
        let mut nodes = self.nodes.lock().expect("never poisoned");
        nodes.retain(|(known, ..)| known != name);
        nodes.push((name.into(), incarnation, 0));
        incarnation
    }

    /// One heartbeat of another node.
    pub fn beat_for(&self, other: Incarnation) {
        let mut nodes = self.nodes.lock().expect("never poisoned");
        nodes.iter_mut().filter(|(_, it, _)| *it == other).for_each(|(.., counter)| *counter += 1);
    }

    /// Who is registered.
    pub fn registered(&self) -> Vec<Incarnation> {
        self.nodes.lock().expect("never poisoned").iter().map(|(_, it, _)| *it).collect()
    }
}

#[async_trait]
impl NodeStore for FakeNodes {
    async fn register(&self, name: &str, _version: &str) -> Result<Incarnation, StoreError> {
        match self.faults.pass(Op::Register).await {
            Some(fault) => Err(fault.as_store_error()),
            None => Ok(self.add_other(name)),
        }
    }

    async fn heartbeat(&self, me: Incarnation) -> Result<Beat, StoreError> {
        let fault = self.faults.pass(Op::Heartbeat).await;
        if fault.is_none_or(|fault| fault == Fault::PerhapsDone) {
            self.beat_for(me);
        }
        if let Some(fault) = fault {
            return Err(fault.as_store_error());
        }
        let nodes = self.nodes.lock().expect("never poisoned").iter().map(|(_, it, counter)| (*it, *counter)).collect();
        Ok(Beat { now: self.clock.time(), epoch: self.epoch.load(Ordering::SeqCst), nodes })
    }

    async fn leave(&self, me: Incarnation) -> Result<(), StoreError> {
        match self.faults.pass(Op::Leave).await {
            Some(fault) => Err(fault.as_store_error()),
            None => {
                self.nodes.lock().expect("never poisoned").retain(|(_, it, _)| *it != me);
                Ok(())
            }
        }
    }
}

/// Tenants and keys.
pub struct FakeSettings {
    faults: Arc<Faults>,
    epoch: Arc<AtomicI64>,
    tenants: Mutex<BTreeMap<TenantId, Tenant>>,
    keys: Mutex<Vec<ApiKey>>,
}

impl FakeSettings {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, epoch: Arc::default(), tenants: Mutex::default(), keys: Mutex::default() }
    }

    pub(super) fn epoch(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.epoch)
    }

    /// Keeps a tenant, replacing what was there; the epoch rises.
    pub fn put(&self, tenant: Tenant) {
        self.tenants.lock().expect("never poisoned").insert(tenant.id, tenant);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes a tenant; the epoch rises.
    pub fn remove(&self, tenant: TenantId) {
        self.tenants.lock().expect("never poisoned").remove(&tenant);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl SettingsStore for FakeSettings {
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        match self.faults.pass(Op::Tenants).await {
            Some(fault) => Err(fault.as_store_error()),
            None => Ok(self.tenants.lock().expect("never poisoned").values().cloned().collect()),
        }
    }

    async fn put_tenant(&self, id: TenantId, document: TenantDocument) -> Result<(), StoreError> {
        let tenant = document.resolve(id).map_err(|errors| StoreError::NotDone(format!("{errors:?}")))?;
        self.put(tenant);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        match self.faults.pass(Op::Keys).await {
            Some(fault) => Err(fault.as_store_error()),
            None => Ok(self.keys.lock().expect("never poisoned").clone()),
        }
    }

    async fn add_key(&self, key: ApiKey) -> Result<(), StoreError> {
        let mut keys = self.keys.lock().expect("never poisoned");
        if keys.iter().any(|known| known.hash == key.hash) {
            return Err(StoreError::NotDone("the hash is known".into()));
        }
        keys.push(key);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn revoke_key(&self, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut keys = self.keys.lock().expect("never poisoned");
        let found = keys.iter_mut().find(|key| key.id == id && key.revoked_at.is_none());
        let revoked = found.map(|key| key.revoked_at = Some(at)).is_some();
        self.epoch.fetch_add(i64::from(revoked), Ordering::SeqCst);
        Ok(revoked)
    }
}
