//! What routing reports, with and without a session on our side.

use actors::testing::{FakeRouting, Fault, Op, World, until};
use domain::callback::{Callback, Cause, Effect, Input, Live, Reason, Reply, Signal, SignalEvent, State, StepError};
use domain::event::{ActorKind, Event};
use domain::ids::{CallbackId, SessionId};
use domain::ports::{CallbackStore as _, Change, SignalError, Unserved};
use domain::slots::Grid;

use super::support::{SOON, Service, pass, seconds};

fn at(position: i32) -> SignalEvent {
    SignalEvent::Position(Live { position, estimated_wait_seconds: 60 })
}

#[tokio::test(start_paused = true)]
async fn live_values_touch_neither_store_nor_actors() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
    let of_session =
        |event: &Event| matches!(event, Event::Handled { kind: ActorKind::Session | ActorKind::Tenant, .. });
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
async fn what_another_node_has_heard_is_known_before_anybody_is_refused() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    // The report that grants the attempt reaches another node, which sends no word of it.
    let before = service.row(id);
    let mut callback = before.clone();
    let session = SessionId::new("session-1").ok();
    let accepted = Input::Signal(Signal { attempt: 1, seq: 1, session, event: SignalEvent::Accepted });
    let effects = callback.step(accepted, service.now()).unwrap();
    let saving = effects.into_iter().find_map(|effect| match effect {
        Effect::Save(saving) => Some(saving),
        _ => None,
    });
    let change = Change {
        callback,
        from: before.state,
        expected_version: before.version,
        expected_owner: None,
        saving: saving.unwrap(),
        slot_capacity: 0,
        grid: Grid::default(),
        at: service.now(),
        announcement: None,
    };
    service.world.ports().callbacks.save(change).await.unwrap();
    for (seq, event) in [(2, SignalEvent::Routing), (3, SignalEvent::Processing)] {
        assert_eq!(service.report(id, 1, seq, event).await, Ok(Reply::Done));
    }
    assert_eq!(service.row(id).state, State::Processing);
    assert_eq!(service.world.routing.attempts_of(id), [1]);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_after_and_an_unknown_session_is_replaced() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
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
async fn a_question_that_panics_is_counted_and_asked_again() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
    service.world.faults.next(Op::Ping, Fault::Panic, 1);
    until("asked after", seconds(300), || !service.world.routing.pinged().is_empty()).await;
    assert_eq!(service.world.routing.pinged()[0][0].id, id);
    assert_eq!(service.world.recorder.count(|event| *event == Event::PanicCaught), 1);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn whoever_is_heard_is_not_asked_after() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
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

/// Versions of the history that stand for signals which came too late.
fn noted(service: &Service, id: CallbackId) -> Vec<u32> {
    let history = service.world.store.row(id).unwrap().history;
    assert!((1..).zip(&history).all(|(version, entry)| entry.version == version), "no gap: {history:?}");
    history.iter().filter(|entry| entry.cause == Cause::LateSignal).map(|entry| entry.version).collect()
}

#[tokio::test(start_paused = true)]
async fn a_signal_after_the_end_is_kept_before_it_is_refused() {
    let service = Service::calling().await;
    let id = service.create().await;
    service.until_ended(id, Reason::AGENT_CONNECTED).await;
    service.until_sessions(0).await;
    let (end, refused) = (service.row(id), Err(SignalError::Refused(StepError::Ended)));
    assert_eq!(service.report(id, 1, 90, SignalEvent::Processing).await, refused);
    assert_eq!(service.report(id, 1, 90, SignalEvent::Processing).await, refused, "said again");
    assert_eq!(service.report(id, 1, 91, SignalEvent::Failed(None)).await, Ok(Reply::Repeated));
    assert_eq!(service.report(id, 1, 0, at(3)).await, refused, "live values are never written");
    assert_eq!(noted(&service, id), [end.version + 1, end.version + 2]);
    let row = service.row(id);
    assert_eq!(row, Callback { version: end.version + 2, last_seq: 91, ..end });
    assert!(row.is_settled());

    service.world.faults.next(Op::Save, Fault::NotDone, 1);
    let unsaved = service.report(id, 1, 92, SignalEvent::Queued).await;
    assert_eq!(unsaved, Err(SignalError::Unserved(Unserved::Busy)), "no answer before it is kept");
    assert_eq!(service.report(id, 1, 92, SignalEvent::Queued).await, refused);
    assert_eq!(noted(&service, id).len(), 3);
    assert_eq!(service.sessions(), 0, "a settled callback gets no session");
    let after_it = service.now() + chrono::TimeDelta::days(1);
    assert_eq!(service.world.store.purge(after_it, after_it, 10).await, Ok(1), "nothing keeps it");
}

#[tokio::test(start_paused = true)]
async fn a_signal_while_the_end_is_still_owed_is_kept_by_its_session() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
    service.world.faults.set(Op::Close, Fault::NotDone);
    service.cancel(id).await.unwrap();
    let ended = service.report(id, 1, 2, SignalEvent::Ended(None)).await;
    assert_eq!(ended, Err(SignalError::Refused(StepError::Ended)));
    assert_eq!(noted(&service, id).len(), 1);
    assert!(service.row(id).owes_terminate && service.sessions() == 1);
    service.world.faults.heal();
    until("settled", seconds(300), || service.row(id).is_settled()).await;
    assert_eq!(service.row(id).reason, Some(Reason::CANCELLED));
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_report_brings_a_session_back_after_a_restart() {
    let service = Service::start(World::new()).await;
    let id = service.accepted().await;
    let world = service.world.clone();
    service.tree.stop(seconds(5)).await;
    // The next life of the node takes the row over when it is due, and an input before that finds it.
    let service = Service::start(world).await;
    until("taken over", seconds(90), || service.sessions() == 1).await;
    service.report(id, 1, 2, SignalEvent::Routing).await.unwrap();
    assert_eq!(service.row(id).state, State::Routing);
    assert_eq!(service.world.routing.attempts_of(id), [1], "nobody is called twice");
}
