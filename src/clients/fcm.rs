//! Firebase Cloud Messaging over HTTP v1: tokens for service accounts, and messages under them.
//!
//! A token is kept until shortly before it ends and renewed ahead of that: the request that finds it old fetches the
//! next one, the others go on with what they have. An account is known by the hash of its document, so one that was
//! replaced is never used again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::event::Outward;
use domain::ids::TenantId;
use domain::notices::{Detail, Outcome, Sent};
use domain::ports::{CredentialRefused, Push, PushContent};
use domain::push::PushSettings;
use domain::secret::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::courier::{data_of, retry_after, unanswered};
use super::http::{Answer, Call, HttpClient, NamedBy, Repeat};

const FCM: &str = "https://fcm.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good; Google allows an hour.
const ASSERTION_SECONDS: i64 = 3_600;
/// A token is renewed from so long before its end, and used no more from so long before it.
const AHEAD: Duration = Duration::from_secs(600);
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token, and how long a message may take.
const TOKEN_DEADLINE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(10);
/// Accounts whose tokens are kept; beyond it all are forgotten and fetched anew.
const ACCOUNTS: usize = 1_000;

/// A service account, as Google's key file has it.
#[derive(Deserialize)]
struct AccountFile {
    project_id: String,
    client_email: String,
    private_key: String,
    token_uri: String,
}

/// A service account ready for use.
struct Account {
    project: String,
    email: String,
    token_uri: String,
    key: RsaKeyPair,
    token: ArcSwapOption<Token>,
    /// One fetches, the others wait or go on with the old one.
    fetching: Mutex<()>,
}

struct Token {
    value: String,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

/// Why a document is no service account. The text repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum BadAccount {
    #[error(
        "it has to be the JSON key file of a service account, with project_id, client_email, private_key and token_uri"
    )]
    Form,
    #[error("its private_key has to be an RSA key in PKCS #8 PEM form")]
    Key,
    #[error("its project_id has to be 1 to 100 letters, digits, hyphens, dots or colons")]
    Project,
}

impl Account {
    fn read(secret: &Secret) -> Result<Self, BadAccount> {
        let file: AccountFile = serde_json::from_str(secret.reveal()).map_err(|_| BadAccount::Form)?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-.:".contains(letter);
        if !(1..=100).contains(&file.project_id.len()) || !file.project_id.chars().all(plain) {
            return Err(BadAccount::Project);
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes()).map_err(|_| BadAccount::Key)?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| BadAccount::Key)?;
        Ok(Self {
            project: file.project_id,
            email: file.client_email,
            token_uri: file.token_uri,
            key,
            token: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
        })
    }

    /// What the account says to get a token: a JWT under RS256.
    fn assertion(&self, at: DateTime<Utc>) -> Option<String> {
        let now = at.timestamp();
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        });
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn good_token(&self, left: Duration) -> Option<Arc<Token>> {
        self.token.load_full().filter(|token| token.ends_at > Instant::now() + left)
    }
}

type AccountKey = [u8; 32];

/// The client.
pub(super) struct Fcm {
    http: Arc<HttpClient>,
    accounts: std::sync::Mutex<HashMap<AccountKey, Arc<Account>>>,
}

impl Fcm {
    pub(super) fn new(http: Arc<HttpClient>) -> Self {
        Self { http, accounts: std::sync::Mutex::default() }
    }

    /// Asks for a token, whether there is one already or not.
    pub(super) async fn check(
        &self,
        tenant: TenantId,
        account: &Secret,
        at: DateTime<Utc>,
    ) -> Result<(), CredentialRefused> {
        let account = Account::read(account).map_err(|error| CredentialRefused::Malformed(error.to_string()))?;
        match self.fetch(tenant, &account, at).await {
            Ok(_) => Ok(()),
            Err(sent) if sent.outcome == Outcome::Refused => Err(CredentialRefused::Refused(sent.detail.words())),
            Err(sent) => Err(CredentialRefused::NotAsked(sent.detail.words())),
        }
    }

    /// Sends a notification to a device. A token that FCM does not take any more is replaced once.
    pub(super) async fn push(&self, settings: &PushSettings, account: &Secret, token: &str, push: &Push) -> Sent {
        let Some(account) = self.account(push.tenant, account) else {
            return Sent::new(Outcome::Refused, Detail::NoCredentials);
        };
        let Ok(body) = message(settings, token, push) else { return Sent::new(Outcome::Refused, Detail::NoTarget) };
        let mut sent = self.post(settings, &account, push, &body).await;
        if sent.detail == Detail::Status(401) {
            account.token.store(None);
            sent = self.post(settings, &account, push, &body).await;
        }
        sent
    }

    async fn post(&self, settings: &PushSettings, account: &Account, push: &Push, body: &str) -> Sent {
        let token = match self.token(push.tenant, account, push.at).await {
            Ok(token) => token,
            Err(sent) => return sent,
        };
        let (named_by, base) = match &settings.fcm_url {
            Some(url) => (NamedBy::Tenant(push.tenant), url.trim_end_matches('/')),
            None => (NamedBy::Operator, FCM),
        };
        let url = format!("{base}/v1/projects/{}/messages:send", account.project);
        let call = Call::post(Outward::Push, named_by, &url).and_then(|call| {
            call.json(body.to_owned()).within(DEADLINE).authorization(&format!("Bearer {}", token.value))
        });
        let answer = match call {
            Ok(call) => self.http.call(call).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => answered(&answer),
            Err(error) => unanswered(&error),
        }
    }

