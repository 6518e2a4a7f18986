//! Held places: counted like bookings, taken over once, gone by themselves, and never more than may be. Callbacks that
//! move between slots beside them.

mod random;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use domain::callback::{Callback, Cause, Idempotency, Saving};
use domain::holds::{Hold, HoldBound, HoldBounds, HoldsReached};
use domain::ids::{HoldId, QueueName};
use domain::ports::{Booked, Booking, Change, Held, Holding, SaveError, SlotClaim, StoreError};
use domain::queue::SlotMinutes;
use domain::slots::Grid;
use domain::throttle::{BookingLimits, Duplicates, OnDuplicate};
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::harness::*;
pub(crate) use random::keep_every_place_in_random_changes;

const MANY: HoldBounds = HoldBounds { of_queue: 1_000, of_number: 1_000 };

fn grid(minutes: u32) -> Grid {
    Grid::new(Tz::UTC, SlotMinutes::new(minutes).unwrap())
}

fn at(seconds: i64) -> DateTime<Utc> {
    noon() + Duration::seconds(seconds)
}

/// A hold of five minutes at noon, of one of so many places in the slot of `wanted`.
pub(super) fn holding(wanted: DateTime<Utc>, capacity: u32) -> Holding {
    let grid = Grid::default();
    Holding {
        id: HoldId::generate(noon()),
        tenant: tenant(),
        queue: queue(),
        desired_time: wanted,
        slot: SlotClaim { start: grid.slot_start(wanted), capacity, grid },
        number: None,
        bounds: MANY,
        expires_at: at(300),
        idempotency: None,
        at: noon(),
    }
}

fn kept(holding: &Holding) -> Hold {
    let Holding { id, desired_time, slot, expires_at, .. } = *holding;
    Hold { id, desired_time, slot: slot.start, expires_at }
}

/// A booking of the slot at `start` that brings a hold.
fn with_hold(hold: HoldId, start: DateTime<Utc>) -> Booking {
    Booking { hold: Some(hold), ..booking(in_slot(start)) }
}

/// Minutes after noon of every slot with places taken, and how many.
async fn taken(store: &Fixture) -> Vec<(i64, u32)> {
    let (from, to) = (noon() - Duration::days(1), noon() + Duration::days(2));
    let taken = store.callbacks.places_taken(tenant(), &queue(), from, to).await.unwrap();
    taken.into_iter().map(|(start, places)| ((start - noon()).num_minutes(), places)).collect()
}

pub(super) async fn keep_hold(store: &Fixture, holding: Holding) -> HoldId {
    let id = holding.id;
    assert_eq!(store.holds.hold(holding).await, Ok(Held::New));
    id
}

pub(crate) async fn count_like_bookings(start: &Start) {
    let store = start(Limits::default());
    keep_hold(&store, holding(noon() + minutes(7), 2)).await;
    assert_eq!(taken(&store).await, [(5, 1)]);
    let one_more = || Booking { slot_capacity: 2, ..booking(in_slot(noon() + minutes(5))) };
    assert_eq!(store.callbacks.book(one_more()).await, Ok(Booked::New));
    assert_eq!(store.callbacks.book(one_more()).await, Ok(Booked::SlotFull));
    assert_eq!(store.holds.hold(holding(noon() + minutes(5), 2)).await, Ok(Held::SlotFull));
    assert_eq!(store.holds.hold(holding(noon() + minutes(10), 0)).await, Ok(Held::SlotFull), "no place at all");
    assert_eq!(taken(&store).await, [(5, 2)]);
    assert_eq!(store.injector.rows().holds, 1);
}

pub(crate) async fn become_a_booking_once(start: &Start) {
    let store = start(Limits::default());
    let hold = keep_hold(&store, holding(noon(), 1)).await;
    let booking = Booking { idempotency: with_key(in_slot(noon()), 1, 1).idempotency, ..with_hold(hold, noon()) };
    assert_eq!(store.callbacks.book(booking.clone()).await, Ok(Booked::New), "in a slot that is full for others");
    assert_eq!(store.load(booking.callback.id).await, booking.callback);
    assert_eq!(taken(&store).await, [(0, 1)], "without a second place");
    assert_eq!(store.injector.rows().holds, 0);
    assert_eq!(store.callbacks.book(with_hold(hold, noon())).await, Ok(Booked::HoldGone));
    assert_eq!(store.holds.release(tenant(), hold, noon()).await, Ok(false));
    assert_eq!(store.callbacks.book(booking.clone()).await, Ok(Booked::Existing(booking.callback.id)), "by its key");
    assert_eq!(taken(&store).await, [(0, 1)]);
}

