//! The port for CAPTCHA providers, and what operators may ask of it.

use async_trait::async_trait;
use thiserror::Error;

use super::Unserved;
use crate::captcha::{CaptchaKeys, TokenRefusal, Verdict};
use crate::ids::TenantId;
use crate::secret::Secret;

/// Why there is no verdict on a token. The texts are for operators and hold neither token nor key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoVerdict {
    /// The provider did not answer, or could not judge: it may do better in a moment.
    #[error("the captcha provider cannot be asked: {0}")]
    Unavailable(String),
    /// The provider will go on refusing: the secret key is wrong or missing.
    #[error("the captcha key set cannot be used: {0}")]
    Misconfigured(String),
}

/// Asks a provider about tokens.
#[async_trait]
pub trait Captcha: Send + Sync {
    /// What the provider of a key set says of a token, within 3 s. Asking uses the token up.
    async fn ask(&self, tenant: TenantId, keys: &CaptchaKeys, token: &Secret) -> Result<Verdict, NoVerdict>;
}

/// Why a token was not verified for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No key set has this site key.
    #[error("no key set has this site key")]
    UnknownSiteKey,
    /// The token is not taken.
    #[error("the token {0}")]
    Refused(#[from] TokenRefusal),
    /// There is no verdict.
    #[error(transparent)]
    NoVerdict(#[from] NoVerdict),
    /// The tenant is not served here just now.
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// What the internal API asks about captchas.
#[async_trait]
pub trait CaptchaDesk: Send + Sync {
    /// Asks the provider of the key set with this site key about a token, as a booking would.
    async fn verify_token(&self, tenant: TenantId, site_key: &str, token: &Secret) -> Result<(), VerifyError>;

    /// The key set of that name, for a page to try it.
    fn key_set(&self, tenant: TenantId, name: &str) -> Option<CaptchaKeys>;
}
