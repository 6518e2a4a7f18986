//! The port for CAPTCHA providers: all of them verify a token at one address, by a form with the secret key, and
//! say what they think of it in JSON of nearly the same shape.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::captcha::{CaptchaKeys, Provider, Verdict};
use domain::event::Outward;
use domain::ids::TenantId;
use domain::ports::{Captcha, CredentialCheck, CredentialRefused, NoVerdict, OfferedCredential, SecretError, Secrets};
use domain::secret::{CredentialKind, Secret};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::http::{Answer, Call, HttpClient, NamedBy, Repeat};

/// From the question to the verdict.
const LIMIT: Duration = Duration::from_secs(3);
/// Longest answer of a provider; theirs have some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Asks providers over HTTP.
pub struct CaptchaClient {
    http: Arc<HttpClient>,
    secrets: Arc<dyn Secrets>,
}

impl CaptchaClient {
    /// Asks through `http`, with secret keys from `secrets`.
    pub fn new(http: Arc<HttpClient>, secrets: Arc<dyn Secrets>) -> Self {
        Self { http, secrets }
    }

    async fn ask_with(
        &self,
        tenant: TenantId,
        keys: &CaptchaKeys,
        secret: &Secret,
        token: &Secret,
        by: Instant,
    ) -> Result<Verdict, NoVerdict> {
        let call = question(tenant, keys, secret, token)?.within(by.saturating_duration_since(Instant::now()));
        let answer = self.http.call(call).await.map_err(|error| NoVerdict::Unavailable(error.to_string()))?;
        verdict(keys.provider, &answer)
    }

    async fn secret(&self, tenant: TenantId, keys: &CaptchaKeys) -> Result<Secret, NoVerdict> {
        self.secrets.reveal(tenant, &keys.secret_key).await.map_err(|error| match error {
            SecretError::Store(_) => NoVerdict::Unavailable(error.to_string()),
            other => NoVerdict::Misconfigured(other.to_string()),
        })
    }
}

#[async_trait]
impl Captcha for CaptchaClient {
    async fn ask(&self, tenant: TenantId, keys: &CaptchaKeys, token: &Secret) -> Result<Verdict, NoVerdict> {
        let by = Instant::now() + LIMIT;
        let slow = |_| NoVerdict::Unavailable("the secret key could not be read in time".to_owned());
        let secret = timeout_at(by, self.secret(tenant, keys)).await.map_err(slow)??;
        self.ask_with(tenant, keys, &secret, token, by).await
    }
}

/// A token that nobody was given: what the provider says of the secret key beside it is what counts.
const NO_TOKEN: &str = "check-of-the-secret-key";

/// Whether the provider of a set of keys knows the secret key.
#[async_trait]
impl CredentialCheck for CaptchaClient {
    async fn check(&self, offered: OfferedCredential<'_>) -> Result<(), CredentialRefused> {
        let keys = offered.settings.captcha.keys.get(offered.name);
        let Some(keys) = keys.filter(|_| offered.kind == CredentialKind::Captcha) else { return Ok(()) };
        let (token, by) = (Secret::new(NO_TOKEN), Instant::now() + LIMIT);
        match self.ask_with(offered.tenant, keys, offered.secret, &token, by).await {
            Ok(_) => Ok(()),
            Err(NoVerdict::Misconfigured(why)) => Err(CredentialRefused::Refused(why)),
            Err(NoVerdict::Unavailable(why)) => Err(CredentialRefused::NotAsked(why)),
        }
    }
}

/// The question, repeated only if it was surely not asked: a provider that was asked takes the token for used.
fn question(tenant: TenantId, keys: &CaptchaKeys, secret: &Secret, token: &Secret) -> Result<Call, NoVerdict> {
    let named_by = if keys.verify_url.is_some() { NamedBy::Tenant(tenant) } else { NamedBy::Operator };
    let call = Call::post(Outward::Captcha, named_by, keys.verify_at());
    let call = call.map_err(|error| NoVerdict::Misconfigured(error.to_string()))?;
    let mut form = vec![("secret", secret.reveal()), ("response", token.reveal())];
    if keys.provider == Provider::Hcaptcha {
        // Else it takes tokens that were made with any site key of the account.
        form.push(("sitekey", &keys.site_key));
    }
    Ok(Call { max_answer_bytes: MAX_ANSWER_BYTES, ..call.form(&form).repeat(Repeat::IfNotDone(1)) })
}

/// What providers answer, as far as it is of use here.
#[derive(Deserialize)]
struct Body {
    success: bool,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default, rename = "error-codes")]
    error_codes: Option<Vec<String>>,
}

