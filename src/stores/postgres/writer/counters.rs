//! Writing what bookings and steps count: places, values, windows, depths.

use super::super::errors::{Sql, SqlError};
use super::super::statement::{execute, statements};
use super::super::view::{GridName, View};
use super::Batch;
use super::steps::Run;

statements! {
    WriteSlots = "UPDATE slots s SET booked = u.b FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS u(q, s, b)
        WHERE s.queue = u.q AND s.start = u.s";
    RemoveUnused = "DELETE FROM slots s USING unnest(?::bigint[], ?::bigint[]) AS u(q, s)
        WHERE s.queue = u.q AND s.start = u.s AND s.booked = 0";
    RemoveHolds = "DELETE FROM holds WHERE id = ANY (?)";
    NameGrids = "UPDATE queues k SET grid = u.g FROM unnest(?::bigint[], ?::text[]) AS u(q, g)
        WHERE k.key = u.q AND k.grid IS NULL";
    CountValues = "INSERT INTO counted_values AS v (queue, ends_at, value, booked)
        SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::bytea[], ?::bigint[])
        ON CONFLICT (queue, ends_at, value) DO UPDATE SET booked = v.booked + excluded.booked";
    CountWindows = "INSERT INTO counted_windows AS w (queue, seconds, ends_at, booked)
        SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[])
        ON CONFLICT (queue, seconds, ends_at) DO UPDATE SET booked = w.booked + excluded.booked";
    ForgetPastParts = "DELETE FROM counted_windows w USING unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS u(q, s, e)
        WHERE w.queue = u.q AND w.seconds = u.s AND w.ends_at <= u.e";
    MoveDepths = "INSERT INTO queue_depths AS d (queue, active)
        SELECT q, a FROM unnest(?::bigint[], ?::bigint[]) AS u(q, a) ORDER BY q
        ON CONFLICT (queue) DO UPDATE SET active = greatest(d.active + excluded.active, 0)";
}

impl Batch<'_> {
    /// Prepares what [`Self::write_slots`] sends.
    pub(super) async fn ready_slots(&self) -> Sql<()> {
        self.connection.ready::<WriteSlots>().await
    }

    /// Queue, start, and places taken, of the slots in which that has changed.
    pub(super) fn changed_places(&mut self, view: &View) -> Vec<(i64, i64, i64)> {
        let mut changed: Vec<(i64, i64, i64)> = Vec::new();
        for ((queue, start), places) in &view.slots {
            if places.booked > 0 {
                self.made_slots.remove(&(*queue, *start));
            }
            if places.booked != places.was {
                changed.push((*queue, *start, places.booked));
            }
        }
        changed.sort_unstable();
        changed
    }

    pub(super) async fn write_slots(&self, changed: &[(i64, i64, i64)]) -> Sql<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let queues: Vec<i64> = changed.iter().map(|(queue, ..)| *queue).collect();
        let starts: Vec<i64> = changed.iter().map(|(_, start, _)| *start).collect();
        let booked: Vec<i64> = changed.iter().map(|(.., booked)| *booked).collect();
        let binds = [queues.as_slice().into(), starts.as_slice().into(), booked.as_slice().into()];
        execute::<WriteSlots>(self.connection, &binds).await.map(drop)
    }

    /// The holds that are gone, and the grids that were named.
    pub(super) async fn write_places(&mut self, view: &View, gone_holds: &[Vec<u8>]) -> Sql<()> {
        if !gone_holds.is_empty() {
            let gone: Vec<&[u8]> = gone_holds.iter().map(Vec::as_slice).collect();
            execute::<RemoveHolds>(self.connection, &[gone.as_slice().into()]).await?;
        }
        let mut named: Vec<(i64, &str)> = Vec::new();
        for (queue, grid) in &view.grids {
            if let GridName::Named(name) = grid {
                named.push((*queue, name));
            }
        }
        named.sort_unstable();
        if named.is_empty() {
            return Ok(());
        }
        let (queues, names): (Vec<i64>, Vec<&str>) = named.into_iter().unzip();
        let written =
            execute::<NameGrids>(self.connection, &[queues.as_slice().into(), names.as_slice().into()]).await?;
        if written == queues.len() as u64 { Ok(()) } else { Err(SqlError::Again("a grid was named meanwhile")) }
    }

    /// A slot that nobody took a place in costs no row.
    pub(super) async fn remove_unused_slots(&mut self) -> Sql<()> {
        if self.made_slots.is_empty() {
            return Ok(());
        }
        let (queues, starts): (Vec<i64>, Vec<i64>) = self.made_slots.iter().copied().unzip();
        execute::<RemoveUnused>(self.connection, &[queues.as_slice().into(), starts.as_slice().into()]).await.map(drop)
    }

    /// What counted rules count, and last the depths.
    pub(super) async fn write_counts(&mut self, run: &Run<'_>) -> Sql<()> {
        if !run.past_parts.is_empty() {
            let queues: Vec<i64> = run.past_parts.iter().map(|(queue, ..)| *queue).collect();
            let seconds: Vec<i64> = run.past_parts.iter().map(|(_, seconds, _)| *seconds).collect();
            let until: Vec<i64> = run.past_parts.iter().map(|(.., until)| *until).collect();
            let binds = [queues.as_slice().into(), seconds.as_slice().into(), until.as_slice().into()];
            execute::<ForgetPastParts>(self.connection, &binds).await?;
        }
        if !run.values.is_empty() {
            let queues: Vec<i64> = run.values.keys().map(|(queue, ..)| *queue).collect();
            let ends: Vec<i64> = run.values.keys().map(|(_, ends_at, _)| *ends_at).collect();
            let values: Vec<&[u8]> = run.values.keys().map(|(.., value)| value.as_slice()).collect();
            let counts: Vec<i64> = run.values.values().copied().collect();
            let (values, counts) = (values.as_slice().into(), counts.as_slice().into());
            let binds = [queues.as_slice().into(), ends.as_slice().into(), values, counts];
            execute::<CountValues>(self.connection, &binds).await?;
        }
        if !run.windows.is_empty() {
            let queues: Vec<i64> = run.windows.keys().map(|(queue, ..)| *queue).collect();
            let seconds: Vec<i64> = run.windows.keys().map(|(_, seconds, _)| *seconds).collect();
            let ends: Vec<i64> = run.windows.keys().map(|(.., ends_at)| *ends_at).collect();
            let counts: Vec<i64> = run.windows.values().copied().collect();
            let (ends, counts) = (ends.as_slice().into(), counts.as_slice().into());
            execute::<CountWindows>(
                self.connection,
                &[queues.as_slice().into(), seconds.as_slice().into(), ends, counts],
            )
            .await?;
        }
        let depths: Vec<(i64, i64)> =
            run.depths.iter().map(|(queue, by)| (*queue, *by)).filter(|(_, by)| *by != 0).collect();
        if depths.is_empty() {
            return Ok(());
        }
        let (queues, by): (Vec<i64>, Vec<i64>) = depths.into_iter().unzip();
        execute::<MoveDepths>(self.connection, &[queues.as_slice().into(), by.as_slice().into()]).await.map(drop)
    }
}
