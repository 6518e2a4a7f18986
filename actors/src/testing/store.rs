//! Callbacks in memory, with the outcomes that the real stores promise.

mod port;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Cause, Fate, HandOff, Saving, State};
use domain::ids::{CallbackId, HoldId, Incarnation, QueueName, TenantId};
use domain::ports::{Change, Claim, Details, Due, HandOver, Handed, HistoryEntry, Parked, SaveError, StoreError, Take};
use domain::slots::Grid;

use super::holds::HoldRow;
use super::limits::Counts;
use super::notices::News;
use super::{Fault, Faults, Op};

/// One stored callback with everything of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// As last saved.
    pub callback: Callback,
    /// Rare members and user data.
    pub details: Details,
    /// One entry per version.
    pub history: Vec<HistoryEntry>,
    /// Set while it is set aside.
    pub parked: Option<Parked>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<CallbackId, Row>,
    pub(super) news: News,
    pub(super) holds: BTreeMap<HoldId, HoldRow>,
    pub(super) hold_keys: HashMap<(TenantId, [u8; 16]), ([u8; 16], HoldId)>,
    pub(super) slots: HashMap<(TenantId, QueueName, DateTime<Utc>), u32>,
    pub(super) keys: HashMap<(TenantId, [u8; 16]), ([u8; 16], CallbackId)>,
    pub(super) tokens: HashSet<(TenantId, [u8; 16])>,
    pub(super) counts: Counts,
    pub(super) grids: HashMap<(TenantId, QueueName), Grid>,
}

/// The store.
pub struct FakeStore {
    pub(super) faults: Arc<Faults>,
    tables: Mutex<Tables>,
}

impl FakeStore {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, tables: Mutex::default() }
    }

    /// A row as it stands, whosever it is.
    pub fn row(&self, id: CallbackId) -> Option<Row> {
        self.tables().rows.get(&id).cloned()
    }

    /// Every row, by id.
    pub fn rows(&self) -> Vec<Row> {
        self.tables().rows.values().cloned().collect()
    }

    /// Puts a row there that nobody booked: what an earlier life of a node left behind.
    pub fn insert(&self, callback: Callback) {
        let history = vec![entry(&callback, Cause::Booked, Vec::new(), callback.start_at)];
        let row = Row { details: Details::default(), history, parked: None, callback };
        self.tables().rows.insert(row.callback.id, row);
    }

    /// Places taken in all slots.
    pub fn places(&self) -> u32 {
        self.tables().slots.values().sum()
    }

    /// Works on one row of a tenant unless told otherwise; none if there is none.
    pub(super) async fn with_row<T>(
        &self,
        op: Op,
        tenant: TenantId,
        id: CallbackId,
        work: impl FnOnce(&mut Row) -> T + Send,
    ) -> Result<Option<T>, StoreError> {
        let of_tenant = move |row: &&mut Row| row.callback.tenant == tenant;
        self.run(op, Some(id), move |tables| tables.rows.get_mut(&id).filter(of_tenant).map(work)).await
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("never poisoned")
    }

    /// Runs a command unless told otherwise.
    pub(super) async fn run<T>(
        &self,
        op: Op,
        id: Option<CallbackId>,
        command: impl FnOnce(&mut Tables) -> T + Send,
    ) -> Result<T, StoreError> {
        let fault = self.faults.pass_about(op, id).await;
        match fault {
            None => Ok(command(&mut self.tables())),
            Some(Fault::PerhapsDone) => {
                command(&mut self.tables());
                Err(Fault::PerhapsDone.as_store_error())
            }
            Some(fault) => Err(fault.as_store_error()),
        }
    }
}

impl Tables {
    pub(super) fn save(&mut self, change: Change) -> Result<(), SaveError> {
        let Some(row) = self.rows.get(&change.callback.id) else { return Err(SaveError::NotFound) };
        if row.callback.tenant != change.callback.tenant {
            return Err(SaveError::NotFound);
        }
        let stale = row.callback.version != change.expected_version;
        let foreign = change.expected_owner.is_some_and(|owner| row.callback.owner != Some(owner));
        if stale || foreign {
            return Err(SaveError::Conflict);
        }
        self.move_place(&change)?;
        if let Some(announcement) = &change.announcement {
            self.news.announce(&change.callback, change.saving.implied.clone(), announcement, change.at);
        }
        let Some(row) = self.rows.get_mut(&change.callback.id) else { return Err(SaveError::NotFound) };
        row.callback = Callback { fate: Fate::Unknown, ..change.callback };
        if row.callback.state == State::Completed {
            row.parked = None;
        } else if row.parked.is_some() {
            // It stays set aside, whatever is applied to it.
            row.callback.wake_at = None;
        }
        let Saving { cause, implied, .. } = change.saving;
        row.history.push(entry(&row.callback, cause, implied, change.at));
        Ok(())
    }

