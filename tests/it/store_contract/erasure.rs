//! Erasure by number: afterwards nothing of it is found, whatever is looked at.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, Idempotency, Options, PushTarget, Reason, State};
use domain::erasure::{Counts, ERASED, RETENTION, Receipt};
use domain::happening::{Kind, OwedPush};
use domain::ids::{CallInId, ErasureId, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    Booked, Booking, EraseError, Erasing, HeldCallIn, HeldCallback, HeldRecords, Opened, Opening, PersonalStore,
    StoreError,
};
use domain::throttle::{BookingLimits, CountedValue, Day};
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::call_ins::{group, opening};
use super::harness::*;
use super::notices::announce;
use super::work::settled;

pub(super) const TEXTS: [&str; 4] =
    ["planted-name-5d0c", "planted-device-77aa", "planted-page-91be", "planted-tie-c3f2"];
pub(super) const COUNTED_AS: [u8; 16] = [0xC5; 16];
const FINGERPRINT: [u8; 16] = [0xF1; 16];

/// Whom everything is about.
pub(super) fn customer() -> PhoneNumber {
    phone(77)
}

pub(super) fn erasing(at: DateTime<Utc>) -> Erasing {
    Erasing {
        id: ErasureId::generate(at),
        tenant: tenant(),
        phone: customer(),
        fingerprint: FINGERPRINT,
        counted_as: COUNTED_AS,
        actor: "api".to_owned(),
        cancelled: 0,
        at,
    }
}

