//! What the contract's tests share: fixtures, faults, and callbacks to try things with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration as StdDuration;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::callback::{Callback, Cause, Idempotency, Options, Saving, Terms};
use domain::ids::{CallbackId, Incarnation, QueueName, TenantId};
use domain::numbers::PhoneNumber;
use domain::ports::{
    AccountStore, AuditStore, Booked, Booking, CallInStore, CallbackStore, Change, ExplainStore, FlowStore, HoldStore,
    NodeStore, NoticeStore, PersonalStore, SearchStore, SessionStore, SettingsStore, StoreError, TenantStore,
};
use domain::slots::Grid;
use domain::throttle::BookingLimits;
use ges::stores::combiner::Limits;
use ges::stores::{DatabaseStore, Store};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinHandle;

use crate::harness::poll;

/// Makes a fresh store with the given bounds.
pub(crate) type Start = dyn Fn(Limits) -> Fixture + Sync;

/// One store and the way into it.
pub(crate) struct Fixture {
    pub(crate) callbacks: Arc<dyn CallbackStore>,
    pub(crate) call_ins: Arc<dyn CallInStore>,
    pub(crate) holds: Arc<dyn HoldStore>,
    pub(crate) flow: Arc<dyn FlowStore>,
    pub(crate) explain: Arc<dyn ExplainStore>,
    pub(crate) search: Arc<dyn SearchStore>,
    pub(crate) settings: Arc<dyn SettingsStore>,
    pub(crate) nodes: Arc<dyn NodeStore>,
    pub(crate) notices: Arc<dyn NoticeStore>,
    pub(crate) tenants: Arc<dyn TenantStore>,
    pub(crate) personal: Arc<dyn PersonalStore>,
    pub(crate) audit: Arc<dyn AuditStore>,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) accounts: Arc<dyn AccountStore>,
    /// All of it.
    pub(crate) whole: Arc<dyn Store>,
    pub(crate) injector: Box<dyn Injector>,
}

impl Fixture {
    /// A store as all of its ports.
    pub(crate) fn of<S: Store + 'static>(store: &Arc<S>, injector: impl Injector + 'static) -> Self {
        Self {
            callbacks: store.clone(),
            call_ins: store.clone(),
            holds: store.clone(),
            flow: store.clone(),
            explain: store.clone(),
            search: store.clone(),
            settings: store.clone(),
            nodes: store.clone(),
            notices: store.clone(),
            tenants: store.clone(),
            personal: store.clone(),
            audit: store.clone(),
            sessions: store.clone(),
            accounts: store.clone(),
            whole: store.clone(),
            injector: Box::new(injector),
        }
    }
}

/// How a booking is made to fail inside its transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    /// The statement fails, the transaction stays open.
    Statement,
    /// The database ends the transaction by itself, as with a full disk.
    Transaction,
}

/// How the audit log is tampered with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tamper {
    /// What this entry says is changed.
    Change(u64),
    /// This entry is removed.
    Remove(u64),
    /// These entries change places.
    Swap(u64, u64),
    /// The end from this entry on is cut off, with what says where the end is.
    CutEnd(u64),
}

impl Tamper {
    /// The statements that do it to the entries of the tenant with the number that the expression `tenant` gives.
    pub(crate) fn statements(self, tenant: &str) -> String {
        let ours = format!("tenant = {tenant}");
        match self {
            Self::Change(seq) => format!("UPDATE audit SET subject = 'x' WHERE {ours} AND seq = {seq}"),
            Self::Remove(seq) => format!("DELETE FROM audit WHERE {ours} AND seq = {seq}"),
            Self::Swap(one, other) => format!(
                "UPDATE audit SET seq = -1 WHERE {ours} AND seq = {one}; \
                 UPDATE audit SET seq = {one} WHERE {ours} AND seq = {other}; \
                 UPDATE audit SET seq = {other} WHERE {ours} AND seq = -1"
            ),
            Self::CutEnd(seq) => format!(
                "DELETE FROM audit WHERE {ours} AND seq >= {seq}; UPDATE audit_heads SET seq = {seq} - 1, hash = \
                 (SELECT hash FROM audit WHERE {ours} AND seq = {seq} - 1) WHERE {ours}"
            ),
        }
    }
}

/// Rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rows {
    pub(crate) callbacks: u64,
    pub(crate) history: u64,
    pub(crate) details: u64,
    pub(crate) keys: u64,
    pub(crate) tokens: u64,
    pub(crate) slots: u64,
    pub(crate) holds: u64,
    pub(crate) happenings: u64,
    pub(crate) notices: u64,
}

