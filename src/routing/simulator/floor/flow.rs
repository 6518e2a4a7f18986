//! What happens on the floor when its time has come: the steps of the flows, agents, inbound calls.

use super::{End, Floor, JournalEvent, Micros, Now, Phase, Report, Stage, What, script};
use crate::routing::simulator::script::{DialResult, Outcome};

/// Overtaken events are dropped when there are this many times more events than sessions.
const EVENTS_PER_SESSION: usize = 4;
const FEW_EVENTS: usize = 4096;

impl Floor {
    /// Does everything that is due, at most `budget` things. Returns the instant of the next.
    pub(in super::super) fn run_due(&mut self, now: Now, budget: usize) -> Option<Micros> {
        for _ in 0..budget {
            let Some((at, what)) = self.timeline.take_due(now.at) else { break };
            self.happen(at, what, now);
        }
        if self.timeline.len() > FEW_EVENTS + EVENTS_PER_SESSION * self.sessions.len() {
            self.drop_overtaken();
        }
        self.timeline.next_at()
    }

    /// `at` is when it was to happen, never after `now`: durations add up without the delays of the runtime.
    fn happen(&mut self, at: Micros, what: What, now: Now) {
        match what {
            What::Step { session, stamp } => {
                if self.session(session).is_some_and(|it| it.step == stamp) {
                    self.step(session, at, now);
                }
            }
            What::Retry { session, stamp } => self.retry(session, stamp),
            What::AgentFree { queue } => self.agent_is_free(queue, at),
            What::InboundArrives { queue } => self.inbound_arrives(queue, at),
            What::InboundEnds { queue } => {
                if let Some(it) = self.queues.get_mut(queue as usize) {
                    it.inbound_busy -= 1;
                }
                self.agent_is_free(queue, at);
            }
        }
    }

    fn drop_overtaken(&mut self) {
        let sessions = &self.sessions;
        self.timeline.retain(|what| match what {
            What::Step { session, stamp } => {
                sessions.get(*session as usize).and_then(Option::as_ref).is_some_and(|it| it.step == *stamp)
            }
            What::Retry { .. } | What::AgentFree { .. } | What::InboundArrives { .. } | What::InboundEnds { .. } => {
                true
            }
        });
    }

    fn step(&mut self, place: u32, at: Micros, now: Now) {
        let Some(session) = self.session(place) else { return };
        let early_ms = u64::try_from(session.desired_ms - now.wall_ms).unwrap_or_default();
        match session.phase {
            // Nobody is rung before the desired time. The clock of the service judges, each time anew: it may
            // have been set back since the step was planned.
            Phase::Waiting | Phase::Reserved if early_ms > 0 => self.not_yet(place, now.at + early_ms * 1000),
            Phase::Entered => self.ask(place, now),
            Phase::Waiting => self.make_servable(place, at),
            Phase::Reserved if session.calls_in => self.expect(place, at),
            Phase::Reserved => self.dial(place, at, now),
            Phase::Expecting if session.outcome == Outcome::HangsUp => self.finish(place, End::AgentConnect, at, now),
            Phase::Expecting => {
                self.talk(place, at, now);
                self.post(place);
            }
            Phase::Ringing => self.dialled(place, at, now),
            Phase::Talking => self.finish(place, End::AgentConnected, at, now),
            Phase::Asking | Phase::Telling => {}
        }
    }

    /// Asks for the attempt, or refuses it if its number says so.
    fn ask(&mut self, place: u32, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        if session.outcome == Outcome::OrsRefuses {
            session.push(Report::Failed);
            let (callback, queue) = (session.callback, session.queue);
            session.phase = Phase::Telling;
            if let Some(queue) = self.queues.get_mut(queue as usize) {
                queue.sessions -= 1;
            }
            self.set_stage(callback, Stage::Refused);
            self.write(place, JournalEvent::Refused, None, now);
        } else {
            session.push(Report::Accepted);
            session.phase = Phase::Asking;
        }
        self.post(place);
    }

