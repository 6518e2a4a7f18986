//! Export and erasure by number, their receipts, and the audit log.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::ids::ErasureId;
use serde::Serialize;
use tracing::Instrument as _;
use utoipa::{IntoResponses, ToSchema};

use super::admin::{AskRefusals, stored};
use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals, path_id};
use super::parameters::{PageLimit, TenantHeader};
use crate::front_door::body::Media;
use crate::front_door::engagement::schemas::{ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::parse_id;
use crate::front_door::wire::privacy::{erase as read_erase, export as read_export};
use crate::front_door::wire::query::Query;
use crate::privacy::{AuditDocument, ExportDocument, PrivacyError, ReceiptDocument};

/// Largest number of an entry that can be named: what a double holds exactly.
const MAX_SEQ: i64 = 9_007_199_254_740_992;

/// Which number is to be told.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct ExportRequest {
    /// As people write it, with or without a plus.
    #[schema(min_length = 1, max_length = 64, example = "+14165550107")]
    phone_number: String,
    /// Region of numbers without a country code; US when absent.
    #[schema(nullable = false, pattern = "^[A-Z]{2}$")]
    country: Option<String>,
    /// `nextCursor` of the page before.
    #[schema(nullable = false, max_length = 64)]
    cursor: Option<String>,
}

/// Which number is to be erased.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct EraseRequest {
    /// As people write it, with or without a plus.
    #[schema(min_length = 1, max_length = 64, example = "+14165550107")]
    phone_number: String,
    /// Region of numbers without a country code; US when absent.
    #[schema(nullable = false, pattern = "^[A-Z]{2}$")]
    country: Option<String>,
    /// What becomes of callbacks that have not ended: with `refuse`, which is usual, nothing is erased; with `cancel`
    /// they are cancelled first.
    #[schema(nullable = false, pattern = "^(refuse|cancel)$")]
    unfinished: Option<String>,
}

/// Answer to an export.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ExportResponse {
    status: SuccessStatus,
    data: ExportDocument,
}

/// Answer to an erasure.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ReceiptResponse {
    status: SuccessStatus,
    data: ReceiptDocument,
}

/// Receipts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReceiptList {
    erasures: Vec<ReceiptDocument>,
    /// Where to go on; absent on the last page.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<ErasureId>,
}

/// Answer to the question which erasures there were.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ReceiptListResponse {
    status: SuccessStatus,
    data: ReceiptList,
}

/// Answer to the question which administrative acts there were.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct AuditResponse {
    status: SuccessStatus,
    data: AuditDocument,
}

/// Refusals of an erasure.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum EraseRefusals {
    /// Callbacks of the number have not ended, or agent and customer talk in one. Nothing was erased.
    #[response(status = 409)]
    Conflict(ErrorResponse),
}

impl From<PrivacyError> for Problem {
    fn from(error: PrivacyError) -> Self {
        match error {
            PrivacyError::Unfinished(1) => Self::new(
                Kind::Conflict,
                "One callback of the number has not ended; nothing was erased. `unfinished: cancel` cancels it first.",
            ),
            PrivacyError::Unfinished(count) => Self::new(
                Kind::Conflict,
                format!(
                    "{count} callbacks of the number have not ended; nothing was erased. `unfinished: cancel` cancels \
                     them first."
                ),
            ),
            PrivacyError::Talking => Self::new(
                Kind::Conflict,
                "Agent and customer talk in a callback of the number; nothing was erased. Try again when they have done.",
            ),
            PrivacyError::Busy => Self::new(Kind::Busy, "Another erasure is under way; try again after it."),
            PrivacyError::BadCursor => Self::bad("cursor", "must be the nextCursor of another page"),
            PrivacyError::Store(error) => stored(error),
            PrivacyError::NotCancelled(unserved) => unserved.into(),
            PrivacyError::Unreadable => Self::new(Kind::Failed, "What is stored cannot be read."),
        }
    }
}

