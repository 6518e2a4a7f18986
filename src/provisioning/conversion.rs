//! Giving a capacity rule slots of another length, with the numbers that keep its meaning.

use domain::capacity::Conversion;
use domain::ids::{QueueName, TenantId};
use domain::queue::SlotMinutes;

use super::{Order, Plan, Provisioning, ProvisioningError, export};

/// A conversion that may be applied.
#[derive(Debug, Clone)]
pub struct PlannedConversion {
    /// What becomes of the rule and of its places.
    pub conversion: Conversion,
    /// The queues that have their slots from the rule, by name.
    pub queues: Vec<QueueName>,
    /// The revision of the document that it was made from.
    pub revision: u64,
    /// What would be applied.
    pub plan: Plan,
}

impl Provisioning {
    /// What becomes of a capacity rule with slots of another length. Nothing is changed, and nothing can be by this plan
    /// once the document has another revision.
    ///
    /// # Errors
    /// [`ProvisioningError::UnknownTenant`], [`ProvisioningError::UnknownEntry`] if there is no such rule, or the store
    /// failed.
    pub async fn plan_conversion(
        &self,
        tenant: TenantId,
        rule: &str,
        slot_minutes: SlotMinutes,
        order: &Order<'_>,
    ) -> Result<PlannedConversion, ProvisioningError> {
        let kept = self.current(tenant).await?;
        let found = kept.document.capacity_rules.get(rule).ok_or(ProvisioningError::UnknownEntry)?;
        let conversion = found.converted(slot_minutes);
        let entry = export::to_node(&conversion.rule);
        let plan = self.plan_entry_of(&kept, tenant, ("capacityRules", rule), Some(entry), order).await?;
        let queues = kept.document.queues.iter();
        let queues = queues.filter(|(_, queue)| queue.capacity_rule.as_deref() == Some(rule));
        let queues = queues.map(|(name, _)| name.clone()).collect();
        Ok(PlannedConversion { conversion, queues, revision: kept.revision, plan })
    }
}
