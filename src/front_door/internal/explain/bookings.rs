//! Shapes of what a booking would come to, and their sentences.

use chrono::{DateTime, Utc};
use domain::explain::{self, Check, Counted, Outcome, Rule, Tally};
use domain::ids::CallbackId;
use domain::ports::{Explained, How};
use domain::throttle::LimitRule;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::front_door::engagement::schemas::{SuccessStatus, slots};
use crate::front_door::error::Problem;
use crate::front_door::reply::Slots;
use crate::front_door::wire::time::Stamp;

pub(super) fn words(names: &[&'static str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.iter().copied()))
}

pub(super) fn state_words() -> ObjectBuilder {
    words(&domain::callback::State::ALL.map(domain::callback::State::name))
}

pub(super) fn states() -> Schema {
    state_words().into()
}

fn rules() -> Schema {
    words(&Rule::ALL.map(Rule::name)).into()
}

fn outcomes() -> Schema {
    words(&Outcome::ALL.map(Outcome::name)).into()
}

fn ways() -> Schema {
    words(&[How::Booked, How::Replaced, How::Existing, How::Replayed].map(way)).into()
}

const fn way(how: How) -> &'static str {
    match how {
        How::Booked => "booked",
        How::Replaced => "replaced",
        How::Existing => "existing",
        How::Replayed => "replayed",
    }
}

/// The answer that the booking would get.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict<'a> {
    /// Status of HTTP.
    #[schema(minimum = 200, maximum = 599)]
    http_status: u16,
    /// `status.code`: 0 if it would be accepted.
    code: u16,
    /// `status.message`.
    message: &'a str,
    /// Name of the refusal, as at the end of the `type` of a problem document.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    /// `Retry-After`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
    /// `data.slots`: other slots with places.
    #[schema(schema_with = slots, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<Slots<'a>>,
}

impl<'a> Verdict<'a> {
    pub(super) fn of(problem: Option<&'a Problem>) -> Self {
        let Some(problem) = problem else {
            return Self {
                http_status: 200,
                code: 0,
                message: "Successful",
                problem: None,
                retry_after_seconds: None,
                slots: None,
            };
        };
        let row = problem.kind.row();
        Self {
            http_status: row.status.as_u16(),
            code: row.code,
            message: &problem.message,
            problem: Some(row.name),
            retry_after_seconds: problem.retry_after(),
            slots: problem.slots.as_deref().map(Slots),
        }
    }
}

/// The callback that the booking would come to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Booking {
    /// `booked`; `replaced`: booked, and another ends for it; `existing`: the number waits already, nothing would be
    /// booked; `replayed`: the key was answered so before.
    #[schema(schema_with = ways)]
    how: &'static str,
    /// The callback that is there already and would be the answer.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<CallbackId>,
    /// The callback that would end for it.
    #[schema(value_type = String, format = Uuid, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<CallbackId>,
    /// Where a new one would stand.
    #[schema(schema_with = states, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_state: Option<&'static str>,
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    desired_time: Option<Stamp>,
    /// When it would be handed to routing, as known now.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    start_at: Option<Stamp>,
    /// Start of the slot in which it would take a place.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<Stamp>,
}

impl From<&explain::WouldBe> for Booking {
    fn from(it: &explain::WouldBe) -> Self {
        Self {
            how: way(it.how),
            id: it.id,
            ends: it.ends,
            callback_state: it.booked.map(|booked| booked.state.name()),
            desired_time: it.booked.map(|booked| Stamp(booked.desired_time)),
            start_at: it.booked.map(|booked| Stamp(booked.start_at)),
            slot: it.booked.and_then(|booked| booked.slot).map(Stamp),
        }
    }
}

/// One check of a booking.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckEntry {
    #[schema(schema_with = rules)]
    rule: &'static str,
    /// `notJudged`: it would be judged with the booking, and judging it uses something up.
    #[schema(schema_with = outcomes)]
    outcome: &'static str,
    /// The settings that make the rule.
    settings: &'static [&'static str],
    /// What there is, where the rule counts or measures.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    /// What there may be, or has to be.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// Of what: `places`, `callbacks`, `bookings` or `seconds`.
    #[schema(nullable = false, pattern = "^(places|callbacks|bookings|seconds)$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    /// The same in a sentence.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
    /// From then on the same request passes this rule, as far as is known.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Stamp>,
    /// The first `desiredTime` that would do now.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    bookable_from: Option<Stamp>,
    /// The last `desiredTime` that would do now.
    #[schema(value_type = String, format = DateTime, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    bookable_until: Option<Stamp>,
}

