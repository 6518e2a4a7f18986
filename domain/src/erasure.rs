//! Export and erasure of what is kept of a phone number.
//!
//! | what is kept of a number | what an erasure does |
//! | --- | --- |
//! | callbacks with history, options (devices among them) and user data | removes them; one that routing has still to be told of loses number and data at once, and its row later |
//! | call-ins of the number, and those tied to its callbacks, with user data | removes them |
//! | counts of the number per day | removes them |
//! | answers kept under idempotency keys | takes id and body out; the hash of the key stays and answers 404 |
//! | notifications owed to devices | removes them |
//! | events and webhook messages | nothing: they hold an id and states; a number is read from its callback, and that is gone |
//!
//! A callback that has not ended is cancelled first, if that is asked for; else nothing is erased. One in which agent
//! and customer talk cannot be cancelled, and nothing is erased until they have done.

use chrono::{DateTime, Duration, Utc};

use crate::callback::{Callback, Canceller, StepError};
use crate::happening::Kind;
use crate::ids::{ErasureId, TenantId};
use crate::numbers::PhoneNumber;
use crate::ports::Change;
use crate::tenant::Tenant;

/// For how long after its desired time a callback is kept: fixed.
pub const RETENTION: Duration = Duration::days(14);

/// For how long receipts and entries of the audit log are kept.
pub const RECEIPTS_KEPT: Duration = Duration::days(3 * 366);

/// The parameter under which a number is blinded to recognise it in receipts. No setting can name it.
pub const FINGERPRINT: &str = "\u{0}erasure";

/// Stands for a number that was erased from a row that has to stay for a while. No country has it.
pub const ERASED: PhoneNumber = PhoneNumber::from_digits(1);

/// How many of each were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Callbacks.
    pub callbacks: u64,
    /// Callbacks that have lost their number and data and stay until routing has been told of their end.
    pub blinded: u64,
    /// Entries of their histories.
    pub history: u64,
    /// Rare members and user data, of callbacks and of call-ins.
    pub details: u64,
    /// Call-ins.
    pub call_ins: u64,
    /// Notifications that were owed to devices.
    pub notices: u64,
    /// Counts of the number per day.
    pub counted_values: u64,
    /// Answers under idempotency keys, which have lost what they told.
    pub idempotency_keys: u64,
}

/// What a look found afterwards. A database leaves copies of rows in the free space between its rows when it moves them;
/// in a file of our own it is that space which is looked through. In a server's database it is the tables, once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Search {
    /// Bytes of the file or of the tables that were looked through.
    pub bytes: u64,
    /// Whether the database was written anew, because something was left there.
    pub rewritten: bool,
    /// Places that look like something of it even so. None, unless the same number is kept for another tenant (in a file),
    /// or has come anew meanwhile (in a server's database).
    pub found: u64,
}

/// Who keeps the bytes of what is stored, and so copies that an erasure cannot reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// This service, in a folder.
    Folder,
    /// A database server, with its log, archives and backups.
    Server,
}

/// What was erased. Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub id: ErasureId,
    /// Whose data it was about.
    pub tenant: TenantId,
    /// Where it was kept.
    pub keeper: Keeper,
    /// Recognises the number, for whoever has number and master key.
    pub fingerprint: [u8; 16],
    /// The way in.
    pub actor: String,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When it was done; none if it was broken off.
    pub finished_at: Option<DateTime<Utc>>,
    /// Callbacks that were cancelled for it.
    pub cancelled: u64,
    /// What was removed.
    pub counts: Counts,
    /// What was looked for afterwards.
    pub search: Search,
}

impl Receipt {
    /// Until when a copy of the data from before may hold what was erased and would tell it: whatever is put back
    /// from one later than this is removed by its age.
    pub fn copies_hold_until(&self) -> DateTime<Utc> {
        // The latest that can be booked is a fortnight ahead, and is kept for another one.
        self.finished_at.unwrap_or(self.begun_at) + crate::booking::MAX_AHEAD + RETENTION
    }
}

/// The end of a callback because an operator erases its number, for whoever does not own it; none if it has ended
/// already. What is left to do about it is left to its owner.
///
/// # Errors
/// [`StepError::NotCancellable`] while agent and customer talk.
pub fn ended(before: &Callback, tenant: &Tenant, now: DateTime<Utc>) -> Result<Option<Change>, StepError> {
    if before.state == crate::callback::State::Completed {
        return Ok(None);
    }
    let Some(change) = Change::cancelling(before, Canceller::Admin, now)? else { return Ok(None) };
    let kind = Kind::of_step(change.saving.cause, before.state, &change.callback);
    let announcement = kind.and_then(|kind| tenant.announce(kind, &change.callback, now));
    Ok(Some(Change { announcement, ..change }))
}
