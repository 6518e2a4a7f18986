//! What readers are asked about a number, and what the server does behind rows that were erased.
//!
//! What is removed is gone for every query with the commit. Its bytes are not: they stay in pages and in the write-ahead
//! log of the server until something else is written there, and in archives and backups until those are deleted. Only
//! who runs the server can change that; the receipt names it.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::erasure::Keeper;
use domain::ids::CallbackId;
use domain::ports::{HeldCallIn, StoreError};
use tokio::time::timeout;

use super::connect::Dialer;
use super::errors::SqlError;
use super::pool::Reader;
use super::statement::statements;
use crate::stores::database::PersonalReads;
use crate::stores::erasure::CallbackOf;
use crate::stores::packing::unpacked;
use crate::stores::rows::{CallInRow, ReceiptRow, call_in, sql_limit, whole};

/// Clears up behind the rows that were removed, and their entries in indexes.
const CLEAR_UP: &str = "VACUUM callbacks, history, details, call_ins, notices, counted_values, idempotency_keys";

/// The longest that this may take. A server that has not done it by then does it by itself in its own time.
const CLEAR_UP_WITHIN: Duration = Duration::from_secs(120);

statements! {
    EndOfCallbacks = "SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    CallbacksOf = "SELECT id, state, wake_at, details FROM callbacks
        WHERE id > ? AND id <= ? AND tenant = ? AND phone = ? ORDER BY id";
    OwnCallIns = "SELECT id, details FROM call_ins WHERE tenant = ? AND caller = ? ORDER BY id LIMIT ?";
    TiedCallIns = "SELECT id, details FROM call_ins WHERE callback = ANY (?) AND tenant = ? ORDER BY id LIMIT ?";
    ValuesOf = "SELECT v.queue, v.ends_at FROM queues q JOIN counted_values v ON v.queue = q.key
        WHERE q.tenant = ? AND v.value = ?";
    EndOfKeys = "SELECT id FROM idempotency_keys WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    KeysOf = "SELECT id, callback FROM idempotency_keys WHERE id > ? AND id <= ? AND tenant = ?";
    LoadCallIns = "SELECT c.id, c.state, g.name, n.phone, c.code, c.caller, c.created_at, c.expires_at, c.ended_at,
        c.criteria, c.callback FROM call_ins c JOIN call_in_groups g ON g.key = c.grp
        JOIN call_in_numbers n ON n.key = c.number WHERE c.tenant = ? AND c.id = ANY (?) ORDER BY c.id";
    DataOfCallIns = "SELECT c.id, d.user_data FROM call_ins c JOIN details d ON d.id = c.details
        WHERE c.tenant = ? AND c.id = ANY (?) AND d.user_data IS NOT NULL";
    BytesLookedThrough = "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'
        AND c.relname IN ('callbacks', 'call_ins', 'counted_values', 'idempotency_keys')";
    LoadReceipt = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id = ?";
    ListReceipts = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?";
}

/// Has the server clear up at once, instead of some day. Nothing depends on it.
pub(super) async fn clear_up(dialer: &Dialer) {
    let clear_up = async {
        let client = dialer.bare().await?;
        client.batch_execute(CLEAR_UP).await.map_err(SqlError::from)
    };
    match timeout(CLEAR_UP_WITHIN, clear_up).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the tables were not vacuumed after an erasure"),
        Err(_) => tracing::warn!("vacuuming the tables after an erasure takes longer than it is waited for"),
    }
}

#[async_trait]
impl PersonalReads for Reader {
    const KEEPER: Keeper = Keeper::Server;

    async fn callback_behind(&mut self, after: &[u8], count: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let end: Option<(Vec<u8>,)> = self.first::<EndOfCallbacks, _>(&[after.into(), count.into()]).await?;
        Ok(end.map(|(id,)| id))
    }

    async fn callbacks_of(
        &mut self,
        (tenant, phone): (i64, i64),
        (after, until): (&[u8], &[u8]),
    ) -> Result<Vec<CallbackOf>, StoreError> {
        self.rows::<CallbacksOf, _>(&[after.into(), until.into(), tenant.into(), phone.into()]).await
    }

    async fn own_call_ins(
        &mut self,
        (tenant, phone): (i64, i64),
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError> {
        self.rows::<OwnCallIns, _>(&[tenant.into(), phone.into(), limit.into()]).await
    }

    async fn tied_call_ins(
        &mut self,
        tenant: i64,
        callbacks: &[CallbackId],
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError> {
        let uuids: Vec<_> = callbacks.iter().map(CallbackId::as_uuid).collect();
        let ids: Vec<&[u8]> = uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
        self.rows::<TiedCallIns, _>(&[ids.as_slice().into(), tenant.into(), limit.into()]).await
    }

    async fn values_of(&mut self, tenant: i64, value: [u8; 16]) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<ValuesOf, _>(&[tenant.into(), value.as_slice().into()]).await
    }

    async fn key_behind(&mut self, after: i64, count: i64) -> Result<Option<i64>, StoreError> {
        let end: Option<(i64,)> = self.first::<EndOfKeys, _>(&[after.into(), count.into()]).await?;
        Ok(end.map(|(id,)| id))
    }

    async fn keys_between(&mut self, tenant: i64, after: i64, until: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.rows::<KeysOf, _>(&[after.into(), until.into(), tenant.into()]).await
    }

    async fn held_call_ins(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<HeldCallIn>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        let binds = [tenant.into(), ids.as_slice().into()];
        let found: Vec<CallInRow> = self.rows::<LoadCallIns, _>(&binds).await?;
        let data: Vec<(Vec<u8>, Vec<u8>)> = self.rows::<DataOfCallIns, _>(&binds).await?;
        let data: HashMap<Vec<u8>, Vec<u8>> = data.into_iter().collect();
        let held = |row: CallInRow| {
            let user_data = data.get(&row.0).map(|packed| unpacked(packed)).transpose()?;
            Ok(HeldCallIn { call_in: call_in(row, at)?, user_data })
        };
        found.into_iter().map(held).collect()
    }

    async fn receipt_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<ReceiptRow>, StoreError> {
        self.first::<LoadReceipt, _>(&[tenant.into(), id.into()]).await
    }

    async fn receipt_rows(&mut self, tenant: i64, before: &[u8], limit: usize) -> Result<Vec<ReceiptRow>, StoreError> {
        self.rows::<ListReceipts, _>(&[tenant.into(), before.into(), sql_limit(limit).into()]).await
    }

    async fn bytes_looked_through(&mut self) -> Result<u64, StoreError> {
        let found: Option<(i64,)> = self.first::<BytesLookedThrough, _>(&[]).await?;
        Ok(found.map_or(0, |(bytes,)| whole(bytes)))
    }
}
