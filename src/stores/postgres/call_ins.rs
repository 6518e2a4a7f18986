//! What readers are asked about call-ins.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::call_in::CallIn;
use domain::ids::TenantId;
use domain::ports::{CallInOrder, StoreError};
use uuid::Uuid;

use super::pool::Reader;
use super::statement::{Bind, statements};
use crate::stores::call_ins::{List, Look, SeenRow};
use crate::stores::database::{CallInReads, UntidyRow};
use crate::stores::rows::{CallInRow, call_in, sql_limit, stored_number, unreadable};

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

fn untidy((tenant, key, id): (Vec<u8>, i64, Vec<u8>)) -> Result<UntidyRow, StoreError> {
    let tenant = Uuid::from_slice(&tenant).map_err(|_| unreadable("a tenant's id"))?;
    Ok((Some(TenantId::from_uuid(tenant)), (key, id)))
}

#[async_trait]
impl CallInReads for Reader {
    async fn group_key(&mut self, tenant: i64, name: &str) -> Result<Option<i64>, StoreError> {
        let found: Option<(i64,)> = self.first::<FindGroup, _>(&[tenant.into(), name.into()]).await?;
        Ok(found.map(|(key,)| key))
    }

    async fn listed_call_ins(&mut self, list: &List<'_>, after: Uuid) -> Result<Vec<SeenRow>, StoreError> {
        let limit = sql_limit(Look::READ).into();
        let (tenant, after) = (list.tenant.into(), Bind::Bytes(after.as_bytes()));
        match (list.query.caller.map(stored_number), list.query.order) {
            (None, CallInOrder::NewestFirst) => self.rows::<Newest, _>(&[tenant, after, limit]).await,
            (None, CallInOrder::OldestFirst) => self.rows::<Oldest, _>(&[tenant, after, limit]).await,
            (Some(caller), CallInOrder::NewestFirst) => {
                self.rows::<NewestOfCaller, _>(&[tenant, caller.into(), after, limit]).await
            }
            (Some(caller), CallInOrder::OldestFirst) => {
                self.rows::<OldestOfCaller, _>(&[tenant, caller.into(), after, limit]).await
            }
        }
    }

    /// Those that were removed since they were seen are left out.
    async fn call_ins_by_id(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<CallIn>, StoreError> {
        let wanted: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<CallInRow> = self.rows::<LoadCallIns, _>(&[tenant.into(), wanted.as_slice().into()]).await?;
        let mut found: HashMap<Vec<u8>, CallInRow> = found.into_iter().map(|row| (row.0.clone(), row)).collect();
        ids.iter().filter_map(|id| found.remove(id)).map(|row| call_in(row, at)).collect()
    }

    async fn expired_call_ins(&mut self, at: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError> {
        let limit = sql_limit(limit).into();
        self.rows::<Expired, _>(&[at.into(), limit, limit]).await?.into_iter().map(untidy).collect()
    }

    async fn ended_call_ins(&mut self, before: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError> {
        self.rows::<Ended, _>(&[before.into(), sql_limit(limit).into()]).await?.into_iter().map(untidy).collect()
    }
}
