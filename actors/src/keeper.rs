//! What every supervisor of singletons does alike: remember which child is which, count its failures, and say
//! when to start it again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use domain::event::{ActorKind, Event, Failure};
use domain::ports::Observer;
use ractor::{ActorId, ActorRef, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

use crate::restart::{Fault, RestartPolicy, Restarts, Verdict, any_number, failure_of, text_of};

/// The children of one supervisor, named by `K`.
pub(crate) struct Keeper<K> {
    supervisor: ActorKind,
    observer: Arc<dyn Observer>,
    by_actor: HashMap<ActorId, K>,
    failures: HashMap<K, Restarts>,
}

/// A child that ended without having been asked to, or did not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost<K> {
    pub(crate) child: K,
    pub(crate) failure: Failure,
    /// What may be written about it.
    pub(crate) text: String,
}

impl<K: Copy + Eq + Hash + std::fmt::Display> Keeper<K> {
    pub(crate) fn new(supervisor: ActorKind, observer: Arc<dyn Observer>) -> Self {
        Self { supervisor, observer, by_actor: HashMap::new(), failures: HashMap::new() }
    }

    /// Takes in how the start of a child went.
    pub(crate) fn started<M, H>(&mut self, child: K, spawned: Result<(ActorRef<M>, H), SpawnErr>) -> Option<Lost<K>> {
        match spawned {
            Ok((actor, _)) => {
                self.by_actor.insert(actor.get_id(), child);
                None
            }
            Err(SpawnErr::StartupFailed(error)) => {
                if failure_of(&error) == Failure::Panic {
                    self.observer.note(Event::PanicCaught);
                }
                Some(Lost { child, failure: Failure::Start, text: text_of(&error) })
            }
            Err(error) => Some(Lost { child, failure: Failure::Start, text: error.to_string() }),
        }
    }

    /// Which child was lost, if the event tells of one. A child that was killed, or stopped by whomever, is
    /// missed as much as one that failed: only its supervisor ends it, and hears no events any more by then.
    pub(crate) fn lost(&mut self, event: SupervisionEvent) -> Option<Lost<K>> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                let child = self.by_actor.remove(&actor.get_id())?;
                let failure = failure_of(&error);
                if failure == Failure::Panic {
                    self.observer.note(Event::PanicCaught);
                }
                Some(Lost { child, failure, text: text_of(&error) })
            }
            SupervisionEvent::ActorTerminated(actor, _, reason) => {
                let child = self.by_actor.remove(&actor.get_id())?;
                let text = reason.unwrap_or_else(|| "it stopped".to_owned());
                Some(Lost { child, failure: Failure::Error, text })
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => None,
        }
    }

    /// Counts a failure and says after which pause to start the child again.
    ///
    /// # Errors
    /// The supervisor's own failure, if the child failed too often.
    pub(crate) fn failed(&mut self, lost: &Lost<K>, kind: ActorKind, policy: RestartPolicy) -> Result<Duration, Fault> {
        let Lost { child, failure, text } = lost;
        let restarts = self.failures.entry(*child).or_insert_with(|| Restarts::new(policy));
        match restarts.failed(Instant::now(), any_number()) {
            Verdict::Restart(pause) => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(%child, reason = failure.name(), error = text, pause_ms, "an actor failed and is started again");
                self.observer.note(Event::Restarted { supervisor: self.supervisor, child: kind, reason: *failure });
                Ok(pause)
            }
            Verdict::GiveUp => {
                Err(Fault(format!("{child} failed more often than it may, last by {}: {text}", failure.name())))
            }
        }
    }
}
