//! What every supervisor of singletons does alike: remember which child is which, count its failures, and say
//! when to start it again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ports::Observer;
use ractor::ActorId;
use tokio::time::Instant;

use crate::restart::{Fault, RestartPolicy, Restarts, Verdict};

/// The children of one supervisor, named by `K`.
pub(crate) struct Keeper<K> {
    supervisor: ActorKind,
    observer: Arc<dyn Observer>,
    by_actor: HashMap<ActorId, K>,
    failures: HashMap<K, Restarts>,
}

impl<K: Copy + Eq + Hash + std::fmt::Display> Keeper<K> {
    pub(crate) fn new(supervisor: ActorKind, observer: Arc<dyn Observer>) -> Self {
        Self { supervisor, observer, by_actor: HashMap::new(), failures: HashMap::new() }
    }

    /// A child runs.
    pub(crate) fn started(&mut self, actor: ActorId, child: K) {
        self.by_actor.insert(actor, child);
    }

    /// Which child an actor was, now that it has ended.
    pub(crate) fn ended(&mut self, actor: ActorId) -> Option<K> {
        self.by_actor.remove(&actor)
    }

    /// Counts a failure and says after which pause to start the child again.
    ///
    /// # Errors
    /// The supervisor's own failure, if the child failed too often.
    pub(crate) fn failed(
        &mut self,
        child: K,
        kind: ActorKind,
        policy: RestartPolicy,
        reason: Failure,
        error: &str,
    ) -> Result<Duration, Fault> {
        if reason == Failure::Panic {
            self.observer.note(Event::PanicCaught);
        }
        let restarts = self.failures.entry(child).or_insert_with(|| Restarts::new(policy));
        let spread = u64::from(self.by_actor.len() as u32).wrapping_mul(7_919) ^ error.len() as u64;
        match restarts.failed(Instant::now(), spread) {
            Verdict::Restart(pause) => {
                tracing::error!(child = %child, error, reason = reason.name(), "an actor failed and is started again");
                self.observer.note(Event::Restarted { supervisor: self.supervisor, child: kind, reason });
                Ok(pause)
            }
            Verdict::GiveUp => Err(Fault(format!("{child} fails again and again, last: {error}"))),
        }
    }
}
