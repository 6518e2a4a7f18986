//! The product's own names for the settings of a queue (its section `service.<VQ>`), with the forms in which it
//! writes their values: everything may be a text. One table says what each is called here.

mod forms;
mod options;
mod shapes;

use std::collections::BTreeMap;

use crate::document::Node;
use crate::nearest::nearest;
use crate::setting::{Checks, SettingError};
pub use forms::{Form, Shape, cell, read};
pub use options::ROUTING_OPTIONS;
pub use shapes::shapes;

/// One setting under the product's name.
#[derive(Debug, Clone, Copy)]
pub struct ProductKey {
    /// The product's name.
    pub name: &'static str,
    /// Our key.
    pub ours: &'static str,
    /// How the product writes its values.
    pub form: Form,
}

const fn key(name: &'static str, ours: &'static str, form: Form) -> ProductKey {
    ProductKey { name, ours, form }
}

const fn plain(name: &'static str, ours: &'static str) -> ProductKey {
    key(name, ours, Form::Plain)
}

const DUPLICATES: Form = Form::Words(&[("true", "refuse"), ("false", "allow")]);
const DIRECTIONS: Form = Form::Words(&[("USERTERMINATED", "user-terminated"), ("USERORIGINATED", "user-originated")]);

/// Every name of the product that means a setting here. Where two mean the same, the first is the present product's
/// and the others are its predecessor's, or the title of a column.
pub const PRODUCT_KEYS: &[ProductKey] = &[
    plain("_vq", "virtualQueue"),
    plain("_urs_virtual_queue", "virtualQueue"),
    plain("_immediate_enabled", "immediateEnabled"),
    plain("_scheduled_enabled", "scheduledEnabled"),
    key("_paused_services_list", "paused", Form::Paused),
    plain("_business_hours_service", "hours"),
    plain("Business Hours", "hours"),
    plain("_enable_reject_out_of_office_hours", "rejectOutOfHours"),
    plain("_immediate_blackout", "immediateBlackoutSeconds"),
    plain("_logged_in_check", "loggedInCheck"),
    plain("_min_time_before_callback", "minLeadSeconds"),
    key("_reject_future_desired_time", "maxAheadDays", Form::Ahead),
    plain("_default_country", "defaultRegion"),
    plain("_disallow_premium_phone_numbers", "refusePremiumNumbers"),
    plain("_disallow_impossible_phone_numbers", "refuseImpossibleNumbers"),
    plain("_request_time_bucket", "slotMinutes"),
    plain("_max_request_by_time_bucket", "slotCapacity"),
    key("_enable_in_queue_checking", "duplicatePolicy", DUPLICATES),
    key("_throttle_request_parameters", "throttleParameters", Form::Parameters),
    plain("_throttle_request_parameters_limit", "throttleDailyLimit"),
    plain("_enable_throttle_header_parameters", "throttleHeaders"),
    plain("max_queued_callbacks_per_service", "maxQueued"),
    plain("_max_queued_callbacks_per_service", "maxQueued"),
    plain("_ttl", "ttlSeconds"),
    plain("Callback TTL (seconds)", "ttlSeconds"),
    plain("_request_execution_time_buffer", "executionBufferSeconds"),
    plain("_target", "target"),
    plain("_route_point", "routePoint"),
    plain("surveyRP", "surveyRoutePoint"),
    plain("_urs_vq_priority", "priority"),
    plain("_prefix_dial_out", "dialPrefix"),
    key("_call_direction", "callDirection", DIRECTIONS),
    plain("_call_display_name", "displayName"),
    plain("_calling_party_display_name", "displayName"),
    plain("_call_display_number", "displayNumber"),
    plain("_calling_party_display_number", "displayNumber"),
    plain("_cpd_enable", "callProgressDetection"),
    plain("_cpd_timeguard", "callProgressGuardMs"),
    plain("_call_timeguard_timeout", "callProgressGuardMs"),
    plain("_max_dial_attempts", "dialAttempts"),
    plain("_dial_retry_timeout", "dialRetrySeconds"),
    plain("_snooze_duration", "snoozeSeconds"),
    plain("_hold_enabled", "holdEnabled"),
    plain("_push_notification_threshold", "pushThresholdMinutes"),
    plain("Push Notification Threshold (minutes)", "pushThresholdMinutes"),
    plain("_pushed_callback_expiry_time", "pushedExpirySeconds"),
    plain("_attach_udata", "attachUserData"),
    key("_overwritable_options", "overridable", Form::Overridable),
];

/// A window of the throttle is written as two settings with the same number, 1 to 4.
const WINDOW_LIMIT: &str = "_throttle_callbacks_per_service_";
const WINDOW_SECONDS: &str = "_throttle_ttl_";
/// Our key of the windows, and that of what is passed on.
const WINDOWS: &str = "throttleWindows";
const OPTIONS: &str = "routingOptions";

/// Longest value that is passed on, in characters.
const MAX_OPTION_CHARS: usize = 4_096;

/// The setting that the product calls so.
pub fn product_key(name: &str) -> Option<&'static ProductKey> {
    PRODUCT_KEYS.iter().find(|key| key.name == name)
}

/// The product's names of a setting, its present one first.
pub fn names_of(ours: &str) -> impl Iterator<Item = &'static str> {
    PRODUCT_KEYS.iter().filter(move |key| key.ours == ours).map(|key| key.name)
}

