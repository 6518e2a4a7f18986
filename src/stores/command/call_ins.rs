//! What the writer is asked about call-ins, and what it says.

use chrono::{DateTime, Utc};
use domain::call_in::DRAWS;
use domain::ids::{CallInId, TenantId};
use domain::ports::{Matching, Opening};

use crate::stores::rows::{CallInRow, RowKey};

/// One command about call-ins.
pub(in crate::stores) enum CallInCommand {
    Open(Open),
    Match(Matching),
    Cancel { tenant: TenantId, id: CallInId, at: DateTime<Utc> },
    Tidy(Tidy),
}

/// A request to keep: its text is packed and its random words are drawn, for the writer is one thread and callers
/// are many.
pub(in crate::stores) struct Open {
    /// Without its text.
    pub(in crate::stores) opening: Opening,
    pub(in crate::stores) user_data: Option<Vec<u8>>,
    pub(in crate::stores) draws: [u64; DRAWS],
}

/// What time has done, found by a reader: each row only if it is still so.
pub(in crate::stores) struct Tidy {
    /// Waiting, and their time was over at `at`.
    pub(in crate::stores) expired: Vec<RowKey>,
    /// Ended, and to be removed.
    pub(in crate::stores) ended: Vec<RowKey>,
    /// Whose they are, for a writer that is not alone.
    pub(in crate::stores) tenants: Vec<TenantId>,
    pub(in crate::stores) at: DateTime<Utc>,
}

impl Tidy {
    pub(in crate::stores) fn rows(&self) -> usize {
        self.expired.len() + self.ended.len()
    }
}

impl CallInCommand {
    /// Who waits for it; nobody for what time has done.
    pub(in crate::stores) fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Open(open) => Some(open.opening.tenant),
            Self::Match(matching) => Some(matching.tenant),
            Self::Cancel { tenant, .. } => Some(*tenant),
            Self::Tidy(_) => None,
        }
    }

    pub(in crate::stores) fn bytes(&self) -> usize {
        let own = match self {
            Self::Open(open) => open.user_data.as_ref().map_or(0, Vec::len),
            Self::Match(_) | Self::Cancel { .. } => 0,
            Self::Tidy(tidy) => tidy.rows() * size_of::<RowKey>(),
        };
        size_of::<Self>() + own
    }

    pub(in crate::stores) fn background_rows(&self) -> usize {
        if let Self::Tidy(tidy) = self { tidy.rows() } else { 0 }
    }
}

/// What became of a command about call-ins.
#[derive(Debug)]
pub(in crate::stores) enum CallInOutcome {
    /// Kept, with the digits of its number and its code.
    Opened {
        number: u64,
        code: Option<u32>,
    },
    /// A request as it is now, with its packed user data; none if it has been removed, or never was.
    Known(Option<(CallInRow, Option<Vec<u8>>)>),
    KeyReused,
    NothingFree,
    Nobody {
        dnis_waits: bool,
    },
    Withdrawn,
    Tidied,
}
