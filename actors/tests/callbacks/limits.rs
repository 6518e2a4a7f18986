//! Counted rules as the whole tree has them: what a booking comes to, what becomes of the callback that it replaces,
//! and the answer that stands whatever the rules say today.

use actors::testing::{FakeRouting, Fault, Op, booking, plain_queue, tenant, tenant_id, until};
use chrono::{TimeDelta, Utc};
use domain::callback::{Cause, Idempotency, NewCallback, Reason, SignalEvent, State};
use domain::event::Event;
use domain::ports::{How, SignalError, SubmitError, Submitted, Unserved};
use domain::queue::{DuplicatePolicy, QueueSettings, ThrottleWindow};
use domain::throttle::{LimitReached, LimitRule};

use super::support::{SOON, Service, pass, seconds};

fn one_per_number(duplicate_policy: DuplicatePolicy) -> QueueSettings {
    QueueSettings { duplicate_policy, duplicate_limit: 1, ..plain_queue() }
}

fn limit(rule: LimitRule, limit: u32, until: Option<chrono::DateTime<Utc>>) -> SubmitError {
    SubmitError::Limited(LimitReached { rule, limit, until })
}

async fn submit(service: &Service, new: NewCallback) -> Result<Submitted, SubmitError> {
    service.desk.submit(tenant_id(), new).await
}

fn number(last: u32) -> NewCallback {
    NewCallback { phone_number: format!("+1415555{last:04}"), ..booking(None) }
}

fn keyed(key: u8, body: u8, new: NewCallback) -> NewCallback {
    NewCallback { idempotency: Some(Idempotency { key: [key; 16], body: [body; 16] }), ..new }
}

