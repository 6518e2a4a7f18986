//! Several nodes on one database: what one of them cannot show.

mod call_ins;
mod handing_over;
mod holds;
mod notices;
mod servers;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use domain::callback::{Callback, Cause, State};
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Booked, Booking, CallbackStore as _, Change, Claim, SaveError, StoreError};
use domain::queue::ThrottleWindow;
use domain::throttle::{BookingLimits, CountedValue, Day, Duplicates, OnDuplicate};
use ges::stores::combiner::Limits;
use ges::stores::postgres::PostgresStore;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use super::harness::*;
use super::postgres::{database, open};
use crate::harness::postgres::{Database, query};
use crate::harness::seed;

/// Two stores on one database.
async fn two() -> (Database, [Arc<PostgresStore>; 2]) {
    let database = database();
    // A wait in a circle is found out before any lock is given up for its time.
    query(&database.0, &format!("ALTER DATABASE {} SET deadlock_timeout = '50ms'", database.0.database));
    let one = open(&database.0, Limits::default()).await;
    let other = open(&database.0, Limits::default()).await;
    (database, [Arc::new(one), Arc::new(other)])
}

fn number(database: &Database, text: &str) -> u64 {
    query(&database.0, text).first().unwrap().parse().unwrap()
}

/// Times that the server had to end a wait in a circle. It adds its counters up when sessions end, so all of them have to
/// be gone; no store may be left.
async fn deadlocks(database: &Database) -> u64 {
    let others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    until("all sessions have ended", || query(&database.0, others).is_empty()).await;
    number(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}

/// Waits until a writer that pauses before its COMMIT has its locks.
async fn locked(database: &Database) {
    let pausing = "SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    until("a writer has its locks", || !query(&database.0, pausing).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_from_both_oversell_nothing() {
    let (database, stores) = two().await;
    let tasks = (0..300).map(|n| {
        let store = stores[n % 2].clone();
        let slot = noon() + minutes(5 * (n / 60) as i64);
        tokio::spawn(async move { store.book(Booking { slot_capacity: 7, ..booking(in_slot(slot)) }).await })
    });
    let outcomes = join(tasks.collect()).await;
    assert_eq!(outcomes.iter().filter(|it| **it == Ok(Booked::New)).count(), 5 * 7, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|it| **it == Ok(Booked::SlotFull)).count(), 300 - 5 * 7);
    assert_eq!(number(&database, "SELECT count(*) FROM slots WHERE booked = 7"), 5);
    assert_eq!(number(&database, "SELECT count(*) FROM callbacks"), 35);
}

/// A node that takes it for later than it is begins nothing early, for the database has the last word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_begins_before_its_time_by_the_clock_of_the_database() {
    let (_database, [store, _]) = two().await;
    let today = chrono::DateTime::from_timestamp_millis(crate::harness::now_ms()).unwrap();
    for (start_at, expected) in [(today + minutes(1), Err(SaveError::Conflict)), (today - minutes(1), Ok(()))] {
        let callback = scheduled(start_at);
        assert_eq!(store.book(booking(callback.clone())).await, Ok(Booked::New));
        let begun = Change { saving: saving(Cause::Started), ..change(&callback, |it| it.state = State::Queued) };
        assert_eq!(store.save(begun).await, expected, "{start_at}");
    }
}

