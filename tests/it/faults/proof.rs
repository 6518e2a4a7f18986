//! A suite that finds nothing proves nothing unless it can find something. Each switch of the `testing` build breaks one
//! rule; a short scenario that leans on the rule shows that the checkers notice. With the rule whole, all scenarios pass.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::engine::Mood;
use super::house::{Build, House, NARROW, OTHER_KEY, PLACES, SETTLED_WITHIN};
use super::strike::lasts;
use super::{testing_build, until};
use crate::harness::balancer::Line;
use crate::harness::checker::{self, Creation, Erased};
use crate::harness::http::Client;
use crate::harness::journal::What;
use crate::harness::load::Told;
use crate::harness::service::{Folder, Options, run_to_end};
use crate::harness::{api, now_ms, poll};

/// How long a house whose rule is broken is waited for.
const BROKEN_WITHIN: Duration = Duration::from_secs(8);

/// A rule, the invariant that notices when it is broken, and what leans on it.
type Case = (&'static str, &'static str, fn(&mut House));

const CASES: [Case; 11] = [
    ("version", "a cancel that was confirmed is kept", cancel_beside_the_owner),
    ("owner", "states move along the arrows only", stand_still_before_a_retry),
    ("commit", "accepted is kept", die_after_the_answer),
    ("register", "one hand-over per attempt", hear_nothing_of_a_start),
    ("fence", "one session per attempt", begin_twice),
    ("slots", "no slot is oversold", want_more_than_there_is),
    ("key", "same key, same booking", ask_twice),
    ("clock", "never early", be_five_minutes_ahead),
    ("sweep", "accepted is kept", die_before_the_time),
    ("erasure", "nothing after an erasure", erase),
    ("tenant", "no tenant sees another", look_at_others),
];

/// Breaks a rule and demands that it is noticed.
fn noticed(rule: &'static str) {
    let (_, invariant, scenario) = CASES.into_iter().find(|(name, ..)| *name == rule).unwrap();
    let mut house = House::start(2, Build::of(testing_build::program(), Some(rule)));
    scenario(&mut house);
    let found = checker::check(&house.judge(Told::default(), BROKEN_WITHIN));
    let of: Vec<_> = found.iter().filter(|it| it.invariant == invariant).collect();
    println!("{rule}: {} breaches in all, {} of `{invariant}`, such as {:?}", found.len(), of.len(), of.first());
    assert!(!of.is_empty(), "`{rule}` is broken, and the checkers found only {found:?}");
}

macro_rules! proofs {
    ($($test:ident: $rule:literal,)*) => {$(
        #[test]
        fn $test() {
            noticed($rule);
        }
    )*};
}

proofs! {
    a_step_on_any_version_is_noticed: "version",
    work_on_what_was_taken_over_is_noticed: "owner",
    an_answer_before_the_commit_is_noticed: "commit",
    a_start_without_its_register_is_noticed: "register",
    a_grant_to_a_second_session_is_noticed: "fence",
    a_slot_without_end_is_noticed: "slots",
    a_forgotten_key_is_noticed: "key",
    a_clock_of_the_machine_is_noticed: "clock",
    callbacks_that_nobody_takes_over_are_noticed: "sweep",
    an_erasure_that_erases_nothing_is_noticed: "erasure",
    a_door_to_another_tenant_is_noticed: "tenant",
}

#[test]
fn with_every_rule_whole_all_scenarios_pass() {
    let mut house = House::start(2, Build::of(testing_build::program(), None));
    for (rule, _, scenario) in CASES {
        println!("{} {rule}", now_ms());
        scenario(&mut house);
        house.engine.be(Mood::Serves);
        house.revive();
    }
    let facts = house.judge(Told::default(), SETTLED_WITHIN);
    assert!(facts.creations.len() > 30, "{}", facts.creations.len());
    checker::assert_kept(&facts);
    house.assert_no_panic();
}

