//! Parts of what is looked through: a stretch of the table, or the next ids of lists that are kept in order.

use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::callback::State;
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;
use domain::search::Order;
use uuid::Uuid;

use super::super::queries::sql_limit;
use super::super::readers::{Reader, not_read};
use super::super::rows::{FORMAT, millis, stored, unreadable};
use super::super::statement::{Bind, first, rows, statements};
use super::Hunt;

/// Rows of one stretch of the table.
const STRETCH: usize = 2_000;
/// Ids that are read of one list at a time.
const IDS_OF_STREAM: usize = 500;

statements! {
    OlderEnd -> (Nullable<Binary>, BigInt) = "SELECT min(id), count(*) FROM
        (SELECT id FROM callbacks WHERE id < ? ORDER BY id DESC LIMIT ?)";
    NewerEnd -> (Nullable<Binary>, BigInt) = "SELECT max(id), count(*) FROM
        (SELECT id FROM callbacks WHERE id > ? ORDER BY id LIMIT ?)";
    OlderRows -> (Binary, BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT id, queue, state, phone, desired_time, details FROM callbacks
        WHERE id < ? AND id >= ? AND tenant = ? AND format = ? AND desired_time >= ? AND desired_time < ?
        AND (1 << state) & ? <> 0 AND queue BETWEEN ? AND ? AND phone BETWEEN ? AND ? ORDER BY id DESC";
    NewerRows -> (Binary, BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT id, queue, state, phone, desired_time, details FROM callbacks
        WHERE id > ? AND id <= ? AND tenant = ? AND format = ? AND desired_time >= ? AND desired_time < ?
        AND (1 << state) & ? <> 0 AND queue BETWEEN ? AND ? AND phone BETWEEN ? AND ? ORDER BY id";
    OneRow -> (Binary, BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>) =
        "SELECT id, queue, state, phone, desired_time, details FROM callbacks
        WHERE id = ? AND tenant = ? AND format = ?";
    OlderWaiting -> (Binary) = "SELECT id FROM callbacks INDEXED BY callbacks_waiting
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND id < ? ORDER BY id DESC LIMIT ?";
    NewerWaiting -> (Binary) = "SELECT id FROM callbacks INDEXED BY callbacks_waiting
        WHERE queue = ? AND phone = ? AND ended_at IS NULL AND id > ? ORDER BY id LIMIT ?";
    OlderActive -> (Binary) = "SELECT id FROM callbacks INDEXED BY callbacks_active
        WHERE queue = ? AND state = ? AND state IN (1, 2) AND wake_at IS NOT NULL AND id < ? ORDER BY id DESC LIMIT ?";
    NewerActive -> (Binary) = "SELECT id FROM callbacks INDEXED BY callbacks_active
        WHERE queue = ? AND state = ? AND state IN (1, 2) AND wake_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?";
    OlderParked -> (Binary) = "SELECT callback FROM parked WHERE tenant = ? AND callback < ? ORDER BY callback DESC LIMIT ?";
    NewerParked -> (Binary) = "SELECT callback FROM parked WHERE tenant = ? AND callback > ? ORDER BY callback LIMIT ?";
}

/// Id, queue, state, phone, desired time, details: what filters look at.
pub(super) type SeenRow = (Vec<u8>, i64, i64, i64, i64, Option<i64>);

/// What was looked at in one go.
pub(super) struct Part {
    /// In order; some that are not wanted may be among them.
    pub(super) rows: Vec<SeenRow>,
    /// The last row that was looked at; none if no row is left behind it.
    pub(super) end: Option<Uuid>,
    /// How many rows that was.
    pub(super) looked_at: usize,
}

/// A list of ids that is kept in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    /// Unfinished callbacks of a number in a queue.
    Waiting { queue: i64, phone: PhoneNumber },
    /// Callbacks of a queue on their way to an agent, but for those that are set aside.
    Active { queue: i64, state: State },
    /// What is set aside.
    Parked,
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

impl Reader {
    /// What comes behind `from`.
    pub(super) fn part(&mut self, hunt: &Hunt<'_>, from: Uuid) -> Result<Part, StoreError> {
        match &hunt.streams {
            Some(streams) => self.of_streams(hunt, streams, from),
            None => self.stretch(hunt, from),
        }
    }

    fn stretch(&mut self, hunt: &Hunt<'_>, from: Uuid) -> Result<Part, StoreError> {
        let connection = &mut self.connection;
        let binds = [Bind::Bytes(from.as_bytes()), sql_limit(STRETCH).into()];
        let order = hunt.search.order;
        let end: Option<(Option<Vec<u8>>, i64)> = match order {
            Order::NewestFirst => first::<OlderEnd, _>(connection, &binds),
            Order::OldestFirst => first::<NewerEnd, _>(connection, &binds),
        }
        .map_err(not_read)?;
        let Some((Some(end), count)) = end else { return Ok(Part { rows: Vec::new(), end: None, looked_at: 0 }) };
        let states = hunt.search.states.iter().fold(0, |mask, state| mask | 1 << i64::from(state.code()));
        let queues = hull(hunt.queues.iter().flatten().copied());
        let phones = hull(hunt.search.phones.iter().map(|phone| stored(phone.digits())));
        let binds = [
            Bind::Bytes(from.as_bytes()),
            Bind::Bytes(&end),
            hunt.tenant.into(),
            FORMAT.into(),
            millis(hunt.search.desired.start).into(),
            millis(hunt.search.desired.end).into(),
            // No state named: any.
            if states == 0 { -1 } else { states }.into(),
            queues.0.into(),
            queues.1.into(),
            phones.0.into(),
            phones.1.into(),
        ];
        let found = match order {
            Order::NewestFirst => rows::<OlderRows, SeenRow>(connection, &binds),
            Order::OldestFirst => rows::<NewerRows, SeenRow>(connection, &binds),
        };
        let looked_at = usize::try_from(count).unwrap_or_default();
        let end = if looked_at < STRETCH { None } else { Some(uuid(&end)?) };
        Ok(Part { rows: found.map_err(not_read)?, end, looked_at })
    }

    /// The next ids of all lists together. Behind the nearest end of a list that goes on, order is not known.
    fn of_streams(&mut self, hunt: &Hunt<'_>, streams: &[Stream], from: Uuid) -> Result<Part, StoreError> {
        let is_nearer = |one: &Uuid, other: &Uuid| match hunt.search.order {
            Order::NewestFirst => one > other,
            Order::OldestFirst => one < other,
        };
        let mut ids: Vec<Uuid> = Vec::new();
        let mut end: Option<Uuid> = None;
        for stream in streams {
            let found = self.ids_of(hunt, *stream, from)?;
            let goes_on = found.len() >= IDS_OF_STREAM;
            if let Some(last) = found.last().filter(|last| goes_on && end.is_none_or(|end| is_nearer(last, &end))) {
                end = Some(*last);
            }
            ids.extend(found);
        }
        ids.retain(|id| end.is_none_or(|end| !is_nearer(&end, id)));
        ids.sort_unstable();
        // What is set aside may stand in another list as well.
        ids.dedup();
        if hunt.search.order == Order::NewestFirst {
            ids.reverse();
        }
        let looked_at = ids.len();
        let mut seen = Vec::with_capacity(ids.len());
        for id in ids {
            let binds = [Bind::Bytes(id.as_bytes()), hunt.tenant.into(), FORMAT.into()];
            seen.extend(first::<OneRow, SeenRow>(&mut self.connection, &binds).map_err(not_read)?);
        }
        Ok(Part { rows: seen, end, looked_at })
    }

    fn ids_of(&mut self, hunt: &Hunt<'_>, stream: Stream, from: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let connection = &mut self.connection;
        let (behind, limit) = (Bind::Bytes(from.as_bytes()), sql_limit(IDS_OF_STREAM).into());
        let found: Vec<(Vec<u8>,)> = match (stream, hunt.search.order) {
            (Stream::Waiting { queue, phone }, order) => {
                let binds = [queue.into(), stored(phone.digits()).into(), behind, limit];
                match order {
                    Order::NewestFirst => rows::<OlderWaiting, _>(connection, &binds),
                    Order::OldestFirst => rows::<NewerWaiting, _>(connection, &binds),
                }
            }
            (Stream::Active { queue, state }, order) => {
                let binds = [queue.into(), i64::from(state.code()).into(), behind, limit];
                match order {
                    Order::NewestFirst => rows::<OlderActive, _>(connection, &binds),
                    Order::OldestFirst => rows::<NewerActive, _>(connection, &binds),
                }
            }
            (Stream::Parked, Order::NewestFirst) => {
                rows::<OlderParked, _>(connection, &[hunt.tenant.into(), behind, limit])
            }
            (Stream::Parked, Order::OldestFirst) => {
                rows::<NewerParked, _>(connection, &[hunt.tenant.into(), behind, limit])
            }
        }
        .map_err(not_read)?;
        found.iter().map(|(id,)| uuid(id)).collect()
    }
}

fn uuid(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| unreadable("an id is no UUID"))
}
