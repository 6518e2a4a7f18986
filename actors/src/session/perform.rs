//! Effects into calls of ports: after the save, in the order given, each outward call in a task of its own.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Again, Callback, Effect, HandOff, State as CallbackState, SubmitOutcome};
use domain::event::Event;
use domain::ports::{AttemptRef, Closing, RoutingError};
use ractor::ActorRef;
use tokio::time::{Instant, timeout};

use super::{Caller, SessionMsg, State, grant_of};
use crate::tenant::TenantMsg;

/// How long routing may take to answer a start or a close.
const ROUTING_DEADLINE: Duration = Duration::from_secs(10);
/// Shortest pause before a row is read again after an outage.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// What is added to it at most, so that an outage does not end in a stampede.
const LOOK_AGAIN_SPREAD: TimeDelta = TimeDelta::seconds(4);
/// A row whose attempt holds a place is read again after so long, and later each time after twice as long: another node
/// may have heard that it was accepted, refused or ended, and its word may not have come through. Whoever is next must
/// not wait for the place until the attempt would be asked after.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Doublings of it at most.
const LOOKS: u8 = 5;

impl State {
    /// Performs the effects of a saved step.
    pub(super) fn perform(&mut self, me: &ActorRef<SessionMsg>, effects: Vec<Effect>, caller: Caller) {
        // First: a place that is asked for again has to be given back before.
        self.follow(Some(self.node.now()));
        self.follow_hand_off(me);
        let mut caller = Some(caller);
        for effect in effects {
            match effect {
                Effect::Save(_) | Effect::Moved { .. } => {}
                Effect::Reply(reply) => caller.take().unwrap_or(Caller::None).answer(Ok(reply)),
                Effect::Refuse(error) => caller.take().unwrap_or(Caller::None).answer(Err(error)),
                Effect::Submit { attempt } => self.submit(me, attempt),
                Effect::WantPlace => self.want_place(me),
                Effect::Terminate => self.close(me),
                Effect::Ping => self.ping(),
                Effect::WakeAt(at) => self.wake_at(me, self.node.instant_of(at)),
                Effect::Finish => self.end(me),
            }
        }
    }

    /// Facts for the observer, once a step is durable and before it becomes what is known.
    pub(super) fn note_saved(&self, after: &Callback, effects: &[Effect]) {
        let Some(before) = &self.callback else { return };
        self.facts.note_saved(&self.node, before, after, effects);
        if before.state == CallbackState::Scheduled && after.state == CallbackState::Queued {
            // After a postponement lateness counts from the opening, not from the first start instant.
            let lateness = self.node.now() - before.start_at.max(after.start_at);
            self.node.note(Event::Fired { lateness: lateness.to_std().unwrap_or_default() });
        }
    }

    /// Keeps the board in step: it follows a granted attempt and nothing else. `heard_at` counts if it begins.
    pub(super) fn follow(&self, heard_at: Option<DateTime<Utc>>) {
        match self.callback.as_deref().map(grant_of) {
            Some(Some(grant)) => self.node.live.follow(self.id, grant, heard_at),
            Some(None) => self.node.live.forget(self.id),
            None => {}
        }
        if let Some(callback) = self.callback.as_deref() {
            self.facts.watch_wait(&self.node, callback);
        }
    }

    /// The place in the hand-off budget is held exactly while an attempt is with routing and not accepted.
    pub(super) fn follow_hand_off(&mut self, me: &ActorRef<SessionMsg>) {
        let Some(callback) = &self.callback else { return };
        let starting = callback.state == CallbackState::Queued && callback.hand_off == HandOff::Started;
        let accepted = callback.hand_off == HandOff::Accepted;
        if !starting {
            self.free_place(me, accepted);
        }
    }

    /// Gives the place back, if there is one.
    pub(super) fn free_place(&mut self, me: &ActorRef<SessionMsg>, accepted: bool) {
        if std::mem::take(&mut self.placed) {
            self.tenant.hint(TenantMsg::PlaceFreed { session: me.get_id(), id: self.id, accepted });
        }
    }

