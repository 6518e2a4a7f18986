//! What the internal API asks about captchas: answered from the settings in memory and by the provider.

use std::time::Duration;

use async_trait::async_trait;
use domain::captcha::CaptchaKeys;
use domain::ids::TenantId;
use domain::ports::{CaptchaDesk, NoVerdict, Unserved, VerifyError};
use domain::secret::Secret;
use tokio::time::timeout;

use super::Desk;

/// How long the provider may take; its adapter is faster.
const VERIFY_DEADLINE: Duration = Duration::from_secs(4);

#[async_trait]
impl CaptchaDesk for Desk {
    async fn verify_token(&self, tenant: TenantId, site_key: &str, token: &Secret) -> Result<(), VerifyError> {
        let settings = self.node.directory.find(tenant).ok_or(Unserved::Busy)?.tenant;
        let keys = settings.captcha.keys.values().find(|keys| keys.site_key == site_key);
        let keys = keys.ok_or(VerifyError::UnknownSiteKey)?;
        let asked = timeout(VERIFY_DEADLINE, self.node.ports.captcha.ask(tenant, keys, token)).await;
        let verdict = asked.unwrap_or_else(|_| Err(NoVerdict::Unavailable("no answer in time".to_owned())))?;
        Ok(keys.judge(&verdict)?)
    }

    fn key_set(&self, tenant: TenantId, name: &str) -> Option<CaptchaKeys> {
        self.node.directory.find(tenant)?.tenant.captcha.keys.get(name).cloned()
    }
}
