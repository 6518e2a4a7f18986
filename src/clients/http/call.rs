//! A call and its answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use domain::event::Outward;
use domain::ids::TenantId;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;

use super::error::{CallError, Cause};

/// Longest answer unless a caller says otherwise.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// Deadline unless a caller says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// Whose URL it is: how far it is trusted, and whom it may disturb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The operator's configuration, or this program: any address.
    Operator,
    /// A tenant's settings: https and public addresses only, and with a circuit breaker of its own.
    Tenant(TenantId),
}

impl NamedBy {
    /// The tenant, if it is a tenant's.
    pub(super) const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Operator => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }
}

/// When a call may be made again within its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// Never.
    #[default]
    Never,
    /// At most so many times, after *surely not done*.
    IfNotDone(u32),
    /// At most so many times, after any failure and after 502, 503 and 504: doing it twice does no harm.
    Harmless(u32),
}

impl Repeat {
    pub(super) const fn times(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::IfNotDone(times) | Self::Harmless(times) => times,
        }
    }

    /// Whether a call that ended so may be made again, and it makes sense to.
    pub(super) fn covers(self, result: &Result<Answer, CallError>) -> bool {
        match result {
            Ok(answer) => matches!(self, Self::Harmless(_)) && matches!(answer.status.as_u16(), 502..=504),
            Err(error) => {
                let hopeless = matches!(error.cause(), Cause::BadUrl | Cause::Private | Cause::Resting | Cause::Setup);
                let allowed = matches!(self, Self::Harmless(_)) || matches!(error, CallError::NotDone(_));
                allowed && !hopeless && !matches!(self, Self::Never)
            }
        }
    }
}

/// A call to the outside. `Debug` shows neither URL nor headers nor body.
#[derive(Clone)]
pub struct Call {
    /// What is called, for metrics.
    pub to: Outward,
    /// Whose URL it is.
    pub named_by: NamedBy,
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers beside those that the client sets itself.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// From now to the last byte of the answer, repetitions included. Default 10 s.
    pub deadline: Duration,
    /// When it may be made again. Default never.
    pub repeat: Repeat,
    /// Longest body of the answer. Default 256 KiB.
    pub max_answer_bytes: usize,
}

impl Call {
    /// A call of `method` to `url`, which is refused later if it breaks a rule.
    ///
    /// # Errors
    /// It is no http or https URL.
    pub fn new(to: Outward, named_by: NamedBy, method: Method, url: &str) -> Result<Self, CallError> {
        let url = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        Ok(Self {
            to,
            named_by,
            method,
            url: url.ok_or(CallError::NotDone(Cause::BadUrl))?,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline: DEADLINE,
            repeat: Repeat::Never,
            max_answer_bytes: MAX_ANSWER_BYTES,
        })
    }

    /// A `POST`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn post(to: Outward, named_by: NamedBy, url: &str) -> Result<Self, CallError> {
        Self::new(to, named_by, Method::POST, url)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With `Authorization`, which nothing prints.
    ///
    /// # Errors
    /// `value` holds characters that a header cannot have.
    pub fn authorization(self, value: &str) -> Result<Self, CallError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| CallError::NotDone(Cause::BadUrl))?;
        value.set_sensitive(true);
        Ok(self.header(AUTHORIZATION, value))
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// With a form as body.
    #[must_use]
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        self.body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into();
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    /// With a deadline.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// With repetitions.
    #[must_use]
    pub const fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("to", &self.to).field("method", &self.method).finish_non_exhaustive()
    }
}

/// A whole answer, of whatever status. `Debug` shows the status only.
#[derive(Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}
