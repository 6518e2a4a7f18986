//! What a booking would come to: the very answer that it gets, and not a trace of the question.

use chrono::Duration;
use domain::explain::{Counted, Tally};
use domain::ids::{HoldId, QueueName};
use domain::ports::{Booked, Booking, Holding, Preview};
use domain::queue::ThrottleWindow;
use domain::throttle::{BookingLimits, CountedValue, Day, Duplicates, LimitReached, LimitRule, OnDuplicate};
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::harness::*;
use super::holds::{holding, keep_hold};
use crate::harness::seed;

/// Bookings that are tried one after the other, each explained first.
const TRIED: usize = 600;

/// Rules that bind after a few bookings already.
fn any_limits(random: &mut StdRng) -> BookingLimits {
    let then = [OnDuplicate::Refuse, OnDuplicate::ReturnExisting, OnDuplicate::Replace][random.random_range(0..3)];
    let value = |parameter: &str, blinded: u8| CountedValue { parameter: parameter.to_owned(), blinded: [blinded; 16] };
    let values = vec![value("phoneNumber", random.random_range(0..4)), value("customerId", random.random_range(4..8))];
    BookingLimits {
        duplicates: random.random_bool(0.5).then(|| Duplicates { then, limit: random.random_range(1..4) }),
        day: random.random_bool(0.3).then(|| Day {
            limit: random.random_range(1..12),
            ends_at: noon() + Duration::hours(12),
            values,
        }),
        windows: (0..random.random_range(0..3))
            .map(|number| ThrottleWindow { limit: random.random_range(5..80), seconds: 60 + number * 60 })
            .collect(),
        depth: random.random_bool(0.3).then(|| random.random_range(1..60)),
    }
}

/// Holds in all the slots, some of which are over before a booking brings them.
async fn holds(store: &Fixture, random: &mut StdRng) -> Vec<HoldId> {
    let mut holds = vec![HoldId::generate(noon())];
    for number in 0..60 {
        let wanted = noon() + Duration::minutes(5 * (number % 6));
        let expires_at = noon() + Duration::seconds(random.random_range(1..60));
        holds.push(keep_hold(store, Holding { expires_at, ..holding(wanted, 100) }).await);
    }
    holds
}

fn any_booking(random: &mut StdRng, holds: &[HoldId]) -> Booking {
    let callback = match random.random_range(0..3) {
        0 => immediate(ME, noon()),
        1 => scheduled(noon() + Duration::hours(1)),
        _ => in_slot(noon() + Duration::minutes(5 * random.random_range(0..6))),
    };
    let mut callback = with_phone(callback, phone(random.random_range(0..6)));
    if random.random_bool(0.2) {
        callback.queue = QueueName::new("sales").unwrap();
    }
    let idempotency = match random.random_range(0..4) {
        0 => with_key(callback.clone(), random.random_range(0..20), random.random_range(0..2)).idempotency,
        _ => None,
    };
    Booking {
        slot_capacity: random.random_range(0..16),
        hold: random.random_bool(0.2).then(|| holds[random.random_range(0..holds.len())]),
        limits: any_limits(random),
        captcha: random.random_bool(0.2).then(|| [random.random_range(0..40); 16]),
        booked_at: noon() + Duration::seconds(random.random_range(0..30)),
        idempotency,
        ..booking(callback)
    }
}

