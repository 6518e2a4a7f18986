//! Effects into calls of ports: after the save, in the order given, each outward call in a task of its own.

use std::time::Duration;

use chrono::TimeDelta;
use domain::callback::{Callback, Cause, Effect, HandOff, Reason, State as CallbackState, SubmitOutcome};
use domain::event::Event;
use domain::ports::{AttemptRef, Details, Invitation, RoutingError};
use ractor::ActorRef;
use tokio::time::{Instant, timeout};

use super::{Caller, SessionMsg, State};
use crate::tenant::TenantMsg;

/// How long routing may take to answer a start or a close.
const ROUTING_DEADLINE: Duration = Duration::from_secs(10);

impl State {
    /// Performs the effects of a saved step.
    pub(super) fn perform(&mut self, me: &ActorRef<SessionMsg>, effects: Vec<Effect>, caller: Caller) {
        let mut caller = Some(caller);
        for effect in effects {
            match effect {
                Effect::Save(_) | Effect::Moved { .. } => {}
                Effect::Reply(reply) => caller.take().unwrap_or(Caller::None).done(reply),
                Effect::Submit { attempt } => self.submit(me, attempt),
                Effect::WantPlace => self.want_place(),
                Effect::Terminate => self.close(me),
                Effect::Ping => self.ping(),
                Effect::WakeAt(at) => self.wake_at(me, self.node.instant_of(at)),
                Effect::Finish => me.stop(None),
            }
        }
        self.follow_hand_off();
    }

    /// Facts for the observer, once a step is durable.
    pub(super) fn note_saved(&self, before: Option<&Callback>, after: &Callback, effects: &[Effect]) {
        self.facts.note_saved(&self.node, effects);
        if after.reason == Some(Reason::SUBMIT_FAILED) {
            self.node.note(Event::SubmitFailed);
        }
        if let Some(before) = before
            && before.state == CallbackState::Scheduled
            && after.state == CallbackState::Queued
        {
            // After a postponement lateness counts from the opening, not from the first start instant.
            let lateness = self.node.now() - before.start_at.max(after.start_at);
            self.node.note(Event::Fired { lateness: lateness.to_std().unwrap_or_default() });
        }
        if let Some(Effect::Save(saving)) = effects.first()
            && saving.cause == Cause::Accepted
        {
            self.node.live.open(self.id, after.attempt, self.node.now());
        }
    }

    /// The place in the hand-off budget is held exactly while an attempt is with routing and not accepted.
    fn follow_hand_off(&mut self) {
        let Some(callback) = &self.callback else { return };
        let starting = callback.state == CallbackState::Queued && callback.hand_off == HandOff::Started;
        let accepted = callback.hand_off == HandOff::Accepted;
        if self.placed && !starting {
            self.free_place(accepted);
        }
    }

    /// Gives the place back.
    pub(super) fn free_place(&mut self, accepted: bool) {
        if std::mem::take(&mut self.placed) {
            self.tenant.hint(TenantMsg::PlaceFreed { id: self.id, accepted });
        }
    }

    fn want_place(&self) {
        if let Some(callback) = &self.callback {
            self.tenant.hint(TenantMsg::PlaceWanted { id: self.id, queue: callback.queue.clone() });
        }
    }

    fn ping(&self) {
        if let Some(callback) = &self.callback {
            self.node.pinger.ask(AttemptRef { tenant: callback.tenant, id: self.id, attempt: callback.attempt });
        }
    }

    fn submit(&mut self, me: &ActorRef<SessionMsg>, attempt: u32) {
        let Some(callback) = self.callback.clone() else { return };
        let known = self.details.take();
        let (node, facts) = (self.node.clone(), self.facts.clone());
        let address = self.meter.address(me);
        tokio::spawn(async move {
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
                    Err(RoutingError::Perhaps(_)) => SubmitOutcome::Perhaps,
                }
            };
            let outcome = timeout(ROUTING_DEADLINE, call).await.unwrap_or(SubmitOutcome::Perhaps);
            address.hint(SessionMsg::SubmitAnswered { attempt, outcome });
        });
    }

    fn close(&self, me: &ActorRef<SessionMsg>) {
        let (node, tenant, id) = (self.node.clone(), self.facts.tenant.id, self.id);
        let address = self.meter.address(me);
        tokio::spawn(async move {
            let closed = timeout(ROUTING_DEADLINE, node.ports.routing.close(tenant, id)).await;
            address.hint(SessionMsg::CloseAnswered { done: matches!(closed, Ok(Ok(()))) });
        });
    }

    fn wake_at(&mut self, me: &ActorRef<SessionMsg>, at: Instant) {
        self.wish = self.wish.wrapping_add(1);
        let what = (self.meter.address(me), self.wish);
        self.timer = Some(self.node.timers.set(self.timer.take(), at, what));
    }

    /// Looks at the row again in 1 to 5 s, spread so that an outage does not end in a stampede.
    pub(super) fn look_again_later(&mut self, me: &ActorRef<SessionMsg>) {
        let spread = u64::try_from(self.id.as_uuid().as_u128() % 4001).unwrap_or_default();
        let pause = TimeDelta::milliseconds(1000 + i64::try_from(spread).unwrap_or_default());
        let at = Instant::now() + pause.to_std().unwrap_or(Duration::from_secs(3));
        self.wake_at(me, at);
    }
}

impl crate::tenant::TenantFacts {
    /// The invitation to `attempt`.
    fn invitation(&self, callback: &Callback, attempt: u32, details: Details) -> Invitation {
        let settings = self.tenant.queues.get(&callback.queue);
        let route_point = details.options.route_point.clone();
        Invitation {
            tenant: callback.tenant,
            id: callback.id,
            attempt,
            not_after: callback.expires_at,
            queue: callback.queue.clone(),
            phone: callback.phone,
            desired_time: callback.desired_time,
            target: settings.and_then(|settings| settings.target.clone()),
            route_point: route_point.or_else(|| settings.and_then(|settings| settings.route_point.clone())),
            details,
        }
    }
}
