//! The shapes of questions about free times.

use utoipa::ToSchema;

use super::SuccessStatus;

/// Answer to a question about free times.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct AvailabilityResponse {
    status: SuccessStatus,
    data: AvailabilityData,
}

/// Free times.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct AvailabilityData {
    /// In chronological order; an empty array when nothing can be booked.
    slots: Vec<Slot>,
    /// Slot length in minutes. A change of clocks may cut a slot short.
    #[schema(rename = "durationMin", minimum = 1)]
    duration_min: i32,
    /// The zone of `localTime`.
    timezone: String,
}

/// A slot.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct Slot {
    /// Start of the slot: UTC with milliseconds and a literal Z.
    #[schema(
        rename = "utcTime", format = DateTime,
        pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"
    )]
    utc_time: String,
    /// The same instant in the zone that was asked for, with milliseconds and offset.
    #[schema(
        rename = "localTime", format = DateTime,
        pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}(Z|[+-][0-9]{2}:[0-9]{2})$"
    )]
    local_time: String,
    /// Free places left.
    #[schema(minimum = 0)]
    capacity: i32,
    /// Places in all.
    #[schema(minimum = 0)]
    total: i32,
}
