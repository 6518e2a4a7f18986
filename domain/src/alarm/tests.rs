use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
}

fn happened(kind: AlarmKind, tenant: &str) -> Occurrence {
    Occurrence::Happened(kind, Resource::Tenant(tenant.into()), 1)
}

/// Alarms that began and ended, in the words of a story.
fn told(changes: impl IntoIterator<Item = Change>) -> Vec<&'static str> {
    changes.into_iter().map(|change| if matches!(change, Change::Began(_)) { "began" } else { "ended" }).collect()
}

#[test]
fn every_type_has_a_name_of_its_own_and_limits_that_can_be_kept() {
    let names: std::collections::BTreeSet<_> = AlarmKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), AlarmKind::ALL.len());
    for kind in AlarmKind::ALL {
        let rule = kind.rule();
        assert!(rule.tolerance.periods >= 1 && rule.throttle.max >= 1, "{kind:?}");
        assert!(rule.tolerance.time >= Duration::from_secs(60) && rule.throttle.time >= Duration::from_secs(60));
        assert!(!rule.message.is_empty());
    }
}

#[test]
fn what_is_tolerated_is_told_and_is_no_alarm() {
    let mut board = AlarmBoard::default();
    for second in 0..100 {
        assert_eq!(board.note(happened(AlarmKind::Http404, "a"), at(second)), None, "{second}");
    }
    let Some(Change::Began(alarm)) = board.note(happened(AlarmKind::Http404, "a"), at(100)) else { panic!() };
    assert_eq!((alarm.occurrences, alarm.since, alarm.exceeds_since), (101, at(0), Some(at(100))));
    assert_eq!(board.note(happened(AlarmKind::Http404, "a"), at(101)), None, "it stands already");
    // The period that began at 0 is over at 120 and was over what is tolerated; the next one rests.
    assert_eq!(told(board.tick(at(239))), [] as [&str; 0]);
    assert_eq!(told(board.tick(at(240))), ["ended"]);
    assert_eq!((board.alarms().len(), board.alerts().count()), (0, 20), "ten alerts in each minute");
    assert_eq!(board.alerts().next().map(|alert| alert.held_back), Some(0));
}

#[test]
fn resources_count_by_themselves() {
    let mut board = AlarmBoard::default();
    for _ in 0..100 {
        board.note(happened(AlarmKind::Http404, "a"), at(0));
    }
    assert_eq!(board.note(happened(AlarmKind::Http404, "b"), at(0)), None);
    assert!(board.note(happened(AlarmKind::Http404, "a"), at(0)).is_some());
    let alarms = board.alarms();
    let exceeding: Vec<_> = alarms.iter().map(|it| (it.resource.to_string(), it.exceeds_since.is_some())).collect();
    assert_eq!(exceeding, [("a".to_owned(), true), ("b".to_owned(), false)]);
    assert_ne!(alarms[0].incident, alarms[1].incident);
}

#[test]
fn what_is_well_again_ends_at_once() {
    let mut board = AlarmBoard::default();
    let down = Occurrence::Happened(AlarmKind::Redis, Resource::Dependency("redis"), 1);
    let well = Occurrence::Well(AlarmKind::Redis, Resource::Dependency("redis"));
    assert_eq!(board.note(well.clone(), at(0)), None, "it was never down");
    assert_eq!(told(board.note(down.clone(), at(1))), ["began"]);
    for second in 2..200 {
        assert_eq!(board.note(down.clone(), at(second)), None);
        assert_eq!(board.tick(at(second)), []);
    }
    assert_eq!(told(board.note(well, at(200))), ["ended"]);
    assert_eq!(board.alarms(), []);
    assert_eq!(board.alerts().count(), 1, "once in five minutes");
}

#[test]
fn an_alert_says_what_was_held_back_before_it() {
    let mut board = AlarmBoard::default();
    for second in 0..10 {
        board.note(Occurrence::Happened(AlarmKind::DnsFailure, Resource::Node, 1), at(second));
    }
    board.note(Occurrence::Happened(AlarmKind::DnsFailure, Resource::Node, 4), at(300));
    let alerts: Vec<_> = board.alerts().map(|alert| (alert.at, alert.held_back)).collect();
    assert_eq!(alerts, [(at(300), 9 + 3), (at(0), 0)]);
}

