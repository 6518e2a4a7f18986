//! What only the internal listener serves: health, metrics, routing's signals, parked callbacks, and how settings
//! decide.

mod health;
mod hours;
mod numbers;
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
        .routes(routes!(hours::status))
        .routes(routes!(numbers::test))
}
