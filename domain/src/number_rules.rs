//! Number rules: which countries a queue calls, and which numbers it never calls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::numbers::Region;
use crate::setting::Checks;

/// A rule shared by any number of queues: permitted countries, each with blocked patterns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberRule {
    /// Permitted countries with what is blocked in each. Countries that are missing are refused.
    pub countries: BTreeMap<Region, Vec<String>>,
}

impl NumberRule {
    /// Notes every rule that the document breaks.
    pub fn check(&self, _checks: &mut Checks) {}
}
