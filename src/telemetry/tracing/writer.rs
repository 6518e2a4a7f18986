//! Writes lines from a thread of its own, so that a reader of the log that has fallen asleep stops nobody else.
//! The queue has a limit: lines beyond it are dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait to be written: some seconds of a busy service, some megabytes.
const QUEUE_LINES: usize = 8_192;

/// How long the end of the process waits for a reader of the log.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

enum Order {
    Line(String),
    /// Write everything, then answer.
    Flush(SyncSender<()>),
}

/// Where lines are handed in.
#[derive(Clone)]
pub(super) struct Queue {
    orders: SyncSender<Order>,
    failures: Arc<AtomicU64>,
}

impl Queue {
    /// Hands in one line, with its line break. Never waits.
    pub(super) fn put(&self, line: String) {
        if self.orders.try_send(Order::Line(line)).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that writes; it ends with the process.
pub(super) struct Writer {
    queue: Queue,
}

impl Writer {
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (orders, taken) = sync_channel(QUEUE_LINES);
        let failures = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&failures);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&taken, sink, &counted))?;
        Ok(Self { queue: Queue { orders, failures } })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    pub(super) fn failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.queue.failures)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (done, answer) = sync_channel(1);
        if self.queue.orders.send(Order::Flush(done)).is_ok() {
            // Whoever does not read the log for so long will not read its end either.
            let _ = answer.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

fn write_all(taken: &Receiver<Order>, mut sink: impl Write, failures: &AtomicU64) {
    let count = |outcome: io::Result<()>| {
        if outcome.is_err() {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    };
    loop {
        // Flushing only when nothing waits makes one system call of many lines under load.
        let order = match taken.try_recv() {
            Ok(order) => order,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                count(sink.flush());
                let Ok(order) = taken.recv() else { return };
                order
            }
        };
        match order {
            Order::Line(line) => count(sink.write_all(line.as_bytes())),
            Order::Flush(done) => {
                count(sink.flush());
                let _ = done.send(());
            }
        }
    }
}
