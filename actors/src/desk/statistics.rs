//! Statistics for the public API: the tenant's credentials from memory, the rest from the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::TenantId;
use domain::ports::{StatisticsDesk, StatisticsError};

use super::Desk;

#[async_trait]
impl StatisticsDesk for Desk {
    async fn statistics(
        &self,
        tenant: TenantId,
        request: &str,
        max_age: Duration,
    ) -> Result<Arc<str>, StatisticsError> {
        let not_served = || StatisticsError::Unavailable("the tenant is not served here just now".to_owned());
        let settings = self.node.directory.find(tenant).ok_or_else(not_served)?.tenant;
        let gws = settings.gws.as_ref().ok_or(StatisticsError::NoCredentials)?;
        self.node.ports.statistics.ask(tenant, gws, request, max_age).await
    }
}
