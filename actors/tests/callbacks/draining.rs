//! A node that ends beside others: what it has not begun is begun by them at once, and what it has begun is theirs when it
//! is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::testing::{Fault, Op, World, plain_queue, tenant, tenant_id, until};
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Cause, Reply, SignalEvent, State};
use domain::ids::{CallbackId, Incarnation};
use tokio::time::Instant;

use super::support::{SOON, Service, pass, seconds};

async fn two_nodes() -> (Service, Service) {
    let world = World::new();
    world.settings.put(tenant(plain_queue()));
    let ending = Service::start(world).await;
    let other = ending.beside().await;
    // Each has to know that the other is there.
    pass(seconds(5)).await;
    (ending, other)
}

/// When the first attempt entered.
fn entered_at(service: &Service, id: CallbackId) -> Option<DateTime<Utc>> {
    service.world.routing.entered().into_iter().find(|it| it.invitation.id == id).map(|it| it.at)
}

#[tokio::test(start_paused = true)]
async fn what_it_has_not_begun_starts_on_time_elsewhere_while_it_still_serves() {
    let (ending, other) = two_nodes().await;
    let after = |tenths: i64| ending.now() + TimeDelta::milliseconds(tenths * 100);
    let due: Vec<(CallbackId, DateTime<Utc>)> = {
        let mut due = Vec::new();
        for at in [after(1), after(9), after(22), after(47), after(300), after(1_500)] {
            due.push((ending.schedule(at).await, at));
        }
        due
    };
    let me = ending.row(due[0].0).owner;
    assert!(me.is_some(), "it is to start soon");
    let moved = ending.schedule(after(3_000)).await;
    ending.tree.begin_drain();
    pass(seconds(1)).await;
    // It goes on serving.
    let now = ending.create().await;
    let soon = after(20);
    let scheduled = ending.schedule(soon).await;
    ending.tree.moves_desk().reschedule(tenant_id(), moved, soon).await.unwrap();
    let wanted = due.into_iter().chain([(now, ending.now()), (scheduled, soon), (moved, soon)]);
    let wanted: Vec<_> = wanted.collect();
    pass(seconds(160)).await;
    for (id, at) in wanted {
        let late = entered_at(&ending, id).map(|entered| entered - at);
        let on_time = late.is_some_and(|late| late >= TimeDelta::zero() && late < TimeDelta::milliseconds(1_500));
        assert!(on_time, "wanted at {at}, {late:?} late");
        assert!(ending.row(id).owner.is_some_and(|owner| Some(owner) != me));
        assert_eq!(ending.world.routing.attempts_of(id), [1]);
    }
    ending.assert_no_restarts();
    ending.tree.stop(SOON).await;
    other.tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn what_it_has_begun_is_spread_over_the_others_as_it_stands() {
    const SESSIONS: usize = 401;
    let (ending, other) = two_nodes().await;
    let third = ending.world.nodes.add_other("third");
    let mut rows = BTreeMap::new();
    for number in 0..SESSIONS {
        let id = ending.create().await;
        ending.until_entered(number + 1).await;
        assert_eq!(ending.report(id, 1, 1, SignalEvent::Accepted).await, Ok(Reply::Done));
        rows.insert(id, ending.row(id));
        ending.world.nodes.beat_for(third);
    }
    let me = rows.values().next().unwrap().owner.unwrap();
    let others: Vec<Incarnation> = ending.world.nodes.registered().into_iter().filter(|it| *it != me).collect();
    let world = ending.world.clone();
    ending.tree.stop(SOON).await;
    assert!(!world.nodes.registered().contains(&me), "its row goes last");
    let mut owned: BTreeMap<Incarnation, usize> = BTreeMap::new();
    for (id, before) in &rows {
        let row = world.store.row(*id).unwrap();
        let owner = row.callback.owner.unwrap();
        *owned.entry(owner).or_default() += 1;
        assert_eq!((row.callback.version, row.callback.wake_at), (before.version + 1, before.wake_at));
        assert_eq!(row.history.last().map(|it| (it.version, it.cause)), Some((before.version + 1, Cause::Taken)));
    }
    assert_eq!(owned.keys().copied().collect::<Vec<_>>(), others);
    assert!(owned.values().all(|rows| (SESSIONS / 2..=SESSIONS / 2 + 1).contains(rows)), "{owned:?}");

    // Nobody waits for what is left to do about them.
    let (of_other, _) = rows.iter().find(|(id, _)| other.row(**id).owner != Some(third)).unwrap();
    let began = Instant::now();
    assert_eq!(other.report(*of_other, 1, 2, SignalEvent::Routing).await, Ok(Reply::Done));
    assert_eq!(other.row(*of_other).state, State::Routing);
    other.cancel(*of_other).await.unwrap();
    until("routing is told", SOON, || world.routing.closed().contains(of_other)).await;
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    other.assert_no_restarts();
    other.tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn alone_it_keeps_its_callbacks_for_its_next_life() {
    let world = World::new();
    world.settings.put(tenant(plain_queue()));
    let alone = Service::start(world).await;
    let id = alone.accepted().await;
    let before = alone.row(id);
    let world = alone.world.clone();
    alone.tree.begin_drain();
    let booked = alone.create().await;
    pass(seconds(5)).await;
    alone.tree.stop(SOON).await;
    assert_eq!((world.store.row(id).unwrap().callback, world.faults.calls(Op::HandOver)), (before, 0));
    let next = Service::start(world).await;
    let began = Instant::now();
    until("it is with routing", SOON, || entered_at(&next, booked).is_some()).await;
    assert!(began.elapsed() < seconds(2), "{:?}", began.elapsed());
    next.tree.stop(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_fails_delays_the_end_by_seconds_and_loses_nothing() {
    for fault in [Fault::NotDone, Fault::PerhapsDone, Fault::Slow(seconds(3_600)), Fault::Panic] {
        let (ending, other) = two_nodes().await;
        let accepted = ending.accepted().await;
        let scheduled = ending.schedule(ending.now() + TimeDelta::seconds(20)).await;
        ending.world.faults.set(Op::HandOver, fault);
        ending.tree.begin_drain();
        let began = Instant::now();
        ending.tree.stop(SOON).await;
        assert!(began.elapsed() < seconds(25), "{fault:?}: {:?}", began.elapsed());
        pass(seconds(60)).await;
        let (entered, wanted) = (entered_at(&other, scheduled), other.row(scheduled).desired_time);
        let late = entered.map(|entered| entered - wanted);
        assert!(late.is_some_and(|late| late < TimeDelta::seconds(2)), "{fault:?}: taken when it is due: {late:?}");
        assert_eq!(other.world.routing.attempts_of(accepted), [1]);
        other.cancel(accepted).await.unwrap();
        until("routing is told", SOON, || other.world.routing.closed().contains(&accepted)).await;
        other.tree.stop(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_end_side_by_side_do_not_go_on_handing_to_and_fro() {
    let (one, other) = two_nodes().await;
    let id = one.schedule(one.now() + TimeDelta::seconds(60)).await;
    one.tree.begin_drain();
    other.tree.begin_drain();
    pass(seconds(30)).await;
    assert!(one.row(id).version <= 1 + 6, "version {}", one.row(id).version);
    let version = one.row(id).version;
    pass(seconds(30)).await;
    assert_eq!(one.row(id).version, version);
    let world = one.world.clone();
    one.tree.stop(SOON).await;
    other.tree.stop(SOON).await;
    let next = Service::start(world).await;
    pass(seconds(5)).await;
    assert_eq!(next.world.routing.attempts_of(id), [1]);
    next.tree.stop(SOON).await;
}
