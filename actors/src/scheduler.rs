//! Scheduled callbacks until they are due: claims each minute what starts soon, and fires each at its instant.
//!
//! Started by the root. Talked to by itself, by its claim task, and by tenants that booked something near.
//! When it dies it forgets what it had claimed: those rows are ours and due at their instant, so the sweep
//! fires them within a second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::str::FromStr;
use std::sync::Arc;
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
use crate::restart::Fault;
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
const CLAIM_DEADLINE: Duration = Duration::from_secs(20);
/// Pause before a failed claim is tried again.
const CLAIM_AGAIN: Duration = Duration::from_secs(2);

/// Messages to the scheduler.
pub(crate) enum SchedulerMsg {
    /// From its own alarm: a minute has begun.
    MinuteBegan,
    /// From the claim task and from tenants: these are ours, fire them at their instants.
    Claimed { due: Vec<Due> },
    /// From the claim task: it has ended.
    ClaimEnded { result: Result<(), StoreError> },
    /// From itself: the pause after a claim that was not possible is over.
    ClaimAgain,
    /// From its own alarm: the instant of the first has come.
    AlarmRang,
}

/// Sorted by instant, then by id so that equal instants have an order.
struct Waiter(Reverse<(DateTime<Utc>, CallbackId)>, Due);

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Waiter {}
impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
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
    claiming: bool,
    claiming_again: bool,
    waiters: BinaryHeap<Waiter>,
    alarm: Option<(Instant, AbortHandle)>,
    minute: Option<AbortHandle>,
    meter: Meter,
}

impl Drop for State {
    fn drop(&mut self) {
        let alarms = [self.alarm.take().map(|(_, alarm)| alarm), self.minute.take()];
        alarms.into_iter().flatten().for_each(|alarm| alarm.abort());
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
        me.hint(SchedulerMsg::MinuteBegan);
        Ok(State {
            node: args.node,
            me,
            minutes,
            claiming: false,
            claiming_again: false,
            waiters: BinaryHeap::new(),
            alarm: None,
            minute: None,
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
            SchedulerMsg::MinuteBegan => state.on_minute(),
            SchedulerMsg::Claimed { due } => state.on_claimed(due),
            SchedulerMsg::ClaimEnded { result } => state.on_claim_ended(result)?,
            SchedulerMsg::ClaimAgain => {
                state.claiming_again = false;
                state.claim_if_alive();
            }
            SchedulerMsg::AlarmRang => state.on_alarm(),
        }
        Ok(())
    }
}

impl State {
    fn on_minute(&mut self) {
        let now = self.node.now();
        // Missed minutes are not made up for: one claim takes everything that is due by now.
        if let Some(next) = self.minutes.after(&now).next() {
            let (at, me) = (self.node.instant_of(next), self.me.clone());
            let task = tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                me.hint(SchedulerMsg::MinuteBegan);
            });
            self.minute = Some(task.abort_handle());
        }
        self.claim_if_alive();
    }

    fn claim_if_alive(&mut self) {
        if self.node.may_work() {
            self.claim();
        } else if !self.node.is_draining() {
            self.try_again();
        }
    }

    fn claim(&mut self) {
        if std::mem::replace(&mut self.claiming, true) {
            return;
        }
        let (node, me) = (self.node.clone(), self.me.clone());
        tokio::spawn(async move {
            let result = timeout(CLAIM_DEADLINE, claim_all(&node, &me)).await;
            let result = result.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the claim took too long".into())));
            me.hint(SchedulerMsg::ClaimEnded { result });
        });
    }

    fn on_claim_ended(&mut self, result: Result<(), StoreError>) -> Result<(), Fault> {
        self.claiming = false;
        match result {
            Ok(()) => Ok(()),
            Err(StoreError::Unreadable(why)) => Err(Fault(format!("cannot claim: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "scheduled callbacks could not be claimed");
                self.try_again();
                Ok(())
            }
        }
    }

    fn try_again(&mut self) {
        if std::mem::replace(&mut self.claiming_again, true) {
            return;
        }
        let me = self.me.clone();
        tokio::spawn(async move {
            tokio::time::sleep(CLAIM_AGAIN).await;
            me.hint(SchedulerMsg::ClaimAgain);
        });
    }

    fn on_claimed(&mut self, due: Vec<Due>) {
        let room = KEPT.saturating_sub(self.waiters.len());
        self.waiters.extend(due.into_iter().take(room).map(|due| Waiter(Reverse((due.wake_at, due.id)), due)));
        self.set_alarm();
    }

    fn on_alarm(&mut self) {
        self.alarm = None;
        let now = self.node.now();
        let mut due = Vec::new();
        while due.len() < FIRED_AT_ONCE
            && let Some(first) = self.waiters.peek()
            && first.1.wake_at <= now
        {
            due.extend(self.waiters.pop().map(|waiter| waiter.1));
        }
        if !due.is_empty() {
            self.node.tenants.hint(TenantsMsg::Work { due });
        }
        self.set_alarm();
    }

    fn set_alarm(&mut self) {
        let Some(first) = self.waiters.peek() else { return };
        let at = self.node.instant_of(first.1.wake_at);
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
        let due = node.ports.callbacks.claim(claim).await?;
        let last = due.len() < CLAIMED_AT_ONCE;
        if !due.is_empty() {
            scheduler.hint(SchedulerMsg::Claimed { due });
        }
        if last {
            return Ok(());
        }
    }
}
