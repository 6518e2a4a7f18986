//! What a routing engine reports in bulk: many signals in one request, and how its queues are.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::callback::{Reply, Signal};
use domain::ids::{CallbackId, TenantId};
use domain::ports::{Inbox, NotReported, SignalError};
use http::StatusCode;
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::{IntoResponses, ToSchema};

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals};
use crate::front_door::engagement::schemas::{ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::router::Shared;
use crate::front_door::{reply, wire};

/// One of many signals: its callback, and everything that it would have alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct BatchedSignal {
    /// The callback.
    #[schema(value_type = String, format = Uuid)]
    callback_id: CallbackId,
    /// The attempt it is about, from 1.
    attempt: i64,
    /// Order among signals that change the state; rises within an attempt.
    seq: i64,
    /// As in the request for one signal.
    event: String,
    #[schema(nullable = false)]
    session_id: Option<String>,
    #[schema(nullable = false)]
    reason: Option<String>,
    #[schema(nullable = false)]
    position: Option<i32>,
    #[schema(nullable = false)]
    estimated_wait_time: Option<i32>,
    #[schema(nullable = false)]
    agent_id: Option<String>,
}

/// Many signals.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct BatchRequest {
    /// In the order in which they happened; those of one callback are taken in this order.
    #[schema(max_items = 500)]
    signals: Vec<BatchedSignal>,
}

/// What became of one signal.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// What it would have been answered alone: 200, 400, 404, 409 or 503. Repeat those with 503.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// With 200: `done`, or `repeated` if it had been done before.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    /// Otherwise: why.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// What became of them, in their order.
#[derive(Serialize, ToSchema)]
struct BatchData {
    results: Vec<Outcome>,
}

/// Answer to many signals.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct BatchResponse {
    status: SuccessStatus,
    data: BatchData,
}

/// How a queue is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct ReportRequest {
    /// The queue (`serviceName`).
    #[schema(min_length = 1, max_length = 255)]
    queue: String,
    /// Agents who are logged in and serve it; absent if that is not known.
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    agents: Option<i64>,
    /// How many of them are free; 0 if absent.
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    free_agents: Option<i64>,
    /// Interactions that wait for one of them, callbacks submitted ahead of their time not counted; 0 if absent.
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    waiting: Option<i64>,
    /// Interactions on hold; 0 if absent.
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295_u32)]
    on_hold: Option<i64>,
    /// How many of the last 32 interactions left the line for an agent; 0 if absent.
    #[schema(nullable = false, minimum = 0, maximum = 32)]
    served: Option<i64>,
    /// From the first of them until now, or until the last if nobody waits any more; 0 if absent.
    #[schema(nullable = false, minimum = 0, maximum = 31_536_000)]
    served_over_seconds: Option<f64>,
    /// Mean time that an agent was busy with one of the last 32.
    #[schema(nullable = false, minimum = 0, maximum = 31_536_000)]
    mean_busy_seconds: Option<f64>,
    /// The engine's own figure.
    #[schema(nullable = false, minimum = 0, maximum = 31_536_000)]
    expected_wait_seconds: Option<i64>,
}

/// How queues are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct ReportsRequest {
    #[schema(max_items = 500)]
    queues: Vec<ReportRequest>,
}

/// How many reports were taken.
#[derive(Serialize, ToSchema)]
struct Reported {
    taken: usize,
}

/// Answer to reports.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ReportsResponse {
    status: SuccessStatus,
    data: Reported,
}

/// Refusals of reports.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum ReportRefusals {
    /// The routing engine of this installation is asked directly, and not reported about.
    #[response(status = 409)]
    NotWanted(ErrorResponse),
}

