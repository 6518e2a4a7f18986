//! The clauses, each for any adapter.

use std::time::Duration;

use domain::callback::{Reply, StepError};
use domain::ports::{RoutingError, SignalError, Unserved};

use super::bench::{Bench, asked, close, id, invitation, pass, reason_of};

/// Runs every clause as a test of its own against the bench that `$build` makes.
macro_rules! run_clauses {
    ($build:expr) => {
        super::clauses::run_clauses! {
            $build;
            a_start_is_idempotent_by_callback_and_attempt,
            a_life_is_reported_in_order_with_rising_seq,
            a_higher_attempt_kills_the_session_of_the_lower,
            a_lower_attempt_does_not_enter,
            a_closed_register_lets_nothing_in,
            closing_ends_a_session_unless_people_talk,
            nothing_is_noticed_before_accepted_was_answered,
            an_attempt_that_is_not_granted_ends,
            a_session_that_is_no_longer_valid_ends,
            every_signal_is_repeated_until_answered_in_order,
            a_busy_callback_does_not_hold_up_another,
            nobody_is_dialled_before_the_desired_time,
            a_ping_is_answered_for_each_attempt,
            an_attempt_that_was_never_granted_is_invited_again_after_a_kill,
            a_lost_session_is_reported_and_never_goes_on,
            whoever_was_reached_is_reported_as_reached_after_a_kill,
            what_has_ended_stays_ended_after_a_kill,
        }
    };
    ($build:expr; $($clause:ident),+ $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $clause() {
                super::clauses::$clause(&mut $build).await;
            }
        )+
    };
}
pub(super) use run_clauses;

pub(super) async fn a_start_is_idempotent_by_callback_and_attempt(bench: &mut dyn Bench) {
    let invited = invitation(bench, 1, 1, 0);
    let (a, b) = (bench.routing(), bench.routing());
    let both = tokio::join!(a.start(invited.clone()), b.start(invited.clone()));
    assert_eq!(both, (Ok(()), Ok(())));
    bench.inbox().until_event(id(1), "processing").await;
    assert_eq!(bench.routing().start(invited.clone()).await, Ok(()));
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(bench.routing().start(invited).await, Ok(()));
    pass(Duration::from_secs(120)).await;
    assert_eq!(bench.handed_over(), [(id(1), 1)]);
    assert_eq!(bench.dialled().len(), 1);
    let accepted = bench.inbox().events(id(1)).iter().filter(|event| **event == "accepted").count();
    assert_eq!(accepted, 1);
}

pub(super) async fn a_life_is_reported_in_order_with_rising_seq(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(
        bench.inbox().events(id(1)),
        ["accepted", "queued", "routing", "dial-result", "processing", "completed"]
    );
    let heard = bench.inbox().of(id(1));
    let seqs: Vec<u64> = heard.iter().map(|heard| heard.signal.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    let sessions: Vec<_> = heard.iter().map(|heard| heard.signal.session.clone().unwrap()).collect();
    assert!(sessions.windows(2).all(|pair| pair[0] == pair[1]), "one attempt, one session");
}

pub(super) async fn a_higher_attempt_kills_the_session_of_the_lower(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "routing").await;
    bench.routing().start(invitation(bench, 1, 2, 0)).await.unwrap();
    let before = bench.inbox().of(id(1)).len();
    bench.inbox().until_event(id(1), "completed").await;
    let after: Vec<_> = bench.inbox().of(id(1)).split_off(before);
    assert!(after.iter().all(|heard| heard.signal.attempt == 2), "the lower attempt says nothing more: {after:#?}");
    assert_eq!(after[0].signal.event.name(), "accepted");
    assert_ne!(after[0].signal.session, bench.inbox().of(id(1))[0].signal.session);
    assert_eq!(bench.handed_over(), [(id(1), 1), (id(1), 2)]);
}

