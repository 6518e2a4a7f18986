//! Who works on what: claim, due, take, park, purge.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, Cause, HandOff, Reason, State};
use domain::ids::{CallbackId, Incarnation};
use domain::ports::{Booking, Claim, Due, HandOver, Handed, SaveError, StoreError, Take, WorkCounts};
use ges::stores::combiner::Limits;

use super::harness::*;

fn claim(horizon: DateTime<Utc>) -> Claim {
    Claim { owner: ME, horizon, leads: BTreeMap::new(), limit: 500, at: noon() }
}

fn take(at: DateTime<Utc>) -> Take {
    Take { owner: ME, living: vec![ME, OTHER], at, overdue_before: at - minutes(1), waiting: true, limit: 100 }
}

fn ids(due: &[Due]) -> Vec<CallbackId> {
    due.iter().map(|due| due.id).collect()
}

pub(super) fn settled(before: &Callback) -> domain::ports::Change {
    change(before, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::AGENT_CONNECTED);
        callback.ended_at = Some(noon());
        callback.owner = None;
        callback.wake_at = None;
    })
}

pub(crate) async fn a_claim_takes_what_starts_before_the_horizon(start: &Start) {
    let store = start(Limits::default());
    let late = store.keep(scheduled(noon() + minutes(2))).await;
    let soon = store.keep(scheduled(noon() + minutes(1))).await;
    store.keep(immediate(OTHER, noon())).await;
    let beyond = store.keep(scheduled(noon() + minutes(3))).await;

    let claimed = store.callbacks.claim(claim(noon() + minutes(3))).await.unwrap();
    assert_eq!(ids(&claimed), [soon.id, late.id], "oldest first, the horizon itself not");
    let due = &claimed[0];
    assert_eq!((due.tenant, &due.queue, due.state), (tenant(), &queue(), State::Scheduled));
    assert_eq!((due.desired_time, due.wake_at, due.needs_place), (soon.desired_time, soon.start_at, true));
    let row = store.load(soon.id).await;
    assert_eq!((row.owner, row.version, row.wake_at), (Some(ME), 2, Some(soon.start_at)));
    let history = store.callbacks.history(tenant(), soon.id, 10).await.unwrap();
    assert_eq!((history[1].version, history[1].cause, history[1].at), (2, Cause::Claimed, noon()));
    assert_eq!(store.load(beyond.id).await, beyond);
    assert_eq!(store.callbacks.claim(claim(noon() + minutes(3))).await, Ok(vec![]), "nothing is claimed twice");
}

pub(crate) async fn a_claim_follows_todays_lead(start: &Start) {
    let store = start(Limits::default());
    let horizon = noon() + minutes(2);
    // Booked without a lead; today's of 10 minutes brings its start before the horizon.
    let longer = store.keep(scheduled(noon() + minutes(11))).await;
    // Booked with a lead of 60 minutes; under today's it starts at 12:20.
    let shorter = store.keep(scheduled_with_lead(noon() + minutes(30), minutes(60))).await;
    let mut elsewhere = scheduled(noon() + minutes(11));
    elsewhere.queue = domain::ids::QueueName::new("sales").unwrap();
    let elsewhere = store.keep(elsewhere).await;

    let leads = BTreeMap::from([((tenant(), queue()), minutes(10))]);
    let claimed = store.callbacks.claim(Claim { leads, ..claim(horizon) }).await.unwrap();
    assert_eq!(ids(&claimed), [longer.id]);
    assert_eq!(claimed[0].wake_at, noon() + minutes(1));
    let row = store.load(longer.id).await;
    assert_eq!((row.start_at, row.wake_at), (noon() + minutes(1), Some(noon() + minutes(1))));
    assert_eq!(store.load(shorter.id).await, shorter);
    assert_eq!(store.load(elsewhere.id).await, elsewhere, "another queue's lead does not count");
}

pub(crate) async fn claims_have_a_limit(start: &Start) {
    let store = start(Limits::default());
    for minute in [3, 1, 2] {
        store.keep(scheduled(noon() + minutes(minute))).await;
    }
    let some = Claim { limit: 2, ..claim(noon() + minutes(60)) };
    let first = store.callbacks.claim(some.clone()).await.unwrap();
    assert_eq!(first.iter().map(|due| due.wake_at).collect::<Vec<_>>(), [noon() + minutes(1), noon() + minutes(2)]);
    assert_eq!(store.callbacks.claim(some).await.unwrap().len(), 1);
}

