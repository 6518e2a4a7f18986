use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::access::{Account, Membership};
use domain::ids::TenantId;
use domain::ports::Clock;

use super::testing::{Memory, users};
use super::*;

/// Time as the test says.
#[derive(Default)]
struct Hands(AtomicI64);

impl Hands {
    fn pass(&self, span: Duration) {
        self.0.fetch_add(span.num_milliseconds(), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::milliseconds(self.0.load(Ordering::Relaxed))
    }
}

fn tenant() -> TenantId {
    TenantId::from_name("demo")
}

const PASSWORD: &str = "correct horse battery";

struct House {
    users: Users,
    memory: Arc<Memory>,
    hands: Arc<Hands>,
}

impl House {
    fn new() -> Self {
        let (memory, hands) = (Arc::<Memory>::default(), Arc::<Hands>::default());
        let users = users(&memory, hands.clone());
        Self { users, memory, hands }
    }

    fn with_alice() -> Self {
        let house = Self::new();
        let account = Account {
            name: "alice".parse().unwrap(),
            tenant: tenant(),
            password: passwords::hash(&Secret::new(PASSWORD)).unwrap(),
            membership: Membership { roles: vec!["monitor".into()], ..Membership::default() },
            created_at: house.hands.now(),
        };
        house.memory.accounts.lock().unwrap().insert(account.name.clone(), account);
        house
    }

    async fn log_in(&self, name: &str, password: &str) -> Result<Opened, LogInError> {
        self.users.log_in(name, Secret::new(password), None).await
    }

    async fn visit(&self, opened: &Opened) -> Result<Session, VisitError> {
        self.users.visit(opened.token.reveal().as_bytes(), &by_name).await
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_refused_like_a_wrong_password() {
    let house = House::with_alice();
    for (name, password) in [("alice", "wrong password"), ("bob", PASSWORD), ("no name", PASSWORD), ("", "")] {
        assert_eq!(house.log_in(name, password).await.err(), Some(LogInError::Wrong), "{name}");
    }
    assert!(house.log_in("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn whoever_guesses_waits_whether_there_is_such_a_name_or_not() {
    let house = House::with_alice();
    for name in ["alice", "bob"] {
        for _ in 0..5 {
            assert_eq!(house.log_in(name, "wrong password").await.err(), Some(LogInError::Wrong));
        }
        let waits = house.log_in(name, PASSWORD).await.err();
        assert_eq!(waits, Some(LogInError::TooOften(Duration::seconds(1))), "also with the right one");
    }
    house.hands.pass(Duration::seconds(1));
    assert!(house.log_in("alice", PASSWORD).await.is_ok());
    assert!(house.log_in("alice", "wrong password").await.is_err(), "a right one begins anew");
    assert!(house.log_in("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_session_lasts_while_it_is_used_and_no_longer_than_its_life() {
    let house = House::with_alice();
    let opened = house.log_in("alice", PASSWORD).await.unwrap();
    for _ in 0..37 {
        house.hands.pass(Duration::minutes(19));
        assert_eq!(house.visit(&opened).await.unwrap().user.as_str(), "alice");
    }
    house.hands.pass(Duration::minutes(17));
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over), "twelve hours");
    assert!(house.memory.sessions.lock().unwrap().is_empty(), "it is gone");
    let opened = house.log_in("alice", PASSWORD).await.unwrap();
    house.hands.pass(Duration::minutes(20));
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over), "twenty minutes");
}

#[tokio::test]
async fn an_account_that_changes_or_goes_takes_its_sessions_along() {
    let house = House::with_alice();
    let opened = house.log_in("alice", PASSWORD).await.unwrap();
    let name: UserName = "alice".parse().unwrap();
    house.memory.accounts.lock().unwrap().get_mut(&name).unwrap().membership.roles = vec!["supervisor".into()];
    assert_eq!(house.visit(&opened).await.unwrap().membership.roles, ["supervisor"]);
    house.memory.accounts.lock().unwrap().remove(&name);
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over));
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over), "for good");
}

#[tokio::test]
async fn after_a_log_out_the_token_is_worth_nothing() {
    let house = House::with_alice();
    let opened = house.log_in("alice", PASSWORD).await.unwrap();
    let token = opened.token.reveal().as_bytes();
    let shown = house.users.csrf_token(token);
    assert!(house.users.goes_with(shown.as_bytes(), token));
    assert!(!house.users.goes_with(shown.as_bytes(), b"other") && !house.users.goes_with(b"", token));
    assert_eq!(house.users.log_out(token).await, Ok(None));
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over));
    assert_eq!(house.users.log_out(token).await, Ok(None), "again");
    assert_eq!(house.users.begin_trip("/ges/").await.err(), Some(LogInError::Elsewhere), "accounts are local");
}

/// A provider that says what the test wants.
#[derive(Default)]
struct Scripted {
    says: Mutex<Option<Result<Vec<String>, ProviderError>>>,
    asked: AtomicUsize,
    signed_out: AtomicUsize,
    /// The tenant of the user; `demo` unless the test says another, or none.
    belongs_to: Mutex<Option<Option<&'static str>>>,
}

