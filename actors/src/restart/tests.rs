use domain::event::ActorKind;
use proptest::prelude::*;

use super::*;
use crate::testing::Recorder;

fn policies() -> impl Strategy<Value = RestartPolicy> {
    let then = prop_oneof![Just(Then::Escalate), Just(Then::Park), Just(Then::RestartForEver)];
    (1usize..8, 1u64..120_000, 1u64..5_000, 0u64..60_000, then).prop_map(|(failures, within, min, more, then)| {
        RestartPolicy {
            failures,
            within: Duration::from_millis(within),
            pause_min: Duration::from_millis(min),
            pause_max: Duration::from_millis(min + more),
            then,
        }
    })
}

proptest! {
    /// Against the plain rule: look at all failures so far and count those inside the window.
    #[test]
    fn the_window_decides(
        policy in policies(),
        steps in proptest::collection::vec((0u64..60_000, any::<u64>()), 1..40),
    ) {
        let mut now = Instant::now();
        let mut all: Vec<Instant> = Vec::new();
        let mut restarts = Restarts::new(policy);
        for (gap, spread) in steps {
            now += Duration::from_millis(gap);
            all.push(now);
            let inside = all.iter().filter(|at| now.duration_since(**at) < policy.within).count();
            let verdict = restarts.failed(now, spread);
            if inside > policy.failures && policy.then != Then::RestartForEver {
                prop_assert_eq!(verdict, Verdict::GiveUp);
            } else {
                let Verdict::Restart(pause) = verdict else { return Err(TestCaseError::fail("gave up too soon")) };
                prop_assert!(pause <= policy.pause_max && pause >= policy.pause_min / 2);
            }
            prop_assert!(restarts.failed_at.len() <= policy.failures);
        }
        prop_assert!(!restarts.is_forgotten(now));
        prop_assert!(restarts.is_forgotten(now + policy.within));
    }

    #[test]
    fn pauses_grow_up_to_the_longest(policy in policies(), spread in any::<u64>()) {
        let pauses: Vec<Duration> = (1..40).map(|failures| policy.pause(failures, spread)).collect();
        prop_assert!(pauses.iter().all(|pause| *pause >= policy.pause_min / 2 && *pause <= policy.pause_max));
        prop_assert!(policy.pause(40, u64::MAX) >= policy.pause_max / 2);
    }
}

#[test]
fn the_failure_after_the_last_forgiven_one_gives_up() {
    let mut restarts = Restarts::new(Policies::SESSION);
    let now = Instant::now();
    for _ in 0..Policies::SESSION.failures {
        assert!(matches!(restarts.failed(now, 0), Verdict::Restart(_)));
    }
    assert_eq!(restarts.failed(now, 0), Verdict::GiveUp);
}

#[test]
fn failures_outside_the_window_are_forgotten() {
    let mut restarts = Restarts::new(Policies::SESSION);
    let start = Instant::now();
    for minute in 0..10 {
        let now = start + Duration::from_secs(61) * minute;
        assert!(matches!(restarts.failed(now, 0), Verdict::Restart(_)), "minute {minute}");
    }
}

#[test]
fn two_jitters_differ() {
    assert_ne!(any_number(), any_number());
}

#[test]
fn an_error_is_told_from_a_panic_and_the_text_of_a_panic_is_kept_back() {
    let recorder = Recorder::default();
    let error: ActorProcessingErr = Box::new(Fault("the row is damaged".into()));
    assert_eq!(note_failure(&recorder, &error), (Failure::Error, "the row is damaged".to_owned()));
    assert_eq!(recorder.count(|event| *event == Event::PanicCaught), 0);
    // ractor hands a caught panic over as a plain text.
    let panic: ActorProcessingErr = From::from("cannot ring +14155550100".to_owned());
    assert_eq!(note_failure(&recorder, &panic), (Failure::Panic, "it panicked".to_owned()));
    assert_eq!(note_failed_start(&recorder, &SpawnErr::StartupFailed(panic)), "it panicked");
    assert_eq!(recorder.count(|event| *event == Event::PanicCaught), 2);
}

#[test]
fn the_table_in_the_documentation_is_the_truth() {
    let rows = [
        (ActorKind::Connectors, ActorKind::Root, Policies::CONNECTORS),
        (ActorKind::Connector, ActorKind::Connectors, Policies::CONNECTOR),
        (ActorKind::Health, ActorKind::Root, Policies::HEALTH),
        (ActorKind::Probe, ActorKind::Health, Policies::PROBE),
        (ActorKind::Membership, ActorKind::Root, Policies::MEMBERSHIP),
        (ActorKind::Tenants, ActorKind::Root, Policies::TENANTS),
        (ActorKind::Tenant, ActorKind::Tenants, Policies::TENANT),
        (ActorKind::Scheduler, ActorKind::Root, Policies::SCHEDULER),
        (ActorKind::Notifier, ActorKind::Root, Policies::NOTIFIER),
        (ActorKind::Session, ActorKind::Tenant, Policies::SESSION),
    ];
    let expected: Vec<String> = rows.into_iter().map(|(child, of, policy)| row(child, of, policy)).collect();
    let lines = include_str!("../lib.rs").lines().filter(|line| line.starts_with("//! | ")).skip(2);
    // All cells but the last, which says what is lost.
    let shown: Vec<String> = lines
        .filter_map(|line| line.trim_end_matches(" |").rsplit_once(" | ").map(|(row, _)| row.to_owned()))
        .collect();
    assert_eq!(shown, expected, "the table must read\n{}", expected.join("\n"));
}

fn row(child: ActorKind, of: ActorKind, policy: RestartPolicy) -> String {
    let (failures, within) = match policy.then {
        Then::RestartForEver => ("–".to_owned(), "–".to_owned()),
        Then::Escalate | Then::Park => (policy.failures.to_string(), format!("{} s", policy.within.as_secs())),
    };
    let then = match policy.then {
        Then::Escalate => "escalate",
        Then::Park => "park",
        Then::RestartForEver => "restart for ever",
    };
    let pause = format!("{}–{} ms", policy.pause_min.as_millis(), policy.pause_max.as_millis());
    format!("//! | {} | {} | {failures} | {within} | {pause} | {then}", child.name(), of.name())
}

#[test]
fn the_page_for_operators_shows_the_same_table() {
    let table = |text: &str, mark: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix(mark).filter(|row| row.starts_with("| ")));
        rows.skip_while(|row| !row.starts_with("| child |"))
            .take_while(|row| row.matches('|').count() == 8)
            .map(str::to_owned)
            .collect()
    };
    let code = table(include_str!("../lib.rs"), "//! ");
    assert_eq!(code.len(), 12, "a head, a rule and ten children");
    assert_eq!(table(include_str!("../../../docs/supervision-tree.md"), ""), code);
}
