//! Random lives: whatever arrives in whatever order, the rules hold after every step.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

/// One thing that happens, as far as it can be said without knowing the callback.
#[derive(Debug, Clone)]
enum Happening {
    /// An input that names no attempt.
    Plain(Input),
    /// The answer to the submit of the current attempt, or of one before or after it.
    Submitted(i8, SubmitOutcome),
    /// A signal about such an attempt.
    Signal(i8, u64, Option<&'static str>, SignalEvent),
    /// The process ended and another one took over.
    Restart,
}

fn events() -> impl Strategy<Value = SignalEvent> {
    use SignalEvent::{
        Accepted, Alive, Completed, DialResult, Ended, Failed, Position, Processing, Queued, Routing, Unknown,
    };
    let reason = prop_oneof![Just(None), Just(Some(Reason::AGENT_CONNECTED)), Just(Some(Reason::FAIL_ERROR))].boxed();
    prop_oneof![
        4 => Just(Accepted),
        2 => Just(Queued),
        3 => Just(Routing),
        2 => Just(Processing),
        2 => Just(DialResult(Reason::FAIL_CALL_TO_CUSTOMER)),
        1 => reason.clone().prop_map(Completed),
        1 => reason.clone().prop_map(Failed),
        1 => reason.prop_map(Ended),
        2 => Just(Unknown),
        1 => Just(Alive),
        1 => Just(Position(Live::UNKNOWN)),
    ]
}

fn agains() -> impl Strategy<Value = Again> {
    prop_oneof![Just(Again::EntersOnce), Just(Again::BeginsAnother)]
}

fn happenings() -> impl Strategy<Value = Happening> {
    let attempt = || prop_oneof![8 => Just(0i8), 1 => Just(-1i8), 1 => Just(1i8)];
    let from = prop_oneof![5 => Just(Some("s1")), 1 => Just(Some("s2")), 2 => Just(None)];
    let outcome = prop_oneof![
        4 => Just(SubmitOutcome::Done),
        1 => Just(SubmitOutcome::Refused),
        1 => Just(SubmitOutcome::NotDone),
        1 => agains().prop_map(SubmitOutcome::Perhaps),
    ];
    let canceller =
        prop_oneof![Just(Canceller::Api), Just(Canceller::Admin), Just(Canceller::Agent), Just(Canceller::Replacement)];
    let instant = || (-200i64..200).prop_map(|minutes| noon() + Duration::minutes(minutes));
    let slot = || prop::option::of(instant());
    prop_oneof![
        6 => (-10i64..9000, agains())
            .prop_map(|(lead, again)| Happening::Plain(Input::Start { lead: seconds(lead), again })),
        4 => (attempt(), outcome).prop_map(|(attempt, outcome)| Happening::Submitted(attempt, outcome)),
        14 => (attempt(), 0u64..12, from, events())
            .prop_map(|(attempt, seq, from, event)| Happening::Signal(attempt, seq, from, event)),
        1 => canceller.prop_map(|by| Happening::Plain(Input::Cancel(by))),
        1 => (instant(), slot(), instant(), any::<bool>()).prop_map(|(desired_time, slot, start_at, owned)| {
            let owner = owned.then(me);
            Happening::Plain(Input::Reschedule { desired_time, slot, start_at, owner })
        }),
        1 => instant().prop_map(|until| Happening::Plain(Input::Postpone { until })),
        1 => Just(Happening::Plain(Input::Expire)),
        5 => (prop::option::of(instant()), instant(), agains())
            .prop_map(|(heard_at, ping_from, again)| Happening::Plain(Input::Tick { heard_at, ping_from, again })),
        1 => agains().prop_map(|again| Happening::Plain(Input::LetGo { again })),
        2 => Just(Happening::Plain(Input::WaitShort)),
        1 => any::<bool>().prop_map(|done| Happening::Plain(Input::Terminated { done })),
        1 => Just(Happening::Restart),
    ]
}

/// Seconds that pass before something happens: mostly few, rarely hours.
fn pauses() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0i64), 6 => 0i64..40, 3 => 0i64..200, 1 => 0i64..40_000]
}

