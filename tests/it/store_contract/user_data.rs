//! What flow engines ask: user data replaced only as it was read, and queues counted up to a limit.

use domain::callback::{Options, State};
use domain::ids::QueueName;
use domain::ports::{ActiveCallbacks, Booking, Details, Replaced, StoreError, UserData};
use ges::stores::combiner::Limits;

use super::harness::*;

impl Fixture {
    async fn data(&self, callback: &domain::callback::Callback) -> UserData {
        self.flow.user_data(tenant(), callback.id).await.unwrap().expect("the callback is kept")
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(crate) async fn is_replaced_as_it_was_read(start: &Start) {
    let store = start(Limits::default());
    let options = Options { language: text("de-DE"), ..Options::default() };
    let with_both = Booking { options: options.clone(), user_data: text(r#"{"a":1}"#), ..booking(scheduled(noon())) };
    let with_options = Booking { options: options.clone(), ..booking(scheduled(noon())) };
    let bare = booking(scheduled(noon()));
    for (asked, options) in [(with_both, options.clone()), (with_options, options), (bare, Options::default())] {
        let callback = asked.callback.clone();
        let before = asked.user_data.clone();
        store.callbacks.book(asked).await.unwrap();
        let read = store.data(&callback).await;
        assert_eq!(read.text, before);
        for (new, stale) in [(text(r#"{"b":"ü"}"#), read.stamp.clone()), (None, read.stamp)] {
            let now = store.data(&callback).await.stamp;
            let replaced = store.flow.replace_user_data(tenant(), callback.id, now, new.clone()).await;
            assert_eq!(replaced, Ok(Replaced::Done));
            let details = store.callbacks.details(tenant(), callback.id).await;
            assert_eq!(details, Ok(Some(Details { options: options.clone(), user_data: new.clone() })));
            let late = store.flow.replace_user_data(tenant(), callback.id, stale, text("{}")).await;
            let expected = if new == before { Replaced::Done } else { Replaced::Changed };
            assert_eq!(late, Ok(expected), "what was read is no longer there, unless it is there again");
        }
        assert_eq!(store.load(callback.id).await, callback, "the callback itself does not change");
        assert_eq!(store.callbacks.history(tenant(), callback.id, 10).await.unwrap().len(), 1);
    }
}

pub(crate) async fn of_nobody_is_not_found(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    let stamp = store.data(&callback).await.stamp;
    let mut own = scheduled(noon());
    own.tenant = stranger();
    store.keep(own).await;
    assert_eq!(store.flow.user_data(stranger(), callback.id).await, Ok(None));
    let replace = |who, id| store.flow.replace_user_data(who, id, stamp.clone(), text("{}"));
    assert_eq!(replace(stranger(), callback.id).await, Ok(Replaced::NotFound));
    assert_eq!(replace(domain::ids::TenantId::from_name("nobody"), callback.id).await, Ok(Replaced::NotFound));
    assert_eq!(replace(tenant(), scheduled(noon()).id).await, Ok(Replaced::NotFound));
    assert_eq!(store.data(&callback).await.text, None);
    store.injector.raise_format(callback.id);
    let newer = replace(tenant(), callback.id).await;
    assert!(matches!(newer, Err(StoreError::Unreadable(_))), "{newer:?}");
}

pub(crate) async fn is_never_lost_between_writers(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    let tasks = (0..40).map(|n| {
        let (flow, id) = (store.flow.clone(), callback.id);
        tokio::spawn(async move {
            let mut rounds = 0;
            loop {
                rounds += 1;
                let read = flow.user_data(tenant(), id).await.unwrap().unwrap();
                let new = domain::user_data::attach(read.text.as_deref(), &format!(r#"{{"m{n}":{n}}}"#)).unwrap();
                if flow.replace_user_data(tenant(), id, read.stamp, new).await == Ok(Replaced::Done) {
                    return rounds;
                }
            }
        })
    });
    let rounds: i32 = join(tasks.collect()).await.into_iter().sum();
    assert!(rounds > 40, "nobody was ever late: nothing was tried");
    let data = store.data(&callback).await.text.unwrap();
    for n in 0..40 {
        assert!(data.contains(&format!(r#""m{n}":{n}"#)), "{n} is missing in {data}");
    }
}

pub(crate) async fn goes_with_its_callback(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(super::work::settled(&callback)).await.unwrap();
    // Attached after the end: the purge has to find a row that came later.
    let stamp = store.data(&callback).await.stamp;
    let replaced = store.flow.replace_user_data(tenant(), callback.id, stamp, text(r#"{"a":1}"#)).await;
    assert_eq!(replaced, Ok(Replaced::Done));
    assert_eq!(store.injector.rows().details, 1);
    assert_eq!(store.callbacks.purge(noon() + minutes(1), noon() + minutes(1), 10).await, Ok(1));
    assert_eq!(store.injector.rows().details, 0);
    assert_eq!(store.flow.user_data(tenant(), callback.id).await, Ok(None));
}

pub(crate) async fn active_callbacks_are_counted_by_queue(start: &Start) {
    let store = start(Limits::default());
    let of_queue = queue();
    let count = |limit| store.flow.active_callbacks(tenant(), &of_queue, limit);
    assert_eq!(count(10).await, Ok(ActiveCallbacks::default()), "of a queue that never had any");
    for _ in 0..3 {
        store.keep(scheduled(noon())).await;
    }
    let mut active = Vec::new();
    for _ in 0..6 {
        active.push(store.keep(immediate(ME, noon())).await);
    }
    let mut elsewhere = immediate(ME, noon());
    elsewhere.queue = QueueName::new("sales").unwrap();
    store.keep(elsewhere).await;
    let mut strangers = immediate(ME, noon());
    strangers.tenant = stranger();
    store.keep(strangers).await;
    assert_eq!(count(10).await, Ok(ActiveCallbacks { waiting: 6, routing: 0 }));
    assert_eq!(count(4).await, Ok(ActiveCallbacks { waiting: 4, routing: 0 }), "up to the limit");

    for (callback, state) in active.iter().zip([State::Routing, State::Routing, State::Processing]) {
        store.callbacks.save(change(callback, |callback| callback.state = state)).await.unwrap();
    }
    store.callbacks.save(super::work::settled(&active[3])).await.unwrap();
    store.callbacks.park(tenant(), active[4].id, "x", noon()).await.unwrap();
    assert_eq!(count(10).await, Ok(ActiveCallbacks { waiting: 1, routing: 2 }));
}
