//! Callbacks for later: no actor until they are due, never early, judged at their instant.

use actors::testing::{World, plain_queue, queue_name, tenant, until};
use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Cause, Reason, State};
use domain::event::{ActorKind, Event};
use domain::ports::SubmitError;
use domain::queue::{QueueSettings, WhenClosed};

use super::support::{SOON, Service, pass, seconds};

fn entered_at(service: &Service, index: usize) -> DateTime<Utc> {
    service.world.routing.entered()[index].at
}

/// Not before `instant`, and soon after.
fn assert_on_time(at: DateTime<Utc>, instant: DateTime<Utc>) {
    assert!(at >= instant, "early by {}", instant - at);
    assert!(at - instant < TimeDelta::milliseconds(50), "late by {}", at - instant);
}

#[tokio::test(start_paused = true)]
async fn near_and_far_ones_start_at_their_instant() {
    let service = Service::calling_with(plain_queue()).await;
    let mut wanted: Vec<_> = [7_345, 20_000, 100_001, 159_000, 161_000, 400_500, 3_600_000]
        .map(|ms| service.now() + TimeDelta::milliseconds(ms))
        .into();
    let mut ids = Vec::new();
    for desired_time in &wanted {
        ids.push(service.schedule(*desired_time).await);
    }
    assert_eq!(service.world.recorder.started(ActorKind::Session), 0, "nothing in memory until then");
    pass(seconds(420)).await;
    assert_eq!(service.world.routing.entered().len(), wanted.len() - 1);
    pass(seconds(3_170)).await;
    until("all ended", SOON, || ids.iter().all(|id| service.row(*id).reason == Some(Reason::AGENT_CONNECTED))).await;
    wanted.sort_unstable();
    for (index, desired_time) in wanted.iter().enumerate() {
        assert_on_time(entered_at(&service, index), *desired_time);
    }
    let fired = service.world.recorder.count(|event| matches!(event, Event::Fired { .. }));
    assert_eq!(fired, wanted.len());
    service.assert_no_restarts();
}

