//! Call-ins as every store answers about them, and how a long list of them is looked through.

use chrono::{DateTime, Utc};
use domain::call_in::{Call, CallIn, Criteria, Criterion, DRAWS, State};
use domain::ids::CallInId;
use domain::numbers::PhoneNumber;
use domain::ports::{
    CallInOrder, CallInPage, CallInQuery, MatchOutcome, Matched, Opened, Opening, StoreError, Withdrawn, Won,
};
use uuid::Uuid;

use super::command::call_ins::{CallInCommand, CallInOutcome, Open};
use super::command::{Outcome, unexpected};
use super::packing::unpacked;
use super::rows::{call_in, instant, stored_number, unreadable};
use super::user_data::pack;

/// Steps of expired and old requests in one purge.
pub(super) const MAX_TIDY_STEPS: usize = 40;

/// Rows that are looked at for one page, and for the total: a filter that hardly any request passes costs as much as none.
const MAX_EXAMINED: usize = 20_000;

/// Rows that are looked at in one go.
const CHUNK: usize = 1_000;

/// Random words of the operating system's generator.
fn drawn() -> Result<[u64; DRAWS], StoreError> {
    let mut bytes = [[0; 8]; DRAWS];
    getrandom::fill(bytes.as_flattened_mut())
        .map_err(|error| StoreError::NotDone(format!("no random numbers: {error}")))?;
    Ok(bytes.map(u64::from_ne_bytes))
}

/// A request as the writer takes it.
pub(super) fn open_command(opening: &Opening) -> Result<CallInCommand, StoreError> {
    Ok(CallInCommand::Open(Open {
        opening: Opening { user_data: None, ..opening.clone() },
        user_data: opening.user_data.as_deref().map(pack),
        draws: drawn()?,
    }))
}

/// The request that was kept, as it was asked for and with what it was given.
fn kept(opening: Opening, number: u64, code: Option<u32>) -> CallIn {
    CallIn {
        id: opening.id,
        group: opening.group,
        number: PhoneNumber::from_digits(number),
        code,
        caller: opening.caller,
        callback: opening.callback,
        created_at: opening.at,
        expires_at: opening.at + opening.settings.expiry,
        ended_at: None,
        state: State::Waiting,
        criteria: Criteria::NONE,
    }
}

/// What whoever opens a request is told.
pub(super) fn opened(outcome: CallInOutcome, opening: Opening) -> Result<Opened, StoreError> {
    let at = opening.at;
    match outcome {
        CallInOutcome::Opened { number, code } => Ok(Opened::New(kept(opening, number, code))),
        CallInOutcome::Known(Some((row, _))) => Ok(Opened::Existing(call_in(row, at)?)),
        CallInOutcome::Known(None) => Ok(Opened::Gone),
        CallInOutcome::KeyReused => Ok(Opened::KeyReused),
        CallInOutcome::NothingFree => Ok(Opened::NothingFree),
        other => unexpected(&Outcome::CallIn(other)),
    }
}

/// What a call has to show for some criteria to be met, but for the number that was dialled.
pub(super) struct Proof {
    pub(super) code: Option<i64>,
    pub(super) caller: Option<i64>,
}

impl Proof {
    pub(super) fn of(call: &Call, criteria: Criteria) -> Self {
        let code = call.code.value().filter(|_| criteria.has(Criterion::AccessCode)).map(i64::from);
        let caller = call.ani.value().filter(|_| criteria.has(Criterion::Ani)).map(stored_number);
        Self { code, caller }
    }
}

/// What whoever has a call is told.
pub(super) fn matched(outcome: CallInOutcome, at: DateTime<Utc>) -> Result<MatchOutcome, StoreError> {
    match outcome {
        CallInOutcome::Known(Some((row, packed))) => {
            let user_data = packed.as_deref().map(unpacked).transpose()?;
            let won = Won { call_in: call_in(row, at)?, user_data };
            Ok(MatchOutcome::Answer(Matched::Won(Box::new(won))))
        }
        CallInOutcome::Known(None) => Ok(MatchOutcome::Gone),
        CallInOutcome::Nobody { dnis_waits } => {
            let criteria = Criteria::NONE.with(Criterion::Dnis, dnis_waits);
            Ok(MatchOutcome::Answer(Matched::Nobody(criteria)))
        }
        CallInOutcome::KeyReused => Ok(MatchOutcome::KeyReused),
        other => unexpected(&Outcome::CallIn(other)),
    }
}

