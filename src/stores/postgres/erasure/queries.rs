//! What readers are asked about a number. There is no index by number alone, for only this would use it: callbacks and
//! keys are read through, so many in one read.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::callback::State;
use domain::ids::CallbackId;
use domain::ports::{HeldCallIn, StoreError};

use super::super::pool::Reader;
use super::super::queries::callback_id;
use super::super::statement::{first, rows, statements};
use crate::stores::erasure::{END_OF_IDS, FoundCallIn, FoundCallback, MAX_CALL_INS, STRETCH, Stretch};
use crate::stores::packing::unpacked;
use crate::stores::rows::{CallInRow, call_in, state, whole};

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
}

/// Id, state, wake-up, details.
type CallbackOf = (Vec<u8>, i64, Option<i64>, Option<i64>);

impl Reader {
    pub(super) async fn callbacks_of(
        &mut self,
        tenant: i64,
        phone: i64,
        after: &[u8],
    ) -> Result<Stretch<FoundCallback, Vec<u8>>, StoreError> {
        let binds = [after.into(), STRETCH.into()];
        let end: Option<(Vec<u8>,)> = first::<EndOfCallbacks, _>(&mut self.connection, &binds).await?;
        let next = end.map(|(id,)| id);
        let until = next.as_deref().unwrap_or(END_OF_IDS);
        let binds = [after.into(), until.into(), tenant.into(), phone.into()];
        let found: Vec<CallbackOf> = rows::<CallbacksOf, _>(&mut self.connection, &binds).await?;
        let callback = |(id, code, wake_at, details): CallbackOf| {
            let state = state(code)?;
            let settled = wake_at.is_none() && state == State::Completed;
            Ok(FoundCallback { id: callback_id(&id)?, state, settled, details })
        };
        Ok(Stretch { found: found.into_iter().map(callback).collect::<Result<_, StoreError>>()?, next })
    }

    /// Call-ins of the number, and those tied to its callbacks.
    pub(super) async fn call_ins_of(
        &mut self,
        tenant: i64,
        phone: i64,
        callbacks: &[CallbackId],
    ) -> Result<Vec<FoundCallIn>, StoreError> {
        let binds = [tenant.into(), phone.into(), MAX_CALL_INS.into()];
        let mut found: Vec<(Vec<u8>, Option<i64>)> = rows::<OwnCallIns, _>(&mut self.connection, &binds).await?;
        if !callbacks.is_empty() {
            let uuids: Vec<_> = callbacks.iter().map(CallbackId::as_uuid).collect();
            let ids: Vec<&[u8]> = uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
            let binds = [ids.as_slice().into(), tenant.into(), MAX_CALL_INS.into()];
            found.extend(rows::<TiedCallIns, (Vec<u8>, Option<i64>)>(&mut self.connection, &binds).await?);
        }
        let mut found: Vec<_> = found.into_iter().map(|(id, details)| FoundCallIn { id, details }).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(super) async fn values_of(&mut self, tenant: i64, value: &[u8; 16]) -> Result<Vec<(i64, i64)>, StoreError> {
        Ok(rows::<ValuesOf, _>(&mut self.connection, &[tenant.into(), value.as_slice().into()]).await?)
    }

    /// Keys that made one of `ids`.
    pub(super) async fn keys_of(
        &mut self,
        tenant: i64,
        ids: &HashSet<Vec<u8>>,
        after: i64,
    ) -> Result<Stretch<i64, i64>, StoreError> {
        let binds = [after.into(), STRETCH.into()];
        let end: Option<(i64,)> = first::<EndOfKeys, _>(&mut self.connection, &binds).await?;
        let next = end.map(|(id,)| id);
        let binds = [after.into(), next.unwrap_or(i64::MAX).into(), tenant.into()];
        let keys: Vec<(i64, Vec<u8>)> = rows::<KeysOf, _>(&mut self.connection, &binds).await?;
        Ok(Stretch { found: keys.into_iter().filter(|(_, made)| ids.contains(made)).map(|(id, _)| id).collect(), next })
    }

    pub(super) async fn held_call_ins(
        &mut self,
        tenant: i64,
        ids: &[&[u8]],
        at: DateTime<Utc>,
    ) -> Result<Vec<HeldCallIn>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let binds = [tenant.into(), ids.into()];
        let found: Vec<CallInRow> = rows::<LoadCallIns, _>(&mut self.connection, &binds).await?;
        let data: Vec<(Vec<u8>, Vec<u8>)> = rows::<DataOfCallIns, _>(&mut self.connection, &binds).await?;
        let data: HashMap<Vec<u8>, Vec<u8>> = data.into_iter().collect();
        let held = |row: CallInRow| {
            let user_data = data.get(&row.0).map(|packed| unpacked(packed)).transpose()?;
            Ok(HeldCallIn { call_in: call_in(row, at)?, user_data })
        };
        found.into_iter().map(held).collect()
    }

    /// Bytes of the tables in which a number, or what is made of it, can stand.
    pub(super) async fn bytes_looked_through(&mut self) -> Result<u64, StoreError> {
        let found: Option<(i64,)> = first::<BytesLookedThrough, _>(&mut self.connection, &[]).await?;
        Ok(found.map_or(0, |(bytes,)| whole(bytes)))
    }
}
