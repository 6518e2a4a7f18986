//! Bookings and steps: what each needs locked, and what becomes of it, decided in memory under those locks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::callback::{Cause, State};
use domain::happening::Announcement;
use domain::ids::CallbackId;
use domain::ports::{Booked, Change, SaveError, SlotClaim, StoreError};
use domain::throttle::OnDuplicate;

use super::super::errors::{Sql, SqlError};
use super::super::keys::Keys;
use super::super::locks::{Locks, Topic, WaitingOf};
use super::super::names::{Names, QueueKey};
use super::super::view::{GridName, Reading, Taken, View};
use super::notices::Announced;
use crate::stores::command::Book;
use crate::stores::judge::{Judge, Verdict};
use crate::stores::rows::{check_format, millis, stored};
use crate::testing::{self, Rule};

/// Bookings and steps that follow each other, decided and not written yet.
#[derive(Default)]
pub(super) struct Run<'b> {
    pub(super) view: View,
    pub(super) books: Vec<(&'b Book, QueueKey)>,
    pub(super) changes: Vec<(Cow<'b, Change>, QueueKey)>,
    /// Holds that are no more: taken over, or found to be over.
    pub(super) gone_holds: Vec<Vec<u8>>,
    /// By how much the depths of queues change.
    pub(super) depths: BTreeMap<i64, i64>,
    /// Bookings that count, by queue, end of the day, and value.
    pub(super) values: BTreeMap<(i64, i64, [u8; 16]), i64>,
    /// The same by queue, length and end of a part.
    pub(super) windows: BTreeMap<(i64, i64, i64), i64>,
    /// Windows of which a part began: queue, length, until when parts count no more.
    pub(super) past_parts: Vec<(i64, i64, i64)>,
    pub(super) announced: Vec<Announced>,
}

/// A queue has got its numbers before the batch began.
pub(super) fn queue_key(names: &Names, callback: &domain::callback::Callback) -> Sql<QueueKey> {
    let key = names.known_queue(callback.tenant, &callback.queue);
    key.ok_or_else(|| SqlError::Unreadable("a queue has no number".to_owned()))
}

/// What a booking needs.
pub(in crate::stores::postgres) fn declare_book(book: &Book, key: QueueKey, locks: &mut Locks, keys: &mut Keys) {
    keys.want(book, key);
    let (callback, limits) = (&book.callback, &book.limits);
    let at = millis(book.booked_at);
    match (book.hold, callback.slot) {
        (Some(hold), _) => {
            locks.holds.insert(hold);
            locks.grid(key.queue);
        }
        (None, Some(start)) => locks.take_slot(key, millis(start), book.slot_capacity, at),
        (None, None) => {}
    }
    if let Some(rule) = limits.duplicates {
        let phone = stored(callback.phone.digits());
        locks.alone(Topic::Waiting, &[&key.queue.to_be_bytes(), &phone.to_be_bytes()]);
        let (tenant, queue, ends) = (callback.tenant, callback.queue.clone(), rule.then == OnDuplicate::Replace);
        let of = locks.waiting.entry((key.queue, phone)).or_insert(WaitingOf { tenant, queue, ends });
        of.ends |= ends;
    }
    if limits.day.is_some() || !limits.windows.is_empty() || limits.depth.is_some() {
        locks.depths.insert(key.queue);
    }
    if let Some(day) = &limits.day {
        locks.values.extend(day.values.iter().map(|value| (key.queue, millis(day.ends_at), value.blinded)));
    }
    if callback.state.is_active() || limits.duplicates.is_some() {
        locks.moving.insert(key.queue);
    }
    if book.announcement.is_some() || book.on_replaced.is_some() {
        locks.telling.insert(key.tenant);
    }
    locks.windows.extend(limits.windows.iter().map(|window| (key.queue, i64::from(window.seconds))));
}

/// What a step needs.
pub(super) fn declare_save(change: &Change, key: QueueKey, locks: &mut Locks) {
    locks.callbacks.insert(change.callback.id);
    if let Some(start) = change.saving.take {
        locks.take_slot(key, millis(start), change.slot_capacity, millis(change.at));
    }
    if let Some(start) = change.saving.give_back {
        locks.slot(key.queue, millis(start));
    }
    if stays(change) {
        locks.grid(key.queue);
    }
    if change.from.is_active() != change.callback.state.is_active() {
        locks.moving.insert(key.queue);
    }
    if change.announcement.is_some() {
        locks.telling.insert(key.tenant);
    }
}

/// Its slot was found to be the same by its grid: by another one it may not be.
fn stays(change: &Change) -> bool {
    let moves_slots = change.saving.take.is_some() || change.saving.give_back.is_some();
    change.saving.cause == Cause::Rescheduled && !moves_slots && change.callback.slot.is_some()
}

impl<'b> Run<'b> {
    pub(super) fn on(view: View) -> Self {
        Self { view, ..Self::default() }
    }

    /// Whether a callback is written by this run already.
    fn touches(&self, id: CallbackId) -> bool {
        self.changes.iter().any(|(change, _)| change.callback.id == id)
            || self.books.iter().any(|(book, _)| book.callback.id == id)
    }

    /// What becomes of a booking. None if that depends on what has to be written first. Everything that can refuse comes
    /// before the first change, so that a refusal leaves nothing to undo.
    pub(super) fn book(&mut self, book: &'b Book, key: QueueKey, keys: &mut Keys) -> Sql<Option<Booked>> {
        let callback = &book.callback;
        let mut reading = Reading { view: &self.view, keys };
        if let Some(repeated) = Judge::new(&mut reading, book, key).repeated()? {
            return Ok(Some(repeated));
        }
        if let Some(grid) = self.view.grids.get_mut(&key.queue).filter(|grid| **grid == GridName::None) {
            *grid = GridName::Named(book.grid.to_string());
        }
        if callback.slot.is_some() && self.view.is_counted_by_another(key.queue, book.grid) {
            return Ok(Some(Booked::OtherGrid));
        }
        let mut reading = Reading { view: &self.view, keys };
        if let Some(refused) = Judge::new(&mut reading, book, key).hold()? {
            return Ok(Some(refused));
        }
        let verdict =
            if book.limits.is_empty() { Verdict::Keep(None) } else { Judge::new(&mut reading, book, key).counted()? };
        let replaced = match verdict {
            Verdict::Keep(Some(change)) if self.touches(change.callback.id) => return Ok(None),
            Verdict::Keep(replaced) => replaced,
            Verdict::Answer(Booked::Duplicate(id)) => {
                keys.remember(book, key, id.as_uuid().as_bytes());
                return Ok(Some(Booked::Duplicate(id)));
            }
            Verdict::Answer(answer) => return Ok(Some(answer)),
        };
        let mut answer = Booked::New;
        if let Some(change) = replaced {
            answer = Booked::Replaced { id: change.callback.id, from: change.from };
            self.change(Cow::Owned(*change), key);
        }
        match self.take_booked_place(book, key) {
            Taken::Place => {}
            // Only one without counted rules, which changed nothing: the others were judged.
            Taken::Full => return Ok(Some(Booked::SlotFull)),
            Taken::OtherGrid => return Ok(Some(Booked::OtherGrid)),
        }
        self.keep(book, key);
        keys.remember(book, key, callback.id.as_uuid().as_bytes());
        Ok(Some(answer))
    }

    /// The place of the booking's hold if it brings one, else one of its slot if it is in one.
    fn take_booked_place(&mut self, book: &Book, key: QueueKey) -> Taken {
        match (book.hold, book.callback.slot) {
            (Some(hold), _) => {
                self.view.take_hold_over(key.tenant, hold);
                self.gone_holds.push(hold.as_uuid().as_bytes().to_vec());
                Taken::Place
            }
            (None, Some(start)) => {
                let claim = SlotClaim { start, capacity: book.slot_capacity, grid: book.grid };
                self.view.take_slot(key, claim, book.booked_at, &mut self.gone_holds)
            }
            (None, None) => Taken::Place,
        }
    }

    fn keep(&mut self, book: &'b Book, key: QueueKey) {
        let (callback, limits) = (&book.callback, &book.limits);
        self.count_depth(key.queue, None, callback.state);
        if let Some(day) = &limits.day {
            for value in &day.values {
                let of = (key.queue, millis(day.ends_at), value.blinded);
                *self.view.values.entry(of).or_default() += 1;
                *self.values.entry(of).or_default() += 1;
            }
        }
        for window in &limits.windows {
            let (seconds, until) = (i64::from(window.seconds), millis(window.counts_until(book.booked_at)));
            let booked = self.view.windows.entry((key.queue, seconds)).or_default().entry(until).or_default();
            *booked += 1;
            if *booked == 1 {
                // A part begins: those that count no more go, so that a window never has more than its 61.
                self.past_parts.push((key.queue, seconds, millis(book.booked_at)));
            }
            *self.windows.entry((key.queue, seconds, until)).or_default() += 1;
        }
        self.view.note_waiting(key.queue, callback);
        self.announce(key, callback, &[], book.announcement.as_ref(), book.booked_at);
        self.books.push((book, key));
    }

    /// What becomes of a step. A taken slot can refuse, so it is judged before anything changes.
    pub(super) fn save(&mut self, change: &'b Change, key: QueueKey) -> Result<(), SaveError> {
        let Some(seen) = self.view.rows.get(&change.callback.id).filter(|seen| seen.tenant == key.tenant) else {
            return Err(SaveError::NotFound);
        };
        check_format(seen.format).map_err(SaveError::from)?;
        let broken =
            testing::is_broken(Rule::Version) || testing::is_broken(Rule::Owner) && change.expected_owner.is_some();
        if !broken && !View::is_as_known(seen, change.expected_version, change.expected_owner) {
            return Err(SaveError::Conflict);
        }
        let forced = broken.then(|| View::whatever_is_known(seen, change));
        if stays(change) && self.view.is_counted_by_another(key.queue, change.grid) {
            return Err(SaveError::Conflict);
        }
        if let Some(start) = change.saving.take {
            let claim = SlotClaim { start, capacity: change.slot_capacity, grid: change.grid };
            match self.view.take_slot(key, claim, change.at, &mut self.gone_holds) {
                Taken::Place => {}
                Taken::Full => return Err(SaveError::SlotFull),
                Taken::OtherGrid => return Err(SaveError::Conflict),
            }
        }
        self.change(forced.map_or(Cow::Borrowed(change), Cow::Owned), key);
        Ok(())
    }

    /// A step that nothing can refuse any more.
    fn change(&mut self, change: Cow<'b, Change>, key: QueueKey) {
        let callback = &change.callback;
        if let Some(start) = change.saving.give_back {
            self.view.give_slot_back(key.queue, start);
        }
        self.count_depth(key.queue, Some(change.from), callback.state);
        self.view.note_waiting(key.queue, callback);
        if let Some(seen) = self.view.rows.get_mut(&callback.id) {
            seen.version = i64::from(callback.version);
            seen.owner = callback.owner.map(|owner| owner.0);
        }
        self.announce(key, callback, &change.saving.implied, change.announcement.as_ref(), change.at);
        self.changes.push((change, key));
    }

    fn count_depth(&mut self, queue: i64, before: Option<State>, after: State) {
        let by = i64::from(after.is_active()) - i64::from(before.is_some_and(State::is_active));
        if by != 0 {
            self.view.note_depth(queue, by);
            *self.depths.entry(queue).or_default() += by;
        }
    }

    fn announce(
        &mut self,
        key: QueueKey,
        callback: &domain::callback::Callback,
        implied: &[State],
        announcement: Option<&Announcement>,
        at: chrono::DateTime<chrono::Utc>,
    ) {
        if let Some(announcement) = announcement {
            let (callback, implied) = (callback.clone(), implied.to_vec());
            self.announced.push(Announced { key, callback, implied, announcement: announcement.clone(), at });
        }
    }
}

/// A row of a newer program.
impl From<SqlError> for SaveError {
    fn from(error: SqlError) -> Self {
        Self::Store(StoreError::from(error))
    }
}
