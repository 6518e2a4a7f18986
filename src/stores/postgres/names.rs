//! Small numbers for tenants and queues. Rows of names are made in transactions of their own, before the batch that
//! needs them, so whatever is read of them is committed and may be remembered.

use domain::ids::{QueueName, TenantId};
use uuid::Uuid;

use super::errors::Sql;
use super::statement::{Connection, execute, first, statements};
use crate::stores::names::NameMemory;
pub(super) use crate::stores::names::QueueKey;

statements! {
    FindTenant = "SELECT key FROM tenants WHERE id = ?";
    AddTenant = "INSERT INTO tenants (id) VALUES (?) ON CONFLICT (id) DO NOTHING";
    FindQueue = "SELECT key FROM queues WHERE tenant = ? AND name = ?";
    AddQueue = "INSERT INTO queues (tenant, name) VALUES (?, ?) ON CONFLICT (tenant, name) DO NOTHING";
    FindQueueName = "SELECT t.id, q.name FROM queues q JOIN tenants t ON t.key = q.tenant WHERE q.key = ?";
    FindTenantId = "SELECT id FROM tenants WHERE key = ?";
}

/// What is known of names, and questions about the rest.
#[derive(Default)]
pub(super) struct Names {
    memory: NameMemory,
}

impl Names {
    /// Forgets everything: the server may be another one.
    pub(super) fn forget(&self) {
        self.memory.forget();
    }

    /// The number of a tenant, if it is remembered.
    pub(super) fn known_tenant(&self, id: TenantId) -> Option<i64> {
        self.memory.tenant(id)
    }

    /// The numbers of a queue, if they are remembered.
    pub(super) fn known_queue(&self, tenant: TenantId, queue: &QueueName) -> Option<QueueKey> {
        self.memory.queue(tenant, queue)
    }

    /// The number of a tenant; none if nothing of it was ever kept.
    pub(super) async fn tenant(&self, connection: &mut Connection, id: TenantId) -> Sql<Option<i64>> {
        if let Some(key) = self.memory.tenant(id) {
            return Ok(Some(key));
        }
        let uuid = id.as_uuid();
        let found: Option<(i64,)> = first::<FindTenant, _>(connection, &[uuid.as_bytes().as_slice().into()]).await?;
        Ok(found.map(|(key,)| {
            self.memory.learn_tenant(id, key);
            key
        }))
    }

    /// The numbers of a queue; none if nothing of it was ever kept.
    pub(super) async fn queue(
        &self,
        connection: &mut Connection,
        tenant: TenantId,
        queue: &QueueName,
    ) -> Sql<Option<QueueKey>> {
        if let Some(key) = self.known_queue(tenant, queue) {
            return Ok(Some(key));
        }
        let Some(tenant_key) = self.tenant(connection, tenant).await? else { return Ok(None) };
        let binds = [tenant_key.into(), queue.as_str().into()];
        let found: Option<(i64,)> = first::<FindQueue, _>(connection, &binds).await?;
        Ok(found.map(|(queue_key,)| {
            let key = QueueKey { tenant: tenant_key, queue: queue_key };
            self.memory.learn(tenant, queue, key);
            key
        }))
    }

    /// Whose queue a number is and what it is called; none if there is no such number.
    pub(super) async fn name(&self, connection: &mut Connection, queue: i64) -> Sql<Option<(TenantId, QueueName)>> {
        if let Some(known) = self.memory.name(queue) {
            return Ok(Some(known));
        }
        let found: Option<(Vec<u8>, String)> = first::<FindQueueName, _>(connection, &[queue.into()]).await?;
        let Some((id, name)) = found else { return Ok(None) };
        let (Ok(id), Ok(name)) = (Uuid::from_slice(&id), QueueName::new(&name)) else { return Ok(None) };
        let tenant = TenantId::from_uuid(id);
        self.queue(connection, tenant, &name).await?;
        Ok(Some((tenant, name)))
    }

    /// The tenant with a number.
    pub(super) async fn tenant_id(connection: &mut Connection, key: i64) -> Sql<Option<TenantId>> {
        let found: Option<(Vec<u8>,)> = first::<FindTenantId, _>(connection, &[key.into()]).await?;
        Ok(found.and_then(|(id,)| Uuid::from_slice(&id).ok()).map(TenantId::from_uuid))
    }

    /// Gives a tenant a number if it has none. Not inside a transaction: what is learnt here is believed.
    pub(super) async fn ensure_tenant(&self, connection: &mut Connection, id: TenantId) -> Sql<()> {
        if self.tenant(connection, id).await?.is_none() {
            let uuid = id.as_uuid();
            execute::<AddTenant>(connection, &[uuid.as_bytes().as_slice().into()]).await?;
            self.tenant(connection, id).await?;
        }
        Ok(())
    }

    /// Gives a queue and its tenant numbers if they have none. Not inside a transaction.
    pub(super) async fn ensure_queue(&self, connection: &mut Connection, id: TenantId, queue: &QueueName) -> Sql<()> {
        if self.queue(connection, id, queue).await?.is_some() {
            return Ok(());
        }
        self.ensure_tenant(connection, id).await?;
        if let Some(tenant) = self.known_tenant(id) {
            execute::<AddQueue>(connection, &[tenant.into(), queue.as_str().into()]).await?;
            self.queue(connection, id, queue).await?;
        }
        Ok(())
    }
}
