//! Settings are read again because somebody asks for it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ports::{SettingsDesk, Unserved};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{DEADLINE, Desk};
use crate::tenants::TenantsMsg;

#[async_trait]
impl SettingsDesk for Desk {
    async fn refresh(&self) -> Result<DateTime<Utc>, Unserved> {
        let (reply, answer) = oneshot::channel();
        let address = self.node.tenants.get().ok_or(Unserved::Busy)?;
        address.send(TenantsMsg::Refresh { reply }).map_err(|_| Unserved::Busy)?;
        // Whatever became of it, nothing was changed by reading.
        timeout(DEADLINE, answer).await.ok().and_then(Result::ok).ok_or(Unserved::Busy)
    }
}