/// The number of a throttle window, and whether this is its limit or its length.
fn window(name: &str) -> Option<(usize, &'static str)> {
    let (number, member) = match (name.strip_prefix(WINDOW_LIMIT), name.strip_prefix(WINDOW_SECONDS)) {
        (Some(number), _) => (number, "limit"),
        (_, Some(number)) => (number, "seconds"),
        _ => return None,
    };
    let number = number.parse().ok().filter(|number| (1..=super::QueueSettings::MAX_THROTTLE_WINDOWS).contains(number));
    Some((number?, member))
}

/// What was renamed: the path here, and the name that was written.
pub type Renamed = BTreeMap<String, String>;

/// Gives every setting of one queue its name and form here. `path` names the queue; what is wrong with names is
/// added to `found`, what is wrong with values is for whoever reads the result.
pub fn translate(path: &str, name: &str, queue: &mut Node, found: &mut Vec<SettingError>) -> Renamed {
    let Node::Object(members) = queue else { return Renamed::new() };
    let members = std::mem::take(members);
    let windows = BTreeMap::new();
    let mut work = Translation { path, name, renamed: Renamed::new(), out: Vec::new(), options: None, windows, found };
    members.into_iter().for_each(|(written, value)| work.member(written, value));
    work.finish(queue)
}

struct Translation<'a> {
    path: &'a str,
    name: &'a str,
    renamed: Renamed,
    out: Vec<(String, Node)>,
    /// What is passed on, from wherever it stood.
    options: Option<Node>,
    /// Windows of the throttle by their number.
    windows: BTreeMap<usize, Node>,
    found: &'a mut Vec<SettingError>,
}

impl Translation<'_> {
    fn member(&mut self, written: String, value: Node) {
        if let Some(product) = product_key(&written) {
            let shape = shapes().get(product.ours).copied().unwrap_or(Shape::Other);
            if let Some(value) = self.read(product.form, shape, value) {
                self.rename(product.ours, written, value);
            }
        } else if let Some((number, member)) = window(&written) {
            if let Some(value) = self.read(Form::Plain, Shape::Whole, value) {
                self.windows.entry(number).or_insert_with(Node::empty).put(member, value);
            }
        } else if ROUTING_OPTIONS.contains(&written.as_str()) {
            let text = forms::single(&value).map_or(value, Node::Text);
            self.renamed.insert(format!("{}.{OPTIONS}.{written}", self.path), written.clone());
            self.options.get_or_insert_with(Node::empty).put(&written, text);
        } else if written.starts_with('_') {
            self.unknown(&written);
        } else if written == OPTIONS && matches!(value, Node::Object(_)) {
            let options = self.options.get_or_insert_with(Node::empty);
            value.members().iter().for_each(|(option, value)| options.put(option, value.clone()));
        } else {
            match self.renamed.get(&format!("{}.{written}", self.path)) {
                Some(other) => self.broken(&written, same_as(other)),
                None => self.out.push((written, value)),
            }
        }
    }

    fn read(&self, form: Form, shape: Shape, value: Node) -> Option<Node> {
        match forms::single(&value) {
            Some(text) => forms::read(form, shape, self.name, &text),
            None => Some(value),
        }
    }

    fn rename(&mut self, ours: &str, written: String, value: Node) {
        let path = format!("{}.{ours}", self.path);
        if self.out.iter().any(|(there, _)| there == ours) {
            let other = self.renamed.get(&path).map_or(ours, String::as_str);
            let rule = same_as(other);
            return self.broken(&written, rule);
        }
        self.renamed.insert(path, written);
        self.out.push((ours.to_owned(), value));
    }

    fn broken(&mut self, written: &str, rule: String) {
        self.found.push(SettingError { path: format!("{}.{written}", self.path), value: None, rule });
    }

    fn unknown(&mut self, written: &str) {
        let known = PRODUCT_KEYS.iter().map(|key| key.name).chain(ROUTING_OPTIONS.iter().copied());
        let rule = match nearest(written, known) {
            Some(meant) => format!("is not a known key; did you mean {meant}?"),
            None => "is not a known key".to_owned(),
        };
        self.broken(written, rule);
    }

    fn finish(mut self, queue: &mut Node) -> Renamed {
        if !self.windows.is_empty() {
            let windows = Node::List(std::mem::take(&mut self.windows).into_values().collect());
            self.rename(WINDOWS, format!("{WINDOW_LIMIT}<n>"), windows);
        }
        if let Some(options) = self.options.take() {
            self.out.push((OPTIONS.to_owned(), options));
        }
        *queue = Node::Object(self.out);
        self.renamed
    }
}

fn same_as(other: &str) -> String {
    format!("says the same as {other}, which stands there too")
}

/// Options that are passed on have to be known by name, for a misspelt one would silently do nothing.
pub(super) fn check_options(options: &BTreeMap<String, String>, checks: &mut Checks) {
    checks.at(OPTIONS, |checks| {
        for (name, value) in options {
            if !ROUTING_OPTIONS.contains(&name.as_str()) {
                let meant = nearest(name, ROUTING_OPTIONS.iter().copied());
                let hint = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                checks.broken(name, None, format!("is not a known option of routing{hint}"));
            }
            if value.chars().count() > MAX_OPTION_CHARS || value.chars().any(char::is_control) {
                checks.broken(name, None, format!("has to be at most {MAX_OPTION_CHARS} characters without controls"));
            }
        }
    });
}

#[cfg(test)]
mod tests;
