//! The service's own client of GWS: it asks in nobody's name but its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::event::{Event, Outward};
use domain::ports::{Observer, StatisticsError};
use domain::secret::Secret;
use http::{Method, StatusCode};
use thiserror::Error;

use super::OAUTH_TOKEN;
use super::tokens::{self, Token, Tokens};
use crate::clients::http::{Answer, Call, CallError, HttpClient, NamedBy, Repeat};

/// How long a token may take.
const TOKEN: Duration = Duration::from_secs(3);
/// How long one question may take.
const ASK: Duration = Duration::from_secs(4);
/// Longest answer: some ten thousand contact centres, or a page of users.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Why GWS told us nothing. The texts hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum GwsError {
    /// It gives no token.
    #[error("GWS refuses the credentials of the service's own client")]
    ClientRefused,
    /// It takes no token of ours, not even a new one.
    #[error("GWS answered with status {0} to a good token")]
    TokenRefused(u16),
    /// It is down, slow, or says what cannot be read.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StatisticsError> for GwsError {
    fn from(error: StatisticsError) -> Self {
        match error {
            StatisticsError::CredentialsRefused | StatisticsError::NoCredentials => Self::ClientRefused,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<CallError> for GwsError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// See the module.
pub(super) struct OwnClient {
    pub(super) http: Arc<HttpClient>,
    pub(super) observer: Arc<dyn Observer>,
    /// Base address of the authentication service, without a slash at its end.
    pub(super) auth: String,
    /// Who it is, and its secret.
    pub(super) credentials: ArcSwap<(Secret, Secret)>,
    pub(super) tokens: Tokens<()>,
    /// The last try to get a token failed: that is told once.
    pub(super) failing: AtomicBool,
}

impl OwnClient {
    /// A token that is good for a while. However many ask, one is fetched at a time.
    pub(super) async fn token(self: &Arc<Self>) -> Result<Token, GwsError> {
        let own = Arc::clone(self);
        Ok(self.tokens.get(&(), move |()| async move { own.fetch().await }).await?)
    }

    /// How long until the token is renewed; none if there is none.
    pub(super) fn renewed_in(&self) -> Option<Duration> {
        self.tokens.renewed_in(&())
    }

    /// The next question needs a new token.
    pub(super) fn forget(&self) {
        self.tokens.forget(&());
    }

    /// From now on this is who it is: whatever the old one was given or refused does not count.
    pub(super) fn replace(&self, id: Secret, secret: Secret) {
        self.credentials.store(Arc::new((id, secret)));
        self.tokens.forget_all();
    }

    /// An answer of any status but 401, which is tried once with a new token.
    ///
    /// # Errors
    /// There is no token, or no answer.
    pub(super) async fn get(self: &Arc<Self>, to: Outward, url: &str) -> Result<Answer, GwsError> {
        let token = self.token().await?;
        let answer = self.http.call(question(to, url, Some(&token))?).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.tokens.reject(&(), &token);
        let token = self.token().await?;
        Ok(self.http.call(question(to, url, Some(&token))?).await?)
    }

    /// An answer of any status to who has not said who it is.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn get_unknown(&self, to: Outward, url: &str) -> Result<Answer, GwsError> {
        Ok(self.http.call(question(to, url, None)?).await?)
    }

    async fn fetch(&self) -> Result<Token, StatisticsError> {
        let unavailable = |error: CallError| StatisticsError::Unavailable(error.to_string());
        let credentials = self.credentials.load_full();
        let (id, secret) = credentials.as_ref();
        let form = [("grant_type", "client_credentials"), ("client_id", id.reveal()), ("scope", "*")];
        let call = Call::post(Outward::GwsAuth, NamedBy::Operator, &format!("{}{OAUTH_TOKEN}", self.auth))
            .and_then(|call| call.authorization(&tokens::basic(id.reveal(), secret.reveal())))
            .map_err(unavailable)?;
        let call = call.form(&form).within(TOKEN).repeat(Repeat::Harmless(1));
        let answer = self.http.call(call).await.map_err(unavailable);
        let token = answer.and_then(|answer| tokens::read(&answer));
        let had_failed = self.failing.swap(token.is_err(), Ordering::Relaxed);
        match &token {
            Ok(_) if had_failed => tracing::info!("GWS gives tokens for the service's own client again"),
            Ok(_) => tracing::debug!("GWS gave a token for the service's own client"),
            Err(error) => {
                if *error == StatisticsError::CredentialsRefused {
                    self.observer.note(Event::GwsClientRefused);
                }
                if !had_failed {
                    let error = GwsError::from(error.clone());
                    tracing::warn!(%error, "GWS gave no token for the service's own client");
                }
            }
        }
        token
    }
}

/// A question that may be asked twice.
pub(super) fn question(to: Outward, url: &str, token: Option<&Token>) -> Result<Call, CallError> {
    let call = Call::new(to, NamedBy::Operator, Method::GET, url)?;
    let call = match token {
        Some(token) => call.authorization(&format!("Bearer {}", token.text()))?,
        None => call,
    };
    Ok(Call { max_answer_bytes: MAX_ANSWER_BYTES, ..call }.within(ASK).repeat(Repeat::Harmless(1)))
}
