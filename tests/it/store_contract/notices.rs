//! Happenings and notices: written with their step, taken on by one, ended by whoever holds them.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, Cause, Reason, State};
use domain::happening::{About, Announcement, Happening, Kind, OwedPush};
use domain::ids::Incarnation;
use domain::notices::{Claimed, Detail, Ending, Lane, LaneId, Verdict};
use domain::ports::{
    Booked, Booking, Change, ClaimNotices, EndpointMood, NoticeQuery, SaveError, Settle, Settled, Told,
};
use domain::push::{PushEvent, PushResult};
use domain::webhooks::FAILING_MAX;
use ges::stores::combiner::Limits;

use super::harness::*;

pub(super) fn announce(kind: Kind, endpoints: &[&str], push: Option<OwedPush>) -> Option<Announcement> {
    Some(Announcement { kind, endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(), push })
}

pub(super) fn told_to(endpoints: &[&str]) -> Option<Announcement> {
    announce(Kind::Created, endpoints, None)
}

/// A step that is told of.
pub(super) fn step(before: &Callback, kind: Kind, endpoints: &[&str]) -> Change {
    Change { announcement: announce(kind, endpoints, None), ..change(before, |_| ()) }
}

pub(super) fn claim(at: DateTime<Utc>) -> ClaimNotices {
    ClaimNotices {
        owner: ME,
        living: vec![ME, OTHER],
        at,
        lease: Duration::seconds(90),
        after: LaneId(0),
        per_lane: 100,
        in_hand: BTreeMap::new(),
        limit: 100,
    }
}

pub(super) fn ended(claimed: &Claimed, verdict: Verdict) -> Settle {
    Settle {
        tenant: claimed.tenant,
        key: claimed.key,
        owner: ME,
        attempt: claimed.attempt,
        verdict,
        detail: Detail::Status(200),
        endpoint: EndpointMood::Unknown,
        at: noon() + Duration::seconds(1),
        told: None,
        told_of_disabling: Vec::new(),
    }
}

pub(super) fn delivered(claimed: &Claimed) -> Settle {
    ended(claimed, Verdict::Settled(Ending::Delivered))
}

impl Fixture {
    pub(super) async fn keep_told(&self, endpoints: &[&str]) -> Callback {
        let callback = scheduled(noon());
        let booking = Booking { announcement: told_to(endpoints), ..booking(callback.clone()) };
        assert_eq!(self.callbacks.book(booking).await, Ok(Booked::New));
        callback
    }

    pub(super) async fn claimed(&self, at: DateTime<Utc>) -> Vec<Claimed> {
        self.notices.claim(claim(at)).await.unwrap()
    }

    pub(super) async fn feed(&self) -> Vec<Happening> {
        self.notices.happenings(tenant(), 0, 1_000).await.unwrap().happenings
    }
}

pub(super) fn endpoint_of(claimed: &Claimed) -> &str {
    match &claimed.lane {
        Lane::Webhook { endpoint } => endpoint,
        Lane::Push => "",
    }
}

pub(super) fn kinds(claimed: &[Claimed]) -> Vec<Kind> {
    claimed.iter().map(|it| it.happening.kind).collect()
}

