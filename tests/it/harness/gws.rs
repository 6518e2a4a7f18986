//! GWS. Authentication and statistics in one server that knows one client of a tenant, hands out numbered tokens and
//! takes only the newest; and the [`Platform`], which serves the service's own client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::outside::{Heard, Outside, Says};

/// The client that it knows, and its secret.
pub(crate) const CLIENT: &str = "reporter";
pub(crate) const SECRET: &str = "marker-gws-client-secret-77b1";
/// The user that it knows, and the password.
pub(crate) const USER: &str = "supervisor";
pub(crate) const PASSWORD: &str = "marker-gws-password-19aa";
/// `reporter:marker-gws-client-secret-77b1`.
const BASIC: &str = "Basic cmVwb3J0ZXI6bWFya2VyLWd3cy1jbGllbnQtc2VjcmV0LTc3YjE=";
/// What every token begins with.
pub(crate) const TOKEN: &str = "marker-gws-token-";

pub(crate) const TOKENS: &str = "/auth/v3/oauth/token";
pub(crate) const STATISTICS: &str = "/statistics/v3/operations/get-statistic-ex";

pub(crate) fn server() -> Outside {
    Outside::start(honest())
}

/// What it does when nothing is wrong with it.
pub(crate) fn honest() -> impl Fn(&Heard) -> Says + Send + Sync {
    let given = AtomicUsize::new(0);
    move |heard| match (heard.method.as_str(), heard.path.as_str()) {
        ("POST", TOKENS) => {
            if heard.header("authorization") != BASIC || !is_grant(heard) {
                return Says::Answer(401, json!({ "error": "invalid_client" }).to_string());
            }
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            Says::json(&json!({
                "access_token": format!("{TOKEN}{number}"), "token_type": "bearer", "expires_in": 3600, "scope": "*",
            }))
        }
        ("POST", STATISTICS) => {
            let newest = given.load(Ordering::SeqCst);
            if newest == 0 || heard.header("authorization") != format!("Bearer {TOKEN}{newest}") {
                return Says::Answer(401, json!({ "status": { "code": 401 } }).to_string());
            }
            answer(heard)
        }
        _ => Says::Answer(404, String::new()),
    }
}

fn is_grant(heard: &Heard) -> bool {
    let form = heard.form();
    let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => true,
        Some("password") => is("username", USER) && is("password", PASSWORD),
        _ => false,
    }
}

/// A value for everything that is asked for.
fn answer(heard: &Heard) -> Says {
    let asked = heard.json()["data"]["statistics"].as_array().cloned().unwrap_or_default();
    let values = asked.into_iter().map(|mut statistic| {
        statistic["value"] = 42.into();
        statistic["timestamp"] = 1_898_870_400_000_i64.into();
        statistic
    });
    Says::json(&json!({ "status": { "code": 0 }, "data": { "statistics": values.collect::<Vec<_>>() } }))
}

/// The whole of GWS in one server: it gives tokens that end, to the service's own client and to users with a code, and
/// lists contact centres, users and virtual queues to who shows a good one.
pub(crate) struct Platform {
    pub(crate) server: Outside,
    state: Arc<Mutex<State>>,
}

/// The service's own client, and its secret.
pub(crate) const OWN_CLIENT: &str = "ges_client";
pub(crate) const OWN_SECRET: &str = "marker-own-client-secret-5c02";
/// What its tokens begin with, and those of users.
pub(crate) const OWN_TOKEN: &str = "marker-own-token-";
pub(crate) const USER_TOKEN: &str = "marker-user-token-";
/// Seconds that a user's token is good.
const USER_LIFE: u64 = 3_600;

pub(crate) const PING: &str = "/auth/v3/ping";
pub(crate) const USER_INFO: &str = "/auth/v3/userinfo";
pub(crate) const SIGN_OUT: &str = "/auth/v3/sign-out";
pub(crate) const CENTERS: &str = "/environment/v3/contact-centers";
pub(crate) const OBJECTS: &str = "/configuration/v3/objects/";
pub(crate) const APPLICATION: &str = "/configuration/v3/system/application";

/// What a [`Platform`] knows.
pub(crate) struct State {
    /// Seconds that a token of the service's own client is good.
    pub(crate) life: u64,
    /// Contact centres by id, with their domain; and whether they are in the list.
    pub(crate) centers: BTreeMap<&'static str, Center>,
    /// Users: number, name, access groups.
    pub(crate) users: Vec<(u64, &'static str, Vec<&'static str>)>,
    /// Names of virtual queues.
    pub(crate) virtual_queues: Vec<&'static str>,
    /// What is said instead to requests whose path begins so.
    pub(crate) moods: BTreeMap<&'static str, Says>,
    tokens: BTreeMap<String, Instant>,
    /// Tokens given to the service's own client.
    pub(crate) given: usize,
    /// Requests with a token that is not good.
    pub(crate) refused: usize,
}

/// A contact centre.
#[derive(Clone)]
pub(crate) struct Center {
    pub(crate) domain: &'static str,
    pub(crate) listed: Listed,
    pub(crate) cors_origins: &'static str,
}

/// Where a contact centre is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// In the list, and by its id.
    Yes,
    /// By its id only: the list is short.
    ById,
    /// Nowhere.
    No,
}

impl Platform {
    /// With one contact centre.
    pub(crate) fn start(id: &'static str, domain: &'static str) -> Self {
        let center = Center { domain, listed: Listed::Yes, cors_origins: "" };
        let state = Arc::new(Mutex::new(State {
            life: 3_600,
            centers: [(id, center)].into(),
            users: vec![],
            virtual_queues: vec![],
            moods: BTreeMap::new(),
            tokens: BTreeMap::new(),
            given: 0,
            refused: 0,
        }));
        let mine = state.clone();
        Self { server: Outside::start(move |heard| mine.lock().unwrap().says(heard)), state }
    }

