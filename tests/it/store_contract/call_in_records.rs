//! Call-in requests in time and in lists: they end by themselves, are removed when they are old, and are found again.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::call_in::{CallIn, State};
use domain::ids::CallInId;
use domain::ports::{CallInOrder, CallInQuery, Matching, Opened, Opening, Withdrawn};
use ges::stores::combiner::Limits;

use super::call_ins::{at, by_ani, by_code, everything, group, matching, name, opening};
use super::harness::*;

pub(crate) async fn time_alone_ends_them(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, None);
    let kept = store.open(opening(&group, Some(1))).await;
    let call = |seconds| Matching { at: at(seconds), ..matching(by_ani(1)) };
    let refused = Opening { at: at(299), ..opening(&group, Some(1)) };
    assert_eq!(store.call_ins.open_call_in(refused).await, Ok(Opened::NothingFree));
    assert_eq!(
        (store.states(at(299)).await, store.states(at(300)).await),
        (vec![State::Waiting], vec![State::Expired])
    );
    // Nothing has been written down, and yet it neither matches, nor is cancelled, nor stands in the way.
    assert_eq!(store.won(call(300)).await, None);
    let late = store.call_ins.cancel_call_in(tenant(), kept.id, at(300)).await;
    assert_eq!(late, Ok(Withdrawn::NotWaiting(State::Expired)));
    let id = CallInId::generate(at(300));
    let next = store.open(Opening { id, at: at(300), ..opening(&group, Some(1)) }).await;
    assert_eq!(store.states(at(300)).await, [State::Expired, State::Waiting]);
    assert_eq!(store.won(call(599)).await.unwrap().call_in.id, next.id);
    let cancelled = store.open(Opening { id: CallInId::generate(at(400)), at: at(400), ..opening(&group, None) }).await;
    for seconds in [401, 402] {
        let again = store.call_ins.cancel_call_in(tenant(), cancelled.id, at(seconds)).await;
        assert_eq!(again, Ok(Withdrawn::Done));
    }
    let page = store.list(everything(), at(9_999)).await;
    let states: Vec<State> = page.call_ins.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::Expired, State::Matched, State::Cancelled]);
    assert_eq!(page.call_ins[2].ended_at, Some(at(401)));
}

pub(crate) async fn a_purge_writes_expiry_down_and_removes_the_old(start: &Start) {
    let store = start(Limits { batch_commands: 16, ..Limits::default() });
    let group = group(2, Some(6));
    for n in 0..20 {
        let user_data = Some(r#"{"a":1}"#.to_owned());
        store.open(Opening { id: CallInId::generate(at(n)), user_data, ..opening(&group, None) }).await;
    }
    let young = Opening { id: CallInId::generate(at(290)), at: at(290), ..opening(&group, None) };
    let young = store.open(young).await;
    assert_eq!(store.injector.rows().details, 20);
    let before = store.injector.commits();
    assert_eq!(store.callbacks.purge(at(-14 * 86_400), at(310), 100).await, Ok(0), "they count as no callbacks");
    assert!(store.injector.commits() >= before + 5, "in steps of a quarter of a batch");
    assert_eq!(store.list(CallInQuery { state: Some(State::Expired), ..everything() }, noon()).await.total, 20);
    // What is written down frees its number, so the next requests are spread evenly again.
    let mut counts = BTreeMap::new();
    for n in 0..4 {
        let id = CallInId::generate(at(311 + n));
        let kept = store.open(Opening { id, at: at(311), ..opening(&group, None) }).await;
        *counts.entry(kept.number.digits()).or_insert(0) += 1;
    }
    let mut counts: Vec<i32> = counts.into_values().collect();
    counts.sort_unstable();
    // The young one waits on one of them.
    assert!(counts == [2, 2] || counts == [1, 3], "{counts:?} beside {young:?}");

    assert_eq!(store.callbacks.purge(at(301), at(311), 100).await, Ok(0));
    assert_eq!(store.list(everything(), at(311)).await.total, 5, "those that had ended, and were void by then");
    assert_eq!(store.injector.rows().details, 0, "with everything of theirs");
    assert!(store.won(matching(by_code(young.code.unwrap()))).await.is_some(), "those that wait are left alone");
}

pub(crate) async fn expired_ones_never_pile_up(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(3));
    // Nobody purges: each new request makes up for two that have expired.
    for round in 0..2_000 {
        let opened = Opening { id: CallInId::generate(at(round)), at: at(round), ..opening(&group, None) };
        store.open(opened).await;
    }
    let expired = CallInQuery { state: Some(State::Expired), limit: 1, ..everything() };
    // At the first instant nothing that waits had expired, so what shows was written down.
    assert!(store.list(expired, noon()).await.total >= 1_690, "{:?}", store.list(everything(), noon()).await.total);
}

