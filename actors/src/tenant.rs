//! One tenant: judges its bookings, keeps the hand-off budget of its queues, and supervises the sessions of
//! its active callbacks.
//!
//! Started by the tenants' supervisor. Talked to by the desk, the scheduler and the sweep (through that
//! supervisor) and its own sessions. When it dies its sessions die with it; their rows are due sooner or
//! later and the sweep brings them back. Nothing here is awaited but the start of a session: bookings and
//! steps of callbacks without a session run in tasks that own the caller's reply port.

mod booking;
mod budget;
mod bystander;
mod children;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Canceller, Effect, Input, NewCallback, Signal, State as CallbackState};
use domain::event::{ActorKind, Event};
use domain::ids::{CallbackId, QueueName};
use domain::ports::{Change, Details, Due, SubmitError, Unserved};
use domain::queue::WhenClosed;
use domain::tenant::Tenant;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use crate::mailbox::{Address, Gone, Meter, Waiting};
use crate::node::Node;
use crate::scheduler::SchedulerMsg;
use crate::session::{Beginning, CancelReply, Caller, SessionMsg, SignalReply};
use budget::Budget;
use children::Children;

pub(crate) type SubmitReply = oneshot::Sender<Result<CallbackId, SubmitError>>;

/// A scheduled callback that is later than this counts as missed: its queue says what becomes of it.
const TOO_LATE: TimeDelta = TimeDelta::hours(2);

/// Messages to a tenant.
pub(crate) enum TenantMsg {
    /// From the desk: judge and keep a booking. Answered in any case.
    Submit { new: Box<NewCallback>, reply: SubmitReply },
    /// From the desk. Answered in any case.
    Cancel { id: CallbackId, by: Canceller, reply: CancelReply },
    /// From the desk. Answered in any case.
    Signal { id: CallbackId, signal: Signal, reply: SignalReply },
    /// From its own task: an immediate callback is durable; give it a session, or let it wait for a place.
    Booked { callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details> },
    /// From its own task: the booking for which a place was taken was not kept.
    BookingFailed { id: CallbackId },
    /// From scheduler or sweep: somebody has to work on these.
    Work { due: Vec<Due> },
    /// From a session: it needs a place for its next attempt.
    PlaceWanted { id: CallbackId, queue: QueueName },
    /// From a session: its place is free, because the attempt was accepted or came to nothing.
    PlaceFreed { id: CallbackId, accepted: bool },
    /// From a session: routing could not be reached, or did not answer.
    OutageSeen { queue: QueueName },
    /// From itself: start the session of this callback again after its pause.
    Restart { id: CallbackId },
    /// From the supervisor: new settings.
    SettingsChanged { tenant: Arc<Tenant> },
    /// From the supervisor: end every session after the message it is handling; answered when none is left.
    Drain { reply: oneshot::Sender<()> },
}

/// What a tenant's actor and its sessions know of it. Replaced as a whole when settings change.
pub(crate) struct TenantFacts {
    pub(crate) tenant: Arc<Tenant>,
}

impl TenantFacts {
    /// How long before its desired time a callback has to start, as things stand.
    pub(crate) fn lead(&self, node: &Node, callback: &Callback) -> TimeDelta {
        self.lead_of(node, &callback.queue)
    }

    fn lead_of(&self, node: &Node, queue: &QueueName) -> TimeDelta {
        let wait = node.ports.routing.expected_wait(self.tenant.id, queue);
        self.tenant.queues.get(queue).map_or(TimeDelta::zero(), |settings| settings.lead(wait))
    }

    /// The conditional write for a step, if it saves at all.
    pub(crate) fn change(
        &self,
        node: &Node,
        before: &Callback,
        after: &Callback,
        effects: &[Effect],
    ) -> Option<Change> {
        let Some(Effect::Save(saving)) = effects.first() else { return None };
        let settings = self.tenant.queues.get(&after.queue);
        Some(Change {
            callback: after.clone(),
            expected_version: before.version,
            expected_owner: before.owner.filter(|owner| *owner == node.me),
            saving: saving.clone(),
            slot_capacity: settings.map_or(0, |settings| settings.slot_capacity),
            at: node.now(),
        })
    }

