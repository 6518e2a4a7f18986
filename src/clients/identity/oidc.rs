//! Users of a provider that speaks OpenID Connect.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::access::{Membership, UserName};
use domain::event::Outward;
use domain::ports::Clock;
use domain::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::claims::{Claims, names, text};
use super::id_token::{BadToken, Expected, KeySet};
use super::{Asker, Client, Held, HttpClient, Tokens};
use crate::users::{Arrival, Provider, ProviderError, Trip, with_query};

/// How long what the provider says of itself is good for.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// The least time between two looks for newer keys: anybody can send a token that names one.
const KEYS_AGAIN: Duration = Duration::from_secs(60);

/// Where the provider is and what its claims are called.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Its name and address, without a slash at the end.
    pub issuer: String,
    /// Our client.
    pub client: Client,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The tenant of users without that claim.
    pub tenant: Option<String>,
}

/// Asks the provider about users.
pub struct OidcProvider {
    asker: Asker,
    settings: OidcSettings,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
}

/// What the provider says of itself.
#[derive(Clone)]
struct Known {
    endpoints: Arc<Endpoints>,
    keys: Arc<KeySet>,
    since: Instant,
    keys_since: Instant,
}

#[derive(Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
}

impl OidcProvider {
    /// Asks through `http`.
    pub fn new(http: Arc<HttpClient>, clock: Arc<dyn Clock>, settings: OidcSettings) -> Self {
        let asker = Asker { http, to: Outward::Identity, client: settings.client.clone() };
        Self { asker, settings, clock, known: Mutex::default() }
    }

    async fn known(&self) -> Result<Known, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.since.elapsed() < KNOWN_FOR) {
            return Ok(known.clone());
        }
        let fresh = self.discover().await?;
        *known = Some(fresh.clone());
        Ok(fresh)
    }

    async fn discover(&self) -> Result<Known, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer);
        let endpoints: Endpoints = self.asker.get(&url).await?;
        // Who could speak for another issuer could let anybody in.
        if endpoints.issuer.trim_end_matches('/') != self.settings.issuer {
            return Err(ProviderError::Unusable("it speaks for another issuer"));
        }
        let keys = self.asker.get(&endpoints.jwks_uri).await?;
        let now = Instant::now();
        Ok(Known { endpoints: Arc::new(endpoints), keys: Arc::new(keys), since: now, keys_since: now })
    }

    /// Newer keys, if it is not too soon to look for them.
    async fn newer_keys(&self) -> Result<Option<Arc<KeySet>>, ProviderError> {
        let mut known = self.known.lock().await;
        let Some(known) = known.as_mut().filter(|known| known.keys_since.elapsed() >= KEYS_AGAIN) else {
            return Ok(None);
        };
        known.keys_since = Instant::now();
        known.keys = Arc::new(self.asker.get(&known.endpoints.jwks_uri).await?);
        Ok(Some(Arc::clone(&known.keys)))
    }

    async fn verify(&self, known: &Known, token: &str, nonce: Option<&str>) -> Result<Claims, ProviderError> {
        let client = self.settings.client.id();
        let now = self.clock.now().timestamp();
        let expected = Expected { issuer: &self.settings.issuer, client: &client, nonce, now };
        let verdict = match known.keys.verify(token, &expected) {
            Err(BadToken::UnknownKey) => match self.newer_keys().await? {
                Some(keys) => keys.verify(token, &expected),
                None => Err(BadToken::UnknownKey),
            },
            verdict => verdict,
        };
        verdict.map_err(|bad| match bad {
            BadToken::UnknownKey => ProviderError::Unusable("its token is signed with a key that it does not tell"),
            BadToken::Wrong(why) => ProviderError::Unusable(why),
        })
    }

    /// What the endpoint for user information adds; it has to speak about the same user.
    async fn user_info(&self, known: &Known, access: &str, subject: &str) -> Result<Claims, ProviderError> {
        let Some(url) = &known.endpoints.userinfo_endpoint else { return Ok(Claims::new()) };
        let claims: Claims = self.asker.get_as(url, access).await?;
        let same = claims.get("sub").and_then(Value::as_str) == Some(subject);
        if same { Ok(claims) } else { Err(ProviderError::Unusable("it speaks about another user")) }
    }

    fn arrival(&self, claims: &Claims, held: &Held) -> Result<Arrival, ProviderError> {
        let user = text(claims, &["preferred_username", "user_name", "email", "sub"]);
        let user = user.as_deref().and_then(UserName::lossy).ok_or(ProviderError::Unusable("no name in it"))?;
        let groups = names(claims.get(&self.settings.groups_claim));
        Ok(Arrival {
            user,
            tenant: text(claims, &[&self.settings.tenant_claim]),
            dbid: claims.get("dbid").and_then(Value::as_u64),
            membership: Membership { groups, ..Membership::default() },
            held: held.text()?,
        })
    }

    /// What the ID token says; where it says nothing of groups, with what the endpoint for user information says.
    async fn complete(&self, known: &Known, mut claims: Claims, held: &Held) -> Result<Arrival, ProviderError> {
        if !claims.contains_key(&self.settings.groups_claim) {
            let more = self.user_info(known, &held.access, &held.subject).await?;
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        self.arrival(&claims, held)
    }
}

