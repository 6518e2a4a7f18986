//! The port for happenings and notices: reads from a connection, writes through the combiner.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use domain::notices::Claimed;
use domain::ports::{
    ClaimNotices, EndpointRecord, NoticeQuery, NoticeStore, NoticeView, Owed, Renew, Settle, Settled, StoreError,
    Stretch,
};

use super::writes::written_of;
use super::{Database, DatabaseStore, NoticeReads as _};
use crate::stores::command::notices::{ClaimRow, ClaimRows, NoticeCommand, RENEWED_AT_ONCE};
use crate::stores::command::{Command, Outcome, unexpected};

#[async_trait]
impl<D: Database> NoticeStore for DatabaseStore<D> {
    async fn claim(&self, claim: ClaimNotices) -> Result<Vec<Claimed>, StoreError> {
        let (owner, lease_until) = (claim.owner, claim.at + claim.lease);
        let due = self.database.read(None, move |reader| reader.due_notices(claim)).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (claimed, rows): (Vec<Claimed>, Vec<ClaimRow>) = due.into_iter().unzip();
        let command = NoticeCommand::Claim(ClaimRows { owner, lease_until, rows });
        let written = self.writes.each(Command::Notices(command)).await?;
        Ok(written_of(claimed, written).collect())
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        match self.writes.submit(Command::Notices(NoticeCommand::Settle(Box::new(settle)))).await? {
            Outcome::Settled(settled) => Ok(settled),
            other => unexpected(&other),
        }
    }

    async fn owed(&self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        self.database.read(None, move |reader| reader.owed(at)).await
    }

    async fn happenings(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.happenings(tenant, after, limit)).await
    }

    async fn place_at(&self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.place_at(tenant, since)).await
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.notices(tenant, query, limit)).await
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        self.database.read(Some(tenant), move |reader| reader.endpoints(tenant)).await
    }

    async fn renew(&self, renew: Renew) -> Result<u64, StoreError> {
        let mut renewed = 0;
        for seqs in renew.seqs.chunks(RENEWED_AT_ONCE) {
            let step = Renew { seqs: seqs.to_vec(), endpoint: renew.endpoint.clone(), ..renew };
            renewed += self.writes.count(Command::Notices(NoticeCommand::Renew(step))).await?;
        }
        Ok(renewed)
    }

    async fn enable_endpoint(&self, tenant: TenantId, endpoint: &str) -> Result<bool, StoreError> {
        let command = NoticeCommand::Enable { tenant, endpoint: endpoint.to_owned() };
        Ok(self.writes.count(Command::Notices(command)).await? > 0)
    }

    async fn forget_happenings(
        &self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let forget = self.database.read(None, move |reader| reader.forgettable(tenant, before, limit)).await?;
        match forget {
            Some(forget) => self.writes.count(Command::Notices(NoticeCommand::Forget(forget))).await,
            None => Ok(0),
        }
    }
}
