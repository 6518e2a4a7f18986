//! Rows of `erasures`, to receipts.

use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::erasure::{Counts, Receipt, Search};
use domain::ids::{ErasureId, TenantId};
use domain::ports::StoreError;
use uuid::Uuid;

use super::super::queries::sql_limit;
use super::super::readers::{Reader, not_read};
use super::super::rows::{instant, unreadable};
use super::super::statement::{first, rows, statements};
use super::super::tenants::whole;

statements! {
    LoadReceipt -> (
        Binary, Binary, Text, BigInt, Nullable<BigInt>, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt,
        BigInt, BigInt, BigInt, BigInt,
    ) = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id = ?";
    ListReceipts -> (
        Binary, Binary, Text, BigInt, Nullable<BigInt>, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt,
        BigInt, BigInt, BigInt, BigInt,
    ) = "SELECT id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details,
        call_ins, notices, counted_values, idempotency_keys, searched_bytes, rewritten, found
        FROM erasures WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?";
}

/// The columns of [`LoadReceipt`].
pub(in crate::stores::sqlite) type ReceiptRow =
    (Vec<u8>, Vec<u8>, String, i64, Option<i64>, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// Makes a receipt of its row.
pub(in crate::stores::sqlite) fn receipt(tenant: TenantId, row: ReceiptRow) -> Result<Receipt, StoreError> {
    let (id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details, ..) = row;
    let (.., call_ins, notices, counted_values, idempotency_keys, bytes, rewritten, found) = row;
    let id = Uuid::from_slice(&id).map_err(|_| unreadable("the id of an erasure is no UUID"))?;
    Ok(Receipt {
        id: ErasureId::from_uuid(id),
        tenant,
        fingerprint: fingerprint.try_into().map_err(|_| unreadable("a fingerprint has not 16 bytes"))?,
        actor,
        begun_at: instant(begun_at)?,
        finished_at: finished_at.map(instant).transpose()?,
        cancelled: whole(cancelled),
        counts: Counts {
            callbacks: whole(callbacks),
            blinded: whole(blinded),
            history: whole(history),
            details: whole(details),
            call_ins: whole(call_ins),
            notices: whole(notices),
            counted_values: whole(counted_values),
            idempotency_keys: whole(idempotency_keys),
        },
        search: Search { bytes: whole(bytes), rewritten: rewritten != 0, found: whole(found) },
    })
}

impl Reader {
    pub(super) fn receipt(&mut self, tenant: TenantId, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant)? else { return Ok(None) };
        let id = id.as_uuid();
        let binds = [key.into(), id.as_bytes().as_slice().into()];
        let found: Option<ReceiptRow> = first::<LoadReceipt, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.map(|row| receipt(tenant, row)).transpose()
    }

    pub(super) fn receipts(
        &mut self,
        tenant: TenantId,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        let Some(key) = self.tenant_key(tenant)? else { return Ok(Vec::new()) };
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let binds = [key.into(), before.as_bytes().as_slice().into(), sql_limit(limit).into()];
        let found: Vec<ReceiptRow> = rows::<ListReceipts, _>(&mut self.connection, &binds).map_err(not_read)?;
        found.into_iter().map(|row| receipt(tenant, row)).collect()
    }
}
