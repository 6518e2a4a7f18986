//! What readers are asked about a number, and what is done about the files.

mod scrub;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::erasure::{Keeper, Search};
use domain::ids::CallbackId;
use domain::numbers::PhoneNumber;
use domain::ports::{HeldCallIn, StoreError};

use super::call_ins::LoadCallIn;
use super::readers::Reader;
use super::statement::statements;
use crate::stores::database::PersonalReads;
use crate::stores::erasure::CallbackOf;
use crate::stores::packing::unpacked;
use crate::stores::rows::{CallInRow, ReceiptRow, call_in, sql_limit};
pub(super) use scrub::Files;

/// Bytes by which a packed text is recognised, of the first 64. Fewer are hardly one's own.
const MIN_TRACE_BYTES: usize = 12;
/// From here on they are looked for as well: of a copy that is being overwritten the beginning may go first.
const SECOND_TRACE_FROM: usize = 24;

statements! {
    EndOfCallbacks -> (Binary) = "SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    CallbacksOf -> (Binary, BigInt, Nullable<BigInt>, Nullable<BigInt>) =
        "SELECT id, state, wake_at, details FROM callbacks WHERE id > ? AND id <= ? AND tenant = ? AND phone = ?";
    OwnCallIns -> (Binary, Nullable<BigInt>) = "SELECT id, details FROM call_ins INDEXED BY call_ins_of_caller
        WHERE tenant = ? AND caller = ? ORDER BY id LIMIT ?";
    TiedCallIns -> (Binary, Nullable<BigInt>) = "SELECT id, details FROM call_ins INDEXED BY call_ins_tied
        WHERE callback = ? AND tenant = ? ORDER BY id LIMIT ?";
    ValuesOf -> (BigInt, BigInt) = "SELECT v.queue, v.ends_at FROM queues q CROSS JOIN counted_values v
        WHERE q.tenant = ? AND v.queue = q.key AND v.value = ?";
    EndOfKeys -> (BigInt) = "SELECT id FROM idempotency_keys WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?";
    KeysOf -> (BigInt, Binary) = "SELECT id, callback FROM idempotency_keys WHERE id > ? AND id <= ? AND tenant = ?";
    TracesOf -> (Nullable<Binary>, Nullable<Binary>) =
        "SELECT substr(options, 1, 64), substr(user_data, 1, 64) FROM details WHERE id = ?";
    DataOfCallIn -> (Nullable<Binary>) =
        "SELECT d.user_data FROM call_ins c JOIN details d ON d.id = c.details WHERE c.tenant = ? AND c.id = ?";
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

/// Sees that nothing of a number, and of the texts that are recognised by `traces`, is left in the files. Takes as long as
/// reading them, and more if they have to be written anew.
pub(super) async fn scrub(
    files: Files,
    phone: PhoneNumber,
    traces: Option<Vec<Vec<u8>>>,
) -> Result<Search, StoreError> {
    let traces = traces.map(|mut traces| {
        traces.push(scrub::number(phone));
        traces
    });
    let work = tokio::task::spawn_blocking(move || files.scrub(traces.as_deref()));
    work.await.unwrap_or_else(|_| Err(StoreError::NotDone("the files could not be looked through".to_owned())))
}

/// Packed options and packed user data.
type PackedTexts = (Option<Vec<u8>>, Option<Vec<u8>>);

#[async_trait]
impl PersonalReads for Reader {
    const KEEPER: Keeper = Keeper::Folder;

    async fn callback_behind(&mut self, after: &[u8], count: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let end: Option<(Vec<u8>,)> = self.first::<EndOfCallbacks, _>(&[after.into(), count.into()])?;
        Ok(end.map(|(id,)| id))
    }

    async fn callbacks_of(
        &mut self,
        (tenant, phone): (i64, i64),
        (after, until): (&[u8], &[u8]),
    ) -> Result<Vec<CallbackOf>, StoreError> {
        self.rows::<CallbacksOf, _>(&[after.into(), until.into(), tenant.into(), phone.into()])
    }

    async fn own_call_ins(
        &mut self,
        (tenant, phone): (i64, i64),
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError> {
        self.rows::<OwnCallIns, _>(&[tenant.into(), phone.into(), limit.into()])
    }

    async fn tied_call_ins(
        &mut self,
        tenant: i64,
        callbacks: &[CallbackId],
        limit: i64,
    ) -> Result<Vec<(Vec<u8>, Option<i64>)>, StoreError> {
        let mut found = Vec::new();
        for callback in callbacks {
            let id = callback.as_uuid();
            let binds = [id.as_bytes().as_slice().into(), tenant.into(), limit.into()];
            found.extend(self.rows::<TiedCallIns, (Vec<u8>, Option<i64>)>(&binds)?);
        }
        Ok(found)
    }

    async fn values_of(&mut self, tenant: i64, value: [u8; 16]) -> Result<Vec<(i64, i64)>, StoreError> {
        self.rows::<ValuesOf, _>(&[tenant.into(), value.as_slice().into()])
    }

    async fn key_behind(&mut self, after: i64, count: i64) -> Result<Option<i64>, StoreError> {
        let end: Option<(i64,)> = self.first::<EndOfKeys, _>(&[after.into(), count.into()])?;
        Ok(end.map(|(id,)| id))
    }

    async fn keys_between(&mut self, tenant: i64, after: i64, until: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.rows::<KeysOf, _>(&[after.into(), until.into(), tenant.into()])
    }

    async fn held_call_ins(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<HeldCallIn>, StoreError> {
        let mut held = Vec::with_capacity(ids.len());
        for id in ids {
            let binds = [tenant.into(), id.as_slice().into()];
            let found: Option<CallInRow> = self.first::<LoadCallIn, _>(&binds)?;
            let Some(row) = found else { continue };
            let data: Option<(Option<Vec<u8>>,)> = self.first::<DataOfCallIn, _>(&binds)?;
            let user_data = data.and_then(|(packed,)| packed).as_deref().map(unpacked).transpose()?;
            held.push(HeldCallIn { call_in: call_in(row, at)?, user_data });
        }
        Ok(held)
    }

    async fn receipt_row(&mut self, tenant: i64, id: &[u8]) -> Result<Option<ReceiptRow>, StoreError> {
        self.first::<LoadReceipt, _>(&[tenant.into(), id.into()])
    }

    async fn receipt_rows(&mut self, tenant: i64, before: &[u8], limit: usize) -> Result<Vec<ReceiptRow>, StoreError> {
        self.rows::<ListReceipts, _>(&[tenant.into(), before.into(), sql_limit(limit).into()])
    }

    /// How packed texts begin.
    async fn traces_of(&mut self, details: Vec<i64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut traces = Vec::new();
        for row in details {
            let found: Option<PackedTexts> = self.first::<TracesOf, _>(&[row.into()])?;
            let (options, user_data) = found.unwrap_or_default();
            for text in [options, user_data].into_iter().flatten() {
                traces.extend(text.get(SECOND_TRACE_FROM..).map(<[u8]>::to_vec));
                traces.push(text);
            }
            traces.retain(|trace| trace.len() >= MIN_TRACE_BYTES);
        }
        Ok(traces)
    }
}
