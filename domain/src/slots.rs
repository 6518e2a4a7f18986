//! Slots: which interval of the day a scheduled callback falls into, and how many places it has.

use chrono::{DateTime, Utc};

use crate::queue::QueueSettings;

/// The one function from an instant to the start of its slot: bookings, availability and recounts use it.
pub fn slot_start(settings: &QueueSettings, at: DateTime<Utc>) -> DateTime<Utc> {
    let length = i64::from(settings.slot_minutes.get()) * 60;
    let start = at.timestamp().div_euclid(length) * length;
    DateTime::from_timestamp(start, 0).unwrap_or(at)
}
