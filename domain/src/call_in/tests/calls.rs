//! Recognising a call.

use Presented::Value;

use super::*;

fn request(order: u64, code: Option<u32>, from: Option<PhoneNumber>, number: PhoneNumber) -> CallIn {
    let at = DateTime::from_timestamp(1_000, 0).unwrap();
    CallIn {
        id: CallInId::from_uuid(uuid::Uuid::from_u128(order.into())),
        group: CallInGroupName::new("mobile").unwrap(),
        number,
        code,
        caller: from,
        callback: None,
        created_at: at,
        expires_at: at + Duration::seconds(300),
        ended_at: None,
        state: State::Waiting,
        criteria: Criteria::NONE,
    }
}

fn set(criteria: &[Criterion]) -> Criteria {
    criteria.iter().copied().collect()
}

/// Names which criteria fit: `c` for the code, `a` for the caller, `d` for the number dialled; `-` for none.
fn spelt(criteria: Criteria) -> String {
    let letters: String = criteria.each().filter_map(|it| it.name().chars().next()).collect();
    // The code's name begins with the letter of the caller's.
    let letters = if criteria.has(Criterion::AccessCode) { letters.replacen('a', "c", 1) } else { letters };
    if letters.is_empty() { "-".into() } else { letters }
}

#[test]
fn every_combination_of_three_criteria() {
    let own = request(1, Some(123_456), Some(caller(1)), number(1));
    // For each criterion: absent, unreadable, another's, the request's own.
    let codes = [Presented::Absent, Presented::Unreadable, Presented::Value(654_321), Presented::Value(123_456)];
    let anis = [Presented::Absent, Presented::Unreadable, Presented::Value(caller(2)), Presented::Value(caller(1))];
    let numbers = [Presented::Absent, Presented::Unreadable, Presented::Value(number(2)), Presented::Value(number(1))];
    let mut lines = Vec::new();
    for (c, code) in codes.into_iter().enumerate() {
        for (a, ani) in anis.into_iter().enumerate() {
            for (d, dnis) in numbers.into_iter().enumerate() {
                let call = Call { code, ani, dnis };
                let proof = call.proof(&own);
                let fits = set(&[Criterion::AccessCode][..usize::from(c == 3)])
                    .with(Criterion::Ani, a == 3)
                    .with(Criterion::Dnis, d == 3);
                assert_eq!(call.fitting(&own), fits);
                let dnis_alone = fits == set(&[Criterion::Dnis]);
                let expected = if dnis_alone && (c > 0 || a > 0) { Criteria::NONE } else { fits };
                assert_eq!(proof, expected, "{call:?}");
                lines.push(spelt(proof));
            }
        }
    }
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines, ["-", "a", "ad", "c", "ca", "cad", "cd", "d"], "all eight outcomes of the three");
}

#[test]
fn the_number_dialled_is_proof_where_nothing_speaks_against_it() {
    let dnis = Presented::Value(number(1));
    let wrong = Call { code: Presented::Value(1), ani: Presented::Value(caller(9)), dnis };
    let withheld = Call { ani: Presented::Unreadable, dnis, ..Call::default() };
    let coded = Call { code: Presented::Value(1), dnis, ..Call::default() };
    let bare = Call { dnis, ..Call::default() };
    for (code, from, proven) in [
        // By: wrong code and caller, withheld caller, wrong code, number alone.
        (None, None, [true, true, true, true]),
        (None, Some(caller(1)), [false, false, true, true]),
        (Some(123), None, [false, true, false, true]),
        (Some(123), Some(caller(1)), [false, false, false, true]),
    ] {
        let request = request(1, code, from, number(1));
        let found = [wrong, withheld, coded, bare].map(|call| call.proof(&request) == set(&[Criterion::Dnis]));
        assert_eq!(found, proven, "{code:?} {from:?}");
    }
}

