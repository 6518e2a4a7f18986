//! Small numbers for tenants and queues, remembered in both directions.
//!
//! A number is remembered only once it is committed.

use diesel::sql_types::{BigInt, Binary, Text};
use diesel::{QueryResult, SqliteConnection};
use domain::ids::{QueueName, TenantId};
use uuid::Uuid;

use super::statement::{execute, first, statements};
use crate::stores::names::NameMemory;
pub(super) use crate::stores::names::QueueKey;

statements! {
    FindTenant -> (BigInt) = "SELECT key FROM tenants WHERE id = ?";
    AddTenant = "INSERT INTO tenants (id) VALUES (?)";
    FindQueue -> (BigInt) = "SELECT key FROM queues WHERE tenant = ? AND name = ?";
    AddQueue = "INSERT INTO queues (tenant, name) VALUES (?, ?)";
    FindQueueName -> (Binary, Text) =
        "SELECT t.id, q.name FROM queues q JOIN tenants t ON t.key = q.tenant WHERE q.key = ?";
    FindTenantId -> (Binary) = "SELECT id FROM tenants WHERE key = ?";
}

/// What is known to be committed, and questions about the rest.
#[derive(Default)]
pub(super) struct Names {
    memory: NameMemory,
}

impl Names {
    /// The number of a tenant; none if nothing of it was ever kept. For readers: what they see is committed.
    pub(super) fn tenant(&self, connection: &mut SqliteConnection, id: TenantId) -> QueryResult<Option<i64>> {
        let key = self.tenant_unlearned(connection, id)?;
        if let Some(key) = key {
            self.memory.learn_tenant(id, key);
        }
        Ok(key)
    }

    /// As [`Self::tenant`], for the writer: what it sees may yet be rolled back, so nothing is remembered.
    pub(super) fn tenant_unlearned(&self, connection: &mut SqliteConnection, id: TenantId) -> QueryResult<Option<i64>> {
        if let Some(key) = self.memory.tenant(id) {
            return Ok(Some(key));
        }
        let uuid = id.as_uuid();
        let found: Option<(i64,)> = first::<FindTenant, _>(connection, &[uuid.as_bytes().as_slice().into()])?;
        Ok(found.map(|(key,)| key))
    }

    /// The numbers of a queue, if they are remembered.
    pub(super) fn known_queue(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueKey> {
        self.memory.queue(tenant, queue)
    }

    /// The numbers of a queue; none if nothing of it was ever kept. For readers: what they see is committed.
    pub(super) fn queue(
        &self,
        connection: &mut SqliteConnection,
        tenant: TenantId,
        queue: &QueueName,
    ) -> QueryResult<Option<QueueKey>> {
        if let Some(key) = self.known_queue(tenant, queue) {
            return Ok(Some(key));
        }
        let Some(tenant_key) = self.tenant(connection, tenant)? else { return Ok(None) };
        let found: Option<(i64,)> = first::<FindQueue, _>(connection, &[tenant_key.into(), queue.as_str().into()])?;
        let Some((queue_key,)) = found else { return Ok(None) };
        let key = QueueKey { tenant: tenant_key, queue: queue_key };
        self.memory.learn(tenant, queue, key);
        Ok(Some(key))
    }

    /// Whose queue a number is and what it is called; none if there is no such number. For readers.
    pub(super) fn name(
        &self,
        connection: &mut SqliteConnection,
        queue: i64,
    ) -> QueryResult<Option<(TenantId, QueueName)>> {
        if let Some(known) = self.memory.name(queue) {
            return Ok(Some(known));
        }
        let found: Option<(Vec<u8>, String)> = first::<FindQueueName, _>(connection, &[queue.into()])?;
        let Some((id, name)) = found else { return Ok(None) };
        let (Ok(id), Ok(name)) = (Uuid::from_slice(&id), QueueName::new(&name)) else { return Ok(None) };
        Ok(Some((TenantId::from_uuid(id), name)))
    }

    /// The tenant with a number. For readers.
    pub(super) fn tenant_id(connection: &mut SqliteConnection, key: i64) -> QueryResult<Option<TenantId>> {
        let found: Option<(Vec<u8>,)> = first::<FindTenantId, _>(connection, &[key.into()])?;
        Ok(found.and_then(|(id,)| Uuid::from_slice(&id).ok()).map(TenantId::from_uuid))
    }
}

/// Numbers given out in the writer's open transaction, remembered for everybody once it is committed.
#[derive(Default)]
pub(super) struct FreshNames(Vec<(TenantId, QueueName, QueueKey)>);

impl FreshNames {
    /// The numbers of a queue; new ones if it has none.
    pub(super) fn resolve(
        &mut self,
        names: &Names,
        connection: &mut SqliteConnection,
        tenant: TenantId,
        queue: &QueueName,
    ) -> QueryResult<QueueKey> {
        if let Some(key) = names.known_queue(tenant, queue) {
            return Ok(key);
        }
        if let Some((.., key)) = self.0.iter().find(|(t, q, _)| *t == tenant && q == queue) {
            return Ok(*key);
        }
        let tenant_key = Self::resolve_tenant(connection, tenant)?;
        let binds = [tenant_key.into(), queue.as_str().into()];
        let queue_key = match first::<FindQueue, (i64,)>(connection, &binds)? {
            Some((key,)) => key,
            None => {
                execute::<AddQueue>(connection, &binds)?;
                first::<FindQueue, (i64,)>(connection, &binds)?.ok_or(diesel::result::Error::NotFound)?.0
            }
        };
        let key = QueueKey { tenant: tenant_key, queue: queue_key };
        self.0.push((tenant, queue.clone(), key));
        Ok(key)
    }

    /// The number of a tenant; a new one if it has none.
    pub(super) fn resolve_tenant(connection: &mut SqliteConnection, tenant: TenantId) -> QueryResult<i64> {
        let id = tenant.as_uuid();
        let binds = [id.as_bytes().as_slice().into()];
        if let Some((key,)) = first::<FindTenant, (i64,)>(connection, &binds)? {
            return Ok(key);
        }
        execute::<AddTenant>(connection, &binds)?;
        Ok(first::<FindTenant, (i64,)>(connection, &binds)?.ok_or(diesel::result::Error::NotFound)?.0)
    }

    /// Whether a queue got its number in the open transaction.
    pub(super) fn holds(&self, key: QueueKey) -> bool {
        self.0.iter().any(|(.., known)| *known == key)
    }

    /// The transaction is committed.
    pub(super) fn publish(&mut self, names: &Names) {
        for (tenant, queue, key) in self.0.drain(..) {
            names.memory.learn(tenant, &queue, key);
        }
    }

    /// The transaction is gone.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
