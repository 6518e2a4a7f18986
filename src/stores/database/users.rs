//! The ports for sessions and local accounts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::access::{Account, SESSION_KEPT, Session, TokenHash, UserName};
use domain::ids::TenantId;
use domain::ports::{AccountStore, NewEntry, Renewal, SessionStore, StoreError};

use super::{Database, DatabaseStore};
use crate::stores::command::Command;
use crate::stores::command::users::UserCommand;
use crate::stores::rows::millis;
use crate::stores::rows::users::{AccountRow, SessionRow, account, session};

/// Steps of one purge.
const MAX_TIDY_STEPS: usize = 20;

/// Statements about users.
#[async_trait]
pub(in crate::stores) trait UserReads: Send {
    async fn session_row(&mut self, token: &[u8]) -> Result<Option<SessionRow>, StoreError>;

    async fn account_row(&mut self, name: &str) -> Result<Option<AccountRow>, StoreError>;

    /// Whether any was last used before that instant, in milliseconds since 1970.
    async fn has_sessions_unused_since(&mut self, before: i64) -> Result<bool, StoreError>;

    /// By name.
    async fn account_rows(&mut self) -> Result<Vec<AccountRow>, StoreError>;
}

impl<D> DatabaseStore<D> {
    async fn user(&self, command: UserCommand) -> Result<u64, StoreError> {
        self.writes.count(Command::User(command)).await
    }
}

#[async_trait]
impl<D: Database> SessionStore for DatabaseStore<D> {
    async fn open_session(&self, session: Session, per_user: usize) -> Result<(), StoreError> {
        self.user(UserCommand::Open { session: Box::new(session), per_user }).await.map(drop)
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, StoreError> {
        let found =
            self.database.read(None, move |reader| Box::pin(async move { reader.session_row(&token).await })).await?;
        found.map(session).transpose()
    }

    async fn renew_session(&self, renewal: Renewal) -> Result<bool, StoreError> {
        Ok(self.user(UserCommand::Renew(Box::new(renewal))).await? > 0)
    }

    async fn end_session(&self, token: TokenHash) -> Result<bool, StoreError> {
        Ok(self.user(UserCommand::End(token)).await? > 0)
    }
}

#[async_trait]
impl<D: Database> AccountStore for DatabaseStore<D> {
    async fn account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
        let name = name.clone();
        let read =
            self.database.read(None, move |reader| Box::pin(async move { reader.account_row(name.as_str()).await }));
        read.await?.map(account).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let found = self.database.read(None, |reader| reader.account_rows()).await?;
        found.into_iter().map(account).collect()
    }

    async fn add_account(&self, account: Account, entry: NewEntry) -> Result<bool, StoreError> {
        Ok(self.user(UserCommand::AddAccount(Box::new(account), entry)).await? > 0)
    }

    async fn change_account(&self, account: Account, entry: NewEntry) -> Result<bool, StoreError> {
        Ok(self.user(UserCommand::ChangeAccount(Box::new(account), entry)).await? > 0)
    }

    async fn remove_account(&self, tenant: TenantId, name: &UserName, entry: NewEntry) -> Result<bool, StoreError> {
        Ok(self.user(UserCommand::RemoveAccount { tenant, name: name.clone(), entry }).await? > 0)
    }
}

/// Removes sessions that nobody has used for as long as any may rest.
pub(super) async fn tidy_sessions<D: Database>(store: &DatabaseStore<D>, at: DateTime<Utc>) -> Result<(), StoreError> {
    let before = at - SESSION_KEPT;
    let found = store.database.read(None, move |reader| reader.has_sessions_unused_since(millis(before))).await?;
    if !found {
        return Ok(());
    }
    let limit = store.writes.step_rows;
    for _ in 0..MAX_TIDY_STEPS {
        let removed = store.user(UserCommand::Tidy { before, limit }).await?;
        if removed < u64::try_from(limit).unwrap_or(u64::MAX) {
            break;
        }
    }
    Ok(())
}