    /// Takes the new place and gives the old one back, or changes nothing.
    fn move_place(&mut self, change: &Change) -> Result<(), SaveError> {
        let (tenant, queue) = (change.callback.tenant, change.callback.queue.clone());
        let Saving { cause, give_back, take, .. } = change.saving;
        let of = |slot| (tenant, queue.clone(), slot);
        if take.is_some() || cause == Cause::Rescheduled && change.callback.slot.is_some() {
            let counted_by = *self.grids.entry((tenant, queue.clone())).or_insert(change.grid);
            if counted_by != change.grid {
                return Err(SaveError::Conflict);
            }
        }
        if let Some(slot) = take {
            self.expire(change.at, Some(slot));
            let taken = self.slots.entry(of(slot)).or_default();
            if *taken >= change.slot_capacity {
                return Err(SaveError::SlotFull);
            }
            *taken += 1;
        }
        if let Some(slot) = give_back {
            let taken = self.slots.entry(of(slot)).or_default();
            assert!(*taken > 0, "a place is given back that nobody took");
            *taken -= 1;
        }
        Ok(())
    }

    fn recount(&mut self, tenant: TenantId, grids: &BTreeMap<QueueName, Grid>, at: DateTime<Utc>) -> u64 {
        let mut moved = 0;
        for row in self.rows.values_mut().filter(|row| row.callback.tenant == tenant) {
            let callback = &mut row.callback;
            let Some(grid) = grids.get(&callback.queue) else { continue };
            let Some(slot) = callback.slot.as_mut().filter(|_| callback.state != State::Completed) else { continue };
            let to = grid.slot_start(callback.desired_time);
            if *slot == to || callback.desired_time < at - TimeDelta::hours(2) {
                continue;
            }
            let of = |start| (tenant, callback.queue.clone(), start);
            if let Some(taken) = self.slots.get_mut(&of(*slot)) {
                *taken -= 1;
            }
            *self.slots.entry(of(to)).or_default() += 1;
            *slot = to;
            callback.version += 1;
            row.history.push(entry(&row.callback, Cause::Recounted, Vec::new(), at));
            moved += 1;
        }
        for row in self.holds.values_mut().filter(|row| row.tenant == tenant) {
            let Some(grid) = grids.get(&row.queue) else { continue };
            let to = grid.slot_start(row.hold.desired_time);
            if row.hold.slot != to {
                let of = |start| (tenant, row.queue.clone(), start);
                if let Some(taken) = self.slots.get_mut(&of(row.hold.slot)) {
                    *taken -= 1;
                }
                *self.slots.entry(of(to)).or_default() += 1;
                row.hold.slot = to;
            }
        }
        self.grids.extend(grids.iter().map(|(name, grid)| ((tenant, name.clone()), *grid)));
        moved
    }

    fn claim(&mut self, claim: &Claim) -> Vec<Due> {
        let lead = |callback: &Callback| {
            let key = (callback.tenant, callback.queue.clone());
            claim.leads.get(&key).copied().unwrap_or(TimeDelta::zero())
        };
        let mut found: Vec<(DateTime<Utc>, CallbackId)> = self
            .rows
            .values()
            .map(|row| &row.callback)
            .filter(|it| it.state == State::Scheduled && it.owner.is_none() && it.wake_at.is_some())
            .map(|it| (it.desired_time - lead(it), it.id))
            .filter(|(start, _)| *start < claim.horizon)
            .collect();
        found.sort_unstable();
        found.truncate(claim.limit);
        let claimed = found.into_iter().filter_map(|(start, id)| {
            let row = self.rows.get_mut(&id)?;
            row.callback.start_at = start;
            row.callback.wake_at = Some(start);
            Some(row.hand_to(claim.owner, Cause::Claimed, claim.at))
        });
        claimed.collect()
    }

