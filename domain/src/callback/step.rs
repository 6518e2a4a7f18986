//! The step function: one input, one change, its effects.

use chrono::{DateTime, Duration, Utc};
use thiserror::Error;

use super::{
    Again, Callback, Cause, Effect, Fate, HandOff, Input, Limits, Reason, Reply, Saving, State, SubmitOutcome,
};
use crate::ids::Incarnation;

/// Why an input was not applied.
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

pub(super) type Stepped = Result<Vec<Effect>, StepError>;

impl Callback {
    /// Applies one input at `now` (database time). On success the callback has its new version if the
    /// effects begin with [`Effect::Save`], else it is as before.
    ///
    /// Whoever sent the input is answered by at most one [`Effect::Reply`] or [`Effect::Refuse`]. The latter is a
    /// refusal that the history shall tell of: nothing but the version and the order of signals moves, and the sender
    /// hears it once that is saved.
    ///
    /// # Errors
    /// [`StepError`] if the input is refused without a trace: the callback is unchanged, and nothing is to be done.
    pub fn step(&mut self, input: Input, now: DateTime<Utc>) -> Stepped {
        match input {
            Input::Start { lead, again } => self.on_start(lead, again, now),
            Input::Submitted { attempt, outcome } => Ok(self.on_submitted(attempt, &outcome, now)),
            Input::Signal(signal) => self.on_signal(&signal, now),
            Input::Cancel(by) => self.on_cancel(by, now),
            Input::Reschedule { desired_time, slot, start_at, owner } => {
                self.on_reschedule(desired_time, slot, start_at, owner)
            }
            Input::Postpone { until } => Ok(self.on_postpone(until)),
            Input::Expire => Ok(self.on_expire(now)),
            Input::Tick { heard_at, ping_from, again } => Ok(self.on_tick(heard_at, ping_from, again, now)),
            Input::LetGo { again } => Ok(self.on_let_go(again)),
            Input::WaitShort => Ok(self.on_wait_short(now)),
            Input::Terminated { done } => Ok(self.on_terminated(done)),
        }
    }

    /// Begins the first attempt of a callback that is being booked, inside its first version.
    /// The caller saves the booking before it performs the effects.
    pub fn start_with_booking(&mut self, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        self.begin_attempt(again, now)
    }

    /// For whoever applied a step without owning the callback: keeps what may be done at once, and leaves
    /// the rest to the owner by making the callback due. Call it before saving.
    pub fn leave_to_owner(&mut self, mut effects: Vec<Effect>, now: DateTime<Utc>) -> Vec<Effect> {
        // A wish to be woken is no work: the save keeps it for the owner.
        let work_left = effects.iter().any(Effect::is_work);
        effects.retain(|effect| !effect.is_work() && !matches!(effect, Effect::WakeAt(_)));
        if work_left && matches!(effects.first(), Some(Effect::Save(_))) && self.wake_at.is_some() {
            self.wake_at = Some(now);
        }
        effects
    }

