//! What routing is told about the call of an attempt: the settings of the queue, with what its booking overrides.

use std::collections::BTreeMap;

use super::{CallDirection, Overridable, Queue, QueueSettings};
use crate::callback::Options;
use crate::ids::QueueName;
use crate::tenant::Tenant;

/// The language of prompts unless a booking asks for another.
const USUAL_LANGUAGE: &str = "en-US";

/// How routing is to make the call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOptions {
    /// Virtual queue in routing.
    pub virtual_queue: String,
    /// Routing target or skill expression.
    pub target: Option<String>,
    /// Routing point of the outbound call.
    pub route_point: Option<String>,
    /// Routing point of the survey.
    pub survey_route_point: Option<String>,
    /// Language of prompts.
    pub language: String,
    /// Initial priority; none is routing's own.
    pub priority: Option<f64>,
    /// Regions in order of preference; none if no rule is set.
    pub regions: Vec<String>,
    /// Who calls whom.
    pub direction: CallDirection,
    /// Digits dialled before the number.
    pub dial_prefix: Option<String>,
    /// The name that the customer sees.
    pub display_name: Option<String>,
    /// The number that the customer sees.
    pub display_number: Option<String>,
    /// Guard time of call-progress detection in milliseconds; none if it is off.
    pub call_progress_guard_ms: Option<u32>,
    /// Dials of the customer in one session, at least 1.
    pub dial_attempts: u32,
    /// Seconds between two dials.
    pub dial_retry_seconds: u32,
    /// Seconds of "call me again later".
    pub snooze_seconds: u32,
    /// Seconds in which a pushed customer has to call in.
    pub pushed_expiry_seconds: u32,
    /// The customer may be held until an agent is free.
    pub hold_enabled: bool,
    /// How user data is attached to the call.
    pub attach_user_data: String,
    /// Passed on as they are, by the product's names.
    pub routing_options: BTreeMap<String, String>,
}

impl CallOptions {
    /// For a booking with these options in a queue of that name. A queue that is gone counts as one that sets
    /// nothing: its callbacks are still made.
    pub fn of(tenant: &Tenant, name: &QueueName, booked: &Options) -> Self {
        let Some(queue) = tenant.queues.get(name) else {
            return Self::in_queue(&Queue::standalone(QueueSettings::default()), name, booked);
        };
        let rule = queue.region_rule.as_ref().and_then(|rule| tenant.region_rules.get(rule));
        Self { regions: rule.cloned().unwrap_or_default(), ..Self::in_queue(queue, name, booked) }
    }

    /// As a queue of that name has it that sets nothing, for a booking that asks for nothing.
    pub fn usual(name: &QueueName) -> Self {
        Self::in_queue(&Queue::standalone(QueueSettings::default()), name, &Options::default())
    }

