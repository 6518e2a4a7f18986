//! Steps: one conditional write that proves that nobody came between.

use chrono::Duration;
use domain::callback::{Callback, Cause, HandOff, Reason, Saving, State};
use domain::ids::SessionId;
use domain::ports::{Booked, Change, SaveError, StoreError};
use ges::stores::combiner::Limits;

use super::harness::*;

pub(crate) async fn write_everything(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(scheduled(noon())).await;
    let full = change(&before, |callback| {
        callback.desired_time += minutes(7);
        callback.expires_at += minutes(8);
        callback.start_at += minutes(6);
        callback.state = State::Processing;
        callback.attempt = 3;
        callback.hand_off = HandOff::Accepted;
        callback.session = Some(SessionId::new("session-1").unwrap());
        callback.refusals = 2;
        callback.last_seq = 9_000_000_000;
        callback.dialled = true;
        callback.owner = Some(ME);
        callback.wake_at = Some(noon() + Duration::milliseconds(1));
        callback.owes_terminate = true;
    });
    assert_eq!(store.callbacks.save(full.clone()).await, Ok(()));
    assert_eq!(store.load(before.id).await, full.callback);
    let ended = change(&full.callback, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::new("SOMETHING_ELSE").unwrap());
        callback.ended_at = Some(noon());
        callback.session = None;
        callback.owner = None;
        callback.wake_at = None;
    });
    assert_eq!(store.callbacks.save(ended.clone()).await, Ok(()));
    assert_eq!(store.load(before.id).await, ended.callback);
}

pub(crate) async fn need_the_version(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(scheduled(noon())).await;
    let first = change(&before, |callback| callback.attempt = 1);
    let second = change(&before, |callback| callback.attempt = 2);
    assert_eq!(store.callbacks.save(first.clone()).await, Ok(()));
    assert_eq!(store.callbacks.save(second).await, Err(SaveError::Conflict));
    assert_eq!(store.load(before.id).await, first.callback);
    assert_eq!(store.injector.rows().history, 2, "a conflict leaves no entry");
}

pub(crate) async fn need_the_owner_if_asked(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(immediate(ME, noon())).await;
    let by = |owner| Change { expected_owner: Some(owner), ..change(&before, |callback| callback.attempt = 1) };
    assert_eq!(store.callbacks.save(by(OTHER)).await, Err(SaveError::Conflict));
    assert_eq!(store.callbacks.save(by(ME)).await, Ok(()));
    let nobodys = store.keep(scheduled(noon())).await;
    let mine = Change { expected_owner: Some(ME), ..change(&nobodys, |callback| callback.attempt = 1) };
    assert_eq!(store.callbacks.save(mine).await, Err(SaveError::Conflict));
}

pub(crate) async fn need_a_row(start: &Start) {
    let store = start(Limits::default());
    store.keep(scheduled(noon())).await;
    let stray = scheduled(noon());
    assert_eq!(store.callbacks.save(change(&stray, |_| ())).await, Err(SaveError::NotFound));
    assert_eq!(store.callbacks.park(tenant(), stray.id, "x", noon()).await, Err(SaveError::NotFound));
    assert_eq!(store.callbacks.unpark(tenant(), stray.id, noon(), "api").await, Err(SaveError::NotFound));
    assert_eq!(store.callbacks.load(tenant(), stray.id).await, Ok(None));
}

pub(crate) async fn cannot_cross_tenants(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    let mut own = scheduled(noon());
    own.tenant = stranger();
    store.keep(own).await;
    let theirs = change(&callback, |callback| callback.tenant = stranger());
    assert_eq!(store.callbacks.save(theirs).await, Err(SaveError::NotFound));
    assert_eq!(store.callbacks.park(stranger(), callback.id, "x", noon()).await, Err(SaveError::NotFound));
    store.callbacks.park(tenant(), callback.id, "x", noon()).await.unwrap();
    assert_eq!(store.callbacks.unpark(stranger(), callback.id, noon(), "api").await, Err(SaveError::NotFound));
    assert_eq!(store.callbacks.parked(10).await.unwrap().len(), 1);
}

/// A reschedule from the slot it has to another.
fn moved(before: &Callback, by_minutes: i64) -> Change {
    let slot = before.slot.unwrap() + minutes(by_minutes);
    let change = change(before, |callback| callback.slot = Some(slot));
    let saving = Saving { give_back: before.slot, take: Some(slot), ..saving(Cause::Rescheduled) };
    Change { saving, ..change }
}

/// Places taken in the hour from noon, in the order of their slots.
async fn places(store: &Fixture) -> Vec<u32> {
    let taken = store.callbacks.places_taken(tenant(), &queue(), noon(), noon() + minutes(60)).await.unwrap();
    taken.into_values().collect()
}

pub(crate) async fn move_slots_with_them(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(in_slot(noon())).await;
    let step = moved(&before, 5);
    assert_eq!(store.callbacks.save(step.clone()).await, Ok(()));
    assert_eq!(places(&store).await, [1], "one place, in the new slot");
    store.keep(in_slot(noon())).await;
    assert_eq!(store.callbacks.book(booking(in_slot(noon() + minutes(5)))).await, Ok(Booked::SlotFull));
    // The same step again is a conflict, and must move nothing.
    assert_eq!(store.callbacks.save(step).await, Err(SaveError::Conflict));
    assert_eq!(places(&store).await, [1, 1]);
}

