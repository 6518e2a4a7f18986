//! Group commit: shared fate only where it is right.

use domain::ports::{Booked, Booking, StoreError, Take};
use ges::stores::combiner::Limits;

use super::harness::*;

fn three(middle: Booking) -> (Vec<Booking>, [domain::ids::CallbackId; 3]) {
    let bookings = vec![booking(scheduled(noon())), middle, booking(scheduled(noon()))];
    let ids = [bookings[0].callback.id, bookings[1].callback.id, bookings[2].callback.id];
    (bookings, ids)
}

pub(crate) async fn gather_while_the_writer_is_busy(start: &Start) {
    let store = start(Limits::default());
    let outcomes = store.book_together((0..50).map(|_| booking(scheduled(noon()))).collect()).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Booked::New)));
    assert_eq!(store.injector.commits(), 1);
    store.keep(scheduled(noon())).await;
    assert_eq!(store.injector.commits(), 2, "alone it waits for nobody");
}

pub(crate) async fn a_poisoned_command_fails_alone(start: &Start) {
    let store = start(Limits::default());
    let (bookings, ids) = three(booking(with_phone(in_slot(noon()), poison())));
    let outcomes = store.book_together(bookings).await;
    assert!(matches!(outcomes[..], [Ok(Booked::New), Err(StoreError::NotDone(_)), Ok(Booked::New)]), "{outcomes:?}");
    assert_eq!(store.callbacks.load(tenant(), ids[1]).await, Ok(None));
    assert_eq!(store.injector.rows(), Rows { callbacks: 2, history: 2, ..Rows::default() });
}

pub(crate) async fn many_poisoned_commands_fail_alone(start: &Start) {
    let store = start(Limits::default());
    let bookings = (0..40).map(|n| {
        let callback = scheduled(noon());
        booking(if n % 7 == 3 { with_phone(callback, poison()) } else { callback })
    });
    let outcomes = store.book_together(bookings.collect()).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), n % 7 == 3, "{n}: {outcome:?}");
    }
    assert_eq!(store.injector.rows().callbacks, 34);
}

async fn nothing_of_a_broken_batch_stays(start: &Start, how: Break) {
    let store = start(Limits::default());
    let unlucky = phone(666);
    store.injector.break_bookings_of(unlucky, how);
    let (mut bookings, _) = three(booking(with_phone(in_slot(noon()), unlucky)));
    bookings.push(with_key(scheduled(noon()), 1, 1));
    let outcomes = store.book_together(bookings).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Err(StoreError::NotDone(_))), "{outcomes:?}");
    }
    assert_eq!(store.injector.rows(), Rows::default(), "not even what ran before the error, or after it");

    store.injector.heal();
    let (bookings, _) = three(booking(with_phone(in_slot(noon()), unlucky)));
    let outcomes = store.book_together(bookings).await;
    assert_eq!(outcomes, [Ok(Booked::New), Ok(Booked::New), Ok(Booked::New)]);
}

pub(crate) async fn an_error_in_the_middle_leaves_nothing(start: &Start) {
    nothing_of_a_broken_batch_stays(start, Break::Statement).await;
}

pub(crate) async fn a_rollback_in_the_middle_leaves_nothing(start: &Start) {
    nothing_of_a_broken_batch_stays(start, Break::Transaction).await;
}

pub(crate) async fn a_lost_answer_to_commit_is_perhaps(start: &Start) {
    let store = start(Limits::default());
    store.injector.lose_next_commit_answer();
    let first = with_key(in_slot(noon()), 1, 1);
    let outcome = store.callbacks.book(first.clone()).await;
    assert!(matches!(outcome, Err(StoreError::PerhapsDone(_))), "{outcome:?}");
    // The caller repeats it under the same key: one booking, one place.
    let again = with_key(in_slot(noon()), 1, 1);
    assert_eq!(store.callbacks.book(again).await, Ok(Booked::Existing(first.callback.id)));
    assert_eq!(store.load(first.callback.id).await, first.callback);
    assert_eq!(
        store.injector.rows(),
        Rows { callbacks: 1, history: 1, details: 0, keys: 1, slots: 1, ..Rows::default() }
    );
}

