//! Messages to endpoints: in order, until they are taken, and to nobody's cost but their own.

use actors::testing::{Fault, Op, World, until};
use domain::event::{Event, MessageResult};
use domain::happening::Kind;
use domain::ids::Incarnation;
use domain::notices::{Detail, Ending, Outcome, Sent};
use domain::ports::{NewsError, NoticeQuery, RecoverFrom};
use domain::tenant::TenantDocument;
use domain::webhooks::LADDER;

use super::support::*;
use actors::testing::tenant_id;

const WHOLE_LIFE: [Kind; 4] = [Kind::Created, Kind::Routing, Kind::Processing, Kind::Completed];

#[tokio::test(start_paused = true)]
async fn who_is_not_told_costs_nothing() {
    let service = Service::start(quiet()).await;
    service.call();
    service.book().await;
    tokio::time::sleep(seconds(120)).await;
    assert_eq!((service.happenings(), service.endings()), (vec![], vec![]));
    assert_eq!(service.world.courier.carried(), []);
}

#[tokio::test(start_paused = true)]
async fn every_step_is_told_in_order_and_once() {
    let service = Service::start(with_both()).await;
    service.call();
    let id = service.book().await;
    for to in [FIRST, SECOND] {
        service.until_told(to, 4).await;
    }
    service.until_settled().await;
    for to in [FIRST, SECOND] {
        assert_eq!(service.told(to, id), WHOLE_LIFE, "{to}");
    }
    let ids: Vec<String> = service.world.courier.carried_to(FIRST).into_iter().map(|it| it.id).collect();
    let feed: Vec<String> = service.happenings().iter().map(|it| it.id().to_string()).collect();
    assert_eq!(ids, feed, "a message has the id of its event");
    let delivered = Event::MessageTried { tenant: "demo".into(), result: MessageResult::Delivered };
    assert_eq!(service.world.recorder.count(|event| *event == delivered), 8);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_hears_of_what_it_asked_for() {
    let mut document = with_both();
    document.webhooks.get_mut("first").unwrap().events = vec![Kind::Completed];
    document.webhooks.get_mut("second").unwrap().disabled = true;
    let service = Service::start(document).await;
    service.call();
    let id = service.book().await;
    service.until_told(FIRST, 1).await;
    assert_eq!(service.told(FIRST, id), [Kind::Completed]);
    assert_eq!(service.told(SECOND, id), []);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_repeated_along_the_ladder_and_those_behind_it_wait() {
    let service = Service::start(with_first()).await;
    service.call();
    let courier = &service.world.courier;
    let id = service.book().await;
    service.until_told(FIRST, 1).await;
    let failure = || Sent::new(Outcome::NotDone, Detail::Status(503));
    courier.next_about(id, [failure(), failure(), failure()]);
    until("it is refused", SOON, || service.told(FIRST, id).len() == 2).await;
    // Another callback passes by.
    let other = service.book().await;
    until("the other one is told", SOON, || service.told(FIRST, other).len() == 4).await;
    assert!(service.told(FIRST, id).len() <= 3, "it has not got on meanwhile");
    until("it is told", seconds(3_000), || service.told(FIRST, id).len() == 7).await;
    let [created, routing, processing, completed] = WHOLE_LIFE;
    assert_eq!(service.told(FIRST, id), [created, routing, routing, routing, routing, processing, completed]);
    let own: Vec<_> = courier.carried_to(FIRST).into_iter().filter(|it| it.callback == Some(id)).collect();
    assert!(own[1..5].iter().all(|it| it.id == own[1].id), "under the same id");
    let pauses: Vec<i64> = own[1..5].windows(2).map(|pair| (pair[1].at - pair[0].at).num_seconds()).collect();
    assert_eq!(pauses, [5, 300, 1_800]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_takes_is_given_up_and_the_next_one_goes() {
    let service = Service::start(with_first()).await;
    service.call();
    service.world.courier.next(FIRST, (0..8).map(|_| refused(500)));
    let id = service.book().await;
    for (tries, pause) in LADDER.into_iter().enumerate() {
        until("it is tried", SOON, || service.told(FIRST, id).len() == tries + 1).await;
        tokio::time::sleep(seconds(1)).await;
        service.world.clock.jump(pause - chrono::TimeDelta::seconds(3));
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(service.told(FIRST, id).len(), tries + 1, "not before its time");
        service.world.clock.jump(chrono::TimeDelta::seconds(2));
    }
    until("given up", SOON, || service.told(FIRST, id).len() == 11).await;
    service.until_settled().await;
    assert_eq!(service.told(FIRST, id)[8..], WHOLE_LIFE[1..]);
    let delivered = Some(Ending::Delivered);
    assert_eq!(service.endings(), [Some(Ending::Failed), delivered, delivered, delivered]);
    let views = service.news.notices(tenant_id(), NoticeQuery::Happening(1), 10).await.unwrap();
    assert_eq!((views[0].attempts, views[0].tries.len()), (8, 8));
    assert!(views[0].tries.iter().all(|(_, detail)| *detail == Detail::Status(500)));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_for_five_days_is_switched_off_and_can_be_switched_on() {
    let service = Service::start(with_both()).await;
    service.world.courier.always(FIRST, Outcome::NotDone, Detail::NotReached);
    let disabled = |event: &Event| matches!(event, Event::EndpointDisabled { .. });
    for day in 0..6 {
        let tries = service.world.courier.carried_to(FIRST).len();
        let id = service.book().await;
        service.cancel(id).await;
        until("it is tried", SOON, || service.world.courier.carried_to(FIRST).len() > tries).await;
        tokio::time::sleep(seconds(1)).await;
        let off = service.world.recorder.count(disabled);
        assert_eq!(off, usize::from(day == 5), "day {day}");
        service.world.clock.jump(chrono::TimeDelta::days(1));
    }
    let told = kinds(&service.happenings());
    assert_eq!(told.iter().filter(|kind| **kind == Kind::EndpointDisabled).count(), 1);
    let second = service.world.courier.carried_to(SECOND);
    assert_eq!(second.iter().filter(|it| it.kind == Some(Kind::EndpointDisabled)).count(), 1, "the other is told");
    service.until_settled().await;

    // Off: nothing is owed to it, nothing is tried.
    let tries = service.world.courier.carried_to(FIRST).len();
    let missed = service.book().await;
    until("the other is told", SOON, || service.told(SECOND, missed).len() == 1).await;
    tokio::time::sleep(seconds(3_600)).await;
    assert_eq!(service.world.courier.carried_to(FIRST).len(), tries);

    // On again, and told of what it has missed.
    service.world.courier.heal(FIRST);
    assert_eq!(service.news.enable(tenant_id(), "first").await, Ok(true));
    assert_eq!(service.news.enable(tenant_id(), "first").await, Ok(false));
    let since = service.world.clock.time() - chrono::TimeDelta::hours(2);
    let recovered = service.news.recover(tenant_id(), "first", RecoverFrom::Since(since)).await.unwrap();
    assert_eq!((recovered.messages, recovered.complete), (1, true));
    until("it is told", SOON, || service.told(FIRST, missed) == [Kind::Created]).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_switched_off_at_once() {
    let service = Service::start(with_first()).await;
    service.world.courier.next(FIRST, [refused(410)]);
    service.book().await;
    until("it is off", SOON, || kinds(&service.happenings()).contains(&Kind::EndpointDisabled)).await;
    let record = &service.news.endpoints(tenant_id()).await.unwrap()[0];
    assert!(record.record.as_ref().unwrap().disabled_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_holds_no_more_than_its_share_and_hinders_nobody() {
    let service = Service::start(with_both()).await;
    service.world.courier.slow(FIRST, seconds(20));
    for _ in 0..40 {
        service.book().await;
    }
    service.until_told(SECOND, 40).await;
    assert!(service.world.courier.carried_to(FIRST).len() <= 16, "two shares at most in this time");
    until("all are told", seconds(120), || service.world.courier.carried_to(FIRST).len() == 40).await;
    assert_eq!(service.world.courier.most_in_hand(FIRST), 8);
    service.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_had_in_hand_is_sent_again_under_the_same_id() {
    let world = World::new();
    world.settings.put(with_first().resolve(tenant_id()).unwrap());
    let service = Service::start_in(world.clone()).await;
    let id = service.book().await;
    service.until_told(FIRST, 1).await;
    service.tree.stop(SOON).await;
    // As a kill between sending and writing back leaves it.
    let row = &world.store.notice_rows()[0];
    let renew = domain::ports::Renew {
        tenant: tenant_id(),
        endpoint: "first".into(),
        seqs: vec![1],
        delivered_too: true,
        at: world.clock.time(),
    };
    domain::ports::NoticeStore::renew(world.store.as_ref(), renew).await.unwrap();
    world.store.put_in_hand(row.key, Incarnation(999), world.clock.time() + chrono::TimeDelta::seconds(90));
    world.courier.next_about(id, [Sent::new(Outcome::NotDone, Detail::Status(503))]);
    let service = Service::start_in(world).await;
    service.until_told(FIRST, 3).await;
    let carried = service.world.courier.carried_to(FIRST);
    assert_eq!((carried[0].id.clone(), carried[0].callback), (carried[1].id.clone(), Some(id)));
    assert!((carried[1].at - carried[0].at).num_seconds() < 30, "long before its lease would have ended");
    assert_eq!((carried[2].at - carried[1].at).num_seconds(), 5, "the try that broke off cost no rung of the ladder");
    service.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_repeats_a_message_at_most() {
    let service = Service::start(with_first()).await;
    service.world.faults.next(Op::Settle, Fault::NotDone, 2);
    service.world.faults.next(Op::Settle, Fault::PerhapsDone, 1);
    let id = service.book().await;
    service.until_settled().await;
    assert_eq!(service.told(FIRST, id), [Kind::Created], "written back a little later");
    // It cannot be written back at all: after its lease it is sent again.
    service.world.faults.set(Op::Settle, Fault::NotDone);
    service.cancel(id).await;
    service.until_told(FIRST, 2).await;
    tokio::time::sleep(seconds(60)).await;
    service.world.faults.heal_op(Op::Settle);
    until("it is sent again", seconds(120), || service.told(FIRST, id).len() == 3).await;
    assert_eq!(service.told(FIRST, id), [Kind::Created, Kind::Cancelled, Kind::Cancelled]);
    service.until_settled().await;
    assert_eq!(service.world.recorder.all_restarts(), 0, "an outage is not a failure");
}

#[tokio::test(start_paused = true)]
async fn a_sending_that_panics_hurts_nothing_else() {
    let service = Service::start(with_both()).await;
    service.world.courier.panic_next(FIRST);
    let id = service.book().await;
    until("it is tried again", SOON, || service.told(FIRST, id).len() == 2).await;
    assert_eq!(service.told(SECOND, id).len(), 1);
    assert_eq!(service.world.recorder.count(|event| *event == Event::PanicCaught), 1);
    assert_eq!(service.world.recorder.all_restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_message_can_be_sent_again_and_a_made_up_one_too() {
    let service = Service::start(with_first()).await;
    let id = service.book().await;
    service.until_settled().await;
    let happening = service.happenings()[0].id();
    service.news.resend(tenant_id(), "first", happening).await.unwrap();
    until("again", SOON, || service.told(FIRST, id).len() == 2).await;
    service.until_settled().await;
    for (name, happening) in [
        ("second", happening),
        ("first", domain::happening::HappeningId::new(tenant_id(), 77)),
        ("first", domain::happening::HappeningId::new(domain::ids::TenantId::from_name("other"), 1)),
    ] {
        assert_eq!(service.news.resend(tenant_id(), name, happening).await, Err(NewsError::NotFound), "{name}");
    }
    let sent = service.news.send_example(tenant_id(), "first", Kind::Completed).await.unwrap();
    assert_eq!(sent.outcome, Outcome::Done);
    let example = service.world.courier.carried_to(FIRST).pop().unwrap();
    assert!(example.id.starts_with("example_") && example.kind == Some(Kind::Completed));
    assert_eq!(service.happenings().len(), 1, "it never happened");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_an_endpoint_that_was_removed_is_dropped() {
    let service = Service::start(with_first()).await;
    service.world.courier.always(FIRST, Outcome::NotDone, Detail::NotReached);
    service.book().await;
    service.until_told(FIRST, 1).await;
    let put = |document: TenantDocument| service.world.settings.put(document.resolve(tenant_id()).unwrap());
    put(quiet());
    until("dropped", SOON, || service.endings() == [Some(Ending::Dropped)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_measured() {
    let service = Service::start(with_first()).await;
    service.world.faults.set(Op::ClaimNotices, Fault::NotDone);
    service.book().await;
    let webhook = |event: &Event| match event {
        Event::Owed(owed) if owed.channel == domain::notices::Channel::Webhook => {
            owed.due == 1 && owed.oldest >= seconds(10)
        }
        _ => false,
    };
    until("it is seen", seconds(60), || service.world.recorder.count(webhook) > 0).await;
    service.world.faults.heal();
    service.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_ends_for_another_is_told_of_too() {
    let mut document = with_first();
    document.push.events = vec![domain::push::PushEvent::CallbackCancelled];
    for queue in document.queues.values_mut() {
        queue.duplicate_policy = domain::queue::DuplicatePolicy::Replace;
        queue.duplicate_limit = 1;
    }
    let service = Service::start(document).await;
    let first = service.book_for(&[DEVICE]).await;
    let second = service.book().await;
    service.until_told(FIRST, 4).await;
    assert_eq!(service.told(FIRST, first), [Kind::Created, Kind::Cancelled, Kind::Push]);
    assert_eq!(service.told(FIRST, second), [Kind::Created]);
    assert_eq!(service.pushed(DEVICE), [domain::push::PushEvent::CallbackCancelled]);
}
