//! Push settings: how customers are told on their devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::setting::Checks;

/// Push settings of a tenant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PushSettings {
    /// Service account of Firebase Cloud Messaging, as Google's JSON key file. None: nothing is pushed by FCM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<SecretRef>,
}

impl PushSettings {
    /// Notes every rule that the document breaks.
    pub fn check(&self, _checks: &mut Checks) {}
}
