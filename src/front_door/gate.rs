//! Who of the users may do what: the session of a request, its CSRF token, and the permission table.
//!
//! On the external listener everything under `/ges/v1` is for users, and for those whom the table admits; whoever comes
//! without a session finds nothing there. The internal listener goes on trusting whoever may reach it; but a request that
//! brings a session sees no more there than its user's tenant and lines of business.
//!
//! Handlers know tenants by the header `ContactCenterID`: the gate puts the one in that the user may ask about. So the wall
//! between tenants is the same for users as for everybody else.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use domain::access::routes::{About, Admits, Rule, find};
use domain::access::{Grants, Lines, Permission, Scope, Session, TenantAccess};
use domain::ids::{QueueName, TenantId};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};

use super::error::{Kind, Problem};
use super::guard::Context;
use super::router::{Shared, Side};
use crate::users::VisitError;

/// Operations for users, and for machines.
pub(super) const OWN_PATHS: &str = "/ges/v1/";
/// Operations for holders of an API key.
const KEY_PATHS: &str = "/engagement/v3/";
/// Shows that a page of ours asks.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";
/// Names a tenant, for users who have business in several.
const TENANT_CHOICE: &str = "ges-tenant";
/// What handlers look at.
const TENANT_HEADER: &str = "contactcenterid";
/// The cookie of a session, over encrypted connections: a browser takes it from this very host only.
const SECURE_COOKIE: &str = "__Host-ges";
const PLAIN_COOKIE: &str = "ges_session";

/// A user who asks something.
pub(crate) struct Visitor {
    pub(crate) session: Session,
    /// What goes into the audit log.
    pub(crate) actor: String,
    /// The tenant that is asked about.
    tenant: TenantId,
    pub(crate) access: Arc<TenantAccess>,
    pub(crate) grants: Grants,
    own_tenant: bool,
    /// How far this question reaches.
    lines: Lines,
}

impl Visitor {
    /// Whether the user may do this too, in the tenant that is asked about.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.grants.scope(permission, self.own_tenant).is_some()
    }

    /// Whether a queue, by its name or an alias, is there for the user.
    pub(crate) fn sees(&self, queue: &str) -> bool {
        self.access.sees(&self.lines, queue)
    }

    /// The queues to which the user is limited; none if to no queues.
    pub(crate) fn limited_to(&self) -> Option<Vec<QueueName>> {
        self.lines.are_limited().then(|| self.access.seen(&self.lines))
    }
}

/// Name of the cookie of a session.
pub(super) fn cookie_name(shared: &Shared) -> &'static str {
    if shared.door.users.settings().secure_cookies { SECURE_COOKIE } else { PLAIN_COOKIE }
}

/// The value of the first cookie of that name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(known, _)| *known == name);
    values.next().map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// The middleware between the guard and the handlers.
pub(crate) async fn gate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    match admit(&shared, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn nothing_here() -> Problem {
    Problem::new(Kind::NotFound, "There is nothing at this path.")
}

fn no_session() -> Problem {
    VisitError::Over.into()
}

async fn admit(shared: &Shared, request: &mut Request) -> Result<(), Problem> {
    let Some(matched) = request.extensions().get::<MatchedPath>().cloned() else { return Ok(()) };
    let route = matched.as_str();
    let outside = shared.side == Side::External;
    if !route.starts_with(OWN_PATHS) {
        return if outside && !route.starts_with(KEY_PATHS) { Err(nothing_here()) } else { Ok(()) };
    }
    let rule = find(request.method().as_str(), route, section(route, request.uri().path()));
    let token = cookie(request.headers(), cookie_name(shared)).map(str::to_owned);
    let needed = match rule.map(|rule| rule.admits) {
        None | Some(Admits::Machines) if outside => return Err(nothing_here()),
        Some(Admits::Everybody) => return Ok(()),
        // Where the interface asks whether there is a session, it is told that there is none.
        _ if outside && token.is_none() && route != super::internal::SESSION_PATH => return Err(nothing_here()),
        _ => outside || route == super::internal::SESSION_PATH,
    };
    match (token, rule) {
        (None, _) if needed => Err(no_session()),
        (Some(token), Some(rule)) => {
            // Bodies cannot be looked at from two threads, so the request as a whole stays here.
            let asking = Asking { method: request.method().clone(), headers: request.headers().clone() };
            let visitor = visit(shared, &asking, &token, rule).await?;
            enter(request, visitor)
        }
        (Some(_), None) => Err(nothing_here()),
        (None, _) => Ok(()),
    }
}

/// The part of the path that the table tells apart.
fn section<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    let place = route.split('/').position(|part| part == "{section}")?;
    path.split('/').nth(place)
}

/// What is looked at of a request.
struct Asking {
    method: Method,
    headers: HeaderMap,
}

