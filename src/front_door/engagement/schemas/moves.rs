//! The shapes of holds, moves and repetitions.

use domain::ids::{CallbackId, HoldId};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::{ErrorStatus, ProposedSlots, SuccessStatus, desired_time, required_time, uuid};
use crate::front_door::wire::time::Stamp;

/// What a place is held for. Unknown members are ignored; `null` counts as left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct HoldRequest {
    /// Callback service to book on later.
    #[schema(rename = "serviceName", min_length = 1, max_length = 255)]
    service_name: String,
    #[schema(rename = "desiredTime", schema_with = required_time)]
    desired_time: String,
    /// Whom the callback will be for, if that is known: so many places may be held for one number. The booking may
    /// name another.
    #[schema(rename = "phoneNumber", nullable = false, max_length = 64)]
    phone_number: Option<String>,
}

/// Names a hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct HoldIdRequest {
    #[schema(schema_with = uuid)]
    id: String,
}

/// A held place.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub(crate) struct HoldData {
    /// For `holdId` of a booking.
    #[schema(schema_with = uuid)]
    pub(crate) id: HoldId,
    /// Start of the slot: UTC with milliseconds and a literal Z.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) slot: Stamp,
    /// As it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) desired_time: Stamp,
    /// From this instant on the place is free again.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Stamp,
}

/// Answer to a hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct HoldResponse {
    status: SuccessStatus,
    data: HoldData,
}

/// A hold, named.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldRef {
    #[schema(schema_with = uuid)]
    pub(crate) id: HoldId,
}

/// Answer to giving a hold up.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ReleaseHoldResponse {
    status: SuccessStatus,
    data: HoldRef,
}

/// A callback and the time to move it to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct RescheduleRequest {
    #[schema(schema_with = uuid)]
    id: String,
    #[schema(rename = "desiredTime", schema_with = required_time)]
    desired_time: String,
}

/// A callback at its new time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rescheduled {
    #[schema(schema_with = uuid)]
    pub(crate) id: CallbackId,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) desired_time: Stamp,
}

/// Answer to a move.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct RescheduleResponse {
    status: SuccessStatus,
    data: Rescheduled,
}

/// A callback to make once more.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct RecreateRequest {
    #[schema(schema_with = uuid)]
    id: String,
    #[schema(rename = "desiredTime", schema_with = desired_time, required = false)]
    desired_time: (),
    /// As with a booking.
    #[schema(rename = "alwaysCheckCapacity", nullable = false, default = false)]
    always_check_capacity: Option<bool>,
    /// Token of a newly solved captcha; needed when the tenant demands one.
    #[schema(rename = "captchaToken", nullable = false, max_length = 4_096)]
    captcha_token: Option<String>,
}

/// Refusal for want of a place, or because the caller is throttled.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct NoPlaceResponse {
    status: ErrorStatus,
    #[schema(nullable = false)]
    data: Option<ProposedSlots>,
}

/// Refusal of a time for want of a place, or because the caller is throttled.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(crate) enum PlaceRefusals {
    #[response(
        status = 429,
        description = "The slot has no place left (then `data.slots` proposes others), or the caller is being throttled \
                       (then `data` is absent).",
        headers(("Retry-After" = u32, description = "Seconds to wait. Sent for throttling only."))
    )]
    NoPlace(NoPlaceResponse),
}
