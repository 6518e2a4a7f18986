//! Notifications to customers: told once at most, while it is worth it, and of what still holds.

use actors::testing::{Fault, Op, World, tenant_id, until};
use chrono::TimeDelta;
use domain::callback::{Live, SignalEvent, State};
use domain::event::Event;
use domain::happening::{About, Kind};
use domain::ids::{CallbackId, Incarnation};
use domain::notices::{Detail, Ending, Outcome, Sent};
use domain::push::{PushEvent, PushResult};
use domain::queue::CallDirection;

use super::support::*;

const UPCOMING: [PushEvent; 1] = [PushEvent::CallbackUpcoming];

fn wait(seconds: i32) -> SignalEvent {
    SignalEvent::Position(Live { position: 3, estimated_wait_seconds: seconds })
}

impl Service {
    fn results(&self, result: PushResult) -> usize {
        let tenant = || "demo".into();
        self.world.recorder.count(|event| *event == Event::PushEnded { tenant: tenant(), result })
    }

    fn state(&self, id: CallbackId) -> State {
        self.world.store.row(id).unwrap().callback.state
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_told_once_however_often_it_rises_and_falls() {
    let service = Service::start(pushing(&UPCOMING)).await;
    let id = service.book_and_accept(&[DEVICE, "another"]).await;
    service.report(id, 2, SignalEvent::Queued).await;
    let saves = service.world.faults.calls(Op::Save);
    for seconds in [900, 600, 300, -1, 700] {
        service.report(id, 0, wait(seconds)).await;
    }
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(service.pushed(DEVICE), []);
    assert_eq!(service.world.faults.calls(Op::Save), saves, "nothing is written per report");
    for _ in 0..3 {
        for seconds in [299, 10, 800] {
            service.report(id, 0, wait(seconds)).await;
            tokio::time::sleep(self::seconds(11)).await;
        }
    }
    service.report(id, 3, SignalEvent::Routing).await;
    tokio::time::sleep(seconds(5)).await;
    for device in [DEVICE, "another"] {
        assert_eq!(service.pushed(device), UPCOMING, "{device}");
    }
    assert_eq!(service.results(PushResult::Confirmed), 2);
    assert!(service.world.store.row(id).unwrap().callback.devices.told_upcoming);
}

#[tokio::test(start_paused = true)]
async fn where_routing_can_be_asked_it_is_asked() {
    let service = Service::start(pushing(&UPCOMING)).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    let other = service.book_and_accept(&[]).await;
    for id in [id, other] {
        service.world.routing.set_live(id, Live { position: 3, estimated_wait_seconds: 400 });
    }
    tokio::time::sleep(seconds(10)).await;
    assert_eq!(service.pushed(DEVICE), []);
    for id in [id, other] {
        service.world.routing.set_live(id, Live { position: 1, estimated_wait_seconds: 200 });
    }
    service.until_told(DEVICE, 1).await;
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(service.pushed(DEVICE), UPCOMING);
    assert_eq!(service.happenings().len(), 1, "who has no device is not told of");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_became_short_in_an_outage_is_told_after_it() {
    let service = Service::start(pushing(&UPCOMING)).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.world.faults.set(Op::Save, Fault::NotDone);
    service.report(id, 0, wait(100)).await;
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(service.pushed(DEVICE), []);
    service.world.faults.heal();
    until("it is told", seconds(90), || {
        // Routing reports on.
        let (inbox, report) = (service.inbox.clone(), wait(100));
        tokio::spawn(async move {
            let session = domain::ids::SessionId::new("s").ok();
            let signal = domain::callback::Signal { attempt: 1, seq: 0, session, event: report };
            drop(inbox.signal(tenant_id(), id, signal).await);
        });
        !service.pushed(DEVICE).is_empty()
    })
    .await;
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(service.pushed(DEVICE), UPCOMING);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_chooses_what_is_told() {
    let service = Service::start(pushing(&PushEvent::ALL)).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.report(id, 2, SignalEvent::Routing).await;
    service.until_told(DEVICE, 1).await;
    service.report(id, 3, SignalEvent::Processing).await;
    service.report(id, 4, SignalEvent::Completed(None)).await;
    service.until_told(DEVICE, 2).await;
    let mut later = for_devices(&[DEVICE]);
    later.desired_time = Some(service.world.clock.time() + TimeDelta::hours(5));
    let later = service.desk.submit(tenant_id(), later).await.unwrap().id;
    service.until_told(DEVICE, 3).await;
    service.cancel(later).await;
    service.until_told(DEVICE, 4).await;
    use PushEvent::{CallbackAgentReady, CallbackCancelled, CallbackCompleted, CallbackScheduled};
    let told = [CallbackAgentReady, CallbackCompleted, CallbackScheduled, CallbackCancelled];
    assert_eq!(service.pushed(DEVICE), told);
    assert_eq!(service.results(PushResult::Confirmed), 4);
}

#[tokio::test(start_paused = true)]
async fn what_perhaps_was_sent_is_not_sent_again_and_what_surely_was_not_is() {
    for (sent, times, ending, result) in [
        (Sent::new(Outcome::Perhaps, Detail::NoAnswer), 1, Ending::Perhaps, PushResult::NotConfirmed),
        (refused(404), 1, Ending::Failed, PushResult::SendError),
        (Sent::new(Outcome::NotDone, Detail::NotReached), 4, Ending::Delivered, PushResult::Confirmed),
    ] {
        let service = Service::start(pushing(&UPCOMING)).await;
        service.world.courier.next(DEVICE, [sent.clone(), sent.clone(), sent.clone()].into_iter().take(times.min(3)));
        let id = service.book_and_accept(&[DEVICE]).await;
        service.report(id, 0, wait(10)).await;
        service.until_told(DEVICE, 1).await;
        service.until_settled().await;
        tokio::time::sleep(seconds(600)).await;
        assert_eq!((service.pushed(DEVICE).len(), service.endings()), (times, vec![Some(ending)]), "{sent:?}");
        assert_eq!(service.results(result), 1, "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_until_it_is_no_longer_worth_it() {
    let service = Service::start(pushing(&UPCOMING)).await;
    service.world.courier.always(DEVICE, Outcome::NotDone, Detail::NotReached);
    let id = service.book_and_accept(&[DEVICE]).await;
    let began = service.world.clock.time();
    service.report(id, 0, wait(10)).await;
    until("given up", seconds(700), || service.endings() == [Some(Ending::Expired)]).await;
    let last = service.world.courier.carried_to(DEVICE).pop().unwrap().at;
    assert!(last - began < TimeDelta::minutes(10), "never after its time");
    assert!((10..25).contains(&service.pushed(DEVICE).len()), "{}", service.pushed(DEVICE).len());
    assert_eq!(service.results(PushResult::SendError), 1);
}

#[tokio::test(start_paused = true)]
async fn what_no_longer_holds_is_not_sent() {
    let service = Service::start(pushing(&UPCOMING)).await;
    service.world.courier.next(DEVICE, [Sent::new(Outcome::NotDone, Detail::NotReached)]);
    let id = service.book_and_accept(&[DEVICE]).await;
    service.world.faults.set(Op::ClaimNotices, Fault::NotDone);
    service.report(id, 0, wait(10)).await;
    tokio::time::sleep(seconds(2)).await;
    service.cancel(id).await;
    service.world.faults.heal_op(Op::ClaimNotices);
    until("dropped", SOON, || service.endings() == [Some(Ending::Dropped)]).await;
    assert_eq!(service.pushed(DEVICE), []);
    assert_eq!(PushResult::ALL.map(|result| service.results(result)), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_notification_replaces_one_that_nobody_has_begun_to_send() {
    let service = Service::start(pushing(&PushEvent::ALL)).await;
    service.world.faults.set(Op::ClaimNotices, Fault::NotDone);
    let id = service.book_and_accept(&[DEVICE]).await;
    service.report(id, 0, wait(10)).await;
    tokio::time::sleep(seconds(1)).await;
    service.report(id, 2, SignalEvent::Routing).await;
    service.world.faults.heal_op(Op::ClaimNotices);
    service.until_settled().await;
    assert_eq!(service.endings(), [Some(Ending::Dropped), Some(Ending::Delivered)]);
    assert_eq!(service.pushed(DEVICE), [PushEvent::CallbackAgentReady]);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_had_in_hand_counts_as_perhaps_sent() {
    let world = World::new();
    world.settings.put(pushing(&UPCOMING).resolve(tenant_id()).unwrap());
    world.faults.set(Op::ClaimNotices, Fault::NotDone);
    let service = Service::start_in(world.clone()).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.report(id, 0, wait(10)).await;
    until("it is owed", SOON, || world.store.notice_rows().len() == 1).await;
    service.tree.stop(SOON).await;
    let key = world.store.notice_rows()[0].key;
    world.store.put_in_hand(key, Incarnation(999), world.clock.time() + TimeDelta::seconds(90));
    world.faults.heal();
    let service = Service::start_in(world).await;
    until("settled", SOON, || service.endings() == [Some(Ending::Perhaps)]).await;
    assert_eq!(service.pushed(DEVICE), []);
    assert_eq!(service.results(PushResult::NotConfirmed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_leads_to_no_second_notification() {
    let service = Service::start(pushing(&UPCOMING)).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.world.faults.set(Op::Settle, Fault::NotDone);
    service.report(id, 0, wait(10)).await;
    service.until_told(DEVICE, 1).await;
    tokio::time::sleep(seconds(60)).await;
    service.world.faults.heal_op(Op::Settle);
    until("settled", seconds(120), || service.endings() == [Some(Ending::Perhaps)]).await;
    assert_eq!(service.pushed(DEVICE), UPCOMING);
}

#[tokio::test(start_paused = true)]
async fn the_tenant_is_told_what_became_of_it() {
    let mut document = pushing(&UPCOMING);
    document.event_feed.enabled = true;
    document.webhooks.insert("first".into(), endpoint(FIRST));
    let service = Service::start(document).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.report(id, 0, wait(10)).await;
    until("told", SOON, || service.told(FIRST, id).len() == 3).await;
    assert_eq!(service.told(FIRST, id), [Kind::Created, Kind::Upcoming, Kind::Push]);
    let About::Callback(news) = &service.happenings()[2].about else { panic!("about a callback") };
    assert_eq!(news.push, Some((PushEvent::CallbackUpcoming, PushResult::Confirmed)));
}

/// A tenant in whose queue customers call in, within two minutes.
fn originated(threshold_minutes: u32) -> domain::tenant::TenantDocument {
    let mut document = pushing(&[]);
    for queue in document.queues.values_mut() {
        queue.call_direction = CallDirection::UserOriginated;
        queue.pushed_expiry_seconds = 120;
        queue.push_threshold_minutes = threshold_minutes;
    }
    document
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_calls_in_is_told_when_the_turn_comes() {
    for by_wait in [true, false] {
        let service = Service::start(originated(if by_wait { 5 } else { 0 })).await;
        let id = service.book_and_accept(&[DEVICE]).await;
        service.report(id, 2, SignalEvent::Queued).await;
        service.report(id, 0, wait(400)).await;
        tokio::time::sleep(seconds(5)).await;
        assert_eq!(service.pushed(DEVICE), []);
        if by_wait {
            service.report(id, 0, wait(60)).await;
        } else {
            service.report(id, 3, SignalEvent::Routing).await;
        }
        service.until_told(DEVICE, 1).await;
        if by_wait {
            service.report(id, 3, SignalEvent::Routing).await;
        }
        service.report(id, 4, SignalEvent::Processing).await;
        tokio::time::sleep(seconds(600)).await;
        assert_eq!(service.pushed(DEVICE), [PushEvent::CallbackAgentReady], "{by_wait}");
        assert_eq!(service.state(id), State::Processing, "who has called is left to it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_does_not_call_in_loses_the_turn() {
    let service = Service::start(originated(0)).await;
    let id = service.book_and_accept(&[DEVICE]).await;
    service.report(id, 2, SignalEvent::Routing).await;
    service.until_told(DEVICE, 1).await;
    tokio::time::sleep(seconds(110)).await;
    assert_eq!(service.state(id), State::Routing);
    until("it has ended", SOON, || service.state(id) == State::Completed).await;
    let callback = service.world.store.row(id).unwrap().callback;
    assert_eq!(callback.reason.unwrap().as_str(), "FAIL_USER_NO_CONFIRM");
    until("routing is told", SOON, || service.world.routing.closed().contains(&id)).await;
}
