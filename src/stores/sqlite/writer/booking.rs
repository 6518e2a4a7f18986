//! Bookings, and the slots that bookings and steps take and give back.

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel::{QueryResult, SqliteConnection};
use domain::callback::Cause;
use domain::ids::CallbackId;
use domain::ports::{Booked, SlotClaim};

use super::super::command::Book;
use super::super::names::QueueKey;
use super::super::rows::{InsertCallback, insert_binds, millis};
use super::super::statement::{execute, first, statements};
use super::idempotency::{self, Known, Operation};
use super::{AddHistory, Writer};

statements! {
    AddDetails -> (BigInt) = "INSERT INTO details (options, user_data) VALUES (?, ?) RETURNING id";
    TakeSlot = "INSERT INTO slots (queue, start, booked) SELECT ?, ?, 1 WHERE ? > 0
        ON CONFLICT (queue, start) DO UPDATE SET booked = booked + 1 WHERE booked < ?";
    GiveSlotBack = "UPDATE slots SET booked = booked - 1 WHERE queue = ? AND start = ? AND booked > 0";
}

impl Writer {
    /// Everything that can refuse comes before the first write of the booking itself, so that a refusal
    /// leaves nothing to undo.
    pub(super) fn book(&mut self, book: &Book) -> QueryResult<Booked> {
        let callback = &book.callback;
        let key = self.fresh.resolve(&self.names, &mut self.connection, callback.tenant, &callback.queue)?;
        let keyed = idempotency::Keyed {
            tenant: key.tenant,
            operation: Operation::Create,
            idempotency: book.idempotency.as_ref(),
            at: book.booked_at,
        };
        match keyed.find(&mut self.connection)? {
            Known::Not => {}
            Known::Made(id) => return Ok(Booked::Existing(CallbackId::from_uuid(id))),
            Known::Reused => return Ok(Booked::KeyReused),
        }
        if let Some(start) = callback.slot {
            let claim = SlotClaim { start, capacity: book.slot_capacity };
            if !take_slot(&mut self.connection, key, claim)? {
                return Ok(Booked::SlotFull);
            }
        }
        let uuid = callback.id.as_uuid();
        let id = uuid.as_bytes().as_slice();
        let details = self.add_details(book.options.as_deref(), book.user_data.as_deref())?;
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
        keyed.remember(&mut self.connection, id)?;
        Ok(Booked::New)
    }

    /// The row of the rare members and user data of something; none if there is neither.
    pub(super) fn add_details(&mut self, options: Option<&[u8]>, user_data: Option<&[u8]>) -> QueryResult<Option<i64>> {
        if options.is_none() && user_data.is_none() {
            return Ok(None);
        }
        let row: Option<(i64,)> = first::<AddDetails, _>(&mut self.connection, &[options.into(), user_data.into()])?;
        Ok(row.map(|(id,)| id))
    }
}

/// Takes one place if there is one. One statement per taker: takers of one batch are decided in the order
/// of their arrival, and the last place goes once.
pub(super) fn take_slot(connection: &mut SqliteConnection, key: QueueKey, claim: SlotClaim) -> QueryResult<bool> {
    let capacity = i64::from(claim.capacity);
    let binds = [key.queue.into(), millis(claim.start).into(), capacity.into(), capacity.into()];
    Ok(execute::<TakeSlot>(connection, &binds)? > 0)
}

/// Gives a place back. A slot that is past and purged needs none.
pub(super) fn give_slot_back(connection: &mut SqliteConnection, key: QueueKey, at: DateTime<Utc>) -> QueryResult<()> {
    execute::<GiveSlotBack>(connection, &[key.queue.into(), millis(at).into()]).map(|_| ())
}