pub(crate) async fn a_booking_comes_to_what_was_foretold(start: &Start) {
    let store = start(Limits::default());
    let mut random = StdRng::seed_from_u64(seed());
    let holds = holds(&store, &mut random).await;
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..TRIED {
        let asked = any_booking(&mut random, &holds);
        let before = (store.injector.rows(), store.injector.counts(), store.injector.commits());
        let Preview { booked, tallies } = store.explain.preview(asked.clone()).await.unwrap();
        let after = (store.injector.rows(), store.injector.counts(), store.injector.commits());
        assert_eq!(before, after, "nothing is written");
        let slot = asked.callback.slot;
        assert_eq!(store.callbacks.book(asked).await, Ok(booked.clone()));
        let full = tallies.last().filter(|tally| tally.is_full());
        let word = match &booked {
            Booked::New => "new",
            Booked::Existing(_) => "existing",
            Booked::KeyReused => "key reused",
            Booked::TokenUsed => "token used",
            Booked::Duplicate(_) => "duplicate",
            Booked::Replaced { .. } => "replaced",
            Booked::HoldGone => "hold gone",
            Booked::HoldElsewhere => "hold elsewhere",
            Booked::SlotFull => {
                assert_eq!(full.map(|tally| &tally.of), slot.map(Counted::Slot).as_ref());
                "slot full"
            }
            Booked::Limited(LimitReached { rule, limit, .. }) => {
                let full = full.expect("the last thing that was counted decides");
                assert_eq!((&full.of, full.limit), (&Counted::Limit(rule.clone()), *limit));
                rule.name()
            }
            Booked::OtherGrid | Booked::Gone => panic!("there is one grid, and nothing is erased"),
        };
        *seen.entry(word).or_default() += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 13, "each answer came: {seen:?}");
}

pub(crate) async fn everything_that_counts_is_told(start: &Start) {
    let store = start(Limits::default());
    let value = |blinded: u8| CountedValue { parameter: format!("p{blinded}"), blinded: [blinded; 16] };
    let day = Day { limit: 9, ends_at: noon() + Duration::hours(12), values: vec![value(1), value(2)] };
    let limits = BookingLimits {
        duplicates: Some(Duplicates { then: OnDuplicate::Refuse, limit: 4 }),
        day: Some(day),
        windows: vec![ThrottleWindow { limit: 8, seconds: 60 }, ThrottleWindow { limit: 7, seconds: 600 }],
        depth: Some(6),
    };
    let asked = || Booking { slot_capacity: 5, limits: limits.clone(), ..booking(in_slot(noon())) };
    let told = async |counted: [u64; 7]| {
        let of = |rule| Counted::Limit(rule);
        let rules = [
            (Counted::Slot(noon()), 5),
            (of(LimitRule::Duplicates), 4),
            (of(LimitRule::Day { parameter: "p1".to_owned() }), 9),
            (of(LimitRule::Day { parameter: "p2".to_owned() }), 9),
            (of(LimitRule::Window { seconds: 60 }), 8),
            (of(LimitRule::Window { seconds: 600 }), 7),
            (of(LimitRule::Depth), 6),
        ];
        let tallies: Vec<Tally> =
            rules.into_iter().zip(counted).map(|((of, limit), counted)| Tally { of, counted, limit }).collect();
        assert_eq!(store.explain.preview(asked()).await, Ok(Preview { booked: Booked::New, tallies }));
    };
    told([0; 7]).await;
    assert_eq!(store.injector.rows(), Rows::default(), "not even the queue got a number");
    store.callbacks.book(asked()).await.unwrap();
    told([1, 1, 1, 1, 1, 1, 0]).await;
    store.keep(with_phone(immediate(ME, noon()), phone(7))).await;
    told([1, 1, 1, 1, 1, 1, 1]).await;
    let mut foreign = asked();
    foreign.callback.tenant = stranger();
    let preview = store.explain.preview(foreign).await.unwrap();
    assert!(preview.tallies.iter().all(|tally| tally.counted == 0), "tenants are walls: {preview:?}");
}

pub(crate) async fn why_a_callback_is_parked_is_told(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(scheduled(noon())).await;
    let told = async |who| store.explain.why_parked(who, callback.id).await.unwrap();
    assert_eq!(told(tenant()).await, None);
    store.callbacks.park(tenant(), callback.id, "for a test", noon()).await.unwrap();
    assert_eq!(told(tenant()).await, Some((noon(), "for a test".to_owned())));
    let mut own = scheduled(noon());
    own.tenant = stranger();
    store.keep(own).await;
    assert_eq!(told(stranger()).await, None);
    store.callbacks.unpark(tenant(), callback.id, noon(), "api").await.unwrap();
    assert_eq!(told(tenant()).await, None);
}