fn verdict(provider: Provider, answer: &Answer) -> Result<Verdict, NoVerdict> {
    let status = answer.status;
    if status.is_server_error() {
        return Err(NoVerdict::Unavailable(format!("it answered with status {}", status.as_u16())));
    }
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|_| NoVerdict::Unavailable(format!("its answer (status {}) is no verdict", status.as_u16())))?;
    let says = |code: &str| body.error_codes.iter().flatten().any(|said| said == code);
    if !body.success {
        if says("invalid-input-secret") || says("missing-input-secret") {
            return Err(NoVerdict::Misconfigured("the provider does not know the secret key".to_owned()));
        }
        if says("internal-error") {
            return Err(NoVerdict::Unavailable("it says that it failed".to_owned()));
        }
    }
    // hCaptcha scores the risk: 1 is surely a machine.
    let score = body.score.map(|score| if provider == Provider::Hcaptcha { 1.0 - score } else { score });
    Ok(Verdict { success: body.success, score, action: body.action, hostname: body.hostname })
}

#[cfg(test)]
mod tests {
    use domain::captcha::WhenUnavailable;
    use domain::secret::SecretRef;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn told(provider: Provider, status: u16, body: &str) -> Result<Verdict, NoVerdict> {
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.to_owned().into());
        verdict(provider, &Answer { status, headers: HeaderMap::new(), body })
    }

    #[test]
    fn each_provider_is_read_as_it_means_it() {
        let good = Verdict { success: true, ..Verdict::default() };
        let text = |text: &str| Some(text.to_owned());
        for (provider, body, expected) in [
            (
                Provider::RecaptchaV2,
                r#"{"success":true,"challenge_ts":"2030-01-01T00:00:00Z","hostname":"shop.example"}"#,
                Verdict { hostname: text("shop.example"), ..good.clone() },
            ),
            (
                Provider::RecaptchaV3,
                r#"{"success":true,"score":0.7,"action":"book","hostname":"a.example","error-codes":null}"#,
                Verdict { score: Some(0.7), action: text("book"), hostname: text("a.example"), ..good.clone() },
            ),
            (
                Provider::Hcaptcha,
                r#"{"success":true,"credit":false,"score":0.25,"score_reason":["safe"]}"#,
                Verdict { score: Some(0.75), ..good.clone() },
            ),
            (
                Provider::Turnstile,
                r#"{"success":true,"error-codes":[],"action":"book","cdata":"x","metadata":{"interactive":false}}"#,
                Verdict { action: text("book"), ..good },
            ),
            (Provider::Turnstile, r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#, Verdict::default()),
        ] {
            assert_eq!(told(provider, 200, body), Ok(expected), "{body}");
        }
        assert_eq!(told(Provider::Turnstile, 400, r#"{"success":false}"#), Ok(Verdict::default()));
    }

    #[test]
    fn what_is_no_verdict_is_told_apart_by_whether_it_may_pass() {
        for body in [r#"{"success":false,"error-codes":["internal-error"]}"#, "{}", "<html>", ""] {
            assert!(matches!(told(Provider::Turnstile, 200, body), Err(NoVerdict::Unavailable(_))), "{body}");
        }
        let down = told(Provider::RecaptchaV2, 503, r#"{"success":true}"#);
        assert!(matches!(down, Err(NoVerdict::Unavailable(_))), "a failing server's word is no verdict");
        for code in ["invalid-input-secret", "missing-input-secret"] {
            let body = format!(r#"{{"success":false,"error-codes":["{code}"]}}"#);
            assert!(matches!(told(Provider::Hcaptcha, 200, &body), Err(NoVerdict::Misconfigured(_))), "{code}");
        }
    }

    #[test]
    fn the_form_holds_what_the_provider_wants() {
        let mut keys = CaptchaKeys {
            provider: Provider::RecaptchaV3,
            site_key: "site".to_owned(),
            secret_key: SecretRef::Env("S".to_owned()),
            min_score: 0.5,
            action: None,
            hostnames: Vec::new(),
            when_unavailable: WhenUnavailable::Refuse,
            verify_url: None,
        };
        let tenant = TenantId::from_name("demo");
        let asked = |keys: &CaptchaKeys| question(tenant, keys, &Secret::new("s&1"), &Secret::new("t=2")).unwrap();
        let call = asked(&keys);
        assert_eq!((call.body.as_ref(), call.named_by), (b"secret=s%261&response=t%3D2".as_slice(), NamedBy::Operator));
        assert_eq!(call.url.as_str(), "https://www.google.com/recaptcha/api/siteverify");
        keys = CaptchaKeys { provider: Provider::Hcaptcha, verify_url: Some("https://own.example/v".into()), ..keys };
        let call = asked(&keys);
        assert_eq!(call.body.as_ref(), b"secret=s%261&response=t%3D2&sitekey=site");
        assert_eq!((call.url.as_str(), call.named_by), ("https://own.example/v", NamedBy::Tenant(tenant)));
    }
}
