//! One active callback: the shell around [`domain::callback::Callback::step`].
//!
//! Started by its tenant, when a callback is booked for now, falls due, is swept up, or an input finds it
//! without a session. Talked to by its tenant, its own tasks and its timer. Restarted by its tenant from the
//! stored row; all that it forgets by that is what was never saved. Ends by itself when nothing is left to do.

mod perform;

use std::sync::Arc;
use std::time::Duration;

use domain::callback::{Callback, Canceller, Effect, Input, Reply, Signal, StepError, SubmitOutcome};
use domain::event::ActorKind;
use domain::ids::{CallbackId, TenantId};
use domain::ports::{CancelError, Details, SaveError, SignalError, StoreError, Unserved};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::{Node, Seat};
use crate::restart::Fault;
use crate::tenant::{TenantFacts, TenantMsg};
use crate::timers::TimerKey;

/// How long a session waits for its own save or read.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// How often an input is tried again because somebody else saved first.
const CONFLICTS: usize = 4;

pub(crate) type CancelReply = oneshot::Sender<Result<(), CancelError>>;
pub(crate) type SignalReply = oneshot::Sender<Result<Reply, SignalError>>;

/// Who waits for what an input brings. An answer that nobody awaits any more is dropped.
pub(crate) enum Caller {
    /// Nobody: our own initiative.
    None,
    /// A cancel from outside.
    Cancel(CancelReply),
    /// A report of routing.
    Signal(SignalReply),
}

impl Caller {
    pub(crate) fn done(self, reply: Reply) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Ok(()))),
            Self::Signal(caller) => drop(caller.send(Ok(reply))),
        }
    }

    pub(crate) fn refused(self, error: StepError) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Err(match error {
                StepError::NotCancellable(state) => CancelError::NotCancellable(state),
                _ => CancelError::Unserved(Unserved::Busy),
            }))),
            Self::Signal(caller) => drop(caller.send(Err(error.into()))),
        }
    }

    pub(crate) fn unserved(self, why: Unserved) {
        match self {
            Self::None => {}
            Self::Cancel(caller) => drop(caller.send(Err(why.into()))),
            Self::Signal(caller) => drop(caller.send(Err(why.into()))),
        }
    }
}

/// What a store error means for whoever waits.
pub(crate) fn unserved(error: &StoreError) -> Unserved {
    match error {
        StoreError::PerhapsDone(_) => Unserved::Perhaps,
        StoreError::NotDone(_) | StoreError::Unreadable(_) => Unserved::Busy,
    }
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
    /// From its own task: what became of a submit.
    SubmitAnswered { attempt: u32, outcome: SubmitOutcome },
    /// From its own task: whether routing closed the register.
    CloseAnswered { done: bool },
    /// From the timer queue: the wish with this number has come. An older number is a wish given up.
    TimerElapsed { wish: u32 },
}

/// With what a session begins.
pub(crate) enum Beginning {
    /// Just booked by this node: the row is known, its effects are still to be performed.
    Booked { callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details> },
    /// From the stored row; `granted` if a place is already held for it.
    Stored { granted: bool },
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
    beginning: Option<Beginning>,
    /// Known from the booking until the first submit; later read from the store.
    details: Option<Box<Details>>,
    /// A place in the hand-off budget is held for it.
    placed: bool,
    /// Number of the latest wish to be woken.
    wish: u32,
    timer: Option<TimerKey>,
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
            beginning: Some(args.beginning),
            details: None,
            placed: false,
            wish: 0,
            timer: None,
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
        match message {
            SessionMsg::Begin => state.on_begin(&me).await?,
            SessionMsg::Cancel { by, reply } => state.apply(&me, Input::Cancel(by), Caller::Cancel(reply)).await?,
            SessionMsg::Signal { signal, reply } => {
                state.apply(&me, Input::Signal(signal), Caller::Signal(reply)).await?;
            }
            SessionMsg::PlaceGranted => state.on_place_granted(&me).await?,
            SessionMsg::SubmitAnswered { attempt, outcome } => state.on_submit_answered(&me, attempt, outcome).await?,
            SessionMsg::CloseAnswered { done } => state.apply(&me, Input::Terminated { done }, Caller::None).await?,
            SessionMsg::TimerElapsed { wish } => state.on_timer(&me, wish).await?,
        }
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(key) = self.timer.take() {
            self.node.timers.cancel(key);
        }
        self.node.live.forget(self.id);
    }
}

