//! Rows of sessions and local accounts, to the domain's types and back.

use domain::access::{Account, Membership, Session, UserName};
use domain::ports::StoreError;

use super::settings::tenant_id;
use super::{instant, unreadable};

/// Token, user, tenant, membership, made, used, checked, sealed.
pub(in crate::stores) type SessionRow = (Vec<u8>, String, Vec<u8>, String, i64, i64, i64, Option<Vec<u8>>);

/// Name, tenant, password, membership, made.
pub(in crate::stores) type AccountRow = (String, Vec<u8>, String, String, i64);

/// Makes a session of its row.
pub(in crate::stores) fn session(row: SessionRow) -> Result<Session, StoreError> {
    let (token, user, tenant, membership, created_at, used_at, checked_at, sealed) = row;
    Ok(Session {
        token: token.try_into().map_err(|_| unreadable("the hash of a session has not 32 bytes"))?,
        user: user_name(&user)?,
        tenant: tenant_id(&tenant)?,
        membership: read_membership(&membership)?,
        created_at: instant(created_at)?,
        used_at: instant(used_at)?,
        checked_at: instant(checked_at)?,
        sealed,
    })
}

/// Makes an account of its row.
pub(in crate::stores) fn account(row: AccountRow) -> Result<Account, StoreError> {
    let (name, tenant, password, membership, created_at) = row;
    Ok(Account {
        name: user_name(&name)?,
        tenant: tenant_id(&tenant)?,
        password,
        membership: read_membership(&membership)?,
        created_at: instant(created_at)?,
    })
}

fn user_name(text: &str) -> Result<UserName, StoreError> {
    text.parse().map_err(|_| unreadable("the name of a user"))
}

fn read_membership(text: &str) -> Result<Membership, StoreError> {
    serde_json::from_str(text).map_err(|_| unreadable("what is known of a user"))
}

/// A membership as it is stored.
pub(in crate::stores) fn membership_text(membership: &Membership) -> String {
    // Lists of texts: writing them cannot fail.
    serde_json::to_string(membership).unwrap_or_default()
}
