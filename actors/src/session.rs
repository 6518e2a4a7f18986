//! One active callback: the shell around [`domain::callback::Callback::step`]. What it hears stands in `inputs`, how a
//! step becomes durable in `step`, what is done outside in `perform`.
//!
//! Started by its tenant, when a callback is booked for now, falls due, is swept up, or an input finds it
//! without a session. Talked to by its tenant, its own tasks and its timer. Restarted by its tenant from the
//! stored row; all that it forgets by that is what was never saved. Ends by itself when nothing is left to do,
//! when the callback is no longer ours, or when its tenant sends it to rest.

mod caller;
mod inputs;
mod perform;
mod step;

use std::sync::Arc;

use domain::callback::{Callback, Canceller, Effect, HandOff, Input, Signal, SubmitOutcome};
use domain::event::ActorKind;
use domain::ids::CallbackId;
use domain::ports::Details;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use crate::live::Grant;
use crate::mailbox::{Address, Meter, Waiting};
use crate::node::{Node, Seat};
use crate::restart::TaskPanicked;
use crate::tenant::{TenantFacts, TenantMsg};
use crate::timers::TimerKey;
pub(crate) use caller::{Answer, Caller, CancelReply, SignalReply, unserved};

/// How often an input is tried because somebody else saved first: more often than a callback changes from its creation
/// to the end of an attempt, so that whoever cancels it on another node is not turned away because its owner is busy
/// with it while commits are slow.
pub(crate) const CONFLICTS: usize = 16;

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
    /// From its tenant: the expected wait has become short.
    WaitShort,
    /// From its tenant: a place in the hand-off budget is held for it.
    PlaceGranted,
    /// From its tenant, when the node is full or drains, or there is no place: end once no call is in flight.
    /// The row knows when somebody has to look again.
    Rest,
    /// From its tenant: somebody else has written the row. Read it and go on from there.
    Changed,
    /// From its own task: what became of a submit.
    SubmitAnswered { attempt: u32, outcome: SubmitOutcome },
    /// From its own task: whether routing closed the register.
    CloseAnswered { done: bool },
    /// From one of its tasks, in place of its answer.
    TaskPanicked,
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
    /// When the machine has to be woken, if the timer comes earlier for a look at the row.
    wanted: Option<Instant>,
    /// Looks at the row since the attempt was submitted.
    looks: u8,
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
            wanted: None,
            looks: 0,
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
        Box::pin(state.handle(&me, message)).await
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
            self.node.short_waits.forget(self.id);
        }
    }
}

impl State {
    async fn handle(&mut self, me: &ActorRef<SessionMsg>, message: SessionMsg) -> Result<(), ActorProcessingErr> {
        match message {
            SessionMsg::Begin => self.on_begin(me).await?,
            SessionMsg::Cancel { by, reply } => self.apply(me, Input::Cancel(by), Caller::Cancel(reply)).await?,
            SessionMsg::Signal { signal, reply } => self.on_signal(me, signal, Caller::Signal(reply)).await?,
            SessionMsg::WaitShort => self.apply(me, Input::WaitShort, Caller::None).await?,
            SessionMsg::PlaceGranted => self.on_place_granted(me).await?,
            SessionMsg::Rest => self.on_rest(me).await?,
            SessionMsg::Changed => self.on_changed(me).await?,
            SessionMsg::SubmitAnswered { attempt, outcome } => self.on_submit_answered(me, attempt, outcome).await?,
            SessionMsg::CloseAnswered { done } => self.on_close_answered(me, done).await?,
            SessionMsg::TaskPanicked => return Err(TaskPanicked.into()),
            SessionMsg::TimerElapsed { wish } => self.on_timer(me, wish).await?,
        }
        Ok(())
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
