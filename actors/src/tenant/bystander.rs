//! Steps of a callback that has no session here: load, step, save, answer. What an input leaves to do is left
//! to the owner, by making the row due; if that is this node, its tenant goes on at once.

use std::time::Duration;

use domain::callback::{Callback, Effect, HandOff, Input, Reply, State as CallbackState};
use domain::ids::CallbackId;
use domain::ports::{Due, SaveError, StoreError, Unserved};
use tokio::time::timeout;

use super::{TenantFacts, TenantMsg};
use crate::mailbox::{Address, Gone};
use crate::node::Node;
use crate::session::{Answer, CONFLICTS, Caller, grant_of, unserved};

/// Both reading and saving together.
const DEADLINE: Duration = Duration::from_secs(6);

/// Applies an input of somebody else to a callback that this node may not own. Answers `caller` in any case.
pub(crate) async fn step(node: &Node, facts: &TenantFacts, id: CallbackId, input: Input, caller: Caller) {
    match timeout(DEADLINE, try_step(node, facts, id, &input, None)).await {
        Ok(Ok(stepped)) => caller.answer(stepped.answer),
        Ok(Err(why)) => caller.unserved(why),
        Err(_) => caller.unserved(Unserved::Perhaps),
    }
}

/// As [`step`], for the tenant: one of its own callbacks with an attempt under way is handed back to it for a
/// session, and whatever else of its own has to go on at once is made known to it.
pub(super) async fn find_and_step(
    node: &Node,
    facts: &TenantFacts,
    tenant: &Address<TenantMsg>,
    id: CallbackId,
    input: Input,
    caller: Caller,
) {
    let work = async {
        let callback = read(node, facts, id).await?;
        if wants_session(node, &callback) {
            return Ok(Found::ForSession(Box::new(callback)));
        }
        try_step(node, facts, id, &input, Some(callback)).await.map(Found::Stepped)
    };
    match timeout(DEADLINE, work).await {
        Ok(Ok(Found::Stepped(stepped))) => {
            caller.answer(stepped.answer);
            if let Some(due) = stepped.due {
                tenant.hint(TenantMsg::Work { due: vec![due] });
            }
        }
        Ok(Ok(Found::ForSession(callback))) => {
            let found = TenantMsg::Found { callback, input: Box::new(input), caller };
            if let Err(Gone(Some(TenantMsg::Found { caller, .. }))) = tenant.send(found) {
                caller.unserved(Unserved::Busy);
            }
        }
        Ok(Err(why)) => caller.unserved(why),
        Err(_) => caller.unserved(Unserved::Perhaps),
    }
}

/// Puts off or gives up one of this node's own scheduled callbacks. Returns when it has to be looked at next.
/// Whatever does not succeed is still due and comes back by the sweep.
pub(super) async fn put_off(node: &Node, facts: &TenantFacts, due: Due, input: Input) -> Option<Due> {
    match timeout(DEADLINE, try_put_off(node, facts, due, input)).await {
        Ok(Ok(due)) => due,
        Ok(Err(_)) | Err(_) => None,
    }
}

async fn try_put_off(node: &Node, facts: &TenantFacts, due: Due, input: Input) -> Result<Option<Due>, Unserved> {
    let before = read(node, facts, due.id).await?;
    if before.owner != Some(node.me) || before.state != CallbackState::Scheduled || before.wake_at.is_none() {
        return Ok(None);
    }
    // The scheduler and the sweep may both have found it due: whoever is second finds it put off.
    // One that was moved meanwhile was not judged yet.
    let moved = before.desired_time != due.desired_time;
    if moved || before.wake_at.is_some_and(|wake_at| wake_at > node.now()) {
        return Ok(due_of(&before));
    }
    // Putting off ends where the callback's life does.
    let input = if node.now() >= before.expires_at { Input::Expire } else { input };
    let mut after = before.clone();
    let Ok(effects) = after.step(input, node.now()) else { return Ok(None) };
    let Some(change) = facts.change(node, &before, &after, &effects) else { return Ok(None) };
    match facts.save(node, change).await {
        Ok(()) => {
            facts.note_saved(node, &before, &after, &effects);
            Ok(due_of(&after).filter(|due| due.state == CallbackState::Scheduled))
        }
        Err(SaveError::Store(error)) => Err(store_failed(&error)),
        Err(SaveError::Conflict | SaveError::NotFound | SaveError::SlotFull) => Ok(None),
    }
}

