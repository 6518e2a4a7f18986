//! What is to be told and has not been yet: bounded, the last word about everything, the oldest given up first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::callback::Live;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::Hint;
use domain::wait::QueueReport;
use tokio::sync::Notify;

/// Of each kind: how many may wait, and how many go into one message. A message of the longest names stays below
/// [`super::message::MAX_BYTES`].
const CHANGED: Limits = Limits { waiting: 5_000, at_once: 1_000 };
const HEARD: Limits = Limits { waiting: 20_000, at_once: 4_000 };
const REPORTED: Limits = Limits { waiting: 2_000, at_once: 200 };

#[derive(Debug, Clone, Copy)]
struct Limits {
    waiting: usize,
    at_once: usize,
}

/// What one message tells.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Batch {
    pub(super) settings: bool,
    pub(super) changed: Vec<(TenantId, CallbackId)>,
    pub(super) heard: Vec<(CallbackId, HeardOf)>,
    pub(super) reported: Vec<((TenantId, QueueName), QueueReport)>,
}

impl Batch {
    /// Hints in it.
    pub(super) fn len(&self) -> usize {
        usize::from(self.settings) + self.changed.len() + self.heard.len() + self.reported.len()
    }
}

/// What was heard of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeardOf {
    pub(super) attempt: u32,
    pub(super) live: Option<Live>,
}

/// How soon what waits has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Nothing waits.
    Nothing,
    /// Within a second or two.
    Calm,
    /// At once.
    Urgent,
}

/// The outbox of one node.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    settings: bool,
    changed: Latest<(TenantId, CallbackId), ()>,
    heard: Latest<CallbackId, HeardOf>,
    reported: Latest<(TenantId, QueueName), QueueReport>,
}

impl Waiting {
    fn urgency(&self) -> Urgency {
        if self.settings || !self.changed.is_empty() {
            Urgency::Urgent
        } else if !self.heard.is_empty() || !self.reported.is_empty() {
            Urgency::Calm
        } else {
            Urgency::Nothing
        }
    }

    /// Returns how many others were given up for it.
    fn put(&mut self, hint: Hint) -> usize {
        match hint {
            Hint::SettingsChanged => {
                self.settings = true;
                0
            }
            Hint::Changed { tenant, id } => self.changed.put((tenant, id), (), CHANGED),
            Hint::Heard { id, attempt, live } => {
                // Being alive does not undo where it was said to stand.
                let known = self.heard.get(&id).filter(|known| known.attempt == attempt).and_then(|known| known.live);
                self.heard.put(id, HeardOf { attempt, live: live.or(known) }, HEARD)
            }
            Hint::Reported { tenant, queue, report } => self.reported.put((tenant, queue), report, REPORTED),
        }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a hint in. Returns how many were given up because there is no room.
    pub(super) fn put(&self, hint: Hint) -> usize {
        let mut waiting = self.lock();
        let before = waiting.urgency();
        let given_up = waiting.put(hint);
        if waiting.urgency() != before {
            self.more.notify_one();
        }
        given_up
    }

    /// Takes out what fits into one message.
    pub(super) fn take(&self) -> Batch {
        let mut waiting = self.lock();
        Batch {
            settings: std::mem::take(&mut waiting.settings),
            changed: waiting.changed.take(CHANGED).into_iter().map(|(key, ())| key).collect(),
            heard: waiting.heard.take(HEARD),
            reported: waiting.reported.take(REPORTED),
        }
    }

    /// Forgets everything: it is old. Returns how much that was.
    pub(super) fn clear(&self) -> usize {
        let mut waiting = self.lock();
        let old = std::mem::take(&mut *waiting);
        usize::from(old.settings) + old.changed.len() + old.heard.len() + old.reported.len()
    }

    pub(super) fn urgency(&self) -> Urgency {
        self.lock().urgency()
    }

    /// Resolves once there is more to do than when it was last looked at; perhaps without reason.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }
}

/// The last value of every key, in the order in which the keys came.
#[derive(Debug)]
struct Latest<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Latest<K, V> {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    fn put(&mut self, key: K, value: V, limits: Limits) -> usize {
        if let Some(known) = self.values.get_mut(&key) {
            *known = value;
            return 0;
        }
        let mut given_up = 0;
        while self.values.len() >= limits.waiting {
            let Some(oldest) = self.order.pop_front() else { break };
            self.values.remove(&oldest);
            given_up += 1;
        }
        self.order.push_back(key.clone());
        self.values.insert(key, value);
        given_up
    }

    fn take(&mut self, limits: Limits) -> Vec<(K, V)> {
        let keys = self.order.drain(..limits.at_once.min(self.order.len()));
        keys.filter_map(|key| self.values.remove_entry(&key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: usize) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number as u128))
    }

    fn tenant() -> TenantId {
        TenantId::from_name("a")
    }

    fn heard(number: usize, position: Option<i32>) -> Hint {
        let live = position.map(|position| Live { position, estimated_wait_seconds: 1 });
        Hint::Heard { id: id(number), attempt: 1, live }
    }

    #[test]
    fn the_last_word_counts_and_being_alive_is_no_other_word() {
        let outbox = Outbox::default();
        assert_eq!(outbox.urgency(), Urgency::Nothing);
        for hint in [heard(1, Some(3)), heard(2, None), heard(1, Some(2)), heard(1, None)] {
            assert_eq!(outbox.put(hint), 0);
        }
        assert_eq!(outbox.urgency(), Urgency::Calm);
        outbox.put(Hint::Changed { tenant: tenant(), id: id(1) });
        outbox.put(Hint::Changed { tenant: tenant(), id: id(1) });
        assert_eq!(outbox.urgency(), Urgency::Urgent);
        let batch = outbox.take();
        assert_eq!(batch.changed, [(tenant(), id(1))]);
        let places: Vec<_> = batch.heard.iter().map(|(id, heard)| (*id, heard.live.map(|it| it.position))).collect();
        assert_eq!(places, [(id(1), Some(2)), (id(2), None)]);
        assert_eq!((outbox.urgency(), outbox.take()), (Urgency::Nothing, Batch::default()));
    }

    #[test]
    fn the_oldest_are_given_up_and_what_does_not_fit_goes_with_the_next() {
        let outbox = Outbox::default();
        let given_up: usize = (0..HEARD.waiting + 7).map(|number| outbox.put(heard(number, Some(1)))).sum();
        assert_eq!(given_up, 7);
        let (first, second) = (outbox.take(), outbox.take());
        assert_eq!((first.len(), second.len()), (HEARD.at_once, HEARD.at_once));
        assert_eq!((first.heard[0].0, second.heard[0].0), (id(7), id(7 + HEARD.at_once)));
        assert_eq!(outbox.clear(), HEARD.waiting - 2 * HEARD.at_once);
        assert_eq!(outbox.urgency(), Urgency::Nothing);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_when_something_comes_and_when_it_becomes_urgent() {
        let outbox = Outbox::default();
        let is_woken = || futures::FutureExt::now_or_never(outbox.more()).is_some();
        assert!(!is_woken());
        outbox.put(heard(1, Some(1)));
        assert!(is_woken());
        outbox.put(heard(2, Some(1)));
        assert!(!is_woken(), "there is no hurry");
        outbox.put(Hint::SettingsChanged);
        assert!(is_woken());
    }
}
