use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;

use domain::callback::{Callback, Terms};
use domain::numbers::{PhoneNumber, Region};
use tokio::time::sleep;

use super::*;
use crate::testing::{Fault as Told, Op, PHONE, World, collect, queue_name, tenant_id, until};

const SECOND: Duration = Duration::from_secs(1);

/// A scheduler alone, with somebody in the place of the tenants who notes what is fired and when.
struct Stage {
    world: World,
    node: Arc<Node>,
    scheduler: ActorRef<SchedulerMsg>,
    fired: crate::testing::Collected<TenantsMsg>,
}

impl Stage {
    async fn new(world: World) -> Self {
        let node = Node::new(world.ports(), domain::ids::Incarnation(1), 1_000);
        let (tenants, fired) = collect(world.clock.clone()).await;
        node.tenants.put(tenants);
        node.set_alive_until(Some(Instant::now() + Duration::from_secs(86_400)));
        let args = SchedulerArgs { node: node.clone(), waiting: Arc::new(AtomicUsize::new(0)) };
        let (scheduler, _) = SchedulerActor::spawn(None, SchedulerActor, args).await.unwrap();
        Self { world, node, scheduler, fired }
    }

    /// Everything fired so far, each with the instant at which it was.
    fn fired(&self) -> Vec<(DateTime<Utc>, Due)> {
        let messages = self.fired.all();
        messages
            .iter()
            .flat_map(|(at, message)| match message {
                TenantsMsg::Work { due } => due.iter().map(|due| (*at, due.clone())).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    fn fired_count(&self) -> usize {
        let messages = self.fired.all();
        let sizes = messages.iter().map(|(_, message)| match message {
            TenantsMsg::Work { due } => due.len(),
            _ => 0,
        });
        sizes.sum()
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.clock.time()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.scheduler.stop(None);
    }
}

fn scheduled(now: DateTime<Utc>, desired_time: DateTime<Utc>) -> Callback {
    let terms = Terms {
        tenant: tenant_id(),
        queue: queue_name(),
        phone: PhoneNumber::parse(PHONE, Region::US).unwrap(),
        ttl: TimeDelta::days(1),
    };
    Callback::scheduled(CallbackId::generate(now), terms, None, desired_time, desired_time, None)
}

/// Fired once each, never before its instant, and at most so much after it.
fn assert_punctual(fired: &[(DateTime<Utc>, Due)], expected: usize, late: TimeDelta) {
    let ids: HashSet<CallbackId> = fired.iter().map(|(_, due)| due.id).collect();
    assert_eq!((ids.len(), fired.len()), (expected, expected), "each exactly once");
    for (at, due) in fired {
        assert!(*at >= due.wake_at, "{at} is before {}", due.wake_at);
        assert!(*at - due.wake_at <= late, "{at} is long after {}", due.wake_at);
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_in_three_minutes_fire_at_their_instants() {
    let world = World::new();
    let now = world.clock.time();
    for number in 0..2_000 {
        world.store.insert(scheduled(now, now + TimeDelta::milliseconds(100 + number * 90)));
    }
    let stage = Stage::new(world).await;
    // Each at an instant of its own, so each in a message of its own.
    until("all are fired", Duration::from_secs(200), || stage.fired.all().len() >= 2_000).await;
    assert_punctual(&stage.fired(), 2_000, TimeDelta::milliseconds(5));
}

#[tokio::test(start_paused = true)]
async fn many_at_one_instant_are_claimed_in_batches_and_none_is_lost() {
    let world = World::new();
    let now = world.clock.time();
    let start = now + TimeDelta::seconds(40);
    for _ in 0..3_000 {
        world.store.insert(scheduled(now, start));
    }
    let stage = Stage::new(world).await;
    until("all are claimed", SECOND, || stage.node.claimed.load(Ordering::Relaxed) == 3_000).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 7, "six full batches and an empty one");
    until("all are fired", Duration::from_secs(60), || stage.fired_count() >= 3_000).await;
    assert_punctual(&stage.fired(), 3_000, TimeDelta::milliseconds(5));
    let messages = stage.fired.all();
    let longest = messages.iter().map(|(_, message)| match message {
        TenantsMsg::Work { due } => due.len(),
        _ => 0,
    });
    assert_eq!(longest.max(), Some(FIRED_AT_ONCE));
}

#[tokio::test(start_paused = true)]
async fn it_claims_at_its_start_and_then_on_the_minute() {
    let world = World::new();
    let stage = Stage::new(world).await;
    sleep(SECOND).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 1);
    // It began half past a minute.
    sleep(Duration::from_millis(28_900)).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 1);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 2);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 4);
}

#[tokio::test(start_paused = true)]
async fn what_starts_within_ninety_seconds_is_claimed_and_the_rest_is_left() {
    let world = World::new();
    let now = world.clock.time();
    let (near, far) = (scheduled(now, now + TimeDelta::seconds(89)), scheduled(now, now + TimeDelta::seconds(300)));
    let (near_id, far_id) = (near.id, far.id);
    world.store.insert(near);
    world.store.insert(far);
    let stage = Stage::new(world).await;
    let owned = |id| stage.world.store.row(id).unwrap().callback.owner.is_some();
    until("the near one is claimed", SECOND, || owned(near_id)).await;
    assert!(!owned(far_id));
    until("both are fired", Duration::from_secs(310), || stage.fired_count() >= 2).await;
    assert_punctual(&stage.fired(), 2, TimeDelta::milliseconds(5));
}

