//! Counting the places of queues by other grids: marked, moved in bounded steps, named.
//!
//! While a queue is marked nobody takes a place in it, so the only places that come and go meanwhile are those that
//! are moved and those that are given back. Every step moves callbacks together with their places, each only if it
//! is still as it was read, so a count that is broken off leaves nothing wrong, and whoever counts next goes on.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::StoreError;
use domain::slots::Grid;

use super::SqliteStore;
use super::command::{Command, Outcome};
use super::queries::callback_id;
use super::readers::{Reader, not_read};
use super::rows::{FORMAT, instant, millis};
use super::statement::{first, rows, statements};
pub(super) use crate::stores::command::recount::{GridNames, MoveRow, Moves, Naming};

/// Callbacks that one read looks through, whosever they are.
const PAGE_EXAMINED: i64 = 20_000;
/// Reads of one page until everything in it is moved: who changes a callback meanwhile delays it by one read.
const PAGE_READS: usize = 20;
/// Callbacks wanted longer ago than this stay where they are: no slot is longer.
const OVER: Duration = Duration::hours(2);

statements! {
    ListGrids -> (BigInt, Text, Nullable<Text>) =
        "SELECT q.key, q.name, q.grid FROM queues q JOIN tenants t ON t.key = q.tenant WHERE t.id = ?";
    PageEnd -> (Nullable<Binary>) = "SELECT max(id) FROM (SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT ?)";
    SlotsOfPage -> (Binary, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt) =
        "SELECT id, version, state, attempt, queue, slot, desired_time FROM callbacks
        WHERE id > ? AND id <= ? AND tenant = ? AND slot IS NOT NULL AND state <> 4 AND desired_time >= ?
        AND format = ? ORDER BY id";
}

/// Id, version, state, attempt, queue, slot, desired time.
type SlotRow = (Vec<u8>, i64, i64, i64, i64, i64, i64);

/// A queue that is counted by another grid than it should be.
#[derive(Debug, Clone)]
struct Stale {
    grid: Grid,
    names: GridNames,
}

/// Queues by their numbers.
type StaleQueues = HashMap<i64, Stale>;

/// One page of callbacks: the last one looked at, and those that have to move, by queue.
struct Page {
    last: Option<Vec<u8>>,
    moves: BTreeMap<i64, Vec<(CallbackId, MoveRow)>>,
}

impl SqliteStore {
    /// See [`domain::ports::CallbackStore::recount`].
    pub(super) async fn count_anew(
        &self,
        tenant: TenantId,
        grids: &BTreeMap<QueueName, Grid>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let stale = self.stale(tenant, grids).await?;
        if stale.is_empty() {
            return Ok(0);
        }
        let named = || stale.iter().map(|(queue, stale)| (*queue, stale.names.clone())).collect();
        self.combiner.submit(Command::NameGrids(Naming::Begin(named()))).await?;
        let mut moved = 0;
        let mut after: Vec<u8> = Vec::new();
        loop {
            let (count, last) = self.move_page(tenant, &stale, after, at).await?;
            moved += count;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        let holds = stale.iter().map(|(queue, stale)| (*queue, (stale.grid, stale.names.mark.clone())));
        self.move_holds(holds.collect()).await?;
        self.combiner.submit(Command::NameGrids(Naming::End(named()))).await?;
        if self.stale(tenant, grids).await?.is_empty() { Ok(moved) } else { Err(overtaken()) }
    }

    async fn stale(&self, tenant: TenantId, grids: &BTreeMap<QueueName, Grid>) -> Result<StaleQueues, StoreError> {
        let known = self.readers.read(move |reader| reader.grids(tenant)).await?;
        let stale = known.into_iter().filter_map(|(key, name, known)| {
            let grid = *grids.get(name.as_str())?;
            let names = GridNames::of(grid);
            (known.as_ref() != Some(&names.grid)).then_some((key, Stale { grid, names }))
        });
        Ok(stale.collect())
    }

    /// Moves everything in one page; how many, and the last callback of the page, if the page was not empty.
    async fn move_page(
        &self,
        tenant: TenantId,
        stale: &StaleQueues,
        after: Vec<u8>,
        at: DateTime<Utc>,
    ) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let mut moved = 0;
        for _ in 0..PAGE_READS {
            let (after, stale) = (after.clone(), stale.clone());
            let marks: HashMap<i64, String> = stale.iter().map(|(key, it)| (*key, it.names.mark.clone())).collect();
            let page = self.readers.read(move |reader| reader.slots_of_page(tenant, &stale, &after, at)).await?;
            if page.moves.is_empty() {
                return Ok((moved, page.last));
            }
            for (queue, moves) in page.moves {
                let mark = marks.get(&queue).cloned().unwrap_or_default();
                moved += self.move_slots(queue, &mark, at, moves).await?;
            }
        }
        // Somebody else counts by another grid, or these callbacks change all the time.
        Err(overtaken())
    }

    async fn move_slots(
        &self,
        queue: i64,
        mark: &str,
        at: DateTime<Utc>,
        moves: Vec<(CallbackId, MoveRow)>,
    ) -> Result<u64, StoreError> {
        let mut moved = 0;
        let mut moves = moves.into_iter();
        loop {
            let (ids, rows): (Vec<_>, Vec<_>) = moves.by_ref().take(self.step_rows()).unzip();
            if ids.is_empty() {
                return Ok(moved);
            }
            let moves = Moves { queue, mark: mark.to_owned(), at, ids, rows };
            match self.combiner.submit(Command::MoveSlots(moves)).await? {
                Outcome::Each(each) => moved += each.into_iter().map(u64::from).sum::<u64>(),
                other => return super::callbacks::unexpected(&other),
            }
        }
    }
}

fn overtaken() -> StoreError {
    StoreError::NotDone("the slots of a queue are counted by somebody else".to_owned())
}

impl Reader {
    /// Every queue of a tenant that was ever booked: its number, its name, and how its places are counted.
    fn grids(&mut self, tenant: TenantId) -> Result<Vec<(i64, String, Option<String>)>, StoreError> {
        let uuid = tenant.as_uuid();
        rows::<ListGrids, _>(&mut self.connection, &[uuid.as_bytes().as_slice().into()]).map_err(not_read)
    }

    fn slots_of_page(
        &mut self,
        tenant: TenantId,
        stale: &StaleQueues,
        after: &[u8],
        at: DateTime<Utc>,
    ) -> Result<Page, StoreError> {
        let mut page = Page { last: None, moves: BTreeMap::new() };
        let Some(tenant) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(page) };
        let binds = [after.into(), PAGE_EXAMINED.into()];
        let end: Option<(Option<Vec<u8>>,)> = first::<PageEnd, _>(&mut self.connection, &binds).map_err(not_read)?;
        let Some((Some(last),)) = end else { return Ok(page) };
        let since = millis(at - OVER).into();
        let binds = [after.into(), last.as_slice().into(), tenant.into(), since, FORMAT.into()];
        let found: Vec<SlotRow> = rows::<SlotsOfPage, _>(&mut self.connection, &binds).map_err(not_read)?;
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