impl Rows {
    /// By how many rows each table has.
    pub(crate) fn counted(mut count: impl FnMut(&str) -> u64) -> Self {
        Self {
            callbacks: count("callbacks"),
            history: count("history"),
            details: count("details"),
            keys: count("idempotency_keys"),
            tokens: count("captcha_tokens"),
            slots: count("slots"),
            holds: count("holds"),
            happenings: count("happenings"),
            notices: count("notices"),
        }
    }
}

/// What can be seen of the writer of any store.
pub(crate) trait Writing {
    fn stand_still(&self) -> Box<dyn Send>;
    fn waiting(&self) -> usize;
    fn commits(&self) -> u64;
    fn longest_wait_of(&self, tenant: TenantId) -> u64;
}

impl<D: 'static> Writing for DatabaseStore<D> {
    fn stand_still(&self) -> Box<dyn Send> {
        Box::new(self.hold_writer())
    }

    fn waiting(&self) -> usize {
        self.writes_waiting()
    }

    fn commits(&self) -> u64 {
        self.write_stats().commits
    }

    fn longest_wait_of(&self, tenant: TenantId) -> u64 {
        self.longest_wait(tenant)
    }
}

/// Makes things go wrong inside a store, and looks behind its ports.
#[async_trait]
pub(crate) trait Injector: Send + Sync {
    /// The store's writer.
    fn writing(&self) -> &dyn Writing;
    /// No batch begins while the answer lives.
    fn hold_writer(&self) -> Box<dyn Send> {
        self.writing().stand_still()
    }
    /// Commands that wait for a batch.
    fn waiting(&self) -> usize {
        self.writing().waiting()
    }
    /// Transactions committed.
    fn commits(&self) -> u64 {
        self.writing().commits()
    }
    /// The next COMMIT is carried out, and its answer gets lost.
    fn lose_next_commit_answer(&self);
    /// Bookings of `phone` fail from now on, by nobody's fault.
    fn break_bookings_of(&self, phone: PhoneNumber, how: Break);
    /// They work again.
    fn heal(&self);
    /// Gives a row the format of a newer program.
    fn raise_format(&self, id: CallbackId);
    /// Counts rows.
    fn rows(&self) -> Rows;
    /// Counts what is kept for the rules that count values and windows.
    fn counts(&self) -> u64;
    /// How many rows every table has.
    fn tables(&self) -> BTreeMap<String, u64>;
    /// How the texts and the number of somebody are stored, as bytes that can be looked for.
    fn stored_forms(&self, phone: PhoneNumber) -> Vec<Vec<u8>>;
    /// Where a number, a text or stored bytes can be found: in every value of every table, unpacked where it is packed,
    /// and in every byte of every file.
    fn traces(&self, phone: PhoneNumber, texts: &[&str], forms: &[Vec<u8>]) -> Vec<String>;
    /// Leaves a copy of a number where no query finds it; false if the store keeps nothing like that.
    fn leave_copy(&self, phone: PhoneNumber) -> bool;
    /// Whether an erasure writes the store's files anew where that is needed.
    fn rewrites_files(&self) -> bool;
    /// Changes the audit log of `tenant()` behind its back.
    fn tamper(&self, how: Tamper);
    /// The most batches that a write of a tenant had to wait for.
    fn longest_wait(&self, tenant: TenantId) -> u64 {
        self.writing().longest_wait_of(tenant)
    }
}

/// A round instant: 2026-12-01 12:00 UTC.
pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_796_126_400, 0).unwrap()
}

pub(crate) fn minutes(number: i64) -> Duration {
    Duration::minutes(number)
}

pub(crate) fn tenant() -> TenantId {
    TenantId::from_name("contract")
}

pub(crate) fn stranger() -> TenantId {
    TenantId::from_name("stranger")
}

pub(crate) fn queue() -> QueueName {
    QueueName::new("support").unwrap()
}

pub(crate) const ME: Incarnation = Incarnation(7);
pub(crate) const OTHER: Incarnation = Incarnation(8);
pub(crate) const DEAD: Incarnation = Incarnation(3);

pub(crate) fn phone(last: u64) -> PhoneNumber {
    PhoneNumber::from_digits(12_025_550_000 + last)
}

/// No CHECK lets it pass: the data of one command that is wrong.
pub(crate) fn poison() -> PhoneNumber {
    PhoneNumber::from_digits(0)
}

