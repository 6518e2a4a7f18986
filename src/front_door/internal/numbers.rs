//! Trying a number on the number rules, for whoever writes them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::access::routes::Whole;
use domain::number_rules::{JudgedBy, NumberRefusal, NumberVerdict};
use domain::ports::NumberDeskError;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{Asked, BodyRefusals, TenantRefusals, WorkRefusals};
use super::parameters::TenantHeader;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::{Kind, Problem};
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::numbers::question;

/// A number, and whose rules it is to be judged by.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `wire` reads")]
pub(crate) struct NumberTest {
    /// As people write it, with or without a plus.
    #[schema(min_length = 1, max_length = 64, example = "+14165550107")]
    number: String,
    /// By the rules of this queue. Excludes `rule`.
    #[schema(nullable = false, max_length = 255)]
    queue: Option<String>,
    /// By this number rule, with premium and impossible numbers refused. Without `queue` and `rule` these two are all
    /// that is judged.
    #[schema(nullable = false, max_length = 255)]
    rule: Option<String>,
    /// Region of numbers without a country code. That of the queue, or US, when absent.
    #[schema(nullable = false, pattern = "^[A-Z]{2}$")]
    country: Option<String>,
}

/// What the rules say to a number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NumberTestResult {
    /// `pass`, `fail`, or `warn`: a premium-rate number, which is refused unless its queue takes them.
    #[schema(pattern = "^(pass|fail|warn)$")]
    result: &'static str,
    /// Whether it would be booked.
    allowed: bool,
    /// What decided: `none` for a number that passes, else `not-a-number`, `impossible`, `country`, `country-unknown`,
    /// `pattern` or `premium`.
    decided_by: &'static str,
    /// The same in a sentence.
    message: String,
    /// The number as it was read, in E.164.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// Its country, if that can be determined.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'static str>,
    /// The pattern that fits it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// Whether it is of a premium-rate range.
    premium: bool,
}

/// Answer to the trial of a number.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct NumberTestResponse {
    status: SuccessStatus,
    data: NumberTestResult,
}

/// Say which number rule decides about a number.
///
/// Nothing is booked and nothing is kept. Users who are limited to lines of business name a queue of theirs, or none.
#[utoipa::path(
    post, path = "/ges/v1/number-rules/test", tag = "Internal", operation_id = "testNumber",
    params(TenantHeader),
    request_body = NumberTest,
    responses(
        (status = 200, description = "The verdict.", body = NumberTestResponse),
        WorkRefusals,
        TenantRefusals,
        BodyRefusals,
    ),
)]
pub(crate) async fn test(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Asked { context, tenant, who, .. }, body) = Asked::with_json(&shared, request).await?;
    let question = question(&body.bytes)?;
    match &question.by {
        JudgedBy::Queue(queue) if !who.sees(queue) => return Err(NumberDeskError::UnknownQueue.into()),
        JudgedBy::Rule(_) if who.limited_to().is_some() => {
            let why = Whole::Rules.reason();
            let rule = format!("A rule is for users who are not limited to lines of business: {why}; name a queue.");
            return Err(Problem::new(Kind::Forbidden, rule));
        }
        JudgedBy::Queue(_) | JudgedBy::Rule(_) | JudgedBy::Defaults => {}
    }
    let verdict = shared.door.numbers.judge_number(tenant, &question)?;
    Ok(reply::success(context.corr_id(), shown(verdict)))
}

fn shown(verdict: NumberVerdict) -> NumberTestResult {
    let (result, decided_by, message) = match &verdict.refusal {
        None => ("pass", "none", passes(&verdict)),
        Some(NumberRefusal::Premium) => {
            let message = "The number is a premium-rate number, which is refused unless its queue takes them.";
            ("warn", NumberRefusal::Premium.name(), message.to_owned())
        }
        Some(refusal) => ("fail", refusal.name(), format!("The number is refused: {refusal}.")),
    };
    let pattern = match &verdict.refusal {
        Some(NumberRefusal::Blocked { pattern, .. }) => Some(pattern.clone()),
        _ => None,
    };
    NumberTestResult {
        result,
        allowed: verdict.refusal.is_none(),
        decided_by,
        message,
        number: verdict.number.map(domain::numbers::PhoneNumber::e164),
        country: verdict.country.map(domain::numbers::Region::as_str),
        pattern,
        premium: verdict.premium,
    }
}

fn passes(verdict: &NumberVerdict) -> String {
    match verdict.country {
        Some(country) => format!("The number passes; its country is {country}."),
        None => "The number passes; its country cannot be determined.".to_owned(),
    }
}
