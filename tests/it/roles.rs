//! Who may do what, against the running program: the permission table row by row, sessions, and log-ins at providers.

mod matrix;
mod providers;
mod sessions;

use std::net::SocketAddr;
use std::time::Duration;

use chrono::DateTime;
use domain::access::{Account, Membership};
use domain::audit::Act;
use domain::ids::TenantId;
use domain::ports::NewEntry;
use domain::secret::Secret;
use ges::users::passwords;
use serde_json::{Value, json};

use crate::documents;
use crate::harness::http::{Answer, Client};
use crate::harness::on_postgres::with_store;
use crate::harness::poll;
use crate::harness::service::Folder;

/// The password of every local account here.
const PASSWORD: &str = "marker-user-password-8d21";

/// How soon a change has to be noticed. Far above what it takes: the machine may be busy.
const SOON: Duration = Duration::from_secs(20);

/// Waits for a state that a change leads to.
fn soon(what: &str, mut reached: impl FnMut() -> bool) {
    poll::until(what, SOON, || reached().then_some(()));
}

/// Accounts of a tenant: name, roles, lines of business.
fn add_users(folder: &Folder, tenant: &str, users: &[(String, Vec<String>, Vec<String>)]) {
    let password = passwords::hash(&Secret::new(PASSWORD)).unwrap();
    let tenant = TenantId::from_name(tenant);
    with_store(&folder.data(), async |store| {
        for (name, roles, lines) in users {
            let account = Account {
                name: name.parse().unwrap(),
                tenant,
                password: password.clone(),
                membership: Membership { roles: roles.clone(), lines: lines.clone(), ..Membership::default() },
                created_at: DateTime::UNIX_EPOCH,
            };
            let (at, act, subject) = (account.created_at, Act::AccountAdded, name.clone());
            let entry = NewEntry { at, act, actor: "test".to_owned(), subject, details: String::new() };
            assert!(store.add_account(account, entry).await.unwrap(), "{name}");
        }
    });
}

fn user(name: &str, roles: &[&str], lines: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (name.to_owned(), owned(roles), owned(lines))
}

/// A user's browser: it keeps the cookie of the session, and the page in it the CSRF token.
pub(crate) struct Browser {
    client: Client,
    cookie: String,
    csrf: String,
}

impl Browser {
    /// One that has been nowhere yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { client: Client::new(address), cookie: String::new(), csrf: String::new() }
    }

    /// One at an address that a proxy on this machine tells.
    fn behind(address: SocketAddr, forwarded_for: &str) -> Self {
        let client = Client::new(address).with_header("X-Forwarded-For", forwarded_for);
        Self { client, ..Self::new(address) }
    }

    /// Goes on over another connection: the service closes those that have been idle for a minute.
    pub(crate) fn connect_anew(&mut self, address: SocketAddr) {
        self.client = Client::new(address);
    }

    /// One whose user has logged in with a local account.
    fn of(address: SocketAddr, name: &str) -> Self {
        let mut browser = Self::new(address);
        let answer = browser.log_in(name, PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser
    }

    fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let body = json!({ "name": name, "password": password }).to_string();
        let answer = self.client.post_json("/ges/v1/session", &[], &body).unwrap();
        self.keep(&answer);
        answer
    }

    /// Keeps the cookies and the token of an answer.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.header("set-cookie") {
            cookie.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        if let Some(token) = answer.json()["data"]["csrfToken"].as_str() {
            token.clone_into(&mut self.csrf);
        }
    }

    fn ask_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let own = [
            ("Cookie", self.cookie.as_str()),
            ("X-CSRF-Token", self.csrf.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.client.request(method, path, &[&own, headers].concat(), body.as_bytes()).unwrap()
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, &[], body)
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Who is logged in; `null` if nobody is.
    fn who(&mut self) -> Value {
        let answer = self.get("/ges/v1/session");
        self.keep(&answer);
        answer.json()["data"].clone()
    }
}

#[test]
fn the_page_shows_the_tables_as_the_code_has_them() {
    documents::assert_holds("roles.md", "roles", &domain::access::roles_markdown());
    documents::assert_holds("roles.md", "permissions", &domain::access::permissions_markdown());
}
