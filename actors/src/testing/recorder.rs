//! An observer that remembers everything and lets tests wait for it.

use std::sync::Mutex;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ports::Observer;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The observer.
#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
    heard: Notify,
    /// Kinds whose next starts panic, each with how often.
    failing_starts: Mutex<Vec<(ActorKind, u32)>>,
}

impl Recorder {
    /// Everything heard so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("never poisoned").clone()
    }

    /// How many events so far are as asked.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().expect("never poisoned").iter().filter(|event| is(event)).count()
    }

    /// Restarts of `child` for `reason`.
    pub fn restarts(&self, child: ActorKind, reason: Failure) -> usize {
        self.count(|event| matches!(event, Event::Restarted { child: c, reason: r, .. } if *c == child && *r == reason))
    }

    /// Restarts of anything.
    pub fn all_restarts(&self) -> usize {
        self.count(|event| matches!(event, Event::Restarted { .. }))
    }

    /// Actors of that kind that live now.
    pub fn living(&self, kind: ActorKind) -> usize {
        let started = self.count(|event| *event == Event::ActorStarted(kind));
        started - self.count(|event| *event == Event::ActorStopped(kind))
    }

    /// Actors of that kind that were ever started.
    pub fn started(&self, kind: ActorKind) -> usize {
        self.count(|event| *event == Event::ActorStarted(kind))
    }

    /// The next `times` starts of an actor of that kind fail: its observer panics when it is told of them.
    pub fn fail_starts(&self, kind: ActorKind, times: u32) {
        self.failing_starts.lock().expect("never poisoned").push((kind, times));
    }

    /// Waits until so many events are as asked.
    ///
    /// # Panics
    /// After `deadline`.
    pub async fn wait_for(&self, deadline: Duration, times: usize, is: impl Fn(&Event) -> bool) {
        let until = Instant::now() + deadline;
        loop {
            let heard = self.heard.notified();
            let count = self.count(&is);
            if count >= times {
                return;
            }
            if tokio::time::timeout_at(until, heard).await.is_err() {
                panic!("{count} instead of {times} events within {deadline:?}");
            }
        }
    }

    /// Waits until the tree has restarted `child` for `reason` so often.
    pub async fn wait_for_restarts(&self, deadline: Duration, child: ActorKind, reason: Failure, times: usize) {
        self.wait_for(
            deadline,
            times,
            |event| matches!(event, Event::Restarted { child: c, reason: r, .. } if *c == child && *r == reason),
        )
        .await;
    }

    fn start_fails(&self, kind: ActorKind) -> bool {
        let mut failing = self.failing_starts.lock().expect("never poisoned");
        let Some((_, left)) = failing.iter_mut().find(|(it, left)| *it == kind && *left > 0) else { return false };
        *left -= 1;
        true
    }
}

impl Observer for Recorder {
    fn note(&self, event: Event) {
        if let Event::ActorStarted(kind) = event
            && self.start_fails(kind)
        {
            panic!("told to fail the start");
        }
        self.events.lock().expect("never poisoned").push(event);
        self.heard.notify_waiters();
    }
}