/// The hold of a full slot ends between a booking that brings it and one that wants its place: whoever comes first gets it.
pub(crate) async fn are_freed_or_taken_over_in_one_batch(start: &Start) {
    let store = start(Limits::default());
    for takes_over_first in [true, false] {
        let slot = noon() + minutes(if takes_over_first { 5 } else { 10 });
        let hold = keep_hold(&store, holding(slot, 1)).await;
        let taker = Booking { booked_at: at(299), ..with_hold(hold, slot) };
        let other = Booking { booked_at: at(300), ..booking(in_slot(slot)) };
        let (both, expected) = if takes_over_first {
            (vec![taker, other], [Ok(Booked::New), Ok(Booked::SlotFull)])
        } else {
            (vec![other, taker], [Ok(Booked::New), Ok(Booked::HoldGone)])
        };
        assert_eq!(store.book_together(both).await, expected);
    }
    assert_eq!(taken(&store).await, [(5, 1), (10, 1)]);
    assert_eq!(store.injector.rows().holds, 0);
}

/// Of any number that bring the same hold one gets it, in one batch and in many.
pub(crate) async fn of_many_takers_one_wins(start: &Start) {
    let store = start(Limits::default());
    for round in 0..20 {
        let slot = noon() + minutes(5 * round);
        let hold = keep_hold(&store, holding(slot, 1)).await;
        let takers: Vec<Booking> = (0..10).map(|_| with_hold(hold, slot)).collect();
        let outcomes = if round % 2 == 0 {
            store.book_together(takers).await
        } else {
            let book = |taker| {
                let callbacks = store.callbacks.clone();
                tokio::spawn(async move { callbacks.book(taker).await })
            };
            join(takers.into_iter().map(book).collect()).await
        };
        let won = outcomes.iter().filter(|outcome| **outcome == Ok(Booked::New)).count();
        let gone = outcomes.iter().filter(|outcome| **outcome == Ok(Booked::HoldGone)).count();
        assert_eq!((won, gone), (1, 9), "{outcomes:?}");
    }
    assert!(taken(&store).await.iter().all(|(_, places)| *places == 1));
    assert_eq!(store.injector.rows().holds, 0);
}

pub(crate) async fn are_refused_elsewhere(start: &Start) {
    let store = start(Limits::default());
    let hold = keep_hold(&store, holding(noon(), 1)).await;
    assert_eq!(store.callbacks.book(with_hold(hold, noon() + minutes(5))).await, Ok(Booked::HoldElsewhere));
    let immediate = Booking { hold: Some(hold), ..booking(immediate(ME, noon())) };
    assert_eq!(store.callbacks.book(immediate).await, Ok(Booked::HoldElsewhere));
    let mut other_queue = with_hold(hold, noon());
    other_queue.callback.queue = QueueName::new("sales").unwrap();
    assert_eq!(store.callbacks.book(other_queue).await, Ok(Booked::HoldElsewhere));
    let mut strangers = with_hold(hold, noon());
    strangers.callback.tenant = stranger();
    assert_eq!(store.callbacks.book(strangers).await, Ok(Booked::HoldGone), "another tenant's is nobody's");
    assert_eq!(store.holds.release(stranger(), hold, noon()).await, Ok(false));
    let unknown = HoldId::generate(noon());
    assert_eq!(store.callbacks.book(with_hold(unknown, noon())).await, Ok(Booked::HoldGone));
    let late = Booking { booked_at: at(300), ..with_hold(hold, noon()) };
    assert_eq!(store.callbacks.book(late).await, Ok(Booked::HoldGone), "its time is over");
    assert_eq!(store.injector.rows().keys, 0);
    assert_eq!(taken(&store).await, [(0, 1)], "none of them changed anything");
    let last_moment = Booking { booked_at: at(300) - Duration::milliseconds(1), ..with_hold(hold, noon()) };
    assert_eq!(store.callbacks.book(last_moment).await, Ok(Booked::New));
}

