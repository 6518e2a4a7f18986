//! What readers are asked about users.

use async_trait::async_trait;
use domain::ports::StoreError;

use super::pool::Reader;
use super::statement::statements;
use crate::stores::database::UserReads;
use crate::stores::rows::users::{AccountRow, SessionRow};

statements! {
    FindSession = "SELECT token, user_name, tenant, membership, created_at, used_at, checked_at, sealed FROM sessions
        WHERE token = ?";
    UnusedSession = "SELECT 1 FROM sessions WHERE used_at < ? LIMIT 1";
    FindAccount = "SELECT name, tenant, password, membership, created_at FROM accounts WHERE name = ?";
    ListAccounts = "SELECT name, tenant, password, membership, created_at FROM accounts ORDER BY name COLLATE \"C\"";
}

#[async_trait]
impl UserReads for Reader {
    async fn session_row(&mut self, token: &[u8]) -> Result<Option<SessionRow>, StoreError> {
        self.first::<FindSession, _>(&[token.into()]).await
    }

    async fn has_sessions_unused_since(&mut self, before: i64) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = self.first::<UnusedSession, _>(&[before.into()]).await?;
        Ok(found.is_some())
    }

    async fn account_row(&mut self, name: &str) -> Result<Option<AccountRow>, StoreError> {
        self.first::<FindAccount, _>(&[name.into()]).await
    }

    async fn account_rows(&mut self) -> Result<Vec<AccountRow>, StoreError> {
        self.rows::<ListAccounts, _>(&[]).await
    }
}
