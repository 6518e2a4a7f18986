//! One tenant: as its document says, and as the service knows it in memory.

mod reading;

pub use reading::{Format, json_schema, read};

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::AccessSettings;
use crate::call_in::{CallInGroup, Group};
use crate::capacity::{CapacityRule, WeekPlaces};
use crate::captcha::CaptchaSettings;
use crate::cors;
use crate::gws::GwsSettings;
use crate::happening::EventFeedSettings;
use crate::hours::{BusinessHours, Calendar, Calendars, HoursRef};
use crate::ids::{CallInGroupName, ContactCenterId, QueueName, TenantId};
use crate::keys::DeclaredKey;
use crate::limits::TenantLimits;
use crate::number_rules::{NumberGate, NumberRule};
use crate::push::PushSettings;
use crate::queue::{Queue, QueueSettings};
use crate::setting::{Checks, SettingError};
use crate::slots::Layout;
use crate::webhooks::WebhookEndpoint;

/// Everything that a tenant has set, as one document. A key that is not known is refused, for a misspelt one
/// would be a rule that silently does not apply.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantDocument {
    /// Version of the form of the document. Default 1, the only one so far.
    pub format: Format,
    /// Name of the contact centre, unique in the installation; the `tenant` label of metrics.
    pub tenant: String,
    /// The contact centre's id in GWS (*ccid*). While GWS knows it no more, the tenant takes no new requests; what was
    /// promised goes on. Default: its own, if the tenant was made because GWS listed it, else none, and then GWS has
    /// no say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub contact_center_id: Option<ContactCenterId>,
    /// Queues by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<QueueName, QueueSettings>,
    /// Calendars by name, for the queues' `hours` and for each other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub business_hours: BTreeMap<String, BusinessHours>,
    /// Capacity rules by name, for the queues' `capacityRule`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity_rules: BTreeMap<String, CapacityRule>,
    /// Number rules by name, for the queues' `numberRule`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub number_rules: BTreeMap<String, NumberRule>,
    /// Regions in order of preference by name, for the queues' `regionRule`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub region_rules: BTreeMap<String, Vec<String>>,
    /// Call-in groups by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub call_in_groups: BTreeMap<CallInGroupName, CallInGroup>,
    /// Whether bookings have to come from people.
    pub captcha: CaptchaSettings,
    /// How customers are told on their devices.
    pub push: PushSettings,
    /// Where the tenant hears of changes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub webhooks: BTreeMap<String, WebhookEndpoint>,
    /// What can be read as a feed.
    pub event_feed: EventFeedSettings,
    /// How much it may ask.
    pub limits: TenantLimits,
    /// Who asks the statistics service in the tenant's name. Default none: statistics are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gws: Option<GwsSettings>,
    /// Origins of web pages that may call the public API from a browser: `https://shop.example`, or `*` for all, at
    /// most 64. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// Which access groups of users may do what.
    #[serde(skip_serializing_if = "AccessSettings::is_default")]
    pub access: AccessSettings,
    /// API keys by label. If the section is there, it is complete: a key that is not in it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeMap<String, DeclaredKey>>,
}

/// Everything a tenant's actor needs to judge a request without asking a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// The contact centre.
    pub id: TenantId,
    /// Its name, unique in the installation; the `tenant` label of metrics.
    pub name: Arc<str>,
    /// Its contact centre in GWS, if it has one.
    pub contact_center: Option<ContactCenterId>,
    /// Its queues by name.
    pub queues: BTreeMap<QueueName, Arc<Queue>>,
    /// The queue behind each other name.
    pub aliases: BTreeMap<QueueName, QueueName>,
    /// Calendars by name.
    pub business_hours: BTreeMap<String, Arc<Calendar>>,
    /// Number rules by name.
    pub number_rules: BTreeMap<String, Arc<NumberGate>>,
    /// Regions in order of preference by name.
    pub region_rules: BTreeMap<String, Vec<String>>,
    /// Call-in groups by name.
    pub call_in_groups: BTreeMap<CallInGroupName, Arc<Group>>,
    /// Whether bookings have to come from people.
    pub captcha: CaptchaSettings,
    /// How customers are told on their devices.
    pub push: PushSettings,
    /// Where the tenant hears of changes, by name.
    pub webhooks: BTreeMap<String, WebhookEndpoint>,
    /// What can be read as a feed.
    pub event_feed: EventFeedSettings,
    /// How much it may ask.
    pub limits: TenantLimits,
    /// Who asks the statistics service in its name.
    pub gws: Option<GwsSettings>,
    /// Origins of web pages that may call the public API from a browser.
    pub cors_origins: Vec<String>,
    /// Which access groups of users may do what.
    pub access: AccessSettings,
}

