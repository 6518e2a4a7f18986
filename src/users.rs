//! Users of the interface: how they come in, how long they stay, and what is known of them.
//!
//! A user logs in with a local account or at a provider and gets a token in a cookie. The session behind it is a row of the
//! database, found by a keyed hash of the token, so every node knows it and a log-out holds everywhere at once. What a user
//! may do is not kept: it is worked out for each request, from the groups that are known and the settings that are in force.

mod error;
mod knowing;
pub mod passwords;
mod provider;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::access::{
    Account, Guesses, Membership, Patience, PlatformGroups, Session, SessionLimits, Sitting, TokenHash, UserName,
};
use domain::ids::TenantId;
use domain::ports::{AccountStore, Clock, Renewal, SessionStore};
use domain::secret::Secret;

use crate::front_door::generate_key;
use crate::seal::Seal;
pub use error::{LogInError, SetUpError, VisitError};
use passwords::Passwords;
pub(crate) use provider::with_query;
pub use provider::{Arrival, CALLBACK_PATH, Directory, Provider, ProviderError, Trip};

/// How long a user may be away to log in.
const TRIP: Duration = Duration::minutes(10);
/// Longest text of a provider that is kept with a session.
const MAX_HELD_BYTES: usize = 32 << 10;

/// How users are dealt with.
#[derive(Debug, Clone)]
pub struct UserSettings {
    /// How long sessions last.
    pub limits: SessionLimits,
    /// How often a provider is asked about a user who is at work.
    pub look_again: Duration,
    /// Groups of those who look after the installation.
    pub platform: PlatformGroups,
    /// Whether cookies are for encrypted connections only.
    pub secure_cookies: bool,
}

/// Where users and their sessions are kept, and the time.
#[derive(Clone)]
pub struct UserStores {
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Local accounts.
    pub accounts: Arc<dyn AccountStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Lets users in and knows them again.
pub struct Users {
    stores: UserStores,
    /// None where accounts are local.
    provider: Option<Arc<dyn Provider>>,
    directory: Option<Arc<dyn Directory>>,
    settings: UserSettings,
    passwords: Passwords,
    guesses: Mutex<Guesses<[u8; 32]>>,
    addresses: Mutex<Guesses<IpAddr>>,
    /// Sessions about whose users somebody is asking just now.
    asking: Mutex<HashSet<TokenHash>>,
    /// Until when nobody is asked, in milliseconds since 1970.
    quiet_until: AtomicI64,
    key: [u8; 32],
    seal: Seal,
}

/// Finds tenants as a provider names them: by id, name or contact centre.
pub type Tenants<'a> = &'a (dyn Fn(&str) -> Option<TenantId> + Send + Sync);

/// A session that was just opened.
pub struct Opened {
    /// What goes into the cookie, this one time.
    pub token: Secret,
    /// The session.
    pub session: Session,
}

impl Users {
    /// Users with local accounts. `key` is the installation's key for cookies.
    ///
    /// # Errors
    /// [`SetUpError`].
    pub fn new(stores: UserStores, key: [u8; 32], settings: UserSettings) -> Result<Self, SetUpError> {
        let seal = Seal::new(&blake3::derive_key("ges 2026-11 sealed for sessions", &key)).map_err(|_| SetUpError)?;
        Ok(Self {
            stores,
            provider: None,
            directory: None,
            settings,
            passwords: Passwords::default(),
            guesses: Mutex::new(Guesses::new(Patience::NAME)),
            addresses: Mutex::new(Guesses::new(Patience::ADDRESS)),
            asking: Mutex::default(),
            quiet_until: AtomicI64::default(),
            key,
            seal,
        })
    }

    /// Users whom somebody else knows.
    #[must_use]
    pub fn known_by(self, provider: Arc<dyn Provider>) -> Self {
        Self { provider: Some(provider), ..self }
    }

    /// With groups from elsewhere beside those that the provider tells.
    #[must_use]
    pub fn grouped_by(self, directory: Arc<dyn Directory>) -> Self {
        Self { directory: Some(directory), ..self }
    }

    /// How users are dealt with.
    pub const fn settings(&self) -> &UserSettings {
        &self.settings
    }

    /// Whether users log in elsewhere.
    pub const fn come_from_elsewhere(&self) -> bool {
        self.provider.is_some()
    }

    fn hash(&self, token: &[u8]) -> TokenHash {
        *blake3::keyed_hash(&self.key, token).as_bytes()
    }

    /// What has to come along with a request that changes something: made of the token, which pages of other origins
    /// neither have nor can guess.
    pub fn csrf_token(&self, token: &[u8]) -> String {
        let key = blake3::derive_key("ges 2026-11 csrf tokens", &self.key);
        blake3::keyed_hash(&key, token).to_hex().to_string()
    }

