//! Settings of one queue, typed and in plain units. The document grows to every key of the product's
//! `service.<VQ>` section; a key that is absent has the default named at its field.
//!
//! A key that is not known is refused, for a misspelt one would be a rule that silently does not apply. Types
//! and forms are checked while a document is read, ranges by [`QueueSettings::check`], all of them at once.

mod call;
mod choices;
pub mod product;
mod slot_minutes;

use std::collections::BTreeMap;
use std::ops::{Deref, RangeInclusive};
use std::sync::Arc;

use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::booking::MAX_AHEAD;
use crate::captcha::QueueCaptcha;
use crate::hours::{Calendar, Calendars, HoursRef};
use crate::ids::QueueName;
use crate::number_rules::{NumberGate, NumberTerms};
use crate::numbers::Region;
use crate::setting::Checks;
use crate::slots::Layout;
pub use call::CallOptions;
pub use choices::{CallDirection, DuplicatePolicy, Overridable, ThrottleWindow, WhenClosed};
pub use slot_minutes::{BadSlotMinutes, SlotMinutes};

/// One queue as its document has it. Field docs name the product's key, the unit, the range and the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueSettings {
    /// `_vq`: virtual queue in routing. Default the queue's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_queue: Option<String>,
    /// Other names under which clients book, in the same namespace as queues. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<QueueName>,
    /// The line of business that it belongs to, for users who are limited to some of them. Default none: such users do
    /// not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_of_business: Option<String>,
    /// `_immediate_enabled`: takes callbacks for now. Default true.
    pub immediate_enabled: bool,
    /// `_scheduled_enabled`: takes callbacks for later. Default true.
    pub scheduled_enabled: bool,
    /// `_paused_services_list`: takes no callbacks at all for the time being. Default false.
    pub paused: bool,
    /// `_business_hours_service`: when the queue is served; the name of a calendar, or one in place. Default always.
    pub hours: HoursRef,
    /// `_enable_reject_out_of_office_hours`: refuse bookings outside the hours. Default true.
    pub reject_out_of_hours: bool,
    /// Seconds before closing in which callbacks for now are refused (`_immediate_blackout`), 0 to 86,400.
    /// Default 0.
    #[schemars(range(min = 0, max = 86_400))]
    pub immediate_blackout_seconds: u32,
    /// `_logged_in_check`: refuse callbacks for now while routing says that no agent is logged in. Default false.
    pub logged_in_check: bool,
    /// `_min_time_before_callback`: seconds between a booking and the earliest time it may be for, 0 to 604,800.
    /// Default 0.
    #[schemars(range(min = 0, max = 604_800))]
    pub min_lead_seconds: u32,
    /// `_reject_future_desired_time`: how many days of 24 hours ahead a booking may be for, 1 to 14. Default 14.
    #[schemars(range(min = 1, max = 14))]
    pub max_ahead_days: u32,
    /// Default region of numbers without a country code (`_default_country`), ISO 3166-1 alpha-2. Default `US`.
    pub default_region: Region,
    /// Name of the number rule that judges its numbers. Default none: premium and impossible numbers are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_rule: Option<String>,
    /// `_disallow_premium_phone_numbers`: refuse premium-rate numbers. Default true.
    pub refuse_premium_numbers: bool,
    /// `_disallow_impossible_phone_numbers`: refuse numbers that cannot exist. Default true.
    pub refuse_impossible_numbers: bool,
    /// Name of the capacity rule that lays out its slots. Default none: `slotMinutes` and `slotCapacity` hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_rule: Option<String>,
    /// `_request_time_bucket`: slot length in minutes; one of 5, 10, 15, 20, 30, 60, 120. Default 5.
    pub slot_minutes: SlotMinutes,
    /// `_max_request_by_time_bucket`: places in a slot, 0 to 1,000,000. Default 100.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub slot_capacity: u32,
    /// What happens to a booking of a number that already waits (`_enable_in_queue_checking`). Default refuse.
    pub duplicate_policy: DuplicatePolicy,
    /// Waiting callbacks of one number from which on the policy holds, 1 to 100. Default 2.
    #[schemars(range(min = 1, max = 100))]
    pub duplicate_limit: u32,
    /// `_throttle_request_parameters`: members of a booking whose values are counted per day; `phoneNumber`, or
    /// members of the user data, or headers. Default `phoneNumber`.
    pub throttle_parameters: Vec<String>,
    /// `_throttle_request_parameters_limit`: callbacks for now per value and day, 0 to 1,000,000; 0 refuses all.
    /// Default 6.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub throttle_daily_limit: u32,
    /// `_enable_throttle_header_parameters`: a header of that name counts before the body. Default true.
    pub throttle_headers: bool,
    /// `_throttle_callbacks_per_service_<n>` within `_throttle_ttl_<n>`: bookings of the queue in so many seconds, at
    /// most 4 windows. Default 500 in 300 s and 1,000 in 3,600 s.
    #[schemars(length(max = 4))]
    pub throttle_windows: Vec<ThrottleWindow>,
    /// `max_queued_callbacks_per_service`: active callbacks of the queue, 0 to 10,000,000. Default 1,000.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub max_queued: u32,
    /// `_ttl`: seconds after the desired time until the callback is given up, 60 to 1,209,600. Default 86,400.
    #[schemars(range(min = 60, max = 1_209_600))]
    pub ttl_seconds: u32,
    /// `_request_execution_time_buffer`: seconds that a start comes earlier than the expected wait asks for,
    /// 0 to 3,600. Default 120.
    #[schemars(range(min = 0, max = 3_600))]
    pub execution_buffer_seconds: u32,
    /// What happens to a callback that is due while closed, or over two hours late. Default wait.
    pub when_closed: WhenClosed,
    /// Attempts of this queue that may be with routing without being accepted, 1 to 10,000. Default 200.
    #[schemars(range(min = 1, max = 10_000))]
    pub hand_off_limit: u32,
    /// `_target`: routing target or skill expression. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `_route_point`: routing point of the outbound call. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_point: Option<String>,
    /// Routing point of the survey. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survey_route_point: Option<String>,
    /// Initial priority in the queue, −1,000,000 to 1,000,000. Default none: routing's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub priority: Option<i32>,
    /// Name of the region rule that orders the regions. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_rule: Option<String>,
    /// `_prefix_dial_out`: digits dialled before the number. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dial_prefix: Option<String>,
    /// `_call_direction`: who calls whom. Default `user-terminated`.
    pub call_direction: CallDirection,
    /// `_call_display_name`: the name that the customer sees. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `_call_display_number`: the number that the customer sees. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_number: Option<String>,
    /// `_cpd_enable`: call-progress detection. Default true.
    pub call_progress_detection: bool,
    /// `_cpd_timeguard`: its guard time in milliseconds, 1,000 to 60,000. Default 15,000.
    #[schemars(range(min = 1_000, max = 60_000))]
    pub call_progress_guard_ms: u32,
    /// `_max_dial_attempts`: dials of the customer in one session, 1 to 20. Default 3.
    #[schemars(range(min = 1, max = 20))]
    pub dial_attempts: u32,
    /// `_dial_retry_timeout`: seconds between two dials, 1 to 86,400. Default 300.
    #[schemars(range(min = 1, max = 86_400))]
    pub dial_retry_seconds: u32,
    /// `_snooze_duration`: seconds of "call me again later", 1 to 86,400. Default 300.
    #[schemars(range(min = 1, max = 86_400))]
    pub snooze_seconds: u32,
    /// `_hold_enabled`: the customer may be held until an agent is free. Default false.
    pub hold_enabled: bool,
    /// `_push_notification_threshold`: minutes of expected wait under which CALLBACK_UPCOMING is sent, 0 to 1,440;
    /// 0 sends none. Default 0.
    #[schemars(range(min = 0, max = 1_440))]
    pub push_threshold_minutes: u32,
    /// `_pushed_callback_expiry_time`: seconds in which a pushed customer has to call in, 10 to 86,400. Default 300.
    #[schemars(range(min = 10, max = 86_400))]
    pub pushed_expiry_seconds: u32,
    /// Seconds that a held place is kept, 10 to 3,600. Default 300.
    #[schemars(range(min = 10, max = 3_600))]
    pub hold_seconds: u32,
    /// Places that may be held at the same time, 0 to 1,000; 0 lets nobody hold any. Default 100.
    #[schemars(range(min = 0, max = 1_000))]
    pub hold_limit: u32,
    /// Places that may be held for one number at the same time, where a number is given, 1 to 100. Default 3.
    #[schemars(range(min = 1, max = 100))]
    pub hold_limit_per_number: u32,
    /// `_attach_udata`: how user data is attached to the call; passed to routing. Default `single_json`.
    pub attach_user_data: String,
    /// `_overwritable_options`: names of options that a booking may override: `language`, `priority`, `routePoint`,
    /// `surveyRP`. Default all of them.
    pub overridable: Vec<Overridable>,
    /// Which captcha bookings need: `inherit` (what the tenant's settings say), `none`, or the name of a key set.
    /// Default `inherit`.
    pub captcha: QueueCaptcha,
    /// Options that are passed to routing as they are, by the product's key (`_agent_preview`, …). Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routing_options: BTreeMap<String, String>,
}