impl Tenant {
    /// The queue of that name or alias.
    pub fn queue(&self, name: &str) -> Option<(&QueueName, &Arc<Queue>)> {
        let direct = self.queues.get_key_value(name);
        direct.or_else(|| self.queues.get_key_value(self.aliases.get(name)?))
    }

    /// When the queue of that name or alias is served, or, if there is none, the calendar of that name.
    pub fn hours(&self, name: &str) -> Option<&Arc<Calendar>> {
        self.queue(name).map(|(_, queue)| &queue.hours).or_else(|| self.business_hours.get(name))
    }
}

impl TenantDocument {
    /// A document that says no more than the name and the queues.
    pub fn with_queues(tenant: &str, queues: impl IntoIterator<Item = (QueueName, QueueSettings)>) -> Self {
        Self { tenant: tenant.to_owned(), queues: queues.into_iter().collect(), ..Self::default() }
    }

    /// The tenant as the service works with it: every name replaced by what it stands for.
    ///
    /// # Errors
    /// Every rule that the document breaks, in its order.
    pub fn resolve(&self, id: TenantId) -> Result<Tenant, Vec<SettingError>> {
        let mut checks = Checks::default();
        checks.line("tenant", Some(&self.tenant));
        let mut hours_checks = Checks::default();
        let calendars = hours_checks.at("businessHours", |checks| Calendars::resolve(&self.business_hours, checks));
        let shared = Shared {
            hours: &calendars,
            capacity: self.capacity_rules.iter().map(|(name, rule)| (name.clone(), Arc::new(rule.places()))).collect(),
            numbers: self.number_rules.iter().map(|(name, rule)| (name.clone(), Arc::new(rule.gate()))).collect(),
            regions: &self.region_rules,
        };
        let mut queues = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        checks.at("queues", |checks| {
            for (name, settings) in &self.queues {
                checks.at(name.as_str(), |checks| {
                    settings.check(checks);
                    queues.insert(name.clone(), Arc::new(shared.queue(settings, checks)));
                    for alias in &settings.aliases {
                        let taken = self.queues.contains_key(alias) || aliases.contains_key(alias);
                        if taken {
                            checks.broken("aliases", Some(alias), "has to be the name of no other queue");
                        }
                        aliases.insert(alias.clone(), name.clone());
                    }
                });
            }
        });
        checks.append(hours_checks);
        checks.at("capacityRules", |checks| {
            self.capacity_rules.iter().for_each(|(name, rule)| checks.at(name, |checks| rule.check(checks)));
        });
        checks.at("numberRules", |checks| {
            self.number_rules.iter().for_each(|(name, rule)| checks.at(name, |checks| rule.check(name, checks)));
        });
        checks.at("callInGroups", |checks| {
            let groups = self.call_in_groups.iter();
            groups.for_each(|(name, group)| checks.at(name.as_str(), |checks| group.check(checks)));
        });
        checks.at("captcha", |checks| self.captcha.check(checks));
        checks.at("queues", |checks| self.captcha.check_queues(&self.queues, checks));
        if let Some(gws) = &self.gws {
            checks.at("gws", |checks| gws.check(checks));
        }
        checks.at("push", |checks| self.push.check(checks));
        checks.within("webhooks", self.webhooks.len(), 0..=WebhookEndpoint::MAX_ENDPOINTS);
        checks.at("webhooks", |checks| {
            self.webhooks.iter().for_each(|(name, endpoint)| checks.at(name, |checks| endpoint.check(checks)));
        });
        checks.at("eventFeed", |checks| self.event_feed.check(checks));
        checks.at("limits", |checks| self.limits.check(checks));
        self.check_own(&mut checks);
        let errors = checks.into_errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Tenant {
            id,
            name: self.tenant.as_str().into(),
            contact_center: self.contact_center_id.or_else(|| id.contact_center(&self.tenant)),
            queues,
            aliases,
            number_rules: shared.numbers,
            business_hours: calendars.into_named(),
            region_rules: self.region_rules.clone(),
            call_in_groups: self
                .call_in_groups
                .iter()
                .map(|(name, it)| (name.clone(), Arc::new(it.resolve())))
                .collect(),
            captcha: self.captcha.clone(),
            push: self.push.clone(),
            webhooks: self.webhooks.clone(),
            event_feed: self.event_feed.clone(),
            limits: self.limits.clone(),
            gws: self.gws.clone(),
            cors_origins: self.cors_origins.clone(),
            access: self.access.clone(),
        })
    }
}

