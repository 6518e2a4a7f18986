//! Logging in and out, and who is logged in.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use domain::access::Lines;
use domain::secret::Secret;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::BodyRefusals;
use crate::front_door::body::{self, Media};
use crate::front_door::engagement::context;
use crate::front_door::engagement::schemas::{ErrorResponse, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::gate::{self, Visitor};
use crate::front_door::peers;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;
use crate::users::{CALLBACK_PATH, LogInError, Opened, ProviderError, VisitError};

/// Where the interface asks whether there is a session.
pub(in crate::front_door) const SESSION_PATH: &str = "/ges/v1/session";
/// Longest code that a provider sends along.
const MAX_CODE_CHARS: usize = 2_048;
/// Longest state: it is ours, and comes back as it was.
const MAX_STATE_CHARS: usize = 256;

/// The operations of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(log_in, who, log_out)).routes(routes!(begin)).routes(routes!(arrive))
}

/// Who wants to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInRequest {
    /// Name of a local account.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// Its password.
    #[schema(min_length = 1, max_length = 1_024, format = Password)]
    password: String,
}

/// Who is logged in, and what that allows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionData {
    /// Name of the user.
    user: String,
    /// Name of the tenant that is asked about: the user's own, unless the request names another.
    tenant: String,
    /// Names of the user's roles.
    roles: Vec<String>,
    /// Names of what is allowed in this tenant.
    permissions: Vec<&'static str>,
    /// Lines of business to which the user is limited in the own tenant; absent if to none.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_of_business: Option<Vec<String>>,
    /// Whether the user may name other tenants in the header `GES-Tenant`.
    every_tenant: bool,
    /// What the header `X-CSRF-Token` of every request has to hold that is not a GET.
    csrf_token: String,
    /// Seconds without a request after which the session ends.
    idle_seconds: i64,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Stamp,
}

/// Answer to the question who is logged in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct SessionResponse {
    status: SuccessStatus,
    data: SessionData,
}

/// What is left to do after a log-out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoggedOut {
    /// Where the browser has to go to be signed out at the provider as well.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_out_url: Option<String>,
}

/// Answer to a log-out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct LogOutResponse {
    status: SuccessStatus,
    data: LoggedOut,
}

/// Refusals of log-ins and of questions about them.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum SessionRefusals {
    /// The request is malformed.
    #[response(status = 400)]
    BadRequest(ErrorResponse),
    /// There is no session; of a log-in, the name or the password is wrong.
    #[response(status = 401)]
    NoSession(ErrorResponse),
    /// Users of this installation log in the other way, or the CSRF token is missing.
    #[response(status = 403)]
    Forbidden(ErrorResponse),
    /// Too many refused log-ins under this name or from this address.
    #[response(status = 429, headers(("Retry-After" = u32, description = "Seconds to wait.")))]
    TooMany(ErrorResponse),
    /// The server, or something behind it, failed.
    #[response(status = 500)]
    Failed(ErrorResponse),
    /// The server, or the provider of users, cannot take this now.
    #[response(status = 503, headers(("Retry-After" = u32, description = "Seconds to wait.")))]
    Busy(ErrorResponse),
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::Elsewhere => Self::new(Kind::Forbidden, "Users of this installation log in the other way."),
            LogInError::Wrong => Self::new(Kind::NoSession, "The name or the password is wrong."),
            LogInError::TooOften(wait) => {
                let seconds = u32::try_from(wait.num_seconds()).unwrap_or(u32::MAX).max(1);
                Self::new(Kind::TooManyGuesses, "Too many refused log-ins under this name or from this address; wait.")
                    .after(seconds)
            }
            LogInError::Busy => Self::new(Kind::Busy, "Too many log-ins at once; try again."),
            LogInError::NoTenant => {
                Self::new(Kind::Forbidden, "The user belongs to no contact centre of this installation.")
            }
            LogInError::Provider(ProviderError::Refused) => {
                Self::new(Kind::NoSession, "The provider of users refuses the log-in; begin again.")
            }
            LogInError::Provider(error) => {
                tracing::warn!(%error, "a user could not log in");
                Self::new(Kind::Busy, "The provider of users cannot be asked just now.")
            }
            LogInError::Store(error) => error.into(),
            LogInError::Failed => Self::new(Kind::Failed, "The log-in failed."),
        }
    }
}

