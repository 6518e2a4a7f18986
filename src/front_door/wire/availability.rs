//! What is asked about free times: the path's service, and the parameters of the query in their present and their
//! older, hyphenated names.

use chrono::TimeDelta;
use chrono_tz::Tz;
use domain::availability::{Busy, End, Question, Show};

use super::query::Query;
use crate::front_door::error::Problem;

const START: &[&str] = &["start"];
const START_MS: &[&str] = &["startMS", "start-ms"];
const END: &[&str] = &["end"];
const END_MS: &[&str] = &["endMS", "end-ms"];
const DAYS: &[&str] = &["numberOfDays", "number-of-days"];
const ZONE: &[&str] = &["timezone"];
const MAX_SLOTS: &[&str] = &["maxTimeSlots", "max-time-slots"];
const REPORT_BUSY: &[&str] = &["reportBusy", "report-busy"];

/// Most days, slots: far more than can be booked. More are taken for as many: some clients say "all" by the largest number
/// that they have.
const MAX_DAYS: f64 = 36_500.0;
const MAX_MAX_SLOTS: u32 = 1_000_000;
const DAY_MS: f64 = 86_400_000.0;

/// What is asked, and the zone in which the client wants to read local times.
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) zone: Tz,
}

/// Reads the question.
///
/// # Errors
/// The parameter that breaks a rule of form, or two that exclude each other.
pub(crate) fn asked(service: &str, query: Query<'_>) -> Result<Asked, Problem> {
    let zone = query.zone(ZONE)?.unwrap_or(Tz::UTC);
    exclusive(query, &[START, START_MS])?;
    exclusive(query, &[END, END_MS, DAYS])?;
    let start = match query.epoch_ms(START_MS)? {
        Some(start) => Some(start),
        None => query.instant(START, zone)?,
    };
    let (end, end_name) = match query.epoch_ms(END_MS)? {
        Some(end) => (Some(end), "endMS"),
        None => (query.instant(END, zone)?, "end"),
    };
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        return Err(Problem::bad(end_name, "must not be before the start"));
    }
    let end = match (end, query.number_up_to(DAYS, 0.0, MAX_DAYS)?) {
        (Some(end), _) => End::At(end),
        (None, Some(days)) => End::After(TimeDelta::milliseconds((days * DAY_MS) as i64)),
        (None, None) => End::AtStart,
    };
    let max_free = query.whole_up_to(MAX_SLOTS, 1, MAX_MAX_SLOTS)?.and_then(|slots| usize::try_from(slots).ok());
    let busy = if query.flag(REPORT_BUSY)?.unwrap_or(false) { Busy::Shown } else { Busy::Hidden };
    Ok(Asked {
        question: Question { service_name: service.to_owned(), start, end, show: Show { max_free, busy } },
        zone,
    })
}

/// Refuses two of `parameters` at once, whatever their values.
fn exclusive(query: Query<'_>, parameters: &[&[&'static str]]) -> Result<(), Problem> {
    let mut given = parameters.iter().filter(|names| query.has(names)).filter_map(|names| names.first());
    match (given.next(), given.next()) {
        (Some(one), Some(other)) => Err(Problem::bad(other, format!("excludes {one}: give one of them"))),
        _ => Ok(()),
    }
}
