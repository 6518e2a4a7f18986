//! Equal work that is asked for at the same time is done once: whoever comes later waits for the same result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::Instrument as _;

type UnderWay<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

/// Work under way, by what it is about. It holds an entry per piece of work, and those are bounded by their
/// deadlines and by who asks.
pub(super) struct Shared<K, V>(UnderWay<K, V>);

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Shared<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The result of the work about `key` that is under way, or else of `work`. None if it panicked.
    pub(super) async fn run(&self, key: K, work: impl Future<Output = V> + Send + 'static) -> Option<V> {
        let mut result = self.start(key, work);
        result.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Begins `work` about `key` unless such work is under way, and goes on also if nobody waits.
    pub(super) fn start(&self, key: K, work: impl Future<Output = V> + Send + 'static) -> watch::Receiver<Option<V>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = under_way.get(&key) {
            return result.clone();
        }
        let (tell, result) = watch::channel(None);
        under_way.insert(key.clone(), result.clone());
        let done = Done { under_way: Arc::clone(&self.0), key };
        tokio::spawn(
            async move {
                let value = work.await;
                // Taken off first: who comes from here on finds what the work left behind, or begins anew.
                drop(done);
                drop(tell.send(Some(value)));
            }
            .in_current_span(),
        );
        result
    }
}

/// Takes work off the list, also if it panicked.
struct Done<K: Eq + Hash, V> {
    under_way: UnderWay<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Done<K, V> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn equal_work_is_done_once_and_other_work_beside_it() {
        let (shared, done) = (Shared::default(), Arc::new(AtomicU32::new(0)));
        let ask = |key: u32| {
            let done = done.clone();
            shared.run(key, async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                done.fetch_add(1, Ordering::SeqCst);
                key * 10
            })
        };
        let results = futures::future::join_all((0..100).map(|number| ask(number % 2))).await;
        assert!(results.iter().enumerate().all(|(number, result)| *result == Some(number as u32 % 2 * 10)));
        assert_eq!(done.load(Ordering::SeqCst), 2);
        assert_eq!(ask(0).await, Some(0));
        assert_eq!(done.load(Ordering::SeqCst), 3, "what is over is done anew");
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_without_who_began_it_and_a_panic_is_none() {
        let shared = Shared::<u32, u32>::default();
        let work = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            7
        };
        let given_up = tokio::time::timeout(Duration::from_secs(1), shared.run(1, work())).await;
        assert!(given_up.is_err());
        assert_eq!(shared.run(1, async { 8 }).await, Some(7), "the work of the one who gave up");
        assert_eq!(shared.run(2, async { panic!("told to") }).await, None);
        assert_eq!(shared.run(2, async { 9 }).await, Some(9));
    }
}
