//! Background work in bounded steps: each writes what a reader found, as far as it is still so, and passes over what
//! somebody else has locked.

use std::collections::{BTreeMap, HashSet};

use domain::callback::Cause;
use domain::ids::CallbackId;
use uuid::Uuid;

use super::super::errors::Sql;
use super::super::locks::{Locks, Topic};

use super::super::statement::{execute, first, rows, statements};
use super::Batch;
use super::rows::{Entry, Histories};
use crate::stores::command::recount::{Moves, Naming};
use crate::stores::command::{Forget, Own, Remove};
use crate::stores::rows::{FORMAT, callback_id, millis};

statements! {
    // A claim moves the start instant, and `wake_at` with it, and finds its row without an owner.
    OwnRows = "UPDATE callbacks c SET owner = ?, version = c.version + 1, start_at = coalesce(p.s, c.start_at),
        wake_at = coalesce(p.s, c.wake_at)
        FROM (SELECT w.id, u.s FROM unnest(?::bytea[], ?::bigint[], ?::bigint[]) AS u(id, v, s)
            JOIN callbacks w ON w.id = u.id WHERE w.version = u.v AND w.format = ? AND w.wake_at IS NOT NULL
            AND (u.s IS NULL OR w.owner IS NULL) FOR UPDATE OF w SKIP LOCKED) p
        WHERE c.id = p.id RETURNING c.id";
    RemoveCallbacks = "DELETE FROM callbacks c USING
        (SELECT w.id FROM unnest(?::bytea[], ?::bigint[]) AS u(id, v) JOIN callbacks w ON w.id = u.id
            WHERE w.version = u.v AND w.format = ? AND w.wake_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.callback = w.id) FOR UPDATE OF w SKIP LOCKED) p
        WHERE c.id = p.id RETURNING c.id, c.details";
    RemoveHistories = "DELETE FROM history WHERE callback = ANY (?)";
    RemoveDetails = "DELETE FROM details WHERE id = ANY (?)";
    RemoveKeys = "DELETE FROM idempotency_keys WHERE id IN
        (SELECT id FROM idempotency_keys WHERE id = ANY (?) FOR UPDATE SKIP LOCKED)";
    RemoveTokens = "DELETE FROM captcha_tokens WHERE id IN
        (SELECT id FROM captcha_tokens WHERE id = ANY (?) FOR UPDATE SKIP LOCKED)";
    RemoveSlots = "DELETE FROM slots d USING (SELECT s.queue, s.start FROM unnest(?::bigint[], ?::bigint[]) AS u(q, s)
        JOIN slots s ON s.queue = u.q AND s.start = u.s FOR UPDATE OF s SKIP LOCKED) p
        WHERE d.queue = p.queue AND d.start = p.start";
    RemoveValues = "DELETE FROM counted_values d USING
        (SELECT v.queue, v.ends_at, v.value FROM unnest(?::bigint[], ?::bigint[], ?::bytea[]) AS u(q, e, v)
        JOIN counted_values v ON v.queue = u.q AND v.ends_at = u.e AND v.value = u.v FOR UPDATE OF v SKIP LOCKED) p
        WHERE d.queue = p.queue AND d.ends_at = p.ends_at AND d.value = p.value";
    RemoveParts = "DELETE FROM counted_windows d USING
        (SELECT w.queue, w.seconds, w.ends_at FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS u(q, s, e)
        JOIN counted_windows w ON w.queue = u.q AND w.seconds = u.s AND w.ends_at = u.e FOR UPDATE OF w SKIP LOCKED) p
        WHERE d.queue = p.queue AND d.seconds = p.seconds AND d.ends_at = p.ends_at";
    BeginCount = "UPDATE queues SET grid = ? WHERE key = ? AND grid IS DISTINCT FROM ?";
    EndCount = "UPDATE queues SET grid = ? WHERE key = ? AND grid = ?";
    IsCountedBy = "SELECT 1 FROM queues WHERE key = ? AND grid = ?";
    MoveToSlots = "UPDATE callbacks c SET version = c.version + 1, slot = u.t
        FROM unnest(?::bytea[], ?::bigint[], ?::bigint[], ?::bigint[]) AS u(id, v, f, t)
        WHERE c.id = u.id AND c.version = u.v AND c.slot = u.f AND c.format = ? AND c.state <> 4 RETURNING c.id";
    MovePlaces = "UPDATE slots s SET booked = greatest(s.booked + u.b, 0)
        FROM unnest(?::bigint[], ?::bigint[]) AS u(s, b) WHERE s.queue = ? AND s.start = u.s";
}

