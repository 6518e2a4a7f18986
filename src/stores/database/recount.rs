//! Counting the places of queues by other grids: marked, moved in bounded steps, named.
//!
//! While a queue is marked nobody takes a place in it, so the only places that come and go meanwhile are those that
//! are moved and those that are given back. Every step moves callbacks together with their places, each only if it
//! is still as it was read, so a count that is broken off leaves nothing wrong, and whoever counts next goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::StoreError;
use domain::slots::Grid;

use super::{Database, DatabaseStore, NameReads, holds};
use crate::stores::command::Command;
use crate::stores::command::recount::{GridNames, MoveRow, Moves, Naming};
use crate::stores::rows::{callback_id, instant, millis};

/// Callbacks that one read looks through, whosever they are.
const PAGE_EXAMINED: i64 = 20_000;
/// Reads of one page until everything in it is moved: who changes a callback meanwhile delays it by one read.
const PAGE_READS: usize = 20;
/// Callbacks wanted longer ago than this stay where they are: no slot is longer.
const OVER: Duration = Duration::hours(2);

/// Id, version, state, attempt, queue, slot, desired time.
pub(in crate::stores) type SlotRow = (Vec<u8>, i64, i64, i64, i64, i64, i64);

/// A queue that is counted by another grid than it should be.
#[derive(Debug, Clone)]
pub(in crate::stores) struct Stale {
    grid: Grid,
    names: GridNames,
}

/// Queues by their numbers.
type StaleQueues = HashMap<i64, Stale>;

/// One page of callbacks: the last one looked at, and those that have to move, by queue.
pub(in crate::stores) struct Page {
    last: Option<Vec<u8>>,
    moves: BTreeMap<i64, Vec<(CallbackId, MoveRow)>>,
}

/// Statements about the slots of callbacks, and the question that is made of them.
#[async_trait]
pub(in crate::stores) trait RecountReads: NameReads {
    /// Every queue of a tenant that was ever booked: its number, its name, and how its places are counted.
    async fn grid_rows(&mut self, tenant: TenantId) -> Result<Vec<(i64, String, Option<String>)>, StoreError>;

    /// The last id of so many behind one; none if there are none.
    async fn end_of_page(&mut self, after: &[u8], examined: i64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Unfinished callbacks of a tenant in a range of ids that hold a slot and are wanted at `since` or later.
    async fn slots_held(&mut self, tenant: i64, ids: (&[u8], &[u8]), since: i64) -> Result<Vec<SlotRow>, StoreError>;

    async fn slots_of_page(
        &mut self,
        tenant: TenantId,
        stale: Arc<StaleQueues>,
        after: Vec<u8>,
        at: DateTime<Utc>,
    ) -> Result<Page, StoreError> {
        let mut page = Page { last: None, moves: BTreeMap::new() };
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(page) };
        let Some(last) = self.end_of_page(&after, PAGE_EXAMINED).await? else { return Ok(page) };
        let found = self.slots_held(tenant, (&after, &last), millis(at - OVER)).await?;
        for (id, version, state, attempt, queue, slot, desired_time) in found {
            let Some(Stale { grid, .. }) = stale.get(&queue) else { continue };
            let (from, to) = (instant(slot)?, grid.slot_start(instant(desired_time)?));
            if from != to {
                let row = MoveRow { version, state, attempt, from, to };
                page.moves.entry(queue).or_default().push((callback_id(&id)?, row));
            }
        }
        page.last = Some(last);
        Ok(page)
    }
}

/// See [`domain::ports::CallbackStore::recount`].
pub(super) async fn count_anew<D: Database>(
    store: &DatabaseStore<D>,
    tenant: TenantId,
    grids: &BTreeMap<QueueName, Grid>,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let stale = stale_queues(store, tenant, grids).await?;
    if stale.is_empty() {
        return Ok(0);
    }
    let named = || stale.iter().map(|(queue, stale)| (*queue, stale.names.clone())).collect();
    store.writes.submit(Command::NameGrids(Naming::Begin(named()))).await?;
    let recount = Recount { store, tenant, stale: Arc::new(stale.clone()), at };
    let mut moved = 0;
    let mut after: Vec<u8> = Vec::new();
    loop {
        let (count, last) = recount.move_page(after).await?;
        moved += count;
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    let queues = stale.iter().map(|(queue, stale)| (*queue, (stale.grid, stale.names.mark.clone())));
    holds::move_holds(store, queues.collect()).await?;
    store.writes.submit(Command::NameGrids(Naming::End(named()))).await?;
    if stale_queues(store, tenant, grids).await?.is_empty() { Ok(moved) } else { Err(overtaken()) }
}

async fn stale_queues<D: Database>(
    store: &DatabaseStore<D>,
    tenant: TenantId,
    grids: &BTreeMap<QueueName, Grid>,
) -> Result<StaleQueues, StoreError> {
    let known = store.database.read(None, move |reader| reader.grid_rows(tenant)).await?;
    let stale = known.into_iter().filter_map(|(key, name, known)| {
        let grid = *grids.get(name.as_str())?;
        let names = GridNames::of(grid);
        (known.as_ref() != Some(&names.grid)).then_some((key, Stale { grid, names }))
    });
    Ok(stale.collect())
}

/// A count under way.
struct Recount<'a, D> {
    store: &'a DatabaseStore<D>,
    tenant: TenantId,
    stale: Arc<StaleQueues>,
    at: DateTime<Utc>,
}

impl<D: Database> Recount<'_, D> {
    /// Moves everything in one page; how many, and the last callback of the page, if the page was not empty.
    async fn move_page(&self, after: Vec<u8>) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let (tenant, at) = (self.tenant, self.at);
        let mut moved = 0;
        for _ in 0..PAGE_READS {
            let (after, stale) = (after.clone(), self.stale.clone());
            let page =
                self.store.database.read(None, move |reader| reader.slots_of_page(tenant, stale, after, at)).await?;
            if page.moves.is_empty() {
                return Ok((moved, page.last));
            }
            for (queue, moves) in page.moves {
                moved += self.move_slots(queue, moves).await?;
            }
        }
        // Somebody else counts by another grid, or these callbacks change all the time.
        Err(overtaken())
    }

    async fn move_slots(&self, queue: i64, moves: Vec<(CallbackId, MoveRow)>) -> Result<u64, StoreError> {
        let mark = self.stale.get(&queue).map(|stale| stale.names.mark.clone()).unwrap_or_default();
        let mut moved = 0;
        let mut moves = moves.into_iter();
        loop {
            let (ids, rows): (Vec<_>, Vec<_>) = moves.by_ref().take(self.store.writes.step_rows).unzip();
            if ids.is_empty() {
                return Ok(moved);
            }
            let moves = Moves { queue, mark: mark.clone(), at: self.at, ids, rows };
            moved += self.store.writes.count_each(Command::MoveSlots(moves)).await?;
        }
    }
}

fn overtaken() -> StoreError {
    StoreError::NotDone("the slots of a queue are counted by somebody else".to_owned())
}
