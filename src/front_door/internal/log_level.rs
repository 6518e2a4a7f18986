//! Another log level for a while, on this node.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{BodyRefusals, WorkRefusals, admit};
use crate::front_door::body;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::front_door::{reply, wire};
use crate::telemetry::tracing::{LevelNow, NotApplied};

/// Which level, and for how long.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct LogLevelRequest {
    /// ERROR, WARN, INFO, DEBUG or TRACE. FATAL reads as ERROR.
    level: String,
    /// Seconds until the configured level counts again.
    #[schema(minimum = 1, maximum = 3_600)]
    for_seconds: u32,
}

/// Which lines this node writes.
#[derive(Serialize, ToSchema)]
struct LogLevel {
    /// The node that was asked.
    #[schema(value_type = String)]
    node: Arc<str>,
    /// Least important lines that are written now.
    level: &'static str,
    /// What the configuration says.
    usual: &'static str,
    /// When `level` falls back to `usual`; null if it is that.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Stamp>,
}

/// Answer to questions about the log level.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct LogLevelResponse {
    status: SuccessStatus,
    data: LogLevel,
}

fn told(shared: &Shared, now: LevelNow) -> LogLevel {
    LogLevel {
        node: shared.door.health.report().node,
        level: now.level.name(),
        usual: now.usual.name(),
        until: now.until.map(Stamp),
    }
}

impl From<NotApplied> for Problem {
    fn from(_: NotApplied) -> Self {
        Self::new(Kind::Failed, "The log has ended.")
    }
}

/// Tell which lines this node writes, and until when.
#[utoipa::path(
    get, path = "/ges/v1/log-level", tag = "Internal",
    responses((status = 200, description = "The level.", body = LogLevelResponse), WorkRefusals),
)]
pub(crate) async fn read(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    Ok(reply::success(context.corr_id(), told(&shared, shared.door.log_level.now())))
}

/// Write more or fewer lines for a while, an hour at most.
///
/// It is about the node that is asked. The configured level comes back by itself, and with the next start.
#[utoipa::path(
    put, path = "/ges/v1/log-level", tag = "Internal",
    request_body = LogLevelRequest,
    responses((status = 200, description = "It counts.", body = LogLevelResponse), WorkRefusals, BodyRefusals),
)]
pub(crate) async fn write(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, parts, body) = admit(&shared, request)?;
    let body = body::read(&shared, &context, &parts.headers, body).await?;
    let (level, how_long) = wire::log_level::log_level(&body.bytes)?;
    let now = shared.door.log_level.set(level, how_long, shared.door.clock.now())?;
    Ok(reply::success(context.corr_id(), told(&shared, now)))
}

/// Write what the configuration says again.
#[utoipa::path(
    delete, path = "/ges/v1/log-level", tag = "Internal",
    responses((status = 200, description = "It counts again.", body = LogLevelResponse), WorkRefusals),
)]
pub(crate) async fn remove(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    Ok(reply::success(context.corr_id(), told(&shared, shared.door.log_level.end()?)))
}
