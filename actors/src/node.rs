//! What the actors of one node share: the ports, who this node is, and the addresses of the singletons.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::event::Event;
use domain::ids::{CallbackId, Incarnation, TenantId};
use domain::ports::Ports;
use ractor::Message;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::desk::WaitingReaders;
use crate::directory::Directory;
use crate::health::HealthBoard;
use crate::live::LiveBoard;
use crate::mailbox::Address;
use crate::notifier::NotifierMsg;
use crate::others::Elsewhere;
use crate::pinger::Pinger;
use crate::scheduler::SchedulerMsg;
use crate::session::SessionMsg;
use crate::short_waits::ShortWaits;
use crate::tenant::TenantMsg;
use crate::tenants::TenantsMsg;
use crate::timers::Timers;

/// Sessions of one node that may read their rows at the same time, after an outage above all.
const RELOADS: usize = 64;
/// Callbacks without a session that may be stepped at the same time.
const BYSTANDERS: usize = 256;
/// Nothing is asked after in this time after the node, the store or routing came back: silence means nothing yet.
pub(crate) const QUIET: TimeDelta = TimeDelta::seconds(60);
/// The farthest a timer is set; whoever wanted it later looks again then.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The address of a singleton, which changes when it is restarted.
pub(crate) struct Place<M: Message>(RwLock<Option<Address<M>>>);

impl<M: Message> Default for Place<M> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<M: Message> Place<M> {
    pub(crate) fn put(&self, address: Address<M>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// Sends a message whose loss is harmless.
    pub(crate) fn hint(&self, message: M) {
        if let Some(address) = self.get() {
            address.hint(message);
        }
    }

    pub(crate) fn get(&self) -> Option<Address<M>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A session's timer: whom to wake, and which of its wishes this was.
pub(crate) type SessionTimer = (Address<SessionMsg>, u32);

/// Shared by every actor of the node.
pub(crate) struct Node {
    pub(crate) ports: Ports,
    pub(crate) me: Incarnation,
    pub(crate) session_limit: usize,
    pub(crate) directory: Directory,
    pub(crate) live: LiveBoard,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) short_waits: ShortWaits,
    pub(crate) health: HealthBoard,
    pub(crate) timers: Arc<Timers<SessionTimer>>,
    pub(crate) pinger: Pinger,
    pub(crate) reloads: Arc<Semaphore>,
    pub(crate) bystanders: Arc<Semaphore>,
    pub(crate) tenants: Place<TenantsMsg>,
    pub(crate) scheduler: Place<SchedulerMsg>,
    pub(crate) notifier: Place<NotifierMsg>,
    /// Changes with every step of this node that a tenant is told of: wakes who waits for the feed.
    pub(crate) news: watch::Sender<u64>,
    /// Readers of feeds that wait for something to happen.
    pub(crate) waiting_readers: WaitingReaders,
    /// Scheduled callbacks whose timers this node's scheduler holds.
    pub(crate) claimed: AtomicUsize,
    sessions: AtomicUsize,
    /// Until when the last committed heartbeat speaks for this node; none before the first.
    alive_until: RwLock<Option<Instant>>,
    draining: AtomicBool,
    /// Something is owed that the notifier has not heard of yet.
    owed: AtomicBool,
    /// Incarnations that were alive at the last sweep.
    living: RwLock<Vec<Incarnation>>,
    ping_from: RwLock<DateTime<Utc>>,
}

impl Node {
    pub(crate) fn new(ports: Ports, me: Incarnation, session_limit: usize) -> Arc<Self> {
        let ping_from = ports.clock.now() + QUIET;
        let pinger = Pinger::start(ports.routing.clone(), ports.observer.clone());
        Arc::new(Self {
            ports,
            me,
            session_limit,
            directory: Directory::default(),
            live: LiveBoard::default(),
            elsewhere: Elsewhere::default(),
            short_waits: ShortWaits::default(),
            health: HealthBoard::default(),
            timers: Timers::start(|(session, wish): SessionTimer| session.hint(SessionMsg::TimerElapsed { wish })),
            pinger,
            reloads: Arc::new(Semaphore::new(RELOADS)),
            bystanders: Arc::new(Semaphore::new(BYSTANDERS)),
            tenants: Place::default(),
            scheduler: Place::default(),
            notifier: Place::default(),
            news: watch::Sender::new(0),
            waiting_readers: WaitingReaders::default(),
            claimed: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            alive_until: RwLock::new(None),
            draining: AtomicBool::new(false),
            owed: AtomicBool::new(false),
            living: RwLock::new(vec![me]),
            ping_from: RwLock::new(ping_from),
        })
    }

