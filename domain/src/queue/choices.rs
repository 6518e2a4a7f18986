//! What the settings of a queue choose among.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::QueueSettings;

/// What to do with a scheduled callback that is due while its queue is closed, or more than two hours late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenClosed {
    /// Keep it and start it at the next opening.
    #[default]
    WaitForOpening,
    /// End it with `FAIL_TIMEOUT_TTL`.
    Expire,
}

/// Who calls whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallDirection {
    /// We call the customer.
    #[default]
    UserTerminated,
    /// The customer calls in after a push.
    UserOriginated,
}

/// What happens to a booking while the same number already has [`QueueSettings::duplicate_limit`] callbacks
/// waiting in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicatePolicy {
    /// It is booked all the same.
    Allow,
    /// The id of the newest one is answered; nothing is booked.
    ReturnExisting,
    /// It is booked, and the oldest one is cancelled in the same write.
    Replace,
    /// It is refused.
    #[default]
    Refuse,
}

/// At most so many bookings of a queue in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThrottleWindow {
    /// Bookings in the window, 0 to 1,000,000.
    #[schemars(range(max = 1_000_000))]
    pub limit: u32,
    /// Length of the window in seconds, 1 to 86,400.
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: u32,
}

/// An option of the queue that a booking may override.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overridable {
    /// Language of prompts.
    #[serde(rename = "language")]
    Language,
    /// Initial priority.
    #[serde(rename = "priority")]
    Priority,
    /// Routing point of the outbound call.
    #[serde(rename = "routePoint")]
    RoutePoint,
    /// Routing point of the survey.
    #[serde(rename = "surveyRP")]
    SurveyRoutePoint,
}
