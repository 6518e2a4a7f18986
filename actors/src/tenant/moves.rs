//! Moving a scheduled callback to another time: judged by the settings in force, and kept by one conditional write that
//! takes the new place and gives the old one back. No session takes part: one that has begun on the callback finds the
//! row changed, and what was set to wake it finds that its time has not come.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::booking::judge_new_time;
use domain::callback::{Callback, Effect, Input, State as CallbackState};
use domain::ids::CallbackId;
use domain::ports::{Change, Due, RescheduleError, SaveError, Unserved};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::booking::{GRID_PAUSE, GRID_TRIES, NEAR, slot_full};
use super::bystander::{due_of, read, store_failed};
use super::{State, TenantFacts, TenantMsg};
use crate::mailbox::Address;
use crate::node::Node;
use crate::scheduler::SchedulerMsg;
use crate::task;

pub(crate) type RescheduleReply = oneshot::Sender<Result<(), RescheduleError>>;

/// All reads and writes of one move together. Below the desk's deadline, so that the caller hears of it.
const DEADLINE: Duration = Duration::from_secs(7);
/// Tries without a pause between them.
const AT_ONCE: u32 = 4;

/// A move that was judged.
struct Draft {
    after: Callback,
    effects: Vec<Effect>,
    change: Change,
}

/// What follows for the scheduler.
struct Moved {
    id: CallbackId,
    /// When it was to wake.
    before: Option<DateTime<Utc>>,
    /// Ours, and soon.
    due: Option<Due>,
}

impl State {
    pub(super) fn on_reschedule(&self, id: CallbackId, desired_time: DateTime<Utc>, reply: RescheduleReply) {
        let Ok(permit) = self.node.bystanders.clone().try_acquire_owned() else {
            return drop(reply.send(Err(Unserved::Busy.into())));
        };
        let (node, facts, me) = (self.node.clone(), self.facts.clone(), self.me.clone());
        let work = async move {
            let moved = timeout(DEADLINE, reschedule(&node, &facts, &me, id, desired_time)).await;
            let moved = moved.unwrap_or_else(|_| Err(Unserved::Perhaps.into()));
            drop(permit);
            let (answer, moved) = match moved {
                Ok(moved) => (Ok(()), moved),
                Err(refused) => (Err(refused), None),
            };
            drop(reply.send(answer));
            if let Some(Moved { id, before, due }) = moved {
                node.scheduler.hint(SchedulerMsg::Moved { id, before });
                due.into_iter().for_each(|due| node.scheduler.hint(SchedulerMsg::Claimed { due: vec![due] }));
            }
        };
        task::spawn(&self.node, "a reschedule", work);
    }
}

/// Nothing follows where it was wanted at that time already.
async fn reschedule(
    node: &Node,
    facts: &TenantFacts,
    me: &Address<TenantMsg>,
    id: CallbackId,
    desired_time: DateTime<Utc>,
) -> Result<Option<Moved>, RescheduleError> {
    for tried in 0..AT_ONCE + GRID_TRIES {
        // Who lost a race tries again at once; what goes on for longer is a count by other slots.
        if tried >= AT_ONCE {
            sleep(GRID_PAUSE).await;
        }
        let before = read(node, facts, id).await?;
        let Some(draft) = draft(node, facts, &before, desired_time)? else { return Ok(None) };
        match facts.save(node, draft.change).await {
            Ok(()) => {
                facts.note_saved(node, &before, &draft.after, &draft.effects);
                let ours = draft.after.owner == Some(node.me);
                let due = if ours { due_of(&draft.after) } else { None };
                return Ok(Some(Moved { id, before: before.wake_at, due }));
            }
            Err(SaveError::SlotFull) => {
                return Err(slot_full(node, &facts.current(), &before.queue, desired_time).await.into());
            }
            Err(SaveError::Conflict) => {}
            Err(SaveError::NotFound) => return Err(Unserved::NotFound.into()),
            Err(SaveError::Store(error)) => return Err(store_failed(&error).into()),
        }
    }
    me.hint(TenantMsg::Recount);
    Err(Unserved::Busy.into())
}

/// Judges a move by the settings of this moment; none if nothing is to be done.
fn draft(
    node: &Node,
    facts: &TenantFacts,
    before: &Callback,
    desired_time: DateTime<Utc>,
) -> Result<Option<Draft>, RescheduleError> {
    let now = node.now();
    if before.state == CallbackState::Completed {
        return Err(RescheduleError::NotReschedulable(before.state));
    }
    // What a client repeats was judged when it was done.
    if before.desired_time == desired_time {
        return Ok(None);
    }
    if before.state != CallbackState::Scheduled {
        return Err(RescheduleError::NotReschedulable(before.state));
    }
    let tenant = facts.current();
    let wait = node.ports.routing.expected_wait(tenant.id, &before.queue);
    let new = judge_new_time(&tenant, &before.queue, desired_time, wait, now)?;
    let owner = node.owner_of_new().filter(|_| new.start_at - now < NEAR);
    let slot = Some(new.slot.start);
    let mut after = before.clone();
    let input = Input::Reschedule { desired_time, slot, start_at: new.start_at, owner };
    let effects = after.step(input, now).map_err(|_| RescheduleError::NotReschedulable(before.state))?;
    let Some(change) = facts.change(node, before, &after, &effects) else { return Ok(None) };
    // The very place that was judged, whatever the settings are by now.
    let change = Change { slot_capacity: new.slot.capacity, grid: new.slot.grid, ..change };
    Ok(Some(Draft { after, effects, change }))
}
