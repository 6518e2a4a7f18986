//! What readers are asked about held places.

use async_trait::async_trait;
use domain::ports::StoreError;

use super::pool::Reader;
use super::statement::statements;
use crate::stores::database::HoldReads;
use crate::stores::rows::sql_limit;

statements! {
    HoldsOfQueue = "SELECT id, slot, desired_time FROM holds WHERE queue = ? LIMIT ?";
    // One short range per queue instead of a walk through all holds.
    Lapsed = "SELECT h.id FROM queues q CROSS JOIN LATERAL
        (SELECT id FROM holds WHERE queue = q.key AND expires_at <= ? LIMIT ?) h LIMIT ?";
}

#[async_trait]
impl HoldReads for Reader {
    async fn lapsed_rows(&mut self, at: i64, limit: usize) -> Result<Vec<(Vec<u8>,)>, StoreError> {
        self.rows::<Lapsed, _>(&[at.into(), sql_limit(limit).into(), sql_limit(limit).into()]).await
    }

    async fn hold_rows(&mut self, queue: i64, limit: usize) -> Result<Vec<(Vec<u8>, i64, i64)>, StoreError> {
        self.rows::<HoldsOfQueue, _>(&[queue.into(), sql_limit(limit).into()]).await
    }
}
