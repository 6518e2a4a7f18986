//! Credentials of tenants, one by one: put, listed by their fingerprints, removed, and never shown again. And keys
//! that somebody wants to know about.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::ids::TenantId;
use domain::secret::CredentialKind;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::admin::{AnyDocument, AskRefusals, ChangeRefusals, stored};
use super::entry::{Asked, BodyRefusals, TenantRefusals, Who, WorkRefusals, admit, named_tenant, tenant};
use super::parameters::TenantHeader;
use crate::front_door::body::{self, Media};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::guard::Context;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;
use crate::provisioning::{CredentialError, Provisioning, secret_of_body};

/// A credential, without what it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CredentialEntry {
    /// push, captcha, gws or webhook.
    kind: &'static str,
    /// Its name within the kind.
    name: String,
    /// Names the secret; documents refer to it as `sealed`.
    fingerprint: String,
    /// When it was put.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Stamp,
}

/// What is sealed for a tenant.
#[derive(Serialize, ToSchema)]
struct CredentialList {
    credentials: Vec<CredentialEntry>,
}

/// Answer to the question what is sealed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct CredentialsResponse {
    status: SuccessStatus,
    data: CredentialList,
}

/// What became of a credential.
#[derive(Serialize, ToSchema)]
struct Sealed {
    /// Absent if it was removed.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// What a person should know and what hindered nothing.
    remarks: Vec<String>,
}

/// Answer to a new or removed credential.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct SealedResponse {
    status: SuccessStatus,
    data: Sealed,
}

/// A key that somebody wants to know about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read")]
pub(crate) struct ValidateKeyRequest {
    key: String,
}

/// What is known of a key. Always with all members.
#[derive(Serialize, ToSchema)]
struct KeyVerdict {
    /// It opens the door now.
    valid: bool,
    /// Name of its tenant; null if it is not valid.
    tenant: Option<String>,
    /// What a person calls it; null if it is not valid.
    label: Option<String>,
    /// What it allows; empty if it is not valid.
    scopes: Vec<&'static str>,
}

/// Answer to the question about a key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct KeyVerdictResponse {
    status: SuccessStatus,
    data: KeyVerdict,
}

/// Of which kind a credential is.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what is read")]
#[into_params(parameter_in = Path)]
struct KindPath {
    /// push, captcha, gws or webhook.
    kind: String,
}

/// The name of a credential if the path has none.
const fn usual_name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Push => "fcm",
        CredentialKind::Captcha | CredentialKind::Gws | CredentialKind::Webhook => "default",
    }
}

fn kind(text: &str) -> Result<CredentialKind, Problem> {
    let names = CredentialKind::ALL.map(CredentialKind::name).join(", ");
    CredentialKind::from_name(text)
        .ok_or_else(|| Problem::bad("The kind in the path", format!("must be one of {names}")))
}

type One = Result<Path<String>, PathRejection>;
type Two = Result<Path<(String, String)>, PathRejection>;

fn of_one(path: One) -> Result<(CredentialKind, String), Problem> {
    let kind = kind(&path.map(|Path(text)| text).unwrap_or_default())?;
    Ok((kind, usual_name(kind).to_owned()))
}

fn of_two(path: Two) -> Result<(CredentialKind, String), Problem> {
    let (text, name) = path.map(|Path(both)| both).unwrap_or_default();
    let kind = kind(&text)?;
    let good = (1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if good { Ok((kind, name)) } else { Err(Problem::bad("The name in the path", "must have 1 to 255 characters")) }
}

/// List what is sealed for a tenant.
#[utoipa::path(
    get, path = "/ges/v1/credentials", tag = "Settings",
    params(TenantHeader),
    responses((status = 200, description = "By kind and name.", body = CredentialsResponse), AskRefusals),
)]
pub(crate) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let credentials = shared.door.provisioning.credentials(asked.tenant).await.map_err(stored)?;
    let entry = |it: domain::ports::Credential| CredentialEntry {
        kind: it.kind.name(),
        name: it.name,
        fingerprint: it.fingerprint,
        updated_at: Stamp(it.updated_at),
    };
    let credentials = credentials.into_iter().map(entry).collect();
    Ok(reply::success(asked.context.corr_id(), CredentialList { credentials }))
}

/// Put the one credential of a kind: push is the service account of Firebase Cloud Messaging.
#[utoipa::path(
    put, path = "/ges/v1/credentials/{kind}", tag = "Settings",
    params(KindPath, TenantHeader),
    request_body(content = AnyDocument, content_type = "application/json"),
    responses((status = 200, description = "Checked and sealed.", body = SealedResponse), ChangeRefusals),
)]
pub(crate) async fn put(State(shared): State<Arc<Shared>>, path: One, request: Request) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    seal(&shared, asked, of_one(path)?).await
}

