//! The port for flow engines: user data replaced if it is still as it was read, and how full a queue is.

use async_trait::async_trait;
use diesel::sql_types::BigInt;
use domain::callback::State;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{ActiveCallbacks, FlowStore, Replaced, StoreError, UserData, UserDataStamp};

use super::SqliteStore;
use super::callbacks::{unexpected, unpacked};
use super::command::{Command, Outcome};
use super::queries::sql_limit;
use super::readers::{Reader, not_read};
use super::statement::{first, statements};
pub(super) use crate::stores::command::user_data::ReplaceUserData;
use crate::stores::user_data::pack;

statements! {
    CountActive -> (BigInt) = "SELECT count(*) FROM (SELECT 1 FROM callbacks INDEXED BY callbacks_active
        WHERE queue = ? AND state = ? AND state IN (1, 2) AND wake_at IS NOT NULL LIMIT ?)";
}

impl Reader {
    fn count_active(&mut self, queue: i64, state: State, limit: usize) -> Result<u64, StoreError> {
        let binds = [queue.into(), i64::from(state.code()).into(), sql_limit(limit).into()];
        let found: Option<(i64,)> = first::<CountActive, _>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(found.and_then(|(count,)| u64::try_from(count).ok()).unwrap_or_default())
    }

    fn active_callbacks(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError> {
        let key = self.names.queue(&mut self.connection, tenant, queue).map_err(not_read)?;
        let Some(key) = key else { return Ok(ActiveCallbacks::default()) };
        Ok(ActiveCallbacks {
            waiting: self.count_active(key.queue, State::Queued, limit)?,
            routing: self.count_active(key.queue, State::Routing, limit)?,
        })
    }
}

#[async_trait]
impl FlowStore for SqliteStore {
    async fn user_data(&self, tenant: TenantId, id: CallbackId) -> Result<Option<UserData>, StoreError> {
        let found = self.readers.read_for(tenant, move |reader| reader.details(tenant, id)).await?;
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
        match self.combiner.submit(Command::ReplaceUserData(Box::new(replace))).await? {
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
        self.readers.read_for(tenant, move |reader| reader.active_callbacks(tenant, &queue, limit)).await
    }
}
