//! The tree under faults: each kind of actor fails by error, by panic and in its start; what it should is started
//! again, the others notice nothing, and too much of it ends the tree. All faults come in through fakes of the
//! ports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use actors::testing::{FakeRouting, Fault, Op, World, booking, until};
use actors::{StartError, Tree, TreeSettings};
use chrono::TimeDelta;
use domain::callback::{Reason, State};
use domain::event::{ActorKind, Event, Failure};
use domain::health::DependencyStatus;
use domain::ids::CallbackId;
use domain::ports::{CallbackStore, SubmitError, Unserved};

#[path = "supervision/whole.rs"]
mod whole;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);

fn settings() -> TreeSettings {
    TreeSettings { node_name: "node".into(), version: "1".into(), session_limit: 1_000 }
}

async fn start(world: &World) -> Tree {
    let tree = Tree::start(world.ports(), settings()).await.unwrap();
    world.routing.answer(tree.inbox(), FakeRouting::whole_call());
    until("the node may work", SOON, || tree.health()().ready).await;
    tree
}

async fn book(tree: &Tree, in_seconds: Option<i64>, world: &World) -> CallbackId {
    let desired_time = in_seconds.map(|seconds| world.clock.time() + TimeDelta::seconds(seconds));
    tree.desk().submit(actors::testing::tenant_id(), booking(desired_time)).await.unwrap().id
}

fn state(world: &World, id: CallbackId) -> State {
    world.store.row(id).unwrap().callback.state
}

async fn completes(world: &World, id: CallbackId, deadline: Duration) {
    until("the callback ends", deadline, || state(world, id) == State::Completed).await;
    let callback = world.store.row(id).unwrap().callback;
    assert_eq!(callback.reason, Some(Reason::AGENT_CONNECTED));
}

/// The tree serves: an immediate and a scheduled callback run to their ends.
async fn serves(tree: &Tree, world: &World) {
    let now = book(tree, None, world).await;
    let later = book(tree, Some(20), world).await;
    completes(world, now, SECOND * 60).await;
    completes(world, later, SECOND * 120).await;
}

fn only_restarted(world: &World, child: ActorKind) {
    let others = world.recorder.count(|event| matches!(event, Event::Restarted { child: it, .. } if *it != child));
    assert_eq!(others, 0, "nobody but {} was started again", child.name());
}

const SINGLETONS: [ActorKind; 7] = [
    ActorKind::Root,
    ActorKind::Connectors,
    ActorKind::Health,
    ActorKind::Membership,
    ActorKind::Tenants,
    ActorKind::Scheduler,
    ActorKind::Notifier,
];

#[tokio::test(start_paused = true)]
async fn the_tree_starts_serves_and_ends() {
    let world = World::new();
    let tree = start(&world).await;
    for kind in SINGLETONS {
        assert_eq!(world.recorder.living(kind), 1, "{}", kind.name());
    }
    until("all run", SOON, || {
        world.recorder.living(ActorKind::Probe) == 2
            && world.recorder.living(ActorKind::Connector) == 1
            && world.recorder.living(ActorKind::Tenant) == 1
    })
    .await;
    serves(&tree, &world).await;
    assert_eq!(world.recorder.all_restarts(), 0);
    tree.stop(SOON).await;
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;
    assert!(world.faults.calls(Op::CloseClient) >= 2, "closed before it was opened, and at the end");
    assert_eq!(world.nodes.registered(), [], "signed off");
}

