//! Users of Genesys Web Services.

use std::sync::Arc;

use async_trait::async_trait;
use domain::access::{Membership, UserName};
use domain::event::{Event, Outward};
use domain::ports::Observer;
use domain::secret::Secret;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::claims::{Claims, names, text};
use super::{Asker, Client, Held, HttpClient, Tokens};
use crate::users::{Arrival, Provider, ProviderError, Trip, with_query};

/// Where the authentication service is, and who we are there.
#[derive(Debug, Clone)]
pub struct GwsProviderSettings {
    /// For us, without a slash at the end.
    pub auth: String,
    /// For browsers.
    pub public_auth: String,
    /// Our client.
    pub client: Client,
}

/// Asks the authentication service about users.
pub struct GwsProvider {
    asker: Asker,
    /// Hears that our client is refused.
    observer: Arc<dyn Observer>,
    auth: String,
    public_auth: String,
}

/// Answers are wrapped; code 0 is success.
#[derive(Deserialize)]
struct Wrapped {
    status: Option<Status>,
    data: Option<Claims>,
}

#[derive(Deserialize)]
struct Status {
    code: i64,
}

impl GwsProvider {
    /// Asks through `http`.
    pub fn new(http: Arc<HttpClient>, observer: Arc<dyn Observer>, settings: GwsProviderSettings) -> Self {
        let GwsProviderSettings { auth, public_auth, client } = settings;
        Self { asker: Asker { http, to: Outward::GwsAuth, client }, observer, auth, public_auth }
    }

    /// A client that is refused is for operators to know of, whoever wanted to log in.
    fn noted<T>(&self, told: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if matches!(told, Err(ProviderError::ClientRefused)) {
            self.observer.note(Event::GwsClientRefused);
        }
        told
    }

    fn token_url(&self) -> String {
        format!("{}/auth/v3/oauth/token", self.auth)
    }

    async fn user(&self, access: &str) -> Result<Claims, ProviderError> {
        let url = format!("{}/auth/v3/userinfo", self.auth);
        let Wrapped { status, data } = self.asker.get_as(&url, access).await?;
        if status.is_some_and(|status| status.code != 0) {
            return Err(ProviderError::Refused);
        }
        data.ok_or(ProviderError::Unusable("no user in it"))
    }

    fn arrival(claims: &Claims, mut held: Held) -> Result<Arrival, ProviderError> {
        let user = text(claims, &["username", "userName", "loginName", "cmeUserName"]);
        let user = user.as_deref().and_then(UserName::lossy).ok_or(ProviderError::Unusable("no name in it"))?;
        if !held.subject.is_empty() && held.subject != user.as_str() {
            return Err(ProviderError::Refused);
        }
        held.subject = user.to_string();
        Ok(Arrival {
            user,
            tenant: text(claims, &["contactCenterId"]),
            dbid: claims.get("dbid").and_then(Value::as_u64),
            membership: Membership { groups: names(claims.get("authorities")), ..Membership::default() },
            held: held.text()?,
        })
    }
}

#[async_trait]
impl Provider for GwsProvider {
    async fn begin(&self, trip: &Trip) -> Result<String, ProviderError> {
        let (redirect, challenge, client) =
            (self.asker.client.redirect_uri(), trip.challenge(), self.asker.client.id());
        let pairs = [
            ("response_type", "code"),
            ("client_id", client.as_str()),
            ("redirect_uri", &redirect),
            ("scope", "*"),
            ("state", &trip.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(with_query(&format!("{}/auth/v3/oauth/authorize", self.public_auth), &pairs))
    }

    async fn arrive(&self, code: &str, trip: &Trip) -> Result<Arrival, ProviderError> {
        let tokens = self.noted(self.asker.tokens_of_code(&self.token_url(), code, &trip.verifier).await)?;
        let Tokens { access_token: access, refresh_token: refresh, .. } = tokens;
        let claims = self.user(&access).await?;
        Self::arrival(&claims, Held { access, refresh, id_token: None, subject: String::new() })
    }

    async fn look_again(&self, held: &Secret) -> Result<Arrival, ProviderError> {
        let held = Held::read(held)?;
        match self.user(&held.access).await {
            Ok(claims) => Self::arrival(&claims, held),
            // A token lives shorter than a session.
            Err(ProviderError::Refused) => {
                let held = self.noted(self.asker.refreshed(&self.token_url(), held).await)?;
                let claims = self.user(&held.access).await?;
                Self::arrival(&claims, held)
            }
            Err(error) => Err(error),
        }
    }

    async fn sign_out(&self, held: &Secret) -> Option<String> {
        let held = Held::read(held).ok()?;
        let url = format!("{}/auth/v3/sign-out", self.auth);
        let call = self.asker.call(Method::POST, &url).ok()?.authorization(&format!("Bearer {}", held.access)).ok()?;
        match self.asker.http.call(call).await {
            Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => {}
            Ok(answer) => tracing::warn!(status = answer.status.as_u16(), "a user could not be signed out at GWS"),
            Err(error) => tracing::warn!(%error, "a user could not be signed out at GWS"),
        }
        None
    }
}