impl TenantDocument {
    /// Most API keys of a tenant.
    pub const MAX_KEYS: usize = 1_000;

    /// What is checked of sections that have no file of their own.
    fn check_own(&self, checks: &mut Checks) {
        checks.at("regionRules", |checks| {
            for (name, regions) in &self.region_rules {
                if !(1..=32).contains(&name.chars().count()) {
                    checks.broken(name, None, "the name of a region rule has 1 to 32 characters");
                }
                checks.within(name, regions.len(), 1..=20);
                regions.iter().for_each(|region| checks.line(name, Some(region)));
            }
        });
        cors::check_origins(&self.cors_origins, checks);
        checks.at("access", |checks| self.access.check(checks));
        let keys = self.keys.iter().flatten();
        checks.at("keys", |checks| {
            keys.for_each(|(label, key)| checks.at(label, |checks| key.check(label, checks)));
        });
        checks.within("keys", self.keys.as_ref().map_or(0, BTreeMap::len), 0..=Self::MAX_KEYS);
    }
}

/// What the queues of a document name.
struct Shared<'a> {
    hours: &'a Calendars,
    capacity: BTreeMap<String, Arc<WeekPlaces>>,
    numbers: BTreeMap<String, Arc<NumberGate>>,
    regions: &'a BTreeMap<String, Vec<String>>,
}

impl Shared<'_> {
    fn queue(&self, settings: &QueueSettings, checks: &mut Checks) -> Queue {
        let hours = match &settings.hours {
            HoursRef::InPlace(hours) => Some(checks.at("hours", |checks| self.hours.in_place(hours, checks))),
            HoursRef::Named(name) => named("hours", "businessHours", self.hours.named(), Some(name), checks),
        };
        named("regionRule", "regionRules", self.regions, settings.region_rule.as_ref(), checks);
        let hours = hours.unwrap_or_default();
        let rule = named("capacityRule", "capacityRules", &self.capacity, settings.capacity_rule.as_ref(), checks);
        let layout = match rule {
            Some(rule) => Layout::by_rule(hours.zone(), rule),
            None => Layout::even(hours.zone(), settings.slot_minutes, settings.slot_capacity),
        };
        Queue {
            settings: settings.clone(),
            hours,
            layout,
            numbers: named("numberRule", "numberRules", &self.numbers, settings.number_rule.as_ref(), checks),
        }
    }
}

/// What stands under a name; a name under which nothing stands is a mistake.
fn named<T: Clone>(
    key: &str,
    section: &str,
    all: &BTreeMap<String, T>,
    name: Option<&String>,
    checks: &mut Checks,
) -> Option<T> {
    let name = name?;
    let found = all.get(name).cloned();
    if found.is_none() {
        checks.broken(key, Some(name), format!("has to be a name of {section}"));
    }
    found
}
