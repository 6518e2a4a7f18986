//! Fair shares: whoever asks for little never waits behind somebody who asks for much.
//!
//! Two things are shared out here, wherever tenants meet: room in something bounded ([`may_take`],
//! [`FairPermits`]) and turns in a line ([`Lanes`]). Both cost the same however many tenants there are.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of the room that is kept for those who hold less than their share: an eighth.
const RESERVE: usize = 8;

/// Whether somebody who holds `held` may take `more` of a room of `total`, of which all together hold `taken`.
/// `parties` is how many hold something or ask just now.
///
/// Up to seven eighths go to whoever comes. The rest is for those below their share: what each would have if all
/// parties and one more had the same. So one who takes all he can get leaves others room at once, and as what he
/// holds comes back, it goes to them until each has a share.
pub const fn may_take(total: usize, taken: usize, held: usize, parties: usize, more: usize) -> bool {
    let all = taken.saturating_add(more);
    if all > total {
        return false;
    }
    all <= total - total / RESERVE || held.saturating_add(more) <= total / parties.saturating_add(1)
}

/// Permits of something bounded, shared out by [`may_take`]. Nobody waits for one: it is had at once or not at all.
#[derive(Debug)]
pub struct FairPermits<K> {
    total: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    taken: usize,
    /// Only of those who hold something, so it is as small as what is shared out.
    by: HashMap<K, usize>,
}

impl<K: Eq + Hash + Clone> FairPermits<K> {
    /// `total` permits.
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, held: Mutex::new(Held { taken: 0, by: HashMap::new() }) })
    }

    fn lock(&self) -> MutexGuard<'_, Held<K>> {
        // Nothing panics while it holds the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `count` permits for `who`, until the answer is dropped; none if that would be more than a share.
    pub fn try_take(self: &Arc<Self>, who: &K, count: usize) -> Option<FairPermit<K>> {
        self.add(who, count).then(|| FairPermit { permits: Arc::clone(self), who: who.clone(), count })
    }

    fn add(&self, who: &K, count: usize) -> bool {
        let mut held = self.lock();
        let own = held.by.get(who).copied().unwrap_or_default();
        let parties = held.by.len() + usize::from(own == 0);
        let may = may_take(self.total, held.taken, own, parties, count);
        if may {
            held.taken += count;
            held.by.insert(who.clone(), own + count);
        }
        may
    }

    fn give_back(&self, who: &K, count: usize) {
        let mut held = self.lock();
        held.taken = held.taken.saturating_sub(count);
        let left = held.by.get(who).copied().unwrap_or_default().saturating_sub(count);
        if left == 0 {
            held.by.remove(who);
        } else {
            held.by.insert(who.clone(), left);
        }
    }
}

/// Permits that somebody holds; they come back when it is dropped.
#[derive(Debug)]
pub struct FairPermit<K: Eq + Hash + Clone> {
    permits: Arc<FairPermits<K>>,
    who: K,
    count: usize,
}

impl<K: Eq + Hash + Clone> FairPermit<K> {
    /// Makes it `count` permits if it is less; false if that would be more than a share.
    pub fn grow_to(&mut self, count: usize) -> bool {
        let more = count.saturating_sub(self.count);
        let may = self.permits.add(&self.who, more);
        if may {
            self.count += more;
        }
        may
    }
}

impl<K: Eq + Hash + Clone> Drop for FairPermit<K> {
    fn drop(&mut self) {
        self.permits.give_back(&self.who, self.count);
    }
}

/// What waits, in a lane for each key: the lanes take turns, and each keeps its order.
#[derive(Debug)]
pub struct Lanes<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// The keys of lanes in which something waits, in the order of their turns.
    turns: VecDeque<K>,
    whole: Load,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(T, usize)>,
    load: Load,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Items.
    pub items: usize,
    /// Their weights together, in the unit of whoever put them there.
    pub weight: usize,
}

impl Load {
    fn add(&mut self, weight: usize) {
        self.items += 1;
        self.weight = self.weight.saturating_add(weight);
    }

    fn remove(&mut self, weight: usize) {
        self.items = self.items.saturating_sub(1);
        self.weight = self.weight.saturating_sub(weight);
    }
}

impl<K, T> Default for Lanes<K, T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), whole: Load::default() }
    }
}

impl<K: Eq + Hash + Clone, T> Lanes<K, T> {
    /// All that waits.
    pub const fn load(&self) -> Load {
        self.whole
    }

    /// What waits in one lane.
    pub fn load_of(&self, key: &K) -> Load {
        self.lanes.get(key).map_or(Load::default(), |lane| lane.load)
    }

    /// Lanes in which something waits.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Puts something at the end of its lane.
    pub fn push(&mut self, key: K, item: T, weight: usize) {
        self.whole.add(weight);
        let lane = self.lane(key);
        lane.load.add(weight);
        lane.waiting.push_back((item, weight));
    }

    /// Puts something back to the front of its lane.
    pub fn put_back(&mut self, key: K, item: T, weight: usize) {
        self.whole.add(weight);
        let lane = self.lane(key);
        lane.load.add(weight);
        lane.waiting.push_front((item, weight));
    }

    fn lane(&mut self, key: K) -> &mut Lane<T> {
        let turns = &mut self.turns;
        self.lanes.entry(key).or_insert_with_key(|key| {
            turns.push_back(key.clone());
            Lane { waiting: VecDeque::new(), load: Load::default() }
        })
    }

