//! Bookings: whole or not at all, known by their key, never more than a slot has places.

use chrono::Duration;
use domain::callback::{Cause, OfferType, Options, PushTarget, State};
use domain::ports::{Booked, Booking, Details, HistoryEntry, StoreError};
use ges::stores::combiner::Limits;

use super::harness::*;

pub(crate) async fn come_back_whole(start: &Start) {
    let store = start(Limits::default());
    let callback = in_slot(noon() + minutes(90));
    let options = Options {
        cb_offer_type: Some(OfferType::Scheduled),
        language: Some("de-DE".to_owned()),
        priority: Some(1.5),
        push_targets: vec![PushTarget { channel: "FCM".to_owned(), target: "device".to_owned() }],
        ..Options::default()
    };
    let user_data = Some(r#"{"orderNumber":"WEB-1","ü":[1,2]}"#.to_owned());
    let booking = Booking { options: options.clone(), user_data: user_data.clone(), ..booking(callback.clone()) };
    assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));

    assert_eq!(store.load(callback.id).await, callback);
    let details = store.callbacks.details(tenant(), callback.id).await.unwrap();
    assert_eq!(details, Some(Details { options, user_data }));
    let entry = HistoryEntry {
        version: 1,
        at: noon(),
        cause: Cause::Booked,
        state: State::Scheduled,
        implied: vec![],
        attempt: 0,
    };
    assert_eq!(store.callbacks.history(tenant(), callback.id, 10).await, Ok(vec![entry]));
    let taken = store.callbacks.places_taken(tenant(), &queue(), noon(), noon() + minutes(120)).await.unwrap();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), [(noon() + minutes(90), 1)]);
    let before = store.callbacks.places_taken(tenant(), &queue(), noon(), noon() + minutes(90)).await.unwrap();
    assert!(before.is_empty(), "the end of the range does not count");
    assert_eq!(
        store.injector.rows(),
        Rows { callbacks: 1, history: 1, details: 1, keys: 0, slots: 1, ..Rows::default() }
    );
}

pub(crate) async fn immediate_ones_too(start: &Start) {
    let store = start(Limits::default());
    let mut callback = immediate(ME, noon());
    let _ = callback.start_with_booking(domain::callback::Again::EntersOnce, noon());
    let callback = store.keep(callback).await;
    assert_eq!(store.load(callback.id).await, callback);
    assert_eq!(store.callbacks.details(tenant(), callback.id).await, Ok(Some(Details::default())));
    let rows = store.injector.rows();
    assert_eq!((rows.details, rows.slots), (0, 0), "what is not there costs no row");
}

pub(crate) async fn are_walled_by_tenant(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(in_slot(noon())).await;
    // The stranger is known to the store, so that it is the wall that keeps it out.
    let mut own = scheduled(noon());
    own.tenant = stranger();
    store.keep(own).await;
    assert_eq!(store.callbacks.load(stranger(), callback.id).await, Ok(None));
    assert_eq!(store.callbacks.details(stranger(), callback.id).await, Ok(None));
    assert_eq!(store.callbacks.history(stranger(), callback.id, 10).await, Ok(vec![]));
    let taken = store.callbacks.places_taken(stranger(), &queue(), noon(), noon() + minutes(10)).await.unwrap();
    assert!(taken.is_empty());
    // Its slot of the same queue name is its own.
    let mut other = in_slot(noon());
    other.tenant = stranger();
    store.keep(other).await;
}

pub(crate) async fn are_recognised_by_their_key(start: &Start) {
    let store = start(Limits::default());
    let first = scheduled(noon());
    assert_eq!(store.callbacks.book(with_key(first.clone(), 1, 1)).await, Ok(Booked::New));
    assert_eq!(store.callbacks.book(with_key(scheduled(noon()), 1, 1)).await, Ok(Booked::Existing(first.id)));
    assert_eq!(store.callbacks.book(with_key(scheduled(noon()), 1, 2)).await, Ok(Booked::KeyReused));
    assert_eq!(store.callbacks.book(with_key(scheduled(noon()), 2, 1)).await, Ok(Booked::New));
    let mut strangers = scheduled(noon());
    strangers.tenant = stranger();
    assert_eq!(store.callbacks.book(with_key(strangers, 1, 2)).await, Ok(Booked::New), "keys are a tenant's own");
    assert_eq!(store.injector.rows().callbacks, 3);
}

pub(crate) async fn keys_expire(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(store.callbacks.book(with_key(scheduled(noon()), 1, 1)).await, Ok(Booked::New));
    let later = |hours| Booking { booked_at: noon() + Duration::hours(hours), ..with_key(scheduled(noon()), 1, 2) };
    assert_eq!(store.callbacks.book(later(23)).await, Ok(Booked::KeyReused));
    assert_eq!(store.callbacks.book(later(25)).await, Ok(Booked::New));
    assert_eq!(store.injector.rows().keys, 1, "the new one takes the place of the old one");
}

