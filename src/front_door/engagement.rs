//! The public API, one file per family of operations.

pub(crate) mod callbacks;
pub(crate) mod hours;
pub(crate) mod schemas;

use std::sync::Arc;

use axum::extract::Request;
use domain::keys::Scope;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Whole};
use super::error::{Kind, Problem};
use super::guard::Context;
use super::keys::Caller;
use super::router::Shared;

const API_KEY: &str = "x-api-key";

/// The operations that both listeners serve.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(callbacks::create))
        .routes(routes!(callbacks::cancel))
        .routes(routes!(callbacks::retrieve))
        .routes(routes!(hours::open_for))
}

/// A request whose caller may ask what it asks, with its body.
pub(crate) struct Entered {
    pub(crate) context: Context,
    pub(crate) caller: Arc<Caller>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Whole,
}

/// The first checks of every operation, in their order: key, scope, body.
pub(crate) async fn enter(shared: &Shared, request: Request, scope: Scope) -> Result<Entered, Problem> {
    let (mut parts, body) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    let caller = parts.headers.get(API_KEY).and_then(|key| shared.door.keys.find_bytes(key.as_bytes()));
    let caller = caller.ok_or_else(|| Problem::new(Kind::NoKey, "Missing or unknown API key in X-API-Key."))?;
    context.belongs_to(&caller.tenant_name);
    if !caller.allows(scope) {
        let rule = format!("The API key lacks the scope {}.", scope.name());
        return Err(Problem::new(Kind::Forbidden, rule));
    }
    let body = body::read(shared, &context, &parts.headers, body).await?;
    Ok(Entered { context, caller, headers: parts.headers, body })
}

/// A path whose name is no percent-encoded UTF-8.
pub(crate) fn unreadable_path() -> Problem {
    Problem::bad("The name in the path", "must be percent-encoded UTF-8")
}

/// What the guard knows of the request.
pub(crate) fn context(extensions: &mut http::Extensions) -> Result<Context, Problem> {
    // Every route is behind the guard, so it is always there.
    extensions.remove().ok_or_else(|| Problem::new(Kind::Failed, "The service failed on this request."))
}