pub(crate) async fn are_refused_by_a_full_slot_without_a_trace(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(in_slot(noon())).await;
    store.keep(in_slot(noon() + minutes(5))).await;
    assert_eq!(store.callbacks.save(moved(&before, 5)).await, Err(SaveError::SlotFull));
    assert_eq!(store.load(before.id).await, before);
    assert_eq!(places(&store).await, [1, 1]);
    assert_eq!(store.callbacks.history(tenant(), before.id, 10).await.unwrap().len(), 1);
}

pub(crate) async fn give_back_and_take_in_one_batch(start: &Start) {
    let store = start(Limits::default());
    let holder = store.keep(in_slot(noon())).await;
    let commits = store.injector.commits();
    let cancel = change(&holder, |callback| {
        callback.slot = None;
        callback.state = State::Completed;
        callback.reason = Some(Reason::CANCELLED);
        callback.wake_at = None;
    });
    let saving = Saving { give_back: holder.slot, ..saving(Cause::CancelledByApi) };
    let cancel = Change { saving, ..cancel };

    let hold = store.injector.hold_writer();
    let early = store.queue_booking(booking(in_slot(noon()))).await;
    let callbacks = store.callbacks.clone();
    let cancelled = store.queued(async move { callbacks.save(cancel).await }).await;
    let late = store.queue_booking(booking(in_slot(noon()))).await;
    drop(hold);
    assert_eq!(early.await.unwrap(), Ok(Booked::SlotFull), "came before the place was free");
    assert_eq!(cancelled.await.unwrap(), Ok(()));
    assert_eq!(late.await.unwrap(), Ok(Booked::New));
    assert_eq!(store.injector.commits(), commits + 1, "it was one batch");
    assert_eq!(places(&store).await, [1]);
}

pub(crate) async fn leave_a_history_without_gaps(start: &Start) {
    let store = start(Limits::default());
    let mut callback = store.keep(scheduled(noon())).await;
    for round in 0..4 {
        let mut step = change(&callback, |callback| callback.attempt += 1);
        step.at = noon() + minutes(round);
        step.saving = Saving { implied: vec![State::Queued, State::Routing], ..saving(Cause::Reported) };
        store.callbacks.save(step.clone()).await.unwrap();
        callback = step.callback;
    }
    store.callbacks.park(tenant(), callback.id, "reason", noon() + minutes(4)).await.unwrap();
    store.callbacks.unpark(tenant(), callback.id, noon() + minutes(5), "api").await.unwrap();
    let history = store.callbacks.history(tenant(), callback.id, 100).await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let causes: Vec<Cause> = history.iter().map(|entry| entry.cause).collect();
    let reported = Cause::Reported;
    assert_eq!(causes, [Cause::Booked, reported, reported, reported, reported, Cause::Parked, Cause::Unparked]);
    assert_eq!(history[1].implied, [State::Queued, State::Routing]);
    assert_eq!(history[2].at, noon() + minutes(1));
    assert_eq!(history[4].attempt, 4);
    assert_eq!(store.load(callback.id).await.version, 7);
    assert_eq!(store.callbacks.history(tenant(), callback.id, 3).await.unwrap(), history[..3]);
}

pub(crate) async fn of_one_callback_go_one_per_batch(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(scheduled(noon())).await;
    let other = store.keep(scheduled(noon())).await;
    let commits = store.injector.commits();
    let hold = store.injector.hold_writer();
    let mut tasks = Vec::new();
    for step in [change(&before, |it| it.attempt = 1), change(&before, |it| it.attempt = 2), change(&other, |_| ())] {
        let callbacks = store.callbacks.clone();
        tasks.push(store.queued(async move { callbacks.save(step).await }).await);
    }
    drop(hold);
    assert_eq!(join(tasks).await, [Ok(()), Err(SaveError::Conflict), Ok(())], "in the order of arrival");
    assert_eq!(store.injector.commits(), commits + 2, "the second waited for a batch of its own");
    assert_eq!(store.load(before.id).await.attempt, 1);
}

pub(crate) async fn of_a_newer_row_are_refused(start: &Start) {
    let store = start(Limits::default());
    let before = store.keep(scheduled(noon())).await;
    store.injector.raise_format(before.id);
    let unreadable =
        |result: &Result<(), SaveError>| matches!(result, Err(SaveError::Store(StoreError::Unreadable(_))));
    let saved = store.callbacks.save(change(&before, |_| ())).await;
    assert!(unreadable(&saved), "{saved:?}");
    let parked = store.callbacks.park(tenant(), before.id, "x", noon()).await;
    assert!(unreadable(&parked), "{parked:?}");
    let loaded = store.callbacks.load(tenant(), before.id).await;
    assert!(matches!(loaded, Err(StoreError::Unreadable(_))), "{loaded:?}");
}
