//! Every input in every situation, as one readable table (`table.txt`), and the cases that need more than one
//! line to tell.

use super::*;
use std::fmt::Write as _;

/// Situations in the order of a life.
fn situations() -> Vec<(&'static str, Callback)> {
    vec![
        ("scheduled, not due", not_due()),
        ("scheduled, postponed", after(scheduled(), Input::Postpone { until: noon() + seconds(60) })),
        ("scheduled, due", scheduled()),
        ("queued, immediate", Callback::immediate(id(), terms(), me(), noon() - seconds(1))),
        ("queued, refused just now", refused()),
        ("queued, on its way", started()),
        ("queued, entered", entered()),
        ("queued, accepted", accepted()),
        ("routing", routing()),
        ("routing, dialled", dialled()),
        ("processing", processing()),
        ("customer is told, queued", with_devices(accepted())),
        ("customer was told, queued", after(with_devices(accepted()), Input::WaitShort)),
        ("customer is told, routing", with_devices(routing())),
        ("customer calls, queued", originated(accepted())),
        ("customer calls, turn came", after(originated(accepted()), Input::WaitShort)),
        ("customer calls, agent ready", reported(originated(accepted()), 5, SignalEvent::Routing)),
        ("customer has called", reported(originated(routing()), 7, SignalEvent::Processing)),
        ("cancelled, owing", cancelled()),
        ("completed", ended()),
    ]
}

/// Wanted in one hour, to be started two minutes before that.
fn not_due() -> Callback {
    let desired = noon() + Duration::hours(1);
    Callback::scheduled(id(), terms(), Some(me()), desired, desired - seconds(120), Some(desired))
}

/// Inputs, each with the name it has in the table.
fn inputs() -> Vec<(&'static str, Input)> {
    use SignalEvent::{
        Accepted, Alive, Completed, DialResult, Ended, Failed, Position, Processing, Queued, Routing, Unknown,
    };
    let from_session = |seq, event| signal(1, seq, Some("s1"), event);
    let submitted = |outcome| Input::Submitted { attempt: 1, outcome };
    let connected = || Some(Reason::AGENT_CONNECTED);
    let desired_time = noon() + Duration::days(2);
    vec![
        ("start", start()),
        ("start, no lead", Input::Start { lead: Duration::zero(), again: Again::EntersOnce }),
        ("start, longest lead", Input::Start { lead: Duration::days(9), again: Again::EntersOnce }),
        ("submitted, done", submitted(SubmitOutcome::Done)),
        ("submitted, refused", submitted(SubmitOutcome::Refused)),
        ("submitted, perhaps", submitted(SubmitOutcome::Perhaps(Again::EntersOnce))),
        ("submitted, perhaps begun", submitted(SubmitOutcome::Perhaps(Again::BeginsAnother))),
        ("submitted, an old attempt", Input::Submitted { attempt: 0, outcome: SubmitOutcome::Refused }),
        ("accepted by s1", from_session(1, Accepted)),
        ("accepted by another", signal(1, 1, Some("s2"), Accepted)),
        ("accepted by nobody", signal(1, 1, None, Accepted)),
        ("accepted, attempt 2", signal(2, 1, Some("s2"), Accepted)),
        ("accepted, attempt 99", signal(99, 1, Some("s2"), Accepted)),
        ("routing, attempt 2", signal(2, 1, Some("s2"), Routing)),
        ("queued", from_session(10, Queued)),
        ("routing", from_session(10, Routing)),
        ("processing", from_session(10, Processing)),
        ("processing by another", signal(1, 10, Some("s2"), Processing)),
        ("processing, late", from_session(0, Processing)),
        ("dial result", from_session(10, DialResult(Reason::FAIL_CALL_TO_CUSTOMER))),
        ("completed, connected", from_session(10, Completed(connected()))),
        ("completed", from_session(10, Completed(None))),
        ("failed", from_session(10, Failed(None))),
        ("ended", from_session(0, Ended(None))),
        ("unknown", signal(1, 0, None, Unknown)),
        ("unknown of another", signal(1, 0, Some("s2"), Unknown)),
        ("alive", signal(1, 0, None, Alive)),
        ("position", from_session(0, Position(Live::UNKNOWN))),
        ("cancel", Input::Cancel(Canceller::Api)),
        (
            "reschedule",
            Input::Reschedule {
                desired_time,
                slot: Some(desired_time),
                start_at: desired_time - seconds(120),
                owner: None,
            },
        ),
        (
            "reschedule, same time",
            Input::Reschedule { desired_time: not_due().desired_time, slot: None, start_at: noon(), owner: None },
        ),
        ("postpone", Input::Postpone { until: noon() + Duration::hours(1) }),
        ("expire", Input::Expire),
        ("tick", tick()),
        ("tick, in a minute", tick()),
        (
            "tick then, heard lately",
            Input::Tick { heard_at: Some(noon() + seconds(50)), ping_from: noon(), again: Again::EntersOnce },
        ),
        (
            "tick then, no ping yet",
            Input::Tick { heard_at: None, ping_from: noon() + seconds(90), again: Again::EntersOnce },
        ),
        ("tick, in ten minutes", tick()),
        ("for good", for_good()),
        ("for good, in a minute", for_good()),
        ("let go", Input::LetGo { again: Again::EntersOnce }),
        ("let go for good", Input::LetGo { again: Again::BeginsAnother }),
        ("tick, in a day", tick()),
        ("the wait is short", Input::WaitShort),
        ("terminated", Input::Terminated { done: true }),
        ("not terminated", Input::Terminated { done: false }),
    ]
}

