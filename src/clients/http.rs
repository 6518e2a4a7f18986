//! The one HTTP client: every call to the outside goes through it, under one set of limits.
//!
//! A call ends in one of three ways: an answer, *surely not done* (no connection was made), or *perhaps* (the
//! head of the request may have been sent). It is repeated only as far as its caller says that this is safe, and
//! only within a budget. A destination that fails again and again is left alone for a while. Redirects are not
//! followed, and the length of answers is bounded. URLs that a tenant named reach public addresses only, judged
//! by the very addresses that are connected to. No error, log line or metric shows a URL, a header or a body.

mod address;
mod breaker;
mod call;
mod destinations;
mod error;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::event::{CallEnd, Event};
use domain::ports::Observer;
use http::StatusCode;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tower::retry::budget::{Budget as _, TpsBudget};

pub use address::{Private, UrlRule};
pub use call::{Answer, Call, NamedBy, Repeat};
pub use error::{CallError, Cause, SetupError};

use address::Resolver;
use destinations::{Destinations, Verdict};

/// Longest time from the lookup of a name to an open connection, TLS included.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Unused connections kept per host.
const IDLE_PER_HOST: usize = 16;
/// How long TCP waits for the other side's acknowledgement before a connection counts as broken.
const TCP_USER: Duration = Duration::from_secs(10);
/// Pause before the first repetition; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Repetitions allowed: this share of all calls of the last seconds, and a few more for a quiet service.
const BUDGET_SHARE: f32 = 0.1;
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
const BUDGET_PER_SECOND: u32 = 2;

/// How the client is set up.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// Whether destinations that fail are left alone for a while.
    pub rests: Rests,
    /// PEM files of certificate authorities that are trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Proxy for every call. It then looks names up, so it also has to keep tenants' URLs from private addresses.
    pub proxy: Option<String>,
    /// Whether URLs named by tenants may reach private addresses.
    pub private: Private,
}

/// What becomes of a destination that fails again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rests {
    /// It is left alone for a while.
    #[default]
    AfterFailures,
    /// It is called all the same: whoever calls has a better view of its health.
    Never,
}

/// The client. Cheap until its first call: the system's certificates are read then.
pub struct HttpClient {
    authorities: Vec<Certificate>,
    proxy: Option<Proxy>,
    private: Private,
    rests: Rests,
    observer: Arc<dyn Observer>,
    clients: OnceCell<Clients>,
    destinations: Destinations,
    budget: TpsBudget,
}

/// Apart, because a connection that the operator's URL opened to a private address must not serve a tenant's.
#[derive(Clone)]
struct Clients {
    operator: Client,
    tenant: Client,
}

impl HttpClient {
    /// Reads the files of certificate authorities. Connects to nothing.
    ///
    /// # Errors
    /// A file cannot be read or holds no certificate, or the proxy's URL is none.
    pub fn new(settings: &HttpSettings, observer: Arc<dyn Observer>) -> Result<Self, SetupError> {
        let authorities = authorities(&settings.ca_files)?;
        let proxy = settings.proxy.as_ref().map(Proxy::all).transpose().map_err(|_| SetupError::Proxy)?;
        Ok(Self {
            authorities,
            proxy,
            private: settings.private,
            rests: settings.rests,
            observer,
            clients: OnceCell::new(),
            destinations: Destinations::default(),
            budget: TpsBudget::new(BUDGET_WINDOW, BUDGET_PER_SECOND, BUDGET_SHARE),
        })
    }

    /// What URLs have to keep that tenants name.
    pub const fn url_rule(&self) -> UrlRule {
        UrlRule::new(self.private)
    }