fn new_id() -> CallbackId {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    CallbackId::generate(noon() + Duration::milliseconds(NUMBER.fetch_add(1, Ordering::Relaxed).cast_signed()))
}

fn terms() -> Terms {
    Terms { tenant: tenant(), queue: queue(), phone: phone(100), ttl: Duration::hours(24) }
}

/// An unowned callback that starts and is wanted at the same instant.
pub(crate) fn scheduled(desired: DateTime<Utc>) -> Callback {
    Callback::scheduled(new_id(), terms(), None, desired, desired, None)
}

/// A callback that starts `lead` before it is wanted.
pub(crate) fn scheduled_with_lead(desired: DateTime<Utc>, lead: Duration) -> Callback {
    Callback::scheduled(new_id(), terms(), None, desired, desired - lead, None)
}

/// A callback in a slot.
pub(crate) fn in_slot(start: DateTime<Utc>) -> Callback {
    Callback::scheduled(new_id(), terms(), None, start, start, Some(start))
}

/// A callback for now.
pub(crate) fn immediate(owner: Incarnation, at: DateTime<Utc>) -> Callback {
    Callback::immediate(new_id(), terms(), owner, at)
}

/// A plain booking of `callback` at noon, with one place per slot.
pub(crate) fn booking(callback: Callback) -> Booking {
    Booking {
        callback,
        slot_capacity: 1,
        grid: Grid::default(),
        options: Options::default(),
        user_data: None,
        idempotency: None,
        limits: BookingLimits::default(),
        captcha: None,
        hold: None,
        booked_at: noon(),
        announcement: None,
        on_replaced: None,
    }
}

pub(crate) fn with_key(callback: Callback, key: u8, body: u8) -> Booking {
    Booking { idempotency: Some(Idempotency { key: [key; 16], body: [body; 16] }), ..booking(callback) }
}

pub(crate) fn with_phone(mut callback: Callback, phone: PhoneNumber) -> Callback {
    callback.phone = phone;
    callback
}

/// Text that no compression makes shorter than about three quarters.
pub(crate) fn random_text(seed: u64, length: usize) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    (0..length).map(|_| char::from(random.random_range(b'!'..=b'~'))).collect()
}

/// The next version of `before`, made by `change`.
pub(crate) fn change(before: &Callback, change: impl FnOnce(&mut Callback)) -> Change {
    let mut callback = before.clone();
    callback.version += 1;
    change(&mut callback);
    Change {
        callback,
        from: before.state,
        expected_version: before.version,
        expected_owner: None,
        saving: saving(Cause::Looked),
        slot_capacity: 1,
        grid: Grid::default(),
        at: noon(),
        announcement: None,
    }
}

pub(crate) fn saving(cause: Cause) -> Saving {
    Saving { cause, implied: Vec::new(), give_back: None, take: None, actor: None }
}

impl Fixture {
    /// Books and expects it to be new.
    pub(crate) async fn keep(&self, callback: Callback) -> Callback {
        assert_eq!(self.callbacks.book(booking(callback.clone())).await, Ok(Booked::New));
        callback
    }

    /// Loads what has to be there.
    pub(crate) async fn load(&self, id: CallbackId) -> Callback {
        self.callbacks.load(tenant(), id).await.unwrap().expect("the callback is kept")
    }

    /// Books all of them in one batch, in this order; their outcomes.
    pub(crate) async fn book_together(&self, bookings: Vec<Booking>) -> Vec<Result<Booked, StoreError>> {
        let hold = self.injector.hold_writer();
        let mut tasks = Vec::new();
        for booking in bookings {
            tasks.push(self.queue_booking(booking).await);
        }
        drop(hold);
        join(tasks).await
    }

    /// Starts to book, and returns once the command waits for its batch. The writer has to be held.
    pub(crate) async fn queue_booking(&self, booking: Booking) -> JoinHandle<Result<Booked, StoreError>> {
        let callbacks = self.callbacks.clone();
        self.queued(async move { callbacks.book(booking).await }).await
    }

    /// Runs `work` beside the test, and returns once one more command waits. The writer has to be held.
    pub(crate) async fn queued<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let before = self.injector.waiting();
        let task = tokio::spawn(work);
        until("one more command waits", || self.injector.waiting() > before).await;
        task
    }
}

/// The results of tasks, in order.
pub(crate) async fn join<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("the task did not panic"));
    }
    results
}

/// Waits for a state, at most ten seconds.
pub(crate) async fn until(what: &str, state: impl Fn() -> bool) {
    poll::until_async(what, StdDuration::from_secs(10), || std::future::ready(state().then_some(()))).await;
}