pub(crate) async fn callers_who_have_gone_are_dropped(start: &Start) {
    let store = start(Limits::default());
    let hold = store.injector.hold_writer();
    let gone = store.queue_booking(booking(scheduled(noon()))).await;
    let stays = store.queue_booking(booking(scheduled(noon()))).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    drop(hold);
    assert_eq!(stays.await.unwrap(), Ok(Booked::New));
    assert_eq!(store.injector.rows().callbacks, 1);
}

pub(crate) async fn a_full_queue_refuses_at_once(start: &Start) {
    let store = start(Limits { queued_commands: 3, ..Limits::default() });
    let hold = store.injector.hold_writer();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(store.queue_booking(booking(scheduled(noon()))).await);
    }
    let refused = store.callbacks.book(booking(scheduled(noon()))).await;
    assert!(matches!(refused, Err(StoreError::NotDone(_))), "{refused:?}");
    drop(hold);
    assert!(join(tasks).await.iter().all(Result::is_ok));
    store.keep(scheduled(noon())).await;

    let narrow = start(Limits { queued_bytes: 10_000, ..Limits::default() });
    let large = Booking { user_data: Some(random_text(1, 20_000)), ..booking(scheduled(noon())) };
    let refused = narrow.callbacks.book(large).await;
    assert!(matches!(refused, Err(StoreError::NotDone(_))), "{refused:?}");
}

pub(crate) async fn background_work_goes_in_quarters(start: &Start) {
    let store = start(Limits { batch_commands: 16, ..Limits::default() });
    for _ in 0..40 {
        store.keep(scheduled(noon())).await;
    }
    let commits = store.injector.commits();
    let take = Take {
        owner: ME,
        living: vec![ME],
        at: noon(),
        overdue_before: noon() - minutes(1),
        waiting: true,
        limit: 100,
    };
    assert_eq!(store.callbacks.take(take).await.unwrap().len(), 40);
    assert_eq!(store.injector.commits(), commits + 10, "four rows of sixteen at a time");
}

pub(crate) async fn readers_see_what_is_committed(start: &Start) {
    let store = start(Limits::default());
    let tasks = (0..200).map(|_| {
        let callbacks = store.callbacks.clone();
        tokio::spawn(async move {
            let mut callback = scheduled(noon());
            assert_eq!(callbacks.book(booking(callback.clone())).await, Ok(Booked::New));
            for _ in 0..3 {
                assert_eq!(callbacks.load(tenant(), callback.id).await, Ok(Some(callback.clone())));
                let step = change(&callback, |callback| callback.attempt += 1);
                callbacks.save(step.clone()).await.unwrap();
                callback = step.callback;
            }
            assert_eq!(callbacks.load(tenant(), callback.id).await, Ok(Some(callback)));
        })
    });
    join(tasks.collect()).await;
}

pub(crate) async fn a_quiet_tenant_waits_for_one_batch(start: &Start) {
    let store = start(Limits { batch_commands: 100, ..Limits::default() });
    let hold = store.injector.hold_writer();
    let mut noisy = Vec::new();
    for _ in 0..1_000 {
        noisy.push(store.queue_booking(booking(scheduled(noon()))).await);
    }
    let mut own = scheduled(noon());
    own.tenant = stranger();
    let quiet = store.queue_booking(booking(own)).await;
    drop(hold);
    assert_eq!(quiet.await.unwrap(), Ok(Booked::New));
    assert!(join(noisy).await.iter().all(Result::is_ok));
    assert_eq!(store.injector.longest_wait(stranger()), 0, "it was in the very next batch");
    let waited = store.injector.longest_wait(tenant());
    assert!((9..=10).contains(&waited), "{waited}: who brings ten batches waits for them");
}