    /// The attempt was granted: from here on customers may notice.
    pub(super) fn granted(&mut self, place: u32, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        let (callback, number) = (session.callback, session.queue);
        let early_ms = u64::try_from(session.desired_ms - now.wall_ms).unwrap_or_default();
        session.push(Report::Queued);
        self.set_stage(callback, Stage::Accepted);
        self.write(place, JournalEvent::Accepted, None, now);
        self.join(place);
        let Some(queue) = self.queues.get_mut(number as usize) else { return };
        let look = self.times.micros(queue.manner.look_for_agent());
        if early_ms == 0
            && let Some(Some(session)) = self.sessions.get(place as usize)
        {
            queue.line.make_ready(session.ticket);
        }
        self.plan(place, now.at + look.max(early_ms * 1000));
        self.begin_inbound(number, now.at);
    }

    fn not_yet(&mut self, place: u32, at: Micros) {
        let Some(session) = self.session(place) else { return };
        let (phase, number, ticket) = (session.phase, session.queue, session.ticket);
        if phase == Phase::Waiting
            && let Some(queue) = self.queues.get_mut(number as usize)
        {
            queue.line.hold_back(ticket); // else it would stop everybody behind it
        }
        self.plan(place, at);
    }

    fn make_servable(&mut self, place: u32, at: Micros) {
        let Some(session) = self.session_mut(place) else { return };
        session.servable = true;
        let (number, ticket) = (session.queue, session.ticket);
        if let Some(queue) = self.queues.get_mut(number as usize) {
            queue.line.make_ready(ticket);
        }
        self.serve(number, at);
    }

    fn join(&mut self, place: u32) {
        let Some(number) = self.session(place).map(|session| session.queue) else { return };
        let (Some(queue), sessions) = (self.queues.get_mut(number as usize), &mut self.sessions) else { return };
        let mut renumber = |who: u32, ticket| {
            if let Some(Some(session)) = sessions.get_mut(who as usize) {
                session.ticket = ticket;
            }
        };
        let ticket = queue.line.join(place, &mut renumber);
        renumber(place, ticket);
        if let Some(session) = self.session_mut(place) {
            session.phase = Phase::Waiting;
            session.servable = false;
        }
    }

    /// Gives free agents to those who have waited longest.
    fn serve(&mut self, number: u32, at: Micros) {
        loop {
            let Some(queue) = self.queues.get_mut(number as usize).filter(|queue| queue.free > 0) else { return };
            let Some(place) = queue.line.first() else { return };
            let first = self.sessions.get_mut(place as usize).and_then(Option::as_mut);
            let Some(session) = first.filter(|session| session.servable) else { return };
            queue.free -= 1;
            queue.line.leave(session.ticket);
            queue.traffic.served(at);
            session.phase = Phase::Reserved;
            session.reserved_at = at;
            session.push(Report::Routing);
            let ready = script::get_ready(&mut session.dice);
            self.post(place);
            self.plan(place, at + self.times.micros(ready));
        }
    }

    pub(super) fn agent_is_free(&mut self, number: u32, at: Micros) {
        if let Some(queue) = self.queues.get_mut(number as usize) {
            queue.free += 1;
            self.serve(number, at);
        }
    }

    /// Waits with an agent for a customer who was told to call in. One who would not have picked up does not call
    /// either: that one is waited for until the register is closed.
    fn expect(&mut self, place: u32, at: Micros) {
        let Some(session) = self.session_mut(place) else { return };
        session.phase = Phase::Expecting;
        if session.outcome.dial_result() == DialResult::Connected {
            let call = script::call_in(&mut session.dice);
            self.plan(place, at + self.times.micros(call));
        }
    }

    fn dial(&mut self, place: u32, at: Micros, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        session.phase = Phase::Ringing;
        session.dials_left = session.dials_left.saturating_sub(1);
        let ring = script::ring(session.outcome, &mut session.dice);
        let callback = session.callback;
        self.set_stage(callback, Stage::Dialled);
        self.write(place, JournalEvent::Dialled, None, now);
        self.plan(place, at + self.times.micros(ring));
    }

    fn dialled(&mut self, place: u32, at: Micros, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        let result = session.outcome.dial_result();
        session.push(Report::DialResult(result));
        let hangs_up = session.outcome == Outcome::HangsUp;
        let dials_left = session.dials_left > 0;
        match result {
            DialResult::Connected if hangs_up => self.finish(place, End::AgentConnect, at, now),
            DialResult::Connected => self.talk(place, at, now),
            DialResult::Busy | DialResult::NoAnswer if dials_left => self.wait_and_dial_again(place, at),
            DialResult::Busy | DialResult::NoAnswer | DialResult::AnsweringMachine => {
                self.finish(place, End::CallToCustomer, at, now);
            }
        }
        self.post(place);
    }

