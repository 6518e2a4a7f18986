//! Counting places by another grid: every unfinished booking gets its new slot, no place is lost, none is sold twice.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use domain::callback::{Callback, Cause, Reason, Saving, State};
use domain::ids::{QueueName, TenantId};
use domain::ports::{Booked, Booking, Change, SaveError, StoreError};
use domain::queue::SlotMinutes;
use domain::slots::Grid;
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::harness::*;

fn grid(minutes: u32) -> Grid {
    Grid::new(Tz::UTC, SlotMinutes::new(minutes).unwrap())
}

fn grids(grid: Grid) -> BTreeMap<QueueName, Grid> {
    BTreeMap::from([(queue(), grid)])
}

/// A booking for `wanted` by `grid`, with so many places in its slot.
fn wanted(wanted: DateTime<Utc>, grid: Grid, places: u32) -> Booking {
    let mut callback = in_slot(wanted);
    callback.slot = Some(grid.slot_start(wanted));
    Booking { slot_capacity: places, grid, ..booking(callback) }
}

/// Minutes after noon of every slot with places taken, and how many.
async fn taken(store: &Fixture) -> Vec<(i64, u32)> {
    let (from, to) = (noon() - Duration::days(1), noon() + Duration::days(2));
    let taken = store.callbacks.places_taken(tenant(), &queue(), from, to).await.unwrap();
    taken.into_iter().map(|(start, places)| ((start - noon()).num_minutes(), places)).collect()
}

async fn keep_wanted(store: &Fixture, at: DateTime<Utc>, grid: Grid) -> Callback {
    let booking = wanted(at, grid, 1_000);
    assert_eq!(store.callbacks.book(booking.clone()).await, Ok(Booked::New));
    booking.callback
}

async fn recount(store: &Fixture, grid: Grid) -> Result<u64, StoreError> {
    store.callbacks.recount(tenant(), &grids(grid), noon()).await
}

/// Ends a callback: by a cancel, which gives its place back, or otherwise.
fn ended(before: &Callback, reason: Reason) -> Change {
    let give_back = before.slot.filter(|_| reason == Reason::CANCELLED);
    let mut change = change(before, |it| {
        it.state = State::Completed;
        it.reason = Some(reason);
        it.wake_at = None;
        it.ended_at = Some(noon());
        it.slot = it.slot.filter(|_| give_back.is_none());
    });
    change.saving = Saving { give_back, ..saving(Cause::CancelledByApi) };
    change
}

pub(crate) async fn move_bookings_to_the_slots_of_another_grid(start: &Start) {
    let store = start(Limits::default());
    let mut kept = Vec::new();
    for minute in [0, 10, 40, 59, 60, 90] {
        kept.push(keep_wanted(&store, noon() + minutes(minute), grid(60)).await);
    }
    assert_eq!(taken(&store).await, [(0, 4), (60, 2)]);
    assert_eq!(recount(&store, grid(30)).await, Ok(3));
    assert_eq!(taken(&store).await, [(0, 2), (30, 2), (60, 1), (90, 1)]);
    for callback in &kept {
        let now = store.load(callback.id).await;
        let slot = Some(grid(30).slot_start(callback.desired_time));
        let version = if slot == callback.slot { 1 } else { 2 };
        assert_eq!(now, Callback { slot, version, ..callback.clone() });
    }
    // And back, in a zone whose hours begin elsewhere.
    let kathmandu = Grid::new(Tz::Asia__Kathmandu, SlotMinutes::new(60).unwrap());
    assert_eq!(recount(&store, kathmandu).await, Ok(6));
    assert_eq!(taken(&store).await, [(-45, 2), (15, 3), (75, 1)]);
}