    /// Whether a CSRF token goes with a session's; takes the same time whatever it is.
    pub fn goes_with(&self, csrf_token: &[u8], token: &[u8]) -> bool {
        blake3::hash(self.csrf_token(token).as_bytes()) == blake3::hash(csrf_token)
    }

    /// Opens a session for a local account. `from` is the address that asks, as far as it is known.
    ///
    /// # Errors
    /// [`LogInError`]; nothing in it or in how long it takes tells whether there is such an account.
    pub async fn log_in(&self, name: &str, password: Secret, from: Option<IpAddr>) -> Result<Opened, LogInError> {
        if self.provider.is_some() {
            return Err(LogInError::Elsewhere);
        }
        self.bear(from)?;
        let guessed = self.hash(name.as_bytes());
        locked(&self.guesses).attempt(guessed, self.stores.clock.now()).map_err(LogInError::TooOften)?;
        match self.judged(name, password).await {
            Ok(Some(account)) => {
                locked(&self.guesses).passed(&guessed);
                self.open(account.name, account.tenant, account.membership, None).await
            }
            Ok(None) => {
                if locked(&self.guesses).begins_to_wait(&guessed) {
                    tracing::warn!("so many log-ins under one name were refused that it has to wait");
                }
                self.refused(from);
                Err(LogInError::Wrong)
            }
            Err(error) => {
                locked(&self.guesses).withdraw(&guessed);
                Err(error)
            }
        }
    }

    /// The account of that name, if that is its password.
    async fn judged(&self, name: &str, password: Secret) -> Result<Option<Account>, LogInError> {
        let account = match name.parse::<UserName>() {
            Ok(name) => self.stores.accounts.account(&name).await?,
            Err(_) => None,
        };
        // A locked account is none, and takes as long as one.
        let stored = account.as_ref().filter(|account| !account.is_locked()).map(|account| account.password.clone());
        let right = self.passwords.verify(password, stored).await?;
        Ok(account.filter(|_| right))
    }

    /// Whether an address has to wait.
    fn bear(&self, from: Option<IpAddr>) -> Result<(), LogInError> {
        let wait = from.and_then(|address| locked(&self.addresses).wait(&address, self.stores.clock.now()));
        wait.map_or(Ok(()), |wait| Err(LogInError::TooOften(wait)))
    }

    /// A log-in was refused.
    fn refused(&self, from: Option<IpAddr>) {
        tracing::info!("a log-in was refused");
        if from.is_some_and(|address| locked(&self.addresses).fail(address, self.stores.clock.now())) {
            tracing::warn!("so many log-ins from one address were refused that it has to wait");
        }
    }

    /// Sends a user to the provider: the address, and what the browser carries meanwhile.
    ///
    /// # Errors
    /// [`LogInError`].
    pub async fn begin_trip(&self, return_to: &str) -> Result<(String, Secret), LogInError> {
        let provider = self.provider.as_ref().ok_or(LogInError::Elsewhere)?;
        let expires_at = (self.stores.clock.now() + TRIP).timestamp_millis();
        let trip = Trip::new(return_to, expires_at).ok_or(LogInError::Failed)?;
        let address = provider.begin(&trip).await?;
        let text = serde_json::to_vec(&trip).map_err(|_| LogInError::Failed)?;
        let sealed = self.seal.seal(b"trip", &text).map_err(|_| LogInError::Failed)?;
        Ok((address, Secret::new(URL_SAFE_NO_PAD.encode(sealed))))
    }

    /// Takes a user in who has come back: the session, and where to go. `from` is the address that asks, as far as it is
    /// known.
    ///
    /// # Errors
    /// [`LogInError::Wrong`] if the browser did not begin this trip, or too long ago.
    pub async fn end_trip(
        &self,
        carried: &str,
        (state, code): (&str, &str),
        tenant: Tenants<'_>,
        from: Option<IpAddr>,
    ) -> Result<(Opened, String), LogInError> {
        self.bear(from)?;
        let ended = self.arrived(carried, (state, code), tenant).await;
        if matches!(ended, Err(LogInError::Wrong | LogInError::Provider(ProviderError::Refused))) {
            self.refused(from);
        }
        ended
    }

    async fn arrived(
        &self,
        carried: &str,
        (state, code): (&str, &str),
        tenant: Tenants<'_>,
    ) -> Result<(Opened, String), LogInError> {
        let provider = self.provider.as_ref().ok_or(LogInError::Elsewhere)?;
        let sealed = URL_SAFE_NO_PAD.decode(carried).map_err(|_| LogInError::Wrong)?;
        let text = self.seal.open(b"trip", &sealed).ok_or(LogInError::Wrong)?;
        let trip: Trip = serde_json::from_slice(&text).map_err(|_| LogInError::Wrong)?;
        let in_time = self.stores.clock.now().timestamp_millis() < trip.expires_at;
        if !in_time || blake3::hash(trip.state.as_bytes()) != blake3::hash(state.as_bytes()) {
            return Err(LogInError::Wrong);
        }
        let arrival = provider.arrive(code, &trip).await?;
        let tenant = arrival.tenant.as_deref().and_then(tenant).ok_or(LogInError::NoTenant)?;
        let membership = self.membership(tenant, &arrival).await.map_err(ProviderError::Unavailable)?;
        let opened = self.open(arrival.user, tenant, membership, Some(&arrival.held)).await?;
        Ok((opened, trip.return_to))
    }

