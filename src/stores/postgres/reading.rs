//! Filling a [`View`]: locked for a batch, or just looked at for whoever wants to know.

use std::collections::BTreeMap;

use domain::callback::Callback;
use domain::ids::HoldId;
use futures::future::{try_join, try_join3};
use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::{Sql, SqlError};
use super::keys::Keys;
use super::locks::{Locks, WaitingOf, Wanted};
use super::statement::{Bind, Connection, FromColumn as _, FromRow, rows, statements};
use super::view::{GridName, Places, Seen, View};
use super::writer::steps::declare_book;
use crate::stores::command::Book;
use crate::stores::names::QueueKey;
use crate::stores::rows::{CallbackRow, FORMAT, callback, callback_id, millis};

/// Callbacks of one number that are looked at.
const MAX_WAITING: i64 = 1_000;

statements! {
    // A callback whose customer talks to an agent (state 3) waits no more.
    FindWaiting = "SELECT c.format, c.version, c.queue, c.phone, c.state, c.hand_off, c.attempt, c.refusals, c.last_seq,
        c.dialled, c.owes_terminate, c.desired_time, c.expires_at, c.start_at, c.wake_at, c.owner, c.ended_at, c.slot,
        c.session, c.reason, c.devices, c.turn_seconds, c.turn_until, c.id
        FROM unnest(?::bigint[], ?::bigint[]) AS u(q, p) CROSS JOIN LATERAL
        (SELECT * FROM callbacks w WHERE w.queue = u.q AND w.phone = u.p AND w.ended_at IS NULL AND w.state < 3
        AND w.format = ? ORDER BY w.id LIMIT ?) c";
    LockCallbacks = "SELECT id, tenant, format, version, owner FROM callbacks WHERE id = ANY (?) ORDER BY id FOR UPDATE";
    LockHolds = "SELECT id, tenant, queue, slot, desired_time, expires_at FROM holds WHERE id = ANY (?)
        ORDER BY id FOR UPDATE";
    ReadHold = "SELECT id, tenant, queue, slot, desired_time, expires_at FROM holds WHERE id = ANY (?)";
    // An insert takes the lock of a row that is there, too, in the order in which the rows come. It does not write it, and
    // says of nothing but of the rows that it has made.
    LockSlots = "INSERT INTO slots (queue, start, booked)
        SELECT q, s, 0 FROM unnest(?::bigint[], ?::bigint[]) AS u(q, s) ORDER BY q, s
        ON CONFLICT (queue, start) DO UPDATE SET booked = slots.booked WHERE false RETURNING queue, start";
    ReadSlots = "SELECT s.queue, s.start, s.booked FROM unnest(?::bigint[], ?::bigint[]) AS u(q, s)
        JOIN slots s ON s.queue = u.q AND s.start = u.s";
    // Whoever is about to remove one holds it and waits for the slot: such a one is passed over.
    LockLapsed = "SELECT h.id, h.queue, h.slot, h.expires_at FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS u(q, s, a)
        JOIN holds h ON h.queue = u.q AND h.slot = u.s AND h.expires_at <= u.a
        ORDER BY h.expires_at LIMIT 10000 FOR UPDATE OF h SKIP LOCKED";
    ReadLapsed = "SELECT h.id, h.queue, h.slot, h.expires_at FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS u(q, s, a)
        JOIN holds h ON h.queue = u.q AND h.slot = u.s AND h.expires_at <= u.a LIMIT 10000";
    FindGrids = "SELECT key, grid FROM queues WHERE key = ANY (?::bigint[])";
    LockDepths = "INSERT INTO queue_depths (queue, active) SELECT q, 0 FROM unnest(?::bigint[]) AS u(q) ORDER BY q
        ON CONFLICT (queue) DO UPDATE SET active = queue_depths.active RETURNING queue, active";
    ReadDepths = "SELECT queue, active FROM queue_depths WHERE queue = ANY (?::bigint[])";
    FindValues = "SELECT v.queue, v.ends_at, v.value, v.booked FROM unnest(?::bigint[], ?::bigint[], ?::bytea[]) AS u(q, e, v)
        JOIN counted_values v ON v.queue = u.q AND v.ends_at = u.e AND v.value = u.v";
    FindWindows = "SELECT w.queue, w.seconds, w.ends_at, w.booked FROM unnest(?::bigint[], ?::bigint[]) AS u(q, s)
        JOIN counted_windows w ON w.queue = u.q AND w.seconds = u.s";
}

