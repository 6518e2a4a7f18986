//! Ends that no port can bring about: actors killed from outside. The rest of supervision is tested through the
//! fakes in `tests/supervision.rs`.

use domain::event::{Event, Failure};
use ractor::ActorCell;

use super::*;
use crate::testing::{World, until};

const SOON: Duration = Duration::from_secs(10);

async fn start(world: &World) -> Tree {
    let settings = TreeSettings { node_name: "node".into(), version: "1".into(), session_limit: 1_000 };
    let tree = Tree::start(world.ports(), settings).await.unwrap();
    until("everything runs", SOON, || {
        tree.health()().ready
            && world.recorder.living(ActorKind::Probe) == 2
            && world.recorder.living(ActorKind::Connector) == 1
            && world.recorder.living(ActorKind::Tenant) == 1
    })
    .await;
    tree
}

/// All actors below one, itself not included.
fn below(actor: &ActorCell) -> Vec<ActorCell> {
    let children = actor.get_children();
    let grandchildren: Vec<ActorCell> = children.iter().flat_map(below).collect();
    children.into_iter().chain(grandchildren).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_is_killed_is_started_again_and_nobody_else() {
    let world = World::new();
    let tree = start(&world).await;
    let count = below(&tree.root).len();
    assert_eq!(count, 10, "six singletons, two probes, a connector, a tenant");
    for round in 0..count {
        let victim = below(&tree.root).remove(round);
        let restarts = world.recorder.all_restarts();
        victim.kill();
        until("it is missed", SOON, || world.recorder.all_restarts() == restarts + 1).await;
        // A probe or a connector that fell to this more than once pauses for longer.
        until("all are there", SOON * 4, || below(&tree.root).len() == count).await;
        assert_eq!(world.recorder.all_restarts(), restarts + 1, "round {round}");
        // Outside the window of its policy.
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    assert_eq!(world.recorder.count(|event| matches!(event, Event::Restarted { reason: Failure::Error, .. })), count);
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_that_is_killed_is_reported_as_an_error_of_that_kind() {
    let world = World::new();
    let tree = start(&world).await;
    let singletons = tree.root.get_children();
    assert_eq!(singletons.len(), 6);
    for singleton in singletons {
        for child in singleton.get_children() {
            child.kill();
        }
    }
    for (kind, times) in [(ActorKind::Probe, 2), (ActorKind::Connector, 1), (ActorKind::Tenant, 1)] {
        world.recorder.wait_for_restarts(SOON, kind, Failure::Error, times).await;
    }
    until("they are back", Duration::from_secs(30), || below(&tree.root).len() == 10).await;
    for kind in [ActorKind::Probe, ActorKind::Connector, ActorKind::Tenant] {
        let (living, all) = (world.recorder.living(kind), world.recorder.started(kind));
        assert_eq!(living * 2, all, "{}: each counted once when it started and once when it ended", kind.name());
    }
    tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_killed_ends_the_tree() {
    let world = World::new();
    let tree = start(&world).await;
    tree.root.kill();
    let why = timeout(SOON, tree.gave_up()).await.unwrap();
    assert!(why.contains("root"), "{why}");
    until("all have ended", SOON, || ActorKind::ALL.iter().all(|kind| world.recorder.living(*kind) == 0)).await;
}
