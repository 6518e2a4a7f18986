//! The port for happenings and notices: reads on the readers, writes through the combiner.

mod queries;
mod reading;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::ids::{Incarnation, TenantId};
use domain::notices::{Claimed, NoticeKey};
use domain::ports::{
    ClaimNotices, EndpointRecord, NoticeQuery, NoticeStore, NoticeView, Owed, Renew, Settle, Settled, StoreError,
    Stretch,
};
use domain::push::{PushEvent, PushResult};

use super::SqliteStore;
use super::callbacks::unexpected;
use super::command::{Command, Outcome};

/// Kinds of lanes, as stored.
pub(super) const PUSH_LANE: i64 = 0;
pub(super) const WEBHOOK_LANE: i64 = 1;

/// Places that one command makes owed again.
const RENEWED_AT_ONCE: usize = 250;

/// A write of notices.
pub(super) enum NoticeCommand {
    Claim(ClaimRows),
    Settle(Box<Settle>),
    Renew(Renew),
    Forget(ForgetRows),
    Enable { tenant: TenantId, endpoint: String },
}

/// Takes notices on, each only if it is still as it was read.
pub(super) struct ClaimRows {
    pub(super) owner: Incarnation,
    pub(super) lease_until: DateTime<Utc>,
    pub(super) rows: Vec<ClaimRow>,
}

/// What was read of a notice that is to be taken on.
pub(super) struct ClaimRow {
    pub(super) key: NoticeKey,
    pub(super) attempts: i64,
    pub(super) wake_at: i64,
}

/// Removes the oldest happenings of a tenant, up to a place, with their notices.
pub(super) struct ForgetRows {
    pub(super) tenant: i64,
    pub(super) lanes: Vec<i64>,
    pub(super) until: i64,
    /// How many happenings that is.
    pub(super) count: usize,
}

impl NoticeCommand {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Claim(claim) => claim.rows.len() * size_of::<ClaimRow>(),
            Self::Settle(_) => size_of::<Settle>(),
            Self::Renew(renew) => renew.seqs.len() * 8 + renew.endpoint.len(),
            Self::Forget(forget) => forget.lanes.len() * 8,
            Self::Enable { endpoint, .. } => endpoint.len(),
        }
    }

    /// Who asks for it; none for work that the service does by itself.
    pub(super) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Renew(renew) => Some(renew.tenant),
            Self::Enable { tenant, .. } => Some(*tenant),
            Self::Claim(_) | Self::Settle(_) | Self::Forget(_) => None,
        }
    }

    /// What nobody waits for: customers' requests go first.
    pub(super) fn background_rows(&self) -> usize {
        match self {
            Self::Claim(claim) => claim.rows.len(),
            Self::Settle(_) => 1,
            Self::Renew(renew) => renew.seqs.len(),
            Self::Forget(forget) => forget.count,
            Self::Enable { .. } => 0,
        }
    }
}

/// What became of a notification, as the note of its happening.
pub(super) fn push_note(event: PushEvent, result: PushResult) -> String {
    format!("{} {}", event.name(), result.name())
}

impl SqliteStore {
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
impl NoticeStore for SqliteStore {
    async fn claim(&self, claim: ClaimNotices) -> Result<Vec<Claimed>, StoreError> {
        let (owner, lease_until) = (claim.owner, claim.at + claim.lease);
        let due = self.readers.read(move |reader| reader.due_notices(&claim)).await?;
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
        self.readers.read(move |reader| reader.owed(at)).await
    }

    async fn happenings(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Stretch, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.happenings(tenant, after, limit)).await
    }

    async fn place_at(&self, tenant: TenantId, since: DateTime<Utc>) -> Result<u64, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.place_at(tenant, since)).await
    }

    async fn notices(&self, tenant: TenantId, query: NoticeQuery, limit: usize) -> Result<Vec<NoticeView>, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.notices(tenant, &query, limit)).await
    }

    async fn endpoints(&self, tenant: TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        self.readers.read_for(tenant, move |reader| reader.endpoints(tenant)).await
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
        let forget = self.readers.read(move |reader| reader.forgettable(tenant, before, limit)).await?;
        match forget {
            Some(forget) => self.count(NoticeCommand::Forget(forget)).await,
            None => Ok(0),
        }
    }
}