    fn on_start(&mut self, lead: Duration, again: Again, now: DateTime<Utc>) -> Stepped {
        if self.needs_place() && now >= self.life_ends_at() {
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
                effects.extend(self.begin_attempt(again, now));
                Ok(effects)
            }
            (State::Queued, HandOff::Idle) => {
                let mut effects = vec![self.save(Cause::Started)];
                effects.extend(self.begin_attempt(again, now));
                Ok(effects)
            }
            (State::Queued, HandOff::Started) => Ok(self.resume_attempt(again, now)),
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

    fn begin_attempt(&mut self, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        self.attempt += 1;
        self.hand_off = HandOff::Started;
        self.forget_session();
        self.submit(again, now)
    }

    /// Invites, and looks again once `accepted` is overdue. The caller saves.
    fn submit(&mut self, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        self.fate = Fate::Unknown;
        let within = match again {
            Again::EntersOnce => Limits::ACCEPT_WITHIN,
            // So a row that is due has waited for as long as the attempt may need, also after a crash.
            Again::BeginsAnother => Limits::PERHAPS,
        };
        let wake = self.wake(now + within);
        vec![Effect::Submit { attempt: self.attempt }, wake]
    }

    /// Resumed with a place, between saving an attempt and its `accepted`.
    fn resume_attempt(&mut self, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        let early = self.wake_at.filter(|wake_at| *wake_at > now);
        match (again, self.fate, early) {
            // The same attempt again does no harm.
            (Again::EntersOnce, ..) | (Again::BeginsAnother, Fate::Absent, _) => {
                self.saved_first(Cause::Looked, again, now)
            }
            (Again::BeginsAnother, _, Some(wake_at)) => vec![Effect::WakeAt(wake_at)],
            (Again::BeginsAnother, Fate::Unknown | Fate::Entered, None) => {
                let mut effects = vec![self.save(Cause::Lost)];
                effects.extend(self.begin_attempt(again, now));
                effects
            }
        }
    }

    fn saved_first(&mut self, cause: Cause, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        let mut effects = vec![self.save(cause)];
        effects.extend(self.submit(again, now));
        effects
    }

    pub(super) fn forget_session(&mut self) {
        self.session = None;
        self.last_seq = 0;
        self.dialled = false;
        self.fate = Fate::Unknown;
    }

    fn on_submitted(&mut self, attempt: u32, outcome: &SubmitOutcome, now: DateTime<Utc>) -> Vec<Effect> {
        let current = self.attempt == attempt && self.hand_off == HandOff::Started && self.state == State::Queued;
        if !current {
            return Vec::new();
        }
        match outcome {
            SubmitOutcome::Done => {
                self.fate = Fate::Entered;
                Vec::new()
            }
            SubmitOutcome::Refused => self.refused(now),
            // An outage uses no attempt up. The stored wake_at is the safety net, this wish is nearer.
            SubmitOutcome::NotDone => {
                self.fate = Fate::Absent;
                vec![Effect::WakeAt(now + self.jitter(self.version))]
            }
            SubmitOutcome::Perhaps(Again::EntersOnce) => vec![Effect::WakeAt(now + self.jitter(self.version))],
            // It may have begun: it has its time to ask for itself. What was heard meanwhile counts.
            SubmitOutcome::Perhaps(Again::BeginsAnother) => {
                let wake = self.wake(now + Limits::PERHAPS);
                vec![self.save(Cause::Looked), wake]
            }
        }
    }

    /// An attempt that surely nobody has heard of is taken back, so that its number is used by the next life. Where
    /// asking again does no harm there is nothing to keep.
    fn on_let_go(&mut self, again: Again) -> Vec<Effect> {
        let unheard = self.state == State::Queued && self.hand_off == HandOff::Started && self.fate == Fate::Absent;
        if again == Again::EntersOnce || !unheard {
            return Vec::new();
        }
        self.attempt = self.attempt.saturating_sub(1);
        self.hand_off = HandOff::Idle;
        self.forget_session();
        vec![self.save(Cause::Looked)]
    }

    pub(super) fn refused(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.refusals += 1;
        if self.refusals >= Limits::REFUSALS {
            return self.complete(Reason::SUBMIT_FAILED, Cause::Refused, false, now);
        }
        self.hand_off = HandOff::Idle;
        let wake = self.wake(now + Limits::pause_after_refusal(self.refusals));
        vec![self.save(Cause::Refused), wake]
    }

    fn on_reschedule(
        &mut self,
        desired_time: DateTime<Utc>,
        slot: Option<DateTime<Utc>>,
        start_at: DateTime<Utc>,
        owner: Option<Incarnation>,
    ) -> Stepped {
        // Asked again, perhaps because the answer was lost: it may have started since.
        if self.desired_time == desired_time && self.state != State::Completed {
            return Ok(vec![Effect::Reply(Reply::Repeated)]);
        }
        if self.state != State::Scheduled {
            return Err(StepError::NotReschedulable(self.state));
        }
        let ttl = self.expires_at - self.desired_time;
        let give_back = std::mem::replace(&mut self.slot, slot);
        self.desired_time = desired_time;
        self.expires_at = desired_time + ttl;
        self.start_at = start_at;
        self.owner = owner;
        self.wake_at = Some(start_at);
        let saving = self.saving(Cause::Rescheduled);
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

    fn on_tick(
        &mut self,
        heard_at: Option<DateTime<Utc>>,
        ping_from: DateTime<Utc>,
        again: Again,
        now: DateTime<Utc>,
    ) -> Vec<Effect> {
        if self.state == State::Completed {
            return self.settle(now);
        }
        if now >= self.life_ends_at() {
            return self.on_expire(now);
        }
        // Nearer than the row asks for: the pause after a refusal is not over, or nobody is to be asked yet.
        let early = self.wake_at.filter(|wake_at| *wake_at > now);
        match (self.state, self.hand_off, early) {
            (State::Scheduled, _, _) => Vec::new(),
            (_, HandOff::Started, _) if self.may_submit(again) => self.submit_again(again, now),
            (_, _, Some(wake_at)) => vec![Effect::WakeAt(wake_at)],
            (_, HandOff::Idle, None) => vec![Effect::WantPlace],
            (_, HandOff::Started, None) if self.fate != Fate::Entered => self.give_attempt_up(now),
            (_, HandOff::Started | HandOff::Accepted, None) => self.look_after(heard_at, ping_from, now),
        }
    }

    /// Whether the same attempt may be asked for again.
    fn may_submit(&self, again: Again) -> bool {
        match again {
            Again::EntersOnce => self.fate != Fate::Entered,
            Again::BeginsAnother => self.fate == Fate::Absent,
        }
    }

    /// Not known to have arrived: the same attempt again. Where that does no harm, the row is saved only when it is
    /// due, so that an outage writes once in 30 s and not with every try, and nobody else finds the row overdue. Where
    /// it begins another session, the row has to know when the last one may have begun.
    fn submit_again(&mut self, again: Again, now: DateTime<Utc>) -> Vec<Effect> {
        match self.wake_at.filter(|wake_at| *wake_at > now) {
            Some(wake_at) if again == Again::EntersOnce => {
                self.fate = Fate::Unknown;
                vec![Effect::Submit { attempt: self.attempt }, Effect::WakeAt(wake_at)]
            }
            _ => self.saved_first(Cause::Looked, again, now),
        }
    }

    /// It may have begun and has not asked for itself: from here on it is refused, and the next one may begin.
    fn give_attempt_up(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.hand_off = HandOff::Idle;
        self.forget_session();
        self.wake_at = Some(now);
        vec![self.save(Cause::Lost), Effect::WantPlace]
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

    /// Moves along the arrows to `to`, through the states between where there is no straight arrow. The
    /// states passed through are noted in the save that stands first in `effects`, if one does.
    pub(super) fn go(&mut self, to: State, effects: &mut Vec<Effect>) {
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

    pub(super) fn save(&mut self, cause: Cause) -> Effect {
        Effect::Save(self.saving(cause))
    }

    fn saving(&mut self, cause: Cause) -> Saving {
        self.version += 1;
        Saving { cause, implied: Vec::new(), give_back: None, take: None, actor: None }
    }

    /// Sets when somebody must look next, never later than the end of the callback's life.
    pub(super) fn wake(&mut self, at: DateTime<Utc>) -> Effect {
        let at = at.min(self.life_ends_at());
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
