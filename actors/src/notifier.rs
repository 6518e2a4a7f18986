//! Delivers what is owed to the outside: messages to webhook endpoints, notifications to customers.
//!
//! Started by the root. Talked to by whoever saved a step that somebody is told of, by its alarm and its tasks. When it
//! dies nothing is lost: what is owed is in the store, and each delivery in hand is a task of its own that goes on and
//! writes back by itself. What a process had in hand when it died is found by its owner, who lives no more.

mod delivery;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use domain::event::{ActorKind, Event};
use domain::notices::{Claimed, LaneId};
use domain::ports::{ClaimNotices, Owed, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::mailbox::{Address, Meter, Waiting};
use crate::node::Node;
use crate::restart::{Fault, TaskPanicked};

/// Pause between two looks for what is due; a step that makes something due says so at once.
const EVERY: Duration = Duration::from_secs(1);
/// How long one look may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);
/// Notices in hand at the same time, of one lane and of all. A lane whose receiver is slow holds no more than its share.
const PER_LANE: usize = 8;
const IN_HAND: usize = 256;
/// Notices that one look brings.
const LOOKED_AT_ONCE: usize = 64;
/// For how long nobody else touches a notice in hand: longer than a delivery may take with its writing back.
const LEASE: TimeDelta = TimeDelta::seconds(90);
/// Rounds between two looks at how much is owed, and between two purges.
const ROUNDS_PER_COUNT: u64 = 15;
const ROUNDS_PER_PURGE: u64 = 60;
/// Happenings of one tenant that one step of a purge removes, and steps for one tenant in one purge.
const FORGOTTEN_AT_ONCE: usize = 500;
const FORGET_STEPS: usize = 40;

/// Messages to the notifier.
pub(crate) enum NotifierMsg {
    /// From its alarm, each second.
    SecondPassed,
    /// From whoever saved a step that somebody is told of.
    Owed,
    /// From its task: what has been taken on, or why nothing.
    Looked { looked: Result<Vec<Claimed>, StoreError> },
    /// From a delivery's task: it has ended.
    Delivered { lane: LaneId },
    /// From its task.
    Counted { owed: Result<Vec<Owed>, StoreError> },
    /// From its task.
    Purged { purged: Result<u64, StoreError> },
    /// From one of its tasks, in place of its answer.
    TaskPanicked,
}

/// What it is started with.
pub(crate) struct NotifierArgs {
    pub(crate) node: Arc<Node>,
    pub(crate) waiting: Waiting,
}

/// State of the notifier.
pub(crate) struct State {
    node: Arc<Node>,
    me: Address<NotifierMsg>,
    in_hand: BTreeMap<LaneId, usize>,
    /// The lane served last.
    served: LaneId,
    /// One of each at a time.
    looking: bool,
    counting: bool,
    purging: bool,
    /// Something may be due that the look under way, or the last one, has not brought.
    more: bool,
    rounds: u64,
    alarm: AbortHandle,
    meter: Meter,
}

impl Drop for State {
    fn drop(&mut self) {
        self.alarm.abort();
    }
}

/// The actor.
pub(crate) struct NotifierActor;

impl Actor for NotifierActor {
    type Msg = NotifierMsg;
    type State = State;
    type Arguments = NotifierArgs;

    async fn pre_start(&self, me: ActorRef<NotifierMsg>, args: NotifierArgs) -> Result<State, ActorProcessingErr> {
        let meter = Meter::new(ActorKind::Notifier, args.node.ports.observer.clone(), args.waiting);
        let me = meter.address(&me);
        args.node.notifier.put(me.clone());
        args.node.heard_of_owed();
        let ticking = me.clone();
        let alarm = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(EVERY);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                seconds.tick().await;
                ticking.hint(NotifierMsg::SecondPassed);
            }
        });
        Ok(State {
            node: args.node,
            me,
            in_hand: BTreeMap::new(),
            served: LaneId(0),
            looking: false,
            counting: false,
            purging: false,
            more: false,
            rounds: 0,
            alarm: alarm.abort_handle(),
            meter,
        })
    }

    async fn handle(
        &self,
        _me: ActorRef<NotifierMsg>,
        message: NotifierMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let _handling = state.meter.begin();
        match message {
            NotifierMsg::SecondPassed => state.on_second(),
            NotifierMsg::Owed => state.on_owed(),
            NotifierMsg::Looked { looked } => state.on_looked(looked)?,
            NotifierMsg::Delivered { lane } => state.on_delivered(lane),
            NotifierMsg::Counted { owed } => state.on_counted(owed),
            NotifierMsg::Purged { purged } => state.on_purged(purged),
            NotifierMsg::TaskPanicked => return Err(TaskPanicked.into()),
        }
        Ok(())
    }
}

