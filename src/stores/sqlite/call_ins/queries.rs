//! What readers are asked about call-ins.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary};
use domain::call_in::CallIn;
use domain::ids::TenantId;
use domain::ports::{CallInOrder, CallInPage, CallInQuery, StoreError};
use uuid::Uuid;

use super::super::queries::sql_limit;
use super::super::readers::{Reader, not_read};
use super::super::rows::{millis, unreadable};
use super::super::statement::{Bind, first, rows, statements};
use super::rows::LoadCallIn;
use crate::stores::call_ins::{List, Look, SeenRow, found};
use crate::stores::command::call_ins::Tidy;
use crate::stores::rows::{CallInRow, RowKey, call_in, stored_number};

statements! {
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

impl Reader {
    pub(super) fn call_ins(
        &mut self,
        tenant: TenantId,
        query: &CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        let empty = CallInPage { total_is_complete: true, ..CallInPage::default() };
        let Some(tenant) = self.names.tenant(&mut self.connection, tenant).map_err(not_read)? else { return Ok(empty) };
        let mut list = List { tenant, query, group: None, at };
        if let Some(group) = &query.group {
            let binds = [tenant.into(), group.as_str().into()];
            let found: Option<(i64,)> = first::<FindGroup, _>(&mut self.connection, &binds).map_err(not_read)?;
            let Some((key,)) = found else { return Ok(empty) };
            list.group = Some(key);
        }
        let (mut ids, mut total) = (Vec::new(), 0);
        let page = self.look_through(&list, list.page(), |id| {
            ids.push(id);
            ids.len() < query.limit
        })?;
        let whole = self.look_through(&list, list.whole(), |_| {
            total += 1;
            true
        })?;
        let call_ins: Result<_, _> = ids.into_iter().map(|id| self.shown(tenant, &id, at)).collect();
        Ok(found(call_ins?, &page, total, &whole))
    }

    fn look_through(
        &mut self,
        list: &List<'_>,
        mut look: Look,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<Look, StoreError> {
        while let Some(after) = look.next() {
            let read = self.chunk(list, after, Look::READ)?;
            look.at(list, read, &mut take)?;
        }
        Ok(look)
    }

    fn chunk(&mut self, list: &List<'_>, after: Uuid, limit: usize) -> Result<Vec<SeenRow>, StoreError> {
        let (tenant, after, limit) = (list.tenant.into(), Bind::Bytes(after.as_bytes()), sql_limit(limit).into());
        let connection = &mut self.connection;
        let found = match (list.query.caller.map(stored_number), list.query.order) {
            (None, CallInOrder::NewestFirst) => rows::<Newest, _>(connection, &[tenant, after, limit]),
            (None, CallInOrder::OldestFirst) => rows::<Oldest, _>(connection, &[tenant, after, limit]),
            (Some(caller), CallInOrder::NewestFirst) => {
                rows::<NewestOfCaller, _>(connection, &[tenant, caller.into(), after, limit])
            }
            (Some(caller), CallInOrder::OldestFirst) => {
                rows::<OldestOfCaller, _>(connection, &[tenant, caller.into(), after, limit])
            }
        };
        found.map_err(not_read)
    }

    fn shown(&mut self, tenant: i64, id: &[u8], at: DateTime<Utc>) -> Result<CallIn, StoreError> {
        let found: Option<CallInRow> =
            first::<LoadCallIn, _>(&mut self.connection, &[tenant.into(), id.into()]).map_err(not_read)?;
        // It was seen in this very snapshot.
        call_in(found.ok_or_else(|| unreadable("a call-in has no group or number"))?, at)
    }

    /// What time has done, at most `limit` rows.
    pub(super) fn untidy_call_ins(
        &mut self,
        ended_before: DateTime<Utc>,
        at: DateTime<Utc>,
        limit: usize,
    ) -> Result<Tidy, StoreError> {
        let binds = [millis(at).into(), sql_limit(limit).into()];
        let expired: Vec<RowKey> = rows::<Expired, _>(&mut self.connection, &binds).map_err(not_read)?;
        let left = limit.saturating_sub(expired.len());
        let binds = [millis(ended_before).into(), sql_limit(left).into()];
        let ended = rows::<Ended, _>(&mut self.connection, &binds).map_err(not_read)?;
        // This writer is alone.
        Ok(Tidy { expired, ended, at, tenants: Vec::new() })
    }
}
