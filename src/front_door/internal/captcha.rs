//! For operators: verify a captcha token as a booking would, and a page on which to make one.

mod page;

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use domain::ids::TenantId;
use domain::ports::VerifyError;
use domain::setting::MAX_TEXT_CHARS;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{Asked, BodyRefusals, TENANT, TenantRefusals, WorkRefusals, tenant};
use super::parameters::TenantHeader;
use crate::front_door::engagement::context;
use crate::front_door::engagement::schemas::{ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::guard::Context;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::{reply, wire};

/// A token to verify.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
#[schema(rename_all = "camelCase")]
pub(crate) struct VerifyRequest {
    /// Site key of one of the tenant's key sets.
    #[schema(min_length = 1, max_length = 255)]
    site_key: String,
    /// The token. Verifying it uses it up.
    #[schema(min_length = 1, max_length = 4_096)]
    captcha_token: String,
}

/// Whether a booking with the token would pass.
#[derive(Serialize, ToSchema)]
struct Verified {
    success: bool,
    /// Why not.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Answer to a token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct VerifyResponse {
    status: SuccessStatus,
    data: Verified,
}

/// Verify a captcha token as a booking would.
#[utoipa::path(
    post, path = "/ges/v1/captcha/verify", tag = "Internal",
    params(TenantHeader),
    request_body = VerifyRequest,
    responses(
        (status = 200, description = "What became of it.", body = VerifyResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn verify(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Asked { context, tenant, .. }, body) = Asked::with_json(&shared, request).await?;
    let (site_key, token) = wire::captcha::verify(&body.bytes)?;
    let verified = match shared.door.captcha.verify_token(tenant, &site_key, &token).await {
        Ok(()) => Verified { success: true, reason: None },
        Err(VerifyError::Refused(refusal)) => {
            Verified { success: false, reason: Some(format!("The token {refusal}.")) }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(reply::success(context.corr_id(), verified))
}

/// A page to try a key set: it shows the provider's captcha and verifies the token.
///
/// The page loads the provider's script and nothing else. It holds the site key, which is public, and no secret.
#[utoipa::path(
    get, path = "/ges/v1/captcha/test-page", tag = "Internal",
    params(
        ("keys" = String, Query, description = "Name of the key set.", min_length = 1, max_length = 64),
        ("tenant" = Option<String>, Query, description = "The tenant, by id or name, if no header names it: browsers \
                                                          cannot send one."),
        ("ContactCenterID" = Option<String>, Header, description = "The tenant, by id or name."),
    ),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 400, description = "A parameter is missing.", body = ErrorResponse),
        (status = 404, description = "No such tenant or key set.", body = ErrorResponse),
        (status = 500, description = "The page could not be made.", body = ErrorResponse),
        (status = 503, description = "The server cannot take this now.", body = ErrorResponse),
    )
)]
pub(crate) async fn test_page(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    let query = Query::new(query.as_deref());
    let in_query = query.text(&["tenant"], MAX_TEXT_CHARS)?;
    let tenant = either_tenant(&shared, &context, &mut parts.headers, in_query.as_deref())?;
    let name = query.required_text(&["keys"], MAX_TEXT_CHARS)?;
    let keys = shared.door.captcha.key_set(tenant, &name);
    let keys = keys.ok_or_else(|| Problem::new(Kind::NotFound, "keys names no key set of this tenant."))?;
    page::answer(&keys, &tenant.to_string())
}

/// The tenant that the header names, or else the query.
fn either_tenant(
    shared: &Shared,
    context: &Context,
    headers: &mut HeaderMap,
    in_query: Option<&str>,
) -> Result<TenantId, Problem> {
    if let Some(named) = in_query.filter(|_| !headers.contains_key(TENANT)) {
        let unreadable = |_| Problem::bad("tenant", "must be an id or a name");
        headers.insert(TENANT, HeaderValue::from_str(named).map_err(unreadable)?);
    }
    tenant(shared, context, headers)
}
