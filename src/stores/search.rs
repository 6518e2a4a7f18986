//! What is looked for by a search, and how: parts of the table, or lists of ids that a store keeps anyway. The same in
//! every store.

use std::collections::BTreeSet;

use domain::callback::State;
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;
use domain::search::{Order, Search};
use uuid::Uuid;

use super::rows::{FORMAT, instant, millis, state, stored, unreadable};

/// Rows that are looked at for one page.
pub(super) const MAX_EXAMINED: usize = 20_000;
/// Bytes of user data that are unpacked for one page. One that is longer is looked at all the same.
pub(super) const MAX_UNPACKED_BYTES: usize = 16 << 20;
/// Lists of ids that are read side by side; with more of them the table is looked through instead.
pub(super) const MAX_STREAMS: usize = 64;
/// Rows of one stretch of the table.
pub(super) const STRETCH: usize = 2_000;
/// Ids that are read of one list at a time.
pub(super) const IDS_OF_STREAM: usize = 500;

/// Id, queue, state, phone, desired time, details: what filters look at.
pub(super) type SeenRow = (Vec<u8>, i64, i64, i64, i64, Option<i64>);

/// What is looked for, in the store's own numbers; `S` names a list of ids.
pub(super) struct Hunt<'a, S> {
    pub(super) tenant: i64,
    pub(super) search: &'a Search,
    /// Numbers of the queues that were named; none if all are wanted.
    pub(super) queues: Option<BTreeSet<i64>>,
    /// Where ids are listed already; none if the table has to be looked through.
    pub(super) streams: Option<Vec<S>>,
}

/// What was looked at in one go.
pub(super) struct Part {
    /// In order; some that are not wanted may be among them.
    pub(super) rows: Vec<SeenRow>,
    /// The last row that was looked at; none if no row is left behind it.
    pub(super) end: Option<Uuid>,
    /// How many rows that was.
    pub(super) looked_at: usize,
}

/// The lists in which everything that is wanted stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// Who waits under a number.
    ByNumber,
    /// What is on its way to an agent.
    ByState,
    /// None: the table has to be looked through.
    None,
}

/// The least range that holds all numbers; everything if there are none.
fn hull(numbers: impl Iterator<Item = i64>) -> (i64, i64) {
    let mut hull = None;
    for number in numbers {
        let (least, most) = hull.unwrap_or((number, number));
        hull = Some((number.min(least), number.max(most)));
    }
    hull.unwrap_or((i64::MIN, i64::MAX))
}

/// An id of a row.
pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| unreadable("an id is no UUID"))
}

impl<S> Hunt<'_, S> {
    pub(super) fn start(&self) -> Uuid {
        let first = match self.search.order {
            Order::NewestFirst => Uuid::max(),
            Order::OldestFirst => Uuid::nil(),
        };
        self.search.after.map_or(first, |id| id.as_uuid())
    }

    /// Whether a row is wanted, but for its user data.
    pub(super) fn admits(&self, row: &SeenRow) -> Result<bool, StoreError> {
        let (_, queue, state_code, phone, desired_time, _) = row;
        let phone = u64::try_from(*phone).map_err(|_| unreadable("a phone number is negative"))?;
        Ok(self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
            && self.search.admits(state(*state_code)?, instant(*desired_time)?, PhoneNumber::from_digits(phone)))
    }

    /// Which lists would do.
    pub(super) fn lists(&self) -> Lists {
        let unfinished = [State::Scheduled, State::Queued, State::Routing, State::Processing];
        if self.search.is_within(&unfinished) && !self.search.phones.is_empty() {
            Lists::ByNumber
        } else if self.search.is_within(&[State::Queued, State::Routing]) {
            Lists::ByState
        } else {
            Lists::None
        }
    }

    /// A bit for each state that is wanted. No state named: any.
    fn state_bits(&self) -> i64 {
        match self.search.states.iter().fold(0, |mask, state| mask | 1 << i64::from(state.code())) {
            0 => -1,
            mask => mask,
        }
    }

    /// The least range of numbers that holds the queues.
    fn queue_range(&self) -> (i64, i64) {
        hull(self.queues.iter().flatten().copied())
    }

    /// The least range that holds the phone numbers.
    fn phone_range(&self) -> (i64, i64) {
        hull(self.search.phones.iter().map(|phone| stored(phone.digits())))
    }

    /// What a row is compared with in SQL: tenant, format, wanted from and before, states, and the ranges of queues and of
    /// phone numbers.
    pub(super) fn conditions(&self) -> [i64; 9] {
        let (desired, queues, phones) = (&self.search.desired, self.queue_range(), self.phone_range());
        let (from, before) = (millis(desired.start), millis(desired.end));
        [self.tenant, FORMAT, from, before, self.state_bits(), queues.0, queues.1, phones.0, phones.1]
    }

    /// Whether an id comes before another one.
    fn is_nearer(&self, one: &Uuid, other: &Uuid) -> bool {
        match self.search.order {
            Order::NewestFirst => one > other,
            Order::OldestFirst => one < other,
        }
    }

    /// One list of what stands in several, each in order and read up to [`IDS_OF_STREAM`], with the end up to which it is
    /// whole: behind the nearest end of a list that goes on, order is not known.
    pub(super) fn merge<T>(&self, lists: Vec<Vec<T>>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
        let mut end: Option<Uuid> = None;
        for list in &lists {
            let last = list.last().map(&id).filter(|_| list.len() >= IDS_OF_STREAM);
            if let Some(last) = last.filter(|last| end.is_none_or(|end| self.is_nearer(last, &end))) {
                end = Some(last);
            }
        }
        let mut merged: Vec<T> = lists.into_iter().flatten().collect();
        merged.retain(|it| end.is_none_or(|end| !self.is_nearer(&end, &id(it))));
        merged.sort_unstable_by_key(&id);
        // What is set aside may stand in another list as well.
        merged.dedup_by_key(|it| id(it));
        if self.search.order == Order::NewestFirst {
            merged.reverse();
        }
        (merged, end)
    }
}