/// Whether rows are locked as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// For a batch.
    Lock,
    /// For whoever wants to know.
    Look,
}

/// Id, tenant, format, version, owner.
type SeenRow = (Vec<u8>, i64, i64, i64, Option<i64>);

/// The columns of a callback, and its id.
pub(super) struct IdentifiedRow(pub(super) CallbackRow, pub(super) Vec<u8>);

impl FromRow for IdentifiedRow {
    fn from_row(row: &Row) -> Sql<Self> {
        Ok(Self(CallbackRow::from_row(row)?, Vec::from_column(row, 23)?))
    }
}

async fn seen_rows(connection: &Connection, ids: &[Uuid]) -> Sql<Vec<SeenRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&[u8]> = ids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
    rows::<LockCallbacks, _>(connection, &[ids.as_slice().into()]).await
}

async fn grid_rows(connection: &Connection, locks: &Locks) -> Sql<Vec<(i64, Option<String>)>> {
    if locks.grids.is_empty() {
        return Ok(Vec::new());
    }
    let queues: Vec<i64> = locks.grids.iter().copied().collect();
    rows::<FindGrids, _>(connection, &[queues.as_slice().into()]).await
}

fn pairs<'a>(pairs: impl Iterator<Item = &'a (i64, i64)>) -> (Vec<i64>, Vec<i64>) {
    pairs.copied().unzip()
}

/// What a booking would be judged by if it came now. Nothing is locked.
pub(super) async fn look_at(connection: &mut Connection, book: &Book, key: QueueKey) -> Sql<(View, Keys)> {
    let (mut locks, mut keys) = (Locks::default(), Keys::default());
    declare_book(book, key, &mut locks, &mut keys);
    keys.look(connection, book, key).await?;
    Ok((View::load(connection, &locks, Manner::Look).await?, keys))
}

impl View {
    /// Reads what is wanted, in the order of locks.
    pub(super) async fn load(connection: &Connection, locks: &Locks, manner: Manner) -> Sql<Self> {
        let mut view = Self::default();
        let in_turn = !locks.waiting.is_empty() || !locks.holds.is_empty();
        if in_turn {
            // What else is locked depends on what these bring.
            view.find_waiting(connection, locks).await?;
            if manner == Manner::Lock {
                view.lock_callbacks(connection, locks).await?;
            }
            view.read_holds(connection, locks, manner).await?;
        }
        let wanted = view.wanted_slots(locks);
        let at_once = manner == Manner::Lock && !in_turn;
        let ids = if at_once { view.wanted_callbacks(locks) } else { Vec::new() };
        let (rows, (made, slots), grids) = try_join3(
            seen_rows(connection, &ids),
            Self::slot_rows(connection, &wanted, manner),
            grid_rows(connection, locks),
        )
        .await?;
        view.see(rows)?;
        view.keep_slots(made, slots);
        view.grids = grids.into_iter().map(|(q, name)| (q, name.map_or(GridName::None, GridName::Stored))).collect();
        view.read_lapsed(connection, wanted, manner).await?;
        view.read_counts(connection, locks, manner).await?;
        Ok(view)
    }

    /// Prepares what [`Self::load`] sends at once.
    pub(super) async fn ready(connection: &Connection) -> Sql<()> {
        connection.ready::<LockCallbacks>().await?;
        connection.ready::<LockSlots>().await?;
        connection.ready::<ReadSlots>().await?;
        connection.ready::<FindGrids>().await
    }

