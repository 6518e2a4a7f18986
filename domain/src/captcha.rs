//! CAPTCHA settings: which provider judges whether a booking comes from a person.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::setting::Checks;

/// Who judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// reCAPTCHA v2 with a visible box.
    RecaptchaV2,
    /// reCAPTCHA v2 without one.
    RecaptchaV2Invisible,
    /// reCAPTCHA v3, which scores.
    RecaptchaV3,
    /// hCaptcha.
    Hcaptcha,
    /// Cloudflare Turnstile.
    Turnstile,
}

/// A pair of keys at a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptchaKeys {
    /// Who judges.
    pub provider: Provider,
    /// Public key, as web pages show it.
    pub site_key: String,
    /// Secret key.
    pub secret_key: SecretRef,
}

/// CAPTCHA settings of a tenant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptchaSettings {
    /// Key sets by name.
    pub keys: BTreeMap<String, CaptchaKeys>,
    /// Name of the key set that every booking needs; none: no captcha is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
}

impl CaptchaSettings {
    /// Notes every rule that the document breaks.
    pub fn check(&self, _checks: &mut Checks) {}
}
