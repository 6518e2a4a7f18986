//! Bookings, and the slots that bookings and steps take and give back.

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel::{QueryResult, SqliteConnection};
use domain::callback::Cause;
use domain::ports::{Booked, Change, SlotClaim};

use super::super::command::Book;
use super::super::judge::{Judge, Verdict};
use super::super::names::QueueKey;
use super::super::rows::{InsertCallback, insert_binds, millis};
use super::super::statement::{execute, first, statements};
use super::idempotency::{Keyed, Keys as _, Known};
use super::{AddHistory, Writer};

statements! {
    AddToken = "INSERT INTO captcha_tokens (tenant, token, at) VALUES (?, ?, ?)";
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
        let keyed = book.keyed(key);
        if let Some(repeated) = Judge::new(&mut self.connection, book, key).repeated()? {
            return Ok(repeated);
        }
        self.name_first_grid(key, book.grid)?;
        if callback.slot.is_some() && self.is_counted_by_another(key.queue, book.grid)? {
            return Ok(Booked::OtherGrid);
        }
        if let Some(refused) = Judge::new(&mut self.connection, book, key).hold()? {
            return Ok(refused);
        }
        let replaced = match self.judge_limits(book, key)? {
            Verdict::Keep(replaced) => replaced,
            Verdict::Answer(Booked::Duplicate(id)) => {
                keyed.remember(&mut self.connection, id.as_uuid().as_bytes())?;
                self.remember_token(book, key)?;
                return Ok(Booked::Duplicate(id));
            }
            Verdict::Answer(answer) => return Ok(answer),
        };
        let replaced = replaced.map(|change| self.end_for_another(&change)).transpose()?;
        match self.take_booked_place(book, key)? {
            Taken::Place => {}
            Taken::Full => return Ok(Booked::SlotFull),
            Taken::OtherGrid => return Ok(Booked::OtherGrid),
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
        self.count_depth(key.queue, None, callback.state)?;
        self.count_booking(book, key)?;
        keyed.remember(&mut self.connection, id)?;
        self.remember_token(book, key)?;
        if let Some(announcement) = &book.announcement {
            self.announce(callback, &[], announcement, book.booked_at)?;
        }
        Ok(replaced.unwrap_or(Booked::New))
    }

    /// Writes the end of a callback in whose place another is booked.
    fn end_for_another(&mut self, change: &Change) -> QueryResult<Booked> {
        // It was read in this transaction, so nothing can have changed; if it had, nothing of the batch may stay.
        self.save(change)?.map_err(|_| diesel::result::Error::RollbackTransaction)?;
        Ok(Booked::Replaced { id: change.callback.id, from: change.from })
    }

    fn remember_token(&mut self, book: &Book, key: QueueKey) -> QueryResult<()> {
        let Some(token) = &book.captcha else { return Ok(()) };
        let binds = [key.tenant.into(), token.as_slice().into(), millis(book.booked_at).into()];
        execute::<AddToken>(&mut self.connection, &binds).map(|_| ())
    }

    /// The place of the booking's hold if it brings one, else one of its slot if it is in one.
    fn take_booked_place(&mut self, book: &Book, key: QueueKey) -> QueryResult<Taken> {
        match (book.hold, book.callback.slot) {
            (Some(hold), _) => self.take_over(hold, key, book.booked_at).map(|()| Taken::Place),
            (None, Some(start)) => {
                let claim = SlotClaim { start, capacity: book.slot_capacity, grid: book.grid };
                self.take_slot(key, claim, book.booked_at)
            }
            (None, None) => Ok(Taken::Place),
        }
    }

    /// Takes one place if there is one at `at`. One statement per taker: takers of one batch are decided in the order of
    /// their arrival, and the last place goes once.
    pub(super) fn take_slot(&mut self, key: QueueKey, claim: SlotClaim, at: DateTime<Utc>) -> QueryResult<Taken> {
        if self.is_counted_by_another(key.queue, claim.grid)? {
            return Ok(Taken::OtherGrid);
        }
        if claim.capacity == 0 {
            return Ok(Taken::Full);
        }
        let binds = [key.queue.into(), millis(claim.start).into(), i64::from(claim.capacity).into()];
        let taken = execute::<TakeSlot>(&mut self.connection, &binds)? > 0
            || self.free_lapsed(key.queue, claim.start, at)? && execute::<TakeSlot>(&mut self.connection, &binds)? > 0;
        Ok(if taken { Taken::Place } else { Taken::Full })
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

/// What was kept under the key of a booking, if anything was.
pub(in crate::stores::sqlite) fn known_booking(
    keyed: &Keyed<'_>,
    connection: &mut SqliteConnection,
) -> QueryResult<Option<Booked>> {
    keyed.find(connection).map(Known::booked)
}

/// What became of a place that was wanted.
pub(super) enum Taken {
    Place,
    Full,
    OtherGrid,
}

/// Gives a place back. A slot that is past and purged needs none.
pub(super) fn give_slot_back(connection: &mut SqliteConnection, queue: i64, at: DateTime<Utc>) -> QueryResult<()> {
    execute::<GiveSlotBack>(connection, &[queue.into(), millis(at).into()]).map(|_| ())
}
