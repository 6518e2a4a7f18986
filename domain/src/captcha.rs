//! CAPTCHA: which provider judges whether a booking comes from a person, and what its verdict is worth.
//!
//! Three rules of the service: a token counts for one booking only; a token that was judged is used up, also if
//! the booking is then refused; nothing is asked of a provider before every other rule has passed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::QueueName;
use crate::queue::QueueSettings;
use crate::secret::{Secret, SecretRef};
use crate::setting::Checks;

/// Most key sets of a tenant.
pub const MAX_KEY_SETS: usize = 20;
/// Most host names of a key set.
pub const MAX_HOSTNAMES: usize = 100;

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

impl Provider {
    /// Whether its answers name the action for which a token was made.
    pub const fn names_actions(self) -> bool {
        matches!(self, Self::RecaptchaV3 | Self::Turnstile)
    }

    /// Where its tokens are verified.
    pub const fn verify_url(self) -> &'static str {
        match self {
            Self::RecaptchaV2 | Self::RecaptchaV2Invisible | Self::RecaptchaV3 => {
                "https://www.google.com/recaptcha/api/siteverify"
            }
            Self::Hcaptcha => "https://api.hcaptcha.com/siteverify",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        }
    }
}

/// What to do with a booking while the provider cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnavailable {
    /// It is refused for the moment; the same token may be sent again.
    #[default]
    Refuse,
    /// It is taken without a verdict.
    Accept,
}

/// A pair of keys at a provider, and what its verdicts have to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptchaKeys {
    /// Who judges.
    pub provider: Provider,
    /// Public key, as web pages show it, 1 to 255 characters.
    pub site_key: String,
    /// Secret key.
    pub secret_key: SecretRef,
    /// Least score of a person, 0 to 1, where the verdict has one (reCAPTCHA v3 always, hCaptcha in its Enterprise
    /// edition). 1 is surely a person; hCaptcha counts the other way round and is turned. Default 0.5.
    #[serde(default = "usual_score")]
    #[schemars(range(min = 0, max = 1))]
    pub min_score: f64,
    /// The action for which tokens have to be made; only for providers that name it. Default none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Hosts of the pages on which tokens may be made, at most 100. Default none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// What to do while the provider cannot be asked. Default refuse.
    #[serde(default)]
    pub when_unavailable: WhenUnavailable,
    /// Where tokens are verified instead of at the provider's public address: a private installation, or a test.
    /// Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_url: Option<String>,
}

const fn usual_score() -> f64 {
    0.5
}

/// What a provider says of a token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The token is good, was made with the site key, and was not asked about before.
    pub success: bool,
    /// How sure it is that a person made it, 0 to 1 (surely), if it says so.
    pub score: Option<f64>,
    /// The action for which it was made, if it says so.
    pub action: Option<String>,
    /// Host of the page on which it was made, if it says so.
    pub hostname: Option<String>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The provider says no: wrong, too old, or asked about before.
    #[error("was not accepted by the captcha provider")]
    Rejected,
    /// More likely a machine than a person.
    #[error("has too low a score")]
    LowScore,
    /// Made for something else.
    #[error("was made for another action")]
    WrongAction,
    /// Made on a page of somebody else.
    #[error("was made on another host")]
    WrongHost,
    /// It came with an earlier booking.
    #[error("was used before")]
    Used,
}

impl CaptchaKeys {
    /// What a verdict is worth.
    ///
    /// # Errors
    /// The first rule that it breaks. A rule about something that the verdict does not name is broken.
    pub fn judge(&self, verdict: &Verdict) -> Result<(), TokenRefusal> {
        if !verdict.success {
            return Err(TokenRefusal::Rejected);
        }
        let scored = match verdict.score {
            Some(score) => score >= self.min_score,
            None => self.provider != Provider::RecaptchaV3,
        };
        if !scored {
            return Err(TokenRefusal::LowScore);
        }
        if self.action.is_some() && self.action != verdict.action {
            return Err(TokenRefusal::WrongAction);
        }
        let here = |host: &String| verdict.hostname.as_ref().is_some_and(|named| named.eq_ignore_ascii_case(host));
        if !self.hostnames.is_empty() && !self.hostnames.iter().any(here) {
            return Err(TokenRefusal::WrongHost);
        }
        Ok(())
    }

