//! Every row of the permission table × every role × own, other line of business, other tenant.

use std::collections::BTreeMap;

use domain::access::routes::{About, Admits, RULES, Rule};
use domain::access::{Permission, Role};
use domain::ids::QueueName;
use domain::queue::QueueSettings;
use domain::tenant::TenantDocument;
use serde_json::json;
use uuid::Uuid;

use super::{Browser, add_users, user};
use crate::harness::http::{Answer, Client};
use crate::harness::service::{Options, Service};
use crate::harness::{api, tenants};

const OWN: &str = "acme";
const OTHER: &str = "neighbour";
/// Its line of business is `bank`.
const LOANS: &str = "loans";
/// Its line of business is `insurance`.
const CARS: &str = "cars";

fn document(name: &str) -> TenantDocument {
    let queue = |line: &str| QueueSettings { line_of_business: Some(line.to_owned()), ..QueueSettings::unlimited() };
    let queues = [(LOANS, queue("bank")), (CARS, queue("insurance"))];
    TenantDocument::with_queues(name, queues.map(|(name, settings)| (QueueName::new(name).unwrap(), settings)))
}

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// The user's tenant, and the line of business of those who have one.
    Own,
    OtherLine,
    OtherTenant,
}

impl Whose {
    const ALL: [Self; 3] = [Self::Own, Self::OtherLine, Self::OtherTenant];

    const fn queue(self) -> &'static str {
        if matches!(self, Self::OtherLine) { CARS } else { LOANS }
    }
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The operation was carried out or judged the request by its own rules.
    LetIn,
    /// 403.
    Refused,
    /// 404, as if there were nothing.
    NotThere,
}

/// A user of every kind that the table tells apart.
struct Kind {
    name: String,
    role: Option<Role>,
    limited: bool,
}

fn kinds() -> Vec<Kind> {
    let roles = Role::ALL.into_iter().map(Some).chain([None]);
    let kinds = roles.flat_map(|role| [false, true].map(|limited| (role, limited)));
    kinds
        .map(|(role, limited)| {
            let name = format!("{}{}", role.map_or("nobody", Role::name), if limited { "-bank" } else { "" });
            Kind { name, role, limited }
        })
        .collect()
}

struct Town {
    service: Service,
    callbacks: BTreeMap<Whose, Uuid>,
}

impl Town {
    fn start() -> Self {
        let folder = tenants::folder(&[document(OWN), document(OTHER)]);
        let users: Vec<_> = kinds()
            .iter()
            .map(|kind| {
                let roles: &[&str] = &[kind.role.map_or("no-such-role", Role::name)];
                user(&kind.name, roles, if kind.limited { &["bank"] } else { &[] })
            })
            .collect();
        add_users(&folder, OWN, &users);
        let service = Service::start_in(folder, Options::default().with("GES_SECURE_COOKIES", false));
        let callbacks = Whose::ALL.map(|whose| (whose, book(&service, whose))).into();
        Self { service, callbacks }
    }

    /// The way of a row about something of somebody.
    fn path(&self, rule: &Rule, whose: Whose) -> String {
        // A section that has no row of its own.
        let path = rule.route.replace("{section}", rule.section.unwrap_or("businessHours"));
        let path = path.replace("{kind}", "push").replace("{endpoint}", "none").replace("{revision}", "1");
        let id = if path.starts_with("/ges/v1/callbacks") { self.callbacks[&whose] } else { Uuid::nil() };
        path.replace("{id}", &id.to_string()).replace("{name}", whose.queue())
    }

    fn ask(&self, browser: &mut Browser, rule: &Rule, whose: Whose) -> Answer {
        let body = match rule.route {
            "/ges/v1/callbacks/search" => json!({ "queues": [whose.queue()] }).to_string(),
            "/ges/v1/number-rules/test" => json!({ "queue": whose.queue(), "number": "+14165550199" }).to_string(),
            "/ges/v1/callbacks/explain" => {
                json!({ "serviceName": whose.queue(), "phoneNumber": "+14165550199" }).to_string()
            }
            _ if rule.method == "GET" => String::new(),
            _ => "{}".to_owned(),
        };
        let tenant = if whose == Whose::OtherTenant { OTHER } else { OWN };
        browser.ask_with(rule.method, &self.path(rule, whose), &[("GES-Tenant", tenant)], &body)
    }
}

