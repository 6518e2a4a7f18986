//! What the observer is told: facts for metrics and reports, never personal data.

mod bus;
mod captcha;
mod outward;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::callback::{Cause, Promise, State};
use crate::holds::HoldBound;
use crate::ids::QueueName;
use crate::ports::Owed;
use crate::push::PushResult;

pub use bus::BusEnd;
pub use captcha::CaptchaEnd;
pub use outward::{CallEnd, Outward};

/// Kinds of actors, as they appear in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorKind {
    /// The root supervisor.
    Root,
    /// Supervisor of the connectors.
    Connectors,
    /// Runs one client.
    Connector,
    /// Folds the probes.
    Health,
    /// Asks one dependency.
    Probe,
    /// Heartbeat, clock and sweep.
    Membership,
    /// Claims and fires scheduled callbacks.
    Scheduler,
    /// Supervisor of the tenants.
    Tenants,
    /// One tenant.
    Tenant,
    /// One active callback.
    Session,
    /// Delivers what is owed to the outside.
    Notifier,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Root,
        Self::Connectors,
        Self::Connector,
        Self::Health,
        Self::Probe,
        Self::Membership,
        Self::Scheduler,
        Self::Tenants,
        Self::Tenant,
        Self::Session,
        Self::Notifier,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Connectors => "connectors",
            Self::Connector => "connector",
            Self::Health => "health",
            Self::Probe => "probe",
            Self::Membership => "membership",
            Self::Scheduler => "scheduler",
            Self::Tenants => "tenants",
            Self::Tenant => "tenant",
            Self::Session => "session",
            Self::Notifier => "notifier",
        }
    }
}

/// Why a child was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Its handler returned an error.
    Error,
    /// It panicked.
    Panic,
    /// It could not be started.
    Start,
}

impl Failure {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Start => "start",
        }
    }
}

/// What became of one try of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageResult {
    /// It was taken.
    Delivered,
    /// It was not, and is tried again.
    Failed,
    /// It was not, and that was the last try.
    GivenUp,
}