fn newborn() -> impl Strategy<Value = Callback> {
    (any_newborn(), 0u8..3, prop::option::of(10u32..1_000))
        .prop_map(|(callback, devices, within)| callback.with_devices(devices, within))
}

fn any_newborn() -> impl Strategy<Value = Callback> {
    prop_oneof![
        Just(Callback::immediate(id(), terms(), me(), noon())),
        Just({
            let mut callback = Callback::immediate(id(), terms(), me(), noon());
            callback.start_with_booking(Again::EntersOnce, noon());
            callback
        }),
        (-60i64..200, 0i64..7200, any::<bool>(), any::<bool>()).prop_map(|(minutes, lead, owned, slotted)| {
            let desired = noon() + Duration::minutes(minutes);
            let owner = owned.then(me);
            Callback::scheduled(id(), terms(), owner, desired, desired - seconds(lead), slotted.then_some(desired))
        }),
    ]
}

fn input_for(callback: &Callback, happening: &Happening) -> Option<Input> {
    let near = |by: i8| callback.attempt.saturating_add_signed(by.into());
    match happening.clone() {
        Happening::Plain(input) => Some(input),
        Happening::Submitted(by, outcome) => Some(Input::Submitted { attempt: near(by), outcome }),
        Happening::Signal(by, seq, from, event) => Some(signal(near(by), seq, from, event)),
        Happening::Restart => None,
    }
}

/// As another process would read it.
fn reread(callback: &Callback) -> Callback {
    Callback { fate: Fate::Unknown, ..callback.clone() }
}

/// A life with what has been seen of it.
struct Life {
    callback: Callback,
    granted: BTreeMap<u32, SessionId>,
    promise: Option<Promise>,
}

impl Life {
    fn step(&mut self, input: Input, now: DateTime<Utc>) -> Result<Vec<Effect>, TestCaseError> {
        let before = self.callback.clone();
        let stepped = self.callback.step(input.clone(), now);
        match &stepped {
            Err(_) => prop_assert_eq!(&self.callback, &before, "a refusal changes nothing"),
            Ok(effects) => {
                self.check_saving(&before, effects)?;
                self.check_moves(&before, effects)?;
                self.check_hand_off(&before, &input, effects, now)?;
                self.check_end(&before, &input, effects)?;
                self.check_leaving(effects, now)?;
                self.check_telling(&before, effects, now)?;
                self.check_promise(&before, effects, now)?;
            }
        }
        self.check_shape()?;
        Ok(stepped.unwrap_or_default())
    }

    fn check_saving(&self, before: &Callback, effects: &[Effect]) -> Result<(), TestCaseError> {
        let saves: Vec<_> =
            effects.iter().enumerate().filter(|(_, effect)| matches!(effect, Effect::Save(_))).collect();
        prop_assert!(saves.iter().all(|(place, _)| *place == 0) && saves.len() <= 1, "one save, and first");
        let answers = effects.iter().filter(|effect| matches!(effect, Effect::Reply(_) | Effect::Refuse(_))).count();
        prop_assert!(answers <= 1, "one answer");
        let risen = self.callback.version - before.version;
        prop_assert_eq!(usize::try_from(risen).unwrap(), saves.len(), "the version rises with a save and only then");
        match effects.first() {
            Some(Effect::Save(saving)) => {
                let held = if saving.give_back.is_some() { saving.take } else { saving.take.or(before.slot) };
                prop_assert_eq!(self.callback.slot, held, "slots go by what is saved");
                prop_assert!(saving.give_back.is_none() || saving.give_back == before.slot, "only what is held");
                let wish = effects.iter().find_map(|effect| match effect {
                    Effect::WakeAt(at) => Some(*at),
                    _ => None,
                });
                prop_assert!(wish.is_none() || wish == self.callback.wake_at, "the timer is a copy of the row");
            }
            _ => prop_assert_eq!(reread(&self.callback), reread(before), "unsaved is unchanged"),
        }
        Ok(())
    }

