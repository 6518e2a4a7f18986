use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;

use super::routes::{About, Admits, RULES, Whole, find};
use super::*;
use crate::ids::{QueueName, TenantId};
use crate::queue::QueueSettings;
use crate::setting::Checks;
use crate::tenant::TenantDocument;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(seconds)
}

fn settings(json: &str) -> AccessSettings {
    serde_json::from_str(json).unwrap()
}

fn tenant(access: &str) -> TenantAccess {
    let queue = |line: Option<&str>, alias: &str| QueueSettings {
        line_of_business: line.map(str::to_owned),
        aliases: vec![QueueName::new(alias).unwrap()],
        ..QueueSettings::default()
    };
    let queues = [
        ("loans", queue(Some("bank"), "credit")),
        ("cars", queue(Some("insurance"), "motor")),
        ("rest", queue(None, "else")),
    ];
    let queues = queues.map(|(name, settings)| (QueueName::new(name).unwrap(), settings));
    let document = TenantDocument { access: settings(access), ..TenantDocument::with_queues("Acme", queues) };
    TenantAccess::of(&document.resolve(TenantId::from_name("Acme")).unwrap())
}

fn platform() -> PlatformGroups {
    PlatformGroups(["Platform Read Only".to_owned()].into())
}

fn of_groups(groups: &[&str]) -> Membership {
    Membership { groups: groups.iter().map(|it| (*it).to_owned()).collect(), ..Membership::default() }
}

fn grants(access: &str, groups: &[&str]) -> Grants {
    Grants::of(&of_groups(groups), &tenant(access), &platform())
}

fn roles(grants: &Grants) -> Vec<&str> {
    grants.roles.iter().map(String::as_str).collect()
}

#[test]
fn names_are_read_back() {
    for role in Role::ALL {
        assert_eq!(Role::from_name(role.name()), Some(role));
        assert_eq!(Role::from_name(&format!("Callback {}", role.name().to_uppercase())), Some(role));
    }
    assert_eq!(Role::from_name("callback"), None);
    for (place, permission) in Permission::ALL.into_iter().enumerate() {
        assert_eq!(permission as usize, place);
        assert_eq!(serde_json::to_value(permission).unwrap(), permission.name(), "documents use the same name");
    }
}

/// Section 10 of what the product says of its roles, cell by cell.
#[test]
fn each_role_allows_what_the_product_says() {
    use Permission as P;
    let cells = [
        // permission                 administrator supervisor monitor developer devops
        (P::CallbacksView, [true, true, true, false, true]),
        (P::CallbacksEdit, [true, true, false, false, false]),
        (P::CallbacksExport, [true, true, false, false, false]),
        (P::CallInsView, [true, true, true, true, true]),
        (P::CallInsEdit, [true, true, false, false, false]),
        (P::SettingsView, [true, true, false, true, true]),
        (P::SettingsEdit, [true, false, false, false, false]),
        (P::CapacityEdit, [true, false, false, false, false]),
        (P::NumberRulesEdit, [true, true, false, true, false]),
        (P::RegionsEdit, [true, false, false, false, false]),
        (P::DeveloperView, [true, false, false, true, true]),
        (P::DeveloperEdit, [true, false, false, true, false]),
        (P::PersonalData, [true, false, false, false, false]),
        (P::AuditView, [true, false, false, false, false]),
        (P::DevOpsView, [false, false, false, false, true]),
    ];
    assert_eq!(cells.map(|(permission, _)| permission), P::ALL);
    for (permission, allowed) in cells {
        assert_eq!(Role::ALL.map(|role| role.permissions().has(permission)), allowed, "{}", permission.name());
    }
}

