//! The hand-off budget: never exceeded, in turn, and slow after an outage.

use actors::testing::{FakeRouting, Fault, Op, World, booking, plain_queue, tenant, tenant_id, until};
use domain::callback::{Reason, SignalEvent, State};
use domain::event::Event;
use domain::ids::CallbackId;
use domain::ports::Unserved;
use domain::queue::QueueSettings;

use super::support::{SOON, Service, pass, seconds};

async fn with_limit(hand_off_limit: u32) -> Service {
    let world = World::new();
    world.settings.put(tenant(QueueSettings { hand_off_limit, ..plain_queue() }));
    Service::start(world).await
}

fn entered(service: &Service) -> Vec<CallbackId> {
    service.world.routing.entered().iter().map(|entered| entered.invitation.id).collect()
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_and_in_turn() {
    let service = with_limit(3).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(service.create().await);
    }
    pass(seconds(20)).await;
    assert_eq!(entered(&service), ids[..3], "three places");
    assert_eq!(service.sessions(), 3, "whoever waits is a row");
    for next in 3..12 {
        let accepted = ids[next - 3];
        service.report(accepted, 1, 1, SignalEvent::Accepted).await.unwrap();
        service.until_entered(next + 1).await;
        pass(seconds(2)).await;
        assert_eq!(entered(&service), ids[..=next], "one place, for who has waited longest");
    }
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn a_place_comes_back_by_cancel_refusal_and_end() {
    let service = with_limit(1).await;
    let first = service.create().await;
    let second = service.create().await;
    let third = service.create().await;
    service.until_entered(1).await;
    service.cancel(first).await.unwrap();
    service.until_entered(2).await;
    assert_eq!(entered(&service), [first, second]);
    service.report(second, 1, 1, SignalEvent::Failed(None)).await.unwrap();
    service.until_entered(3).await;
    assert_eq!(entered(&service)[2], third, "the refused one waits for its pause and its turn");
    service.report(third, 1, 1, SignalEvent::Accepted).await.unwrap();
    service.until_entered(4).await;
    assert_eq!(service.world.routing.attempts_of(second), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_while_waiting_is_never_submitted() {
    let service = with_limit(1).await;
    let first = service.create().await;
    let waiting = service.create().await;
    let last = service.create().await;
    service.until_entered(1).await;
    service.cancel(waiting).await.unwrap();
    assert!(service.row(waiting).is_settled(), "routing never heard of it");
    service.report(first, 1, 1, SignalEvent::Accepted).await.unwrap();
    service.until_entered(2).await;
    assert_eq!(entered(&service), [first, last]);
}

#[tokio::test(start_paused = true)]
async fn three_refusals_end_it() {
    let service = Service::start(World::new()).await;
    service.world.faults.set(Op::Start, Fault::Refused);
    let id = service.create().await;
    service.until_ended(id, Reason::SUBMIT_FAILED).await;
    assert_eq!(service.row(id).attempt, 3);
    assert_eq!(service.world.recorder.count(|event| *event == Event::SubmitFailed), 1);
    service.until_sessions(0).await;
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_of_routing_it_begins_at_one_and_doubles() {
    let service = with_limit(8).await;
    service.world.faults.set(Op::Start, Fault::NotDone);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(service.create().await);
    }
    pass(seconds(60)).await;
    assert!(service.world.routing.entered().is_empty());
    let calls = service.world.faults.calls(Op::Start);
    pass(seconds(20)).await;
    assert!(service.world.faults.calls(Op::Start) - calls <= 21, "one goes on trying, each 1 to 5 s");
    service.world.faults.heal();
    // Places 1, 2, 4, 8, 8: each acceptance doubles them and frees one.
    for expected in [1, 3, 6, 11, 12, 13] {
        service.until_entered(expected).await;
        pass(seconds(5)).await;
        let entered = entered(&service);
        assert_eq!(entered, ids[..expected], "not faster, and in turn");
        let next = entered.into_iter().find(|id| service.row(*id).session.is_none()).unwrap();
        service.report(next, 1, 1, SignalEvent::Accepted).await.unwrap();
    }
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_is_not_a_failure() {
    for fault in [Fault::NotDone, Fault::PerhapsNot, Fault::PerhapsDone] {
        let service = Service::calling().await;
        let ids = futures::future::join_all((0..10).map(|_| service.create())).await;
        for op in [Op::Save, Op::Load, Op::Book, Op::Due, Op::Take, Op::Claim, Op::Details, Op::Heartbeat] {
            service.world.faults.set(op, fault);
        }
        let refused = service.try_create().await.unwrap_err();
        let busy = fault == Fault::NotDone;
        assert_eq!(refused, if busy { Unserved::Busy } else { Unserved::Perhaps }.into());
        pass(seconds(60)).await;
        service.world.faults.heal();
        for id in ids {
            service.until_ended(id, Reason::AGENT_CONNECTED).await;
            assert_eq!(service.world.routing.attempts_of(id), [1], "after {fault:?}");
        }
        until("nothing rests", seconds(300), || service.world.store.rows().iter().all(|row| row.callback.is_settled()))
            .await;
        service.assert_no_restarts();
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_booking_that_was_kept_is_made() {
    let service = Service::calling().await;
    service.world.faults.next(Op::Book, Fault::PerhapsDone, 1);
    assert_eq!(service.try_create().await, Err(Unserved::Perhaps.into()));
    let kept = service.world.store.rows();
    assert_eq!(kept.len(), 1);
    service.until_ended(kept[0].callback.id, Reason::AGENT_CONNECTED).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_reads_again() {
    let service = Service::start(World::new()).await;
    let id = service.create().await;
    service.until_entered(1).await;
    service.world.faults.next_for(Op::Save, id, Fault::Conflict, 3);
    service.report(id, 1, 1, SignalEvent::Accepted).await.unwrap();
    assert!(service.row(id).session.is_some());
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_life_left_behind_goes_on() {
    let world = World::new();
    let earlier = Service::start(world.clone()).await;
    let with_attempt = earlier.create().await;
    earlier.until_entered(1).await;
    earlier.world.faults.set(Op::Start, Fault::NotDone);
    let waiting = earlier.create().await;
    earlier.tree.stop(seconds(1)).await;
    world.faults.heal();
    let service = Service::start(world).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::whole_call());
    service.until_ended(waiting, Reason::AGENT_CONNECTED).await;
    // The first is with routing already, which says nothing: it is asked after and found unknown.
    until("asked after", seconds(300), || {
        service.world.routing.pinged().iter().flatten().any(|asked| asked.id == with_attempt)
    })
    .await;
    service.report(with_attempt, 1, 0, SignalEvent::Unknown).await.unwrap();
    service.until_ended(with_attempt, Reason::AGENT_CONNECTED).await;
    assert_eq!(service.world.routing.attempts_of(with_attempt), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_line_holds_still_get_their_turn() {
    // The line itself is bounded at 50,000; here it is forgotten with its tenant instead, which is the same
    // to whoever stood in it: the row is due, and the sweep brings it back.
    let service = with_limit(1).await;
    service.world.routing.answer(service.inbox.clone(), FakeRouting::whole_call());
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(service.create().await);
    }
    service.world.faults.next(Op::ExpectedWait, Fault::Panic, 1);
    let lost = service.desk.submit(tenant_id(), booking(None)).await;
    assert_eq!(lost, Err(Unserved::Perhaps.into()), "the tenant died over it");
    for id in ids {
        service.until_ended(id, Reason::AGENT_CONNECTED).await;
        assert_eq!(service.world.routing.attempts_of(id), [1]);
    }
    assert_eq!(service.world.recorder.all_restarts(), 1);
    assert!(service.world.store.rows().iter().all(|row| row.callback.state == State::Completed));
    until("no session is left", SOON, || service.sessions() == 0).await;
}
