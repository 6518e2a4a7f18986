//! Holds, moves and repetitions. A hold needs no actor: it is judged by the settings in memory and decided by one
//! command to the store, as nothing of it lives anywhere but in its row.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::booking::judge_hold;
use domain::callback::{NewCallback, State};
use domain::event::Event;
use domain::holds::Hold;
use domain::ids::{CallbackId, HoldId, TenantId};
use domain::ports::{
    Held, HoldError, Holding, MovesDesk, NewHold, RecreateError, Recreation, RescheduleError, SubmitError, Submitted,
    Unserved,
};
use tokio::time::sleep;

use super::Desk;
use crate::node::Node;
use crate::session::unserved;
use crate::tenant::{GRID_PAUSE, GRID_TRIES, TenantMsg, counted, slot_full};

/// What a held number is counted as: holds and bookings are told apart.
const HELD_NUMBER: &str = "held phoneNumber";

#[async_trait]
impl MovesDesk for Desk {
    async fn hold(&self, tenant: TenantId, new: NewHold) -> Result<Hold, HoldError> {
        let node = self.node.clone();
        self.see_through("a hold", async move { hold(&node, tenant, new).await }).await?
    }

    async fn release(&self, tenant: TenantId, id: HoldId) -> Result<(), Unserved> {
        let (node, at) = (self.node.clone(), self.node.now());
        let work = async move { node.ports.holds.release(tenant, id, at).await };
        let released = self.see_through("giving a hold up", work).await?;
        match released.map_err(|error| unserved(&error))? {
            true => Ok(()),
            false => Err(Unserved::NotFound),
        }
    }

    async fn reschedule(
        &self,
        tenant: TenantId,
        id: CallbackId,
        desired_time: DateTime<Utc>,
    ) -> Result<(), RescheduleError> {
        self.ask(tenant, |reply| TenantMsg::Reschedule { id, desired_time, reply }).await
    }

    async fn recreate(&self, tenant: TenantId, id: CallbackId, again: Recreation) -> Result<Submitted, RecreateError> {
        let callback = self.load(tenant, id).await?;
        if callback.state != State::Completed {
            return Err(RecreateError::NotEnded(callback.state));
        }
        let read = self.node.ports.callbacks.details(tenant, id);
        let details = self.read("the details of a callback", read).await?.ok_or(Unserved::NotFound)?;
        let new = NewCallback {
            service_name: callback.queue.as_str().to_owned(),
            phone_number: callback.phone.e164(),
            desired_time: again.desired_time,
            always_check_capacity: again.always_check_capacity,
            user_data: details.user_data,
            options: details.options,
            idempotency: again.idempotency,
            counted_headers: again.counted_headers,
            captcha: again.captcha,
            hold: None,
        };
        self.ask(tenant, |reply| TenantMsg::Submit { new: Box::new(new), reply }).await.map_err(RecreateError::Refused)
    }
}

/// Judges a hold and keeps it. While the places of its queue are counted by other slots than its own, because settings
/// have just changed, it waits and is judged by the settings of that moment.
async fn hold(node: &Node, tenant: TenantId, new: NewHold) -> Result<Hold, HoldError> {
    let entry = || node.directory.find(tenant).ok_or(Unserved::Busy);
    for tried in 0..GRID_TRIES {
        if tried > 0 {
            sleep(GRID_PAUSE).await;
        }
        let settings = entry()?.tenant;
        let at = node.now();
        let plan = judge_hold(&settings, &new, at).map_err(|refused| match refused {
            HoldError::Refused(refused) => HoldError::Refused(counted(node, &settings, refused)),
            other => other,
        })?;
        let number = |digits: u64| node.ports.blinds.blind(tenant, HELD_NUMBER, digits.to_string().as_bytes());
        let holding = Holding {
            id: HoldId::generate(at),
            tenant,
            queue: plan.queue.clone(),
            desired_time: new.desired_time,
            slot: plan.slot,
            number: plan.phone.map(|phone| number(phone.digits())),
            bounds: plan.bounds,
            expires_at: plan.expires_at,
            idempotency: new.idempotency,
            at,
        };
        let kept =
            Hold { id: holding.id, desired_time: new.desired_time, slot: plan.slot.start, expires_at: plan.expires_at };
        match node.ports.holds.hold(holding).await.map_err(|error| unserved(&error))? {
            Held::New => return Ok(kept),
            Held::Existing(hold) => return Ok(hold),
            Held::Gone => return Err(HoldError::Gone),
            Held::KeyReused => return Err(SubmitError::KeyReused.into()),
            Held::SlotFull => return Err(slot_full(node, &settings, &plan.queue, new.desired_time).await.into()),
            Held::TooMany(reached) => {
                node.note(Event::HoldRefused { tenant: Arc::clone(&settings.name), bound: reached.bound });
                return Err(HoldError::TooMany(reached));
            }
            Held::OtherGrid => {}
        }
    }
    entry()?.address.hint(TenantMsg::Recount);
    Err(Unserved::Busy.into())
}
