//! Documents of tenants: whole, by their parts, and by their history.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::document::Node;
use domain::ids::TenantId;
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::admin::{
    AnyDocument, AskRefusals, ChangeRefusals, ChangesResponse, Expected, apply, changes, json, stored, tagged,
};
use super::entry::{Asked, Who, WorkRefusals, admit, named_tenant};
use super::parameters::{IfMatch, TenantHeader};
use crate::front_door::body::{self, Media};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::guard::Context;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::front_door::wire::time::Stamp;
use crate::provisioning::ProvisioningError;

/// Entries of a list unless asked otherwise, and at most.
const USUAL_ENTRIES: u32 = 20;
const MAX_ENTRIES: u32 = 100;

/// A tenant in a list.
#[derive(Serialize, ToSchema)]
struct TenantEntry {
    #[schema(value_type = String, format = Uuid)]
    id: TenantId,
    name: String,
    /// Revision of its document.
    revision: u64,
    /// How many queues it has.
    queues: usize,
    /// `withdrawn` while its contact centre is known to be no more: nothing new is taken.
    standing: Standing,
}

/// Whether a tenant takes requests.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Served,
    Withdrawn,
}

/// Every tenant.
#[derive(Serialize, ToSchema)]
struct TenantList {
    tenants: Vec<TenantEntry>,
}

/// Answer to the question which tenants there are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct TenantsResponse {
    status: SuccessStatus,
    data: TenantList,
}

/// One entry of a history.
#[derive(Serialize, ToSchema)]
struct RevisionEntry {
    revision: u64,
    /// When it was applied.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// By whom.
    actor: String,
}

/// A history.
#[derive(Serialize, ToSchema)]
struct RevisionList {
    revisions: Vec<RevisionEntry>,
}

/// Answer to the question how a document came to be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct RevisionsResponse {
    status: SuccessStatus,
    data: RevisionList,
}

/// Which part of a document.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what is read")]
#[into_params(parameter_in = Path)]
struct EntryPath {
    /// queues, businessHours, capacityRules, numberRules, regionRules, callInGroups or webhooks.
    section: String,
    /// Name of the entry.
    name: String,
}

/// List all tenants.
#[utoipa::path(
    get, path = "/ges/v1/tenants", tag = "Settings",
    responses((status = 200, description = "By name.", body = TenantsResponse), WorkRefusals),
)]
pub(crate) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let tenants = shared.door.provisioning.list().await.map_err(stored)?;
    let entry = |it: crate::provisioning::Listed| TenantEntry {
        id: it.id,
        name: it.name,
        revision: it.revision,
        queues: it.queues,
        standing: if shared.door.keys.is_withdrawn(it.id) { Standing::Withdrawn } else { Standing::Served },
    };
    Ok(reply::success(context.corr_id(), TenantList { tenants: tenants.into_iter().map(entry).collect() }))
}

/// Read the document of a tenant.
///
/// As short as it can be said: what is the default is left out. Its ETag is its revision.
#[utoipa::path(
    get, path = "/ges/v1/tenant", tag = "Settings",
    params(TenantHeader),
    responses(
        (status = 200, description = "The document itself.", body = AnyDocument, content_type = "application/json"),
        AskRefusals,
    ),
)]
pub(crate) async fn read(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (revision, document) = shared.door.provisioning.export(asked.tenant).await?;
    Ok(tagged(reply::plain(StatusCode::OK, &document), revision))
}

/// Make a tenant what its document says.
///
/// All of it is applied, or nothing if anything is wrong. `If-Match` names the revision that it was made from;
/// `If-None-Match: *` makes a new tenant of the name in ContactCenterID.
#[utoipa::path(
    put, path = "/ges/v1/tenant", tag = "Settings",
    params(
        TenantHeader,
        IfMatch,
        ("If-None-Match" = Option<String>, Header, description = "* for a new tenant."),
    ),
    request_body(content = AnyDocument, content_type = "application/json"),
    responses((status = 200, description = "Applied.", body = ChangesResponse), ChangeRefusals),
)]
pub(crate) async fn write(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, parts, body) = admit(&shared, request)?;
    let named = named_tenant(&parts.headers)?;
    let known = shared.door.keys.tenant(named);
    if let Some((_, name)) = &known {
        context.belongs_to(name);
    }
    let body = body::read_as(&shared, &context, &parts.headers, body, Media::Json).await?;
    let (provisioning, who) = (&shared.door.provisioning, Who::of(&parts.extensions));
    let order = who.order();
    if is_new(&parts.headers) {
        let plan = provisioning.plan_of(TenantId::from_name(named), named, json(&body.bytes)?, &order).await?;
        let absent = plan.revision.is_none() && known.is_none();
        return if absent { apply(&shared, &context, plan).await } else { Err(exists()) };
    }
    let Some((tenant, name)) = known else { return Err(unknown_tenant()) };
    let expected = Expected::of(&parts.headers)?;
    let plan = provisioning.plan_of(tenant, &name, json(&body.bytes)?, &order).await?;
    expected.check(plan.revision)?;
    apply(&shared, &context, plan).await
}

fn is_new(headers: &HeaderMap) -> bool {
    headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"*")
}

fn exists() -> Problem {
    Problem::new(Kind::PreconditionFailed, "There is a tenant of that name.")
}

fn unknown_tenant() -> Problem {
    Problem::new(Kind::NotFound, "ContactCenterID names no known tenant.")
}