pub(super) async fn a_lower_attempt_does_not_enter(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 3, 0)).await.unwrap();
    bench.routing().start(invitation(bench, 1, 2, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(bench.handed_over(), [(id(1), 3)]);
    assert!(bench.inbox().of(id(1)).iter().all(|heard| heard.signal.attempt == 3));
}

pub(super) async fn a_closed_register_lets_nothing_in(bench: &mut dyn Bench) {
    close(bench.routing().as_ref(), 1).await.unwrap();
    close(bench.routing().as_ref(), 1).await.unwrap();
    let refused = bench.routing().start(invitation(bench, 1, 1, 0)).await;
    assert!(matches!(refused, Err(RoutingError::Refused(_))), "{refused:?}");
    bench.restart().await;
    let refused = bench.routing().start(invitation(bench, 1, 2, 0)).await;
    assert!(matches!(refused, Err(RoutingError::Refused(_))), "{refused:?}");
    pass(Duration::from_secs(120)).await;
    assert_eq!(bench.handed_over(), []);
    assert!(bench.inbox().heard().is_empty());
}

pub(super) async fn closing_ends_a_session_unless_people_talk(bench: &mut dyn Bench) {
    for n in 1..=3 {
        bench.routing().start(invitation(bench, n, 1, 0)).await.unwrap();
    }
    close(bench.routing().as_ref(), 1).await.unwrap();
    bench.inbox().until_event(id(2), "queued").await;
    close(bench.routing().as_ref(), 2).await.unwrap();
    bench.inbox().until_event(id(3), "processing").await;
    close(bench.routing().as_ref(), 3).await.unwrap();
    bench.inbox().until_event(id(3), "completed").await;
    pass(Duration::from_secs(120)).await;
    let dialled: Vec<_> = bench.dialled().into_iter().map(|(id, _)| id).collect();
    assert_eq!(dialled, [id(3)]);
    assert!(!bench.inbox().events(id(2)).contains(&"routing"));
}

pub(super) async fn nothing_is_noticed_before_accepted_was_answered(bench: &mut dyn Bench) {
    bench.inbox().answer(|_, signal| match signal.event.name() {
        "accepted" => Err(Unserved::Busy.into()),
        _ => Ok(Reply::Done),
    });
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    pass(Duration::from_secs(120)).await;
    let heard = bench.inbox().of(id(1));
    assert!(heard.len() > 10, "it is repeated: {} times", heard.len());
    assert!(heard.iter().all(|it| it.signal == heard[0].signal), "the very same question");
    assert!(bench.dialled().is_empty());
    let pauses: Vec<_> = heard.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses.last() > pauses.first() && pauses.iter().all(|pause| *pause < Duration::from_secs(6)));
    bench.inbox().answer(|_, _| Ok(Reply::Done));
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(bench.dialled().len(), 1);
}

pub(super) async fn an_attempt_that_is_not_granted_ends(bench: &mut dyn Bench) {
    bench.inbox().answer(|_, _| Err(SignalError::Refused(StepError::OtherSession)));
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until("accepted was refused", |heard| heard.len() == 1).await;
    bench.inbox().answer(|_, _| Ok(Reply::Done));
    pass(Duration::from_secs(120)).await;
    assert_eq!(bench.inbox().heard().len(), 1, "not a word more");
    assert!(bench.dialled().is_empty());
    // The next attempt is free to come.
    bench.routing().start(invitation(bench, 1, 2, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
}

pub(super) async fn a_session_that_is_no_longer_valid_ends(bench: &mut dyn Bench) {
    bench.inbox().answer(|_, signal| match signal.event.name() {
        "accepted" => Ok(Reply::Done),
        _ => Err(SignalError::Refused(StepError::Ended)),
    });
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    pass(Duration::from_secs(120)).await;
    assert!(bench.dialled().is_empty());
    assert_eq!(bench.inbox().heard().len(), 2);
}

pub(super) async fn every_signal_is_repeated_until_answered_in_order(bench: &mut dyn Bench) {
    let mut tries = 0;
    bench.inbox().answer(move |_, _| {
        tries += 1;
        match tries % 3 {
            1 => Err(Unserved::Busy.into()),
            2 => Err(Unserved::Perhaps.into()),
            _ => Ok(Reply::Repeated),
        }
    });
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(
        bench.inbox().events(id(1)),
        ["accepted", "queued", "routing", "dial-result", "processing", "completed"]
    );
    let seqs: Vec<u64> = bench.inbox().of(id(1)).iter().map(|heard| heard.signal.seq).collect();
    assert_eq!(seqs, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6]);
}

pub(super) async fn a_busy_callback_does_not_hold_up_another(bench: &mut dyn Bench) {
    bench.inbox().answer(|who, _| if who == id(1) { Err(Unserved::Busy.into()) } else { Ok(Reply::Done) });
    for n in 1..=3 {
        bench.routing().start(invitation(bench, n, 1, 0)).await.unwrap();
    }
    bench.inbox().until_event(id(2), "completed").await;
    bench.inbox().until_event(id(3), "completed").await;
    assert_eq!(bench.inbox().events(id(1)), Vec::<&str>::new());
}

pub(super) async fn nobody_is_dialled_before_the_desired_time(bench: &mut dyn Bench) {
    let offsets = [3u32, 10, 60, 119, 3600];
    for offset in offsets {
        let mut invited = invitation(bench, offset.into(), 1, 0);
        invited.desired_time += chrono::Duration::seconds(offset.into());
        bench.routing().start(invited).await.unwrap();
    }
    let started = bench.now();
    for offset in offsets {
        bench.inbox().until_event(id(offset.into()), "completed").await;
    }
    let dialled = bench.dialled();
    assert_eq!(dialled.len(), offsets.len());
    for (who, at) in dialled {
        let offset = offsets.into_iter().find(|offset| id((*offset).into()) == who).unwrap();
        let late = at - started - chrono::Duration::seconds(offset.into());
        assert!(late >= chrono::Duration::zero(), "{offset} s: dialled {late} early");
        assert!(late < chrono::Duration::seconds(10), "{offset} s: dialled {late} late");
    }
}

pub(super) async fn a_ping_is_answered_for_each_attempt(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 1, 3)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    bench.routing().start(invitation(bench, 2, 2, 0)).await.unwrap();
    bench.inbox().until_event(id(2), "queued").await;
    bench.routing().ping(vec![asked(1, 1), asked(2, 2), asked(2, 1), asked(3, 1)]).await.unwrap();
    let answers = |heard: &[super::bench::Heard]| {
        let names = ["alive", "ended", "unknown"];
        let mut of: Vec<_> = heard
            .iter()
            .filter(|it| names.contains(&it.signal.event.name()))
            .map(|it| (it.id, it.signal.attempt, it.signal.event.name(), reason_of(&it.signal.event)))
            .collect();
        of.sort();
        of
    };
    bench.inbox().until("four answers", |heard| answers(heard).len() == 4).await;
    let expected = [
        (id(1), 1, "ended", Some("FAIL_CALL_TO_CUSTOMER".to_owned())),
        (id(2), 1, "unknown", None),
        (id(2), 2, "alive", None),
        (id(3), 1, "unknown", None),
    ];
    assert_eq!(answers(&bench.inbox().heard()), expected);
}

