//! The hand-off budget of one queue: how many attempts may be with routing without being accepted.

use std::collections::{HashSet, VecDeque};

use domain::ids::CallbackId;

/// Callbacks of one queue that may wait here for a place. Whoever finds no room is a due row, which the
/// sweep finds again.
const WAITING: usize = 50_000;

/// The budget.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u32,
    /// What may be used now: 1 after an outage, doubled by every acceptance up to the limit.
    allowed: u32,
    held: u32,
    waiting: VecDeque<CallbackId>,
    known: HashSet<CallbackId>,
}

impl Budget {
    pub(super) fn new(limit: u32) -> Self {
        let limit = limit.max(1);
        Self { limit, allowed: limit, held: 0, waiting: VecDeque::new(), known: HashSet::new() }
    }

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(1);
        self.allowed = self.allowed.min(self.limit);
    }

    /// Takes a place, unless somebody has waited longer.
    pub(super) fn try_take(&mut self) -> bool {
        let free = self.held < self.allowed && self.waiting.is_empty();
        self.held += u32::from(free);
        free
    }

    /// Gives a place back.
    pub(super) fn release(&mut self, accepted: bool) {
        self.held = self.held.saturating_sub(1);
        if accepted {
            self.allowed = self.allowed.saturating_mul(2).min(self.limit);
        }
    }

    /// Routing was not reached, or did not answer.
    pub(super) fn outage(&mut self) {
        self.allowed = 1;
    }

    /// Stands in line, once.
    pub(super) fn wait(&mut self, id: CallbackId) {
        if self.waiting.len() < WAITING && self.known.insert(id) {
            self.waiting.push_back(id);
        }
    }

    /// Takes a place for whoever has waited longest, if there is a place and anybody waits.
    pub(super) fn next_waiting(&mut self) -> Option<CallbackId> {
        if self.held >= self.allowed {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.known.remove(&next);
        self.held += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(number: u32) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number.into()))
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_is_held(limit in 1u32..20, steps in proptest::collection::vec(0u8..5, 0..300)) {
            let mut budget = Budget::new(limit);
            let (mut held, mut next) = (0u32, 0u32);
            for step in steps {
                match step {
                    0 => held += u32::from(budget.try_take()),
                    1 if held > 0 => { budget.release(true); held -= 1; }
                    2 if held > 0 => { budget.release(false); held -= 1; }
                    3 => { budget.wait(id(next)); next += 1; held += u32::from(budget.next_waiting().is_some()); }
                    _ => budget.outage(),
                }
                prop_assert!(held <= limit);
            }
        }
    }

    #[test]
    fn after_an_outage_it_begins_at_one_and_doubles() {
        let mut budget = Budget::new(8);
        budget.outage();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let mut taken = 0;
            while budget.try_take() {
                taken += 1;
            }
            seen.push(taken);
            budget.release(true);
            (1..taken).for_each(|_| budget.release(false));
        }
        assert_eq!(seen, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn the_longest_waiting_comes_first_and_stands_in_line_once() {
        let mut budget = Budget::new(1);
        assert!(budget.try_take());
        for number in [1, 2, 1] {
            budget.wait(id(number));
        }
        assert_eq!(budget.next_waiting(), None, "no place");
        budget.release(false);
        assert!(!budget.try_take(), "nobody overtakes");
        assert_eq!(budget.next_waiting(), Some(id(1)));
        budget.release(false);
        assert_eq!(budget.next_waiting(), Some(id(2)));
        budget.release(false);
        assert_eq!(budget.next_waiting(), None);
    }
}
