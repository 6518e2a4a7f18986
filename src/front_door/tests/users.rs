//! Users at the door: sessions, roles, lines of business. The whole table is tried against the program
//! (`tests/it/roles.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use domain::access::routes::{About, Admits, RULES};
use domain::access::{Account, Membership, Permission};
use domain::ids::{QueueName, TenantId};
use domain::ports::CallInPage;
use domain::queue::QueueSettings;
use domain::secret::Secret;
use domain::tenant::TenantDocument;
use http::Request;
use serde_json::{Value, json};

use crate::front_door::guard::ROUTES;
use crate::front_door::peers::Peer;
use crate::front_door::router::Side;
use crate::front_door::testing::call_in::call_in;
use crate::front_door::testing::{Answer, House, ID, door, settings};
use crate::front_door::{DoorLimits, DoorSettings, openapi};
use crate::users::passwords;
use crate::users::testing::{Elsewhere, users_with};

const PASSWORD: &str = "correct horse battery";

/// `support` is in the line of business `retail`, `cars` in no line.
fn document() -> TenantDocument {
    let support = QueueSettings { line_of_business: Some("retail".to_owned()), ..QueueSettings::default() };
    let queues = [("support", support), ("cars", QueueSettings::default())];
    TenantDocument::with_queues("demo", queues.map(|(name, it)| (QueueName::new(name).unwrap(), it)))
}

fn house() -> House {
    House::of(document(), DoorLimits::default())
}

fn add(house: &House, name: &str, roles: &[&str], lines: &[&str]) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let account = Account {
        name: name.parse().unwrap(),
        tenant: TenantId::from_name("demo"),
        password: passwords::hash(&Secret::new(PASSWORD)).unwrap(),
        membership: Membership { roles: owned(roles), lines: owned(lines), ..Membership::default() },
        created_at: chrono::DateTime::UNIX_EPOCH,
    };
    house.fake.memory.accounts.lock().unwrap().insert(account.name.clone(), account);
}

/// A user with a session.
struct User<'a> {
    house: &'a House,
    cookie: String,
    csrf: String,
}

async fn log_in<'a>(house: &'a House, name: &str) -> User<'a> {
    let answer = try_log_in(house, name, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.headers["set-cookie"].split(';').next().unwrap().to_owned();
    let csrf = answer.json()["data"]["csrfToken"].as_str().unwrap().to_owned();
    User { house, cookie, csrf }
}

async fn try_log_in(house: &House, name: &str, password: &str) -> Answer {
    let request = Request::post("/ges/v1/session").header("content-type", "application/json");
    house.send(request.body(json!({"name": name, "password": password}).to_string().into()).unwrap()).await
}

impl User<'_> {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("cookie", &self.cookie);
        let request = request.header("x-csrf-token", &self.csrf).header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.house.send(request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null).await
    }
}

