//! What is known of each destination: its circuit breaker, and how many calls to it are under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::event::Outward;
use domain::ids::TenantId;
use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::breaker::Breaker;
use super::error::Cause;

/// Destinations that are remembered; those at rest are forgotten first.
const MAX_DESTINATIONS: usize = 4_096;
/// Calls to one destination under way at once; the others wait for a place until their deadline.
const CALLS_AT_ONCE: usize = 64;

/// What is called, for whom, and where. One tenant's trouble with a host is not another's.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    to: Outward,
    tenant: Option<TenantId>,
    origin: String,
}

/// Every destination that was called lately.
#[derive(Default)]
pub(super) struct Destinations(Mutex<HashMap<Key, Arc<Slot>>>);

impl Destinations {
    /// What is known of a destination; none if there are too many.
    pub(super) fn find(&self, to: Outward, tenant: Option<TenantId>, url: &Url) -> Option<Arc<Slot>> {
        let key = Key { to, tenant, origin: url.origin().ascii_serialization() };
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= MAX_DESTINATIONS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || !slot.is_quiet());
        }
        if slots.len() >= MAX_DESTINATIONS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        if slots.len() >= MAX_DESTINATIONS {
            return None;
        }
        Some(Arc::clone(slots.entry(key).or_default()))
    }
}

/// One destination.
pub(super) struct Slot {
    breaker: Mutex<Breaker>,
    places: Arc<Semaphore>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { breaker: Mutex::default(), places: Arc::new(Semaphore::new(CALLS_AT_ONCE)) }
    }
}

impl Slot {
    /// A place for one call, once there is one.
    pub(super) async fn admit(self: &Arc<Self>, deadline: Instant) -> Result<Admitted, Cause> {
        let place = timeout_at(deadline, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Cause::Crowded) };
        let passes = self.breaker(|breaker| breaker.admit(Instant::now()));
        if !passes {
            return Err(Cause::Resting);
        }
        Ok(Admitted { slot: Arc::clone(self), verdict: Verdict::Unknown, _place: place })
    }

    fn is_quiet(&self) -> bool {
        self.breaker(|breaker| *breaker == Breaker::default())
    }

    fn breaker<T>(&self, look: impl FnOnce(&mut Breaker) -> T) -> T {
        look(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a call says about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers.
    Well,
    /// It does not, or only with 5xx.
    Failed,
    /// Nothing.
    Unknown,
}

/// A call under way. Its verdict counts when it goes, also if its caller went away.
pub(super) struct Admitted {
    slot: Arc<Slot>,
    pub(super) verdict: Verdict,
    _place: OwnedSemaphorePermit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let (now, verdict) = (Instant::now(), self.verdict);
        self.slot.breaker(|breaker| match verdict {
            Verdict::Well => breaker.well(),
            Verdict::Failed => breaker.failed(now),
            Verdict::Unknown => breaker.unknown(now),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn destinations_are_bounded_and_those_under_way_stay() {
        let destinations = Destinations::default();
        let find = |number: usize| {
            let url = Url::parse(&format!("https://h{number}.example/path")).unwrap();
            destinations.find(Outward::Webhook, None, &url)
        };
        let held: Vec<_> = (0..10).map(|number| find(number).unwrap()).collect();
        for number in 0..2 * MAX_DESTINATIONS {
            assert!(find(number).is_some());
            assert!(destinations.0.lock().unwrap().len() <= MAX_DESTINATIONS);
        }
        for (number, slot) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(slot, &find(number).unwrap()), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_has_so_many_places_and_callers_wait_until_their_deadline() {
        let slot = Arc::new(Slot::default());
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut held = Vec::new();
        for _ in 0..CALLS_AT_ONCE {
            held.push(slot.admit(deadline).await.unwrap());
        }
        assert_eq!(slot.admit(deadline).await.err(), Some(Cause::Crowded));
        assert_eq!(Instant::now(), deadline);
        held.pop();
        assert!(slot.admit(deadline + Duration::from_secs(1)).await.is_ok());
    }
}