pub(crate) async fn two_claimers_never_share(start: &Start) {
    let store = start(Limits::default());
    for minute in 0..50 {
        store.keep(scheduled(noon() + minutes(minute))).await;
    }
    let by = |owner| {
        let callbacks = store.callbacks.clone();
        let claim = Claim { owner, limit: 40, ..claim(noon() + minutes(60)) };
        async move { callbacks.claim(claim).await.unwrap() }
    };
    let (mine, theirs) = tokio::join!(by(ME), by(OTHER));
    let all: HashSet<CallbackId> = mine.iter().chain(&theirs).map(|due| due.id).collect();
    assert_eq!(all.len(), mine.len() + theirs.len(), "nobody got what the other has");
    assert!(all.len() >= 40);
    for due in mine {
        assert_eq!(store.load(due.id).await.owner, Some(ME));
    }
}

pub(crate) async fn due_lists_the_owners_work_oldest_first(start: &Start) {
    let store = start(Limits::default());
    let late = store.keep(immediate(ME, noon() + minutes(2))).await;
    let soon = store.keep(immediate(ME, noon() + minutes(1))).await;
    store.keep(immediate(OTHER, noon())).await;
    store.keep(immediate(ME, noon() + minutes(9))).await;
    let accepted = change(&late, |callback| callback.hand_off = HandOff::Accepted);
    store.callbacks.save(accepted).await.unwrap();

    let due = store.callbacks.due(ME, noon() + minutes(2), 10).await.unwrap();
    assert_eq!(ids(&due), [soon.id, late.id], "due at this very instant counts");
    assert_eq!(due.iter().map(|due| due.needs_place).collect::<Vec<_>>(), [true, false]);
    assert_eq!(ids(&store.callbacks.due(ME, noon() + minutes(2), 1).await.unwrap()), [soon.id]);
    assert_eq!(store.load(soon.id).await, soon, "it only reads");
}

pub(crate) async fn a_take_needs_a_dead_owner_or_none(start: &Start) {
    let store = start(Limits::default());
    let nobodys = store.keep(scheduled(noon())).await;
    let orphan = store.keep(immediate(DEAD, noon() - minutes(1))).await;
    let mine = store.keep(immediate(ME, noon() - minutes(30))).await;
    let theirs = store.keep(immediate(OTHER, noon())).await;
    let not_due = store.keep(immediate(DEAD, noon() + minutes(1))).await;

    let taken = store.callbacks.take(take(noon())).await.unwrap();
    assert_eq!(ids(&taken), [orphan.id, nobodys.id]);
    for id in [orphan.id, nobodys.id] {
        let row = store.load(id).await;
        assert_eq!((row.owner, row.version), (Some(ME), 2));
        assert_eq!(store.callbacks.history(tenant(), id, 10).await.unwrap()[1].cause, Cause::Taken);
    }
    for untouched in [mine, theirs, not_due] {
        assert_eq!(store.load(untouched.id).await, untouched);
    }
}

pub(crate) async fn overdue_work_is_taken_from_anybody(start: &Start) {
    let store = start(Limits::default());
    let overdue = store.keep(immediate(OTHER, noon() - minutes(2))).await;
    store.keep(immediate(OTHER, noon() - minutes(1))).await;
    let mine = store.keep(immediate(ME, noon() - minutes(30))).await;
    let taken = store.callbacks.take(take(noon())).await.unwrap();
    assert_eq!(ids(&taken), [overdue.id], "the limit itself is not overdue");
    assert_eq!(store.load(mine.id).await, mine, "mine already");
}

pub(crate) async fn what_waits_for_a_place_is_left_to_the_living(start: &Start) {
    let store = start(Limits::default());
    let waiting = store.keep(immediate(OTHER, noon() - minutes(3))).await;
    let accepted = store.keep(immediate(OTHER, noon() - minutes(2))).await;
    store.callbacks.save(change(&accepted, |callback| callback.hand_off = HandOff::Accepted)).await.unwrap();
    let orphan = store.keep(immediate(DEAD, noon() - minutes(1))).await;
    let rest = Take { waiting: false, ..take(noon()) };
    assert_eq!(ids(&store.callbacks.take(rest).await.unwrap()), [accepted.id, orphan.id]);
    assert_eq!(ids(&store.callbacks.take(take(noon())).await.unwrap()), [waiting.id]);
}

