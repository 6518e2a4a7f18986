//! How full a queue is.

use async_trait::async_trait;
use domain::callback::State;
use domain::ports::{ActiveCallbacks, StoreError};

use super::pool::Reader;
use super::search::MAX_UNOWNED;
use super::statement::statements;
use crate::stores::database::FlowReads;
use crate::stores::rows::whole;

statements! {
    Depth = "SELECT active FROM queue_depths WHERE queue = ?";
    // An index on the state would have to be written with every step. What somebody works on is found without.
    CountActive = "SELECT state, count(*) FROM (
        (SELECT queue, state FROM callbacks WHERE owner IS NOT NULL AND wake_at IS NOT NULL) UNION ALL
        (SELECT queue, state FROM callbacks WHERE owner IS NULL AND wake_at IS NOT NULL
            ORDER BY owner, wake_at LIMIT ?)) w
        WHERE queue = ? AND state IN (1, 2) GROUP BY state";
}

#[async_trait]
impl FlowReads for Reader {
    async fn count_active(&mut self, queue: i64, limit: usize) -> Result<ActiveCallbacks, StoreError> {
        let depth: Option<(i64,)> = self.first::<Depth, _>(&[queue.into()]).await?;
        if depth.is_none_or(|(active,)| active == 0) {
            return Ok(ActiveCallbacks::default());
        }
        let counts: Vec<(i64, i64)> = self.rows::<CountActive, _>(&[MAX_UNOWNED.into(), queue.into()]).await?;
        let count = |of: State| {
            let found = counts.iter().find(|(state, _)| *state == i64::from(of.code()));
            found.map_or(0, |(_, count)| whole(*count)).min(limit as u64)
        };
        Ok(ActiveCallbacks { waiting: count(State::Queued), routing: count(State::Routing) })
    }
}