    pub(super) fn want_place(&self, me: &ActorRef<SessionMsg>) {
        if let Some(callback) = &self.callback {
            let queue = callback.queue.clone();
            self.tenant.hint(TenantMsg::PlaceWanted { session: me.get_id(), id: self.id, queue });
        }
    }

    fn ping(&self) {
        if let Some(callback) = &self.callback {
            self.node.pinger.ask(attempt_of(callback));
        }
    }

    /// What asking routing again for the same attempt comes to.
    pub(super) fn again(&self) -> Again {
        self.node.ports.routing.again()
    }

    fn submit(&mut self, me: &ActorRef<SessionMsg>, attempt: u32) {
        let Some(callback) = self.callback.clone() else { return };
        self.in_flight = self.in_flight.saturating_add(1);
        self.looks = 0;
        let known = self.details.take();
        let (node, facts, again) = (self.node.clone(), self.facts.clone(), self.again());
        let work = async move {
            let call = async {
                let details = match known {
                    Some(details) => *details,
                    None => match node.ports.callbacks.details(callback.tenant, callback.id).await {
                        Ok(details) => details.unwrap_or_default(),
                        Err(_) => return SubmitOutcome::NotDone,
                    },
                };
                match node.ports.routing.start(facts.invitation(&callback, attempt, details)).await {
                    Ok(()) => SubmitOutcome::Done,
                    Err(RoutingError::Refused(_)) => SubmitOutcome::Refused,
                    Err(RoutingError::NotDone(_)) => SubmitOutcome::NotDone,
                    Err(RoutingError::Perhaps(_)) => SubmitOutcome::Perhaps(again),
                }
            };
            let outcome = timeout(ROUTING_DEADLINE, call).await.unwrap_or(SubmitOutcome::Perhaps(again));
            SessionMsg::SubmitAnswered { attempt, outcome }
        };
        self.meter.address(me).run(work, SessionMsg::TaskPanicked);
    }

    fn close(&mut self, me: &ActorRef<SessionMsg>) {
        let Some(callback) = &self.callback else { return };
        let closing = if callback.may_still_talk() { Closing::AllButTalk } else { Closing::Everything };
        let (node, attempt) = (self.node.clone(), attempt_of(callback));
        self.in_flight = self.in_flight.saturating_add(1);
        let work = async move {
            let closed = timeout(ROUTING_DEADLINE, node.ports.routing.close(attempt, closing)).await;
            SessionMsg::CloseAnswered { done: matches!(closed, Ok(Ok(()))) }
        };
        self.meter.address(me).run(work, SessionMsg::TaskPanicked);
    }

    /// At `at`, or earlier for a look at the row.
    pub(super) fn wake_at(&mut self, me: &ActorRef<SessionMsg>, at: Instant) {
        let looks = self.placed && self.callback.is_some();
        let look = looks.then(|| Instant::now() + FIRST_LOOK * (1 << self.looks.min(LOOKS)));
        let look = look.filter(|look| *look < at);
        self.wanted = look.map(|_| at);
        self.wish = self.wish.wrapping_add(1);
        let what = (self.meter.address(me), self.wish);
        self.timer = Some(self.node.timers.set(self.timer.take(), look.unwrap_or(at), what));
    }

    /// Looks at the row again in 1 to 5 s.
    pub(super) fn look_again_later(&mut self, me: &ActorRef<SessionMsg>) {
        let spread = self.id.spread(self.wish, LOOK_AGAIN_SPREAD).to_std().unwrap_or_default();
        self.wake_at(me, Instant::now() + LOOK_AGAIN + spread);
    }
}

/// Its current attempt, as routing knows it.
fn attempt_of(callback: &Callback) -> AttemptRef {
    AttemptRef {
        tenant: callback.tenant,
        id: callback.id,
        attempt: callback.attempt,
        session: callback.session.clone(),
    }
}
