//! One active callback: the shell around [`domain::callback::Callback::step`].
//!
//! Started by its tenant, when a callback is booked for now, falls due, is swept up, or an input finds it
//! without a session. Talked to by its tenant, its own tasks and its timer. Restarted by its tenant from the
//! stored row; all that it forgets by that is what was never saved. Ends by itself when nothing is left to do,
//! when the callback is no longer ours, or when its tenant sends it to rest.

mod caller;
mod perform;
pub(crate) mod task;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Canceller, Effect, HandOff, Input, Signal, StepError, SubmitOutcome};
use domain::event::ActorKind;
use domain::ids::CallbackId;
use domain::ports::{Details, Due, SaveError, StoreError, Unserved};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::timeout;

use crate::live::Grant;
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::{Node, Seat};
use crate::restart::Fault;
use crate::scheduler::SchedulerMsg;
use crate::tenant::bystander::{self, due_of};
use crate::tenant::{TenantFacts, TenantMsg};
use crate::timers::TimerKey;
pub(crate) use caller::{Answer, Caller, CancelReply, SignalReply, unserved};
use task::Panic;

/// How long a session waits for its own save or read.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// How often an input is tried again because somebody else saved first.
pub(crate) const CONFLICTS: usize = 4;
/// Sessions that are brought back with an accepted attempt ask after it at a moment of their own within this
/// time and the machine's own jitter (4 to 20 s): within a minute in all.
const ASK_WITHIN_MS: u64 = 40_000;

/// To whom the current attempt of a callback is granted, while it is active.
pub(crate) fn grant_of(callback: &Callback) -> Option<Grant> {
    let granted = callback.hand_off == HandOff::Accepted && callback.state.is_active();
    granted.then(|| Grant { tenant: callback.tenant, attempt: callback.attempt, session: callback.session.clone() })
}

/// Messages to a session.
pub(crate) enum SessionMsg {
    /// From itself, first of all: begin with what it was started with.
    Begin,
    /// From its tenant: somebody cancels. Answered in any case.
    Cancel { by: Canceller, reply: CancelReply },
    /// From its tenant: routing reports. Answered in any case.
    Signal { signal: Signal, reply: SignalReply },
    /// From its tenant: a place in the hand-off budget is held for it.
    PlaceGranted,
    /// From its tenant, when the node is full or drains, or there is no place: end once no call is in flight.
    /// The row knows when somebody has to look again.
    Rest,
    /// From its own task: what became of a submit.
    SubmitAnswered { attempt: u32, outcome: SubmitOutcome },
    /// From its own task: whether routing closed the register.
    CloseAnswered { done: bool },
    /// From its own task: the call panicked. The panic goes on here, for the supervisor to judge.
    CallPanicked { panic: Panic },
    /// From the timer queue: the wish with this number has come. An older number is a wish given up.
    TimerElapsed { wish: u32 },
}

/// With what a session begins.
pub(crate) enum Beginning {
    /// Just booked by this node: the row is known, its effects are still to be performed.
    Booked { callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details> },
    /// From the stored row; `granted` if a place is already held for it.
    Stored { granted: bool },
    /// An input found our callback without a session, and has read its row.
    Found { callback: Box<Callback>, input: Box<Input>, caller: Caller },
}

/// Everything a session is started with.
pub(crate) struct SessionArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) facts: Arc<TenantFacts>,
    pub(crate) tenant: Address<TenantMsg>,
    pub(crate) id: CallbackId,
    pub(crate) beginning: Beginning,
    pub(crate) seat: Seat,
    pub(crate) waiting: Waiting,
}

/// State of a session. Kept small: there may be 100,000 of them.
pub(crate) struct State {
    node: Arc<Node>,
    facts: Arc<TenantFacts>,
    tenant: Address<TenantMsg>,
    id: CallbackId,
    /// The row as last read or saved; none after an outage, until it is read again.
    callback: Option<Box<Callback>>,
    beginning: Option<Box<Beginning>>,
    /// Known from the booking until the first submit; later read from the store.
    details: Option<Box<Details>>,
    timer: Option<TimerKey>,
    /// Number of the latest wish to be woken.
    wish: u32,
    /// Outward calls that have not been answered.
    in_flight: u16,
    /// A place in the hand-off budget is held for it.
    placed: bool,
    /// Ends once nothing is in flight.
    resting: bool,
    meter: Meter,
    _seat: Seat,
}

/// What reading the row brought.
enum Reloaded {
    /// It is known and ours.
    Ours,
    /// It is gone, settled, parked or another node's: the session ends.
    NotOurs,
    /// The store did not answer: the session looks again later.
    Later,
}

/// The actor.
pub(crate) struct SessionActor;

impl Actor for SessionActor {
    type Msg = SessionMsg;
    type State = State;
    type Arguments = SessionArgs;

