//! The simulator as it is reached through a stream: nobody waits for the answer to a start, and what the floor knows of
//! its queues and of those who wait has to be told unasked.

use std::path::Path;
use std::sync::Arc;

use domain::callback::Signal;
use domain::ids::{CallbackId, QueueName, TenantId};
use domain::ports::{Clock, Invitation, RoutingError};

use super::floor::Admission;
use super::{OpenError, Simulator, SimulatorSettings, not_done};

/// When an attempt was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Just now.
    Now,
    /// Some time before, it or a higher one.
    Before,
}

impl Simulator {
    /// As [`Self::open`], for a simulator that is reached through a stream: nobody waits for the answer to a start, so a
    /// number that asks for refusals gets all of them as signals.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_behind_stream(
        settings: SimulatorSettings,
        journal: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let simulator = Self::open(settings, journal, clock)?;
        simulator.shared.core().floor.refuse_by_signal();
        Ok(simulator)
    }

    /// Takes an invitation as a stream brings it, at once.
    ///
    /// # Errors
    /// As [`domain::ports::Routing::start`], but never *perhaps*.
    pub fn enter(&self, invitation: &Invitation) -> Result<Entered, RoutingError> {
        let now = self.shared.now();
        let admission = self.shared.core().start(invitation, now)?;
        match admission {
            Admission::Repeated => Ok(Entered::Before),
            Admission::Refused { .. } => Err(RoutingError::Refused("the number asks for a refusal".into())),
            Admission::Closed => Err(RoutingError::Refused("the register is closed".into())),
            Admission::Full(what) => Err(not_done(what)),
            Admission::Enters => {
                self.shared.wake.notify_one();
                Ok(Entered::Now)
            }
        }
    }

    /// Closes the register of a callback, whatever attempt it had, at once.
    ///
    /// # Errors
    /// As [`domain::ports::Routing::close`], but never *perhaps*.
    pub fn close_register(&self, tenant: TenantId, id: CallbackId) -> Result<(), RoutingError> {
        let now = self.shared.now();
        self.shared.core().close(tenant, id, now)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// The queues in use, each with its tenant.
    pub fn queues(&self) -> Vec<(TenantId, QueueName)> {
        self.shared.core().floor.queues_in_use()
    }

    /// Where callbacks stand, at most `limit` of them, and from where to ask on: reports that nobody asked for.
    pub fn whereabouts(&self, from: usize, limit: usize) -> (Vec<(TenantId, CallbackId, Signal)>, usize) {
        let now = self.shared.now();
        self.shared.core().floor.whereabouts(from, limit, now.wall_ms)
    }
}