    /// Makes a call and, as far as `call.repeat` allows, repeats it, all before its deadline.
    ///
    /// # Errors
    /// [`CallError`], which says whether the call may have been carried out. Answers of any status are no errors.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let began = Instant::now();
        let deadline = began + call.deadline;
        self.budget.deposit();
        let mut result = self.attempt(&call, deadline).await;
        let mut pause = FIRST_PAUSE;
        // What an earlier attempt perhaps did stays done, whatever the later ones say.
        let mut perhaps = None;
        for _ in 0..call.repeat.times() {
            if !call.repeat.covers(&result) || Instant::now() + pause >= deadline || !self.budget.withdraw() {
                break;
            }
            if let Err(error @ CallError::Perhaps { .. }) = &result {
                perhaps = Some(error.clone());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            result = self.attempt(&call, deadline).await;
        }
        if let (Err(CallError::NotDone(_)), Some(earlier)) = (&result, perhaps) {
            result = Err(earlier);
        }
        self.tell(&call, &result, began.elapsed());
        result
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Answer, CallError> {
        let tenant = call.named_by.tenant();
        if tenant.is_some() {
            self.url_rule().check(&call.url).map_err(CallError::NotDone)?;
        }
        let slot = self.destinations.find(call.to, tenant, &call.url).ok_or(CallError::NotDone(Cause::Crowded))?;
        let mut admitted = slot.admit(deadline).await.map_err(CallError::NotDone)?;
        let clients = self.clients(deadline).await?;
        let client = if tenant.is_some() { &clients.tenant } else { &clients.operator };
        let result = exchange(client, call, deadline).await;
        admitted.verdict = match &result {
            _ if self.rests == Rests::Never => Verdict::Unknown,
            Ok(answer) if answer.status.is_server_error() => Verdict::Failed,
            Ok(_) => Verdict::Well,
            // Its own doing, not its destination's.
            Err(error) if matches!(error.cause(), Cause::BadUrl | Cause::Private) => Verdict::Unknown,
            Err(_) => Verdict::Failed,
        };
        result
    }

    /// The two clients, made at first use.
    async fn clients(&self, deadline: Instant) -> Result<&Clients, CallError> {
        let make = self.clients.get_or_try_init(|| async {
            let (authorities, proxy, private) = (self.authorities.clone(), self.proxy.clone(), self.private);
            // Reads a hundred and more certificates from the disk.
            let made = tokio::task::spawn_blocking(move || Clients::new(&authorities, proxy.as_ref(), private));
            made.await.ok().and_then(Result::ok).ok_or(CallError::NotDone(Cause::Setup))
        });
        timeout_at(deadline, make).await.map_err(|_| CallError::NotDone(Cause::Slow))?
    }

    fn tell(&self, call: &Call, result: &Result<Answer, CallError>, took: Duration) {
        let end = match result {
            Ok(answer) if answer.status.is_success() => CallEnd::Well,
            Ok(answer) if answer.status.is_server_error() => CallEnd::Failed,
            Ok(_) => CallEnd::Refused,
            Err(CallError::NotDone(Cause::Resting)) => CallEnd::Resting,
            Err(CallError::NotDone(_)) => CallEnd::NotDone,
            Err(CallError::Perhaps { .. }) => CallEnd::Perhaps,
        };
        let status = result.as_ref().map_or(0, |answer| answer.status.as_u16());
        let why = result.as_ref().err().map(tracing::field::display);
        let duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        tracing::debug!(to = call.to.name(), end = end.name(), status, why, duration_ms, "called out");
        if result.as_ref().is_err_and(|error| *error.cause() == Cause::Lookup) {
            self.observer.note(Event::LookupFailed);
        }
        // A destination that rests was not asked.
        let failed = matches!(end, CallEnd::Failed | CallEnd::NotDone | CallEnd::Perhaps);
        if failed && call.to.is_gws() && call.named_by == NamedBy::Operator {
            self.observer.note(Event::GwsFailed);
        }
        self.observer.note(Event::CalledOut { to: call.to, end, took });
    }
}

impl Clients {
    fn new(authorities: &[Certificate], proxy: Option<&Proxy>, private: Private) -> reqwest::Result<Self> {
        let make = |resolver: Resolver| {
            let builder = Client::builder()
                .user_agent(concat!("ges/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .tcp_user_timeout(TCP_USER)
                .tls_certs_merge(authorities.iter().cloned())
                .dns_resolver(Arc::new(resolver))
                // What the environment says about proxies is not for us.
                .no_proxy();
            match proxy {
                Some(proxy) => builder.proxy(proxy.clone()).build(),
                None => builder.build(),
            }
        };
        // Behind a proxy only the proxy's own name is looked up here, and the operator named that.
        let guarded = if proxy.is_some() { Private::Allowed } else { private };
        Ok(Self { operator: make(Resolver::new(Private::Allowed))?, tenant: make(Resolver::new(guarded))? })
    }
}

/// What is in files of certificate authorities.
///
/// # Errors
/// A file cannot be read or holds no certificate.
pub(crate) fn authorities(files: &[PathBuf]) -> Result<Vec<Certificate>, SetupError> {
    let mut authorities = Vec::new();
    for path in files {
        let pem = std::fs::read(path).map_err(|source| SetupError::Read { path: path.clone(), source })?;
        let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if found.is_empty() {
            return Err(SetupError::NoCertificate { path: path.clone() });
        }
        authorities.extend(found);
    }
    Ok(authorities)
}

/// One request and its whole answer.
async fn exchange(client: &Client, call: &Call, deadline: Instant) -> Result<Answer, CallError> {
    let request = client
        .request(call.method.clone(), call.url.clone())
        .headers(call.headers.clone())
        .body(call.body.clone())
        .build()
        .map_err(|_| CallError::NotDone(Cause::BadUrl))?;
    let sent = timeout_at(deadline, client.execute(request)).await;
    let sent = sent.map_err(|_| CallError::Perhaps { cause: Cause::Slow, status: None })?;
    let mut response = sent.map_err(|error| CallError::of_request(&error))?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = timeout_at(deadline, read(&mut response, call.max_answer_bytes)).await;
    let body = body.map_err(|_| Cause::Slow).flatten().map_err(|cause| broken_off(cause, status))?;
    Ok(Answer { status, headers, body })
}

async fn read(response: &mut reqwest::Response, max_bytes: usize) -> Result<Bytes, Cause> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|_| Cause::Broken)? {
        if body.len() + part.len() > max_bytes {
            return Err(Cause::TooLong);
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// The head came, the rest did not: the status tells more than nothing.
fn broken_off(cause: Cause, status: StatusCode) -> CallError {
    CallError::Perhaps { cause, status: Some(status) }
}
