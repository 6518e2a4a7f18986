//! What a tenant's actor and its sessions know of the tenant, and what both do alike with a step.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Effect, HandOff, Reason, State as CallbackState};
use domain::event::Event;
use domain::happening::Kind;
use domain::ids::{QueueName, TenantId};
use domain::ports::{Change, Details, Invitation, SaveError};
use domain::queue::CallOptions;
use domain::slots::Grid;
use domain::tenant::Tenant;

use crate::node::Node;

/// Shared by the tenant's actor, its sessions and its tasks, so that new settings reach all of them at once.
pub(crate) struct TenantFacts {
    pub(crate) id: TenantId,
    pub(crate) name: Arc<str>,
    current: RwLock<Arc<Tenant>>,
}

impl TenantFacts {
    pub(crate) fn new(tenant: Arc<Tenant>) -> Self {
        Self { id: tenant.id, name: tenant.name.clone(), current: RwLock::new(tenant) }
    }

    /// The settings in force.
    pub(crate) fn current(&self) -> Arc<Tenant> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, tenant: Arc<Tenant>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    /// How long before its desired time a callback of `queue` has to start, as things stand.
    pub(crate) fn lead(&self, node: &Node, queue: &QueueName) -> TimeDelta {
        let wait = node.ports.routing.expected_wait(self.id, queue);
        self.current().queues.get(queue).map_or(TimeDelta::zero(), |settings| settings.lead(wait))
    }

    /// The conditional write for a step, if it saves at all. Our own rows are also fenced by their owner.
    pub(crate) fn change(
        &self,
        node: &Node,
        before: &Callback,
        after: &Callback,
        effects: &[Effect],
    ) -> Option<Change> {
        let Some(Effect::Save(saving)) = effects.first() else { return None };
        let now = node.now();
        let announce = |kind| self.current().announce(kind, after, now);
        let (slot_capacity, grid) = self.places(&after.queue, saving.take);
        Some(Change {
            callback: after.clone(),
            from: before.state,
            expected_version: before.version,
            expected_owner: before.owner.filter(|owner| *owner == node.me),
            saving: saving.clone(),
            slot_capacity,
            grid,
            at: now,
            announcement: Kind::of_step(saving.cause, before.state, after).and_then(announce),
        })
    }

    /// Watches the expected wait of a callback as long as its customer is to be told when it is short.
    pub(crate) fn watch_wait(&self, node: &Node, callback: &Callback) {
        let waits = callback.hand_off == HandOff::Accepted && callback.waits_for_short_wait();
        let minutes = || self.current().queues.get(&callback.queue).map_or(0, |queue| queue.push_threshold_minutes);
        let below_seconds = if waits { i32::try_from(minutes().saturating_mul(60)).unwrap_or(i32::MAX) } else { 0 };
        if below_seconds > 0 {
            node.short_waits.watch(callback.id, callback.tenant, below_seconds);
        } else {
            node.short_waits.forget(callback.id);
        }
    }

    /// Saves a step, and sees that what is owed because of it is delivered.
    pub(crate) async fn save(&self, node: &Node, change: Change) -> Result<(), SaveError> {
        let announced = change.announcement.is_some();
        node.ports.callbacks.save(change).await?;
        if announced {
            node.announced();
        }
        Ok(())
    }

    /// The invitation to `attempt`.
    pub(crate) fn invitation(&self, callback: &Callback, attempt: u32, details: Details) -> Invitation {
        let call = CallOptions::of(&self.current(), &callback.queue, &details.options);
        Invitation {
            tenant: callback.tenant,
            id: callback.id,
            attempt,
            not_after: callback.expires_at,
            queue: callback.queue.clone(),
            phone: callback.phone,
            desired_time: callback.desired_time,
            call,
            details,
        }
    }

    /// The places of the slot to take, if there is one, and the grid that it has to belong to.
    fn places(&self, queue: &QueueName, slot: Option<DateTime<Utc>>) -> (u32, Grid) {
        let layout = |slot: DateTime<Utc>| {
            let tenant = self.current();
            tenant.queues.get(queue).map(|queue| (queue.layout.capacity_at(slot), queue.layout.grid()))
        };
        slot.and_then(layout).unwrap_or_default()
    }

    /// Tells the observer what a saved step did.
    pub(crate) fn note_saved(&self, node: &Node, before: &Callback, after: &Callback, effects: &[Effect]) {
        if let Some(promise) = after.promise(before, node.now()) {
            node.note(Event::Promised { tenant: self.name.clone(), queue: after.queue.clone(), promise });
        }
        for effect in effects {
            match effect {
                Effect::Save(saving) => {
                    tracing::trace!(
                        session.id = %after.id,
                        version = after.version,
                        state = after.state.name(),
                        cause = saving.cause.name(),
                        "a step was saved"
                    );
                    node.note(Event::Saved { cause: saving.cause });
                }
                Effect::Moved { from, to } => {
                    node.note(Event::Moved { tenant: self.name.clone(), from: *from, to: *to });
                    if *to == CallbackState::Completed && after.reason == Some(Reason::SUBMIT_FAILED) {
                        node.note(Event::SubmitFailed);
                    }
                }
                _ => {}
            }
        }
    }
}