/// Tell everything that is kept of a phone number.
///
/// Callbacks with history, options and user data, call-ins, and how many counts and answers name them. Whoever has many
/// callbacks is told in pages. That it was told stands in the audit log, without the number.
#[utoipa::path(
    post, path = "/ges/v1/personal-data/export", tag = "Settings", operation_id = "exportNumber",
    params(TenantHeader),
    request_body(content = ExportRequest, example = json!({"phoneNumber": "+14165550107"})),
    responses(
        (status = 200, description = "Everything, or a page of it.", body = ExportResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn export(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let body = asked.body(&shared, Media::Json).await?;
    let (phone, cursor) = read_export(&body.bytes)?;
    drop(body);
    let document = shared.door.privacy.export(asked.tenant, phone, cursor.as_deref(), asked.who.actor()).await?;
    Ok(reply::success(asked.context.corr_id(), document))
}

/// Erase everything that is kept of a phone number.
///
/// The answer is a receipt, which is kept. It is not given before nothing of the number can be found in the database and
/// its files any more, which takes as long as reading them. Whoever goes away before is not missed: it is seen through,
/// and the receipt is in the list. Erasing again gives another receipt.
#[utoipa::path(
    post, path = "/ges/v1/personal-data/erase", tag = "Settings", operation_id = "eraseNumber",
    params(TenantHeader),
    request_body(content = EraseRequest, example = json!({"phoneNumber": "+14165550107", "unfinished": "cancel"})),
    responses(
        (status = 200, description = "It is erased.", body = ReceiptResponse),
        WorkRefusals,
        TenantRefusals,
        EraseRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn erase(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let body = asked.body(&shared, Media::Json).await?;
    let (phone, unfinished) = read_erase(&body.bytes)?;
    drop(body);
    let (privacy, tenant, actor) = (shared.door.privacy.clone(), asked.tenant, asked.who.actor().to_owned());
    let work = async move { privacy.erase(tenant, phone, unfinished, &actor).await };
    let done = tokio::spawn(work.in_current_span()).await;
    let receipt = done.map_err(|_| Problem::new(Kind::Failed, "The service failed on this request."))??;
    Ok(reply::success(asked.context.corr_id(), ReceiptDocument::from(receipt)))
}

/// List receipts of erasures.
#[utoipa::path(
    get, path = "/ges/v1/erasures", tag = "Settings",
    params(
        TenantHeader,
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before.", format = Uuid),
        PageLimit,
    ),
    responses((status = 200, description = "Newest first.", body = ReceiptListResponse), AskRefusals),
)]
pub(crate) async fn receipts(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let query = Query::new(query.as_deref());
    let before = query.text(&["cursor"], 64)?.map(|text| parse_id("cursor", &text)).transpose()?;
    let limit = query.page_limit()?;
    let found = shared.door.privacy.receipts(asked.tenant, before, limit).await.map_err(stored)?;
    let next_cursor = found.last().map(|receipt| receipt.id).filter(|_| found.len() == limit);
    let erasures = found.into_iter().map(Into::into).collect();
    Ok(reply::success(asked.context.corr_id(), ReceiptList { erasures, next_cursor }))
}

/// Read one receipt of an erasure.
#[utoipa::path(
    get, path = "/ges/v1/erasures/{id}", tag = "Settings",
    params(
        ("id" = String, Path, description = "Id of the receipt.", format = Uuid),
        TenantHeader,
    ),
    responses((status = 200, description = "The receipt.", body = ReceiptResponse), AskRefusals),
)]
pub(crate) async fn receipt(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let id = path_id(id)?;
    let found = shared.door.privacy.receipt(asked.tenant, id).await.map_err(stored)?;
    let receipt = found.ok_or_else(|| Problem::new(Kind::NotFound, "There is no such receipt."))?;
    Ok(reply::success(asked.context.corr_id(), ReceiptDocument::from(receipt)))
}

/// List administrative acts of a tenant.
///
/// Each entry's hash is over the hash before it and the entry; `ges audit verify` follows the chain.
#[utoipa::path(
    get, path = "/ges/v1/audit", tag = "Settings",
    params(
        TenantHeader,
        ("cursor" = Option<u64>, Query, description = "Entries behind this number; `nextCursor` of the page before.",
            minimum = 0, maximum = 9_007_199_254_740_992_i64),
        PageLimit,
    ),
    responses((status = 200, description = "Oldest first.", body = AuditResponse), AskRefusals),
)]
pub(crate) async fn audit(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let query = Query::new(query.as_deref());
    let after = query.whole(&["cursor"], 0, MAX_SEQ)?.unwrap_or_default();
    let after = u64::try_from(after).unwrap_or_default();
    let page = shared.door.privacy.audit(asked.tenant, after, query.page_limit()?).await.map_err(stored)?;
    Ok(reply::success(asked.context.corr_id(), AuditDocument::from(page)))
}
