//! Two nodes on one store: what one of them writes or is told beside the owner, with and without a way between them.

use actors::testing::{Fault, Op, World, plain_queue, tenant, tenant_id, until};
use domain::callback::{Live, Reason, Reply, SignalEvent};
use domain::ids::CallbackId;
use domain::ports::Hint;
use domain::queue::QueueSettings;
use tokio::time::Instant;

use super::support::{SOON, Service, pass, seconds};

const LIVE: Live = Live { position: 4, estimated_wait_seconds: 90 };

async fn two_nodes(settings: QueueSettings) -> (Service, Service) {
    let world = World::new();
    world.settings.put(tenant(settings));
    let owner = Service::start(world).await;
    let other = owner.beside().await;
    (owner, other)
}

async fn live(service: &Service, id: CallbackId) -> Option<Live> {
    service.desk.retrieve(tenant_id(), id).await.unwrap().live
}

/// How long it takes until the next attempt is with routing after another node was told that the first was refused.
async fn second_attempt_after(closed: bool) -> std::time::Duration {
    let (owner, other) = two_nodes(plain_queue()).await;
    if closed {
        owner.world.bus.close();
    }
    let id = owner.create().await;
    owner.until_entered(1).await;
    let began = Instant::now();
    assert_eq!(other.report(id, 1, 1, SignalEvent::Failed(None)).await, Ok(Reply::Done));
    until("the second attempt", SOON, || owner.world.routing.attempts_of(id) == [1, 2]).await;
    owner.assert_no_restarts();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_another_node_heard_is_followed_up_after_its_pause_told_or_not() {
    for closed in [false, true] {
        let after = second_attempt_after(closed).await;
        assert!(
            (seconds(1)..seconds(3)).contains(&after),
            "{after:?}: not before the pause of a second, and soon after"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_as_soon_as_another_node_has_granted_the_attempt() {
    let (owner, other) = two_nodes(QueueSettings { hand_off_limit: 1, ..plain_queue() }).await;
    let first = owner.create().await;
    owner.until_entered(1).await;
    let second = owner.create().await;
    pass(seconds(2)).await;
    assert!(owner.world.routing.attempts_of(second).is_empty(), "there is one place");
    assert_eq!(other.report(first, 1, 1, SignalEvent::Accepted).await, Ok(Reply::Done));
    let began = Instant::now();
    owner.until_entered(2).await;
    assert!(began.elapsed() < seconds(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_way_a_place_is_free_soon_after_another_node_has_granted_refused_or_ended_the_attempt() {
    for events in [
        vec![SignalEvent::Accepted],
        vec![SignalEvent::Failed(None)],
        vec![SignalEvent::Accepted, SignalEvent::Completed(None)],
    ] {
        let (owner, other) = two_nodes(QueueSettings { hand_off_limit: 1, ..plain_queue() }).await;
        owner.world.bus.close();
        let first = owner.create().await;
        owner.until_entered(1).await;
        let second = owner.create().await;
        for (seq, event) in (1..).zip(events.clone()) {
            assert_eq!(other.report(first, 1, seq, event).await, Ok(Reply::Done));
        }
        let began = Instant::now();
        until("the second has the place", SOON, || owner.world.routing.attempts_of(second) == [1]).await;
        assert!(began.elapsed() < seconds(2), "{events:?}: {:?}", began.elapsed());
        owner.assert_no_restarts();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_way_a_line_is_served_soon_after_an_outage_though_only_another_node_hears_of_it() {
    let (owner, other) = two_nodes(QueueSettings { hand_off_limit: 8, ..plain_queue() }).await;
    owner.world.bus.close();
    owner.world.faults.set(Op::Start, Fault::NotDone);
    for _ in 0..30 {
        owner.create().await;
    }
    pass(seconds(10)).await;
    owner.world.faults.heal();
    owner.until_entered(1).await;
    let began = Instant::now();
    for next in 0..30 {
        owner.until_entered(next + 1).await;
        let entered = owner.world.routing.entered()[next].invitation.id;
        for (seq, event) in [(1, SignalEvent::Accepted), (2, SignalEvent::Completed(None))] {
            assert_eq!(other.report(entered, 1, seq, event).await, Ok(Reply::Done));
        }
    }
    assert!(began.elapsed() < seconds(15), "{:?}", began.elapsed());
    owner.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn the_end_is_known_to_the_owner_who_tells_routing() {
    let (owner, other) = two_nodes(plain_queue()).await;
    let id = owner.accepted().await;
    other.cancel(id).await.unwrap();
    let began = Instant::now();
    until("routing is told", SOON, || owner.world.routing.closed().contains(&id)).await;
    assert!(began.elapsed() < std::time::Duration::from_millis(500), "{:?}: not by the sweep", began.elapsed());
    owner.until_ended(id, Reason::CANCELLED).await;
    owner.until_sessions(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_not_turned_away_because_others_save_first_again_and_again() {
    let (owner, other) = two_nodes(plain_queue()).await;
    for node in [&other, &owner] {
        let id = owner.accepted().await;
        owner.world.faults.next_for(Op::Save, id, Fault::Conflict, 12);
        node.cancel(id).await.unwrap();
        owner.until_ended(id, Reason::CANCELLED).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_callback_stands_is_told_by_every_node() {
    let (owner, other) = two_nodes(plain_queue()).await;
    let id = owner.accepted().await;
    assert_eq!((live(&owner, id).await, live(&other, id).await), (Some(Live::UNKNOWN), Some(Live::UNKNOWN)));
    owner.report(id, 1, 0, SignalEvent::Position(LIVE)).await.unwrap();
    assert_eq!((live(&owner, id).await, live(&other, id).await), (Some(LIVE), Some(LIVE)));
    let nearer = Live { position: 1, ..LIVE };
    other.report(id, 1, 0, SignalEvent::Position(nearer)).await.unwrap();
    assert_eq!((live(&owner, id).await, live(&other, id).await), (Some(nearer), Some(nearer)));
    // It is told again while it is so, though nothing changes, and asking after it is not needed.
    for _ in 0..20 {
        pass(seconds(30)).await;
        other.report(id, 1, 0, SignalEvent::Alive).await.unwrap();
    }
    assert_eq!(live(&other, id).await, Some(nearer));
    assert!(owner.world.routing.pinged().is_empty(), "the owner hears that it is alive");
}

#[tokio::test(start_paused = true)]
async fn without_a_way_only_who_was_told_knows_where_a_callback_stands() {
    let (owner, other) = two_nodes(plain_queue()).await;
    owner.world.bus.close();
    let id = owner.accepted().await;
    owner.report(id, 1, 0, SignalEvent::Position(LIVE)).await.unwrap();
    assert_eq!((live(&owner, id).await, live(&other, id).await), (Some(LIVE), Some(Live::UNKNOWN)));
    other.report(id, 1, 0, SignalEvent::Position(Live { position: 1, ..LIVE })).await.unwrap();
    assert_eq!(live(&owner, id).await, Some(LIVE));
    assert_eq!(live(&other, id).await.map(|live| live.position), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_same_place_again_is_no_news() {
    let (owner, _other) = two_nodes(plain_queue()).await;
    let id = owner.accepted().await;
    let told = || owner.world.bus.told().into_iter().filter(|hint| matches!(hint, Hint::Heard { .. })).count();
    let before = told();
    for _ in 0..50 {
        owner.report(id, 1, 0, SignalEvent::Position(LIVE)).await.unwrap();
        owner.report(id, 1, 0, SignalEvent::Alive).await.unwrap();
    }
    assert_eq!(told() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_what_the_owner_does_itself() {
    let (owner, _other) = two_nodes(plain_queue()).await;
    let id = owner.accepted().await;
    for (seq, event) in [(2, SignalEvent::Queued), (3, SignalEvent::Routing), (4, SignalEvent::Completed(None))] {
        owner.report(id, 1, seq, event).await.unwrap();
    }
    owner.until_sessions(0).await;
    assert_eq!(owner.world.bus.told(), []);
}

#[tokio::test(start_paused = true)]
async fn settings_are_read_at_once_when_somebody_says_that_they_have_changed() {
    let (owner, _other) = two_nodes(plain_queue()).await;
    let slots = || owner.world.key_ring.last().and_then(|(tenants, _)| tenants[0].queues.values().next().cloned());
    assert!(slots().is_some_and(|queue| !queue.paused));
    pass(seconds(5)).await;
    owner.world.settings.put(tenant(QueueSettings { paused: true, ..plain_queue() }));
    owner.world.bus.say(&Hint::SettingsChanged);
    let began = Instant::now();
    until("they are in force", SOON, || slots().is_some_and(|queue| queue.paused)).await;
    assert!(began.elapsed() < std::time::Duration::from_millis(300), "{:?}", began.elapsed());
}
