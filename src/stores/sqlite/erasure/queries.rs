//! What readers are asked about a number. There is no index by number alone, for only this would use it: callbacks and
//! keys are read through, so many in one read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::callback::State;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{HeldCallIn, StoreError};

use super::super::call_ins::{CallInRow, LoadCallIn, call_in_at};
use super::super::callbacks::unpacked;
use super::super::queries::callback_id;
use super::super::readers::{Reader, not_read};
use super::super::rows::state;
use super::super::statement::{first, rows, statements};
use crate::stores::erasure::{END_OF_IDS, FoundCallIn, FoundCallback, MAX_CALL_INS, STRETCH, Stretch};

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
}

/// Id, state, wake-up, details.
type CallbackOf = (Vec<u8>, i64, Option<i64>, Option<i64>);

/// Packed options and packed user data.
type PackedTexts = (Option<Vec<u8>>, Option<Vec<u8>>);

impl Reader {
    pub(super) fn tenant_key(&mut self, tenant: TenantId) -> Result<Option<i64>, StoreError> {
        self.names.tenant(&mut self.connection, tenant).map_err(not_read)
    }

    pub(super) fn callbacks_of(
        &mut self,
        tenant: i64,
        phone: i64,
        after: &[u8],
    ) -> Result<Stretch<FoundCallback, Vec<u8>>, StoreError> {
        let end: Option<(Vec<u8>,)> =
            first::<EndOfCallbacks, _>(&mut self.connection, &[after.into(), STRETCH.into()]).map_err(not_read)?;
        let next = end.map(|(id,)| id);
        let until = next.as_deref().unwrap_or(END_OF_IDS);
        let binds = [after.into(), until.into(), tenant.into(), phone.into()];
        let found: Vec<CallbackOf> = rows::<CallbacksOf, _>(&mut self.connection, &binds).map_err(not_read)?;
        let callback = |(id, code, wake_at, details): CallbackOf| {
            let state = state(code)?;
            let settled = wake_at.is_none() && state == State::Completed;
            Ok(FoundCallback { id: callback_id(&id)?, state, settled, details })
        };
        Ok(Stretch { found: found.into_iter().map(callback).collect::<Result<_, StoreError>>()?, next })
    }

    /// Call-ins of the number, and those tied to its callbacks.
    pub(super) fn call_ins_of(
        &mut self,
        tenant: i64,
        phone: i64,
        callbacks: &[CallbackId],
    ) -> Result<Vec<FoundCallIn>, StoreError> {
        let binds = [tenant.into(), phone.into(), MAX_CALL_INS.into()];
        let mut found: Vec<(Vec<u8>, Option<i64>)> =
            rows::<OwnCallIns, _>(&mut self.connection, &binds).map_err(not_read)?;
        for callback in callbacks {
            let id = callback.as_uuid();
            let binds = [id.as_bytes().as_slice().into(), tenant.into(), MAX_CALL_INS.into()];
            let tied: Vec<(Vec<u8>, Option<i64>)> =
                rows::<TiedCallIns, _>(&mut self.connection, &binds).map_err(not_read)?;
            found.extend(tied);
        }
        found.sort();
        found.dedup();
        Ok(found.into_iter().map(|(id, details)| FoundCallIn { id, details }).collect())
    }

    pub(super) fn values_of(&mut self, tenant: i64, value: &[u8; 16]) -> Result<Vec<(i64, i64)>, StoreError> {
        rows::<ValuesOf, _>(&mut self.connection, &[tenant.into(), value.as_slice().into()]).map_err(not_read)
    }

    /// Keys that made one of `ids`.
    pub(super) fn keys_of(
        &mut self,
        tenant: i64,
        ids: &HashSet<Vec<u8>>,
        after: i64,
    ) -> Result<Stretch<i64, i64>, StoreError> {
        let end: Option<(i64,)> =
            first::<EndOfKeys, _>(&mut self.connection, &[after.into(), STRETCH.into()]).map_err(not_read)?;
        let next = end.map(|(id,)| id);
        let binds = [after.into(), next.unwrap_or(i64::MAX).into(), tenant.into()];
        let keys: Vec<(i64, Vec<u8>)> = rows::<KeysOf, _>(&mut self.connection, &binds).map_err(not_read)?;
        Ok(Stretch { found: keys.into_iter().filter(|(_, made)| ids.contains(made)).map(|(id, _)| id).collect(), next })
    }

    /// How packed texts begin.
    pub(super) fn traces_of(&mut self, details: &[i64]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut traces = Vec::new();
        for row in details {
            let found: Option<PackedTexts> =
                first::<TracesOf, _>(&mut self.connection, &[(*row).into()]).map_err(not_read)?;
            let (options, user_data) = found.unwrap_or_default();
            for text in [options, user_data].into_iter().flatten() {
                traces.extend(text.get(SECOND_TRACE_FROM..).map(<[u8]>::to_vec));
                traces.push(text);
            }
            traces.retain(|trace| trace.len() >= MIN_TRACE_BYTES);
        }
        Ok(traces)
    }

    pub(super) fn held_call_ins(
        &mut self,
        tenant: i64,
        ids: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<Vec<HeldCallIn>, StoreError> {
        let mut held = Vec::with_capacity(ids.len());
        for id in ids {
            let binds = [tenant.into(), id.as_slice().into()];
            let found: Option<CallInRow> = first::<LoadCallIn, _>(&mut self.connection, &binds).map_err(not_read)?;
            let Some(row) = found else { continue };
            let data: Option<(Option<Vec<u8>>,)> =
                first::<DataOfCallIn, _>(&mut self.connection, &binds).map_err(not_read)?;
            let user_data = data.and_then(|(packed,)| packed).as_deref().map(unpacked).transpose()?;
            held.push(HeldCallIn { call_in: call_in_at(row, at)?, user_data });
        }
        Ok(held)
    }
}
