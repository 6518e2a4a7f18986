//! How full a queue is.

use async_trait::async_trait;
use diesel::sql_types::BigInt;
use domain::callback::State;
use domain::ports::{ActiveCallbacks, StoreError};

use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::FlowReads;
use crate::stores::rows::{sql_limit, whole};

statements! {
    CountActive -> (BigInt) = "SELECT count(*) FROM (SELECT 1 FROM callbacks INDEXED BY callbacks_active
        WHERE queue = ? AND state = ? AND state IN (1, 2) AND wake_at IS NOT NULL LIMIT ?)";
}

impl Reader {
    fn count_in(&mut self, queue: i64, state: State, limit: usize) -> Result<u64, StoreError> {
        let binds = [queue.into(), i64::from(state.code()).into(), sql_limit(limit).into()];
        let found: Option<(i64,)> = self.first::<CountActive, _>(&binds)?;
        Ok(found.map_or(0, |(count,)| whole(count)))
    }
}

#[async_trait]
impl FlowReads for Reader {
    async fn count_active(&mut self, queue: i64, limit: usize) -> Result<ActiveCallbacks, StoreError> {
        Ok(ActiveCallbacks {
            waiting: self.count_in(queue, State::Queued, limit)?,
            routing: self.count_in(queue, State::Routing, limit)?,
        })
    }
}
