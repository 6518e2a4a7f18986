//! What the operations on settings have in common: whose they are, which revision they were made from, and what
//! becomes of what is wrong with them.

use std::collections::BTreeMap;

use axum::response::Response;
use domain::document::Node;
use domain::ports::{ApplyError, StoreError};
use domain::setting::SettingError;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::openapi::{RefOr, Response as Described};
use utoipa::{IntoResponses, ToSchema};

use super::entry::{BodyRefusals, MACHINE, WorkRefusals};
use crate::front_door::engagement::schemas::{ErrorResponse, ErrorStatus, SuccessStatus};
use crate::front_door::error::{Kind, Problem};
use crate::front_door::guard::Context;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::provisioning::{NoSource, Order, Plan, ProvisioningError, count};

/// A document, whatever it says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read and written")]
#[schema(value_type = Object)]
pub(crate) struct AnyDocument(serde_json::Value);

/// One thing that changed or would change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Change {
    /// Where, from the top of the document.
    path: String,
    /// What was there, if anything was.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// What is there now, if anything is.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// What a document changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    /// Revision that is kept now; absent if nothing was applied.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// In the order of the document.
    changes: Vec<Change>,
    /// What a person should know and what hindered nothing.
    remarks: Vec<String>,
}

/// Answer to a change of settings.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ChangesResponse {
    status: SuccessStatus,
    data: Changes,
}

/// One thing that is wrong with a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mistake {
    /// Where, from the top of the document; of a table, row and column.
    path: String,
    /// What stands there, shortened; absent for what may be secret or is missing.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// What is allowed.
    rule: String,
}

/// Everything that is wrong with a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct MistakeList {
    mistakes: Vec<Mistake>,
}

/// Refusal of a request or of a document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct MistakesResponse {
    status: ErrorStatus,
    /// Present if it is the document that is wrong.
    #[schema(nullable = false)]
    data: Option<MistakeList>,
}

/// Refusal of operations on a part of a tenant's document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum PartRefusals {
    /// No such tenant, or nothing of that name in its document.
    #[response(status = 404)]
    NotFound(ErrorResponse),
}

/// What only changes of settings refuse, or refuse in words of their own.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `error` writes")]
enum DocumentRefusals {
    /// The request is malformed, or the document is wrong: then everything that is wrong is told.
    #[response(status = 400)]
    BadRequest(MistakesResponse),
    /// The settings refer to what is to be removed, or keys have changed meanwhile.
    #[response(status = 409)]
    Conflict(ErrorResponse),
    /// The document has another revision than If-Match says.
    #[response(status = 412)]
    PreconditionFailed(ErrorResponse),
    /// A body of another type.
    #[response(status = 415)]
    WrongType(ErrorResponse),
    /// If-Match is missing.
    #[response(status = 428)]
    PreconditionRequired(ErrorResponse),
}

/// Refusals of questions about the settings of a tenant.
pub(super) struct AskRefusals;

impl IntoResponses for AskRefusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        [WorkRefusals::responses(), PartRefusals::responses()].into_iter().flatten().collect()
    }
}

/// Refusals of changes of settings.
pub(super) struct ChangeRefusals;

impl IntoResponses for ChangeRefusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let all = [AskRefusals::responses(), BodyRefusals::responses(), DocumentRefusals::responses()];
        all.into_iter().flatten().collect()
    }
}

/// JSON as a tree. What is wrong is told by its place alone.
pub(super) fn json(bytes: &[u8]) -> Result<Node, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::bad("The body", format!("is not JSON, line {} column {}", error.line(), error.column()))
    })
}

/// How changes over HTTP are made that no user makes.
pub(super) const ORDER: Order<'static> = Order { actor: MACHINE, source: &NoSource, ask_providers: true };

/// Which revisions a change may find.
pub(super) enum Expected {
    /// `If-Match: *`.
    Any,
    /// Those that were named.
    Revisions(Vec<u64>),
}

impl Expected {
    /// Reads If-Match, without which nothing is changed.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut named = headers.get_all(IF_MATCH).iter().peekable();
        if named.peek().is_none() {
            let rule = "If-Match is required: the ETag of what was read, or * for whatever is there.";
            return Err(Problem::new(Kind::PreconditionRequired, rule));
        }
        let tags: Vec<&str> =
            named.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Ok(Self::Any);
        }
        // What is no tag of ours matches nothing.
        let revision = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Ok(Self::Revisions(tags.iter().filter_map(revision).collect()))
    }

    /// Whether this revision may be changed.
    pub(super) fn check(&self, found: Option<u64>) -> Result<(), Problem> {
        let good = match self {
            Self::Any => true,
            Self::Revisions(wanted) => found.is_some_and(|found| wanted.contains(&found)),
        };
        if good { Ok(()) } else { Err(changed_meanwhile()) }
    }
}

pub(super) fn changed_meanwhile() -> Problem {
    Problem::new(Kind::PreconditionFailed, "The document has another revision: read it again.")
}

/// Puts the revision on an answer.
pub(super) fn tagged(mut response: Response, revision: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// What would change.
pub(super) fn changes(plan: &Plan, revision: Option<u64>) -> Changes {
    let change = |difference: &crate::provisioning::Difference| Change {
        path: difference.path.clone(),
        before: difference.before.clone(),
        after: difference.after.clone(),
    };
    Changes { revision, changes: plan.differences.iter().map(change).collect(), remarks: plan.remarks.clone() }
}

/// Applies a plan and tells what it changed.
pub(super) async fn apply(shared: &Shared, context: &Context, plan: Plan) -> Result<Response, Problem> {
    let mut told = changes(&plan, None);
    let applied = shared.door.provisioning.apply(vec![plan]).await?;
    let revision = applied.first().map_or(0, |applied| applied.revision);
    told.revision = Some(revision);
    Ok(tagged(reply::success(context.corr_id(), told), revision))
}

impl From<ProvisioningError> for Problem {
    fn from(error: ProvisioningError) -> Self {
        match error {
            ProvisioningError::Mistakes(mistakes) => Self::mistakes(mistakes),
            ProvisioningError::UnknownTenant => Self::new(Kind::NotFound, "The tenant has no document."),
            ProvisioningError::UnknownEntry => Self::new(Kind::NotFound, "There is nothing of that name."),
            ProvisioningError::NotApplied(error) => error.into(),
            ProvisioningError::Store(error) => stored(error),
            ProvisioningError::Seal(_) => Self::new(Kind::Failed, "The secret could not be sealed."),
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Conflict { .. } => changed_meanwhile(),
            ApplyError::NameTaken => Self::new(Kind::Conflict, "Another tenant has that name."),
            ApplyError::KeysChanged => Self::new(Kind::Conflict, "The keys of the tenant have changed meanwhile."),
            ApplyError::Store(error) => stored(error),
        }
    }
}

/// A store that failed.
pub(super) fn stored(error: StoreError) -> Problem {
    error.into()
}

impl Problem {
    /// A document that is wrong.
    pub(super) fn mistakes(mistakes: Vec<SettingError>) -> Self {
        let message = format!("There are {}, see mistakes; nothing was changed.", count(mistakes.len()));
        let message = if mistakes.len() == 1 { message.replacen("are", "is", 1) } else { message };
        Self { mistakes: Some(mistakes), ..Self::new(Kind::BadParameter, message) }
    }
}

impl From<&SettingError> for Mistake {
    fn from(error: &SettingError) -> Self {
        Self { path: error.path.clone(), value: error.value.clone(), rule: error.rule.clone() }
    }
}