    async fn pre_start(&self, me: ActorRef<SessionMsg>, args: SessionArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Session, args.node.ports.observer.clone(), args.waiting);
        meter.address(&me).hint(SessionMsg::Begin);
        Ok(State {
            node: args.node,
            facts: args.facts,
            tenant: args.tenant,
            id: args.id,
            callback: None,
            beginning: Some(Box::new(args.beginning)),
            details: None,
            timer: None,
            wish: 0,
            in_flight: 0,
            placed: false,
            resting: false,
            meter,
            _seat: args.seat,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<SessionMsg>,
        message: SessionMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        // On the heap only while a message is handled: inline it would be a part of every waiting session's task.
        Box::pin(state.handle(&me, message)).await?;
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(key) = self.timer.take() {
            self.node.timers.cancel(key);
        }
        // Set aside with a granted attempt, its reports still count.
        let set_aside = self.resting && self.callback.as_deref().and_then(grant_of).is_some();
        if !set_aside {
            self.node.live.forget(self.id);
        }
    }
}

impl State {
    async fn handle(&mut self, me: &ActorRef<SessionMsg>, message: SessionMsg) -> Result<(), Fault> {
        match message {
            SessionMsg::Begin => self.on_begin(me).await?,
            SessionMsg::Cancel { by, reply } => self.apply(me, Input::Cancel(by), Caller::Cancel(reply)).await?,
            SessionMsg::Signal { signal, reply } => self.on_signal(me, signal, Caller::Signal(reply)).await?,
            SessionMsg::PlaceGranted => self.on_place_granted(me).await?,
            SessionMsg::Rest => self.on_rest(me),
            SessionMsg::SubmitAnswered { attempt, outcome } => self.on_submit_answered(me, attempt, outcome).await?,
            SessionMsg::CloseAnswered { done } => self.on_close_answered(me, done).await?,
            SessionMsg::CallPanicked { panic } => std::panic::resume_unwind(panic),
            SessionMsg::TimerElapsed { wish } => self.on_timer(me, wish).await?,
        }
        Ok(())
    }

    async fn on_begin(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(beginning) = self.beginning.take() else { return Ok(()) };
        match *beginning {
            Beginning::Booked { callback, effects, details } => {
                self.callback = Some(callback);
                self.details = Some(details);
                self.placed = true;
                self.perform(me, effects, Caller::None);
                Ok(())
            }
            Beginning::Stored { granted } => {
                self.placed = granted;
                self.reload_and_resume(me).await
            }
            Beginning::Found { callback, input, caller } => {
                self.callback = Some(callback);
                self.follow(None);
                match *input {
                    Input::Signal(signal) => self.on_signal(me, signal, caller).await?,
                    input => self.apply(me, input, caller).await?,
                }
                // An input that changed nothing has not said either when to look next.
                if self.timer.is_none() { self.resume(me).await } else { Ok(()) }
            }
        }
    }

    async fn reload_and_resume(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        match self.reload(me).await? {
            Reloaded::Ours => self.resume(me).await,
            Reloaded::NotOurs | Reloaded::Later => Ok(()),
        }
    }

    /// Performs the effects of entering the stored state again.
    async fn resume(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        if callback.needs_place() {
            if self.placed {
                return self.begin_attempt(me).await;
            }
            self.want_place(me);
            return Ok(());
        }
        self.follow(None);
        let spread = self.spread(ASK_WITHIN_MS);
        let ping_from = self.node.ping_from().max(self.node.now() + spread);
        self.tick(me, ping_from).await
    }

    async fn begin_attempt(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let lead = self.facts.lead(&self.node, &callback.queue);
        self.apply(me, Input::Start { lead }, Caller::None).await
    }

    async fn on_place_granted(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        if std::mem::replace(&mut self.placed, true) {
            return Ok(());
        }
        if self.callback.is_none() {
            return self.reload_and_resume(me).await;
        }
        if self.callback.as_ref().is_some_and(|callback| callback.needs_place()) {
            self.begin_attempt(me).await
        } else {
            self.free_place(me, false);
            Ok(())
        }
    }

    /// A report of the granted session counts as heard, whatever else it says.
    async fn on_signal(&mut self, me: &ActorRef<SessionMsg>, signal: Signal, caller: Caller) -> Result<(), Fault> {
        let heard = signal.clone();
        self.apply(me, Input::Signal(signal), caller).await?;
        self.node.live.hear(self.id, self.facts.id, &heard, self.node.now());
        Ok(())
    }

    fn on_rest(&mut self, me: &ActorRef<SessionMsg>) {
        self.resting = true;
        self.rest_if_idle(me);
    }