pub(crate) async fn are_given_up(start: &Start) {
    let store = start(Limits::default());
    let hold = keep_hold(&store, holding(noon(), 1)).await;
    assert_eq!(store.holds.release(tenant(), hold, at(10)).await, Ok(true));
    assert_eq!(taken(&store).await, []);
    assert_eq!(store.holds.release(tenant(), hold, at(10)).await, Ok(false), "once");
    assert_eq!(store.callbacks.book(with_hold(hold, noon())).await, Ok(Booked::HoldGone));
    let hold = keep_hold(&store, holding(noon(), 1)).await;
    assert_eq!(store.holds.release(tenant(), hold, at(300)).await, Ok(false), "it is over already");
    assert_eq!(store.holds.expire_holds(at(300), 100).await, Ok(1));
    assert_eq!(taken(&store).await, []);
}

pub(crate) async fn go_by_themselves(start: &Start) {
    let store = start(Limits { batch_commands: 16, ..Limits::default() });
    for number in 0..30 {
        let expires_at = at(if number < 20 { 100 } else { 200 });
        keep_hold(&store, Holding { expires_at, ..holding(noon() + minutes(5 * number), 1) }).await;
    }
    let commits = store.injector.commits();
    assert_eq!(store.holds.expire_holds(at(99), 100).await, Ok(0));
    assert_eq!(store.injector.commits(), commits, "with nothing to do nothing is written");
    assert_eq!(store.holds.expire_holds(at(100), 7).await, Ok(7), "bounded");
    assert_eq!(store.holds.expire_holds(at(100), 100).await, Ok(13));
    assert!(store.injector.commits() >= commits + 5, "in steps of a quarter of a batch");
    assert_eq!(taken(&store).await.len(), 10);
    assert_eq!(store.injector.rows().holds, 10);
    assert_eq!(store.holds.expire_holds(at(200), 100).await, Ok(10));
    assert_eq!(taken(&store).await, []);
}

/// Whoever wants the last place gets it the moment that its hold is over, before anything has tidied up.
pub(crate) async fn hinder_nobody_once_they_are_over(start: &Start) {
    let store = start(Limits::default());
    let hold = |slot: i64| holding(noon() + minutes(slot), 1);
    for slot in [0, 5, 10, 15] {
        keep_hold(&store, hold(slot)).await;
    }
    let book = |slot: i64, seconds| Booking { booked_at: at(seconds), ..booking(in_slot(noon() + minutes(slot))) };
    assert_eq!(store.callbacks.book(book(0, 299)).await, Ok(Booked::SlotFull));
    assert_eq!(store.callbacks.book(book(0, 300)).await, Ok(Booked::New));
    let rule = Duplicates { limit: 9, then: OnDuplicate::Refuse };
    let limited = |seconds| Booking {
        limits: BookingLimits { duplicates: Some(rule), ..BookingLimits::default() },
        ..book(5, seconds)
    };
    assert_eq!(store.callbacks.book(limited(299)).await, Ok(Booked::SlotFull), "also where rules count");
    assert_eq!(store.callbacks.book(limited(300)).await, Ok(Booked::New));
    let again = |seconds| Holding { at: at(seconds), expires_at: at(seconds + 300), ..hold(10) };
    assert_eq!(store.holds.hold(again(299)).await, Ok(Held::SlotFull));
    assert_eq!(store.holds.hold(again(300)).await, Ok(Held::New));
    let mover = store.keep(in_slot(noon() + minutes(30))).await;
    let into = |seconds| Change { at: at(seconds), ..moved(&mover, noon() + minutes(15)) };
    assert_eq!(store.callbacks.save(into(299)).await, Err(SaveError::SlotFull));
    assert_eq!(store.callbacks.save(into(300)).await, Ok(()));
    assert_eq!(taken(&store).await, [(0, 1), (5, 1), (10, 1), (15, 1)]);
    assert_eq!(store.holds.expire_holds(at(300), 100).await, Ok(0), "nothing is left to tidy up");
}

