//! Held places. A hold and its place come and go together, in one transaction; the last of two that want the same hold
//! finds no row.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Nullable};
use diesel::{QueryResult, SqliteConnection};
use domain::holds::{Hold, HoldBound, HoldsReached};
use domain::ids::{HoldId, TenantId};
use domain::ports::{Held, Holding};

use super::super::command::Outcome;
use super::super::judge::places_taken_at;
use super::super::names::QueueKey;
use super::super::rows::millis;
use super::super::statement::{Bind, execute, first, rows, statements};
use super::Writer;
use super::booking::{Taken, give_slot_back};
use super::idempotency::{Keyed, Keys as _, Known, Operation};
use super::recount::{AddPlace, IsCountedBy};
use crate::stores::command::holds::{HoldCommand, HoldMoves};
use crate::stores::judge::HoldRow;

statements! {
    FindHold -> (BigInt, BigInt, BigInt, BigInt) =
        "SELECT queue, slot, desired_time, expires_at FROM holds WHERE id = ? AND tenant = ?";
    AddHold = "INSERT INTO holds (id, tenant, queue, slot, desired_time, number, expires_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    RemoveHold -> (BigInt, BigInt) = "DELETE FROM holds WHERE id = ? AND tenant = ? AND expires_at > ?
        RETURNING queue, slot";
    RemoveLapsed -> (BigInt, BigInt) = "DELETE FROM holds WHERE id = ? AND expires_at <= ? RETURNING queue, slot";
    LapsedInSlot -> (Binary) =
        "SELECT id FROM holds WHERE queue = ? AND expires_at <= ? AND slot = ? LIMIT 1000";
    HoldsOf -> (BigInt, Nullable<BigInt>) =
        "SELECT count(*), min(expires_at) FROM holds WHERE queue = ? AND expires_at > ?";
    HoldsOfNumber -> (BigInt, Nullable<BigInt>) =
        "SELECT count(*), min(expires_at) FROM holds WHERE queue = ? AND expires_at > ? AND number = ?";
    MoveHold = "UPDATE holds SET slot = ? WHERE id = ? AND slot = ?";
}

fn instant(millis: i64) -> QueryResult<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis)
        .ok_or_else(|| diesel::result::Error::DeserializationError("an instant is out of range".into()))
}

/// A hold of a tenant, whether its time is over or not.
pub(in crate::stores::sqlite) fn find_hold(
    connection: &mut SqliteConnection,
    tenant: i64,
    id: HoldId,
) -> QueryResult<Option<HoldRow>> {
    let uuid = id.as_uuid();
    first::<FindHold, _>(connection, &[uuid.as_bytes().as_slice().into(), tenant.into()])
}

impl Writer {
    pub(super) fn holds(&mut self, command: &HoldCommand) -> QueryResult<Outcome> {
        match command {
            HoldCommand::Hold(holding) => self.hold(holding).map(Outcome::Held),
            HoldCommand::Release { tenant, id, at } => self.release(*tenant, *id, *at).map(Outcome::Count),
            HoldCommand::Expire { ids, at } => self.expire_holds(ids, *at).map(Outcome::Count),
            HoldCommand::Move(moves) => self.move_holds(moves).map(Outcome::Count),
        }
    }

    fn hold(&mut self, holding: &Holding) -> QueryResult<Held> {
        let key = self.fresh.resolve(&self.names, &mut self.connection, holding.tenant, &holding.queue)?;
        let idempotency = holding.idempotency.as_ref();
        let keyed = Keyed { tenant: key.tenant, operation: Operation::Hold, idempotency, at: holding.at };
        match keyed.find(&mut self.connection)? {
            Known::Not => {}
            Known::Made(id) => return self.known_hold(key.tenant, HoldId::from_uuid(id), holding.at),
            Known::Gone => return Ok(Held::Gone),
            Known::Reused => return Ok(Held::KeyReused),
        }
        self.name_first_grid(key, holding.slot.grid)?;
        if self.is_counted_by_another(key.queue, holding.slot.grid)? {
            return Ok(Held::OtherGrid);
        }
        let slot = holding.slot;
        // Who hears of a full slot can choose another, so that comes first.
        let taken = places_taken_at(&mut self.connection, key.queue, slot.start, slot.capacity, holding.at)?;
        if taken >= i64::from(slot.capacity) {
            return Ok(Held::SlotFull);
        }
        if let Some(reached) = self.holds_reached(holding, key)? {
            return Ok(Held::TooMany(reached));
        }
        match self.take_slot(key, slot, holding.at)? {
            Taken::Place => {}
            Taken::Full => return Ok(Held::SlotFull),
            Taken::OtherGrid => return Ok(Held::OtherGrid),
        }
        let uuid = holding.id.as_uuid();
        let binds = [
            uuid.as_bytes().as_slice().into(),
            key.tenant.into(),
            key.queue.into(),
            millis(slot.start).into(),
            millis(holding.desired_time).into(),
            holding.number.as_ref().map(<[u8; 16]>::as_slice).into(),
            millis(holding.expires_at).into(),
        ];
        execute::<AddHold>(&mut self.connection, &binds)?;
        keyed.remember(&mut self.connection, uuid.as_bytes())?;
        Ok(Held::New)
    }

