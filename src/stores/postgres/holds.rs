//! The port for held places: decided by the writer, looked after in bounded steps.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{HoldId, TenantId};
use domain::ports::{Held, HoldStore, Holding, StoreError};
use domain::slots::Grid;
use uuid::Uuid;

use super::PostgresStore;
use super::pool::Reader;
use super::queries::sql_limit;
use super::statement::{rows, statements};
use crate::stores::command::holds::{HoldCommand, HoldMove, HoldMoves, MAX_HOLDS, MOVE_READS};
use crate::stores::command::{Command, Outcome, unexpected};
use crate::stores::rows::{instant, millis, unreadable};

statements! {
    HoldsOfQueue = "SELECT id, slot, desired_time FROM holds WHERE queue = ? LIMIT ?";
    // One short range per queue instead of a walk through all holds.
    Lapsed = "SELECT h.id FROM queues q CROSS JOIN LATERAL
        (SELECT id FROM holds WHERE queue = q.key AND expires_at <= ? LIMIT ?) h LIMIT ?";
}

fn hold_id(bytes: &[u8]) -> Result<HoldId, StoreError> {
    Uuid::from_slice(bytes).map(HoldId::from_uuid).map_err(|_| unreadable("the id of a hold is no UUID"))
}

impl Reader {
    async fn lapsed_holds(&mut self, at: DateTime<Utc>, limit: usize) -> Result<Vec<HoldId>, StoreError> {
        let binds = [millis(at).into(), sql_limit(limit).into(), sql_limit(limit).into()];
        let found: Vec<(Vec<u8>,)> = rows::<Lapsed, _>(&mut self.connection, &binds).await?;
        found.iter().map(|(id,)| hold_id(id)).collect()
    }

    /// The holds of a queue that have another slot in `grid`.
    async fn holds_to_move(&mut self, queue: i64, grid: Grid) -> Result<Vec<HoldMove>, StoreError> {
        let binds = [queue.into(), sql_limit(MAX_HOLDS).into()];
        let found: Vec<(Vec<u8>, i64, i64)> = rows::<HoldsOfQueue, _>(&mut self.connection, &binds).await?;
        let mut moves = Vec::new();
        for (id, slot, desired_time) in found {
            let (from, to) = (instant(slot)?, grid.slot_start(instant(desired_time)?));
            if from != to {
                moves.push(HoldMove { id: hold_id(&id)?, from, to });
            }
        }
        Ok(moves)
    }
}

impl PostgresStore {
    async fn count_of(&self, command: HoldCommand) -> Result<u64, StoreError> {
        match self.combiner.submit(Command::Holds(Box::new(command))).await? {
            Outcome::Count(count) => Ok(count),
            other => unexpected(&other),
        }
    }

    /// Gives the holds of queues that are being counted by other grids, by their numbers, the slots of those.
    pub(super) async fn move_holds(&self, queues: HashMap<i64, (Grid, String)>) -> Result<(), StoreError> {
        for (queue, (grid, mark)) in queues {
            let mut left = self.reader().await?.holds_to_move(queue, grid).await?;
            for _ in 0..MOVE_READS {
                for step in left.chunks(self.step_rows()) {
                    let moves = HoldMoves { queue, mark: mark.clone(), moves: step.to_vec() };
                    self.count_of(HoldCommand::Move(moves)).await?;
                }
                if left.is_empty() {
                    break;
                }
                left = self.reader().await?.holds_to_move(queue, grid).await?;
            }
            if !left.is_empty() {
                return Err(StoreError::NotDone("the holds of a queue are counted by somebody else".to_owned()));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl HoldStore for PostgresStore {
    async fn hold(&self, holding: Holding) -> Result<Held, StoreError> {
        match self.combiner.submit(Command::Holds(Box::new(HoldCommand::Hold(holding)))).await? {
            Outcome::Held(held) => Ok(held),
            other => unexpected(&other),
        }
    }

    async fn release(&self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        Ok(self.count_of(HoldCommand::Release { tenant, id, at }).await? > 0)
    }

    async fn expire_holds(&self, at: DateTime<Utc>, limit: usize) -> Result<u64, StoreError> {
        let lapsed = self.reader().await?.lapsed_holds(at, limit).await?;
        let mut expired = 0;
        for step in lapsed.chunks(self.step_rows()) {
            expired += self.count_of(HoldCommand::Expire { ids: step.to_vec(), at }).await?;
        }
        Ok(expired)
    }
}
