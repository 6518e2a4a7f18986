//! What the writer is asked to do.

use std::slice;

use chrono::{DateTime, Utc};
use domain::callback::{Callback, Cause, Idempotency, State};
use domain::erasure::Receipt;
use domain::happening::Announcement;
use domain::ids::{ApiKeyId, CallbackId, HoldId, Incarnation, TenantId};
use domain::keys::ApiKey;
use domain::notices::Audience;
use domain::ports::{Applied, ApplyError, Booked, Change, Held, Replaced, SaveError, Settled, StoreError};
use domain::slots::Grid;
use domain::throttle::BookingLimits;

use super::call_ins::{CallInCommand, CallInOutcome};
use super::erasure::{Begun, PrivacyCommand};
use super::holds::HoldCommand;
use super::notices::NoticeCommand;
use super::recount::{MoveRow, Moves, Naming};
use super::tenants::Apply;
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
    MoveSlots(Moves),
    NameGrids(Naming),
    Forget(Forget),
    Shrink,
    Notices(NoticeCommand),
    Privacy(Box<PrivacyCommand>),
    Holds(Box<HoldCommand>),
    Apply(Vec<Apply>),
    AddKey(Box<ApiKey>),
    RevokeKey { id: ApiKeyId, at: DateTime<Utc> },
    CallIn(Box<CallInCommand>),
    ReplaceUserData(Box<ReplaceUserData>),
}

/// A booking whose texts are packed already: the writer is one thread, callers are many.
pub(super) struct Book {
    pub(super) callback: Callback,
    pub(super) slot_capacity: u32,
    /// The grid that it was judged by.
    pub(super) grid: Grid,
    pub(super) options: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) limits: BookingLimits,
    pub(super) captcha: Option<[u8; 16]>,
    pub(super) hold: Option<HoldId>,
    pub(super) booked_at: DateTime<Utc>,
    pub(super) announcement: Option<Announcement>,
    pub(super) on_replaced: Option<Audience>,
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
    /// Row numbers of captcha tokens.
    pub(super) tokens: Vec<i64>,
    /// Queue and start of slots.
    pub(super) slots: Vec<(i64, i64)>,
    /// Queue, end of the day, and counted value.
    pub(super) values: Vec<(i64, i64, Vec<u8>)>,
    /// Queue, length of the window, and end of a part.
    pub(super) windows: Vec<(i64, i64, i64)>,
}

impl Forget {
    pub(super) fn rows(&self) -> usize {
        self.keys.len() + self.tokens.len() + self.slots.len() + self.values.len() + self.windows.len()
    }
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
    Settled(Settled),
    Held(Held),
    /// So many rows.
    Count(u64),
    Begun(Begun),
    Receipt(Result<Option<Receipt>, StoreError>),
    Applied(Result<Vec<Applied>, ApplyError>),
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
            Self::MoveSlots(moves) => &moves.ids,
            Self::Privacy(command) => command.touches(),
            Self::NameGrids(_)
            | Self::CallIn(_)
            | Self::Forget(_)
            | Self::Shrink
            | Self::Notices(_)
            | Self::Holds(_)
            | Self::Apply(_)
            | Self::AddKey(_)
            | Self::RevokeKey { .. } => &[],
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Book(book) => Some(book.callback.tenant),
            Self::Save(change) => Some(change.callback.tenant),
            Self::Park { tenant, .. } | Self::Unpark { tenant, .. } => Some(*tenant),
            Self::ReplaceUserData(replace) => Some(replace.tenant),
            Self::CallIn(command) => command.tenant(),
            Self::Apply(all) => all.first().map(|one| one.tenant),
            Self::AddKey(key) => Some(key.tenant),
            Self::Notices(command) => command.tenant(),
            Self::Privacy(command) => command.tenant(),
            Self::Holds(command) => command.tenant(),
            Self::Own(_)
            | Self::Remove(_)
            | Self::MoveSlots(_)
            | Self::NameGrids(_)
            | Self::Forget(_)
            | Self::Shrink
            | Self::RevokeKey { .. } => None,
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
            Self::Remove(remove) => remove.ids.len() * 40,
            Self::MoveSlots(moves) => moves.ids.len() * (size_of::<CallbackId>() + size_of::<MoveRow>()),
            Self::NameGrids(naming) => naming.len() * 100,
            Self::Forget(forget) => forget.rows() * 64,
            Self::Notices(command) => command.bytes(),
            Self::Privacy(command) => command.bytes(),
            Self::Holds(command) => command.bytes(),
            Self::Apply(all) => all.iter().map(Apply::bytes).sum(),
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
            Self::MoveSlots(moves) => moves.ids.len(),
            Self::NameGrids(naming) => naming.len(),
            Self::Forget(forget) => forget.rows(),
            Self::Shrink => SHRINK_PAGES,
            Self::Notices(command) => command.background_rows(),
            Self::Privacy(command) => command.background_rows(),
            Self::Holds(command) => command.background_rows(),
            Self::CallIn(command) => command.background_rows(),
            _ => 0,
        }
    }
}

/// Pages that are given back to the file system in one go.
pub(super) const SHRINK_PAGES: usize = 250;
