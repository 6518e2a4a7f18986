//! What every request goes through: a correlation id, admission, a deadline, a net for panics, and at the end
//! the envelope of refusals, one log line and one metric.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use domain::event::Event;
use domain::fair::FairPermit;
use domain::ids::CorrelationId;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::cors::Cors;
use super::error::{Kind, Problem};
use super::failures::Failure;
use super::gate::OWN_PATHS;
use super::rates::Rate;
use super::reply::{self, Style};
use super::router::{Shared, Side};
use super::{body, milliseconds};

/// Headers by which internal callers name a tenant; from outside they must be empty, or knowing a centre's id
/// would be enough to act for it.
const TENANT_HEADERS: [&str; 2] = ["ccid", "contactcenterid"];

/// Routes by template: the closed set that appears in metrics and logs.
pub(crate) const ROUTES: &[&str] = &[
    "/engagement/v3/callbacks/create",
    "/engagement/v3/callbacks/cancel",
    "/engagement/v3/callbacks/retrieve",
    "/engagement/v3/callbacks/holds",
    "/engagement/v3/callbacks/holds/release",
    "/engagement/v3/callbacks/reschedule",
    "/engagement/v3/callbacks/recreate",
    "/engagement/v3/callbacks/queue-status/{queue-name}",
    "/engagement/v3/callbacks/availability/{service-name}",
    "/engagement/v3/estimated-wait-time",
    "/engagement/v3/callbacks/open-for/{service-name}",
    "/engagement/v3/openapi.json",
    "/engagement/v3/docs",
    "/engagement/v3/docs/",
    "/engagement/v3/docs/{*file}",
    "/ges/v1/health",
    "/ges/v1/health/live",
    "/ges/v1/health/ready",
    "/ges/v1/health/detail",
    "/metrics",
    "/ges/v1/callbacks/{id}/signals",
    "/ges/v1/callbacks/signals",
    "/ges/v1/queues/reports",
    "/ges/v1/routing/nodes",
    "/ges/v1/callbacks/parked",
    "/ges/v1/callbacks/{id}/unpark",
    "/ges/v1/callbacks/{id}/cancel",
    "/ges/v1/tenants",
    "/ges/v1/tenant",
    "/ges/v1/tenant/validate",
    "/ges/v1/tenant/revisions",
    "/ges/v1/tenant/revisions/{revision}",
    "/ges/v1/tenant/{section}/{name}",
    "/ges/v1/tenant/capacityRules/{name}/convert",
    "/ges/v1/schemas/tenant",
    "/ges/v1/callback-settings",
    "/ges/v1/settings/refresh",
    "/ges/v1/credentials",
    "/ges/v1/credentials/{kind}",
    "/ges/v1/credentials/{kind}/{name}",
    "/ges/v1/api-keys/validate",
    "/ges/v1/errors",
    "/ges/v1/personal-data/export",
    "/ges/v1/personal-data/erase",
    "/ges/v1/erasures",
    "/ges/v1/erasures/{id}",
    "/ges/v1/audit",
    "/engagement/v3/call-in/requests/create",
    "/ges/v1/call-in/match",
    "/ges/v1/call-in/requests",
    "/ges/v1/call-in/requests/{id}/cancel",
    "/ges/v1/callbacks/{id}",
    "/ges/v1/callbacks/{id}/user-data",
    "/ges/v1/callbacks/explain",
    "/ges/v1/callbacks/{id}/explain",
    "/ges/v1/callbacks/search",
    "/ges/v1/queues/{name}/watermark",
    "/engagement/v3/statistics/operations/get-statistic-ex",
    "/ges/v1/captcha/verify",
    "/ges/v1/captcha/test-page",
    "/ges/v1/hours/{name}/status",
    "/ges/v1/number-rules/test",
    "/engagement/v3/events",
    "/ges/v1/webhooks",
    "/ges/v1/webhooks/deliveries",
    "/ges/v1/webhooks/{endpoint}/deliveries",
    "/ges/v1/webhooks/{endpoint}/resend",
    "/ges/v1/webhooks/{endpoint}/recover",
    "/ges/v1/webhooks/{endpoint}/enable",
    "/ges/v1/webhooks/{endpoint}/example",
    "/ges/v1/notifications",
    "/ges/v1/notifications/publish",
    "/ges/v1/log-level",
    "/ges/v1/alarms",
    "/ges/v1/alerts",
    "/ges/v1/alarm-types",
    "/ges/v1/session",
    "/ges/v1/session/login",
    "/ges/v1/session/callback",
];

/// What stands for every path without a route.
const UNKNOWN_ROUTE: &str = "unknown";

/// What is known of a request while it is served.
#[derive(Clone)]
pub(crate) struct Context(Arc<Known>);

struct Known {
    corr_id: CorrelationId,
    tenant: OnceLock<Arc<str>>,
    rate: OnceLock<Rate>,
    share: OnceLock<FairPermit<Arc<str>>>,
    body_read: AtomicBool,
}

