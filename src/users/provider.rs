//! Who knows users, where the service does not know them itself: the authorization-code flow with PKCE and state.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::{Membership, UserName};
use domain::ids::TenantId;
use domain::secret::Secret;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::front_door::generate_key;

/// Where browsers come back to.
pub const CALLBACK_PATH: &str = "/ges/v1/session/callback";

/// Knows users.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Where a browser goes to log in.
    async fn begin(&self, trip: &Trip) -> Result<String, ProviderError>;

    /// Who has come back with this code.
    async fn arrive(&self, code: &str, trip: &Trip) -> Result<Arrival, ProviderError>;

    /// Who it is now. [`ProviderError::Refused`] if the user is not known any more.
    async fn look_again(&self, held: &Secret) -> Result<Arrival, ProviderError>;

    /// Signs the user out. Where the browser has to go for the rest of it, if it has to. What fails is logged.
    async fn sign_out(&self, held: &Secret) -> Option<String>;
}

/// Knows more about users than their provider says: the groups of the configuration.
#[async_trait]
pub trait Directory: Send + Sync {
    /// What is known of a user of a tenant; none if nothing is.
    ///
    /// # Errors
    /// It cannot be asked, with the reason.
    async fn membership(&self, tenant: TenantId, who: &Arrival) -> Result<Option<Membership>, String>;
}

/// What a browser carries while its user is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// Comes back with the user: nobody else can bring a code into this browser.
    pub state: String,
    /// Stands in what the provider signs.
    pub nonce: String,
    /// Proves at the end that whoever brings the code has begun the trip.
    pub verifier: String,
    /// Where to go afterwards: a path under `/ges/`.
    pub return_to: String,
    /// Until when, in milliseconds since 1970.
    pub expires_at: i64,
}

impl Trip {
    /// None if the system gives no random numbers.
    pub fn new(return_to: &str, expires_at: i64) -> Option<Self> {
        let word = || generate_key().ok();
        Some(Self {
            state: word()?,
            nonce: word()?,
            verifier: word()?,
            return_to: safe_path(return_to).to_owned(),
            expires_at,
        })
    }

    /// What is told of the verifier at the beginning.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, self.verifier.as_bytes()))
    }
}

/// A path of ours, and never another site.
fn safe_path(path: &str) -> &str {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.starts_with("/ges/") && !path.contains("//") && plain && path.len() <= 1_024 { path } else { "/ges/" }
}

/// A user who has come back.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// How the user is named.
    pub user: UserName,
    /// The tenant, by id, name or contact centre. When somebody is looked at again: none if nothing is said of it.
    pub tenant: Option<String>,
    /// The number of the user in the configuration, where the provider tells it.
    pub dbid: Option<u64>,
    /// What the provider says of the user.
    pub membership: Membership,
    /// What it takes to ask again and to sign out; as text, for the provider alone to read.
    pub held: Secret,
}

/// Why nobody came back. The texts are for operators and hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// It does not know the code or the user.
    #[error("the provider of users refuses")]
    Refused,
    /// It does not know us: that says nothing of any user.
    #[error("the provider of users refuses the service's own client")]
    ClientRefused,
    /// It cannot be asked.
    #[error("the provider of users cannot be asked: {0}")]
    Unavailable(String),
    /// What it says cannot be used.
    #[error("the provider of users gives an answer that cannot be used: {0}")]
    Unusable(&'static str),
}

/// Query parameters behind an address.
pub(crate) fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trip_ends_within_the_service() {
        for (path, expected) in [
            ("/ges/", "/ges/"),
            ("/ges/callbacks?queue=support", "/ges/callbacks?queue=support"),
            ("https://evil.example/ges/", "/ges/"),
            ("//evil.example/ges/", "/ges/"),
            ("/ges//evil.example", "/ges/"),
            ("/ges/\\evil.example", "/ges/"),
            ("/ges/\r\nSet-Cookie: a", "/ges/"),
            ("/other", "/ges/"),
            ("", "/ges/"),
        ] {
            assert_eq!(Trip::new(path, 0).unwrap().return_to, expected, "{path}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let trip =
            Trip { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(), ..Trip::new("/ges/", 0).unwrap() };
        assert_eq!(trip.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