/// Say what a document would change, or everything that is wrong with it.
#[utoipa::path(
    post, path = "/ges/v1/tenant/validate", tag = "Settings",
    params(TenantHeader),
    request_body(content = AnyDocument, content_type = "application/json"),
    responses((status = 200, description = "It could be applied.", body = ChangesResponse), ChangeRefusals),
)]
pub(crate) async fn validate(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let root = asked.json(&shared).await?;
    let order = crate::provisioning::Order { ask_providers: false, ..asked.who.order() };
    let plan = shared.door.provisioning.plan_of(asked.tenant, &asked.name, root, &order).await?;
    Ok(reply::success(asked.context.corr_id(), changes(&plan, None)))
}

/// Tell who changed the document of a tenant, and when.
#[utoipa::path(
    get, path = "/ges/v1/tenant/revisions", tag = "Settings",
    params(
        TenantHeader,
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 if absent.", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "Newest first.", body = RevisionsResponse), AskRefusals),
)]
pub(crate) async fn revisions(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let limit = Query::new(query.as_deref()).limit(USUAL_ENTRIES, MAX_ENTRIES)?;
    let revisions = shared.door.provisioning.revisions(asked.tenant, limit).await.map_err(stored)?;
    let entry =
        |it: domain::ports::Revision| RevisionEntry { revision: it.revision, at: Stamp(it.at), actor: it.actor };
    let revisions = revisions.into_iter().map(entry).collect();
    Ok(reply::success(asked.context.corr_id(), RevisionList { revisions }))
}

/// Read what the document of a tenant said in a revision that is still kept.
#[utoipa::path(
    get, path = "/ges/v1/tenant/revisions/{revision}", tag = "Settings",
    params(
        ("revision" = u64, Path, description = "Its number.", minimum = 1, maximum = 9_007_199_254_740_992_i64),
        TenantHeader,
    ),
    responses(
        (status = 200, description = "The document itself.", body = AnyDocument, content_type = "application/json"),
        AskRefusals,
    ),
)]
pub(crate) async fn revision(
    State(shared): State<Arc<Shared>>,
    revision: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let number = revision.map(|Path(text)| text).unwrap_or_default().parse::<u64>();
    let number = number.map_err(|_| Problem::bad("The revision in the path", "must be a whole number"))?;
    let document = shared.door.provisioning.export_revision(asked.tenant, number).await?;
    Ok(tagged(reply::plain(StatusCode::OK, &document), number))
}

type Part = Result<Path<(String, String)>, PathRejection>;

/// The two parts of a path, whose section has to be one of the document's.
fn part(path: Part) -> Result<(String, String), Problem> {
    let Ok(Path((section, name))) = path else { return Err(Problem::bad("The path", "is no text")) };
    if crate::provisioning::SECTIONS.contains(&section.as_str()) {
        return Ok((section, name));
    }
    let rule = format!("must be one of {}", crate::provisioning::SECTIONS.join(", "));
    Err(Problem::bad("The section in the path", rule))
}

/// Read one entry of a document.
///
/// A queue is told with all its settings, also those that are the default. The ETag is the document's revision.
#[utoipa::path(
    get, path = "/ges/v1/tenant/{section}/{name}", tag = "Settings",
    params(EntryPath, TenantHeader),
    responses(
        (status = 200, description = "The entry itself.", body = serde_json::Value, content_type = "application/json"),
        AskRefusals,
    ),
)]
pub(crate) async fn read_part(
    State(shared): State<Arc<Shared>>,
    path: Part,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (section, name) = part(path)?;
    // What is not of the user's lines is not there; the other sections are not for users who are limited.
    if !asked.who.sees(&name) {
        return Err(ProvisioningError::UnknownEntry.into());
    }
    let (revision, entry) = shared.door.provisioning.entry(asked.tenant, &section, &name).await?;
    Ok(tagged(reply::plain(StatusCode::OK, &entry), revision))
}

/// Put one entry of a document.
#[utoipa::path(
    put, path = "/ges/v1/tenant/{section}/{name}", tag = "Settings",
    params(EntryPath, TenantHeader, IfMatch),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, description = "Applied.", body = ChangesResponse), ChangeRefusals),
)]
pub(crate) async fn write_part(
    State(shared): State<Arc<Shared>>,
    path: Part,
    request: Request,
) -> Result<Response, Problem> {
    let mut asked = Asked::enter(&shared, request)?;
    let part = part(path)?;
    let expected = Expected::of(&asked.headers)?;
    let entry = asked.json(&shared).await?;
    change_part(&shared, (&asked.context, asked.tenant, &asked.who), &expected, part, Some(entry)).await
}

/// Remove one entry of a document.
#[utoipa::path(
    delete, path = "/ges/v1/tenant/{section}/{name}", tag = "Settings",
    params(EntryPath, TenantHeader, IfMatch),
    responses((status = 200, description = "Applied.", body = ChangesResponse), ChangeRefusals),
)]
pub(crate) async fn remove_part(
    State(shared): State<Arc<Shared>>,
    path: Part,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let part = part(path)?;
    let expected = Expected::of(&asked.headers)?;
    change_part(&shared, (&asked.context, asked.tenant, &asked.who), &expected, part, None).await
}

async fn change_part(
    shared: &Shared,
    (context, tenant, who): (&Context, TenantId, &Who),
    expected: &Expected,
    (section, name): (String, String),
    entry: Option<Node>,
) -> Result<Response, Problem> {
    let plan = shared.door.provisioning.plan_entry(tenant, &section, &name, entry, &who.order()).await?;
    expected.check(plan.revision)?;
    apply(shared, context, plan).await
}

/// The JSON Schema of the document of a tenant, for editors.
#[utoipa::path(
    get, path = "/ges/v1/schemas/tenant", tag = "Settings",
    responses((status = 200, description = "The schema itself.", body = AnyDocument, content_type = "application/json"))
)]
pub(crate) async fn schema() -> Response {
    reply::plain(StatusCode::OK, &domain::tenant::json_schema())
}
