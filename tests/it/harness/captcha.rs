//! A CAPTCHA provider: it knows one secret key and takes each good token once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::json;

use super::outside::{Heard, Outside, Says};

/// The secret key that it knows.
pub(crate) const SECRET: &str = "marker-captcha-secret-key-5d2e";
/// Where tokens are verified.
pub(crate) const PATH: &str = "/siteverify";

/// Tokens that begin with `good` are good: a person's, made for `book` on `shop.example`. `low…` is a machine's.
pub(crate) fn provider() -> Outside {
    Outside::start(honest())
}

/// What it does when nothing is wrong with it.
pub(crate) fn honest() -> impl Fn(&Heard) -> Says + Send + Sync {
    let seen = Mutex::new(BTreeSet::new());
    move |heard| {
        let form = heard.form();
        let refused = |code: &str| Says::json(&json!({ "success": false, "error-codes": [code] }));
        if heard.method != "POST" || heard.path != PATH {
            return Says::Answer(404, String::new());
        }
        if form.get("secret").map(String::as_str) != Some(SECRET) {
            return refused("invalid-input-secret");
        }
        let token = form.get("response").cloned().unwrap_or_default();
        let score = match token.as_str() {
            token if token.starts_with("good") => 0.9,
            token if token.starts_with("low") => 0.1,
            _ => return refused("invalid-input-response"),
        };
        if !seen.lock().unwrap().insert(token) {
            return refused("timeout-or-duplicate");
        }
        Says::json(&json!({ "success": true, "score": score, "action": "book", "hostname": "shop.example" }))
    }
}
