//! What a batch has locked and read: the state by which its bookings and steps are decided, one after the other, in
//! memory. Every decision changes it, so the next one sees what those before it took.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::callback::{Callback, State};
use domain::ids::{CallbackId, HoldId, Incarnation};
use domain::ports::{Change, SlotClaim};

use super::errors::{Sql, SqlError};
use super::keys::Keys;
use crate::stores::command::Book;
use crate::stores::idempotency::{Keyed, Known};
use crate::stores::judge::{Evidence, HoldRow, Slot};
use crate::stores::names::QueueKey;
use crate::stores::rows::millis;
use crate::testing::{self, Rule};

/// A locked row of `callbacks`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) tenant: i64,
    pub(super) format: i64,
    pub(super) version: i64,
    pub(super) owner: Option<i64>,
}

/// A locked slot.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) booked: i64,
    /// What is stored.
    pub(super) was: i64,
    /// Ids and ends of locked holds in it whose time is over or nearly so. Looked for only where the slot may be full.
    pub(super) lapsed: Vec<(Vec<u8>, i64)>,
}

/// The grid of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GridName {
    /// Not named yet.
    None,
    /// As stored.
    Stored(String),
    /// Named by a booking of this batch.
    Named(String),
}

/// The parts of a window, by the instant until which each counts.
pub(super) type Parts = BTreeMap<i64, i64>;

/// Everything that was read for a batch. What was not asked for is not in it, and counts as not there.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) rows: HashMap<CallbackId, Seen>,
    pub(super) holds: HashMap<(i64, HoldId), HoldRow>,
    /// By queue and start.
    pub(super) slots: HashMap<(i64, i64), Places>,
    /// Slots whose rows were made to be locked.
    pub(super) made_slots: HashSet<(i64, i64)>,
    pub(super) grids: HashMap<i64, GridName>,
    /// By queue and number.
    pub(super) waiting: HashMap<(i64, i64), BTreeMap<CallbackId, Callback>>,
    pub(super) depths: HashMap<i64, i64>,
    /// By queue, end of the day, and value.
    pub(super) values: HashMap<(i64, i64, [u8; 16]), i64>,
    /// By queue and length.
    pub(super) windows: HashMap<(i64, i64), Parts>,
}

/// What became of a place that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Place,
    Full,
    OtherGrid,
}

impl View {
    /// Queues whose grid has a stored name.
    pub(super) fn named(&self) -> impl Iterator<Item = i64> {
        self.grids.iter().filter(|(_, grid)| matches!(grid, GridName::Stored(_))).map(|(queue, _)| *queue)
    }

    /// Whether the places of a queue are counted, or being counted, by another grid.
    pub(super) fn is_counted_by_another(&self, queue: i64, grid: domain::slots::Grid) -> bool {
        match self.grids.get(&queue) {
            None | Some(GridName::None) => false,
            Some(GridName::Stored(name) | GridName::Named(name)) => *name != grid.to_string(),
        }
    }

    /// Takes one place if there is one at `at`; the holds that it found to be over go into `gone`.
    pub(super) fn take_slot(
        &mut self,
        key: QueueKey,
        claim: SlotClaim,
        at: DateTime<Utc>,
        gone: &mut Vec<Vec<u8>>,
    ) -> Taken {
        if self.is_counted_by_another(key.queue, claim.grid) {
            return Taken::OtherGrid;
        }
        let capacity = i64::from(claim.capacity);
        let places = self.slots.entry((key.queue, millis(claim.start))).or_default();
        if capacity > 0 && places.booked >= capacity {
            let (over, lasting) =
                std::mem::take(&mut places.lapsed).into_iter().partition(|(_, end)| *end <= millis(at));
            let over: Vec<(Vec<u8>, i64)> = over;
            places.lapsed = lasting;
            places.booked = (places.booked - i64::try_from(over.len()).unwrap_or_default()).max(0);
            // A booking of this batch that brings one of them comes too late. Most batches bring none.
            self.holds.retain(|(_, hold), _| over.iter().all(|(id, _)| id.as_slice() != hold.as_uuid().as_bytes()));
            gone.extend(over.into_iter().map(|(id, _)| id));
        }
        if capacity == 0 || places.booked >= capacity && !testing::is_broken(Rule::Slots) {
            return Taken::Full;
        }
        places.booked += 1;
        Taken::Place
    }

    /// Hands the place of a hold to the booking that brings it: nobody behind it finds that hold lapsed.
    pub(super) fn take_hold_over(&mut self, tenant: i64, id: HoldId) {
        let Some((queue, slot, ..)) = self.holds.remove(&(tenant, id)) else { return };
        if let Some(places) = self.slots.get_mut(&(queue, slot)) {
            places.lapsed.retain(|(lapsed, _)| lapsed.as_slice() != id.as_uuid().as_bytes());
        }
    }

