//! The waiting line of one virtual queue: who is next, and how many are before a given one, both in
//! O(log n) and with 8 to 32 bytes for each that waits.
//!
//! Tickets are places in a vector, given in the order of joining. A Fenwick tree beside it counts those that
//! are *ready*: one that waits for its desired time, or pauses between two dials, keeps its place in the
//! line and is nobody's predecessor. When the vector is full the line closes ranks: everybody gets a new
//! ticket, in the same order, which costs O(1) for each join on average.

/// Marks a ticket that is ready; the rest of the number names the session.
const READY: u32 = 1 << 31;
const NOBODY: u32 = u32::MAX;
const SMALLEST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Line {
    /// Session and ready mark by ticket.
    tickets: Vec<u32>,
    /// Fenwick tree over the ready marks; its length is the number of tickets before ranks are closed.
    counts: Vec<u32>,
    waiting: usize,
    ready: u32,
}

impl Line {
    /// How many are ready.
    pub(super) const fn ready(&self) -> u32 {
        self.ready
    }

    /// Takes the last place, not ready yet. `renumber` is told the new ticket of everybody whose place moved.
    pub(super) fn join(&mut self, session: u32, renumber: impl FnMut(u32, u32)) -> u32 {
        debug_assert!(session < READY - 1, "a session number that collides with the ready mark");
        if self.tickets.len() == self.counts.len() {
            self.close_ranks(renumber);
        }
        let ticket = u32::try_from(self.tickets.len()).unwrap_or(NOBODY);
        self.tickets.push(session);
        self.waiting += 1;
        ticket
    }

    /// From now on this one may be served, in the order of the tickets.
    pub(super) fn make_ready(&mut self, ticket: u32) {
        if let Some(entry) = self.tickets.get_mut(ticket as usize)
            && *entry & READY == 0
        {
            *entry |= READY;
            self.count(ticket, true);
        }
    }

    /// Takes the readiness back: the time that it was judged by has been set back.
    pub(super) fn hold_back(&mut self, ticket: u32) {
        if let Some(entry) = self.tickets.get_mut(ticket as usize)
            && *entry != NOBODY
            && *entry & READY != 0
        {
            *entry &= !READY;
            self.count(ticket, false);
        }
    }

    /// Gives the place up.
    pub(super) fn leave(&mut self, ticket: u32) {
        let Some(entry) = self.tickets.get_mut(ticket as usize) else { return };
        let was = std::mem::replace(entry, NOBODY);
        if was == NOBODY {
            return;
        }
        if was & READY != 0 {
            self.count(ticket, false);
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            // An empty line starts again from the first ticket, and a long one gives its memory back.
            self.tickets.clear();
            if self.counts.len() > SMALLEST {
                *self = Self::default();
            }
        }
    }

    /// How many ready ones are before `ticket`.
    pub(super) fn before(&self, ticket: u32) -> u32 {
        let mut sum = 0;
        let mut at = ticket as usize;
        while at > 0 {
            sum += self.counts.get(at - 1).copied().unwrap_or_default();
            at &= at - 1;
        }
        sum
    }

    /// The first that is ready.
    pub(super) fn first(&self) -> Option<u32> {
        if self.ready == 0 {
            return None;
        }
        // Descends the tree along the largest prefix without anybody ready. The length is a power of two.
        let mut at = 0;
        let mut step = self.counts.len();
        while step > 0 {
            if self.counts.get(at + step - 1) == Some(&0) {
                at += step;
            }
            step /= 2;
        }
        self.tickets.get(at).map(|entry| entry & !READY)
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        (self.tickets.capacity() + self.counts.capacity()) * size_of::<u32>()
    }

    fn count(&mut self, ticket: u32, up: bool) {
        self.ready = if up { self.ready + 1 } else { self.ready - 1 };
        let mut at = ticket as usize + 1;
        while let Some(count) = self.counts.get_mut(at - 1) {
            *count = if up { *count + 1 } else { *count - 1 };
            at += at & at.wrapping_neg();
        }
    }

    fn close_ranks(&mut self, mut renumber: impl FnMut(u32, u32)) {
        let size = (self.waiting * 2).next_power_of_two().max(SMALLEST);
        let old = std::mem::replace(&mut self.tickets, Vec::with_capacity(size));
        self.counts = vec![0; size];
        self.ready = 0;
        for entry in old.into_iter().filter(|entry| *entry != NOBODY) {
            let ticket = u32::try_from(self.tickets.len()).unwrap_or(NOBODY);
            self.tickets.push(entry);
            renumber(entry & !READY, ticket);
            if entry & READY != 0 {
                self.count(ticket, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Debug, Clone)]
    enum Move {
        Join,
        Ready(usize),
        HoldBack(usize),
        Leave(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            3 => Just(Move::Join),
            3 => (0..1000usize).prop_map(Move::Ready),
            1 => (0..1000usize).prop_map(Move::HoldBack),
            2 => (0..1000usize).prop_map(Move::Leave),
        ];
        prop::collection::vec(one, 0..400)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(moves in moves()) {
            let mut line = Line::default();
            let mut tickets: HashMap<u32, u32> = HashMap::new();
            let mut plain: Vec<(u32, bool)> = Vec::new();
            let mut next = 0;
            for step in moves {
                match step {
                    Move::Join => {
                        let ticket = line.join(next, |who, ticket| { tickets.insert(who, ticket); });
                        tickets.insert(next, ticket);
                        plain.push((next, false));
                        next += 1;
                    }
                    Move::Ready(n) if !plain.is_empty() => {
                        let at = n % plain.len();
                        plain[at].1 = true;
                        line.make_ready(tickets[&plain[at].0]);
                    }
                    Move::HoldBack(n) if !plain.is_empty() => {
                        let at = n % plain.len();
                        plain[at].1 = false;
                        line.hold_back(tickets[&plain[at].0]);
                    }
                    Move::Leave(n) if !plain.is_empty() => {
                        let (who, _) = plain.remove(n % plain.len());
                        line.leave(tickets[&who]);
                    }
                    Move::Ready(_) | Move::HoldBack(_) | Move::Leave(_) => {}
                }
                prop_assert_eq!(line.first(), plain.iter().find(|(_, ready)| *ready).map(|(who, _)| *who));
                prop_assert_eq!(line.ready() as usize, plain.iter().filter(|(_, ready)| *ready).count());
                let mut before = 0;
                for (who, ready) in &plain {
                    prop_assert_eq!(line.before(tickets[who]), before);
                    before += u32::from(*ready);
                }
            }
        }
    }

    #[test]
    fn closes_ranks_instead_of_growing() {
        let mut line = Line::default();
        let keep = line.join(0, |_, _| {});
        assert_eq!(keep, 0);
        let mut kept_ticket = keep;
        for session in 1..100_000 {
            let ticket = line.join(session, |who, ticket| {
                if who == 0 {
                    kept_ticket = ticket;
                }
            });
            line.make_ready(ticket);
            line.leave(ticket);
        }
        assert_eq!(line.counts.len(), SMALLEST);
        assert_eq!(line.before(kept_ticket), 0);
    }
}