/// A standby that stood in for its server without the very last of it may lack the number of a queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_queues_are_learnt_anew_with_every_connection() {
    let (database, [store, other]) = two().await;
    assert_eq!(store.book(booking(in_slot(noon()))).await, Ok(Booked::New));
    query(&database.0, "TRUNCATE callbacks, history, slots, queue_depths; DELETE FROM queues; DELETE FROM tenants");
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    query(&database.0, others);
    let kept = in_slot(noon());
    let mut booked = store.book(booking(kept.clone())).await;
    while matches!(booked, Err(StoreError::NotDone(_))) {
        booked = store.book(booking(kept.clone())).await;
    }
    assert_eq!(booked, Ok(Booked::New));
    assert_eq!(number(&database, "SELECT count(*) FROM callbacks c JOIN queues q ON q.key = c.queue"), 1);
    // One that lacks it all the same hides no other.
    let lost = scheduled(noon());
    assert_eq!(store.book(booking(lost.clone())).await, Ok(Booked::New));
    query(&database.0, &format!("UPDATE callbacks SET queue = 4711 WHERE id = '\\x{}'", lost.id.as_uuid().simple()));
    let claim = Claim { owner: ME, horizon: noon() + minutes(1), leads: BTreeMap::new(), limit: 50, at: noon() };
    let claimed = other.claim(claim).await.unwrap();
    assert_eq!(claimed.iter().map(|due| due.id).collect::<Vec<_>>(), [kept.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_keys_from_both_give_one_booking() {
    let (database, stores) = two().await;
    let tasks = (0..400_usize).map(|n| {
        let store = stores[n % 2].clone();
        let booking = with_key(scheduled(noon()), u8::try_from(n / 4).unwrap(), 1);
        tokio::spawn(async move { (booking.callback.id, store.book(booking).await) })
    });
    let outcomes = join(tasks.collect()).await;
    for equal in outcomes.chunks(4) {
        let made: Vec<_> = equal.iter().filter(|(_, booked)| *booked == Ok(Booked::New)).map(|(id, _)| *id).collect();
        let [made] = made[..] else { panic!("one of {equal:?} was first") };
        let others = equal.iter().filter(|(_, booked)| *booked == Ok(Booked::Existing(made)));
        assert_eq!(others.count(), 3, "{equal:?}");
    }
    assert_eq!(number(&database, "SELECT count(*) FROM callbacks"), 100);
    assert_eq!(number(&database, "SELECT count(*) FROM idempotency_keys"), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_from_both_never_overlap() {
    let (_database, stores) = two().await;
    let tasks = (0..600).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move { store.book(booking(scheduled(noon()))).await })
    });
    assert!(join(tasks.collect()).await.iter().all(Result::is_ok));
    let claimers = [(0, ME), (1, OTHER), (0, ME), (1, OTHER)].map(|(node, owner)| {
        let store = stores[node].clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let horizon = noon() + minutes(1);
                let claim = Claim { owner, horizon, leads: BTreeMap::new(), limit: 50, at: noon() };
                let claimed = store.claim(claim).await.unwrap();
                if claimed.is_empty() {
                    return (owner, mine);
                }
                mine.extend(claimed.into_iter().map(|due| due.id));
            }
        })
    });
    let mut seen = BTreeSet::new();
    for (owner, claimed) in join(claimers.into()).await {
        for id in claimed {
            assert!(seen.insert(id), "claimed twice");
            assert_eq!(stores[0].load(tenant(), id).await.unwrap().unwrap().owner, Some(owner));
        }
    }
    // What one passed over because another held it that very moment is found by the next tick.
    assert!(seen.len() > 500, "{}", seen.len());
    println!("claimed {} of 600", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_rules_hold_from_both() {
    const MOST: u32 = 7;
    let (_database, stores) = two().await;
    let none = BookingLimits::default();
    let value = CountedValue { parameter: "phoneNumber".to_owned(), blinded: [1; 16] };
    let day = Day { limit: MOST, ends_at: noon() + minutes(720), values: vec![value] };
    // Each in a queue of its own, so that none is refused for another's sake.
    let rules = [
        BookingLimits { duplicates: Some(Duplicates { then: OnDuplicate::Refuse, limit: MOST }), ..none.clone() },
        BookingLimits { day: Some(day), ..none.clone() },
        BookingLimits { windows: vec![ThrottleWindow { seconds: 3_600, limit: MOST }], ..none.clone() },
        BookingLimits { depth: Some(MOST), ..none },
    ];
    let tasks = (0..400).map(|n| {
        let (store, rule) = (stores[n % 2].clone(), n / 2 % 4);
        let mut callback = immediate(ME, noon());
        callback.queue = QueueName::new(&format!("queue{rule}")).unwrap();
        let booking = Booking { limits: rules[rule].clone(), ..booking(callback) };
        tokio::spawn(async move { (rule, store.book(booking).await) })
    });
    let outcomes = join(tasks.collect()).await;
    for rule in 0..4 {
        let of: Vec<_> = outcomes.iter().filter(|(of, _)| *of == rule).map(|(_, outcome)| outcome).collect();
        let kept = of.iter().filter(|outcome| **outcome == &Ok(Booked::New)).count();
        let refused = of.iter().filter(|outcome| matches!(outcome, Ok(Booked::Limited(_)))).count();
        assert_eq!((kept, refused), (7, 93), "of rule {rule}: {of:?}");
    }
}

/// What one task of the random test does next.
fn random_booking(random: &mut StdRng) -> Booking {
    let phone = phone(random.random_range(0..20));
    let slot = noon() + minutes(5 * random.random_range(0..6));
    let callback = match random.random_range(0..3) {
        0 => scheduled(slot),
        1 => immediate(ME, noon()),
        _ => in_slot(slot),
    };
    let mut callback = callback;
    callback.queue = QueueName::new(["support", "sales", "claims"].choose(random).unwrap()).unwrap();
    let mut limits = BookingLimits::default();
    if random.random_bool(0.5) {
        let then = *[OnDuplicate::Replace, OnDuplicate::Refuse, OnDuplicate::ReturnExisting].choose(random).unwrap();
        limits.duplicates = Some(Duplicates { then, limit: random.random_range(1..4) });
    }
    if callback.queue.as_str() == "support" && random.random_bool(0.3) {
        limits.windows = vec![ThrottleWindow { seconds: 3_600, limit: 100_000 }];
    }
    if callback.queue.as_str() != "sales" && random.random_bool(0.3) {
        limits.depth = Some(1_000_000);
    }
    let keyed = with_key(with_phone(callback, phone), random.random_range(0..200), 1);
    let idempotency = keyed.idempotency.filter(|_| random.random_bool(0.4));
    Booking { slot_capacity: 400, limits, idempotency, ..keyed }
}

/// An end or a move of something that was booked before.
fn random_step(random: &mut StdRng, before: &Callback) -> Change {
    let mut step = change(before, |_| {});
    step.slot_capacity = 400;
    let moves = before.slot.is_some() && before.state == State::Scheduled && random.random_bool(0.5);
    if moves {
        let to = noon() + minutes(5 * random.random_range(0..6));
        step.saving = saving(Cause::Rescheduled);
        if before.slot != Some(to) {
            (step.saving.give_back, step.saving.take) = (before.slot, Some(to));
            step.callback.slot = Some(to);
            step.callback.desired_time = to;
        }
    } else {
        step.saving = saving(Cause::CancelledByApi);
        step.saving.give_back = before.slot;
        step.callback.slot = None;
        step.callback.state = State::Completed;
        step.callback.ended_at = Some(noon());
        step.callback.wake_at = None;
    }
    step
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_batches_from_both_never_wait_for_each_other() {
    const TASKS: u64 = 16;
    const STEPS: u64 = 1_000;
    let (database, stores) = two().await;
    let seed = seed();
    let tasks = (0..TASKS).map(|task| {
        let store = stores[usize::try_from(task % 2).unwrap()].clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed ^ task);
            let mut mine: Vec<CallbackId> = Vec::new();
            for _ in 0..STEPS {
                let known = mine.choose(&mut random).copied().filter(|_| random.random_bool(0.5));
                if let Some(id) = known {
                    let before = store.load(tenant(), id).await.unwrap().unwrap();
                    if before.ended_at.is_some() {
                        mine.retain(|other| *other != id);
                        continue;
                    }
                    match store.save(random_step(&mut random, &before)).await {
                        Ok(()) | Err(SaveError::Conflict | SaveError::SlotFull) => {}
                        Err(error) => panic!("{error}"),
                    }
                } else {
                    let booking = random_booking(&mut random);
                    let id = booking.callback.id;
                    match store.book(booking).await.unwrap() {
                        Booked::New | Booked::Replaced { .. } => mine.push(id),
                        _ => {}
                    }
                }
            }
        })
    });
    join(tasks.collect()).await;
    let batches: u64 = stores.iter().map(|store| store.write_stats().commits).sum();
    println!("{batches} batches");
    drop(stores);
    assert_eq!(deadlocks(&database).await, 0);
    let wrong = "SELECT count(*) FROM slots s WHERE booked <>
        (SELECT count(*) FROM callbacks c WHERE c.queue = s.queue AND c.slot = s.start AND c.ended_at IS NULL)";
    assert_eq!(number(&database, wrong), 0, "every place is somebody's");
    let depth = "SELECT count(*) FROM queue_depths d WHERE active <>
        (SELECT count(*) FROM callbacks c WHERE c.queue = d.queue AND c.state BETWEEN 1 AND 3)";
    assert_eq!(number(&database, depth), 0, "and the depth is counted");
    let gaps =
        "SELECT count(*) FROM callbacks c WHERE version + 1 <> (SELECT count(*) FROM history h WHERE h.callback = c.id)
        AND version <> (SELECT count(*) FROM history h WHERE h.callback = c.id)";
    assert_eq!(number(&database, gaps), 0, "and no step is missing");
}

