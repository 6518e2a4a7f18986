//! Business hours: when a queue is open.
//!
//! Hours are written in wall-clock time of one zone and judged as intervals of real time, one interval per
//! range and day. The rules where clocks change:
//!
//! - A boundary that the spring change skips moves to the first instant after the gap. A range that lies in
//!   the gap altogether does not happen that day.
//! - A boundary that the autumn change repeats opens at its first occurrence and closes at its last, so a
//!   change of clocks never shortens what customers were told. Around a boundary inside the repeated hour
//!   the whole of that hour between the two counts as open.
//! - An interval holds its start and not its end: open until 17:00 means closed at 17:00:00.
//! - A date begins at the first instant at which its clock shows 00:00 (after a gap, at the gap's end) and ends where
//!   the next one begins, so dates neither overlap nor leave time between them.
//!
//! What a calendar says, from the inside out:
//!
//! 1. The *week*: ranges by the day on which they start; a range may reach over midnights and over the end of the week.
//! 2. *Included* calendars are open as well: their whole hours, in their own zones.
//! 3. An *alternative* holds instead of 1 and 2 on its dates; of several on one date, the first.
//! 4. *Exceptions* on a date: `closed` and `open` put 1 to 3 out of force from midnight to midnight, also what reaches
//!    into the date from the day before; then the ranges of `open` and `add` hold, also where they reach into the next
//!    date; then it is closed in the ranges of `remove`, whatever else says so. Their order makes no difference. The
//!    rules of clock changes are those of all ranges: where it is told that something is removed, it is.
//! 5. Outside the *effective* dates it is closed.
//!
//! A question looks at the days around it, at most [`Calendar::LOOK_AHEAD`] ahead, however long the calendar reaches.

mod calendar;
mod days;
mod document;
mod exception;
mod gms;
mod judging;
mod reference;
mod resolve;
mod schema;
mod spans;
mod status;
mod week;

pub use calendar::Calendar;
pub use days::{BadDays, DayList, Days};
pub use document::{Alternative, BusinessHours, Written};
pub use exception::{Effect, Exception, ExceptionError};
pub use judging::first_instant;
pub use reference::HoursRef;
pub(crate) use resolve::Calendars;
pub use status::Status;
pub use week::{HoursError, Range, Week, WeekRange};

#[cfg(test)]
mod tests;
