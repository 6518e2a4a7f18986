//! Explanations as the whole tree gives them: every refusal that a booking can meet, foretold by the rule that decides
//! and by the same answer, and callbacks with what they wait for.

mod situations;

use actors::testing::{FakeRouting, Fault, Op, TENANT, World, booking, queue_name, tenant_id, until};
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Cause, Idempotency, NewCallback, SignalEvent, State};
use domain::captcha::{CaptchaToken, TokenRefusal, Verdict};
use domain::explain::{Counted, Outcome, Place, Rule, Why, WouldBe};
use domain::ids::{CallbackId, HoldId, TenantId};
use domain::number_rules::NumberRefusal;
use domain::ports::{Explained, How, NewHold, NoVerdict, Story, SubmitError, Submitted, Unserved};
use domain::secret::Secret;
use domain::tenant::TenantDocument;
use domain::throttle::LimitRule;
use domain::wait::QueueReport;
use serde_json::{Value, json};

use self::situations::{CASES, Situation, case, keyed, later, situations};
use super::support::{SOON, Service, at, pass, seconds};

async fn explain(service: &Service, new: &NewCallback) -> Explained {
    service.tree.explain_desk().explain(tenant_id(), new.clone()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_booking_is_foretold_by_its_rule() {
    let mut seen = vec![0; CASES + 1];
    for situation in situations() {
        let service = situation.service().await;
        let new = situation.booking(&service).await;
        let (rows, events) = (service.world.store.rows().len(), service.world.recorder.events().len());
        let asked = service.world.captcha.asked();
        let Explained { explanation, .. } = explain(&service, &new).await;
        assert_eq!(service.world.store.rows().len(), rows, "nothing is booked");
        assert_eq!(service.world.captcha.asked(), asked, "no provider is asked");
        let told = service.world.recorder.events().split_off(events);
        assert!(told.iter().all(|event| !format!("{event:?}").contains("Refused")), "nothing is counted: {told:?}");

        let refused = service.desk.submit(tenant_id(), new).await.unwrap_err();
        let case = case(&refused);
        seen[case] += 1;
        if [3, 4].contains(&case) {
            // What a provider says is known once it is asked, which uses the token up.
            let check = explanation.checks.iter().find(|check| Some(check.rule) == refused.rule()).unwrap();
            assert_eq!((check.rule, check.outcome), (Rule::Captcha, Outcome::NotJudged), "{refused:?}");
            assert!(explanation.verdict.is_ok(), "{refused:?}");
            continue;
        }
        assert_eq!(explanation.verdict, Err(refused.clone()));
        let decider = explanation.decider().unwrap();
        assert_eq!(Some(decider.rule), refused.rule(), "{refused:?}");
        let counts = [Rule::Slot, Rule::Duplicates, Rule::Day, Rule::Window, Rule::Depth].contains(&decider.rule);
        assert_eq!(decider.tally.as_ref().map(|tally| (tally.counted, tally.limit)), counts.then_some((1, 1)));
    }
    assert!(seen.iter().all(|seen| *seen == 1), "each refusal has its situation: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_would_be_booked_is_what_is_booked() {
    let queue = json!({
        "slotCapacity": 3, "slotMinutes": 30, "duplicatePolicy": "replace", "duplicateLimit": 1, "maxQueued": 5,
        "throttleParameters": ["phoneNumber", "customerId"], "throttleDailyLimit": 9,
        "throttleWindows": [{"limit": 7, "seconds": 60}, {"limit": 8, "seconds": 600}],
    });
    let with_customer = NewCallback { user_data: Some(r#"{"customerId":"c-1"}"#.into()), ..booking(None) };
    let situation = Situation { before: vec![later(65)], ..Situation::of(queue, with_customer) };
    let service = situation.service().await;
    let first = service.world.store.rows()[0].callback.id;
    let explained = explain(&service, &situation.new).await;
    let WouldBe { how, id, ends, booked } = explained.explanation.verdict.clone().unwrap();
    assert_eq!((how, id, ends), (How::Replaced, None, Some(first)));
    assert_eq!(booked.unwrap().state, State::Queued);
    let tallies: Vec<_> = explained.explanation.checks.iter().filter_map(|check| check.tally.clone()).collect();
    let told: Vec<_> = tallies.iter().map(|tally| (tally.of.rule(), tally.counted, tally.limit)).collect();
    let expected = [
        (Rule::Duplicates, 1, 1),
        (Rule::Day, 0, 9),
        (Rule::Day, 0, 9),
        (Rule::Window, 1, 7),
        (Rule::Window, 1, 8),
        (Rule::Depth, 0, 5),
    ];
    assert_eq!(told, expected);
    assert!(explained.explanation.checks.iter().all(|check| check.outcome == Outcome::Passed));
    let submitted = service.desk.submit(tenant_id(), situation.new.clone()).await.unwrap();
    assert_eq!((submitted.how, service.row(submitted.id).state), (How::Replaced, State::Queued));

    // For later: the very slot, start and time.
    let wanted = later(95);
    let explained = explain(&service, &wanted).await;
    let planned = explained.explanation.verdict.unwrap().booked.unwrap();
    let places = explained.explanation.checks.iter().find(|check| check.rule == Rule::Slot).unwrap().tally.clone();
    let places = places.unwrap();
    assert_eq!((places.of, places.counted, places.limit), (Counted::Slot(at("2026-11-23T11:30:00Z")), 0, 3));
    let row = service.row(service.desk.submit(tenant_id(), wanted).await.unwrap().id);
    assert_eq!(
        (planned.state, planned.desired_time, planned.start_at, planned.slot),
        (row.state, row.desired_time, row.start_at, row.slot)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_already_is_foretold_with_its_id() {
    let existing = json!({"duplicatePolicy": "return-existing", "duplicateLimit": 1});
    let service = Situation { before: vec![keyed(1)], ..Situation::of(existing, booking(None)) }.service().await;
    let id = service.world.store.rows()[0].callback.id;
    for (new, how, rule) in
        [(booking(None), How::Existing, Rule::Duplicates), (keyed(1), How::Replayed, Rule::IdempotencyKey)]
    {
        let explanation = explain(&service, &new).await.explanation;
        assert_eq!(explanation.verdict, Ok(WouldBe::there(id, how)));
        assert_eq!(explanation.decider().map(|check| check.rule), Some(rule));
        assert_eq!(service.desk.submit(tenant_id(), new).await, Ok(Submitted { id, how }));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_store_nothing_is_explained() {
    let service = Situation::of(json!({}), booking(None)).service().await;
    let desk = service.tree.explain_desk();
    for op in [Op::Preview, Op::Known] {
        service.world.faults.set(op, Fault::NotDone);
        assert_eq!(desk.explain(tenant_id(), keyed(1)).await, Err(Unserved::Busy), "{op:?}");
        service.world.faults.heal();
    }
    assert_eq!(desk.explain(TenantId::from_name("stranger"), booking(None)).await, Err(Unserved::Busy));
    let id = service.create().await;
    service.world.faults.set(Op::History, Fault::NotDone);
    assert_eq!(desk.story(tenant_id(), id).await.map(drop), Err(Unserved::Busy));
    assert_eq!(desk.story(tenant_id(), CallbackId::generate(service.now())).await.map(drop), Err(Unserved::NotFound));
    service.assert_no_restarts();
}

async fn story(service: &Service, id: CallbackId) -> Story {
    service.tree.explain_desk().story(tenant_id(), id).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_with_what_it_waits_for_at_each_turn() {
    let service = Situation::of(json!({"handOffLimit": 1}), booking(None)).service().await;
    let desired = service.now() + TimeDelta::hours(3);
    let scheduled = service.schedule(desired).await;
    let told = story(&service, scheduled).await;
    assert_eq!((told.waiting.why, told.waiting.next_at), (Why::Time, Some(desired)));
    assert!(!told.is_ours && told.live.is_none() && told.parked.is_none());
    assert_eq!(told.whereabouts.map(|it| (it.has_session, it.place)), Some((false, Place::None)));

    // The only place is taken, and kept until routing answers.
    service.world.faults.set(Op::Start, Fault::Slow(seconds(5)));
    let first = service.create().await;
    let waits = [service.create().await, service.create().await];
    pass(seconds(1)).await;
    let told = story(&service, first).await;
    assert_eq!((told.waiting.why, told.callback.attempt, told.is_ours), (Why::Grant, 1, true));
    let whereabouts = told.whereabouts.unwrap();
    assert!(whereabouts.has_session && whereabouts.place == Place::Held);
    for (ahead, id) in waits.into_iter().enumerate() {
        let told = story(&service, id).await;
        let whereabouts = told.whereabouts.unwrap();
        assert_eq!((told.waiting.why, whereabouts.place), (Why::Place, Place::InLine { ahead }));
        let budget = whereabouts.budget;
        assert_eq!((budget.limit, budget.allowed, budget.held, budget.waiting), (1, 1, 1, 2));
    }
    service.world.faults.heal();
    service.until_entered(1).await;

    let mut seq = 0;
    for (event, why) in [
        (SignalEvent::Accepted, Why::Agent),
        (SignalEvent::Routing, Why::Customer),
        (SignalEvent::Processing, Why::Conversation),
        (SignalEvent::Completed(None), Why::Ended),
    ] {
        seq += 1;
        service.report(first, 1, seq, event).await.unwrap();
        assert_eq!(story(&service, first).await.waiting.why, why);
    }
    let history = story(&service, first).await.history;
    let causes: Vec<Cause> = history.iter().map(|entry| entry.cause).collect();
    assert_eq!(causes.first(), Some(&Cause::Booked));
    assert!(causes.contains(&Cause::Accepted) && history.last().unwrap().state == State::Completed, "{causes:?}");
    let versions: Vec<u32> = history.iter().map(|entry| entry.version).collect();
    assert!(versions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{versions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_between_attempts_and_a_reason_for_setting_aside_are_told() {
    let service = Situation::of(json!({}), booking(None)).service().await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Failed(None)).await.unwrap();
    let told = story(&service, id).await;
    assert_eq!((told.waiting.why, told.callback.refusals), (Why::Retry, 1));
    assert!(told.waiting.next_at.is_some_and(|again| again > service.now()));

    service.world.routing.answer(service.inbox.clone(), FakeRouting::accepting());
    let later = service.schedule(service.now() + TimeDelta::hours(3)).await;
    let ports = service.world.ports();
    ports.callbacks.park(tenant_id(), later, "unreadable", service.now()).await.unwrap();
    let told = story(&service, later).await;
    assert_eq!((told.waiting.why, told.waiting.next_at), (Why::Parked, None));
    assert_eq!(told.parked.map(|(_, reason)| reason).as_deref(), Some("unreadable"));
    until("it goes on", SOON, || service.row(id).hand_off == domain::callback::HandOff::Accepted).await;
    assert_eq!(story(&service, id).await.waiting.why, Why::Agent);
}
