//! The clock of the embedded mode, where the database's time is this machine's.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use domain::ports::Clock;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let clock = SystemClock::default();
        let ahead = clock.now() + chrono::Duration::hours(1);
        clock.latest_us.store(ahead.timestamp_micros(), Ordering::Relaxed);
        assert!(clock.now() >= ahead);
    }
}
