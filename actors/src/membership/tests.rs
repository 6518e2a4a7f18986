use std::sync::atomic::AtomicUsize;

use chrono::{DateTime, TimeDelta};
use domain::callback::{Callback, HandOff, Terms};
use domain::ids::{CallbackId, Incarnation};
use domain::numbers::{PhoneNumber, Region};
use domain::ports::NodeStore;
use tokio::time::sleep;

use super::upkeep::KEPT_FOR;
use super::*;
use crate::testing::{Collected, Fault as Told, Op, PHONE, World, collect, queue_name, tenant_id, until};

const SECOND: Duration = Duration::from_secs(1);

/// Membership alone, with somebody in the place of the tenants who notes what he is sent.
struct Stage {
    world: World,
    node: Arc<Node>,
    membership: ActorRef<MembershipMsg>,
    sent: Collected<TenantsMsg>,
}

impl Stage {
    async fn new(world: World) -> Self {
        Self::with_seats(world, 1_000).await
    }

    async fn with_seats(world: World, seats: usize) -> Self {
        let me = world.nodes.register("node", "1").await.unwrap();
        let node = Node::new(world.ports(), me, seats);
        let (tenants, sent) = collect(world.clock.clone()).await;
        node.tenants.put(tenants);
        let args = MembershipArgs { node: node.clone(), waiting: Arc::new(AtomicUsize::new(0)) };
        let (membership, _) = MembershipActor::spawn(None, MembershipActor, args).await.unwrap();
        Self { world, node, membership, sent }
    }

