//! What routing reports, with and without a session on our side.

use actors::testing::{FakeRouting, Op, World, until};
use domain::callback::{Live, Reason, Reply, SignalEvent, State, StepError};
use domain::event::ActorKind;
use domain::ports::SignalError;

use super::support::{SOON, Service, pass, seconds};

fn at(position: i32) -> SignalEvent {
    SignalEvent::Position(Live { position, estimated_wait_seconds: 60 })
}

#[tokio::test(start_paused = true)]
async fn live_values_touch_neither_store_nor_actors() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    let of_session = |event: &domain::event::Event| {
        matches!(event, domain::event::Event::Handled { kind: ActorKind::Session | ActorKind::Tenant, .. })
    };
    let calls = || (service.world.faults.calls(Op::Load), service.world.faults.calls(Op::Save));
    pass(seconds(1)).await;
    let before = (calls(), service.world.recorder.count(of_session));
    for position in (1..50).rev() {
        assert_eq!(service.report(id, 1, 0, at(position)).await, Ok(Reply::Done));
        assert_eq!(service.report(id, 1, 0, SignalEvent::Alive).await, Ok(Reply::Done));
    }
    assert_eq!((calls(), service.world.recorder.count(of_session)), before);
}

#[tokio::test(start_paused = true)]
async fn only_the_granted_session_may_speak() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    let early = service.report(id, 1, 2, SignalEvent::Routing).await;
    assert_eq!(early, Err(SignalError::Refused(StepError::OtherSession)), "nobody was granted it yet");
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    assert_eq!(service.report(id, 1, 1, SignalEvent::Accepted).await, Ok(Reply::Repeated));
    let mut other = domain::callback::Signal {
        attempt: 1,
        seq: 1,
        session: domain::ids::SessionId::new("another").ok(),
        event: SignalEvent::Accepted,
    };
    for event in [SignalEvent::Accepted, SignalEvent::Alive, at(1), SignalEvent::Processing] {
        other.event = event;
        other.seq += 1;
        let answer = service.inbox.signal(actors::testing::tenant_id(), id, other.clone()).await;
        assert_eq!(answer, Err(SignalError::Refused(StepError::OtherSession)), "{:?}", other.event);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_after_and_an_unknown_session_is_replaced() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    until("asked after", seconds(300), || !service.world.routing.pinged().is_empty()).await;
    let asked = service.world.routing.pinged();
    assert_eq!((asked[0][0].id, asked[0][0].attempt), (id, 1));
    service.report(id, 1, 0, SignalEvent::Unknown).await.unwrap();
    service.until_entered(2).await;
    assert_eq!(service.world.routing.attempts_of(id), [1, 2]);
    let stale = service.report(id, 1, 2, SignalEvent::Processing).await;
    assert_eq!(stale, Err(SignalError::Refused(StepError::StaleAttempt)));
    service.report(id, 2, 1, SignalEvent::Accepted).await.unwrap();
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn whoever_is_heard_is_not_asked_after() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    for _ in 0..30 {
        pass(seconds(20)).await;
        service.report(id, 1, 0, SignalEvent::Alive).await.unwrap();
    }
    assert!(service.world.routing.pinged().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_node_sets_the_idlest_aside_and_still_hears_them() {
    let service = Service::start_with(World::new(), 4).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::accepting());
    let mut ids = Vec::new();
    for _ in 0..12 {
        let id = service.create().await;
        until("accepted", SOON, || service.row(id).session.is_some()).await;
        ids.push(id);
        assert!(service.sessions() <= 5, "one may be leaving while another comes");
    }
    until("four are left", SOON, || service.sessions() <= 4).await;
    let loads = service.world.faults.calls(Op::Load);
    for id in &ids {
        assert_eq!(service.report(*id, 1, 0, at(7)).await, Ok(Reply::Done));
    }
    assert_eq!(service.world.faults.calls(Op::Load), loads, "the board still follows those set aside");
    assert!(service.sessions() <= 4);
    for id in &ids {
        service.report(*id, 1, 2, SignalEvent::Completed(Some(Reason::AGENT_CONNECTED))).await.unwrap();
        assert_eq!(service.row(*id).state, State::Completed);
    }
    service.until_sessions(0).await;
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_report_brings_a_session_back_after_a_restart() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    let world = service.world.clone();
    service.tree.stop(seconds(5)).await;
    // The next life of the node takes the row over when it is due, and an input before that finds it.
    let service = Service::start(world).await;
    until("taken over", seconds(90), || service.sessions() == 1).await;
    service.report(id, 1, 2, SignalEvent::Routing).await.unwrap();
    assert_eq!(service.row(id).state, State::Routing);
    assert_eq!(service.world.routing.attempts_of(id), [1], "nobody is called twice");
}
