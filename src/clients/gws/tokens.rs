//! Tokens of the authentication service: kept while they are good, renewed before they are not, and asked for
//! once by however many need one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ports::StatisticsError;
use domain::secret::Secret;
use serde::Deserialize;
use tokio::time::Instant;

use crate::clients::http::Answer;
use crate::clients::shared::Shared;

/// Tokens kept at once; those that end first go first.
const MAX_TOKENS: usize = 1_024;
/// Life of a token that does not tell.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// Longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A token is not sent in its last seconds: it would end on the way.
const MARGIN: Duration = Duration::from_secs(5);
/// How long refused credentials are not tried again: an account may be locked after a few.
const REFUSED: Duration = Duration::from_secs(30);

/// A token and how long it is good. Nothing prints it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Secret,
    /// From here on another one is asked for while this one is still used.
    renew_at: Instant,
    ends_at: Instant,
}

impl Token {
    fn new(text: String, life: Duration) -> Self {
        let now = Instant::now();
        let life = life.min(LONGEST_LIFE);
        let usable = life.saturating_sub(MARGIN);
        // Between 70 and 80 of 100 parts of it, so that nodes which got theirs together part.
        let renew_in = usable * 7 / 10 + usable / 10 * u32::from(any_byte()) / 255;
        Self { text: Secret::new(text), renew_at: now + renew_in, ends_at: now + usable }
    }

    pub(super) fn text(&self) -> &str {
        self.text.reveal()
    }
}

#[derive(Clone)]
enum Known {
    Good(Token),
    Refused { until: Instant },
}

impl Known {
    fn ends_at(&self) -> Instant {
        match self {
            Self::Good(token) => token.ends_at,
            Self::Refused { until } => *until,
        }
    }
}

/// Tokens by whose they are.
pub(super) struct Tokens<K> {
    known: Arc<Mutex<HashMap<K, Known>>>,
    fetching: Shared<K, Result<Token, StatisticsError>>,
}

