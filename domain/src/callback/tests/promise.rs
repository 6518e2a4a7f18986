//! What becomes of promises, case by case; that each is decided once is among the random lives.

use super::*;

/// Each step with its pause in seconds, and what the whole life made of the promise.
fn decided(mut callback: Callback, steps: Vec<(i64, Input)>) -> Vec<Promise> {
    let mut now = noon();
    let mut found = Vec::new();
    for (pause, input) in steps {
        now += seconds(pause);
        let before = callback.clone();
        callback.step(input, now).unwrap();
        found.extend(callback.promise(&before, now));
    }
    found
}

/// For now, with its first attempt under way.
fn booked() -> Callback {
    let mut callback = Callback::immediate(id(), terms(), me(), noon());
    callback.start_with_booking(Again::EntersOnce, noon());
    callback
}

#[test]
fn a_minute_is_on_time() {
    let accepted = |pause| vec![(pause, signal(1, 1, Some("s1"), SignalEvent::Accepted))];
    assert_eq!(decided(booked(), accepted(0)), [Promise::Kept]);
    assert_eq!(decided(booked(), accepted(60)), [Promise::Kept]);
    assert_eq!(decided(booked(), accepted(61)), [Promise::Late]);
}

#[test]
fn the_desired_time_counts_and_not_an_early_start() {
    // Wanted in ten minutes and started at once, because the wait is as long.
    let desired = noon() + seconds(600);
    let callback = Callback::scheduled(id(), terms(), Some(me()), desired, noon(), None);
    let begin = (0, Input::Start { lead: seconds(600), again: Again::EntersOnce });
    let accept = |pause| (pause, signal(1, 1, Some("s1"), SignalEvent::Accepted));
    assert_eq!(decided(callback.clone(), vec![begin.clone(), accept(660)]), [Promise::Kept]);
    assert_eq!(decided(callback, vec![begin, accept(661)]), [Promise::Late]);
}

#[test]
fn what_was_put_off_is_due_when_it_opens() {
    let desired = noon() - seconds(3_600);
    let callback = Callback::scheduled(id(), terms(), Some(me()), desired, desired, None);
    let steps = vec![
        (0, Input::Postpone { until: noon() + seconds(7_200) }),
        (7_200, Input::Start { lead: seconds(0), again: Again::EntersOnce }),
        (5, signal(1, 1, Some("s1"), SignalEvent::Accepted)),
    ];
    assert_eq!(decided(callback, steps), [Promise::Kept]);
}

#[test]
fn who_cancels_is_promised_nothing_and_who_expires_was_missed() {
    let scheduled = || Callback::scheduled(id(), terms(), Some(me()), noon() + seconds(600), noon(), None);
    assert_eq!(decided(scheduled(), vec![(1, Input::Cancel(Canceller::Api))]), []);
    assert_eq!(decided(scheduled(), vec![(1, Input::Expire)]), [Promise::Missed]);
    assert_eq!(decided(booked(), vec![(90_000, Input::Expire)]), [Promise::Missed]);
}

#[test]
fn refused_for_good_is_missed_and_refused_once_may_be_kept() {
    let refused = |attempt| (1, Input::Submitted { attempt, outcome: SubmitOutcome::Refused });
    let again = || (5, Input::Start { lead: seconds(0), again: Again::EntersOnce });
    let thrice = vec![refused(1), again(), refused(2), again(), refused(3)];
    assert_eq!(decided(booked(), thrice), [Promise::Missed]);
    let second = vec![refused(1), again(), (1, signal(2, 1, Some("s1"), SignalEvent::Accepted))];
    assert_eq!(decided(booked(), second), [Promise::Kept]);
}

#[test]
fn an_attempt_that_got_lost_before_anybody_took_it_is_late_and_one_after_changes_nothing() {
    let lost = |attempt, pause| (pause, signal(attempt, 0, None, SignalEvent::Unknown));
    let again = || (1, Input::Start { lead: seconds(0), again: Again::EntersOnce });
    let accepted = |attempt| (1, signal(attempt, 1, Some("s1"), SignalEvent::Accepted));
    assert_eq!(decided(booked(), vec![lost(1, 31), again(), accepted(2)]), [Promise::Late]);
    assert_eq!(decided(booked(), vec![accepted(1), lost(1, 90), again(), accepted(2)]), [Promise::Kept]);
}

#[test]
fn another_attempt_because_nobody_knows_of_the_first_is_late() {
    let another = || (90, Input::Start { lead: seconds(0), again: Again::BeginsAnother });
    let accepted = (1, signal(2, 1, Some("s1"), SignalEvent::Accepted));
    assert_eq!(decided(booked(), vec![another(), accepted]), [Promise::Late]);
}
