//! What each listener serves, and what all handlers of a listener share.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use domain::fair::FairPermits;
use domain::network::Network;
use tokio::sync::Semaphore;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::error::{Kind, Problem};
use super::kept::Kept;
use super::openapi::ApiDoc;
use super::settings::{DoorLimits, DoorSettings, InternalToken};
use super::{Door, docs, engagement, gate, guard, internal};

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    External,
    Internal,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

/// What the handlers of one listener share. Each listener has its own limits, so that a flood outside leaves
/// health, metrics and routing's signals alone.
pub(crate) struct Shared {
    pub(crate) side: Side,
    pub(crate) door: Door,
    pub(crate) limits: DoorLimits,
    pub(crate) internal_token: Option<InternalToken>,
    /// Proxies whose word counts for the address of whoever asks.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Requests that may still come in.
    pub(crate) in_flight: Semaphore,
    /// The same requests by tenant, once that is known: none may have so many that no room is left for the others.
    pub(crate) shares: Arc<FairPermits<Arc<str>>>,
    /// Bytes of long bodies that may be held, shared out among tenants.
    pub(crate) body_memory: Arc<FairPermits<Option<Arc<str>>>>,
    /// Long answers that may be given again.
    pub(crate) kept: Kept,
}

impl Shared {
    pub(crate) fn new(side: Side, settings: &DoorSettings, door: Door) -> Self {
        let limits = settings.limits;
        Self {
            side,
            door,
            limits,
            internal_token: settings.internal_token.clone(),
            trusted_proxies: settings.trusted_proxies.clone(),
            in_flight: Semaphore::new(limits.requests_in_flight.min(Semaphore::MAX_PERMITS)),
            shares: FairPermits::new(limits.requests_in_flight),
            body_memory: FairPermits::new(limits.body_memory_bytes),
            kept: Kept::default(),
        }
    }
}

/// Every documented operation.
pub(crate) fn documented() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(ApiDoc::openapi()).merge(engagement::routes()).merge(internal::routes())
}

/// The service behind one listener.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let routes: Router<Arc<Shared>> = match shared.side {
        // What is for users is there too; the gate leaves out what is not.
        Side::External => documented().into(),
        Side::Internal => Router::from(documented()).merge(docs::routes()),
    };
    routes
        .fallback(async || Problem::new(Kind::NotFound, "There is nothing at this path."))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::WrongMethod, "This path does not take this method; see the header Allow.")
        })
        .layer(from_fn_with_state(Arc::clone(&shared), gate::gate))
        .layer(from_fn_with_state(Arc::clone(&shared), guard::guard))
        .with_state(shared)
}