pub(crate) async fn lists_are_filtered_sorted_and_paged(start: &Start) {
    let store = start(Limits::default());
    let group = group(2, Some(6));
    let mut made = Vec::new();
    for n in 0..30_u64 {
        let id = CallInId::generate(at(n.cast_signed()));
        let of = if n % 3 == 0 { "third" } else { "mobile" };
        let caller = (n % 2 == 0).then_some(n % 10);
        made.push(store.open(Opening { id, group: name(of), ..opening(&group, caller) }).await);
    }
    store.call_ins.cancel_call_in(tenant(), made[4].id, noon()).await.unwrap();
    store.won(matching(by_code(made[7].code.unwrap()))).await.unwrap();
    let filters = [
        everything(),
        CallInQuery { state: Some(State::Waiting), ..everything() },
        CallInQuery { state: Some(State::Cancelled), ..everything() },
        CallInQuery { state: Some(State::Expired), ..everything() },
        CallInQuery { group: Some(name("third")), ..everything() },
        CallInQuery { group: Some(name("unheard of")), ..everything() },
        CallInQuery { caller: Some(phone(4)), ..everything() },
        CallInQuery { caller: Some(phone(5)), ..everything() },
        CallInQuery { caller: Some(phone(6)), group: Some(name("third")), state: Some(State::Waiting), ..everything() },
    ];
    for filter in filters {
        let admitted = |it: &&CallIn| {
            let state = if it.id == made[4].id {
                State::Cancelled
            } else if it.id == made[7].id {
                State::Matched
            } else {
                State::Waiting
            };
            filter.state.is_none_or(|wanted| wanted == state)
                && filter.group.as_ref().is_none_or(|wanted| *wanted == it.group)
                && filter.caller.is_none_or(|wanted| it.caller == Some(wanted))
        };
        let expected: Vec<CallInId> = made.iter().filter(admitted).map(|it| it.id).collect();
        for (order, limit) in
            [(CallInOrder::OldestFirst, 7), (CallInOrder::NewestFirst, 1), (CallInOrder::NewestFirst, 50)]
        {
            let mut ids = Vec::new();
            let mut after = None;
            loop {
                let query = CallInQuery { order, limit, after, ..filter.clone() };
                let page = store.list(query, noon()).await;
                assert_eq!((page.total, page.total_is_complete), (expected.len() as u64, true));
                assert!(page.call_ins.len() <= limit);
                ids.extend(page.call_ins.iter().map(|it| it.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if order == CallInOrder::NewestFirst {
                ids.reverse();
            }
            assert_eq!(ids, expected, "{filter:?} {order:?} by {limit}");
        }
    }
}

pub(crate) async fn a_long_list_is_looked_through_in_parts(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(9));
    let first = Opening { id: CallInId::generate(at(0)), group: name("rare"), ..opening(&group, None) };
    let rare = store.open(first).await;
    let tasks = (1..=20_500).map(|n| {
        let id = CallInId::generate(noon() + Duration::milliseconds(n));
        let (call_ins, asked) = (store.call_ins.clone(), Opening { id, ..opening(&group, None) });
        tokio::spawn(async move { call_ins.open_call_in(asked).await.unwrap() })
    });
    // Fewer at once than may wait.
    let mut tasks = tasks.peekable();
    while tasks.peek().is_some() {
        let some: Vec<_> = tasks.by_ref().take(5_000).collect();
        assert!(join(some).await.iter().all(|it| matches!(it, Opened::New(_))));
    }
    let all = store.list(CallInQuery { limit: 5, ..everything() }, noon()).await;
    assert_eq!((all.total, all.total_is_complete), (20_000, false));
    // The rare one is the oldest: the first page ends before it, and says where to go on.
    let query = CallInQuery { group: Some(name("rare")), order: CallInOrder::NewestFirst, ..everything() };
    let page = store.list(query.clone(), noon()).await;
    assert_eq!((page.call_ins.len(), page.total, page.total_is_complete), (0, 0, false));
    let after = page.next;
    assert!(after.is_some());
    let page = store.list(CallInQuery { after, ..query }, noon()).await;
    assert_eq!((page.call_ins.iter().map(|it| it.id).collect::<Vec<_>>(), page.next), (vec![rare.id], None));
}