impl Scripted {
    fn say(&self, told: Result<&[&str], ProviderError>) {
        let told = told.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
        *self.says.lock().unwrap() = Some(told);
    }

    fn arrival(&self) -> Result<Arrival, ProviderError> {
        let groups = self.says.lock().unwrap().clone().unwrap_or(Err(ProviderError::Refused))?;
        Ok(Arrival {
            user: "carol".parse().unwrap(),
            tenant: self.belongs_to.lock().unwrap().unwrap_or(Some("demo")).map(str::to_owned),
            dbid: None,
            membership: Membership { groups, ..Membership::default() },
            held: Secret::new("held-tokens"),
        })
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn begin(&self, trip: &Trip) -> Result<String, ProviderError> {
        Ok(format!("https://id.example/?state={}", trip.state))
    }

    async fn arrive(&self, code: &str, _: &Trip) -> Result<Arrival, ProviderError> {
        if code == "good" { self.arrival() } else { Err(ProviderError::Refused) }
    }

    async fn look_again(&self, held: &Secret) -> Result<Arrival, ProviderError> {
        assert_eq!(held.reveal(), "held-tokens");
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.arrival()
    }

    async fn sign_out(&self, _: &Secret) -> Option<String> {
        self.signed_out.fetch_add(1, Ordering::Relaxed);
        Some("https://id.example/bye".to_owned())
    }
}

fn elsewhere() -> (House, Arc<Scripted>) {
    let (House { users, memory, hands }, provider) = (House::new(), Arc::<Scripted>::default());
    provider.say(Ok(&["Staff"]));
    (House { users: users.known_by(provider.clone()), memory, hands }, provider)
}

fn by_name(named: &str) -> Option<TenantId> {
    ["demo", "other"].contains(&named).then(|| TenantId::from_name(named))
}

async fn arrive(house: &House) -> Opened {
    let (address, carried) = house.users.begin_trip("/ges/callbacks").await.unwrap();
    let state = address.split_once("state=").unwrap().1;
    let (opened, return_to) = house.users.end_trip(carried.reveal(), (state, "good"), &by_name, None).await.unwrap();
    assert_eq!(return_to, "/ges/callbacks");
    opened
}

#[tokio::test]
async fn only_the_browser_that_went_may_come_back_and_in_time() {
    let (house, provider) = elsewhere();
    assert_eq!(house.log_in("alice", PASSWORD).await.err(), Some(LogInError::Elsewhere));
    let (address, carried) = house.users.begin_trip("/ges/").await.unwrap();
    let (_, others) = house.users.begin_trip("/ges/").await.unwrap();
    let state = address.split_once("state=").unwrap().1;
    let end = async |carried: &str, state: &str, code: &str| {
        house.users.end_trip(carried, (state, code), &by_name, None).await.map(|_| ()).err()
    };
    assert_eq!(end(others.reveal(), state, "good").await, Some(LogInError::Wrong));
    assert_eq!(end("", state, "good").await, Some(LogInError::Wrong));
    assert_eq!(end("zz", state, "good").await, Some(LogInError::Wrong));
    assert_eq!(end(carried.reveal(), "", "good").await, Some(LogInError::Wrong));
    let refused = Some(LogInError::Provider(ProviderError::Refused));
    assert_eq!(end(carried.reveal(), state, "bad").await, refused);
    let nowhere =
        house.users.end_trip(carried.reveal(), (state, "good"), &|_: &str| None, None).await.map(|_| ()).err();
    assert_eq!(nowhere, Some(LogInError::NoTenant));
    assert_eq!(end(carried.reveal(), state, "good").await, None);
    house.hands.pass(Duration::minutes(10));
    assert_eq!(end(carried.reveal(), state, "good").await, Some(LogInError::Wrong), "too late");
    assert_eq!(provider.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_address_that_tries_much_waits_and_others_do_not() {
    let (house, _) = elsewhere();
    let [here, there] = ["198.51.100.1", "198.51.100.2"].map(|address| Some(address.parse().unwrap()));
    let (address, carried) = house.users.begin_trip("/ges/").await.unwrap();
    let state = address.split_once("state=").unwrap().1;
    let end = async |code: &str, from: Option<IpAddr>| {
        house.users.end_trip(carried.reveal(), (state, code), &by_name, from).await.map(|_| ()).err()
    };
    for _ in 0..20 {
        assert_eq!(end("bad", here).await, Some(LogInError::Provider(ProviderError::Refused)));
    }
    assert_eq!(end("good", here).await, Some(LogInError::TooOften(Duration::seconds(1))));
    assert_eq!(end("good", there).await, None);
    house.hands.pass(Duration::seconds(1));
    assert_eq!(end("good", here).await, None);
    assert_eq!(end("bad", here).await, Some(LogInError::Provider(ProviderError::Refused)));
    assert_eq!(
        end("good", here).await,
        Some(LogInError::TooOften(Duration::seconds(2))),
        "one right one forgives none"
    );
}

#[tokio::test]
async fn wrong_passwords_count_for_the_address_too() {
    let house = House::with_alice();
    let here: Option<IpAddr> = Some("198.51.100.1".parse().unwrap());
    for _ in 0..19 {
        house.users.refused(here);
    }
    let log_in = async |password: &str| house.users.log_in("alice", Secret::new(password), here).await.err();
    assert_eq!(log_in("wrong password").await, Some(LogInError::Wrong));
    assert_eq!(log_in(PASSWORD).await, Some(LogInError::TooOften(Duration::seconds(1))));
    assert!(house.log_in("alice", PASSWORD).await.is_ok(), "of others nothing is held against the name");
}

#[tokio::test]
async fn groups_that_change_during_a_session_are_noticed() {
    let (house, provider) = elsewhere();
    let opened = arrive(&house).await;
    provider.say(Ok(&["Chiefs"]));
    house.hands.pass(Duration::minutes(4));
    assert_eq!(house.visit(&opened).await.unwrap().membership.groups, ["Staff"], "not asked yet");
    house.hands.pass(Duration::minutes(1));
    assert_eq!(house.visit(&opened).await.unwrap().membership.groups, ["Chiefs"]);
    assert_eq!(house.visit(&opened).await.unwrap().membership.groups, ["Chiefs"]);
    assert_eq!(provider.asked.load(Ordering::Relaxed), 1);
    provider.say(Err(ProviderError::Refused));
    house.hands.pass(Duration::minutes(5));
    assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Over), "the provider knows the user no more");
    assert!(house.memory.sessions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_known_holds_for_a_while_when_nobody_can_be_asked() {
    // A provider that does not know our client any more says nothing of users.
    for why in [ProviderError::Unavailable("down".to_owned()), ProviderError::ClientRefused] {
        let (house, provider) = elsewhere();
        let opened = arrive(&house).await;
        provider.say(Err(why));
        house.hands.pass(Duration::minutes(14));
        assert_eq!(house.visit(&opened).await.unwrap().membership.groups, ["Staff"]);
        house.hands.pass(Duration::minutes(1));
        assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Unknown));
        provider.say(Ok(&["Staff"]));
        assert_eq!(house.visit(&opened).await.err(), Some(VisitError::Unknown), "nobody is asked again so soon");
        house.hands.pass(Duration::seconds(5));
        assert!(house.visit(&opened).await.is_ok(), "an outage ends no session");
    }
}

#[tokio::test]
async fn what_cannot_be_used_of_one_user_keeps_nobody_else_from_being_asked_about() {
    let (house, provider) = elsewhere();
    let (one, other) = (arrive(&house).await, arrive(&house).await);
    house.hands.pass(Duration::minutes(5));
    provider.say(Err(ProviderError::Unusable("no name in it")));
    assert_eq!(house.visit(&one).await.unwrap().membership.groups, ["Staff"], "what was known holds for a while");
    provider.say(Ok(&["Chiefs"]));
    assert_eq!(house.visit(&other).await.unwrap().membership.groups, ["Chiefs"]);
}

#[tokio::test]
async fn who_belongs_to_another_tenant_by_now_is_out() {
    for (tenant, stays) in [(Some("demo"), true), (None, true), (Some("other"), false), (Some("gone"), false)] {
        let (house, provider) = elsewhere();
        let opened = arrive(&house).await;
        *provider.belongs_to.lock().unwrap() = Some(tenant);
        house.hands.pass(Duration::minutes(5));
        assert_eq!(house.visit(&opened).await.is_ok(), stays, "{tenant:?}");
        assert_eq!(house.memory.sessions.lock().unwrap().is_empty(), !stays, "{tenant:?}");
    }
}

#[tokio::test]
async fn a_log_out_is_one_at_the_provider_too() {
    let (house, provider) = elsewhere();
    let opened = arrive(&house).await;
    let told = house.users.log_out(opened.token.reveal().as_bytes()).await.unwrap();
    assert_eq!(told.as_deref(), Some("https://id.example/bye"));
    assert_eq!(provider.signed_out.load(Ordering::Relaxed), 1);
}

/// Knows one more group.
struct Groups;

#[async_trait]
impl Directory for Groups {
    async fn membership(&self, tenant: TenantId, who: &Arrival) -> Result<Option<Membership>, String> {
        assert_eq!((tenant, who.user.as_str()), (super::tests::tenant(), "carol"));
        Ok(Some(Membership { groups: vec!["Configured".to_owned()], ..Membership::default() }))
    }
}

#[tokio::test]
async fn a_directory_adds_what_the_provider_does_not_tell() {
    let (House { users, memory, hands }, _) = elsewhere();
    let house = House { users: users.grouped_by(Arc::new(Groups)), memory, hands };
    assert_eq!(arrive(&house).await.session.membership.groups, ["Configured", "Staff"]);
}
