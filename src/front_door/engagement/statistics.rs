//! Statistics, passed on to the statistics service with the credentials that the tenant has registered.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::keys::Scope;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::schemas::{Refusals, SuccessStatus, Throttling, example_status};
use super::{Entered, enter};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire;

/// Path of the operation.
pub(crate) const PATH: &str = "/engagement/v3/statistics/operations/get-statistic-ex";

/// Headers of the request.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[into_params(parameter_in = Header)]
pub(crate) struct StatisticsHeaders {
    /// `max-age=N`: an answer to the same request that is at most N seconds old will do. N below 15 counts as 15, and
    /// so does its absence.
    #[param(rename = "Cache-Control", nullable = false, pattern = "^.*max-age=[0-9]+.*$", example = "max-age=15")]
    cache_control: Option<String>,
}

/// What is asked. Members beyond these are passed on.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct StatisticsRequest {
    data: StatisticsQuery,
}

/// The statistics that are wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct StatisticsQuery {
    statistics: Vec<StatisticRef>,
}

/// One statistic of one object.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct StatisticRef {
    /// Predefined statistic.
    #[schema(nullable = false)]
    name: Option<String>,
    object_id: String,
    object_type: String,
}

/// Body of the statistics service's answer, unchanged; these are the members that it usually has.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the statistics service writes")]
pub(crate) struct StatisticsBody {
    #[schema(nullable = false)]
    status: Option<StatisticsStatus>,
    #[schema(nullable = false)]
    data: Option<StatisticsData>,
    #[schema(nullable = false, value_type = Option<Vec<Object>>)]
    errors: Option<()>,
    #[schema(nullable = false)]
    path: Option<String>,
}

/// How the statistics service fared.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the statistics service writes")]
pub(crate) struct StatisticsStatus {
    #[schema(nullable = false, value_type = Option<i64>)]
    code: Option<i64>,
    #[schema(nullable = false)]
    message: Option<String>,
    #[schema(nullable = false, value_type = Option<Object>)]
    detail: Option<()>,
}

/// The values.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the statistics service writes")]
pub(crate) struct StatisticsData {
    #[schema(nullable = false)]
    statistics: Option<Vec<Statistic>>,
}

/// One value.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the statistics service writes")]
#[schema(rename_all = "camelCase")]
pub(crate) struct Statistic {
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    object_id: Option<String>,
    #[schema(nullable = false)]
    object_type: Option<String>,
    #[schema(nullable = false)]
    timestamp: Option<f64>,
    /// Any JSON value.
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<()>,
}

/// Answer to a request for statistics.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct StatisticsResponse {
    status: SuccessStatus,
    data: StatisticsBody,
}

/// Current values of a set of predefined statistics.
///
/// The request goes to the statistics service as it is, with the credentials that the tenant has registered; its
/// answer comes back unchanged under `data`. Answers are kept for five minutes and given again if they are not
/// older than `max-age`. Without registered credentials, or if they are refused, the answer is 401.
#[utoipa::path(
    post,
    path = "/engagement/v3/statistics/operations/get-statistic-ex",
    operation_id = "statistics",
    tag = "Statistics",
    params(StatisticsHeaders),
    request_body(
        content = StatisticsRequest,
        description = "A missing or empty body is a 400.",
        example = json!({
            "data": {"statistics": [{"name": "ExpectedWaitTime", "objectId": "Sales_VQ", "objectType": "Queue"}]}
        })
    ),
    responses(
        (status = 200, description = "The statistics service's answer, wrapped.", body = StatisticsResponse,
            example = json!({
                "status": example_status(),
                "data": {
                    "status": {"code": 0},
                    "data": {"statistics": [{
                        "name": "ExpectedWaitTime", "objectId": "Sales_VQ", "objectType": "Queue",
                        "timestamp": 1_898_870_400_000_u64, "value": 42
                    }]}
                }
            })),
        Refusals,
        Throttling,
    ),
)]
pub(crate) async fn get_statistic_ex(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let Entered { context, caller, headers, body } = enter(&shared, request, Scope::StatisticsRead).await?;
    let question = wire::statistics::request(&body.bytes)?;
    let max_age = wire::statistics::max_age(&headers);
    drop(body);
    let answer = shared.door.statistics.statistics(caller.tenant, &question, max_age).await?;
    let answer: &RawValue = serde_json::from_str(&answer)
        .map_err(|_| Problem::new(Kind::Failed, "The statistics service's answer cannot be read."))?;
    Ok(reply::success(context.corr_id(), answer))
}
