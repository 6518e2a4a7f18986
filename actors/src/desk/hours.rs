//! Business hours, from the settings in memory.

use std::sync::Arc;

use domain::hours::Calendar;
use domain::ids::TenantId;
use domain::ports::{HoursDesk, Unserved};

use super::Desk;

impl HoursDesk for Desk {
    fn calendar(&self, tenant: TenantId, name: &str) -> Result<Option<Arc<Calendar>>, Unserved> {
        Ok(self.tenant(tenant)?.hours(name).cloned())
    }
}
