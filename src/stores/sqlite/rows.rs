//! Rows of `callbacks`: read and written.

use diesel::sql_types::{BigInt, Nullable, Text};
use domain::callback::{Callback, Reason};
use domain::ids::SessionId;

use super::names::QueueKey;
use super::statement::{Bind, statements};
pub(super) use crate::stores::rows::*;

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
