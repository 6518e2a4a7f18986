//! The public API, one file per family of operations.

pub(crate) mod availability;
pub(crate) mod call_in;
pub(crate) mod callbacks;
mod events;
pub(crate) mod hours;
pub(crate) mod moves;
pub(crate) mod schemas;
pub(crate) mod statistics;
pub(crate) mod waits;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use domain::ids::QueueName;
use domain::keys::Scope;
use http::HeaderMap;
use http::request::Parts;
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Whole};
use super::error::{Kind, Problem};
use super::guard::Context;
use super::keys::Caller;
use super::openapi::{KEY_SCHEME, secured};
use super::rates;
use super::router::Shared;

pub(super) const API_KEY: &str = "x-api-key";

/// The operations that both listeners serve.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    let routes = OpenApiRouter::new()
        .routes(routes!(callbacks::create))
        .routes(routes!(callbacks::cancel))
        .routes(routes!(callbacks::retrieve))
        .routes(routes!(moves::hold))
        .routes(routes!(moves::release))
        .routes(routes!(moves::reschedule))
        .routes(routes!(moves::recreate))
        .routes(routes!(events::events))
        .routes(routes!(waits::estimated_wait_time))
        .routes(routes!(waits::queue_status))
        .routes(routes!(availability::availability))
        .routes(routes!(call_in::create))
        .routes(routes!(statistics::get_statistic_ex))
        .routes(routes!(hours::open_for));
    secured(routes, &[SecurityRequirement::new(KEY_SCHEME, [""; 0])])
}

/// A request whose caller may ask what it asks, with its body.
pub(crate) struct Entered {
    pub(crate) context: Context,
    pub(crate) caller: Arc<Caller>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Whole,
}

/// The first checks of every operation, in their order: key, rate and share of the tenant, scope, body.
pub(crate) async fn enter(shared: &Shared, request: Request, scope: Scope) -> Result<Entered, Problem> {
    let (mut parts, body) = request.into_parts();
    let (context, caller) = admit(shared, &mut parts, scope)?;
    let body = body::read(shared, &context, &parts.headers, body).await?;
    Ok(Entered { context, caller, headers: parts.headers, body })
}

/// As [`enter`], for what would become a new promise: none is made for a contact centre that is no more.
pub(crate) async fn enter_anew(shared: &Shared, request: Request, scope: Scope) -> Result<Entered, Problem> {
    let (mut parts, body) = request.into_parts();
    let (context, caller) = admit(shared, &mut parts, scope)?;
    if shared.door.keys.is_withdrawn(caller.tenant) {
        let rule = "The contact center is no longer served: nothing new is taken, and what was promised is kept.";
        return Err(Problem::new(Kind::Withdrawn, rule));
    }
    let body = body::read(shared, &context, &parts.headers, body).await?;
    Ok(Entered { context, caller, headers: parts.headers, body })
}

/// A question without a body whose caller may ask it.
pub(crate) struct Asked {
    pub(crate) context: Context,
    pub(crate) caller: Arc<Caller>,
    /// What stands behind `?` in the URL.
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

/// The first checks of every question: key, scope. A body, if there is one, is not looked at.
pub(crate) fn ask(shared: &Shared, request: Request, scope: Scope) -> Result<Asked, Problem> {
    let (mut parts, _) = request.into_parts();
    let (context, caller) = admit(shared, &mut parts, scope)?;
    context.body_is_read();
    Ok(Asked { context, caller, query: parts.uri.query().map(str::to_owned), headers: parts.headers })
}

/// The last segment of a path, decoded. `parameter` is its name in the document.
pub(crate) fn segment(parameter: &str, path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(name) = path.map_err(|_| Problem::bad(parameter, "must be percent-encoded UTF-8"))?;
    let good = !name.trim().is_empty() && !name.contains('\0') && name.chars().count() <= QueueName::MAX_CHARS;
    if good { Ok(name) } else { Err(Problem::bad(parameter, "must have 1 to 255 characters and no U+0000")) }
}

fn admit(shared: &Shared, parts: &mut Parts, scope: Scope) -> Result<(Context, Arc<Caller>), Problem> {
    let context = context(&mut parts.extensions)?;
    let caller = parts.headers.get(API_KEY).and_then(|key| shared.door.keys.find_bytes(key.as_bytes()));
    let caller = caller.ok_or_else(|| Problem::new(Kind::NoKey, "Missing or unknown API key in X-API-Key."))?;
    context.belongs_to(&caller.tenant_name);
    rates::let_in(shared, &context, &caller)?;
    if !caller.allows(scope) {
        let rule = format!("The API key lacks the scope {}.", scope.name());
        return Err(Problem::new(Kind::Forbidden, rule));
    }
    Ok((context, caller))
}

/// What the guard knows of the request.
pub(crate) fn context(extensions: &mut http::Extensions) -> Result<Context, Problem> {
    // Every route is behind the guard, so it is always there.
    extensions.remove().ok_or_else(|| Problem::new(Kind::Failed, "The service failed on this request."))
}
