//! What of a tenant is needed to judge its users.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::AccessSettings;
use crate::ids::QueueName;
use crate::tenant::Tenant;

/// The queues that a user may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lines {
    /// All.
    Every,
    /// Those of these lines of business; none if the set is empty.
    Only(BTreeSet<String>),
}

impl Lines {
    /// Whether there are queues that they leave out.
    pub const fn are_limited(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Whether queues of that line are seen; those of none are for users alone who are not limited.
    pub fn admit(&self, line: Option<&str>) -> bool {
        match self {
            Self::Every => true,
            Self::Only(lines) => line.is_some_and(|line| lines.contains(line)),
        }
    }
}

/// A tenant as far as access is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantAccess {
    /// Name of the tenant.
    pub name: Arc<str>,
    settings: AccessSettings,
    /// Of every queue.
    lines: BTreeMap<QueueName, Option<String>>,
    aliases: BTreeMap<QueueName, QueueName>,
}

impl TenantAccess {
    /// What matters of the settings of a tenant.
    pub fn of(tenant: &Tenant) -> Self {
        let line = |queue: &Arc<crate::queue::Queue>| queue.settings.line_of_business.clone();
        Self {
            name: tenant.name.clone(),
            settings: tenant.access.clone(),
            lines: tenant.queues.iter().map(|(name, queue)| (name.clone(), line(queue))).collect(),
            aliases: tenant.aliases.clone(),
        }
    }

    /// As [`Self::of`], whether the settings are allowed or not.
    #[cfg(test)]
    pub(super) fn unchecked(document: &crate::tenant::TenantDocument) -> Self {
        let name = document.tenant.as_str().into();
        Self { name, settings: document.access.clone(), lines: BTreeMap::new(), aliases: BTreeMap::new() }
    }

    /// What access groups allow.
    pub const fn settings(&self) -> &AccessSettings {
        &self.settings
    }

    /// Whether a queue, by its name or an alias, is seen. One that the settings do not know is seen by users alone who are
    /// not limited.
    pub fn sees(&self, lines: &Lines, queue: &str) -> bool {
        let Lines::Only(_) = lines else { return true };
        let found = self.lines.get(queue).or_else(|| self.lines.get(self.aliases.get(queue)?));
        found.is_some_and(|line| lines.admit(line.as_deref()))
    }

    /// The queues that are seen, by their names.
    pub fn seen(&self, lines: &Lines) -> Vec<QueueName> {
        let seen = self.lines.iter().filter(|(_, line)| lines.admit(line.as_deref()));
        seen.map(|(name, _)| name.clone()).collect()
    }
}