#[test]
fn groups_of_a_tenant_that_says_nothing_are_those_of_the_product() {
    for (group, expected) in [
        ("Acme Administrators", &["administrator"][..]),
        ("Acme Supervisors", &["supervisor"]),
        ("Acme Managers", &["monitor"]),
        ("Callback Developers", &["developer"]),
        ("Platform Read Only", &["devops"]),
        ("Database Administrators", &[]),
        ("Administrators", &[]),
        ("acme administrators", &[]),
        ("Platform Provisioning", &[]),
        ("", &[]),
    ] {
        let found = grants("{}", &[group]);
        assert_eq!(roles(&found), expected, "{group}");
        assert_eq!(found.permissions() == Permissions::NONE, expected.is_empty(), "{group}");
    }
    assert_eq!(grants("{}", &[]).permissions(), Permissions::NONE, "nothing is allowed by default");
}

const OWN: &str = r#"{
    "groups": {
        "Desk": {"roles": ["supervisor"], "linesOfBusiness": ["bank"]},
        "Cars": {"linesOfBusiness": ["insurance"]},
        "Auditors": {"roles": ["auditor", "monitor"]}
    },
    "roles": {"auditor": {"permissions": ["audit.view"]}}
}"#;

#[test]
fn a_tenant_maps_its_own_groups_to_roles_of_its_own() {
    let auditors = grants(OWN, &["Auditors"]);
    assert_eq!(roles(&auditors), ["auditor", "monitor"]);
    assert!(auditors.scope(Permission::AuditView, true).is_some());
    assert!(auditors.scope(Permission::AuditView, false).is_none(), "in no other tenant");
    assert_eq!(grants(OWN, &["Acme Administrators"]).permissions(), Permissions::NONE, "the list is complete");
    assert_eq!(grants(r#"{"groups": {}}"#, &["Acme Administrators"]).permissions(), Permissions::NONE);
}

#[test]
fn lines_of_business_limit_and_never_widen() {
    let access = tenant(OWN);
    let seen = |groups: &[&str]| {
        let grants = grants(OWN, groups);
        access.seen(grants.lines()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(seen(&["Auditors"]), ["cars", "loans", "rest"]);
    assert_eq!(seen(&["Desk"]), ["loans"]);
    assert_eq!(seen(&["Desk", "Cars"]), ["cars", "loans"], "what one of them names");
    assert_eq!(seen(&["Auditors", "Cars"]), ["cars"], "a limit holds beside a group without one");
    let limited = grants(OWN, &["Desk"]);
    for (name, expected) in
        [("loans", true), ("credit", true), ("cars", false), ("motor", false), ("rest", false), ("unknown", false)]
    {
        assert_eq!(access.sees(limited.lines(), name), expected, "{name}");
        assert!(access.sees(&Lines::Every, name));
    }
}

#[test]
fn whoever_looks_after_the_installation_sees_every_tenant_and_changes_none() {
    let found = grants(OWN, &["Platform Read Only", "Desk"]);
    for permission in Permission::ALL {
        let elsewhere = found.scope(permission, false);
        assert_eq!(elsewhere.is_some(), Role::DevOps.permissions().has(permission), "{}", permission.name());
        assert!(elsewhere.is_none_or(|scope| scope.everywhere && scope.lines == Lines::Every));
    }
    let own = found.scope(Permission::CallbacksEdit, true).unwrap();
    assert_eq!(own.lines, Lines::Only(["bank".to_owned()].into()), "what the desk may do stays limited");
    assert!(found.reach_everywhere() && !grants(OWN, &["Desk"]).reach_everywhere());
}

#[test]
fn a_tenant_cannot_give_what_is_the_operators() {
    let mut checks = Checks::default();
    settings(
        r#"{"groups": {"A": {"roles": ["devops", "nobody"]}, "": {"linesOfBusiness": [" "]}},
            "roles": {"spy": {"permissions": ["devops.view"]}, "Monitor": {"permissions": []}}}"#,
    )
    .check(&mut checks);
    let broken: Vec<_> = checks.into_errors().into_iter().map(|error| error.path).collect();
    let expected =
        ["groups", "groups.linesOfBusiness.0", "groups.A.roles.0", "groups.A.roles.1", "roles.Monitor", "roles.spy"];
    assert_eq!(broken, expected);
    // Not even if it got past the check.
    let smuggled = settings(r#"{"roles": {"spy": {"permissions": ["devops.view", "audit.view"]}}}"#);
    assert_eq!(smuggled.permissions_of("spy"), Some(Permissions::of(&[Permission::AuditView])));
    assert_eq!(smuggled.permissions_of("devops"), None);
}

#[test]
fn the_older_option_of_a_person_goes_before_groups() {
    let access = tenant(OWN);
    let annexed = |role: &str, groups: &[&str]| {
        let membership = Membership { annex_roles: Some(vec![role.to_owned()]), ..of_groups(groups) };
        Grants::of(&membership, &access, &platform())
    };
    assert_eq!(roles(&annexed("Callback Administrator", &["Desk"])), ["administrator"]);
    assert_eq!(annexed("administrator", &["Desk"]).lines(), &Lines::Only(["bank".to_owned()].into()));
    assert_eq!(annexed("nobody", &["Auditors"]).permissions(), Permissions::NONE, "groups are not looked at");
    assert_eq!(annexed("devops", &[]).permissions(), Permissions::NONE, "it is the operator's to give");
}

#[test]
fn a_local_account_names_its_roles() {
    let membership = Membership {
        roles: vec!["devops".into(), "monitor".into()],
        lines: vec!["bank".into()],
        ..Membership::default()
    };
    let found = Grants::of(&membership, &tenant(OWN), &platform());
    assert_eq!(roles(&found), ["devops", "monitor"]);
    assert!(found.reach_everywhere());
    assert_eq!(found.scope(Permission::CallInsView, true).unwrap().lines, Lines::Every);
}

#[test]
fn the_table_has_one_row_per_operation() {
    let mut seen = BTreeSet::new();
    for rule in RULES {
        assert!(seen.insert((rule.method, rule.route, rule.section)), "twice: {rule:?}");
        assert!(rule.route.starts_with("/ges/v1/"), "{rule:?}");
        assert!(["GET", "POST", "PUT", "DELETE"].contains(&rule.method), "{rule:?}");
        assert_eq!(find(rule.method, rule.route, rule.section), Some(rule));
        assert!(rule.route.contains("{section}") || rule.section.is_none(), "{rule:?}");
        let for_all = matches!(rule.admits, Admits::Everybody);
        assert_eq!(
            for_all,
            rule.route.starts_with("/ges/v1/session")
                && matches!(
                    (rule.method, rule.route),
                    ("POST", _) | (_, "/ges/v1/session/login" | "/ges/v1/session/callback")
                ),
            "{rule:?}"
        );
        // Who may change something that others see must be limited by something.
        let writes = matches!(rule.method, "PUT" | "DELETE");
        assert!(!writes || rule.about != About::Queues, "{rule:?}");
    }
    for why in Whole::ALL {
        assert!(RULES.iter().any(|rule| rule.about == About::Tenant(why)), "nobody is told: {why:?}");
        assert!(!why.reason().is_empty() && !why.reason().ends_with('.'), "{why:?}");
    }
    assert_eq!(find("PATCH", "/ges/v1/tenant", None), None);
    assert_eq!(find("GET", "/ges/v1/unheard-of", None), None);
    assert_eq!(find("HEAD", "/ges/v1/tenant", None), find("GET", "/ges/v1/tenant", None));
    let section = |name| find("PUT", "/ges/v1/tenant/{section}/{name}", Some(name)).unwrap().admits;
    assert_eq!(section("numberRules"), Admits::Holders(Permission::NumberRulesEdit));
    assert_eq!(section("queues"), Admits::Holders(Permission::SettingsEdit));
    let about = |method, name| find(method, "/ges/v1/tenant/{section}/{name}", Some(name)).unwrap().about;
    assert_eq!((about("GET", "queues"), about("PUT", "queues")), (About::Queues, About::Tenant(Whole::Changes)));
    assert_eq!(about("GET", "businessHours"), About::Tenant(Whole::Rules));
    assert_eq!(section("access"), Admits::Holders(Permission::SettingsEdit));
}

#[test]
fn guesses_wait_longer_and_longer() {
    let mut guesses = Guesses::new(Patience::NAME);
    for _ in 0..5 {
        assert_eq!(guesses.attempt("alice", at(0)), Ok(()));
    }
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        let pause = Duration::seconds(pause);
        if pause < Duration::seconds(900) {
            assert_eq!(guesses.attempt("alice", now), Err(pause), "not before");
        }
        now += pause;
        assert_eq!(guesses.attempt("alice", now), Ok(()), "{pause}");
    }
}

#[test]
fn a_right_password_and_time_forget() {
    let mut guesses = Guesses::new(Patience::NAME);
    for _ in 0..9 {
        let _ = guesses.attempt("alice", at(0));
    }
    assert!(guesses.attempt("alice", at(0)).is_err());
    guesses.passed(&"alice");
    assert!(guesses.is_empty());
    assert_eq!(guesses.attempt("alice", at(0)), Ok(()));
}

#[test]
fn no_more_names_than_fit_are_remembered() {
    let mut guesses = Guesses::new(Patience::NAME);
    for _ in 0..5 {
        assert_eq!(guesses.attempt(0, at(0)), Ok(()));
    }
    for name in 1..MAX_NAMES + 50 {
        assert_eq!(guesses.attempt(name, at(0)), Ok(()), "nobody is kept out by what others guess");
    }
    assert_eq!(guesses.len(), MAX_NAMES);
    assert!(guesses.attempt(0, at(0)).is_err(), "who has failed most is remembered");
    assert_eq!(guesses.attempt(MAX_NAMES + 50, at(901)), Ok(()), "old ones have gone");
    assert_eq!(guesses.len(), 1);
}

#[test]
fn an_address_may_fail_more_often_and_waits_less_long() {
    let mut guesses = Guesses::new(Patience::ADDRESS);
    let begins: Vec<bool> = (0..21).map(|_| guesses.fail("198.51.100.1", at(0))).collect();
    assert_eq!(begins.iter().position(|begins| *begins), Some(19));
    assert_eq!(guesses.wait(&"198.51.100.1", at(0)), Some(Duration::seconds(2)));
    assert_eq!(guesses.wait(&"198.51.100.2", at(0)), None);
    for _ in 0..50 {
        guesses.fail("198.51.100.1", at(0));
    }
    assert_eq!(guesses.wait(&"198.51.100.1", at(0)), Some(Duration::minutes(1)));
    assert_eq!(guesses.wait(&"198.51.100.1", at(60)), None);
}

#[test]
fn a_try_that_nobody_has_judged_is_none() {
    let mut guesses = Guesses::new(Patience::NAME);
    for _ in 0..50 {
        assert_eq!(guesses.attempt("alice", at(0)), Ok(()));
        guesses.withdraw(&"alice");
    }
    assert!(!guesses.begins_to_wait(&"alice"));
}

#[test]
fn sessions_end_when_nobody_uses_them_and_when_they_are_old() {
    let limits = SessionLimits { idle: Duration::minutes(20), life: Duration::hours(12), per_user: 5 };
    let session = Session {
        token: [1; 32],
        user: "alice".parse().unwrap(),
        tenant: TenantId::from_name("demo"),
        membership: Membership::default(),
        created_at: at(0),
        used_at: at(3_600),
        checked_at: at(0),
        sealed: None,
    };
    assert_eq!(session.sitting(&limits, at(3_600 + 1_199)), Sitting::Open);
    assert_eq!(session.sitting(&limits, at(3_600 + 1_200)), Sitting::Over);
    let busy = Session { used_at: at(43_199), ..session };
    assert_eq!(busy.sitting(&limits, at(43_199)), Sitting::Open);
    assert_eq!(busy.sitting(&limits, at(43_200)), Sitting::Over);
    assert!(busy.use_is_noted(&limits, at(43_199 + 29)) && !busy.use_is_noted(&limits, at(43_199 + 30)));
    assert!(!format!("{busy:?}").contains("token"), "it does not print");
}

#[test]
fn names_of_users_hold_nothing_that_needs_quoting() {
    for good in ["alice", "alice@example.com", "Zoë-1_b.c+d"] {
        assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a(b)", "a\"b", "a\n", &"a".repeat(129)] {
        assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
    }
    assert_eq!(UserName::lossy(" a b(c) ").unwrap().as_str(), "a_b_c_");
    assert_eq!(UserName::lossy("  "), None);
}

fn any_groups() -> impl Strategy<Value = BTreeMap<String, GroupAccess>> {
    let role =
        prop::sample::select(vec!["administrator", "supervisor", "monitor", "developer", "devops", "own", "none"]);
    let line = prop::sample::select(vec!["bank", "insurance", "other"]);
    let group =
        (prop::collection::vec(role, 0..3), prop::collection::vec(line, 0..3)).prop_map(|(roles, lines)| GroupAccess {
            roles: roles.into_iter().map(str::to_owned).collect(),
            lines_of_business: lines.into_iter().map(str::to_owned).collect(),
        });
    prop::collection::btree_map("[a-d]", group, 0..4)
}

proptest! {
    /// Whatever the settings say: no more than the roles together, nothing of the operator's, and a group less never
    /// shows a queue more that is limited.
    #[test]
    fn no_mapping_gives_more_than_its_roles(groups in any_groups(), names in prop::collection::vec("[a-f]", 0..5)) {
        let access = AccessSettings {
            groups: Some(groups.clone()),
            roles: [("own".to_owned(), OwnRole { permissions: [Permission::AuditView, Permission::DevOpsView].into() })].into(),
        };
        let document = TenantDocument { access, ..TenantDocument::with_queues("Acme", []) };
        // What is not allowed is refused when it is applied; here it is let through on purpose.
        let tenant = TenantAccess::unchecked(&document);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = Grants::of(&of_groups(&names), &tenant, &platform());
        let mut allowed = Permissions::NONE;
        for name in &names {
            for role in groups.get(*name).into_iter().flat_map(|group| &group.roles) {
                let own = Permissions::of(&[Permission::AuditView]);
                allowed = allowed.and(match role.as_str() {
                    "own" => own,
                    "devops" | "none" => Permissions::NONE,
                    other => Role::from_name(other).unwrap().permissions(),
                });
            }
        }
        prop_assert_eq!(found.permissions(), allowed);
        prop_assert!(!found.reach_everywhere());
        let limiting = names.iter().filter_map(|name| groups.get(*name)).any(|group| !group.lines_of_business.is_empty());
        prop_assert_eq!(found.lines().are_limited(), limiting);
        for permission in Permission::ALL {
            prop_assert!(found.scope(permission, false).is_none(), "no tenant reaches another");
        }
    }

    /// However tries fall: no more than the free ones and one per pause get through.
    #[test]
    fn guessing_is_bounded(gaps in prop::collection::vec(0_i64..5, 1..200)) {
        let mut guesses = Guesses::new(Patience::NAME);
        let (mut now, mut passed) = (0, 0_u32);
        for gap in gaps {
            now += gap;
            passed += u32::from(guesses.attempt("alice", at(now)).is_ok());
        }
        // The n-th try behind the free ones takes 2^n - 1 seconds in all.
        let paused = (0..).take_while(|tries| (1_i64 << tries) <= now + 1).count();
        prop_assert!(passed <= 5 + u32::try_from(paused).unwrap(), "{passed} in {now} s");
    }
}
