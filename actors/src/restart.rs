//! How often a child may fail, how long to wait before it starts again, and what follows when it fails too often.

use std::collections::VecDeque;
use std::time::Duration;

use domain::event::Failure;
use ractor::ActorProcessingErr;
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
        pause_min: Duration::from_millis(500),
        pause_max: Duration::from_secs(30),
        then: Then::RestartForEver,
        ..Self::SINGLETON
    };
    /// Supervisor of the probes.
    pub const HEALTH: RestartPolicy = Self::SINGLETON;
    /// One probe.
    pub const PROBE: RestartPolicy = RestartPolicy {
        failures: 10,
        within: Duration::from_secs(600),
        pause_min: Duration::from_secs(1),
        pause_max: Duration::from_secs(15),
        then: Then::Escalate,
    };
    /// Heartbeat and sweep.
    pub const MEMBERSHIP: RestartPolicy = Self::SINGLETON;
    /// Supervisor of the tenants.
    pub const TENANTS: RestartPolicy = Self::SINGLETON;
    /// One tenant.
    pub const TENANT: RestartPolicy = Self::SINGLETON;
    /// The scheduler.
    pub const SCHEDULER: RestartPolicy = Self::SINGLETON;
    /// One session: the third failure within a minute parks its callback.
    pub const SESSION: RestartPolicy = RestartPolicy { failures: 2, then: Then::Park, ..Self::SINGLETON };
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
            if self.policy.then != Then::RestartForEver {
                return Verdict::GiveUp;
            }
            self.failed_at.pop_front();
        }
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        let pause = self.policy.pause_min.saturating_mul(1 << doublings).min(self.policy.pause_max);
        let half = pause / 2;
        let jitter_ms = spread % (u64::try_from(half.as_millis()).unwrap_or_default() + 1);
        Verdict::Restart(half + Duration::from_millis(jitter_ms))
    }

    /// Whether no failure is left inside the window, so that nothing needs to be remembered.
    pub(crate) fn is_forgotten(&mut self, now: Instant) -> bool {
        self.forget_before(now);
        self.failed_at.is_empty()
    }

    fn forget_before(&mut self, now: Instant) {
        while self.failed_at.front().is_some_and(|&at| now.duration_since(at) > self.policy.within) {
            self.failed_at.pop_front();
        }
    }
}

/// The only error that our handlers return. Whatever else a supervisor is told of was a panic, so this type
/// is what tells the two apart.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

/// Reads what ractor tells a supervisor.
pub(crate) fn failure_of(error: &ActorProcessingErr) -> Failure {
    if error.is::<Fault>() { Failure::Error } else { Failure::Panic }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_stay_within_their_policy(spread in any::<u64>(), failures in 1usize..40) {
            let mut restarts = Restarts::new(Policies::CONNECTOR);
            let now = Instant::now();
            for _ in 0..failures {
                match restarts.failed(now, spread) {
                    Verdict::Restart(pause) => prop_assert!(
                        pause >= Policies::CONNECTOR.pause_min / 2 && pause <= Policies::CONNECTOR.pause_max
                    ),
                    Verdict::GiveUp => prop_assert!(false, "a connector is restarted for ever"),
                }
            }
        }
    }

    #[test]
    fn the_failure_after_the_last_forgiven_one_gives_up() {
        let mut restarts = Restarts::new(Policies::SESSION);
        let now = Instant::now();
        for _ in 0..Policies::SESSION.failures {
            assert!(matches!(restarts.failed(now, 0), Verdict::Restart(_)));
        }
        assert_eq!(restarts.failed(now, 0), Verdict::GiveUp);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let mut restarts = Restarts::new(Policies::SESSION);
        let start = Instant::now();
        for minute in 0..10 {
            let now = start + Duration::from_secs(61) * minute;
            assert!(matches!(restarts.failed(now, 0), Verdict::Restart(_)), "minute {minute}");
        }
        assert!(restarts.is_forgotten(start + Duration::from_secs(3600)));
    }

    #[test]
    fn the_table_in_the_documentation_is_the_truth() {
        let rows = [
            ("connectors", Policies::CONNECTORS),
            ("connector", Policies::CONNECTOR),
            ("health", Policies::HEALTH),
            ("probe", Policies::PROBE),
            ("membership", Policies::MEMBERSHIP),
            ("tenants", Policies::TENANTS),
            ("tenant", Policies::TENANT),
            ("scheduler", Policies::SCHEDULER),
            ("session", Policies::SESSION),
        ];
        for (child, policy) in rows {
            let (failures, within) = match policy.then {
                Then::RestartForEver => ("–".to_owned(), "–".to_owned()),
                _ => (policy.failures.to_string(), format!("{} s", policy.within.as_secs())),
            };
            let then = match policy.then {
                Then::Escalate => "escalate",
                Then::Park => "park",
                Then::RestartForEver => "restart for ever",
            };
            let pause = format!("{}–{} ms", policy.pause_min.as_millis(), policy.pause_max.as_millis());
            let row = format!("| {failures} | {within} | {pause} | {then} |");
            let line = include_str!("lib.rs").lines().find(|line| line.starts_with(&format!("//! | {child} |")));
            assert!(line.is_some_and(|line| line.contains(&row)), "{child}: {row} not in {line:?}");
        }
    }
}