    fn due(&self, owner: Incarnation, at: DateTime<Utc>, limit: usize) -> Vec<Due> {
        let mut found: Vec<Due> = self
            .rows
            .values()
            .filter(|row| row.callback.owner == Some(owner))
            .filter_map(|row| row.due_by(at))
            .collect();
        found.sort_by_key(|due| (due.wake_at, due.id));
        found.truncate(limit);
        found
    }

    fn take(&mut self, take: &Take) -> Vec<Due> {
        let mut found: Vec<(DateTime<Utc>, CallbackId)> = self
            .rows
            .values()
            .filter(|row| row.callback.owner != Some(take.owner))
            .filter_map(|row| {
                let due = row.due_by(take.at)?;
                let looked_after = row.callback.owner.is_some_and(|owner| take.living.contains(&owner));
                let is_overdue = due.wake_at < take.overdue_before && (take.waiting || !due.needs_place);
                (!looked_after || is_overdue).then_some((due.wake_at, due.id))
            })
            .collect();
        found.sort_unstable();
        found.truncate(take.limit);
        let taken = found.into_iter().filter_map(|(_, id)| {
            let row = self.rows.get_mut(&id)?;
            Some(row.hand_to(take.owner, Cause::Taken, take.at))
        });
        taken.collect()
    }

    fn hand_over(&mut self, hand_over: &HandOver) -> u64 {
        let goes = |it: &Callback| match hand_over.what {
            Handed::Unbegun => it.hand_off == HandOff::Idle && it.state != State::Completed,
            Handed::All => true,
        };
        let owned = self.rows.values().map(|row| &row.callback).filter(|it| it.owner == Some(hand_over.owner));
        let mut found: Vec<_> = owned.filter(|it| goes(it)).filter_map(|it| Some((it.wake_at?, it.id))).collect();
        found.sort_unstable();
        found.truncate(hand_over.limit);
        let mut given = 0;
        for ((_, id), to) in found.into_iter().zip(hand_over.to.iter().cycle()) {
            if let Some(row) = self.rows.get_mut(&id) {
                row.hand_to(*to, Cause::Taken, hand_over.at);
                given += 1;
            }
        }
        given
    }

    fn set_aside(
        &mut self,
        tenant: TenantId,
        id: CallbackId,
        cause: Cause,
        wake_at: Option<DateTime<Utc>>,
        parked: Option<Parked>,
        at: DateTime<Utc>,
    ) -> Result<(), SaveError> {
        let row = self.rows.get_mut(&id).filter(|row| row.callback.tenant == tenant).ok_or(SaveError::NotFound)?;
        row.callback.owner = None;
        row.callback.wake_at = wake_at;
        row.callback.version += 1;
        row.parked = parked;
        row.history.push(entry(&row.callback, cause, Vec::new(), at));
        Ok(())
    }

    fn purge(&mut self, desired_before: DateTime<Utc>, limit: usize) -> u64 {
        let old: Vec<CallbackId> = self
            .rows
            .values()
            .filter(|row| row.callback.is_settled() && row.callback.desired_time < desired_before)
            .map(|row| row.callback.id)
            .take(limit)
            .collect();
        old.iter().for_each(|id| drop(self.rows.remove(id)));
        self.keys.retain(|_, (_, id)| !old.contains(id));
        old.len() as u64
    }
}

impl Row {
    fn hand_to(&mut self, owner: Incarnation, cause: Cause, at: DateTime<Utc>) -> Due {
        self.callback.owner = Some(owner);
        self.callback.version += 1;
        self.history.push(entry(&self.callback, cause, Vec::new(), at));
        self.as_due(self.callback.wake_at.unwrap_or(at))
    }

    fn due_by(&self, at: DateTime<Utc>) -> Option<Due> {
        self.callback.wake_at.filter(|wake_at| *wake_at <= at).map(|wake_at| self.as_due(wake_at))
    }

    fn as_due(&self, wake_at: DateTime<Utc>) -> Due {
        let callback = &self.callback;
        Due {
            id: callback.id,
            tenant: callback.tenant,
            queue: callback.queue.clone(),
            state: callback.state,
            desired_time: callback.desired_time,
            wake_at,
            needs_place: callback.needs_place(),
        }
    }
}

pub(super) fn entry(callback: &Callback, cause: Cause, implied: Vec<State>, at: DateTime<Utc>) -> HistoryEntry {
    HistoryEntry { version: callback.version, at, cause, state: callback.state, implied, attempt: callback.attempt }
}
