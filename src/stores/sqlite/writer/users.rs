//! Sessions of users, and accounts that are kept here.

use diesel::QueryResult;
use domain::access::{Account, Session, UserName};
use domain::ids::TenantId;
use domain::ports::{NewEntry, Renewal};

use super::super::statement::{Bind, Sql, execute, statements};
use super::Writer;
use crate::stores::command::users::UserCommand;
use crate::stores::rows::users::membership_text;
use crate::stores::rows::{millis, sql_limit};

statements! {
    AddSession = "INSERT INTO sessions (token, user_name, tenant, membership, created_at, used_at, checked_at, sealed)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    // The newest stay, the one just opened among them. Users of other tenants may have the same name.
    DropExcess = "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE user_name = ? AND tenant = ?
        ORDER BY used_at DESC, created_at DESC, token LIMIT -1 OFFSET ?)";
    // Uses that are told late do not turn it back.
    RenewSession = "UPDATE sessions SET used_at = max(used_at, ?) WHERE token = ?";
    CheckSession = "UPDATE sessions SET used_at = max(used_at, ?), membership = ?, checked_at = ?,
        sealed = coalesce(?, sealed) WHERE token = ?";
    EndSession = "DELETE FROM sessions WHERE token = ?";
    EndSessionsOf = "DELETE FROM sessions WHERE user_name = ?";
    TidySessions = "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE used_at < ? LIMIT ?)";
    AddAccount = "INSERT INTO accounts (name, tenant, password, membership, created_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (name) DO NOTHING";
    ChangeAccount = "UPDATE accounts SET tenant = ?, password = ?, membership = ? WHERE name = ?";
    RemoveAccount = "DELETE FROM accounts WHERE name = ? AND tenant = ?";
}

impl Writer {
    pub(super) fn user(&mut self, command: &UserCommand) -> QueryResult<u64> {
        match command {
            UserCommand::Open { session, per_user } => self.open_session(session, *per_user),
            UserCommand::Renew(renewal) => self.renew_session(renewal),
            UserCommand::End(token) => self.change::<EndSession>(&[token.as_slice().into()]),
            UserCommand::AddAccount(account, entry) => {
                let added = self.add_account(account)?;
                self.note_account(account.tenant, added, entry)
            }
            UserCommand::ChangeAccount(account, entry) => {
                let changed = self.change_account(account)?;
                self.note_account(account.tenant, changed, entry)
            }
            UserCommand::RemoveAccount { tenant, name, entry } => {
                let removed = self.remove_account(*tenant, name)?;
                self.note_account(*tenant, removed, entry)
            }
            UserCommand::Tidy { before, limit } => {
                self.change::<TidySessions>(&[millis(*before).into(), sql_limit(*limit).into()])
            }
        }
    }

    /// What was done to an account stands in the audit log with it. How many it was done to.
    fn note_account(&mut self, tenant: TenantId, changed: u64, entry: &NewEntry) -> QueryResult<u64> {
        if changed > 0 {
            self.note_alone(tenant, entry)?;
        }
        Ok(changed)
    }

    fn remove_account(&mut self, tenant: TenantId, name: &UserName) -> QueryResult<u64> {
        let uuid = tenant.as_uuid();
        let removed = self.change::<RemoveAccount>(&[name.as_str().into(), uuid.as_bytes().as_slice().into()])?;
        if removed > 0 {
            self.change::<EndSessionsOf>(&[name.as_str().into()])?;
        }
        Ok(removed)
    }

    /// How many rows a statement has changed.
    fn change<T: Sql>(&mut self, binds: &[Bind<'_>]) -> QueryResult<u64> {
        execute::<T>(&mut self.connection, binds).map(|changed| changed as u64)
    }

    fn open_session(&mut self, session: &Session, per_user: usize) -> QueryResult<u64> {
        let (tenant, membership) = (session.tenant.as_uuid(), membership_text(&session.membership));
        let binds = [
            session.token.as_slice().into(),
            session.user.as_str().into(),
            tenant.as_bytes().as_slice().into(),
            membership.as_str().into(),
            millis(session.created_at).into(),
            millis(session.used_at).into(),
            millis(session.checked_at).into(),
            session.sealed.as_deref().into(),
        ];
        let added = self.change::<AddSession>(&binds)?;
        let excess = [session.user.as_str().into(), tenant.as_bytes().as_slice().into(), sql_limit(per_user).into()];
        self.change::<DropExcess>(&excess)?;
        Ok(added)
    }

    fn renew_session(&mut self, renewal: &Renewal) -> QueryResult<u64> {
        let (token, used_at) = (renewal.token.as_slice(), millis(renewal.used_at));
        let Some(checked) = &renewal.checked else {
            return self.change::<RenewSession>(&[used_at.into(), token.into()]);
        };
        let membership = membership_text(&checked.membership);
        let sealed = checked.sealed.as_deref().into();
        let binds = [used_at.into(), membership.as_str().into(), millis(checked.at).into(), sealed, token.into()];
        self.change::<CheckSession>(&binds)
    }

    fn add_account(&mut self, account: &Account) -> QueryResult<u64> {
        let (tenant, membership) = (account.tenant.as_uuid(), membership_text(&account.membership));
        let binds = [
            account.name.as_str().into(),
            tenant.as_bytes().as_slice().into(),
            account.password.as_str().into(),
            membership.as_str().into(),
            millis(account.created_at).into(),
        ];
        self.change::<AddAccount>(&binds)
    }

    fn change_account(&mut self, account: &Account) -> QueryResult<u64> {
        let (tenant, membership) = (account.tenant.as_uuid(), membership_text(&account.membership));
        let binds = [
            tenant.as_bytes().as_slice().into(),
            account.password.as_str().into(),
            membership.as_str().into(),
            account.name.as_str().into(),
        ];
        self.change::<EndSessionsOf>(&[account.name.as_str().into()])?;
        self.change::<ChangeAccount>(&binds)
    }
}