/// A booking of the customer with everything that a booking can leave behind.
pub(super) fn planted(callback: Callback, key: u8) -> Booking {
    let target = PushTarget { channel: "FCM".to_owned(), target: TEXTS[1].to_owned() };
    let value = CountedValue { parameter: "phoneNumber".to_owned(), blinded: COUNTED_AS };
    let day = Day { limit: 100, ends_at: noon() + Duration::hours(12), values: vec![value] };
    let push = Some(OwedPush { targets: 1, expires_at: noon() + minutes(5) });
    Booking {
        options: Options { push_targets: vec![target], ..Options::default() },
        user_data: Some(format!(r#"{{"name":"{}","order":"{}"}}"#, TEXTS[0], plain_text(7, 300))),
        limits: BookingLimits { day: Some(day), ..BookingLimits::default() },
        announcement: announce(Kind::Created, &["crm"], push),
        ..with_key(with_phone(callback, customer()), key, key)
    }
}

impl Fixture {
    async fn keep_planted(&self, callback: Callback, key: u8) -> Callback {
        let booking = planted(callback, key);
        let kept = booking.callback.clone();
        assert_eq!(self.callbacks.book(booking).await, Ok(Booked::New));
        kept
    }

    /// As [`Self::keep_planted`], and it has ended.
    async fn end_planted(&self, callback: Callback, key: u8) -> Callback {
        let kept = self.keep_planted(callback, key).await;
        self.callbacks.save(settled(&kept)).await.unwrap();
        kept
    }

    async fn call_in(&self, opening: Opening) -> CallInId {
        match self.call_ins.open_call_in(opening).await {
            Ok(Opened::New(call_in)) => call_in.id,
            other => panic!("{other:?}"),
        }
    }

    async fn held(&self, who: TenantId) -> HeldRecords {
        self.personal.held(who, customer(), COUNTED_AS, noon()).await.unwrap()
    }

    /// Erases the customer, of whom nothing can be found then.
    async fn erase(&self, at: DateTime<Utc>) -> Receipt {
        let forms = self.injector.stored_forms(customer());
        assert!(!self.injector.traces(customer(), &TEXTS, &forms).is_empty(), "nothing was there to be erased");
        let receipt = self.personal.erase(erasing(at)).await.unwrap();
        assert_eq!(self.injector.traces(customer(), &TEXTS, &forms), Vec::<String>::new());
        assert_eq!(self.held(tenant()).await, HeldRecords::default());
        receipt
    }
}

/// Text that hardly shrinks and can stand in JSON.
pub(super) fn plain_text(seed: u64, length: usize) -> String {
    random_text(seed, length).replace(['"', '\\'], "/")
}

pub(super) fn call_in_with(text: &str, caller: Option<u64>, key: u8) -> Opening {
    Opening {
        user_data: Some(format!(r#"{{"page":"{text}"}}"#)),
        idempotency: Some(Idempotency { key: [key; 16], body: [key; 16] }),
        ..opening(&group(3, Some(6)), caller)
    }
}

pub(crate) async fn nothing_is_found_afterwards(start: &Start) {
    let store = start(Limits::default());
    let done = store.end_planted(in_slot(noon()), 1).await;
    let other = store.end_planted(immediate(ME, noon()), 2).await;
    let own = store.call_in(call_in_with(TEXTS[2], Some(77), 3)).await;
    let tied = store.call_in(Opening { callback: Some(done.id), ..call_in_with(TEXTS[3], None, 4) }).await;
    // Somebody else, with as much of everything.
    let neighbour = with_phone(immediate(ME, noon()), phone(78));
    let theirs = Booking {
        user_data: Some(r#"{"name":"neighbour"}"#.to_owned()),
        ..Booking { limits: BookingLimits::default(), ..with_key(neighbour.clone(), 9, 9) }
    };
    store.callbacks.book(theirs).await.unwrap();
    let foreign = store.call_in(call_in_with("other", Some(78), 8)).await;

    let held = store.held(tenant()).await;
    let row = |callback: &Callback| HeldCallback { id: callback.id, state: State::Completed, settled: true };
    let mut expected = vec![row(&done), row(&other)];
    expected.sort_by_key(|it| it.id);
    assert_eq!(held.callbacks, expected);
    let texts: Vec<_> = held.call_ins.iter().map(|it: &HeldCallIn| (it.call_in.id, it.user_data.clone())).collect();
    let page = |text: &str| Some(format!(r#"{{"page":"{text}"}}"#));
    let mut expected = [(own, page(TEXTS[2])), (tied, page(TEXTS[3]))];
    expected.sort();
    assert_eq!(texts, expected);
    assert_eq!((held.counted_values, held.idempotency_keys), (1, 4));

    let receipt = store.erase(noon()).await;
    let counts = Counts {
        callbacks: 2,
        blinded: 0,
        history: 4,
        details: 4,
        call_ins: 2,
        notices: 2,
        counted_values: 1,
        idempotency_keys: 4,
    };
    assert_eq!(receipt.counts, counts);
    assert_eq!((receipt.tenant, receipt.fingerprint, receipt.actor.as_str()), (tenant(), FINGERPRINT, "api"));
    assert_eq!((receipt.begun_at, receipt.search.found), (noon(), 0));
    assert!(receipt.finished_at.is_some_and(|at| (noon()..noon() + minutes(1)).contains(&at)), "{receipt:?}");

    // What was promised under a key is gone, and is not made anew.
    assert_eq!(store.callbacks.load(tenant(), done.id).await, Ok(None));
    for body in [1, 5] {
        let again = Booking {
            idempotency: Some(Idempotency { key: [1; 16], body: [body; 16] }),
            ..planted(in_slot(noon()), 1)
        };
        assert_eq!(store.callbacks.book(again.clone()).await, Ok(Booked::Gone), "whatever it comes with");
        let known = store.callbacks.known(tenant(), again.idempotency.unwrap(), noon()).await;
        assert_eq!(known, Ok(Some(Booked::Gone)));
    }
    assert_eq!(store.call_ins.open_call_in(call_in_with(TEXTS[2], Some(77), 3)).await, Ok(Opened::Gone));
    // The others have everything.
    assert_eq!(store.callbacks.load(tenant(), neighbour.id).await.unwrap().map(|it| it.phone), Some(phone(78)));
    let details = store.callbacks.details(tenant(), neighbour.id).await.unwrap().unwrap();
    assert_eq!(details.user_data.as_deref(), Some(r#"{"name":"neighbour"}"#));
    let withdrawn = store.call_ins.cancel_call_in(tenant(), foreign, noon()).await;
    assert_eq!(withdrawn, Ok(domain::ports::Withdrawn::Done));
    // Events stay, without a number.
    let stretch = store.notices.happenings(tenant(), 0, 10).await.unwrap();
    assert_eq!(stretch.happenings.len(), 2);

    let again = store.personal.erase(erasing(noon() + minutes(1))).await.unwrap();
    assert_eq!(again.counts, Counts::default());
    assert_ne!(again.id, receipt.id);
    assert_eq!(store.personal.receipt(tenant(), receipt.id).await, Ok(Some(receipt.clone())));
    assert_eq!(store.personal.receipts(tenant(), None, 10).await, Ok(vec![again.clone(), receipt.clone()]));
    assert_eq!(store.personal.receipts(tenant(), Some(again.id), 10).await, Ok(vec![receipt]));
    assert_eq!(store.personal.receipts(tenant(), None, 1).await, Ok(vec![again]));
}

/// How often a crowd comes and somebody in it goes.
const ROUNDS: u8 = 3;

/// Rows move about while tables grow and shrink, and leave copies behind.
pub(crate) async fn is_found_in_no_crowded_file(start: &Start) {
    let store = start(Limits::default());
    let mut random = StdRng::seed_from_u64(11);
    let mut rewritten = 0;
    for round in 0..ROUNDS {
        let mut crowd = Vec::new();
        for number in 0..1_200_u64 {
            let mut callback = immediate(ME, noon());
            // Ids of no order: what is between others has to be moved when they come.
            callback.id = domain::ids::CallbackId::from_uuid(uuid::Uuid::from_u128(random.random()));
            crowd.push(if number % 97 == 5 {
                Booking { idempotency: None, announcement: None, ..planted(callback, 1) }
            } else {
                let data = format!(r#"{{"n":"{}"}}"#, plain_text(number, random.random_range(10..900)));
                Booking { user_data: Some(data), ..booking(with_phone(callback, phone(1_000 + number))) }
            });
        }
        let callbacks: Vec<Callback> = crowd.iter().map(|booking| booking.callback.clone()).collect();
        for some in crowd.chunks(40) {
            let outcomes = store.book_together(some.to_vec()).await;
            assert!(outcomes.iter().all(|outcome| *outcome == Ok(Booked::New)), "{outcomes:?}");
        }
        let ends = callbacks.iter().filter(|it| it.phone == customer() || random.random_ratio(1, 2));
        let saves = ends.map(|callback| {
            let (callbacks, change) = (store.callbacks.clone(), settled(callback));
            tokio::spawn(async move { callbacks.save(change).await })
        });
        assert!(join(saves.collect()).await.iter().all(Result::is_ok));
        // Longer data moves rows, too.
        for callback in callbacks.iter().step_by(7) {
            if let Some(read) = store.flow.user_data(tenant(), callback.id).await.unwrap() {
                let text = format!(r#"{{"n":"{}","k":"{}"}}"#, plain_text(1, 700), TEXTS[0]);
                let text = if callback.phone == customer() { text } else { text.replace(TEXTS[0], "else") };
                store.flow.replace_user_data(tenant(), callback.id, read.stamp, Some(text)).await.unwrap();
            }
        }
        let receipt = store.erase(noon() + minutes(round.into())).await;
        assert_eq!((receipt.counts.callbacks, receipt.search.found), (13, 0));
        assert!(receipt.search.bytes > 0);
        rewritten += u32::from(receipt.search.rewritten);
        if round == 0 {
            store.callbacks.purge(noon() + minutes(1), noon(), 10_000).await.unwrap();
        }
    }
    println!("{rewritten} of {ROUNDS} erasures had to write the database anew");
}

pub(crate) async fn finds_copies_between_rows(start: &Start) {
    let store = start(Limits::default());
    store.end_planted(immediate(ME, noon()), 1).await;
    if !store.injector.leave_copy(customer()) {
        return;
    }
    let receipt = store.erase(noon()).await;
    assert_eq!((receipt.search.rewritten, receipt.search.found), (true, 0));
    let again = store.personal.erase(erasing(noon())).await.unwrap();
    assert!(!again.search.rewritten, "once is enough");
}

pub(crate) async fn waits_for_what_has_not_ended(start: &Start) {
    let store = start(Limits::default());
    store.end_planted(immediate(ME, noon()), 1).await;
    let open = store.keep_planted(scheduled(noon() + minutes(60)), 2).await;
    let parked = store.keep_planted(immediate(ME, noon()), 3).await;
    store.callbacks.park(tenant(), parked.id, "x", noon()).await.unwrap();
    let tables = store.injector.tables();
    assert_eq!(store.personal.erase(erasing(noon())).await, Err(EraseError::Unfinished(2)));
    assert_eq!(store.injector.tables(), tables, "not even a receipt");
    assert_eq!(store.held(tenant()).await.callbacks.len(), 3);
    for callback in [&open, &parked] {
        let row = store.load(callback.id).await;
        store.callbacks.save(settled(&row)).await.unwrap();
    }
    assert_eq!(store.erase(noon()).await.counts.callbacks, 3);
}

pub(crate) async fn leaves_routing_what_it_needs(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep_planted(immediate(ME, noon()), 1).await;
    let owes = change(&callback, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::CANCELLED_BY_ADMIN);
        callback.ended_at = Some(noon());
        callback.owes_terminate = true;
        callback.wake_at = Some(noon() + minutes(1));
    });
    store.callbacks.save(owes).await.unwrap();
    let receipt = store.erase(noon()).await;
    assert_eq!((receipt.counts.callbacks, receipt.counts.blinded, receipt.counts.details), (0, 1, 1));
    let row = store.load(callback.id).await;
    assert_eq!((row.phone, row.owes_terminate), (ERASED, true));
    let due = store.callbacks.due(ME, noon() + minutes(2), 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [callback.id], "its owner still finds it");
    store.callbacks.save(settled(&row)).await.unwrap();
    assert_eq!(store.callbacks.purge(noon() + minutes(1), noon(), 10).await, Ok(1));
}

pub(crate) async fn is_walled_by_tenant(start: &Start) {
    let store = start(Limits::default());
    store.end_planted(immediate(ME, noon()), 1).await;
    let mut theirs = planted(immediate(ME, noon()), 1);
    theirs.callback.tenant = stranger();
    let kept = theirs.callback.clone();
    assert_eq!(store.callbacks.book(theirs).await, Ok(Booked::New));
    let receipt = store.personal.erase(erasing(noon())).await.unwrap();
    assert_eq!((receipt.counts.callbacks, receipt.counts.counted_values), (1, 1));
    let held = store.held(stranger()).await;
    assert_eq!((held.callbacks.len(), held.counted_values, held.idempotency_keys), (1, 1, 1));
    assert_eq!(store.callbacks.load(stranger(), kept.id).await.unwrap().map(|it| it.phone), Some(customer()));
    assert_eq!(store.personal.receipt(stranger(), receipt.id).await, Ok(None));
    assert_eq!(store.personal.receipts(stranger(), None, 10).await, Ok(vec![]));
    let nobody = TenantId::from_name("nobody");
    let nothing = store.personal.erase(Erasing { tenant: nobody, ..erasing(noon()) }).await.unwrap();
    assert_eq!(nothing.counts, Counts::default());
}

pub(crate) async fn is_gone_on_with_after_a_break(start: &Start) {
    // Two rows in a command, and many rows, so that it is not over before it is broken off.
    let store = start(Limits { batch_commands: 8, ..Limits::default() });
    for key in 0..90 {
        store.end_planted(immediate(ME, noon()), key).await;
    }
    let forms = store.injector.stored_forms(customer());
    let first = erasing(noon());
    let begun = store.injector.commits();
    let (personal, order): (Arc<dyn PersonalStore>, _) = (store.personal.clone(), first.clone());
    let task = tokio::spawn(async move { personal.erase(order).await });
    until("a part is erased", || store.injector.commits() >= begun + 20).await;
    task.abort();
    drop(task.await);
    // What was on its way is written all the same.
    drop(store.injector.hold_writer());
    let left = store.held(tenant()).await;
    assert!((1..90).contains(&left.callbacks.len()), "{} of 90 are left", left.callbacks.len());
    let open = store.personal.receipts(tenant(), None, 10).await.unwrap();
    assert_eq!(open.iter().map(|it| (it.id, it.finished_at)).collect::<Vec<_>>(), [(first.id, None)]);

    // Its own answer gets lost, too: whoever asks once more is told.
    store.injector.lose_next_commit_answer();
    let lost = store.personal.erase(erasing(noon() + minutes(1))).await;
    assert!(matches!(lost, Err(EraseError::Store(StoreError::PerhapsDone(_)))), "{lost:?}");
    let receipt = store.personal.erase(erasing(noon() + minutes(2))).await.unwrap();
    assert_eq!((receipt.id, receipt.begun_at), (first.id, noon()));
    assert!(receipt.finished_at.is_some_and(|at| at >= noon() + minutes(2)), "{receipt:?}");
    assert_eq!((receipt.counts.callbacks, receipt.counts.idempotency_keys), (90, 90), "counted once each");
    let rewritten = store.injector.rewrites_files();
    assert_eq!(receipt.search.rewritten, rewritten, "what was removed before the break cannot be looked for");
    assert_eq!(store.injector.traces(customer(), &TEXTS, &forms), Vec::<String>::new());
}

/// Fourteen days after its desired time nothing of a callback is left, in any table.
pub(crate) async fn nothing_is_older_than_a_fortnight(start: &Start) {
    let store = start(Limits::default());
    let kept_for_good = ["installation", "tenants", "queues", "nodes", "call_in_groups", "call_in_numbers", "writers"];
    let before = store.injector.tables();
    for key in 0..5 {
        let callback = in_slot(noon() + minutes(i64::from(key) * 60));
        let booking = Booking { announcement: announce(Kind::Created, &[], None), ..planted(callback, key) };
        let callback = booking.callback.clone();
        assert_eq!(store.callbacks.book(booking).await, Ok(Booked::New));
        store.callbacks.save(settled(&callback)).await.unwrap();
        store.call_in(call_in_with(TEXTS[2], Some(77), 100 + key)).await;
    }
    let token = Booking { captcha: Some([1; 16]), announcement: None, ..planted(immediate(ME, noon()), 50) };
    let callback = token.callback.clone();
    store.callbacks.book(token).await.unwrap();
    store.callbacks.save(settled(&callback)).await.unwrap();
    let wanted_last = noon() + minutes(4 * 60);
    let purge = async |at: DateTime<Utc>| {
        store.callbacks.purge(at - RETENTION, at, 1_000).await.unwrap();
        while store.notices.forget_happenings(tenant(), at - RETENTION, 1_000).await.unwrap() > 0 {}
    };
    purge(wanted_last + RETENTION).await;
    assert_eq!(store.held(tenant()).await.callbacks.len(), 1, "the last one is kept to its very end");
    purge(wanted_last + RETENTION + minutes(10)).await;
    let left: Vec<_> = store
        .injector
        .tables()
        .into_iter()
        .filter(|(table, rows)| *rows > before[table] && !kept_for_good.contains(&table.as_str()))
        .map(|(table, _)| table)
        .collect();
    assert_eq!(left, ["happening_heads", "queue_depths"], "a figure for each tenant, and one for each queue");
    let traces = store.injector.traces(customer(), &TEXTS, &[]);
    let in_tables: Vec<_> = traces.iter().filter(|place| !place.starts_with("ges.db")).collect();
    assert!(in_tables.is_empty(), "{in_tables:?}");
}
