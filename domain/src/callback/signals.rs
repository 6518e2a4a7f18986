//! What routing reports: the fence of `accepted`, the order of signals, and attempts that are lost.

use chrono::{DateTime, Utc};

use super::step::Stepped;
use super::{Callback, Cause, Effect, Fate, HandOff, Limits, Reason, Reply, Signal, SignalEvent, State, StepError};

impl Callback {
    pub(super) fn on_signal(&mut self, signal: &Signal, now: DateTime<Utc>) -> Stepped {
        if self.state == State::Completed {
            return self.on_signal_after_the_end(signal);
        }
        if signal.attempt < self.attempt || signal.attempt == 0 {
            return Err(StepError::StaleAttempt);
        }
        // Routing knows a later attempt than the row: the store lost a committed save (fail-over without a
        // synchronous standby). Taking the number over keeps the fence: the old session stays dead.
        if signal.attempt > self.attempt {
            return self.take_attempt_over(signal, now);
        }
        match (&signal.event, self.hand_off) {
            (SignalEvent::Accepted, _) => self.on_accepted(signal, now),
            (SignalEvent::Failed(_), HandOff::Started) => {
                let mut effects = self.refused(now);
                effects.insert(1, Effect::Reply(Reply::Done));
                Ok(effects)
            }
            // Whoever ended without having been granted the attempt has done nothing: it is as if it were unknown.
            (SignalEvent::Unknown, HandOff::Started | HandOff::Accepted)
            | (SignalEvent::Ended(_), HandOff::Started) => self.on_lost(signal, now),
            // The attempt has been given up before; this tells the same again.
            (SignalEvent::Unknown | SignalEvent::Ended(_) | SignalEvent::Failed(_), HandOff::Idle) => {
                Ok(vec![Effect::Reply(Reply::Repeated)])
            }
            (SignalEvent::Alive | SignalEvent::Position(_), HandOff::Started) => {
                self.fate = Fate::Entered;
                Ok(vec![Effect::Reply(Reply::Done)])
            }
            (event, _) => {
                self.check_session(signal)?;
                Ok(self.on_report(signal.seq, event, now))
            }
        }
    }

    /// The history tells what came after the end; nothing else changes. A flow that says itself that it is over wants to
    /// hear no refusal.
    fn on_signal_after_the_end(&mut self, signal: &Signal) -> Stepped {
        let answer = match signal.event {
            SignalEvent::Completed(_) | SignalEvent::Failed(_) => Ok(Reply::Repeated),
            _ => Err(StepError::Ended),
        };
        let live = matches!(signal.event, SignalEvent::Alive | SignalEvent::Position(_));
        let repeated = signal.attempt == self.attempt && signal.seq == self.last_seq && signal.seq > 0;
        if live || repeated || self.version >= Limits::NOTED_VERSIONS {
            return answer.map(|reply| vec![Effect::Reply(reply)]);
        }
        if signal.attempt == self.attempt {
            self.last_seq = self.last_seq.max(signal.seq);
        }
        Ok(vec![self.save(Cause::LateSignal), answer.map_or_else(Effect::Refuse, Effect::Reply)])
    }

    fn take_attempt_over(&mut self, signal: &Signal, now: DateTime<Utc>) -> Stepped {
        // A row that says PROCESSING never had a later attempt: nobody who has talked is called again. And an
        // attempt far ahead was never ours; taking its number would only use the numbers up.
        let ours = self.state != State::Processing && signal.attempt - self.attempt <= Limits::ATTEMPTS_AHEAD;
        if !matches!(signal.event, SignalEvent::Accepted) || signal.session.is_none() || !ours {
            return Err(StepError::OtherSession);
        }
        let before = self.state;
        self.attempt = signal.attempt;
        self.forget_session();
        self.hand_off = HandOff::Started;
        self.state = State::Queued;
        // That it was started is known now, so its instant had come.
        self.start_at = self.start_at.min(now);
        let mut effects = self.on_accepted(signal, now)?;
        if before != State::Queued {
            effects.insert(1, Effect::Moved { from: before, to: State::Queued });
        }
        Ok(effects)
    }

    /// The fence: the first session of the current attempt wins, any other is refused.
    fn on_accepted(&mut self, signal: &Signal, now: DateTime<Utc>) -> Stepped {
        let Some(session) = &signal.session else { return Err(StepError::OtherSession) };
        match self.hand_off {
            HandOff::Idle => Err(StepError::StaleAttempt),
            HandOff::Accepted if self.session.as_ref() == Some(session) => Ok(vec![Effect::Reply(Reply::Repeated)]),
            HandOff::Accepted => Err(StepError::OtherSession),
            HandOff::Started => {
                self.hand_off = HandOff::Accepted;
                self.session = Some(session.clone());
                self.fate = Fate::Entered;
                let wake = self.wake(now + Limits::SILENCE);
                Ok(vec![self.save(Cause::Accepted), Effect::Reply(Reply::Done), wake])
            }
        }
    }