/// Two batches want the same slots while somebody else holds one of them. Whoever waits for that one holds those before
/// it, and nothing that the other could have got first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_slots_are_locked_in_the_same_order() {
    const SLOTS: usize = 40;
    let (database, stores) = two().await;
    let third = Arc::new(open(&database.0, Limits::default()).await);
    let taker = |n: usize| Booking { slot_capacity: 1_000, ..booking(in_slot(noon() + minutes(5 * n as i64))) };
    third.book(taker(SLOTS)).await.unwrap();
    for _ in 0..5 {
        let holds = stores.each_ref().map(|store| store.hold_writer());
        let takers = (0..2 * SLOTS).map(|n| (stores[n % 2].clone(), taker(n / 2)));
        let tasks = takers.map(|(store, booking)| tokio::spawn(async move { store.book(booking).await })).collect();
        until("all wait", || stores.iter().all(|store| store.writes_waiting() == SLOTS)).await;
        third.pause_before_commit(StdDuration::from_millis(500));
        let (holder, held) = (third.clone(), taker(SLOTS / 2));
        let held = tokio::spawn(async move { holder.book(held).await });
        locked(&database).await;
        drop(holds);
        assert_eq!(held.await.unwrap(), Ok(Booked::New));
        assert!(join(tasks).await.iter().all(|outcome| *outcome == Ok(Booked::New)));
    }
    drop((stores, third));
    assert_eq!(deadlocks(&database).await, 0);
}

