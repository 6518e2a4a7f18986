//! Rows of `callbacks` and `history`, to the domain's types and back.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text};
use domain::callback::{Callback, Cause, Devices, HandOff, Originated, Reason, State};
use domain::ids::{CallbackId, Incarnation, QueueName, SessionId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{HistoryEntry, StoreError};

use super::names::QueueKey;
use super::statement::{Bind, statements};

/// The format of rows that this program writes. Rows of a higher one are left alone.
pub(super) const FORMAT: i64 = 1;

statements! {
    LoadCallback -> (
        BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt,
        Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>, Nullable<Text>, Nullable<Text>,
        BigInt, Nullable<BigInt>, Nullable<BigInt>,
    ) = "SELECT format, version, queue, phone, state, hand_off, attempt, refusals, last_seq, dialled, owes_terminate,
        desired_time, expires_at, start_at, wake_at, owner, ended_at, slot, session, reason, devices, turn_seconds,
        turn_until FROM callbacks WHERE id = ? AND tenant = ?";
    InsertCallback = "INSERT INTO callbacks (id, format, version, tenant, queue, phone, state, hand_off, attempt,
        refusals, last_seq, dialled, owes_terminate, desired_time, expires_at, start_at, wake_at, owner, ended_at,
        slot, session, reason, details, devices, turn_seconds, turn_until)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
}

/// The columns of [`LoadCallback`].
pub(super) type CallbackRow = (
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

/// An instant as stored.
pub(super) fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// A stored instant.
pub(super) fn instant(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| unreadable("an instant is out of range"))
}

pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}

pub(super) fn small(value: i64, what: &str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| unreadable(&format!("{what} is out of range")))
}

/// The state with that number.
pub(super) fn state(code: i64) -> Result<State, StoreError> {
    let state = i16::try_from(code).ok().and_then(State::from_code);
    state.ok_or_else(|| unreadable("a state is not known"))
}

/// The hand-off with that number.
pub(super) fn hand_off(code: i64) -> Result<HandOff, StoreError> {
    let hand_off = i16::try_from(code).ok().and_then(HandOff::from_code);
    hand_off.ok_or_else(|| unreadable("a hand-off is not known"))
}

/// Whether a row's format is one that this program reads.
pub(super) fn check_format(format: i64) -> Result<(), StoreError> {
    if format == FORMAT { Ok(()) } else { Err(unreadable(&format!("the row has format {format}"))) }
}

/// Makes a callback of its row; `queue` is the name of the row's queue.
pub(super) fn callback(
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
        entered: false,
    })
}

fn originated(seconds: Option<i64>, until: Option<i64>) -> Result<Option<Originated>, StoreError> {
    let Some(seconds) = seconds else { return Ok(None) };
    let within_seconds = small(seconds, "a time to call in")?;
    Ok(Some(Originated { within_seconds, until: until.map(instant).transpose()? }))
}

/// Until when the customer may call in, as stored.
pub(super) fn turn_until(callback: &Callback) -> Option<i64> {
    callback.originated?.until.map(millis)
}

/// Refuses what no column can hold, before it is queued.
pub(super) fn check_storable(callback: &Callback) -> Result<(), StoreError> {
    let fits = i64::try_from(callback.phone.digits()).is_ok() && i64::try_from(callback.last_seq).is_ok();
    if fits { Ok(()) } else { Err(StoreError::NotDone("a number is larger than a column".to_owned())) }
}

/// A number that [`check_storable`] has let pass.
pub(super) fn stored(value: u64) -> i64 {
    debug_assert!(i64::try_from(value).is_ok(), "checked before it was queued");
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Values of [`InsertCallback`].
pub(super) fn insert_binds<'a>(
    callback: &'a Callback,
    id: &'a [u8],
    key: QueueKey,
    details: Option<i64>,
) -> [Bind<'a>; 26] {
    [
        id.into(),
        FORMAT.into(),
        i64::from(callback.version).into(),
        key.tenant.into(),
        key.queue.into(),
        stored(callback.phone.digits()).into(),
        i64::from(callback.state.code()).into(),
        i64::from(callback.hand_off.code()).into(),
        i64::from(callback.attempt).into(),
        i64::from(callback.refusals).into(),
        stored(callback.last_seq).into(),
        i64::from(callback.dialled).into(),
        i64::from(callback.owes_terminate).into(),
        millis(callback.desired_time).into(),
        millis(callback.expires_at).into(),
        millis(callback.start_at).into(),
        callback.wake_at.map(millis).into(),
        callback.owner.map(|owner| owner.0).into(),
        callback.ended_at.map(millis).into(),
        callback.slot.map(millis).into(),
        callback.session.as_ref().map(SessionId::as_str).into(),
        callback.reason.as_ref().map(Reason::as_str).into(),
        details.into(),
        i64::from(callback.devices.code()).into(),
        callback.originated.map(|it| i64::from(it.within_seconds)).into(),
        turn_until(callback).into(),
    ]
}

/// States as octal digits, the first one highest; 0 is none.
pub(super) fn implied_code(states: &[State]) -> i64 {
    states.iter().fold(0, |code, state| code * 8 + i64::from(state.code()) + 1)
}

pub(super) fn implied(mut code: i64) -> Result<Vec<State>, StoreError> {
    let mut states = Vec::new();
    while code > 0 {
        states.push(state(code % 8 - 1)?);
        code /= 8;
    }
    states.reverse();
    Ok(states)
}

/// Version, instant, cause, state, implied states, attempt.
pub(super) type HistoryRow = (i64, i64, i64, i64, i64, i64);

/// Makes a history entry of its row.
pub(super) fn history_entry(row: HistoryRow) -> Result<HistoryEntry, StoreError> {
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
