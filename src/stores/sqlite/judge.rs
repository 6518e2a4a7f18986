//! What decides about a booking inside the store: the key, the token, the places of the slot, the counted rules. It
//! reads and writes nothing, so it serves both: the writer judges with it inside the transaction that books, and a
//! reader for whoever asks what a booking would come to.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary};
use diesel::{QueryResult, SqliteConnection};
use domain::explain::{Counted, Tally};
use domain::ids::CallbackId;
use domain::ports::{Booked, Change};
use domain::queue::ThrottleWindow;
use domain::throttle::{Day, Duplicates, LimitReached, LimitRule, OnDuplicate, replacement};
use uuid::Uuid;

use super::command::Book;
use super::names::QueueKey;
use super::rows::{CallbackRow, FORMAT, LoadCallback, callback, millis, stored};
use super::statement::{first, rows, statements};
use super::writer::{Keyed, Operation, find_hold, known_booking};

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

/// What becomes of a booking.
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

impl Book {
    /// The key that it came with.
    pub(super) fn keyed(&self, key: QueueKey) -> Keyed<'_> {
        let idempotency = self.idempotency.as_ref();
        Keyed { tenant: key.tenant, operation: Operation::Create, idempotency, at: self.booked_at }
    }
}

/// Judges one booking.
pub(super) struct Judge<'a> {
    connection: &'a mut SqliteConnection,
    book: &'a Book,
    key: QueueKey,
    /// What was counted so far, if anybody wants to know.
    tallies: Option<Vec<Tally>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(connection: &'a mut SqliteConnection, book: &'a Book, key: QueueKey) -> Self {
        Self { connection, book, key, tallies: None }
    }

    /// The same, and remembers what it counts.
    pub(super) fn telling(self) -> Self {
        Self { tallies: Some(Vec::new()), ..self }
    }

    /// What was counted for the verdict.
    pub(super) fn into_tallies(self) -> Vec<Tally> {
        self.tallies.unwrap_or_default()
    }

    /// What is decided before anything is counted: the key was used, or the token was.
    pub(super) fn repeated(&mut self) -> QueryResult<Option<Booked>> {
        if let Some(known) = known_booking(&self.book.keyed(self.key), self.connection)? {
            return Ok(Some(known));
        }
        let Some(token) = &self.book.captcha else { return Ok(None) };
        let binds = [self.key.tenant.into(), token.as_slice().into()];
        let used = first::<FindToken, (i64,)>(self.connection, &binds)?.is_some();
        Ok(used.then_some(Booked::TokenUsed))
    }

    /// The places of the slot and the counted rules.
    pub(super) fn counted(&mut self) -> QueryResult<Verdict> {
        let (duplicate, waiting) = match self.book.limits.duplicates {
            Some(rule) => self.duplicate(rule)?,
            None => (Duplicate::None, None),
        };
        let replaced = if let Duplicate::Replaced(change) = &duplicate { Some(change.as_ref()) } else { None };
        // Who hears of a full slot can choose another, so that comes first.
        if self.is_slot_full(replaced)? {
            return Ok(Verdict::Answer(Booked::SlotFull));
        }
        if let (Some(tallies), Some(waiting)) = (&mut self.tallies, waiting) {
            tallies.push(waiting);
        }
        let replaced = match duplicate {
            Duplicate::Refused(reached) => return Ok(Verdict::Answer(Booked::Limited(reached))),
            Duplicate::Existing(id) => return Ok(Verdict::Answer(Booked::Duplicate(id))),
            Duplicate::Replaced(change) => Some(change),
            Duplicate::None => None,
        };
        let leaves = replaced.as_ref().is_some_and(|change| change.from.is_active());
        match self.throttle(leaves)? {
            Some(reached) => Ok(Verdict::Answer(Booked::Limited(reached))),
            None => Ok(Verdict::Keep(replaced)),
        }
    }

    /// Why the booking may not take its hold over; none if it may, or brings none.
    pub(super) fn hold(&mut self) -> QueryResult<Option<Booked>> {
        let Some(hold) = self.book.hold else { return Ok(None) };
        Ok(match find_hold(self.connection, self.key.tenant, hold)? {
            Some((.., expires_at)) if expires_at <= millis(self.book.booked_at) => Some(Booked::HoldGone),
            None => Some(Booked::HoldGone),
            Some((queue, slot, ..)) if queue != self.key.queue || Some(slot) != self.book.callback.slot.map(millis) => {
                Some(Booked::HoldElsewhere)
            }
            Some(_) => None,
        })
    }

    fn tell(&mut self, of: impl FnOnce() -> Counted, counted: i64, limit: u32) {
        if let Some(tallies) = &mut self.tallies {
            tallies.push(Tally { of: of(), counted: u64::try_from(counted).unwrap_or_default(), limit });
        }
    }

    fn duplicate(&mut self, rule: Duplicates) -> QueryResult<(Duplicate, Option<Tally>)> {
        let phone = stored(self.book.callback.phone.digits());
        let binds = [self.key.queue.into(), phone.into(), FORMAT.into(), i64::from(rule.limit).into()];
        let waiting: Vec<(Vec<u8>,)> = rows::<OldestWaiting, _>(self.connection, &binds)?;
        let counted = waiting.len() as u64;
        let tally = Tally { of: Counted::Limit(LimitRule::Duplicates), counted, limit: rule.limit };
        let Some((oldest,)) = waiting.into_iter().next().filter(|_| tally.is_full()) else {
            return Ok((Duplicate::None, Some(tally)));
        };
        let duplicate = match rule.then {
            OnDuplicate::Refuse => {
                Duplicate::Refused(LimitReached { rule: LimitRule::Duplicates, limit: rule.limit, until: None })
            }
            OnDuplicate::ReturnExisting => {
                let binds = [self.key.queue.into(), phone.into(), FORMAT.into()];
                let newest: Option<(Vec<u8>,)> = first::<NewestWaiting, _>(self.connection, &binds)?;
                Duplicate::Existing(callback_id(&newest.map_or(oldest, |(id,)| id))?)
            }
            OnDuplicate::Replace => {
                let change = self.end_of(callback_id(&oldest)?)?;
                change.map_or(Duplicate::None, |change| Duplicate::Replaced(Box::new(change)))
            }
        };
        Ok((duplicate, Some(tally)))
    }

    /// The end of a waiting callback of the booking's queue, as its own machine has it.
    fn end_of(&mut self, id: CallbackId) -> QueryResult<Option<Change>> {
        let (uuid, booked) = (id.as_uuid(), &self.book.callback);
        let binds = [uuid.as_bytes().as_slice().into(), self.key.tenant.into()];
        let Some(row) = first::<LoadCallback, CallbackRow>(self.connection, &binds)? else { return Ok(None) };
        let before = callback(id, booked.tenant, booked.queue.clone(), row).map_err(unreadable)?;
        Ok(replacement(&before, self.book.booked_at).map(|change| Change {
            announcement: self.book.on_replaced.as_ref().and_then(|told| told.announcement(&change.callback)),
            ..change
        }))
    }

    fn is_slot_full(&mut self, replaced: Option<&Change>) -> QueryResult<bool> {
        // A booking with a hold has its place already.
        let Some(start) = self.book.callback.slot.filter(|_| self.book.hold.is_none()) else { return Ok(false) };
        let freed = replaced.is_some_and(|change| change.saving.give_back == Some(start));
        let places = self.book.slot_capacity.saturating_add(u32::from(freed));
        let taken = places_taken_at(self.connection, self.key.queue, start, places, self.book.booked_at)?;
        let taken = taken - i64::from(freed);
        self.tell(|| Counted::Slot(start), taken, self.book.slot_capacity);
        Ok(taken >= i64::from(self.book.slot_capacity))
    }

    /// The first of the throttles that refuses; `leaves` if an active callback ends for this one.
    fn throttle(&mut self, leaves: bool) -> QueryResult<Option<LimitReached>> {
        let book = self.book;
        if let Some(day) = &book.limits.day
            && let Some(reached) = self.day_reached(day)?
        {
            return Ok(Some(reached));
        }
        for window in &book.limits.windows {
            if let Some(reached) = self.window_reached(*window, book.booked_at)? {
                return Ok(Some(reached));
            }
        }
        let Some(limit) = book.limits.depth else { return Ok(None) };
        let depth: Option<(i64,)> = first::<Depth, _>(self.connection, &[self.key.queue.into()])?;
        let active = depth.map_or(0, |(active,)| active) - i64::from(leaves);
        self.tell(|| Counted::Limit(LimitRule::Depth), active, limit);
        let reached = active >= i64::from(limit);
        Ok(reached.then_some(LimitReached { rule: LimitRule::Depth, limit, until: None }))
    }

    fn day_reached(&mut self, day: &Day) -> QueryResult<Option<LimitReached>> {
        for value in &day.values {
            let binds = [self.key.queue.into(), millis(day.ends_at).into(), value.blinded.as_slice().into()];
            let booked: Option<(i64,)> = first::<ValueCount, _>(self.connection, &binds)?;
            let booked = booked.map_or(0, |(booked,)| booked);
            let rule = || LimitRule::Day { parameter: value.parameter.clone() };
            self.tell(|| Counted::Limit(rule()), booked, day.limit);
            if booked >= i64::from(day.limit) {
                // Where none is allowed, another day changes nothing.
                let until = (day.limit > 0).then_some(day.ends_at);
                return Ok(Some(LimitReached { rule: rule(), limit: day.limit, until }));
            }
        }
        Ok(None)
    }

    fn window_reached(&mut self, window: ThrottleWindow, at: DateTime<Utc>) -> QueryResult<Option<LimitReached>> {
        let binds = [self.key.queue.into(), i64::from(window.seconds).into(), millis(at).into()];
        let booked: Option<(i64,)> = first::<WindowCount, _>(self.connection, &binds)?;
        let booked = booked.map_or(0, |(booked,)| booked);
        let rule = LimitRule::Window { seconds: window.seconds };
        self.tell(|| Counted::Limit(rule.clone()), booked, window.limit);
        if booked < i64::from(window.limit) {
            return Ok(None);
        }
        let counts: Vec<(i64, i64)> = rows::<WindowCounts, _>(self.connection, &binds)?;
        let part = |(until, booked): (i64, i64)| {
            Some((DateTime::from_timestamp_millis(until)?, u32::try_from(booked).unwrap_or(u32::MAX)))
        };
        let counts: Vec<_> = counts.into_iter().filter_map(part).collect();
        Ok(Some(LimitReached { rule, limit: window.limit, until: window.passes_at(&counts) }))
    }
}

/// Places taken in a slot of so many. Holds whose time is over count no more, and are looked for where it matters.
pub(super) fn places_taken_at(
    connection: &mut SqliteConnection,
    queue: i64,
    start: DateTime<Utc>,
    places: u32,
    at: DateTime<Utc>,
) -> QueryResult<i64> {
    let count = |found: Option<(i64,)>| found.map_or(0, |(count,)| count);
    let taken = count(first::<PlacesTakenAt, _>(connection, &[queue.into(), millis(start).into()])?);
    if taken < i64::from(places) {
        return Ok(taken);
    }
    let lapsed = first::<Lapsed, _>(connection, &[queue.into(), millis(at).into(), millis(start).into()])?;
    Ok(taken - count(lapsed))
}

fn callback_id(bytes: &[u8]) -> QueryResult<CallbackId> {
    Uuid::from_slice(bytes).map(CallbackId::from_uuid).map_err(unreadable)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(error))
}
