//! Rows as every store has them, to the domain's types and back.

mod call_ins;
pub(super) mod notices;
mod receipts;
pub(in crate::stores) mod settings;
pub(in crate::stores) mod users;

use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Devices, Fate, HandOff, Originated, Reason, State};
use domain::ids::{CallbackId, Incarnation, QueueName, SessionId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{HistoryEntry, StoreError};
use uuid::Uuid;

pub(in crate::stores) use call_ins::{CallInRow, RowKey, call_in, stored_number};
pub(in crate::stores) use receipts::{ReceiptRow, receipt};

/// The format of rows that this program writes. Rows of a higher one are left alone.
pub(in crate::stores) const FORMAT: i64 = 1;

/// The columns of a callback as they are read.
pub(in crate::stores) type CallbackRow = (
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
    Option<i64>,
);

/// A number that is never negative.
pub(in crate::stores) fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// An instant as stored.
pub(in crate::stores) fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// A stored instant.
pub(in crate::stores) fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| unreadable("an instant is out of range"))
}

pub(in crate::stores) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}

pub(in crate::stores) fn small(value: i64, what: &str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| unreadable(&format!("{what} is out of range")))
}

/// The state with that number.
pub(in crate::stores) fn state(code: i64) -> Result<State, StoreError> {
    let state = i16::try_from(code).ok().and_then(State::from_code);
    state.ok_or_else(|| unreadable("a state is not known"))
}

/// The hand-off with that number.
pub(in crate::stores) fn hand_off(code: i64) -> Result<HandOff, StoreError> {
    let hand_off = i16::try_from(code).ok().and_then(HandOff::from_code);
    hand_off.ok_or_else(|| unreadable("a hand-off is not known"))
}

/// Whether a row's format is one that this program reads.
pub(in crate::stores) fn check_format(format: i64) -> Result<(), StoreError> {
    if format == FORMAT { Ok(()) } else { Err(unreadable(&format!("the row has format {format}"))) }
}

/// A stored id.
pub(in crate::stores) fn callback_id(bytes: &[u8]) -> Result<CallbackId, StoreError> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(|_| unreadable("an id is no UUID"))
}

/// How many rows a statement may bring.
pub(in crate::stores) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Makes a callback of its row; `queue` is the name of the row's queue.
pub(in crate::stores) fn callback(
    id: CallbackId,
    tenant: TenantId,
    queue: QueueName,
    row: CallbackRow,
) -> Result<Callback, StoreError> {
    let (format, version, _, phone, state_code, hand_off_code, attempt, refusals, last_seq, dialled, owes, ..) = row;
    let (.., desired, expires, start, wake, owner, ended, slot, session, reason, devices, turn_seconds, turn_until) =
        row;
    check_format(format)?;
    Ok(Callback {
        id,
        tenant,
        queue,
        phone: PhoneNumber::from_digits(u64::try_from(phone).map_err(|_| unreadable("a phone number is negative"))?),
        desired_time: instant(desired)?,
        expires_at: instant(expires)?,
        state: state(state_code)?,
        reason: reason.map(|text| Reason::new(&text)).transpose().map_err(|_| unreadable("a reason is no word"))?,
        version: small(version, "a version")?,
        attempt: small(attempt, "an attempt")?,
        hand_off: hand_off(hand_off_code)?,
        session: session
            .map(|text| SessionId::new(&text))
            .transpose()
            .map_err(|_| unreadable("a session is no name"))?,
        refusals: small(refusals, "a count of refusals")?,
        last_seq: u64::try_from(last_seq).map_err(|_| unreadable("a sequence number is negative"))?,
        dialled: dialled != 0,
        start_at: instant(start)?,
        owner: owner.map(Incarnation),
        wake_at: wake.map(instant).transpose()?,
        owes_terminate: owes != 0,
        ended_at: ended.map(instant).transpose()?,
        slot: slot.map(instant).transpose()?,
        devices: i16::try_from(devices)
            .ok()
            .and_then(Devices::from_code)
            .ok_or_else(|| unreadable("devices are not known"))?,
        originated: originated(turn_seconds, turn_until)?,
        fate: Fate::Unknown,
    })
}

fn originated(seconds: Option<i64>, until: Option<i64>) -> Result<Option<Originated>, StoreError> {
    let Some(seconds) = seconds else { return Ok(None) };
    let within_seconds = small(seconds, "a time to call in")?;
    Ok(Some(Originated { within_seconds, until: until.map(instant).transpose()? }))
}

/// Until when the customer may call in, as stored.
pub(in crate::stores) fn turn_until(callback: &Callback) -> Option<i64> {
    callback.originated?.until.map(millis)
}

/// Refuses what no column can hold, before it is queued.
pub(in crate::stores) fn check_storable(callback: &Callback) -> Result<(), StoreError> {
    let fits = i64::try_from(callback.phone.digits()).is_ok() && i64::try_from(callback.last_seq).is_ok();
    if fits { Ok(()) } else { Err(StoreError::NotDone("a number is larger than a column".to_owned())) }
}

/// A number that [`check_storable`] has let pass.
pub(in crate::stores) fn stored(value: u64) -> i64 {
    debug_assert!(i64::try_from(value).is_ok(), "checked before it was queued");
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// States as octal digits, the first one highest; 0 is none.
pub(in crate::stores) fn implied_code(states: &[State]) -> i64 {
    states.iter().fold(0, |code, state| code * 8 + i64::from(state.code()) + 1)
}

pub(in crate::stores) fn implied(mut code: i64) -> Result<Vec<State>, StoreError> {
    let mut states = Vec::new();
    while code > 0 {
        states.push(state(code % 8 - 1)?);
        code /= 8;
    }
    states.reverse();
    Ok(states)
}

/// Version, instant, cause, state, implied states, attempt.
pub(in crate::stores) type HistoryRow = (i64, i64, i64, i64, i64, i64);

/// Makes a history entry of its row.
pub(in crate::stores) fn history_entry(row: HistoryRow) -> Result<HistoryEntry, StoreError> {
    let (version, at, cause, state_code, implied_states, attempt) = row;
    let cause = i16::try_from(cause).ok().and_then(Cause::from_code);
    Ok(HistoryEntry {
        version: small(version, "a version")?,
        at: instant(at)?,
        cause: cause.ok_or_else(|| unreadable("a cause is not known"))?,
        state: state(state_code)?,
        implied: implied(implied_states)?,
        attempt: small(attempt, "an attempt")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_states_come_back_in_order() {
        for states in [vec![], vec![State::Scheduled], vec![State::Completed, State::Queued], State::ALL.to_vec()] {
            assert_eq!(implied(implied_code(&states)), Ok(states));
        }
    }

    #[test]
    fn rows_of_another_format_are_unreadable() {
        assert_eq!(check_format(FORMAT), Ok(()));
        assert!(matches!(check_format(FORMAT + 1), Err(StoreError::Unreadable(_))));
    }
}
