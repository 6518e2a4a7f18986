//! Sessions of local accounts, from log-in to end.

use serde_json::Value;

use super::{Browser, PASSWORD, add_users, soon, user};
use crate::harness::database;
use crate::harness::service::{Options, Service, run_to_end};

/// The sample tenant with two users.
fn service() -> Service {
    let service = Service::start(Options::default().with("GES_SECURE_COOKIES", false));
    let users = [user("alice", &["administrator"], &[]), user("bob", &["monitor"], &[])];
    add_users(service.folder(), "demo", &users);
    service
}

#[test]
fn a_session_is_opened_used_and_closed_and_nothing_secret_is_logged() {
    let mut service = service();
    let mut alice = Browser::new(service.external());
    assert_eq!(alice.log_in("alice", "marker-wrong-password-90ff").status, 401);
    assert_eq!(alice.log_in("alice", PASSWORD).status, 200);
    assert_eq!(alice.who()["user"], "alice");
    let token = alice.cookie.split_once('=').unwrap().1.to_owned();
    // The session is a row: a restart of the program does not end it.
    service.sigterm();
    service.restart();
    let (cookie, csrf) = (alice.cookie.clone(), alice.csrf.clone());
    let mut alice = Browser { cookie, csrf, ..Browser::new(service.external()) };
    assert_eq!(alice.who()["user"], "alice");
    assert_eq!(alice.ask("DELETE", "/ges/v1/session", "").status, 200);
    alice.cookie = format!("ges_session={token}");
    assert_eq!(alice.get("/ges/v1/session").status, 401);
    let written = service.everything_written();
    for secret in [PASSWORD, "marker-wrong-password-90ff", token.as_str(), alice.csrf.as_str()] {
        assert!(!secret.is_empty() && !written.contains(secret), "{secret} was logged");
    }
}

#[test]
fn twenty_minutes_without_a_request_end_a_session() {
    let service = service();
    let mut alice = Browser::of(service.external(), "alice");
    let data = service.folder().data();
    let pass = |minutes: i64| {
        let span = minutes * 60_000;
        database::run(&data, &format!("UPDATE sessions SET used_at = used_at - {span}"));
    };
    pass(19);
    assert_eq!(alice.get("/ges/v1/session").status, 200);
    pass(20);
    assert_eq!(alice.get("/ges/v1/session").status, 401);
    let mut alice = Browser::of(service.external(), "alice");
    database::run(&data, "UPDATE sessions SET created_at = created_at - 43200000");
    assert_eq!(alice.get("/ges/v1/session").status, 401, "twelve hours, however busy");
}

