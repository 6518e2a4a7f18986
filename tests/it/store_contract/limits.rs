//! Counted rules: exact whatever comes at the same time, and without a trace where they refuse.

use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, Cause, State};
use domain::ids::QueueName;
use domain::ports::{Booked, Booking, SaveError, StoreError};
use domain::queue::ThrottleWindow;
use domain::throttle::{BookingLimits, CountedValue, Day, Duplicates, LimitReached, LimitRule, OnDuplicate};
use ges::stores::combiner::Limits;

use super::harness::*;

fn duplicates(then: OnDuplicate, limit: u32) -> BookingLimits {
    BookingLimits { duplicates: Some(Duplicates { then, limit }), ..BookingLimits::default() }
}

fn day(limit: u32, value: u8) -> BookingLimits {
    let value = CountedValue { parameter: "phoneNumber".to_owned(), blinded: [value; 16] };
    let day = Day { limit, ends_at: midnight(), values: vec![value] };
    BookingLimits { day: Some(day), ..BookingLimits::default() }
}

fn window(limit: u32, seconds: u32) -> BookingLimits {
    BookingLimits { windows: vec![ThrottleWindow { limit, seconds }], ..BookingLimits::default() }
}

fn depth(limit: u32) -> BookingLimits {
    BookingLimits { depth: Some(limit), ..BookingLimits::default() }
}

fn midnight() -> DateTime<Utc> {
    noon() + Duration::hours(12)
}

fn limited(callback: Callback, limits: &BookingLimits) -> Booking {
    Booking { limits: limits.clone(), ..booking(callback) }
}

fn refused(rule: LimitRule, limit: u32, until: Option<DateTime<Utc>>) -> Result<Booked, StoreError> {
    Ok(Booked::Limited(LimitReached { rule, limit, until }))
}

fn on_day(limit: u32, until: Option<DateTime<Utc>>) -> Result<Booked, StoreError> {
    refused(LimitRule::Day { parameter: "phoneNumber".to_owned() }, limit, until)
}

impl Fixture {
    async fn try_limited(&self, callback: Callback, limits: &BookingLimits) -> Result<Booked, StoreError> {
        self.callbacks.book(limited(callback, limits)).await
    }

    async fn step(&self, before: &Callback, state: State) -> Callback {
        let step = change(before, |callback| {
            callback.state = state;
            callback.ended_at = (state == State::Completed).then(noon);
        });
        self.callbacks.save(step.clone()).await.unwrap();
        step.callback
    }

    async fn places(&self) -> Vec<u32> {
        let taken = self.callbacks.places_taken(tenant(), &queue(), noon(), noon() + Duration::days(1)).await.unwrap();
        taken.into_values().collect()
    }
}

pub(crate) async fn a_number_waits_so_often(start: &Start) {
    let store = start(Limits::default());
    let rule = duplicates(OnDuplicate::Refuse, 2);
    // Booked without any rule, it counts all the same.
    let first = store.keep(scheduled(noon())).await;
    assert_eq!(store.try_limited(immediate(ME, noon()), &rule).await, Ok(Booked::New));
    let full = refused(LimitRule::Duplicates, 2, None);
    assert_eq!(store.try_limited(immediate(ME, noon()), &rule).await, full);
    assert_eq!(store.try_limited(scheduled(noon()), &rule).await, full, "for later, too");
    let mut elsewhere = scheduled(noon());
    elsewhere.queue = QueueName::new("sales").unwrap();
    assert_eq!(store.try_limited(elsewhere, &rule).await, Ok(Booked::New), "a queue is judged alone");
    let mut strangers = scheduled(noon());
    strangers.tenant = stranger();
    assert_eq!(store.try_limited(strangers, &rule).await, Ok(Booked::New), "and so is a tenant");
    let other = with_phone(scheduled(noon()), phone(7));
    assert_eq!(store.try_limited(other, &rule).await, Ok(Booked::New));
    // Who talks waits no more, and neither does who has ended.
    let first = store.step(&first, State::Routing).await;
    assert_eq!(store.try_limited(scheduled(noon()), &rule).await, full);
    let first = store.step(&first, State::Processing).await;
    assert_eq!(store.try_limited(scheduled(noon()), &rule).await, Ok(Booked::New));
    store.step(&first, State::Completed).await;
    assert_eq!(store.try_limited(scheduled(noon()), &rule).await, full);
    assert_eq!(store.injector.rows().callbacks, 6);
}

