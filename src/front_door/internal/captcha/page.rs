//! The page itself, with a policy that lets in the provider's script, the page's own, and nothing else.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::captcha::{CaptchaKeys, Provider};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};

use crate::front_door::error::{Kind, Problem};

/// What a provider's captcha needs of the page.
struct Widget {
    /// The provider's script; the site key is put in for `{}`.
    script: &'static str,
    /// Where its scripts, frames, styles and calls come from and go to.
    sources: &'static str,
    /// The element that it looks for.
    element: &'static str,
}

const RECAPTCHA: &str =
    "https://www.google.com/recaptcha/ https://www.gstatic.com/recaptcha/ https://recaptcha.google.com/recaptcha/";

const fn widget(provider: Provider) -> Widget {
    let (script, sources, element) = match provider {
        Provider::RecaptchaV2 => (
            "https://www.google.com/recaptcha/api.js",
            RECAPTCHA,
            r#"<div class="g-recaptcha" data-sitekey="{}" data-callback="onToken"></div>"#,
        ),
        Provider::RecaptchaV2Invisible => (
            "https://www.google.com/recaptcha/api.js",
            RECAPTCHA,
            r#"<button class="g-recaptcha" data-sitekey="{}" data-callback="onToken">Try it</button>"#,
        ),
        Provider::RecaptchaV3 => {
            ("https://www.google.com/recaptcha/api.js?render={}", RECAPTCHA, r#"<button id="execute">Try it</button>"#)
        }
        Provider::Hcaptcha => (
            "https://js.hcaptcha.com/1/api.js",
            "https://hcaptcha.com https://*.hcaptcha.com",
            r#"<div class="h-captcha" data-sitekey="{}" data-callback="onToken"></div>"#,
        ),
        Provider::Turnstile => (
            "https://challenges.cloudflare.com/turnstile/v0/api.js",
            "https://challenges.cloudflare.com",
            r#"<div class="cf-turnstile" data-sitekey="{}" data-action="{action}" data-callback="onToken"></div>"#,
        ),
    };
    Widget { script, sources, element }
}

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Captcha test</title>
<script nonce="{nonce}" src="{script}" async defer></script>
</head>
<body data-site-key="{site_key}" data-tenant="{tenant}" data-action="{action}">
<h1>Captcha test</h1>
<p>Site key <code>{site_key}</code>. A token is verified with the secret key as a booking's would be.</p>
<p><label>Token of the internal listener, if it has one: <input id="token" type="password" autocomplete="off"></label></p>
{element}
<pre id="result">No token yet.</pre>
<script nonce="{nonce}">
const { siteKey, tenant, action } = document.body.dataset;
const show = (text) => { document.getElementById("result").textContent = text; };
function onToken(captchaToken) {
  const headers = { "Content-Type": "application/json", ContactCenterID: tenant };
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = "Bearer " + token;
  fetch("/ges/v1/captcha/verify", { method: "POST", headers, body: JSON.stringify({ siteKey, captchaToken }) })
    .then((answer) => answer.json())
    .then((answer) => show(JSON.stringify(answer, null, 2)), (error) => show(String(error)));
}
document.getElementById("execute")?.addEventListener("click", () => {
  grecaptcha.ready(() => grecaptcha.execute(siteKey, action ? { action } : {}).then(onToken));
});
</script>
</body>
</html>
"#;

/// The page for a key set.
pub(super) fn answer(keys: &CaptchaKeys, tenant: &str) -> Result<Response, Problem> {
    let failed = || Problem::new(Kind::Failed, "The page could not be made.");
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| failed())?;
    let nonce = URL_SAFE_NO_PAD.encode(random);
    let widget = widget(keys.provider);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' {0}; frame-src {0}; style-src {0} 'unsafe-inline'; img-src {0} \
         data:; connect-src 'self' {0}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        widget.sources
    );
    let mut response = Response::new(Body::from(page(keys, tenant, &nonce, &widget)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).map_err(|_| failed())?);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The text, with what comes from settings escaped: none of it may become markup.
fn page(keys: &CaptchaKeys, tenant: &str, nonce: &str, widget: &Widget) -> String {
    let site_key = escaped(&keys.site_key);
    let in_url: String = form_urlencoded::byte_serialize(keys.site_key.as_bytes()).collect();
    let action = escaped(keys.action.as_deref().unwrap_or_default());
    let element = widget.element.replace("{action}", &action).replace("{}", &site_key);
    // What comes from settings is put in last, so that nothing in it is taken for a place to fill.
    PAGE.replace("{nonce}", nonce)
        .replace("{script}", &widget.script.replace("{}", &in_url))
        .replace("{element}", &element)
        .replace("{tenant}", &escaped(tenant))
        .replace("{action}", &action)
        .replace("{site_key}", &site_key)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not to be taken for a place to fill.
            '{' => safe.push_str("&#123;"),
            other => safe.push(other),
        }
    }
    safe
}