    /// Looks at what it knows, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// No token that was given is good any more.
    pub(crate) fn revoke_tokens(&self) {
        self.with(|state| state.tokens.clear());
    }

    /// Requests whose path begins so.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.server.heard().iter().filter(|heard| heard.path.starts_with(path)).count()
    }
}

impl State {
    fn says(&mut self, heard: &Heard) -> Says {
        if let Some((_, mood)) = self.moods.iter().find(|(path, _)| heard.path.starts_with(**path)) {
            return mood.clone();
        }
        match (heard.method.as_str(), heard.path.as_str()) {
            ("POST", TOKENS) => self.gives(heard),
            ("GET", PING) => data(&json!({})),
            _ => {
                let shown = heard.header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
                if self.tokens.get(&shown).is_none_or(|ends| *ends < Instant::now()) {
                    // Who shows none has not been refused a good one.
                    self.refused += usize::from(!shown.is_empty());
                    return Says::Answer(401, json!({ "status": { "code": 401 } }).to_string());
                }
                self.tells(heard, &shown)
            }
        }
    }

    fn gives(&mut self, heard: &Heard) -> Says {
        let form = heard.form();
        let member = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let basic = format!("Basic {}", STANDARD.encode(format!("{OWN_CLIENT}:{OWN_SECRET}")));
        if heard.header("authorization") != basic {
            return Says::Answer(401, json!({ "error": "invalid_client" }).to_string());
        }
        let (token, life) = match (member("grant_type"), member("code").strip_prefix("code-of-")) {
            ("client_credentials", None) => {
                self.given += 1;
                (format!("{OWN_TOKEN}{}", self.given), self.life)
            }
            ("authorization_code", Some(user)) => (format!("{USER_TOKEN}{user}"), USER_LIFE),
            _ => return Says::Answer(400, json!({ "error": "invalid_grant" }).to_string()),
        };
        self.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(life));
        Says::json(&json!({ "access_token": token, "token_type": "bearer", "expires_in": life, "scope": "*" }))
    }

    fn tells(&mut self, heard: &Heard, shown: &str) -> Says {
        let path = heard.path.split('?').next().unwrap_or_default();
        let center = path.strip_prefix(CENTERS).and_then(|rest| rest.strip_prefix('/'));
        match (heard.method.as_str(), path) {
            ("GET", CENTERS) => {
                let listed = self.centers.iter().filter(|(_, center)| center.listed == Listed::Yes);
                data(&listed.map(|(id, center)| described(id, center)).collect())
            }
            ("GET", _) if center.is_some() => self.tells_of(center.unwrap_or_default()),
            ("GET", APPLICATION) => data(&json!({ "name": "gws" })),
            ("GET", USER_INFO) => match shown.strip_prefix(USER_TOKEN) {
                Some(user) => self.tells_of_user(user),
                None => Says::Answer(403, String::new()),
            },
            ("POST", SIGN_OUT) => {
                self.tokens.remove(shown);
                data(&json!({}))
            }
            ("GET", _) if path.starts_with(OBJECTS) => self.lists(path.trim_start_matches(OBJECTS)),
            _ => Says::Answer(404, String::new()),
        }
    }

    fn tells_of(&self, rest: &str) -> Says {
        let (id, settings) = rest.split_once('/').map_or((rest, false), |(id, rest)| (id, rest == "settings"));
        match self.centers.get_key_value(id) {
            Some((_, center)) if settings && center.listed != Listed::No => data(
                &json!([{ "name": "cors-origins", "location": "/", "shared": false, "value": center.cors_origins }]),
            ),
            Some((id, center)) if center.listed != Listed::No => data(&described(id, center)),
            _ => Says::Answer(404, json!({ "status": { "code": 404 } }).to_string()),
        }
    }

    fn tells_of_user(&self, user: &str) -> Says {
        let known = self.users.iter().find(|(_, name, _)| *name == user);
        let center = self.centers.keys().next().copied();
        let told = known.map(|(dbid, name, _)| {
            json!({
                "username": name, "loginName": name, "cmeUserName": name, "dbid": dbid, "contactCenterId": center,
                "environmentId": "e1", "authorities": [{ "name": "ROLE_AGENT", "privileges": [] }], "properties": {},
            })
        });
        told.map_or_else(|| Says::Answer(401, String::new()), |told| data(&told))
    }

    fn lists(&self, what: &str) -> Says {
        let groups: BTreeSet<_> = self.users.iter().flat_map(|(_, _, groups)| groups).collect();
        let members = |group: &str| -> Vec<Value> {
            let of_it = self.users.iter().filter(|it| it.2.contains(&group));
            of_it.map(|it| json!({ "DBID": it.0 })).collect()
        };
        let objects: Vec<_> = match what {
            "persons" => self.users.iter().map(|(dbid, name, _)| json!({ "DBID": dbid, "userName": name })).collect(),
            "access-groups" => {
                groups.into_iter().map(|group| json!({ "name": group, "members": members(group) })).collect()
            }
            "dns" => {
                self.virtual_queues.iter().map(|name| json!({ "name": name, "type": "CFGVirtACDQueue" })).collect()
            }
            _ => return Says::Answer(404, String::new()),
        };
        data(&json!({ "totalCount": objects.len(), "objects": objects }))
    }
}

fn described(id: &str, center: &Center) -> Value {
    json!({ "id": id, "domains": [center.domain], "environmentId": "e1", "auth": "configServer" })
}

/// A good answer.
fn data(data: &Value) -> Says {
    Says::json(&json!({ "status": { "code": 0 }, "data": data }))
}