#[tokio::test(start_paused = true)]
async fn the_scheduler_fails_by_error_by_panic_and_in_its_start() {
    for (failure, op) in [
        (Failure::Error, Some((Op::Claim, Fault::Unreadable))),
        (Failure::Panic, Some((Op::Claim, Fault::Panic))),
        (Failure::Start, None),
    ] {
        let world = World::new();
        let tree = if let Some((op, fault)) = op {
            let tree = start(&world).await;
            world.faults.next(op, fault, 1);
            tree
        } else {
            world.recorder.fail_starts(ActorKind::Scheduler, 1);
            start(&world).await
        };
        // Claimed at the next minute, or at the start of the new life.
        world.recorder.wait_for_restarts(SECOND * 65, ActorKind::Scheduler, failure, 1).await;
        only_restarted(&world, ActorKind::Scheduler);
        serves(&tree, &world).await;
        let panics = world.recorder.count(|event| *event == Event::PanicCaught);
        assert_eq!(panics, usize::from(failure == Failure::Panic || failure == Failure::Start), "{failure:?}");
        assert_eq!(world.recorder.living(ActorKind::Scheduler), 1);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_notifier_fails_by_error_by_panic_and_in_its_start() {
    for (failure, fault) in
        [(Failure::Error, Some(Fault::Unreadable)), (Failure::Panic, Some(Fault::Panic)), (Failure::Start, None)]
    {
        let world = World::new();
        let tree = if let Some(fault) = fault {
            let tree = start(&world).await;
            world.faults.next(Op::ClaimNotices, fault, 1);
            tree
        } else {
            world.recorder.fail_starts(ActorKind::Notifier, 1);
            start(&world).await
        };
        world.recorder.wait_for_restarts(SOON, ActorKind::Notifier, failure, 1).await;
        only_restarted(&world, ActorKind::Notifier);
        let looks = world.faults.calls(Op::ClaimNotices);
        until("it looks again", SOON, || world.faults.calls(Op::ClaimNotices) > looks + 2).await;
        serves(&tree, &world).await;
        assert_eq!(world.recorder.living(ActorKind::Notifier), 1);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn timers_that_died_with_the_scheduler_are_made_up_for_by_the_sweep() {
    let world = World::new();
    let tree = start(&world).await;
    until("the first claim is done", SECOND, || world.faults.calls(Op::Claim) > 0).await;
    // Near enough to be handed to the scheduler at once; the claim that fails comes before it is due.
    let id = book(&tree, Some(40), &world).await;
    world.faults.next(Op::Claim, Fault::Panic, 1);
    world.recorder.wait_for_restarts(SECOND * 35, ActorKind::Scheduler, Failure::Panic, 1).await;
    assert_eq!(state(&world, id), State::Scheduled);
    completes(&world, id, SECOND * 30).await;
    let fired = &world.routing.entered()[0];
    let late = fired.at - fired.invitation.desired_time;
    assert!(late >= TimeDelta::zero() && late <= TimeDelta::milliseconds(1_100), "{late}");
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn membership_fails_by_error_by_panic_and_in_its_start() {
    for (failure, fault) in
        [(Failure::Error, Some(Fault::Unreadable)), (Failure::Panic, Some(Fault::Panic)), (Failure::Start, None)]
    {
        let world = World::new();
        let tree = if let Some(fault) = fault {
            let tree = start(&world).await;
            world.faults.next(Op::Heartbeat, fault, 1);
            tree
        } else {
            world.recorder.fail_starts(ActorKind::Membership, 1);
            start(&world).await
        };
        world.recorder.wait_for_restarts(SOON, ActorKind::Membership, failure, 1).await;
        only_restarted(&world, ActorKind::Membership);
        serves(&tree, &world).await;
        assert!(tree.health()().ready);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_damaged_rows_fails_membership_too() {
    for op in [Op::Due, Op::Take] {
        let world = World::new();
        let tree = start(&world).await;
        world.faults.next(op, Fault::Unreadable, 1);
        world.recorder.wait_for_restarts(SOON, ActorKind::Membership, Failure::Error, 1).await;
        serves(&tree, &world).await;
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_or_does_not_start_is_started_again_and_counts_as_down_meanwhile() {
    for failure in [Failure::Panic, Failure::Start] {
        let world = World::new();
        let tree = if failure == Failure::Panic {
            let tree = start(&world).await;
            until("it was up", SOON, || all_up(&tree)).await;
            world.faults.next(Op::Probe("routing"), Fault::Panic, 1);
            tree
        } else {
            world.recorder.fail_starts(ActorKind::Probe, 1);
            start(&world).await
        };
        world.recorder.wait_for_restarts(SECOND * 20, ActorKind::Probe, failure, 1).await;
        let down = tree.health()().dependencies.into_iter().filter(|it| it.status == DependencyStatus::Down).count();
        assert_eq!(down, 1);
        until("it is up again", SOON, || all_up(&tree)).await;
        only_restarted(&world, ActorKind::Probe);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_always_panics_never_ends_the_tree() {
    let world = World::new();
    let tree = start(&world).await;
    world.faults.set(Op::Probe("routing"), Fault::Panic);
    world.recorder.wait_for_restarts(SECOND * 600, ActorKind::Probe, Failure::Panic, 30).await;
    only_restarted(&world, ActorKind::Probe);
    serves(&tree, &world).await;
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_down_is_no_failure_of_its_probe() {
    let world = World::new();
    let tree = start(&world).await;
    for fault in [Fault::NotDone, Fault::Slow(SECOND * 60)] {
        until("it was up", SECOND * 30, || all_up(&tree)).await;
        world.faults.set(Op::Probe("routing"), fault);
        until("it is down", SECOND * 35, || {
            let dependencies = tree.health()().dependencies;
            dependencies
                .iter()
                .any(|it| it.name == "routing" && it.status == DependencyStatus::Down && it.reason.is_some())
        })
        .await;
        assert!(tree.health()().ready, "routing is not required");
        world.faults.heal();
    }
    until("it is up again", SECOND * 30, || all_up(&tree)).await;
    assert_eq!(world.recorder.all_restarts(), 0);
    assert!(world.recorder.count(|event| *event == Event::Probed { dependency: "routing", up: false }) >= 2);
    tree.stop(SOON).await;
}

fn all_up(tree: &Tree) -> bool {
    let dependencies = tree.health()().dependencies;
    dependencies.len() == 2 && dependencies.iter().all(|it| it.status == DependencyStatus::Up)
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_or_does_not_start_is_started_again() {
    for failure in [Failure::Panic, Failure::Start] {
        let world = World::new();
        let tree = if failure == Failure::Panic {
            let tree = start(&world).await;
            world.faults.next(Op::Check, Fault::Panic, 1);
            tree
        } else {
            world.recorder.fail_starts(ActorKind::Connector, 1);
            start(&world).await
        };
        world.recorder.wait_for_restarts(SECOND * 20, ActorKind::Connector, failure, 1).await;
        let opened = world.faults.calls(Op::Open);
        until("it is opened again", SOON, || world.faults.calls(Op::Open) > opened).await;
        assert!(world.faults.calls(Op::CloseClient) > u64::from(failure == Failure::Panic), "closed before");
        only_restarted(&world, ActorKind::Connector);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_be_opened_is_tried_for_ever_with_pauses_and_no_restart() {
    let world = World::new();
    let tree = start(&world).await;
    world.faults.set(Op::Check, Fault::NotDone);
    world.faults.set(Op::Open, Fault::NotDone);
    until("it was tried", SECOND * 30, || world.faults.calls(Op::Open) >= 5).await;
    let tries = world.faults.calls(Op::Open);
    tokio::time::sleep(SECOND * 600).await;
    let more = world.faults.calls(Op::Open) - tries;
    assert!((20..=40).contains(&more), "every 15 to 30 s by now: {more} in ten minutes");
    world.faults.heal();
    until("it is looked after again", SECOND * 60, || world.faults.calls(Op::Check) >= 2).await;
    assert_eq!(world.recorder.all_restarts(), 0);
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn the_tenants_fail_by_error_and_in_their_start_and_every_session_comes_back() {
    for failure in [Failure::Error, Failure::Start] {
        let world = World::new();
        if failure == Failure::Start {
            world.recorder.fail_starts(ActorKind::Tenants, 1);
        }
        let tree = start(&world).await;
        let id = book(&tree, None, &world).await;
        if failure == Failure::Error {
            world.faults.next(Op::Tenants, Fault::Unreadable, 1);
            world.settings.put(actors::testing::tenant(domain::queue::QueueSettings::default()));
        }
        world.recorder.wait_for_restarts(SOON, ActorKind::Tenants, failure, 1).await;
        completes(&world, id, SECOND * 150).await;
        only_restarted(&world, ActorKind::Tenants);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_panics_or_does_not_start_is_started_again() {
    for failure in [Failure::Panic, Failure::Start] {
        let world = World::new();
        if failure == Failure::Start {
            world.recorder.fail_starts(ActorKind::Tenant, 1);
        }
        let tree = start(&world).await;
        if failure == Failure::Panic {
            world.faults.next(Op::ExpectedWait, Fault::Panic, 1);
            let refused = tree.desk().submit(actors::testing::tenant_id(), booking(None)).await;
            assert!(matches!(refused, Err(SubmitError::Unserved(Unserved::Perhaps | Unserved::Busy))), "{refused:?}");
        }
        world.recorder.wait_for_restarts(SOON, ActorKind::Tenant, failure, 1).await;
        until("it is back", SOON, || world.recorder.living(ActorKind::Tenant) == 1).await;
        serves(&tree, &world).await;
        only_restarted(&world, ActorKind::Tenant);
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_fails_by_error_by_panic_and_in_its_start_and_its_siblings_notice_nothing() {
    for failure in [Failure::Error, Failure::Panic, Failure::Start] {
        let world = World::new();
        let tree = start(&world).await;
        let sibling = book(&tree, None, &world).await;
        until("the sibling is with routing", SOON, || !world.routing.attempts_of(sibling).is_empty()).await;
        let lives = world.recorder.started(ActorKind::Session);
        let id = match failure {
            Failure::Start => {
                world.recorder.fail_starts(ActorKind::Session, 1);
                book(&tree, None, &world).await
            }
            Failure::Error | Failure::Panic => {
                let id = book(&tree, None, &world).await;
                let fault = if failure == Failure::Error { Fault::Unreadable } else { Fault::Panic };
                world.faults.next_for(Op::Save, id, fault, 1);
                id
            }
        };
        world.recorder.wait_for_restarts(SOON, ActorKind::Session, failure, 1).await;
        completes(&world, id, SECOND * 120).await;
        completes(&world, sibling, SECOND * 60).await;
        assert_eq!(world.routing.attempts_of(sibling), [1]);
        only_restarted(&world, ActorKind::Session);
        let lives = world.recorder.started(ActorKind::Session) - lives;
        assert!((1..=2).contains(&lives), "{failure:?}: {lives} lives, none of them the sibling's");
        tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_fails_its_session_again_and_again_is_parked_and_listed() {
    for fault in [Fault::Unreadable, Fault::Panic] {
        let world = World::new();
        let tree = start(&world).await;
        let sibling = book(&tree, None, &world).await;
        let poisoned = book(&tree, None, &world).await;
        world.faults.set_for(Op::Save, poisoned, fault);
        world.faults.set_for(Op::Load, poisoned, fault);
        world.recorder.wait_for(SECOND * 60, 1, |event| matches!(event, Event::Parked { .. })).await;
        let parked = world.store.parked(10).await.unwrap();
        assert_eq!(parked.iter().map(|it| it.id).collect::<Vec<_>>(), [poisoned]);
        assert!(parked[0].reason.contains("failed 3 times within 60 s"), "{}", parked[0].reason);
        completes(&world, sibling, SECOND * 60).await;
        // Set aside means set aside.
        let restarts = world.recorder.all_restarts();
        assert_eq!(restarts, 2, "the third failure parks");
        tokio::time::sleep(SECOND * 300).await;
        assert_eq!(world.recorder.all_restarts(), restarts);
        only_restarted(&world, ActorKind::Session);
        // Healed and taken up again by an operator, it goes its way.
        world.faults.heal();
        world.store.unpark(actors::testing::tenant_id(), poisoned, world.clock.time(), "api").await.unwrap();
        completes(&world, poisoned, SECOND * 120).await;
        tree.stop(SOON).await;
    }
}
