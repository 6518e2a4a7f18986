//! One tenant: judges its bookings, keeps the hand-off budget of its queues, and supervises the sessions of
//! its active callbacks.
//!
//! Started by the tenants' supervisor. Talked to by the desk, the scheduler and the sweep (through that
//! supervisor) and its own sessions. When it dies its sessions die with it; their rows are due sooner or
//! later and the sweep brings them back. Nothing here is awaited but the start of a session: bookings and
//! steps of callbacks without a session run in tasks that own the caller's reply port.

mod booking;
mod budget;
pub(crate) mod bystander;
mod captcha;
mod children;
pub(crate) mod draft;
mod facts;
mod moves;
mod recount;
mod work;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::callback::{Callback, Canceller, Effect, Input, NewCallback, Signal};
use domain::event::{ActorKind, Event};
use domain::explain::{Place, Whereabouts};
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Details, Due, SubmitError, Submitted, Unserved};
use domain::tenant::Tenant;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Semaphore, oneshot};

use crate::mailbox::{Address, Gone, Meter, Waiting};
use crate::node::Node;
use crate::session::{Beginning, Caller, CancelReply, SessionMsg, SignalReply};
use crate::task;
pub(crate) use booking::{GRID_PAUSE, GRID_TRIES, counted, slot_full};
use budget::Budgets;
use captcha::{Pass, Tokens};
use children::Children;
pub(crate) use facts::TenantFacts;
pub(crate) use moves::RescheduleReply;
pub(crate) use recount::Counted;
use recount::Counting;

pub(crate) type SubmitReply = oneshot::Sender<Result<Submitted, SubmitError>>;

/// Messages to a tenant.
pub(crate) enum TenantMsg {
    /// From the desk: judge and keep a booking. Answered in any case.
    Submit { new: Box<NewCallback>, reply: SubmitReply },
    /// From its own task: the captcha of this booking is good. Answered in any case.
    Checked { new: Box<NewCallback>, pass: Pass, reply: SubmitReply },
    /// From the desk. Answered in any case.
    Reschedule { id: CallbackId, desired_time: DateTime<Utc>, reply: RescheduleReply },
    /// From the desk. Answered in any case.
    Cancel { id: CallbackId, by: Canceller, reply: CancelReply },
    /// From the desk. Answered in any case.
    Signal { id: CallbackId, signal: Signal, reply: SignalReply },
    /// From the desk and the notifier: the expected wait of this callback has become short. Lost, it is said again.
    WaitShort { id: CallbackId },
    /// From the desk: where this callback is here, and how full its queue's hand-off is. Answered in any case.
    Locate { id: CallbackId, queue: QueueName, reply: oneshot::Sender<Result<Whereabouts, Unserved>> },
    /// From its own task: an immediate callback with a place is durable; give it a session.
    Booked { callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details> },
    /// From its own task: a write of another callback has ended this one. The sweep knows what is due without it.
    Changed { id: CallbackId },
    /// From its own tasks and itself: the place taken for this callback finds no session.
    PlaceUnused { id: CallbackId },
    /// From its own task: an input found our callback with an attempt under way and no session. Answered in any case.
    Found { callback: Box<Callback>, input: Box<Input>, caller: Caller },
    /// From scheduler, sweep and its own tasks: somebody has to work on these.
    Work { due: Vec<Due> },
    /// From a session: it needs a place for its next attempt.
    PlaceWanted { session: ActorId, id: CallbackId, queue: QueueName },
    /// From a session: its place is free, because the attempt was accepted or came to nothing.
    PlaceFreed { session: ActorId, id: CallbackId, accepted: bool },
    /// From a session that ends: its attempt was accepted, as another node has written. With the session its place is free.
    RoutingAccepts { queue: QueueName },
    /// From a session: routing could not be reached, or did not answer. It tries again unless sent to rest.
    OutageSeen { session: ActorId, id: CallbackId },
    /// From itself: start the session of this callback again after its pause.
    Restart { id: CallbackId },
    /// From its own task: the callback is parked, or could not be and is still due.
    ParkEnded { id: CallbackId },
    /// From the supervisor: new settings.
    SettingsChanged { tenant: Arc<Tenant> },
    /// From itself and its own tasks: the places of queues may not be counted by their slots.
    Recount,
    /// From its own task: a count has ended.
    Recounted { counted: Counted },
    /// From the supervisor: end every session once no call of its is in flight; answered when none is left.
    Drain { reply: oneshot::Sender<()> },
}

