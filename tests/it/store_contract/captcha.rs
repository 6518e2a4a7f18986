//! Captcha tokens: each comes with one booking of its tenant, however many try.

use chrono::Duration;
use domain::callback::Idempotency;
use domain::ports::{Booked, Booking};
use ges::stores::combiner::Limits;

use super::harness::*;

fn with_token(token: u8) -> Booking {
    Booking { captcha: Some([token; 16]), ..booking(scheduled(noon())) }
}

pub(crate) async fn tokens_come_with_one_booking_of_their_tenant(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(store.callbacks.book(with_token(1)).await, Ok(Booked::New));
    assert_eq!(store.callbacks.book(with_token(1)).await, Ok(Booked::TokenUsed));
    assert_eq!(store.callbacks.book(with_token(2)).await, Ok(Booked::New));
    let mut strangers = with_token(1);
    strangers.callback.tenant = stranger();
    assert_eq!(store.callbacks.book(strangers).await, Ok(Booked::New), "tokens are a tenant's own");
    store.keep(scheduled(noon())).await;
    let rows = store.injector.rows();
    assert_eq!((rows.callbacks, rows.tokens), (4, 3), "a booking without a token costs no row");
}

pub(crate) async fn a_refused_booking_leaves_its_token(start: &Start) {
    let store = start(Limits::default());
    store.keep(in_slot(noon())).await;
    let full = Booking { callback: in_slot(noon()), ..with_token(1) };
    assert_eq!(store.callbacks.book(full).await, Ok(Booked::SlotFull));
    assert_eq!(store.injector.rows().tokens, 0);
    assert_eq!(store.callbacks.book(with_token(1)).await, Ok(Booked::New));
    let used = Booking { callback: in_slot(noon() + minutes(5)), ..with_token(1) };
    assert_eq!(store.callbacks.book(used).await, Ok(Booked::TokenUsed));
    assert_eq!(store.injector.rows().slots, 1, "it took no place");
}

pub(crate) async fn equal_tokens_in_one_batch_go_once(start: &Start) {
    let store = start(Limits::default());
    let keyed =
        |body: u8| Booking { idempotency: Some(Idempotency { key: [body; 16], body: [body; 16] }), ..with_token(1) };
    let first = keyed(1);
    let id = first.callback.id;
    let outcomes = store.book_together(vec![first, keyed(1), keyed(2), with_token(1)]).await;
    let used = Ok(Booked::TokenUsed);
    assert_eq!(
        outcomes,
        [Ok(Booked::New), Ok(Booked::Existing(id)), used.clone(), used],
        "its key goes before its token"
    );
    assert_eq!(store.injector.commits(), 1, "it was one batch");
    let rows = store.injector.rows();
    assert_eq!((rows.callbacks, rows.keys, rows.tokens), (1, 1, 1));
}

pub(crate) async fn a_booking_is_found_by_its_key(start: &Start) {
    let store = start(Limits::default());
    let key = |key: u8, body: u8| Idempotency { key: [key; 16], body: [body; 16] };
    let find = |tenant, idempotency, at| store.callbacks.known(tenant, idempotency, at);
    assert_eq!(find(tenant(), key(1, 1), noon()).await, Ok(None), "nothing of the tenant was ever kept");
    let first = scheduled(noon());
    assert_eq!(store.callbacks.book(with_key(first.clone(), 1, 1)).await, Ok(Booked::New));
    assert_eq!(find(tenant(), key(1, 1), noon()).await, Ok(Some(Booked::Existing(first.id))));
    assert_eq!(find(tenant(), key(1, 2), noon()).await, Ok(Some(Booked::KeyReused)));
    assert_eq!(find(tenant(), key(2, 1), noon()).await, Ok(None));
    assert_eq!(find(stranger(), key(1, 1), noon()).await, Ok(None), "keys are a tenant's own");
    assert_eq!(find(tenant(), key(1, 1), noon() + Duration::hours(25)).await, Ok(None), "it has expired");
}

pub(crate) async fn old_tokens_are_forgotten(start: &Start) {
    let store = start(Limits::default());
    for token in 0..5 {
        let booked_at = noon() + Duration::hours(token.into());
        let booking = Booking { booked_at, ..with_token(token) };
        assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));
    }
    let purge = async |hours| {
        store.callbacks.purge(noon() - Duration::days(14), noon() + Duration::hours(hours), 100).await.unwrap();
        store.injector.rows().tokens
    };
    assert_eq!(purge(24).await, 5, "a day is not over");
    assert_eq!(purge(26).await, 3);
    assert_eq!(purge(100).await, 0);
}
