//! The port for happenings and notices: reads on the pool, writes through the combiner.

mod queries;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use domain::notices::Claimed;
use domain::ports::{
    ClaimNotices, EndpointRecord, NoticeQuery, NoticeStore, NoticeView, Owed, Renew, Settle, Settled, StoreError,
    Stretch,
};

use super::PostgresStore;
use crate::stores::command::notices::{ClaimRow, ClaimRows, NoticeCommand, RENEWED_AT_ONCE};
use crate::stores::command::{Command, Outcome, unexpected};

impl PostgresStore {
    async fn notice_command(&self, command: NoticeCommand) -> Result<Outcome, StoreError> {
        self.combiner.submit(Command::Notices(command)).await
    }

    async fn count(&self, command: NoticeCommand) -> Result<u64, StoreError> {
        match self.notice_command(command).await? {
            Outcome::Count(count) => Ok(count),
            other => unexpected(&other),
        }
    }
}

#[async_trait]
impl NoticeStore for PostgresStore {
    async fn claim(&self, claim: ClaimNotices) -> Result<Vec<Claimed>, StoreError> {
        let (owner, lease_until) = (claim.owner, claim.at + claim.lease);
        let due = self.reader().await?.due_notices(&claim).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let (claimed, rows): (Vec<Claimed>, Vec<ClaimRow>) = due.into_iter().unzip();
        let command = NoticeCommand::Claim(ClaimRows { owner, lease_until, rows });
        match self.notice_command(command).await? {
            Outcome::Each(written) => {
                Ok(claimed.into_iter().zip(written).filter(|(_, written)| *written).map(|(it, _)| it).collect())
            }
            other => unexpected(&other),
        }
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        match self.notice_command(NoticeCommand::Settle(Box::new(settle))).await? {
            Outcome::Settled(settled) => Ok(settled),
            other => unexpected(&other),
        }
    }

    async fn owed(&self, at: DateTime<Utc>) -> Result<Vec<Owed>, StoreError> {
        self.reader().await?.owed(at).await
    }

    async fn happenings(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError> {
        self.reader().await?.happenings(tenant, after, limit).await
    }

    async fn place_at(&self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        self.reader().await?.place_at(tenant, since).await
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, StoreError> {
        self.reader().await?.notices(tenant, &query, limit).await
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        self.reader().await?.endpoints(tenant).await
    }

    async fn renew(&self, renew: Renew) -> Result<u64, StoreError> {
        let mut renewed = 0;
        for seqs in renew.seqs.chunks(RENEWED_AT_ONCE) {
            let step = Renew { seqs: seqs.to_vec(), endpoint: renew.endpoint.clone(), ..renew };
            renewed += self.count(NoticeCommand::Renew(step)).await?;
        }
        Ok(renewed)
    }

    async fn enable_endpoint(&self, tenant: TenantId, endpoint: &str) -> Result<bool, StoreError> {
        let command = NoticeCommand::Enable { tenant, endpoint: endpoint.to_owned() };
        Ok(self.count(command).await? > 0)
    }

    async fn forget_happenings(
        &self,
        tenant: TenantId,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let forget = self.reader().await?.forgettable(tenant, before, limit).await?;
        match forget {
            Some(forget) => self.count(NoticeCommand::Forget(forget)).await,
            None => Ok(0),
        }
    }
}
