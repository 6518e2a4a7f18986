//! Parts of what is looked through: a stretch of the table, or the next ids of lists that are kept in order.

use diesel::sql_types::{BigInt, Binary, Nullable};
use domain::callback::State;
use domain::numbers::PhoneNumber;
use domain::ports::StoreError;
use domain::search::Order;
use uuid::Uuid;

use super::super::readers::{Reader, not_read};
use super::super::statement::{Bind, first, rows, statements};
use super::Hunt;
use crate::stores::rows::{FORMAT, sql_limit, stored};
use crate::stores::search::{IDS_OF_STREAM, Part, STRETCH, SeenRow, uuid};

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
        let mut binds = vec![Bind::Bytes(from.as_bytes()), Bind::Bytes(&end)];
        binds.extend(hunt.conditions().map(Bind::from));
        let found = match order {
            Order::NewestFirst => rows::<OlderRows, SeenRow>(connection, &binds),
            Order::OldestFirst => rows::<NewerRows, SeenRow>(connection, &binds),
        };
        let looked_at = usize::try_from(count).unwrap_or_default();
        let end = if looked_at < STRETCH { None } else { Some(uuid(&end)?) };
        Ok(Part { rows: found.map_err(not_read)?, end, looked_at })
    }

    /// The next ids of all lists together.
    fn of_streams(&mut self, hunt: &Hunt<'_>, streams: &[Stream], from: Uuid) -> Result<Part, StoreError> {
        let lists = streams.iter().map(|stream| self.ids_of(hunt, *stream, from)).collect::<Result<_, _>>()?;
        let (ids, end) = hunt.merge(lists, |id| *id);
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
