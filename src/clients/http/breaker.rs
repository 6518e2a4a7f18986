//! A circuit breaker: leaves a destination alone that fails again and again, and tries it with one call after a
//! pause. Pure: `now` is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which a destination is left alone.
pub(super) const FAILURES: u32 = 5;
/// The first pause; each failed trial doubles it.
pub(super) const FIRST_REST: Duration = Duration::from_secs(5);
/// The longest pause.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(60);

/// Where a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaker {
    /// Calls pass; so many failed in a row.
    Closed { failures: u32 },
    /// No call passes before `until`.
    Open { until: Instant, rest: Duration },
    /// One call tries the destination; the others wait for its verdict.
    Trying { rest: Duration },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a call may pass. The first after the pause is the trial.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match *self {
            Self::Closed { .. } => true,
            Self::Open { until, rest } if now >= until => {
                *self = Self::Trying { rest };
                true
            }
            Self::Open { .. } | Self::Trying { .. } => false,
        }
    }

    /// A call went well.
    pub(super) fn well(&mut self) {
        *self = Self::default();
    }

    /// A call failed.
    pub(super) fn failed(&mut self, now: Instant) {
        *self = match *self {
            Self::Closed { failures } if failures + 1 < FAILURES => Self::Closed { failures: failures + 1 },
            Self::Closed { .. } => Self::Open { until: now + FIRST_REST, rest: FIRST_REST },
            Self::Trying { rest } => {
                let rest = (rest * 2).min(LONGEST_REST);
                Self::Open { until: now + rest, rest }
            }
            // A call that had passed before the breaker opened.
            open @ Self::Open { .. } => open,
        };
    }

    /// A call ended without a verdict: its caller went away. The next one may try.
    pub(super) fn unknown(&mut self, now: Instant) {
        if let Self::Trying { rest } = *self {
            *self = Self::Open { until: now, rest };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open_at(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.admit(now));
            breaker.failed(now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            (1..FAILURES).for_each(|_| breaker.failed(now));
            breaker.well();
        }
        assert!(breaker.admit(now));
        let mut breaker = open_at(now);
        assert!(!breaker.admit(now) && !breaker.admit(now + FIRST_REST - SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_tries_and_decides() {
        let mut now = Instant::now();
        let mut breaker = open_at(now);
        let mut rest = FIRST_REST;
        for _ in 0..6 {
            now += rest;
            assert!(breaker.admit(now) && !breaker.admit(now), "one trial at a time");
            breaker.failed(now);
            rest = (rest * 2).min(LONGEST_REST);
            assert!(!breaker.admit(now + rest - SECOND));
        }
        assert_eq!(rest, LONGEST_REST);
        now += rest;
        assert!(breaker.admit(now));
        breaker.well();
        assert_eq!(breaker, Breaker::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_without_a_verdict_lets_the_next_one_try() {
        let now = Instant::now() + FIRST_REST;
        let mut breaker = open_at(now - FIRST_REST);
        assert!(breaker.admit(now));
        breaker.unknown(now);
        assert!(breaker.admit(now) && !breaker.admit(now));
    }
}
