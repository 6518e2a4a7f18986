//! Settings of a tenant's statistics service (GWS): where it is and who asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::setting::Checks;

/// Who asks the statistics service in a tenant's name, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GwsSettings {
    /// Base address of the authentication service. Default: the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_url: Option<String>,
    /// Base address of the statistics service. Default: the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_url: Option<String>,
    /// Name of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretRef,
    /// The user in whose name it asks: a JSON object with `userName` and `password`. Default none: the client asks
    /// for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<SecretRef>,
}

impl GwsSettings {
    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.url("authUrl", self.auth_url.as_deref());
        checks.url("statsUrl", self.stats_url.as_deref());
        checks.line("clientId", Some(&self.client_id));
    }
}
