//! One step of a callback that has no session here: load, step, save, answer. Whatever is left to do is left
//! to the owner, by making the row due.

use std::time::Duration;

use domain::callback::{Input, Reply};
use domain::ids::CallbackId;
use domain::ports::{SaveError, StoreError, Unserved};
use tokio::time::timeout;

use super::TenantFacts;
use crate::node::Node;
use crate::session::{Caller, unserved};

/// Both reading and saving together.
const DEADLINE: Duration = Duration::from_secs(6);
/// How often the step is tried again because somebody else saved first.
const CONFLICTS: usize = 4;

pub(super) async fn step(node: &Node, facts: &TenantFacts, id: CallbackId, input: Input, caller: Caller) {
    match timeout(DEADLINE, try_step(node, facts, id, input)).await {
        Ok(Ok(reply)) => caller.done(reply),
        Ok(Err(Problem::Refused(error))) => caller.refused(error),
        Ok(Err(Problem::Unserved(why))) => caller.unserved(why),
        Err(_) => caller.unserved(Unserved::Perhaps),
    }
}

enum Problem {
    Refused(domain::callback::StepError),
    Unserved(Unserved),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::Unreadable(why) = &error {
            tracing::error!(why, "a callback cannot be read");
        }
        Self::Unserved(unserved(&error))
    }
}

async fn try_step(node: &Node, facts: &TenantFacts, id: CallbackId, input: Input) -> Result<Reply, Problem> {
    for _ in 0..CONFLICTS {
        let before = node.ports.callbacks.load(facts.tenant.id, id).await?.ok_or(Problem::Unserved(Unserved::NotFound))?;
        let mut after = before.clone();
        let effects = after.step(input.clone(), node.now()).map_err(Problem::Refused)?;
        let reply = effects.iter().find_map(|effect| match effect {
            domain::callback::Effect::Reply(reply) => Some(*reply),
            _ => None,
        });
        let effects = after.leave_to_owner(effects, node.now());
        let Some(change) = facts.change(node, &before, &after, &effects) else {
            return Ok(reply.unwrap_or(Reply::Repeated));
        };
        match node.ports.callbacks.save(change).await {
            Ok(()) => {
                facts.note_saved(node, &effects);
                return Ok(reply.unwrap_or(Reply::Done));
            }
            Err(SaveError::Conflict | SaveError::SlotFull) => {}
            Err(SaveError::NotFound) => return Err(Problem::Unserved(Unserved::NotFound)),
            Err(SaveError::Store(error)) => return Err(error.into()),
        }
    }
    Err(Problem::Unserved(Unserved::Busy))
}
