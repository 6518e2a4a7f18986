//! Counted rules: judged inside the transaction of the booking, before its first write, and counted with it.
//!
//! There is one writer, so whatever a command counts stays as it is until the command is done: nothing has to be
//! locked. Commands of one batch are applied one after the other, so each sees what those before it booked.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Binary};
use domain::callback::State;
use domain::ids::CallbackId;
use domain::ports::{Booked, Change};
use domain::queue::ThrottleWindow;
use domain::throttle::{Day, Duplicates, LimitReached, LimitRule, OnDuplicate, replacement};
use uuid::Uuid;

use super::super::command::Book;
use super::super::names::QueueKey;
use super::super::rows::{CallbackRow, FORMAT, LoadCallback, callback, millis, stored};
use super::super::statement::{execute, first, rows, statements};
use super::Writer;

statements! {
    // A callback whose customer talks to an agent (state 3) waits no more.
    OldestWaiting -> (Binary) = "SELECT id FROM callbacks
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND state < 3 AND format = ? ORDER BY id LIMIT ?";
    NewestWaiting -> (Binary) = "SELECT id FROM callbacks
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND state < 3 AND format = ? ORDER BY id DESC LIMIT 1";
    PlacesTakenAt -> (BigInt) = "SELECT booked FROM slots WHERE queue = ? AND start = ?";
    ValueCount -> (BigInt) = "SELECT booked FROM counted_values WHERE queue = ? AND ends_at = ? AND value = ?";
    CountValue = "INSERT INTO counted_values (queue, ends_at, value, booked) VALUES (?, ?, ?, 1)
        ON CONFLICT (queue, ends_at, value) DO UPDATE SET booked = booked + 1";
    WindowCount -> (BigInt) = "SELECT coalesce(sum(booked), 0) FROM counted_windows
        WHERE queue = ? AND seconds = ? AND ends_at > ?";
    WindowCounts -> (BigInt, BigInt) = "SELECT ends_at, booked FROM counted_windows
        WHERE queue = ? AND seconds = ? AND ends_at > ? ORDER BY ends_at";
    CountInWindow -> (BigInt) = "INSERT INTO counted_windows (queue, seconds, ends_at, booked) VALUES (?, ?, ?, 1)
        ON CONFLICT (queue, seconds, ends_at) DO UPDATE SET booked = booked + 1 RETURNING booked";
    ForgetPastParts = "DELETE FROM counted_windows WHERE queue = ? AND seconds = ? AND ends_at <= ?";
    Depth -> (BigInt) = "SELECT active FROM queue_depths WHERE queue = ?";
    Enter = "INSERT INTO queue_depths (queue, active) VALUES (?, 1)
        ON CONFLICT (queue) DO UPDATE SET active = active + 1";
    Leave = "UPDATE queue_depths SET active = active - 1 WHERE queue = ? AND active > 0";
}

/// What the counted rules make of a booking.
pub(super) enum Verdict {
    /// It may be kept, once this other callback, if there is one, has ended.
    Keep(Option<Box<Change>>),
    /// It is not kept.
    Answer(Booked),
}

/// What the number of a booking makes of it.
enum Duplicate {
    None,
    Refused(LimitReached),
    Existing(CallbackId),
    Replaced(Box<Change>),
}

impl Writer {
    /// Judges and writes nothing. A queue without counted rules costs nothing here.
    pub(super) fn judge_limits(&mut self, book: &Book, key: QueueKey) -> QueryResult<Verdict> {
        if book.limits.is_empty() {
            return Ok(Verdict::Keep(None));
        }
        let duplicate = match book.limits.duplicates {
            Some(rule) => self.duplicate(book, key, rule)?,
            None => Duplicate::None,
        };
        let replaced = if let Duplicate::Replaced(change) = &duplicate { Some(change.as_ref()) } else { None };
        // Who hears of a full slot can choose another, so that comes first.
        if self.is_slot_full(book, key, replaced)? {
            return Ok(Verdict::Answer(Booked::SlotFull));
        }
        let replaced = match duplicate {
            Duplicate::Refused(reached) => return Ok(Verdict::Answer(Booked::Limited(reached))),
            Duplicate::Existing(id) => return Ok(Verdict::Answer(Booked::Duplicate(id))),
            Duplicate::Replaced(change) => Some(change),
            Duplicate::None => None,
        };
        let leaves = replaced.as_ref().is_some_and(|change| change.from.is_active());
        match self.throttle(book, key, leaves)? {
            Some(reached) => Ok(Verdict::Answer(Booked::Limited(reached))),
            None => Ok(Verdict::Keep(replaced)),
        }
    }

