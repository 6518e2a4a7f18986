//! Settings of one queue, typed and in plain units. The document grows to every key of the product's
//! `service.<VQ>` section; a key that is absent has the default named at its field.
//!
//! A key that is not known is refused, for a misspelt one would be a rule that silently does not apply. Types
//! and forms are checked while a document is read, ranges by [`QueueSettings::check`], all of them at once.

use std::ops::RangeInclusive;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use crate::hours::BusinessHours;
use crate::ids::QueueName;
use crate::numbers::Region;

/// What to do with a scheduled callback that is due while its queue is closed, or more than two hours late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenClosed {
    /// Keep it and start it at the next opening.
    #[default]
    WaitForOpening,
    /// End it with `FAIL_TIMEOUT_TTL`.
    Expire,
}

/// One queue. Field docs name the product's key, the unit, the range and the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueSettings {
    /// `_immediate_enabled`: takes callbacks for now. Default true.
    pub immediate_enabled: bool,
    /// `_scheduled_enabled`: takes callbacks for later. Default true.
    pub scheduled_enabled: bool,
    /// `_business_hours_service`: when the queue is served. Default always.
    pub hours: BusinessHours,
    /// `_enable_reject_out_of_office_hours`: refuse bookings outside the hours. Default true.
    pub reject_out_of_hours: bool,
    /// Default region of numbers without a country code (`_default_country`), ISO 3166-1 alpha-2. Default `US`.
    pub default_region: Region,
    /// `_request_time_bucket`: slot length in minutes; one of 5, 10, 15, 20, 30, 60, 120. Default 5.
    pub slot_minutes: SlotMinutes,
    /// `_max_request_by_time_bucket`: places in a slot, 0 to 1,000,000. Default 100.
    pub slot_capacity: u32,
    /// `_ttl`: seconds after the desired time until the callback is given up, 60 to 1,209,600. Default 86,400.
    pub ttl_seconds: u32,
    /// `_request_execution_time_buffer`: seconds that a start comes earlier than the expected wait asks for,
    /// 0 to 3,600. Default 120.
    pub execution_buffer_seconds: u32,
    /// What happens to a callback that is due while closed, or over two hours late. Default wait.
    pub when_closed: WhenClosed,
    /// Attempts of this queue that may be with routing without being accepted, 1 to 10,000. Default 200.
    pub hand_off_limit: u32,
    /// `_target`: routing target or skill expression. Default none.
    pub target: Option<String>,
    /// `_route_point`: routing point of the outbound call. Default none.
    pub route_point: Option<String>,
}

/// A slot length that divides the day evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SlotMinutes(u32);

impl SlotMinutes {
    /// The lengths there are, in minutes.
    pub const ALLOWED: [u32; 7] = [5, 10, 15, 20, 30, 60, 120];

    /// Checks that the length is one of [`Self::ALLOWED`].
    pub fn new(minutes: u32) -> Result<Self, BadSlotMinutes> {
        if Self::ALLOWED.contains(&minutes) { Ok(Self(minutes)) } else { Err(BadSlotMinutes(minutes)) }
    }

    /// Minutes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for SlotMinutes {
    fn default() -> Self {
        Self(5)
    }
}

/// Not a slot length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slot has 5, 10, 15, 20, 30, 60 or 120 minutes, not {0}")]
pub struct BadSlotMinutes(u32);

impl TryFrom<u32> for SlotMinutes {
    type Error = BadSlotMinutes;

    fn try_from(minutes: u32) -> Result<Self, BadSlotMinutes> {
        Self::new(minutes)
    }
}

impl From<SlotMinutes> for u32 {
    fn from(slot: SlotMinutes) -> Self {
        slot.0
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            immediate_enabled: true,
            scheduled_enabled: true,
            hours: BusinessHours::always(),
            reject_out_of_hours: true,
            default_region: Region::US,
            slot_minutes: SlotMinutes::default(),
            slot_capacity: 100,
            ttl_seconds: 86_400,
            execution_buffer_seconds: 120,
            when_closed: WhenClosed::default(),
            hand_off_limit: 200,
            target: None,
            route_point: None,
        }
    }
}

impl QueueSettings {
    /// Time to live after the desired time.
    pub fn ttl(&self) -> Duration {
        Duration::seconds(self.ttl_seconds.into())
    }

    /// How long before the desired time routing has to start, for an expected wait of `wait_seconds`
    /// (unknown or negative counts as none), at most [`crate::callback::Limits::LEAD`].
    pub fn lead(&self, wait_seconds: Option<i32>) -> Duration {
        let wait = Duration::seconds(wait_seconds.unwrap_or_default().max(0).into());
        let buffer = Duration::seconds(self.execution_buffer_seconds.into());
        (wait + buffer).min(crate::callback::Limits::LEAD)
    }
}

impl QueueSettings {
    /// Most places of a slot.
    pub const MAX_SLOT_CAPACITY: u32 = 1_000_000;
    /// Allowed times to live, in seconds: a minute to 14 days.
    pub const TTL_SECONDS: RangeInclusive<u32> = 60..=1_209_600;
    /// Allowed execution buffers, in seconds: none to an hour.
    pub const EXECUTION_BUFFER_SECONDS: RangeInclusive<u32> = 0..=3_600;
    /// Allowed hand-off limits.
    pub const HAND_OFF_LIMIT: RangeInclusive<u32> = 1..=10_000;
    /// Longest target or routing point, in characters.
    pub const MAX_TEXT_CHARS: usize = 255;

    /// Every rule that the settings of `queue` break; empty if they can be used.
    pub fn check(&self, queue: &QueueName) -> Vec<SettingError> {
        [
            within("slotCapacity", self.slot_capacity, 0..=Self::MAX_SLOT_CAPACITY),
            within("ttlSeconds", self.ttl_seconds, Self::TTL_SECONDS),
            within("executionBufferSeconds", self.execution_buffer_seconds, Self::EXECUTION_BUFFER_SECONDS),
            within("handOffLimit", self.hand_off_limit, Self::HAND_OFF_LIMIT),
            printable("target", self.target.as_deref()),
            printable("routePoint", self.route_point.as_deref()),
        ]
        .into_iter()
        .flatten()
        .map(|(key, rule)| SettingError { queue: queue.clone(), key, rule })
        .collect()
    }
}

type Broken = Option<(&'static str, String)>;

fn within(key: &'static str, value: u32, allowed: RangeInclusive<u32>) -> Broken {
    let rule = || format!("has to be {} to {}, not {value}", allowed.start(), allowed.end());
    (!allowed.contains(&value)).then(|| (key, rule()))
}

fn printable(key: &'static str, text: Option<&str>) -> Broken {
    let max = QueueSettings::MAX_TEXT_CHARS;
    let good =
        |text: &str| !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
    let bad = text.is_some_and(|text| !good(text));
    bad.then(|| (key, format!("has to be 1 to {max} characters without control characters, or left out")))
}

/// A rule that a settings document breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{queue}.{key}: {rule}")]
pub struct SettingError {
    /// The queue.
    pub queue: QueueName,
    /// The key, as in the document.
    pub key: &'static str,
    /// What is allowed.
    pub rule: String,
}

#[cfg(test)]
mod tests;
