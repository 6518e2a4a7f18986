//! Google's side of Firebase Cloud Messaging, as far as its callers can tell: it gives tokens for assertions that the
//! account has signed, and takes messages under the tokens it gave.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::receiver::{Received, Receiver, Say};

const KEY: &str = include_str!("../../fixtures/fcm.key");
const EMAIL: &str = "pusher@test-project.iam.gserviceaccount.com";
pub(crate) const SEND: &str = "/v1/projects/test-project/messages:send";
pub(crate) const TOKEN: &str = "/token";

/// The service.
pub(crate) struct FakeFcm {
    pub(crate) receiver: Receiver,
    tokens: Arc<Tokens>,
}

struct Tokens {
    given: AtomicU32,
    /// Seconds for which a token is said to be good.
    expires_in: AtomicU32,
    valid: Mutex<HashSet<String>>,
}

impl FakeFcm {
    pub(crate) fn start() -> Self {
        Self::with(|_| None)
    }

    /// One that answers some messages in its own way.
    pub(crate) fn with(manner: impl Fn(&Received) -> Option<Say> + Send + Sync + 'static) -> Self {
        let tokens =
            Arc::new(Tokens { given: AtomicU32::new(0), expires_in: AtomicU32::new(3_600), valid: Mutex::default() });
        let behind = tokens.clone();
        let receiver = Receiver::with(move |request| match request.path.as_str() {
            TOKEN => behind.give(request),
            SEND => manner(request).unwrap_or_else(|| behind.take(request)),
            _ => Say::status(404),
        });
        Self { receiver, tokens }
    }

    /// The key file of its one account.
    pub(crate) fn account(&self) -> String {
        json!({
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": "1",
            "private_key": KEY,
            "client_email": EMAIL,
            "token_uri": self.receiver.url(TOKEN),
        })
        .to_string()
    }

    /// Tokens given so far.
    pub(crate) fn tokens(&self) -> u32 {
        self.tokens.given.load(Ordering::SeqCst)
    }

    /// Tokens are said to be good for so long from now on.
    pub(crate) fn tokens_last(&self, seconds: u32) {
        self.tokens.expires_in.store(seconds, Ordering::SeqCst);
    }

    /// No token given so far is taken any more.
    pub(crate) fn revoke_tokens(&self) {
        self.tokens.valid.lock().unwrap().clear();
    }

    /// The messages that came, as they are, whatever was answered.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.receiver.received_at(SEND).iter().map(Received::json).collect()
    }

    /// The next messages are answered so.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Say>) {
        self.receiver.next(answers);
    }
}

impl Tokens {
    fn give(&self, request: &Received) -> Say {
        assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
        let member = |name: &str| {
            let pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next_back().unwrap()
        };
        assert_eq!(member("grant_type"), "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        if !is_signed(&member("assertion")) {
            return Say::json(400, &json!({ "error": "invalid_grant" }));
        }
        let token = format!("token-{}", self.given.fetch_add(1, Ordering::SeqCst) + 1);
        self.valid.lock().unwrap().insert(token.clone());
        let expires_in = self.expires_in.load(Ordering::SeqCst);
        Say::json(200, &json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer" }))
    }

    fn take(&self, request: &Received) -> Say {
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if !self.valid.lock().unwrap().contains(token) {
            return Say::json(401, &json!({ "error": { "status": "UNAUTHENTICATED" } }));
        }
        Say::json(200, &json!({ "name": "projects/test-project/messages/1" }))
    }
}

/// Whether an assertion is what Google wants: signed by the account, for the scope, for an hour.
fn is_signed(assertion: &str) -> bool {
    let der = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else { return false };
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let signed = format!("{header}.{claims}");
    if public.verify(signed.as_bytes(), &decoded(signature)).is_err() {
        return false;
    }
    let json = |text: &str| serde_json::from_slice::<Value>(&decoded(text)).unwrap();
    let (header, claims) = (json(header), json(claims));
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    header == json!({ "alg": "RS256", "typ": "JWT" })
        && claims["iss"] == EMAIL
        && claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        && seconds("exp") - seconds("iat") == 3_600
        && (seconds("iat") * 1_000 - super::now_ms()).abs() < 60_000
}