pub(crate) async fn are_written_with_their_step_and_only_then(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep_told(&["first"]).await;
    let step = step(&callback, Kind::Queued, &["first", "second"]);
    assert_eq!(store.callbacks.save(step.clone()).await, Ok(()));
    assert_eq!((store.injector.rows().happenings, store.injector.rows().notices), (2, 3));
    // What is refused leaves no trace of either kind.
    assert_eq!(store.callbacks.save(step).await, Err(SaveError::Conflict));
    let again = Booking { announcement: told_to(&["first"]), ..with_key(scheduled(noon()), 1, 1) };
    assert_eq!(store.callbacks.book(again.clone()).await, Ok(Booked::New));
    let repeated = Booking { callback: scheduled(noon()), ..again };
    assert!(matches!(store.callbacks.book(repeated).await, Ok(Booked::Existing(_))));
    let full = Booking { slot_capacity: 0, announcement: told_to(&["first"]), ..booking(in_slot(noon())) };
    assert_eq!(store.callbacks.book(full).await, Ok(Booked::SlotFull));
    assert_eq!((store.injector.rows().happenings, store.injector.rows().notices), (3, 4));
    // Nor does what is rolled back.
    store.injector.break_bookings_of(phone(7), Break::Transaction);
    let broken = Booking { announcement: told_to(&["first"]), ..booking(with_phone(scheduled(noon()), phone(7))) };
    assert!(store.callbacks.book(broken).await.is_err());
    assert_eq!((store.injector.rows().happenings, store.injector.rows().notices), (3, 4));
}

pub(crate) async fn cost_nothing_where_nobody_is_told(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    store.callbacks.save(change(&callback, |callback| callback.attempt = 1)).await.unwrap();
    assert_eq!((store.injector.rows().happenings, store.injector.rows().notices), (0, 0));
    let commits = store.injector.commits();
    assert_eq!(store.claimed(noon()).await, []);
    assert_eq!(store.injector.commits(), commits, "looking writes nothing");
    let stretch = store.notices.happenings(tenant(), 0, 10).await.unwrap();
    assert_eq!((stretch.first_kept, stretch.last, stretch.happenings.len()), (1, 0, 0));
}

pub(crate) async fn come_back_whole(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(with_phone(scheduled(noon()), phone(5))).await;
    let mut end = change(&before, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::AGENT_CONNECTED);
        callback.wake_at = None;
        callback.ended_at = Some(noon());
    });
    end.saving.cause = Cause::Reported;
    end.saving.implied = vec![State::Queued, State::Routing, State::Processing];
    end.at = noon() + Duration::milliseconds(7);
    end.announcement = announce(Kind::Completed, &["first"], None);
    store.callbacks.save(end).await.unwrap();
    let claimed = store.claimed(noon() + minutes(1)).await;
    let [notice] = claimed.as_slice() else { panic!("{claimed:?}") };
    assert_eq!((notice.attempt, notice.interrupted, notice.lane_disabled, notice.expires_at), (1, false, false, None));
    assert_eq!((endpoint_of(notice), notice.tenant), ("first", tenant()));
    let happening = &notice.happening;
    assert_eq!(store.feed().await, std::slice::from_ref(happening));
    assert_eq!((happening.seq, happening.kind, happening.at), (1, Kind::Completed, noon() + Duration::milliseconds(7)));
    let About::Callback(news) = &happening.about else { panic!("{happening:?}") };
    assert_eq!((news.id, news.queue.clone(), news.version), (before.id, queue(), 2));
    assert_eq!((news.state, news.reason.clone()), (State::Completed, Some(Reason::AGENT_CONNECTED)));
    assert_eq!(news.passed, [State::Queued, State::Routing, State::Processing]);
    assert_eq!((news.phone, news.push), (Some(phone(5)), None));
}

pub(crate) async fn are_numbered_in_the_order_of_commits(start: &Start) {
    let store = start(Limits::default());
    let hold = store.injector.hold_writer();
    let mut tasks = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let callback = scheduled(noon());
        ids.push(callback.id);
        tasks.push(store.queue_booking(Booking { announcement: told_to(&[]), ..booking(callback) }).await);
    }
    drop(hold);
    join(tasks).await;
    let read: Vec<_> = store
        .feed()
        .await
        .into_iter()
        .map(|happening| match happening.about {
            About::Callback(news) => (happening.seq, news.id),
            About::Endpoint { name } => panic!("{name}"),
        })
        .collect();
    assert_eq!(read, (1..).zip(ids).collect::<Vec<_>>());
    let stretch = store.notices.happenings(tenant(), 3, 1).await.unwrap();
    assert_eq!((stretch.happenings[0].seq, stretch.first_kept, stretch.last), (4, 1, 5));
    for (since, place) in [(-1, 0), (0, 0), (1, 5)] {
        assert_eq!(store.notices.place_at(tenant(), noon() + minutes(since)).await, Ok(place), "{since}");
    }
}

