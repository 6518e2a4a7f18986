//! What decides about a booking inside a store: the key, the token, the places of the slot, the counted rules. It
//! reads what it needs through [`Evidence`] and writes nothing, so it serves every store, the writer that judges inside
//! the transaction that books and the reader that says what a booking would come to.

use chrono::{DateTime, Utc};
use domain::callback::Callback;
use domain::explain::{Counted, Tally};
use domain::ids::{CallbackId, HoldId};
use domain::ports::{Booked, Change, Preview};
use domain::queue::ThrottleWindow;
use domain::throttle::{Day, Duplicates, LimitReached, LimitRule, OnDuplicate, replacement};

use super::command::Book;
use super::idempotency::{Keyed, Known, Operation};
use super::names::QueueKey;
use super::rows::{millis, stored};

/// Queue, slot, desired time, end of a hold.
pub(super) type HoldRow = (i64, i64, i64, i64);

/// A slot: queue and start.
pub(super) type Slot = (i64, DateTime<Utc>);

/// What a booking is judged by, as it is at that moment.
pub(super) trait Evidence {
    /// Why it cannot be read.
    type Error;

    /// What is known of a key.
    fn known(&mut self, keyed: &Keyed<'_>) -> Result<Known, Self::Error>;

    /// Whether a token came with an earlier booking of the tenant.
    fn is_token_used(&mut self, tenant: i64, token: &[u8; 16]) -> Result<bool, Self::Error>;

    /// A hold of a tenant, whether its time is over or not.
    fn hold(&mut self, tenant: i64, id: HoldId) -> Result<Option<HoldRow>, Self::Error>;

    /// The callbacks of a queue and number that wait (and whose customers do not talk to an agent yet), oldest first.
    fn oldest_waiting(&mut self, of: (i64, i64), limit: u32) -> Result<Vec<CallbackId>, Self::Error>;

    /// The newest of them.
    fn newest_waiting(&mut self, of: (i64, i64)) -> Result<Option<CallbackId>, Self::Error>;

    /// One of them, in the queue of `book`.
    fn callback(&mut self, book: &Book, key: QueueKey, id: CallbackId) -> Result<Option<Callback>, Self::Error>;

    /// Places taken in a slot of so many. Holds whose time is over at `at` count no more, and need only be looked for if
    /// it is full with them.
    fn places_taken(&mut self, slot: Slot, places: u32, at: DateTime<Utc>) -> Result<i64, Self::Error>;

    /// Active callbacks of a queue.
    fn depth(&mut self, queue: i64) -> Result<i64, Self::Error>;

    /// Bookings of a value on the day with that end.
    fn value_count(&mut self, queue: i64, ends_at: DateTime<Utc>, value: &[u8; 16]) -> Result<i64, Self::Error>;

    /// Bookings in a window that count at `at`.
    fn window_count(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> Result<i64, Self::Error>;

    /// The same by parts, each with the instant until which it counts.
    fn window_counts(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> Result<Vec<(i64, i64)>, Self::Error>;
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
pub(super) struct Judge<'a, E> {
    evidence: &'a mut E,
    book: &'a Book,
    key: QueueKey,
    /// What was counted so far, if anybody wants to know.
    tallies: Option<Vec<Tally>>,
}

impl<'a, E: Evidence> Judge<'a, E> {
    pub(super) fn new(evidence: &'a mut E, book: &'a Book, key: QueueKey) -> Self {
        Self { evidence, book, key, tallies: None }
    }

    /// What the booking would come to, and what is counted for that.
    pub(super) fn foretell(self) -> Result<Preview, E::Error> {
        let mut judge = Self { tallies: Some(Vec::new()), ..self };
        let refused = match judge.repeated()? {
            None => judge.hold()?,
            repeated => repeated,
        };
        let booked = match refused {
            Some(answer) => answer,
            None => match judge.counted()? {
                Verdict::Keep(None) => Booked::New,
                Verdict::Keep(Some(end)) => Booked::Replaced { id: end.callback.id, from: end.from },
                Verdict::Answer(answer) => answer,
            },
        };
        Ok(Preview { booked, tallies: judge.tallies.unwrap_or_default() })
    }

    /// What is decided before anything is counted: the key was used, or the token was.
    pub(super) fn repeated(&mut self) -> Result<Option<Booked>, E::Error> {
        if let Some(known) = self.evidence.known(&self.book.keyed(self.key))?.booked() {
            return Ok(Some(known));
        }
        let Some(token) = &self.book.captcha else { return Ok(None) };
        let used = self.evidence.is_token_used(self.key.tenant, token)?;
        Ok(used.then_some(Booked::TokenUsed))
    }

    /// The places of the slot and the counted rules.
    pub(super) fn counted(&mut self) -> Result<Verdict, E::Error> {
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
    pub(super) fn hold(&mut self) -> Result<Option<Booked>, E::Error> {
        let Some(hold) = self.book.hold else { return Ok(None) };
        Ok(match self.evidence.hold(self.key.tenant, hold)? {
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

    fn duplicate(&mut self, rule: Duplicates) -> Result<(Duplicate, Option<Tally>), E::Error> {
        let of = (self.key.queue, stored(self.book.callback.phone.digits()));
        let waiting = self.evidence.oldest_waiting(of, rule.limit)?;
        let counted = waiting.len() as u64;
        let tally = Tally { of: Counted::Limit(LimitRule::Duplicates), counted, limit: rule.limit };
        let Some(oldest) = waiting.into_iter().next().filter(|_| tally.is_full()) else {
            return Ok((Duplicate::None, Some(tally)));
        };
        let duplicate = match rule.then {
            OnDuplicate::Refuse => {
                Duplicate::Refused(LimitReached { rule: LimitRule::Duplicates, limit: rule.limit, until: None })
            }
            OnDuplicate::ReturnExisting => Duplicate::Existing(self.evidence.newest_waiting(of)?.unwrap_or(oldest)),
            OnDuplicate::Replace => {
                let change = self.end_of(oldest)?;
                change.map_or(Duplicate::None, |change| Duplicate::Replaced(Box::new(change)))
            }
        };
        Ok((duplicate, Some(tally)))
    }

    /// The end of a waiting callback of the booking's queue, as its own machine has it.
    fn end_of(&mut self, id: CallbackId) -> Result<Option<Change>, E::Error> {
        let Some(before) = self.evidence.callback(self.book, self.key, id)? else { return Ok(None) };
        Ok(replacement(&before, self.book.booked_at).map(|change| Change {
            announcement: self.book.on_replaced.as_ref().and_then(|told| told.announcement(&change.callback)),
            ..change
        }))
    }

    fn is_slot_full(&mut self, replaced: Option<&Change>) -> Result<bool, E::Error> {
        // A booking with a hold has its place already.
        let Some(start) = self.book.callback.slot.filter(|_| self.book.hold.is_none()) else { return Ok(false) };
        let freed = replaced.is_some_and(|change| change.saving.give_back == Some(start));
        let places = self.book.slot_capacity.saturating_add(u32::from(freed));
        let taken = self.evidence.places_taken((self.key.queue, start), places, self.book.booked_at)?;
        let taken = taken - i64::from(freed);
        self.tell(|| Counted::Slot(start), taken, self.book.slot_capacity);
        Ok(taken >= i64::from(self.book.slot_capacity))
    }

    /// The first of the throttles that refuses; `leaves` if an active callback ends for this one.
    fn throttle(&mut self, leaves: bool) -> Result<Option<LimitReached>, E::Error> {
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
        let active = self.evidence.depth(self.key.queue)? - i64::from(leaves);
        self.tell(|| Counted::Limit(LimitRule::Depth), active, limit);
        let reached = active >= i64::from(limit);
        Ok(reached.then_some(LimitReached { rule: LimitRule::Depth, limit, until: None }))
    }

    fn day_reached(&mut self, day: &Day) -> Result<Option<LimitReached>, E::Error> {
        for value in &day.values {
            let booked = self.evidence.value_count(self.key.queue, day.ends_at, &value.blinded)?;
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

    fn window_reached(&mut self, window: ThrottleWindow, at: DateTime<Utc>) -> Result<Option<LimitReached>, E::Error> {
        let booked = self.evidence.window_count(self.key.queue, window.seconds, at)?;
        let rule = LimitRule::Window { seconds: window.seconds };
        self.tell(|| Counted::Limit(rule.clone()), booked, window.limit);
        if booked < i64::from(window.limit) {
            return Ok(None);
        }
        let counts = self.evidence.window_counts(self.key.queue, window.seconds, at)?;
        let part = |(until, booked): (i64, i64)| {
            Some((DateTime::from_timestamp_millis(until)?, u32::try_from(booked).unwrap_or(u32::MAX)))
        };
        let counts: Vec<_> = counts.into_iter().filter_map(part).collect();
        Ok(Some(LimitReached { rule, limit: window.limit, until: window.passes_at(&counts) }))
    }
}