    /// Where its tokens are verified.
    pub fn verify_at(&self) -> &str {
        self.verify_url.as_deref().unwrap_or(self.provider.verify_url())
    }

    fn check(&self, checks: &mut Checks) {
        checks.line("siteKey", Some(&self.site_key));
        if !(0.0..=1.0).contains(&self.min_score) {
            checks.broken("minScore", Some(&self.min_score), "has to be 0 to 1");
        }
        checks.line("action", self.action.as_deref());
        if let Some(action) = self.action.as_ref().filter(|_| !self.provider.names_actions()) {
            checks.broken("action", Some(action), "has to be left out: the provider names no actions");
        }
        checks.within("hostnames", self.hostnames.len(), 0..=MAX_HOSTNAMES);
        for (position, host) in self.hostnames.iter().enumerate() {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            if host.is_empty() || host.len() > 253 || !host.bytes().all(good) {
                checks.broken(&format!("hostnames.{position}"), Some(host), "has to be a host name without scheme");
            }
        }
        checks.url("verifyUrl", self.verify_url.as_deref());
    }
}

/// CAPTCHA settings of a tenant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptchaSettings {
    /// Key sets by name, at most 20.
    pub keys: BTreeMap<String, CaptchaKeys>,
    /// Name of the key set that every booking needs; none: no captcha is asked for. Queues may say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
}

/// Which captcha bookings of a queue need: `inherit`, `none`, or the name of a key set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
pub enum QueueCaptcha {
    /// What the tenant's settings say.
    #[default]
    Inherit,
    /// None.
    None,
    /// That of a key set.
    KeySet(String),
}

const INHERIT: &str = "inherit";
const NONE: &str = "none";

impl From<String> for QueueCaptcha {
    fn from(text: String) -> Self {
        match text.as_str() {
            INHERIT => Self::Inherit,
            NONE => Self::None,
            _ => Self::KeySet(text),
        }
    }
}

impl From<QueueCaptcha> for String {
    fn from(captcha: QueueCaptcha) -> Self {
        match captcha {
            QueueCaptcha::Inherit => INHERIT.to_owned(),
            QueueCaptcha::None => NONE.to_owned(),
            QueueCaptcha::KeySet(name) => name,
        }
    }
}

impl CaptchaSettings {
    /// The key set whose token a booking of the queue needs, if it needs one.
    pub fn needed_by(&self, queue: &QueueSettings) -> Option<&CaptchaKeys> {
        match &queue.captcha {
            QueueCaptcha::None => None,
            QueueCaptcha::Inherit => self.keys.get(self.required.as_ref()?),
            QueueCaptcha::KeySet(name) => self.keys.get(name),
        }
    }

    /// Notes every rule that the document breaks.
    pub fn check(&self, checks: &mut Checks) {
        checks.within("keys", self.keys.len(), 0..=MAX_KEY_SETS);
        checks.at("keys", |checks| {
            for (name, keys) in &self.keys {
                let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                if name.is_empty()
                    || name.len() > 64
                    || !name.bytes().all(word)
                    || [INHERIT, NONE].contains(&name.as_str())
                {
                    let rule =
                        "has to be 1 to 64 letters, digits, dots, hyphens or underscores, and not inherit or none";
                    checks.broken("", Some(name), rule);
                }
                checks.at(name, |checks| keys.check(checks));
            }
        });
        if let Some(name) = self.required.as_ref().filter(|name| !self.keys.contains_key(*name)) {
            checks.broken("required", Some(name), "has to be a name of captcha.keys");
        }
    }

    /// Notes every queue that names a key set which is not there.
    pub fn check_queues(&self, queues: &BTreeMap<QueueName, QueueSettings>, checks: &mut Checks) {
        for (queue, settings) in queues {
            match &settings.captcha {
                QueueCaptcha::KeySet(name) if !self.keys.contains_key(name) => {
                    let rule = "has to be inherit, none, or a name of captcha.keys";
                    checks.at(queue.as_str(), |checks| checks.broken("captcha", Some(name), rule));
                }
                _ => {}
            }
        }
    }
}

/// A token as a booking brings it. Nothing prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptchaToken {
    /// The token itself, for the provider.
    pub text: Secret,
    /// Its hash, by which it is known again: the token itself is not kept.
    pub hash: [u8; 16],
}

#[cfg(test)]
mod tests;
