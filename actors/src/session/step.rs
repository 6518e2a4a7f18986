//! From an input to a saved step: the one loop in which a session changes its callback, and what follows where the row
//! turns out to be another than was known.

use std::time::Duration;

use domain::callback::{Callback, Effect, HandOff, Input, StepError};
use domain::ports::{Due, SaveError, StoreError, Unserved};
use ractor::ActorRef;
use tokio::time::timeout;

use super::{CONFLICTS, Caller, SessionMsg, State, unserved};
use crate::restart::Fault;
use crate::scheduler::SchedulerMsg;
use crate::task;
use crate::tenant::TenantMsg;
use crate::tenant::bystander::{self, due_of};

/// How long a session waits for its own save or read.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// What reading the row brought.
pub(super) enum Reloaded {
    /// It is known and ours.
    Ours,
    /// It is gone, settled, parked or another node's: the session ends.
    NotOurs,
    /// The store did not answer: the session looks again later.
    Later,
}

/// How what is known of the row came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// By steps of this session, or by reading it before.
    FromEarlier,
    /// It was read for this very step.
    JustRead,
}

impl State {
    /// Steps, saves and performs one input. A lost race reads the row again and steps anew; and what somebody is refused
    /// is refused by the row as it is: another node may have taken steps that are not known here.
    pub(super) async fn apply(&mut self, me: &ActorRef<SessionMsg>, input: Input, caller: Caller) -> Result<(), Fault> {
        let mut known = Known::FromEarlier;
        for _ in 0..CONFLICTS {
            if self.callback.is_none() {
                match self.reload(me).await? {
                    Reloaded::Ours => known = Known::JustRead,
                    Reloaded::NotOurs => {
                        self.pass_on(input, caller);
                        return Ok(());
                    }
                    Reloaded::Later => {
                        caller.unserved(Unserved::Busy);
                        return Ok(());
                    }
                }
            }
            let Some(callback) = &self.callback else { break };
            let mut next = callback.clone();
            let effects = match next.step(input.clone(), self.node.now()) {
                Ok(effects) => effects,
                Err(_) if known == Known::FromEarlier && !matches!(caller, Caller::None) => {
                    self.callback = None;
                    continue;
                }
                Err(refused) => {
                    self.on_refused_start(me, &refused);
                    caller.answer(Err(refused));
                    return Ok(());
                }
            };
            match self.save(&next, &effects).await {
                Ok(()) => {
                    self.callback = Some(next);
                    self.perform(me, effects, caller);
                    return Ok(());
                }
                Err(SaveError::Conflict | SaveError::SlotFull) => self.callback = None,
                Err(SaveError::NotFound) => {
                    caller.unserved(Unserved::NotFound);
                    self.end(me);
                    return Ok(());
                }
                Err(SaveError::Store(StoreError::Unreadable(why))) => {
                    caller.unserved(Unserved::Busy);
                    return Err(Fault(format!("cannot save callback {}: {why}", self.id)));
                }
                Err(SaveError::Store(error)) => {
                    self.on_outage(me, caller, unserved(&error));
                    return Ok(());
                }
            }
        }
        self.on_outage(me, caller, Unserved::Busy);
        Ok(())
    }

    /// Saves the step from what is known to `next`, if there is anything to save.
    async fn save(&self, next: &Callback, effects: &[Effect]) -> Result<(), SaveError> {
        let Some(before) = &self.callback else { return Err(SaveError::Conflict) };
        let Some(change) = self.facts.change(&self.node, before, next, effects) else { return Ok(()) };
        let saved = timeout(STORE_DEADLINE, self.facts.save(&self.node, change)).await;
        saved.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the save took too long".into()).into()))?;
        self.note_saved(next, effects);
        Ok(())
    }

    /// An input whose callback turned out not to be ours is judged beside its owner. Our own initiatives end here.
    fn pass_on(&self, input: Input, caller: Caller) {
        if matches!(caller, Caller::None) {
            return;
        }
        let (node, facts, id) = (self.node.clone(), self.facts.clone(), self.id);
        let work = async move { bystander::step(&node, &facts, id, input, caller).await };
        task::spawn(&self.node, "a step beside the owner", work);
    }

    /// A start that came too early (the wait shrank meanwhile): the place goes back, and the scheduler wakes it.
    fn on_refused_start(&mut self, me: &ActorRef<SessionMsg>, refused: &StepError) {
        let StepError::Early(start_at) = refused else { return };
        if let Some(due) = self.callback.as_deref().and_then(due_of) {
            let due = Due { wake_at: *start_at, ..due };
            self.node.scheduler.hint(SchedulerMsg::Claimed { due: vec![due] });
        }
        self.free_place(me, false);
        self.end(me);
    }

    /// An outage is not a failure: what is known may be wrong now, so it is dropped and read again later.
    fn on_outage(&mut self, me: &ActorRef<SessionMsg>, caller: Caller, why: Unserved) {
        self.callback = None;
        caller.unserved(why);
        self.look_again_later(me);
    }

    pub(super) async fn reload(&mut self, me: &ActorRef<SessionMsg>) -> Result<Reloaded, Fault> {
        let read = async {
            let _turn = self.node.reloads.acquire().await;
            self.node.ports.callbacks.load(self.facts.id, self.id).await
        };
        match timeout(STORE_DEADLINE, read).await {
            Ok(Ok(Some(callback))) if callback.owner == Some(self.node.me) && callback.wake_at.is_some() => {
                self.callback = Some(Box::new(callback));
                Ok(Reloaded::Ours)
            }
            Ok(Ok(row)) => {
                if let Some(row) = row.filter(|row| self.placed && row.hand_off == HandOff::Accepted) {
                    self.tenant.hint(TenantMsg::RoutingAccepts { queue: row.queue });
                }
                self.end(me);
                Ok(Reloaded::NotOurs)
            }
            Ok(Err(StoreError::Unreadable(why))) => Err(Fault(format!("cannot read callback {}: {why}", self.id))),
            Ok(Err(_)) | Err(_) => {
                self.look_again_later(me);
                Ok(Reloaded::Later)
            }
        }
    }

    /// Ends after the messages that are waiting already, for their senders wait for answers.
    pub(super) fn end(&self, me: &ActorRef<SessionMsg>) {
        drop(me.drain());
    }
}