pub(crate) async fn equal_keys_in_one_batch_share_one_outcome(start: &Start) {
    let store = start(Limits::default());
    let first = scheduled(noon());
    let bookings = vec![
        with_key(first.clone(), 1, 1),
        with_key(scheduled(noon()), 1, 1),
        with_key(scheduled(noon()), 1, 2),
        with_key(scheduled(noon()), 1, 1),
    ];
    let outcomes = store.book_together(bookings).await;
    let again = Ok(Booked::Existing(first.id));
    assert_eq!(outcomes, [Ok(Booked::New), again.clone(), Ok(Booked::KeyReused), again]);
    assert_eq!(store.injector.commits(), 1, "it was one batch");
    assert_eq!(
        store.injector.rows(),
        Rows { callbacks: 1, history: 1, details: 0, keys: 1, slots: 0, ..Rows::default() }
    );
}

pub(crate) async fn a_refusal_leaves_the_key_unused(start: &Start) {
    let store = start(Limits::default());
    store.keep(in_slot(noon())).await;
    assert_eq!(store.callbacks.book(with_key(in_slot(noon()), 1, 1)).await, Ok(Booked::SlotFull));
    assert_eq!(store.injector.rows().keys, 0);
    let elsewhere = with_key(in_slot(noon() + minutes(5)), 1, 2);
    assert_eq!(store.callbacks.book(elsewhere).await, Ok(Booked::New), "a refusal is judged anew");
}

pub(crate) async fn the_last_place_goes_once_in_one_batch(start: &Start) {
    let store = start(Limits::default());
    let taker = |capacity| Booking { slot_capacity: capacity, ..booking(in_slot(noon())) };
    let outcomes = store.book_together((0..5).map(|_| taker(3)).collect()).await;
    let (new, full) = (Ok(Booked::New), Ok(Booked::SlotFull));
    assert_eq!(outcomes, [new.clone(), new.clone(), new, full.clone(), full.clone()], "in the order of arrival");
    assert_eq!(store.injector.commits(), 1, "it was one batch");
    assert_eq!(store.callbacks.book(taker(0)).await, full);
    let nowhere = Booking { slot_capacity: 0, ..booking(in_slot(noon() + minutes(5))) };
    assert_eq!(store.callbacks.book(nowhere).await, full, "a slot without places, never taken before");
    let taken = store.callbacks.places_taken(tenant(), &queue(), noon(), noon() + minutes(60)).await.unwrap();
    assert_eq!(taken.into_values().collect::<Vec<_>>(), [3]);
    assert_eq!(store.injector.rows().callbacks, 3);
}

pub(crate) async fn of_every_size_come_back(start: &Start) {
    let store = start(Limits::default());
    for length in [0, 1, 100, 1_000, 10_000, 100_000, 1_000_000] {
        // JSON text must not hold the characters that end or escape it.
        let text = random_text(7, length).replace(['"', '\\'], "-");
        let user_data = Some(format!(r#"{{"text":"{text}"}}"#));
        let callback = scheduled(noon());
        let booking = Booking { user_data: user_data.clone(), ..booking(callback.clone()) };
        assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));
        let details = store.callbacks.details(tenant(), callback.id).await.unwrap().unwrap();
        assert!(details.user_data == user_data, "{length} bytes");
    }
}

pub(crate) async fn ids_are_taken_once(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(in_slot(noon())).await;
    let mut again = in_slot(noon() + minutes(5));
    again.id = callback.id;
    let outcome = store.callbacks.book(booking(again)).await;
    assert!(matches!(outcome, Err(StoreError::NotDone(_))), "{outcome:?}");
    assert_eq!(store.load(callback.id).await, callback);
    assert_eq!(store.injector.rows().slots, 1, "the place that it took is free again");
}

pub(crate) async fn what_was_kept_under_a_key_is_known(start: &Start) {
    let store = start(Limits::default());
    let booked = with_key(scheduled(noon()), 1, 1);
    let key = |body: u8| domain::callback::Idempotency { key: [1; 16], body: [body; 16] };
    let known = async |tenant, key, at| store.callbacks.known(tenant, key, at).await.unwrap();
    assert_eq!(known(tenant(), key(1), noon()).await, None);
    let id = booked.callback.id;
    assert_eq!(store.callbacks.book(booked).await, Ok(Booked::New));
    assert_eq!(known(tenant(), key(1), noon()).await, Some(Booked::Existing(id)));
    assert_eq!(known(tenant(), key(2), noon()).await, Some(Booked::KeyReused));
    assert_eq!(known(stranger(), key(1), noon()).await, None);
    assert_eq!(known(tenant(), key(1), noon() + Duration::hours(25)).await, None, "a key lives for a day");
}