    fn check_moves(&self, before: &Callback, effects: &[Effect]) -> Result<(), TestCaseError> {
        let mut state = before.state;
        let mut reached = Vec::new();
        for effect in effects {
            if let Effect::Moved { from, to } = effect {
                prop_assert_eq!(*from, state, "moves follow each other");
                prop_assert!(from.has_arrow_to(*to), "{} > {}", from, to);
                state = *to;
                reached.push(*to);
            }
        }
        prop_assert_eq!(state, self.callback.state, "every move is told");
        reached.pop();
        match effects.first() {
            Some(Effect::Save(saving)) => prop_assert_eq!(&saving.implied, &reached, "skipped states are noted"),
            _ => prop_assert!(reached.is_empty()),
        }
        if before.state == State::Completed {
            prop_assert_eq!(&(self.callback.state, &self.callback.reason), &(before.state, &before.reason));
            prop_assert!(before.is_settled() <= self.callback.is_settled(), "nothing is owed anew");
        }
        Ok(())
    }

    fn check_hand_off(
        &mut self,
        before: &Callback,
        input: &Input,
        effects: &[Effect],
        now: DateTime<Utc>,
    ) -> Result<(), TestCaseError> {
        let callback = &self.callback;
        // Only an attempt that nobody has heard of gives its number back, and leaves nothing that could be granted.
        let unheard = (before.state, before.hand_off, before.fate) == (State::Queued, HandOff::Started, Fate::Absent);
        let taken_back = matches!(input, Input::LetGo { again: Again::BeginsAnother })
            && unheard
            && (callback.attempt + 1, callback.hand_off) == (before.attempt, HandOff::Idle);
        prop_assert!(callback.attempt >= before.attempt || taken_back, "attempts never fall");
        if before.state == State::Processing || before.state == State::Completed {
            prop_assert_eq!(callback.attempt, before.attempt, "who has talked is not called again");
        }
        for effect in effects {
            if let Effect::Submit { attempt } = effect {
                prop_assert_eq!(*attempt, callback.attempt);
                prop_assert_eq!((callback.state, callback.hand_off), (State::Queued, HandOff::Started));
                prop_assert!(now >= callback.start_at && now < callback.expires_at, "neither early nor after its life");
            }
        }
        if let (HandOff::Accepted, Some(session)) = (callback.hand_off, &callback.session) {
            let first = self.granted.entry(callback.attempt).or_insert_with(|| session.clone());
            prop_assert_eq!(&*first, session, "one session for an attempt");
            let again = before.attempt == callback.attempt && before.hand_off != HandOff::Accepted;
            prop_assert!(!again || before.hand_off == HandOff::Started, "an attempt given up is not granted");
        }
        Ok(())
    }

