//! The port for held places: decided by the writer, looked after in bounded steps.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{HoldId, TenantId};
use domain::ports::{Held, HoldStore, Holding, StoreError};
use domain::slots::Grid;
use uuid::Uuid;

use super::writes::Writes;
use super::{Database, DatabaseStore};
use crate::stores::command::holds::{HoldCommand, HoldMove, HoldMoves, MAX_HOLDS, MOVE_READS};
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::rows::{instant, millis, unreadable};

/// Statements about held places, and questions that are made of them.
#[async_trait]
pub(in crate::stores) trait HoldReads: Send {
    /// Ids of holds whose time is over.
    async fn lapsed_rows(&mut self, at: i64, limit: usize) -> Result<Vec<(Vec<u8>,)>, StoreError>;

    /// Id, slot and desired time of the holds of a queue.
    async fn hold_rows(&mut self, queue: i64, limit: usize) -> Result<Vec<(Vec<u8>, i64, i64)>, StoreError>;

    async fn lapsed_holds(&mut self, at: DateTime<Utc>, limit: usize) -> Result<Vec<HoldId>, StoreError> {
        let found = self.lapsed_rows(millis(at), limit).await?;
        found.iter().map(|(id,)| hold_id(id)).collect()
    }

    /// The holds of a queue that have another slot in `grid`.
    async fn holds_to_move(&mut self, queue: i64, grid: Grid) -> Result<Vec<HoldMove>, StoreError> {
        let mut moves = Vec::new();
        for (id, slot, desired_time) in self.hold_rows(queue, MAX_HOLDS).await? {
            let (from, to) = (instant(slot)?, grid.slot_start(instant(desired_time)?));
            if from != to {
                moves.push(HoldMove { id: hold_id(&id)?, from, to });
            }
        }
        Ok(moves)
    }
}

fn hold_id(bytes: &[u8]) -> Result<HoldId, StoreError> {
    Uuid::from_slice(bytes).map(HoldId::from_uuid).map_err(|_| unreadable("the id of a hold is no UUID"))
}

async fn count(writes: &Writes, command: HoldCommand) -> Result<u64, StoreError> {
    writes.count(Command::Holds(Box::new(command))).await
}

/// Gives the holds of queues that are being counted by other grids, by their numbers, the slots of those.
pub(super) async fn move_holds<D: Database>(
    store: &DatabaseStore<D>,
    queues: HashMap<i64, (Grid, String)>,
) -> Result<(), StoreError> {
    for (queue, (grid, mark)) in queues {
        let mut left = store.database.read(None, move |reader| reader.holds_to_move(queue, grid)).await?;
        for _ in 0..MOVE_READS {
            for step in left.chunks(store.writes.step_rows) {
                let moves = HoldMoves { queue, mark: mark.clone(), moves: step.to_vec() };
                count(&store.writes, HoldCommand::Move(moves)).await?;
            }
            if left.is_empty() {
                break;
            }
            left = store.database.read(None, move |reader| reader.holds_to_move(queue, grid)).await?;
        }
        if !left.is_empty() {
            return Err(StoreError::NotDone("the holds of a queue are counted by somebody else".to_owned()));
        }
    }
    Ok(())
}

#[async_trait]
impl<D: Database> HoldStore for DatabaseStore<D> {
    async fn hold(&self, holding: Holding) -> Result<Held, StoreError> {
        match self.writes.submit(Command::Holds(Box::new(HoldCommand::Hold(holding)))).await? {
            Outcome::Held(held) => Ok(held),
            other => unexpected(&other),
        }
    }

    async fn release(&self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        Ok(count(&self.writes, HoldCommand::Release { tenant, id, at }).await? > 0)
    }

    async fn expire_holds(&self, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        let lapsed = self.database.read(None, move |reader| reader.lapsed_holds(at, limit)).await?;
        let mut expired = 0;
        for step in lapsed.chunks(self.writes.step_rows) {
            expired += count(&self.writes, HoldCommand::Expire { ids: step.to_vec(), at }).await?;
        }
        Ok(expired)
    }
}
