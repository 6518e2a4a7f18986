//! The API document and a page to try it, without anything from elsewhere: Swagger UI is part of the binary.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use utoipa_swagger_ui::Config;

use super::error::{Kind, Problem};
use super::openapi::openapi;
use super::router::Shared;

/// Nothing from elsewhere. The page itself writes styles into its elements and shows icons from `data:` URLs,
/// so these two are open here, and only here.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi()));

/// Without `validator_url("none")` the page would send the document to a foreign server.
static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("/engagement/v3/openapi.json").validator_url("none")));

/// The document, the page and its parts.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/engagement/v3/openapi.json", get(document))
        // The page names its parts relative to the folder.
        .route("/engagement/v3/docs", get(async || Redirect::permanent("/engagement/v3/docs/")))
        .route("/engagement/v3/docs/", get(async || part("index.html")))
        .route("/engagement/v3/docs/{*file}", get(file))
}

async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

async fn file(file: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    part(&file.map_err(|_| nothing())?.0)
}

fn part(name: &str) -> Result<Response, Problem> {
    let failed = || Problem::new(Kind::Failed, "The page could not be made.");
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&PAGE)).map_err(|_| failed())?.ok_or_else(nothing)?;
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&file.content_type).map_err(|_| failed())?);
    headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn nothing() -> Problem {
    Problem::new(Kind::NotFound, "There is nothing at this path.")
}