pub(crate) async fn of_one_callback_follow_each_other(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep_told(&["first", "second"]).await;
    let other = store.keep_told(&["first"]).await;
    let queued = step(&callback, Kind::Queued, &["first", "second"]);
    store.callbacks.save(queued.clone()).await.unwrap();
    store.callbacks.save(step(&queued.callback, Kind::Routing, &["first"])).await.unwrap();
    let claimed = store.claimed(noon()).await;
    assert_eq!(kinds(&claimed), [Kind::Created; 3], "one about each callback in each lane");
    let first = claimed.iter().find(|it| {
        endpoint_of(it) == "first" && matches!(&it.happening.about, About::Callback(news) if news.id == callback.id)
    });
    let first = first.unwrap();
    // It is tried again later: those behind it wait.
    let later = noon() + minutes(5);
    assert!(!store.notices.settle(ended(first, Verdict::Again(later))).await.unwrap().released);
    assert_eq!(store.claimed(noon() + minutes(1)).await, []);
    let again = store.claimed(later).await;
    // By then the leases of the others have ended too.
    let again = again.iter().find(|it| it.key == first.key).unwrap();
    assert_eq!((again.attempt, again.interrupted), (2, false));
    let settled = store.notices.settle(delivered(again)).await.unwrap();
    assert_eq!(settled, Settled { written: true, released: true, disabled: false });
    let next = store.claimed(noon() + minutes(2)).await;
    assert_eq!(kinds(&next), [Kind::Queued]);
    assert_eq!(endpoint_of(&next[0]), "first");
    assert!(store.notices.settle(ended(&next[0], Verdict::Settled(Ending::Failed))).await.unwrap().released);
    assert_eq!(kinds(&store.claimed(noon() + minutes(2)).await), [Kind::Routing], "given up is as good as done");
    assert_ne!(other.id, callback.id);
}

pub(crate) async fn are_taken_on_once(start: &Start) {
    let store = start(Limits::default());
    for _ in 0..10 {
        store.keep_told(&["first"]).await;
    }
    assert_eq!(store.claimed(noon() - Duration::milliseconds(1)).await, [], "not before they are due");
    let theirs = ClaimNotices { owner: OTHER, ..claim(noon()) };
    let (mine, theirs) = tokio::join!(store.notices.claim(claim(noon())), store.notices.claim(theirs));
    let mut keys: Vec<_> = mine.unwrap().into_iter().chain(theirs.unwrap()).map(|it| it.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 10, "each by one of the two");
    assert_eq!(store.claimed(noon() + Duration::seconds(89)).await, [], "as long as the lease lasts");
    let again = store.claimed(noon() + Duration::seconds(90)).await;
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|it| it.interrupted && it.attempt == 2));
}

pub(crate) async fn are_taken_on_by_turns(start: &Start) {
    let store = start(Limits::default());
    for _ in 0..4 {
        store.keep_told(&["a", "b", "c"]).await;
    }
    let per_endpoint =
        |claimed: &[Claimed]| ["a", "b", "c"].map(|name| claimed.iter().filter(|it| endpoint_of(it) == name).count());
    let few = store.notices.claim(ClaimNotices { per_lane: 2, limit: 5, ..claim(noon()) }).await.unwrap();
    assert_eq!(per_endpoint(&few), [2, 2, 1], "each its share, as far as there is room");
    let last = few.last().unwrap().key.lane;
    let in_hand: BTreeMap<LaneId, usize> = few.iter().fold(BTreeMap::new(), |mut hands, it| {
        *hands.entry(it.key.lane).or_default() += 1;
        hands
    });
    let next = ClaimNotices { per_lane: 2, after: last, in_hand, ..claim(noon()) };
    assert_eq!(per_endpoint(&store.notices.claim(next).await.unwrap()), [0, 0, 1], "what is left of a share");
    let after_c = ClaimNotices { per_lane: 1, limit: 2, after: last, ..claim(noon()) };
    assert_eq!(per_endpoint(&store.notices.claim(after_c).await.unwrap()), [1, 1, 0], "round to the first");
}

