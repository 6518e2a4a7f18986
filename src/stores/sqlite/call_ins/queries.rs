//! What readers are asked about call-ins. Whatever is asked, so many rows are looked at and no more: a filter that
//! hardly any request passes costs as much as none.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary};
use domain::call_in::{CallIn, State};
use domain::ids::{CallInId, TenantId};
use domain::ports::{CallInOrder, CallInPage, CallInQuery, StoreError};
use uuid::Uuid;

use super::super::queries::sql_limit;
use super::super::readers::{Reader, not_read};
use super::super::rows::{instant, millis, unreadable};
use super::super::statement::{Bind, first, rows, statements};
use super::command::Tidy;
use super::rows::{CallInRow, LoadCallIn, RowKey, call_in, stored_number};

/// Rows that are looked at for one page, and for the total.
const MAX_EXAMINED: usize = 20_000;

/// Rows that are looked at in one go.
const CHUNK: usize = 1_000;

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

/// Id, state, group, void from: what filters look at.
type SeenRow = (Vec<u8>, i64, i64, i64);

/// A list to look through.
struct List<'a> {
    tenant: i64,
    query: &'a CallInQuery,
    /// Key of the group that is asked for.
    group: Option<i64>,
    at: DateTime<Utc>,
}

/// How far a list was looked through.
struct Looked {
    /// The last row that was looked at.
    last: Uuid,
    /// Whether rows are left.
    more: bool,
}

impl List<'_> {
    fn start(&self) -> Uuid {
        match self.query.order {
            CallInOrder::NewestFirst => Uuid::max(),
            CallInOrder::OldestFirst => Uuid::nil(),
        }
    }

    fn admits(&self, row: &SeenRow) -> Result<bool, StoreError> {
        let (_, state, group, expires_at) = row;
        if self.group.is_some_and(|wanted| wanted != *group) {
            return Ok(false);
        }
        let Some(wanted) = self.query.state else { return Ok(true) };
        let stored = i16::try_from(*state).ok().and_then(State::from_code);
        let stored = stored.ok_or_else(|| unreadable("the state of a call-in is not known"))?;
        Ok(stored.at(instant(*expires_at)?, self.at) == wanted)
    }
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
        let mut ids = Vec::new();
        let after = query.after.map_or_else(|| list.start(), |id| id.as_uuid());
        let looked = self.look_through(&list, after, |id| {
            ids.push(id);
            ids.len() < query.limit
        })?;
        let mut total = 0;
        let counted = self.look_through(&list, list.start(), |_| {
            total += 1;
            true
        })?;
        Ok(CallInPage {
            call_ins: ids.into_iter().map(|id| self.shown(tenant, &id, at)).collect::<Result<_, _>>()?,
            next: looked.more.then(|| CallInId::from_uuid(looked.last)),
            total,
            total_is_complete: !counted.more,
        })
    }

    /// Looks at rows behind `after` and hands the ids of those that the filters admit to `take`, which says whether
    /// it wants more.
    fn look_through(
        &mut self,
        list: &List<'_>,
        after: Uuid,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<Looked, StoreError> {
        let mut looked = Looked { last: after, more: true };
        let mut examined = 0;
        let mut wants_more = true;
        while wants_more && examined < MAX_EXAMINED {
            // One more than is taken on, so that the end of the list is known to be one.
            let chunk = self.chunk(list, looked.last, CHUNK + 1)?;
            looked.more = chunk.len() > CHUNK;
            let count = chunk.len();
            for (place, row) in chunk.into_iter().take(CHUNK).enumerate() {
                examined += 1;
                looked.last = Uuid::from_slice(&row.0).map_err(|_| unreadable("an id is no UUID"))?;
                if list.admits(&row)? && !take(row.0) {
                    wants_more = false;
                    looked.more = place + 1 < count;
                    break;
                }
            }
            if !looked.more {
                break;
            }
        }
        Ok(looked)
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
        Ok(Tidy { expired, ended, at })
    }
}