/// One queue as it works: its settings with everything that they name.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// As the document has it.
    pub settings: QueueSettings,
    /// When it is served.
    pub hours: Arc<Calendar>,
    /// Its slots and their places: by its capacity rule, or else by its own slot length and capacity.
    pub layout: Layout,
    /// The rule that judges its numbers.
    pub numbers: Option<Arc<NumberGate>>,
}

impl Queue {
    /// A queue that names no shared rule. Rules that its settings name all the same are left out, so this is for
    /// samples; a document is worked with through [`crate::tenant::TenantDocument::resolve`].
    pub fn standalone(settings: QueueSettings) -> Self {
        let hours = match &settings.hours {
            HoursRef::InPlace(hours) => Calendars::default().in_place(hours, &mut Checks::default()),
            HoursRef::Named(_) => Arc::default(),
        };
        let layout = Layout::even(hours.zone(), settings.slot_minutes, settings.slot_capacity);
        Self { settings, hours, layout, numbers: None }
    }

    /// What the numbers of its bookings are judged by.
    pub fn number_terms(&self) -> NumberTerms<'_> {
        NumberTerms {
            default_region: self.default_region,
            refuse_impossible: self.refuse_impossible_numbers,
            refuse_premium: self.refuse_premium_numbers,
            gate: self.numbers.as_deref(),
        }
    }
}