#[async_trait]
impl Provider for OidcProvider {
    async fn begin(&self, trip: &Trip) -> Result<String, ProviderError> {
        let known = self.known().await?;
        let (redirect, challenge, client) =
            (self.settings.client.redirect_uri(), trip.challenge(), self.settings.client.id());
        let scope = std::iter::once("openid").chain(self.settings.scopes.iter().map(String::as_str));
        let scope = scope.collect::<Vec<_>>().join(" ");
        let pairs = [
            ("response_type", "code"),
            ("client_id", client.as_str()),
            ("redirect_uri", &redirect),
            ("scope", &scope),
            ("state", &trip.state),
            ("nonce", &trip.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(with_query(&known.endpoints.authorization_endpoint, &pairs))
    }

    async fn arrive(&self, code: &str, trip: &Trip) -> Result<Arrival, ProviderError> {
        let known = self.known().await?;
        let tokens = self.asker.tokens_of_code(&known.endpoints.token_endpoint, code, &trip.verifier).await?;
        let Tokens { access_token: access, refresh_token: refresh, id_token } = tokens;
        let id_token = id_token.ok_or(ProviderError::Unusable("no ID token in it"))?;
        let claims = self.verify(&known, &id_token, Some(&trip.nonce)).await?;
        let subject = text(&claims, &["sub"]).ok_or(ProviderError::Unusable("no subject in it"))?;
        let held = Held { access, refresh, id_token: Some(id_token), subject };
        let arrival = self.complete(&known, claims, &held).await?;
        Ok(Arrival { tenant: arrival.tenant.or_else(|| self.settings.tenant.clone()), ..arrival })
    }

    async fn look_again(&self, held: &Secret) -> Result<Arrival, ProviderError> {
        let known = self.known().await?;
        let held = Held::read(held)?;
        if held.refresh.is_none() {
            // Nobody can be asked about the user any more.
            if known.endpoints.userinfo_endpoint.is_none() {
                return Err(ProviderError::Refused);
            }
            let claims = self.user_info(&known, &held.access, &held.subject).await?;
            return self.arrival(&claims, &held);
        }
        let before = held.id_token.clone();
        let held = self.asker.refreshed(&known.endpoints.token_endpoint, held).await?;
        let mut claims = Claims::new();
        if let Some(newer) = held.id_token.as_ref().filter(|token| Some(*token) != before.as_ref()) {
            claims = self.verify(&known, newer, None).await?;
            if text(&claims, &["sub"]).as_ref() != Some(&held.subject) {
                return Err(ProviderError::Refused);
            }
        }
        self.complete(&known, claims, &held).await
    }

    async fn sign_out(&self, held: &Secret) -> Option<String> {
        let known = self.known().await.ok()?;
        let held = Held::read(held).ok()?;
        let address = known.endpoints.end_session_endpoint.as_ref()?;
        let (back, client) = (format!("{}/ges/", self.settings.client.public_url), self.settings.client.id());
        let mut pairs = vec![("client_id", client.as_str()), ("post_logout_redirect_uri", &back)];
        if let Some(token) = &held.id_token {
            pairs.push(("id_token_hint", token));
        }
        Some(with_query(address, &pairs))
    }
}
