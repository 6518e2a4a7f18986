//! What happens when: one heap for everything that the simulator still has to do, so that a waiting session
//! costs neither a task nor a timer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds since the simulator was opened.
pub(super) type Micros = u64;

/// Whose turn it is. A stamp is given out once: an event whose stamp is no longer the one that its session
/// remembers has been overtaken and is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The next step of a session's flow.
    Step { session: u32, stamp: u32 },
    /// A session's signal may be tried again.
    Retry { session: u32, stamp: u32 },
    /// An agent has finished with a callback.
    AgentFree { queue: u32 },
    /// An inbound call arrives.
    InboundArrives { queue: u32 },
    /// An inbound call ends.
    InboundEnds { queue: u32 },
}

/// Events by instant; of equal instants the one entered first.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    heap: BinaryHeap<Reverse<(Micros, u64, What)>>,
    entered: u64,
}

impl Timeline {
    pub(super) fn enter(&mut self, at: Micros, what: What) {
        self.entered += 1;
        self.heap.push(Reverse((at, self.entered, what)));
    }

    /// The next event if it is due at `now`.
    pub(super) fn take_due(&mut self, now: Micros) -> Option<(Micros, What)> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, what))| (at, what))
    }

    pub(super) fn next_at(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Reverse<(Micros, u64, What)>>()
    }

    /// Drops what has been overtaken.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&What) -> bool) {
        self.heap.retain(|Reverse((_, _, what))| wanted(what));
    }
}
