//! Rows of `erasures`, to receipts.

use domain::erasure::{Counts, Keeper, Receipt, Search};
use domain::ids::{ErasureId, TenantId};
use domain::ports::StoreError;
use uuid::Uuid;

use super::{instant, unreadable, whole};

/// The columns of an erasure as they are read.
pub(in crate::stores) type ReceiptRow =
    (Vec<u8>, Vec<u8>, String, i64, Option<i64>, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// Makes a receipt of its row.
pub(in crate::stores) fn receipt(keeper: Keeper, tenant: TenantId, row: ReceiptRow) -> Result<Receipt, StoreError> {
    let (id, fingerprint, actor, begun_at, finished_at, cancelled, callbacks, blinded, history, details, ..) = row;
    let (.., call_ins, notices, counted_values, idempotency_keys, bytes, rewritten, found) = row;
    let id = Uuid::from_slice(&id).map_err(|_| unreadable("the id of an erasure is no UUID"))?;
    Ok(Receipt {
        id: ErasureId::from_uuid(id),
        tenant,
        keeper,
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