pub(crate) async fn end_by_whoever_holds_them(start: &Start) {
    let store = start(Limits::default());
    store.keep_told(&["first"]).await;
    let claimed = store.claimed(noon()).await.remove(0);
    let foreign = Settle { owner: OTHER, ..delivered(&claimed) };
    assert_eq!(store.notices.settle(foreign).await, Ok(Settled::default()));
    let stale = Settle { attempt: 2, ..delivered(&claimed) };
    assert_eq!(store.notices.settle(stale).await, Ok(Settled::default()));
    assert!(store.notices.settle(delivered(&claimed)).await.unwrap().written);
    assert!(!store.notices.settle(delivered(&claimed)).await.unwrap().written, "once");
    assert_eq!(store.claimed(noon() + Duration::days(1)).await, []);
}

pub(crate) async fn a_dead_owner_leaves_his_to_others(start: &Start) {
    let store = start(Limits::default());
    store.keep_told(&["first"]).await;
    let owner = |owner: Incarnation, living: &[Incarnation]| ClaimNotices {
        owner,
        living: living.to_vec(),
        ..claim(noon() + Duration::seconds(1))
    };
    assert_eq!(store.notices.claim(owner(DEAD, &[DEAD])).await.unwrap().len(), 1);
    assert_eq!(store.notices.claim(owner(ME, &[ME, DEAD])).await.unwrap(), [], "as long as he lives");
    let taken = store.notices.claim(owner(ME, &[ME])).await.unwrap();
    assert_eq!((taken.len(), taken[0].interrupted, taken[0].attempt), (1, true, 2));
}

