//! The time of the database. In the embedded mode that is this machine's; in cluster mode it is heard with every heartbeat
//! and counted on from there, so that nodes with wrong clocks agree.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::ports::Clock;
use tokio::time::Instant;

/// This machine's wall clock, which never goes back: while somebody sets it back, time stands still here.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_us: AtomicI64,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this adapter is the one place that asks the machine")]
    fn now(&self) -> DateTime<Utc> {
        let now_us = Utc::now().timestamp_micros();
        let latest = self.latest_us.fetch_max(now_us, Ordering::Relaxed).max(now_us);
        DateTime::from_timestamp_micros(latest).unwrap_or_default()
    }
}

/// For how long an answer of the database counts. Long enough that one of them came without a delay, short enough that
/// what the machine's clock drifts meanwhile is nothing.
const COUNTS_FOR: Duration = Duration::from_secs(10);

/// By how much this clock may be ahead of what the database says. As long as it is, it stands still; beyond, the database's
/// own clock was wrong and has been set back, and then this one goes back with it: standing still for as long as that was
/// wrong would begin nothing meanwhile.
const STANDS_STILL_US: i64 = 2_000_000;

/// What the database said, counted on by this machine's steady clock.
///
/// When an answer arrives, the database's time is at least what it says. The largest of these lower bounds of the last ten
/// seconds is taken, so whatever delays an answer makes this clock late by as much, and never early.
#[derive(Debug)]
pub struct DatabaseClock {
    began: Instant,
    /// When each was heard, in microseconds since the beginning, and the database's time at the beginning by it.
    heard: Mutex<VecDeque<(i64, i64)>>,
    /// The database's time at the beginning, in microseconds.
    origin_us: AtomicI64,
    latest_us: AtomicI64,
}

impl DatabaseClock {
    /// Begins with an answer that has just arrived.
    pub fn new(database_now: DateTime<Utc>) -> Self {
        let origin_us = AtomicI64::new(database_now.timestamp_micros());
        let heard = Mutex::new(VecDeque::from([(0, database_now.timestamp_micros())]));
        Self { began: Instant::now(), heard, origin_us, latest_us: AtomicI64::default() }
    }

    fn since_began_us(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> DateTime<Utc> {
        let now_us = self.origin_us.load(Ordering::Relaxed).saturating_add(self.since_began_us());
        let latest = self.latest_us.fetch_max(now_us, Ordering::Relaxed).max(now_us);
        if latest.saturating_sub(now_us) <= STANDS_STILL_US {
            return DateTime::from_timestamp_micros(latest).unwrap_or_default();
        }
        // Whoever else is here just now has gone back as well, or heard something newer.
        let _ = self.latest_us.compare_exchange(latest, now_us, Ordering::Relaxed, Ordering::Relaxed);
        DateTime::from_timestamp_micros(now_us).unwrap_or_default()
    }

    fn observe(&self, database_now: DateTime<Utc>) {
        let at_us = self.since_began_us();
        let counts_from = at_us.saturating_sub(i64::try_from(COUNTS_FOR.as_micros()).unwrap_or(i64::MAX));
        // Nothing panics while it holds the lock.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push_back((at_us, database_now.timestamp_micros().saturating_sub(at_us)));
        while heard.front().is_some_and(|(at_us, _)| *at_us < counts_from) {
            heard.pop_front();
        }
        let best = heard.iter().map(|(_, origin_us)| *origin_us).max();
        self.origin_us.store(best.unwrap_or(database_now.timestamp_micros()), Ordering::Relaxed);
    }

    #[expect(clippy::disallowed_methods, reason = "only to tell by how much it is wrong")]
    fn skew(&self) -> TimeDelta {
        Utc::now() - self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_answers_count_for_ten_seconds_and_time_stands_still_rather_than_goes_back() {
        let clock = DatabaseClock::new(at(0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), at(1_000));
        // An answer that took 400 ms to arrive says less than is known.
        clock.observe(at(600));
        assert_eq!(clock.now(), at(1_000));
        // One that says more is believed at once: the first took 250 ms.
        clock.observe(at(1_250));
        assert_eq!(clock.now(), at(1_250));
        // The database's clock was set back by less than two seconds: that is seen when the better answers are old, and time
        // stands still until it is reached again.
        for second in 2..=11 {
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.observe(at(second * 1_000 - 1_500));
            assert_eq!(clock.now(), at(second * 1_000 + 250));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        clock.observe(at(12_000 - 1_500));
        assert_eq!(clock.now(), at(11_250));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), at(11_500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_was_far_ahead_for_a_moment_stops_nothing_for_as_long() {
        let clock = DatabaseClock::new(at(0));
        tokio::time::advance(Duration::from_secs(1)).await;
        clock.observe(at(600_000));
        assert_eq!(clock.now(), at(600_000), "it is believed");
        for second in 2..=11 {
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.observe(at(second * 1_000));
        }
        assert_eq!(clock.now(), at(609_000 + 1_000), "as long as it may count");
        for second in 12..=14 {
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.observe(at(second * 1_000));
            assert_eq!(clock.now(), at(second * 1_000), "then time goes on from where it is");
        }
    }

    #[test]
    fn a_wrong_clock_on_the_wall_is_noticed_and_changes_nothing() {
        let wall = SystemClock::default();
        for hours in [-3, 0, 2] {
            let database = wall.now() + TimeDelta::hours(hours);
            let clock = DatabaseClock::new(database);
            let off = clock.skew() + TimeDelta::hours(hours);
            assert!(off.abs() < TimeDelta::seconds(30), "{off}");
            assert!(clock.now() >= database && clock.now() < database + TimeDelta::seconds(30));
        }
    }

    #[test]
    fn it_never_goes_back() {
        let clock = SystemClock::default();
        let ahead = clock.now() + chrono::Duration::hours(1);
        clock.latest_us.store(ahead.timestamp_micros(), Ordering::Relaxed);
        assert!(clock.now() >= ahead);
    }
}
