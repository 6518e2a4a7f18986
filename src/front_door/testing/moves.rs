//! What the fake says about holds, moves and repetitions, and what it was asked.

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::holds::Hold;
use domain::ids::{CallbackId, HoldId, TenantId};
use domain::ports::{
    HoldError, How, MovesDesk, NewHold, RecreateError, Recreation, RescheduleError, Submitted, Unserved,
};

use super::{Fake, at, id};

/// Id of every hold of the fake.
pub(crate) const HOLD: &str = "0192f0a0-0000-7000-8000-0000000000bb";

pub(crate) fn hold() -> Hold {
    Hold {
        id: HOLD.parse().unwrap(),
        desired_time: at("2030-03-04T15:41:00Z"),
        slot: at("2030-03-04T15:30:00Z"),
        expires_at: at("2030-01-01T01:05:00Z"),
    }
}

pub(crate) struct Moves {
    pub(crate) hold: Mutex<Result<Hold, HoldError>>,
    pub(crate) release: Mutex<Result<(), Unserved>>,
    pub(crate) reschedule: Mutex<Result<(), RescheduleError>>,
    pub(crate) recreate: Mutex<Result<Submitted, RecreateError>>,
    pub(crate) held: Mutex<Vec<NewHold>>,
    pub(crate) released: Mutex<Vec<HoldId>>,
    pub(crate) rescheduled: Mutex<Vec<(CallbackId, DateTime<Utc>)>>,
    pub(crate) recreated: Mutex<Vec<(CallbackId, Recreation)>>,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            hold: Mutex::new(Ok(hold())),
            release: Mutex::new(Ok(())),
            reschedule: Mutex::new(Ok(())),
            recreate: Mutex::new(Ok(Submitted { id: id(), how: How::Booked })),
            held: Mutex::default(),
            released: Mutex::default(),
            rescheduled: Mutex::default(),
            recreated: Mutex::default(),
        }
    }
}

#[async_trait]
impl MovesDesk for Fake {
    async fn hold(&self, _: TenantId, new: NewHold) -> Result<Hold, HoldError> {
        self.moves.held.lock().unwrap().push(new);
        self.moves.hold.lock().unwrap().clone()
    }

    async fn release(&self, _: TenantId, id: HoldId) -> Result<(), Unserved> {
        self.moves.released.lock().unwrap().push(id);
        self.moves.release.lock().unwrap().clone()
    }

    async fn reschedule(
        &self,
        _: TenantId,
        id: CallbackId,
        desired_time: DateTime<Utc>,
    ) -> Result<(), RescheduleError> {
        self.moves.rescheduled.lock().unwrap().push((id, desired_time));
        self.moves.reschedule.lock().unwrap().clone()
    }

    async fn recreate(&self, _: TenantId, id: CallbackId, again: Recreation) -> Result<Submitted, RecreateError> {
        self.moves.recreated.lock().unwrap().push((id, again));
        self.moves.recreate.lock().unwrap().clone()
    }
}