impl State {
    fn on_second(&mut self) {
        self.look();
        if !self.node.may_work() {
            return;
        }
        for (tenant, id) in self.node.short_waits.ask(|id| self.node.ports.routing.live(id), self.node.now()) {
            self.node.tell_short_wait(tenant, id);
        }
        if self.rounds.is_multiple_of(ROUNDS_PER_COUNT) && !std::mem::replace(&mut self.counting, true) {
            self.count();
        }
        if self.rounds % ROUNDS_PER_PURGE == ROUNDS_PER_PURGE - 1 && !std::mem::replace(&mut self.purging, true) {
            self.purge();
        }
        self.rounds += 1;
    }

    fn on_owed(&mut self) {
        self.more = true;
        self.look();
    }

    /// Looks for what is due, unless that is happening, there is no room, or this node may not work. Before the first
    /// settings are read nobody could say where anything goes.
    fn look(&mut self) {
        let in_hand: usize = self.in_hand.values().sum();
        let room = IN_HAND.saturating_sub(in_hand).min(LOOKED_AT_ONCE);
        if self.looking || room == 0 || !self.node.may_work() || self.node.directory.is_empty() {
            return;
        }
        (self.looking, self.more) = (true, false);
        self.node.heard_of_owed();
        let claim = ClaimNotices {
            owner: self.node.me,
            living: self.node.living(),
            at: self.node.now(),
            lease: LEASE,
            after: self.served,
            per_lane: PER_LANE,
            in_hand: self.in_hand.clone(),
            limit: room,
        };
        let node = self.node.clone();
        let work = async move {
            let looked = timeout(LOOK_DEADLINE, node.ports.notices.claim(claim)).await;
            let looked = looked.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the look took too long".into())));
            NotifierMsg::Looked { looked }
        };
        self.me.run(work, NotifierMsg::TaskPanicked);
    }

    fn on_looked(&mut self, looked: Result<Vec<Claimed>, StoreError>) -> Result<(), Fault> {
        self.looking = false;
        let claimed = match looked {
            Ok(claimed) => claimed,
            Err(StoreError::Unreadable(why)) => return Err(Fault(format!("cannot read what is owed: {why}"))),
            Err(error) => {
                tracing::warn!(%error, "what is owed could not be looked up");
                return Ok(());
            }
        };
        // Whatever was found, there may be more of it behind the shares.
        self.more |= !claimed.is_empty();
        for notice in claimed {
            self.served = notice.key.lane;
            *self.in_hand.entry(notice.key.lane).or_default() += 1;
            self.deliver(notice);
        }
        if self.more {
            self.look();
        }
        Ok(())
    }

    fn deliver(&self, notice: Claimed) {
        let (node, me) = (self.node.clone(), self.me.clone());
        let lane = notice.key.lane;
        // Not one of the actor's own tasks: what goes wrong with one notice must not end the work on all others.
        tokio::spawn(async move {
            delivery::deliver(&node, notice).await;
            me.hint(NotifierMsg::Delivered { lane });
        });
    }

    fn on_delivered(&mut self, lane: LaneId) {
        let all: usize = self.in_hand.values().sum();
        let own = self.in_hand.remove(&lane).unwrap_or_default();
        if own > 1 {
            self.in_hand.insert(lane, own - 1);
        }
        // Where there was no room, more may have waited for it.
        if self.more || own >= PER_LANE || all >= IN_HAND {
            self.look();
        }
    }

    fn count(&self) {
        let node = self.node.clone();
        let work = async move {
            let owed = timeout(LOOK_DEADLINE, node.ports.notices.owed(node.now())).await;
            let owed = owed.unwrap_or_else(|_| Err(StoreError::NotDone("counting took too long".into())));
            NotifierMsg::Counted { owed }
        };
        self.me.run(work, NotifierMsg::TaskPanicked);
    }

    fn on_counted(&mut self, owed: Result<Vec<Owed>, StoreError>) {
        self.counting = false;
        for owed in owed.unwrap_or_default() {
            self.node.note(Event::Owed(owed));
        }
    }

    fn purge(&self) {
        let node = self.node.clone();
        let work = async move { NotifierMsg::Purged { purged: purge(&node).await } };
        self.me.run(work, NotifierMsg::TaskPanicked);
    }

    fn on_purged(&mut self, purged: Result<u64, StoreError>) {
        self.purging = false;
        match purged {
            Ok(0) => {}
            Ok(happenings) => tracing::info!(happenings, "old events were removed"),
            Err(error) => tracing::warn!(%error, "old events could not be removed; the next purge goes on"),
        }
    }
}

/// Removes the old happenings of every tenant, step by step; what is left is for the next purge.
async fn purge(node: &Node) -> Result<u64, StoreError> {
    let mut purged = 0;
    for tenant in node.directory.tenants() {
        let before = node.now() - TimeDelta::days(tenant.event_feed.keep_days.into());
        for _ in 0..FORGET_STEPS {
            let step = node.ports.notices.forget_happenings(tenant.id, before, FORGOTTEN_AT_ONCE);
            let step = timeout(LOOK_DEADLINE, step).await;
            let step = step.unwrap_or_else(|_| Err(StoreError::PerhapsDone("the purge took too long".into())))?;
            purged += step;
            if step < FORGOTTEN_AT_ONCE as u64 || !node.may_work() {
                break;
            }
        }
    }
    Ok(purged)
}
