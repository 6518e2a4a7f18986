//! The end of what time ends: old records, and places that were held long enough.

use std::time::Duration;

use chrono::TimeDelta;
use domain::event::Event;
use domain::ports::StoreError;
use tokio::time::timeout;

use super::{MembershipMsg, SWEEP_DEADLINE, State};
use crate::node::Node;

/// Holds that one look ends; what is left is for the next.
const EXPIRED_AT_ONCE: usize = 5_000;
/// Records removed in one step of a purge, and steps in one purge.
const PURGED_AT_ONCE: usize = 500;
const PURGE_STEPS: usize = 100;
/// How long one step of a purge may take.
const PURGE_DEADLINE: Duration = Duration::from_secs(10);
/// A record stays for this long after its desired time (a fixed value of the product).
pub(super) const KEPT_FOR: TimeDelta = domain::erasure::RETENTION;

impl State {
    pub(super) fn purge(&self) {
        let node = self.node.clone();
        let work = async move {
            let purged = purge_all(&node).await;
            MembershipMsg::Purged { purged }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    pub(super) fn on_purged(&mut self, purged: Result<u64, StoreError>) {
        self.purging = false;
        match purged {
            Ok(0) => {}
            Ok(callbacks) => {
                tracing::info!(callbacks, "old records were removed");
                self.node.note(Event::Purged { callbacks });
            }
            Err(error) => tracing::warn!(%error, "a purge failed; the next one goes on"),
        }
    }

    pub(super) fn expire_holds(&self) {
        let node = self.node.clone();
        let work = async move {
            let expired = timeout(SWEEP_DEADLINE, node.ports.holds.expire_holds(node.now(), EXPIRED_AT_ONCE)).await;
            let expired = expired.unwrap_or_else(|_| Err(StoreError::PerhapsDone("it took too long".into())));
            MembershipMsg::HoldsExpired { expired }
        };
        self.me.run(work, MembershipMsg::TaskPanicked);
    }

    pub(super) fn on_holds_expired(&mut self, expired: Result<u64, StoreError>) {
        self.expiring = false;
        match expired {
            Ok(0) => {}
            Ok(holds) => tracing::debug!(holds, "held places were given back"),
            Err(error) => tracing::warn!(%error, "held places could not be given back; the next look goes on"),
        }
    }
}

/// Removes old records step by step, so that nobody else waits for long; what is left is for the next purge.
async fn purge_all(node: &Node) -> Result<u64, StoreError> {
    let mut purged = 0;
    for _ in 0..PURGE_STEPS {
        let now = node.now();
        let step = timeout(PURGE_DEADLINE, node.ports.callbacks.purge(now - KEPT_FOR, now, PURGED_AT_ONCE)).await;
        let step = step.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the purge took too long".into())))?;
        purged += step;
        if step < PURGED_AT_ONCE as u64 || !node.may_work() {
            break;
        }
    }
    Ok(purged)
}
