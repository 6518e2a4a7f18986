//! What a booking is judged by, read from this store.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary};
use diesel::{QueryResult, SqliteConnection};
use domain::callback::Callback;
use domain::ids::{CallbackId, HoldId};
use uuid::Uuid;

use super::command::Book;
use super::names::QueueKey;
use super::rows::{CallbackRow, FORMAT, LoadCallback, callback, millis};
use super::statement::{first, rows, statements};
use super::writer::{Keyed, Keys as _, find_hold};
use crate::stores::idempotency::Known;
use crate::stores::judge::{Evidence, HoldRow, Slot};
pub(super) use crate::stores::judge::{Judge, Verdict};

statements! {
    FindToken -> (BigInt) = "SELECT id FROM captcha_tokens WHERE tenant = ? AND token = ?";
    // A callback whose customer talks to an agent (state 3) waits no more.
    OldestWaiting -> (Binary) = "SELECT id FROM callbacks
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND state < 3 AND format = ? ORDER BY id LIMIT ?";
    NewestWaiting -> (Binary) = "SELECT id FROM callbacks
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND state < 3 AND format = ? ORDER BY id DESC LIMIT 1";
    Lapsed -> (BigInt) = "SELECT count(*) FROM holds WHERE queue = ? AND expires_at <= ? AND slot = ?";
    PlacesTakenAt -> (BigInt) = "SELECT booked FROM slots WHERE queue = ? AND start = ?";
    ValueCount -> (BigInt) = "SELECT booked FROM counted_values WHERE queue = ? AND ends_at = ? AND value = ?";
    WindowCount -> (BigInt) = "SELECT coalesce(sum(booked), 0) FROM counted_windows
        WHERE queue = ? AND seconds = ? AND ends_at > ?";
    WindowCounts -> (BigInt, BigInt) = "SELECT ends_at, booked FROM counted_windows
        WHERE queue = ? AND seconds = ? AND ends_at > ? ORDER BY ends_at";
    Depth -> (BigInt) = "SELECT active FROM queue_depths WHERE queue = ?";
}

impl Evidence for SqliteConnection {
    type Error = diesel::result::Error;

    fn known(&mut self, keyed: &Keyed<'_>) -> QueryResult<Known> {
        keyed.find(self)
    }

    fn is_token_used(&mut self, tenant: i64, token: &[u8; 16]) -> QueryResult<bool> {
        Ok(first::<FindToken, (i64,)>(self, &[tenant.into(), token.as_slice().into()])?.is_some())
    }

    fn hold(&mut self, tenant: i64, id: HoldId) -> QueryResult<Option<HoldRow>> {
        find_hold(self, tenant, id)
    }

    fn oldest_waiting(&mut self, (queue, phone): (i64, i64), limit: u32) -> QueryResult<Vec<CallbackId>> {
        let binds = [queue.into(), phone.into(), FORMAT.into(), i64::from(limit).into()];
        let waiting: Vec<(Vec<u8>,)> = rows::<OldestWaiting, _>(self, &binds)?;
        waiting.iter().map(|(id,)| callback_id(id)).collect()
    }

    fn newest_waiting(&mut self, (queue, phone): (i64, i64)) -> QueryResult<Option<CallbackId>> {
        let binds = [queue.into(), phone.into(), FORMAT.into()];
        let newest: Option<(Vec<u8>,)> = first::<NewestWaiting, _>(self, &binds)?;
        newest.map(|(id,)| callback_id(&id)).transpose()
    }

    fn callback(&mut self, book: &Book, key: QueueKey, id: CallbackId) -> QueryResult<Option<Callback>> {
        let (uuid, booked) = (id.as_uuid(), &book.callback);
        let binds = [uuid.as_bytes().as_slice().into(), key.tenant.into()];
        let Some(row) = first::<LoadCallback, CallbackRow>(self, &binds)? else { return Ok(None) };
        callback(id, booked.tenant, booked.queue.clone(), row).map(Some).map_err(unreadable)
    }

    fn places_taken(&mut self, (queue, start): Slot, places: u32, at: DateTime<Utc>) -> QueryResult<i64> {
        places_taken_at(self, queue, start, places, at)
    }

    fn depth(&mut self, queue: i64) -> QueryResult<i64> {
        count(first::<Depth, _>(self, &[queue.into()]))
    }

    fn value_count(&mut self, queue: i64, ends_at: DateTime<Utc>, value: &[u8; 16]) -> QueryResult<i64> {
        count(first::<ValueCount, _>(self, &[queue.into(), millis(ends_at).into(), value.as_slice().into()]))
    }

    fn window_count(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> QueryResult<i64> {
        count(first::<WindowCount, _>(self, &[queue.into(), i64::from(seconds).into(), millis(at).into()]))
    }

    fn window_counts(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> QueryResult<Vec<(i64, i64)>> {
        rows::<WindowCounts, _>(self, &[queue.into(), i64::from(seconds).into(), millis(at).into()])
    }
}

fn count(found: QueryResult<Option<(i64,)>>) -> QueryResult<i64> {
    found.map(|found| found.map_or(0, |(count,)| count))
}

/// Places taken in a slot of so many. Holds whose time is over count no more, and are looked for where it matters.
pub(super) fn places_taken_at(
    connection: &mut SqliteConnection,
    queue: i64,
    start: DateTime<Utc>,
    places: u32,
    at: DateTime<Utc>,
) -> QueryResult<i64> {
    let taken = count(first::<PlacesTakenAt, _>(connection, &[queue.into(), millis(start).into()]))?;
    if taken < i64::from(places) {
        return Ok(taken);
    }
    let lapsed = first::<Lapsed, _>(connection, &[queue.into(), millis(at).into(), millis(start).into()]);
    Ok(taken - count(lapsed)?)
}

fn callback_id(bytes: &[u8]) -> QueryResult<CallbackId> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}
