//! Genesys Web Services: tokens of the authentication service and what is asked with them. Here: statistics. The
//! service's own client, which asks about contact centres and their users, is in `connector.rs`.
//!
//! Each tenant asks with the credentials that it has registered. Answers are kept for five minutes; equal requests
//! under way share one question, and so do equal requests for a token.

mod answers;
mod board;
mod connector;
mod directory;
mod environment;
mod objects;
mod own;
mod probes;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::event::Outward;
use domain::gws::GwsSettings;
use domain::ids::TenantId;
use domain::ports::{
    AnswerCache, CredentialCheck, CredentialRefused, KnownAnswer, NoAnswerCache, OfferedCredential, SecretError,
    Secrets, Statistics, StatisticsError,
};
use domain::secret::{CredentialKind, Secret, SecretRef};
use http::StatusCode;
use serde::Deserialize;

use super::http::{Answer, Call, CallError, HttpClient, NamedBy, Repeat};
use super::shared::Shared;
use answers::{Answers, Key, LIFE};
pub use connector::{GwsConnector, GwsConnectorSettings, GwsPorts};
use tokens::{Token, Tokens};

/// How long a question to the statistics service may take. With a token before it, it stays under the 10 s after
/// which common clients give up.
const ASK: Duration = Duration::from_secs(4);
/// How long a token may take.
const TOKEN: Duration = Duration::from_secs(3);
/// Name of the credential of a user, beside that of the client.
const USER: &str = "user";
/// Path of the one operation that is passed on.
const GET_STATISTIC_EX: &str = "/statistics/v3/operations/get-statistic-ex";
/// Path of the request for a token.
const OAUTH_TOKEN: &str = "/auth/v3/oauth/token";

/// Base addresses for tenants that name none.
#[derive(Debug, Clone, Default)]
pub struct GwsAddresses {
    /// The authentication service.
    pub auth: Option<String>,
    /// The statistics service.
    pub stats: Option<String>,
}

/// Asks GWS over HTTP.
pub struct GwsClient {
    inner: Arc<Inner>,
    questions: Shared<Key, Result<Arc<str>, StatisticsError>>,
    /// Looks into what other nodes have heard.
    looks: Shared<Key, Option<KnownAnswer>>,
}

struct Inner {
    http: Arc<HttpClient>,
    secrets: Arc<dyn Secrets>,
    addresses: GwsAddresses,
    answers: Answers,
    /// What other nodes have heard, too.
    known: Arc<dyn AnswerCache>,
    tokens: Tokens<Owner>,
}

/// Whose credentials.
type Owner = (TenantId, GwsSettings);

impl GwsClient {
    /// Asks through `http`, with credentials from `secrets`, at `addresses` unless a tenant names its own.
    pub fn new(http: Arc<HttpClient>, secrets: Arc<dyn Secrets>, addresses: GwsAddresses) -> Self {
        Self::sharing(http, secrets, addresses, Arc::new(NoAnswerCache))
    }

    /// As [`Self::new`], and shares what it hears.
    pub fn sharing(
        http: Arc<HttpClient>,
        secrets: Arc<dyn Secrets>,
        addresses: GwsAddresses,
        known: Arc<dyn AnswerCache>,
    ) -> Self {
        let (answers, tokens) = (Answers::default(), Tokens::default());
        let inner = Inner { http, secrets, addresses, answers, known, tokens };
        Self { inner: Arc::new(inner), questions: Shared::default(), looks: Shared::default() }
    }

    /// Asks with a token of a tenant, and once more with a new one if the first is refused.
    async fn get_as(
        &self,
        owner: &Owner,
        call: impl Fn(&Token) -> Result<Call, CallError> + Send + Sync,
    ) -> Result<Answer, StatisticsError> {
        let send = async |token: &Token| {
            let call = call(token).map_err(|error| unavailable(&error))?;
            self.inner.http.call(call).await.map_err(|error| unavailable(&error))
        };
        let token = self.inner.token(owner).await?;
        let answer = send(&token).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.inner.tokens.reject(owner, &token);
        send(&self.inner.token(owner).await?).await
    }

