//! Providers of users in one server: Genesys Web Services and OpenID Connect, over real HTTP. It knows one user, hands out
//! numbered tokens of which it takes the newest only, and signs with a key of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::outside::{Heard, Outside, Says};

/// The client that it knows, and its secret.
pub(crate) const CLIENT: &str = "ges-ui";
pub(crate) const SECRET: &str = "marker-identity-client-secret-51c0";
/// What every token and code begins with.
pub(crate) const TOKEN: &str = "marker-identity-token-";
/// The user.
pub(crate) const USER: &str = "carol@example.com";
/// `ges-ui:marker-identity-client-secret-51c0`.
const BASIC: &str = "Basic Z2VzLXVpOm1hcmtlci1pZGVudGl0eS1jbGllbnQtc2VjcmV0LTUxYzA=";

struct State {
    url: String,
    groups: Vec<String>,
    tenant: String,
    /// Code to the challenge and the nonce that it was asked for with.
    codes: BTreeMap<String, (String, String)>,
    given: usize,
    knows_user: bool,
    /// The newest access token is taken no more, as if its time were over.
    expired: bool,
    down: bool,
    signed_out: usize,
}

/// A started provider.
pub(crate) struct Identity {
    server: Outside,
    state: Arc<Mutex<State>>,
}

impl Identity {
    /// Knows one user of a tenant.
    pub(crate) fn start(tenant: &str, groups: &[&str]) -> Self {
        let state = State {
            url: String::new(),
            groups: owned(groups),
            tenant: tenant.to_owned(),
            codes: BTreeMap::new(),
            given: 0,
            knows_user: true,
            expired: false,
            down: false,
            signed_out: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let (mine, signer) = (state.clone(), Signer::new());
        let server = Outside::start(move |heard| mine.lock().unwrap().answer(heard, &signer));
        state.lock().unwrap().url = server.url();
        Self { server, state }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.server.heard()
    }

    /// Logs the user in as a browser would that was sent to `address`; where it is sent back to.
    pub(crate) fn log_in(&self, address: &str) -> String {
        let (place, query) = address.split_once('?').unwrap();
        assert!(place.ends_with("/oauth/authorize") || place.ends_with("/oidc/authorize"), "{place}");
        let asked =
            Heard { method: String::new(), path: String::new(), headers: BTreeMap::new(), body: query.to_owned() };
        let asked = asked.form();
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state.lock().unwrap();
        let code = format!("{TOKEN}code-{}", state.codes.len());
        let nonce = asked.get("nonce").cloned().unwrap_or_default();
        state.codes.insert(code.clone(), (asked["code_challenge"].clone(), nonce));
        format!("/ges/v1/session/callback?code={code}&state={}", asked["state"])
    }

    pub(crate) fn set_groups(&self, groups: &[&str]) {
        self.state.lock().unwrap().groups = owned(groups);
    }

    /// The user belongs to another tenant from now on.
    pub(crate) fn set_tenant(&self, tenant: &str) {
        tenant.clone_into(&mut self.state.lock().unwrap().tenant);
    }

    pub(crate) fn forget_user(&self) {
        self.state.lock().unwrap().knows_user = false;
    }

    pub(crate) fn expire_tokens(&self) {
        self.state.lock().unwrap().expired = true;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    pub(crate) fn signed_out(&self) -> usize {
        self.state.lock().unwrap().signed_out
    }

    /// Tokens handed out so far.
    pub(crate) fn given(&self) -> usize {
        self.state.lock().unwrap().given
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

impl State {
    fn answer(&mut self, heard: &Heard, signer: &Signer) -> Says {
        if self.down {
            return Says::Nothing;
        }
        match (heard.method.as_str(), heard.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => Says::json(&json!({
                "issuer": self.url,
                "authorization_endpoint": format!("{}/oidc/authorize", self.url),
                "token_endpoint": format!("{}/oidc/token", self.url),
                "userinfo_endpoint": format!("{}/oidc/userinfo", self.url),
                "end_session_endpoint": format!("{}/oidc/bye", self.url),
                "jwks_uri": format!("{}/oidc/keys", self.url),
            })),
            ("GET", "/oidc/keys") => Says::json(&signer.keys()),
            ("POST", "/oidc/token" | "/auth/v3/oauth/token") => self.tokens(heard, signer),
            ("GET", "/auth/v3/userinfo") if self.admits(heard) => Says::json(&json!({
                "status": {"code": 0, "message": "OK"},
                "data": {
                    "username": USER, "contactCenterId": self.tenant, "dbid": 100,
                    "authorities": self.groups.iter().map(|name| json!({"name": name, "privileges": []})).collect::<Vec<_>>(),
                    "properties": {},
                },
            })),
            ("GET", "/oidc/userinfo") if self.admits(heard) => Says::json(&self.claims("")),
            ("POST", "/auth/v3/sign-out") if self.admits(heard) => {
                self.signed_out += 1;
                Says::json(&json!({"status": {"code": 0}}))
            }
            ("GET" | "POST", "/auth/v3/userinfo" | "/oidc/userinfo" | "/auth/v3/sign-out") => refused("invalid_token"),
            _ => Says::Answer(404, String::new()),
        }
    }

    fn admits(&self, heard: &Heard) -> bool {
        let newest = format!("Bearer {TOKEN}{}", self.given);
        self.knows_user && !self.expired && heard.header("authorization") == newest
    }

    fn tokens(&mut self, heard: &Heard, signer: &Signer) -> Says {
        let form = heard.form();
        if heard.header("authorization") != BASIC {
            return refused("invalid_client");
        }
        if !self.knows_user {
            return refused("invalid_grant");
        }
        let nonce = match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                // A code counts once, and only for whoever began.
                let Some((challenge, nonce)) = self.codes.remove(&form["code"]) else {
                    return refused("invalid_grant");
                };
                let digest = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
                if URL_SAFE_NO_PAD.encode(digest) != challenge {
                    return refused("invalid_grant");
                }
                nonce
            }
            Some("refresh_token") if form["refresh_token"] == format!("{TOKEN}refresh-{}", self.given) => String::new(),
            _ => return refused("invalid_grant"),
        };
        self.given += 1;
        self.expired = false;
        Says::json(&json!({
            "access_token": format!("{TOKEN}{}", self.given), "refresh_token": format!("{TOKEN}refresh-{}", self.given),
            "token_type": "bearer", "expires_in": 300, "scope": "*", "id_token": signer.sign(&self.claims(&nonce)),
        }))
    }

    fn claims(&self, nonce: &str) -> Value {
        let now = super::now_ms() / 1_000;
        json!({
            "iss": self.url, "aud": CLIENT, "sub": "user-7", "iat": now, "exp": now + 300, "nonce": nonce,
            "preferred_username": USER, "groups": self.groups, "tenant": self.tenant,
        })
    }
}

fn refused(error: &str) -> Says {
    Says::Answer(401, json!({ "error": error }).to_string())
}

/// Signs ID tokens.
struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { pair, random }
    }

    fn keys(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": x, "y": y}]})
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "1"})), part(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