    fn duplicate(&mut self, book: &Book, key: QueueKey, rule: Duplicates) -> QueryResult<Duplicate> {
        let phone = stored(book.callback.phone.digits());
        let binds = [key.queue.into(), phone.into(), FORMAT.into(), i64::from(rule.limit).into()];
        let waiting: Vec<(Vec<u8>,)> = rows::<OldestWaiting, _>(&mut self.connection, &binds)?;
        let reached = i64::try_from(waiting.len()).unwrap_or(i64::MAX) >= i64::from(rule.limit);
        let Some((oldest,)) = waiting.into_iter().next().filter(|_| reached) else { return Ok(Duplicate::None) };
        match rule.then {
            OnDuplicate::Refuse => {
                Ok(Duplicate::Refused(LimitReached { rule: LimitRule::Duplicates, limit: rule.limit, until: None }))
            }
            OnDuplicate::ReturnExisting => {
                let binds = [key.queue.into(), phone.into(), FORMAT.into()];
                let newest: Option<(Vec<u8>,)> = first::<NewestWaiting, _>(&mut self.connection, &binds)?;
                Ok(Duplicate::Existing(callback_id(&newest.map_or(oldest, |(id,)| id))?))
            }
            OnDuplicate::Replace => {
                let change = self.end_of(callback_id(&oldest)?, book, key)?;
                Ok(change.map_or(Duplicate::None, |change| Duplicate::Replaced(Box::new(change))))
            }
        }
    }

