//! The port for flow engines: user data replaced if it is still as it was read, and how full a queue is.

use async_trait::async_trait;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{ActiveCallbacks, FlowStore, Replaced, StoreError, UserData, UserDataStamp};

use super::{CallbackReads as _, Database, DatabaseStore, NameReads};
use crate::stores::command::user_data::ReplaceUserData;
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::packing::unpacked;
use crate::stores::user_data::pack;

/// The statement about how full a queue is, and the question that is made of it.
#[async_trait]
pub(in crate::stores) trait FlowReads: NameReads {
    /// Callbacks of a queue on their way to an agent; each number counted up to `limit`.
    async fn count_active(&mut self, queue: i64, limit: usize) -> Result<ActiveCallbacks, StoreError>;

    async fn active_callbacks(
        &mut self,
        tenant: TenantId,
        queue: QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError> {
        let Some(key) = self.queue_key(tenant, &queue).await? else { return Ok(ActiveCallbacks::default()) };
        self.count_active(key.queue, limit).await
    }
}

#[async_trait]
impl<D: Database> FlowStore for DatabaseStore<D> {
    async fn user_data(&self, tenant: TenantId, id: CallbackId) -> Result<Option<UserData>, StoreError> {
        let found = self.database.read(Some(tenant), move |reader| reader.packed_details(tenant, id)).await?;
        let Some((_, packed)) = found else { return Ok(None) };
        let text = packed.as_deref().map(unpacked).transpose()?;
        Ok(Some(UserData { text, stamp: UserDataStamp(packed.unwrap_or_default()) }))
    }

    async fn replace_user_data(
        &self,
        tenant: TenantId,
        id: CallbackId,
        stamp: UserDataStamp,
        text: Option<String>,
    ) -> Result<Replaced, StoreError> {
        let after = text.as_deref().map(pack);
        let replace = ReplaceUserData { tenant, id, before: stamp.0, after };
        match self.writes.submit(Command::ReplaceUserData(Box::new(replace))).await? {
            Outcome::Replaced(replaced) => replaced,
            other => unexpected(&other),
        }
    }

    async fn active_callbacks(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError> {
        let queue = queue.clone();
        self.database.read(Some(tenant), move |reader| reader.active_callbacks(tenant, queue, limit)).await
    }
}
