//! One timer queue per node instead of a task per timer: a map sorted by instant and one task that sleeps
//! until the first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Names a pending timer: when, and which of those at the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey(Instant, u64);

struct Pending<T> {
    timers: BTreeMap<TimerKey, T>,
    next: u64,
}

/// The queue. `T` is what is handed over when the instant comes.
pub(crate) struct Timers<T> {
    pending: Mutex<Pending<T>>,
    changed: Notify,
}

impl<T: Send + 'static> Timers<T> {
    /// A queue whose task calls `elapsed` for each timer, never early, until the queue is dropped.
    pub(crate) fn start(elapsed: impl Fn(T) + Send + 'static) -> Arc<Self> {
        let queue = Arc::new(Self {
            pending: Mutex::new(Pending { timers: BTreeMap::new(), next: 0 }),
            changed: Notify::new(),
        });
        let weak = Arc::downgrade(&queue);
        tokio::spawn(async move {
            // Upgraded for a moment only, so that dropping the queue ends the task at its next wake-up.
            while let Some(queue) = weak.upgrade() {
                let due = queue.take_due(Instant::now());
                if due.is_empty() {
                    queue.wait_for_next().await;
                } else {
                    due.into_iter().for_each(&elapsed);
                    // A long row of timers must not keep the others of this thread waiting.
                    tokio::task::yield_now().await;
                }
            }
        });
        queue
    }

    /// Sets a timer in the place of `before`, if there was one.
    pub(crate) fn set(&self, before: Option<TimerKey>, at: Instant, what: T) -> TimerKey {
        let mut pending = self.lock();
        if let Some(key) = before {
            pending.timers.remove(&key);
        }
        let key = TimerKey(at, pending.next);
        pending.next += 1;
        let first = pending.timers.keys().next().is_none_or(|earliest| key < *earliest);
        pending.timers.insert(key, what);
        drop(pending);
        if first {
            self.changed.notify_one();
        }
        key
    }

    /// Forgets a timer. One that has elapsed already may still arrive.
    pub(crate) fn cancel(&self, key: TimerKey) {
        self.lock().timers.remove(&key);
    }

    fn take_due(&self, now: Instant) -> Vec<T> {
        /// Handed over in one go, so that setting timers is not kept waiting for long.
        const AT_ONCE: usize = 1_000;
        let mut pending = self.lock();
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some(entry) = pending.timers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        due
    }

    async fn wait_for_next(&self) {
        /// Looked at again after this even without a timer, to notice that the queue was dropped.
        const LONGEST: std::time::Duration = std::time::Duration::from_secs(60);
        let first = self.lock().timers.keys().next().map(|key| key.0);
        let until = first.unwrap_or_else(|| Instant::now() + LONGEST);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.changed.notified() => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending<T>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn timers_elapse_in_order_and_never_early() {
        let (send, mut receive) = mpsc::channel(8);
        let timers = Timers::start(move |name: &str| {
            let _full = send.try_send((name, Instant::now()));
        });
        let start = Instant::now();
        timers.set(None, start + Duration::from_secs(20), "second");
        let moved = timers.set(None, start + Duration::from_secs(1), "moved");
        timers.set(None, start + Duration::from_secs(10), "first");
        timers.set(Some(moved), start + Duration::from_secs(30), "third");
        let dropped = timers.set(None, start + Duration::from_secs(15), "never");
        timers.cancel(dropped);
        for (name, after) in [("first", 10), ("second", 20), ("third", 30)] {
            let (what, at) = receive.recv().await.unwrap();
            assert_eq!(what, name);
            assert!(at >= start + Duration::from_secs(after));
        }
    }
}