    fn known_hold(&mut self, tenant: i64, id: HoldId, at: DateTime<Utc>) -> QueryResult<Held> {
        let found = find_hold(&mut self.connection, tenant, id)?.filter(|(.., expires_at)| *expires_at > millis(at));
        let Some((_, slot, desired_time, expires_at)) = found else { return Ok(Held::Gone) };
        let (slot, desired_time, expires_at) = (instant(slot)?, instant(desired_time)?, instant(expires_at)?);
        Ok(Held::Existing(Hold { id, desired_time, slot, expires_at }))
    }

    fn holds_reached(&mut self, holding: &Holding, key: QueueKey) -> QueryResult<Option<HoldsReached>> {
        let (queue, at): (Bind<'_>, Bind<'_>) = (key.queue.into(), millis(holding.at).into());
        let judge = |bound, limit: u32, found: Option<(i64, Option<i64>)>| {
            let (count, until) = found.unwrap_or_default();
            let Some(until) = until.filter(|_| count >= i64::from(limit)) else { return Ok(None) };
            instant(until).map(|until| Some(HoldsReached { bound, limit, until }))
        };
        let found = first::<HoldsOf, _>(&mut self.connection, &[queue, at])?;
        if let Some(reached) = judge(HoldBound::Queue, holding.bounds.of_queue, found)? {
            return Ok(Some(reached));
        }
        let Some(number) = &holding.number else { return Ok(None) };
        let found = first::<HoldsOfNumber, _>(&mut self.connection, &[queue, at, number.as_slice().into()])?;
        judge(HoldBound::Number, holding.bounds.of_number, found)
    }

    fn release(&mut self, tenant: TenantId, id: HoldId, at: DateTime<Utc>) -> QueryResult<u64> {
        let Some(tenant) = self.names.tenant_unlearned(&mut self.connection, tenant)? else { return Ok(0) };
        let Some((queue, slot)) = self.remove_hold(tenant, id, at)? else { return Ok(0) };
        give_slot_back(&mut self.connection, queue, instant(slot)?).map(|()| 1)
    }

    fn remove_hold(&mut self, tenant: i64, id: HoldId, at: DateTime<Utc>) -> QueryResult<Option<(i64, i64)>> {
        let uuid = id.as_uuid();
        let binds = [uuid.as_bytes().as_slice().into(), tenant.into(), millis(at).into()];
        first::<RemoveHold, _>(&mut self.connection, &binds)
    }

    fn expire_holds(&mut self, ids: &[HoldId], at: DateTime<Utc>) -> QueryResult<u64> {
        let mut expired = 0;
        for id in ids {
            expired += u64::from(self.expire_hold(id.as_uuid().as_bytes(), at)?);
        }
        Ok(expired)
    }

    fn expire_hold(&mut self, id: &[u8], at: DateTime<Utc>) -> QueryResult<bool> {
        let gone: Option<(i64, i64)> = first::<RemoveLapsed, _>(&mut self.connection, &[id.into(), millis(at).into()])?;
        let Some((queue, slot)) = gone else { return Ok(false) };
        give_slot_back(&mut self.connection, queue, instant(slot)?).map(|()| true)
    }

    /// Gives back what is held in a slot longer than it may be; whether there was any. Right whatever becomes of the
    /// command that asks for it.
    pub(super) fn free_lapsed(&mut self, queue: i64, slot: DateTime<Utc>, at: DateTime<Utc>) -> QueryResult<bool> {
        let binds = [queue.into(), millis(at).into(), millis(slot).into()];
        let lapsed: Vec<(Vec<u8>,)> = rows::<LapsedInSlot, _>(&mut self.connection, &binds)?;
        for (id,) in &lapsed {
            self.expire_hold(id, at)?;
        }
        Ok(!lapsed.is_empty())
    }

    /// The booking has the place of its hold from now on. It was found in this transaction.
    pub(super) fn take_over(&mut self, hold: HoldId, key: QueueKey, at: DateTime<Utc>) -> QueryResult<()> {
        match self.remove_hold(key.tenant, hold, at)? {
            Some(_) => Ok(()),
            None => Err(diesel::result::Error::RollbackTransaction),
        }
    }

    /// Moves holds, each only if it is still as it was read; none if the count is no longer this one's.
    fn move_holds(&mut self, moves: &HoldMoves) -> QueryResult<u64> {
        let binds = [moves.queue.into(), moves.mark.as_str().into()];
        if first::<IsCountedBy, (i64,)>(&mut self.connection, &binds)?.is_none() {
            return Ok(0);
        }
        let mut moved = 0;
        for hold in &moves.moves {
            let uuid = hold.id.as_uuid();
            let to: Bind<'_> = millis(hold.to).into();
            let binds = [to, uuid.as_bytes().as_slice().into(), millis(hold.from).into()];
            if execute::<MoveHold>(&mut self.connection, &binds)? > 0 {
                give_slot_back(&mut self.connection, moves.queue, hold.from)?;
                execute::<AddPlace>(&mut self.connection, &[moves.queue.into(), to])?;
                moved += 1;
            }
        }
        Ok(moved)
    }
}
