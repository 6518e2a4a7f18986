//! What the writer is asked to do.

use std::slice;

use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Idempotency, State};
use domain::ids::{ApiKeyId, CallbackId, Incarnation, TenantId};
use domain::keys::ApiKey;
use domain::ports::{Booked, Change, Replaced, SaveError, StoreError};

use super::call_ins::{CallInCommand, CallInOutcome};
use super::user_data::ReplaceUserData;
use crate::stores::combiner;

/// One command of the combiner.
pub(super) enum Command {
    Book(Box<Book>),
    Save(Box<Change>),
    Park { tenant: TenantId, id: CallbackId, reason: String, at: DateTime<Utc> },
    Unpark { tenant: TenantId, id: CallbackId, at: DateTime<Utc> },
    Own(Own),
    Remove(Remove),
    Forget(Forget),
    Shrink,
    PutTenant { id: TenantId, name: String, settings: String },
    AddKey(Box<ApiKey>),
    RevokeKey { id: ApiKeyId, at: DateTime<Utc> },
    CallIn(Box<CallInCommand>),
    ReplaceUserData(Box<ReplaceUserData>),
}

/// A booking whose texts are packed already: the writer is one thread, callers are many.
pub(super) struct Book {
    pub(super) callback: Callback,
    pub(super) slot_capacity: u32,
    pub(super) options: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) booked_at: DateTime<Utc>,
}

/// Gives rows to an owner, each only if it is still as it was read.
pub(super) struct Own {
    pub(super) owner: Incarnation,
    pub(super) cause: Cause,
    pub(super) at: DateTime<Utc>,
    pub(super) ids: Vec<CallbackId>,
    /// Beside `ids`.
    pub(super) rows: Vec<OwnRow>,
}

/// What was read of a row that is to get an owner.
pub(super) struct OwnRow {
    pub(super) version: i64,
    pub(super) state: State,
    pub(super) attempt: i64,
    /// A claim moves the start instant, and `wake_at` with it.
    pub(super) start_at: Option<DateTime<Utc>>,
}

/// Removes settled callbacks, each only if it is still as it was read.
pub(super) struct Remove {
    pub(super) ids: Vec<CallbackId>,
    /// Beside `ids`.
    pub(super) versions: Vec<i64>,
}

/// Removes what is past its use beside callbacks.
pub(super) struct Forget {
    /// Row numbers of idempotency keys.
    pub(super) keys: Vec<i64>,
    /// Queue and start of slots.
    pub(super) slots: Vec<(i64, i64)>,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    Booked(Booked),
    Saved(Result<(), SaveError>),
    /// Which of the rows were written.
    Each(Vec<bool>),
    Done,
    Revoked(bool),
    CallIn(CallInOutcome),
    Replaced(Result<Replaced, StoreError>),
}

impl combiner::Command for Command {
    type Outcome = Outcome;

    fn touches(&self) -> &[CallbackId] {
        match self {
            Self::Book(book) => slice::from_ref(&book.callback.id),
            Self::Save(change) => slice::from_ref(&change.callback.id),
            Self::Park { id, .. } | Self::Unpark { id, .. } => slice::from_ref(id),
            Self::Own(own) => &own.ids,
            Self::Remove(remove) => &remove.ids,
            Self::ReplaceUserData(replace) => slice::from_ref(&replace.id),
            Self::CallIn(_) => &[],
            Self::Forget(_) | Self::Shrink | Self::PutTenant { .. } | Self::AddKey(_) | Self::RevokeKey { .. } => &[],
        }
    }

    fn bytes(&self) -> usize {
        let own = match self {
            Self::Book(book) => {
                let packed = [&book.options, &book.user_data].into_iter().flatten().map(Vec::len).sum::<usize>();
                size_of::<Book>() + packed
            }
            Self::Save(_) => size_of::<Change>(),
            Self::Park { reason, .. } => reason.len(),
            Self::Own(own) => own.ids.len() * (size_of::<CallbackId>() + size_of::<OwnRow>()),
            Self::Remove(remove) => remove.ids.len() * 24,
            Self::Forget(forget) => forget.keys.len() * 8 + forget.slots.len() * 16,
            Self::PutTenant { settings, .. } => settings.len(),
            Self::AddKey(_) => size_of::<ApiKey>(),
            Self::CallIn(command) => command.bytes(),
            Self::ReplaceUserData(replace) => replace.bytes(),
            Self::Unpark { .. } | Self::Shrink | Self::RevokeKey { .. } => 0,
        };
        size_of::<Self>() + own
    }

    fn background_rows(&self) -> usize {
        match self {
            Self::Own(own) => own.ids.len(),
            Self::Remove(remove) => remove.ids.len(),
            Self::Forget(forget) => forget.keys.len() + forget.slots.len(),
            Self::Shrink => SHRINK_PAGES,
            Self::CallIn(command) => command.background_rows(),
            _ => 0,
        }
    }
}

/// Pages that are given back to the file system in one go.
pub(super) const SHRINK_PAGES: usize = 250;
