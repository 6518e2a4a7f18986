//! Sessions of users and local accounts.

use chrono::{DateTime, Utc};
use domain::access::{Account, Membership, SESSION_KEPT, Session, UserName};
use domain::audit::Act;
use domain::ids::TenantId;
use domain::ports::{Checked, NewEntry, Renewal};
use ges::stores::combiner::Limits;

use super::harness::*;

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn membership(role: &str) -> Membership {
    Membership {
        groups: vec!["Ünited \"Staff\"".to_owned()],
        roles: vec![role.to_owned()],
        lines: vec!["bank".to_owned()],
        annex_roles: Some(Vec::new()),
    }
}

fn session(token: u8, name: &str, used_at: DateTime<Utc>) -> Session {
    Session {
        token: [token; 32],
        user: user(name),
        tenant: tenant(),
        membership: membership("monitor"),
        created_at: noon(),
        used_at,
        checked_at: noon(),
        sealed: None,
    }
}

fn account(name: &str) -> Account {
    Account {
        name: user(name),
        tenant: tenant(),
        password: "$argon2id$…".to_owned(),
        membership: membership("monitor"),
        created_at: noon(),
    }
}

fn entry(act: Act, name: &str) -> NewEntry {
    let (actor, subject) = ("ges".to_owned(), name.to_owned());
    NewEntry { at: noon(), act, actor, subject, details: "roles monitor".to_owned() }
}

fn added(name: &str) -> NewEntry {
    entry(Act::AccountAdded, name)
}

fn changed(name: &str) -> NewEntry {
    entry(Act::AccountChanged, name)
}

fn removed(name: &str) -> NewEntry {
    entry(Act::AccountRemoved, name)
}

impl Fixture {
    async fn has(&self, token: u8) -> bool {
        self.sessions.session([token; 32]).await.unwrap().is_some()
    }
}

pub(crate) async fn sessions_come_back_whole(start: &Start) {
    let store = start(Limits::default());
    let plain = session(1, "alice", noon());
    let sealed = Session { sealed: Some(vec![0, 1, 255]), ..session(2, "bob@example.com", noon() + minutes(1)) };
    for one in [&plain, &sealed] {
        store.sessions.open_session(one.clone(), 5).await.unwrap();
        assert_eq!(store.sessions.session(one.token).await, Ok(Some(one.clone())));
    }
    assert_eq!(store.sessions.session([9; 32]).await, Ok(None));
    assert_eq!(store.sessions.end_session(plain.token).await, Ok(true));
    assert_eq!(store.sessions.end_session(plain.token).await, Ok(false));
    assert!(!store.has(1).await && store.has(2).await);
}

pub(crate) async fn of_one_user_so_many_sessions_are_left(start: &Start) {
    let store = start(Limits::default());
    store.sessions.open_session(session(9, "bob", noon()), 2).await.unwrap();
    for (token, used) in [(1, 3), (2, 1), (3, 4)] {
        store.sessions.open_session(session(token, "alice", noon() + minutes(used)), 2).await.unwrap();
    }
    assert_eq!([store.has(1).await, store.has(2).await, store.has(3).await], [true, false, true]);
    assert!(store.has(9).await, "others keep theirs");
    for token in [4, 5] {
        let elsewhere =
            Session { tenant: TenantId::from_name("other"), ..session(token, "alice", noon() + minutes(9)) };
        store.sessions.open_session(elsewhere, 2).await.unwrap();
    }
    assert!(store.has(1).await && store.has(3).await, "somebody of another tenant has the same name");
}

