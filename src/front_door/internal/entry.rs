//! The beginning of the internal operations: the shared token, the tenant that the header `ContactCenterID` names by id
//! or by name, the body; and how all of them refuse.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use domain::access::Permission;
use domain::callback::Canceller;
use domain::document::Node;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::Unserved;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use utoipa::IntoResponses;

use super::admin::ORDER;
use crate::front_door::body::{self, Media, Whole};
use crate::front_door::engagement::context;
use crate::front_door::engagement::schemas::ErrorResponse;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::gate::Visitor;
use crate::front_door::guard::Context;
use crate::front_door::router::{Shared, Side};
use crate::front_door::wire::parse_id;
use crate::provisioning::Order;

/// The header that names the tenant.
pub(super) const TENANT: &str = "contactcenterid";

/// Who acts where no user does.
pub(super) const MACHINE: &str = "api";

/// Refusals of the internal operations.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(super) enum WorkRefusals {
    /// The request is malformed.
    #[response(status = 400)]
    BadRequest(ErrorResponse),
    /// The shared token is missing or wrong.
    #[response(status = 401)]
    Unauthorized(ErrorResponse),
    /// The server, or something behind it, failed.
    #[response(status = 500)]
    Failed(ErrorResponse),
    /// The server cannot take this now; repeat it.
    #[response(status = 503, headers(("Retry-After" = u32, description = "Seconds to wait.")))]
    Busy(ErrorResponse),
}

/// Refusals where only the tenant can be unknown.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(super) enum TenantRefusals {
    /// No such tenant.
    #[response(status = 404)]
    NotFound(ErrorResponse),
}

/// Refusals of internal operations with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
pub(super) enum BodyRefusals {
    /// The body did not arrive in time.
    #[response(status = 408)]
    TooSlow(ErrorResponse),
    /// The body is longer than the configured maximum.
    #[response(status = 413)]
    TooLong(ErrorResponse),
    /// A body that is not JSON.
    #[response(status = 415)]
    WrongType(ErrorResponse),
}

/// A request about a tenant, let in.
pub(super) struct Asked {
    pub(super) context: Context,
    pub(super) tenant: TenantId,
    /// Name of the tenant.
    pub(super) name: Arc<str>,
    pub(super) headers: HeaderMap,
    /// Who asks.
    pub(super) who: Who,
    body: Body,
}

impl Asked {
    /// The first checks of every operation: token, then tenant.
    pub(super) fn enter(shared: &Shared, request: Request) -> Result<Self, Problem> {
        let (context, parts, body) = admit(shared, request)?;
        let tenant = tenant(shared, &context, &parts.headers)?;
        let name = shared.door.keys.tenant_name(tenant).unwrap_or_default();
        let who = Who::of(&parts.extensions);
        Ok(Self { context, tenant, name, headers: parts.headers, who, body })
    }

    /// The same with the JSON that came along.
    pub(super) async fn with_json(shared: &Shared, request: Request) -> Result<(Self, Whole), Problem> {
        let mut asked = Self::enter(shared, request)?;
        let body = asked.body(shared, Media::Json).await?;
        Ok((asked, body))
    }

    /// The whole body.
    pub(super) async fn body(&mut self, shared: &Shared, media: Media) -> Result<Whole, Problem> {
        let body = std::mem::take(&mut self.body);
        body::read_as(shared, &self.context, &self.headers, body, media).await
    }

    /// The body as a tree.
    pub(super) async fn json(&mut self, shared: &Shared) -> Result<Node, Problem> {
        let body = self.body(shared, Media::Json).await?;
        super::admin::json(&body.bytes)
    }
}

/// Who asks: a user, or somebody who may reach the internal listener.
pub(super) struct Who(Option<Arc<Visitor>>);

impl Who {
    /// Whom the gate has let in.
    pub(super) fn of(extensions: &http::Extensions) -> Self {
        Self(extensions.get::<Arc<Visitor>>().cloned())
    }

