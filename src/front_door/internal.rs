//! What only the internal listener serves: health, metrics, routing's signals, what a flow engine asks, call-ins, and
//! parked callbacks.

mod call_in;
mod flow;
mod health;
mod work;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::router::Shared;

/// The operations that only the internal listener serves.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(health::overall))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::detail))
        .routes(routes!(health::metrics))
        .routes(routes!(work::signals))
        .routes(routes!(work::parked))
        .routes(routes!(work::unpark))
        .routes(routes!(call_in::match_call))
        .routes(routes!(call_in::list))
        .routes(routes!(call_in::cancel))
        .routes(routes!(flow::callback))
        .routes(routes!(flow::attach))
        .routes(routes!(flow::watermark))
}
