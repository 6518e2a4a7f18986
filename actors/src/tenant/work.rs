//! What is due, and who may begin: scheduled callbacks judged at their instant, places granted in turn.

use chrono::{DateTime, TimeDelta, Utc};
use domain::callback::{Input, State as CallbackState};
use domain::ids::{CallbackId, QueueName};
use domain::ports::Due;
use domain::queue::WhenClosed;
use futures::StreamExt;
use ractor::ActorId;

use super::{State, bystander};
use crate::scheduler::SchedulerMsg;
use crate::session::SessionMsg;
use crate::task;

/// A scheduled callback that is later than this counts as missed: its queue says what becomes of it.
const TOO_LATE: TimeDelta = TimeDelta::hours(2);
/// A start that moved by less is only waited for; by more, it is also written down, so that the sweep does
/// not come upon the row each second until then.
const WORTH_WRITING: TimeDelta = TimeDelta::seconds(2);
/// How often a queue that has no opening within two weeks is looked at.
const CLOSED_FOR_LONG: TimeDelta = TimeDelta::days(1);
/// Tasks of one tenant that put callbacks off at the same time, and rows that each works on at once. What
/// finds no task is still due and comes back by the sweep.
pub(super) const PUTTING_OFF: usize = 4;
const ROWS_AT_ONCE: usize = 32;

/// What a due callback needs.
#[derive(Debug, PartialEq)]
enum Judgement {
    /// Somebody works on it now.
    Ripe,
    /// Its start moved, by very little.
    Wait(DateTime<Utc>),
    /// One step, without a session.
    PutOff(Input),
}

impl State {
    /// Takes on what is due. Whatever cannot be taken on now is still due, and comes back by the sweep.
    pub(super) async fn on_work(&mut self, due: Vec<Due>) {
        if !self.node.may_work() {
            return;
        }
        let mut put_off = Vec::new();
        for due in due {
            let has_session = self.children.find(due.id).is_some();
            let is_served = has_session && (!due.needs_place || self.children.holds_place(due.id));
            if is_served && due.state == CallbackState::Completed {
                // Its end may be somebody else's work, which its session has not heard of.
                self.on_changed(due.id);
            }
            if is_served || self.children.is_recovering(due.id) {
                continue;
            }
            match self.judge(&due) {
                Judgement::Ripe if due.needs_place => self.give_place(due.id, due.queue).await,
                Judgement::Ripe => self.start_stored(due.id, false).await,
                Judgement::Wait(wake_at) => {
                    self.node.scheduler.hint(SchedulerMsg::Claimed { due: vec![Due { wake_at, ..due }] });
                }
                Judgement::PutOff(input) => put_off.push((due, input)),
            }
        }
        if !put_off.is_empty() {
            self.put_off(put_off);
        }
    }

    /// Judges a callback at the instant at which it seems to be due. The start of a scheduled one is computed
    /// anew, for the expected wait may have shrunk since it was claimed.
    fn judge(&self, due: &Due) -> Judgement {
        if due.state != CallbackState::Scheduled {
            return Judgement::Ripe;
        }
        let now = self.node.now();
        let start_at = due.desired_time - self.facts.lead(&self.node, &due.queue);
        if now < start_at {
            let shift = start_at - due.wake_at;
            return if shift < WORTH_WRITING {
                Judgement::Wait(start_at)
            } else {
                Judgement::PutOff(Input::Postpone { until: start_at })
            };
        }
        let tenant = self.facts.current();
        let Some(settings) = tenant.queues.get(&due.queue) else { return Judgement::Ripe };
        // The start lies before the desired time, perhaps before the opening: it is the call that has to be in hours.
        let call_at = now.max(due.desired_time);
        let is_open = settings.hours.is_open(call_at);
        let is_missed = now - start_at.max(due.wake_at) > TOO_LATE;
        match settings.when_closed {
            WhenClosed::Expire if is_missed || !is_open => Judgement::PutOff(Input::Expire),
            WhenClosed::WaitForOpening if !is_open => {
                let until = settings.hours.next_opening(call_at).unwrap_or(now + CLOSED_FOR_LONG);
                Judgement::PutOff(Input::Postpone { until })
            }
            WhenClosed::Expire | WhenClosed::WaitForOpening => Judgement::Ripe,
        }
    }