pub(crate) async fn the_newest_that_waits_is_the_answer(start: &Start) {
    let store = start(Limits::default());
    let rule = duplicates(OnDuplicate::ReturnExisting, 2);
    store.keep(scheduled(noon())).await;
    let newest = store.keep(scheduled(noon())).await;
    let keyed = || Booking { limits: rule.clone(), ..with_key(in_slot(noon()), 1, 1) };
    assert_eq!(store.callbacks.book(keyed()).await, Ok(Booked::Duplicate(newest.id)));
    store.step(&newest, State::Completed).await;
    assert_eq!(store.callbacks.book(keyed()).await, Ok(Booked::Existing(newest.id)), "the answer under a key stands");
    let rows = store.injector.rows();
    assert_eq!((rows.callbacks, rows.slots, rows.keys), (2, 0, 1));
}

pub(crate) async fn the_oldest_that_waits_ends_for_the_new_one(start: &Start) {
    let store = start(Limits::default());
    let rule = duplicates(OnDuplicate::Replace, 2);
    let oldest = store.keep(in_slot(noon())).await;
    let newer = store.keep(scheduled(noon())).await;
    // Its slot has one place, which is the oldest one's: it comes free in the same write.
    let new = in_slot(noon());
    let replaced = Ok(Booked::Replaced { id: oldest.id, from: State::Scheduled });
    assert_eq!(store.try_limited(new.clone(), &rule).await, replaced);
    let ended = store.load(oldest.id).await;
    assert_eq!((ended.state, ended.version, ended.slot), (State::Completed, 2, None));
    assert!(ended.is_settled() && ended.reason.is_some_and(|reason| reason.is_cancellation()));
    let history = store.callbacks.history(tenant(), oldest.id, 10).await.unwrap();
    assert_eq!(history.last().map(|entry| (entry.cause, entry.version)), Some((Cause::Replaced, 2)));
    assert_eq!(store.load(new.id).await, new);
    assert_eq!(store.load(newer.id).await, newer);
    assert_eq!(store.places().await, [1]);
    // A step that was made from the row as it was finds that it has changed.
    let late = change(&oldest, |callback| callback.attempt = 1);
    assert_eq!(store.callbacks.save(late).await, Err(SaveError::Conflict));
}

pub(crate) async fn routing_is_owed_the_end_of_a_replaced_attempt(start: &Start) {
    let store = start(Limits::default());
    let mut oldest = immediate(ME, noon());
    let _ = oldest.start_with_booking(domain::callback::Again::EntersOnce, noon());
    let oldest = store.keep(oldest).await;
    let later = Booking { booked_at: noon() + minutes(1), ..booking(immediate(OTHER, noon())) };
    let replacing = Booking { limits: duplicates(OnDuplicate::Replace, 1), ..later };
    let replaced = Ok(Booked::Replaced { id: oldest.id, from: State::Queued });
    assert_eq!(store.callbacks.book(replacing).await, replaced);
    let due = store.callbacks.due(ME, noon() + minutes(1), 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [oldest.id], "its owner finds it due at once");
    assert!(store.load(oldest.id).await.owes_terminate);
}

pub(crate) async fn a_parked_callback_can_be_replaced(start: &Start) {
    let store = start(Limits::default());
    let parked = store.keep(scheduled(noon())).await;
    store.callbacks.park(tenant(), parked.id, "test", noon()).await.unwrap();
    let rule = duplicates(OnDuplicate::Replace, 1);
    assert!(matches!(store.try_limited(scheduled(noon()), &rule).await, Ok(Booked::Replaced { .. })));
    assert_eq!(store.callbacks.parked(10).await, Ok(vec![]));
}

