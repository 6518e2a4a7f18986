//! The hand-off budget: how many attempts of a queue may be with routing without being accepted, and who
//! waits for a place.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use domain::explain::HandOffBudget;
use domain::ids::{CallbackId, QueueName};
use domain::tenant::Tenant;

/// Callbacks of one tenant that may wait here for a place. Whoever finds no room is a due row, which the
/// sweep finds again.
pub(super) const WAITING: usize = 50_000;

/// The budgets of all queues of a tenant.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    queues: HashMap<QueueName, Budget>,
    waiting: HashSet<CallbackId>,
}

impl Budgets {
    /// Takes a place, unless there is none or somebody has waited longer.
    pub(super) fn try_take(&mut self, queue: &QueueName, tenant: &Tenant) -> bool {
        self.of(queue, tenant).try_take()
    }

    /// Gives a place back.
    pub(super) fn release(&mut self, queue: &QueueName, tenant: &Tenant, accepted: bool) {
        let budget = self.of(queue, tenant);
        budget.release();
        if accepted {
            budget.double();
        }
    }

    /// Routing has accepted an attempt whose place is given back without that word.
    pub(super) fn accepted(&mut self, queue: &QueueName, tenant: &Tenant) {
        self.of(queue, tenant).double();
    }

    /// Routing was not reached for `id`, which holds a place, or did not answer. True if the place is taken
    /// from it: one attempt is enough to find out when routing is back, and the others stand in front of the line.
    pub(super) fn outage(&mut self, queue: &QueueName, tenant: &Tenant, id: CallbackId) -> bool {
        let budget = self.of(queue, tenant);
        budget.allowed = 1;
        if budget.held <= 1 {
            return false;
        }
        budget.held -= 1;
        budget.returned.insert(id);
        self.waiting.insert(id);
        true
    }

    /// Stands in line, once. False if there is no room to stand.
    pub(super) fn wait(&mut self, queue: &QueueName, tenant: &Tenant, id: CallbackId) -> bool {
        if self.waiting.contains(&id) {
            return true;
        }
        if self.waiting.len() >= WAITING {
            return false;
        }
        self.waiting.insert(id);
        self.of(queue, tenant).waiting.push_back(id);
        true
    }

    /// Takes a place for whoever has waited longest, if there is a place and anybody waits.
    pub(super) fn next_waiting(&mut self, queue: &QueueName, tenant: &Tenant) -> Option<CallbackId> {
        let next = self.of(queue, tenant).next_waiting()?;
        self.waiting.remove(&next);
        Some(next)
    }

    /// Takes new limits over.
    pub(super) fn set_limits(&mut self, tenant: &Tenant) {
        for (queue, budget) in &mut self.queues {
            let limit = limit_of(queue, tenant);
            let unrestrained = budget.allowed == budget.limit;
            budget.allowed = if unrestrained { limit } else { budget.allowed.min(limit) };
            budget.limit = limit;
        }
    }

    /// The queues in which somebody waits.
    pub(super) fn queues_with_waiters(&self) -> Vec<QueueName> {
        let waited = self.queues.iter().filter(|(_, budget)| budget.anybody_waits());
        waited.map(|(queue, _)| queue.clone()).collect()
    }

    /// The budget of a queue, and how many stand in its line before `id`, if that one waits.
    pub(super) fn look(&self, queue: &QueueName, tenant: &Tenant, id: CallbackId) -> (HandOffBudget, Option<usize>) {
        let Some(budget) = self.queues.get(queue) else {
            let limit = limit_of(queue, tenant);
            return (HandOffBudget { limit, allowed: limit, held: 0, waiting: 0 }, None);
        };
        let Budget { limit, allowed, held, .. } = *budget;
        let waiting = budget.returned.len() + budget.waiting.len();
        let mut line = budget.returned.iter().chain(&budget.waiting);
        let ahead = if self.waiting.contains(&id) { line.position(|waits| *waits == id) } else { None };
        (HandOffBudget { limit, allowed, held, waiting }, ahead)
    }

    fn of(&mut self, queue: &QueueName, tenant: &Tenant) -> &mut Budget {
        self.queues.entry(queue.clone()).or_insert_with(|| Budget::new(limit_of(queue, tenant)))
    }
}

/// At least one: a queue that is no longer set up still has to bring its callbacks to an end.
fn limit_of(queue: &QueueName, tenant: &Tenant) -> u32 {
    tenant.queues.get(queue).map_or(1, |settings| settings.hand_off_limit).max(1)
}

/// The budget of one queue.
#[derive(Debug)]
struct Budget {
    limit: u32,
    /// What may be used now: 1 after an outage, doubled by every acceptance up to the limit.
    allowed: u32,
    held: u32,
    /// Had a place when routing went away: first in turn, the longest booked before all. No more than places.
    returned: BTreeSet<CallbackId>,
    waiting: VecDeque<CallbackId>,
}

impl Budget {
    fn new(limit: u32) -> Self {
        Self { limit, allowed: limit, held: 0, returned: BTreeSet::new(), waiting: VecDeque::new() }
    }

    fn try_take(&mut self) -> bool {
        let free = self.held < self.allowed && !self.anybody_waits();
        self.held += u32::from(free);
        free
    }

    fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    fn double(&mut self) {
        self.allowed = self.allowed.saturating_mul(2).min(self.limit);
    }

    fn next_waiting(&mut self) -> Option<CallbackId> {
        if self.held >= self.allowed {
            return None;
        }
        let next = self.returned.pop_first().or_else(|| self.waiting.pop_front())?;
        self.held += 1;
        Some(next)
    }