/// Put a credential.
///
/// The body is Google's key file of a service account (push), `{"secretKey": …}` (captcha),
/// `{"userName": …, "password": …}` (gws) or `{"secret": …}` (webhook, other push). Its form is checked, and its
/// provider is asked where that is possible. Where the document has a place of that name, it refers to it from now
/// on.
#[utoipa::path(
    put, path = "/ges/v1/credentials/{kind}/{name}", tag = "Settings",
    params(
        KindPath,
        ("name" = String, Path, description = "Its name within the kind, such as that of the captcha's key set."),
        TenantHeader,
    ),
    request_body(content = AnyDocument, content_type = "application/json"),
    responses((status = 200, description = "Checked and sealed.", body = SealedResponse), ChangeRefusals),
)]
pub(crate) async fn put_named(
    State(shared): State<Arc<Shared>>,
    path: Two,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    seal(&shared, asked, of_two(path)?).await
}

/// Remove the one credential of a kind.
#[utoipa::path(
    delete, path = "/ges/v1/credentials/{kind}", tag = "Settings",
    params(KindPath, TenantHeader),
    responses((status = 200, description = "It is forgotten.", body = SealedResponse), ChangeRefusals),
)]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: One,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    forget(&shared, (&asked.context, asked.tenant, &asked.who), of_one(path)?).await
}

/// Remove a credential, and the reference to it if the document can do without.
#[utoipa::path(
    delete, path = "/ges/v1/credentials/{kind}/{name}", tag = "Settings",
    params(
        KindPath,
        ("name" = String, Path, description = "Its name within the kind."),
        TenantHeader,
    ),
    responses((status = 200, description = "It is forgotten.", body = SealedResponse), ChangeRefusals),
)]
pub(crate) async fn remove_named(
    State(shared): State<Arc<Shared>>,
    path: Two,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    forget(&shared, (&asked.context, asked.tenant, &asked.who), of_two(path)?).await
}

async fn seal(shared: &Shared, mut asked: Asked, at: (CredentialKind, String)) -> Result<Response, Problem> {
    let (kind, name) = at;
    let body = asked.body(shared, Media::Json).await?;
    let malformed = |_| Problem::bad("The body", "is not JSON");
    let value: serde_json::Value = serde_json::from_slice(&body.bytes).map_err(malformed)?;
    let secret = secret_of_body(kind, &value).map_err(|rule| Problem::bad("The body", rule))?;
    let provisioning: &Provisioning = &shared.door.provisioning;
    let (plan, fingerprint) =
        provisioning.plan_credential(asked.tenant, kind, &name, &secret, &asked.who.order()).await?;
    let remarks = plan.remarks.clone();
    provisioning.apply(vec![plan]).await?;
    Ok(reply::success(asked.context.corr_id(), Sealed { fingerprint: Some(fingerprint), remarks }))
}

async fn forget(
    shared: &Shared,
    (context, tenant, who): (&Context, TenantId, &Who),
    (kind, name): (CredentialKind, String),
) -> Result<Response, Problem> {
    let provisioning = &shared.door.provisioning;
    let plan = provisioning.plan_without_credential(tenant, kind, &name, &who.order()).await;
    let plan = plan.map_err(|error| match error {
        CredentialError::InUse(path) => {
            Problem::new(Kind::Conflict, format!("The settings need it at {path}: change them first."))
        }
        CredentialError::Other(error) => error.into(),
    })?;
    provisioning.apply(vec![plan]).await?;
    Ok(reply::success(context.corr_id(), Sealed { fingerprint: None, remarks: Vec::new() }))
}

/// Tell what an API key opens, if anything.
///
/// With ContactCenterID, a key of another tenant is as good as none.
#[utoipa::path(
    post, path = "/ges/v1/api-keys/validate", tag = "Settings",
    params(("ContactCenterID" = Option<String>, Header, description = "The tenant, by id or name.")),
    request_body = ValidateKeyRequest,
    responses(
        (status = 200, description = "What is known of it.", body = KeyVerdictResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn validate_key(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, parts, body) = admit(&shared, request)?;
    let named = named_tenant(&parts.headers).ok();
    let tenant = named.map(|_| tenant(&shared, &context, &parts.headers)).transpose()?;
    let body = body::read_as(&shared, &context, &parts.headers, body, Media::Json).await?;
    let malformed = |_| Problem::bad("The body", "is not JSON");
    let value: serde_json::Value = serde_json::from_slice(&body.bytes).map_err(malformed)?;
    let key = value.get("key").and_then(serde_json::Value::as_str).filter(|key| !key.trim().is_empty());
    let key = key.ok_or_else(|| Problem::bad("key", "is required and must be a text"))?;
    let caller = shared.door.keys.find(key).filter(|caller| tenant.is_none_or(|tenant| tenant == caller.tenant));
    let verdict = match caller {
        Some(caller) => KeyVerdict {
            valid: true,
            tenant: Some(caller.tenant_name.to_string()),
            label: Some(caller.label.to_string()),
            scopes: caller.scope_names(),
        },
        None => KeyVerdict { valid: false, tenant: None, label: None, scopes: Vec::new() },
    };
    Ok(reply::success(context.corr_id(), verdict))
}
