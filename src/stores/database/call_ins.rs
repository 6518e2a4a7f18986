//! The port for call-ins, and how a long list of them is looked through.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::call_in::CallIn;
use domain::ids::{CallInId, TenantId};
use domain::ports::{
    CallInPage, CallInQuery, CallInStore, MatchOutcome, Matching, Opened, Opening, StoreError, Withdrawn,
};
use uuid::Uuid;

use super::{Database, DatabaseStore, NameReads};
use crate::stores::call_ins::{List, SeenRow, found, matched, open_command, opened, withdrawn};
use crate::stores::command::call_ins::{CallInCommand, Tidy};
use crate::stores::rows::{RowKey, millis};

/// A row that is not as time would have it, and whose it is, if the writer wants to know.
pub(in crate::stores) type UntidyRow = (Option<TenantId>, RowKey);

/// Statements about call-ins, and questions that are made of them.
#[async_trait]
pub(in crate::stores) trait CallInReads: NameReads {
    /// The number of a group.
    async fn group_key(&mut self, tenant: i64, name: &str) -> Result<Option<i64>, StoreError>;

    /// Some rows of a list behind one of them, in its order: as many as are read in one go.
    async fn listed_call_ins(&mut self, list: &List<'_>, after: Uuid) -> Result<Vec<SeenRow>, StoreError>;

    /// Requests in the order of `ids`.
    async fn call_ins_by_id(
        &mut self,
        tenant: i64,
        ids: Vec<Vec<u8>>,
        at: DateTime<Utc>,
    ) -> Result<Vec<CallIn>, StoreError>;

    /// Those that wait though their time is over.
    async fn expired_call_ins(&mut self, at: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError>;

    /// Ended ones that would have expired before an instant.
    async fn ended_call_ins(&mut self, before: i64, limit: usize) -> Result<Vec<UntidyRow>, StoreError>;

    async fn call_ins(
        &mut self,
        tenant: TenantId,
        query: CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        let empty = CallInPage { total_is_complete: true, ..CallInPage::default() };
        let Some(tenant) = self.tenant_key(tenant).await? else { return Ok(empty) };
        let mut list = List { tenant, query: &query, group: None, at };
        if let Some(group) = &query.group {
            let Some(key) = self.group_key(tenant, group.as_str()).await? else { return Ok(empty) };
            list.group = Some(key);
        }
        let (mut ids, mut total) = (Vec::new(), 0);
        let mut page = list.page();
        while let Some(after) = page.next() {
            let read = self.listed_call_ins(&list, after).await?;
            page.at(&list, read, |id| {
                ids.push(id);
                ids.len() < query.limit
            })?;
        }
        let mut whole = list.whole();
        while let Some(after) = whole.next() {
            let read = self.listed_call_ins(&list, after).await?;
            whole.at(&list, read, |_| {
                total += 1;
                true
            })?;
        }
        Ok(found(self.call_ins_by_id(tenant, ids, at).await?, &page, total, &whole))
    }

    /// What time has done, at most `limit` rows.
    async fn untidy_call_ins(
        &mut self,
        ended_before: DateTime<Utc>,
        at: DateTime<Utc>,
        limit: usize,
    ) -> Result<Tidy, StoreError> {
        let expired = self.expired_call_ins(millis(at), limit).await?;
        let ended = self.ended_call_ins(millis(ended_before), limit.saturating_sub(expired.len())).await?;
        let tenants: BTreeSet<TenantId> = expired.iter().chain(&ended).filter_map(|(tenant, _)| *tenant).collect();
        let keys = |found: Vec<UntidyRow>| found.into_iter().map(|(_, key)| key).collect();
        Ok(Tidy { expired: keys(expired), ended: keys(ended), at, tenants: tenants.into_iter().collect() })
    }
}

#[async_trait]
impl<D: Database> CallInStore for DatabaseStore<D> {
    async fn open_call_in(&self, opening: Opening) -> Result<Opened, StoreError> {
        opened(self.writes.call_in(open_command(&opening)?).await?, opening)
    }

    async fn match_call_in(&self, matching: Matching) -> Result<MatchOutcome, StoreError> {
        let at = matching.at;
        matched(self.writes.call_in(CallInCommand::Match(matching)).await?, at)
    }

    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId, at: DateTime<Utc>) -> Result<Withdrawn, StoreError> {
        withdrawn(self.writes.call_in(CallInCommand::Cancel { tenant, id, at }).await?, at)
    }

    async fn call_ins(
        &self,
        tenant: TenantId,
        query: CallInQuery,
        at: DateTime<Utc>,
    ) -> Result<CallInPage, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.call_ins(tenant, query, at)).await
    }
}
