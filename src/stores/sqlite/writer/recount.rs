//! Which grid the places of a queue are counted by, and moving callbacks to the slots of another one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text};
use domain::callback::Cause;
use domain::slots::Grid;

use super::super::names::QueueKey;
use super::super::rows::{FORMAT, millis};
use super::super::statement::{execute, first, statements};
use super::booking::give_slot_back;
use super::{AddHistory, Writer};
use crate::stores::command::recount::{Moves, Naming};

statements! {
    // A queue that never had a booking is counted by the grid of its first one.
    NameFirstGrid = "UPDATE queues SET grid = ? WHERE key = ? AND grid IS NULL";
    BeginCount = "UPDATE queues SET grid = ? WHERE key = ? AND grid IS NOT ?";
    EndCount = "UPDATE queues SET grid = ? WHERE key = ? AND grid = ?";
    IsCountedBy -> (BigInt) = "SELECT 1 FROM queues WHERE key = ? AND grid = ?";
    FindGrid -> (Nullable<Text>) = "SELECT grid FROM queues WHERE key = ?";
    MoveToSlot = "UPDATE callbacks SET version = version + 1, slot = ?
        WHERE id = ? AND version = ? AND slot = ? AND format = ? AND state <> 4";
    AddPlace = "INSERT INTO slots (queue, start, booked) VALUES (?, ?, 1)
        ON CONFLICT (queue, start) DO UPDATE SET booked = booked + 1";
}

/// By which grid the places of queues are counted, so that not every booking has to look. Only this writer changes
/// it. One entry per queue that was booked: the bound is the settings.
#[derive(Default)]
pub(super) struct CountedBy(HashMap<i64, Counted>);

#[derive(Clone)]
enum Counted {
    /// By any: it was booked before grids had names.
    ByAny,
    /// By this one.
    By(Grid),
    /// By the one of this name, or not by one at present.
    Named(String),
}

impl CountedBy {
    /// What was learnt in a transaction that is gone may be wrong.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Writer {
    /// Whether the places of a queue are counted, or being counted, by another grid.
    pub(super) fn is_counted_by_another(&mut self, queue: i64, grid: Grid) -> QueryResult<bool> {
        let known = match self.counted_by.0.get(&queue) {
            Some(known) => known.clone(),
            None => {
                let found: Option<(Option<String>,)> = first::<FindGrid, _>(&mut self.connection, &[queue.into()])?;
                found.and_then(|(name,)| name).map_or(Counted::ByAny, Counted::Named)
            }
        };
        let known = match known {
            Counted::Named(name) if name == grid.to_string() => Counted::By(grid),
            other => other,
        };
        let by_another = match &known {
            Counted::ByAny => false,
            Counted::By(known) => *known != grid,
            Counted::Named(_) => true,
        };
        self.counted_by.0.insert(queue, known);
        Ok(by_another)
    }

    /// The first booking of a queue names the grid that its places are counted by.
    pub(super) fn name_first_grid(&mut self, key: QueueKey, grid: Grid) -> QueryResult<()> {
        if self.fresh.holds(key) {
            execute::<NameFirstGrid>(&mut self.connection, &[grid.to_string().as_str().into(), key.queue.into()])?;
        }
        Ok(())
    }

    pub(super) fn name_grids(&mut self, naming: &Naming) -> QueryResult<()> {
        for (queue, names) in naming.queues() {
            self.counted_by.0.remove(&queue);
            let (mark, grid) = (names.mark.as_str().into(), names.grid.as_str().into());
            match naming {
                Naming::Begin(_) => execute::<BeginCount>(&mut self.connection, &[mark, queue.into(), grid])?,
                Naming::End(_) => execute::<EndCount>(&mut self.connection, &[grid, queue.into(), mark])?,
            };
        }
        Ok(())
    }

    /// Moves callbacks, each only if it is still as it was read; none if the count is no longer this one's.
    pub(super) fn move_slots(&mut self, moves: &Moves) -> QueryResult<Vec<bool>> {
        let binds = [moves.queue.into(), moves.mark.as_str().into()];
        if first::<IsCountedBy, (i64,)>(&mut self.connection, &binds)?.is_none() {
            return Ok(vec![false; moves.ids.len()]);
        }
        let mut moved = Vec::with_capacity(moves.ids.len());
        for (id, row) in moves.ids.iter().zip(&moves.rows) {
            let uuid = id.as_uuid();
            let id = uuid.as_bytes().as_slice();
            let (version, from, to) = (row.version.into(), millis(row.from).into(), millis(row.to).into());
            let is_same = execute::<MoveToSlot>(&mut self.connection, &[to, id.into(), version, from, FORMAT.into()])?;
            if is_same > 0 {
                give_slot_back(&mut self.connection, moves.queue, row.from)?;
                execute::<AddPlace>(&mut self.connection, &[moves.queue.into(), to])?;
                self.add_moved(id, row.version + 1, row.state, row.attempt, moves.at)?;
            }
            moved.push(is_same > 0);
        }
        Ok(moved)
    }

    fn add_moved(&mut self, id: &[u8], version: i64, state: i64, attempt: i64, at: DateTime<Utc>) -> QueryResult<()> {
        let cause = i64::from(Cause::Recounted.code()).into();
        let binds = [id.into(), version.into(), millis(at).into(), cause, state.into(), 0.into(), attempt.into()];
        execute::<AddHistory>(&mut self.connection, &binds).map(drop)
    }
}
