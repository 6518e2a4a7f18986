//! The permission table: every operation under `/ges/v1` and whom it is for. An operation that is not in it is for nobody.

use super::Permission;

/// Whom an operation is for, among users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Everybody, without a session: the way in.
    Everybody,
    /// Whoever has a session.
    Users,
    /// Users with this permission.
    Holders(Permission),
    /// No user: for routing, probes and collectors, which come by the internal listener.
    Machines,
}

/// What an operation is about, and so how users are limited in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Callbacks of queues: it shows and changes those of the user's lines of business, and no others are there.
    Queues,
    /// The whole of a tenant: it is for users who are not limited to lines of business. Nothing is told of queues that
    /// could be left out, or leaving it out would tell something wrong.
    Tenant(Whole),
    /// Something that has nothing to do with queues.
    Neither,
    /// The whole installation: it is for users whose permission holds in every tenant.
    Installation,
}

/// Why there is no part of something for one line of business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// The document of a tenant: whoever took a part of it for all of it would remove the rest with the next change.
    Document,
    /// Changes of settings: what a queue says of itself is in it, its line of business too.
    Changes,
    /// Rules and calendars: queues of every line share them.
    Rules,
    /// Requests to call in: their groups are in no line of business.
    CallIns,
    /// Secrets: they are used for every queue.
    Credentials,
    /// Webhooks and notifications: a receiver is told of every queue.
    Messages,
    /// What is kept of a number: half of it told or erased would be neither.
    Number,
    /// The audit log: a chain with gaps proves nothing.
    Audit,
    /// What routing and its flows ask: they are no users.
    Routing,
}

impl Whole {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Document,
        Self::Changes,
        Self::Rules,
        Self::CallIns,
        Self::Credentials,
        Self::Messages,
        Self::Number,
        Self::Audit,
        Self::Routing,
    ];

    /// It in words, behind a colon.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Document => "a part of the document would be taken for all of it",
            Self::Changes => "a change of settings can reach queues of every line",
            Self::Rules => "queues of every line share it",
            Self::CallIns => "call-in groups are in no line",
            Self::Credentials => "it is used for every queue",
            Self::Messages => "receivers are told of every queue",
            Self::Number => "what is kept of a number is told and erased as a whole",
            Self::Audit => "a chain with gaps proves nothing",
            Self::Routing => "routing works for all of it",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Path with its parameters.
    pub route: &'static str,
    /// The value of the parameter `section` that it is about; all that no other row names if there is none.
    pub section: Option<&'static str>,
    /// Whom it is for.
    pub admits: Admits,
    /// What it is about.
    pub about: About,
}

const fn rule(method: &'static str, route: &'static str, admits: Admits, about: About) -> Rule {
    Rule { method, route, section: None, admits, about }
}

const fn of_section(method: &'static str, section: &'static str, permission: Permission, about: About) -> Rule {
    Rule { method, route: SECTION_ROUTE, section: Some(section), admits: Admits::Holders(permission), about }
}

const SECTION_ROUTE: &str = "/ges/v1/tenant/{section}/{name}";

use About::{Installation, Neither, Queues, Tenant};
use Admits::{Everybody, Holders, Machines, Users};
use Permission as P;

