//! Held places. A hold and its place come and go together, in one transaction.
//!
//! Whoever holds a place in a queue has the holds of the queue alone until the commit, on whatever node, so they are never
//! more than may be; its slot, and every hold that is given up or moves, is locked with everything else of the batch. What
//! time has ended is removed as far as nobody else has it, or its slot, just now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::holds::{Hold, HoldBound, HoldsReached};
use domain::ids::{HoldId, TenantId};
use domain::ports::{Held, Holding};
use domain::slots::Grid;
use uuid::Uuid;

use super::super::errors::{Sql, SqlError};
use super::super::locks::{Locks, Topic};
use super::super::names::QueueKey;
use super::super::statement::{Bind, execute, first, rows, statements};
use super::Batch;
use super::upkeep::IsCountedBy;
use crate::stores::command::Outcome;
use crate::stores::command::holds::{HoldCommand, HoldMoves};
use crate::stores::idempotency::{Keyed, Known, Operation};
use crate::stores::rows::{instant, millis};

statements! {
    FindHold = "SELECT slot, desired_time, expires_at FROM holds WHERE id = ? AND tenant = ?";
    // The grid of the queue, the places taken in the slot, and the holds of the queue and of the number.
    LookAtQueue = "SELECT q.grid, coalesce((SELECT s.booked FROM slots s WHERE s.queue = q.key AND s.start = ?), 0),
        h.of_queue, h.until, h.of_number, h.number_until
        FROM queues q CROSS JOIN LATERAL (SELECT count(*) AS of_queue, min(expires_at) AS until,
            count(*) FILTER (WHERE number = ?) AS of_number, min(expires_at) FILTER (WHERE number = ?) AS number_until
            FROM holds WHERE queue = q.key AND expires_at > ?) h
        WHERE q.key = ?";
    AddHold = "WITH taken AS (UPDATE slots SET booked = booked + 1 WHERE queue = ? AND start = ?)
        INSERT INTO holds (id, tenant, queue, slot, desired_time, number, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    RemoveHold = "DELETE FROM holds WHERE id = ? AND tenant = ? AND expires_at > ? RETURNING queue, slot";
    // A queue that never had a booking or hold is counted by the grid of its first one.
    NameGrid = "UPDATE queues SET grid = ? WHERE key = ? AND grid IS NULL";
    CountLapsed = "SELECT count(*) FROM holds WHERE queue = ? AND expires_at <= ? AND slot = ?";
    // Whoever is about to remove one has it and waits for the slot: such a one is passed over.
    FreeLapsed = "DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE queue = ? AND expires_at <= ? AND slot = ?
        LIMIT 1000 FOR UPDATE SKIP LOCKED)";
    RemoveLapsed = "DELETE FROM holds d USING
        (SELECT h.id FROM unnest(?::bytea[]) AS u(id) JOIN holds h ON h.id = u.id
            JOIN slots s ON s.queue = h.queue AND s.start = h.slot
            WHERE h.expires_at <= ? FOR UPDATE OF h, s SKIP LOCKED) p
        WHERE d.id = p.id RETURNING d.queue, d.slot";
    // Their slots are past and purged.
    RemoveStray = "DELETE FROM holds WHERE id IN
        (SELECT h.id FROM unnest(?::bytea[]) AS u(id) JOIN holds h ON h.id = u.id WHERE h.expires_at <= ?
            AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.queue = h.queue AND s.start = h.slot)
            FOR UPDATE OF h SKIP LOCKED)";
    MoveHolds = "UPDATE holds h SET slot = u.t FROM unnest(?::bytea[], ?::bigint[], ?::bigint[]) AS u(id, f, t)
        WHERE h.id = u.id AND h.slot = u.f RETURNING u.f, u.t";
}

/// Grid, places taken, holds of the queue and the end of the first of them, the same of the number.
type QueueRow = (Option<String>, i64, i64, Option<i64>, i64, Option<i64>);

/// What a hold is judged by.
struct QueueSeen {
    grid: Option<String>,
    taken: i64,
    of_queue: (i64, Option<i64>),
    of_number: (i64, Option<i64>),
}

impl QueueSeen {
    /// The bound that is reached, if one is.
    fn reached(&self, holding: &Holding) -> Sql<Option<HoldsReached>> {
        let bounds = [
            (HoldBound::Queue, holding.bounds.of_queue, self.of_queue),
            (HoldBound::Number, holding.bounds.of_number, self.of_number),
        ];
        for (bound, limit, (count, until)) in bounds {
            if let Some(until) = until.filter(|_| count >= i64::from(limit)) {
                return Ok(Some(HoldsReached { bound, limit, until: instant(until)? }));
            }
        }
        Ok(None)
    }
}

