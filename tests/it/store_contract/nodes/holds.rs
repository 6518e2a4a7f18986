//! Places that two nodes hold, give up and book at once.

use domain::callback::Idempotency;
use domain::holds::HoldBounds;
use domain::ids::HoldId;
use domain::ports::{Booked, Booking, CallbackStore as _, Held, HoldStore as _, Holding};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::super::harness::*;
use super::super::holds::holding;
use super::{deadlocks, number, two};
use crate::harness::seed;

const PLACES_ARE_COUNTED: &str = "SELECT count(*) FROM slots s WHERE booked <>
    (SELECT count(*) FROM callbacks c WHERE c.queue = s.queue AND c.slot = s.start AND c.ended_at IS NULL)
    + (SELECT count(*) FROM holds h WHERE h.queue = s.queue AND h.slot = s.start)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_of_a_queue_stay_within_their_bounds() {
    let (database, stores) = two().await;
    let bounds = HoldBounds { of_queue: 10, of_number: 3 };
    let tasks = (0..80).map(|n| {
        let number = (n % 4 == 0).then_some([1; 16]);
        let wanted = noon() + minutes(5 * (n % 16) as i64);
        let (store, asked) = (stores[n % 2].clone(), Holding { bounds, number, ..holding(wanted, 100) });
        tokio::spawn(async move { store.hold(asked).await.unwrap() })
    });
    let outcomes = join(tasks.collect()).await;
    assert_eq!(outcomes.iter().filter(|it| **it == Held::New).count(), 10, "{outcomes:?}");
    assert!(outcomes.iter().all(|it| matches!(it, Held::New | Held::TooMany(_))), "{outcomes:?}");
    assert!(number(&database, "SELECT count(*) FROM holds WHERE number IS NOT NULL") <= 3);
    assert_eq!(number(&database, PLACES_ARE_COUNTED), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_place_is_held_or_booked_once() {
    let (database, stores) = two().await;
    let tasks = (0..240).map(|n| {
        let store = stores[n % 2].clone();
        let slot = noon() + minutes(5 * (n / 60) as i64);
        tokio::spawn(async move {
            if n % 3 == 0 {
                store.book(Booking { slot_capacity: 7, ..booking(in_slot(slot)) }).await.unwrap() == Booked::New
            } else {
                store.hold(holding(slot, 7)).await.unwrap() == Held::New
            }
        })
    });
    assert_eq!(join(tasks.collect()).await.into_iter().filter(|got| *got).count(), 4 * 7);
    assert_eq!(number(&database, "SELECT count(*) FROM slots WHERE booked = 7"), 4);
    assert_eq!(number(&database, PLACES_ARE_COUNTED), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_used_or_given_up_once() {
    let (database, stores) = two().await;
    for round in 0..15 {
        let slot = noon() + minutes(5 * round);
        let idempotency = Some(Idempotency { key: [u8::try_from(round).unwrap(); 16], body: [1; 16] });
        let asked = Holding { idempotency, ..holding(slot, 1) };
        let both = stores.clone().map(|store| {
            let asked = Holding { id: HoldId::generate(noon()), ..asked.clone() };
            tokio::spawn(async move { (asked.id, store.hold(asked).await.unwrap()) })
        });
        let both = join(both.into()).await;
        let made: Vec<_> = both.iter().filter(|(_, held)| *held == Held::New).map(|(id, _)| *id).collect();
        let [hold] = made[..] else { panic!("one of {both:?} was first") };
        assert!(both.iter().any(|(_, held)| matches!(held, Held::Existing(known) if known.id == hold)), "{both:?}");
        let takers = (0..8).map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                match n {
                    0 | 1 => store.release(tenant(), hold, noon()).await.unwrap(),
                    _ => {
                        let booking = Booking { hold: Some(hold), ..booking(in_slot(slot)) };
                        store.book(booking).await.unwrap() == Booked::New
                    }
                }
            })
        });
        assert_eq!(join(takers.collect()).await.into_iter().filter(|got| *got).count(), 1);
    }
    assert_eq!(number(&database, PLACES_ARE_COUNTED), 0);
    assert_eq!(number(&database, "SELECT count(*) FROM holds"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_holds_from_both_never_wait_for_each_other() {
    const TASKS: u64 = 10;
    let (database, stores) = two().await;
    let seed = seed();
    let tasks = (0..TASKS).map(|task| {
        let store = stores[usize::try_from(task % 2).unwrap()].clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed ^ task);
            let mut mine: Vec<(HoldId, chrono::DateTime<chrono::Utc>)> = Vec::new();
            for now in 0..200_i64 {
                let at = noon() + chrono::Duration::seconds(now);
                let slot = noon() + minutes(5 * random.random_range(0..6));
                match random.random_range(0..10) {
                    0..5 => {
                        let expires_at = at + chrono::Duration::seconds(random.random_range(1..60));
                        let asked = Holding { expires_at, at, ..holding(slot, 20) };
                        let id = asked.id;
                        if store.hold(asked).await.unwrap() == Held::New {
                            mine.push((id, slot));
                        }
                    }
                    5 | 6 => {
                        if let Some((id, slot)) = mine.choose(&mut random).copied() {
                            let callback = in_slot(slot);
                            let booking = Booking { hold: Some(id), booked_at: at, ..booking(callback) };
                            let outcome = store.book(booking).await.unwrap();
                            assert!(matches!(outcome, Booked::New | Booked::HoldGone), "{outcome:?}");
                        }
                    }
                    7 => {
                        if let Some((id, _)) = mine.choose(&mut random) {
                            store.release(tenant(), *id, at).await.unwrap();
                        }
                    }
                    8 => drop(store.expire_holds(at, 50).await.unwrap()),
                    _ => {
                        let booking = Booking { slot_capacity: 20, booked_at: at, ..booking(in_slot(slot)) };
                        store.book(booking).await.unwrap();
                    }
                }
            }
        })
    });
    join(tasks.collect()).await;
    assert_eq!(number(&database, PLACES_ARE_COUNTED), 0, "every place is somebody's");
    assert_eq!(number(&database, "SELECT count(*) FROM slots WHERE booked > 20"), 0, "and none was given out twice");
    drop(stores);
    assert_eq!(deadlocks(&database).await, 0);
}