pub(crate) async fn twins_in_one_batch_see_each_other(start: &Start) {
    let store = start(Limits::default());
    let wanted = |then| {
        let rule = duplicates(then, 2);
        (0..5).map(move |_| limited(in_slot(noon()), &rule)).map(|it| Booking { slot_capacity: 9, ..it })
    };
    let outcomes = store.book_together(wanted(OnDuplicate::Refuse).collect()).await;
    let full = refused(LimitRule::Duplicates, 2, None);
    assert_eq!(outcomes, [Ok(Booked::New), Ok(Booked::New), full.clone(), full.clone(), full]);
    assert_eq!(store.injector.commits(), 1, "it was one batch");

    let outcomes = store.book_together(wanted(OnDuplicate::Replace).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Booked::Replaced { .. }))), "{outcomes:?}");
    assert_eq!(store.injector.commits(), 2);
    assert_eq!(store.places().await, [2], "two wait, as before");
    assert_eq!(store.injector.rows().callbacks, 7);
}

pub(crate) async fn a_value_has_its_number_per_day(start: &Start) {
    let store = start(Limits::default());
    let book = async |limits: &BookingLimits| store.try_limited(immediate(ME, noon()), limits).await;
    assert_eq!(book(&day(2, 1)).await, Ok(Booked::New));
    assert_eq!(book(&day(2, 1)).await, Ok(Booked::New));
    assert_eq!(book(&day(2, 1)).await, on_day(2, Some(midnight())));
    assert_eq!(book(&day(2, 2)).await, Ok(Booked::New), "another value");
    assert_eq!(book(&day(3, 1)).await, Ok(Booked::New), "what was refused was not counted");
    let mut tomorrow = day(2, 1);
    tomorrow.day.as_mut().unwrap().ends_at = midnight() + Duration::days(1);
    assert_eq!(book(&tomorrow).await, Ok(Booked::New));
    assert_eq!(book(&day(0, 9)).await, on_day(0, None), "none is none on any day");
    let mut elsewhere = immediate(ME, noon());
    elsewhere.queue = QueueName::new("sales").unwrap();
    assert_eq!(store.try_limited(elsewhere, &day(1, 1)).await, Ok(Booked::New), "a queue counts alone");
    // Of several values each is counted, and any may refuse.
    let mut both = day(2, 3);
    both.day.as_mut().unwrap().values.extend(day(2, 2).day.unwrap().values);
    assert_eq!(book(&both).await, Ok(Booked::New));
    assert_eq!(book(&both).await, on_day(2, Some(midnight())), "the second value has its number");
    assert_eq!(book(&day(2, 3)).await, Ok(Booked::New));
}

pub(crate) async fn counts_are_exact_in_one_batch(start: &Start) {
    let store = start(Limits::default());
    for (limits, full) in [
        (day(3, 1), on_day(3, Some(midnight()))),
        (depth(6), refused(LimitRule::Depth, 6, None)),
        (window(3, 60), refused(LimitRule::Window { seconds: 60 }, 3, Some(noon() + Duration::seconds(61)))),
    ] {
        let commits = store.injector.commits();
        let bookings = (0..5).map(|_| limited(immediate(ME, noon()), &limits)).collect();
        let outcomes = store.book_together(bookings).await;
        let new = Ok(Booked::New);
        assert_eq!(outcomes, [new.clone(), new.clone(), new, full.clone(), full]);
        assert_eq!(store.injector.commits(), commits + 1, "it was one batch");
    }
    assert_eq!(store.injector.rows().callbacks, 9);
}

pub(crate) async fn counts_are_exact_under_concurrency(start: &Start) {
    let store = start(Limits { batch_commands: 16, ..Limits::default() });
    let limits = BookingLimits { depth: Some(50), ..window(50, 300) };
    let limits = BookingLimits { day: day(50, 1).day, ..limits };
    let tasks = (0..400).map(|_| {
        let (callbacks, booking) = (store.callbacks.clone(), limited(immediate(ME, noon()), &limits));
        tokio::spawn(async move { callbacks.book(booking).await })
    });
    let outcomes = join(tasks.collect()).await;
    let new = outcomes.iter().filter(|outcome| **outcome == Ok(Booked::New)).count();
    let limited = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Booked::Limited(_)))).count();
    assert_eq!((new, limited), (50, 350));
    assert_eq!(store.injector.rows().callbacks, 50);
}