#[tokio::test(start_paused = true)]
async fn the_expected_wait_and_the_buffer_start_it_earlier() {
    let service = Service::calling_with(QueueSettings { execution_buffer_seconds: 120, ..plain_queue() }).await;
    service.world.routing.set_wait(&queue_name(), 600);
    let desired_time = service.now() + TimeDelta::seconds(3_600);
    service.schedule(desired_time).await;
    pass(seconds(3_600 - 721)).await;
    service.until_entered(1).await;
    assert_on_time(entered_at(&service, 0), desired_time - TimeDelta::seconds(720));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_shrank_starts_it_later() {
    let service = Service::calling_with(plain_queue()).await;
    service.world.routing.set_wait(&queue_name(), 600);
    let desired_time = service.now() + TimeDelta::seconds(3_600);
    let id = service.schedule(desired_time).await;
    pass(seconds(3_600 - 700)).await;
    until("claimed", SOON, || service.row(id).owner.is_some()).await;
    service.world.routing.set_wait(&queue_name(), 60);
    pass(seconds(600)).await;
    service.until_entered(1).await;
    assert_on_time(entered_at(&service, 0), desired_time - TimeDelta::seconds(60));
    let row = service.world.store.row(id).unwrap();
    let moved = row.history.iter().filter(|entry| entry.cause == Cause::Postponed).count();
    assert_eq!(moved, 1, "written down once, not with every sweep");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_needs_no_session_and_gives_the_slot_back() {
    let service = Service::calling_with(plain_queue()).await;
    let id = service.schedule(service.now() + TimeDelta::hours(5)).await;
    assert_eq!(service.world.store.places(), 1);
    service.cancel(id).await.unwrap();
    service.cancel(id).await.expect("again");
    let row = service.row(id);
    assert_eq!((row.state, row.reason.clone()), (State::Completed, Some(Reason::CANCELLED)));
    assert!(row.is_settled(), "routing never heard of it");
    assert_eq!(service.world.store.places(), 0);
    pass(seconds(6 * 3_600)).await;
    assert!(service.world.routing.entered().is_empty());
    assert_eq!(service.world.recorder.started(ActorKind::Session), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_slot_proposes_others() {
    let service = Service::calling_with(QueueSettings { slot_capacity: 1, ..plain_queue() }).await;
    let desired_time: DateTime<Utc> = "2026-11-24T12:02:00Z".parse().unwrap();
    service.schedule(desired_time).await;
    let refused = service
        .desk
        .submit(actors::testing::tenant_id(), actors::testing::booking(Some(desired_time)))
        .await
        .unwrap_err();
    let SubmitError::SlotFull { proposals } = refused else { panic!("{refused:?}") };
    assert_eq!(proposals.len(), 10);
    assert_eq!(proposals[0], ("2026-11-24T12:05:00Z".parse().unwrap(), 1));
    assert_eq!(service.world.recorder.count(|event| matches!(event, Event::SlotFull { .. })), 1);
}

/// Open on weekdays from 9 to 17 in New York, 14 to 22 UTC in November.
fn office(when_closed: WhenClosed) -> QueueSettings {
    let ranges = r#"[{"from":"09:00","to":"17:00"}]"#;
    let weekly = ["mon", "tue", "wed", "thu", "fri"].map(|day| format!(r#""{day}":{ranges}"#)).join(",");
    let hours = format!(r#"{{"zone":"America/New_York","weekly":{{{weekly}}}}}"#);
    let hours = serde_json::from_str(&hours).unwrap();
    QueueSettings { hours, when_closed, reject_out_of_hours: false, ..plain_queue() }
}

#[tokio::test(start_paused = true)]
async fn due_while_closed_waits_for_the_opening() {
    // Monday, 10:00:30 UTC; the office opens at 14:00.
    let service = Service::calling_with(office(WhenClosed::WaitForOpening)).await;
    let id = service.schedule(service.now() + TimeDelta::minutes(30)).await;
    pass(seconds(4 * 3_600 - 60)).await;
    service.until_entered(1).await;
    assert_on_time(entered_at(&service, 0), "2026-11-23T14:00:00Z".parse().unwrap());
    let row = service.world.store.row(id).unwrap();
    assert_eq!(row.history.iter().filter(|entry| entry.cause == Cause::Postponed).count(), 1);
    let lateness = service.world.recorder.events().into_iter().find_map(|event| match event {
        Event::Fired { lateness } => Some(lateness),
        _ => None,
    });
    assert!(lateness.is_some_and(|lateness| lateness < seconds(1)), "lateness counts from the opening");
}

#[tokio::test(start_paused = true)]
async fn due_while_closed_expires_where_the_queue_says_so() {
    let service = Service::calling_with(office(WhenClosed::Expire)).await;
    let id = service.schedule(service.now() + TimeDelta::minutes(30)).await;
    pass(seconds(1_790)).await;
    service.until_ended(id, Reason::FAIL_TIMEOUT_TTL).await;
    assert!(service.world.routing.entered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_before_the_opening_is_in_hours_if_the_call_is() {
    let service =
        Service::calling_with(QueueSettings { execution_buffer_seconds: 120, ..office(WhenClosed::Expire) }).await;
    service.schedule("2026-11-23T14:00:00Z".parse().unwrap()).await;
    pass(seconds(4 * 3_600 - 240)).await;
    service.until_entered(1).await;
    assert_on_time(entered_at(&service, 0), "2026-11-23T13:58:00Z".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_opens_ends_it_with_its_life() {
    // Saturday; with an hour to live it ends before the office opens on Monday.
    let world = World::at("2026-11-28T11:58:00Z".parse().unwrap());
    world.settings.put(tenant(QueueSettings { ttl_seconds: 3_600, ..office(WhenClosed::WaitForOpening) }));
    let service = Service::start(world).await;
    let desired_time: DateTime<Utc> = "2026-11-28T12:00:00Z".parse().unwrap();
    let id = service.schedule(desired_time).await;
    pass(seconds(3_700)).await;
    service.until_state(id, State::Completed).await;
    let row = service.world.store.row(id).unwrap();
    assert_eq!(row.callback.reason, Some(Reason::FAIL_TIMEOUT_TTL));
    assert!(row.callback.ended_at.unwrap() - desired_time < TimeDelta::seconds(3_605));
    assert!(row.history.len() <= 5, "{:?}", row.history);
    until("no session is left", SOON, || service.sessions() == 0).await;
}