pub(crate) async fn are_so_many_and_no_more(start: &Start) {
    let store = start(Limits::default());
    let bounds = HoldBounds { of_queue: 4, of_number: 2 };
    let hold = |slot: i64, number: Option<u8>, expires: i64| Holding {
        bounds,
        number: number.map(|number| [number; 16]),
        expires_at: at(expires),
        ..holding(noon() + minutes(5 * slot), 1)
    };
    keep_hold(&store, hold(0, Some(1), 250)).await;
    let second = keep_hold(&store, hold(1, Some(1), 100)).await;
    let reached = |bound, limit, until| Ok(Held::TooMany(HoldsReached { bound, limit, until: at(until) }));
    assert_eq!(store.holds.hold(hold(2, Some(1), 300)).await, reached(HoldBound::Number, 2, 100));
    keep_hold(&store, hold(2, Some(2), 300)).await;
    keep_hold(&store, hold(3, None, 300)).await;
    assert_eq!(store.holds.hold(hold(4, None, 300)).await, reached(HoldBound::Queue, 4, 100));
    assert_eq!(store.holds.hold(hold(0, None, 300)).await, Ok(Held::SlotFull), "a full slot is told of first");
    // Other queues and tenants count for themselves.
    let elsewhere = Holding { queue: QueueName::new("sales").unwrap(), ..hold(4, Some(1), 300) };
    assert_eq!(store.holds.hold(elsewhere).await, Ok(Held::New));
    assert_eq!(store.holds.hold(Holding { tenant: stranger(), ..hold(4, Some(1), 300) }).await, Ok(Held::New));
    // What is over counts no more, and neither does what was given up or used.
    assert_eq!(store.holds.hold(Holding { at: at(100), ..hold(4, None, 300) }).await, Ok(Held::New));
    assert_eq!(
        store.holds.hold(Holding { at: at(100), ..hold(5, None, 300) }).await,
        reached(HoldBound::Queue, 4, 250)
    );
    let fifth = hold(6, None, 300);
    assert_eq!(store.holds.release(tenant(), second, at(100)).await, Ok(false));
    assert_eq!(store.holds.expire_holds(at(250), 10).await, Ok(2));
    assert_eq!(store.holds.hold(fifth).await, Ok(Held::New));
}

pub(crate) async fn are_recognised_by_their_key(start: &Start) {
    let store = start(Limits::default());
    let keyed = |key: u8, body: u8| Holding {
        idempotency: Some(Idempotency { key: [key; 16], body: [body; 16] }),
        ..holding(noon(), 5)
    };
    let first = keyed(1, 1);
    assert_eq!(store.holds.hold(first.clone()).await, Ok(Held::New));
    assert_eq!(store.holds.hold(keyed(1, 1)).await, Ok(Held::Existing(kept(&first))));
    assert_eq!(store.holds.hold(keyed(1, 2)).await, Ok(Held::KeyReused));
    assert_eq!(
        store.callbacks.book(with_key(scheduled(noon()), 1, 2)).await,
        Ok(Booked::New),
        "a booking's is another"
    );
    store.injector.lose_next_commit_answer();
    let lost = keyed(2, 1);
    assert!(matches!(store.holds.hold(lost.clone()).await, Err(StoreError::PerhapsDone(_))));
    assert_eq!(store.holds.hold(keyed(2, 1)).await, Ok(Held::Existing(kept(&lost))));
    assert_eq!(taken(&store).await, [(0, 2)]);
    // What it had made is gone: a repetition makes no other.
    assert_eq!(store.holds.release(tenant(), first.id, noon()).await, Ok(true));
    assert_eq!(store.holds.hold(keyed(1, 1)).await, Ok(Held::Gone));
    let over = Holding { at: at(300), ..keyed(2, 1) };
    assert_eq!(store.holds.hold(over).await, Ok(Held::Gone));
    let strangers = Holding { tenant: stranger(), ..keyed(1, 1) };
    assert_eq!(store.holds.hold(strangers).await, Ok(Held::New));
}

pub(crate) async fn leave_nothing_of_a_broken_batch(start: &Start) {
    let store = start(Limits::default());
    let hold = keep_hold(&store, holding(noon(), 1)).await;
    store.injector.break_bookings_of(phone(7), Break::Transaction);
    let broken = Booking { hold: Some(hold), ..booking(with_phone(in_slot(noon()), phone(7))) };
    assert!(store.callbacks.book(broken).await.is_err());
    assert_eq!(store.injector.rows().holds, 1, "it is still there");
    store.injector.heal();
    assert_eq!(store.callbacks.book(with_hold(hold, noon())).await, Ok(Booked::New));
    assert_eq!(taken(&store).await, [(0, 1)]);
}

/// A reschedule to the slot at `to`.
fn moved(before: &Callback, to: DateTime<Utc>) -> Change {
    let change = change(before, |callback| {
        callback.slot = Some(to);
        callback.desired_time = to;
    });
    let saving = Saving { give_back: before.slot, take: Some(to), ..saving(Cause::Rescheduled) };
    Change { saving, ..change }
}