    fn talk(&mut self, place: u32, at: Micros, now: Now) {
        let Some((number, callback)) = self.session(place).map(|session| (session.queue, session.callback)) else {
            return;
        };
        let Some(manner) = self.queues.get(number as usize).map(|queue| queue.manner) else { return };
        let Some(session) = self.session_mut(place) else { return };
        session.phase = Phase::Talking;
        session.push(Report::Processing);
        let talk = manner.talk(&mut session.dice);
        self.set_stage(callback, Stage::Processing);
        self.write(place, JournalEvent::Processing, None, now);
        self.plan(place, at + self.times.micros(talk));
    }

    /// Lets the agent go and takes the last place in the line, to be served after a pause.
    fn wait_and_dial_again(&mut self, place: u32, at: Micros) {
        let Some(session) = self.session_mut(place) else { return };
        session.push(Report::Queued);
        let pause = script::dial_again(&mut session.dice);
        let (queue, busy) = (session.queue, at - session.reserved_at);
        if let Some(queue) = self.queues.get_mut(queue as usize) {
            queue.traffic.finished(busy);
        }
        self.join(place);
        self.plan(place, at + self.times.micros(pause));
        self.agent_is_free(queue, at);
    }

    /// The flow has come to its own end. The session stays until that was answered.
    fn finish(&mut self, place: u32, end: End, at: Micros, now: Now) {
        let Some(session) = self.session_mut(place) else { return };
        session.push(Report::Completed(end));
        session.phase = Phase::Telling;
        let wrap_up = if end == End::AgentConnected { script::wrap_up(&mut session.dice) } else { 0.0 };
        let (callback, number, reserved_at) = (session.callback, session.queue, session.reserved_at);
        self.set_stage(callback, Stage::Ended(end));
        self.write(place, JournalEvent::Ended, Some(end), now);
        let free_at = at + self.times.micros(wrap_up);
        if let Some(queue) = self.queues.get_mut(number as usize) {
            queue.sessions -= 1;
            queue.traffic.finished(free_at - reserved_at);
        }
        self.timeline.enter(free_at, What::AgentFree { queue: number });
        self.post(place);
    }

    /// Notes a line; it is written before anything that was decided with it is sent.
    pub(super) fn write(&mut self, place: u32, event: JournalEvent, end: Option<End>, now: Now) {
        let mut lines = std::mem::take(&mut self.lines);
        if let Some(session) = self.session(place) {
            self.line_of(session, event, end, now.wall_ms, &mut lines);
        }
        self.lines = lines;
    }

    // ------------------------------------------------------------------------------------------- inbound calls

    fn begin_inbound(&mut self, number: u32, at: Micros) {
        let Some(queue) = self.queues.get_mut(number as usize) else { return };
        if !queue.inbound_runs && queue.agents >= 4 {
            queue.inbound_runs = true;
            self.plan_inbound(number, at);
        }
    }

    fn plan_inbound(&mut self, number: u32, at: Micros) {
        let mut dice = self.queue_dice(number);
        let Some(queue) = self.queues.get_mut(number as usize) else { return };
        queue.inbound_calls += 1;
        dice = dice.with(queue.inbound_calls);
        let pause = queue.manner.inbound_pause(&mut dice);
        self.timeline.enter(at + self.times.micros(pause), What::InboundArrives { queue: number });
    }

    /// An inbound caller takes a free agent, or tries elsewhere: it never stands in the line of callbacks.
    /// Inbound calls hold at most a quarter of the agents, and cease when the queue has no session.
    fn inbound_arrives(&mut self, number: u32, at: Micros) {
        let dice = self.queue_dice(number);
        let Some(queue) = self.queues.get_mut(number as usize) else { return };
        if queue.sessions == 0 {
            queue.inbound_runs = false;
            return;
        }
        if queue.free > 0 && queue.inbound_busy < queue.agents / 4 {
            queue.free -= 1;
            queue.inbound_busy += 1;
            let mut dice = dice.with(queue.inbound_calls).with(1);
            let busy = self.times.micros(queue.manner.talk(&mut dice) + script::wrap_up(&mut dice));
            queue.traffic.finished(busy);
            self.timeline.enter(at + busy, What::InboundEnds { queue: number });
        }
        self.plan_inbound(number, at);
    }
}