/// The table.
pub const RULES: &[Rule] = &[
    rule("POST", "/ges/v1/session", Everybody, Neither),
    rule("GET", "/ges/v1/session", Users, Neither),
    rule("DELETE", "/ges/v1/session", Users, Neither),
    rule("GET", "/ges/v1/session/login", Everybody, Neither),
    rule("GET", "/ges/v1/session/callback", Everybody, Neither),
    rule("POST", "/ges/v1/callbacks/search", Holders(P::CallbacksView), Queues),
    rule("GET", "/ges/v1/callbacks/{id}", Holders(P::CallbacksExport), Queues),
    rule("GET", "/ges/v1/callbacks/{id}/explain", Holders(P::CallbacksView), Queues),
    rule("POST", "/ges/v1/callbacks/explain", Holders(P::CallbacksView), Queues),
    rule("POST", "/ges/v1/callbacks/{id}/cancel", Holders(P::CallbacksEdit), Queues),
    rule("POST", "/ges/v1/callbacks/{id}/unpark", Holders(P::CallbacksEdit), Queues),
    rule("GET", "/ges/v1/callbacks/parked", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/queues/{name}/watermark", Holders(P::CallbacksView), Queues),
    rule("GET", "/ges/v1/hours/{name}/status", Holders(P::SettingsView), Queues),
    rule("GET", "/ges/v1/call-in/requests", Holders(P::CallInsView), Tenant(Whole::CallIns)),
    rule("POST", "/ges/v1/call-in/requests/{id}/cancel", Holders(P::CallInsEdit), Tenant(Whole::CallIns)),
    rule("GET", "/ges/v1/tenants", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/tenant", Holders(P::SettingsView), Tenant(Whole::Document)),
    rule("PUT", "/ges/v1/tenant", Holders(P::SettingsEdit), Tenant(Whole::Changes)),
    rule("POST", "/ges/v1/tenant/validate", Holders(P::SettingsView), Tenant(Whole::Document)),
    rule("GET", "/ges/v1/tenant/revisions", Holders(P::SettingsView), Tenant(Whole::Document)),
    rule("GET", "/ges/v1/tenant/revisions/{revision}", Holders(P::SettingsView), Tenant(Whole::Document)),
    of_section("GET", "queues", P::SettingsView, Queues),
    rule("GET", SECTION_ROUTE, Holders(P::SettingsView), Tenant(Whole::Rules)),
    of_section("PUT", "capacityRules", P::CapacityEdit, Tenant(Whole::Rules)),
    of_section("DELETE", "capacityRules", P::CapacityEdit, Tenant(Whole::Rules)),
    of_section("PUT", "numberRules", P::NumberRulesEdit, Tenant(Whole::Rules)),
    of_section("DELETE", "numberRules", P::NumberRulesEdit, Tenant(Whole::Rules)),
    of_section("PUT", "regionRules", P::RegionsEdit, Tenant(Whole::Rules)),
    of_section("DELETE", "regionRules", P::RegionsEdit, Tenant(Whole::Rules)),
    rule("PUT", SECTION_ROUTE, Holders(P::SettingsEdit), Tenant(Whole::Changes)),
    rule("DELETE", SECTION_ROUTE, Holders(P::SettingsEdit), Tenant(Whole::Changes)),
    rule("GET", "/ges/v1/tenant/capacityRules/{name}/convert", Holders(P::SettingsView), Tenant(Whole::Rules)),
    rule("POST", "/ges/v1/tenant/capacityRules/{name}/convert", Holders(P::CapacityEdit), Tenant(Whole::Rules)),
    rule("GET", "/ges/v1/schemas/tenant", Users, Neither),
    rule("GET", "/ges/v1/callback-settings", Holders(P::SettingsView), Queues),
    rule("PUT", "/ges/v1/callback-settings", Holders(P::SettingsEdit), Tenant(Whole::Changes)),
    rule("POST", "/ges/v1/settings/refresh", Holders(P::SettingsEdit), Neither),
    rule("POST", "/ges/v1/number-rules/test", Holders(P::SettingsView), Queues),
    rule("GET", "/ges/v1/credentials", Holders(P::DeveloperView), Neither),
    rule("PUT", "/ges/v1/credentials/{kind}", Holders(P::DeveloperEdit), Tenant(Whole::Credentials)),
    rule("DELETE", "/ges/v1/credentials/{kind}", Holders(P::DeveloperEdit), Tenant(Whole::Credentials)),
    rule("PUT", "/ges/v1/credentials/{kind}/{name}", Holders(P::DeveloperEdit), Tenant(Whole::Credentials)),
    rule("DELETE", "/ges/v1/credentials/{kind}/{name}", Holders(P::DeveloperEdit), Tenant(Whole::Credentials)),
    rule("POST", "/ges/v1/api-keys/validate", Holders(P::DeveloperView), Neither),
    rule("POST", "/ges/v1/captcha/verify", Holders(P::DeveloperEdit), Neither),
    rule("GET", "/ges/v1/errors", Holders(P::DeveloperView), Neither),
    rule("GET", "/ges/v1/webhooks", Holders(P::DeveloperView), Tenant(Whole::Messages)),
    rule("GET", "/ges/v1/webhooks/deliveries", Holders(P::DeveloperView), Tenant(Whole::Messages)),
    rule("GET", "/ges/v1/webhooks/{endpoint}/deliveries", Holders(P::DeveloperView), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/webhooks/{endpoint}/resend", Holders(P::DeveloperEdit), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/webhooks/{endpoint}/recover", Holders(P::DeveloperEdit), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/webhooks/{endpoint}/enable", Holders(P::DeveloperEdit), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/webhooks/{endpoint}/example", Holders(P::DeveloperEdit), Tenant(Whole::Messages)),
    rule("GET", "/ges/v1/notifications", Holders(P::DeveloperView), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/notifications/publish", Holders(P::DeveloperEdit), Tenant(Whole::Messages)),
    rule("POST", "/ges/v1/personal-data/export", Holders(P::PersonalData), Tenant(Whole::Number)),
    rule("POST", "/ges/v1/personal-data/erase", Holders(P::PersonalData), Tenant(Whole::Number)),
    rule("GET", "/ges/v1/erasures", Holders(P::PersonalData), Tenant(Whole::Number)),
    rule("GET", "/ges/v1/erasures/{id}", Holders(P::PersonalData), Tenant(Whole::Number)),
    rule("GET", "/ges/v1/audit", Holders(P::AuditView), Tenant(Whole::Audit)),
    rule("GET", "/ges/v1/health/detail", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/routing/nodes", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/alarms", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/alerts", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/alarm-types", Holders(P::DevOpsView), Installation),
    rule("GET", "/ges/v1/log-level", Holders(P::DevOpsView), Installation),
    rule("PUT", "/ges/v1/log-level", Machines, Installation),
    rule("DELETE", "/ges/v1/log-level", Machines, Installation),
    rule("GET", "/ges/v1/health", Machines, Installation),
    rule("GET", "/ges/v1/health/live", Machines, Installation),
    rule("GET", "/ges/v1/health/ready", Machines, Installation),
    rule("POST", "/ges/v1/callbacks/{id}/signals", Machines, Tenant(Whole::Routing)),
    rule("POST", "/ges/v1/callbacks/signals", Machines, Tenant(Whole::Routing)),
    rule("POST", "/ges/v1/callbacks/{id}/user-data", Machines, Tenant(Whole::Routing)),
    rule("POST", "/ges/v1/queues/reports", Machines, Tenant(Whole::Routing)),
    rule("POST", "/ges/v1/call-in/match", Machines, Tenant(Whole::Routing)),
    rule("GET", "/ges/v1/captcha/test-page", Machines, Neither),
];

/// The row of an operation; none if it is for nobody. `section` is the parameter of that name in the path.
pub fn find(method: &str, route: &str, section: Option<&str>) -> Option<&'static Rule> {
    // Whoever may read may ask whether there is something to read.
    let method = if method == "HEAD" { "GET" } else { method };
    let of_route = || RULES.iter().filter(|rule| rule.method == method && rule.route == route);
    let of_section = section.and_then(|section| of_route().find(|rule| rule.section == Some(section)));
    of_section.or_else(|| of_route().find(|rule| rule.section.is_none()))
}