/// A callback of tomorrow.
fn book(service: &Service, whose: Whose) -> Uuid {
    let tenant = if whose == Whose::OtherTenant { OTHER } else { OWN };
    let mut client = Client::new(service.external()).with_header("X-API-Key", &tenants::key_of(tenant));
    let tomorrow = chrono::Utc::now() + chrono::Duration::days(1);
    let mut body: serde_json::Value = serde_json::from_str(&api::booking("+14165550101", Some(tomorrow))).unwrap();
    body["serviceName"] = whose.queue().into();
    let answer = api::create(&mut client, None, &body.to_string()).unwrap();
    api::id_of(&answer).unwrap_or_else(|| panic!("{}", answer.text()))
}

/// What the table says of a user: nothing here looks at how the program works it out.
fn expected(rule: &Rule, kind: &Kind, whose: Whose) -> End {
    let everywhere = kind.role == Some(Role::DevOps);
    let allows = |permission: Permission| kind.role.is_some_and(|role| role.permissions().has(permission));
    let permission = match rule.admits {
        Admits::Machines => return End::NotThere,
        Admits::Everybody => return End::LetIn,
        Admits::Users => {
            return if whose == Whose::OtherTenant && !everywhere { End::NotThere } else { End::LetIn };
        }
        Admits::Holders(permission) => permission,
    };
    if whose == Whose::OtherTenant && (!everywhere || !allows(permission)) {
        return End::NotThere;
    }
    if !allows(permission) || (rule.about == About::Installation && !everywhere) {
        return End::Refused;
    }
    // Who looks after the installation looks at all of it.
    let limited = kind.limited && !everywhere;
    match rule.about {
        About::Tenant(_) if limited => End::Refused,
        About::Queues if limited && whose == Whose::OtherLine => End::NotThere,
        _ => End::LetIn,
    }
}

/// Refusals of the gate, as opposed to those of an operation that let the request in.
fn is_of_the_gate(answer: &Answer) -> bool {
    let text = answer.text();
    ["lacks the permission", "not limited to lines", "look after the installation"].iter().any(|it| text.contains(it))
}

fn end(rule: &Rule, whose: Whose, answer: &Answer) -> End {
    let text = answer.text();
    match answer.status {
        403 if is_of_the_gate(answer) => End::Refused,
        404 if text.contains("nothing at this path") || text.contains("no such tenant") => End::NotThere,
        404 if rule.about == About::Queues => End::NotThere,
        // An unknown queue, as the contract of the public API says it.
        400 if rule.about == About::Queues && answer.json()["status"]["code"] == 7040 => End::NotThere,
        // What is not there is left out of a list, and explained as a queue that nobody knows.
        200 if rule.route == "/ges/v1/callbacks/search" => {
            let found = answer.json()["data"]["callbacks"].as_array().map_or(0, Vec::len);
            if found == 0 { End::NotThere } else { End::LetIn }
        }
        200 if rule.route == "/ges/v1/callback-settings" && rule.method == "GET" => {
            let is_row = |line: &str| line.starts_with(&format!("{},", whose.queue()));
            if text.lines().any(is_row) { End::LetIn } else { End::NotThere }
        }
        400 if rule.route == "/ges/v1/number-rules/test" && text.contains("names no configured service") => {
            End::NotThere
        }
        200 if rule.route == "/ges/v1/callbacks/explain" => {
            let known = answer.json()["data"]["accepted"] == true;
            if known { End::LetIn } else { End::NotThere }
        }
        401 => panic!("{rule:?} of {whose:?}: the session is lost: {text}"),
        _ => End::LetIn,
    }
}

/// A callback that is not parked cannot be taken up, which the operation says as it says that there is none.
fn is_judged_alike(rule: &Rule) -> bool {
    rule.route.ends_with("/unpark")
}