    /// What [`Self::pop`] would take.
    pub fn peek(&self) -> Option<&T> {
        let lane = self.lanes.get(self.turns.front()?)?;
        lane.waiting.front().map(|(item, _)| item)
    }

    /// The first of the lane whose turn it is, with its key and weight. That lane's next turn comes after all others.
    pub fn pop(&mut self) -> Option<(K, T, usize)> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let (item, weight) = lane.waiting.pop_front()?;
        self.whole.remove(weight);
        lane.load.remove(weight);
        if lane.waiting.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.turns.push_back(key.clone());
        }
        Some((key, item, weight))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_alone_gets_seven_eighths_and_all_of_a_small_room() {
        let greedy = |total: usize| (0..).take_while(|held| may_take(total, *held, *held, 1, 1)).count();
        assert_eq!([1, 2, 7, 8, 16, 2_048].map(greedy), [1, 2, 7, 7, 14, 1_792]);
    }

    #[test]
    fn a_newcomer_finds_room_beside_one_who_takes_all_he_can_get() {
        let permits = FairPermits::new(64);
        let mut greedy: Vec<_> = std::iter::from_fn(|| permits.try_take(&"greedy", 1)).collect();
        assert_eq!(greedy.len(), 56);
        let mut quiet: Vec<_> = std::iter::from_fn(|| permits.try_take(&"quiet", 1)).collect();
        assert_eq!(quiet.len(), 8, "what was kept for it");
        // What the greedy one gives back goes to the other, until both are even with one more.
        while let Some(permit) = greedy.pop() {
            drop(permit);
            assert!(permits.try_take(&"greedy", 1).is_none() || quiet.len() >= 21, "{} are quiet", quiet.len());
            quiet.extend(permits.try_take(&"quiet", 1));
        }
        assert!(quiet.len() >= 21, "{} of 64", quiet.len());
        drop(quiet);
        assert_eq!(permits.lock().taken, 0);
        assert!(permits.lock().by.is_empty(), "who holds nothing costs nothing");
    }

    #[test]
    fn permits_grow_and_come_back_whole() {
        let permits = FairPermits::new(100);
        let mut first = permits.try_take(&1, 10).unwrap();
        assert!(first.grow_to(50) && first.grow_to(5), "less than it has changes nothing");
        assert!(!first.grow_to(101));
        assert!(permits.try_take(&2, 38).is_some() && permits.try_take(&2, 39).is_none());
        drop(first);
        assert!(permits.try_take(&2, 87).is_some());
        assert!(permits.try_take(&1, 0).is_some(), "nothing is always to be had");
    }

    #[test]
    fn lanes_take_turns() {
        let mut lanes = Lanes::default();
        (0..4).for_each(|number| lanes.push('a', number, 10));
        lanes.push('b', 0, 5);
        lanes.push('c', 0, 1);
        assert_eq!((lanes.load(), lanes.count()), (Load { items: 6, weight: 46 }, 3));
        assert_eq!(lanes.load_of(&'a'), Load { items: 4, weight: 40 });
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).map(|(lane, number, _)| (lane, number)).collect();
        assert_eq!(order, [('a', 0), ('b', 0), ('c', 0), ('a', 1), ('a', 2), ('a', 3)]);
        assert_eq!((lanes.load(), lanes.count()), (Load::default(), 0));
    }

    #[test]
    fn what_is_put_back_is_first_again() {
        let mut lanes = Lanes::default();
        (0..3).for_each(|number| lanes.push('a', number, 0));
        let (lane, first, weight) = lanes.pop().unwrap();
        lanes.put_back(lane, first, weight);
        assert_eq!(std::iter::from_fn(|| lanes.pop()).map(|(_, number, _)| number).collect::<Vec<_>>(), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_there_is(
            total in 0usize..200, wishes in prop::collection::vec((0u8..5, 0usize..40, any::<bool>()), 0..100),
        ) {
            let permits = FairPermits::new(total);
            let mut held = Vec::new();
            for (who, count, give_back) in wishes {
                if give_back && !held.is_empty() {
                    held.remove(usize::from(who) % held.len());
                }
                let before = permits.lock().by.get(&who).copied().unwrap_or_default();
                let parties = permits.lock().by.len() + usize::from(before == 0);
                let free = total - permits.lock().taken;
                match permits.try_take(&who, count) {
                    Some(permit) => held.push(permit),
                    // Whoever is refused would have had more than a share, or there is no room at all.
                    None => prop_assert!(count > free || before + count > total / (parties + 1)),
                }
                let sum: usize = held.iter().map(|permit| permit.count).sum();
                prop_assert!(sum <= total);
                prop_assert_eq!(permits.lock().taken, sum);
            }
        }

        #[test]
        fn every_lane_keeps_its_order_and_waits_one_round_at_most(items in prop::collection::vec(0u8..6, 0..200)) {
            let mut lanes = Lanes::default();
            for (number, lane) in items.iter().enumerate() {
                lanes.push(*lane, number, 1);
            }
            let mut last: HashMap<u8, (usize, usize)> = HashMap::new();
            for turn in 0.. {
                let waiting = lanes.count();
                let first = lanes.peek().copied();
                let Some((lane, number, _)) = lanes.pop() else { break };
                prop_assert_eq!(first, Some(number));
                if let Some((before, at)) = last.insert(lane, (number, turn)) {
                    prop_assert!(before < number);
                    prop_assert!(turn - at <= waiting.max(6), "lane {} waited {}", lane, turn - at);
                }
            }
            prop_assert_eq!(lanes.load(), Load::default());
        }
    }
}