    /// Tells the observer what a saved step did.
    pub(crate) fn note_saved(&self, node: &Node, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Save(saving) => node.note(Event::Saved { cause: saving.cause }),
                Effect::Moved { from, to } => {
                    node.note(Event::Moved { tenant: self.tenant.name.clone(), from: *from, to: *to });
                }
                _ => {}
            }
        }
    }
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
    budgets: HashMap<QueueName, Budget>,
    children: Children,
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
        let facts = Arc::new(TenantFacts { tenant: args.tenant });
        Ok(State {
            node: args.node,
            facts,
            me,
            budgets: HashMap::new(),
            children: Children::default(),
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
            TenantMsg::Submit { new, reply } => state.on_submit(*new, reply),
            TenantMsg::Cancel { id, by, reply } => state.on_cancel(id, by, reply),
            TenantMsg::Signal { id, signal, reply } => state.on_signal(id, signal, reply),
            TenantMsg::Booked { callback, effects, details } => state.on_booked(callback, effects, details).await,
            TenantMsg::BookingFailed { id } => state.on_place_freed(id, false).await,
            TenantMsg::Work { due } => state.on_work(due).await,
            TenantMsg::PlaceWanted { id, queue } => state.on_place_wanted(id, queue).await,
            TenantMsg::PlaceFreed { id, accepted } => state.on_place_freed(id, accepted).await,
            TenantMsg::OutageSeen { queue } => state.budget(&queue).outage(),
            TenantMsg::Restart { id } => state.start_session(id, Beginning::Stored { granted: false }).await,
            TenantMsg::SettingsChanged { tenant } => state.on_settings_changed(tenant),
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
        let Some(session) = self.children.find(id) else {
            return self.step_aside(id, Input::Cancel(by), Caller::Cancel(reply));
        };
        // A session that has just ended leaves the row to whoever asks.
        if let Err(Gone(Some(SessionMsg::Cancel { by, reply }))) = session.send(SessionMsg::Cancel { by, reply }) {
            self.step_aside(id, Input::Cancel(by), Caller::Cancel(reply));
        }
    }

    fn on_signal(&mut self, id: CallbackId, signal: Signal, reply: SignalReply) {
        let Some(session) = self.children.find(id) else {
            return self.step_aside(id, Input::Signal(signal), Caller::Signal(reply));
        };
        if let Err(Gone(Some(SessionMsg::Signal { signal, reply }))) = session.send(SessionMsg::Signal { signal, reply })
        {
            self.step_aside(id, Input::Signal(signal), Caller::Signal(reply));
        }
    }

    /// Steps a callback that has no session, in a task of its own; at most [`crate::node::Node::bystanders`] at once.
    fn step_aside(&self, id: CallbackId, input: Input, caller: Caller) {
        let Ok(permit) = self.node.bystanders.clone().try_acquire_owned() else {
            return caller.unserved(Unserved::Busy);
        };
        let (node, facts) = (self.node.clone(), self.facts.clone());
        tokio::spawn(async move {
            bystander::step(&node, &facts, id, input, caller).await;
            drop(permit);
        });
    }

    async fn on_booked(&mut self, callback: Box<Callback>, effects: Vec<Effect>, details: Box<Details>) {
        let id = callback.id;
        if self.children.holds_place(id) {
            self.start_session(id, Beginning::Booked { callback, effects, details }).await;
        } else {
            let queue = callback.queue.clone();
            self.on_place_wanted(id, queue).await;
        }
    }

    async fn on_work(&mut self, due: Vec<Due>) {
        if !self.node.may_work() {
            return;
        }
        for due in due {
            if self.children.find(due.id).is_some() || !self.is_ripe(&due) {
                continue;
            }
            if due.needs_place {
                self.on_place_wanted(due.id, due.queue).await;
            } else {
                self.start_session(due.id, Beginning::Stored { granted: false }).await;
            }
        }
    }

    /// Judges a scheduled callback whose start instant seems to have come. One that is not to be started is
    /// given back to the scheduler, put off or given up.
    fn is_ripe(&self, due: &Due) -> bool {
        if due.state != CallbackState::Scheduled {
            return true;
        }
        let now = self.node.now();
        let start_at = due.desired_time - self.facts.lead_of(&self.node, &due.queue);
        if now < start_at {
            let later = Due { wake_at: start_at, ..due.clone() };
            self.node.scheduler.hint(SchedulerMsg::Claimed { due: vec![later] });
            return false;
        }
        let Some(settings) = self.facts.tenant.queues.get(&due.queue) else { return true };
        let closed = !settings.hours.is_open(now);
        let missed = now - start_at.max(due.wake_at) > TOO_LATE;
        match settings.when_closed {
            WhenClosed::Expire if closed || missed => {
                self.step_aside(due.id, Input::Expire, Caller::None);
                false
            }
            WhenClosed::WaitForOpening if closed => {
                let until = settings.hours.next_opening(now).unwrap_or(now + TimeDelta::days(1));
                self.step_aside(due.id, Input::Postpone { until }, Caller::None);
                false
            }
            WhenClosed::Expire | WhenClosed::WaitForOpening => true,
        }
    }

    /// Someone needs a place: now, or in turn.
    async fn on_place_wanted(&mut self, id: CallbackId, queue: QueueName) {
        if self.children.holds_place(id) {
            return self.grant(id).await;
        }
        let budget = self.budget(&queue);
        if budget.try_take() {
            self.children.hold_place(id, queue);
            self.grant(id).await;
        } else {
            budget.wait(id);
        }
    }

    async fn grant(&mut self, id: CallbackId) {
        match self.children.find(id) {
            Some(session) => session.hint(SessionMsg::PlaceGranted),
            None => self.start_session(id, Beginning::Stored { granted: true }).await,
        }
    }

    async fn on_place_freed(&mut self, id: CallbackId, accepted: bool) {
        let Some(queue) = self.children.release_place(id) else { return };
        if accepted {
            self.children.note_accepted(id);
        }
        self.budget(&queue).release(accepted);
        while let Some(next) = self.budget(&queue).next_waiting() {
            self.children.hold_place(next, queue.clone());
            self.grant(next).await;
        }
    }

    fn budget(&mut self, queue: &QueueName) -> &mut Budget {
        let limit = self.facts.tenant.queues.get(queue).map_or(1, |settings| settings.hand_off_limit);
        self.budgets.entry(queue.clone()).or_insert_with(|| Budget::new(limit))
    }

    fn on_settings_changed(&mut self, tenant: Arc<Tenant>) {
        for (queue, budget) in &mut self.budgets {
            budget.set_limit(tenant.queues.get(queue).map_or(1, |settings| settings.hand_off_limit));
        }
        self.facts = Arc::new(TenantFacts { tenant });
    }

    fn on_drain(&mut self, reply: oneshot::Sender<()>) {
        self.children.drain_all();
        self.draining = Some(reply);
        self.answer_drain();
    }

    fn answer_drain(&mut self) {
        if self.children.is_empty()
            && let Some(reply) = self.draining.take()
        {
            drop(reply.send(()));
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.node.now()
    }
}
