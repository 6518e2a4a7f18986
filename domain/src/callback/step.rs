//! The step function: one input, one change, its effects.

use chrono::{DateTime, Duration, Utc};
use thiserror::Error;

use super::{
    Callback, Canceller, Cause, Effect, HandOff, Input, Reason, Reply, Saving, Signal, SignalEvent, State,
    SubmitOutcome,
};

/// The constants of a callback's life.
pub struct Limits;

impl Limits {
    /// Attempts that routing may refuse before the callback ends as `SUBMIT_FAILED`.
    pub const REFUSALS: u32 = 3;
    /// An attempt that nobody was granted for so long is asked after.
    pub const ACCEPT_WITHIN: Duration = Duration::seconds(30);
    /// A session that was silent for so long is asked after.
    pub const SILENCE: Duration = Duration::seconds(60);
    /// The farthest that a start may lie before the desired time.
    pub const LEAD: Duration = Duration::hours(2);
    /// How long routing is told of an end before that is given up.
    pub const OWED_FOR: Duration = Duration::hours(24);
    /// Pause after the first try to tell it; later ones grow with the time that has passed.
    pub const OWED_RETRY: Duration = Duration::seconds(30);
    /// Longest pause between two tries.
    pub const OWED_RETRY_MAX: Duration = Duration::hours(1);
    /// Signals that come too late are kept in the history up to this version, then only answered.
    pub const NOTED_VERSIONS: u32 = 200;
    /// How far ahead of the row an attempt may be that is taken over. More than a few were never begun.
    pub const ATTEMPTS_AHEAD: u32 = 16;

    /// Pause after the first, second … refusal.
    pub const fn pause_after_refusal(refusals: u32) -> Duration {
        if refusals <= 1 { Duration::seconds(1) } else { Duration::seconds(5) }
    }
}

/// Why an input was not applied. The callback is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StepError {
    /// A cancel came too late.
    #[error("a callback in state {0} cannot be cancelled")]
    NotCancellable(State),
    /// Only a callback that still waits for its time can be moved.
    #[error("a callback in state {0} cannot be rescheduled")]
    NotReschedulable(State),
    /// A report about a callback that has ended.
    #[error("the callback has ended")]
    Ended,
    /// A report about an attempt that has been given up or replaced.
    #[error("the attempt is no longer valid")]
    StaleAttempt,
    /// The attempt belongs to another session, or to none yet.
    #[error("the attempt was not granted to this session")]
    OtherSession,
    /// A start before the start instant.
    #[error("the start instant {0} has not come")]
    Early(DateTime<Utc>),
}

type Stepped = Result<Vec<Effect>, StepError>;

impl Callback {
    /// Applies one input at `now` (database time). On success the callback has its new version if the
    /// effects begin with [`Effect::Save`], else it is as before.
    ///
    /// # Errors
    /// [`StepError`] if the input is refused; the callback is then unchanged.
    pub fn step(&mut self, input: Input, now: DateTime<Utc>) -> Stepped {
        match input {
            Input::Start { lead } => self.on_start(lead, now),
            Input::Submitted { attempt, outcome } => Ok(self.on_submitted(attempt, &outcome, now)),
            Input::Signal(signal) => self.on_signal(&signal, now),
            Input::Cancel(by) => self.on_cancel(by, now),
            Input::Reschedule { desired_time, slot, start_at } => self.on_reschedule(desired_time, slot, start_at),
            Input::Postpone { until } => Ok(self.on_postpone(until)),
            Input::Expire => Ok(self.on_expire(now)),
            Input::Tick { heard_at, ping_from } => Ok(self.on_tick(heard_at, ping_from, now)),
            Input::Terminated { done } => Ok(self.on_terminated(done)),
        }
    }

    /// Begins the first attempt of a callback that is being booked, inside its first version.
    /// The caller saves the booking before it performs the effects.
    pub fn start_with_booking(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.begin_attempt(now)
    }

