//! The delivery of events: webhook endpoints and what became of their messages, notifications to customers, and
//! sending by hand. The header `ContactCenterID` names the tenant.

mod schemas;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use bytes::Bytes;
use domain::ids::{CorrelationId, TenantId};
use domain::notices::{Outcome, Sent};
use domain::ports::{NoticeQuery, Recovered};
use schemas::{
    DeliveriesResponse, DeliveryEntry, DeliveryList, Done, DoneResponse, EndpointEntry, EndpointList, EndpointPath,
    EndpointRefusals, EndpointsResponse, ExampleRequest, PublishRequest, RecoverRequest, ResendRequest,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals};
use super::parameters::TenantHeader;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::news::{self as wire, ListQuery};

/// The operations of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(endpoints))
        .routes(routes!(deliveries_of_event))
        .routes(routes!(deliveries))
        .routes(routes!(resend))
        .routes(routes!(recover))
        .routes(routes!(enable))
        .routes(routes!(example))
        .routes(routes!(notifications))
        .routes(routes!(publish))
}

/// The beginning of every operation of this file: token, tenant, body.
async fn enter(shared: &Shared, request: Request) -> Result<(CorrelationId, TenantId, Bytes), Problem> {
    let (asked, body) = Asked::with_json(shared, request).await?;
    Ok((asked.context.corr_id(), asked.tenant, body.bytes))
}

fn name(endpoint: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let named =
        endpoint.map(|Path(name)| name).map_err(|_| Problem::bad("The endpoint in the path", "must be UTF-8"))?;
    if named.chars().count() > 255 { Err(Problem::bad("The endpoint in the path", "is too long")) } else { Ok(named) }
}

/// List webhook endpoints with their state.
#[utoipa::path(
    get, path = "/ges/v1/webhooks", tag = "Internal",
    params(TenantHeader),
    responses(
        (status = 200, description = "Every endpoint of the settings, and those that are still owed something.",
            body = EndpointsResponse),
        WorkRefusals, TenantRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn endpoints(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (corr_id, tenant, _) = enter(&shared, request).await?;
    let views = shared.door.news.endpoints(tenant).await?;
    Ok(reply::success(corr_id, EndpointList { endpoints: views.iter().map(EndpointEntry::from).collect() }))
}

/// What became of one event, at every endpoint and device.
#[utoipa::path(
    get, path = "/ges/v1/webhooks/deliveries", tag = "Internal",
    params(
        ("event" = String, Query, description = "The id of an event.", format = Uuid),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "One entry per receiver.", body = DeliveriesResponse),
        WorkRefusals, TenantRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn deliveries_of_event(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, _) = enter(&shared, request).await?;
    let happening = wire::event_query(query.as_deref())?;
    let seq = happening.seq_in(tenant);
    let seq = seq.ok_or_else(|| Problem::new(Kind::NotFound, "event is the id of no event of this tenant."))?;
    list(&shared, corr_id, tenant, NoticeQuery::Happening(seq), 200).await
}

/// What became of the messages to an endpoint, newest first.
#[utoipa::path(
    get, path = "/ges/v1/webhooks/{endpoint}/deliveries", tag = "Internal",
    params(
        EndpointPath,
        ("before" = Option<String>, Query, description = "Only messages about earlier events than this.", format = Uuid),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 if absent.", minimum = 1, maximum = 500),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "The messages.", body = DeliveriesResponse),
        WorkRefusals, TenantRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn deliveries(
    State(shared): State<Arc<Shared>>,
    endpoint: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, _) = enter(&shared, request).await?;
    let ListQuery { before, limit } = wire::list_query(query.as_deref())?;
    let before = before.map(|id| id.seq_in(tenant).unwrap_or_default());
    list(&shared, corr_id, tenant, NoticeQuery::Endpoint { endpoint: name(endpoint)?, before }, limit).await
}

/// What became of notifications to customers, newest first.
#[utoipa::path(
    get, path = "/ges/v1/notifications", tag = "Internal",
    params(
        ("before" = Option<String>, Query, description = "Only those about earlier events than this.", format = Uuid),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 if absent.", minimum = 1, maximum = 500),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "The notifications.", body = DeliveriesResponse),
        WorkRefusals, TenantRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn notifications(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, _) = enter(&shared, request).await?;
    let ListQuery { before, limit } = wire::list_query(query.as_deref())?;
    let before = before.map(|id| id.seq_in(tenant).unwrap_or_default());
    list(&shared, corr_id, tenant, NoticeQuery::Push { before }, limit).await
}