impl From<VisitError> for Problem {
    fn from(error: VisitError) -> Self {
        match error {
            VisitError::Over => Self::new(Kind::NoSession, "There is no session, or it is over: log in."),
            VisitError::Unknown => Self::new(Kind::Busy, "What the user may do cannot be found out just now."),
            VisitError::Store(error) => error.into(),
        }
    }
}

/// Log in with a local account.
///
/// The answer sets a cookie that brings the session along from now on.
#[utoipa::path(
    post, path = "/ges/v1/session", tag = "Session", operation_id = "logIn",
    request_body(content = LogInRequest, example = json!({"name": "alice", "password": "correct horse battery"})),
    responses((status = 200, description = "Logged in.", body = SessionResponse), SessionRefusals, BodyRefusals),
)]
pub(crate) async fn log_in(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    let whole = body::read_as(&shared, &context, &parts.headers, body, Media::Json).await?;
    // What came stands in no message: it may be a password in the wrong place.
    let wanted: LogInRequest = serde_json::from_slice(&whole.bytes)
        .map_err(|_| Problem::bad("The body", "must be a JSON object with name and password, both text"))?;
    let from = peers::guesser(&parts.extensions, &parts.headers, &shared.trusted_proxies);
    let password = Secret::new(wanted.password);
    let Opened { token, session } = shared.door.users.log_in(&wanted.name, password, from).await?;
    replace(&shared, &parts.headers).await;
    let cookie = session_cookie(&shared, token.reveal())?;
    let visitor = gate::arrived(&shared, session)?;
    context.belongs_to(&visitor.access.name);
    let answer = reply::success(context.corr_id(), told(&shared, &visitor, token.reveal()));
    Ok(with_cookie(answer, cookie))
}

/// Tell who is logged in, and what that allows.
#[utoipa::path(
    get, path = "/ges/v1/session", tag = "Session", operation_id = "whoAmI",
    responses((status = 200, description = "The user.", body = SessionResponse), SessionRefusals),
)]
pub(crate) async fn who(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    let visitor = parts.extensions.remove::<Arc<Visitor>>().ok_or(VisitError::Over)?;
    let token = gate::cookie(&parts.headers, gate::cookie_name(&shared)).unwrap_or_default();
    Ok(reply::success(context.corr_id(), told(&shared, &visitor, token)))
}

/// Log out. The session is over on every node.
#[utoipa::path(
    delete, path = "/ges/v1/session", tag = "Session", operation_id = "logOut",
    responses((status = 200, description = "Logged out.", body = LogOutResponse), SessionRefusals),
)]
pub(crate) async fn log_out(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    let token = gate::cookie(&parts.headers, gate::cookie_name(&shared)).unwrap_or_default();
    let sign_out_url = shared.door.users.log_out(token.as_bytes()).await?;
    let answer = reply::success(context.corr_id(), LoggedOut { sign_out_url });
    Ok(with_cookie(answer, cookie(&shared, gate::cookie_name(&shared), "", Some(0), "/")?))
}

/// Go to the provider of users to log in.
#[utoipa::path(
    get, path = "/ges/v1/session/login", tag = "Session", operation_id = "beginLogIn",
    params(("return" = Option<String>, Query, description = "Where to go afterwards, a path under `/ges/`.", max_length = 1_024)),
    responses((status = 303, description = "To the provider."), SessionRefusals),
)]
pub(crate) async fn begin(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let wanted = Query::new(query.as_deref()).text(&["return"], 1_024)?.unwrap_or_default();
    let (address, carried) = shared.door.users.begin_trip(&wanted).await?;
    let (name, path) = trip_cookie(&shared);
    let cookie = cookie(&shared, name, carried.reveal(), Some(TRIP_SECONDS), path)?;
    Ok(with_cookie(see_other(&address)?, cookie))
}