impl MessageResult {
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given-up",
        }
    }
}

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A tenant is known (again); its counters exist from now on.
    TenantKnown {
        /// Its name.
        tenant: Arc<str>,
    },
    /// A callback was booked.
    Booked {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A call-in request was opened.
    CallInOpened {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A call-in request was refused because no number and code was free.
    CallInNothingFree {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// An incoming call was recognised.
    CallInMatched {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// An incoming call was looked up and was nobody's.
    CallInMissed {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A callback moved along an arrow.
    Moved {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// Where it was.
        from: State,
        /// Where it is.
        to: State,
    },
    /// A version was saved.
    Saved {
        /// Why.
        cause: Cause,
    },
    /// A scheduled callback was submitted for the first time, so long after its start instant.
    Fired {
        /// Never negative.
        lateness: Duration,
    },
    /// A callback ended as `SUBMIT_FAILED`.
    SubmitFailed,
    /// A callback was set aside.
    Parked {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// An actor started.
    ActorStarted(ActorKind),
    /// An actor ended, for whatever reason.
    ActorStopped(ActorKind),
    /// An actor handled one message.
    Handled {
        /// What it is.
        kind: ActorKind,
        /// Time in the handler.
        took: Duration,
        /// Messages that were waiting when this one was taken, itself included.
        waiting: usize,
    },
    /// A supervisor started a child again.
    Restarted {
        /// Who.
        supervisor: ActorKind,
        /// Whom.
        child: ActorKind,
        /// Why.
        reason: Failure,
    },
    /// A panic was caught in an actor or handler.
    PanicCaught,
    /// A dependency answered a probe, or did not.
    Probed {
        /// `database`, `routing`, …
        dependency: &'static str,
        /// It answered.
        up: bool,
    },
    /// Sizes of the work lists of a node.
    WorkLists {
        /// Scheduled callbacks claimed by this node.
        monitor_active: u64,
        /// Scheduled callbacks in all.
        monitor_total: u64,
        /// Active sessions of this node.
        ping_active: u64,
        /// Active callbacks in all.
        ping_total: u64,
    },
    /// A request of the HTTP listeners was answered.
    Answered {
        /// Name of the tenant, once the key was known.
        tenant: Option<Arc<str>>,
        /// Upper case; anything unusual is `OTHER`.
        method: &'static str,
        /// The route's template, or `unknown`: a closed set.
        route: &'static str,
        /// HTTP status.
        status: u16,
        /// From the request's head to the answer.
        took: Duration,
    },
    /// A request was refused because its body was longer than allowed.
    BodyTooLong,
    /// A request was refused before any work because the service was full.
    Shed,
    /// A booking was refused because its slot was full.
    SlotFull {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// The number of a booking waits as often as its queue allows, whatever the queue makes of that.
    DuplicateLimitReached {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A booking was refused because the queue takes no more for a while.
    Throttled {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// Which rule: [`crate::throttle::LimitRule::name`].
        rule: &'static str,
    },
    /// A place was not held because as many are held as may be.
    HoldRefused {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// Which bound.
        bound: HoldBound,
    },
    /// A request was refused because its tenant makes too many.
    OverRate {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A request was refused because its tenant has its share of those that are served at once.
    OverShare {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// A batch of writes was formed: so many batches the command of one tenant in it that waited longest had waited for
    /// others. Once for each tenant.
    BatchesWaited {
        /// Batches written since it came, the one in flight at that moment included.
        batches: u64,
    },
    /// A read came to its turn whose tenant had no other waiting when it was made.
    TurnsWaited {
        /// Reads that were taken meanwhile: at most one of each other tenant, and one of nobody's.
        turns: u64,
    },
    /// A booking was refused because of its number.
    NumberRefused {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// The rule: a closed set.
        rule: &'static str,
    },
    /// A batch of writes was committed.
    Committed {
        /// Commands in it.
        commands: usize,
        /// From its first statement to the answer to COMMIT.
        took: Duration,
    },
    /// A notification to a customer has come to its end.
    PushEnded {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// How.
        result: PushResult,
    },
    /// A message was tried on a webhook endpoint.
    MessageTried {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// What became of it.
        result: MessageResult,
    },
    /// A webhook endpoint was switched off because it failed for too long.
    EndpointDisabled {
        /// Name of the tenant.
        tenant: Arc<str>,
    },
    /// What is owed to the outside, in the whole installation.
    Owed(Owed),
    /// Purged so many old records.
    Purged {
        /// Callbacks.
        callbacks: u64,
    },
    /// A captcha provider was asked about a booking's token.
    CaptchaAsked {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// What came of it.
        end: CaptchaEnd,
    },
    /// A call to the outside ended, with all its repetitions.
    CalledOut {
        /// What was called.
        to: Outward,
        /// How it ended.
        end: CallEnd,
        /// From its start to its end.
        took: Duration,
    },
    /// Something between nodes came to its end.
    BusEnded {
        /// How.
        end: BusEnd,
        /// How many.
        count: u64,
    },
    /// GWS answered the installation with 5xx, or not at all.
    GwsFailed,
    /// GWS gave no token for the service's own client.
    GwsClientRefused,
    /// The virtual queues of a contact centre could not be read.
    VirtualQueuesNotRead,
    /// The name of a host outside could not be looked up.
    LookupFailed,
    /// It became known whether the promise of a callback was kept.
    Promised {
        /// Name of the tenant.
        tenant: Arc<str>,
        /// Where it waits.
        queue: QueueName,
        /// What became of it.
        promise: Promise,
    },
    /// A report of routing was answered, once what it says was kept, or not.
    SignalAnswered {
        /// What it reports: [`crate::callback::SignalEvent::name`].
        event: &'static str,
        /// From its arrival to its answer.
        took: Duration,
    },
    /// A node looked for work that was due.
    Swept {
        /// Callbacks that it took over.
        taken: u64,
        /// How long the oldest of what it found had been due; zero if it found none.
        oldest: Duration,
    },
    /// A heartbeat was committed.
    Beaten {
        /// Nodes that live, this one included.
        living: u32,
        /// How far the clock on the wall is ahead of the database's time.
        skew: TimeDelta,
    },
    /// A task was woken.
    Woken {
        /// So long after the instant that it had asked for.
        late: Duration,
    },
}