    fn swept(&self) -> Vec<CallbackId> {
        let messages = self.sent.all();
        messages
            .iter()
            .flat_map(|(_, message)| match message {
                TenantsMsg::Work { due } => due.iter().map(|due| due.id).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    fn settings_changed(&self) -> usize {
        self.sent.all().iter().filter(|(_, message)| matches!(message, TenantsMsg::SettingsChanged)).count()
    }

    fn owner(&self, id: CallbackId) -> Option<Incarnation> {
        self.world.store.row(id).unwrap().callback.owner
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.membership.stop(None);
    }
}

fn row(world: &World, owner: Option<Incarnation>, wake_at: DateTime<chrono::Utc>) -> CallbackId {
    let terms = Terms {
        tenant: tenant_id(),
        queue: queue_name(),
        phone: PhoneNumber::parse(PHONE, Region::US).unwrap(),
        ttl: TimeDelta::days(1),
    };
    let id = CallbackId::generate(world.clock.time());
    let callback = Callback::immediate(id, terms, Incarnation(0), wake_at);
    world.store.insert(Callback { owner, wake_at: Some(wake_at), ..callback });
    id
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_life_left_behind_is_taken_with_the_first_heartbeat() {
    let world = World::new();
    let earlier = world.nodes.register("node", "1").await.unwrap();
    let id = row(&world, Some(earlier), world.clock.time() - TimeDelta::seconds(1));
    let stage = Stage::new(world).await;
    until("it is taken", SECOND / 5, || stage.swept().contains(&id)).await;
    assert_eq!(stage.owner(id), Some(stage.node.me));
    let taken = |event: &Event| matches!(event, Event::Swept { taken: 1, oldest } if *oldest >= SECOND);
    assert_eq!(stage.world.recorder.count(taken), 1, "it is counted, and so is how long it had been due");
    assert!(stage.world.recorder.count(|event| matches!(event, Event::Beaten { living: 1, .. })) > 0);
    assert_eq!(stage.world.clock.observed().map(|at| at <= stage.world.clock.time()), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_living_node_keeps_its_rows_until_it_stands_still() {
    let world = World::new();
    let other = world.nodes.add_other("other");
    let id = row(&world, Some(other), world.clock.time() - TimeDelta::seconds(1));
    let stage = Stage::new(world).await;
    for _ in 0..20 {
        stage.world.nodes.beat_for(other);
        sleep(SECOND).await;
        assert_eq!(stage.owner(id), Some(other));
    }
    let died = Instant::now();
    until("it is taken", SECOND * 6, || stage.owner(id) == Some(stage.node.me)).await;
    assert!(died.elapsed() >= SECOND * 3, "after {:?}", died.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_door_hears_how_many_nodes_share_the_limits() {
    let world = World::new();
    world.nodes.add_other("other");
    let stage = Stage::new(world).await;
    let key_ring = stage.world.key_ring.clone();
    until("both live", SECOND * 2, || key_ring.nodes() == 2).await;
    until("the other has died", SECOND * 6, || key_ring.nodes() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_overdue_row_is_taken_whoever_owns_it() {
    let world = World::new();
    let other = world.nodes.add_other("other");
    let at = world.clock.time() - TimeDelta::seconds(46);
    let (accepted, waiting) = (row(&world, Some(other), at), row(&world, Some(other), at));
    world.store.insert(Callback { hand_off: HandOff::Accepted, ..world.store.row(accepted).unwrap().callback });
    let stage = Stage::new(world).await;
    let began = Instant::now();
    // What waits for a place has its turn where it is.
    for (id, from, until) in [(accepted, 14, 17), (waiting, 590, 610)] {
        while stage.owner(id) == Some(other) {
            stage.world.nodes.beat_for(other);
            sleep(SECOND).await;
            assert!(began.elapsed() < SECOND * until);
        }
        assert!(began.elapsed() >= SECOND * from, "after {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn own_rows_are_brought_back_every_second_while_they_are_due() {
    let world = World::new();
    let stage = Stage::new(world).await;
    let now = stage.world.clock.time();
    let due = row(&stage.world, Some(stage.node.me), now);
    let later = row(&stage.world, Some(stage.node.me), now + TimeDelta::seconds(30));
    until("it is brought back", SECOND * 5, || stage.swept().iter().filter(|id| **id == due).count() >= 3).await;
    assert!(!stage.swept().contains(&later));
}

#[tokio::test(start_paused = true)]
async fn rows_that_stay_due_do_not_hide_those_behind_them() {
    let world = World::new();
    let stage = Stage::new(world).await;
    let now = stage.world.clock.time();
    for number in 0..5_000 {
        row(&stage.world, Some(stage.node.me), now - TimeDelta::milliseconds(10_000 - number));
    }
    let last = row(&stage.world, Some(stage.node.me), now);
    until("the last is brought back", SECOND * 5, || stage.swept().contains(&last)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_node_leaves_is_taken_in_one_go_as_far_as_there_are_places() {
    let world = World::new();
    let other = world.nodes.add_other("other");
    let now = world.clock.time();
    let all: Vec<_> =
        (0..6_000).map(|number| row(&world, Some(other), now - TimeDelta::milliseconds(number))).collect();
    let stage = Stage::with_seats(world, 5_000).await;
    let taken = || all.iter().filter(|id| stage.owner(**id) == Some(stage.node.me)).count();
    until("the first are taken", SECOND * 6, || taken() > 0).await;
    sleep(SECOND / 2).await;
    assert_eq!(taken(), 5_000);
    let heard: std::collections::HashSet<_> = stage.swept().into_iter().collect();
    assert_eq!(all.iter().filter(|id| heard.contains(id)).count(), 5_000, "work on each of them begins");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_without_a_free_place() {
    let world = World::new();
    let id = row(&world, None, world.clock.time());
    let stage = Stage::new(world).await;
    let seats: Vec<_> = (0..1_000).map(|_| stage.node.take_seat()).collect();
    sleep(SECOND * 3).await;
    assert_eq!(stage.owner(id), None);
    drop(seats);
    until("it is taken", SECOND * 2, || stage.owner(id) == Some(stage.node.me)).await;
}

#[tokio::test(start_paused = true)]
async fn without_heartbeats_nothing_is_begun_and_their_return_begins_a_quiet_time() {
    let stage = Stage::new(World::new()).await;
    sleep(SECOND * 100).await;
    assert!(stage.node.may_work());
    let quiet_before = stage.node.ping_from();
    for fault in [Told::NotDone, Told::PerhapsDone, Told::Slow(SECOND * 30)] {
        stage.world.faults.set(Op::Heartbeat, fault);
        sleep(SECOND * 6).await;
        assert!(!stage.node.may_work(), "{fault:?}");
        let sweeps = stage.world.faults.calls(Op::Take);
        sleep(SECOND * 60).await;
        assert_eq!(stage.world.faults.calls(Op::Take), sweeps, "{fault:?}");
        assert_eq!(stage.membership.get_status(), ractor::ActorStatus::Running, "an outage is not a failure");
        stage.world.faults.heal();
        until("it works again", SECOND * 4, || stage.node.may_work()).await;
        assert!(stage.node.ping_from() > quiet_before);
    }
}

#[tokio::test(start_paused = true)]
async fn one_heartbeat_is_on_its_way_at_a_time() {
    let world = World::new();
    world.faults.set(Op::Heartbeat, Told::Slow(SECOND * 30));
    let stage = Stage::new(world).await;
    sleep(SECOND * 30).await;
    let calls = stage.world.faults.calls(Op::Heartbeat);
    assert!((9..=11).contains(&calls), "each is given 2.5 s, on the next full second the next begins: {calls}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_settings_is_noticed_within_two_seconds() {
    let stage = Stage::new(World::new()).await;
    sleep(SECOND * 5).await;
    assert_eq!(stage.settings_changed(), 1, "the first heartbeat cannot know what changed before");
    stage.world.settings.put(crate::testing::tenant(domain::queue::QueueSettings::default()));
    until("it is noticed", SECOND * 2, || stage.settings_changed() == 2).await;
    sleep(SECOND * 5).await;
    assert_eq!(stage.settings_changed(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_name_was_taken_begins_nothing_any_more() {
    let stage = Stage::new(World::new()).await;
    until("it works", SECOND, || stage.node.may_work()).await;
    stage.world.nodes.add_other("node");
    until("it does not work", SECOND * 2, || !stage.node.may_work()).await;
}

#[tokio::test(start_paused = true)]
async fn old_records_are_removed_step_by_step() {
    let world = World::new();
    let old = world.clock.time() - KEPT_FOR - TimeDelta::days(1);
    for number in 0..1_203 {
        let id = row(&world, None, old);
        let settled = Callback {
            state: domain::callback::State::Completed,
            wake_at: None,
            desired_time: if number < 3 { world.clock.time() } else { old },
            ..world.store.row(id).unwrap().callback
        };
        world.store.insert(settled);
    }
    let stage = Stage::new(world).await;
    until("they are gone", SECOND * 70, || stage.world.store.rows().len() == 3).await;
    assert_eq!(stage.world.faults.calls(Op::Purge), 3);
    until("it is told", SECOND, || {
        stage.world.recorder.count(|event| matches!(event, Event::Purged { callbacks: 1_200 })) == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_sizes_of_the_work_lists_are_told_every_quarter_of_a_minute() {
    let world = World::new();
    row(&world, None, world.clock.time() + TimeDelta::hours(1));
    let stage = Stage::new(world).await;
    sleep(SECOND * 61).await;
    let told = stage.world.recorder.count(|event| matches!(event, Event::WorkLists { ping_total: 1, .. }));
    assert!((4..=5).contains(&told), "{told}");
}

#[tokio::test(start_paused = true)]
async fn settings_are_read_again_within_half_an_hour() {
    let stage = Stage::new(World::new()).await;
    until("the first heartbeat", SECOND * 5, || stage.settings_changed() == 1).await;
    sleep(SECOND * 60 * 24).await;
    assert_eq!(stage.settings_changed(), 1);
    sleep(SECOND * 60 * 6).await;
    assert_eq!(stage.settings_changed(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_hands_everything_over_in_batches() {
    let world = World::new();
    let [one, other] = ["one", "other"].map(|name| world.nodes.add_other(name));
    let stage = Stage::new(world).await;
    let later = stage.world.clock.time() + TimeDelta::hours(1);
    for _ in 0..4_500 {
        row(&stage.world, Some(stage.node.me), later);
    }
    sleep(SECOND).await;
    stage.node.begin_drain();
    let (reply, done) = oneshot::channel();
    stage.node.membership.hint(MembershipMsg::HandOver { reply });
    done.await.unwrap();
    let owned = |owner| stage.world.store.rows().iter().filter(|row| row.callback.owner == Some(owner)).count();
    assert_eq!((owned(one), owned(other), owned(stage.node.me)), (2_250, 2_250, 0));
    assert!(stage.world.store.rows().iter().all(|row| row.callback.wake_at == Some(later)));
    sleep(SECOND * 10).await;
    let calls = stage.world.faults.calls(Op::HandOver);
    assert!((4..=8).contains(&calls), "three batches, and each look that finds nothing more: {calls}");
}