#[test]
fn every_operation_is_in_the_table_and_every_row_is_an_operation() {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        let methods = methods.filter(|method| ["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&method.as_str()));
        operations
            .extend(methods.map(|method| (method, path.clone())).filter(|(_, path)| path.starts_with("/ges/v1/")));
    }
    let rows: BTreeSet<_> = RULES.iter().map(|rule| (rule.method.to_owned(), rule.route.to_owned())).collect();
    assert_eq!(rows, operations);
    let routes: BTreeSet<_> = ROUTES.iter().copied().filter(|route| route.starts_with("/ges/v1/")).collect();
    assert_eq!(rows.iter().map(|(_, route)| route.as_str()).collect::<BTreeSet<_>>(), routes);
}

#[tokio::test]
async fn without_a_session_there_is_nothing_outside_but_the_way_in() {
    let house = house();
    for rule in RULES {
        let path = rule.route.replace("{id}", ID).replace(['{', '}'], "");
        let request = Request::builder().method(rule.method).uri(&path).header("content-type", "application/json");
        let answer = house.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{rule:?}");
        match rule.admits {
            Admits::Everybody => assert_ne!(answer.status, 404, "{rule:?}"),
            _ if rule.route == "/ges/v1/session" => assert_eq!(answer.refusal(), (401, 401), "{rule:?}"),
            _ => assert_eq!(answer.refusal(), (404, 404), "{rule:?}"),
        }
    }
    for path in ["/metrics", "/engagement/v3/openapi.json", "/engagement/v3/docs", "/ges/v1/", "/ges/v1/unheard-of"] {
        assert_eq!(house.get(path).await.refusal(), (404, 404), "{path}");
    }
}

#[tokio::test]
async fn a_user_logs_in_asks_who_it_is_and_logs_out() {
    let house = house();
    add(&house, "alice", &["supervisor"], &["retail"]);
    let refused = try_log_in(&house, "alice", "wrong").await;
    let unknown = try_log_in(&house, "nobody", "wrong").await;
    assert_eq!((refused.refusal(), unknown.refusal()), ((401, 401), (401, 401)));
    assert_eq!(refused.json()["status"]["message"], unknown.json()["status"]["message"]);
    for body in ["", "{}", r#"{"name":"alice"}"#, r#"{"name":"alice","password":7}"#, "[]"] {
        let request = Request::post("/ges/v1/session").header("content-type", "application/json");
        assert_eq!(house.send(request.body(Body::from(body)).unwrap()).await.refusal(), (400, 501), "{body}");
    }
    let form = Request::post("/ges/v1/session").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(Body::from("name=alice")).unwrap();
    assert_eq!(house.send(form).await.refusal(), (415, 415), "a form of another page");

    let answer = try_log_in(&house, "alice", PASSWORD).await;
    let cookie = &answer.headers["set-cookie"];
    assert!(cookie.starts_with("ges_session=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let alice = log_in(&house, "alice").await;
    let data = alice.get("/ges/v1/session").await.json()["data"].clone();
    assert_eq!((&data["user"], &data["tenant"]), (&json!("alice"), &json!("demo")));
    assert_eq!((&data["roles"], &data["linesOfBusiness"]), (&json!(["supervisor"]), &json!(["retail"])));
    assert_eq!((&data["everyTenant"], &data["idleSeconds"]), (&json!(false), &json!(1_200)));
    let permissions: Vec<_> = data["permissions"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(permissions.contains(&"callbacks.edit") && !permissions.contains(&"settings.edit"), "{permissions:?}");

    let out = alice.ask("DELETE", "/ges/v1/session", &Value::Null).await;
    assert_eq!(out.status, 200, "{out:?}");
    assert!(out.headers["set-cookie"].contains("Max-Age=0"), "{out:?}");
    assert_eq!(alice.get("/ges/v1/session").await.refusal(), (401, 401));
    assert_eq!(alice.get("/ges/v1/tenant/revisions").await.refusal(), (401, 401), "over, and not absent");
}

#[tokio::test]
async fn a_log_in_ends_the_session_that_the_browser_had() {
    let house = house();
    add(&house, "alice", &["monitor"], &[]);
    let (before, elsewhere) = (log_in(&house, "alice").await, log_in(&house, "alice").await);
    let request = Request::post("/ges/v1/session").header("content-type", "application/json");
    let body = json!({"name": "alice", "password": PASSWORD}).to_string();
    let again = house.send(request.header("cookie", &before.cookie).body(body.into()).unwrap()).await;
    assert_eq!(again.status, 200);
    assert_eq!(before.get("/ges/v1/session").await.refusal(), (401, 401));
    assert_eq!(elsewhere.get("/ges/v1/session").await.status, 200, "that of another browser goes on");
}

#[tokio::test]
async fn who_guesses_is_told_to_wait() {
    let house = house();
    for _ in 0..5 {
        assert_eq!(try_log_in(&house, "alice", "wrong").await.refusal(), (401, 401));
    }
    let answer = try_log_in(&house, "alice", "wrong").await;
    assert_eq!((answer.refusal(), answer.headers["retry-after"].as_str()), ((429, 429), "1"));
}

#[tokio::test]
async fn over_encrypted_connections_cookies_are_of_this_very_host() {
    let (mut door, fake) = door();
    door.users = Arc::new(users_with(&fake.memory, fake.clone(), true).known_by(Arc::new(Elsewhere)));
    let house = House::behind(Side::External, settings(DoorLimits::default()), (door, fake));
    let there = house.get("/ges/v1/session/login").await;
    let (pair, rest) = there.headers["set-cookie"].split_once(';').unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!((name, rest), ("__Host-ges-login", " Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"));
    let state = there.headers["location"].split_once("state=").unwrap().1;
    let back = |cookie: String| {
        let request = Request::get(format!("/ges/v1/session/callback?code=any&state={state}"));
        request.header("cookie", cookie).body(Body::empty()).unwrap()
    };
    let planted = house.send(back(format!("ges_login={value}"))).await;
    assert_eq!(planted.refusal(), (401, 401), "by a neighbour in the domain");
    let answer = house.begin(back(format!("__Host-ges-login={value}"))).await;
    let location = answer.headers()["location"].to_str().unwrap();
    assert_eq!((answer.status().as_u16(), location), (303, "/ges/"), "{answer:?}");
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("__Host-ges=") && cookies[0].ends_with("; Secure"), "{cookies:?}");
    assert!(cookies[1].starts_with("__Host-ges-login=;") && cookies[1].contains("Max-Age=0"), "{cookies:?}");
}

#[tokio::test]
async fn an_address_that_is_refused_again_and_again_is_told_to_wait() {
    let (mut door, fake) = door();
    door.users = Arc::new(users_with(&fake.memory, fake.clone(), false).known_by(Arc::new(Elsewhere)));
    let proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let settings = DoorSettings { trusted_proxies: proxies, ..settings(DoorLimits::default()) };
    let house = House::behind(Side::External, settings, (door, fake));
    let there = house.get("/ges/v1/session/login").await;
    let cookie = there.headers["set-cookie"].split(';').next().unwrap();
    let state = there.headers["location"].split_once("state=").unwrap().1;
    let back = async |peer: &str, forwarded: &str, code: &str| {
        let request = Request::get(format!("/ges/v1/session/callback?code={code}&state={state}"));
        let request = request.header("cookie", cookie).header("x-forwarded-for", forwarded);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        house.send(request).await
    };
    for _ in 0..20 {
        assert_eq!(back("10.0.0.1", "198.51.100.1", "bad").await.refusal(), (401, 401));
    }
    let answer = back("10.0.0.1", "1.2.3.4, 198.51.100.1", "good").await;
    assert_eq!((answer.refusal(), answer.headers["retry-after"].as_str()), ((429, 429), "1"));
    assert_eq!(
        back("198.51.100.1", "1.2.3.4", "good").await.refusal(),
        (429, 429),
        "who is no proxy speaks for itself"
    );
    assert_eq!(back("10.0.0.1", "198.51.100.2", "good").await.status, 303);
}

#[tokio::test]
async fn what_changes_something_needs_the_csrf_token() {
    let house = house();
    add(&house, "alice", &["administrator"], &[]);
    let mut alice = log_in(&house, "alice").await;
    let cancel = format!("/ges/v1/callbacks/{ID}/cancel");
    assert_eq!(alice.ask("POST", &cancel, &Value::Null).await.status, 200);
    for wrong in ["", "0", &"0".repeat(64)] {
        wrong.clone_into(&mut alice.csrf);
        assert_eq!(alice.ask("POST", &cancel, &Value::Null).await.refusal(), (403, 403));
        assert_eq!(alice.ask("DELETE", "/ges/v1/session", &Value::Null).await.refusal(), (403, 403));
        assert_eq!(alice.get("/ges/v1/session").await.status, 200, "looking needs none");
    }
    assert_eq!(house.fake.cancelled.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn roles_allow_what_the_table_says() {
    let house = house();
    for role in ["administrator", "supervisor", "monitor", "developer", "devops", "nothing"] {
        add(&house, role, &[role], &[]);
    }
    let cancel = format!("/ges/v1/callbacks/{ID}/cancel");
    let whole = json!({"showNumbers": true});
    *house.fake.call_in.list.lock().unwrap() = Ok(CallInPage { call_ins: vec![call_in()], ..CallInPage::default() });
    for (role, search, cancels, numbers, nodes) in [
        ("administrator", true, true, true, false),
        ("supervisor", true, true, true, false),
        ("monitor", true, false, false, false),
        ("developer", false, false, false, false),
        ("devops", true, false, false, true),
        ("nothing", false, false, false, false),
    ] {
        let user = log_in(&house, role).await;
        let status = |allowed| if allowed { 200 } else { 403 };
        assert_eq!(user.ask("POST", "/ges/v1/callbacks/search", &json!({})).await.status, status(search), "{role}");
        assert_eq!(user.ask("POST", &cancel, &Value::Null).await.status, status(cancels), "{role}");
        assert_eq!(user.ask("POST", "/ges/v1/callbacks/search", &whole).await.status, status(numbers), "{role}");
        assert_eq!(user.get("/ges/v1/routing/nodes").await.status, status(nodes), "{role}");
        // Whoever sees requests to call in and no whole numbers sees their last two digits.
        let listed = user.get("/ges/v1/call-in/requests").await.json();
        let expected = match role {
            "nothing" => Value::Null,
            _ if numbers => json!("+14165550101"),
            _ => json!("…01"),
        };
        assert_eq!(listed["data"]["requests"][0]["fromPhoneNumber"], expected, "{role}: {listed}");
        assert_eq!(user.get("/ges/v1/schemas/tenant").await.status, 200, "{role}");
        assert_eq!(user.get("/ges/v1/health").await.refusal(), (404, 404), "{role}");
    }
}

#[tokio::test]
async fn another_line_of_business_is_not_there() {
    let house = house();
    add(&house, "shop", &["administrator"], &["retail"]);
    add(&house, "bank", &["administrator"], &["bank"]);
    let (shop, bank) = (log_in(&house, "shop").await, log_in(&house, "bank").await);
    // The callback of the fakes is one of `support`.
    for (method, path) in [
        ("GET", format!("/ges/v1/callbacks/{ID}")),
        ("GET", format!("/ges/v1/callbacks/{ID}/explain")),
        ("POST", format!("/ges/v1/callbacks/{ID}/cancel")),
        ("POST", format!("/ges/v1/callbacks/{ID}/unpark")),
        ("GET", "/ges/v1/queues/support/watermark".to_owned()),
    ] {
        // No fake tells a story; whose it is, is asked before.
        let expected = if path.ends_with("/explain") { 404 } else { 200 };
        assert_eq!(shop.ask(method, &path, &Value::Null).await.status, expected, "{path}");
        let answer = bank.ask(method, &path, &Value::Null).await;
        assert_eq!(answer.refusal(), (404, 404), "{path}");
        assert!(!answer.text.contains("business"), "nothing tells that it is there: {answer:?}");
    }
    let found = bank.ask("POST", "/ges/v1/callbacks/search", &json!({})).await;
    assert_eq!(found.json()["data"], json!({"callbacks": []}));
    let asked = bank.ask("POST", "/ges/v1/callbacks/search", &json!({"queues": ["support"]})).await;
    assert_eq!(asked.json()["data"], json!({"callbacks": []}));
}

#[tokio::test]
async fn what_has_no_part_for_a_line_is_refused_with_the_reason() {
    let house = house();
    add(&house, "shop", &["administrator", "developer"], &["retail"]);
    let shop = log_in(&house, "shop").await;
    let limited = RULES.iter().filter_map(|rule| match (rule.admits, rule.about) {
        (Admits::Holders(permission), About::Tenant(why)) if permission != Permission::DevOpsView => Some((rule, why)),
        _ => None,
    });
    for (rule, why) in limited {
        let path = rule.route.replace("{section}", rule.section.unwrap_or("webhooks")).replace(['{', '}'], "");
        let answer = shop.ask(rule.method, &path, &json!({})).await;
        assert_eq!(answer.refusal(), (403, 403), "{rule:?}");
        assert!(answer.message().contains(why.reason()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_number_is_tried_on_queues_that_are_there_and_on_no_rule_of_others() {
    let house = house();
    add(&house, "shop", &["supervisor"], &["retail"]);
    let tenant = document().resolve(TenantId::from_name("demo")).unwrap();
    *house.fake.tenant.lock().unwrap() = Ok(Arc::new(tenant));
    let shop = log_in(&house, "shop").await;
    let test = async |by: Value| {
        let mut body = json!({ "number": "+14165550101" });
        body.as_object_mut().unwrap().extend(by.as_object().unwrap().clone());
        shop.ask("POST", "/ges/v1/number-rules/test", &body).await
    };
    assert_eq!((test(json!({"queue": "support"})).await.status, test(json!({})).await.status), (200, 200));
    let (other, unknown) = (test(json!({"queue": "cars"})).await, test(json!({"queue": "unheard-of"})).await);
    assert_eq!((other.refusal(), unknown.refusal()), ((400, 7040), (400, 7040)));
    assert_eq!(other.message(), unknown.message());
    assert_eq!(test(json!({"rule": "us"})).await.refusal(), (403, 403));
}

#[tokio::test]
async fn nobody_but_who_looks_after_the_installation_names_another_tenant() {
    let house = house();
    add(&house, "alice", &["administrator"], &[]);
    add(&house, "ops", &["devops"], &[]);
    let (alice, ops) = (log_in(&house, "alice").await, log_in(&house, "ops").await);
    let ask = async |user: &User<'_>, tenant: &str| {
        let request = Request::get("/ges/v1/session").header("cookie", &user.cookie).header("ges-tenant", tenant);
        house.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(ask(&alice, "demo").await.json()["data"]["tenant"], "demo");
    for unknown in ["neighbour", "nobody"] {
        assert_eq!(ask(&alice, unknown).await.refusal(), (404, 404), "{unknown}");
    }
    let elsewhere = ask(&ops, "neighbour").await.json()["data"].clone();
    assert_eq!((&elsewhere["tenant"], &elsewhere["everyTenant"]), (&json!("neighbour"), &json!(true)));
    assert_eq!(ask(&ops, "nobody").await.refusal(), (404, 404));
}

#[tokio::test]
async fn inside_a_session_limits_and_nothing_else_changes() {
    let (house, inside) = (house(), House::new(Side::Internal));
    drop(house);
    add(&inside, "alice", &["monitor"], &[]);
    let alice = log_in(&inside, "alice").await;
    // Whoever reaches this listener may, as ever; but not in another tenant with this session.
    let cancel = format!("/ges/v1/callbacks/{ID}/cancel");
    assert_eq!(alice.ask("POST", &cancel, &Value::Null).await.status, 200);
    let request = Request::get("/ges/v1/errors").header("cookie", &alice.cookie).header("ContactCenterID", "neighbour");
    assert_eq!(inside.send(request.body(Body::empty()).unwrap()).await.refusal(), (404, 404));
    let stale = Request::get("/ges/v1/errors").header("cookie", "ges_session=stale").header("ContactCenterID", "demo");
    assert_eq!(inside.send(stale.body(Body::empty()).unwrap()).await.refusal(), (401, 401));
    let machine = Request::get("/ges/v1/errors").header("ContactCenterID", "demo");
    assert_eq!(inside.send(machine.body(Body::empty()).unwrap()).await.status, 200);
    let mut guarded = settings(DoorLimits::default());
    guarded.internal_token = Some(crate::front_door::InternalToken::new("a-token-of-the-inside"));
    let guarded = House::with(Side::Internal, guarded);
    add(&guarded, "alice", &["administrator"], &[]);
    let alice = log_in(&guarded, "alice").await;
    assert_eq!(alice.get("/ges/v1/errors").await.refusal(), (401, 401), "a session is no token");
}