#[test]
fn roles_that_change_and_accounts_that_go_are_noticed_at_once() {
    let service = service();
    let folder = service.folder().clone();
    let ges = |arguments: &[&str]| {
        let output = run_to_end(&folder, &Options::default(), arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        told
    };
    let told = ges(&["users", "add", "dora", "--role", "monitor", "--line", "bank", "--generate"]);
    let password = told.lines().find_map(|line| line.strip_prefix("password ")).unwrap().trim().to_owned();
    let mut dora = Browser::new(service.external());
    assert_eq!(dora.log_in("dora", &password).status, 200);
    assert_eq!(dora.who()["linesOfBusiness"], serde_json::json!(["bank"]));
    assert!(ges(&["users", "list"]).contains("dora"));
    ges(&["users", "change", "dora", "--role", "administrator"]);
    assert_eq!(dora.get("/ges/v1/session").status, 401, "who may do something else logs in anew");
    assert_eq!(dora.log_in("dora", &password).status, 200);
    assert_eq!(dora.who()["roles"], serde_json::json!(["administrator"]));
    let told = ges(&["users", "password", "dora", "--generate"]);
    assert!(told.contains("password "), "{told}");
    assert_eq!(dora.get("/ges/v1/session").status, 401);
    assert_eq!(dora.log_in("dora", &password).status, 401, "the old password");
    let mut bob = Browser::of(service.external(), "bob");
    ges(&["users", "lock", "bob"]);
    assert_eq!(bob.get("/ges/v1/session").status, 401);
    assert_eq!(bob.log_in("bob", PASSWORD).status, 401, "as if there were no such account");
    assert!(ges(&["users", "list"]).lines().any(|line| line.starts_with("bob") && line.contains("locked")));
    ges(&["users", "unlock", "bob"]);
    assert_eq!(bob.log_in("bob", PASSWORD).status, 200);
    ges(&["users", "remove", "bob"]);
    assert_eq!(bob.get("/ges/v1/session").status, 401);
    assert_eq!(bob.log_in("bob", PASSWORD).status, 401);
    let refused = run_to_end(&folder, &Options::default(), &["users", "add", "eve", "--role", "king", "--generate"]);
    assert_eq!(refused.status.code(), Some(2));
    let mut alice = Browser::of(service.external(), "alice");
    let told = alice.get("/ges/v1/audit");
    let entries = told.json()["data"]["entries"].as_array().cloned().unwrap();
    let text = |entry: &Value, member: &str| entry[member].as_str().unwrap_or_default().to_owned();
    let by_command: Vec<_> = entries
        .iter()
        .filter(|entry| entry["actor"] == "ges" && text(entry, "act").starts_with("account."))
        .map(|entry| (text(entry, "act"), text(entry, "subject"), text(entry, "details")))
        .collect();
    let expected = [
        ("account.added", "dora", "roles monitor; lines of business bank"),
        ("account.changed", "dora", "roles administrator"),
        ("account.password", "dora", ""),
        ("account.locked", "bob", ""),
        ("account.unlocked", "bob", ""),
        ("account.removed", "bob", ""),
    ];
    let expected = expected.map(|(act, subject, details)| (act.to_owned(), subject.to_owned(), details.to_owned()));
    assert_eq!(by_command, expected);
    assert!(!told.text().contains(&password) && !told.text().contains("argon2"));
}

#[test]
fn roles_of_the_tenants_own_are_in_force_within_seconds() {
    let service = service();
    add_users(service.folder(), "demo", &[user("aud", &["auditor"], &[])]);
    let (mut alice, mut auditor) = (Browser::of(service.external(), "alice"), Browser::of(service.external(), "aud"));
    assert_eq!(auditor.get("/ges/v1/audit").status, 403, "there is no such role yet");
    let mut document = alice.get("/ges/v1/tenant").json();
    document["access"] = serde_json::json!({ "roles": { "auditor": { "permissions": ["devops.view"] } } });
    let refused = alice.ask_with("PUT", "/ges/v1/tenant", &[("If-Match", "*")], &document.to_string());
    assert_eq!(refused.status, 400, "the operator's to give: {}", refused.text());
    document["access"]["roles"]["auditor"]["permissions"] = serde_json::json!(["audit.view"]);
    let applied = alice.ask_with("PUT", "/ges/v1/tenant", &[("If-Match", "*")], &document.to_string());
    assert_eq!(applied.status, 200, "{}", applied.text());
    soon("the role is known", || auditor.get("/ges/v1/audit").status == 200);
    assert_eq!(auditor.get("/ges/v1/tenant").status, 403, "and nothing else");
}

#[test]
fn a_tenant_that_goes_takes_its_users_along() {
    let service = service();
    let mut alice = Browser::of(service.external(), "alice");
    let data = service.folder().data();
    database::run(&data, "UPDATE tenants SET settings = NULL, name = NULL WHERE name = 'demo'");
    database::run(&data, "UPDATE installation SET epoch = epoch + 1");
    soon("the users of a tenant that is gone are out", || alice.get("/ges/v1/session").status == 401);
    assert_eq!(alice.log_in("alice", PASSWORD).status, 401);
}

#[test]
fn a_flood_of_log_ins_does_not_stop_bookings() {
    let service = service();
    let external = service.external();
    let flood: Vec<_> = (0..24)
        .map(|guesser| {
            std::thread::spawn(move || {
                let mut browser = Browser::behind(external, &format!("198.51.100.{guesser}"));
                (0..4)
                    .map(|round| browser.log_in(&format!("guess-{guesser}-{round}"), "wrong password").status)
                    .collect()
            })
        })
        .collect();
    let mut client = crate::harness::api::client(external);
    for number in 0..20 {
        let body = crate::harness::api::booking(&format!("+1416555{:04}", 2_000 + number), None);
        assert_eq!(crate::harness::api::create(&mut client, None, &body).unwrap().status, 200);
    }
    let statuses: Vec<u16> =
        flood.into_iter().flat_map(|it: std::thread::JoinHandle<Vec<u16>>| it.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&401));
    let mut alice = Browser::new(external);
    soon("a turn for the log-in", || alice.log_in("alice", PASSWORD).status == 200);
}