pub(crate) async fn uses_and_groups_are_written_down(start: &Start) {
    let store = start(Limits::default());
    let opened = Session { sealed: Some(vec![1]), ..session(1, "alice", noon()) };
    store.sessions.open_session(opened.clone(), 5).await.unwrap();
    let renew = |used: i64, checked: Option<Checked>| {
        store.sessions.renew_session(Renewal { token: [1; 32], used_at: noon() + minutes(used), checked })
    };
    assert_eq!(renew(5, None).await, Ok(true));
    assert_eq!(renew(3, None).await, Ok(true), "what is told late does not turn it back");
    let used = Session { used_at: noon() + minutes(5), ..opened };
    assert_eq!(store.sessions.session([1; 32]).await, Ok(Some(used.clone())));
    let checked = |sealed| Checked { membership: membership("supervisor"), at: noon() + minutes(6), sealed };
    assert_eq!(renew(6, Some(checked(None))).await, Ok(true));
    let known = Session {
        membership: membership("supervisor"),
        used_at: noon() + minutes(6),
        checked_at: noon() + minutes(6),
        ..used
    };
    assert_eq!(store.sessions.session([1; 32]).await, Ok(Some(known.clone())), "what was sealed stays");
    assert_eq!(renew(6, Some(checked(Some(vec![2])))).await, Ok(true));
    let sealed = Session { sealed: Some(vec![2]), ..known };
    assert_eq!(store.sessions.session([1; 32]).await, Ok(Some(sealed)));
    store.sessions.end_session([1; 32]).await.unwrap();
    assert_eq!(renew(7, None).await, Ok(false));
    assert_eq!(renew(7, Some(checked(None))).await, Ok(false));
}

pub(crate) async fn accounts_are_kept_once(start: &Start) {
    let store = start(Limits::default());
    for name in ["carol", "alice"] {
        assert_eq!(store.accounts.add_account(account(name), added(name)).await, Ok(true));
        assert_eq!(store.accounts.account(&user(name)).await, Ok(Some(account(name))));
    }
    let other = Account { membership: membership("administrator"), ..account("alice") };
    assert_eq!(store.accounts.add_account(other.clone(), added("alice")).await, Ok(false), "the name is taken");
    assert_eq!(store.accounts.accounts().await, Ok(vec![account("alice"), account("carol")]));
    assert_eq!(store.accounts.change_account(other.clone(), changed("alice")).await, Ok(true));
    assert_eq!(store.accounts.account(&user("alice")).await, Ok(Some(other)));
    assert_eq!(store.accounts.change_account(account("nobody"), changed("nobody")).await, Ok(false));
    let remove = |name: &'static str| {
        let accounts = store.accounts.clone();
        async move { accounts.remove_account(tenant(), &user(name), removed(name)).await }
    };
    assert_eq!((remove("alice").await, remove("alice").await), (Ok(true), Ok(false)));
    let elsewhere = store.accounts.remove_account(TenantId::from_name("other"), &user("carol"), removed("carol")).await;
    assert_eq!(elsewhere, Ok(false), "of another tenant");
    assert_eq!(store.accounts.account(&user("alice")).await, Ok(None));
    // What was done is in the audit log of the tenant, and what was not done is not.
    let told = store.audit.audit(tenant(), 0, 100).await.unwrap();
    let acts: Vec<_> = told.entries.iter().map(|entry| (entry.act.as_str(), entry.subject.as_str())).collect();
    let expected = [
        ("account.added", "carol"),
        ("account.added", "alice"),
        ("account.changed", "alice"),
        ("account.removed", "alice"),
    ];
    assert_eq!(acts, expected);
    assert!(told.entries.iter().all(|entry| entry.actor == "ges" && entry.details == "roles monitor"));
    let others = store.audit.audit(TenantId::from_name("other"), 0, 100).await.unwrap();
    assert!(others.entries.is_empty());
}

pub(crate) async fn an_account_that_changes_ends_its_sessions(start: &Start) {
    let store = start(Limits::default());
    for name in ["alice", "bob"] {
        store.accounts.add_account(account(name), added(name)).await.unwrap();
    }
    for (token, name) in [(1, "alice"), (2, "bob")] {
        store.sessions.open_session(session(token, name, noon()), 5).await.unwrap();
    }
    store.accounts.change_account(account("alice"), changed("alice")).await.unwrap();
    assert!(!store.has(1).await && store.has(2).await);
    store.accounts.remove_account(tenant(), &user("bob"), removed("bob")).await.unwrap();
    assert!(!store.has(2).await);
}

pub(crate) async fn sessions_of_nobody_are_purged(start: &Start) {
    let store = start(Limits::default());
    let old = noon() - SESSION_KEPT;
    for token in 0..100 {
        let used_at = if token < 90 { old - minutes(1) } else { old };
        let one = session(token, &format!("user-{token}"), used_at);
        store.sessions.open_session(one, 5).await.unwrap();
    }
    store.callbacks.purge(noon(), noon(), 10).await.unwrap();
    for token in 0..100 {
        assert_eq!(store.has(token).await, token >= 90, "{token}");
    }
}