    fn check_session(&self, signal: &Signal) -> Result<(), StepError> {
        let granted =
            self.hand_off == HandOff::Accepted && (signal.session.is_none() || signal.session == self.session);
        if granted { Ok(()) } else { Err(StepError::OtherSession) }
    }

    /// A report of the granted session.
    fn on_report(&mut self, seq: u64, event: &SignalEvent, now: DateTime<Utc>) -> Vec<Effect> {
        let late = match event {
            // Live reports have no place in the order. What has ended stays ended: the answer to a ping counts whatever
            // came before it.
            SignalEvent::Alive | SignalEvent::Position(_) | SignalEvent::Ended(_) => false,
            _ if seq == self.last_seq => return vec![Effect::Reply(Reply::Repeated)],
            _ => seq < self.last_seq,
        };
        if late {
            return self.note_late_signal();
        }
        let reached = match event {
            SignalEvent::Queued => State::Queued,
            SignalEvent::Routing => State::Routing,
            SignalEvent::Processing => State::Processing,
            SignalEvent::DialResult(_) => return self.on_dial_result(seq, now),
            SignalEvent::Completed(reason) | SignalEvent::Ended(reason) => {
                return self.on_ended(seq, reason.clone().unwrap_or(Reason::NOT_AVAILABLE), now);
            }
            SignalEvent::Failed(reason) => {
                return self.on_ended(seq, reason.clone().unwrap_or(Reason::FAIL_ERROR), now);
            }
            SignalEvent::Alive | SignalEvent::Position(_) | SignalEvent::Accepted | SignalEvent::Unknown => {
                return vec![Effect::Reply(Reply::Done)];
            }
        };
        self.last_seq = seq;
        // An agent waits for a customer who calls us: if they have not been told to, now is the time.
        let waits = self.state != State::Processing && !self.dialled;
        let turn = reached == State::Routing && waits && self.begin_turn(now);
        let mut effects = vec![self.save(if turn { Cause::TurnCame } else { Cause::Reported })];
        // From PROCESSING no arrow leads back: a session that queues again after talking stays PROCESSING.
        if self.state != State::Processing && self.state != reached {
            self.go(reached, &mut effects);
        }
        let wake = self.wake(now + Limits::SILENCE);
        effects.extend([Effect::Reply(Reply::Done), wake]);
        effects
    }

    fn on_dial_result(&mut self, seq: u64, now: DateTime<Utc>) -> Vec<Effect> {
        self.last_seq = seq;
        let mut effects = vec![self.save(Cause::Dialled)];
        if self.state == State::Queued {
            self.go(State::Routing, &mut effects);
        }
        self.dialled = true;
        let wake = self.wake(now + Limits::SILENCE);
        effects.extend([Effect::Reply(Reply::Done), wake]);
        effects
    }

    fn on_ended(&mut self, seq: u64, reason: Reason, now: DateTime<Utc>) -> Vec<Effect> {
        self.last_seq = seq.max(self.last_seq);
        let mut skipped = Vec::new();
        if reason == Reason::AGENT_CONNECTED && self.state != State::Processing {
            self.go(State::Processing, &mut skipped);
        }
        let implied: Vec<State> = skipped.iter().filter_map(moved_to).collect();
        let mut effects = self.complete(reason, Cause::Reported, false, now);
        if let Some(Effect::Save(saving)) = effects.first_mut() {
            saving.implied = implied;
        }
        effects.splice(1..1, skipped.into_iter().chain([Effect::Reply(Reply::Done)]));
        effects
    }

    /// Routing surely no longer works on the attempt.
    fn on_lost(&mut self, signal: &Signal, now: DateTime<Utc>) -> Stepped {
        if self.hand_off == HandOff::Accepted {
            self.check_session(signal)?;
        }
        let may_retry = self.state == State::Queued || (self.state == State::Routing && !self.dialled);
        if !may_retry {
            // Whoever has already talked must not be called again.
            let mut effects = self.complete(Reason::NOT_AVAILABLE, Cause::Lost, false, now);
            effects.insert(1, Effect::Reply(Reply::Done));
            return Ok(effects);
        }
        let mut effects = vec![self.save(Cause::Lost)];
        if self.state == State::Routing {
            self.go(State::Queued, &mut effects);
        }
        self.hand_off = HandOff::Idle;
        self.forget_session();
        self.wake_at = Some(now);
        effects.extend([Effect::Reply(Reply::Done), Effect::WantPlace]);
        Ok(effects)
    }

    fn note_late_signal(&mut self) -> Vec<Effect> {
        if self.version >= Limits::NOTED_VERSIONS {
            return vec![Effect::Reply(Reply::Repeated)];
        }
        vec![self.save(Cause::LateSignal), Effect::Reply(Reply::Repeated)]
    }
}

fn moved_to(effect: &Effect) -> Option<State> {
    match effect {
        Effect::Moved { to, .. } => Some(*to),
        _ => None,
    }
}
