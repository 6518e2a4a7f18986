//! Scheduled callbacks until they are due: claims each minute what starts soon, and fires each at its instant.
//!
//! Started by the root. Talked to by itself, by its claim task, and by tenants that booked something near.
//! When it dies it forgets what it had claimed: those rows are ours and due at their instant, so the sweep
//! fires them within a second.
//!
//! One alarm serves everything: it rings at the first of the next minute and the earliest callback, and at
//! least each second, because the clock may have been corrected since it was set.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cron::Schedule;
use domain::event::ActorKind;
use domain::ids::CallbackId;
use domain::ports::{Claim, Due, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, TaskPanicked};
use crate::tenants::TenantsMsg;

/// Each minute on the minute, in UTC.
const EACH_MINUTE: &str = "0 * * * * *";
/// How far a claim looks ahead: a whole minute until the next, and half of one for a slow store.
const AHEAD: TimeDelta = TimeDelta::seconds(90);
/// Callbacks in one claim.
const CLAIMED_AT_ONCE: usize = 500;
/// Callbacks handed on in one message.
const FIRED_AT_ONCE: usize = 500;
/// Claimed callbacks kept in memory; the sweep finds the rest when they are due.
const KEPT: usize = 1_000_000;
/// How long one claim may take.
const CLAIM_DEADLINE: Duration = Duration::from_secs(10);
/// Pause before a failed claim is tried again.
const CLAIM_AGAIN: Duration = Duration::from_secs(2);
/// Pause before it is looked again whether this node may work.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// The alarm rings at least so often.
const RING_WITHIN: Duration = Duration::from_secs(1);

/// Messages to the scheduler.
pub(crate) enum SchedulerMsg {
    /// From its own alarm: a minute has begun, or the instant of the earliest has come, or neither.
    AlarmRang,
    /// From the claim task and from tenants: these are ours, fire them at their instants.
    Claimed { due: Vec<Due> },
    /// From tenants: this one was moved to another time. If it was to be fired here, at `before`, it is not.
    Moved { id: CallbackId, before: Option<DateTime<Utc>> },
    /// From the claim task: it has ended.
    ClaimEnded { result: Result<(), StoreError> },
    /// From itself: the pause after a claim that was not possible is over.
    ClaimAgain,
    /// From the claim task, in place of its answer.
    TaskPanicked,
}

/// What it is started with.
pub(crate) struct SchedulerArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
}

/// State of the scheduler.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<SchedulerMsg>,
    minutes: Schedule,
    /// The next minute; none before the first.
    next_minute: Option<DateTime<Utc>>,
    /// A claim is on its way: one at a time.
    claiming: bool,
    /// A pause before the next claim is running.
    pausing: bool,
    /// What waits for its instant, by it; the id tells those of the same instant apart.
    waiters: BTreeMap<(DateTime<Utc>, CallbackId), Due>,
    alarm: Option<(Instant, AbortHandle)>,
    meter: Meter,
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((_, alarm)) = self.alarm.take() {
            alarm.abort();
        }
        self.node.claimed.store(0, Ordering::Relaxed);
    }
}

/// The actor.
pub(crate) struct SchedulerActor;

impl Actor for SchedulerActor {
    type Msg = SchedulerMsg;
    type State = State;
    type Arguments = SchedulerArgs;

    async fn pre_start(&self, me: ActorRef<SchedulerMsg>, args: SchedulerArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Scheduler, args.node.ports.observer.clone(), args.waiting);
        let minutes = Schedule::from_str(EACH_MINUTE).map_err(|error| Fault(format!("{EACH_MINUTE}: {error}")))?;
        let me = meter.address(&me);
        args.node.scheduler.put(me.clone());
        // Whatever fell due while nobody looked is claimed at once, not at the next minute.
        me.hint(SchedulerMsg::AlarmRang);
        Ok(State {
            node: args.node,
            me,
            minutes,
            next_minute: None,
            claiming: false,
            pausing: false,
            waiters: BTreeMap::new(),
            alarm: None,
            meter,
        })
    }

    async fn handle(
        &self,
        _me: ActorRef<SchedulerMsg>,
        message: SchedulerMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            SchedulerMsg::AlarmRang => state.on_alarm(),
            SchedulerMsg::Claimed { due } => state.on_claimed(due),
            SchedulerMsg::Moved { id, before } => state.on_moved(id, before),
            SchedulerMsg::ClaimEnded { result } => state.on_claim_ended(result)?,
            SchedulerMsg::ClaimAgain => state.on_claim_again(),
            SchedulerMsg::TaskPanicked => return Err(TaskPanicked.into()),
        }
        Ok(())
    }
}