/// What whoever withdraws a request is told.
pub(super) fn withdrawn(outcome: CallInOutcome, at: DateTime<Utc>) -> Result<Withdrawn, StoreError> {
    match outcome {
        CallInOutcome::Withdrawn => Ok(Withdrawn::Done),
        CallInOutcome::Known(Some((row, _))) => match call_in(row, at)?.state {
            State::Cancelled => Ok(Withdrawn::Done),
            other => Ok(Withdrawn::NotWaiting(other)),
        },
        CallInOutcome::Known(None) => Ok(Withdrawn::NotFound),
        other => unexpected(&Outcome::CallIn(other)),
    }
}

/// Id, state, group, void from: what filters look at.
pub(super) type SeenRow = (Vec<u8>, i64, i64, i64);

/// A list to look through.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) tenant: i64,
    pub(super) query: &'a CallInQuery,
    /// Key of the group that is asked for.
    pub(super) group: Option<i64>,
    pub(super) at: DateTime<Utc>,
}

impl List<'_> {
    fn start(&self) -> Uuid {
        match self.query.order {
            CallInOrder::NewestFirst => Uuid::max(),
            CallInOrder::OldestFirst => Uuid::nil(),
        }
    }

    /// Before its first row.
    pub(super) fn whole(&self) -> Look {
        Look::behind(self.start())
    }

    /// Before the first row of the page that is asked for.
    pub(super) fn page(&self) -> Look {
        Look::behind(self.query.after.map_or_else(|| self.start(), |id| id.as_uuid()))
    }

    fn admits(&self, row: &SeenRow) -> Result<bool, StoreError> {
        let (_, state, group, expires_at) = row;
        if self.group.is_some_and(|wanted| wanted != *group) {
            return Ok(false);
        }
        let Some(wanted) = self.query.state else { return Ok(true) };
        let stored = i16::try_from(*state).ok().and_then(State::from_code);
        let stored = stored.ok_or_else(|| unreadable("the state of a call-in is not known"))?;
        Ok(stored.at(instant(*expires_at)?, self.at) == wanted)
    }
}

/// How far a list was looked through.
pub(super) struct Look {
    /// The last row that was looked at.
    last: Uuid,
    /// Whether rows are left.
    more: bool,
    examined: usize,
    wants_more: bool,
}

impl Look {
    /// Rows to read in one go: one more than is looked at, so that the end of the list is known to be one.
    pub(super) const READ: usize = CHUNK + 1;

    fn behind(last: Uuid) -> Self {
        Self { last, more: true, examined: 0, wants_more: true }
    }

    /// Behind which row to read on; none if enough has been looked at.
    pub(super) fn next(&self) -> Option<Uuid> {
        (self.wants_more && self.more && self.examined < MAX_EXAMINED).then_some(self.last)
    }

    /// Looks at the rows of one read and hands the ids of those that the filters admit to `take`, which says whether
    /// it wants more.
    pub(super) fn at(
        &mut self,
        list: &List<'_>,
        read: Vec<SeenRow>,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), StoreError> {
        let count = read.len();
        self.more = count > CHUNK;
        for (place, row) in read.into_iter().take(CHUNK).enumerate() {
            self.examined += 1;
            self.last = Uuid::from_slice(&row.0).map_err(|_| unreadable("an id is no UUID"))?;
            if list.admits(&row)? && !take(row.0) {
                self.wants_more = false;
                self.more = place + 1 < count;
                break;
            }
        }
        Ok(())
    }
}

/// The page that was found by `page`, with the total that `whole` has come to.
pub(super) fn found(call_ins: Vec<CallIn>, page: &Look, total: u64, whole: &Look) -> CallInPage {
    CallInPage {
        call_ins,
        next: page.more.then(|| CallInId::from_uuid(page.last)),
        total,
        total_is_complete: !whole.more,
    }
}