    /// What another node has heard, if it is young enough. Looks under way are shared by whoever asks the same.
    async fn heard_elsewhere(&self, key: Key, max_age: Duration) -> Option<Arc<str>> {
        let inner = self.inner.clone();
        let look = async move {
            let found = inner.known.find(&key.bytes()).await?;
            inner.answers.keep(key, found.answer.clone(), found.age);
            Some(found)
        };
        let found = self.looks.run(key, look).await.flatten()?;
        (found.age <= max_age).then_some(found.answer)
    }
}

#[async_trait]
impl Statistics for GwsClient {
    async fn ask(
        &self,
        tenant: TenantId,
        settings: &GwsSettings,
        request: &str,
        max_age: Duration,
    ) -> Result<Arc<str>, StatisticsError> {
        let key = Key::new(tenant, settings, request);
        if let Some(known) = self.inner.answers.find(&key, max_age) {
            return Ok(known);
        }
        if !max_age.is_zero()
            && let Some(known) = self.heard_elsewhere(key, max_age).await
        {
            return Ok(known);
        }
        let (inner, owner, request) = (self.inner.clone(), (tenant, settings.clone()), Bytes::from(request.to_owned()));
        let work = async move {
            // Between looking and asking another's question may have been answered.
            if let Some(known) = inner.answers.find(&key, max_age) {
                return Ok(known);
            }
            let answer = inner.question(&owner, request).await?;
            inner.answers.keep(key, answer.clone(), Duration::ZERO);
            inner.known.keep(&key.bytes(), answer.clone(), LIFE);
            Ok(answer)
        };
        let failed = || Err(StatisticsError::Unavailable("the question was given up".to_owned()));
        self.questions.run(key, work).await.unwrap_or_else(failed)
    }
}

/// Whether the authentication service gives a token for them. A client and its user can only be asked about
/// together: as long as the other one has not been taken in, neither is.
#[async_trait]
impl CredentialCheck for GwsClient {
    async fn check(&self, offered: OfferedCredential<'_>) -> Result<(), CredentialRefused> {
        let settings = offered.settings.gws.as_ref().filter(|_| offered.kind == CredentialKind::Gws);
        let Some(settings) = settings else { return Ok(()) };
        let is_user = offered.name == USER;
        let other = if is_user { Some(&settings.client_secret) } else { settings.user.as_ref() };
        let other = match other {
            Some(other @ SecretRef::Sealed(_)) => self.inner.reveal(offered.tenant, other).await.map(Some),
            Some(SecretRef::File(_) | SecretRef::Env(_)) => return Ok(()),
            None => Ok(None),
        };
        let owner = (offered.tenant, settings.clone());
        let granted = match &other {
            Ok(Some(client)) if is_user => self.inner.grant(&owner, client, Some(offered.secret)).await,
            Ok(user) => self.inner.grant(&owner, offered.secret, user.as_ref()).await,
            Err(error) => Err(error.clone()),
        };
        match granted {
            Ok(_) | Err(StatisticsError::NotConfigured) => Ok(()),
            Err(StatisticsError::CredentialsRefused) => {
                Err(CredentialRefused::Refused("it gives no token for them".to_owned()))
            }
            Err(error) => Err(CredentialRefused::NotAsked(error.to_string())),
        }
    }
}