impl Context {
    fn new() -> Self {
        Self(Arc::new(Known {
            corr_id: CorrelationId::generate(),
            tenant: OnceLock::new(),
            rate: OnceLock::new(),
            share: OnceLock::new(),
            body_read: false.into(),
        }))
    }

    pub(crate) fn corr_id(&self) -> CorrelationId {
        self.0.corr_id
    }

    /// Tells whose request it is, once that is known: for the metric, and for the lines from here on.
    pub(crate) fn belongs_to(&self, tenant: &Arc<str>) {
        let _ = self.0.tenant.set(Arc::clone(tenant));
        tracing::Span::current().record("tenant.name", tenant.as_ref());
    }

    /// Whose request it is, once that is known.
    pub(crate) fn tenant(&self) -> Option<Arc<str>> {
        self.0.tenant.get().cloned()
    }

    /// The request counts against a rate, which its answer tells.
    pub(crate) fn is_rated(&self, rate: Rate) {
        let _ = self.0.rate.set(rate);
    }

    /// The request holds a share of its tenant until it is over.
    pub(crate) fn holds(&self, share: FairPermit<Arc<str>>) {
        let _ = self.0.share.set(share);
    }

    /// From here on a deadline that passes is ours, not the client's.
    pub(crate) fn body_is_read(&self) {
        self.0.body_read.store(true, Ordering::Relaxed);
    }
}

/// The middleware around every route and fallback.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let context = Context::new();
    let route = route(&request);
    let method = method(request.method());
    let style = Style::asked_by(request.headers());
    let cors = Cors::of(&shared, &request);
    request.extensions_mut().insert(context.clone());
    // The level of errors, so that the id is in every line whatever the configured level.
    let span = tracing::error_span!(
        "request",
        corr_id = %context.corr_id(),
        listener = shared.side.name(),
        method,
        route,
        tenant.name = tracing::field::Empty,
    );
    async {
        let mut response = match cors.preflight() {
            Some(response) => response,
            None => admit(&shared, route, &context, request, next).await,
        };
        let problem = response.extensions_mut().remove::<Problem>();
        let mut code = 0;
        let tenant = context.0.tenant.get().cloned();
        if let Some(problem) = problem {
            let row = problem.kind.row();
            code = row.code;
            response = reply::refusal(&response, &problem, style, context.corr_id());
            if let Some(tenant) = &tenant {
                let (corr_id, at, status) = (context.corr_id(), shared.door.clock.now(), row.status.as_u16());
                let failure = Failure { corr_id, at, method, route, status, code, message: problem.message };
                shared.door.failures.note(tenant, failure);
            }
        }
        cors.tell(&mut response);
        if route.starts_with(OWN_PATHS) {
            // What users and operators see is for nobody else, refusals included.
            response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        let took = began.elapsed();
        let status = response.status().as_u16();
        if let Some(rate) = context.0.rate.get() {
            rate.tell(response.headers_mut());
        }
        let duration_ms = milliseconds(took);
        tracing::info!(status, code, duration_ms, "request answered");
        shared.door.observer.note(Event::Answered { tenant, method, route, status, took });
        response
    }
    .instrument(span)
    .await
}

/// Lets a request in or sheds it, and answers for it if its handler cannot.
async fn admit(shared: &Shared, route: &'static str, context: &Context, request: Request, next: Next) -> Response {
    if shared.side == Side::External && names_tenant(request.headers()) {
        let rule = "The headers ccid and ContactCenterID must be empty on requests from outside.";
        return Problem::new(Kind::Forbidden, rule).into_response();
    }
    // A full service is alive: probes and metrics must see it.
    let exempt = route.starts_with("/ges/v1/health") || route == "/metrics";
    let _place = match shared.in_flight.try_acquire() {
        Ok(place) => Some(place),
        Err(_) if exempt => None,
        Err(_) => {
            shared.door.observer.note(Event::Shed);
            return Problem::shed().into_response();
        }
    };
    match timeout(shared.limits.request, caught(next.run(request))).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => {
            shared.door.observer.note(Event::PanicCaught);
            tracing::error!("a handler panicked; the request got a 500");
            Problem::new(Kind::Failed, "The service failed on this request.").into_response()
        }
        Err(_) if context.0.body_read.load(Ordering::Relaxed) => {
            Problem::new(Kind::Failed, "The request was not done in time; its outcome is not known.").into_response()
        }
        Err(_) => body::too_slow().into_response(),
    }
}

/// A handler panicked. What it said went to the panic hook.
struct Panicked;

async fn caught(future: impl Future<Output = Response>) -> Result<Response, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        // After a panic the future is dropped and never polled again, so no broken state is seen.
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

fn names_tenant(headers: &HeaderMap) -> bool {
    TENANT_HEADERS.iter().flat_map(|name| headers.get_all(*name)).any(|value| !value.as_bytes().trim_ascii().is_empty())
}

fn route(request: &Request) -> &'static str {
    let Some(matched) = request.extensions().get::<MatchedPath>() else { return UNKNOWN_ROUTE };
    ROUTES.iter().copied().find(|route| *route == matched.as_str()).unwrap_or(UNKNOWN_ROUTE)
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