#[test]
fn every_row_of_the_table_holds_for_every_role_line_and_tenant() {
    let town = Town::start();
    let (mut tried, mut wrong) = (0, Vec::new());
    for kind in kinds() {
        let mut browser = Browser::of(town.service.external(), &kind.name);
        // What ends the session of the browser has tests of its own.
        let rules = RULES.iter().filter(|rule| !rule.route.starts_with("/ges/v1/session") || rule.method == "GET");
        for rule in rules.filter(|rule| !matches!(rule.admits, Admits::Everybody)) {
            for whose in Whose::ALL {
                let answer = town.ask(&mut browser, rule, whose);
                let (wanted, came) = (expected(rule, &kind, whose), end(rule, whose, &answer));
                tried += 1;
                let alike = is_judged_alike(rule) && wanted == End::LetIn && came == End::NotThere;
                if came != wanted && !alike {
                    let (name, status) = (&kind.name, answer.status);
                    wrong.push(format!(
                        "{name} {} {} {whose:?}: {came:?} ({status}), not {wanted:?}",
                        rule.method, rule.route
                    ));
                }
            }
        }
    }
    println!("{tried} requests, {} rows, {} kinds of users", RULES.len(), kinds().len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn a_search_shows_the_lines_of_the_user_and_no_others() {
    let town = Town::start();
    let found = |browser: &mut Browser, body: &str| {
        let answer = browser.ask("POST", "/ges/v1/callbacks/search", body);
        let entries = answer.json()["data"]["callbacks"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let mut all = [Whose::Own, Whose::OtherLine].map(|whose| town.callbacks[&whose].to_string());
    all.sort();
    let mut monitor = Browser::of(town.service.external(), "monitor");
    assert_eq!(found(&mut monitor, "{}"), all);
    let mut limited = Browser::of(town.service.external(), "monitor-bank");
    let own = [town.callbacks[&Whose::Own].to_string()];
    assert_eq!(found(&mut limited, "{}"), own);
    assert_eq!(found(&mut limited, r#"{"queues":["loans","cars","unheard-of"]}"#), own);
    assert_eq!(found(&mut limited, r#"{"phoneNumber":"+14165550101"}"#), own);
    assert!(found(&mut limited, r#"{"queues":["cars"]}"#).is_empty());
    // The same through the listener of the inside, once a session is brought along.
    let mut inside = Browser { client: Client::new(town.service.internal()), ..limited };
    assert_eq!(found(&mut inside, "{}"), own);
    let path = format!("/ges/v1/callbacks/{}/explain", town.callbacks[&Whose::OtherLine]);
    assert_eq!(inside.get(&path).status, 404);
    let mut nobody = Client::new(town.service.internal()).with_header("ContactCenterID", OWN);
    assert_eq!(nobody.get(&path).unwrap().status, 200, "without one nothing has changed there");
}

#[test]
fn of_the_settings_a_limited_user_sees_the_own_queues() {
    let town = Town::start();
    let mut limited = Browser::of(town.service.external(), "supervisor-bank");
    let table = limited.get("/ges/v1/callback-settings").text();
    let queues: Vec<_> = table.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(queues, [LOANS], "{table}");
    assert_eq!(limited.get("/ges/v1/tenant/queues/loans").json()["lineOfBusiness"], "bank");
    let (other, unknown) = (limited.get("/ges/v1/tenant/queues/cars"), limited.get("/ges/v1/tenant/queues/none"));
    assert_eq!((other.status, unknown.status), (404, 404));
    assert_eq!(other.json()["status"]["message"], unknown.json()["status"]["message"]);
    let whole = limited.get("/ges/v1/tenant");
    assert_eq!(whole.status, 403);
    assert!(whole.text().contains("a part of the document would be taken for all of it"), "{}", whole.text());
    let mut everybody = Browser::of(town.service.external(), "supervisor");
    assert_eq!(everybody.get("/ges/v1/callback-settings").text().lines().count(), 3);
}

#[test]
fn the_audit_log_names_the_user_who_acts() {
    let town = Town::start();
    let mut boss = Browser::of(town.service.external(), "administrator");
    let id = town.callbacks[&Whose::Own];
    assert_eq!(boss.ask("POST", &format!("/ges/v1/callbacks/{id}/cancel"), "").status, 200);
    let rule = r#"{"countries":{"US":[]}}"#;
    let put = boss.ask_with("PUT", "/ges/v1/tenant/numberRules/us", &[("If-Match", "*")], rule);
    assert_eq!(put.status, 200, "{}", put.text());
    let told = boss.get("/ges/v1/audit").json()["data"]["entries"].as_array().cloned().unwrap();
    let acts: Vec<_> =
        told.iter().map(|entry| (entry["act"].as_str().unwrap(), entry["actor"].as_str().unwrap())).collect();
    for act in ["callback.cancelled", "settings.applied"] {
        assert!(acts.contains(&(act, "user:administrator")), "{act}: {acts:?}");
    }
    let revisions = boss.get("/ges/v1/tenant/revisions").json();
    assert_eq!(revisions["data"]["revisions"][0]["actor"], "user:administrator");
}
