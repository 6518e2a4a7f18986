//! Counted rules: judged inside the transaction of the booking, before its first write, and counted with it.
//!
//! There is one writer, so whatever a command counts stays as it is until the command is done: nothing has to be
//! locked. Commands of one batch are applied one after the other, so each sees what those before it booked.

use diesel::QueryResult;
use diesel::sql_types::BigInt;
use domain::callback::State;

use super::super::command::Book;
use super::super::judge::{Judge, Verdict};
use super::super::names::QueueKey;
use super::super::rows::millis;
use super::super::statement::{execute, first, statements};
use super::Writer;

statements! {
    CountValue = "INSERT INTO counted_values (queue, ends_at, value, booked) VALUES (?, ?, ?, 1)
        ON CONFLICT (queue, ends_at, value) DO UPDATE SET booked = booked + 1";
    CountInWindow -> (BigInt) = "INSERT INTO counted_windows (queue, seconds, ends_at, booked) VALUES (?, ?, ?, 1)
        ON CONFLICT (queue, seconds, ends_at) DO UPDATE SET booked = booked + 1 RETURNING booked";
    ForgetPastParts = "DELETE FROM counted_windows WHERE queue = ? AND seconds = ? AND ends_at <= ?";
    Enter = "INSERT INTO queue_depths (queue, active) VALUES (?, 1)
        ON CONFLICT (queue) DO UPDATE SET active = active + 1";
    Leave = "UPDATE queue_depths SET active = active - 1 WHERE queue = ? AND active > 0";
}

impl Writer {
    /// Judges and writes nothing. A queue without counted rules costs nothing here: its slot is judged by taking it.
    pub(super) fn judge_limits(&mut self, book: &Book, key: QueueKey) -> QueryResult<Verdict> {
        if book.limits.is_empty() {
            return Ok(Verdict::Keep(None));
        }
        Judge::new(&mut self.connection, book, key).counted()
    }

    /// Counts a booking that is kept.
    pub(super) fn count_booking(&mut self, book: &Book, key: QueueKey) -> QueryResult<()> {
        if let Some(day) = &book.limits.day {
            for value in &day.values {
                let binds = [key.queue.into(), millis(day.ends_at).into(), value.blinded.as_slice().into()];
                execute::<CountValue>(&mut self.connection, &binds)?;
            }
        }
        for window in &book.limits.windows {
            let (seconds, until) = (i64::from(window.seconds), window.counts_until(book.booked_at));
            let binds = [key.queue.into(), seconds.into(), millis(until).into()];
            let booked: Option<(i64,)> = first::<CountInWindow, _>(&mut self.connection, &binds)?;
            if booked == Some((1,)) {
                // A part begins: those that count no more go, so that a window never has more than its 61.
                let binds = [key.queue.into(), seconds.into(), millis(book.booked_at).into()];
                execute::<ForgetPastParts>(&mut self.connection, &binds)?;
            }
        }
        Ok(())
    }

    /// Counts a callback in or out of the depth of its queue when its state goes from `before` to `after`; `before` is
    /// none for a new one.
    pub(super) fn count_depth(&mut self, queue: i64, before: Option<State>, after: State) -> QueryResult<()> {
        match (before.is_some_and(State::is_active), after.is_active()) {
            (false, true) => execute::<Enter>(&mut self.connection, &[queue.into()]).map(|_| ()),
            (true, false) => execute::<Leave>(&mut self.connection, &[queue.into()]).map(|_| ()),
            (true, true) | (false, false) => Ok(()),
        }
    }
}
