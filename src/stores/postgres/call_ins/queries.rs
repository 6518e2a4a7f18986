//! What readers are asked about call-ins.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::call_in::CallIn;
use domain::ids::TenantId;
use domain::ports::{CallInOrder, CallInPage, CallInQuery, StoreError};
use uuid::Uuid;

use super::super::pool::Reader;
use super::super::queries::sql_limit;
use super::super::statement::{Bind, first, rows, statements};
use crate::stores::call_ins::{List, Look, SeenRow, found};
use crate::stores::command::call_ins::Tidy;
use crate::stores::rows::{CallInRow, RowKey, call_in, millis, stored_number, unreadable};

// How a request is read, with the names that its row has numbers of.
macro_rules! load {
    ($which:literal) => {
        concat!(
            "SELECT c.id, c.state, g.name, n.phone, c.code, c.caller, c.created_at, c.expires_at, c.ended_at, c.criteria,
            c.callback FROM call_ins c JOIN call_in_groups g ON g.key = c.grp JOIN call_in_numbers n ON n.key = c.number
            WHERE c.tenant = ? AND c.id ", $which
        )
    };
}

statements! {
    LoadCallIn = load!("= ?");
    LoadCallIns = load!("= ANY (?)");
    Newest = "SELECT id, state, grp, expires_at FROM call_ins WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?";
    Oldest = "SELECT id, state, grp, expires_at FROM call_ins WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?";
    NewestOfCaller = "SELECT id, state, grp, expires_at FROM call_ins
        WHERE tenant = ? AND caller = ? AND id < ? ORDER BY caller DESC, id DESC LIMIT ?";
    OldestOfCaller = "SELECT id, state, grp, expires_at FROM call_ins
        WHERE tenant = ? AND caller = ? AND id > ? ORDER BY caller, id LIMIT ?";
    FindGroup = "SELECT key FROM call_in_groups WHERE tenant = ? AND name = ?";
    // One short range per tenant.
    Expired = "SELECT t.id, c.tenant, c.id FROM tenants t CROSS JOIN LATERAL
        (SELECT tenant, id FROM call_ins WHERE tenant = t.key AND state = 0 AND expires_at <= ?
        ORDER BY expires_at LIMIT ?) c LIMIT ?";
    Ended = "SELECT t.id, c.tenant, c.id FROM
        (SELECT tenant, id FROM call_ins WHERE state <> 0 AND expires_at < ? ORDER BY expires_at LIMIT ?) c
        JOIN tenants t ON t.key = c.tenant";
}

impl Reader {
    pub(super) async fn call_ins(
        &mut self,
        tenant: TenantId,
        query: &CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        let empty = CallInPage { total_is_complete: true, ..CallInPage::default() };
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(empty) };
        let mut list = List { tenant, query, group: None, at };
        if let Some(group) = &query.group {
            let binds = [tenant.into(), group.as_str().into()];
            let found: Option<(i64,)> = first::<FindGroup, _>(&mut self.connection, &binds).await?;
            let Some((key,)) = found else { return Ok(empty) };
            list.group = Some(key);
        }
        let (mut ids, mut total) = (Vec::new(), 0);
        let mut page = list.page();
        while let Some(after) = page.next() {
            let read = self.chunk(&list, after).await?;
            page.at(&list, read, |id| {
                ids.push(id);
                ids.len() < query.limit
            })?;
        }
        let mut whole = list.whole();
        while let Some(after) = whole.next() {
            let read = self.chunk(&list, after).await?;
            whole.at(&list, read, |_| {
                total += 1;
                true
            })?;
        }
        Ok(found(self.shown(tenant, &ids, at).await?, &page, total, &whole))
    }

    async fn chunk(&mut self, list: &List<'_>, after: Uuid) -> Result<Vec<SeenRow>, StoreError> {
        let limit = sql_limit(Look::READ).into();
        let (tenant, after) = (list.tenant.into(), Bind::Bytes(after.as_bytes()));
        let connection = &mut self.connection;
        let read = match (list.query.caller.map(stored_number), list.query.order) {
            (None, CallInOrder::NewestFirst) => rows::<Newest, _>(connection, &[tenant, after, limit]).await?,
            (None, CallInOrder::OldestFirst) => rows::<Oldest, _>(connection, &[tenant, after, limit]).await?,
            (Some(caller), CallInOrder::NewestFirst) => {
                rows::<NewestOfCaller, _>(connection, &[tenant, caller.into(), after, limit]).await?
            }
            (Some(caller), CallInOrder::OldestFirst) => {
                rows::<OldestOfCaller, _>(connection, &[tenant, caller.into(), after, limit]).await?
            }
        };
        Ok(read)
    }

    /// Requests in the order of `ids`. Those that were removed since they were seen are left out.
    async fn shown(&mut self, tenant: i64, ids: &[Vec<u8>], at: DateTime<Utc>) -> Result<Vec<CallIn>, StoreError> {
        let wanted: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let binds = [tenant.into(), wanted.as_slice().into()];
        let found: Vec<CallInRow> = rows::<LoadCallIns, _>(&mut self.connection, &binds).await?;
        let mut found: HashMap<Vec<u8>, CallInRow> = found.into_iter().map(|row| (row.0.clone(), row)).collect();
        ids.iter().filter_map(|id| found.remove(id)).map(|row| call_in(row, at)).collect()
    }

    /// What time has done, at most `limit` rows.
    pub(super) async fn untidy_call_ins(
        &mut self,
        ended_before: DateTime<Utc>,
        at: DateTime<Utc>,
        limit: usize,
    ) -> Result<Tidy, StoreError> {
        let binds = [millis(at).into(), sql_limit(limit).into(), sql_limit(limit).into()];
        let expired: Vec<(Vec<u8>, i64, Vec<u8>)> = rows::<Expired, _>(&mut self.connection, &binds).await?;
        let left = limit.saturating_sub(expired.len());
        let binds = [millis(ended_before).into(), sql_limit(left).into()];
        let ended: Vec<(Vec<u8>, i64, Vec<u8>)> = rows::<Ended, _>(&mut self.connection, &binds).await?;
        let tenants: BTreeSet<&[u8]> = expired.iter().chain(&ended).map(|(tenant, ..)| tenant.as_slice()).collect();
        let tenant = |id: &[u8]| Uuid::from_slice(id).map(TenantId::from_uuid).map_err(|_| unreadable("a tenant's id"));
        let tenants = tenants.into_iter().map(tenant).collect::<Result<_, _>>()?;
        let keys = |found: Vec<(Vec<u8>, i64, Vec<u8>)>| -> Vec<RowKey> {
            found.into_iter().map(|(_, tenant, id)| (tenant, id)).collect()
        };
        Ok(Tidy { expired: keys(expired), ended: keys(ended), at, tenants })
    }
}
