//! Finding callbacks: whatever is wanted, all of it and nothing else, page by page, and so much work for a page.

use chrono::Duration;
use domain::callback::{Callback, State};
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Booking, Found};
use domain::search::{Operand, Order, Properties, Search};
use ges::stores::combiner::Limits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::harness::*;
use crate::harness::seed;

const QUEUES: [&str; 3] = ["support", "sales", "berlin"];

fn name(queue: &str) -> QueueName {
    QueueName::new(queue).unwrap()
}

impl Fixture {
    /// Every page of a search, as ids, and how many pages that were.
    async fn find(&self, search: &Search) -> (Vec<CallbackId>, usize) {
        let (mut ids, mut pages, mut after) = (Vec::new(), 0, search.after);
        loop {
            let page = Search { after, ..search.clone() };
            let Found { callbacks, next } = self.search.search(tenant(), page).await.unwrap();
            assert!(callbacks.len() <= search.limit);
            ids.extend(callbacks.iter().map(|callback| callback.id));
            pages += 1;
            match next {
                Some(next) => after = Some(next),
                None => return (ids, pages),
            }
        }
    }

    async fn to_state(&self, callback: &Callback, state: State) -> Callback {
        let step = change(callback, |callback| {
            callback.state = state;
            if state == State::Completed {
                callback.ended_at = Some(noon());
                callback.wake_at = None;
            }
        });
        let after = step.callback.clone();
        self.callbacks.save(step).await.unwrap();
        after
    }
}

/// A callback with what the store does not give back with it.
struct Kept {
    callback: Callback,
    user_data: Option<String>,
}