impl Deref for Queue {
    type Target = QueueSettings;

    fn deref(&self) -> &QueueSettings {
        &self.settings
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            virtual_queue: None,
            aliases: Vec::new(),
            line_of_business: None,
            immediate_enabled: true,
            scheduled_enabled: true,
            paused: false,
            hours: HoursRef::default(),
            reject_out_of_hours: true,
            immediate_blackout_seconds: 0,
            logged_in_check: false,
            min_lead_seconds: 0,
            max_ahead_days: *Self::MAX_AHEAD_DAYS.end(),
            default_region: Region::US,
            number_rule: None,
            refuse_premium_numbers: true,
            refuse_impossible_numbers: true,
            capacity_rule: None,
            slot_minutes: SlotMinutes::default(),
            slot_capacity: 100,
            duplicate_policy: DuplicatePolicy::default(),
            duplicate_limit: 2,
            throttle_parameters: vec!["phoneNumber".to_owned()],
            throttle_daily_limit: 6,
            throttle_headers: true,
            throttle_windows: vec![
                ThrottleWindow { limit: 500, seconds: 300 },
                ThrottleWindow { limit: 1_000, seconds: 3_600 },
            ],
            max_queued: 1_000,
            ttl_seconds: 86_400,
            execution_buffer_seconds: 120,
            when_closed: WhenClosed::default(),
            hand_off_limit: 200,
            target: None,
            route_point: None,
            survey_route_point: None,
            priority: None,
            region_rule: None,
            dial_prefix: None,
            call_direction: CallDirection::default(),
            display_name: None,
            display_number: None,
            call_progress_detection: true,
            call_progress_guard_ms: 15_000,
            dial_attempts: 3,
            dial_retry_seconds: 300,
            snooze_seconds: 300,
            hold_enabled: false,
            push_threshold_minutes: 0,
            pushed_expiry_seconds: 300,
            hold_seconds: 300,
            hold_limit: 100,
            hold_limit_per_number: 3,
            attach_user_data: "single_json".to_owned(),
            overridable: vec![
                Overridable::Language,
                Overridable::Priority,
                Overridable::RoutePoint,
                Overridable::SurveyRoutePoint,
            ],
            captcha: QueueCaptcha::Inherit,
            routing_options: BTreeMap::new(),
        }
    }
}