    fn put_off(&self, rows: Vec<(Due, Input)>) {
        let Ok(permit) = self.putting_off.clone().try_acquire_owned() else { return };
        let (node, facts) = (self.node.clone(), self.facts.clone());
        let work = async move {
            let (node, facts) = (&node, &facts);
            let steps = rows.into_iter().map(|(due, input)| async move {
                if let Some(due) = bystander::put_off(node, facts, due, input).await {
                    node.scheduler.hint(SchedulerMsg::Claimed { due: vec![due] });
                }
            });
            futures::stream::iter(steps).for_each_concurrent(ROWS_AT_ONCE, |step| step).await;
            drop(permit);
        };
        task::spawn(&self.node, "putting callbacks off", work);
    }

    /// A session asks for a place. One that has ended meanwhile asks no more.
    pub(super) async fn on_place_wanted(&mut self, session: ActorId, id: CallbackId, queue: QueueName) {
        if self.children.is_session(id, session) {
            self.give_place(id, queue).await;
        }
    }

    /// A place now, or in turn. Nobody waits in a session: its row and its place in the line are enough.
    async fn give_place(&mut self, id: CallbackId, queue: QueueName) {
        if self.children.holds_place(id) {
            return self.grant(id).await;
        }
        let tenant = self.facts.current();
        if self.budgets.try_take(&queue, &tenant) {
            self.children.hold_place(id, queue);
            return self.grant(id).await;
        }
        if !self.budgets.wait(&queue, &tenant, id) {
            tracing::debug!(session.id = %id, "no room in the line for a place; the sweep comes back to it");
        }
        self.children.send_to_rest(id);
    }

    async fn grant(&mut self, id: CallbackId) {
        match self.children.find(id) {
            Some(session) => session.hint(SessionMsg::PlaceGranted),
            None => self.start_stored(id, true).await,
        }
    }

    /// A session gives its place back. The place of one that has ended is free already.
    pub(super) async fn on_session_freed(&mut self, session: ActorId, id: CallbackId, accepted: bool) {
        if self.children.is_session(id, session) {
            drop(self.children.touch(id));
            self.on_place_freed(id, accepted).await;
        }
    }

    pub(super) async fn on_place_unused(&mut self, id: CallbackId) {
        if self.children.find(id).is_none() {
            self.on_place_freed(id, false).await;
        }
    }

    pub(super) async fn on_place_freed(&mut self, id: CallbackId, accepted: bool) {
        let Some(queue) = self.children.release_place(id) else { return };
        self.budgets.release(&queue, &self.facts.current(), accepted);
        self.call_up(&queue).await;
    }

    /// There may be more places now.
    pub(super) async fn on_routing_accepts(&mut self, queue: &QueueName) {
        self.budgets.accepted(queue, &self.facts.current());
        self.call_up(queue).await;
    }

    /// Routing is out. One attempt of each queue goes on trying; the other places are given back until it is seen
    /// to accept again.
    pub(super) fn on_outage_seen(&mut self, session: ActorId, id: CallbackId) {
        if !self.children.is_session(id, session) {
            return;
        }
        let Some(queue) = self.children.place_of(id) else { return };
        if self.budgets.outage(&queue, &self.facts.current(), id) {
            self.children.release_place(id);
            self.children.send_to_rest(id);
        }
    }

    /// Gives the free places of a queue to those who have waited longest.
    pub(super) async fn call_up(&mut self, queue: &QueueName) {
        let tenant = self.facts.current();
        while let Some(next) = self.budgets.next_waiting(queue, &tenant) {
            self.children.hold_place(next, queue.clone());
            self.grant(next).await;
        }
    }
}