/// Every switch that there is has its scenario here.
#[test]
fn the_testing_build_names_its_switches() {
    let folder = Folder::new();
    let options = Options::default().of_program(testing_build::program()).with("GES_TESTING_BREAK", "nothing-like-it");
    let output = run_to_end(&folder, &options, &["openapi"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let names: Vec<_> = said.trim().rsplit_once(": ").unwrap().1.split(", ").collect();
    assert_eq!(names, CASES.map(|(rule, ..)| rule));
}

/// What is shipped has none of them: neither their name is in it, nor does naming one change anything.
#[test]
fn the_shipped_program_has_no_switch() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_ges")).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"GES_TESTING_BREAK") && !holds(b"next_things"));
    assert!(holds(b"GES_MASTER_KEY"), "names of settings would be found");
    let mut house = House::start(2, Build { program: None, broken: Some("slots") });
    want_more_than_there_is(&mut house);
    checker::assert_kept(&house.judge(Told::default(), SETTLED_WITHIN));
}

impl House {
    /// Nodes that are down are started again.
    fn revive(&mut self) {
        for node in &mut self.nodes {
            if node.has_ended() {
                node.respawn();
            }
        }
        self.all_ready();
    }

    /// Books through one node and remembers it.
    fn booked_at(&mut self, node: usize, body: &str) -> Option<Uuid> {
        let key = Uuid::new_v4().to_string();
        let answer = api::create(&mut api::client(self.nodes[node].external()), Some(&key), body).unwrap();
        assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
        let id = (answer.status == 200).then(|| api::id_of(&answer).unwrap())?;
        self.facts.creations.push(Creation { id, key: Some(key) });
        Some(id)
    }

    fn booked(&mut self, node: usize, phone: &str, in_seconds: Option<i64>) -> Uuid {
        let at = in_seconds.map(|seconds| Utc::now() + TimeDelta::seconds(seconds));
        self.booked_at(node, &api::booking(phone, at)).unwrap()
    }

    fn has_entered(&self, id: Uuid, attempt: u32) -> bool {
        let journal = self.engine.journal();
        journal.iter().any(|it| it.event == What::Entered && it.callback == id && it.attempt == attempt)
    }
}

/// A callback is cancelled at one node, and at that moment its session at the other hears of `accepted`.
fn cancel_beside_the_owner(house: &mut House) {
    house.engine.be(Mood::Rests);
    house.balance(|node| node == 0);
    let ids: Vec<_> = (0..12).map(|_| house.booked(0, "+14165552000", None)).collect();
    until("starts that wait", || ids.iter().all(|id| house.has_entered(*id, 1)).then_some(()));
    for id in ids {
        let answer = api::cancel(&mut api::client(house.nodes[1].external()), id).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        house.facts.cancellations.push(id);
    }
    house.engine.be(Mood::Serves);
    lasts(Duration::from_secs(2));
}

/// A node stands still while its callbacks wait for their third attempt; another makes it; then it goes on.
fn stand_still_before_a_retry(house: &mut House) {
    house.engine.be(Mood::Refuses);
    house.balance(|node| node == 0);
    let ids: Vec<_> = (0..6).map(|_| house.booked(0, "+14165552000", None)).collect();
    until("the second refusal", || ids.iter().all(|id| house.has_entered(*id, 2)).then_some(()));
    lasts(Duration::from_millis(500));
    house.engine.be(Mood::Serves);
    house.nodes[0].freeze();
    house.balance(|node| node == 1);
    for id in ids {
        assert!(house.ended(id, super::SOON).is_some(), "{}", house.told_of(id));
    }
    house.nodes[0].thaw();
    house.balance(|_| true);
    lasts(Duration::from_secs(4));
}

fn die_after_the_answer(house: &mut House) {
    for _ in 0..3 {
        house.booked(0, "+14165552000", None);
        house.kill(0);
        house.revive();
    }
}

/// The stream takes a start, and its answer is not heard: the start comes again.
fn hear_nothing_of_a_start(house: &mut House) {
    // From now on the server knows the script.
    begin_twice(house);
    house.engine.be(Mood::Rests);
    house.redis_line.set(Line::Deaf);
    let started = |house: &House| house.redis.calls().get("evalsha").copied().unwrap_or_default();
    let ids: Vec<_> = (0..3).map(|_| house.booked(0, "+14165552000", None)).collect();
    until("starts that entered", || ids.iter().all(|id| house.has_entered(*id, 1)).then_some(()));
    let before = started(house);
    house.redis_line.cut();
    house.redis_line.set(Line::Open);
    let again = before + ids.len() as u64;
    until("starts that come again", || (started(house) >= again).then_some(()));
    lasts(Duration::from_millis(500));
    house.engine.be(Mood::Serves);
}

fn begin_twice(house: &mut House) {
    for _ in 0..3 {
        let id = house.booked(0, "+14165550003", None);
        assert!(house.ended(id, super::SOON).is_some(), "{}", house.told_of(id));
    }
}

fn want_more_than_there_is(house: &mut House) {
    let day = 24 * 3_600;
    let slot = chrono::DateTime::from_timestamp((Utc::now().timestamp() / day + 2) * day, 0).unwrap();
    let body = json!({"serviceName": NARROW, "phoneNumber": "+14165552000", "desiredTime": slot.to_rfc3339()});
    let kept: Vec<_> = (0..PLACES + 3).filter_map(|_| house.booked_at(0, &body.to_string())).collect();
    assert!(kept.len() >= PLACES as usize);
    // A cancelled place comes back, once.
    assert_eq!(api::cancel(&mut house.client(), kept[0]).unwrap().status, 200);
    house.facts.cancellations.push(kept[0]);
    assert!(house.booked_at(1, &body.to_string()).is_some(), "the place came back");
}

fn ask_twice(house: &mut House) {
    let body = api::booking("+14165552000", None);
    for node in [0, 1, 0] {
        let mut client = api::client(house.nodes[node].external());
        let answer = api::create(&mut client, Some("asked-twice"), &body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = api::id_of(&answer).unwrap();
        house.facts.creations.push(Creation { id, key: Some("asked-twice".into()) });
    }
}

/// By the wall clock of its node a callback is due in three seconds, by the database's in five minutes more.
fn be_five_minutes_ahead(house: &mut House) {
    house.kill(0);
    let right = house.options(0);
    house.nodes[0].respawn_as(super::strike::wrong_clock(right.clone(), "+300s"));
    house.all_ready();
    let id = house.booked(0, "+14165552000", Some(304));
    let _: Option<()> = poll::try_until(Duration::from_secs(6), || house.has_entered(id, 1).then_some(()));
    house.kill(0);
    house.nodes[0].respawn_as(right);
    house.all_ready();
}

fn die_before_the_time(house: &mut House) {
    let ids: Vec<_> = (0..3).map(|_| house.booked(0, "+14165552000", Some(3))).collect();
    house.kill(0);
    house.balance(|node| node == 1);
    for id in ids {
        house.ended(id, BROKEN_WITHIN);
    }
}

fn erase(house: &mut House) {
    let id = house.booked(0, "+14165550177", Some(7_200));
    let mut client = Client::new(house.nodes[0].internal()).with_header("ContactCenterID", "demo");
    let body = json!({"phoneNumber": "+14165550177", "unfinished": "cancel"}).to_string();
    let answer = client.post_json("/ges/v1/personal-data/erase", &[], &body).unwrap();
    if answer.status == 200 {
        house.facts.erased.push(Erased { phone: 14_165_550_177, ids: vec![id], at: now_ms() });
    }
    println!("erased: {}", answer.text());
}

fn look_at_others(house: &mut House) {
    let id = house.booked(0, "+14165552000", Some(7_200));
    let mut stranger = Client::new(house.nodes[1].external()).with_header("X-API-Key", OTHER_KEY);
    for answer in [api::retrieve(&mut stranger, id), api::cancel(&mut stranger, id)] {
        house.facts.strangers.push((id, answer.unwrap().status));
    }
}