impl Inner {
    /// Asks once, and once more with a new token if the first was refused: it may have been revoked.
    async fn question(self: &Arc<Self>, owner: &Owner, request: Bytes) -> Result<Arc<str>, StatisticsError> {
        let token = self.token(owner).await?;
        let mut answer = self.send(owner, &token, request.clone()).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.tokens.reject(owner, &token);
            let token = self.token(owner).await?;
            answer = self.send(owner, &token, request).await?;
        }
        read(&answer)
    }

    async fn send(&self, owner: &Owner, token: &Token, request: Bytes) -> Result<Answer, StatisticsError> {
        let (tenant, settings) = owner;
        let (base, named_by) = base(*tenant, settings.stats_url.as_ref(), self.addresses.stats.as_ref())?;
        let call = Call::post(Outward::Statistics, named_by, &format!("{base}{GET_STATISTIC_EX}"))
            .and_then(|call| call.authorization(&format!("Bearer {}", token.text())))
            .map_err(|error| unavailable(&error))?;
        let call = call.json(request).within(ASK).repeat(Repeat::Harmless(1));
        self.http.call(call).await.map_err(|error| unavailable(&error))
    }

    /// A token that is good for a while, from memory if there is one.
    async fn token(self: &Arc<Self>, owner: &Owner) -> Result<Token, StatisticsError> {
        let inner = self.clone();
        self.tokens.get(owner, move |owner| async move { inner.fetch_token(&owner).await }).await
    }

    async fn fetch_token(&self, owner: &Owner) -> Result<Token, StatisticsError> {
        let (tenant, settings) = owner;
        let secret = self.reveal(*tenant, &settings.client_secret).await?;
        let user = match &settings.user {
            Some(user) => Some(self.reveal(*tenant, user).await?),
            None => None,
        };
        self.grant(owner, &secret, user.as_ref()).await
    }

    /// A new token, for a client and perhaps a user of it.
    async fn grant(
        &self,
        (tenant, settings): &Owner,
        secret: &Secret,
        user: Option<&Secret>,
    ) -> Result<Token, StatisticsError> {
        let (base, named_by) = base(*tenant, settings.auth_url.as_ref(), self.addresses.auth.as_ref())?;
        // The library's own text may quote what it has read.
        let user: Option<User> = user
            .map(|user| serde_json::from_str(user.reveal()).map_err(|_| StatisticsError::NoCredentials))
            .transpose()?;
        let mut form = vec![("client_id", settings.client_id.as_str()), ("scope", "*")];
        match &user {
            Some(user) => {
                form.extend([("grant_type", "password"), ("username", &user.name), ("password", &user.password)]);
            }
            None => form.push(("grant_type", "client_credentials")),
        }
        let call = Call::post(Outward::StatisticsAuth, named_by, &format!("{base}{OAUTH_TOKEN}"))
            .and_then(|call| call.authorization(&tokens::basic(&settings.client_id, secret.reveal())))
            .map_err(|error| unavailable(&error))?;
        let call = call.form(&form).within(TOKEN).repeat(Repeat::Harmless(1));
        let answer = self.http.call(call).await.map_err(|error| unavailable(&error))?;
        tokens::read(&answer)
    }

    async fn reveal(&self, tenant: TenantId, secret: &SecretRef) -> Result<Secret, StatisticsError> {
        self.secrets.reveal(tenant, secret).await.map_err(|error| sealed(&error))
    }
}

/// A user of GWS, as the secret holds it. No `Debug`.
#[derive(Deserialize)]
struct User {
    #[serde(rename = "userName")]
    name: String,
    password: String,
}

/// The base address without a slash at its end, and whose it is.
fn base<'a>(
    tenant: TenantId,
    own: Option<&'a String>,
    common: Option<&'a String>,
) -> Result<(&'a str, NamedBy), StatisticsError> {
    let own = own.map(|url| (url, NamedBy::Tenant(tenant)));
    let (url, named_by) =
        own.or_else(|| common.map(|url| (url, NamedBy::Operator))).ok_or(StatisticsError::NotConfigured)?;
    Ok((url.trim_end_matches('/'), named_by))
}

fn read(answer: &Answer) -> Result<Arc<str>, StatisticsError> {
    match answer.status.as_u16() {
        200..=299 => {
            let text = std::str::from_utf8(&answer.body).ok();
            let json = text.filter(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            json.map(Into::into).ok_or_else(|| StatisticsError::Unavailable("its answer is no JSON".to_owned()))
        }
        401 | 403 => Err(StatisticsError::CredentialsRefused),
        400 | 404 | 422 => Err(StatisticsError::RequestRefused),
        status => Err(StatisticsError::Unavailable(format!("it answered with status {status}"))),
    }
}

fn unavailable(error: &CallError) -> StatisticsError {
    StatisticsError::Unavailable(error.to_string())
}

fn sealed(error: &SecretError) -> StatisticsError {
    match error {
        SecretError::Store(_) => StatisticsError::Unavailable(error.to_string()),
        SecretError::NotSealed | SecretError::Unknown | SecretError::Unreadable => StatisticsError::NoCredentials,
    }
}
