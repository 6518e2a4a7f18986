//! What the writer is asked about users: their sessions, and accounts that are kept here.

use chrono::{DateTime, Utc};
use domain::access::{Account, Session, TokenHash, UserName};
use domain::ids::TenantId;
use domain::ports::{NewEntry, Renewal};

/// A write about users. Each tells how many rows it has changed.
pub(in crate::stores) enum UserCommand {
    Open {
        session: Box<Session>,
        per_user: usize,
    },
    Renew(Box<Renewal>),
    End(TokenHash),
    AddAccount(Box<Account>, NewEntry),
    ChangeAccount(Box<Account>, NewEntry),
    RemoveAccount {
        tenant: TenantId,
        name: UserName,
        entry: NewEntry,
    },
    /// Removes sessions that were used last before an instant.
    Tidy {
        before: DateTime<Utc>,
        limit: usize,
    },
}

impl UserCommand {
    /// In whose audit log it stands.
    pub(in crate::stores) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::AddAccount(account, _) | Self::ChangeAccount(account, _) => Some(account.tenant),
            Self::RemoveAccount { tenant, .. } => Some(*tenant),
            Self::Open { .. } | Self::Renew(_) | Self::End(_) | Self::Tidy { .. } => None,
        }
    }

    pub(in crate::stores) fn bytes(&self) -> usize {
        match self {
            Self::Open { session, .. } => size_of::<Session>() + session.sealed.as_ref().map_or(0, Vec::len),
            Self::Renew(renewal) => {
                let sealed = renewal.checked.as_ref().and_then(|checked| checked.sealed.as_ref());
                size_of::<Renewal>() + sealed.map_or(0, Vec::len)
            }
            Self::AddAccount(_, entry) | Self::ChangeAccount(_, entry) => size_of::<Account>() + entry.details.len(),
            Self::End(_) | Self::RemoveAccount { .. } | Self::Tidy { .. } => 0,
        }
    }

    pub(in crate::stores) const fn background_rows(&self) -> usize {
        match self {
            Self::Tidy { limit, .. } => *limit,
            _ => 0,
        }
    }
}
