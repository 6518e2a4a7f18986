//! The OpenAPI 3.1 document, generated from the handlers.

use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi as Document, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::engagement::statistics;
use super::internal::MistakesResponse;
use super::router;

/// Name of the scheme by which an API key admits its caller.
pub(crate) const KEY_SCHEME: &str = "apiKey";
/// Name of the scheme by which the token of the internal listener admits its bearer.
pub(crate) const TOKEN_SCHEME: &str = "internalToken";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ges: callbacks for contact centres",
        description = "Every answer of the API carries `status` with `code`, `message` and `corrId`; the latter is in \
                       the server's log. Operations tagged *Internal* or *Settings* are served by the \
                       internal listener only.",
        license(name = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "The host that served this document.")),
    modifiers(&Schemes),
    components(schemas(MistakesResponse)),
    tags(
        (name = "Callbacks", description = "Book, cancel and follow callbacks."),
        (name = "Events", description = "Read what has happened to callbacks."),
        (name = "Waits", description = "Expected waits, and what queues offer."),
        (name = "Availability", description = "Ask for free times and opening."),
        (name = "Settings", description = "Documents of tenants, their credentials and failed calls. Not reachable from outside."),
        (name = "CallIn", description = "Numbers for customers to call, with a code to be recognised by."),
        (name = "Statistics", description = "Values of the statistics service."),
        (name = "Session", description = "Log in and out, for users of the interface."),
        (name = "Internal", description = "For routing, operators and metrics. Not reachable from outside."),
    )
)]
pub(crate) struct ApiDoc;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let key = ApiKeyValue::with_description("X-API-Key", "Identifies the tenant. A tenant can own many keys.");
        components.add_security_scheme(KEY_SCHEME, SecurityScheme::ApiKey(ApiKey::Header(key)));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme(TOKEN_SCHEME, SecurityScheme::Http(token));
    }
}

/// The same routes, each of which says by what it admits a caller.
pub(crate) fn secured<S>(mut routes: OpenApiRouter<S>, by: &[SecurityRequirement]) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(by.to_vec());
        }
    }
    routes
}

/// The document as JSON text, indented. The same for every installation of a version.
pub fn openapi() -> String {
    let mut document = router::documented().into_openapi();
    let_body_be_missing(&mut document);
    // Plain data: writing it cannot fail.
    document.to_pretty_json().unwrap_or_default()
}

/// Neither official client sends a body with a request for statistics, so the contract does not ask for one in
/// form: the 400 comes from the operation. Of an optional body the generator would say that it may be `null`.
fn let_body_be_missing(document: &mut Document) {
    let item = document.paths.paths.get_mut(statistics::PATH);
    if let Some(RefOr::T(body)) = item.and_then(|item| item.post.as_mut()).and_then(|post| post.request_body.as_mut()) {
        body.required = None;
    }
}
