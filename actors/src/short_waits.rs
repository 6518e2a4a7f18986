//! Callbacks whose customers are to be told as soon as their expected wait is short: watched in memory, on the live
//! reports of routing or by asking it, so that nothing is written until the moment has come.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::Live;
use domain::ids::{CallbackId, TenantId};

/// Callbacks watched at the same time. One more is watched as soon as there is room: its session says so again with
/// every step, once a minute at least.
const WATCHED: usize = 50_000;
/// Callbacks that routing is asked about in one round.
const ASKED_AT_ONCE: usize = 5_000;
/// A short wait that was reported and did not lead to anything in this time is reported again.
const AGAIN: TimeDelta = TimeDelta::seconds(10);

#[derive(Debug)]
struct Watched {
    tenant: TenantId,
    below_seconds: i32,
    reported_at: Option<DateTime<Utc>>,
}

impl Watched {
    /// Whether this is the moment to report it.
    fn falls(&mut self, live: Live, now: DateTime<Utc>) -> bool {
        let short = (0..self.below_seconds).contains(&live.estimated_wait_seconds);
        let fresh = self.reported_at.is_none_or(|at| now - at >= AGAIN);
        if short && fresh {
            self.reported_at = Some(now);
        }
        short && fresh
    }
}

/// The watch.
#[derive(Debug, Default)]
pub(crate) struct ShortWaits {
    watched: Mutex<BTreeMap<CallbackId, Watched>>,
    /// Its length, so that reports about callbacks that nobody watches cost no lock where nothing is watched.
    count: AtomicUsize,
    /// The last callback of the round before.
    asked: Mutex<Option<CallbackId>>,
}

impl ShortWaits {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallbackId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a callback from now on. Repeating it changes nothing but the threshold.
    pub(crate) fn watch(&self, id: CallbackId, tenant: TenantId, below_seconds: i32) {
        let mut watched = self.lock();
        if let Some(known) = watched.get_mut(&id) {
            known.below_seconds = below_seconds;
        } else if watched.len() < WATCHED {
            watched.insert(id, Watched { tenant, below_seconds, reported_at: None });
        }
        self.count.store(watched.len(), Ordering::Relaxed);
    }

    /// There is nothing to be told any more.
    pub(crate) fn forget(&self, id: CallbackId) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut watched = self.lock();
        watched.remove(&id);
        self.count.store(watched.len(), Ordering::Relaxed);
    }

    /// Routing has reported where a callback stands. True if its customer is to be told now.
    pub(crate) fn heard(&self, id: CallbackId, live: Live, now: DateTime<Utc>) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.lock().get_mut(&id).is_some_and(|watched| watched.falls(live, now))
    }

    /// Asks about the next callbacks in turn; those whose customers are to be told now.
    pub(crate) fn ask(
        &self,
        live: impl Fn(CallbackId) -> Option<Live>,
        now: DateTime<Utc>,
    ) -> Vec<(TenantId, CallbackId)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watched = self.lock();
        let from = asked.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut short = Vec::new();
        for (position, (id, watched)) in watched.range_mut((from, Bound::Unbounded)).enumerate() {
            if position == ASKED_AT_ONCE {
                break;
            }
            if live(*id).is_some_and(|live| watched.falls(live, now)) {
                short.push((watched.tenant, *id));
            }
            *asked = Some(*id);
        }
        // At the end of the list the next round begins anew.
        if asked.is_some()
            && watched.range((asked.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).next().is_none()
        {
            *asked = None;
        }
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn id(number: u128) -> CallbackId {
        CallbackId::from_uuid(Uuid::from_u128(number))
    }

    fn tenant() -> TenantId {
        TenantId::from_name("a")
    }

    fn wait(seconds: i32) -> Live {
        Live { position: 1, estimated_wait_seconds: seconds }
    }

    #[test]
    fn a_wait_is_short_below_the_threshold_and_reported_again_only_if_nothing_follows() {
        let watch = ShortWaits::default();
        assert!(!watch.heard(id(1), wait(0), NOW), "nobody watches");
        watch.watch(id(1), tenant(), 300);
        for (seconds, short) in [(301, false), (300, false), (-1, false), (299, true)] {
            assert_eq!(watch.heard(id(1), wait(seconds), NOW), short, "{seconds}");
        }
        watch.watch(id(1), tenant(), 300);
        assert!(!watch.heard(id(1), wait(5), NOW + TimeDelta::seconds(9)));
        assert!(watch.heard(id(1), wait(0), NOW + TimeDelta::seconds(10)));
        watch.forget(id(1));
        assert!(!watch.heard(id(1), wait(0), NOW + TimeDelta::seconds(60)));
    }

    #[test]
    fn everybody_is_asked_in_turn() {
        let watch = ShortWaits::default();
        let all = ASKED_AT_ONCE as u128 + 7;
        (0..all).for_each(|number| watch.watch(id(number), tenant(), 60));
        let rounds: Vec<usize> =
            (0..4).map(|round| watch.ask(|_| Some(wait(1)), NOW + TimeDelta::seconds(round)).len()).collect();
        assert_eq!(rounds, [ASKED_AT_ONCE, 7, 0, 0], "each once, and then not for ten seconds");
        assert_eq!(watch.ask(|_| None, NOW + TimeDelta::seconds(60)), []);
    }

    #[test]
    fn the_watch_has_a_limit() {
        let watch = ShortWaits::default();
        (0..=WATCHED as u128).for_each(|number| watch.watch(id(number), tenant(), 60));
        assert!(!watch.heard(id(WATCHED as u128), wait(1), NOW), "no room");
        watch.forget(id(0));
        watch.watch(id(WATCHED as u128), tenant(), 60);
        assert!(watch.heard(id(WATCHED as u128), wait(1), NOW));
    }
}
