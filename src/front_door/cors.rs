//! Web pages of other origins: which of them a browser may let call the public API and read its answers.
//!
//! Off unless a tenant lists origins. A preflight names no tenant, so it is allowed if any tenant allows its
//! origin; the answer itself can be read only if the tenant of the key does. Everything else stays as it is: this
//! is the browser's rule, and no protection of ours.

use axum::extract::Request;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderValue, Method};

use super::engagement::API_KEY;
use super::router::{Shared, Side};

const PATHS: &str = "/engagement/v3/";
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("X-API-Key, Content-Type, Accept, Cache-Control, Idempotency-Key");
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, RateLimit, RateLimit-Policy");
/// Seconds for which a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What there is to say to a browser about one request.
pub(super) enum Cors {
    /// Nothing: it comes from no page of another origin, or no tenant allows any.
    Silent,
    /// The preflight of a page that some tenant allows.
    Preflight(HeaderValue),
    /// A request of a page that the tenant of its key allows.
    Allowed(HeaderValue),
    /// A request of another page: only that answers differ by origin.
    Other,
}

impl Cors {
    pub(super) fn of(shared: &Shared, request: &Request) -> Self {
        let keys = &shared.door.keys;
        if shared.side == Side::Internal || !request.uri().path().starts_with(PATHS) || !keys.any_origins() {
            return Self::Silent;
        }
        let headers = request.headers();
        let Some(origin) = headers.get(ORIGIN) else { return Self::Other };
        let Ok(text) = origin.to_str() else { return Self::Other };
        if *request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return if keys.anybody_allows(text) { Self::Preflight(origin.clone()) } else { Self::Other };
        }
        let caller = headers.get(API_KEY).and_then(|key| keys.find_bytes(key.as_bytes()));
        match caller {
            Some(caller) if keys.allows(caller.tenant, text) => Self::Allowed(origin.clone()),
            _ => Self::Other,
        }
    }

    /// The answer to a preflight that is allowed; others are answered like any other request.
    pub(super) fn preflight(&self) -> Option<Response> {
        let Self::Preflight(_) = self else { return None };
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Says what there is to say with an answer.
    pub(super) fn tell(self, response: &mut Response) {
        let headers = response.headers_mut();
        match self {
            Self::Silent => return,
            Self::Other => {}
            Self::Preflight(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            }
            Self::Allowed(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
