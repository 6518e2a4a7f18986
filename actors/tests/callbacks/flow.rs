//! What happens when nothing goes wrong.

use actors::testing::{FakeRouting, Op, World, booking, tenant_id, until};
use domain::callback::{Cause, Idempotency, Live, Promise, Reason, SignalEvent, State};
use domain::event::Event;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{CancelError, How, SubmitError, Submitted, Unserved};
use domain::queue::QueueSettings;
use uuid::Uuid;

use super::support::{SOON, Service, pass, seconds};

#[tokio::test(start_paused = true)]
async fn from_create_to_completed() {
    let service = Service::calling().await;
    let id = service.create().await;
    assert_eq!(service.row(id).state, State::Queued, "durable before the answer");
    service.until_ended(id, Reason::AGENT_CONNECTED).await;
    let row = service.world.store.row(id).unwrap();
    let causes: Vec<Cause> = row.history.iter().map(|entry| entry.cause).collect();
    use Cause::{Accepted, Booked, Reported};
    assert_eq!(causes, [Booked, Accepted, Reported, Reported, Reported, Reported]);
    assert!(row.history.iter().map(|entry| entry.version).eq(1..=6), "no gap");
    let moved: Vec<_> = service
        .world
        .recorder
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Moved { from, to, .. } => Some((from, to)),
            _ => None,
        })
        .collect();
    use State::{Completed, Processing, Queued, Routing};
    assert_eq!(moved, [(Queued, Routing), (Routing, Processing), (Processing, Completed)]);
    let heard = |is: fn(&Event) -> bool| service.world.recorder.count(is);
    assert_eq!(heard(|event| matches!(event, Event::Promised { promise: Promise::Kept, .. })), 1);
    assert_eq!(heard(|event| matches!(event, Event::SignalAnswered { event: "accepted", .. })), 1);
    assert_eq!(service.world.routing.attempts_of(id), [1]);
    assert!(row.callback.is_settled());
    service.until_sessions(0).await;
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn twenty_at_once() {
    let service = Service::calling().await;
    let ids = futures::future::join_all((0..20).map(|_| service.create())).await;
    for id in &ids {
        service.until_ended(*id, Reason::AGENT_CONNECTED).await;
        assert_eq!(service.world.routing.attempts_of(*id), [1]);
    }
    service.until_sessions(0).await;
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn the_view_shows_place_and_wait_in_active_states_only() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    let view = || service.desk.retrieve(tenant_id(), id);
    assert_eq!(view().await.unwrap().live, Some(Live::UNKNOWN));
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    let told = Live { position: 4, estimated_wait_seconds: 90 };
    service.report(id, 1, 0, SignalEvent::Position(told)).await.unwrap();
    assert_eq!(view().await.unwrap().live, Some(told), "as reported");
    let known = Live { position: 2, estimated_wait_seconds: 30 };
    service.world.routing.set_live(id, known);
    assert_eq!(view().await.unwrap().live, Some(known), "routing itself knows best");
    service.cancel(id).await.unwrap();
    let view = view().await.unwrap();
    assert_eq!((view.state, view.reason, view.live), (State::Completed, Some(Reason::CANCELLED), None));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let service = Service::start(World::new()).await;
    let nobody = CallbackId::from_uuid(Uuid::from_u128(1));
    assert_eq!(service.desk.retrieve(tenant_id(), nobody).await, Err(Unserved::NotFound));
    assert_eq!(service.cancel(nobody).await, Err(CancelError::Unserved(Unserved::NotFound)));
    let id = service.create().await;
    let other = TenantId::from_name("other");
    assert_eq!(service.desk.retrieve(other, id).await, Err(Unserved::NotFound), "tenants are walls");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_with_a_session_tells_routing() {
    let service = Service::start(World::new()).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::accepting());
    let id = service.create().await;
    until("accepted", SOON, || service.row(id).session.is_some()).await;
    service.cancel(id).await.unwrap();
    service.until_ended(id, Reason::CANCELLED).await;
    service.cancel(id).await.expect("cancelling again is done again");
    until("routing was told", SOON, || service.world.routing.closed() == [id]).await;
    until("nothing is owed", SOON, || service.row(id).is_settled()).await;
    service.until_sessions(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_routing_does_not_hear_is_owed() {
    let service = Service::start(World::new()).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::accepting());
    let id = service.create().await;
    until("accepted", SOON, || service.row(id).session.is_some()).await;
    service.world.faults.set(Op::Close, actors::testing::Fault::NotDone);
    service.cancel(id).await.unwrap();
    pass(seconds(100)).await;
    assert!(service.row(id).owes_terminate && service.row(id).wake_at.is_some());
    service.world.faults.heal();
    until("nothing is owed", seconds(600), || service.row(id).is_settled()).await;
    assert_eq!(service.world.routing.closed(), [id]);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn cancel_and_accept_at_the_same_time_agree() {
    let service = Service::start(World::new()).await;
    for round in 0..20 {
        let id = service.create().await;
        service.until_entered(round + 1).await;
        let (cancelled, accepted) = if round % 2 == 0 {
            tokio::join!(service.cancel(id), service.report(id, 1, 1, SignalEvent::Accepted))
        } else {
            let (accepted, cancelled) =
                tokio::join!(service.report(id, 1, 1, SignalEvent::Accepted), service.cancel(id));
            (cancelled, accepted)
        };
        assert_eq!(cancelled, Ok(()));
        let row = service.world.store.row(id).unwrap();
        assert_eq!(row.callback.reason, Some(Reason::CANCELLED));
        let granted = row.history.iter().any(|entry| entry.cause == Cause::Accepted);
        assert_eq!(granted, accepted.is_ok(), "routing was told what is stored");
        until("routing was told", SOON, || service.world.routing.closed().contains(&id)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_key_books_once_and_takes_no_place() {
    let world = World::new();
    world.settings.put(actors::testing::tenant(QueueSettings { hand_off_limit: 1, ..QueueSettings::unlimited() }));
    let service = Service::start(world).await;
    let keyed = |body| {
        let mut new = booking(None);
        new.idempotency = Some(Idempotency { key: [1; 16], body: [body; 16] });
        service.desk.submit(tenant_id(), new)
    };
    let Submitted { id, how } = keyed(1).await.unwrap();
    assert_eq!(how, How::Booked);
    service.until_entered(1).await;
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    assert_eq!(keyed(1).await, Ok(Submitted { id, how: How::Replayed }));
    assert_eq!(keyed(2).await, Err(SubmitError::KeyReused));
    service.create().await;
    service.until_entered(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_tree_lets_calls_in_flight_end() {
    let service = Service::start(World::new()).await;
    service.world.faults.set(Op::Start, actors::testing::Fault::Slow(seconds(3)));
    let id = service.create().await;
    until("the submit is in flight", SOON, || service.world.faults.calls(Op::Start) == 1).await;
    let world = service.world.clone();
    service.tree.stop(seconds(10)).await;
    assert_eq!(world.routing.attempts_of(id), [1], "the call was not cut off");
    assert_eq!(world.recorder.living(domain::event::ActorKind::Session), 0);
    assert_eq!(world.recorder.all_restarts(), 0);
    let row = world.store.row(id).unwrap().callback;
    assert_eq!((row.state, row.attempt), (State::Queued, 1), "whoever comes next goes on with the same attempt");
}