pub(crate) async fn a_push_goes_to_every_device_and_replaces_older_ones(start: &Start) {
    let store = start(Limits::default());
    let expires_at = noon() + minutes(10);
    let push = |targets| Some(OwedPush { targets, expires_at });
    let callback = scheduled(noon()).with_devices(3, None);
    let booking = Booking { announcement: announce(Kind::Created, &[], push(3)), ..booking(callback.clone()) };
    store.callbacks.book(booking).await.unwrap();
    let first = store.notices.claim(ClaimNotices { limit: 1, ..claim(noon()) }).await.unwrap();
    assert_eq!((first[0].key.target, first[0].lane.clone(), first[0].expires_at), (0, Lane::Push, Some(expires_at)));
    let upcoming = Change { announcement: announce(Kind::Upcoming, &[], push(3)), ..change(&callback, |_| ()) };
    store.callbacks.save(upcoming).await.unwrap();
    let claimed = store.claimed(noon()).await;
    assert_eq!(claimed.iter().map(|it| it.key.target).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(kinds(&claimed), [Kind::Upcoming; 3], "nobody had begun with the others");
    let query = NoticeQuery::Push { before: None };
    let endings: Vec<_> =
        store.notices.notices(tenant(), query, 10).await.unwrap().into_iter().map(|it| it.ending).collect();
    let dropped = Some(Ending::Dropped);
    assert_eq!(endings, [None, None, None, None, dropped, dropped]);
}

pub(crate) async fn what_was_not_tried_is_put_back(start: &Start) {
    let store = start(Limits::default());
    store.keep_told(&["first"]).await;
    let claimed = store.claimed(noon()).await.remove(0);
    let later = ended(&claimed, Verdict::Later(noon() + minutes(1)));
    assert!(store.notices.settle(later).await.unwrap().written);
    assert_eq!(store.claimed(noon() + Duration::seconds(59)).await, []);
    let again = store.claimed(noon() + minutes(1)).await.remove(0);
    assert_eq!((again.attempt, again.interrupted), (1, false), "as if it had not been taken on");
    let view = &store.notices.notices(tenant(), NoticeQuery::Happening(1), 10).await.unwrap()[0];
    assert_eq!(view.tries, []);
}

pub(crate) async fn a_failing_endpoint_is_switched_off(start: &Start) {
    let store = start(Limits::default());
    let fails = |claimed: &Claimed, at, mood| Settle {
        endpoint: mood,
        at,
        detail: Detail::Status(500),
        told_of_disabling: vec!["second".to_owned()],
        ..ended(claimed, Verdict::Settled(Ending::Failed))
    };
    let mut disabled = Vec::new();
    let moods = [EndpointMood::Failing, EndpointMood::Well, EndpointMood::Failing, EndpointMood::Failing];
    for (round, mood) in (0..).zip(moods) {
        store.keep_told(&["first"]).await;
        let at = noon() + FAILING_MAX * round;
        let claimed = store.claimed(at).await.remove(0);
        disabled.push(store.notices.settle(fails(&claimed, at, mood)).await.unwrap().disabled);
    }
    assert_eq!(disabled, [false, false, false, true], "a success begins the time anew");
    let feed = store.feed().await;
    assert_eq!(feed.last().unwrap().about, About::Endpoint { name: "first".into() });
    assert_eq!(feed.last().unwrap().kind, Kind::EndpointDisabled);
    let owed = store.claimed(noon() + FAILING_MAX * 4).await;
    assert_eq!(owed.iter().map(endpoint_of).collect::<Vec<_>>(), ["second"]);
    store.keep_told(&["first"]).await;
    assert_eq!(store.claimed(noon() + FAILING_MAX * 4).await, [], "nothing is owed to it any more");
    let record = &store.notices.endpoints(tenant()).await.unwrap()[0];
    assert_eq!((record.name.as_str(), record.disabled_at), ("first", Some(noon() + FAILING_MAX * 3)));
    assert_eq!(record.failing_since, Some(noon() + FAILING_MAX * 2));
    assert_eq!(store.notices.enable_endpoint(tenant(), "first").await, Ok(true));
    assert_eq!(store.notices.enable_endpoint(tenant(), "first").await, Ok(false));
    store.keep_told(&["first"]).await;
    let claimed = store.claimed(noon() + FAILING_MAX * 4).await.remove(0);
    assert!(!claimed.lane_disabled);
    let gone = fails(&claimed, noon(), EndpointMood::Gone);
    assert!(store.notices.settle(gone).await.unwrap().disabled, "whoever is gone is not waited for");
}

pub(crate) async fn results_are_told(start: &Start) {
    let store = start(Limits::default());
    let callback = scheduled(noon()).with_devices(1, None);
    let push = Some(OwedPush { targets: 1, expires_at: noon() + minutes(1) });
    let booking = Booking { announcement: announce(Kind::Created, &[], push), ..booking(callback.clone()) };
    store.callbacks.book(booking).await.unwrap();
    let claimed = store.claimed(noon()).await.remove(0);
    let told = Told {
        event: PushEvent::CallbackScheduled,
        result: PushResult::Confirmed,
        endpoints: vec!["first".to_owned()],
    };
    let settled = store.notices.settle(Settle { told: Some(told), ..delivered(&claimed) }).await.unwrap();
    assert!(settled.written && settled.released);
    let told = store.claimed(noon() + minutes(1)).await.remove(0);
    assert_eq!((told.happening.kind, told.happening.seq), (Kind::Push, 2));
    let About::Callback(news) = &told.happening.about else { panic!("{told:?}") };
    assert_eq!((news.id, news.state, news.version), (callback.id, State::Scheduled, 1));
    assert_eq!(news.push, Some((PushEvent::CallbackScheduled, PushResult::Confirmed)));
}