impl CheckEntry {
    fn plain(check: &Check) -> Self {
        let tally = check.tally.as_ref();
        Self {
            rule: check.rule.name(),
            outcome: check.outcome.name(),
            settings: check.rule.settings(),
            number: tally.map(|tally| i64::try_from(tally.counted).unwrap_or(i64::MAX)),
            limit: tally.map(|tally| tally.limit.into()),
            unit: tally.map(|tally| unit(&tally.of)),
            says: tally.map(sentence),
            retry_at: None,
            bookable_from: None,
            bookable_until: None,
        }
    }

    /// `problem` is the refusal that the explanation comes to, if it comes to one.
    pub(super) fn of(check: &Check, explained: &Explained, problem: &Option<Problem>) -> Self {
        let plain = Self::plain(check);
        match check.outcome {
            Outcome::Decides => {
                let measure = explained.measure;
                let message =
                    || problem.as_ref().map_or_else(|| there_already(check.rule), |it| it.message.to_string());
                Self {
                    number: plain.number.or(measure.map(|measure| measure.seconds)),
                    limit: plain.limit.or(measure.map(|measure| measure.limit_seconds)),
                    unit: plain.unit.or(measure.map(|_| "seconds")),
                    says: plain.says.or_else(|| Some(message())),
                    retry_at: explained.next.retry_at.map(Stamp),
                    bookable_from: explained.next.bookable_from.map(Stamp),
                    bookable_until: explained.next.bookable_until.map(Stamp),
                    ..plain
                }
            }
            Outcome::NotJudged => {
                let says = "The provider would be asked about captchaToken; asking uses the token up.";
                Self { says: Some(says.to_owned()), ..plain }
            }
            Outcome::Passed | Outcome::NotReached => plain,
        }
    }
}

fn there_already(rule: Rule) -> String {
    let says = match rule {
        Rule::IdempotencyKey => "The same Idempotency-Key with the same body was answered with this callback.",
        _ => "The number waits already, and this callback is the answer.",
    };
    says.to_owned()
}

const fn unit(of: &Counted) -> &'static str {
    match of {
        Counted::Slot(_) => "places",
        Counted::Limit(LimitRule::Duplicates | LimitRule::Depth) => "callbacks",
        Counted::Limit(LimitRule::Day { .. } | LimitRule::Window { .. }) => "bookings",
    }
}

fn sentence(tally: &Tally) -> String {
    let Tally { of, counted, limit } = tally;
    match of {
        Counted::Slot(start) => format!("{counted} of {limit} places are taken in the slot of {}.", Stamp(*start)),
        Counted::Limit(LimitRule::Duplicates) => {
            format!("{counted} of {limit} callbacks wait for the same phoneNumber.")
        }
        Counted::Limit(LimitRule::Day { parameter }) => {
            format!("{counted} of {limit} immediate callbacks were booked today for the same {parameter}.")
        }
        Counted::Limit(LimitRule::Window { seconds }) => {
            format!("{counted} of {limit} callbacks were booked in the last {seconds} seconds.")
        }
        Counted::Limit(LimitRule::Depth) => format!("{counted} of {limit} callbacks of the service are active."),
    }
}

/// What a booking would come to.
#[derive(Serialize, ToSchema)]
#[schema(as = BookingExplanation)]
pub(super) struct Explanation<'a> {
    /// Whether it would get a 200.
    pub(super) accepted: bool,
    #[schema(inline)]
    pub(super) verdict: Verdict<'a>,
    /// There if it would be accepted.
    #[schema(inline, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) booking: Option<Booking>,
    /// Every check, in order; one that counts several things is there once for each. At most one `decides`.
    #[schema(inline)]
    pub(super) checks: Vec<CheckEntry>,
    /// When it was judged.
    #[schema(value_type = String, format = DateTime)]
    pub(super) at: Stamp,
}

impl<'a> Explanation<'a> {
    /// The request would be refused for its form.
    pub(super) fn of_body(problem: &'a Problem, at: DateTime<Utc>) -> Self {
        let entry = |check: &Check| match check.outcome {
            Outcome::Decides => CheckEntry { says: Some(problem.message.to_string()), ..CheckEntry::plain(check) },
            _ => CheckEntry::plain(check),
        };
        let checks = explain::checks(Some(Rule::Body), Vec::new(), None);
        Self {
            accepted: false,
            verdict: Verdict::of(Some(problem)),
            booking: None,
            checks: checks.iter().map(entry).collect(),
            at: Stamp(at),
        }
    }
}

/// Answer to the question what a booking would come to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(super) struct ExplainResponse {
    status: SuccessStatus,
    #[schema(inline)]
    data: Explanation<'static>,
}
