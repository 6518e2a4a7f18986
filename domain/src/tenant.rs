//! One tenant as the service knows it in memory: who it is and how its queues are set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{QueueName, TenantId};
use crate::queue::QueueSettings;

/// Everything a tenant's actor needs to judge a request without asking a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The contact centre.
    pub id: TenantId,
    /// Its name, unique in the installation; the `tenant` label of metrics.
    pub name: Arc<str>,
    /// Its queues by name.
    pub queues: BTreeMap<QueueName, Arc<QueueSettings>>,
}
