//! What a writer is asked to do, the same in every store.

pub(super) mod call_ins;
pub(super) mod erasure;
pub(super) mod holds;
pub(super) mod notices;
pub(super) mod recount;
pub(super) mod tenants;
pub(super) mod user_data;
pub(super) mod users;

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

use super::combiner;
use call_ins::{CallInCommand, CallInOutcome};
use erasure::{Begun, PrivacyCommand};
use holds::HoldCommand;
use notices::NoticeCommand;
use recount::{MoveRow, Moves, Naming};
use tenants::Apply;
use user_data::ReplaceUserData;
use users::UserCommand;

/// One command of the combiner.
pub(in crate::stores) enum Command {
    Book(Box<Book>),
    Save(Box<Change>),
    Park { tenant: TenantId, id: CallbackId, reason: String, at: DateTime<Utc> },
    Unpark { tenant: TenantId, id: CallbackId, at: DateTime<Utc>, actor: String },
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
    RevokeKey { tenant: TenantId, id: ApiKeyId, at: DateTime<Utc> },
    CallIn(Box<CallInCommand>),
    ReplaceUserData(Box<ReplaceUserData>),
    User(UserCommand),
    ReplaceRootKey(Box<ReplaceRootKey>),
}

/// Replaces what is kept of the root key, if it is still as it was read.
pub(in crate::stores) struct ReplaceRootKey {
    pub(in crate::stores) before: Vec<u8>,
    pub(in crate::stores) after: Vec<u8>,
}

/// A booking whose texts are packed already: the writer is one thread, callers are many.
pub(in crate::stores) struct Book {
    pub(in crate::stores) callback: Callback,
    pub(in crate::stores) slot_capacity: u32,
    /// The grid that it was judged by.
    pub(in crate::stores) grid: Grid,
    pub(in crate::stores) options: Option<Vec<u8>>,
    pub(in crate::stores) user_data: Option<Vec<u8>>,
    pub(in crate::stores) idempotency: Option<Idempotency>,
    pub(in crate::stores) limits: BookingLimits,
    pub(in crate::stores) captcha: Option<[u8; 16]>,
    pub(in crate::stores) hold: Option<HoldId>,
    pub(in crate::stores) booked_at: DateTime<Utc>,
    pub(in crate::stores) announcement: Option<Announcement>,
    pub(in crate::stores) on_replaced: Option<Audience>,
}

/// Gives rows to an owner, each only if it is still as it was read.
pub(in crate::stores) struct Own {
    pub(in crate::stores) owner: Incarnation,
    pub(in crate::stores) cause: Cause,
    pub(in crate::stores) at: DateTime<Utc>,
    pub(in crate::stores) ids: Vec<CallbackId>,
    /// Beside `ids`.
    pub(in crate::stores) rows: Vec<OwnRow>,
}

/// What was read of a row that is to get an owner.
pub(in crate::stores) struct OwnRow {
    pub(in crate::stores) version: i64,
    pub(in crate::stores) state: State,
    pub(in crate::stores) attempt: i64,
    /// A claim moves the start instant, and `wake_at` with it.
    pub(in crate::stores) start_at: Option<DateTime<Utc>>,
}

/// Removes settled callbacks, each only if it is still as it was read.
pub(in crate::stores) struct Remove {
    pub(in crate::stores) ids: Vec<CallbackId>,
    /// Beside `ids`.
    pub(in crate::stores) versions: Vec<i64>,
}

/// Removes what is past its use beside callbacks.
pub(in crate::stores) struct Forget {
    /// Row numbers of idempotency keys.
    pub(in crate::stores) keys: Vec<i64>,
    /// Row numbers of captcha tokens.
    pub(in crate::stores) tokens: Vec<i64>,
    /// Queue and start of slots.
    pub(in crate::stores) slots: Vec<(i64, i64)>,
    /// Queue, end of the day, and counted value.
    pub(in crate::stores) values: Vec<(i64, i64, Vec<u8>)>,
    /// Queue, length of the window, and end of a part.
    pub(in crate::stores) windows: Vec<(i64, i64, i64)>,
}

impl Forget {
    pub(in crate::stores) fn rows(&self) -> usize {
        self.keys.len() + self.tokens.len() + self.slots.len() + self.values.len() + self.windows.len()
    }
}

/// What became of a command.
#[derive(Debug)]
pub(in crate::stores) enum Outcome {
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

/// An outcome of another kind than the command's own cannot be; if it were, nothing could be said of the write.
pub(in crate::stores) fn unexpected<T>(outcome: &Outcome) -> Result<T, StoreError> {
    debug_assert!(false, "an outcome of another command: {outcome:?}");
    Err(StoreError::PerhapsDone("the outcome was of another command".to_owned()))
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
            | Self::User(_)
            | Self::ReplaceRootKey(_)
            | Self::RevokeKey { .. } => &[],
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Book(book) => Some(book.callback.tenant),
            Self::Save(change) => Some(change.callback.tenant),
            Self::Park { tenant, .. } | Self::Unpark { tenant, .. } | Self::RevokeKey { tenant, .. } => Some(*tenant),
            Self::ReplaceUserData(replace) => Some(replace.tenant),
            Self::CallIn(command) => command.tenant(),
            Self::Apply(all) => all.first().map(|one| one.tenant),
            Self::AddKey(key) => Some(key.tenant),
            Self::Notices(command) => command.tenant(),
            Self::Privacy(command) => command.tenant(),
            Self::Holds(command) => command.tenant(),
            Self::User(command) => command.tenant(),
            Self::Own(_)
            | Self::Remove(_)
            | Self::MoveSlots(_)
            | Self::NameGrids(_)
            | Self::Forget(_)
            | Self::ReplaceRootKey(_)
            | Self::Shrink => None,
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
            Self::User(command) => command.bytes(),
            Self::ReplaceRootKey(replace) => replace.before.len() + replace.after.len(),
            Self::Unpark { actor, .. } => actor.len(),
            Self::Shrink | Self::RevokeKey { .. } => 0,
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
            Self::User(command) => command.background_rows(),
            _ => 0,
        }
    }

    fn goes_alone(&self) -> bool {
        !matches!(self, Self::Book(_) | Self::Save(_))
    }
}

/// Pages that are given back to the file system in one go.
pub(in crate::stores) const SHRINK_PAGES: usize = 250;
