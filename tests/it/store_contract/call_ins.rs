//! Call-in requests: recognised once and by nobody else, their codes and numbers never shared while they wait.

mod matching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use domain::call_in::{Call, CallIn, CallInGroup, Criteria, Criterion, Group, Presented, State};
use domain::callback::Idempotency;
use domain::ids::{CallInGroupName, CallInId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    CallInOrder, CallInPage, CallInQuery, MatchOutcome, Matched, Matching, Opened, Opening, StoreError, Withdrawn, Won,
};
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::harness::*;
pub(crate) use matching::{
    a_match_and_a_cancel_exclude_each_other, a_store_finds_what_the_rules_say, most_criteria_win_then_the_oldest,
    of_many_calls_one_wins,
};

fn number(last: u64) -> PhoneNumber {
    PhoneNumber::from_digits(18_005_550_100 + last)
}

pub(super) fn name(text: &str) -> CallInGroupName {
    CallInGroupName::new(text).unwrap()
}

/// A group of the first so many numbers, with codes of so many digits, or without.
pub(super) fn group(numbers: u64, digits: Option<u32>) -> Arc<Group> {
    let settings = CallInGroup {
        numbers: (1..=numbers).map(|last| number(last).e164()).collect(),
        access_codes: digits.is_some(),
        code_digits: digits.unwrap_or(6),
        ..CallInGroup::default()
    };
    Arc::new(settings.resolve())
}

pub(super) fn opening(settings: &Arc<Group>, caller: Option<u64>) -> Opening {
    Opening {
        id: CallInId::generate(noon()),
        tenant: tenant(),
        group: name("mobile"),
        settings: settings.clone(),
        caller: caller.map(phone),
        callback: None,
        user_data: None,
        idempotency: None,
        at: noon(),
    }
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    noon() + Duration::seconds(seconds)
}

fn key(key: u8, body: u8) -> Option<Idempotency> {
    Some(Idempotency { key: [key; 16], body: [body; 16] })
}

pub(super) fn matching(call: Call) -> Matching {
    Matching { tenant: tenant(), group: None, call, idempotency: None, at: noon() }
}

pub(super) fn by_code(code: u32) -> Call {
    Call { code: Presented::Value(code), ..Call::default() }
}

pub(super) fn by_ani(last: u64) -> Call {
    Call { ani: Presented::Value(phone(last)), ..Call::default() }
}

fn by_dnis(last: u64) -> Call {
    Call { dnis: Presented::Value(number(last)), ..Call::default() }
}

pub(super) fn everything() -> CallInQuery {
    CallInQuery { state: None, group: None, caller: None, order: CallInOrder::OldestFirst, after: None, limit: 1_000 }
}