    /// The end of a waiting callback of the booking's queue, as its own machine has it.
    fn end_of(&mut self, id: CallbackId, book: &Book, key: QueueKey) -> QueryResult<Option<Change>> {
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), key.tenant.into()];
        let Some(row) = first::<LoadCallback, CallbackRow>(&mut self.connection, &binds)? else { return Ok(None) };
        let before = callback(id, book.callback.tenant, book.callback.queue.clone(), row).map_err(unreadable)?;
        Ok(replacement(&before, book.booked_at).map(|change| Change {
            announcement: book.on_replaced.as_ref().and_then(|told| told.announcement(&change.callback)),
            ..change
        }))
    }

    fn is_slot_full(&mut self, book: &Book, key: QueueKey, replaced: Option<&Change>) -> QueryResult<bool> {
        let Some(start) = book.callback.slot.filter(|_| book.hold.is_none()) else { return Ok(false) };
        let freed = replaced.is_some_and(|change| change.saving.give_back == Some(start));
        // A place that is about to be given back counts as one more.
        let places = book.slot_capacity.saturating_add(u32::from(freed));
        Ok(!self.has_place(key.queue, start, places, book.booked_at)?)
    }

    /// Whether a slot of so many places has one left.
    pub(super) fn has_place(
        &mut self,
        queue: i64,
        start: DateTime<Utc>,
        places: u32,
        at: DateTime<Utc>,
    ) -> QueryResult<bool> {
        let left = self.places_taken_at(queue, start)? < i64::from(places);
        Ok(left || self.free_lapsed(queue, start, at)? && self.places_taken_at(queue, start)? < i64::from(places))
    }

    fn places_taken_at(&mut self, queue: i64, start: DateTime<Utc>) -> QueryResult<i64> {
        let taken: Option<(i64,)> =
            first::<PlacesTakenAt, _>(&mut self.connection, &[queue.into(), millis(start).into()])?;
        Ok(taken.map_or(0, |(booked,)| booked))
    }

    /// The first of the throttles that refuses; `leaves` if an active callback ends for this one.
    fn throttle(&mut self, book: &Book, key: QueueKey, leaves: bool) -> QueryResult<Option<LimitReached>> {
        if let Some(day) = &book.limits.day
            && let Some(reached) = self.day_reached(day, key)?
        {
            return Ok(Some(reached));
        }
        for window in &book.limits.windows {
            if let Some(reached) = self.window_reached(*window, key, book.booked_at)? {
                return Ok(Some(reached));
            }
        }
        let Some(limit) = book.limits.depth else { return Ok(None) };
        let depth: Option<(i64,)> = first::<Depth, _>(&mut self.connection, &[key.queue.into()])?;
        let active = depth.map_or(0, |(active,)| active) - i64::from(leaves);
        let reached = active >= i64::from(limit);
        Ok(reached.then_some(LimitReached { rule: LimitRule::Depth, limit, until: None }))
    }

    fn day_reached(&mut self, day: &Day, key: QueueKey) -> QueryResult<Option<LimitReached>> {
        for value in &day.values {
            let binds = [key.queue.into(), millis(day.ends_at).into(), value.blinded.as_slice().into()];
            let booked: Option<(i64,)> = first::<ValueCount, _>(&mut self.connection, &binds)?;
            if booked.map_or(0, |(booked,)| booked) >= i64::from(day.limit) {
                let rule = LimitRule::Day { parameter: value.parameter.clone() };
                // Where none is allowed, another day changes nothing.
                let until = (day.limit > 0).then_some(day.ends_at);
                return Ok(Some(LimitReached { rule, limit: day.limit, until }));
            }
        }
        Ok(None)
    }

    fn window_reached(
        &mut self,
        window: ThrottleWindow,
        key: QueueKey,
        at: DateTime<Utc>,
    ) -> QueryResult<Option<LimitReached>> {
        let binds = [key.queue.into(), i64::from(window.seconds).into(), millis(at).into()];
        let booked: Option<(i64,)> = first::<WindowCount, _>(&mut self.connection, &binds)?;
        if booked.map_or(0, |(booked,)| booked) < i64::from(window.limit) {
            return Ok(None);
        }
        let counts: Vec<(i64, i64)> = rows::<WindowCounts, _>(&mut self.connection, &binds)?;
        let part = |(until, booked): (i64, i64)| {
            Some((DateTime::from_timestamp_millis(until)?, u32::try_from(booked).unwrap_or(u32::MAX)))
        };
        let counts: Vec<_> = counts.into_iter().filter_map(part).collect();
        let rule = LimitRule::Window { seconds: window.seconds };
        Ok(Some(LimitReached { rule, limit: window.limit, until: window.passes_at(&counts) }))
    }

    /// Counts a booking that is kept.
    pub(super) fn count_booking(&mut self, book: &Book, key: QueueKey) -> QueryResult<()> {
        if let Some(day) = &book.limits.day {
            for value in &day.values {
                let binds = [key.queue.into(), millis(day.ends_at).into(), value.blinded.as_slice().into()];
                execute::<CountValue>(&mut self.connection, &binds)?;
            }
        }
        for window in &book.limits.windows {
            let (seconds, until) = (i64::from(window.seconds), window.counts_until(book.booked_at));
            let binds = [key.queue.into(), seconds.into(), millis(until).into()];
            let booked: Option<(i64,)> = first::<CountInWindow, _>(&mut self.connection, &binds)?;
            if booked == Some((1,)) {
                // A part begins: those that count no more go, so that a window never has more than its 61.
                let binds = [key.queue.into(), seconds.into(), millis(book.booked_at).into()];
                execute::<ForgetPastParts>(&mut self.connection, &binds)?;
            }
        }
        Ok(())
    }

    /// Counts a callback in or out of the depth of its queue when its state goes from `before` to `after`; `before` is
    /// none for a new one.
    pub(super) fn count_depth(&mut self, queue: i64, before: Option<State>, after: State) -> QueryResult<()> {
        match (before.is_some_and(State::is_active), after.is_active()) {
            (false, true) => execute::<Enter>(&mut self.connection, &[queue.into()]).map(|_| ()),
            (true, false) => execute::<Leave>(&mut self.connection, &[queue.into()]).map(|_| ()),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

fn callback_id(bytes: &[u8]) -> QueryResult<CallbackId> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}