    async fn find_waiting(&mut self, connection: &Connection, locks: &Locks) -> Sql<()> {
        if locks.waiting.is_empty() {
            return Ok(());
        }
        self.waiting = locks.waiting.keys().map(|of| (*of, BTreeMap::new())).collect();
        let (queues, phones) = pairs(locks.waiting.keys());
        let binds = [queues.as_slice().into(), phones.as_slice().into(), FORMAT.into(), MAX_WAITING.into()];
        let found: Vec<IdentifiedRow> = rows::<FindWaiting, _>(connection, &binds).await?;
        for IdentifiedRow(row, id) in found {
            let of = (row.2, row.3);
            let Some(WaitingOf { tenant, queue, .. }) = locks.waiting.get(&of) else { continue };
            let id = callback_id(&id)?;
            let found = callback(id, *tenant, queue.clone(), row)?;
            self.waiting.entry(of).or_default().insert(id, found);
        }
        Ok(())
    }

    /// Those of the waiting ones that may end.
    fn ending<'a>(&'a self, locks: &'a Locks) -> impl Iterator<Item = ((i64, i64), &'a Callback)> {
        let ends = locks.waiting.iter().filter(|(_, waiting)| waiting.ends).map(|(of, _)| of);
        ends.flat_map(|of| self.waiting.get(of).into_iter().flat_map(move |all| all.values().map(move |it| (*of, it))))
    }

    fn wanted_callbacks(&self, locks: &Locks) -> Vec<Uuid> {
        let ending = self.ending(locks).map(|(_, callback)| callback.id);
        locks.callbacks.iter().copied().chain(ending).map(|id| id.as_uuid()).collect()
    }

    fn see(&mut self, found: Vec<SeenRow>) -> Sql<()> {
        for (id, tenant, format, version, owner) in found {
            self.rows.insert(callback_id(&id)?, Seen { tenant, format, version, owner });
        }
        Ok(())
    }

    async fn lock_callbacks(&mut self, connection: &Connection, locks: &Locks) -> Sql<()> {
        let found = seen_rows(connection, &self.wanted_callbacks(locks)).await?;
        self.see(found)?;
        let mut ending = self.ending(locks);
        let same = ending.all(|(_, it)| self.rows.get(&it.id).is_some_and(|row| row.version == i64::from(it.version)));
        if same { Ok(()) } else { Err(SqlError::Again("a callback has changed before it was locked")) }
    }

    async fn read_holds(&mut self, connection: &Connection, locks: &Locks, manner: Manner) -> Sql<()> {
        if locks.holds.is_empty() {
            return Ok(());
        }
        let uuids: Vec<Uuid> = locks.holds.iter().map(HoldId::as_uuid).collect();
        let ids: Vec<&[u8]> = uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect();
        let binds = [ids.as_slice().into()];
        let found: Vec<(Vec<u8>, i64, i64, i64, i64, i64)> = match manner {
            Manner::Lock => rows::<LockHolds, _>(connection, &binds).await?,
            Manner::Look => rows::<ReadHold, _>(connection, &binds).await?,
        };
        for (id, tenant, queue, slot, desired_time, expires_at) in found {
            let id =
                Uuid::from_slice(&id).map_err(|_| SqlError::Unreadable("the id of a hold is no UUID".to_owned()))?;
            self.holds.insert((tenant, HoldId::from_uuid(id)), (queue, slot, desired_time, expires_at));
        }
        Ok(())
    }

    fn wanted_slots(&self, locks: &Locks) -> BTreeMap<(i64, i64), Wanted> {
        let mut wanted = locks.slots.clone();
        for (of, callback) in self.ending(locks) {
            if let Some(start) = callback.slot {
                wanted.entry((of.0, millis(start))).or_default();
            }
        }
        // Whoever gives a hold up gives its place back.
        for (queue, slot, ..) in self.holds.values() {
            wanted.entry((*queue, *slot)).or_default();
        }
        wanted
    }

    /// Locks slots and reads them: those that were made to be locked, and all of them as they are.
    async fn slot_rows(
        connection: &Connection,
        wanted: &BTreeMap<(i64, i64), Wanted>,
        manner: Manner,
    ) -> Sql<(Vec<(i64, i64)>, Vec<(i64, i64, i64)>)> {
        if wanted.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let (queues, starts) = pairs(wanted.keys());
        let binds = [queues.as_slice().into(), starts.as_slice().into()];
        let lock = async {
            match manner {
                Manner::Lock => rows::<LockSlots, _>(connection, &binds).await,
                Manner::Look => Ok(Vec::new()),
            }
        };
        try_join(lock, rows::<ReadSlots, _>(connection, &binds)).await
    }

    fn keep_slots(&mut self, made: Vec<(i64, i64)>, found: Vec<(i64, i64, i64)>) {
        self.made_slots.extend(made);
        for (queue, start, booked) in found {
            self.slots.insert((queue, start), Places { booked, was: booked, lapsed: Vec::new() });
        }
    }

    /// Looks for holds that are over in slots that may be full.
    async fn read_lapsed(
        &mut self,
        connection: &Connection,
        mut wanted: BTreeMap<(i64, i64), Wanted>,
        manner: Manner,
    ) -> Sql<()> {
        wanted.retain(|of, it| {
            self.slots.get(of).is_some_and(|seen| it.takers > 0 && seen.booked + it.takers > it.capacity)
        });
        if wanted.is_empty() {
            return Ok(());
        }
        let (queues, starts) = pairs(wanted.keys());
        let ats: Vec<i64> = wanted.values().map(|it| it.at).collect();
        let binds = [queues.as_slice().into(), starts.as_slice().into(), ats.as_slice().into()];
        let lapsed: Vec<(Vec<u8>, i64, i64, i64)> = match manner {
            Manner::Lock => rows::<LockLapsed, _>(connection, &binds).await?,
            Manner::Look => rows::<ReadLapsed, _>(connection, &binds).await?,
        };
        for (id, queue, slot, expires_at) in lapsed {
            if let Some(places) = self.slots.get_mut(&(queue, slot)) {
                places.lapsed.push((id, expires_at));
            }
        }
        Ok(())
    }

    async fn read_counts(&mut self, connection: &Connection, locks: &Locks, manner: Manner) -> Sql<()> {
        if locks.depths.is_empty() {
            return Ok(());
        }
        let queues: Vec<i64> = locks.depths.iter().copied().collect();
        let binds: [Bind<'_>; 1] = [queues.as_slice().into()];
        let found: Vec<(i64, i64)> = match manner {
            Manner::Lock => rows::<LockDepths, _>(connection, &binds).await?,
            Manner::Look => rows::<ReadDepths, _>(connection, &binds).await?,
        };
        self.depths = found.into_iter().collect();
        if !locks.values.is_empty() {
            let queues: Vec<i64> = locks.values.iter().map(|(queue, ..)| *queue).collect();
            let ends: Vec<i64> = locks.values.iter().map(|(_, ends_at, _)| *ends_at).collect();
            let values: Vec<&[u8]> = locks.values.iter().map(|(.., value)| value.as_slice()).collect();
            let binds = [queues.as_slice().into(), ends.as_slice().into(), values.as_slice().into()];
            let found: Vec<(i64, i64, Vec<u8>, i64)> = rows::<FindValues, _>(connection, &binds).await?;
            for (queue, ends_at, value, booked) in found {
                let value =
                    value.try_into().map_err(|_| SqlError::Unreadable("a value has not 16 bytes".to_owned()))?;
                self.values.insert((queue, ends_at, value), booked);
            }
        }
        if !locks.windows.is_empty() {
            let (queues, seconds) = pairs(locks.windows.iter());
            let binds = [queues.as_slice().into(), seconds.as_slice().into()];
            let found: Vec<(i64, i64, i64, i64)> = rows::<FindWindows, _>(connection, &binds).await?;
            for (queue, seconds, ends_at, booked) in found {
                self.windows.entry((queue, seconds)).or_default().insert(ends_at, booked);
            }
        }
        Ok(())
    }
}
