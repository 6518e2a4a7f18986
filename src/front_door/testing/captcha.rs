//! What the fake says about captchas and statistics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::captcha::CaptchaKeys;
use domain::ids::TenantId;
use domain::ports::{CaptchaDesk, StatisticsDesk, StatisticsError, VerifyError};
use domain::secret::Secret;

use super::Fake;

#[async_trait]
impl CaptchaDesk for Fake {
    async fn verify_token(&self, _: TenantId, site_key: &str, token: &Secret) -> Result<(), VerifyError> {
        assert_eq!((site_key, token.reveal()), ("site", "token"));
        self.verify.lock().unwrap().clone()
    }

    fn key_set(&self, _: TenantId, name: &str) -> Option<CaptchaKeys> {
        self.key_set.lock().unwrap().clone().filter(|_| name == "shop")
    }
}

#[async_trait]
impl StatisticsDesk for Fake {
    async fn statistics(&self, _: TenantId, request: &str, max_age: Duration) -> Result<Arc<str>, StatisticsError> {
        self.asked_statistics.lock().unwrap().push((request.to_owned(), max_age));
        self.mood().await;
        self.statistics.lock().unwrap().clone()
    }
}