pub(super) async fn an_attempt_that_was_never_granted_is_invited_again_after_a_kill(bench: &mut dyn Bench) {
    bench.inbox().answer(|_, _| Err(Unserved::Perhaps.into()));
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until("asked", |heard| !heard.is_empty()).await;
    bench.inbox().answer(|_, _| Ok(Reply::Done));
    bench.restart().await;
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(bench.handed_over(), [(id(1), 1)], "entered once");
    assert_eq!(bench.dialled().len(), 1);
}

pub(super) async fn a_lost_session_is_reported_and_never_goes_on(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "queued").await;
    bench.restart().await;
    bench.inbox().until_event(id(1), "unknown").await;
    assert_eq!(bench.routing().start(invitation(bench, 1, 1, 0)).await, Ok(()), "repeated, and nothing comes of it");
    pass(Duration::from_secs(120)).await;
    assert_eq!(bench.inbox().events(id(1)), ["accepted", "queued", "unknown"]);
    assert!(bench.dialled().is_empty());
    bench.routing().start(invitation(bench, 1, 2, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    assert_eq!(bench.handed_over(), [(id(1), 1), (id(1), 2)]);
}

pub(super) async fn whoever_was_reached_is_reported_as_reached_after_a_kill(bench: &mut dyn Bench) {
    // The report of the talk itself is never answered before the kill.
    bench.inbox().answer(|_, signal| match signal.event.name() {
        "dial-result" | "processing" => Err(Unserved::Busy.into()),
        _ => Ok(Reply::Done),
    });
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench
        .inbox()
        .until("the customer was reached", |heard| heard.iter().any(|it| it.signal.event.name() == "dial-result"))
        .await;
    bench.inbox().answer(|_, _| Ok(Reply::Done));
    bench.restart().await;
    bench.inbox().until_event(id(1), "unknown").await;
    let told = bench.inbox().events(id(1));
    assert_eq!(told, ["accepted", "queued", "routing", "processing", "unknown"]);
    let seqs: Vec<u64> = bench.inbox().of(id(1)).iter().map(|heard| heard.signal.seq).collect();
    assert!(seqs.is_sorted());
}

pub(super) async fn what_has_ended_stays_ended_after_a_kill(bench: &mut dyn Bench) {
    bench.routing().start(invitation(bench, 1, 1, 0)).await.unwrap();
    bench.inbox().until_event(id(1), "completed").await;
    pass(Duration::from_secs(60)).await;
    bench.restart().await;
    assert_eq!(bench.routing().start(invitation(bench, 1, 1, 0)).await, Ok(()));
    pass(Duration::from_secs(60)).await; // an end may be told twice: nobody knows whether it had been answered
    bench.routing().ping(vec![asked(1, 1)]).await.unwrap();
    bench.inbox().until_event(id(1), "ended").await;
    let last = bench.inbox().of(id(1)).pop().unwrap();
    assert_eq!(reason_of(&last.signal.event).as_deref(), Some("AGENT_CONNECTED"));
    assert_eq!(bench.handed_over(), [(id(1), 1)]);
    assert_eq!(bench.dialled().len(), 1);
}