    /// Who acts, as the audit log tells it.
    pub(super) fn actor(&self) -> &str {
        self.0.as_ref().map_or(MACHINE, |visitor| &visitor.actor)
    }

    /// Who cancels for a person in the office.
    pub(super) fn canceller(&self) -> Canceller {
        self.0.as_ref().map_or(Canceller::Admin, |visitor| Canceller::User(visitor.actor.as_str().into()))
    }

    /// How changes of settings are made.
    pub(super) fn order(&self) -> Order<'_> {
        Order { actor: self.actor(), ..ORDER }
    }

    /// The queues to which the user is limited; none if to no queues.
    pub(super) fn limited_to(&self) -> Option<Vec<QueueName>> {
        self.0.as_ref().and_then(|visitor| visitor.limited_to())
    }

    /// Whether a queue, by its name or an alias, is there for whoever asks.
    pub(super) fn sees(&self, queue: &str) -> bool {
        self.0.as_ref().is_none_or(|visitor| visitor.sees(queue))
    }

    /// Whoever asks must be allowed this beside what the operation asks for. Requests without a session are trusted.
    pub(super) fn needs(&self, shared: &Shared, permission: Permission) -> Result<(), Problem> {
        let lacks = self.0.as_ref().is_some_and(|visitor| !visitor.may(permission));
        if shared.side == Side::External && lacks {
            let rule = format!("The user lacks the permission {}.", permission.name());
            return Err(Problem::new(Kind::Forbidden, rule));
        }
        Ok(())
    }

    /// A callback of a queue that is not there for whoever asks is not there either.
    pub(super) async fn must_see(&self, shared: &Shared, tenant: TenantId, id: CallbackId) -> Result<(), Problem> {
        if self.limited_to().is_none() {
            return Ok(());
        }
        let found = shared.door.flow.callback(tenant, id).await?;
        if self.sees(found.callback.queue.as_str()) { Ok(()) } else { Err(Unserved::NotFound.into()) }
    }
}

/// The first check of every operation, and the only one of those that are about no tenant: the token.
pub(super) fn admit(shared: &Shared, request: Request) -> Result<(Context, Parts, Body), Problem> {
    let (mut parts, body) = request.into_parts();
    let context = context(&mut parts.extensions)?;
    match shared.side {
        Side::Internal => check_token(shared, &parts.headers)?,
        // The gate lets nobody else through; that is not to be relied on.
        Side::External if parts.extensions.get::<Arc<Visitor>>().is_none() => {
            return Err(Problem::new(Kind::NotFound, "There is nothing at this path."));
        }
        Side::External => {}
    }
    Ok((context, parts, body))
}

/// The shared token, if one is configured, must come along.
fn check_token(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(token) = &shared.internal_token else { return Ok(()) };
    let presented = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    if presented.is_some_and(|presented| token.admits(presented)) {
        return Ok(());
    }
    Err(Problem::new(Kind::NoToken, "Missing or wrong token in Authorization: Bearer."))
}

/// The tenant that the header names.
pub(super) fn tenant(shared: &Shared, context: &Context, headers: &HeaderMap) -> Result<TenantId, Problem> {
    let found = shared.door.keys.tenant(named_tenant(headers)?);
    let (id, name) = found.ok_or_else(|| Problem::new(Kind::NotFound, "ContactCenterID names no known tenant."))?;
    context.belongs_to(&name);
    Ok(id)
}

/// What the header says, whether there is such a tenant or not.
pub(super) fn named_tenant(headers: &HeaderMap) -> Result<&str, Problem> {
    let named = headers.get(TENANT).and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or_default();
    if named.is_empty() { Err(Problem::bad("ContactCenterID", "is required as a header")) } else { Ok(named) }
}

/// The id in the path.
pub(super) fn path_id<I: FromStr>(id: Result<Path<String>, PathRejection>) -> Result<I, Problem> {
    let text = id.map(|Path(text)| text).unwrap_or_default();
    parse_id("The id in the path", &text)
}
