//! Where asking routing again for the same attempt begins another session: what was perhaps done is not asked for twice.

use std::time::Duration;

use actors::testing::{Fault, Op, World, until};
use domain::callback::{Reason, State};

use super::support::{SOON, Service, pass};

/// A running tree whose routing makes whole calls, and begins a session with every start.
async fn calling() -> Service {
    let world = World::new();
    world.routing.begin_another_each_time();
    let service = Service::start(world).await;
    service.world.routing.answer(service.inbox.clone(), actors::testing::FakeRouting::whole_call());
    service
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_perhaps_begun_and_asks_for_itself_is_the_only_one() {
    let service = calling().await;
    service.world.faults.next(Op::Start, Fault::PerhapsDone, 1);
    let id = service.create().await;
    service.until_ended(id, Reason::AGENT_CONNECTED).await;
    assert_eq!(service.world.routing.attempts_of(id), [1]);
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_perhaps_begun_and_does_not_is_given_up_after_a_minute() {
    let service = calling().await;
    service.world.faults.next(Op::Start, Fault::PerhapsNot, 1);
    let began = service.now();
    let id = service.create().await;
    until("the end of it", Duration::from_secs(300), || service.row(id).state == State::Completed).await;
    let entered = service.world.routing.entered();
    assert_eq!(service.world.routing.attempts_of(id), [2], "the first one never came to be");
    let waited = (entered[0].at - began).num_seconds();
    assert!((60..120).contains(&waited), "{waited} s");
    assert_eq!((service.row(id).reason, service.row(id).refusals), (Some(Reason::AGENT_CONNECTED), 0));
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn an_outage_uses_no_attempt_up() {
    let service = calling().await;
    service.world.faults.set(Op::Start, Fault::NotDone);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(service.create().await);
    }
    pass(Duration::from_secs(600)).await;
    assert!(service.world.routing.entered().is_empty());
    service.world.faults.heal_op(Op::Start);
    for id in ids {
        until("the end of each", SOON, || service.row(id).state == State::Completed).await;
        assert_eq!(service.world.routing.attempts_of(id), [1]);
    }
    service.assert_no_restarts();
}