    /// Database time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }

    pub(crate) fn note(&self, event: Event) {
        self.ports.observer.note(event);
    }

    /// A step was saved that a tenant, or a customer, is told of.
    pub(crate) fn announced(&self) {
        self.news.send_modify(|news| *news = news.wrapping_add(1));
        // One word is enough for many steps.
        if !self.owed.swap(true, Ordering::AcqRel) {
            self.notifier.hint(NotifierMsg::Owed);
        }
    }

    /// The expected wait of a callback has become short.
    pub(crate) fn tell_short_wait(&self, tenant: TenantId, id: CallbackId) {
        if let Some(entry) = self.directory.find(tenant) {
            entry.address.hint(TenantMsg::WaitShort { id });
        }
    }

    /// The notifier looks now: what is written from here on is said again.
    pub(crate) fn heard_of_owed(&self) {
        self.owed.store(false, Ordering::Release);
    }

    /// Who was alive at the last sweep, this node included.
    pub(crate) fn living(&self) -> Vec<Incarnation> {
        self.living.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_living(&self, mut living: Vec<Incarnation>) {
        living.push(self.me);
        *self.living.write().unwrap_or_else(PoisonError::into_inner) = living;
    }

    /// The runtime's instant at which the database clock will show `at`; now if that has passed.
    pub(crate) fn instant_of(&self, at: DateTime<Utc>) -> Instant {
        let wait = at - self.now();
        // Rounded up to the millisecond: a timer may be late by one, never early.
        let millis = wait.num_microseconds().unwrap_or(i64::MAX - 999).max(0).saturating_add(999) / 1000;
        Instant::now() + Duration::from_millis(u64::try_from(millis).unwrap_or_default()).min(FAR)
    }

    /// The first instant at which routing may be asked after silent attempts.
    pub(crate) fn ping_from(&self) -> DateTime<Utc> {
        *self.ping_from.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has just come back: silence until now means nothing.
    pub(crate) fn begin_quiet_time(&self) {
        *self.ping_from.write().unwrap_or_else(PoisonError::into_inner) = self.now() + QUIET;
    }

    /// Takes the seat of one session; the seat is free again when the value is dropped.
    pub(crate) fn take_seat(self: &Arc<Self>) -> Seat {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    /// Sessions that may still be started.
    pub(crate) fn free_seats(&self) -> usize {
        self.session_limit.saturating_sub(self.sessions.load(Ordering::Relaxed))
    }

    /// Sessions at work.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Whether the node may begin work on its own initiative: its heartbeats are committed and it does not drain.
    pub(crate) fn may_work(&self) -> bool {
        self.is_alive() && !self.is_draining()
    }

    /// Whether the last committed heartbeat is recent. It grows old by itself, whatever becomes of membership.
    pub(crate) fn is_alive(&self) -> bool {
        let until = *self.alive_until.read().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// A heartbeat speaks for the node until then, or none does any more.
    pub(crate) fn set_alive_until(&self, until: Option<Instant>) {
        *self.alive_until.write().unwrap_or_else(PoisonError::into_inner) = until;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// One session of the node's limit.
pub(crate) struct Seat(Arc<Node>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