impl State {
    async fn on_begin(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        match self.beginning.take() {
            Some(Beginning::Booked { callback, effects, details }) => {
                self.callback = Some(callback);
                self.details = Some(details);
                self.placed = true;
                self.perform(me, effects, Caller::None);
                Ok(())
            }
            Some(Beginning::Stored { granted }) => {
                self.placed = granted;
                if self.reload(me).await? { self.resume(me).await } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Performs the effects of entering the stored state again.
    async fn resume(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        if let Some(attempt) = (!callback.needs_place()).then_some(callback.attempt) {
            self.free_place(false);
            if callback_is_accepted(self.callback.as_deref()) {
                self.node.live.open(self.id, attempt, self.node.now());
            }
            return self.tick(me).await;
        }
        if self.placed {
            self.begin_attempt(me).await
        } else {
            self.tenant.hint(TenantMsg::PlaceWanted { id: self.id, queue: callback.queue.clone() });
            Ok(())
        }
    }

    async fn begin_attempt(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let lead = self.facts.lead(&self.node, callback);
        self.apply(me, Input::Start { lead }, Caller::None).await
    }

    async fn on_place_granted(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        self.placed = true;
        if self.callback.is_none() && !self.reload(me).await? {
            return Ok(());
        }
        if self.callback.as_ref().is_some_and(|callback| callback.needs_place()) {
            self.begin_attempt(me).await
        } else {
            self.free_place(false);
            Ok(())
        }
    }

    async fn on_submit_answered(
        &mut self,
        me: &ActorRef<SessionMsg>,
        attempt: u32,
        outcome: SubmitOutcome,
    ) -> Result<(), Fault> {
        if matches!(outcome, SubmitOutcome::NotDone | SubmitOutcome::Perhaps)
            && let Some(callback) = &self.callback
        {
            self.tenant.hint(TenantMsg::OutageSeen { queue: callback.queue.clone() });
        }
        self.apply(me, Input::Submitted { attempt, outcome }, Caller::None).await
    }

    async fn on_timer(&mut self, me: &ActorRef<SessionMsg>, wish: u32) -> Result<(), Fault> {
        if wish != self.wish {
            return Ok(());
        }
        self.timer = None;
        if self.callback.is_none() {
            return if self.reload(me).await? { self.resume(me).await } else { Ok(()) };
        }
        self.tick(me).await
    }

    async fn tick(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let input = Input::Tick { heard_at: self.node.live.heard_at(self.id), ping_from: self.node.ping_from() };
        self.apply(me, input, Caller::None).await
    }

    /// Steps, saves and performs one input. A lost race reads the row again and steps anew.
    async fn apply(&mut self, me: &ActorRef<SessionMsg>, input: Input, caller: Caller) -> Result<(), Fault> {
        for _ in 0..CONFLICTS {
            if self.callback.is_none() && !self.reload(me).await? {
                caller.unserved(Unserved::Busy);
                return Ok(());
            }
            let Some(callback) = &self.callback else { break };
            let mut next = callback.clone();
            let effects = match next.step(input.clone(), self.node.now()) {
                Ok(effects) => effects,
                Err(refused) => {
                    self.on_refused_start(me, &input, &refused);
                    caller.refused(refused);
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
                    self.note_saved(callback_before(&self.callback), &next, &effects);
                    self.callback = Some(next);
                    self.perform(me, effects, caller);
                    return Ok(());
                }
                Ok(Err(SaveError::Conflict | SaveError::SlotFull)) => self.callback = None,
                Ok(Err(SaveError::NotFound)) => {
                    caller.unserved(Unserved::NotFound);
                    me.stop(None);
                    return Ok(());
                }
                Ok(Err(SaveError::Store(StoreError::Unreadable(why)))) => {
                    caller.unserved(Unserved::Busy);
                    return Err(Fault(format!("cannot save callback {}: {why}", self.id)));
                }
                Ok(Err(SaveError::Store(error))) => return Ok(self.on_outage(me, caller, unserved(&error))),
                Err(_) => return Ok(self.on_outage(me, caller, Unserved::Perhaps)),
            }
        }
        caller.unserved(Unserved::Busy);
        self.look_again_later(me);
        Ok(())
    }

    /// A start that came too early (the wait shrank meanwhile): the place goes back and the scheduler waits.
    fn on_refused_start(&mut self, me: &ActorRef<SessionMsg>, input: &Input, refused: &StepError) {
        if let (Input::Start { .. }, StepError::Early(_)) = (input, refused) {
            self.free_place(false);
            me.stop(None);
        }
    }

    /// An outage is not a failure: what is known may be wrong now, so it is dropped and read again later.
    fn on_outage(&mut self, me: &ActorRef<SessionMsg>, caller: Caller, why: Unserved) {
        self.callback = None;
        caller.unserved(why);
        self.look_again_later(me);
    }

    /// Reads the row. False if there is nothing to go on with: the session ends, or looks again later.
    async fn reload(&mut self, me: &ActorRef<SessionMsg>) -> Result<bool, Fault> {
        let tenant: TenantId = self.facts.tenant.id;
        let read = async {
            let _turn = self.node.reloads.acquire().await;
            self.node.ports.callbacks.load(tenant, self.id).await
        };
        match timeout(STORE_DEADLINE, read).await {
            Ok(Ok(Some(callback))) if callback.owner == Some(self.node.me) || callback.owner.is_none() => {
                self.callback = Some(Box::new(callback));
                Ok(true)
            }
            // Gone, or another node's now.
            Ok(Ok(_)) => {
                me.stop(None);
                Ok(false)
            }
            Ok(Err(StoreError::Unreadable(why))) => Err(Fault(format!("cannot read callback {}: {why}", self.id))),
            Ok(Err(_)) | Err(_) => {
                self.look_again_later(me);
                Ok(false)
            }
        }
    }
}

fn callback_is_accepted(callback: Option<&Callback>) -> bool {
    callback.is_some_and(|callback| callback.hand_off == domain::callback::HandOff::Accepted)
}

fn callback_before(callback: &Option<Box<Callback>>) -> Option<&Callback> {
    callback.as_deref()
}
