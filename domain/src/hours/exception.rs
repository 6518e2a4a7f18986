//! Special days: dates on which something else holds than the week says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::days::DayList;
use super::week::{HoursError, Range, Week};
use crate::setting::Checks;

/// Dates on which something else holds. Several may name the same date; their order makes no difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ExceptionDocument", into = "ExceptionDocument")]
pub struct Exception {
    /// What a person calls it.
    pub name: Option<String>,
    /// On which dates, from midnight to midnight.
    pub days: DayList,
    /// Whether it counts; if not, it is as good as not written.
    pub enabled: bool,
    /// What holds then.
    pub effect: Effect,
}

/// What an exception does with its dates. Ranges start on each of the dates and may end on the day after.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// What the week says does not hold.
    Closed,
    /// These ranges hold instead of what the week says.
    Open(Vec<Range>),
    /// These ranges hold beside what the week says.
    Add(Vec<Range>),
    /// It is closed in these ranges, whatever else says that it is open.
    Remove(Vec<Range>),
}

/// Why an exception was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExceptionError {
    /// Two things at once, or nothing.
    #[error("an exception has exactly one of `closed: true`, `open`, `add` and `remove`")]
    NotOne,
    /// Too many ranges.
    #[error(transparent)]
    Ranges(#[from] HoursError),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExceptionDocument {
    /// What a person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// On which dates, from midnight to midnight.
    days: DayList,
    /// Whether it counts.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    enabled: bool,
    /// What the week says does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<bool>,
    /// These ranges hold instead of what the week says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Vec<Range>>,
    /// These ranges hold beside what the week says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<Vec<Range>>,
    /// It is closed in these ranges, whatever else says that it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remove: Option<Vec<Range>>,
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn is_yes(value: &bool) -> bool {
    *value
}

impl Exception {
    /// An exception that counts and has no name.
    pub fn new(days: impl Into<DayList>, effect: Effect) -> Self {
        Self { name: None, days: days.into(), enabled: true, effect }
    }

    /// Notes every rule that it breaks.
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.line("name", self.name.as_deref());
        checks.within("days", self.days.0.len(), 0..=super::BusinessHours::MAX_DAYS);
    }
}

impl TryFrom<ExceptionDocument> for Exception {
    type Error = ExceptionError;

    fn try_from(document: ExceptionDocument) -> Result<Self, ExceptionError> {
        let ExceptionDocument { name, days, enabled, closed, open, add, remove } = document;
        let effect = match (closed, open, add, remove) {
            (Some(true), None, None, None) => Effect::Closed,
            (None, Some(ranges), None, None) => Effect::Open(ranges),
            (None, None, Some(ranges), None) => Effect::Add(ranges),
            (None, None, None, Some(ranges)) => Effect::Remove(ranges),
            _ => return Err(ExceptionError::NotOne),
        };
        match &effect {
            Effect::Open(ranges) | Effect::Add(ranges) | Effect::Remove(ranges) if ranges.len() > Week::MAX_RANGES => {
                Err(HoursError::TooManyRanges(ranges.len()).into())
            }
            _ => Ok(Self { name, days, enabled, effect }),
        }
    }
}

impl From<Exception> for ExceptionDocument {
    fn from(exception: Exception) -> Self {
        let Exception { name, days, enabled, effect } = exception;
        let mut document = Self { name, days, enabled, closed: None, open: None, add: None, remove: None };
        match effect {
            Effect::Closed => document.closed = Some(true),
            Effect::Open(ranges) => document.open = Some(ranges),
            Effect::Add(ranges) => document.add = Some(ranges),
            Effect::Remove(ranges) => document.remove = Some(ranges),
        }
        document
    }
}