    /// What has ended takes a signal into its history and changes in nothing else; only there a refusal is saved.
    fn check_end(&self, before: &Callback, input: &Input, effects: &[Effect]) -> Result<(), TestCaseError> {
        let refuses = effects.iter().any(|effect| matches!(effect, Effect::Refuse(_)));
        prop_assert!(!refuses || before.state == State::Completed);
        if before.state != State::Completed || !matches!(input, Input::Signal(_)) {
            return Ok(());
        }
        let noted = Callback { version: self.callback.version, last_seq: self.callback.last_seq, ..before.clone() };
        prop_assert_eq!(&self.callback, &noted, "a signal after the end is noted, no more");
        match effects {
            [Effect::Save(saving), Effect::Reply(Reply::Repeated) | Effect::Refuse(StepError::Ended)] => {
                prop_assert_eq!(saving.cause, Cause::LateSignal);
                prop_assert!(self.callback.version <= Limits::NOTED_VERSIONS);
            }
            [Effect::Reply(Reply::Repeated)] => {}
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    }

    /// Customers are told once that the wait is short, or that it is their turn, and only while they wait.
    fn check_telling(&self, before: &Callback, effects: &[Effect], now: DateTime<Utc>) -> Result<(), TestCaseError> {
        let told = |callback: &Callback| {
            (callback.devices.told_upcoming, callback.originated.is_some_and(|originated| originated.until.is_some()))
        };
        let (was, is) = (told(before), told(&self.callback));
        prop_assert!(was.0 <= is.0 && was.1 <= is.1, "nothing is forgotten");
        let cause = match effects.first() {
            Some(Effect::Save(saving)) => Some(saving.cause),
            _ => None,
        };
        prop_assert_eq!(!was.0 && is.0, cause == Some(Cause::WaitShort));
        prop_assert_eq!(!was.1 && is.1, cause == Some(Cause::TurnCame));
        if was != is {
            prop_assert!(matches!(self.callback.state, State::Queued | State::Routing) && !before.dialled);
        }
        if self.callback.reason == Some(Reason::FAIL_USER_NO_CONFIRM) && before.reason.is_none() {
            prop_assert!(before.turn_until().is_some_and(|until| now >= until), "never before the time is over");
        }
        Ok(())
    }

    /// What became of the promise is decided once, by a step that is saved, and by nobody's cancelling.
    fn check_promise(
        &mut self,
        before: &Callback,
        effects: &[Effect],
        now: DateTime<Utc>,
    ) -> Result<(), TestCaseError> {
        let Some(promise) = self.callback.promise(before, now) else { return Ok(()) };
        prop_assert!(matches!(effects.first(), Some(Effect::Save(_))), "{:?} is not saved", promise);
        prop_assert_eq!(self.promise.replace(promise), None, "decided twice");
        let accepted = self.callback.hand_off == HandOff::Accepted;
        match promise {
            Promise::Kept => prop_assert!(
                accepted && now <= self.callback.start_at.max(self.callback.desired_time) + Promise::WITHIN
            ),
            Promise::Late => prop_assert!(self.callback.state != State::Completed),
            Promise::Missed => prop_assert!(self.callback.state == State::Completed && self.granted.is_empty()),
        }
        Ok(())
    }

    fn check_leaving(&self, effects: &[Effect], now: DateTime<Utc>) -> Result<(), TestCaseError> {
        let mut left = self.callback.clone();
        let kept = left.leave_to_owner(effects.to_vec(), now);
        for effect in &kept {
            let own = matches!(
                effect,
                Effect::Save(_) | Effect::Reply(_) | Effect::Refuse(_) | Effect::Moved { .. } | Effect::Finish
            );
            prop_assert!(own, "{:?} is the owner's", effect);
        }
        let saved = matches!(effects.first(), Some(Effect::Save(_)));
        let due = if saved && effects.iter().any(Effect::is_work) { Some(now) } else { self.callback.wake_at };
        prop_assert_eq!(left.wake_at, due);
        Ok(())
    }

    fn check_shape(&self) -> Result<(), TestCaseError> {
        let callback = &self.callback;
        let ended = callback.state == State::Completed;
        prop_assert_eq!((callback.reason.is_some(), callback.ended_at.is_some()), (ended, ended));
        prop_assert_eq!(callback.wake_at.is_none(), callback.is_settled(), "what is not settled is looked after");
        prop_assert!(!callback.is_settled() || callback.owner.is_none());
        prop_assert!(!callback.owes_terminate || ended);
        prop_assert!(callback.refusals <= Limits::REFUSALS);
        match callback.state {
            State::Scheduled => prop_assert_eq!((callback.attempt, callback.hand_off), (0, HandOff::Idle)),
            State::Routing | State::Processing => prop_assert_eq!(callback.hand_off, HandOff::Accepted),
            State::Queued | State::Completed => {}
        }
        if !ended {
            prop_assert_eq!(callback.session.is_some(), callback.hand_off == HandOff::Accepted);
            prop_assert!(callback.wake_at <= Some(callback.expires_at.max(noon() + Duration::days(9))));
        }
        Ok(())
    }

    /// What a restart must not change: where the callback stands and who was granted what.
    fn standing(callback: &Callback) -> impl PartialEq + std::fmt::Debug + use<> {
        let Callback { state, reason, attempt, hand_off, session, refusals, slot, owes_terminate, start_at, .. } =
            callback.clone();
        ((state, reason, attempt, hand_off, session), (refusals, slot, owes_terminate, start_at))
    }

    /// With routing that answers and time that passes, every life comes to its end.
    fn drive_to_the_end(&mut self, again: Again, mut now: DateTime<Utc>) -> Result<(), TestCaseError> {
        let start = |again| Input::Start { lead: seconds(120), again };
        for _ in 0..40 {
            let Some(wake_at) = self.callback.wake_at else { return Ok(()) };
            now = now.max(wake_at);
            let mut effects = match self.callback.state {
                State::Scheduled => {
                    // A shorter lead moves the start: the timer is set anew.
                    if let Err(StepError::Early(start_at)) = self.callback.clone().step(start(again), now) {
                        now = start_at;
                    }
                    self.step(start(again), now)?
                }
                _ => self.step(Input::Tick { heard_at: None, ping_from: now, again }, now)?,
            };
            if effects.contains(&Effect::WantPlace) {
                effects = self.step(start(again), now)?;
            }
            let attempt = self.callback.attempt;
            let mut answers = Vec::new();
            for effect in &effects {
                match effect {
                    Effect::Submit { .. } => answers.extend([
                        Input::Submitted { attempt, outcome: SubmitOutcome::Done },
                        signal(attempt, 1, Some("s9"), SignalEvent::Accepted),
                        signal(attempt, 2, Some("s9"), SignalEvent::Completed(Some(Reason::AGENT_CONNECTED))),
                    ]),
                    Effect::Ping => answers.push(signal(attempt, 0, None, SignalEvent::Unknown)),
                    Effect::Terminate => answers.push(Input::Terminated { done: true }),
                    _ => {}
                }
            }
            for answer in answers {
                self.step(answer, now)?;
            }
        }
        prop_assert!(self.callback.is_settled(), "it rests: {:?}", self.callback);
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_rules_hold_in_every_life(
        callback in newborn(),
        story in prop::collection::vec((pauses(), happenings()), 1..60),
        again in agains(),
    ) {
        let mut life = Life { callback, granted: BTreeMap::new(), promise: None };
        let mut now = noon();
        for (pause, happening) in story {
            now += seconds(pause);
            match input_for(&life.callback, &happening) {
                Some(input) => { life.step(input, now)?; }
                None => life.callback = reread(&life.callback),
            }
        }
        life.drive_to_the_end(again, now)?;
        let cancelled = life.callback.reason.as_ref().is_some_and(Reason::is_cancellation);
        prop_assert!(life.promise.is_some() || cancelled, "undecided: {:?}", life.callback);
    }

    /// Whoever reads the row and performs the effects of entering its state ends where the other would have.
    #[test]
    fn a_restart_ends_in_the_same_state(
        callback in newborn(),
        story in prop::collection::vec((pauses(), happenings()), 1..40),
        lead in 0i64..7200,
    ) {
        let mut now = noon();
        let mut stayed = callback;
        for (pause, happening) in story {
            now += seconds(pause);
            if let Some(input) = input_for(&stayed, &happening) {
                let _ = stayed.step(input, now);
            }
            for input in [tick(), Input::Start { lead: seconds(lead), again: Again::EntersOnce }] {
                let (mut one, mut other) = (stayed.clone(), reread(&stayed));
                let _ = (one.step(input.clone(), now), other.step(input.clone(), now));
                prop_assert_eq!(Life::standing(&one), Life::standing(&other), "{:?}", input);
                // And once more, as if the process had ended right after it had saved.
                let mut again = reread(&other);
                let _ = (one.step(tick(), now), again.step(tick(), now));
                prop_assert_eq!(Life::standing(&one), Life::standing(&again));
            }
        }
    }
}
