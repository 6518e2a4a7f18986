//! Sessions and accounts in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::Duration;
use domain::access::{Account, Membership, PlatformGroups, Session, SessionLimits, TokenHash, UserName};
use domain::ids::TenantId;
use domain::ports::{AccountStore, Clock, NewEntry, Renewal, SessionStore, StoreError};
use domain::secret::Secret;

use super::{Arrival, Provider, ProviderError, Trip, UserSettings, UserStores, Users};

/// What is kept.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) sessions: Mutex<HashMap<TokenHash, Session>>,
    pub(crate) accounts: Mutex<HashMap<UserName, Account>>,
}

#[async_trait]
impl SessionStore for Memory {
    async fn open_session(&self, session: Session, _: usize) -> Result<(), StoreError> {
        self.sessions.lock().unwrap().insert(session.token, session);
        Ok(())
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, StoreError> {
        Ok(self.sessions.lock().unwrap().get(&token).cloned())
    }

    async fn renew_session(&self, renewal: Renewal) -> Result<bool, StoreError> {
        let mut sessions = self.sessions.lock().unwrap();
        let Some(session) = sessions.get_mut(&renewal.token) else { return Ok(false) };
        session.used_at = session.used_at.max(renewal.used_at);
        if let Some(checked) = renewal.checked {
            (session.membership, session.checked_at) = (checked.membership, checked.at);
            session.sealed = checked.sealed.or(session.sealed.take());
        }
        Ok(true)
    }

    async fn end_session(&self, token: TokenHash) -> Result<bool, StoreError> {
        Ok(self.sessions.lock().unwrap().remove(&token).is_some())
    }
}

#[async_trait]
impl AccountStore for Memory {
    async fn account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
        Ok(self.accounts.lock().unwrap().get(name).cloned())
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        Ok(self.accounts.lock().unwrap().values().cloned().collect())
    }

    async fn add_account(&self, account: Account, _: NewEntry) -> Result<bool, StoreError> {
        let mut accounts = self.accounts.lock().unwrap();
        let free = !accounts.contains_key(&account.name);
        if free {
            accounts.insert(account.name.clone(), account);
        }
        Ok(free)
    }

    async fn change_account(&self, account: Account, _: NewEntry) -> Result<bool, StoreError> {
        Ok(self.accounts.lock().unwrap().insert(account.name.clone(), account).is_some())
    }

    async fn remove_account(&self, _: TenantId, name: &UserName, _: NewEntry) -> Result<bool, StoreError> {
        Ok(self.accounts.lock().unwrap().remove(name).is_some())
    }
}

/// A provider that knows one user, whatever the code.
pub(crate) struct Elsewhere;

#[async_trait]
impl Provider for Elsewhere {
    async fn begin(&self, trip: &Trip) -> Result<String, ProviderError> {
        Ok(format!("https://id.example/?state={}", trip.state))
    }

    async fn arrive(&self, code: &str, _: &Trip) -> Result<Arrival, ProviderError> {
        if code == "bad" {
            return Err(ProviderError::Refused);
        }
        Ok(Arrival {
            user: "carol".parse().map_err(|_| ProviderError::Refused)?,
            tenant: Some("demo".to_owned()),
            dbid: None,
            membership: Membership::default(),
            held: Secret::new("held-tokens"),
        })
    }

    async fn look_again(&self, _: &Secret) -> Result<Arrival, ProviderError> {
        Err(ProviderError::Refused)
    }

    async fn sign_out(&self, _: &Secret) -> Option<String> {
        None
    }
}

/// Users of a memory, by a clock.
pub(crate) fn users(memory: &Arc<Memory>, clock: Arc<dyn Clock>) -> Users {
    users_with(memory, clock, false)
}

/// As [`users`], with cookies for encrypted connections alone or for any.
pub(crate) fn users_with(memory: &Arc<Memory>, clock: Arc<dyn Clock>, secure_cookies: bool) -> Users {
    let stores = UserStores { sessions: memory.clone(), accounts: memory.clone(), clock };
    let limits = SessionLimits { idle: Duration::minutes(20), life: Duration::hours(12), per_user: 5 };
    let settings = UserSettings {
        limits,
        look_again: Duration::minutes(5),
        platform: PlatformGroups(["Platform Read Only".to_owned()].into()),
        secure_cookies,
    };
    Users::new(stores, [9; 32], settings).unwrap()
}