pub(crate) async fn say_what_they_moved_in_the_history(start: &Start) {
    let store = start(Limits::default());
    let callback = keep_wanted(&store, noon() + minutes(40), grid(60)).await;
    assert_eq!(recount(&store, grid(30)).await, Ok(1));
    let history = store.callbacks.history(tenant(), callback.id, 10).await.unwrap();
    let found: Vec<_> = history.iter().map(|entry| (entry.version, entry.cause, entry.state, entry.at)).collect();
    let scheduled = State::Scheduled;
    assert_eq!(found, [(1, Cause::Booked, scheduled, noon()), (2, Cause::Recounted, scheduled, noon())]);
    let stale = store.callbacks.save(ended(&callback, Reason::CANCELLED)).await;
    assert_eq!(stale, Err(SaveError::Conflict), "whoever knew the old slot has to read again");
    let now = store.load(callback.id).await;
    assert_eq!(store.callbacks.save(ended(&now, Reason::CANCELLED)).await, Ok(()));
    assert_eq!(taken(&store).await, []);
}

pub(crate) async fn that_are_done_cost_nothing(start: &Start) {
    let store = start(Limits::default());
    keep_wanted(&store, noon() + minutes(40), grid(60)).await;
    assert_eq!(recount(&store, grid(30)).await, Ok(1));
    let commits = store.injector.commits();
    assert_eq!(recount(&store, grid(30)).await, Ok(0));
    let unknown = BTreeMap::from([(QueueName::new("never booked").unwrap(), grid(5))]);
    assert_eq!(store.callbacks.recount(tenant(), &unknown, noon()).await, Ok(0));
    assert_eq!(store.callbacks.recount(TenantId::from_name("nobody"), &grids(grid(5)), noon()).await, Ok(0));
    assert_eq!(store.injector.commits(), commits, "nothing was written");
}

pub(crate) async fn leave_the_past_and_the_ended_alone(start: &Start) {
    let store = start(Limits::default());
    let past = keep_wanted(&store, noon() - minutes(121), grid(120)).await;
    let running = keep_wanted(&store, noon() - minutes(20), grid(120)).await;
    let ended_one = keep_wanted(&store, noon() + minutes(40), grid(120)).await;
    assert_eq!(store.callbacks.save(ended(&ended_one, Reason::AGENT_CONNECTED)).await, Ok(()));
    let queued = keep_wanted(&store, noon() + minutes(45), grid(120)).await;
    let mut start_early = change(&queued, |it| (it.state, it.start_at) = (State::Queued, DateTime::UNIX_EPOCH));
    start_early.saving = saving(Cause::Started);
    assert_eq!(store.callbacks.save(start_early).await, Ok(()));
    let newer = keep_wanted(&store, noon() + minutes(50), grid(120)).await;
    store.injector.raise_format(newer.id);
    // The same queue of another tenant is another queue.
    let mut strangers = wanted(noon() + minutes(40), grid(120), 1);
    strangers.callback.tenant = stranger();
    assert_eq!(store.callbacks.book(strangers.clone()).await, Ok(Booked::New));

    assert_eq!(recount(&store, grid(15)).await, Ok(2));
    assert_eq!(store.load(past.id).await.slot, past.slot);
    assert_eq!(store.load(ended_one.id).await.slot, ended_one.slot);
    assert_eq!(store.load(running.id).await.slot, Some(noon() - minutes(30)));
    assert_eq!(store.load(queued.id).await.slot, Some(noon() + minutes(45)), "already with routing, wanted later");
    assert_eq!(taken(&store).await, [(-240, 1), (-30, 1), (0, 2), (45, 1)]);
    let theirs = store.callbacks.load(stranger(), strangers.callback.id).await.unwrap().unwrap();
    assert_eq!(theirs, strangers.callback);
}