    /// What the provider and the directory know together.
    async fn membership(&self, tenant: TenantId, arrival: &Arrival) -> Result<Membership, String> {
        let mut membership = arrival.membership.clone();
        if let Some(directory) = &self.directory
            && let Some(more) = directory.membership(tenant, arrival).await?
        {
            membership.groups.extend(more.groups);
            membership.annex_roles = more.annex_roles.or(membership.annex_roles);
        }
        membership.groups.sort_unstable();
        membership.groups.dedup();
        Ok(membership)
    }

    async fn open(
        &self,
        user: UserName,
        tenant: TenantId,
        membership: Membership,
        held: Option<&Secret>,
    ) -> Result<Opened, LogInError> {
        let token = generate_key().map_err(|_| LogInError::Failed)?;
        let hash = self.hash(token.as_bytes());
        let now = self.stores.clock.now();
        let sealed = held.map(|held| self.sealed(&hash, held).ok_or(LogInError::Failed)).transpose()?;
        let session =
            Session { token: hash, user, tenant, membership, created_at: now, used_at: now, checked_at: now, sealed };
        self.stores.sessions.open_session(session.clone(), self.settings.limits.per_user).await?;
        tracing::info!(tenant.id = %tenant, "a user has logged in");
        Ok(Opened { token: Secret::new(token), session })
    }

    /// Ends the session that a browser had before it got another one. If that cannot be done, it ends by its time.
    pub async fn replaced(&self, token: &[u8]) {
        if let Err(error) = self.stores.sessions.end_session(self.hash(token)).await {
            tracing::warn!(%error, "the session that a log-in has replaced could not be ended");
        }
    }

    fn sealed(&self, about: &TokenHash, held: &Secret) -> Option<Vec<u8>> {
        let text = held.reveal().as_bytes();
        if text.len() > MAX_HELD_BYTES { None } else { self.seal.seal(about, text).ok() }
    }

    fn held(&self, session: &Session) -> Option<Secret> {
        let opened = self.seal.open(&session.token, session.sealed.as_ref()?)?;
        String::from_utf8(opened).ok().map(Secret::new)
    }

    /// The session of a token, with what is known of its user now; the visit counts as a use. `tenant` finds tenants as
    /// the provider names them: whoever belongs to another one by now has to log in anew.
    ///
    /// # Errors
    /// [`VisitError::Over`] if there is none any more.
    pub async fn visit(&self, token: &[u8], tenant: Tenants<'_>) -> Result<Session, VisitError> {
        let hash = self.hash(token);
        let found = self.stores.sessions.session(hash).await?;
        let session = found.ok_or(VisitError::Over)?;
        let now = self.stores.clock.now();
        if session.sitting(&self.settings.limits, now) == Sitting::Over {
            return self.end(&session).await;
        }
        let session = match &self.provider {
            None => self.as_the_account_says(session).await?,
            Some(provider) => self.as_the_provider_says(provider.as_ref(), session, now, tenant).await?,
        };
        if !session.use_is_noted(&self.settings.limits, now) {
            let renewal = Renewal { token: hash, used_at: now, checked: None };
            if !self.stores.sessions.renew_session(renewal).await? {
                return Err(VisitError::Over);
            }
        }
        Ok(session)
    }

    async fn end<T>(&self, session: &Session) -> Result<T, VisitError> {
        self.stores.sessions.end_session(session.token).await?;
        tracing::info!(tenant.id = %session.tenant, "a session has ended");
        Err(VisitError::Over)
    }

    /// Ends a session. Where the browser has to go to be signed out at the provider too, if it has to.
    ///
    /// # Errors
    /// It may not have ended.
    pub async fn log_out(&self, token: &[u8]) -> Result<Option<String>, VisitError> {
        let hash = self.hash(token);
        let Some(session) = self.stores.sessions.session(hash).await? else { return Ok(None) };
        self.stores.sessions.end_session(hash).await?;
        tracing::info!(tenant.id = %session.tenant, "a user has logged out");
        match (&self.provider, self.held(&session)) {
            (Some(provider), Some(held)) => Ok(provider.sign_out(&held).await),
            _ => Ok(None),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("elsewhere", &self.provider.is_some()).finish_non_exhaustive()
    }
}