    /// Gives a place back.
    pub(super) fn give_slot_back(&mut self, queue: i64, start: DateTime<Utc>) {
        if let Some(places) = self.slots.get_mut(&(queue, millis(start))) {
            places.booked = (places.booked - 1).max(0);
        }
    }

    /// Notes how a callback stands now, for those that are judged behind it.
    pub(super) fn note_waiting(&mut self, queue: i64, callback: &Callback) {
        let phone = crate::stores::rows::stored(callback.phone.digits());
        let Some(waiting) = self.waiting.get_mut(&(queue, phone)) else { return };
        let waits =
            callback.ended_at.is_none() && matches!(callback.state, State::Scheduled | State::Queued | State::Routing);
        if waits {
            waiting.insert(callback.id, callback.clone());
        } else {
            waiting.remove(&callback.id);
        }
    }

    /// Notes a change of depth; what is stored is changed by the same when the batch is written.
    pub(super) fn note_depth(&mut self, queue: i64, by: i64) {
        if let Some(active) = self.depths.get_mut(&queue) {
            *active = (*active + by).max(0);
        }
    }

    /// Whether a row is as the caller of a step knows it.
    pub(super) fn is_as_known(seen: &Seen, version: u32, owner: Option<Incarnation>) -> bool {
        seen.version == i64::from(version) && owner.is_none_or(|owner| seen.owner == Some(owner.0))
    }

    /// The same step on the row as it is, whoever has written it since: what a switch of the `testing` build does.
    pub(super) fn whatever_is_known(seen: &Seen, change: &Change) -> Change {
        let version = u32::try_from(seen.version).unwrap_or_default();
        let callback = Callback { version: version.saturating_add(1), ..change.callback.clone() };
        Change { callback, expected_version: version, expected_owner: None, ..change.clone() }
    }
}

/// What a booking is judged by.
pub(super) struct Reading<'a> {
    pub(super) view: &'a View,
    pub(super) keys: &'a Keys,
}

impl Evidence for Reading<'_> {
    type Error = SqlError;

    fn known(&mut self, keyed: &Keyed<'_>) -> Sql<Known> {
        self.keys.known(keyed)
    }

    fn is_token_used(&mut self, tenant: i64, token: &[u8; 16]) -> Sql<bool> {
        Ok(self.keys.is_token_used(tenant, token))
    }

    fn hold(&mut self, tenant: i64, id: HoldId) -> Sql<Option<HoldRow>> {
        Ok(self.view.holds.get(&(tenant, id)).copied())
    }

    fn oldest_waiting(&mut self, of: (i64, i64), limit: u32) -> Sql<Vec<CallbackId>> {
        let waiting = self.view.waiting.get(&of).into_iter().flat_map(BTreeMap::keys);
        Ok(waiting.take(usize::try_from(limit).unwrap_or(usize::MAX)).copied().collect())
    }

    fn newest_waiting(&mut self, of: (i64, i64)) -> Sql<Option<CallbackId>> {
        Ok(self.view.waiting.get(&of).and_then(|waiting| waiting.keys().next_back().copied()))
    }

    fn callback(&mut self, book: &Book, key: QueueKey, id: CallbackId) -> Sql<Option<Callback>> {
        let of = (key.queue, crate::stores::rows::stored(book.callback.phone.digits()));
        Ok(self.view.waiting.get(&of).and_then(|waiting| waiting.get(&id)).cloned())
    }

    fn places_taken(&mut self, (queue, start): Slot, places: u32, at: DateTime<Utc>) -> Sql<i64> {
        let Some(seen) = self.view.slots.get(&(queue, millis(start))) else { return Ok(0) };
        if seen.booked < i64::from(places) {
            return Ok(seen.booked);
        }
        let over = seen.lapsed.iter().filter(|(_, end)| *end <= millis(at)).count();
        Ok(seen.booked - i64::try_from(over).unwrap_or_default())
    }

    fn depth(&mut self, queue: i64) -> Sql<i64> {
        Ok(self.view.depths.get(&queue).copied().unwrap_or_default())
    }

    fn value_count(&mut self, queue: i64, ends_at: DateTime<Utc>, value: &[u8; 16]) -> Sql<i64> {
        Ok(self.view.values.get(&(queue, millis(ends_at), *value)).copied().unwrap_or_default())
    }

    fn window_count(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> Sql<i64> {
        Ok(self.window_counts(queue, seconds, at)?.iter().map(|(_, booked)| booked).sum())
    }

    fn window_counts(&mut self, queue: i64, seconds: u32, at: DateTime<Utc>) -> Sql<Vec<(i64, i64)>> {
        let Some(parts) = self.view.windows.get(&(queue, i64::from(seconds))) else { return Ok(Vec::new()) };
        let after = (std::ops::Bound::Excluded(millis(at)), std::ops::Bound::Unbounded);
        Ok(parts.range(after).map(|(until, booked)| (*until, *booked)).collect())
    }
}
