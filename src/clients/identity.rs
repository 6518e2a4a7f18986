//! Providers of users: Genesys Web Services, and any that speak OpenID Connect. Both end in the same place, the
//! authorization-code flow with PKCE, and differ in how they tell who has come.
//!
//! The crate `openidconnect` knows the same flow, but brings an RSA of its own with an open advisory (RUSTSEC-2023-0071) and
//! some thirty crates; what is left beside HTTP, JSON and the signatures that `ring` checks is small.

mod claims;
mod gws;
mod id_token;
mod oidc;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::event::Outward;
use domain::secret::Secret;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::http::{Answer, Call, CallError, HttpClient, NamedBy, Repeat};
use crate::users::{CALLBACK_PATH, ProviderError};
pub use gws::{GwsProvider, GwsProviderSettings};
pub use oidc::{OidcProvider, OidcSettings};

/// How long one question may take: a person waits.
const ASK: Duration = Duration::from_secs(5);

/// Our client at the provider.
#[derive(Debug, Clone)]
pub struct Client {
    /// Who it is.
    pub credentials: ClientCredentials,
    /// Where browsers reach this service.
    pub public_url: String,
}

impl Client {
    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK_PATH}", self.public_url)
    }

    fn id(&self) -> String {
        self.credentials.0.load().id.clone()
    }
}

/// Name and secret of a client. Clones are one and the same: what one of them replaces, all of them have.
#[derive(Debug, Clone)]
pub struct ClientCredentials(Arc<ArcSwap<Named>>);

#[derive(Debug)]
struct Named {
    id: String,
    /// None for a public client.
    secret: Option<Secret>,
}

impl ClientCredentials {
    /// A client with a secret, or a public one.
    pub fn new(id: &str, secret: Option<Secret>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Named { id: id.to_owned(), secret })))
    }

    /// From now on this is who the client is.
    pub fn replace(&self, id: &str, secret: Option<Secret>) {
        self.0.store(Arc::new(Named { id: id.to_owned(), secret }));
    }
}

impl Named {
    /// `Authorization` of a client with a secret. Both parts are form-encoded first (RFC 6749, 2.3.1).
    fn basic(&self) -> Option<String> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = self.secret.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(&self.id), encode(secret.reveal())))))
    }
}

/// What the token endpoint gives.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

/// What is kept with a session.
#[derive(Serialize, Deserialize)]
struct Held {
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    /// Who it is about, as the provider names its users for itself.
    subject: String,
}

impl Held {
    fn read(held: &Secret) -> Result<Self, ProviderError> {
        serde_json::from_str(held.reveal()).map_err(|_| ProviderError::Unusable("what was kept of a log-in"))
    }

    fn text(&self) -> Result<Secret, ProviderError> {
        let text = serde_json::to_string(self).map_err(|_| ProviderError::Unusable("its tokens"))?;
        Ok(Secret::new(text))
    }

    /// With newer tokens; what they leave out stays.
    fn renewed(self, tokens: Tokens) -> Self {
        Self {
            access: tokens.access_token,
            refresh: tokens.refresh_token.or(self.refresh),
            id_token: tokens.id_token.or(self.id_token),
            subject: self.subject,
        }
    }
}

/// Asks a provider.
struct Asker {
    http: Arc<HttpClient>,
    /// What the calls count as.
    to: Outward,
    client: Client,
}

impl Asker {
    fn call(&self, method: Method, url: &str) -> Result<Call, ProviderError> {
        let call = Call::new(self.to, NamedBy::Operator, method, url).map_err(unavailable)?;
        Ok(call.within(ASK))
    }

    /// A document.
    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, ProviderError> {
        let call = self.call(Method::GET, url)?.repeat(Repeat::Harmless(1));
        read(&self.http.call(call).await.map_err(unavailable)?)
    }

    /// What the bearer of a token may see. [`ProviderError::Refused`] if it is not taken.
    async fn get_as<T: DeserializeOwned>(&self, url: &str, token: &str) -> Result<T, ProviderError> {
        let call = self.call(Method::GET, url)?.repeat(Repeat::Harmless(1));
        let call = call.authorization(&format!("Bearer {token}")).map_err(unavailable)?;
        read(&self.http.call(call).await.map_err(unavailable)?)
    }

    /// Tokens for a code or for a refresh token. A code counts once, so nothing is repeated that was perhaps done.
    /// [`ProviderError::ClientRefused`] if it is us that are not known, and not what we have shown.
    async fn tokens(&self, url: &str, form: &[(&str, &str)]) -> Result<Tokens, ProviderError> {
        let client = self.client.credentials.0.load_full();
        let named = [form, &[("client_id", client.id.as_str())]].concat();
        let mut call = self.call(Method::POST, url)?.form(&named).repeat(Repeat::IfNotDone(1));
        if let Some(basic) = client.basic() {
            call = call.authorization(&basic).map_err(unavailable)?;
        }
        let answer = self.http.call(call).await.map_err(unavailable)?;
        if refuses_client(&answer) { Err(ProviderError::ClientRefused) } else { read(&answer) }
    }

    async fn tokens_of_code(&self, url: &str, code: &str, verifier: &str) -> Result<Tokens, ProviderError> {
        let redirect = self.client.redirect_uri();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", verifier),
        ];
        self.tokens(url, &form).await
    }

    /// Newer tokens; [`ProviderError::Refused`] if there is nothing to get them with.
    async fn refreshed(&self, url: &str, held: Held) -> Result<Held, ProviderError> {
        let refresh = held.refresh.clone().ok_or(ProviderError::Refused)?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let tokens = self.tokens(url, &form).await?;
        Ok(held.renewed(tokens))
    }
}

/// Why a token endpoint gives nothing (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Whether it is our client that a token endpoint does not take. Where it does not say what it is, 401 says so.
fn refuses_client(answer: &Answer) -> bool {
    let told = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.error);
    answer.status.is_client_error()
        && match told.as_deref() {
            Ok(error) => matches!(error, "invalid_client" | "unauthorized_client"),
            Err(_) => answer.status == StatusCode::UNAUTHORIZED,
        }
}

fn unavailable(error: CallError) -> ProviderError {
    ProviderError::Unavailable(error.to_string())
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    match answer.status {
        status if status.is_success() => {}
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(ProviderError::Refused);
        }
        status => return Err(ProviderError::Unavailable(format!("it answers {status}"))),
    }
    serde_json::from_slice(&answer.body).map_err(|_| ProviderError::Unusable("not the JSON that was expected"))
}