pub(crate) async fn takes_have_a_limit_and_an_order(start: &Start) {
    let store = start(Limits::default());
    for minute in 1..=6 {
        let owner = [DEAD, Incarnation(4)][minute as usize % 2];
        store.keep(immediate(owner, noon() - minutes(minute))).await;
        store.keep(scheduled(noon() - minutes(minute) - Duration::seconds(30))).await;
    }
    let some = Take { limit: 5, ..take(noon()) };
    let taken = store.callbacks.take(some).await.unwrap();
    let ages: Vec<i64> = taken.iter().map(|due| (noon() - due.wake_at).num_seconds()).collect();
    assert_eq!(ages, [390, 360, 330, 300, 270], "the oldest of all owners");
    assert_eq!(store.callbacks.take(take(noon())).await.unwrap().len(), 7);
    assert_eq!(store.callbacks.take(take(noon())).await, Ok(vec![]));
}

fn hand_over(what: Handed, limit: usize) -> HandOver {
    HandOver { owner: ME, to: vec![OTHER, Incarnation(9)], what, at: noon(), limit }
}

/// Who owns each of them.
async fn owners(store: &Fixture, of: &[&Callback]) -> Vec<Option<Incarnation>> {
    let mut owners = Vec::with_capacity(of.len());
    for callback in of {
        owners.push(store.load(callback.id).await.owner);
    }
    owners
}

pub(crate) async fn a_node_that_ends_hands_its_work_over(start: &Start) {
    let store = start(Limits::default());
    let claimed = store.keep(Callback { owner: Some(ME), ..scheduled(noon() + minutes(1)) }).await;
    let queued = store.keep(immediate(ME, noon())).await;
    let begun = |step: fn(&mut Callback)| {
        let (store, at) = (&store, noon() + minutes(2));
        async move {
            let before = store.keep(immediate(ME, at)).await;
            store.callbacks.save(change(&before, step)).await.unwrap();
            store.load(before.id).await
        }
    };
    let started = begun(|callback| callback.hand_off = HandOff::Started).await;
    let accepted = begun(|callback| callback.hand_off = HandOff::Accepted).await;
    let owing = begun(|callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::CANCELLED);
        callback.owes_terminate = true;
    })
    .await;
    let done = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(settled(&done)).await.unwrap();
    let parked = store.keep(immediate(ME, noon())).await;
    store.callbacks.park(tenant(), parked.id, "x", noon()).await.unwrap();
    let left_alone = [done.id, parked.id, store.keep(immediate(OTHER, noon())).await.id];
    let left_alone = [left_alone.as_slice(), &[store.keep(scheduled(noon())).await.id]].concat();
    let mut before = Vec::new();
    for id in &left_alone {
        before.push(store.load(*id).await);
    }

    let nobody = HandOver { to: Vec::new(), ..hand_over(Handed::All, 10) };
    let commits = store.injector.commits();
    assert_eq!(store.callbacks.hand_over(nobody).await, Ok(0));
    assert_eq!(store.injector.commits(), commits, "alone there is nothing to do");

    let (other, third) = (Some(OTHER), Some(Incarnation(9)));
    assert_eq!(store.callbacks.hand_over(hand_over(Handed::Unbegun, 10)).await, Ok(2));
    assert_eq!(owners(&store, &[&queued, &claimed]).await, [other, third], "in turn, as they are due");
    assert_eq!(owners(&store, &[&started, &accepted, &owing]).await, [Some(ME); 3], "these were begun");
    assert_eq!(store.callbacks.hand_over(hand_over(Handed::Unbegun, 10)).await, Ok(0));

    assert_eq!(store.callbacks.hand_over(hand_over(Handed::All, 10)).await, Ok(3));
    let mut of_each = owners(&store, &[&started, &accepted, &owing]).await;
    of_each.sort();
    assert_eq!(of_each, [other, other, third]);
    assert_eq!(store.callbacks.hand_over(hand_over(Handed::All, 10)).await, Ok(0));
    for before in before {
        assert_eq!(store.load(before.id).await, before);
    }
}