pub(crate) async fn a_window_slides(start: &Start) {
    let store = start(Limits::default());
    let limits = BookingLimits {
        windows: vec![ThrottleWindow { limit: 4, seconds: 60 }, ThrottleWindow { limit: 6, seconds: 3_600 }],
        ..BookingLimits::default()
    };
    let book = async |second: i64| {
        let booking = Booking {
            booked_at: noon() + Duration::seconds(second),
            ..limited(scheduled(noon() + Duration::days(1)), &limits)
        };
        store.callbacks.book(booking).await.unwrap()
    };
    let waits = |second: i64, seconds, limit| {
        let until = Some(noon() + Duration::seconds(second));
        Booked::Limited(LimitReached { rule: LimitRule::Window { seconds }, limit, until })
    };
    for second in [0, 10, 10, 20] {
        assert_eq!(book(second).await, Booked::New);
    }
    assert_eq!(book(59).await, waits(61, 60, 4));
    assert_eq!(book(60).await, waits(61, 60, 4), "the part of the first second counts to its end");
    assert_eq!(book(61).await, Booked::New);
    assert_eq!(book(62).await, waits(71, 60, 4));
    assert_eq!(book(71).await, Booked::New, "two have left");
    assert_eq!(book(72).await, waits(3_660, 3_600, 6), "the longer window is full now");
    assert_eq!(book(3_659).await, waits(3_660, 3_600, 6));
    assert_eq!(book(3_660).await, Booked::New);
    let none = BookingLimits { windows: vec![ThrottleWindow { limit: 0, seconds: 60 }], ..BookingLimits::default() };
    let closed = refused(LimitRule::Window { seconds: 60 }, 0, None);
    assert_eq!(store.try_limited(scheduled(noon()), &none).await, closed);
}

pub(crate) async fn a_window_costs_no_more_than_its_parts(start: &Start) {
    let store = start(Limits::default());
    let limits = window(1_000_000, 600);
    for second in 0..2_000 {
        let booking =
            Booking { booked_at: noon() + Duration::seconds(second), ..limited(immediate(ME, noon()), &limits) };
        assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));
        assert!(store.injector.counts() <= 61, "{} after {second} s", store.injector.counts());
    }
    assert_eq!(store.injector.counts(), 61);
}

pub(crate) async fn the_depth_follows_every_step(start: &Start) {
    let store = start(Limits::default());
    let limits = depth(2);
    let full = refused(LimitRule::Depth, 2, None);
    let book = async || store.try_limited(immediate(ME, noon()), &limits).await;
    // Booked without a rule, they are there all the same.
    let first = store.keep(immediate(ME, noon())).await;
    let later = store.keep(scheduled(noon())).await;
    assert_eq!(book().await, Ok(Booked::New));
    assert_eq!(book().await, full);
    let first = store.step(&first, State::Routing).await;
    let first = store.step(&first, State::Processing).await;
    assert_eq!(book().await, full, "who talks is served, not gone");
    let first = store.step(&first, State::Completed).await;
    assert_eq!(book().await, Ok(Booked::New));
    store.step(&first, State::Completed).await;
    assert_eq!(book().await, full, "an end counts once");
    // A scheduled one that starts is active, whatever the depth.
    let later = store.step(&later, State::Queued).await;
    let narrow = refused(LimitRule::Depth, 3, None);
    assert_eq!(store.try_limited(immediate(ME, noon()), &depth(3)).await, narrow);
    // A step that is refused counts nothing.
    let stale = change(&first, |callback| callback.state = State::Queued);
    assert_eq!(store.callbacks.save(stale).await, Err(SaveError::Conflict));
    assert_eq!(store.try_limited(immediate(ME, noon()), &depth(4)).await, Ok(Booked::New));
    // Parked and taken up again it is as active as before.
    store.callbacks.park(tenant(), later.id, "test", noon()).await.unwrap();
    assert_eq!(store.try_limited(immediate(ME, noon()), &depth(4)).await, refused(LimitRule::Depth, 4, None));
}

pub(crate) async fn who_ends_for_another_makes_room(start: &Start) {
    let store = start(Limits::default());
    let mut limits = duplicates(OnDuplicate::Replace, 1);
    limits.depth = Some(1);
    let first = store.keep(immediate(ME, noon())).await;
    let replaced = Ok(Booked::Replaced { id: first.id, from: State::Queued });
    assert_eq!(store.try_limited(immediate(ME, noon()), &limits).await, replaced);
    assert_eq!(store.try_limited(immediate(ME, noon()), &depth(1)).await, refused(LimitRule::Depth, 1, None));
}

