//! What concerns the tree as a whole: its limits, outages, start and end.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_root_gives_up_when_a_child_fails_too_often() {
    let world = World::new();
    let tree = start(&world).await;
    world.faults.set(Op::Claim, Fault::Unreadable);
    let why = tokio::time::timeout(SECOND * 120, tree.gave_up()).await.unwrap();
    assert!(why.contains("scheduler") && why.contains("error"), "{why}");
    assert_eq!(world.recorder.restarts(ActorKind::Scheduler, Failure::Error), 5, "as the table says");
    only_restarted(&world, ActorKind::Scheduler);
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_start_escalates_too() {
    let world = World::new();
    world.recorder.fail_starts(ActorKind::Health, 100);
    let tree = Tree::start(world.ports(), settings()).await.unwrap();
    let why = tokio::time::timeout(SECOND * 120, tree.gave_up()).await.unwrap();
    assert!(why.contains("health") && why.contains("start"), "{why}");
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_fails_too_often_takes_its_supervisor_along_and_that_the_tree() {
    let world = World::new();
    let tree = start(&world).await;
    world.recorder.fail_starts(ActorKind::Tenant, 1_000);
    world.faults.next(Op::ExpectedWait, Fault::Panic, 1);
    drop(tree.desk().submit(actors::testing::tenant_id(), booking(None)).await);
    world.recorder.wait_for_restarts(SECOND * 120, ActorKind::Tenants, Failure::Error, 1).await;
    assert!(world.recorder.restarts(ActorKind::Tenant, Failure::Start) >= 4);
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_everything_restarts_nothing_and_heals() {
    let world = World::new();
    let tree = start(&world).await;
    let id = book(&tree, None, &world).await;
    let ops = [
        Op::Book,
        Op::Save,
        Op::Load,
        Op::Details,
        Op::Claim,
        Op::Due,
        Op::Take,
        Op::Purge,
        Op::WorkCounts,
        Op::Tenants,
        Op::Keys,
        Op::Heartbeat,
        Op::Start,
        Op::Close,
        Op::Ping,
        Op::Open,
        Op::Check,
        Op::Probe("database"),
    ];
    for op in ops {
        world.faults.set(op, Fault::NotDone);
    }
    tokio::time::sleep(SECOND * 180).await;
    let refused = tree.desk().submit(actors::testing::tenant_id(), booking(None)).await;
    assert_eq!(refused, Err(SubmitError::Unserved(Unserved::Busy)));
    assert!(!tree.health()().ready);
    world.faults.heal();
    until("it is ready", SOON, || tree.health()().ready).await;
    serves(&tree, &world).await;
    assert_eq!(world.recorder.all_restarts(), 0);
    assert_eq!(world.recorder.count(|event| matches!(event, Event::Parked { .. })), 0);
    until("the first one ends too", SECOND * 300, || state(&world, id) == State::Completed).await;
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_at_the_start_is_said_and_nothing_is_left_running() {
    let world = World::new();
    world.faults.set(Op::Tenants, Fault::Unreadable);
    let refused = Tree::start(world.ports(), settings()).await.map(drop);
    assert!(matches!(refused, Err(StartError::GaveUp(_))), "{refused:?}");
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;

    let world = World::new();
    world.faults.set(Op::Register, Fault::NotDone);
    let refused = Tree::start(world.ports(), settings()).await.map(drop);
    assert!(matches!(refused, Err(StartError::Register(_))), "{refused:?}");

    let world = World::new();
    world.faults.set(Op::Keys, Fault::NotDone);
    let refused = Tree::start(world.ports(), settings()).await.map(drop);
    assert!(matches!(refused, Err(StartError::Settings)), "{refused:?}");
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_fail_once_at_the_start_only_delay_it() {
    let world = World::new();
    world.faults.next(Op::Tenants, Fault::Unreadable, 1);
    let tree = start(&world).await;
    assert_eq!(world.recorder.restarts(ActorKind::Tenants, Failure::Error), 1);
    serves(&tree, &world).await;
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_sessions_finish_what_they_are_at_and_claims_nothing_more() {
    let world = World::new();
    let tree = start(&world).await;
    let id = book(&tree, None, &world).await;
    until("it is with routing", SOON, || !world.routing.attempts_of(id).is_empty()).await;
    tree.begin_drain();
    let health = tree.health()();
    assert!(!health.ready && health.draining);
    let claims = world.faults.calls(Op::Claim);
    let began = tokio::time::Instant::now();
    tree.stop(SOON).await;
    assert!(began.elapsed() < SECOND * 3, "{:?}", began.elapsed());
    assert_eq!(world.faults.calls(Op::Claim), claims);
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;
    // The next life of the node takes it over and brings it to its end.
    let tree = start(&world).await;
    until("it ends", SECOND * 300, || state(&world, id) == State::Completed).await;
    assert_eq!(world.recorder.all_restarts(), 0);
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_save_that_hangs_does_not_hold_a_drain_beyond_its_grace() {
    let world = World::new();
    let tree = start(&world).await;
    world.faults.set(Op::Save, Fault::Slow(SECOND * 3_600));
    let id = book(&tree, None, &world).await;
    until("it is with routing", SOON, || !world.routing.attempts_of(id).is_empty()).await;
    tokio::time::sleep(SECOND).await;
    let began = tokio::time::Instant::now();
    tree.stop(SECOND * 2).await;
    assert!(began.elapsed() < SECOND * 9, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn every_message_is_told_with_its_time_and_the_length_of_its_queue() {
    let world = World::new();
    let tree = start(&world).await;
    serves(&tree, &world).await;
    for kind in ActorKind::ALL {
        let handled = world.recorder.count(|event| matches!(event, Event::Handled { kind: it, .. } if *it == kind));
        assert!(handled > 0, "{}", kind.name());
    }
    let none_waiting = world.recorder.count(|event| matches!(event, Event::Handled { waiting, .. } if *waiting == 0));
    assert_eq!(none_waiting, 0, "the one that was taken had waited");
    let absurd = world.recorder.count(|event| matches!(event, Event::Handled { waiting, .. } if *waiting > 100));
    assert_eq!(absurd, 0, "no count runs below zero");
    tree.stop(SOON).await;
}
