//! How a callback ends, and what is still owed to routing afterwards.

use chrono::{DateTime, Duration, Utc};

use super::step::Stepped;
use super::{Callback, Canceller, Cause, Effect, Limits, Reason, Reply, State, StepError};

impl Callback {
    pub(super) fn on_cancel(&mut self, by: Canceller, now: DateTime<Utc>) -> Stepped {
        match self.state {
            State::Processing => Err(StepError::NotCancellable(self.state)),
            State::Completed if self.reason.as_ref().is_some_and(Reason::is_cancellation) => {
                Ok(vec![Effect::Reply(Reply::Repeated)])
            }
            State::Completed => Err(StepError::NotCancellable(self.state)),
            State::Scheduled | State::Queued | State::Routing => {
                let cause = match &by {
                    Canceller::Api => Cause::CancelledByApi,
                    Canceller::Admin | Canceller::User(_) => Cause::CancelledByAdmin,
                    Canceller::Agent => Cause::CancelledByAgent,
                    Canceller::Replacement => Cause::Replaced,
                };
                let give_back = self.slot.take();
                let mut effects = self.complete(by.reason(), cause, self.attempt > 0, now);
                if let Some(Effect::Save(saving)) = effects.first_mut() {
                    saving.give_back = give_back;
                    saving.actor = by.actor();
                }
                effects.insert(1, Effect::Reply(Reply::Done));
                Ok(effects)
            }
        }
    }

    pub(super) fn on_expire(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        let reason = match self.state {
            State::Completed => return Vec::new(),
            State::Processing => Reason::NOT_AVAILABLE,
            _ if self.turn_until().is_some_and(|until| now >= until) => Reason::FAIL_USER_NO_CONFIRM,
            State::Scheduled | State::Queued | State::Routing => Reason::FAIL_TIMEOUT_TTL,
        };
        self.complete(reason, Cause::Expired, self.attempt > 0, now)
    }

    pub(super) fn complete(
        &mut self,
        reason: Reason,
        cause: Cause,
        owes_terminate: bool,
        now: DateTime<Utc>,
    ) -> Vec<Effect> {
        let mut effects = vec![self.save(cause)];
        self.go(State::Completed, &mut effects);
        self.reason = Some(reason);
        self.ended_at = Some(now);
        self.owes_terminate = owes_terminate;
        if owes_terminate {
            self.wake_at = Some(now + Limits::OWED_RETRY);
            effects.extend([Effect::Terminate, Effect::WakeAt(now + Limits::OWED_RETRY)]);
        } else {
            self.owner = None;
            self.wake_at = None;
            effects.push(Effect::Finish);
        }
        effects
    }

    /// Tells routing of the end until it is told, or a day has passed.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        if !self.owes_terminate {
            return vec![Effect::Finish];
        }
        if self.ended_at.is_some_and(|at| now >= at + Limits::OWED_FOR) {
            return self.settled();
        }
        if let Some(wake_at) = self.wake_at.filter(|wake_at| *wake_at > now) {
            return vec![Effect::WakeAt(wake_at)];
        }
        // Each pause is half as long as the whole time so far: some forty tries in a day of outage.
        let so_far = self.ended_at.map_or(Duration::zero(), |at| now - at);
        let wake_at = now + (so_far / 2).clamp(Limits::OWED_RETRY, Limits::OWED_RETRY_MAX);
        self.wake_at = Some(wake_at);
        vec![self.save(Cause::Looked), Effect::Terminate, Effect::WakeAt(wake_at)]
    }

    fn settled(&mut self) -> Vec<Effect> {
        self.owes_terminate = false;
        self.owner = None;
        self.wake_at = None;
        vec![self.save(Cause::Settled), Effect::Finish]
    }

    pub(super) fn on_terminated(&mut self, done: bool) -> Vec<Effect> {
        match (self.state == State::Completed && self.owes_terminate, done) {
            (false, _) => Vec::new(),
            (true, true) => self.settled(),
            (true, false) => self.wake_at.map(Effect::WakeAt).into_iter().collect(),
        }
    }
}
