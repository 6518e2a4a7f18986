//! Bookings, and the slots that bookings and steps take and give back.

use chrono::{DateTime, Duration, Utc};
use diesel::sql_types::{BigInt, Binary};
use diesel::{QueryResult, SqliteConnection};
use domain::callback::{Cause, Idempotency};
use domain::ids::CallbackId;
use domain::ports::{Booked, Change, SlotClaim};
use uuid::Uuid;

use super::super::command::Book;
use super::super::names::QueueKey;
use super::super::rows::{InsertCallback, insert_binds, millis};
use super::super::statement::{execute, first, statements};
use super::limits::Verdict;
use super::{AddHistory, Writer};

/// How long a key makes repetitions recognisable.
pub(in crate::stores::sqlite) const KEY_LIFE: Duration = Duration::hours(24);

/// The operation of a key; call-ins get the next number.
const CREATE: i64 = 0;

statements! {
    FindKey -> (Binary, Binary) = "SELECT callback, body FROM idempotency_keys
        WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    // REPLACE: an expired key that the purge has not reached yet gives way.
    AddKeyRow = "INSERT OR REPLACE INTO idempotency_keys (tenant, operation, key, body, callback, at)
        VALUES (?, ?, ?, ?, ?, ?)";
    AddDetails -> (BigInt) = "INSERT INTO details (options, user_data) VALUES (?, ?) RETURNING id";
    // One row of values, and not a SELECT: for what may write several rows and then fail, SQLite keeps a copy of
    // every page in case that it has to undo that statement alone.
    TakeSlot = "INSERT INTO slots (queue, start, booked) VALUES (?, ?, 1)
        ON CONFLICT (queue, start) DO UPDATE SET booked = booked + 1 WHERE booked < ?";
    GiveSlotBack = "UPDATE slots SET booked = booked - 1 WHERE queue = ? AND start = ? AND booked > 0";
}

impl Writer {
    /// Everything that can refuse comes before the first write of the booking itself, so that a refusal
    /// leaves nothing to undo.
    pub(super) fn book(&mut self, book: &Book) -> QueryResult<Booked> {
        let callback = &book.callback;
        let key = self.fresh.resolve(&self.names, &mut self.connection, callback.tenant, &callback.queue)?;
        if let Some(idempotency) = &book.idempotency
            && let Some(known) = find_key(&mut self.connection, key.tenant, idempotency, book.booked_at)?
        {
            return Ok(known);
        }
        self.name_first_grid(key, book.grid)?;
        if callback.slot.is_some() && self.is_counted_by_another(key.queue, book.grid)? {
            return Ok(Booked::OtherGrid);
        }
        let replaced = match self.judge_limits(book, key)? {
            Verdict::Keep(replaced) => replaced,
            Verdict::Answer(Booked::Duplicate(id)) => {
                self.remember_key(book, key, id)?;
                return Ok(Booked::Duplicate(id));
            }
            Verdict::Answer(answer) => return Ok(answer),
        };
        let replaced = replaced.map(|change| self.end_for_another(&change)).transpose()?;
        if let Some(start) = callback.slot {
            match self.take_slot(key, SlotClaim { start, capacity: book.slot_capacity, grid: book.grid })? {
                Taken::Taken => {}
                Taken::Full => return Ok(Booked::SlotFull),
                Taken::OtherGrid => return Ok(Booked::OtherGrid),
            }
        }
        let uuid = callback.id.as_uuid();
        let id = uuid.as_bytes().as_slice();
        let details = self.add_details(book)?;
        execute::<InsertCallback>(&mut self.connection, &insert_binds(callback, id, key, details))?;
        execute::<AddHistory>(
            &mut self.connection,
            &[
                id.into(),
                i64::from(callback.version).into(),
                millis(book.booked_at).into(),
                (Cause::Booked as i64).into(),
                i64::from(callback.state.code()).into(),
                0.into(),
                i64::from(callback.attempt).into(),
            ],
        )?;
        self.count_depth(key.queue, None, callback.state)?;
        self.count_booking(book, key)?;
        self.remember_key(book, key, callback.id)?;
        Ok(replaced.unwrap_or(Booked::New))
    }

    /// Writes the end of a callback in whose place another is booked.
    fn end_for_another(&mut self, change: &Change) -> QueryResult<Booked> {
        // It was read in this transaction, so nothing can have changed; if it had, nothing of the batch may stay.
        self.save(change)?.map_err(|_| diesel::result::Error::RollbackTransaction)?;
        Ok(Booked::Replaced { id: change.callback.id, from: change.from })
    }

    fn remember_key(&mut self, book: &Book, key: QueueKey, id: CallbackId) -> QueryResult<()> {
        let Some(idempotency) = &book.idempotency else { return Ok(()) };
        let uuid = id.as_uuid();
        let binds = [
            key.tenant.into(),
            CREATE.into(),
            idempotency.key.as_slice().into(),
            idempotency.body.as_slice().into(),
            uuid.as_bytes().as_slice().into(),
            millis(book.booked_at).into(),
        ];
        execute::<AddKeyRow>(&mut self.connection, &binds).map(|_| ())
    }

    /// Takes one place if there is one. One statement per taker: takers of one batch are decided in the order of
    /// their arrival, and the last place goes once.
    pub(super) fn take_slot(&mut self, key: QueueKey, claim: SlotClaim) -> QueryResult<Taken> {
        if self.is_counted_by_another(key.queue, claim.grid)? {
            return Ok(Taken::OtherGrid);
        }
        if claim.capacity == 0 {
            return Ok(Taken::Full);
        }
        let binds = [key.queue.into(), millis(claim.start).into(), i64::from(claim.capacity).into()];
        let taken = execute::<TakeSlot>(&mut self.connection, &binds)? > 0;
        Ok(if taken { Taken::Taken } else { Taken::Full })
    }

    fn add_details(&mut self, book: &Book) -> QueryResult<Option<i64>> {
        if book.options.is_none() && book.user_data.is_none() {
            return Ok(None);
        }
        let binds = [book.options.as_deref().into(), book.user_data.as_deref().into()];
        let row: Option<(i64,)> = first::<AddDetails, _>(&mut self.connection, &binds)?;
        Ok(row.map(|(id,)| id))
    }
}

/// What was kept under a key, if anything was.
pub(in crate::stores::sqlite) fn find_key(
    connection: &mut SqliteConnection,
    tenant: i64,
    idempotency: &Idempotency,
    at: DateTime<Utc>,
) -> QueryResult<Option<Booked>> {
    let binds = [tenant.into(), CREATE.into(), idempotency.key.as_slice().into(), millis(at - KEY_LIFE).into()];
    let Some((callback, body)) = first::<FindKey, (Vec<u8>, Vec<u8>)>(connection, &binds)? else { return Ok(None) };
    if body != idempotency.body {
        return Ok(Some(Booked::KeyReused));
    }
    let id = Uuid::from_slice(&callback).map_err(|error| diesel::result::Error::DeserializationError(error.into()))?;
    Ok(Some(Booked::Existing(CallbackId::from_uuid(id))))
}

/// What became of a place that was wanted.
pub(super) enum Taken {
    Taken,
    Full,
    OtherGrid,
}

/// Gives a place back. A slot that is past and purged needs none.
pub(super) fn give_slot_back(connection: &mut SqliteConnection, queue: i64, at: DateTime<Utc>) -> QueryResult<()> {
    execute::<GiveSlotBack>(connection, &[queue.into(), millis(at).into()]).map(|_| ())
}
