//! Rows of `call_ins`, to the domain's types and back.

use chrono::{DateTime, Utc};
use domain::call_in::{CallIn, Criteria, State};
use domain::ids::{CallInGroupName, CallInId, CallbackId};
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;
use uuid::Uuid;

use super::{instant, unreadable};

/// Id, state, group, number, code, caller, made, void from, ended, criteria, callback.
pub(in crate::stores) type CallInRow =
    (Vec<u8>, i64, String, i64, Option<i64>, Option<i64>, i64, i64, Option<i64>, i64, Option<Vec<u8>>);

/// The key of a row: tenant and id.
pub(in crate::stores) type RowKey = (i64, Vec<u8>);

/// Digits of a number as a column holds them; 15 digits always fit.
pub(in crate::stores) fn stored_number(number: PhoneNumber) -> i64 {
    i64::try_from(number.digits()).unwrap_or(i64::MAX)
}

fn number(stored: i64) -> Result<PhoneNumber, StoreError> {
    u64::try_from(stored).map(PhoneNumber::from_digits).map_err(|_| unreadable("a phone number is negative"))
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| unreadable("an id is no UUID"))
}

/// Makes a request, as it stands at `now`, of its row.
pub(in crate::stores) fn call_in(row: CallInRow, now: DateTime<Utc>) -> Result<CallIn, StoreError> {
    let (id, state, group, access, code, caller, created_at, expires_at, ended_at, criteria, callback) = row;
    let state = i16::try_from(state).ok().and_then(State::from_code);
    let criteria = i16::try_from(criteria).ok().and_then(Criteria::from_code);
    let expires_at = instant(expires_at)?;
    Ok(CallIn {
        id: CallInId::from_uuid(uuid(&id)?),
        group: CallInGroupName::new(&group).map_err(|_| unreadable("a call-in group has no name"))?,
        number: number(access)?,
        code: code.map(u32::try_from).transpose().map_err(|_| unreadable("an access code is out of range"))?,
        caller: caller.map(number).transpose()?,
        callback: callback.as_deref().map(uuid).transpose()?.map(CallbackId::from_uuid),
        created_at: instant(created_at)?,
        expires_at,
        ended_at: ended_at.map(instant).transpose()?,
        state: state.ok_or_else(|| unreadable("the state of a call-in is not known"))?.at(expires_at, now),
        criteria: criteria.ok_or_else(|| unreadable("the criteria of a call-in are not known"))?,
    })
}