async fn list(
    shared: &Shared,
    corr_id: CorrelationId,
    tenant: TenantId,
    query: NoticeQuery,
    limit: usize,
) -> Result<Response, Problem> {
    let views = shared.door.news.notices(tenant, query, limit).await?;
    Ok(reply::success(corr_id, DeliveryList { deliveries: views.iter().map(DeliveryEntry::from).collect() }))
}

/// Send one event to an endpoint again, whatever became of it.
#[utoipa::path(
    post, path = "/ges/v1/webhooks/{endpoint}/resend", tag = "Internal",
    params(EndpointPath, TenantHeader),
    request_body = ResendRequest,
    responses(
        (status = 200, description = "It is owed again, under the same id.", body = DoneResponse),
        WorkRefusals, EndpointRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn resend(
    State(shared): State<Arc<Shared>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, body) = enter(&shared, request).await?;
    shared.door.news.resend(tenant, &name(endpoint)?, wire::resend(&body)?).await?;
    Ok(reply::success(corr_id, Done { messages: Some(1), ..Done::NOTHING }))
}

/// Make every event from a time on owed to an endpoint that was not delivered to it.
///
/// Looks at 10,000 events at most; if there is more, `next` says where to go on.
#[utoipa::path(
    post, path = "/ges/v1/webhooks/{endpoint}/recover", tag = "Internal",
    params(EndpointPath, TenantHeader),
    request_body = RecoverRequest,
    responses(
        (status = 200, description = "They are owed.", body = DoneResponse),
        WorkRefusals, EndpointRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn recover(
    State(shared): State<Arc<Shared>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, body) = enter(&shared, request).await?;
    let from = wire::recover(&body)?;
    let Recovered { messages, until, complete } = shared.door.news.recover(tenant, &name(endpoint)?, from).await?;
    let next = (!complete).then(|| until.to_string());
    Ok(reply::success(corr_id, Done { messages: Some(messages), next, ..Done::NOTHING }))
}

/// Switch an endpoint on again that had failed for too long.
#[utoipa::path(
    post, path = "/ges/v1/webhooks/{endpoint}/enable", tag = "Internal",
    params(EndpointPath, TenantHeader),
    responses(
        (status = 200, description = "It is on.", body = DoneResponse),
        WorkRefusals, EndpointRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn enable(
    State(shared): State<Arc<Shared>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, _) = enter(&shared, request).await?;
    let enabled = shared.door.news.enable(tenant, &name(endpoint)?).await?;
    Ok(reply::success(corr_id, Done { enabled: Some(enabled), ..Done::NOTHING }))
}

/// Send a made-up event to an endpoint, now and once.
#[utoipa::path(
    post, path = "/ges/v1/webhooks/{endpoint}/example", tag = "Internal",
    params(EndpointPath, TenantHeader),
    request_body = ExampleRequest,
    responses(
        (status = 200, description = "What came of it, in `result`.", body = DoneResponse),
        WorkRefusals, EndpointRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn example(
    State(shared): State<Arc<Shared>>,
    endpoint: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (corr_id, tenant, body) = enter(&shared, request).await?;
    let kind = wire::example(&body)?;
    let sent = shared.door.news.send_example(tenant, &name(endpoint)?, kind).await?;
    let delivered = Some(sent.outcome == Outcome::Done);
    Ok(reply::success(corr_id, Done { result: Some(sent.detail.words()), delivered, ..Done::NOTHING }))
}

/// Send a notification to a device, now and once.
#[utoipa::path(
    post, path = "/ges/v1/notifications/publish", tag = "Internal",
    params(TenantHeader),
    request_body = PublishRequest,
    responses(
        (status = 200, description = "The channel took it; its own id is in `messageId`, if it gave one.",
            body = DoneResponse),
        WorkRefusals, TenantRefusals, BodyRefusals,
    ),
)]
pub(crate) async fn publish(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (corr_id, tenant, body) = enter(&shared, request).await?;
    let wire::Publishing { target, notification, validate_only } = wire::publish(&body)?;
    let sent = shared.door.news.publish(tenant, target, notification, validate_only).await?;
    let Sent { outcome, detail, receipt, .. } = sent;
    let what = detail.words();
    match outcome {
        Outcome::Done => {
            Ok(reply::success(corr_id, Done { delivered: Some(true), message_id: receipt, ..Done::NOTHING }))
        }
        Outcome::Refused => Err(Problem::new(Kind::BadParameter, format!("The notification was not taken: {what}."))),
        Outcome::NotDone => Err(Problem::new(Kind::Busy, format!("The notification was not sent: {what}."))),
        Outcome::Perhaps => {
            Err(Problem::new(Kind::Failed, format!("It is not known whether the notification was taken: {what}.")))
        }
    }
}