    fn in_queue(queue: &Queue, name: &QueueName, booked: &Options) -> Self {
        let may = |option| queue.overridable.contains(&option);
        let text = |option, booked: &Option<String>| booked.clone().filter(|_| may(option));
        let survey = text(Overridable::SurveyRoutePoint, &booked.survey_rp);
        Self {
            virtual_queue: queue.virtual_queue.clone().unwrap_or_else(|| name.to_string()),
            target: queue.target.clone(),
            route_point: text(Overridable::RoutePoint, &booked.route_point).or_else(|| queue.route_point.clone()),
            survey_route_point: survey.or_else(|| queue.survey_route_point.clone()),
            language: text(Overridable::Language, &booked.language).unwrap_or_else(|| USUAL_LANGUAGE.to_owned()),
            priority: booked.priority.filter(|_| may(Overridable::Priority)).or(queue.priority.map(f64::from)),
            regions: Vec::new(),
            direction: queue.call_direction,
            dial_prefix: queue.dial_prefix.clone(),
            display_name: queue.display_name.clone(),
            display_number: queue.display_number.clone(),
            call_progress_guard_ms: queue.call_progress_detection.then_some(queue.call_progress_guard_ms),
            dial_attempts: queue.dial_attempts,
            dial_retry_seconds: queue.dial_retry_seconds,
            snooze_seconds: queue.snooze_seconds,
            pushed_expiry_seconds: queue.pushed_expiry_seconds,
            hold_enabled: queue.hold_enabled,
            attach_user_data: queue.attach_user_data.clone(),
            routing_options: queue.routing_options.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use crate::tenant::TenantDocument;

    fn name() -> QueueName {
        QueueName::new("support").unwrap()
    }

    fn options(document: &str, booked: &Options) -> CallOptions {
        let document: TenantDocument = serde_json::from_str(document).unwrap();
        CallOptions::of(&document.resolve(TenantId::from_name("acme")).unwrap(), &name(), booked)
    }

    #[test]
    fn a_queue_that_sets_nothing_and_one_that_is_gone_are_the_usual() {
        let usual = CallOptions::usual(&name());
        assert_eq!(options(r#"{"tenant": "acme"}"#, &Options::default()), usual);
        assert_eq!(options(r#"{"tenant": "acme", "queues": {"support": {}}}"#, &Options::default()), usual);
    }

    #[test]
    fn the_settings_of_the_queue_reach_routing() {
        let document = r#"{"tenant": "acme", "regionRules": {"eu": ["EU", "US"]}, "queues": {"support": {
            "virtualQueue": "VQ", "target": "?:a=1", "routePoint": "1", "surveyRoutePoint": "2", "priority": 7,
            "regionRule": "eu", "dialPrefix": "91", "callDirection": "user-originated", "displayName": "n",
            "displayNumber": "+1", "callProgressDetection": false, "dialAttempts": 5, "dialRetrySeconds": 6,
            "snoozeSeconds": 7, "pushedExpirySeconds": 10, "holdEnabled": true, "attachUserData": "separate",
            "routingOptions": {"_agent_preview": "true"}}}}"#;
        let call = options(document, &Options::default());
        assert_eq!((call.virtual_queue.as_str(), call.target.as_deref()), ("VQ", Some("?:a=1")));
        assert_eq!((call.route_point.as_deref(), call.survey_route_point.as_deref()), (Some("1"), Some("2")));
        assert_eq!(
            (call.priority, call.regions.as_slice()),
            (Some(7.0), ["EU".to_owned(), "US".to_owned()].as_slice())
        );
        assert_eq!((call.dial_prefix.as_deref(), call.direction), (Some("91"), CallDirection::UserOriginated));
        assert_eq!((call.display_name.as_deref(), call.display_number.as_deref()), (Some("n"), Some("+1")));
        assert_eq!((call.call_progress_guard_ms, call.hold_enabled), (None, true));
        assert_eq!((call.dial_attempts, call.dial_retry_seconds, call.snooze_seconds), (5, 6, 7));
        assert_eq!((call.pushed_expiry_seconds, call.attach_user_data.as_str()), (10, "separate"));
        assert_eq!(call.routing_options["_agent_preview"], "true");
    }

    #[test]
    fn a_booking_overrides_what_the_queue_lets_it() {
        let booked = Options {
            language: Some("fr-FR".to_owned()),
            priority: Some(9.5),
            route_point: Some("b1".to_owned()),
            survey_rp: Some("b2".to_owned()),
            ..Options::default()
        };
        let queue = r#""routePoint": "1", "surveyRoutePoint": "2", "priority": 7"#;
        let told = |overridable: &str| {
            let document = format!(r#"{{"tenant": "acme", "queues": {{"support": {{{queue}{overridable}}}}}}}"#);
            let call = options(&document, &booked);
            (call.language, call.priority, call.route_point.unwrap(), call.survey_route_point.unwrap())
        };
        let expected = |l: &str, p, r: &str, s: &str| (l.to_owned(), Some(p), r.to_owned(), s.to_owned());
        assert_eq!(told(""), expected("fr-FR", 9.5, "b1", "b2"));
        assert_eq!(told(r#", "overridable": []"#), expected("en-US", 7.0, "1", "2"));
        assert_eq!(told(r#", "overridable": ["priority"]"#), expected("en-US", 9.5, "1", "2"));
        assert_eq!(told(r#", "overridable": ["surveyRP", "language"]"#), expected("fr-FR", 7.0, "1", "b2"));
    }
}