impl<K> Default for Tokens<K> {
    fn default() -> Self {
        Self { known: Arc::default(), fetching: Shared::default() }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Tokens<K> {
    /// A token that is good, by `fetch` if there is none.
    pub(super) async fn get<F>(&self, owner: &K, fetch: impl FnOnce(K) -> F + Send) -> Result<Token, StatisticsError>
    where
        F: Future<Output = Result<Token, StatisticsError>> + Send + 'static,
    {
        let now = Instant::now();
        let known = lock(&self.known).get(owner).filter(|known| known.ends_at() > now).cloned();
        match known {
            Some(Known::Refused { .. }) => Err(StatisticsError::CredentialsRefused),
            Some(Known::Good(token)) if token.renew_at > now => Ok(token),
            Some(Known::Good(token)) => {
                // Nobody waits for it: this one is still good.
                drop(self.fetching.start(owner.clone(), fetch_and_keep(self.known.clone(), owner.clone(), fetch)));
                Ok(token)
            }
            None => {
                let work = fetch_and_keep(self.known.clone(), owner.clone(), fetch);
                let failed = || Err(StatisticsError::Unavailable("asking for a token was given up".to_owned()));
                self.fetching.run(owner.clone(), work).await.unwrap_or_else(failed)
            }
        }
    }

    /// Forgets a token that was refused, unless there is a newer one already.
    pub(super) fn reject(&self, owner: &K, token: &Token) {
        let mut known = lock(&self.known);
        if matches!(known.get(owner), Some(Known::Good(kept)) if kept.text == token.text) {
            known.remove(owner);
        }
    }

    /// Forgets the token of somebody. That credentials were refused is not forgotten.
    pub(super) fn forget(&self, owner: &K) {
        let mut known = lock(&self.known);
        if matches!(known.get(owner), Some(Known::Good(_))) {
            known.remove(owner);
        }
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        lock(&self.known).clear();
    }

    /// How long until another token is asked for; none if there is no good one.
    pub(super) fn renewed_in(&self, owner: &K) -> Option<Duration> {
        let now = Instant::now();
        match lock(&self.known).get(owner) {
            Some(Known::Good(token)) if token.ends_at > now => Some(token.renew_at.saturating_duration_since(now)),
            _ => None,
        }
    }
}

/// Any number, different each time.
fn any_byte() -> u8 {
    RandomState::new().build_hasher().finish().to_le_bytes()[0]
}

fn lock<K>(known: &Mutex<HashMap<K, Known>>) -> std::sync::MutexGuard<'_, HashMap<K, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fetch_and_keep<K: Clone + Eq + Hash + Send + 'static, F>(
    known: Arc<Mutex<HashMap<K, Known>>>,
    owner: K,
    fetch: impl FnOnce(K) -> F,
) -> impl Future<Output = Result<Token, StatisticsError>> + Send + 'static
where
    F: Future<Output = Result<Token, StatisticsError>> + Send + 'static,
{
    let fetching = fetch(owner.clone());
    async move {
        let fetched = fetching.await;
        let finding = match &fetched {
            Ok(token) => Known::Good(token.clone()),
            Err(StatisticsError::CredentialsRefused) => Known::Refused { until: Instant::now() + REFUSED },
            Err(_) => return fetched,
        };
        let mut known = lock(&known);
        if known.len() >= MAX_TOKENS && !known.contains_key(&owner) {
            let first = known.iter().min_by_key(|(_, known)| known.ends_at()).map(|(owner, _)| owner.clone());
            first.map(|owner| known.remove(&owner));
        }
        known.insert(owner, finding);
        fetched
    }
}

/// `Authorization` of a client.
pub(super) fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

#[derive(Deserialize)]
struct Body {
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Some installations wrap it as all their other answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wrapped {
    Plain(Body),
    Under { data: Body },
}

/// A token out of an answer of the authentication service.
pub(super) fn read(answer: &Answer) -> Result<Token, StatisticsError> {
    match answer.status.as_u16() {
        200..=299 => {
            let read = serde_json::from_slice(&answer.body);
            let (Wrapped::Plain(body) | Wrapped::Under { data: body }) =
                read.map_err(|_| StatisticsError::Unavailable("the answer of authentication is no token".to_owned()))?;
            let life = body.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Ok(Token::new(body.access_token, life.unwrap_or(USUAL_LIFE)))
        }
        // OAuth 2 says `invalid_client` and `invalid_grant` with these.
        400 | 401 | 403 => Err(StatisticsError::CredentialsRefused),
        status => Err(StatisticsError::Unavailable(format!("authentication answered with status {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::gws::GwsSettings;
    use domain::ids::TenantId;
    use domain::secret::SecretRef;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::clients::gws::Owner;

    fn owner(number: usize) -> Owner {
        let settings = GwsSettings {
            auth_url: None,
            stats_url: None,
            client_id: format!("client-{number}"),
            client_secret: SecretRef::Sealed("1".to_owned()),
            user: None,
        };
        (TenantId::from_name("demo"), settings)
    }

    /// Hands out numbered tokens.
    #[derive(Default)]
    struct Mint {
        fetched: Arc<AtomicUsize>,
    }

    impl Mint {
        async fn get(&self, tokens: &Tokens<Owner>, number: usize, life: u64) -> Result<String, StatisticsError> {
            let fetched = self.fetched.clone();
            let fetch = move |_| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let number = fetched.fetch_add(1, Ordering::SeqCst);
                Ok(Token::new(format!("token-{number}"), Duration::from_secs(life)))
            };
            tokens.get(&owner(number), fetch).await.map(|token| token.text().to_owned())
        }

        fn fetched(&self) -> usize {
            self.fetched.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_fetched_once_and_renewed_before_it_ends() {
        let (tokens, mint) = (Tokens::default(), Mint::default());
        let all = futures::future::join_all((0..50).map(|_| mint.get(&tokens, 0, 100))).await;
        assert!(all.iter().all(|token| token.as_deref() == Ok("token-0")));
        assert_eq!(mint.fetched(), 1);
        tokio::time::advance(Duration::from_secs(81)).await;
        for _ in 0..10 {
            assert_eq!(mint.get(&tokens, 0, 100).await.as_deref(), Ok("token-0"), "nobody waits for the next one");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(mint.get(&tokens, 0, 100).await.as_deref(), Ok("token-1"));
        assert_eq!(mint.fetched(), 2);
        tokio::time::advance(Duration::from_secs(96)).await;
        assert_eq!(mint.get(&tokens, 0, 100).await.as_deref(), Ok("token-2"), "an ended one is not used");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_forgotten_unless_a_newer_one_is_there() {
        let (tokens, mint) = (Tokens::default(), Mint::default());
        mint.get(&tokens, 0, 100).await.unwrap();
        let old = tokens.get(&owner(0), |_| async { Err(StatisticsError::NotConfigured) }).await.unwrap();
        tokens.reject(&owner(0), &old);
        assert_eq!(mint.get(&tokens, 0, 100).await.as_deref(), Ok("token-1"));
        tokens.reject(&owner(0), &old);
        assert_eq!(mint.get(&tokens, 0, 100).await.as_deref(), Ok("token-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_rest_and_outages_do_not() {
        let tokens = Tokens::<Owner>::default();
        let asked = AtomicUsize::new(0);
        let ask = async |error: StatisticsError| {
            let fetch = |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                async { Err(error) }
            };
            tokens.get(&owner(0), fetch).await
        };
        for _ in 0..3 {
            let down = ask(StatisticsError::Unavailable(String::new())).await;
            assert!(matches!(down, Err(StatisticsError::Unavailable(_))));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        for _ in 0..3 {
            assert_eq!(ask(StatisticsError::CredentialsRefused).await.err(), Some(StatisticsError::CredentialsRefused));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 4);
        tokio::time::advance(REFUSED).await;
        assert!(Mint::default().get(&tokens, 0, 100).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_bounded() {
        let (tokens, mint) = (Tokens::default(), Mint::default());
        for number in 0..MAX_TOKENS + 5 {
            mint.get(&tokens, number, 1_000).await.unwrap();
        }
        assert_eq!(lock(&tokens.known).len(), MAX_TOKENS);
        assert!(!lock(&tokens.known).contains_key(&owner(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_read_in_both_shapes() {
        let told = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            read(&Answer { status, headers: HeaderMap::new(), body: body.into() })
        };
        let now = Instant::now();
        for (body, life) in [
            (r#"{"access_token":"t","token_type":"bearer","expires_in":100}"#, 95),
            (r#"{"status":{"code":0},"data":{"access_token":"t","expires_in":3.0e1}}"#, 25),
            (r#"{"access_token":"t"}"#, 295),
            (r#"{"access_token":"t","expires_in":-1}"#, 295),
            (r#"{"access_token":"t","expires_in":1e18}"#, 24 * 3600),
        ] {
            let token = told(200, body).unwrap();
            let left = (token.ends_at - now).as_secs();
            assert!(token.text() == "t" && left.abs_diff(life) <= 5, "{body} {left}");
            assert!(!format!("{token:?}").contains("\"t\""));
        }
        assert!(matches!(told(200, "{}"), Err(StatisticsError::Unavailable(_))));
        assert!(matches!(told(502, ""), Err(StatisticsError::Unavailable(_))));
        for status in [400, 401, 403] {
            assert_eq!(told(status, r#"{"error":"invalid_client"}"#).err(), Some(StatisticsError::CredentialsRefused));
        }
        assert_eq!(basic("reporter", "s3"), "Basic cmVwb3J0ZXI6czM=");
    }
}