pub(crate) async fn what_is_handed_over_is_due_as_before(start: &Start) {
    let store = start(Limits::default());
    let mut rows = Vec::new();
    for minute in [3, 1, 2, 5, 4] {
        rows.push(store.keep(immediate(ME, noon() + minutes(minute))).await);
    }
    assert_eq!(store.callbacks.hand_over(hand_over(Handed::All, 2)).await, Ok(2));
    assert_eq!(store.load(rows[1].id).await.owner, Some(OTHER), "what is due first goes first");
    assert_eq!(store.load(rows[2].id).await.owner, Some(Incarnation(9)));
    assert_eq!(store.callbacks.hand_over(hand_over(Handed::All, 100)).await, Ok(3));
    for before in &rows {
        let row = store.load(before.id).await;
        assert_eq!((row.version, row.wake_at, row.start_at), (2, before.wake_at, before.start_at));
        let history = store.callbacks.history(tenant(), before.id, 10).await.unwrap();
        assert_eq!((history[1].version, history[1].cause, history[1].at), (2, Cause::Taken, noon()));
    }
    // Who handed a row over, or read it before, can save it no more.
    let late = domain::ports::Change { expected_owner: Some(ME), ..change(&rows[0], |_| {}) };
    assert_eq!(store.callbacks.save(late).await, Err(SaveError::Conflict));
    let due = store.callbacks.due(OTHER, noon() + minutes(5), 10).await.unwrap();
    let others = store.callbacks.due(Incarnation(9), noon() + minutes(5), 10).await.unwrap();
    assert_eq!((due.len(), others.len()), (3, 2));
}

pub(crate) async fn idle_sweeps_write_nothing(start: &Start) {
    let store = start(Limits::default());
    store.keep(scheduled(noon() + minutes(60))).await;
    store.keep(immediate(ME, noon())).await;
    let commits = store.injector.commits();
    assert_eq!(store.callbacks.take(take(noon())).await, Ok(vec![]));
    assert_eq!(store.callbacks.claim(claim(noon())).await, Ok(vec![]));
    assert_eq!(store.callbacks.purge(noon(), noon(), 100).await, Ok(0));
    assert_eq!(store.injector.commits(), commits);
}

pub(crate) async fn newer_rows_are_left_alone(start: &Start) {
    let store = start(Limits::default());
    let unowned = store.keep(scheduled(noon())).await;
    let orphan = store.keep(immediate(DEAD, noon())).await;
    let mine = store.keep(immediate(ME, noon())).await;
    let old = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(settled(&old)).await.unwrap();
    for id in [unowned.id, orphan.id, mine.id, old.id] {
        store.injector.raise_format(id);
    }
    assert_eq!(store.callbacks.claim(claim(noon() + minutes(60))).await, Ok(vec![]));
    assert_eq!(store.callbacks.take(take(noon() + minutes(60))).await, Ok(vec![]));
    assert_eq!(store.callbacks.due(ME, noon() + minutes(60), 10).await, Ok(vec![]));
    for what in [Handed::Unbegun, Handed::All] {
        assert_eq!(store.callbacks.hand_over(hand_over(what, 10)).await, Ok(0));
    }
    assert_eq!(store.callbacks.purge(noon() + minutes(60), noon(), 10).await, Ok(0));
    assert_eq!(store.injector.rows().callbacks, 4);
}

pub(crate) async fn parking_hides_and_unparking_shows(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(immediate(ME, noon())).await;
    store.callbacks.park(tenant(), callback.id, "fails again and again", noon()).await.unwrap();
    let parked = store.callbacks.parked(10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].id, parked[0].tenant, parked[0].at), (callback.id, tenant(), noon()));
    assert_eq!(parked[0].reason, "fails again and again");
    let row = store.load(callback.id).await;
    assert_eq!((row.wake_at, row.version, row.state), (None, 2, State::Queued));
    store.callbacks.park(tenant(), callback.id, "once more", noon()).await.unwrap();
    assert_eq!(store.load(callback.id).await.version, 2, "again changes nothing");

    let later = noon() + minutes(60);
    assert_eq!(store.callbacks.due(ME, later, 10).await, Ok(vec![]));
    assert_eq!(store.callbacks.take(take(later)).await, Ok(vec![]));
    assert_eq!(store.callbacks.purge(later, later, 10).await, Ok(0));

    store.callbacks.unpark(tenant(), callback.id, later, "api").await.unwrap();
    assert_eq!(store.callbacks.parked(10).await, Ok(vec![]));
    assert_eq!(ids(&store.callbacks.take(take(later)).await.unwrap()), [callback.id]);
    assert_eq!(store.callbacks.unpark(tenant(), callback.id, later, "api").await, Err(SaveError::NotFound));
}