#[test]
fn most_criteria_win_and_then_the_oldest() {
    let waiting = [
        request(5, Some(111), Some(caller(1)), number(1)),
        request(3, Some(222), Some(caller(1)), number(1)),
        request(4, Some(111), None, number(2)),
        request(9, Some(111), Some(caller(1)), number(2)),
    ];
    for (call, expected) in [
        (Call { code: Value(111), ani: Value(caller(1)), dnis: Value(number(1)) }, Some((5, "cad"))),
        (Call { code: Value(111), ani: Value(caller(1)), ..Call::default() }, Some((5, "ca"))),
        (Call { code: Value(111), dnis: Value(number(2)), ..Call::default() }, Some((4, "cd"))),
        (Call { ani: Value(caller(1)), dnis: Value(number(1)), ..Call::default() }, Some((3, "ad"))),
        (Call { code: Value(111), ..Call::default() }, Some((4, "c"))),
        (Call { ani: Value(caller(1)), ..Call::default() }, Some((3, "a"))),
        (Call { dnis: Value(number(2)), ..Call::default() }, Some((4, "d"))),
        (Call { code: Value(999), dnis: Value(number(2)), ..Call::default() }, None),
        (Call { code: Value(999), ani: Value(caller(1)), dnis: Value(number(2)) }, Some((9, "ad"))),
        (Call::default(), None),
    ] {
        let best = call.best(&waiting).map(|(it, criteria)| (it.id.as_uuid().as_u128(), spelt(criteria)));
        assert_eq!(best, expected.map(|(id, letters)| (id, letters.to_owned())), "{call:?}");
    }
}

#[test]
fn the_steps_go_from_most_to_fewest_and_name_each_set_once() {
    let call = Call { code: Presented::Value(1), ani: Presented::Value(caller(1)), dnis: Presented::Value(number(1)) };
    let steps = |call: Call| call.steps().map(|step| step.map(spelt).collect::<Vec<_>>()).collect::<Vec<_>>();
    assert_eq!(steps(call), [vec!["cad"], vec!["ca", "cd", "ad"], vec!["c", "a", "d"]]);
    assert_eq!(steps(Call { ani: Presented::Unreadable, ..call }), [vec!["cd"], vec!["c", "d"]]);
    assert_eq!(steps(Call::default()), Vec::<Vec<String>>::new());
}

fn presented<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Presented<T>> {
    prop_oneof![
        1 => Just(Presented::Absent),
        1 => Just(Presented::Unreadable),
        4 => prop::sample::select(values).prop_map(Presented::Value),
    ]
}

fn requests() -> impl Strategy<Value = Vec<CallIn>> {
    let marks = (prop::option::of(111_u32..114), prop::option::of(1_u64..4), 1_u64..3);
    prop::collection::vec(marks, 0..8).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered.map(|(order, (code, from, to))| request(order as u64, code, from.map(caller), number(to))).collect()
    })
}

proptest! {
    /// Looking step by step, as a store does, finds the same as comparing with every request.
    #[test]
    fn the_steps_lead_to_the_best(
        waiting in requests(),
        code in presented(vec![111, 112, 999]),
        ani in presented(vec![caller(1), caller(2), caller(9)]),
        dnis in presented(vec![number(1), number(2), number(9)]),
    ) {
        let call = Call { code, ani, dnis };
        let found = call.steps().find_map(|step| {
            let sets: Vec<Criteria> = step.collect();
            let of_step = waiting.iter().filter(|request| {
                let marks = Marks::of(request.code, request.caller);
                sets.iter().any(|set| {
                    let holds = set.each().all(|criterion| call.fitting(request).has(criterion));
                    let by_dnis_alone = *set == Criteria::from_iter([Criterion::Dnis]);
                    holds && (!by_dnis_alone || call.marks_by_dnis_alone().any(|allowed| allowed == marks))
                })
            });
            of_step.min_by_key(|request| request.id)
        });
        prop_assert_eq!(found.map(|it| it.id), call.best(&waiting).map(|(it, _)| it.id));
    }
}
