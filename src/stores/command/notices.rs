//! What the writer is asked about notices.

use chrono::{DateTime, Utc};
use domain::ids::{Incarnation, TenantId};
use domain::notices::NoticeKey;
use domain::ports::{Renew, Settle};
use domain::push::{PushEvent, PushResult};

/// Places that one command makes owed again.
pub(in crate::stores) const RENEWED_AT_ONCE: usize = 250;

/// A write of notices.
pub(in crate::stores) enum NoticeCommand {
    Claim(ClaimRows),
    Settle(Box<Settle>),
    Renew(Renew),
    Forget(ForgetRows),
    Enable { tenant: TenantId, endpoint: String },
}

/// Takes notices on, each only if it is still as it was read.
pub(in crate::stores) struct ClaimRows {
    pub(in crate::stores) owner: Incarnation,
    pub(in crate::stores) lease_until: DateTime<Utc>,
    pub(in crate::stores) rows: Vec<ClaimRow>,
}

/// What was read of a notice that is to be taken on.
pub(in crate::stores) struct ClaimRow {
    pub(in crate::stores) key: NoticeKey,
    pub(in crate::stores) attempts: i64,
    pub(in crate::stores) wake_at: i64,
}

/// Removes the oldest happenings of a tenant, up to a place, with their notices.
pub(in crate::stores) struct ForgetRows {
    pub(in crate::stores) tenant: i64,
    pub(in crate::stores) lanes: Vec<i64>,
    pub(in crate::stores) until: i64,
    /// How many happenings that is.
    pub(in crate::stores) count: usize,
}

impl NoticeCommand {
    pub(in crate::stores) fn bytes(&self) -> usize {
        match self {
            Self::Claim(claim) => claim.rows.len() * size_of::<ClaimRow>(),
            Self::Settle(_) => size_of::<Settle>(),
            Self::Renew(renew) => renew.seqs.len() * 8 + renew.endpoint.len(),
            Self::Forget(forget) => forget.lanes.len() * 8,
            Self::Enable { endpoint, .. } => endpoint.len(),
        }
    }

    /// Who asks for it; none for work that the service does by itself.
    pub(in crate::stores) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Renew(renew) => Some(renew.tenant),
            Self::Enable { tenant, .. } => Some(*tenant),
            Self::Claim(_) | Self::Settle(_) | Self::Forget(_) => None,
        }
    }

    /// Whose feed it may add to, or whose lanes change.
    pub(in crate::stores) const fn whose(&self) -> Option<TenantId> {
        match self {
            Self::Settle(settle) => Some(settle.tenant),
            Self::Renew(_) | Self::Enable { .. } | Self::Claim(_) | Self::Forget(_) => self.tenant(),
        }
    }

    /// What nobody waits for: customers' requests go first.
    pub(in crate::stores) fn background_rows(&self) -> usize {
        match self {
            Self::Claim(claim) => claim.rows.len(),
            Self::Settle(_) => 1,
            Self::Renew(renew) => renew.seqs.len(),
            Self::Forget(forget) => forget.count,
            Self::Enable { .. } => 0,
        }
    }
}

/// Kinds of lanes, as stored.
pub(in crate::stores) const PUSH_LANE: i64 = 0;

pub(in crate::stores) const WEBHOOK_LANE: i64 = 1;

/// What became of a notification, as the note of its happening.
pub(in crate::stores) fn push_note(event: PushEvent, result: PushResult) -> String {
    format!("{} {}", event.name(), result.name())
}