pub(crate) async fn are_refused_places_of_another_grid(start: &Start) {
    let store = start(Limits::default());
    let hour = grid(60);
    let callback = keep_wanted(&store, noon() + minutes(40), hour).await;
    assert_eq!(store.callbacks.book(wanted(noon(), grid(30), 9)).await, Ok(Booked::OtherGrid), "not counted yet");
    assert_eq!(recount(&store, grid(30)).await, Ok(1));
    assert_eq!(store.callbacks.book(wanted(noon(), hour, 9)).await, Ok(Booked::OtherGrid), "not any more");
    let full = store.callbacks.book(wanted(noon() + minutes(30), grid(30), 1)).await;
    assert_eq!(full, Ok(Booked::SlotFull), "the one that was moved counts");
    let keyed = Booking { idempotency: with_key(in_slot(noon()), 1, 1).idempotency, ..wanted(noon(), hour, 9) };
    assert_eq!(store.callbacks.book(keyed).await, Ok(Booked::OtherGrid));
    assert_eq!(store.injector.rows().keys, 0, "a refusal keeps nothing");
    let immediate = Booking { grid: hour, ..booking(immediate(ME, noon())) };
    assert_eq!(store.callbacks.book(immediate).await, Ok(Booked::New), "it takes no place");

    let now = store.load(callback.id).await;
    let moved_by = |grid| {
        let to = noon() + minutes(90);
        let mut change = change(&now, |it| it.slot = Some(to));
        change.saving = Saving { give_back: now.slot, take: Some(to), ..saving(Cause::Rescheduled) };
        Change { grid, ..change }
    };
    assert_eq!(store.callbacks.save(moved_by(hour)).await, Err(SaveError::Conflict));
    assert_eq!(taken(&store).await, [(30, 1)]);
    assert_eq!(store.callbacks.save(moved_by(grid(30))).await, Ok(()));
    assert_eq!(taken(&store).await, [(90, 1)]);
}

/// A count is cut off after each of its writes; repeating it ends it.
pub(crate) async fn are_finished_by_whoever_comes_next(start: &Start) {
    let store = start(Limits { batch_commands: 8, ..Limits::default() });
    for minute in 0..30 {
        keep_wanted(&store, noon() + minutes(2 * minute), grid(60)).await;
    }
    for writes in 1..=6 {
        let before = store.injector.commits();
        let callbacks = store.callbacks.clone();
        let counting = tokio::spawn(async move { callbacks.recount(tenant(), &grids(grid(30)), noon()).await });
        let enough = || store.injector.commits() >= before + writes || counting.is_finished();
        until("it has written so often", enough).await;
        counting.abort();
        let _ = counting.await;
        let places: u32 = taken(&store).await.iter().map(|(_, places)| places).sum();
        assert_eq!(places, 30, "wherever it was cut off, every place is counted once");
        if taken(&store).await != [(0, 15), (30, 15)] {
            // The mark is there until the end, so that nobody is sold a place that is not counted yet.
            for by in [30, 60] {
                let outcome = store.callbacks.book(wanted(noon() + minutes(600), grid(by), 9)).await;
                assert_eq!(outcome, Ok(Booked::OtherGrid), "after {writes} writes");
            }
        }
        // Back to the beginning, for the next cut.
        if writes % 2 == 0 {
            assert!(recount(&store, grid(60)).await.is_ok());
            assert_eq!(taken(&store).await, [(0, 30)]);
        }
    }
    assert!(recount(&store, grid(30)).await.is_ok());
    assert_eq!(taken(&store).await, [(0, 15), (30, 15)]);

    // A mark whose answer was lost is a mark.
    store.injector.lose_next_commit_answer();
    let lost = recount(&store, grid(15)).await;
    assert!(matches!(lost, Err(StoreError::PerhapsDone(_))), "{lost:?}");
    assert_eq!(store.callbacks.book(wanted(noon(), grid(30), 99)).await, Ok(Booked::OtherGrid));
    assert_eq!(recount(&store, grid(15)).await, Ok(14));
    assert_eq!(store.callbacks.book(wanted(noon(), grid(15), 99)).await, Ok(Booked::New));
}