/// Many callbacks move at once into a slot with few places, out of one that others want: as many as fit do, the others
/// stay where they were, and each place that came free went once.
pub(crate) async fn callbacks_move_between_slots_as_far_as_places_go(start: &Start) {
    let store = start(Limits { batch_commands: 8, ..Limits::default() });
    let (from, to) = (noon(), noon() + minutes(5));
    let mut callbacks = Vec::new();
    for _ in 0..40 {
        let booking = Booking { slot_capacity: 40, ..booking(in_slot(from)) };
        assert_eq!(store.callbacks.book(booking.clone()).await, Ok(Booked::New));
        callbacks.push(booking.callback);
    }
    let move_one = |callback: Callback| {
        let store = store.callbacks.clone();
        tokio::spawn(async move { store.save(Change { slot_capacity: 15, ..moved(&callback, to) }).await })
    };
    let hold_one = |_| {
        let (holds, holding) = (store.holds.clone(), holding(from, 40));
        tokio::spawn(async move { holds.hold(holding).await })
    };
    let moving: Vec<_> = callbacks.iter().cloned().map(move_one).collect();
    let holding: Vec<_> = (0..40).map(hold_one).collect();
    let moved = join(moving).await;
    let held = join(holding).await;
    let count = |wanted: Result<(), SaveError>| moved.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(Ok(())), count(Err(SaveError::SlotFull))), (15, 25));
    let got = held.iter().filter(|outcome| **outcome == Ok(Held::New)).count();
    let full = held.iter().filter(|outcome| **outcome == Ok(Held::SlotFull)).count();
    assert_eq!(got + full, 40);
    assert_eq!(taken(&store).await, [(0, 25 + u32::try_from(got).unwrap()), (5, 15)]);
    assert!(got <= 15);
    for (callback, outcome) in callbacks.iter().zip(&moved) {
        let slot = store.load(callback.id).await.slot;
        assert_eq!(slot, Some(if outcome.is_ok() { to } else { from }));
    }
}

/// A callback that stays in its slot stays in that of the grid that counts.
pub(crate) async fn a_move_within_a_slot_knows_its_grid(start: &Start) {
    let store = start(Limits::default());
    let wanted = noon() + minutes(10);
    let mut callback = in_slot(wanted);
    callback.slot = Some(noon());
    let booking = Booking { grid: grid(30), ..booking(callback.clone()) };
    assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));
    let within = |grid| {
        let change = change(&callback, |it| it.desired_time = noon() + minutes(20));
        Change { saving: saving(Cause::Rescheduled), grid, ..change }
    };
    // By slots of an hour it would be the same slot too, but the queue is not counted by those.
    assert_eq!(store.callbacks.save(within(grid(60))).await, Err(SaveError::Conflict));
    assert_eq!(store.callbacks.save(within(grid(30))).await, Ok(()));
    assert_eq!(taken(&store).await, [(0, 1)]);
}

pub(crate) async fn get_the_slots_of_another_grid(start: &Start) {
    let store = start(Limits { batch_commands: 8, ..Limits::default() });
    let hold = |minute: i64| {
        let (wanted, grid) = (noon() + minutes(minute), grid(60));
        let slot = SlotClaim { start: grid.slot_start(wanted), capacity: 100, grid };
        Holding { slot, ..holding(wanted, 100) }
    };
    let mut ids = Vec::new();
    for minute in 0..60 {
        ids.push(keep_hold(&store, hold(minute)).await);
    }
    assert_eq!(taken(&store).await, [(0, 60)]);
    let grids = BTreeMap::from([(queue(), grid(30))]);
    assert_eq!(store.callbacks.recount(tenant(), &grids, noon()).await, Ok(0), "no callback moves");
    assert_eq!(taken(&store).await, [(0, 30), (30, 30)]);
    assert_eq!(store.holds.hold(hold(0)).await, Ok(Held::OtherGrid));
    let book = |hold, minute: i64, by: Grid| {
        let mut callback = in_slot(noon() + minutes(minute));
        callback.slot = Some(by.slot_start(callback.desired_time));
        Booking { hold: Some(hold), grid: by, ..booking(callback) }
    };
    assert_eq!(store.callbacks.book(book(ids[40], 40, grid(60))).await, Ok(Booked::OtherGrid), "it may be judged anew");
    assert_eq!(store.callbacks.book(book(ids[40], 40, grid(30))).await, Ok(Booked::New));
    assert_eq!(store.holds.release(tenant(), ids[10], noon()).await, Ok(true));
    assert_eq!(taken(&store).await, [(0, 29), (30, 30)]);
    assert_eq!(store.holds.expire_holds(at(300), 100).await, Ok(58));
    assert_eq!(taken(&store).await, [(30, 1)], "given back where it is counted");
}
