//! How often a child may fail, how long to wait before it starts again, and what follows when it fails too often.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use domain::event::{Event, Failure};
use domain::ports::Observer;
use ractor::{ActorProcessingErr, SpawnErr};
use thiserror::Error;
use tokio::time::Instant;

/// What follows when a child failed more often than its policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The supervisor fails in its turn.
    Escalate,
    /// The callback is set aside for an operator.
    Park,
    /// Nothing: it is started again for ever, at the longest pause.
    RestartForEver,
}

/// One line of the table in the crate's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Failures that are forgiven …
    pub failures: usize,
    /// … within this time.
    pub within: Duration,
    /// Pause before the first restart; doubles with each failure inside the window.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// What follows one failure more.
    pub then: Then,
}

/// Every policy of the tree.
pub struct Policies;

impl Policies {
    const SINGLETON: RestartPolicy = RestartPolicy {
        failures: 5,
        within: Duration::from_secs(60),
        pause_min: Duration::from_millis(100),
        pause_max: Duration::from_secs(5),
        then: Then::Escalate,
    };
    /// Supervisor of the connectors.
    pub const CONNECTORS: RestartPolicy = Self::SINGLETON;
    /// One connector.
    pub const CONNECTOR: RestartPolicy = RestartPolicy {
        failures: 10,
        within: Duration::from_secs(600),
        pause_min: Duration::from_millis(500),
        pause_max: Duration::from_secs(30),
        then: Then::RestartForEver,
    };
    /// Supervisor of the probes.
    pub const HEALTH: RestartPolicy = Self::SINGLETON;
    /// One probe: a broken one only means that its dependency counts as down.
    pub const PROBE: RestartPolicy = RestartPolicy {
        failures: 10,
        within: Duration::from_secs(600),
        pause_min: Duration::from_secs(1),
        pause_max: Duration::from_secs(15),
        then: Then::RestartForEver,
    };
    /// Heartbeat and sweep.
    pub const MEMBERSHIP: RestartPolicy = Self::SINGLETON;
    /// Supervisor of the tenants.
    pub const TENANTS: RestartPolicy = Self::SINGLETON;
    /// One tenant.
    pub const TENANT: RestartPolicy = Self::SINGLETON;
    /// The scheduler.
    pub const SCHEDULER: RestartPolicy = Self::SINGLETON;
    /// The notifier.
    pub const NOTIFIER: RestartPolicy = Self::SINGLETON;
    /// One session: the third failure within a minute parks its callback.
    pub const SESSION: RestartPolicy = RestartPolicy { failures: 2, then: Then::Park, ..Self::SINGLETON };
}

impl RestartPolicy {
    /// The pause after so many failures (or refusals) in a row, between half of what doubling gives and all of
    /// it, as `spread` picks: whoever failed together does not come back together.
    pub(crate) fn pause(&self, failures: usize, spread: u64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        let whole = self.pause_min.saturating_mul(1 << doublings).min(self.pause_max);
        let half = whole / 2;
        half + Duration::from_millis(spread % (u64::try_from(half.as_millis()).unwrap_or_default() + 1))
    }
}

/// Any number, different each time: what jitter is picked by.
pub(crate) fn any_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again after this pause.
    Restart(Duration),
    /// It failed too often.
    GiveUp,
}

/// The failures of one child inside the window of its policy.
#[derive(Debug)]
pub(crate) struct Restarts {
    policy: RestartPolicy,
    failed_at: VecDeque<Instant>,
}

impl Restarts {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self { policy, failed_at: VecDeque::new() }
    }

    /// Counts a failure at `now`. `spread` (any number) picks the jitter: between half and the whole pause.
    pub(crate) fn failed(&mut self, now: Instant, spread: u64) -> Verdict {
        self.forget_before(now);
        self.failed_at.push_back(now);
        let failures = self.failed_at.len();
        if failures > self.policy.failures {
            // More than this many change nothing any more, so that the memory of a child has an end.
            self.failed_at.pop_front();
            if self.policy.then != Then::RestartForEver {
                return Verdict::GiveUp;
            }
        }
        Verdict::Restart(self.policy.pause(failures, spread))
    }

    /// Whether no failure is left inside the window, so that nothing needs to be remembered.
    pub(crate) fn is_forgotten(&mut self, now: Instant) -> bool {
        self.forget_before(now);
        self.failed_at.is_empty()
    }

    fn forget_before(&mut self, now: Instant) {
        while self.failed_at.front().is_some_and(|&at| now.duration_since(at) >= self.policy.within) {
            self.failed_at.pop_front();
        }
    }
}

/// The only error that our handlers return. Whatever else a supervisor is told of was a panic, so this type
/// is what tells the two apart.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

/// A task of the actor panicked, and the actor fails with it.
#[derive(Debug, Error)]
#[error("one of its tasks panicked")]
pub(crate) struct TaskPanicked;

/// Reads what ractor tells a supervisor: what kind of failure it was, and what may be written about it. The text of
/// a panic is left out: it may be composed of anything, a phone number too, and the panic hook of the process has told
/// the place already. A panic is counted here.
pub(crate) fn note_failure(observer: &dyn Observer, error: &ActorProcessingErr) -> (Failure, String) {
    match error.downcast_ref::<Fault>() {
        Some(fault) => (Failure::Error, fault.to_string()),
        None => {
            observer.note(Event::PanicCaught);
            (Failure::Panic, "it panicked".to_owned())
        }
    }
}

/// As [`note_failure`], for a child that did not start; its failure is [`Failure::Start`] whatever the reason.
pub(crate) fn note_failed_start(observer: &dyn Observer, error: &SpawnErr) -> String {
    match error {
        SpawnErr::StartupFailed(error) => note_failure(observer, error).1,
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
