//! What a session is told, and what it makes of it: each handler ends in an input for the machine, or in none.

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Callback, Input, Signal, State as CallbackState, SubmitOutcome};
use ractor::ActorRef;

use super::step::Reloaded;
use super::{Beginning, Caller, SessionMsg, State};
use crate::restart::Fault;
use crate::tenant::TenantMsg;

/// Sessions that are brought back with an accepted attempt ask after it at a moment of their own within this
/// time and the machine's own jitter (4 to 20 s): within a minute in all.
const ASK_WITHIN: TimeDelta = TimeDelta::seconds(40);

/// What reading a row again has brought.
#[derive(PartialEq, Eq)]
enum Row {
    AsKnown,
    /// It was gone on from, or the session ends.
    News,
}

impl State {
    pub(super) async fn on_begin(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(beginning) = self.beginning.take() else { return Ok(()) };
        match *beginning {
            Beginning::Booked { callback, effects, details } => {
                self.callback = Some(callback);
                self.details = Some(details);
                self.placed = true;
                self.perform(me, effects, Caller::None);
                Ok(())
            }
            Beginning::Stored { granted } => {
                self.placed = granted;
                self.reload_and_resume(me).await
            }
            Beginning::Found { callback, input, caller } => {
                self.callback = Some(callback);
                self.follow(None);
                match *input {
                    Input::Signal(signal) => self.on_signal(me, signal, caller).await?,
                    input => self.apply(me, input, caller).await?,
                }
                // An input that changed nothing has not said either when to look next.
                if self.timer.is_none() { self.resume(me).await } else { Ok(()) }
            }
        }
    }

    async fn reload_and_resume(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        match self.reload(me).await? {
            Reloaded::Ours => self.resume(me).await,
            Reloaded::NotOurs | Reloaded::Later => Ok(()),
        }
    }

    /// Performs the effects of entering the stored state again.
    async fn resume(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        if callback.needs_place() {
            if self.placed {
                return self.begin_attempt(me).await;
            }
            self.want_place(me);
            return Ok(());
        }
        self.follow(None);
        let spread = self.id.spread(self.wish, ASK_WITHIN);
        let ping_from = self.node.ping_from().max(self.node.now() + spread);
        self.tick(me, ping_from).await
    }

    async fn begin_attempt(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let lead = self.facts.lead(&self.node, &callback.queue);
        self.apply(me, Input::Start { lead, again: self.again() }, Caller::None).await
    }

    pub(super) async fn on_place_granted(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        if std::mem::replace(&mut self.placed, true) {
            return Ok(());
        }
        if self.callback.is_none() {
            return self.reload_and_resume(me).await;
        }
        if self.callback.as_ref().is_some_and(|callback| callback.needs_place()) {
            self.begin_attempt(me).await
        } else {
            // It was found wanting one: somebody else may have taken a step that was not heard of here.
            self.on_changed(me).await?;
            if self.callback.as_ref().is_some_and(|callback| !callback.needs_place()) {
                self.free_place(me, false);
            }
            Ok(())
        }
    }

    /// A report of the granted session counts as heard, whatever else it says.
    pub(super) async fn on_signal(
        &mut self,
        me: &ActorRef<SessionMsg>,
        signal: Signal,
        caller: Caller,
    ) -> Result<(), Fault> {
        let heard = signal.clone();
        self.apply(me, Input::Signal(signal), caller).await?;
        self.node.hear(self.facts.id, self.id, &heard);
        Ok(())
    }

    /// Goes on as if this session had taken the step that somebody else has taken: a place that is needed no more is
    /// free, and what has to wait waits.
    pub(super) async fn on_changed(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        self.read_again(me).await.map(drop)
    }

    async fn read_again(&mut self, me: &ActorRef<SessionMsg>) -> Result<Row, Fault> {
        let known = self.callback.take();
        if !matches!(self.reload(me).await?, Reloaded::Ours) {
            return Ok(Row::News);
        }
        let unchanged = |known: &Callback| {
            let same = self.callback.as_ref().is_some_and(|read| read.version == known.version);
            same && known.state != CallbackState::Completed
        };
        if known.as_deref().is_some_and(unchanged) {
            self.callback = known;
            return Ok(Row::AsKnown);
        }
        self.follow_hand_off(me);
        let now = self.node.now();
        let waits = |callback: &Callback| callback.needs_place() && callback.wake_at.is_some_and(|at| at > now);
        if self.callback.as_deref().is_some_and(waits) {
            self.follow(None);
            self.tick(me, self.node.ping_from()).await?;
        } else {
            self.resume(me).await?;
        }
        Ok(Row::News)
    }

    pub(super) async fn on_rest(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        self.resting = true;
        self.rest_if_idle(me).await
    }

    pub(super) async fn on_submit_answered(
        &mut self,
        me: &ActorRef<SessionMsg>,
        attempt: u32,
        outcome: SubmitOutcome,
    ) -> Result<(), Fault> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let outage = matches!(outcome, SubmitOutcome::NotDone | SubmitOutcome::Perhaps(_));
        self.apply(me, Input::Submitted { attempt, outcome }, Caller::None).await?;
        if outage && self.placed {
            self.tenant.hint(TenantMsg::OutageSeen { session: me.get_id(), id: self.id });
        }
        self.rest_if_idle(me).await
    }

    pub(super) async fn on_close_answered(&mut self, me: &ActorRef<SessionMsg>, done: bool) -> Result<(), Fault> {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.apply(me, Input::Terminated { done }, Caller::None).await?;
        self.rest_if_idle(me).await
    }

    pub(super) async fn on_timer(&mut self, me: &ActorRef<SessionMsg>, wish: u32) -> Result<(), Fault> {
        if wish != self.wish {
            return Ok(());
        }
        self.timer = None;
        let wanted = self.wanted.take();
        if self.callback.is_none() {
            return self.reload_and_resume(me).await;
        }
        let Some(wanted) = wanted else { return self.tick(me, self.node.ping_from()).await };
        self.looks = self.looks.saturating_add(1);
        if self.read_again(me).await? == Row::AsKnown {
            self.wake_at(me, wanted);
        }
        Ok(())
    }

    async fn tick(&mut self, me: &ActorRef<SessionMsg>, ping_from: DateTime<Utc>) -> Result<(), Fault> {
        let input = Input::Tick { heard_at: self.node.live.heard_at(self.id), ping_from, again: self.again() };
        self.apply(me, input, Caller::None).await
    }

    async fn rest_if_idle(&mut self, me: &ActorRef<SessionMsg>) -> Result<(), Fault> {
        if self.resting && self.in_flight == 0 {
            if self.callback.is_some() {
                self.apply(me, Input::LetGo { again: self.again() }, Caller::None).await?;
            }
            self.end(me);
        }
        Ok(())
    }
}