/// Bookings by both grids and cancels while the grid changes to and fro.
pub(crate) async fn meet_cancels_and_bookings(start: &Start) {
    let store = start(Limits { batch_commands: 40, ..Limits::default() });
    let mut kept = Vec::new();
    for number in 0..200 {
        kept.push(keep_wanted(&store, noon() + minutes(number % 120), grid(60)).await);
    }
    let (first, second) = (store.callbacks.clone(), store.callbacks.clone());
    let counting = tokio::spawn(async move {
        let mut moved = 0;
        for minutes in [30, 60, 20, 15] {
            // Two nodes may count at once: both do, or the one that began first is told to come again.
            let by = grids(grid(minutes));
            let (one, other) =
                tokio::join!(first.recount(tenant(), &by, noon()), second.recount(tenant(), &by, noon()));
            moved += one.unwrap_or_default() + other.unwrap_or_default();
            while first.recount(tenant(), &by, noon()).await != Ok(0) {}
        }
        moved
    });
    let mut booked = 0;
    for (number, callback) in kept.iter().enumerate() {
        let now = store.load(callback.id).await;
        match store.callbacks.save(ended(&now, Reason::CANCELLED)).await {
            Ok(()) | Err(SaveError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
        let by = [60, 30, 20, 15][number % 4];
        let outcome = store.callbacks.book(wanted(noon() + minutes(number as i64 % 120), grid(by), 1_000)).await;
        match outcome {
            Ok(Booked::New) => booked += 1,
            Ok(Booked::OtherGrid) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(counting.await.unwrap() > 0);
    let cancelled = {
        let mut cancelled = 0;
        for callback in &kept {
            cancelled += usize::from(store.load(callback.id).await.state == State::Completed);
        }
        cancelled
    };
    let places: u32 = taken(&store).await.iter().map(|(_, places)| places).sum();
    assert_eq!(places as usize, 200 - cancelled + booked, "as many places as callbacks that hold one");
    for (minute, _) in taken(&store).await {
        assert_eq!(minute % 15, 0, "all of them are slots of the last grid");
    }
}

/// Whatever changes in whatever order: the places of each slot are the unfinished callbacks that hold it, and no slot
/// is sold beyond its places by a booking.
pub(crate) async fn keep_every_place_in_random_changes(start: &Start) {
    let lengths = [5, 10, 15, 20, 30, 60, 120];
    let zones = [Tz::UTC, Tz::Asia__Kathmandu, Tz::America__New_York];
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..8 {
        let store = start(Limits { batch_commands: 12, ..Limits::default() });
        let mut by = grid(60);
        let mut living: Vec<Callback> = Vec::new();
        for _ in 0..120 {
            let minute = random.random_range(0..300);
            match random.random_range(0..10) {
                0 => {
                    let minutes = SlotMinutes::new(lengths[random.random_range(0..lengths.len())]).unwrap();
                    by = Grid::new(zones[random.random_range(0..zones.len())], minutes);
                    assert!(recount(&store, by).await.is_ok());
                    for callback in &mut living {
                        *callback = store.load(callback.id).await;
                        assert_eq!(callback.slot, Some(by.slot_start(callback.desired_time)));
                    }
                }
                1 | 2 if !living.is_empty() => {
                    let callback = living.swap_remove(random.random_range(0..living.len()));
                    assert_eq!(store.callbacks.save(ended(&callback, Reason::CANCELLED)).await, Ok(()));
                }
                _ => {
                    let booking = wanted(noon() + minutes(minute), by, 3);
                    let full = living.iter().filter(|it| it.slot == booking.callback.slot).count() >= 3;
                    let expected = if full { Booked::SlotFull } else { Booked::New };
                    assert_eq!(store.callbacks.book(booking.clone()).await, Ok(expected));
                    if !full {
                        living.push(booking.callback);
                    }
                }
            }
            let mut held: BTreeMap<i64, u32> = BTreeMap::new();
            for callback in &living {
                *held.entry((callback.slot.unwrap() - noon()).num_minutes()).or_default() += 1;
            }
            assert_eq!(taken(&store).await, held.into_iter().collect::<Vec<_>>());
        }
    }
}
