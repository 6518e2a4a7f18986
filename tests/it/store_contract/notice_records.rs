//! Notices as they are read, owed again, counted and removed.

use domain::callback::State;
use domain::happening::{About, Kind};
use domain::notices::{Channel, Detail, Verdict};
use domain::ports::{Booked, Booking, ClaimNotices, NoticeQuery, Renew, Settle};
use ges::stores::combiner::Limits;

use super::harness::*;
use super::notices::{claim, delivered, ended, kinds, step, told_to};

pub(crate) async fn can_be_owed_again(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep_told(&["first"]).await;
    store.callbacks.save(step(&callback, Kind::Queued, &["first"])).await.unwrap();
    store.keep_told(&[]).await;
    let renew = |delivered_too| Renew {
        tenant: tenant(),
        endpoint: "first".into(),
        seqs: vec![1, 2, 3, 77],
        delivered_too,
        at: noon(),
    };
    assert_eq!(store.notices.renew(renew(true)).await, Ok(1), "two are owed already, one never was, one is not there");
    for expected in [Kind::Created, Kind::Created, Kind::Queued] {
        let claimed = store.notices.claim(ClaimNotices { limit: 1, ..claim(noon() + minutes(1)) }).await.unwrap();
        assert_eq!(kinds(&claimed), [expected]);
        store.notices.settle(delivered(&claimed[0])).await.unwrap();
    }
    assert_eq!(store.notices.renew(renew(false)).await, Ok(0), "all were delivered");
    assert_eq!(store.notices.renew(renew(true)).await, Ok(3));
    let claimed = store.claimed(noon() + minutes(1)).await;
    assert_eq!(claimed.iter().map(|it| it.key.seq).collect::<Vec<_>>(), [1, 3], "one about each callback");
    assert!(claimed.iter().all(|it| it.attempt == 1 && !it.interrupted));
    store.notices.settle(delivered(&claimed[0])).await.unwrap();
    assert_eq!(store.claimed(noon() + minutes(1)).await[0].key.seq, 2, "in the order of the feed");
}

pub(crate) async fn are_listed(start: &Start) {
    let store = start(Limits::default());
    for _ in 0..3 {
        store.keep_told(&["first", "second"]).await;
    }
    let claimed = store.claimed(noon()).await;
    let mut again = claimed[0].clone();
    for _ in 0..30 {
        let failed = Settle { detail: Detail::NoAnswer, ..ended(&again, Verdict::Again(noon())) };
        store.notices.settle(failed).await.unwrap();
        again = store.claimed(noon() + minutes(0)).await.remove(0);
    }
    let first = |before| NoticeQuery::Endpoint { endpoint: "first".into(), before };
    let list = |query, limit| store.notices.notices(tenant(), query, limit);
    let newest = list(first(None), 2).await.unwrap();
    assert_eq!(newest.iter().map(|it| it.happening.seq_in(tenant()).unwrap()).collect::<Vec<_>>(), [3, 2]);
    let rest = list(first(Some(2)), 10).await.unwrap();
    assert_eq!((rest.len(), rest[0].kind, rest[0].endpoint.as_deref()), (1, Kind::Created, Some("first")));
    assert_eq!((rest[0].attempts, rest[0].ending), (31, None));
    assert!((10..30).contains(&rest[0].tries.len()), "the latest of them");
    assert!(rest[0].tries.iter().all(|(_, detail)| *detail == Detail::NoAnswer));
    let both = list(NoticeQuery::Happening(2), 10).await.unwrap();
    assert_eq!(both.iter().map(|it| it.endpoint.as_deref()).collect::<Vec<_>>(), [Some("first"), Some("second")]);
    assert_eq!(list(NoticeQuery::Push { before: None }, 10).await.unwrap(), []);
    let owed: Vec<_> = store.notices.endpoints(tenant()).await.unwrap().into_iter().map(|it| it.owed).collect();
    assert_eq!(owed, [3, 3]);
}

pub(crate) async fn old_happenings_go_and_places_stay(start: &Start) {
    let store = start(Limits::default());
    for round in 0..6 {
        let booking = Booking {
            booked_at: noon() + minutes(round),
            announcement: told_to(if round == 3 { &["first"] } else { &[] }),
            ..booking(scheduled(noon()))
        };
        store.callbacks.book(booking).await.unwrap();
    }
    let forget = |before, limit| store.notices.forget_happenings(tenant(), noon() + minutes(before), limit);
    assert_eq!(forget(5, 2).await, Ok(2), "no more than asked for");
    assert_eq!(forget(5, 10).await, Ok(1), "what is still owed is still told of");
    assert_eq!(forget(5, 10).await, Ok(0));
    let claimed = store.claimed(noon() + minutes(9)).await.remove(0);
    store.notices.settle(delivered(&claimed)).await.unwrap();
    assert_eq!(forget(5, 10).await, Ok(2));
    assert_eq!((store.injector.rows().happenings, store.injector.rows().notices), (1, 0));
    assert_eq!(forget(100, 10).await, Ok(1));
    let stretch = store.notices.happenings(tenant(), 0, 10).await.unwrap();
    assert_eq!((stretch.happenings.len(), stretch.first_kept, stretch.last), (0, 7, 6));
    store.keep_told(&[]).await;
    assert_eq!(store.feed().await[0].seq, 7, "a place is never given twice");
}