impl State {
    fn on_alarm(&mut self) {
        self.alarm = None;
        let now = self.node.now();
        if self.minute_has_begun(now) {
            // Missed minutes are not made up for: one claim takes everything that is due by now.
            self.next_minute = self.minutes.after(&now).next();
            self.claim();
        }
        self.fire(now);
        self.set_alarm();
    }

    /// Also true if the next minute is farther away than one can be: the clock was set back.
    fn minute_has_begun(&self, now: DateTime<Utc>) -> bool {
        self.next_minute.is_none_or(|next| next <= now || next - now > TimeDelta::minutes(1))
    }

    /// Hands on what is due, one message at a time, so that other messages come in between.
    fn fire(&mut self, now: DateTime<Utc>) {
        let mut due = Vec::new();
        while due.len() < FIRED_AT_ONCE
            && let Some(first) = self.waiters.first_entry()
            && first.get().wake_at <= now
        {
            due.push(first.remove());
        }
        self.node.claimed.store(self.waiters.len(), Ordering::Relaxed);
        if !due.is_empty() {
            self.node.tenants.hint(TenantsMsg::Work { due });
        }
    }

    fn on_claimed(&mut self, due: Vec<Due>) {
        let room = KEPT.saturating_sub(self.waiters.len());
        self.waiters.extend(due.into_iter().take(room).map(|due| ((due.wake_at, due.id), due)));
        self.node.claimed.store(self.waiters.len(), Ordering::Relaxed);
        self.set_alarm();
    }

    fn on_moved(&mut self, id: CallbackId, before: Option<DateTime<Utc>>) {
        if let Some(before) = before {
            self.waiters.remove(&(before, id));
        }
        self.node.claimed.store(self.waiters.len(), Ordering::Relaxed);
    }

    fn set_alarm(&mut self) {
        let earliest = self.waiters.first_key_value().map(|(_, first)| first.wake_at);
        let instants = [earliest, self.next_minute].into_iter().flatten().map(|at| self.node.instant_of(at));
        let latest = Instant::now() + RING_WITHIN;
        let at = instants.min().map_or(latest, |at| at.min(latest));
        if self.alarm.as_ref().is_some_and(|(set, _)| *set <= at) {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            alarm.abort();
        }
        let me = self.me.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            me.hint(SchedulerMsg::AlarmRang);
        });
        self.alarm = Some((at, task.abort_handle()));
    }

    /// Claims what starts soon, unless that is happening or this node may not work.
    fn claim(&mut self) {
        if self.claiming || self.node.is_draining() {
            return;
        }
        if !self.node.may_work() {
            return self.claim_after(LOOK_AGAIN);
        }
        self.claiming = true;
        let (node, me) = (self.node.clone(), self.me.clone());
        let work = async move { SchedulerMsg::ClaimEnded { result: claim_all(&node, &me).await } };
        self.me.run(work, SchedulerMsg::TaskPanicked);
    }

    fn on_claim_ended(&mut self, result: Result<(), StoreError>) -> Result<(), Fault> {
        self.claiming = false;
        match result {
            Ok(()) => Ok(()),
            Err(StoreError::Unreadable(why)) => Err(Fault(format!("cannot claim: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "scheduled callbacks could not be claimed");
                self.claim_after(CLAIM_AGAIN);
                Ok(())
            }
        }
    }

    fn claim_after(&mut self, pause: Duration) {
        if !std::mem::replace(&mut self.pausing, true) {
            self.me.hint_after(pause, SchedulerMsg::ClaimAgain);
        }
    }

    fn on_claim_again(&mut self) {
        self.pausing = false;
        self.claim();
    }
}

/// Claims in batches until nothing is left, handing each batch on as it comes.
async fn claim_all(node: &Node, scheduler: &Address<SchedulerMsg>) -> Result<(), StoreError> {
    loop {
        let now = node.now();
        let claim = Claim {
            owner: node.me,
            horizon: now + AHEAD,
            leads: node.directory.leads(node.ports.routing.as_ref()),
            limit: CLAIMED_AT_ONCE,
            at: now,
        };
        let due = timeout(CLAIM_DEADLINE, node.ports.callbacks.claim(claim)).await;
        let due = due.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the claim took too long".into())))?;
        // Fewer than were asked for may mean that others have claimed beside us.
        let last = due.is_empty();
        if !last {
            scheduler.hint(SchedulerMsg::Claimed { due });
        }
        // With nobody left to fire them, or no right to, more is not taken.
        if last || !node.may_work() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
