//! What the writer is asked about export, erasure and the audit log.

use chrono::{DateTime, Utc};
use domain::erasure::Search;
use domain::ids::{CallbackId, ErasureId, TenantId};
use domain::ports::{Erasing, NewEntry};

/// A write of export, erasure or the audit log.
pub(in crate::stores) enum PrivacyCommand {
    Note { tenant: TenantId, entry: NewEntry },
    Begin(Erasing),
    Remove(RemoveRows),
    Finish { tenant: TenantId, id: ErasureId, at: DateTime<Utc>, search: Search },
    Tidy(TidyRows),
}

/// What is removed of a number by one command, each only if it is still the number's.
#[derive(Debug, Clone)]
pub(in crate::stores) struct RemoveRows {
    /// The erasure that counts it.
    pub(in crate::stores) erasure: (TenantId, ErasureId),
    pub(in crate::stores) phone: i64,
    pub(in crate::stores) counted_as: [u8; 16],
    /// Queue and end of the day.
    pub(in crate::stores) values: Vec<(i64, i64)>,
    /// Row numbers.
    pub(in crate::stores) keys: Vec<i64>,
    /// Ids.
    pub(in crate::stores) call_ins: Vec<Vec<u8>>,
    pub(in crate::stores) callbacks: Vec<CallbackId>,
}

/// Removes entries of the audit log up to a number by tenant, and receipts.
pub(in crate::stores) struct TidyRows {
    pub(in crate::stores) entries: Vec<(i64, i64)>,
    pub(in crate::stores) receipts: Vec<(i64, Vec<u8>)>,
}

impl PrivacyCommand {
    pub(in crate::stores) fn touches(&self) -> &[CallbackId] {
        if let Self::Remove(remove) = self { &remove.callbacks } else { &[] }
    }

    pub(in crate::stores) const fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Note { tenant, .. } | Self::Finish { tenant, .. } => Some(*tenant),
            Self::Begin(erasing) => Some(erasing.tenant),
            Self::Remove(_) | Self::Tidy(_) => None,
        }
    }

    pub(in crate::stores) fn bytes(&self) -> usize {
        match self {
            Self::Note { entry, .. } => entry.subject.len() + entry.details.len(),
            Self::Begin(_) => size_of::<Erasing>(),
            Self::Remove(remove) => remove.rows() * 48,
            Self::Finish { .. } => 0,
            Self::Tidy(tidy) => (tidy.entries.len() + tidy.receipts.len()) * 48,
        }
    }

    pub(in crate::stores) fn background_rows(&self) -> usize {
        match self {
            Self::Remove(remove) => remove.rows(),
            Self::Tidy(tidy) => tidy.entries.len() + tidy.receipts.len(),
            Self::Note { .. } | Self::Begin(_) | Self::Finish { .. } => 0,
        }
    }
}

/// An erasure under way.
#[derive(Debug)]
pub(in crate::stores) struct Begun {
    pub(in crate::stores) id: ErasureId,
    /// It was broken off before: what was removed then is not known any more.
    pub(in crate::stores) resumed: bool,
}

impl RemoveRows {
    pub(in crate::stores) fn rows(&self) -> usize {
        self.values.len() + self.keys.len() + self.call_ins.len() + self.callbacks.len()
    }
}
