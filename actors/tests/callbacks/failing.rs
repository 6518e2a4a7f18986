//! Sessions that fail: started again, siblings undisturbed, parked in the end.

use actors::testing::{FakeRouting, Fault, Op, World, tenant_id, until};
use domain::callback::{Reason, SignalEvent, State};
use domain::event::{ActorKind, Event, Failure};
use domain::ids::CallbackId;
use domain::ports::CallbackStore;

use super::support::{SOON, Service, pass, seconds};

/// A service with one callback that is with routing, and a sibling that is accepted.
async fn two() -> (Service, CallbackId, CallbackId) {
    let service = Service::start(World::new()).await;
    let sibling = service.create().await;
    service.until_entered(1).await;
    service.report(sibling, 1, 1, SignalEvent::Accepted).await.unwrap();
    let victim = service.create().await;
    service.until_entered(2).await;
    (service, victim, sibling)
}

fn started(service: &Service) -> usize {
    service.world.recorder.started(ActorKind::Session)
}

/// The sibling's session lives and was not started again.
async fn assert_undisturbed(service: &Service, sibling: CallbackId) {
    let loads = service.world.faults.calls(Op::Load);
    service.report(sibling, 1, 2, SignalEvent::Routing).await.unwrap();
    assert_eq!(service.row(sibling).state, State::Routing);
    assert_eq!(service.world.faults.calls(Op::Load), loads, "its session knew it by heart");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_panics_is_started_again() {
    let (service, victim, sibling) = two().await;
    service.world.faults.next_for(Op::Save, victim, Fault::Panic, 1);
    assert!(service.report(victim, 1, 1, SignalEvent::Accepted).await.is_err());
    service.world.recorder.wait_for_restarts(SOON, ActorKind::Session, Failure::Panic, 1).await;
    assert_undisturbed(&service, sibling).await;
    until("accepted at last", SOON, || service.row(victim).version >= 2).await;
    service.report(victim, 1, 1, SignalEvent::Accepted).await.unwrap();
    assert_eq!(service.world.recorder.count(|event| *event == Event::PanicCaught), 1);
    assert_eq!(service.world.recorder.all_restarts(), 1);
    assert_eq!(service.world.routing.attempts_of(victim), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_fails_by_error_is_started_again() {
    let (service, victim, sibling) = two().await;
    service.world.faults.next_for(Op::Save, victim, Fault::Unreadable, 1);
    assert!(service.report(victim, 1, 1, SignalEvent::Accepted).await.is_err());
    service.world.recorder.wait_for_restarts(SOON, ActorKind::Session, Failure::Error, 1).await;
    assert_undisturbed(&service, sibling).await;
    until("looked at again", SOON, || service.row(victim).version >= 2).await;
    service.report(victim, 1, 1, SignalEvent::Accepted).await.unwrap();
    assert_eq!(service.world.recorder.count(|event| *event == Event::PanicCaught), 0);
    assert_eq!(service.world.recorder.all_restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_start_is_started_again() {
    let service = Service::calling().await;
    let sibling = service.create().await;
    service.world.recorder.fail_starts(ActorKind::Session, 1);
    until("the sibling's session is there or gone", SOON, || {
        started(&service) > 0 || service.world.recorder.restarts(ActorKind::Session, Failure::Start) > 0
    })
    .await;
    let victim = service.create().await;
    service.world.recorder.wait_for_restarts(SOON, ActorKind::Session, Failure::Start, 1).await;
    for id in [sibling, victim] {
        service.until_ended(id, Reason::AGENT_CONNECTED).await;
        assert_eq!(service.world.routing.attempts_of(id), [1]);
    }
    assert_eq!(service.world.recorder.all_restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_routing_call_that_panics_fails_its_session() {
    let service = Service::calling().await;
    service.world.faults.next(Op::Start, Fault::Panic, 1);
    let id = service.create().await;
    service.world.recorder.wait_for_restarts(SOON, ActorKind::Session, Failure::Panic, 1).await;
    service.until_ended(id, Reason::AGENT_CONNECTED).await;
    assert_eq!(service.world.recorder.count(|event| *event == Event::PanicCaught), 1, "counted once");
}

#[tokio::test(start_paused = true)]
async fn the_third_failure_parks_it_with_a_reason() {
    for (fault, reason) in [(Fault::Panic, "last by panic"), (Fault::Unreadable, "told to be damaged")] {
        let (service, victim, sibling) = two().await;
        service.world.faults.set_for(Op::Load, victim, fault);
        service.world.faults.next_for(Op::Save, victim, fault, 1);
        assert!(service.report(victim, 1, 1, SignalEvent::Accepted).await.is_err());
        until("parked", SOON, || service.world.store.row(victim).is_some_and(|row| row.parked.is_some())).await;
        assert_eq!(service.world.recorder.all_restarts(), 2, "two are forgiven");
        let parked = service.world.store.parked(10).await.unwrap();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].id, victim);
        assert!(parked[0].reason.contains("failed 3 times within 60 s"), "{}", parked[0].reason);
        assert!(parked[0].reason.contains(reason), "{}", parked[0].reason);
        assert_eq!(service.world.recorder.count(|event| matches!(event, Event::Parked { .. })), 1);
        assert_undisturbed(&service, sibling).await;
        pass(seconds(200)).await;
        assert_eq!(service.world.recorder.all_restarts(), 2, "nobody touches it any more");
        // An operator takes it up again when the cause is gone.
        service.world.faults.heal();
        service.world.routing.answer(service.inbox.clone(), FakeRouting::whole_call());
        service.world.store.unpark(tenant_id(), victim, service.now(), "api").await.unwrap();
        until("asked after", seconds(300), || {
            service.world.routing.pinged().iter().flatten().any(|asked| asked.id == victim)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_callback_can_be_cancelled() {
    let (service, victim, _) = two().await;
    service.world.faults.set_for(Op::Load, victim, Fault::Panic);
    service.world.faults.next_for(Op::Save, victim, Fault::Panic, 1);
    assert!(service.report(victim, 1, 1, SignalEvent::Accepted).await.is_err());
    until("parked", SOON, || service.world.store.row(victim).is_some_and(|row| row.parked.is_some())).await;
    service.world.faults.heal();
    service.cancel(victim).await.unwrap();
    assert_eq!(service.row(victim).reason, Some(Reason::CANCELLED));
    until("routing was told", SOON, || service.row(victim).is_settled()).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_parking_does_not_lose_it() {
    let (service, victim, _) = two().await;
    service.world.faults.set_for(Op::Load, victim, Fault::Panic);
    service.world.faults.next_for(Op::Save, victim, Fault::Panic, 1);
    service.world.faults.set(Op::Park, Fault::NotDone);
    assert!(service.report(victim, 1, 1, SignalEvent::Accepted).await.is_err());
    pass(seconds(120)).await;
    assert!(service.world.store.row(victim).unwrap().parked.is_none());
    service.world.faults.heal_op(Op::Park);
    until("parked", SOON, || service.world.store.row(victim).is_some_and(|row| row.parked.is_some())).await;
}
