//! Rows of `erasures`, to receipts.

use domain::erasure::{Keeper, Receipt};
use domain::ids::{ErasureId, TenantId};
use domain::ports::StoreError;
use uuid::Uuid;

use super::super::pool::Reader;
use super::super::queries::sql_limit;
use super::super::statement::{first, rows, statements};
use crate::stores::rows::{ReceiptRow, receipt};

statements! {
    LoadReceipt = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id = ?";
    ListReceipts = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?";
}

impl Reader {
    pub(super) async fn receipt(&mut self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(None) };
        let id = id.as_uuid();
        let binds = [key.into(), id.as_bytes().as_slice().into()];
        let found: Option<ReceiptRow> = first::<LoadReceipt, _>(&mut self.connection, &binds).await?;
        found.map(|row| receipt(Keeper::Server, tenant, row)).transpose()
    }

    pub(super) async fn receipts(
        &mut self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant).await? else { return Ok(Vec::new()) };
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let binds = [key.into(), before.as_bytes().as_slice().into(), sql_limit(limit).into()];
        let found: Vec<ReceiptRow> = rows::<ListReceipts, _>(&mut self.connection, &binds).await?;
        found.into_iter().map(|row| receipt(Keeper::Server, tenant, row)).collect()
    }
}
