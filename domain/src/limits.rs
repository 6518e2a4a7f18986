//! Limits of a tenant as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Checks;

/// How much a tenant may ask of the installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantLimits {
    /// Public requests per second in the long run, 1 to 1,000,000. Default 1,000,000: none.
    pub requests_per_second: u32,
    /// Requests that may come at once above that, 1 to 1,000,000. Default 1,000,000.
    pub burst: u32,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { requests_per_second: 1_000_000, burst: 1_000_000 }
    }
}

impl TenantLimits {
    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("requestsPerSecond", self.requests_per_second, 1..=1_000_000);
        checks.within("burst", self.burst, 1..=1_000_000);
    }
}
