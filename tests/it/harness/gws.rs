//! Authentication and statistics of GWS in one server: it knows one client, hands out numbered tokens and takes
//! only the newest.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::outside::{Heard, Outside, Says};

/// The client that it knows, and its secret.
pub(crate) const CLIENT: &str = "reporter";
pub(crate) const SECRET: &str = "marker-gws-client-secret-77b1";
/// The user that it knows, and the password.
pub(crate) const USER: &str = "supervisor";
pub(crate) const PASSWORD: &str = "marker-gws-password-19aa";
/// `reporter:marker-gws-client-secret-77b1`.
const BASIC: &str = "Basic cmVwb3J0ZXI6bWFya2VyLWd3cy1jbGllbnQtc2VjcmV0LTc3YjE=";
/// What every token begins with.
pub(crate) const TOKEN: &str = "marker-gws-token-";

pub(crate) const TOKENS: &str = "/auth/v3/oauth/token";
pub(crate) const STATISTICS: &str = "/statistics/v3/operations/get-statistic-ex";

pub(crate) fn server() -> Outside {
    Outside::start(honest())
}

/// What it does when nothing is wrong with it.
pub(crate) fn honest() -> impl Fn(&Heard) -> Says + Send + Sync {
    let given = AtomicUsize::new(0);
    move |heard| match (heard.method.as_str(), heard.path.as_str()) {
        ("POST", TOKENS) => {
            if heard.header("authorization") != BASIC || !is_grant(heard) {
                return Says::Answer(401, json!({ "error": "invalid_client" }).to_string());
            }
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            Says::json(&json!({
                "access_token": format!("{TOKEN}{number}"), "token_type": "bearer", "expires_in": 3600, "scope": "*",
            }))
        }
        ("POST", STATISTICS) => {
            let newest = given.load(Ordering::SeqCst);
            if newest == 0 || heard.header("authorization") != format!("Bearer {TOKEN}{newest}") {
                return Says::Answer(401, json!({ "status": { "code": 401 } }).to_string());
            }
            answer(heard)
        }
        _ => Says::Answer(404, String::new()),
    }
}

fn is_grant(heard: &Heard) -> bool {
    let form = heard.form();
    let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => true,
        Some("password") => is("username", USER) && is("password", PASSWORD),
        _ => false,
    }
}

/// A value for everything that is asked for.
fn answer(heard: &Heard) -> Says {
    let asked = heard.json()["data"]["statistics"].as_array().cloned().unwrap_or_default();
    let values = asked.into_iter().map(|mut statistic| {
        statistic["value"] = 42.into();
        statistic["timestamp"] = 1_898_870_400_000_i64.into();
        statistic
    });
    Says::json(&json!({ "status": { "code": 0 }, "data": { "statistics": values.collect::<Vec<_>>() } }))
}
