//! What the writer is asked about held places.

use chrono::{DateTime, Utc};
use domain::ids::{HoldId, QueueName, TenantId};
use domain::ports::Holding;

/// Holds of one queue that one read of a count looks at: more than a queue may have, with those that are over.
pub(in crate::stores) const MAX_HOLDS: usize = 5_000;

/// Reads of the holds of a queue until every one is counted anew. None is added meanwhile.
pub(in crate::stores) const MOVE_READS: usize = 20;

/// One command about held places.
pub(in crate::stores) enum HoldCommand {
    Hold(Holding),
    Release {
        tenant: TenantId,
        id: HoldId,
        at: DateTime<Utc>,
    },
    /// Those of them whose time was over at `at`.
    Expire {
        ids: Vec<HoldId>,
        at: DateTime<Utc>,
    },
    /// For a count by another grid.
    Move(HoldMoves),
}

/// Holds of one queue that get other slots.
pub(in crate::stores) struct HoldMoves {
    pub(in crate::stores) queue: i64,
    pub(in crate::stores) mark: String,
    pub(in crate::stores) moves: Vec<HoldMove>,
}

/// One of them, with its slot as it was read.
#[derive(Clone, Copy)]
pub(in crate::stores) struct HoldMove {
    pub(in crate::stores) id: HoldId,
    pub(in crate::stores) from: DateTime<Utc>,
    pub(in crate::stores) to: DateTime<Utc>,
}

impl HoldCommand {
    /// Who waits for it; nobody for what time has done.
    pub(in crate::stores) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Hold(holding) => Some(holding.tenant),
            Self::Release { tenant, .. } => Some(*tenant),
            Self::Expire { .. } | Self::Move(_) => None,
        }
    }

    /// The queue that it names.
    pub(in crate::stores) fn queue(&self) -> Option<(TenantId, &QueueName)> {
        match self {
            Self::Hold(holding) => Some((holding.tenant, &holding.queue)),
            Self::Release { .. } | Self::Expire { .. } | Self::Move(_) => None,
        }
    }

    pub(in crate::stores) fn bytes(&self) -> usize {
        size_of::<Self>() + self.background_rows() * size_of::<HoldMove>()
    }

    pub(in crate::stores) fn background_rows(&self) -> usize {
        match self {
            Self::Hold(_) | Self::Release { .. } => 0,
            Self::Expire { ids, .. } => ids.len(),
            Self::Move(moves) => moves.moves.len(),
        }
    }
}