    /// For whoever applied a step without owning the callback: keeps what may be done at once, and leaves
    /// the rest to the owner by making the callback due. Call it before saving.
    pub fn leave_to_owner(&mut self, mut effects: Vec<Effect>, now: DateTime<Utc>) -> Vec<Effect> {
        let work = |effect: &Effect| {
            matches!(effect, Effect::Submit { .. } | Effect::WantPlace | Effect::Terminate | Effect::Ping)
        };
        // A wish to be woken is no work: the save keeps it for the owner.
        let work_left = effects.iter().any(work);
        effects.retain(|effect| !work(effect) && !matches!(effect, Effect::WakeAt(_)));
        if work_left && matches!(effects.first(), Some(Effect::Save(_))) && self.wake_at.is_some() {
            self.wake_at = Some(now);
        }
        effects
    }

    fn on_start(&mut self, lead: Duration, now: DateTime<Utc>) -> Stepped {
        if self.needs_place() && now >= self.expires_at {
            return Ok(self.on_expire(now));
        }
        match (self.state, self.hand_off) {
            (State::Scheduled, _) => {
                let start_at = self.not_before(lead);
                if now < start_at {
                    return Err(StepError::Early(start_at));
                }
                self.start_at = start_at;
                let mut effects = vec![self.save(Cause::Started)];
                self.go(State::Queued, &mut effects);
                effects.extend(self.begin_attempt(now));
                Ok(effects)
            }
            (State::Queued, HandOff::Idle) => {
                let mut effects = vec![self.save(Cause::Started)];
                effects.extend(self.begin_attempt(now));
                Ok(effects)
            }
            // Resumed after a crash between saving the attempt and knowing its fate: the same attempt again.
            (State::Queued, HandOff::Started) => {
                self.entered = false;
                let wake = self.wake(now + Limits::ACCEPT_WITHIN);
                Ok(vec![self.save(Cause::Looked), Effect::Submit { attempt: self.attempt }, wake])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The start instant of a scheduled callback under `lead`. One that was postponed, and whose instant has
    /// not come, is not started earlier because of a longer lead. (The owner's `wake_at` may be earlier than
    /// the stored instant: a claim sets it by the lead of that moment.)
    fn not_before(&self, lead: Duration) -> DateTime<Utc> {
        let start_at = self.desired_time - lead.clamp(Duration::zero(), Limits::LEAD);
        let planned = self.wake_at.map_or(self.start_at, |wake_at| wake_at.min(self.start_at));
        start_at.max(planned)
    }

    fn begin_attempt(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.attempt += 1;
        self.hand_off = HandOff::Started;
        self.forget_session();
        let wake = self.wake(now + Limits::ACCEPT_WITHIN);
        vec![Effect::Submit { attempt: self.attempt }, wake]
    }

    fn forget_session(&mut self) {
        self.session = None;
        self.last_seq = 0;
        self.dialled = false;
        self.entered = false;
    }

    fn on_submitted(&mut self, attempt: u32, outcome: &SubmitOutcome, now: DateTime<Utc>) -> Vec<Effect> {
        let current = self.attempt == attempt && self.hand_off == HandOff::Started && self.state == State::Queued;
        if !current {
            return Vec::new();
        }
        match outcome {
            SubmitOutcome::Done => {
                self.entered = true;
                Vec::new()
            }
            SubmitOutcome::Refused => self.refused(now),
            // An outage uses no attempt up. The stored wake_at is the safety net, this wish is nearer.
            SubmitOutcome::NotDone | SubmitOutcome::Perhaps => vec![Effect::WakeAt(now + self.jitter(self.version))],
        }
    }

    fn refused(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.refusals += 1;
        if self.refusals >= Limits::REFUSALS {
            return self.complete(Reason::SUBMIT_FAILED, Cause::Refused, false, now);
        }
        self.hand_off = HandOff::Idle;
        let wake = self.wake(now + Limits::pause_after_refusal(self.refusals));
        vec![self.save(Cause::Refused), wake]
    }

    fn on_signal(&mut self, signal: &Signal, now: DateTime<Utc>) -> Stepped {
        if self.state == State::Completed {
            return match signal.event {
                SignalEvent::Completed(_) | SignalEvent::Failed(_) => Ok(vec![Effect::Reply(Reply::Repeated)]),
                _ => Err(StepError::Ended),
            };
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
                self.entered = true;
                Ok(vec![Effect::Reply(Reply::Done)])
            }
            (event, _) => {
                self.check_session(signal)?;
                Ok(self.on_report(signal.seq, event, now))
            }
        }
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
                self.entered = true;
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
        if matches!(event, SignalEvent::Alive | SignalEvent::Position(_)) {
            return vec![Effect::Reply(Reply::Done)];
        }
        let late = match event {
            // What has ended stays ended: the answer to a ping counts whatever came before it.
            SignalEvent::Ended(_) => false,
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
            SignalEvent::Accepted | SignalEvent::Unknown | SignalEvent::Alive | SignalEvent::Position(_) => {
                return vec![Effect::Reply(Reply::Done)];
            }
        };
        self.last_seq = seq;
        let mut effects = vec![self.save(Cause::Reported)];
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

    fn on_cancel(&mut self, by: Canceller, now: DateTime<Utc>) -> Stepped {
        match self.state {
            State::Processing => Err(StepError::NotCancellable(self.state)),
            State::Completed if self.reason.as_ref().is_some_and(Reason::is_cancellation) => {
                Ok(vec![Effect::Reply(Reply::Repeated)])
            }
            State::Completed => Err(StepError::NotCancellable(self.state)),
            State::Scheduled | State::Queued | State::Routing => {
                let cause = match by {
                    Canceller::Api => Cause::CancelledByApi,
                    Canceller::Admin => Cause::CancelledByAdmin,
                    Canceller::Agent => Cause::CancelledByAgent,
                };
                let give_back = self.slot.take();
                let mut effects = self.complete(by.reason(), cause, self.attempt > 0, now);
                if let Some(Effect::Save(saving)) = effects.first_mut() {
                    saving.give_back = give_back;
                }
                effects.insert(1, Effect::Reply(Reply::Done));
                Ok(effects)
            }
        }
    }

    fn on_reschedule(
        &mut self,
        desired_time: DateTime<Utc>,
        slot: Option<DateTime<Utc>>,
        start_at: DateTime<Utc>,
    ) -> Stepped {
        if self.state != State::Scheduled {
            return Err(StepError::NotReschedulable(self.state));
        }
        let ttl = self.expires_at - self.desired_time;
        let give_back = std::mem::replace(&mut self.slot, slot);
        self.desired_time = desired_time;
        self.expires_at = desired_time + ttl;
        self.start_at = start_at;
        self.owner = None;
        self.wake_at = Some(start_at);
        let Effect::Save(saving) = self.save(Cause::Rescheduled) else { return Ok(Vec::new()) };
        let saving = if give_back == slot { saving } else { Saving { give_back, take: slot, ..saving } };
        Ok(vec![Effect::Save(saving), Effect::Reply(Reply::Done), Effect::Finish])
    }

    fn on_postpone(&mut self, until: DateTime<Utc>) -> Vec<Effect> {
        if self.state != State::Scheduled {
            return Vec::new();
        }
        self.start_at = until;
        let wake = self.wake(until);
        vec![self.save(Cause::Postponed), wake]
    }

    fn on_expire(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        let reason = match self.state {
            State::Completed => return Vec::new(),
            State::Processing => Reason::NOT_AVAILABLE,
            State::Scheduled | State::Queued | State::Routing => Reason::FAIL_TIMEOUT_TTL,
        };
        self.complete(reason, Cause::Expired, self.attempt > 0, now)
    }

    fn on_tick(
        &mut self,
        heard_at: Option<DateTime<Utc>>,
        ping_from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<Effect> {
        if self.state == State::Completed {
            return self.settle(now);
        }
        if now >= self.expires_at {
            return self.on_expire(now);
        }
        // Nearer than the row asks for: the pause after a refusal is not over, or nobody is to be asked yet.
        let early = self.wake_at.filter(|wake_at| *wake_at > now);
        match (self.state, self.hand_off, early) {
            (State::Scheduled, _, _) => Vec::new(),
            (_, HandOff::Started, _) if !self.entered => self.submit_again(now),
            (_, _, Some(wake_at)) => vec![Effect::WakeAt(wake_at)],
            (_, HandOff::Idle, None) => vec![Effect::WantPlace],
            (_, HandOff::Started | HandOff::Accepted, None) => self.look_after(heard_at, ping_from, now),
        }
    }

    /// Not known to have arrived: the same attempt again. The row is saved only when it is due, so that an
    /// outage writes once in 30 s and not with every try, and nobody else finds the row overdue.
    fn submit_again(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        let submit = Effect::Submit { attempt: self.attempt };
        match self.wake_at.filter(|wake_at| *wake_at > now) {
            Some(wake_at) => vec![submit, Effect::WakeAt(wake_at)],
            None => {
                let wake = self.wake(now + Limits::ACCEPT_WITHIN);
                vec![self.save(Cause::Looked), submit, wake]
            }
        }
    }

    /// Asks after the attempt if it was silent for too long, else moves the next look.
    fn look_after(
        &mut self,
        heard_at: Option<DateTime<Utc>>,
        ping_from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<Effect> {
        let fresh_until = heard_at.map(|at| at + Limits::SILENCE).filter(|until| *until > now);
        if let Some(until) = fresh_until {
            let wake = self.wake(until);
            return vec![self.save(Cause::Looked), wake];
        }
        if now < ping_from {
            // Spread the questions after an outage over a quarter of a minute instead of asking all at once.
            let wake = self.wake(ping_from + self.jitter(self.version) * 4);
            return vec![self.save(Cause::Looked), wake];
        }
        let wake = self.wake(now + Limits::SILENCE);
        vec![self.save(Cause::Looked), Effect::Ping, wake]
    }

    fn settle(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
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

    fn on_terminated(&mut self, done: bool) -> Vec<Effect> {
        match (self.state == State::Completed && self.owes_terminate, done) {
            (false, _) => Vec::new(),
            (true, true) => self.settled(),
            (true, false) => self.wake_at.map(Effect::WakeAt).into_iter().collect(),
        }
    }

    fn complete(&mut self, reason: Reason, cause: Cause, owes_terminate: bool, now: DateTime<Utc>) -> Vec<Effect> {
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

    /// Moves along the arrows to `to`, through the states between where there is no straight arrow. The
    /// states passed through are noted in the save that stands first in `effects`, if one does.
    fn go(&mut self, to: State, effects: &mut Vec<Effect>) {
        let mut implied = Vec::new();
        while self.state != to {
            let next = if self.state.has_arrow_to(to) { to } else { next_forward(self.state) };
            effects.push(Effect::Moved { from: self.state, to: next });
            self.state = next;
            if next != to {
                implied.push(next);
            }
        }
        if to == State::Queued {
            self.dialled = false;
        }
        if let Some(Effect::Save(saving)) = effects.first_mut() {
            saving.implied.extend(implied);
        }
    }

    fn save(&mut self, cause: Cause) -> Effect {
        self.version += 1;
        Effect::Save(Saving { cause, implied: Vec::new(), give_back: None, take: None })
    }

    /// Sets when somebody must look next, never later than the end of the callback's life.
    fn wake(&mut self, at: DateTime<Utc>) -> Effect {
        let at = at.min(self.expires_at);
        self.wake_at = Some(at);
        Effect::WakeAt(at)
    }
}

fn next_forward(state: State) -> State {
    match state {
        State::Scheduled => State::Queued,
        State::Queued => State::Routing,
        State::Routing => State::Processing,
        State::Processing | State::Completed => State::Completed,
    }
}

fn moved_to(effect: &Effect) -> Option<State> {
    match effect {
        Effect::Moved { to, .. } => Some(*to),
        _ => None,
    }
}