async fn fill(store: &Fixture, random: &mut StdRng) -> Vec<Kept> {
    let mut kept = Vec::new();
    for number in 0..240 {
        let desired = noon() + Duration::minutes(random.random_range(0..600));
        let mut callback = with_phone(scheduled(desired), phone(random.random_range(0..5)));
        callback.queue = name(QUEUES[random.random_range(0..QUEUES.len())]);
        if number % 10 == 9 {
            callback.tenant = stranger();
        }
        let tier = random.random_range(0..3);
        let user_data = match random.random_range(0..3) {
            0 => None,
            1 => Some(format!(r#"{{"tier":{tier}}}"#)),
            _ => Some(format!(r#"{{"tier":{tier},"topic":"billing","note":"{}"}}"#, "x".repeat(200))),
        };
        let booked = Booking { user_data: user_data.clone(), ..booking(callback.clone()) };
        store.callbacks.book(booked).await.unwrap();
        if callback.tenant == tenant() {
            let state = State::ALL[random.random_range(0..State::ALL.len())];
            if state != State::Scheduled {
                callback = store.to_state(&callback, state).await;
            }
            if state != State::Completed && random.random_bool(0.1) {
                store.callbacks.park(tenant(), callback.id, "for a test", noon()).await.unwrap();
            }
            kept.push(Kept { callback, user_data });
        }
    }
    kept
}

fn any_search(random: &mut StdRng) -> Search {
    let order = if random.random_bool(0.5) { Order::NewestFirst } else { Order::OldestFirst };
    let mut search = Search::all(order, random.random_range(1..40));
    if random.random_bool(0.5) {
        search.queues = (0..random.random_range(1..3)).map(|_| name(QUEUES[random.random_range(0..3)])).collect();
    }
    if random.random_bool(0.2) {
        search.queues.insert(name("nobody's"));
    }
    search.states = match random.random_range(0..4) {
        0 => [State::Queued, State::Routing].into(),
        1 => [State::Scheduled, State::Queued].into(),
        2 => [State::Routing].into(),
        _ => (0..random.random_range(0..3)).map(|_| State::ALL[random.random_range(0..5)]).collect(),
    };
    if random.random_bool(0.3) {
        let from = noon() + Duration::minutes(random.random_range(0..500));
        search.desired = from..from + Duration::minutes(random.random_range(1..300));
    }
    if random.random_bool(0.4) {
        search.phones = (0..random.random_range(1..3)).map(|_| phone(random.random_range(0..6))).collect();
    }
    if random.random_bool(0.3) {
        let wanted = [("tier", random.random_range(0..4).to_string()), ("topic", "billing".to_owned())];
        let wanted = wanted.into_iter().map(|(name, value)| (name.to_owned(), value));
        let operand = if random.random_bool(0.5) { Operand::And } else { Operand::Or };
        search.properties = Properties { wanted: wanted.take(random.random_range(1..3)).collect(), operand };
    }
    search
}

pub(crate) async fn finds_what_is_wanted_and_nothing_else(start: &Start) {
    let store = start(Limits::default());
    let mut random = StdRng::seed_from_u64(seed());
    let kept = fill(&store, &mut random).await;
    let (mut found, mut several_pages) = (0, 0);
    for _ in 0..400 {
        let search = any_search(&mut random);
        let wanted = |kept: &&Kept| {
            let Kept { callback, user_data } = kept;
            (search.queues.is_empty() || search.queues.contains(&callback.queue))
                && search.admits(callback.state, callback.desired_time, callback.phone)
                && search.properties.admit(user_data.as_deref())
        };
        let mut expected: Vec<CallbackId> = kept.iter().filter(wanted).map(|kept| kept.callback.id).collect();
        expected.sort_unstable();
        if search.order == Order::NewestFirst {
            expected.reverse();
        }
        let (ids, pages) = store.find(&search).await;
        assert_eq!(ids, expected, "{search:?}");
        found += ids.len();
        several_pages += usize::from(pages > 1);
    }
    assert!(found > 2_000 && several_pages > 50, "{found} found, {several_pages} times on several pages");
}

pub(crate) async fn gives_callbacks_back_whole(start: &Start) {
    let store = start(Limits::default());
    let nothing = Search::all(Order::NewestFirst, 10);
    assert_eq!(store.search.search(tenant(), nothing.clone()).await, Ok(Found::default()), "nobody was here");
    let older = store.keep(scheduled(noon())).await;
    let newer = store.keep(in_slot(noon())).await;
    let page = store.search.search(tenant(), nothing.clone()).await.unwrap();
    assert_eq!(page, Found { callbacks: vec![newer.clone(), older.clone()], next: None });
    store.injector.raise_format(newer.id);
    let page = store.search.search(tenant(), nothing).await.unwrap();
    assert_eq!(page.callbacks, [older], "newer rows are left alone");
}

/// A page looks at 20,000 callbacks at most, whosever they are.
pub(crate) async fn a_long_table_is_looked_through_in_parts(start: &Start) {
    let store = start(Limits::default());
    let first = store.keep(with_phone(scheduled(noon()), phone(1))).await;
    for _ in 0..21 {
        let tasks = (0..1_000).map(|_| {
            let mut callback = with_phone(scheduled(noon()), phone(2));
            callback.tenant = stranger();
            let callbacks = store.callbacks.clone();
            tokio::spawn(async move { callbacks.book(booking(callback)).await.unwrap() })
        });
        join(tasks.collect()).await;
    }
    let last = store.keep(with_phone(scheduled(noon()), phone(1))).await;
    let search = Search { phones: [phone(1)].into(), ..Search::all(Order::OldestFirst, 10) };
    let page = store.search.search(tenant(), search.clone()).await.unwrap();
    assert_eq!(page.callbacks.iter().map(|callback| callback.id).collect::<Vec<_>>(), [first.id]);
    assert!(page.next.is_some_and(|next| next > first.id && next < last.id), "it says where to go on");
    let (ids, pages) = store.find(&search).await;
    assert_eq!((ids, pages), (vec![first.id, last.id], 2));
    // Who waits under a number is found without looking at the others.
    let states = std::collections::BTreeSet::from([State::Scheduled, State::Queued, State::Routing]);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (ids, pages) = store.find(&Search { states: states.clone(), order, ..search.clone() }).await;
        assert_eq!((ids.len(), pages), (2, 1));
    }
}
