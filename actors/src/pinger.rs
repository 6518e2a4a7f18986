//! Gathers questions about attempts, so that routing is asked after many at once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::event::Event;
use domain::ports::{AttemptRef, Observer, Routing};
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Questions in one call, the most that routing takes.
const BATCH: usize = 500;
/// How long a question may wait for company.
const GATHER: Duration = Duration::from_millis(100);
/// Questions that may wait; more are dropped and asked again by their sessions.
const WAITING: usize = 20_000;
/// How long a call may take. Its failure needs no handling: silence asks again.
const DEADLINE: Duration = Duration::from_secs(10);

/// The way in.
#[derive(Debug, Clone)]
pub(crate) struct Pinger {
    questions: mpsc::Sender<AttemptRef>,
}

impl Pinger {
    /// Starts the task; it ends when the last way in is dropped.
    pub(crate) fn start(routing: Arc<dyn Routing>, observer: Arc<dyn Observer>) -> Self {
        let (questions, mut asked) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while let Some(first) = asked.recv().await {
                batch.push(first);
                tokio::time::sleep(GATHER).await;
                while batch.len() < BATCH
                    && let Ok(next) = asked.try_recv()
                {
                    batch.push(next);
                }
                let call = timeout(DEADLINE, routing.ping(std::mem::take(&mut batch)));
                // This task outlives whatever a call does: without it nobody would ever be asked again.
                match AssertUnwindSafe(call).catch_unwind().await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(error))) => tracing::warn!(%error, "routing could not be asked after attempts"),
                    Ok(Err(_)) => tracing::warn!("routing did not take a question in time"),
                    Err(_) => {
                        observer.note(Event::PanicCaught);
                        tracing::error!("asking routing after attempts panicked");
                    }
                }
            }
        });
        Self { questions }
    }

    /// Asks, soon.
    pub(crate) fn ask(&self, attempt: AttemptRef) {
        let _full = self.questions.try_send(attempt);
    }
}
