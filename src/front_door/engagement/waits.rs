//! Expected waits and what queues offer.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::keys::Scope;
use domain::ports::QueueStatusError;
use domain::wait::{Mode, NoEstimate};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use super::schemas::{Refusals, SuccessStatus, Throttling, example_status};
use super::{Asked, ask, segment};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::waits;

/// One entry of the answer; the order is the request's.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EstimatedWaitTime<'a> {
    /// As it was asked for.
    virtual_queue: &'a str,
    /// Seconds; -1 if there is no estimate.
    #[schema(minimum = -1)]
    estimated_wait_time: i32,
    /// Why there is no estimate; empty if there is one.
    message: String,
    /// 0 estimate valid, -1 no traffic yet or queue not known, -2 no agent logged in.
    #[schema(schema_with = result_code)]
    result_code: i32,
}

fn result_code() -> Schema {
    let codes = [Value::from(0), Value::from(-1), Value::from(-2)];
    ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(codes)).into()
}

fn mode() -> Schema {
    let modes = Mode::ALL.map(Mode::name);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(modes))
        .default(Some(Mode::default().name().into()))
        .into()
}

/// Answer with expected waits.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct EstimatedWaitTimeResponse {
    status: SuccessStatus,
    data: Vec<EstimatedWaitTime<'static>>,
}

/// What a queue offers now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueStatusData {
    /// Expected wait in seconds; -1 with `offerImmediateCallback` true: no traffic yet; with false: no agents.
    #[schema(minimum = -1)]
    ewt: i32,
    /// A callback booked now would be taken, and made before closing as far as can be told.
    offer_immediate_callback: bool,
    /// The queue takes callbacks for later.
    offer_scheduled_callback: bool,
}

/// Answer with the status of a queue.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct QueueStatusResponse {
    status: SuccessStatus,
    data: QueueStatusData,
}

/// What can be asked.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitParameters {
    /// Names separated by commas, at most 100.
    #[param(rename = "virtual-queues", min_length = 1, example = "support,sales")]
    virtual_queues: String,
    /// mode1: throughput and backlog, whatever the agents do. mode2: also the agents. mode3: routing's or the
    /// statistics server's own figure.
    #[param(schema_with = mode, required = false)]
    mode: (),
    /// Count calls on hold as well.
    #[param(rename = "include-calls-on-hold", nullable = false, default = false)]
    include_calls_on_hold: Option<bool>,
}

/// Estimated wait time of one or more virtual queues.
///
/// Trouble with a single queue does not fail the request: its entry has `estimatedWaitTime` -1 and says why in
/// `message`. Entries come in the order of the request, repeated names included.
#[utoipa::path(
    get,
    path = "/engagement/v3/estimated-wait-time",
    operation_id = "estimatedWaitTimeAPI1",
    tag = "Waits",
    params(WaitParameters),
    responses(
        (status = 200, description = "One entry per requested queue, in request order.",
            body = EstimatedWaitTimeResponse,
            example = json!({
                "status": example_status(),
                "data": [
                    {"virtualQueue": "support", "estimatedWaitTime": 42, "message": "", "resultCode": 0},
                    {"virtualQueue": "sales", "estimatedWaitTime": -1,
                     "message": "No agent is logged in for this queue", "resultCode": -2}
                ]
            })),
        Refusals,
        Throttling,
    ),
)]
pub(crate) async fn estimated_wait_time(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, caller, query, .. } = ask(&shared, request, Scope::WaitsRead)?;
    let question = waits::question(Query::new(query.as_deref()))?;
    let names: Vec<&str> = question.queues.iter().map(String::as_str).collect();
    let found = shared.door.waits.expected_waits(caller.tenant, &names, question.mode, question.with_on_hold)?;
    let entries: Vec<_> = names.iter().zip(found).map(|(name, found)| entry(name, found)).collect();
    Ok(reply::success(context.corr_id(), entries))
}

fn entry(virtual_queue: &str, found: Result<i32, NoEstimate>) -> EstimatedWaitTime<'_> {
    match found {
        Ok(seconds) => {
            EstimatedWaitTime { virtual_queue, estimated_wait_time: seconds, message: String::new(), result_code: 0 }
        }
        Err(why) => EstimatedWaitTime {
            virtual_queue,
            estimated_wait_time: -1,
            message: why.to_string(),
            result_code: why.result_code(),
        },
    }
}

/// Whether a queue takes immediate and scheduled callbacks now.
#[utoipa::path(
    get,
    path = "/engagement/v3/callbacks/queue-status/{queue-name}",
    operation_id = "queryQueueStatus",
    tag = "Waits",
    params(("queue-name" = String, Path, min_length = 1, description = "Name of the queue, percent-encoded UTF-8.",
        example = "support")),
    responses(
        (status = 200, description = "What the queue offers.", body = QueueStatusResponse,
            example = json!({
                "status": example_status(),
                "data": {"ewt": 95, "offerImmediateCallback": true, "offerScheduledCallback": true}
            })),
        Refusals,
        Throttling,
    ),
)]
pub(crate) async fn queue_status(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { context, caller, .. } = ask(&shared, request, Scope::AvailabilityRead)?;
    let status = shared.door.waits.queue_status(caller.tenant, &segment("queue-name", name)?)?;
    let data = QueueStatusData {
        ewt: status.wait_seconds.unwrap_or(-1),
        offer_immediate_callback: status.offers_immediate,
        offer_scheduled_callback: status.offers_scheduled,
    };
    Ok(reply::success(context.corr_id(), data))
}

impl From<QueueStatusError> for Problem {
    fn from(error: QueueStatusError) -> Self {
        match error {
            QueueStatusError::UnknownQueue => Self::new(Kind::UnknownService, "queue-name names no configured queue."),
            QueueStatusError::Unserved(unserved) => unserved.into(),
        }
    }
}