fn duplicates_noted(service: &Service) -> usize {
    service.world.recorder.count(|event| matches!(event, Event::DuplicateLimitReached { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_number_that_waits_is_refused_until_it_waits_no_more() {
    let service = Service::with(one_per_number(DuplicatePolicy::Refuse)).await;
    let id = service.create().await;
    assert_eq!(service.try_create().await, Err(limit(LimitRule::Duplicates, 1, None)));
    assert!(submit(&service, number(101)).await.is_ok(), "another number is another matter");
    assert_eq!(duplicates_noted(&service), 1);
    service.cancel(id).await.unwrap();
    service.create().await;
}

#[tokio::test(start_paused = true)]
async fn the_one_that_waits_may_be_the_answer() {
    let service = Service::with(one_per_number(DuplicatePolicy::ReturnExisting)).await;
    let id = service.create().await;
    assert_eq!(submit(&service, booking(None)).await, Ok(Submitted { id, how: How::Existing }));
    service.until_entered(1).await;
    pass(seconds(5)).await;
    assert_eq!(service.world.store.rows().len(), 1, "nothing was booked");
    assert_eq!((service.sessions(), duplicates_noted(&service)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_callback_is_taken_back_from_routing() {
    let service = Service::with(one_per_number(DuplicatePolicy::Replace)).await;
    let old = service.accepted().await;
    let Submitted { id: new, how } = submit(&service, booking(None)).await.unwrap();
    assert_eq!(how, How::Replaced);
    let row = service.row(old);
    assert_eq!((row.state, row.reason), (State::Completed, Some(Reason::CANCELLED)), "in the same write");
    // Its session hears of it at once: it does not wait for a report, nor for its timer a minute away.
    until("routing is told", seconds(1), || service.world.routing.closed().contains(&old)).await;
    assert_eq!(service.report(old, 1, 2, SignalEvent::Routing).await, ended());
    until("it is settled", SOON, || service.row(old).is_settled()).await;
    let causes = service.world.store.row(old).unwrap().history.into_iter().map(|entry| entry.cause);
    assert!(causes.collect::<Vec<_>>().contains(&Cause::Replaced));
    service.until_sessions(1).await;
    assert_eq!(service.row(new).state, State::Queued);
    let moved = Event::Moved { tenant: "demo".into(), from: State::Queued, to: State::Completed };
    assert_eq!(service.world.recorder.count(|event| *event == moved), 1);
    service.assert_no_restarts();
}

fn ended() -> Result<domain::callback::Reply, SignalError> {
    Err(SignalError::Refused(domain::callback::StepError::Ended))
}

#[tokio::test(start_paused = true)]
async fn a_session_learns_from_the_sweep_what_another_node_has_ended() {
    let service = Service::with(plain_queue()).await;
    let id = service.accepted().await;
    // Another node writes, and sends no word of it.
    let change = domain::throttle::replacement(&service.row(id), service.now()).unwrap();
    service.world.ports().callbacks.save(change).await.unwrap();
    until("routing is told", seconds(3), || service.world.routing.closed().contains(&id)).await;
    until("it is settled", SOON, || service.row(id).is_settled()).await;
    service.until_sessions(0).await;
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_replaced_callback_that_waits_gives_its_place_back() {
    let mut settings = one_per_number(DuplicatePolicy::Replace);
    settings.slot_capacity = 1;
    let service = Service::with(settings).await;
    let at = service.now() + TimeDelta::hours(3);
    let old = service.schedule(at).await;
    let replacing = submit(&service, booking(Some(at))).await.unwrap();
    assert_eq!(replacing.how, How::Replaced, "the last place is its own");
    assert_eq!(service.world.store.places(), 1);
    assert!(service.row(old).is_settled());
    assert_eq!(service.row(replacing.id).state, State::Scheduled);
}

#[tokio::test(start_paused = true)]
async fn the_place_in_the_hand_off_of_a_replaced_callback_is_free() {
    let settings = QueueSettings { hand_off_limit: 1, ..one_per_number(DuplicatePolicy::Replace) };
    let service = Service::with(settings).await;
    service.world.faults.set(Op::Start, Fault::Slow(seconds(2)));
    service.create().await;
    service.until_entered(1).await;
    // Booked while the only place is taken, and replaced before it has one.
    let second = service.create().await;
    let third = service.create().await;
    assert!(service.row(second).is_settled());
    service.until_entered(2).await;
    assert_eq!(service.world.routing.attempts_of(third), [1]);
    assert!(service.world.routing.attempts_of(second).is_empty());
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn who_talks_already_may_book_again() {
    let service = Service::with(one_per_number(DuplicatePolicy::Refuse)).await;
    let id = service.accepted().await;
    service.report(id, 1, 2, SignalEvent::Routing).await.unwrap();
    assert!(service.try_create().await.is_err());
    service.report(id, 1, 3, SignalEvent::Processing).await.unwrap();
    service.create().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_has_so_many_calls_for_a_number() {
    let day =
        QueueSettings { throttle_parameters: vec!["phoneNumber".to_owned()], throttle_daily_limit: 2, ..plain_queue() };
    let service = Service::with(day).await;
    service.create().await;
    let cancelled = service.create().await;
    service.cancel(cancelled).await.unwrap();
    let midnight = "2026-11-24T00:00:00Z".parse().unwrap();
    let rule = LimitRule::Day { parameter: "phoneNumber".to_owned() };
    assert_eq!(service.try_create().await, Err(limit(rule, 2, Some(midnight))), "cancelling is no way around");
    service.schedule(service.now() + TimeDelta::hours(2)).await;
    submit(&service, number(101)).await.unwrap();
    service.world.clock.jump(midnight - service.now());
    service.create().await;
    let throttled = Event::Throttled { tenant: "demo".into(), rule: "day" };
    assert_eq!(service.world.recorder.count(|event| *event == throttled), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_takes_so_many_in_a_window() {
    let window = ThrottleWindow { limit: 3, seconds: 60 };
    let service = Service::with(QueueSettings { throttle_windows: vec![window], ..plain_queue() }).await;
    for last in 100..103 {
        submit(&service, number(last)).await.unwrap();
    }
    let refused = submit(&service, number(103)).await.unwrap_err();
    let SubmitError::Limited(LimitReached { rule, limit, until: Some(until) }) = refused else { panic!("{refused:?}") };
    assert_eq!((rule, limit), (LimitRule::Window { seconds: 60 }, 3));
    let later = NewCallback { desired_time: Some(service.now() + TimeDelta::hours(1)), ..number(104) };
    assert!(submit(&service, later).await.is_err(), "callbacks for later count as well");
    service.world.clock.jump(until - service.now() - TimeDelta::milliseconds(10));
    assert!(submit(&service, number(105)).await.is_err());
    service.world.clock.jump(TimeDelta::milliseconds(10));
    submit(&service, number(106)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_so_deep() {
    let service = Service::with(QueueSettings { max_queued: 2, ..plain_queue() }).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::accepting());
    let first = service.create().await;
    service.create().await;
    assert_eq!(service.try_create().await, Err(limit(LimitRule::Depth, 2, None)));
    service.schedule(service.now() + TimeDelta::hours(2)).await;
    service.cancel(first).await.unwrap();
    service.create().await;
    assert!(service.try_create().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_under_a_key_stands_when_the_rules_have_changed() {
    let service = Service::with(plain_queue()).await;
    let booked = submit(&service, keyed(1, 1, booking(None))).await.unwrap();
    let closed = QueueSettings { immediate_enabled: false, ..plain_queue() };
    service.world.settings.put(tenant(closed));
    pass(seconds(3)).await;
    assert_eq!(submit(&service, booking(None)).await, Err(SubmitError::ImmediateDisabled));
    let again = submit(&service, keyed(1, 1, booking(None))).await;
    assert_eq!(again, Ok(Submitted { id: booked.id, how: How::Replayed }));
    assert_eq!(submit(&service, keyed(1, 2, booking(None))).await, Err(SubmitError::KeyReused));
    assert_eq!(submit(&service, keyed(2, 1, booking(None))).await, Err(SubmitError::ImmediateDisabled));
    service.world.faults.next(Op::Known, Fault::NotDone, 1);
    let unknown = submit(&service, keyed(1, 1, booking(None))).await;
    assert_eq!(unknown, Err(Unserved::Busy.into()), "a refusal might contradict what was answered");
}

#[tokio::test(start_paused = true)]
async fn a_replay_comes_before_every_limit() {
    let settings = QueueSettings {
        throttle_windows: vec![ThrottleWindow { limit: 1, seconds: 60 }],
        max_queued: 1,
        ..one_per_number(DuplicatePolicy::Replace)
    };
    let service = Service::with(settings).await;
    let first = submit(&service, keyed(1, 1, booking(None))).await.unwrap();
    for _ in 0..3 {
        let again = submit(&service, keyed(1, 1, booking(None))).await;
        assert_eq!(again, Ok(Submitted { id: first.id, how: How::Replayed }));
    }
    assert!(submit(&service, keyed(2, 1, booking(None))).await.is_err());
    assert_eq!(service.row(first.id).state, State::Queued, "a refused booking replaces nothing");
}