impl QueueSettings {
    /// Without the limits on how often customers may book: for samples and measurements.
    pub fn unlimited() -> Self {
        Self {
            duplicate_policy: DuplicatePolicy::Allow,
            throttle_parameters: Vec::new(),
            throttle_windows: Vec::new(),
            max_queued: Self::MAX_QUEUED,
            ..Self::default()
        }
    }

    /// Time to live after the desired time.
    pub fn ttl(&self) -> Duration {
        Duration::seconds(self.ttl_seconds.into())
    }

    /// How far ahead it can be booked: [`Self::max_ahead_days`], never more than [`MAX_AHEAD`].
    pub fn max_ahead(&self) -> Duration {
        Duration::days(self.max_ahead_days.into()).min(MAX_AHEAD)
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
    /// Most active callbacks of a queue.
    pub const MAX_QUEUED: u32 = 10_000_000;
    /// Most windows of a throttle.
    pub const MAX_THROTTLE_WINDOWS: usize = 4;
    /// Most parameters that are counted per day: each costs a row per value.
    pub const MAX_THROTTLE_PARAMETERS: usize = 8;
    /// Allowed times to live, in seconds: a minute to 14 days.
    pub const TTL_SECONDS: RangeInclusive<u32> = 60..=1_209_600;
    /// Allowed days that a booking may be ahead, up to [`MAX_AHEAD`].
    pub const MAX_AHEAD_DAYS: RangeInclusive<u32> = 1..=14;
    /// Allowed execution buffers, in seconds: none to an hour.
    pub const EXECUTION_BUFFER_SECONDS: RangeInclusive<u32> = 0..=3_600;
    /// Allowed hand-off limits.
    pub const HAND_OFF_LIMIT: RangeInclusive<u32> = 1..=10_000;

    /// Notes every rule of its own that the document of a queue breaks.
    pub fn check(&self, checks: &mut Checks) {
        const DAY: u32 = 86_400;
        checks.within("immediateBlackoutSeconds", self.immediate_blackout_seconds, 0..=DAY);
        checks.within("minLeadSeconds", self.min_lead_seconds, 0..=7 * DAY);
        checks.within("maxAheadDays", self.max_ahead_days, Self::MAX_AHEAD_DAYS);
        checks.within("slotCapacity", self.slot_capacity, 0..=Self::MAX_SLOT_CAPACITY);
        crate::throttle::check(self, checks);
        checks.within("ttlSeconds", self.ttl_seconds, Self::TTL_SECONDS);
        checks.within("executionBufferSeconds", self.execution_buffer_seconds, Self::EXECUTION_BUFFER_SECONDS);
        checks.within("handOffLimit", self.hand_off_limit, Self::HAND_OFF_LIMIT);
        checks.within("priority", self.priority.unwrap_or_default(), -1_000_000..=1_000_000);
        checks.within("callProgressGuardMs", self.call_progress_guard_ms, 1_000..=60_000);
        checks.within("dialAttempts", self.dial_attempts, 1..=20);
        checks.within("dialRetrySeconds", self.dial_retry_seconds, 1..=DAY);
        checks.within("snoozeSeconds", self.snooze_seconds, 1..=DAY);
        checks.within("pushThresholdMinutes", self.push_threshold_minutes, 0..=1_440);
        checks.within("pushedExpirySeconds", self.pushed_expiry_seconds, 10..=DAY);
        checks.within("holdSeconds", self.hold_seconds, 10..=3_600);
        checks.within("holdLimit", self.hold_limit, 0..=1_000);
        checks.within("holdLimitPerNumber", self.hold_limit_per_number, 1..=100);
        let texts = [
            ("virtualQueue", &self.virtual_queue),
            ("lineOfBusiness", &self.line_of_business),
            ("target", &self.target),
            ("routePoint", &self.route_point),
            ("surveyRoutePoint", &self.survey_route_point),
            ("dialPrefix", &self.dial_prefix),
            ("displayName", &self.display_name),
            ("displayNumber", &self.display_number),
        ];
        for (key, text) in texts {
            checks.line(key, text.as_deref());
        }
        checks.line("attachUserData", Some(&self.attach_user_data));
        product::check_options(&self.routing_options, checks);
    }
}

#[cfg(test)]
mod tests;
