//! How often a node may send: at once after a quiet time, and once in a second for ever.

use std::time::Duration;

use tokio::time::Instant;

/// What one message costs.
const EACH: Duration = Duration::from_secs(1);
/// Messages that may go one right after the other. With the one per second, and what looking after the client costs, a
/// node sends at most 125 commands in any minute, whatever happens.
const BURST: u32 = 60;

/// Counts what was sent. A fresh one has sent nothing.
#[derive(Debug)]
pub(super) struct Pace {
    /// When everything that was sent will have been paid for.
    paid_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { paid_at: now }
    }

    /// When the next message may go; `now` at the earliest.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let before = EACH * (BURST - 1);
        self.paid_at.checked_sub(before).map_or(now, |at| at.max(now))
    }

    /// One goes now.
    pub(super) fn spend(&mut self, now: Instant) {
        self.paid_at = self.paid_at.max(now) + EACH;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_may_go_at_once_and_then_one_a_second() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let mut pace = Pace::new(start);
        let mut now = start;
        let mut sent = Vec::new();
        for _ in 0..BURST + 60 {
            now = pace.next(now);
            pace.spend(now);
            sent.push(now - start);
        }
        assert_eq!(sent[BURST as usize - 1], Duration::ZERO);
        assert_eq!(sent[BURST as usize], EACH);
        assert_eq!(sent[BURST as usize + 59], 60 * EACH);
        // After a quiet time they may go at once again.
        now += Duration::from_secs(600);
        assert_eq!(pace.next(now), now);
        (0..BURST).for_each(|_| pace.spend(now));
        assert_eq!(pace.next(now), now + EACH);
    }
}
