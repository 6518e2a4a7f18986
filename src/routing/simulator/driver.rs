//! The one task that moves the floor: it does what is due, writes the journal, and keeps a bounded number of
//! signals in flight. It sleeps until the next event, an answer or a new start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ports::Inbox;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::floor::{Answer, Delivery};

/// Signals with the inbox at the same time.
const MAX_IN_FLIGHT: usize = 256;
/// A signal without an answer for so long is repeated.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Events done under one lock; others get their turn between.
const EVENTS_PER_TURN: usize = 1_000;
/// Pause while the journal cannot be written.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
/// The sleep when there is nothing to do at all.
const IDLE: Duration = Duration::from_secs(60);

type Flights = JoinSet<Answer>;

pub(super) async fn drive(shared: Arc<Shared>, stop: CancellationToken) {
    let mut flights = Flights::new();
    let mut senders: HashMap<Id, (u32, u32)> = HashMap::with_capacity(MAX_IN_FLIGHT);
    let mut answers = Vec::with_capacity(MAX_IN_FLIGHT);
    loop {
        let (deliveries, wake_at) = shared.turn(&mut answers, MAX_IN_FLIGHT - senders.len());
        if let Some(inbox) = shared.inbox() {
            for delivery in deliveries {
                let from = delivery.from;
                senders.insert(flights.spawn(send(Arc::clone(&inbox), delivery)).id(), from);
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(landed) = flights.join_next_with_id() => {
                land(landed, &mut senders, &mut answers);
                while let Some(landed) = flights.try_join_next_with_id() {
                    land(landed, &mut senders, &mut answers);
                }
            }
            () = shared.wake.notified() => {}
            () = sleep_until(wake_at) => {}
        }
    }
}

async fn send(inbox: Arc<dyn Inbox>, delivery: Delivery) -> Answer {
    let Delivery { tenant, callback, signal, .. } = delivery;
    match timeout(ANSWER_WITHIN, inbox.signal(tenant, callback, signal)).await {
        Ok(answer) => answer.into(),
        Err(_) => Answer::Later,
    }
}

/// Notes an answer. An inbox that panicked may have done it or not: the signal is repeated.
fn land(
    landed: Result<(Id, Answer), JoinError>,
    senders: &mut HashMap<Id, (u32, u32)>,
    answers: &mut Vec<((u32, u32), Answer)>,
) {
    let (id, answer) = landed.unwrap_or_else(|error| (error.id(), Answer::Later));
    if let Some(from) = senders.remove(&id) {
        answers.push((from, answer));
    }
}

impl Shared {
    /// One turn under the lock: answers in, everything due, the journal, then what may be sent. Returns also
    /// when the next turn is wanted at the latest.
    fn turn(&self, answers: &mut Vec<((u32, u32), Answer)>, room: usize) -> (Vec<Delivery>, Instant) {
        let now = self.now();
        let mut core = self.core();
        for (from, answer) in answers.drain(..) {
            core.floor.answered(from, answer, now);
        }
        // What could not be written has to be before anything more happens.
        if core.flush().is_err() {
            return (Vec::new(), Instant::now() + JOURNAL_PAUSE);
        }
        let next = core.floor.run_due(now, EVENTS_PER_TURN);
        core.floor.tidy(now.wall_ms);
        if core.flush().is_err() {
            return (Vec::new(), Instant::now() + JOURNAL_PAUSE);
        }
        let deliveries = core.floor.deliveries(room, now);
        let wake_at = next.map_or(Instant::now() + IDLE, |at| self.opened + Duration::from_micros(at));
        (deliveries, wake_at)
    }
}