fn uuids(ids: &[CallbackId]) -> Vec<Uuid> {
    ids.iter().map(CallbackId::as_uuid).collect()
}

fn bytes(uuids: &[Uuid]) -> Vec<&[u8]> {
    uuids.iter().map(|uuid| uuid.as_bytes().as_slice()).collect()
}

/// Which of `ids` came back.
fn each(ids: &[CallbackId], back: &[CallbackId]) -> Vec<bool> {
    let back: HashSet<&CallbackId> = back.iter().collect();
    ids.iter().map(|id| back.contains(id)).collect()
}

pub(super) fn declare_naming(naming: &Naming, locks: &mut Locks) {
    for (queue, _) in naming.queues() {
        locks.alone(Topic::Grid, &[&queue.to_be_bytes()]);
    }
}

pub(super) fn declare_moves(moves: &Moves, locks: &mut Locks) {
    locks.grid(moves.queue);
    locks.callbacks.extend(&moves.ids);
    for row in &moves.rows {
        locks.slot(moves.queue, millis(row.from));
        locks.slot(moves.queue, millis(row.to));
    }
}

impl Batch<'_> {
    pub(super) async fn own(&mut self, own: &Own) -> Sql<Vec<bool>> {
        let ids = uuids(&own.ids);
        let versions: Vec<i64> = own.rows.iter().map(|row| row.version).collect();
        let starts: Vec<Option<i64>> = own.rows.iter().map(|row| row.start_at.map(millis)).collect();
        let id_bytes = bytes(&ids);
        let binds = [
            own.owner.0.into(),
            id_bytes.as_slice().into(),
            versions.as_slice().into(),
            starts.as_slice().into(),
            FORMAT.into(),
        ];
        let found: Vec<(Vec<u8>,)> = rows::<OwnRows, _>(self.connection, &binds).await?;
        let written = each(&own.ids, &callback_ids(&found)?);
        let mut histories = Histories::default();
        for ((id, row), _) in ids.iter().zip(&own.rows).zip(&written).filter(|(_, written)| **written) {
            let (state, attempt) = (row.state.code().into(), row.attempt);
            let entry =
                Entry { version: row.version + 1, at: millis(own.at), cause: own.cause, state, implied: 0, attempt };
            histories.push(*id, entry);
        }
        self.add_histories(&histories).await?;
        Ok(written)
    }

    pub(super) async fn remove(&mut self, remove: &Remove) -> Sql<Vec<bool>> {
        let ids = uuids(&remove.ids);
        let id_bytes = bytes(&ids);
        let binds = [id_bytes.as_slice().into(), remove.versions.as_slice().into(), FORMAT.into()];
        let gone: Vec<(Vec<u8>, Option<i64>)> = rows::<RemoveCallbacks, _>(self.connection, &binds).await?;
        let (gone, details): (Vec<(Vec<u8>,)>, Vec<Option<i64>>) =
            gone.into_iter().map(|(id, row)| ((id,), row)).unzip();
        let removed: Vec<&[u8]> = gone.iter().map(|(id,)| id.as_slice()).collect();
        if !removed.is_empty() {
            execute::<RemoveHistories>(self.connection, &[removed.as_slice().into()]).await?;
        }
        let details: Vec<i64> = details.into_iter().flatten().collect();
        if !details.is_empty() {
            execute::<RemoveDetails>(self.connection, &[details.as_slice().into()]).await?;
        }
        Ok(each(&remove.ids, &callback_ids(&gone)?))
    }

    pub(super) async fn forget(&mut self, forget: &Forget) -> Sql<()> {
        if !forget.keys.is_empty() {
            execute::<RemoveKeys>(self.connection, &[forget.keys.as_slice().into()]).await?;
        }
        if !forget.tokens.is_empty() {
            execute::<RemoveTokens>(self.connection, &[forget.tokens.as_slice().into()]).await?;
        }
        if !forget.slots.is_empty() {
            let (queues, starts): (Vec<i64>, Vec<i64>) = forget.slots.iter().copied().unzip();
            execute::<RemoveSlots>(self.connection, &[queues.as_slice().into(), starts.as_slice().into()]).await?;
        }
        if !forget.values.is_empty() {
            let queues: Vec<i64> = forget.values.iter().map(|(queue, ..)| *queue).collect();
            let ends: Vec<i64> = forget.values.iter().map(|(_, ends_at, _)| *ends_at).collect();
            let values: Vec<&[u8]> = forget.values.iter().map(|(.., value)| value.as_slice()).collect();
            let binds = [queues.as_slice().into(), ends.as_slice().into(), values.as_slice().into()];
            execute::<RemoveValues>(self.connection, &binds).await?;
        }
        if !forget.windows.is_empty() {
            let queues: Vec<i64> = forget.windows.iter().map(|(queue, ..)| *queue).collect();
            let seconds: Vec<i64> = forget.windows.iter().map(|(_, seconds, _)| *seconds).collect();
            let ends: Vec<i64> = forget.windows.iter().map(|(.., ends_at)| *ends_at).collect();
            let binds = [queues.as_slice().into(), seconds.as_slice().into(), ends.as_slice().into()];
            execute::<RemoveParts>(self.connection, &binds).await?;
        }
        Ok(())
    }

    pub(super) async fn name_grids(&mut self, naming: &Naming) -> Sql<()> {
        for (queue, names) in naming.queues() {
            let (mark, grid) = (names.mark.as_str().into(), names.grid.as_str().into());
            match naming {
                Naming::Begin(_) => execute::<BeginCount>(self.connection, &[mark, queue.into(), grid]).await?,
                Naming::End(_) => execute::<EndCount>(self.connection, &[grid, queue.into(), mark]).await?,
            };
        }
        Ok(())
    }

    /// Moves callbacks, each only if it is still as it was read; none if the count is no longer this one's.
    pub(super) async fn move_slots(&mut self, moves: &Moves) -> Sql<Vec<bool>> {
        let binds = [moves.queue.into(), moves.mark.as_str().into()];
        if first::<IsCountedBy, (i64,)>(self.connection, &binds).await?.is_none() {
            return Ok(vec![false; moves.ids.len()]);
        }
        let ids = uuids(&moves.ids);
        let versions: Vec<i64> = moves.rows.iter().map(|row| row.version).collect();
        let from: Vec<i64> = moves.rows.iter().map(|row| millis(row.from)).collect();
        let to: Vec<i64> = moves.rows.iter().map(|row| millis(row.to)).collect();
        let id_bytes = bytes(&ids);
        let binds = [
            id_bytes.as_slice().into(),
            versions.as_slice().into(),
            from.as_slice().into(),
            to.as_slice().into(),
            FORMAT.into(),
        ];
        let found: Vec<(Vec<u8>,)> = rows::<MoveToSlots, _>(self.connection, &binds).await?;
        let moved = each(&moves.ids, &callback_ids(&found)?);
        let mut histories = Histories::default();
        let mut places: BTreeMap<i64, i64> = BTreeMap::new();
        for ((id, row), _) in ids.iter().zip(&moves.rows).zip(&moved).filter(|(_, moved)| **moved) {
            *places.entry(millis(row.from)).or_default() -= 1;
            *places.entry(millis(row.to)).or_default() += 1;
            let (at, cause) = (millis(moves.at), Cause::Recounted);
            let (state, attempt) = (row.state, row.attempt);
            histories.push(*id, Entry { version: row.version + 1, at, cause, state, implied: 0, attempt });
        }
        self.add_histories(&histories).await?;
        self.move_places(moves.queue, &places).await?;
        Ok(moved)
    }

    /// Adds to the places taken in locked slots of a queue.
    pub(super) async fn move_places(&mut self, queue: i64, by: &BTreeMap<i64, i64>) -> Sql<()> {
        if by.is_empty() {
            return Ok(());
        }
        let (starts, by): (Vec<i64>, Vec<i64>) = by.iter().map(|(start, by)| (*start, *by)).unzip();
        let binds = [starts.as_slice().into(), by.as_slice().into(), queue.into()];
        execute::<MovePlaces>(self.connection, &binds).await.map(drop)
    }
}

fn callback_ids(found: &[(Vec<u8>,)]) -> Sql<Vec<CallbackId>> {
    Ok(found.iter().map(|(id,)| callback_id(id)).collect::<Result<_, domain::ports::StoreError>>()?)
}