/// What a tenant is started with.
pub(crate) struct TenantArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) waiting: Waiting,
}

/// State of a tenant.
pub(crate) struct State {
    node: Arc<Node>,
    facts: Arc<TenantFacts>,
    me: Address<TenantMsg>,
    budgets: Budgets,
    children: Children,
    tokens: Arc<Tokens>,
    /// Tasks that put scheduled callbacks off.
    putting_off: Arc<Semaphore>,
    counting: Counting,
    draining: Option<oneshot::Sender<()>>,
    meter: Meter,
}

/// The actor.
pub(crate) struct TenantActor;

impl Actor for TenantActor {
    type Msg = TenantMsg;
    type State = State;
    type Arguments = TenantArgs;

    async fn pre_start(&self, me: ActorRef<TenantMsg>, args: TenantArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Tenant, args.node.ports.observer.clone(), args.waiting);
        let me = meter.address(&me);
        args.node.note(Event::TenantKnown { tenant: args.tenant.name.clone() });
        // Settings may have changed, or a count may have been broken off, while nobody was here.
        me.hint(TenantMsg::Recount);
        Ok(State {
            node: args.node,
            facts: Arc::new(TenantFacts::new(args.tenant)),
            me,
            budgets: Budgets::default(),
            children: Children::default(),
            tokens: Arc::default(),
            putting_off: Arc::new(Semaphore::new(work::PUTTING_OFF)),
            counting: Counting::default(),
            draining: None,
            meter,
        })
    }

    async fn handle(
        &self,
        _me: ActorRef<TenantMsg>,
        message: TenantMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            TenantMsg::Submit { new, reply } => state.on_submit(*new, None, reply),
            TenantMsg::Checked { new, pass, reply } => state.on_submit(*new, Some(pass), reply),
            TenantMsg::Reschedule { id, desired_time, reply } => state.on_reschedule(id, desired_time, reply),
            TenantMsg::Cancel { id, by, reply } => state.on_cancel(id, by, reply),
            TenantMsg::Signal { id, signal, reply } => state.on_signal(id, signal, reply),
            TenantMsg::WaitShort { id } => state.on_wait_short(id),
            TenantMsg::Locate { id, queue, reply } => drop(reply.send(Ok(state.locate(id, &queue)))),
            TenantMsg::Booked { callback, effects, details } => state.on_booked(callback, effects, details).await,
            TenantMsg::Changed { id } => state.on_changed(id),
            TenantMsg::PlaceUnused { id } => state.on_place_unused(id).await,
            TenantMsg::Found { callback, input, caller } => state.on_found(callback, input, caller).await,
            TenantMsg::Work { due } => state.on_work(due).await,
            TenantMsg::PlaceWanted { session, id, queue } => state.on_place_wanted(session, id, queue).await,
            TenantMsg::PlaceFreed { session, id, accepted } => state.on_session_freed(session, id, accepted).await,
            TenantMsg::RoutingAccepts { queue } => state.on_routing_accepts(&queue).await,
            TenantMsg::OutageSeen { session, id } => state.on_outage_seen(session, id),
            TenantMsg::Restart { id } => state.on_restart(id).await,
            TenantMsg::ParkEnded { id } => state.children.recovered(id),
            TenantMsg::SettingsChanged { tenant } => state.on_settings_changed(tenant).await,
            TenantMsg::Recount => state.on_recount(),
            TenantMsg::Recounted { counted } => state.on_recounted(counted),
            TenantMsg::Drain { reply } => state.on_drain(reply),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<TenantMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(child, _, _) => state.on_session_ended(child.get_id()).await,
            SupervisionEvent::ActorFailed(child, error) => state.on_session_failed(child.get_id(), &error).await,
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    fn on_cancel(&mut self, id: CallbackId, by: Canceller, reply: CancelReply) {
        let Some(session) = self.children.touch(id) else {
            return self.step_aside(id, Input::Cancel(by), Caller::Cancel(reply));
        };
        // A session that is ending leaves the row to whoever asks.
        if let Err(Gone(Some(SessionMsg::Cancel { by, reply }))) = session.send(SessionMsg::Cancel { by, reply }) {
            self.step_aside(id, Input::Cancel(by), Caller::Cancel(reply));
        }
    }

    fn on_signal(&mut self, id: CallbackId, signal: Signal, reply: SignalReply) {
        let Some(session) = self.children.touch(id) else {
            return self.step_aside(id, Input::Signal(signal), Caller::Signal(reply));
        };
        if let Err(Gone(Some(SessionMsg::Signal { signal, reply }))) =
            session.send(SessionMsg::Signal { signal, reply })
        {
            self.step_aside(id, Input::Signal(signal), Caller::Signal(reply));
        }
    }

    fn locate(&self, id: CallbackId, queue: &QueueName) -> Whereabouts {
        let (budget, ahead) = self.budgets.look(queue, &self.facts.current(), id);
        let place = match ahead {
            _ if self.children.holds_place(id) => Place::Held,
            Some(ahead) => Place::InLine { ahead },
            None => Place::None,
        };
        Whereabouts {
            has_session: self.children.find(id).is_some(),
            is_recovering: self.children.is_recovering(id),
            place,
            budget,
        }
    }

    fn on_wait_short(&mut self, id: CallbackId) {
        match self.children.find(id) {
            Some(session) => session.hint(SessionMsg::WaitShort),
            None => self.step_aside(id, Input::WaitShort, Caller::None),
        }
    }

    /// The row of a callback is not as its session knows it. Without a session whatever is left to do is due.
    fn on_changed(&self, id: CallbackId) {
        if let Some(session) = self.children.find(id) {
            session.hint(SessionMsg::Changed);
        }
    }

    /// Steps a callback that has no session, in a task of its own; the node allows so many at once.
    fn step_aside(&self, id: CallbackId, input: Input, caller: Caller) {
        let Ok(permit) = self.node.bystanders.clone().try_acquire_owned() else {
            return caller.unserved(Unserved::Busy);
        };
        let (node, facts, me) = (self.node.clone(), self.facts.clone(), self.me.clone());
        let work = async move {
            bystander::find_and_step(&node, &facts, &me, id, input, caller).await;
            drop(permit);
        };
        task::spawn(&self.node, "a step without a session", work);
    }

    async fn on_found(&mut self, callback: Box<Callback>, input: Box<Input>, caller: Caller) {
        let id = callback.id;
        if self.children.find(id).is_some() {
            // Another input was faster.
            return match (*input, caller) {
                (Input::Cancel(by), Caller::Cancel(reply)) => self.on_cancel(id, by, reply),
                (Input::Signal(signal), Caller::Signal(reply)) => self.on_signal(id, signal, reply),
                (_, caller) => caller.unserved(Unserved::Busy),
            };
        }
        let refused = self.start_session(id, Beginning::Found { callback, input, caller }).await;
        if let Err(Beginning::Found { input, caller, .. }) = refused {
            let (node, facts) = (self.node.clone(), self.facts.clone());
            let work = async move { bystander::step(&node, &facts, id, *input, caller).await };
            task::spawn(&self.node, "a step without a session", work);
        }
    }

    async fn on_booked(&mut self, callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details>) {
        let id = callback.id;
        drop(self.start_session(id, Beginning::Booked { callback, effects, details }).await);
    }

    async fn on_restart(&mut self, id: CallbackId) {
        self.children.recovered(id);
        self.start_stored(id, false).await;
    }

    async fn on_settings_changed(&mut self, tenant: Arc<Tenant>) {
        self.node.note(Event::TenantKnown { tenant: tenant.name.clone() });
        self.budgets.set_limits(&tenant);
        self.facts.replace(tenant);
        self.on_recount();
        for queue in self.budgets.queues_with_waiters() {
            self.call_up(&queue).await;
        }
    }

    fn on_drain(&mut self, reply: oneshot::Sender<()>) {
        self.children.send_all_to_rest();
        self.draining = Some(reply);
        self.answer_drain();
    }

    fn answer_drain(&mut self) {
        if self.children.is_empty()
            && let Some(reply) = self.draining.take()
        {
            let _gone = reply.send(());
        }
    }
}
