//! Which request a call gets, and that no other call gets it too.

use super::*;

pub(crate) async fn of_many_calls_one_wins(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    for round in 0..20 {
        let kept = store.open(opening(&group, Some(round))).await;
        let tasks = (0..40).map(|n| {
            // By code, by caller, by both: each way leads to the one request.
            let call = match n % 3 {
                0 => by_code(kept.code.unwrap()),
                1 => by_ani(round),
                _ => Call { ani: Presented::Value(phone(round)), ..by_code(kept.code.unwrap()) },
            };
            let call_ins = store.call_ins.clone();
            tokio::spawn(async move { call_ins.match_call_in(matching(call)).await.unwrap() })
        });
        let won = join(tasks.collect())
            .await
            .into_iter()
            .filter(|it| matches!(it, MatchOutcome::Answer(Matched::Won(won)) if won.call_in.id == kept.id));
        assert_eq!(won.count(), 1, "round {round}");
    }
    // And of many calls for many requests each gets one.
    for _ in 0..30 {
        store.open(opening(&group, Some(500))).await;
    }
    let tasks = (0..50).map(|_| {
        let call_ins = store.call_ins.clone();
        tokio::spawn(async move { call_ins.match_call_in(matching(by_ani(500))).await.unwrap() })
    });
    let mut ids = BTreeSet::new();
    for outcome in join(tasks.collect()).await {
        if let MatchOutcome::Answer(Matched::Won(won)) = outcome {
            assert!(ids.insert(won.call_in.id), "matched twice");
        }
    }
    assert_eq!(ids.len(), 30);
}

pub(crate) async fn a_match_and_a_cancel_exclude_each_other(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    for _ in 0..30 {
        let kept = store.open(opening(&group, None)).await;
        let (one, other) = (store.call_ins.clone(), store.call_ins.clone());
        let call = matching(by_code(kept.code.unwrap()));
        let matched = tokio::spawn(async move { one.match_call_in(call).await.unwrap() });
        let cancelled = tokio::spawn(async move { other.cancel_call_in(tenant(), kept.id, noon()).await.unwrap() });
        let won = matches!(matched.await.unwrap(), MatchOutcome::Answer(Matched::Won(_)));
        let expected = if won { Withdrawn::NotWaiting(State::Matched) } else { Withdrawn::Done };
        assert_eq!(cancelled.await.unwrap(), expected);
    }
}

pub(crate) async fn most_criteria_win_then_the_oldest(start: &Start) {
    let store = start(Limits::default());
    let group = group(1, Some(6));
    let older = store.open(opening(&group, Some(1))).await;
    let newer = store.open(Opening { id: CallInId::generate(at(1)), ..opening(&group, Some(1)) }).await;
    let call = Call { ani: Presented::Value(phone(1)), ..by_code(newer.code.unwrap()) };
    let won = store.won(matching(call)).await.unwrap();
    assert_eq!(won.call_in.id, newer.id, "two criteria before one, though it is younger");
    let newest = store.open(Opening { id: CallInId::generate(at(2)), ..opening(&group, Some(1)) }).await;
    assert_eq!(store.won(matching(by_ani(1))).await.unwrap().call_in.id, older.id);
    assert_eq!(store.won(matching(by_ani(1))).await.unwrap().call_in.id, newest.id);

    // The number dialled proves nothing to whoever enters a wrong code.
    store.open(opening(&group, None)).await;
    let wrong = Call { dnis: Presented::Value(number(1)), ..by_code(100_000) };
    let nobody = MatchOutcome::Answer(Matched::Nobody([Criterion::Dnis].into_iter().collect()));
    let outcome = store.call_ins.match_call_in(matching(wrong)).await;
    assert_eq!(outcome, Ok(nobody));
    // A group that is named leaves out the others.
    let elsewhere = Matching { group: Some(name("other")), ..matching(by_dnis(1)) };
    assert_eq!(store.won(elsewhere.clone()).await, None);
    let asked = Opening { id: CallInId::generate(at(5)), group: name("other"), ..opening(&group, None) };
    let other = store.open(asked).await;
    assert_eq!(store.won(elsewhere).await.unwrap().call_in.id, other.id, "though it is not the oldest");
    assert!(store.won(matching(by_dnis(1))).await.is_some());
    assert_eq!(store.won(matching(by_dnis(1))).await, None);
}

/// Whatever waits and whatever calls, the store finds what comparing with every request finds.
pub(crate) async fn a_store_finds_what_the_rules_say(start: &Start) {
    let store = start(Limits::default());
    let (coded, plain) = (group(2, Some(3)), group(3, None));
    let mut random = StdRng::seed_from_u64(11);
    let mut waiting: Vec<CallIn> = Vec::new();
    let mut found = 0;
    for round in 0..600 {
        if waiting.len() < 12 && random.random_bool(0.6) {
            let caller = random.random_bool(0.7).then(|| random.random_range(1..4));
            let (of, group) = if random.random_bool(0.5) { ("coded", &coded) } else { ("plain", &plain) };
            let id = CallInId::generate(at(round));
            let asked = Opening { id, group: name(of), ..opening(group, caller) };
            if let Opened::New(kept) = store.call_ins.open_call_in(asked).await.unwrap() {
                waiting.push(kept);
            }
            continue;
        }
        let some_code = waiting.get(random.random_range(0..waiting.len().max(1))).and_then(|it| it.code);
        let call = Call {
            code: match random.random_range(0..4) {
                0 => Presented::Unreadable,
                1 => Presented::Value(999),
                2 => some_code.map_or(Presented::Absent, Presented::Value),
                _ => Presented::Absent,
            },
            ani: match random.random_range(0..4) {
                0 => Presented::Unreadable,
                1 | 2 => Presented::Value(phone(random.random_range(1..5))),
                _ => Presented::Absent,
            },
            dnis: match random.random_range(0..4) {
                0 => Presented::Absent,
                _ => Presented::Value(number(random.random_range(1..5))),
            },
        };
        let group = random.random_bool(0.3).then(|| name("plain"));
        let asked = waiting.iter().filter(|it| group.as_ref().is_none_or(|group| it.group == *group));
        let expected = call.best(asked).map(|(it, criteria)| (it.id, criteria));
        let won = store.won(Matching { group, ..matching(call) }).await.map(|it| (it.call_in.id, it.call_in.criteria));
        assert_eq!(won, expected, "{call:?} among {waiting:#?}");
        waiting.retain(|it| won.is_none_or(|(id, _)| it.id != id));
        found += usize::from(won.is_some());
    }
    assert!(found > 50, "only {found} calls were somebody's");
}