async fn visit(shared: &Shared, asking: &Asking, token: &str, rule: &Rule) -> Result<Visitor, Problem> {
    let (headers, users) = (&asking.headers, &shared.door.users);
    let session = users.visit(token.as_bytes(), &|named| shared.door.keys.tenant_id(named)).await?;
    let safe = matches!(asking.method, Method::GET | Method::HEAD);
    let shown = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !safe && !users.goes_with(shown, token.as_bytes()) {
        return Err(Problem::new(Kind::Forbidden, "The header X-CSRF-Token is missing or wrong."));
    }
    // A tenant that is gone takes its users along; should it come back, so do they.
    let own = shared.door.keys.access(session.tenant).ok_or_else(no_session)?;
    let grants = Grants::of(&session.membership, &own, &users.settings().platform);
    let (tenant, access) = asked_about(shared, headers, &session, &own, &grants)?;
    let own_tenant = tenant == session.tenant;
    let scope = scope(shared.side, rule, &grants, own_tenant)?;
    if let About::Tenant(why) = rule.about
        && scope.lines.are_limited()
    {
        let rule = format!("This is for users who are not limited to lines of business: {}.", why.reason());
        return Err(Problem::new(Kind::Forbidden, rule));
    }
    let for_all = rule.about == About::Installation && rule.admits != Admits::Machines;
    if for_all && !scope.everywhere {
        return Err(Problem::new(Kind::Forbidden, "This is for users who look after the installation."));
    }
    let actor = format!("user:{}", session.user);
    Ok(Visitor { session, actor, tenant, access, grants, own_tenant, lines: scope.lines })
}

/// Who has just logged in. A user without any role is let in to be told so.
pub(super) fn arrived(shared: &Shared, session: Session) -> Result<Visitor, Problem> {
    let access = shared.door.keys.access(session.tenant).ok_or_else(no_session)?;
    let grants = Grants::of(&session.membership, &access, &shared.door.users.settings().platform);
    let (tenant, actor, lines) = (session.tenant, format!("user:{}", session.user), grants.lines().clone());
    Ok(Visitor { session, actor, tenant, access, grants, own_tenant: true, lines })
}

/// How far the question reaches, if it may be asked.
fn scope(side: Side, rule: &Rule, grants: &Grants, own_tenant: bool) -> Result<Scope, Problem> {
    // Without a permission to speak of, what the user is limited to still holds.
    let limits = || Scope {
        lines: if own_tenant { grants.lines().clone() } else { Lines::Every },
        everywhere: grants.reach_everywhere(),
    };
    match rule.admits {
        Admits::Holders(permission) => match grants.scope(permission, own_tenant) {
            Some(scope) => Ok(scope),
            // Whoever reaches that listener may ask there; a session only limits what is seen.
            None if side == Side::Internal => Ok(limits()),
            None if !own_tenant => Err(unknown_tenant()),
            None => {
                let rule = format!("The user lacks the permission {}.", permission.name());
                Err(Problem::new(Kind::Forbidden, rule))
            }
        },
        Admits::Everybody | Admits::Users | Admits::Machines => Ok(limits()),
    }
}

fn unknown_tenant() -> Problem {
    Problem::new(Kind::NotFound, "There is no such tenant.")
}

/// The tenant that is asked about: the user's own, unless the user names another and has business there.
fn asked_about(
    shared: &Shared,
    headers: &HeaderMap,
    session: &Session,
    own: &Arc<TenantAccess>,
    grants: &Grants,
) -> Result<(TenantId, Arc<TenantAccess>), Problem> {
    let named = |header: &str| headers.get(header).and_then(|value| value.to_str().ok()).map(str::trim);
    let named = named(TENANT_CHOICE).or_else(|| named(TENANT_HEADER)).filter(|name| !name.is_empty());
    let Some(named) = named else { return Ok((session.tenant, Arc::clone(own))) };
    let (id, _) = shared.door.keys.tenant(named).ok_or_else(unknown_tenant)?;
    if id == session.tenant {
        return Ok((id, Arc::clone(own)));
    }
    // A tenant of others is as good as none.
    let access = shared.door.keys.access(id).filter(|_| grants.reach_everywhere());
    Ok((id, access.ok_or_else(unknown_tenant)?))
}

fn enter(request: &mut Request, visitor: Visitor) -> Result<(), Problem> {
    if let Some(context) = request.extensions().get::<Context>() {
        context.belongs_to(&visitor.access.name);
    }
    let value = HeaderValue::from_str(&visitor.tenant.to_string())
        .map_err(|_| Problem::new(Kind::Failed, "The service failed on this request."))?;
    request.headers_mut().insert(TENANT_HEADER, value);
    request.extensions_mut().insert(Arc::new(visitor));
    Ok(())
}