    fn anybody_waits(&self) -> bool {
        !self.returned.is_empty() || !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::TenantId;
    use domain::queue::QueueSettings;
    use domain::tenant::TenantDocument;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(number: u32) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number.into()))
    }

    fn queue() -> QueueName {
        QueueName::new("support").unwrap()
    }

    fn tenant(hand_off_limit: u32) -> Tenant {
        let settings = QueueSettings { hand_off_limit, ..QueueSettings::default() };
        TenantDocument::with_queues("demo", [(queue(), settings)]).resolve(TenantId::from_name("demo")).unwrap()
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_is_held(limit in 1u32..20, steps in proptest::collection::vec(0u8..5, 0..300)) {
            let (tenant, queue) = (tenant(limit), queue());
            let mut budgets = Budgets::default();
            let (mut held, mut next) = (0u32, 0u32);
            for step in steps {
                match step {
                    0 => held += u32::from(budgets.try_take(&queue, &tenant)),
                    1 | 2 if held > 0 => {
                        budgets.release(&queue, &tenant, step == 1);
                        held -= 1;
                    }
                    3 => {
                        budgets.wait(&queue, &tenant, id(next));
                        next += 1;
                        held += u32::from(budgets.next_waiting(&queue, &tenant).is_some());
                    }
                    _ if held > 0 => held -= u32::from(budgets.outage(&queue, &tenant, id(1_000 + held))),
                    _ => {}
                }
                prop_assert!(held <= limit);
            }
        }
    }

    #[test]
    fn after_an_outage_it_begins_at_one_and_doubles() {
        let (tenant, queue) = (tenant(8), queue());
        let mut budgets = Budgets::default();
        assert!(budgets.try_take(&queue, &tenant));
        assert!(!budgets.outage(&queue, &tenant, id(1)), "the only one goes on trying");
        budgets.release(&queue, &tenant, false);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let mut taken = 0;
            while budgets.try_take(&queue, &tenant) {
                taken += 1;
            }
            seen.push(taken);
            budgets.release(&queue, &tenant, true);
            (1..taken).for_each(|_| budgets.release(&queue, &tenant, false));
        }
        assert_eq!(seen, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn the_longest_waiting_comes_first_and_stands_in_line_once() {
        let (tenant, queue) = (tenant(1), queue());
        let mut budgets = Budgets::default();
        assert!(budgets.try_take(&queue, &tenant));
        for number in [1, 2, 1] {
            assert!(budgets.wait(&queue, &tenant, id(number)));
        }
        assert_eq!(budgets.next_waiting(&queue, &tenant), None, "no place");
        budgets.release(&queue, &tenant, false);
        assert!(!budgets.try_take(&queue, &tenant), "nobody overtakes");
        for number in [1, 2] {
            assert_eq!(budgets.next_waiting(&queue, &tenant), Some(id(number)));
            budgets.release(&queue, &tenant, false);
        }
        assert_eq!(budgets.next_waiting(&queue, &tenant), None);
    }

    #[test]
    fn an_outage_leaves_one_and_puts_the_others_in_front() {
        let (tenant, queue) = (tenant(3), queue());
        let mut budgets = Budgets::default();
        assert!((0..3).all(|_| budgets.try_take(&queue, &tenant)));
        assert!(budgets.wait(&queue, &tenant, id(9)));
        assert!(budgets.outage(&queue, &tenant, id(3)));
        assert!(budgets.outage(&queue, &tenant, id(2)));
        assert!(!budgets.outage(&queue, &tenant, id(1)));
        assert_eq!(budgets.next_waiting(&queue, &tenant), None, "one place, and it is held");
        budgets.release(&queue, &tenant, true);
        let next: Vec<_> = std::iter::from_fn(|| budgets.next_waiting(&queue, &tenant)).collect();
        assert_eq!(next, [id(2), id(3)], "two places, the longest booked first");
        budgets.release(&queue, &tenant, true);
        assert_eq!(budgets.next_waiting(&queue, &tenant), Some(id(9)));
    }

    #[test]
    fn who_waits_is_told_how_many_stand_before() {
        let (tenant, queue) = (tenant(1), queue());
        let mut budgets = Budgets::default();
        let limit = HandOffBudget { limit: 1, allowed: 1, held: 0, waiting: 0 };
        assert_eq!(budgets.look(&queue, &tenant, id(1)), (limit, None), "nobody was here");
        assert!(budgets.try_take(&queue, &tenant));
        for number in [1, 2] {
            assert!(budgets.wait(&queue, &tenant, id(number)));
        }
        let full = HandOffBudget { held: 1, waiting: 2, ..limit };
        assert_eq!(budgets.look(&queue, &tenant, id(2)), (full, Some(1)));
        budgets.release(&queue, &tenant, true);
        assert_eq!(budgets.next_waiting(&queue, &tenant), Some(id(1)));
        assert_eq!(budgets.look(&queue, &tenant, id(1)).1, None, "it has its place");
        assert_eq!(budgets.look(&queue, &tenant, id(2)).1, Some(0));
    }

    #[test]
    fn the_line_is_bounded() {
        let (tenant, queue) = (tenant(1), queue());
        let mut budgets = Budgets::default();
        for number in 0..u32::try_from(WAITING).unwrap() {
            assert!(budgets.wait(&queue, &tenant, id(number)));
        }
        assert!(!budgets.wait(&queue, &tenant, id(u32::MAX)));
        assert_eq!(budgets.next_waiting(&queue, &tenant), Some(id(0)));
        assert!(budgets.wait(&queue, &tenant, id(u32::MAX)), "room again");
    }
}