/// Come back from the provider of users.
#[utoipa::path(
    get, path = "/ges/v1/session/callback", tag = "Session", operation_id = "endLogIn",
    params(
        ("state" = Option<String>, Query, description = "As it was sent along.", max_length = 256, pattern = "^[ -~]*$"),
        ("code" = Option<String>, Query, description = "What the provider gives.", max_length = 2_048, pattern = "^[ -~]*$"),
        ("error" = Option<String>, Query, description = "Why it gives nothing.", max_length = 256, pattern = "^[ -~]*$"),
    ),
    responses((status = 303, description = "To the interface, logged in."), SessionRefusals),
)]
pub(crate) async fn arrive(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let query = Query::new(query.as_deref());
    if query.has(&["error"]) {
        return Err(LogInError::Provider(ProviderError::Refused).into());
    }
    let state = query.required_text(&["state"], MAX_STATE_CHARS)?;
    let code = query.required_text(&["code"], MAX_CODE_CHARS)?;
    let (trip, path) = trip_cookie(&shared);
    let carried = gate::cookie(&parts.headers, trip);
    let carried = carried.ok_or_else(|| Problem::new(Kind::NoSession, "No log-in was begun here; begin again."))?;
    let tenant = |named: &str| shared.door.keys.tenant_id(named);
    let from = peers::guesser(&parts.extensions, &parts.headers, &shared.trusted_proxies);
    let (opened, return_to) = shared.door.users.end_trip(carried, (&state, &code), &tenant, from).await?;
    replace(&shared, &parts.headers).await;
    let answer = with_cookie(see_other(&return_to)?, session_cookie(&shared, opened.token.reveal())?);
    Ok(with_cookie(answer, cookie(&shared, trip, "", Some(0), path)?))
}

/// As long as a log-in may take.
const TRIP_SECONDS: i64 = 600;

/// Carries a log-in that was begun: name and path. Over encrypted connections a browser takes it from this very host only,
/// so that no other host of the domain can plant a log-in of its own; without, nobody but the callback gets it.
fn trip_cookie(shared: &Shared) -> (&'static str, &'static str) {
    if shared.door.users.settings().secure_cookies { ("__Host-ges-login", "/") } else { ("ges_login", CALLBACK_PATH) }
}

fn see_other(address: &str) -> Result<Response, Problem> {
    let value = HeaderValue::from_str(address).map_err(|_| Problem::new(Kind::Failed, "The log-in failed."))?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, value);
    Ok(response)
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// The cookie goes when the browser does; the session ends by itself.
fn session_cookie(shared: &Shared, token: &str) -> Result<HeaderValue, Problem> {
    cookie(shared, gate::cookie_name(shared), token, None, "/")
}

/// Of a browser one session is left: the one that it gets now.
async fn replace(shared: &Shared, headers: &HeaderMap) {
    if let Some(token) = gate::cookie(headers, gate::cookie_name(shared)) {
        shared.door.users.replaced(token.as_bytes()).await;
    }
}

/// A cookie that no script can read. Where users come back from a provider a strict one would not come along with the
/// very first page, since another site has led there.
fn cookie(shared: &Shared, name: &str, value: &str, seconds: Option<i64>, path: &str) -> Result<HeaderValue, Problem> {
    let users = &shared.door.users;
    let same_site = if users.come_from_elsewhere() { "Lax" } else { "Strict" };
    let secure = if users.settings().secure_cookies { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite={same_site}{secure}{age}");
    let mut value = HeaderValue::from_str(&text).map_err(|_| Problem::new(Kind::Failed, "The log-in failed."))?;
    value.set_sensitive(true);
    Ok(value)
}

fn told(shared: &Shared, visitor: &Visitor, token: &str) -> SessionData {
    let users = &shared.door.users;
    let limits = &users.settings().limits;
    let lines = match visitor.grants.lines() {
        Lines::Every => None,
        Lines::Only(lines) => Some(lines.iter().cloned().collect()),
    };
    let permissions = domain::access::Permission::ALL.into_iter().filter(|permission| visitor.may(*permission));
    let session = &visitor.session;
    SessionData {
        user: session.user.to_string(),
        tenant: visitor.access.name.to_string(),
        roles: visitor.grants.roles.iter().cloned().collect(),
        permissions: permissions.map(domain::access::Permission::name).collect(),
        lines_of_business: lines,
        every_tenant: visitor.grants.reach_everywhere(),
        csrf_token: users.csrf_token(token.as_bytes()),
        idle_seconds: limits.idle.num_seconds(),
        ends_at: Stamp(session.created_at + limits.life),
    }
}
