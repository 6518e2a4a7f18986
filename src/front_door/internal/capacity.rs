//! Capacity rules with slots of another length: what becomes of one is shown, then done.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use domain::capacity::{CapacityRule, Effect};
use domain::ids::QueueName;
use domain::queue::SlotMinutes;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::admin::{AskRefusals, ChangeRefusals, Expected, tagged};
use super::entry::Asked;
use super::parameters::{IfMatch, TenantHeader};
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::query::Query;
use crate::provisioning::{Order, PlannedConversion};

/// What becomes of a time of a day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlacesEffect {
    /// `mon` to `sun`, or a date with places of its own.
    #[schema(example = "mon")]
    day: String,
    /// Where it begins on the wall clock of a queue.
    #[schema(example = "09:00")]
    from: String,
    /// Where it ends.
    #[schema(example = "17:00")]
    to: String,
    /// It is the same in every period of so many minutes of that time.
    period_minutes: u32,
    /// The numbers of the slots of a period, before.
    slots_before: Vec<u32>,
    /// The same afterwards.
    slots_after: Vec<u32>,
    /// Places of a period in all, before.
    places_before: u64,
    /// The same afterwards: places are gained or lost, or the same number stands at other times.
    places_after: u64,
}

impl From<Effect> for PlacesEffect {
    fn from(effect: Effect) -> Self {
        let (places_before, places_after) = (effect.places_before(), effect.places_after());
        let Effect { day, from, to, period_minutes, before: slots_before, after: slots_after } = effect;
        Self { day, from, to, period_minutes, slots_before, slots_after, places_before, places_after }
    }
}

/// What becomes of a rule.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RuleConversion {
    /// Revision that is kept now; absent if nothing was applied.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// The rule with slots of the new length.
    #[schema(value_type = Object)]
    rule: CapacityRule,
    /// The queues whose slots it lays out: their unfinished bookings move to the new slots.
    #[schema(value_type = Vec<String>)]
    queues: Vec<QueueName>,
    /// When there are other places than before: weekdays from Monday on, then dates. At most 1,000.
    effects: Vec<PlacesEffect>,
    /// How many more of them there are.
    omitted_effects: usize,
}

/// Answer to a conversion, or to the question what it would do.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct ConversionResponse {
    status: SuccessStatus,
    data: RuleConversion,
}

/// Which rule.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what is read")]
#[into_params(parameter_in = Path)]
struct RulePath {
    /// Name of the rule.
    name: String,
}

/// How long its slots shall be.
#[derive(IntoParams)]
#[expect(dead_code, reason = "describes what is read")]
#[into_params(parameter_in = Query)]
struct NewLength {
    /// The new length: 5, 10, 15, 20, 30 or 60.
    #[param(rename = "slotMinutes", minimum = 5, maximum = 60)]
    slot_minutes: u32,
}

type Name = Result<Path<String>, PathRejection>;

/// Shows what a capacity rule becomes with slots of another length.
///
/// A number is what one slot takes: each new slot gets the largest number of the old slots that it touches. Nothing is
/// changed. The ETag is the document's revision: with it in If-Match, what was shown is what is done.
#[utoipa::path(
    get, path = "/ges/v1/tenant/capacityRules/{name}/convert", tag = "Settings",
    params(RulePath, NewLength, TenantHeader),
    responses((status = 200, description = "It could be done.", body = ConversionResponse), AskRefusals),
)]
pub(crate) async fn preview(
    State(shared): State<Arc<Shared>>,
    name: Name,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (name, length) = (rule(name)?, length(query.as_deref())?);
    let order = Order { ask_providers: false, ..asked.who.order() };
    let planned = shared.door.provisioning.plan_conversion(asked.tenant, &name, length, &order).await?;
    let revision = planned.revision;
    Ok(tagged(reply::success(asked.context.corr_id(), told(planned, None)), revision))
}

/// Gives a capacity rule slots of another length.
///
/// A number is what one slot takes: each new slot gets the largest number of the old slots that it touches. The
/// document is changed as by any other operation; unfinished bookings move to the new slots and lose no place.
#[utoipa::path(
    post, path = "/ges/v1/tenant/capacityRules/{name}/convert", tag = "Settings",
    params(RulePath, NewLength, TenantHeader, IfMatch),
    responses((status = 200, description = "Applied.", body = ConversionResponse), ChangeRefusals),
)]
pub(crate) async fn convert(
    State(shared): State<Arc<Shared>>,
    name: Name,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::enter(&shared, request)?;
    let (name, length) = (rule(name)?, length(query.as_deref())?);
    let expected = Expected::of(&asked.headers)?;
    let provisioning = &shared.door.provisioning;
    let planned = provisioning.plan_conversion(asked.tenant, &name, length, &asked.who.order()).await?;
    expected.check(Some(planned.revision))?;
    let applied = provisioning.apply(vec![planned.plan.clone()]).await?;
    let revision = applied.first().map_or(planned.revision, |applied| applied.revision);
    Ok(tagged(reply::success(asked.context.corr_id(), told(planned, Some(revision))), revision))
}

fn rule(name: Name) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|_| Problem::bad("The path", "is no text"))
}

fn length(query: Option<&str>) -> Result<SlotMinutes, Problem> {
    let minutes = Query::new(query).whole(&["slotMinutes"], 0, u32::MAX.into())?;
    let minutes = minutes.ok_or_else(|| Problem::bad("slotMinutes", "is required"))?;
    let length = u32::try_from(minutes).ok().and_then(CapacityRule::slot_length);
    length.ok_or_else(|| Problem::bad("slotMinutes", "must be 5, 10, 15, 20, 30 or 60"))
}

fn told(planned: PlannedConversion, revision: Option<u64>) -> RuleConversion {
    let PlannedConversion { conversion, queues, .. } = planned;
    RuleConversion {
        revision,
        rule: conversion.rule,
        queues,
        effects: conversion.effects.into_iter().map(PlacesEffect::from).collect(),
        omitted_effects: conversion.omitted,
    }
}
