//! Webhook settings: where a tenant hears of changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::setting::Checks;

/// One endpoint of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// Where events are posted.
    pub url: String,
    /// Key of the signature.
    pub secret: SecretRef,
}

impl WebhookEndpoint {
    /// Notes every rule that the document breaks.
    pub fn check(&self, _checks: &mut Checks) {}
}
