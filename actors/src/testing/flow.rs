//! User data and counts over the callbacks of the fake store.

use async_trait::async_trait;
use domain::callback::State;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{ActiveCallbacks, FlowStore, Replaced, StoreError, UserData, UserDataStamp};

use super::{FakeStore, Op};

fn stamp(text: Option<&String>) -> UserDataStamp {
    UserDataStamp(text.map(|text| text.clone().into_bytes()).unwrap_or_default())
}

#[async_trait]
impl FlowStore for FakeStore {
    async fn user_data(&self, tenant: TenantId, id: CallbackId) -> Result<Option<UserData>, StoreError> {
        self.with_row(Op::UserData, tenant, id, |row| {
            let text = row.details.user_data.clone();
            UserData { stamp: stamp(text.as_ref()), text }
        })
        .await
    }

    async fn replace_user_data(
        &self,
        tenant: TenantId,
        id: CallbackId,
        before: UserDataStamp,
        text: Option<String>,
    ) -> Result<Replaced, StoreError> {
        let replaced = self.with_row(Op::ReplaceUserData, tenant, id, |row| {
            let same = stamp(row.details.user_data.as_ref()) == before;
            if same {
                row.details.user_data = text;
            }
            if same { Replaced::Done } else { Replaced::Changed }
        });
        Ok(replaced.await?.unwrap_or(Replaced::NotFound))
    }

    async fn active_callbacks(
        &self,
        tenant: TenantId,
        queue: &QueueName,
        limit: usize,
    ) -> Result<ActiveCallbacks, StoreError> {
        if let Some(fault) = self.faults.pass(Op::CountActive).await {
            return Err(fault.as_store_error());
        }
        let rows = self.rows();
        let of_queue = rows.iter().map(|row| &row.callback).filter(|it| it.tenant == tenant && it.queue == *queue);
        let count = |state: State| of_queue.clone().filter(|it| it.state == state).count().min(limit) as u64;
        Ok(ActiveCallbacks { waiting: count(State::Queued), routing: count(State::Routing) })
    }
}