/// Report what happened to many attempts.
///
/// Each signal is answered for itself; those of different callbacks are taken side by side. If one of a callback is
/// answered 503, so are those of it that follow: none overtakes another.
#[utoipa::path(
    post, path = "/ges/v1/callbacks/signals", tag = "Internal",
    params(("ContactCenterID" = String, Header, description = "The tenant, by id or name.")),
    request_body = BatchRequest,
    responses(
        (status = 200, description = "Every signal has its outcome.", body = BatchResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
    security((), ("internalToken" = []))
)]
pub(crate) async fn signals(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Asked { context, tenant, .. }, body) = Asked::with_json(&shared, request).await?;
    let batch = wire::signal::batch(&body.bytes)?;
    let results = take_all(&shared.door.inbox, tenant, batch).await;
    Ok(reply::success(context.corr_id(), BatchData { results }))
}

/// Signals of one callback, with their places in the batch.
type Line = Vec<(usize, Signal)>;

async fn take_all(inbox: &Arc<dyn Inbox>, tenant: TenantId, batch: Vec<wire::signal::Batched>) -> Vec<Outcome> {
    // Whoever is not heard of below has panicked, and nobody knows how far it came.
    let mut outcomes = vec![busy(); batch.len()];
    let mut lines: HashMap<CallbackId, Line> = HashMap::new();
    for (place, read) in batch.into_iter().enumerate() {
        match read {
            Ok((id, signal)) => lines.entry(id).or_default().push((place, signal)),
            Err(problem) => {
                if let Some(outcome) = outcomes.get_mut(place) {
                    *outcome = refused(&problem);
                }
            }
        }
    }
    let mut side_by_side = JoinSet::new();
    for (id, line) in lines {
        side_by_side.spawn(take_in_order(Arc::clone(inbox), tenant, id, line));
    }
    while let Some(taken) = side_by_side.join_next().await {
        for (place, outcome) in taken.unwrap_or_default() {
            if let Some(known) = outcomes.get_mut(place) {
                *known = outcome;
            }
        }
    }
    outcomes
}

async fn take_in_order(inbox: Arc<dyn Inbox>, tenant: TenantId, id: CallbackId, line: Line) -> Vec<(usize, Outcome)> {
    let mut outcomes = Vec::with_capacity(line.len());
    let mut waits = false;
    for (place, signal) in line {
        let outcome = if waits { busy() } else { outcome(inbox.signal(tenant, id, signal).await) };
        waits |= outcome.status == StatusCode::SERVICE_UNAVAILABLE.as_u16();
        outcomes.push((place, outcome));
    }
    outcomes
}

fn outcome(answer: Result<Reply, SignalError>) -> Outcome {
    let result = match answer {
        Ok(Reply::Done) => "done",
        Ok(Reply::Repeated) => "repeated",
        Err(error) => return refused(&error.into()),
    };
    Outcome { status: StatusCode::OK.as_u16(), result: Some(result), message: None }
}

fn refused(problem: &Problem) -> Outcome {
    let status = problem.kind.row().status.as_u16();
    Outcome { status, result: None, message: Some(problem.message.to_string()) }
}

fn busy() -> Outcome {
    refused(&Problem::new(Kind::Busy, "It was not taken yet; repeat it."))
}

/// Report how queues are: agents, who waits, what came of the last interactions.
///
/// The last report of a queue counts, for 2 minutes; expected waits are made from it. Nothing is stored.
#[utoipa::path(
    post, path = "/ges/v1/queues/reports", tag = "Internal",
    params(("ContactCenterID" = String, Header, description = "The tenant, by id or name.")),
    request_body = ReportsRequest,
    responses(
        (status = 200, description = "Taken.", body = ReportsResponse),
        WorkRefusals,
        TenantRefusals,
        ReportRefusals,
        BodyRefusals,
    ),
    security((), ("internalToken" = []))
)]
pub(crate) async fn reports(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Asked { context, tenant, .. }, body) = Asked::with_json(&shared, request).await?;
    let reports = wire::signal::reports(&body.bytes)?;
    let taken = reports.len();
    for (queue, report) in reports {
        shared.door.reports.take(tenant, queue, report).map_err(|error| match error {
            NotReported::NotWanted => {
                Problem::new(Kind::Conflict, "The routing engine of this installation is not reported about.")
            }
            NotReported::Full => Problem::new(Kind::Busy, "Too many queues are reported; try again later."),
        })?;
    }
    Ok(reply::success(context.corr_id(), Reported { taken }))
}
