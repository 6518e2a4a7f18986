//! CALLBACK_SETTINGS as a table, a row per queue; and reading settings again.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;
use utoipa::ToSchema;

use super::admin::{AskRefusals, ChangeRefusals, ChangesResponse, Expected, apply, tagged};
use super::entry::{Asked, WorkRefusals, admit};
use super::parameters::{IfMatch, TenantHeader};
use crate::front_door::body::Media;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::provisioning::CsvError;

/// When settings were read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Refreshed {
    /// Since when they are in force.
    #[schema(value_type = String, format = DateTime)]
    in_force_at: Stamp,
}

/// Answer to the wish to read settings again.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct RefreshedResponse {
    status: SuccessStatus,
    data: Refreshed,
}

/// Read the settings of all queues as a table.
///
/// A row per queue, a column per setting. No cell is taken for a formula by a spreadsheet. Users who are limited to lines of
/// business get the rows of their queues.
#[utoipa::path(
    get, path = "/ges/v1/callback-settings", tag = "Settings",
    params(TenantHeader),
    responses((status = 200, description = "The table.", body = String, content_type = "text/csv"), AskRefusals),
)]
pub(crate) async fn read(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let table = shared.door.provisioning.export_csv(asked.tenant, |queue| asked.who.sees(queue)).await;
    let (revision, table) = table.map_err(|error| match error {
        CsvError::Document(error) => error.into(),
        CsvError::Write => Problem::new(Kind::Failed, "The table could not be written."),
    })?;
    let mut response = Response::new(Body::from(table));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"callback-settings.csv\""));
    Ok(tagged(response, revision))
}

/// Change the settings of queues by a table.
///
/// The columns of a row are put into its queue, under our names or the product's; an empty cell sets a setting back
/// to its default. Other settings and other queues stay as they are.
#[utoipa::path(
    put, path = "/ges/v1/callback-settings", tag = "Settings",
    params(TenantHeader, IfMatch),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "Applied.", body = ChangesResponse), ChangeRefusals),
)]
pub(crate) async fn write(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let expected = Expected::of(&asked.headers)?;
    let body = asked.body(&shared, Media::Csv).await?;
    let table = std::str::from_utf8(&body.bytes).map_err(|_| Problem::bad("The table", "must be UTF-8"))?;
    let plan = shared.door.provisioning.plan_csv(asked.tenant, table, &asked.who.order()).await?;
    expected.check(plan.revision)?;
    apply(&shared, &asked.context, plan).await
}

/// Read all settings and keys again, whether they have changed or not.
#[utoipa::path(
    post, path = "/ges/v1/settings/refresh", tag = "Settings",
    responses((status = 200, description = "They are in force.", body = RefreshedResponse), WorkRefusals),
)]
pub(crate) async fn refresh(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let at = shared.door.settings.refresh().await?;
    Ok(reply::success(context.corr_id(), Refreshed { in_force_at: Stamp(at) }))
}