#[tokio::test(start_paused = true)]
async fn the_lead_of_the_queue_counts() {
    let world = World::new();
    let now = world.clock.time();
    world.routing.set_wait(&queue_name(), 600);
    let early = scheduled(now, now + TimeDelta::seconds(660));
    world.store.insert(early);
    let stage = Stage::new(world).await;
    // Only a known tenant's queue has a lead.
    let (tenant, _messages) = collect(stage.world.clock.clone()).await;
    let settings = domain::queue::QueueSettings { execution_buffer_seconds: 0, ..Default::default() };
    let tenant = crate::directory::Entry { address: tenant, tenant: Arc::new(crate::testing::tenant(settings)) };
    stage.node.directory.put(tenant);
    until("it is fired", Duration::from_secs(100), || stage.fired_count() > 0).await;
    let (at, due) = stage.fired().remove(0);
    assert_eq!(due.wake_at, now + TimeDelta::seconds(60));
    assert!(at >= due.wake_at && at - due.wake_at < TimeDelta::milliseconds(5));
}

#[tokio::test(start_paused = true)]
async fn missed_minutes_are_not_made_up_for() {
    let stage = Stage::new(World::new()).await;
    sleep(SECOND).await;
    stage.world.clock.jump(TimeDelta::minutes(10));
    sleep(SECOND * 3).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), 2, "the start, and one for all that was missed");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_corrected_makes_nothing_early_and_nothing_a_second_late() {
    for jump in [TimeDelta::seconds(20), TimeDelta::seconds(-20), TimeDelta::hours(-1)] {
        let world = World::new();
        let now = world.clock.time();
        world.store.insert(scheduled(now, now + TimeDelta::seconds(50)));
        let stage = Stage::new(world).await;
        until("it is claimed", SECOND, || stage.node.claimed.load(Ordering::Relaxed) == 1).await;
        stage.world.clock.jump(jump);
        until("it is fired", Duration::from_secs(3_800), || stage.fired_count() > 0).await;
        assert_punctual(&stage.fired(), 1, TimeDelta::milliseconds(1_005));
        let calls = stage.world.faults.calls(Op::Claim);
        sleep(Duration::from_secs(61)).await;
        assert!(stage.world.faults.calls(Op::Claim) > calls, "minutes go on after {jump}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_work_claims_nothing() {
    let world = World::new();
    let stage = Stage::new(world).await;
    sleep(SECOND).await;
    stage.node.set_alive_until(None);
    let before = stage.world.faults.calls(Op::Claim);
    sleep(Duration::from_secs(180)).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), before);
    stage.node.set_alive_until(Some(Instant::now() + Duration::from_secs(3_600)));
    until("it claims again", SECOND, || stage.world.faults.calls(Op::Claim) > before).await;
    stage.node.begin_drain();
    let before = stage.world.faults.calls(Op::Claim);
    sleep(Duration::from_secs(180)).await;
    assert_eq!(stage.world.faults.calls(Op::Claim), before, "drained for good");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_is_waited_out() {
    let world = World::new();
    let now = world.clock.time();
    world.store.insert(scheduled(now, now + TimeDelta::seconds(30)));
    for fault in [Told::NotDone, Told::PerhapsNot, Told::Slow(Duration::from_secs(60))] {
        world.faults.set(Op::Claim, fault);
        let stage = Stage::new(world.clone()).await;
        sleep(Duration::from_secs(45)).await;
        assert_eq!(stage.scheduler.get_status(), ractor::ActorStatus::Running, "{fault:?}");
        assert!(stage.world.faults.calls(Op::Claim) >= 3, "{fault:?}");
        assert_eq!(stage.fired_count(), 0);
        world.faults.heal();
    }
    let stage = Stage::new(world).await;
    until("it is fired", Duration::from_secs(5), || stage.fired_count() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_tenant_hands_over_is_fired_and_a_past_instant_at_once() {
    let stage = Stage::new(World::new()).await;
    let now = stage.now();
    let due = |seconds: i64| {
        let callback = scheduled(now, now + TimeDelta::seconds(seconds));
        Due {
            id: callback.id,
            tenant: callback.tenant,
            queue: callback.queue,
            state: callback.state,
            desired_time: callback.desired_time,
            wake_at: callback.start_at,
            needs_place: true,
        }
    };
    stage.scheduler.cast(SchedulerMsg::Claimed { due: vec![due(7), due(-3)] }).unwrap();
    until("the past one is fired", Duration::from_millis(20), || stage.fired_count() == 1).await;
    until("the other is fired", Duration::from_secs(8), || stage.fired_count() == 2).await;
    let (at, due) = stage.fired().remove(1);
    assert!(at >= due.wake_at && at - due.wake_at < TimeDelta::milliseconds(5));
}
