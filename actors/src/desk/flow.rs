//! What a flow engine asks about callbacks, beside its signals.

use async_trait::async_trait;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{
    FlowDesk, FlowView, Replaced, StoreError, Unserved, UserData, UserDataError, Watermark, WatermarkError,
};
use domain::user_data;

use super::Desk;
use crate::session::unserved;

/// Times that a change is laid over newer user data before its caller is told to come again.
const MAX_ROUNDS: usize = 8;

/// Callbacks of each kind that are counted; a queue that has more is full by any measure.
const MAX_COUNTED: usize = 10_000;

#[async_trait]
impl FlowDesk for Desk {
    async fn callback(&self, tenant: TenantId, id: CallbackId) -> Result<FlowView, Unserved> {
        let callback = self.load(tenant, id).await?;
        let details = self.read("the details of a callback", self.node.ports.callbacks.details(tenant, id)).await?;
        Ok(FlowView { callback, details: details.ok_or(Unserved::NotFound)? })
    }

    async fn attach(&self, tenant: TenantId, id: CallbackId, data: String) -> Result<(), UserDataError> {
        let flow = self.node.ports.flow.clone();
        let work = async move {
            for _ in 0..MAX_ROUNDS {
                let found = flow.user_data(tenant, id).await.map_err(|error| not_read(&error))?;
                let UserData { text, stamp } = found.ok_or(Unserved::NotFound)?;
                let text = user_data::attach(text.as_deref(), &data)?;
                let replaced = flow.replace_user_data(tenant, id, stamp, text).await;
                match replaced.map_err(|error| unserved(&error))? {
                    Replaced::Done => return Ok(()),
                    Replaced::Changed => {}
                    Replaced::NotFound => return Err(Unserved::NotFound.into()),
                }
            }
            Err(Unserved::Busy.into())
        };
        self.see_through("attaching user data", work).await?
    }

    async fn watermark(&self, tenant: TenantId, queue: &str) -> Result<Watermark, WatermarkError> {
        let settings = self.settings(tenant)?;
        let (queue, _) = settings.queue(queue).ok_or(WatermarkError::UnknownQueue)?;
        let count = self.node.ports.flow.active_callbacks(tenant, queue, MAX_COUNTED);
        let active = self.read("the callbacks of a queue", count).await?;
        Ok(Watermark { queue: queue.clone(), active })
    }
}

/// Whatever became of a read, nothing was changed by it.
fn not_read(error: &StoreError) -> Unserved {
    match unserved(error) {
        Unserved::Perhaps => Unserved::Busy,
        other => other,
    }
}