pub(crate) async fn a_parked_callback_stays_parked(start: &Start) {
    let store = start(Limits::default());
    let callback = store.keep(immediate(ME, noon())).await;
    store.callbacks.park(tenant(), callback.id, "x", noon()).await.unwrap();
    let row = store.load(callback.id).await;
    let step = change(&row, |callback| callback.wake_at = Some(noon()));
    store.callbacks.save(step).await.unwrap();
    let row = store.load(callback.id).await;
    assert_eq!(row.wake_at, None, "whatever is applied to it");
    assert_eq!(store.callbacks.parked(10).await.unwrap().len(), 1);

    store.callbacks.save(settled(&row)).await.unwrap();
    assert_eq!(store.callbacks.parked(10).await, Ok(vec![]), "its end ends that too");
    let done = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(settled(&done)).await.unwrap();
    assert_eq!(store.callbacks.park(tenant(), done.id, "x", noon()).await, Err(SaveError::Conflict));
}

pub(crate) async fn a_purge_takes_only_settled_and_old(start: &Start) {
    let store = start(Limits::default());
    let old = noon() - Duration::days(15);
    let full = Booking {
        user_data: Some("{}".to_owned()),
        booked_at: old,
        ..with_key(with_phone(in_slot(old), phone(1)), 9, 9)
    };
    let gone = full.callback.clone();
    store.callbacks.book(full).await.unwrap();
    store.callbacks.save(settled(&gone)).await.unwrap();
    let ended = store.load(gone.id).await;
    let mut noted = change(&ended, |_| {});
    noted.saving.cause = Cause::LateSignal;
    store.callbacks.save(noted).await.unwrap();
    let history = store.callbacks.history(tenant(), gone.id, 10).await.unwrap();
    let versions: Vec<_> = history.iter().map(|entry| (entry.version, entry.cause)).collect();
    assert_eq!(versions, [(1, Cause::Booked), (2, Cause::Looked), (3, Cause::LateSignal)]);
    assert_eq!(store.callbacks.due(ME, noon() + Duration::days(1), 10).await, Ok(Vec::new()), "it is nobody's work");
    let young = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(settled(&young)).await.unwrap();
    let owing = store.keep(immediate(ME, old)).await;
    let owes = change(&owing, |callback| {
        callback.state = State::Completed;
        callback.reason = Some(Reason::CANCELLED);
        callback.owes_terminate = true;
    });
    store.callbacks.save(owes).await.unwrap();
    let unfinished = store.keep(immediate(ME, old)).await;
    let parked = store.keep(immediate(ME, old)).await;
    store.callbacks.park(tenant(), parked.id, "x", noon()).await.unwrap();

    assert_eq!(store.callbacks.purge(noon() - Duration::days(14), noon(), 100).await, Ok(1));
    assert_eq!(store.callbacks.load(tenant(), gone.id).await, Ok(None));
    for kept in [young, owing, unfinished, parked] {
        assert!(store.callbacks.load(tenant(), kept.id).await.unwrap().is_some());
    }
    let rows = store.injector.rows();
    assert_eq!(
        rows,
        Rows { callbacks: 4, history: 7, details: 0, keys: 0, slots: 0, ..Rows::default() },
        "with everything of it"
    );
}

pub(crate) async fn a_purge_is_bounded(start: &Start) {
    let store = start(Limits::default());
    for minute in 1..=5 {
        let callback = store.keep(immediate(ME, noon() - minutes(minute))).await;
        store.callbacks.save(settled(&callback)).await.unwrap();
    }
    assert_eq!(store.callbacks.purge(noon(), noon(), 2).await, Ok(2));
    assert_eq!(store.callbacks.purge(noon() - minutes(2), noon(), 100).await, Ok(1), "the oldest went first");
    assert_eq!(store.injector.rows().callbacks, 2);
}

pub(crate) async fn work_is_counted(start: &Start) {
    let store = start(Limits::default());
    assert_eq!(store.callbacks.work_counts().await, Ok(WorkCounts::default()));
    store.keep(scheduled(noon())).await;
    store.keep(scheduled(noon())).await;
    store.keep(immediate(ME, noon())).await;
    let done = store.keep(immediate(ME, noon())).await;
    store.callbacks.save(settled(&done)).await.unwrap();
    let parked = store.keep(immediate(ME, noon())).await;
    store.callbacks.park(tenant(), parked.id, "x", noon()).await.unwrap();
    let counts: Result<WorkCounts, StoreError> = store.callbacks.work_counts().await;
    assert_eq!(counts, Ok(WorkCounts { scheduled: 2, active: 1, parked: 1 }));
}