pub(crate) async fn are_walled_by_tenant(start: &Start) {
    let store = start(Limits::default());
    store.keep_told(&["first"]).await;
    let mut own = scheduled(noon());
    own.tenant = stranger();
    let booking = Booking { announcement: told_to(&["first"]), ..booking(own) };
    store.callbacks.book(booking).await.unwrap();
    for id in [tenant(), stranger()] {
        let stretch = store.notices.happenings(id, 0, 10).await.unwrap();
        assert_eq!((stretch.happenings.len(), stretch.last, stretch.happenings[0].tenant), (1, 1, id));
        assert_eq!(store.notices.endpoints(id).await.unwrap().len(), 1);
        assert_eq!(store.notices.notices(id, NoticeQuery::Happening(1), 10).await.unwrap().len(), 1);
    }
    let claimed = store.claimed(noon()).await;
    assert_eq!(claimed.iter().map(|it| it.tenant).collect::<Vec<_>>(), [tenant(), stranger()]);
    assert_ne!(claimed[0].key.lane, claimed[1].key.lane);
    assert_eq!(store.notices.enable_endpoint(stranger(), "second").await, Ok(false));
    let renew = Renew { tenant: stranger(), endpoint: "second".into(), seqs: vec![1], delivered_too: true, at: noon() };
    assert_eq!(store.notices.renew(renew).await, Ok(1));
    let own = store.notices.notices(tenant(), NoticeQuery::Happening(1), 10).await.unwrap();
    assert_eq!(own.len(), 1, "nothing of theirs is seen");
}

pub(crate) async fn are_counted(start: &Start) {
    let store = start(Limits::default());
    store.keep_told(&["first", "second"]).await;
    store.keep_told(&["first"]).await;
    let owed = store.notices.owed(noon() + minutes(2)).await.unwrap();
    let of = |channel| owed.iter().find(|it| it.channel == channel).unwrap();
    assert_eq!((of(Channel::Webhook).due, of(Channel::Webhook).oldest.as_secs()), (3, 120));
    assert_eq!((of(Channel::Push).due, of(Channel::Push).oldest.as_secs()), (0, 0));
    store.claimed(noon()).await;
    let owed = store.notices.owed(noon()).await.unwrap();
    assert!(owed.iter().all(|it| it.due == 0), "what is in hand is not overdue");
}

pub(crate) async fn devices_come_back(start: &Start) {
    let store = start(Limits::default());
    for callback in [
        scheduled(noon()).with_devices(10, None),
        immediate(ME, noon()).with_devices(0, Some(120)),
        immediate(ME, noon()).with_devices(2, Some(86_400)),
    ] {
        store.keep(callback.clone()).await;
        assert_eq!(store.load(callback.id).await, callback);
        let told = change(&callback, |callback| {
            callback.devices.told_upcoming = true;
            if let Some(originated) = &mut callback.originated {
                originated.until = Some(noon() + minutes(3));
            }
        });
        store.callbacks.save(told.clone()).await.unwrap();
        assert_eq!(store.load(callback.id).await, told.callback);
    }
}

pub(crate) async fn who_ends_for_another_is_told_of(start: &Start) {
    let store = start(Limits::default());
    let mut document = domain::tenant::TenantDocument::with_queues("contract", []);
    document.event_feed.enabled = true;
    let audience = document.resolve(tenant()).unwrap().audience_of_replacement(noon());
    let first = store.keep_told(&[]).await;
    let rule = domain::throttle::Duplicates { then: domain::throttle::OnDuplicate::Replace, limit: 1 };
    let limits = domain::throttle::BookingLimits { duplicates: Some(rule), ..Default::default() };
    let next = Booking { limits, on_replaced: audience, announcement: told_to(&[]), ..booking(scheduled(noon())) };
    assert!(matches!(store.callbacks.book(next).await, Ok(Booked::Replaced { id, .. }) if id == first.id));
    let feed = store.feed().await;
    assert_eq!(feed.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Created, Kind::Cancelled, Kind::Created]);
    let About::Callback(news) = &feed[1].about else { panic!("{feed:?}") };
    assert_eq!((news.id, news.state, news.version), (first.id, State::Completed, 2));
}
