//! The port for flow engines: user data replaced if it is still as it was read, and how full a queue is.

use async_trait::async_trait;
use domain::callback::State;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{ActiveCallbacks, FlowStore, Replaced, StoreError, UserData, UserDataStamp};

use super::PostgresStore;
use super::names::QueueKey;
use super::pool::Reader;
use super::search::MAX_UNOWNED;
use super::statement::{first, rows, statements};
use crate::stores::command::user_data::ReplaceUserData;
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::packing::unpacked;
use crate::stores::rows::whole;
use crate::stores::user_data::pack;

statements! {
    Depth = "SELECT active FROM queue_depths WHERE queue = ?";
    // An index on the state would have to be written with every step. What somebody works on is found without.
    CountActive = "SELECT state, count(*) FROM (
        (SELECT queue, state FROM callbacks WHERE owner IS NOT NULL AND wake_at IS NOT NULL) UNION ALL
        (SELECT queue, state FROM callbacks WHERE owner IS NULL AND wake_at IS NOT NULL
            ORDER BY owner, wake_at LIMIT ?)) w
        WHERE queue = ? AND state IN (1, 2) GROUP BY state";
}

impl Reader {
    async fn active_callbacks(
        &mut self,
        tenant: TenantId,
        queue: &QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError> {
        let key = self.names.queue(&mut self.connection, tenant, queue).await?;
        let Some(QueueKey { queue, .. }) = key else { return Ok(ActiveCallbacks::default()) };
        let depth: Option<(i64,)> = first::<Depth, _>(&mut self.connection, &[queue.into()]).await?;
        if depth.is_none_or(|(active,)| active == 0) {
            return Ok(ActiveCallbacks::default());
        }
        let binds = [MAX_UNOWNED.into(), queue.into()];
        let counts: Vec<(i64, i64)> = rows::<CountActive, _>(&mut self.connection, &binds).await?;
        let count = |of: State| {
            let found = counts.iter().find(|(state, _)| *state == i64::from(of.code()));
            found.map_or(0, |(_, count)| whole(*count)).min(limit as u64)
        };
        Ok(ActiveCallbacks { waiting: count(State::Queued), routing: count(State::Routing) })
    }
}

#[async_trait]
impl FlowStore for PostgresStore {
    async fn user_data(&self, tenant: TenantId, id: CallbackId) -> Result<Option<UserData>, StoreError> {
        let Some((_, packed)) = self.reader().await?.details(tenant, id).await? else { return Ok(None) };
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
        self.reader().await?.active_callbacks(tenant, queue, limit).await
    }
}
