//! Questions about business hours.

use std::sync::Arc;

use super::Unserved;
use crate::hours::Calendar;
use crate::ids::TenantId;

/// Knows when queues are served. Must not wait.
pub trait HoursDesk: Send + Sync {
    /// The calendar of the queue of that name or alias, or, if there is none, the calendar of that name.
    ///
    /// # Errors
    /// [`Unserved::Busy`] while the tenant is not known to this node.
    fn calendar(&self, tenant: TenantId, name: &str) -> Result<Option<Arc<Calendar>>, Unserved>;
}