    fn account(&self, tenant: TenantId, secret: &Secret) -> Option<Arc<Account>> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tenant.as_uuid().as_bytes()).update(secret.reveal().as_bytes());
        let key = *hasher.finalize().as_bytes();
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts.get(&key) {
            return Some(known.clone());
        }
        let account = Arc::new(Account::read(secret).ok()?);
        if accounts.len() >= ACCOUNTS {
            accounts.clear();
        }
        accounts.insert(key, account.clone());
        Some(account)
    }

    /// A token that is good for a while. Without one, the error is what that means for the notification: it surely was
    /// not sent.
    async fn token(&self, tenant: TenantId, account: &Account, at: DateTime<Utc>) -> Result<Arc<Token>, Sent> {
        if let Some(token) = account.good_token(AHEAD) {
            return Ok(token);
        }
        let usable = || account.good_token(MARGIN);
        let _turn = match (account.fetching.try_lock(), usable()) {
            (Ok(turn), _) => turn,
            // Somebody else renews it.
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => account.fetching.lock().await,
        };
        if let Some(token) = account.good_token(AHEAD) {
            return Ok(token);
        }
        match self.fetch(tenant, account, at).await {
            Ok(token) => {
                let token = Arc::new(token);
                account.token.store(Some(token.clone()));
                Ok(token)
            }
            Err(sent) => usable().ok_or(sent),
        }
    }

    async fn fetch(&self, tenant: TenantId, account: &Account, at: DateTime<Utc>) -> Result<Token, Sent> {
        let refused = || Sent::new(Outcome::Refused, Detail::NoCredentials);
        let assertion = account.assertion(at).ok_or_else(refused)?;
        let call = Call::post(Outward::PushAuth, NamedBy::Tenant(tenant), &account.token_uri)
            .map_err(|error| unanswered(&error))?
            .form(&[("grant_type", GRANT), ("assertion", &assertion)])
            .within(TOKEN_DEADLINE)
            // Asking twice gives two tokens, and that does no harm.
            .repeat(Repeat::Harmless(1));
        let began = Instant::now();
        // Without a token nothing was sent, whatever became of the question.
        let not_done = |detail| Sent::new(Outcome::NotDone, detail);
        let answer = self.http.call(call).await.map_err(|error| match unanswered(&error) {
            sent if sent.outcome == Outcome::Perhaps => not_done(sent.detail),
            sent => sent,
        })?;
        match answer.status.as_u16() {
            200 => {
                let token: TokenAnswer =
                    serde_json::from_slice(&answer.body).map_err(|_| not_done(Detail::NoCredentials))?;
                let life = Duration::from_secs(token.expires_in.unwrap_or(3_600).min(86_400));
                Ok(Token { value: token.access_token, ends_at: began + life })
            }
            status @ (400 | 401 | 403) => Err(Sent::new(Outcome::Refused, Detail::Status(status))),
            status => {
                let retry_after = retry_after(&answer.headers);
                Err(Sent { retry_after, ..not_done(Detail::Status(status)) })
            }
        }
    }
}

/// The body of a message.
fn message(settings: &PushSettings, token: &str, push: &Push) -> serde_json::Result<String> {
    let mut message = json!({ "token": token });
    let mut put = |name: &str, value: Value| {
        if let Some(members) = message.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    match &push.content {
        PushContent::Callback { event, callback } => {
            put("data", Value::Object(data_of(*event, callback)));
            if let Some(text) = settings.texts.get(event) {
                put("notification", json!({ "title": text.title, "body": text.body }));
            }
        }
        PushContent::Given(notification) => put("notification", serde_json::from_str(notification)?),
    }
    if let Some(expires_at) = push.expires_at {
        let seconds = (expires_at - push.at).num_seconds().max(0);
        put("android", json!({ "priority": "high", "ttl": format!("{seconds}s") }));
        put("apns", json!({ "headers": { "apns-expiration": expires_at.timestamp().to_string() } }));
    }
    serde_json::to_string(&json!({ "validate_only": push.validate_only, "message": message }))
}

/// What FCM's answer means. It says itself that it did not take a message; only where it has failed inside, or
/// something between has, nobody knows.
fn answered(answer: &Answer) -> Sent {
    let status = answer.status.as_u16();
    let outcome = match status {
        200 => Outcome::Done,
        401 | 429 | 503 => Outcome::NotDone,
        500..=599 => Outcome::Perhaps,
        _ => Outcome::Refused,
    };
    let receipt = serde_json::from_slice::<Value>(&answer.body).ok();
    let receipt = receipt.and_then(|body| body.get("name")?.as_str().map(str::to_owned));
    let receipt = receipt.filter(|_| outcome == Outcome::Done);
    Sent { retry_after: retry_after(&answer.headers), receipt, ..Sent::new(outcome, Detail::Status(status)) }
}