fn uuids(ids: impl Iterator<Item = HoldId>) -> Vec<Uuid> {
    ids.map(|id| id.as_uuid()).collect()
}

fn bytes(uuids: &[Uuid]) -> Vec<&[u8]> {
    uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect()
}

impl Batch<'_> {
    pub(super) fn declare_holds(&self, command: &HoldCommand, locks: &mut Locks) {
        match command {
            HoldCommand::Hold(holding) => {
                locks.key(holding.tenant, Operation::Hold, holding.idempotency.as_ref());
                if let Some(key) = self.names.known_queue(holding.tenant, &holding.queue) {
                    locks.alone(Topic::Holds, &[&key.queue.to_be_bytes()]);
                    locks.grid(key.queue);
                    locks.slot(key.queue, millis(holding.slot.start));
                }
            }
            // Its slot is locked with it.
            HoldCommand::Release { id, .. } => {
                locks.holds.insert(*id);
            }
            HoldCommand::Expire { .. } => {}
            HoldCommand::Move(moves) => {
                locks.grid(moves.queue);
                for hold in &moves.moves {
                    locks.holds.insert(hold.id);
                    locks.slot(moves.queue, millis(hold.from));
                    locks.slot(moves.queue, millis(hold.to));
                }
            }
        }
    }

    pub(super) async fn holds(&mut self, command: &HoldCommand) -> Sql<Outcome> {
        match command {
            HoldCommand::Hold(holding) => self.hold(holding).await.map(Outcome::Held),
            HoldCommand::Release { tenant, id, at } => self.release(*tenant, *id, *at).await.map(Outcome::Count),
            HoldCommand::Expire { ids, at } => self.expire_holds(ids, *at).await.map(Outcome::Count),
            HoldCommand::Move(moves) => self.move_holds(moves).await.map(Outcome::Count),
        }
    }

    async fn hold(&mut self, holding: &Holding) -> Sql<Held> {
        let key = self.names.known_queue(holding.tenant, &holding.queue);
        let key = key.ok_or_else(|| SqlError::Unreadable("a queue has no number".to_owned()))?;
        let idempotency = holding.idempotency.as_ref();
        let keyed = Keyed { tenant: key.tenant, operation: Operation::Hold, idempotency, at: holding.at };
        match self.known_key(&keyed).await? {
            Known::Not => {}
            Known::Made(id) => return self.known_hold(key.tenant, HoldId::from_uuid(id), holding.at).await,
            Known::Gone => return Ok(Held::Gone),
            Known::Reused => return Ok(Held::KeyReused),
        }
        let seen = self.look_at_queue(key, holding).await?;
        if self.is_counted_by_another(key, &seen, holding.slot.grid).await? {
            return Ok(Held::OtherGrid);
        }
        // Who hears of a full slot can choose another, so that comes first.
        let capacity = i64::from(holding.slot.capacity);
        let is_full = seen.taken >= capacity;
        if is_full && seen.taken - self.lapsed(key, holding).await? >= capacity {
            return Ok(Held::SlotFull);
        }
        if let Some(reached) = seen.reached(holding)? {
            return Ok(Held::TooMany(reached));
        }
        if is_full && seen.taken - self.free_lapsed(key, holding).await? >= capacity {
            return Ok(Held::SlotFull);
        }
        let (uuid, queue, start): (_, Bind<'_>, Bind<'_>) =
            (holding.id.as_uuid(), key.queue.into(), millis(holding.slot.start).into());
        let binds = [
            queue,
            start,
            uuid.as_bytes().as_slice().into(),
            key.tenant.into(),
            queue,
            start,
            millis(holding.desired_time).into(),
            holding.number.as_ref().map(<[u8; 16]>::as_slice).into(),
            millis(holding.expires_at).into(),
        ];
        execute::<AddHold>(self.connection, &binds).await?;
        self.remember_key(&keyed, uuid.as_bytes()).await?;
        Ok(Held::New)
    }

    async fn known_hold(&mut self, tenant: i64, id: HoldId, at: DateTime<Utc>) -> Sql<Held> {
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), tenant.into()];
        let found: Option<(i64, i64, i64)> = first::<FindHold, _>(self.connection, &binds).await?;
        let found = found.filter(|(.., expires_at)| *expires_at > millis(at));
        let Some((slot, desired_time, expires_at)) = found else { return Ok(Held::Gone) };
        let (slot, desired_time, expires_at) = (instant(slot)?, instant(desired_time)?, instant(expires_at)?);
        Ok(Held::Existing(Hold { id, desired_time, slot, expires_at }))
    }

    async fn look_at_queue(&mut self, key: QueueKey, holding: &Holding) -> Sql<QueueSeen> {
        let number: Bind<'_> = holding.number.as_ref().map(<[u8; 16]>::as_slice).into();
        let (start, at) = (millis(holding.slot.start).into(), millis(holding.at).into());
        let binds = [start, number, number, at, key.queue.into()];
        let row: Option<QueueRow> = first::<LookAtQueue, _>(self.connection, &binds).await?;
        let row = row.ok_or_else(|| SqlError::Unreadable("a queue has no name".to_owned()))?;
        let (grid, taken, of_queue, until, of_number, number_until) = row;
        Ok(QueueSeen { grid, taken, of_queue: (of_queue, until), of_number: (of_number, number_until) })
    }

    /// Whether the places of a queue are counted, or being counted, by another grid. The grid stays until the commit.
    async fn is_counted_by_another(&mut self, key: QueueKey, seen: &QueueSeen, grid: Grid) -> Sql<bool> {
        let name = grid.to_string();
        if let Some(known) = &seen.grid {
            return Ok(*known != name);
        }
        let named = execute::<NameGrid>(self.connection, &[name.as_str().into(), key.queue.into()]).await?;
        if named > 0 { Ok(false) } else { Err(SqlError::Again("a grid was named meanwhile")) }
    }

    /// Holds in the slot whose time is over: they count no more, and are looked for where it matters.
    async fn lapsed(&mut self, key: QueueKey, holding: &Holding) -> Sql<i64> {
        let binds = [key.queue.into(), millis(holding.at).into(), millis(holding.slot.start).into()];
        let lapsed: Option<(i64,)> = first::<CountLapsed, _>(self.connection, &binds).await?;
        Ok(lapsed.map_or(0, |(lapsed,)| lapsed))
    }

    /// Gives their places back, as far as nobody else has them; how many.
    async fn free_lapsed(&mut self, key: QueueKey, holding: &Holding) -> Sql<i64> {
        let start = millis(holding.slot.start);
        let binds = [key.queue.into(), millis(holding.at).into(), start.into()];
        let freed = i64::try_from(execute::<FreeLapsed>(self.connection, &binds).await?).unwrap_or_default();
        if freed > 0 {
            self.move_places(key.queue, &BTreeMap::from([(start, -freed)])).await?;
        }
        Ok(freed)
    }

    async fn release(&mut self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> Sql<u64> {
        let Some(tenant) = self.names.known_tenant(tenant) else { return Ok(0) };
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), tenant.into(), millis(at).into()];
        let gone: Option<(i64, i64)> = first::<RemoveHold, _>(self.connection, &binds).await?;
        let Some((queue, slot)) = gone else { return Ok(0) };
        self.move_places(queue, &BTreeMap::from([(slot, -1)])).await.map(|()| 1)
    }

    async fn expire_holds(&mut self, ids: &[HoldId], at: DateTime<Utc>) -> Sql<u64> {
        let uuids = uuids(ids.iter().copied());
        let ids = bytes(&uuids);
        let binds = [ids.as_slice().into(), millis(at).into()];
        let gone: Vec<(i64, i64)> = rows::<RemoveLapsed, _>(self.connection, &binds).await?;
        let mut given_back: BTreeMap<i64, BTreeMap<i64, i64>> = BTreeMap::new();
        for (queue, slot) in &gone {
            *given_back.entry(*queue).or_default().entry(*slot).or_default() -= 1;
        }
        for (queue, places) in given_back {
            self.move_places(queue, &places).await?;
        }
        let stray = if gone.len() < ids.len() { execute::<RemoveStray>(self.connection, &binds).await? } else { 0 };
        Ok(gone.len() as u64 + stray)
    }

    /// Moves holds, each only if it is still as it was read; none if the count is no longer this one's.
    async fn move_holds(&mut self, moves: &HoldMoves) -> Sql<u64> {
        let binds = [moves.queue.into(), moves.mark.as_str().into()];
        if first::<IsCountedBy, (i64,)>(self.connection, &binds).await?.is_none() {
            return Ok(0);
        }
        let uuids = uuids(moves.moves.iter().map(|hold| hold.id));
        let ids = bytes(&uuids);
        let from: Vec<i64> = moves.moves.iter().map(|hold| millis(hold.from)).collect();
        let to: Vec<i64> = moves.moves.iter().map(|hold| millis(hold.to)).collect();
        let binds = [ids.as_slice().into(), from.as_slice().into(), to.as_slice().into()];
        let moved: Vec<(i64, i64)> = rows::<MoveHolds, _>(self.connection, &binds).await?;
        let mut places: BTreeMap<i64, i64> = BTreeMap::new();
        for (from, to) in &moved {
            *places.entry(*from).or_default() -= 1;
            *places.entry(*to).or_default() += 1;
        }
        self.move_places(moves.queue, &places).await?;
        Ok(moved.len() as u64)
    }
}
