//! A clock that follows tokio's time, so that paused time moves it too.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use domain::ports::Clock;
use tokio::time::Instant;

use super::{Faults, Op};

/// The clock.
pub struct TestClock {
    base: DateTime<Utc>,
    began: Instant,
    /// Milliseconds by which the clock was moved against tokio's.
    moved_ms: AtomicI64,
    observed: Mutex<Option<DateTime<Utc>>>,
    faults: Arc<Faults>,
}

impl TestClock {
    pub(super) fn new(base: DateTime<Utc>, faults: Arc<Faults>) -> Self {
        Self { base, began: Instant::now(), moved_ms: AtomicI64::new(0), observed: Mutex::new(None), faults }
    }

    /// Moves the clock against tokio's time, forwards or backwards.
    pub fn jump(&self, by: TimeDelta) {
        self.moved_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// What heartbeats brought last.
    pub fn observed(&self) -> Option<DateTime<Utc>> {
        *self.observed.lock().expect("never poisoned")
    }

    /// The time, without consulting the faults: for other fakes and for tests.
    pub fn time(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.began.elapsed()).expect("tests are short");
        self.base + passed + TimeDelta::milliseconds(self.moved_ms.load(Ordering::SeqCst))
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        let _ = self.faults.pass_at_once(Op::Now);
        self.time()
    }

    fn observe(&self, database_now: DateTime<Utc>) {
        *self.observed.lock().expect("never poisoned") = Some(database_now);
    }
}