/// The first booking in a slot of a queue names its grid. Of two that want to, one has the depth of another queue first
/// and the other comes to it last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grid_is_named_before_a_depth_is_locked() {
    let (database, [first, second]) = two().await;
    let third = Arc::new(open(&database.0, Limits::default()).await);
    let of = |queue: &str, mut callback: Callback| {
        callback.queue = QueueName::new(queue).unwrap();
        booking(callback)
    };
    // All have a connection.
    for store in [&first, &second, &third] {
        store.book(of("other", immediate(ME, noon()))).await.unwrap();
    }
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for round in 0..5 {
        let (slots, depth) = (format!("slots{round}"), format!("depth{round}"));
        third.pause_before_commit(StdDuration::from_millis(700));
        let (holder, held) = (third.clone(), of(&depth, immediate(ME, noon())));
        let mut tasks = vec![tokio::spawn(async move { holder.book(held).await })];
        locked(&database).await;
        let judged = BookingLimits { depth: Some(1_000), ..BookingLimits::default() };
        for (place, (store, limits)) in [(&first, judged), (&second, BookingLimits::default())].into_iter().enumerate()
        {
            let hold = store.hold_writer();
            let slot = noon() + minutes(5 * place as i64);
            let batch =
                [of(&slots, in_slot(slot)), Booking { limits, ..of(&depth, immediate(ME, noon())) }].map(|booking| {
                    let store = store.clone();
                    tokio::spawn(async move { store.book(booking).await })
                });
            until("both wait", || store.writes_waiting() == 2).await;
            drop(hold);
            until("it waits for the depth, or has it", || {
                query(&database.0, waiting).len() > place || tasks.iter().all(|task| task.is_finished())
            })
            .await;
            tasks.extend(batch);
        }
        assert!(join(tasks).await.iter().all(|outcome| *outcome == Ok(Booked::New)));
    }
    drop((first, second, third));
    assert_eq!(deadlocks(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_writer_stops_the_others_for_a_second_at_most() {
    let (database, stores) = two().await;
    let [paused, other] = &stores;
    // Both know the queue and have a connection.
    for store in &stores {
        store.book(booking(scheduled(noon()))).await.unwrap();
    }
    let last_place = || Booking { slot_capacity: 1, ..booking(in_slot(noon())) };
    paused.pause_before_commit(StdDuration::from_secs(4));
    let lost = tokio::spawn({
        let paused = paused.clone();
        async move { paused.book(last_place()).await }
    });
    // It holds the slot now.
    locked(&database).await;
    let began = Instant::now();
    assert_eq!(other.book(last_place()).await, Ok(Booked::New));
    assert!(began.elapsed() < StdDuration::from_secs(3), "{:?}", began.elapsed());
    let outcome = lost.await.unwrap();
    assert!(matches!(outcome, Err(StoreError::NotDone(_))), "{outcome:?}");
    assert_eq!(paused.book(last_place()).await, Ok(Booked::SlotFull), "and it goes on");
    assert_eq!(number(&database, "SELECT booked FROM slots"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_commit_is_found_out() {
    let (database, [store, _]) = two().await;
    store.deafen_next_commit();
    let callback = scheduled(noon());
    assert_eq!(store.book(booking(callback.clone())).await, Ok(Booked::New), "it was committed");
    assert_eq!(store.load(tenant(), callback.id).await, Ok(Some(callback)));
    store.drop_next_commit();
    let began = Instant::now();
    let outcome = store.book(booking(scheduled(noon()))).await;
    assert!(matches!(outcome, Err(StoreError::NotDone(_))), "the server was told to give up: {outcome:?}");
    assert!(began.elapsed() < StdDuration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(number(&database, "SELECT count(*) FROM callbacks"), 1);
    assert_eq!(store.book(booking(scheduled(noon()))).await, Ok(Booked::New));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_costs_as_many_messages_whatever_its_size() {
    let (_database, [store, _]) = two().await;
    // The first booking in a slot names the grid of its queue, once and for all.
    store.book(booking(in_slot(noon()))).await.unwrap();
    let mut costs = Vec::new();
    for size in [2_i64, 200] {
        let hold = store.hold_writer();
        let mut tasks = Vec::new();
        for n in 0..size {
            let keyed = with_key(in_slot(noon() + minutes(5 * (n % 7) + 60 * size)), u8::try_from(n).unwrap(), 1);
            let idempotency = keyed.idempotency.map(|mut it| {
                it.key[1] = u8::try_from(size).unwrap();
                it
            });
            let user_data = Some("{\"a\":1}".to_owned());
            let booking = Booking { slot_capacity: 1_000, idempotency, user_data, ..keyed };
            let before = store.writes_waiting();
            tasks.push(tokio::spawn({
                let store = store.clone();
                async move { (booking.callback.clone(), store.book(booking).await) }
            }));
            until("one more waits", || store.writes_waiting() > before).await;
        }
        let before = store.messages();
        drop(hold);
        let kept = join(tasks).await;
        assert!(kept.iter().all(|(_, booked)| *booked == Ok(Booked::New)), "{kept:?}");
        let booked = store.messages() - before;
        let (hold, before) = (store.hold_writer(), store.messages());
        let mut tasks = Vec::new();
        for (callback, _) in kept {
            let waiting = store.writes_waiting();
            let store = store.clone();
            let step = change(&callback, |callback| callback.attempt += 1);
            tasks.push(tokio::spawn({
                let store = store.clone();
                async move { store.save(step).await }
            }));
            until("one more waits", || store.writes_waiting() > waiting).await;
        }
        drop(hold);
        assert!(join(tasks).await.iter().all(Result::is_ok));
        costs.push((booked, store.messages() - before));
    }
    println!("messages for bookings and for steps: {costs:?}");
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0].0 <= 14 && costs[0].1 <= 5, "{costs:?}");
}