#[test]
fn many_resources_are_counted_for_the_node() {
    let mut board = AlarmBoard::default();
    for tenant in 0..3 * MAX_WATCHED {
        board.note(happened(AlarmKind::TtlLimit, &format!("t{tenant}")), at(0));
    }
    assert_eq!((board.alarms().len(), board.alerts().count()), (MAX_WATCHED + 1, MAX_ALERTS));
    let node = board.alarms().into_iter().find(|alarm| alarm.resource == Resource::Node).unwrap();
    assert_eq!(node.occurrences, 2 * MAX_WATCHED as u64);
    board.tick(at(100_000));
    assert_eq!(board.alarms(), []);
}

/// Something that happens, or a tick.
fn steps() -> impl Strategy<Value = Vec<(i64, Option<(AlarmKind, u8)>)>> {
    let kinds = prop::sample::select(AlarmKind::ALL.to_vec());
    prop::collection::vec((0_i64..200, prop::option::of((kinds, 0_u8..3))), 0..300)
}

proptest! {
    #[test]
    fn everything_is_told_or_counted_and_rests(steps in steps()) {
        let mut board = AlarmBoard::default();
        let (mut now, mut noted) = (0, BTreeMap::<_, u64>::new());
        let (mut began, mut ended) = (0, 0);
        let mut count = |changes: Vec<Change>| {
            changes.iter().for_each(|it| if matches!(it, Change::Began(_)) { began += 1 } else { ended += 1 });
        };
        for (later, step) in steps {
            now += later;
            match step {
                Some((kind, tenant)) => {
                    *noted.entry((kind, tenant)).or_default() += 1;
                    count(board.note(happened(kind, &tenant.to_string()), at(now)).into_iter().collect());
                }
                None => count(board.tick(at(now))),
            }
        }
        // Throttle: in no time are more told than there may be, from whichever alert it begins.
        for kind in AlarmKind::ALL {
            for tenant in 0..3_u8 {
                let of = Resource::Tenant(tenant.to_string().as_str().into());
                let times: Vec<_> =
                    board.alerts().filter(|it| it.kind == kind && it.resource == of).map(|it| it.at).collect();
                let throttle = kind.rule().throttle;
                let span = TimeDelta::from_std(throttle.time).unwrap();
                let most = times.iter().map(|end| times.iter().filter(|it| **it <= *end && **it > *end - span).count());
                prop_assert!(most.max().unwrap_or(0) <= 2 * throttle.max as usize, "{kind:?}");
                let told: u64 = board.alerts().filter(|it| it.kind == kind && it.resource == of).map(|it| 1 + it.held_back).sum();
                prop_assert!(told <= noted.get(&(kind, tenant)).copied().unwrap_or(0));
            }
        }
        // An alarm that ended while the same occurrence began another is told as neither.
        count(board.tick(at(now + 1_000_000)));
        prop_assert_eq!(began, ended);
        prop_assert_eq!(board.alarms(), vec![]);
    }

    #[test]
    fn it_stands_exactly_while_more_happens_than_is_tolerated(counts in prop::collection::vec(0_u32..20, 1..30)) {
        // Ten in two minutes are tolerated; every period is one entry of the list.
        let kind = AlarmKind::Http500;
        let mut board = AlarmBoard::default();
        board.note(happened(kind, "a"), at(0));
        for (period, count) in counts.iter().enumerate() {
            let start = 120 * i64::try_from(period).unwrap();
            let more = if period == 0 { count.saturating_sub(1) } else { *count };
            for _ in 0..more {
                board.note(happened(kind, "a"), at(start + 60));
            }
            board.tick(at(start + 119));
            let stands = board.alarms().iter().any(|alarm| alarm.exceeds_since.is_some());
            // Within a period that rests, the alarm of the one before it still stands: only its end ends it.
            let before = period > 0 && counts[period - 1] > 10;
            prop_assert_eq!(stands, *count > 10 || before, "period {} of {:?}", period, counts);
            // Whoever has rested begins a period of their own.
            if board.alarms().is_empty() {
                return Ok(());
            }
        }
    }
}
