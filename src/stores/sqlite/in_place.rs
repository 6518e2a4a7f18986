//! Reads of one row on the thread that asks for them.
//!
//! Such a read takes a few microseconds; handing it to a reader thread and its answer back costs the processor
//! more than the read itself, most of it in the kernel. So the task that asks reads by itself, if a connection is
//! free, and everything else (a taken connection, a lock, an error, a slow disk) goes the way of all reads, to
//! the threads behind their queue.
//!
//! A thread that serves requests must not wait for a disk, so this is bounded three times:
//!
//! - There are half as many connections as the machine has processors, so at least half of the threads that
//!   serve requests never read in place at the same moment, whatever the disk does.
//! - A connection never waits for a lock.
//! - Reads that take longer than their due run up a debt, and a connection in debt rests: a disk that is slow
//!   gets some reads a second in place, for a twentieth of one thread's time, and the threads get the rest.
//!
//! Each read is a statement of its own and sees what was committed before it began; no snapshot outlives it,
//! so nothing here keeps the write-ahead log from being cut.

use std::sync::Mutex;
use std::thread::available_parallelism;
use std::time::Duration;

use domain::ports::StoreError;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::readers::Reader;

/// Most connections for reads in place; each keeps up to 2 MB of cache.
pub(super) const MAX_PLACES: usize = 8;

/// How often a task that finds every connection taken lets others run and looks again. Who has one is done in
/// microseconds, or will be slow.
const TRIES: u32 = 3;

/// What one read may take: far more than from memory, and enough for a fast disk.
const DUE: Duration = Duration::from_micros(500);

/// Time beyond what was due, all in all, after which a connection rests. On a busy machine a thread may lose its
/// processor for tens of milliseconds in the middle of a read, and looks slow too; that proves nothing, and
/// many fast reads make up for it.
const MAX_DEBT: Duration = Duration::from_millis(50);

/// How long it rests.
const REST: Duration = Duration::from_secs(1);

/// Connections for whoever finds one free.
pub(super) struct InPlace {
    places: Vec<Mutex<Place>>,
}

struct Place {
    reader: Reader,
    patience: Patience,
}

/// How many connections there should be on this machine; none where one thread serves all requests.
pub(super) fn usual_places() -> usize {
    available_parallelism().map_or(0, |processors| processors.get() / 2).min(MAX_PLACES)
}

impl InPlace {
    /// The readers must not wait for locks.
    pub(super) fn new(readers: Vec<Reader>) -> Self {
        let place = |reader| Mutex::new(Place { reader, patience: Patience::default() });
        Self { places: readers.into_iter().map(place).collect() }
    }

    /// Runs `request` here, now or once others have run. `request` has to be a read of a row or two.
    ///
    /// None if it has to go to the threads: no connection is free, or the read was not done.
    pub(super) async fn read<T>(
        &self,
        request: impl Fn(&mut Reader) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        for tried in 0..TRIES {
            if tried > 0 {
                yield_now().await;
            }
            match self.try_read(&request) {
                Attempt::Read(Err(StoreError::NotDone(_))) | Attempt::Resting => return None,
                Attempt::Read(result) => return Some(result),
                Attempt::Taken => {}
            }
        }
        None
    }

    fn try_read<T>(&self, request: impl Fn(&mut Reader) -> Result<T, StoreError>) -> Attempt<T> {
        let mut attempt = Attempt::Resting;
        for place in &self.places {
            // A connection on which a read panicked is not used again.
            let Ok(mut place) = place.try_lock() else {
                attempt = Attempt::Taken;
                continue;
            };
            let began = Instant::now();
            if place.patience.rests(began) {
                continue;
            }
            let result = request(&mut place.reader);
            place.patience.note(began, Instant::now());
            return Attempt::Read(result);
        }
        attempt
    }
}

enum Attempt<T> {
    Read(Result<T, StoreError>),
    /// All that do not rest are taken.
    Taken,
    /// All rest.
    Resting,
}

/// Whether the disk is fast enough for reads in place, judged by the reads themselves.
#[derive(Default)]
struct Patience {
    debt: Duration,
    rests_until: Option<Instant>,
}

impl Patience {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn note(&mut self, began: Instant, ended: Instant) {
        self.debt = (self.debt + ended.saturating_duration_since(began)).saturating_sub(DUE);
        if self.debt > MAX_DEBT {
            self.debt = Duration::ZERO;
            self.rests_until = Some(ended + REST);
        }
    }
}

#[cfg(test)]
mod tests;