/// What there is to do about a callback, and when; none if nothing is.
pub(crate) fn due_of(callback: &Callback) -> Option<Due> {
    Some(Due {
        id: callback.id,
        tenant: callback.tenant,
        queue: callback.queue.clone(),
        state: callback.state,
        desired_time: callback.desired_time,
        wake_at: callback.wake_at?,
        needs_place: callback.needs_place(),
    })
}

/// An attempt of ours is under way: more reports will come, and a session answers them from memory.
fn wants_session(node: &Node, callback: &Callback) -> bool {
    callback.owner == Some(node.me)
        && callback.wake_at.is_some()
        && callback.state.is_active()
        && callback.hand_off != HandOff::Idle
        && node.free_seats() > 0
        && !node.is_draining()
}

/// What became of an input whose callback was looked for.
enum Found {
    /// It was applied or refused.
    Stepped(Stepped),
    /// A session shall apply it to this row.
    ForSession(Box<Callback>),
}

struct Stepped {
    answer: Answer,
    /// Ours, and to be worked on at once.
    due: Option<Due>,
}

pub(super) fn store_failed(error: &StoreError) -> Unserved {
    if let StoreError::Unreadable(why) = error {
        tracing::error!(why, "a callback cannot be read");
    }
    unserved(error)
}

pub(super) async fn read(node: &Node, facts: &TenantFacts, id: CallbackId) -> Result<Callback, Unserved> {
    let row = node.ports.callbacks.load(facts.id, id).await.map_err(|error| store_failed(&error))?;
    row.ok_or(Unserved::NotFound)
}

/// `known` is the row if it was read just now.
async fn try_step(
    node: &Node,
    facts: &TenantFacts,
    id: CallbackId,
    input: &Input,
    mut known: Option<Callback>,
) -> Result<Stepped, Unserved> {
    for _ in 0..CONFLICTS {
        let before = match known.take() {
            Some(callback) => callback,
            None => read(node, facts, id).await?,
        };
        let mut after = before.clone();
        let effects = match after.step(input.clone(), node.now()) {
            Ok(effects) => effects,
            Err(error) => return Ok(Stepped { answer: Err(error), due: None }),
        };
        let answer = effects.iter().find_map(answer_in);
        let ours = before.owner == Some(node.me);
        let left = effects.iter().any(Effect::is_work);
        // Of our own it is a session that does the work, as soon as there is room for one.
        let effects = after.leave_to_owner(effects, node.now());
        let Some(change) = facts.change(node, &before, &after, &effects) else {
            if !ours {
                node.hear_for_owner(&after, input);
            }
            return Ok(Stepped { answer: answer.unwrap_or(Ok(Reply::Repeated)), due: None });
        };
        match facts.save(node, change).await {
            Ok(()) => {
                facts.note_saved(node, &before, &after, &effects);
                if !ours {
                    node.tell_owner(&before, &after, left);
                }
                if grant_of(&after).is_none() {
                    node.live.forget(id);
                }
                if !after.waits_for_short_wait() {
                    node.short_waits.forget(id);
                }
                let due = if ours && left { due_of(&after) } else { None };
                return Ok(Stepped { answer: answer.unwrap_or(Ok(Reply::Done)), due });
            }
            Err(SaveError::Conflict | SaveError::SlotFull) => {}
            Err(SaveError::NotFound) => return Err(Unserved::NotFound),
            Err(SaveError::Store(error)) => return Err(store_failed(&error)),
        }
    }
    Err(Unserved::Busy)
}

fn answer_in(effect: &Effect) -> Option<Answer> {
    match effect {
        Effect::Reply(reply) => Some(Ok(*reply)),
        Effect::Refuse(error) => Some(Err(error.clone())),
        _ => None,
    }
}