impl Fixture {
    pub(super) async fn open(&self, opening: Opening) -> CallIn {
        match self.call_ins.open_call_in(opening).await {
            Ok(Opened::New(call_in)) => call_in,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn won(&self, matching: Matching) -> Option<Won> {
        match self.call_ins.match_call_in(matching).await {
            Ok(MatchOutcome::Answer(Matched::Won(won))) => Some(*won),
            Ok(MatchOutcome::Answer(Matched::Nobody(_))) => None,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn list(&self, query: CallInQuery, at: DateTime<Utc>) -> CallInPage {
        self.call_ins.call_ins(tenant(), query, at).await.unwrap()
    }

    /// The states of all requests at an instant, in the order in which they were made.
    pub(super) async fn states(&self, at: DateTime<Utc>) -> Vec<State> {
        self.list(everything(), at).await.call_ins.into_iter().map(|it| it.state).collect()
    }
}

pub(crate) async fn come_back_whole(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    let asked = Opening {
        callback: Some(callback.id),
        user_data: Some(r#"{"page":"ü"}"#.to_owned()),
        ..opening(&group(1, Some(6)), Some(7))
    };
    let kept = store.open(asked.clone()).await;
    let code = kept.code.expect("the group draws codes");
    assert!((100_000..=999_999).contains(&code), "{code}");
    let expected = CallIn {
        id: asked.id,
        group: name("mobile"),
        number: number(1),
        code: Some(code),
        caller: Some(phone(7)),
        callback: Some(callback.id),
        created_at: noon(),
        expires_at: at(300),
        ended_at: None,
        state: State::Waiting,
        criteria: Criteria::NONE,
    };
    assert_eq!(kept, expected);
    let page = store.list(everything(), noon()).await;
    let whole = CallInPage { call_ins: vec![expected.clone()], next: None, total: 1, total_is_complete: true };
    assert_eq!(page, whole);

    let call = Call { ani: Presented::Value(phone(7)), dnis: Presented::Value(number(1)), ..by_code(code) };
    let won = store.won(Matching { at: at(10), ..matching(call) }).await.expect("it fits");
    let criteria = Criterion::ALL.into_iter().collect();
    let matched = CallIn { state: State::Matched, ended_at: Some(at(10)), criteria, ..expected };
    assert_eq!(won, Won { call_in: matched.clone(), user_data: asked.user_data });
    assert_eq!(store.list(everything(), at(1_000)).await.call_ins, [matched]);
    assert_eq!(store.won(matching(call)).await, None, "once");

    let bare = store.open(opening(&group(1, None), None)).await;
    assert_eq!((bare.code, bare.caller, bare.callback), (None, None, None));
    assert_eq!(store.won(matching(by_dnis(1))).await.unwrap().user_data, None);
}

pub(crate) async fn are_walled_by_tenant(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    let kept = store.open(opening(&group, Some(1))).await;
    // The stranger has the same number, and a request of its own on it.
    let theirs = store.open(Opening { tenant: stranger(), ..opening(&group, Some(2)) }).await;
    let code = kept.code.unwrap();
    for call in [by_code(code), by_ani(1), Call { ani: Presented::Value(phone(1)), ..by_code(code) }] {
        let outcome = store.call_ins.match_call_in(Matching { tenant: stranger(), ..matching(call) }).await;
        let nobody = MatchOutcome::Answer(Matched::Nobody(Criteria::NONE));
        // Two codes may be equal by chance.
        assert!(outcome == Ok(nobody) || theirs.code == kept.code, "{outcome:?}");
    }
    assert_eq!(store.call_ins.cancel_call_in(stranger(), kept.id, noon()).await, Ok(Withdrawn::NotFound));
    let list = store.call_ins.call_ins(stranger(), everything(), noon()).await.unwrap();
    assert_eq!(list.call_ins, [theirs]);
    let nobody = TenantId::from_name("nobody");
    assert_eq!(store.call_ins.cancel_call_in(nobody, kept.id, noon()).await, Ok(Withdrawn::NotFound));
    let empty = CallInPage { total_is_complete: true, ..CallInPage::default() };
    assert_eq!(store.call_ins.call_ins(nobody, everything(), noon()).await, Ok(empty));
    let outcome = store.call_ins.match_call_in(Matching { tenant: nobody, ..matching(by_code(code)) }).await;
    assert_eq!(outcome, Ok(MatchOutcome::Answer(Matched::Nobody(Criteria::NONE))));
}

pub(crate) async fn are_recognised_by_their_key(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    let keyed = |key_of, body| Opening { idempotency: key(key_of, body), ..opening(&group, None) };
    let first = store.open(keyed(1, 1)).await;
    assert_eq!(store.call_ins.open_call_in(keyed(1, 1)).await, Ok(Opened::Existing(first.clone())));
    assert_eq!(store.call_ins.open_call_in(keyed(1, 2)).await, Ok(Opened::KeyReused));
    store.open(keyed(2, 1)).await;
    // A key is one operation's and one tenant's own.
    assert_eq!(store.callbacks.book(with_key(scheduled(noon()), 1, 9)).await, Ok(domain::ports::Booked::New));
    store.open(Opening { tenant: stranger(), ..keyed(1, 9) }).await;

    // The request as it is by now; its key outlives it.
    store.call_ins.cancel_call_in(tenant(), first.id, at(5)).await.unwrap();
    let cancelled = CallIn { state: State::Cancelled, ended_at: Some(at(5)), ..first.clone() };
    let later = |hours| Opening { at: noon() + Duration::hours(hours), ..keyed(1, 1) };
    assert_eq!(store.call_ins.open_call_in(later(23)).await, Ok(Opened::Existing(cancelled)));
    assert!(matches!(store.call_ins.open_call_in(later(25)).await, Ok(Opened::New(_))));
}

pub(crate) async fn equal_keys_in_one_batch_share_one_outcome(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    let hold = store.injector.hold_writer();
    let mut tasks = Vec::new();
    for body in [1, 1, 2, 1] {
        let (call_ins, asked) =
            (store.call_ins.clone(), Opening { idempotency: key(1, body), ..opening(&group, None) });
        tasks.push(store.queued(async move { call_ins.open_call_in(asked).await }).await);
    }
    drop(hold);
    let outcomes = join(tasks).await;
    let Ok(Opened::New(first)) = &outcomes[0] else { panic!("{outcomes:?}") };
    let again = Ok(Opened::Existing(first.clone()));
    assert_eq!(outcomes[1..], [again.clone(), Ok(Opened::KeyReused), again]);
    assert_eq!(store.injector.commits(), 1, "it was one batch");
    assert_eq!(store.list(everything(), noon()).await.total, 1);
}

pub(crate) async fn a_lost_answer_to_commit_is_perhaps(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, None);
    store.injector.lose_next_commit_answer();
    let asked = Opening { idempotency: key(1, 1), ..opening(&group, None) };
    let outcome = store.call_ins.open_call_in(asked.clone()).await;
    assert!(matches!(outcome, Err(StoreError::PerhapsDone(_))), "{outcome:?}");
    // Repeated under its key it is the one that was kept, although the only number is taken: by itself.
    let again = Opening { id: CallInId::generate(noon()), ..asked.clone() };
    let outcome = store.call_ins.open_call_in(again).await;
    assert!(matches!(&outcome, Ok(Opened::Existing(kept)) if kept.id == asked.id), "{outcome:?}");

    store.injector.lose_next_commit_answer();
    let call = Matching { idempotency: key(1, 1), ..matching(by_dnis(1)) };
    let outcome = store.call_ins.match_call_in(call.clone()).await;
    assert!(matches!(outcome, Err(StoreError::PerhapsDone(_))), "{outcome:?}");
    assert_eq!(store.won(call.clone()).await.map(|won| won.call_in.id), Some(asked.id), "the same call again");
    assert_eq!(store.won(matching(by_dnis(1))).await, None, "another call");
    let reused = Matching { idempotency: key(1, 2), ..call };
    assert_eq!(store.call_ins.match_call_in(reused).await, Ok(MatchOutcome::KeyReused));
}

pub(crate) async fn codes_are_never_shared_and_the_last_one_is_found(start: &Start) {
    let store = start(Limits::default());
    // Nine hundred codes on each of two numbers, asked for by many at once.
    let group = group(2, Some(3));
    let tasks = (0..1_850).map(|_| {
        let (call_ins, asked) = (store.call_ins.clone(), opening(&group, None));
        tokio::spawn(async move { call_ins.open_call_in(asked).await.unwrap() })
    });
    let mut places = BTreeSet::new();
    let mut refused = 0;
    for outcome in join(tasks.collect()).await {
        match outcome {
            Opened::New(it) => assert!(places.insert((it.number.digits(), it.code)), "{it:?} twice"),
            Opened::NothingFree => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((places.len(), refused), (1_800, 50), "every code is given out, and none twice");
    // One ends, and its code is the only one that the next can get.
    let (ended, code) = *places.iter().nth(777).unwrap();
    let call = Call { dnis: Presented::Value(PhoneNumber::from_digits(ended)), ..by_code(code.unwrap()) };
    assert!(store.won(matching(call)).await.is_some());
    let next = store.open(opening(&group, None)).await;
    assert_eq!((next.number.digits(), next.code), (ended, code));
    assert_eq!(store.call_ins.open_call_in(opening(&group, None)).await, Ok(Opened::NothingFree));
    // A key whose request was refused is as good as new.
    let keyed = Opening { idempotency: key(1, 1), ..opening(&group, None) };
    assert_eq!(store.call_ins.open_call_in(keyed.clone()).await, Ok(Opened::NothingFree));
    assert!(matches!(store.call_ins.open_call_in(Opening { at: at(300), ..keyed }).await, Ok(Opened::New(_))));
}

pub(crate) async fn the_least_loaded_number_is_given_out(start: &Start) {
    let store = start(Limits::default());
    let group = group(3, Some(6));
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(store.open(opening(&group, None)).await);
    }
    let numbers: Vec<u64> = order.iter().map(|it| it.number.digits() - number(0).digits()).collect();
    assert_eq!(numbers, [1, 2, 3, 1]);
    // Two end on the second: it is the emptiest.
    store.call_ins.cancel_call_in(tenant(), order[1].id, noon()).await.unwrap();
    assert_eq!(store.open(opening(&group, None)).await.number, number(2));
    assert!(store.won(matching(by_code(order[2].code.unwrap()))).await.is_some());
    assert_eq!(store.open(opening(&group, None)).await.number, number(3));
    // A caller who waits on one number is given another, and only then the code tells the requests apart.
    let mut of_caller = BTreeMap::new();
    for _ in 0..4 {
        *of_caller.entry(store.open(opening(&group, Some(9))).await.number.digits()).or_insert(0) += 1;
    }
    assert_eq!(of_caller.into_values().collect::<Vec<_>>(), [1, 2, 1]);
}

pub(crate) async fn without_codes_numbers_and_callers_are_never_shared(start: &Start) {
    let store = start(Limits::default());
    let group = group(2, None);
    let tasks = (0..60).map(|n| {
        let (call_ins, asked) = (store.call_ins.clone(), opening(&group, Some(n % 10).filter(|last| *last > 0)));
        tokio::spawn(async move { call_ins.open_call_in(asked).await.unwrap() })
    });
    let mut places = BTreeSet::new();
    for outcome in join(tasks.collect()).await {
        if let Opened::New(it) = outcome {
            assert!(places.insert((it.number.digits(), it.caller.map(PhoneNumber::digits))), "{it:?} twice");
        }
    }
    assert_eq!(places.len(), 20, "nine callers and the unnamed one, on two numbers each");
}
