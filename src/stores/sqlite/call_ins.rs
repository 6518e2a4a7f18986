//! What readers are asked about call-ins.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use domain::call_in::CallIn;
use domain::ports::{CallInOrder, StoreError};
use uuid::Uuid;

use super::readers::Reader;
use super::statement::{Bind, statements};
use crate::stores::call_ins::{List, Look, SeenRow};
use crate::stores::database::{CallInReads, UntidyRow};
use crate::stores::rows::{CallInRow, RowKey, call_in, sql_limit, stored_number, unreadable};

statements! {
    LoadCallIn -> (
        Binary, BigInt, Text, BigInt, Nullable<BigInt>, Nullable<BigInt>, BigInt, BigInt, Nullable<BigInt>, BigInt,
        Nullable<Binary>,
    ) = "SELECT c.id, c.state, g.name, n.phone, c.code, c.caller, c.created_at, c.expires_at, c.ended_at, c.criteria,
        c.callback FROM call_ins c JOIN call_in_groups g ON g.key = c.grp JOIN call_in_numbers n ON n.key = c.number
        WHERE c.tenant = ? AND c.id = ?";
    Newest -> (Binary, BigInt, BigInt, BigInt) = "SELECT id, state, grp, expires_at FROM call_ins
        WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?";
    Oldest -> (Binary, BigInt, BigInt, BigInt) = "SELECT id, state, grp, expires_at FROM call_ins
        WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?";
    NewestOfCaller -> (Binary, BigInt, BigInt, BigInt) = "SELECT id, state, grp, expires_at
        FROM call_ins INDEXED BY call_ins_of_caller
        WHERE tenant = ? AND caller = ? AND id < ? ORDER BY id DESC LIMIT ?";
    OldestOfCaller -> (Binary, BigInt, BigInt, BigInt) = "SELECT id, state, grp, expires_at
        FROM call_ins INDEXED BY call_ins_of_caller
        WHERE tenant = ? AND caller = ? AND id > ? ORDER BY id LIMIT ?";
    FindGroup -> (BigInt) = "SELECT key FROM call_in_groups WHERE tenant = ? AND name = ?";
    Expired -> (BigInt, Binary) = "SELECT tenant, id FROM call_ins INDEXED BY call_ins_waiting
        WHERE state = 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?";
    Ended -> (BigInt, Binary) = "SELECT tenant, id FROM call_ins INDEXED BY call_ins_ended
        WHERE state <> 0 AND expires_at < ? ORDER BY expires_at LIMIT ?";
}

/// This writer is alone, and need not know whose they are.
fn untidy(rows: Vec<RowKey>) -> Vec<UntidyRow> {
    rows.into_iter().map(|row| (None, row)).collect()
}

#[async_trait]
impl CallInReads for Reader {
    async fn group_key(&mut self, tenant: i64, name: &str) -> Result<Option<i64>, StoreError> {
        let found: Option<(i64,)> = self.first::<FindGroup, _>(&[tenant.into(), name.into()])?;
        Ok(found.map(|(key,)| key))
    }

    async fn listed_call_ins(&mut self, list: &List<'_>, after: Uuid) -> Result<Vec<SeenRow>, StoreError> {
        let limit = sql_limit(Look::READ).into();
        let (tenant, after) = (list.tenant.into(), Bind::Bytes(after.as_bytes()));
        match (list.query.caller.map(stored_number), list.query.order) {
            (None, CallInOrder::NewestFirst) => self.rows::<Newest, _>(&[tenant, after, limit]),
            (None, CallInOrder::OldestFirst) => self.rows::<Oldest, _>(&[tenant, after, limit]),
            (Some(caller), CallInOrder::NewestFirst) => {
                self.rows::<NewestOfCaller, _>(&[tenant, caller.into(), after, limit])
            }
            (Some(caller), CallInOrder::OldestFirst) => {
                self.rows::<OldestOfCaller, _>(&[tenant, caller.into(), after, limit])
            }
        }
    }

    async fn call_ins_by_id(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<CallIn>, StoreError> {
        let mut call_ins = Vec::with_capacity(ids.len());
        for id in ids {
            let found: Option<CallInRow> = self.first::<LoadCallIn, _>(&[tenant.into(), id.as_slice().into()])?;
            // It was seen in this very snapshot.
            call_ins.push(call_in(found.ok_or_else(|| unreadable("a call-in has no group or number"))?, at)?);
        }
        Ok(call_ins)
    }

    async fn expired_call_ins(&mut self, at: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError> {
        Ok(untidy(self.rows::<Expired, _>(&[at.into(), sql_limit(limit).into()])?))
    }

    async fn ended_call_ins(&mut self, before: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError> {
        Ok(untidy(self.rows::<Ended, _>(&[before.into(), sql_limit(limit).into()])?))
    }
}
