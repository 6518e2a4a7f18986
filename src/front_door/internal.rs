//! What only the internal listener serves: health, metrics, routing's signals, what a flow engine asks, call-ins,
//! parked callbacks, settings, and how they decide.

mod admin;
mod alarms;
mod call_in;
mod capacity;
mod captcha;
mod credentials;
mod engine;
mod entry;
mod errors;
mod explain;
mod flow;
mod health;
mod hours;
mod log_level;
mod news;
mod numbers;
mod parameters;
mod privacy;
mod routing_nodes;
mod search;
mod session;
mod tables;
mod tenants;
mod work;

use std::sync::Arc;

use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{TOKEN_SCHEME, secured};
use super::router::Shared;
pub(super) use admin::{Mistake, MistakesResponse};
pub(super) use session::SESSION_PATH;

/// The operations that only the internal listener serves.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    let token = [SecurityRequirement::default(), SecurityRequirement::new(TOKEN_SCHEME, [""; 0])];
    anybodys().merge(secured(work().merge(settings()).merge(node()), &token))
}

/// What probes, collectors and browsers ask: they bring no token.
fn anybodys() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(health::overall))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::detail))
        .routes(routes!(health::metrics))
        .routes(routes!(captcha::test_page))
        .routes(routes!(tenants::schema))
        .merge(session::routes())
}

/// Callbacks, call-ins, and what is asked about them.
fn work() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(work::signals))
        .routes(routes!(engine::signals))
        .routes(routes!(engine::reports))
        .routes(routes!(routing_nodes::list))
        .routes(routes!(work::parked))
        .routes(routes!(work::unpark))
        .routes(routes!(work::cancel))
        .routes(routes!(call_in::match_call))
        .routes(routes!(call_in::list))
        .routes(routes!(call_in::cancel))
        .routes(routes!(flow::callback))
        .routes(routes!(flow::attach))
        .routes(routes!(flow::watermark))
        .routes(routes!(captcha::verify))
        .routes(routes!(hours::status))
        .routes(routes!(numbers::test))
        .routes(routes!(search::search))
        .merge(explain::routes())
        .merge(news::routes())
}

/// The node that is asked.
fn node() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(log_level::read, log_level::write, log_level::remove))
        .routes(routes!(alarms::alarms))
        .routes(routes!(alarms::alerts))
        .routes(routes!(alarms::types))
}

/// Tenants as code, and what belongs to them.
fn settings() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::read, tenants::write))
        .routes(routes!(tenants::validate))
        .routes(routes!(tenants::revisions))
        .routes(routes!(tenants::revision))
        .routes(routes!(tenants::read_part, tenants::write_part, tenants::remove_part))
        .routes(routes!(capacity::preview, capacity::convert))
        .routes(routes!(tables::read, tables::write))
        .routes(routes!(tables::refresh))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::put, credentials::remove))
        .routes(routes!(credentials::put_named, credentials::remove_named))
        .routes(routes!(credentials::validate_key))
        .routes(routes!(errors::list))
        .routes(routes!(privacy::export))
        .routes(routes!(privacy::erase))
        .routes(routes!(privacy::receipts))
        .routes(routes!(privacy::receipt))
        .routes(routes!(privacy::audit))
}
