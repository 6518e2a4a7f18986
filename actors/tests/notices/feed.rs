//! The feed: in order, without a gap, and waited for.

use std::time::Duration;

use actors::testing::{tenant_id, until};
use chrono::TimeDelta;
use domain::happening::Kind;
use domain::ports::{FeedFrom, FeedPage, NewsError};
use tokio::time::Instant;

use super::support::*;

impl Service {
    async fn read(&self, from: FeedFrom, limit: usize, wait: u64) -> FeedPage {
        self.news.feed(tenant_id(), from, limit, seconds(wait)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_read_on_from_where_one_was() {
    let service = Service::start(with_first()).await;
    service.call();
    let empty = service.read(FeedFrom::Start, 10, 0).await;
    assert_eq!((empty.happenings.len(), empty.next, empty.more, empty.missed), (0, 0, false, false));
    service.book().await;
    until("it has ended", SOON, || service.happenings().len() == 4).await;
    let mut from = FeedFrom::Start;
    let mut read = Vec::new();
    loop {
        let page = service.read(from, 3, 0).await;
        from = FeedFrom::After(page.next);
        read.extend(page.happenings);
        if !page.more {
            break;
        }
    }
    assert_eq!(kinds(&read), [Kind::Created, Kind::Routing, Kind::Processing, Kind::Completed]);
    let end = service.read(FeedFrom::End, 10, 0).await;
    assert_eq!((end.happenings.len(), end.next, end.more), (0, 4, false));
    let beyond = service.read(FeedFrom::After(900), 10, 0).await;
    assert_eq!((beyond.happenings.len(), beyond.next), (0, 4), "a place that was never given out");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_by_what_happens() {
    let service = Service::start(with_first()).await;
    let began = Instant::now();
    let waiting = service.read(FeedFrom::After(0), 10, 20);
    let booked = async {
        tokio::time::sleep(seconds(7)).await;
        service.book().await
    };
    let (page, id) = tokio::join!(waiting, booked);
    assert_eq!(page.happenings.iter().map(callback_of).collect::<Vec<_>>(), [id]);
    assert!(began.elapsed() < Duration::from_millis(7_100), "woken at once");
    let began = Instant::now();
    let page = service.read(FeedFrom::After(page.next), 10, 20).await;
    assert_eq!((page.happenings.len(), began.elapsed().as_secs()), (0, 20), "nothing came");
}

#[tokio::test(start_paused = true)]
async fn few_readers_of_a_tenant_wait_and_the_others_are_answered_at_once() {
    let service = Service::start(with_first()).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let news = service.news.clone();
        readers.push(tokio::spawn(async move {
            let began = Instant::now();
            news.feed(tenant_id(), FeedFrom::After(0), 1, seconds(20)).await.unwrap();
            began.elapsed().as_secs()
        }));
    }
    let mut waited = Vec::new();
    for reader in readers {
        waited.push(reader.await.unwrap());
    }
    assert_eq!(waited.iter().filter(|seconds| **seconds == 20).count(), 16);
    assert_eq!(waited.iter().filter(|seconds| **seconds == 0).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_feed_is_told_so() {
    let mut document = with_first();
    document.event_feed.enabled = false;
    let service = Service::start(document).await;
    let read = service.news.feed(tenant_id(), FeedFrom::Start, 1, Duration::ZERO).await;
    assert_eq!(read, Err(NewsError::SwitchedOff));
    let stranger = domain::ids::TenantId::from_name("stranger");
    assert!(matches!(
        service.news.feed(stranger, FeedFrom::Start, 1, Duration::ZERO).await,
        Err(NewsError::Unserved(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_and_a_reader_that_was_away_too_long_is_told() {
    let mut document = with_first();
    document.event_feed.keep_days = 1;
    document.webhooks.clear();
    document.queues.values_mut().for_each(|queue| queue.ttl_seconds = 14 * 86_400);
    let service = Service::start(document).await;
    service.book().await;
    service.book().await;
    service.world.clock.jump(TimeDelta::hours(1));
    service.book().await;
    service.world.clock.jump(TimeDelta::minutes(24 * 60 - 30));
    until("the old ones are gone", seconds(120), || service.happenings().len() == 1).await;
    assert!(service.read(FeedFrom::After(1), 10, 0).await.missed);
    let page = service.read(FeedFrom::After(2), 10, 0).await;
    assert_eq!((page.missed, page.happenings.len(), page.happenings[0].seq), (false, 1, 3));
    service.world.clock.jump(TimeDelta::hours(1));
    until("all are gone", seconds(120), || service.happenings().is_empty()).await;
    let empty = service.read(FeedFrom::Start, 10, 0).await;
    assert_eq!((empty.next, empty.missed), (0, false));
    service.book().await;
    assert_eq!(service.happenings()[0].seq, 4, "a place is never given twice");
}
