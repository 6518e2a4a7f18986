//! Which slots of a service can still be booked.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::keys::Scope;

use super::schemas::availability::AvailabilityResponse;
use super::schemas::{Refusals, Throttling, example_status};
use super::{Asked, ask, segment};
use crate::front_door::body;
use crate::front_door::error::Problem;
use crate::front_door::kept;
use crate::front_door::reply;
use crate::front_door::reply::written::{Coding, Written};
use crate::front_door::router::Shared;
use crate::front_door::wire::availability;
use crate::front_door::wire::query::Query;

/// List bookable slots of a callback service inside a time window.
///
/// Give at most one of `start` and `startMS`, and at most one of `end`, `endMS` and `numberOfDays`. Without a start
/// the window begins now, and one in the past is moved up to now; without an end it ends where it begins, and holds
/// the one slot of that instant. Slots that are further ahead than the service takes bookings (14 days, or fewer) are
/// not listed. Nothing is reserved by the answer. Long answers are compressed for clients that accept `gzip`.
#[utoipa::path(
    get,
    path = "/engagement/v3/callbacks/availability/{service-name}",
    operation_id = "queryAvailabilityV2",
    tag = "Availability",
    params(
        ("service-name" = String, Path, description = "Callback service. Percent-encode it, `/` as `%2F`.",
            min_length = 1, max_length = 255, example = "support"),
        ("start" = Option<String>, Query, description = "Start of the window. Without an offset it is read in \
            `timezone`. Now when absent.", pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$", example = "2030-03-04T15:30:00.000Z"),
        ("startMS" = Option<f64>, Query, description = "Window start, milliseconds since the Unix epoch. Excludes \
            `start`. Older name: `start-ms`.", minimum = 0, maximum = 253_402_300_799_999_f64, multiple_of = 1.0),
        ("numberOfDays" = Option<f64>, Query, description = "Window length in days of 24 hours counted from the window \
            start. Excludes `end` and `endMS`. Older name: `number-of-days`.", minimum = 0),
        ("end" = Option<String>, Query, description = "Window end, same text forms as `start`. Excludes `endMS` \
            and `numberOfDays`.", pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$", example = "2030-03-05T15:30:00.000Z"),
        ("endMS" = Option<f64>, Query, description = "Window end, milliseconds since the Unix epoch. Excludes `end` \
            and `numberOfDays`. Older name: `end-ms`.", minimum = 0, maximum = 253_402_300_799_999_f64, multiple_of = 1.0),
        ("timezone" = Option<String>, Query, description = "IANA zone of `start` and `end` when those carry no offset \
            of their own, and of `localTime`. UTC when absent.", example = "America/Toronto"),
        ("maxTimeSlots" = Option<f64>, Query, description = "Upper bound on the number of slots with capacity above \
            zero; slots reported as busy do not count. Older name: `max-time-slots`.", minimum = 1, multiple_of = 1.0),
        ("reportBusy" = Option<bool>, Query, description = "Also list open slots whose capacity is used up. Older name: \
            `report-busy`."),
    ),
    responses(
        (status = 200, description = "Slots in chronological order; an empty array when nothing is bookable.",
            body = AvailabilityResponse,
            examples(
                ("twoSlots" = (value = json!({
                    "status": example_status(),
                    "data": {
                        "slots": [
                            {"utcTime": "2030-03-04T15:30:00.000Z", "localTime": "2030-03-04T10:30:00.000-05:00",
                                "capacity": 2, "total": 5},
                            {"utcTime": "2030-03-04T16:00:00.000Z", "localTime": "2030-03-04T11:00:00.000-05:00",
                                "capacity": 5, "total": 5}
                        ],
                        "durationMin": 30,
                        "timezone": "America/Toronto"
                    }
                }))),
                ("none" = (value = json!({
                    "status": example_status(),
                    "data": {"slots": [], "durationMin": 30, "timezone": "UTC"}
                }))),
            )),
        Refusals,
        Throttling,
    ),
)]
pub(crate) async fn availability(
    State(shared): State<Arc<Shared>>,
    service: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, caller, query, headers } = ask(&shared, request, Scope::AvailabilityRead)?;
    let service = segment("service-name", service)?;
    let availability::Asked { question, zone } = availability::asked(&service, Query::new(query.as_deref()))?;
    let coding = Coding::asked_by(&headers);
    let asked = kept::Asked { tenant: caller.tenant, question, zone, coding };
    let mark = shared.door.availability.mark(caller.tenant);
    if let Some(data) = mark.as_ref().and_then(|now| shared.kept.find(&asked, now)) {
        let share = body::share(&shared, &context, data.len())?;
        return Ok(reply::success_written(context.corr_id(), data, share));
    }
    let found = shared.door.availability.availability(caller.tenant, asked.question.clone()).await?;
    let share = body::share(&shared, &context, reply::slots::bytes(&found))?;
    let data = Written::new(reply::slots::written(&found, zone), coding);
    if let Some(mark) = mark {
        shared.kept.keep(asked, mark, &data);
    }
    Ok(reply::success_written(context.corr_id(), data, share))
}