    async fn on_submit_answered(
        &mut self,
        me: &ActorRef<SessionMsg>,
        attempt: u32,
        outcome: SubmitOutcome,
    ) -> Result<(), Fault> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let outage = matches!(outcome, SubmitOutcome::NotDone | SubmitOutcome::Perhaps);
        self.apply(me, Input::Submitted { attempt, outcome }, Caller::None).await?;
        if outage && self.placed {
            self.tenant.hint(TenantMsg::OutageSeen { session: me.get_id(), id: self.id });
        }
        self.rest_if_idle(me);
        Ok(())
    }

    async fn on_close_answered(&mut self, me: &ActorRef<SessionMsg>, done: bool) -> Result<(), Fault> {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.apply(me, Input::Terminated { done }, Caller::None).await?;
        self.rest_if_idle(me);
        Ok(())
    }

    async fn on_timer(&mut self, me: &ActorRef<SessionMsg>, wish: u32) -> Result<(), Fault> {
        if wish != self.wish {
            return Ok(());
        }
        self.timer = None;
        if self.callback.is_none() {
            return self.reload_and_resume(me).await;
        }
        self.tick(me, self.node.ping_from()).await
    }

    async fn tick(&mut self, me: &ActorRef<SessionMsg>, ping_from: DateTime<Utc>) -> Result<(), Fault> {
        let input = Input::Tick { heard_at: self.node.live.heard_at(self.id), ping_from };
        self.apply(me, input, Caller::None).await
    }

    /// Steps, saves and performs one input. A lost race reads the row again and steps anew.
    async fn apply(&mut self, me: &ActorRef<SessionMsg>, input: Input, caller: Caller) -> Result<(), Fault> {
        for _ in 0..CONFLICTS {
            if self.callback.is_none() {
                match self.reload(me).await? {
                    Reloaded::Ours => {}
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
                Err(refused) => {
                    self.on_refused_start(me, &refused);
                    caller.answer(Err(refused));
                    return Ok(());
                }
            };
            let Some(change) = self.facts.change(&self.node, callback, &next, &effects) else {
                self.callback = Some(next);
                self.perform(me, effects, caller);
                return Ok(());
            };
            match timeout(STORE_DEADLINE, self.node.ports.callbacks.save(change)).await {
                Ok(Ok(())) => {
                    self.note_saved(&next, &effects);
                    self.callback = Some(next);
                    self.perform(me, effects, caller);
                    return Ok(());
                }
                Ok(Err(SaveError::Conflict | SaveError::SlotFull)) => self.callback = None,
                Ok(Err(SaveError::NotFound)) => {
                    caller.unserved(Unserved::NotFound);
                    self.end(me);
                    return Ok(());
                }
                Ok(Err(SaveError::Store(StoreError::Unreadable(why)))) => {
                    caller.unserved(Unserved::Busy);
                    return Err(Fault(format!("cannot save callback {}: {why}", self.id)));
                }
                Ok(Err(SaveError::Store(error))) => {
                    self.on_outage(me, caller, unserved(&error));
                    return Ok(());
                }
                Err(_) => {
                    self.on_outage(me, caller, Unserved::Perhaps);
                    return Ok(());
                }
            }
        }
        self.on_outage(me, caller, Unserved::Busy);
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

    async fn reload(&mut self, me: &ActorRef<SessionMsg>) -> Result<Reloaded, Fault> {
        let read = async {
            let _turn = self.node.reloads.acquire().await;
            self.node.ports.callbacks.load(self.facts.id, self.id).await
        };
        match timeout(STORE_DEADLINE, read).await {
            Ok(Ok(Some(callback))) if callback.owner == Some(self.node.me) && callback.wake_at.is_some() => {
                self.callback = Some(Box::new(callback));
                Ok(Reloaded::Ours)
            }
            Ok(Ok(_)) => {
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
    fn end(&self, me: &ActorRef<SessionMsg>) {
        drop(me.drain());
    }

    fn rest_if_idle(&self, me: &ActorRef<SessionMsg>) {
        if self.resting && self.in_flight == 0 {
            self.end(me);
        }
    }

    /// A pause of this callback's own, below `limit_ms`, other each time it wishes to be woken.
    fn spread(&self, limit_ms: u64) -> TimeDelta {
        let low = u64::try_from(self.id.as_uuid().as_u128() & u128::from(u64::MAX)).unwrap_or_default();
        let mixed = (low ^ u64::from(self.wish)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        TimeDelta::milliseconds(i64::try_from(mixed % limit_ms.max(1)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is ours per session is mostly this: the state, and the callback that it boxes.
    #[test]
    fn a_session_stays_small() {
        let (state, callback) = (size_of::<State>(), size_of::<Callback>());
        assert!(state + callback <= 400, "{state} + {callback} bytes");
        assert!(size_of::<SessionMsg>() <= 160, "{} bytes", size_of::<SessionMsg>());
    }
}