/// A tick where an attempt is asked for once and for good.
fn for_good() -> Input {
    Input::Tick { heard_at: None, ping_from: noon() - Duration::days(1), again: Again::BeginsAnother }
}

fn table() -> String {
    let mut text = String::new();
    for (situation, callback) in situations() {
        let _ = writeln!(text, "{situation}");
        for (name, input) in inputs() {
            let mut stepped = callback.clone();
            let later = match name {
                "tick, in a minute"
                | "for good, in a minute"
                | "tick then, heard lately"
                | "tick then, no ping yet" => seconds(60),
                "tick, in ten minutes" => seconds(600),
                "tick, in a day" => Duration::days(2),
                _ => Duration::zero(),
            };
            let outcome = match stepped.step(input, noon() + later) {
                Ok(effects) => told(&effects),
                Err(error) => format!("refused: {error}"),
            };
            let _ = writeln!(text, "    {name:26}{outcome}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_input_in_every_situation() {
    let now = table();
    // To take a wanted change in: run with UPDATE_TABLE=1 and read the difference.
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/callback/tests/table.txt"), &now).unwrap();
    }
    let kept = include_str!("table.txt");
    let changed: Vec<_> = now.lines().zip(kept.lines()).filter(|(now, kept)| now != kept).take(20).collect();
    assert!(changed.is_empty() && now.len() == kept.len(), "{changed:#?}");
}

#[test]
fn the_third_refusal_ends_it() {
    let mut callback = started();
    let mut pauses = Vec::new();
    for attempt in 1..=3 {
        let refusal = Input::Submitted { attempt, outcome: SubmitOutcome::Refused };
        let effects = callback.step(refusal, noon()).unwrap();
        pauses.push(told(&effects));
        if attempt < 3 {
            callback.step(start(), noon()).unwrap();
        }
    }
    assert_eq!(pauses, ["save(refused) wake(+1s)", "save(refused) wake(+5s)", "save(refused) QUEUED>COMPLETED finish"]);
    assert_eq!(callback.reason, Some(Reason::SUBMIT_FAILED));
    assert!(callback.is_settled());
}

#[test]
fn an_outage_uses_no_attempt_up_and_writes_once_in_half_a_minute() {
    let mut callback = started();
    let mut now = noon();
    let mut saves = 0;
    for _ in 0..100 {
        let outcome = Input::Submitted { attempt: 1, outcome: SubmitOutcome::NotDone };
        let effects = callback.step(outcome, now).unwrap();
        let [Effect::WakeAt(again)] = effects.as_slice() else { panic!("{effects:?}") };
        assert!((1..=5).contains(&(*again - now).num_seconds()));
        now = *again;
        let effects = callback.step(tick(), now).unwrap();
        assert!(effects.contains(&Effect::Submit { attempt: 1 }));
        saves += effects.iter().filter(|effect| matches!(effect, Effect::Save(_))).count();
        assert!(callback.wake_at.unwrap() > now, "nobody else finds it overdue");
    }
    let half_minutes = usize::try_from((now - noon()).num_seconds() / 30).unwrap();
    assert!(saves <= half_minutes + 1, "{saves} in {half_minutes}");
    assert_eq!((callback.attempt, callback.refusals), (1, 0));
}

/// Scheduled for a second ago, without a lead.
fn not_due_any_more() -> Callback {
    let desired = noon() - seconds(1);
    Callback::scheduled(id(), terms(), Some(me()), desired, desired, None)
}

fn for_good_submitted(outcome: SubmitOutcome) -> Input {
    Input::Submitted { attempt: 1, outcome }
}

#[test]
fn an_attempt_that_may_have_begun_has_a_minute_to_ask_for_itself_where_asking_again_begins_another() {
    let begun = || after(not_due_any_more(), Input::Start { lead: Duration::zero(), again: Again::BeginsAnother });
    let perhaps = for_good_submitted(SubmitOutcome::Perhaps(Again::BeginsAnother));
    let mut callback = begun();
    let effects = callback.step(perhaps, noon() + seconds(3)).unwrap();
    assert_eq!(told(&effects), "save(looked) wake(+63s)");
    let mut accepted_late = callback.clone();
    for (at, expected) in [(30, "wake(+63s)"), (62, "wake(+63s)"), (63, "save(lost) want-place")] {
        assert_eq!(told(&callback.step(for_good(), noon() + seconds(at)).unwrap()), expected, "{at}");
    }
    let again = Input::Start { lead: Duration::zero(), again: Again::BeginsAnother };
    let effects = callback.step(again, noon() + seconds(64)).unwrap();
    assert_eq!(told(&effects), "save(started) submit#2 wake(+124s)");
    assert_eq!(callback.refusals, 0, "nobody refused");
    let late = signal(1, 1, Some("s1"), SignalEvent::Accepted);
    assert_eq!(callback.step(late.clone(), noon() + seconds(65)), Err(StepError::StaleAttempt));
    // Asked for in time, it is the one.
    let effects = accepted_late.step(late, noon() + seconds(62)).unwrap();
    assert_eq!(told(&effects), "save(accepted) reply(Done) wake(+122s)");
}

#[test]
fn a_crash_in_the_middle_of_an_invitation_is_a_perhaps_where_asking_again_begins_another() {
    let start = Input::Start { lead: Duration::zero(), again: Again::BeginsAnother };
    let begun = after(not_due_any_more(), start.clone());
    let reread = || Callback { fate: Fate::Unknown, ..begun.clone() };
    assert_eq!(told(&reread().step(start.clone(), noon() + seconds(5)).unwrap()), "wake(+59s)");
    assert_eq!(told(&reread().step(start, noon() + seconds(59)).unwrap()), "save(lost) submit#2 wake(+119s)");
}

#[test]
fn what_surely_did_not_arrive_is_asked_for_again_and_uses_no_attempt_up() {
    let start = Input::Start { lead: Duration::zero(), again: Again::BeginsAnother };
    let mut callback = after(not_due_any_more(), start.clone());
    let mut now = noon();
    for _ in 0..20 {
        let effects = callback.step(for_good_submitted(SubmitOutcome::NotDone), now).unwrap();
        let [Effect::WakeAt(again)] = effects.as_slice() else { panic!("{effects:?}") };
        now = *again;
        let effects = callback.step(for_good(), now).unwrap();
        assert!(effects.contains(&Effect::Submit { attempt: 1 }), "{effects:?}");
        // While it is on its way nobody asks again, whatever the clock says.
        assert!(!callback.clone().step(for_good(), now).unwrap().contains(&Effect::Submit { attempt: 1 }));
    }
    // The session is set aside: the number is free for its next life.
    callback.step(for_good_submitted(SubmitOutcome::NotDone), now).unwrap();
    assert_eq!(told(&callback.step(Input::LetGo { again: Again::BeginsAnother }, now).unwrap()), "save(looked)");
    assert_eq!((callback.attempt, callback.hand_off), (0, HandOff::Idle));
    assert!(callback.step(start, now).unwrap().contains(&Effect::Submit { attempt: 1 }));
}

#[test]
fn a_postponed_callback_waits_even_if_the_lead_grows() {
    let mut callback = not_due();
    let opening = noon() + Duration::minutes(30);
    callback.step(Input::Postpone { until: opening }, noon()).unwrap();
    let early = Input::Start { lead: Limits::LEAD, again: Again::EntersOnce };
    assert_eq!(callback.step(early.clone(), opening - seconds(1)), Err(StepError::Early(opening)));
    callback.step(early, opening).unwrap();
    assert_eq!((callback.state, callback.start_at), (State::Queued, opening));
}

#[test]
fn a_lead_that_grew_by_the_time_of_the_claim_starts_earlier() {
    let mut callback = not_due();
    let claimed_for = noon() + Duration::minutes(20);
    callback.wake_at = Some(claimed_for);
    let start = Input::Start { lead: Duration::minutes(40), again: Again::EntersOnce };
    assert_eq!(callback.step(start.clone(), claimed_for - seconds(1)), Err(StepError::Early(claimed_for)));
    assert!(callback.step(start, claimed_for).is_ok());
}

#[test]
fn gone_after_a_dial_retry_is_tried_again_and_gone_after_talking_is_not() {
    let mut callback = reported(dialled(), 7, SignalEvent::Queued);
    let effects = callback.step(signal(1, 0, None, SignalEvent::Unknown), noon()).unwrap();
    assert_eq!(told(&effects), "save(lost) reply(Done) want-place");
    for mut callback in [dialled(), processing()] {
        callback.step(signal(1, 0, None, SignalEvent::Unknown), noon()).unwrap();
        assert_eq!((callback.reason.clone(), callback.attempt), (Some(Reason::NOT_AVAILABLE), 1));
        assert!(callback.is_settled());
    }
}

#[test]
fn an_answer_that_comes_after_its_attempt_was_given_up_changes_nothing() {
    let lost = after(started(), signal(1, 0, None, SignalEvent::Unknown));
    let second = after(lost.clone(), start());
    for (callback, what) in [(lost, "given up"), (second, "replaced")] {
        for outcome in [SubmitOutcome::Done, SubmitOutcome::Refused, SubmitOutcome::Perhaps(Again::BeginsAnother)] {
            let mut stepped = callback.clone();
            assert_eq!(stepped.step(Input::Submitted { attempt: 1, outcome }, noon()), Ok(vec![]), "{what}");
            assert_eq!(stepped, callback);
        }
        let mut stepped = callback.clone();
        let late = signal(1, 1, Some("s1"), SignalEvent::Accepted);
        assert_eq!(stepped.step(late, noon()), Err(StepError::StaleAttempt), "{what}");
    }
}

#[test]
fn an_end_that_overtakes_a_submit_closes_the_register() {
    for end in [Input::Expire, Input::Cancel(Canceller::Admin)] {
        let mut callback = after(started(), end);
        assert!(callback.owes_terminate && callback.wake_at.is_some());
        let late = Input::Submitted { attempt: 1, outcome: SubmitOutcome::Done };
        assert_eq!(callback.step(late, noon()), Ok(vec![]));
        let accepted = signal(1, 1, Some("s1"), SignalEvent::Accepted);
        assert_eq!(told(&callback.step(accepted, noon()).unwrap()), "save(late-signal) refuse(Ended)");
        assert!(callback.owes_terminate && callback.wake_at.is_some(), "still to be closed");
    }
}

#[test]
fn signals_may_leave_gaps_and_come_late_but_not_lead_back() {
    let mut callback = accepted();
    for (seq, event, expected) in [
        (3, SignalEvent::Routing, "save(reported) QUEUED>ROUTING reply(Done) wake(+60s)"),
        (3, SignalEvent::Routing, "reply(Repeated)"),
        (2, SignalEvent::Queued, "save(late-signal) reply(Repeated)"),
        (900, SignalEvent::Processing, "save(reported) ROUTING>PROCESSING reply(Done) wake(+60s)"),
        (5, SignalEvent::Routing, "save(late-signal) reply(Repeated)"),
        (901, SignalEvent::Queued, "save(reported) reply(Done) wake(+60s)"),
        // What answers a ping has no place in the order.
        (
            0,
            SignalEvent::Ended(Some(Reason::AGENT_CONNECTED)),
            "save(reported) reply(Done) PROCESSING>COMPLETED finish",
        ),
    ] {
        let effects = callback.step(signal(1, seq, Some("s1"), event), noon()).unwrap();
        assert_eq!(told(&effects), expected, "{seq}");
    }
    assert_eq!(callback.last_seq, 901);
}

#[test]
fn late_signals_fill_the_history_only_so_far() {
    let mut callback = routing();
    for _ in 0..1000 {
        callback.step(signal(1, 1, Some("s1"), SignalEvent::Queued), noon()).unwrap();
    }
    assert_eq!(callback.version, Limits::NOTED_VERSIONS);

    let mut callback = ended();
    let mut refusals = Vec::new();
    for seq in 100..1100 {
        refusals.push(callback.step(signal(1, seq, Some("s1"), SignalEvent::Processing), noon()));
    }
    assert_eq!(callback.version, Limits::NOTED_VERSIONS);
    assert_eq!(refusals.pop(), Some(Err(StepError::Ended)), "still refused, and no longer noted");
}

#[test]
fn signals_after_the_end_are_kept_once_and_leave_it_settled() {
    let mut callback = ended();
    for (seq, event, expected) in [
        (8, SignalEvent::Completed(Some(Reason::AGENT_CONNECTED)), Ok("reply(Repeated)")),
        (9, SignalEvent::Completed(None), Ok("save(late-signal) reply(Repeated)")),
        (10, SignalEvent::Processing, Ok("save(late-signal) refuse(Ended)")),
        (10, SignalEvent::Processing, Err(StepError::Ended)),
        (3, SignalEvent::Queued, Ok("save(late-signal) refuse(Ended)")),
        (0, SignalEvent::Unknown, Ok("save(late-signal) refuse(Ended)")),
        (11, SignalEvent::Alive, Err(StepError::Ended)),
    ] {
        let before = callback.version;
        let told = callback.step(signal(1, seq, Some("s1"), event), noon()).map(|effects| told(&effects));
        assert_eq!(told, expected.map(str::to_owned), "{seq}");
        let saved = told.is_ok_and(|told| told.starts_with("save"));
        assert_eq!(callback.version, before + u32::from(saved));
        assert!(callback.is_settled() && callback.owner.is_none() && callback.wake_at.is_none());
    }
}

#[test]
fn what_is_owed_is_tried_ever_more_rarely_for_a_day() {
    let mut callback = cancelled();
    let mut tries = Vec::new();
    while let Some(now) = callback.wake_at {
        let effects = callback.step(tick(), now).unwrap();
        if effects.contains(&Effect::Terminate) {
            tries.push((now - callback.ended_at.unwrap()).num_seconds());
            let answer = callback.step(Input::Terminated { done: false }, now).unwrap();
            assert_eq!(answer, [Effect::WakeAt(callback.wake_at.unwrap())]);
        }
        assert!(tries.len() < 100);
    }
    assert_eq!(tries.iter().take(4).copied().collect::<Vec<_>>(), [30, 60, 90, 135]);
    assert!((30..50).contains(&tries.len()), "{tries:?}");
    assert!(callback.is_settled() && callback.owner.is_none());
}

#[test]
fn a_slot_is_given_back_once() {
    let mut callback = scheduled();
    let slot = callback.slot;
    let given = |effects: Vec<Effect>| match effects.into_iter().next() {
        Some(Effect::Save(saving)) => saving.give_back,
        _ => None,
    };
    assert_eq!(given(callback.step(Input::Cancel(Canceller::Api), noon()).unwrap()), slot);
    assert_eq!(callback.slot, None);
    assert_eq!(callback.step(Input::Cancel(Canceller::Api), noon()), Ok(vec![Effect::Reply(Reply::Repeated)]));
}

#[test]
fn moving_within_the_slot_keeps_the_place() {
    let mut callback = not_due();
    let slot = callback.slot;
    let desired_time = callback.desired_time + seconds(90);
    let input = Input::Reschedule { desired_time, slot, start_at: desired_time - seconds(120), owner: None };
    let effects = callback.step(input, noon()).unwrap();
    let Some(Effect::Save(saving)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((saving.give_back, saving.take), (None, None));
    assert_eq!((callback.owner, callback.expires_at), (None, desired_time + Duration::hours(24)));
}

#[test]
fn a_callback_moves_with_everything_that_depends_on_its_time() {
    let mut callback = not_due();
    let before = callback.clone();
    let desired_time = noon() + Duration::minutes(5);
    let start_at = desired_time - seconds(120);
    let owner = Some(Incarnation(77));
    let input = Input::Reschedule { desired_time, slot: Some(desired_time), start_at, owner };
    let effects = callback.step(input.clone(), noon()).unwrap();
    let Some(Effect::Save(saving)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((saving.give_back, saving.take), (before.slot, Some(desired_time)));
    let expected = Callback {
        desired_time,
        expires_at: desired_time + Duration::hours(24),
        start_at,
        wake_at: Some(start_at),
        owner,
        slot: Some(desired_time),
        version: before.version + 1,
        ..before
    };
    assert_eq!(callback, expected);
    assert_eq!(callback.step(input.clone(), noon()), Ok(vec![Effect::Reply(Reply::Repeated)]), "nothing to save");
    assert_eq!(callback.step(start(), start_at - seconds(1)), Err(StepError::Early(start_at)), "its new start counts");
    // Whoever did not hear the answer asks again while it is being made already, and is told the same.
    callback.step(start(), start_at).unwrap();
    assert_eq!(callback.step(input.clone(), start_at), Ok(vec![Effect::Reply(Reply::Repeated)]));
    callback.step(Input::Cancel(Canceller::Api), start_at).unwrap();
    assert_eq!(callback.step(input, start_at), Err(StepError::NotReschedulable(State::Completed)));
}

#[test]
fn the_owner_is_left_what_remains_to_be_done() {
    let mut cancelled = routing();
    let effects = cancelled.step(Input::Cancel(Canceller::Api), noon()).unwrap();
    let kept = cancelled.leave_to_owner(effects, noon());
    assert_eq!(told(&kept), "save(cancelled-by-api, gives its slot back) reply(Done) ROUTING>COMPLETED");
    assert_eq!(cancelled.wake_at, Some(noon()), "the owner terminates");

    let mut reported = accepted();
    let effects = reported.step(signal(1, 2, Some("s1"), SignalEvent::Routing), noon()).unwrap();
    let kept = reported.leave_to_owner(effects, noon());
    assert_eq!(told(&kept), "save(reported) QUEUED>ROUTING reply(Done)");
    assert_eq!(reported.wake_at, Some(noon() + Limits::SILENCE), "nothing is left to do now");
}

#[test]
fn an_immediate_callback_is_submitted_with_its_booking() {
    let mut callback = Callback::immediate(id(), terms(), me(), noon());
    let effects = callback.start_with_booking(Again::EntersOnce, noon());
    assert_eq!(told(&effects), "submit#1 wake(+30s)");
    assert_eq!((callback.version, callback.attempt, callback.hand_off), (1, 1, HandOff::Started));
}