/// Every rule at its limit; they are lifted one after the other.
pub(crate) async fn rules_are_told_in_their_order(start: &Start) {
    let store = start(Limits::default());
    let mut limits = BookingLimits {
        duplicates: Some(Duplicates { then: OnDuplicate::Refuse, limit: 1 }),
        day: day(1, 1).day,
        windows: vec![ThrottleWindow { limit: 1, seconds: 60 }],
        depth: Some(1),
    };
    let key =
        |callback: Callback, limits: &BookingLimits| Booking { limits: limits.clone(), ..with_key(callback, 1, 1) };
    let first = immediate(ME, noon());
    assert_eq!(store.callbacks.book(key(first.clone(), &limits)).await, Ok(Booked::New));
    assert_eq!(store.callbacks.book(key(in_slot(noon()), &limits)).await, Ok(Booked::Existing(first.id)));
    store.keep(with_phone(in_slot(noon()), phone(5))).await;
    let rows = store.injector.rows();
    let book = async |callback: Callback, limits: &BookingLimits| store.try_limited(callback, limits).await;
    assert_eq!(book(in_slot(noon()), &limits).await, Ok(Booked::SlotFull));
    assert_eq!(book(immediate(ME, noon()), &limits).await, refused(LimitRule::Duplicates, 1, None));
    limits.duplicates = Some(Duplicates { then: OnDuplicate::Replace, limit: 1 });
    assert_eq!(book(immediate(ME, noon()), &limits).await, on_day(1, Some(midnight())));
    limits.day = None;
    let in_window = refused(LimitRule::Window { seconds: 60 }, 1, Some(noon() + Duration::seconds(61)));
    assert_eq!(book(immediate(ME, noon()), &limits).await, in_window);
    assert_eq!(store.load(first.id).await, first, "nothing ends for a booking that is refused");
    limits.windows.clear();
    limits.duplicates = None;
    assert_eq!(book(immediate(ME, noon()), &limits).await, refused(LimitRule::Depth, 1, None));
    assert_eq!(store.injector.rows(), rows, "refusals leave nothing");
    limits.depth = None;
    assert_eq!(book(immediate(ME, noon()), &limits).await, Ok(Booked::New));
}

pub(crate) async fn a_rolled_back_batch_counted_nothing(start: &Start) {
    let store = start(Limits::default());
    let unlucky = phone(666);
    let limits = BookingLimits { depth: Some(2), ..window(2, 60) };
    store.injector.break_bookings_of(unlucky, Break::Statement);
    let bookings = vec![
        limited(immediate(ME, noon()), &limits),
        limited(with_phone(immediate(ME, noon()), unlucky), &BookingLimits::default()),
    ];
    let outcomes = store.book_together(bookings).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(StoreError::NotDone(_)))), "{outcomes:?}");
    assert_eq!(store.injector.counts(), 0);
    store.injector.heal();
    for _ in 0..2 {
        assert_eq!(store.try_limited(immediate(ME, noon()), &limits).await, Ok(Booked::New));
    }
    assert!(matches!(store.try_limited(immediate(ME, noon()), &limits).await, Ok(Booked::Limited(_))));
}

pub(crate) async fn without_rules_nothing_is_counted(start: &Start) {
    let store = start(Limits::default());
    store.keep(immediate(ME, noon())).await;
    store.keep(in_slot(noon())).await;
    assert_eq!(store.injector.counts(), 0);
}

pub(crate) async fn past_counts_are_purged(start: &Start) {
    let store = start(Limits::default());
    let limits = BookingLimits { day: day(5, 1).day, ..window(5, 60) };
    assert_eq!(store.try_limited(immediate(ME, noon()), &limits).await, Ok(Booked::New));
    assert_eq!(store.injector.counts(), 2);
    store.callbacks.purge(noon(), noon() + minutes(61), 10).await.unwrap();
    assert_eq!(store.injector.counts(), 2, "a little longer than they count");
    store.callbacks.purge(noon(), noon() + minutes(63), 10).await.unwrap();
    assert_eq!(store.injector.counts(), 1, "the window is over");
    store.callbacks.purge(noon(), midnight() + minutes(61), 10).await.unwrap();
    assert_eq!(store.injector.counts(), 0);
}
